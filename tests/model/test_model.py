"""Generated people doing generated things, right, wrong, late, doubled, stale and reordered, over HTTP: the model explains
everything that came of it.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

import pytest

from domain.decisions import Reason
from domain.events import Event, Refused
from tests.model.run import Model, reordered
from tests.support import soak
from tests.support.fleet import fleet
from tests.support.harness import WITHOUT_PAUSE

KINDS = 8
"""So many kinds of results must have come about, acceptance among them; a run that came to fewer proves too little."""

ANSWERS = {"403", "404", "409 stale"}
"""What must have been answered at least once, besides."""

HAPPENED = {"late", "doubled", "reordered"}
"""What must have happened to decisions at least once."""

RUNS = 4
"""So many seeds are tried for that at most: what comes about depends on time, not on the seed alone."""


@pytest.mark.soak
@pytest.mark.timeout(300 + 2 * 60 * soak.MINUTES)
async def test_the_model_explains_everything() -> None:
    first, end = soak.seed(), soak.until()
    became, answered, happened = Counter[str](), Counter[str](), Counter[str]()
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
        happened += report.happened
        enough = proves(became, answered, happened)
        if time.monotonic() > end and (enough or seed - first >= RUNS - 1):
            break
    assert enough, (became, answered, happened)


def proves(became: Counter[str], answered: Counter[str], happened: Counter[str]) -> bool:
    """Whether enough came about for it to prove something."""
    return (
        len(+became) >= KINDS and all(answered[name] for name in ANSWERS) and all(happened[name] for name in HAPPENED)
    )


def test_a_run_in_which_something_never_happened_proves_too_little() -> None:
    became = Counter(map(str, range(KINDS)))
    answered, happened = Counter(ANSWERS), Counter(HAPPENED)
    assert proves(became, answered, happened)
    assert not proves(Counter(map(str, range(KINDS - 1))), answered, happened)
    for name in ANSWERS:
        assert not proves(became, answered - Counter([name]), happened), name
    for name in HAPPENED:
        assert not proves(became, answered, happened - Counter([name])), name


def test_a_decision_is_reordered_if_it_was_received_before_one_that_stands_above_it() -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    received_at = {uuid4(): start + timedelta(seconds=seconds) for seconds in range(4)}
    first, second, third, fourth = received_at

    def ledger(*settled: UUID, turned_away: UUID) -> list[Event]:
        refused = [Refused(at=start, reason=Reason.STALE, detail="It is stale.", decision=each) for each in settled]
        away = Refused(at=start, reason=Reason.ID_REUSED, detail="It is another.", decision=turned_away, ordinal=1)
        return [*refused, away]

    assert reordered(ledger(first, second, third, fourth, turned_away=first), received_at) == 0
    assert reordered(ledger(first, third, second, fourth, turned_away=first), received_at) == 1
    assert reordered(ledger(fourth, first, second, third, turned_away=first), received_at) == 3
