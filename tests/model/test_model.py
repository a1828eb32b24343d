"""Generated people doing generated things, right, wrong, late, doubled, stale and reordered, over HTTP: the model explains
everything that came of it.
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import count

import pytest

from tests.model.run import Model
from tests.support import soak
from tests.support.fleet import fleet
from tests.support.harness import WITHOUT_PAUSE

KINDS = 7
"""So many kinds of results must have come about, acceptance among them; a run that came to fewer proves too little."""

RUNS = 4
"""So many seeds are tried for that at most: what comes about depends on time, not on the seed alone."""


@pytest.mark.soak
@pytest.mark.timeout(300 + 2 * 60 * soak.MINUTES)
async def test_the_model_explains_everything() -> None:
    first, end = soak.seed(), soak.until()
    became, answered = Counter[str](), Counter[str]()
    for seed in count(first):
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
        enough = len(became) >= KINDS and not {"403", "404", "409 stale"}.isdisjoint(answered)
        if time.monotonic() > end and (enough or seed - first >= RUNS - 1):
            break
    assert enough, (became, answered)
