"""Generated people doing generated things, right, wrong, late, doubled, stale and reordered, over HTTP: the model explains
everything that came of it.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.model.run import Model
from tests.support import soak
from tests.support.fleet import fleet
from tests.support.harness import WITHOUT_PAUSE


@pytest.mark.soak
@pytest.mark.timeout(300 + 2 * 60 * soak.MINUTES)
async def test_the_model_explains_everything() -> None:
    seed, end = soak.seed(), soak.until()
    became, answered = Counter[str](), Counter[str]()
    while True:
        print(f"SOAK_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
        async with (
            fleet(
                temporal_arguments=WITHOUT_PAUSE, RINGI_MESSAGES_PER_RUN="2", RINGI_RECONCILE_SECONDS="5"
            ) as processes,
            processes.inside() as system,
        ):
            report = await Model(seed, processes, system).run(cases=4, days=2, acts=12)
        print(report)  # noqa: T201 - as above
        assert not report.problems
        assert report.runs > 20, "hardly a review continued as a new run"
        assert report.became["accepted"] > 25
        became += report.became
        answered += report.answered
        seed += 1
        if time.monotonic() > end:
            break
    assert len(became) > 6
    assert {"403", "404", "409 stale"} & set(answered)
