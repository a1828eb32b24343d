"""A tenth of `make chaos`, and what makes a storm the same storm again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.__main__ import DECISIONS, FAULTS, chaos
from tests.chaos.plan import APIS, COMMIT_SWALLOWED, KINDS, POSTGRES_CUT, WORKER_KILLED, draw
from tests.chaos.storm import RECOVERY, Report

ROOT = Path(__file__).resolve().parents[2]
SEED = 20250401

TIME = 300
"""Seconds that a tenth of a storm may take, with its fleet: a report of what is stuck has to be there before."""

FLEET = 60
"""Seconds of these in which the fleet is started and stopped."""


@pytest.mark.timeout(TIME)
async def test_nothing_is_lost_or_doubled_or_stuck_in_a_storm() -> None:
    report = await chaos(SEED, decisions=200, faults=8, longest=TIME - FLEET)
    said = report.model_dump_json(indent=2)
    assert report.holds, said
    assert (report.decisions, report.seed) == (200, SEED), said
    assert report.faults + sum(report.idle.values()) == 8, said
    assert report.kinds[COMMIT_SWALLOWED] == 1, said
    assert report.runs > report.reviews, "no review continued as a new run"
    assert report.signals > report.decisions // 2, said


WHOLE = Report(
    seed=SEED,
    plan="",
    planned=2000,
    decisions=2000,
    sent=5000,
    requests=6000,
    reviews=150,
    runs=900,
    signals=2500,
    faults=60,
    kinds={COMMIT_SWALLOWED: 1},
    lost=0,
    doubled=0,
    stuck=0,
    problems=[],
    never={},
    idle={},
    ended={},
    gave_up={"API-0": 1},
    recovery={WORKER_KILLED: 30, POSTGRES_CUT: 20},
    unrecovered={},
    recovery_p50=1,
    recovery_p99=9,
    caught_up_p50=2,
    caught_up_p99=12,
    decision_p50=1,
    decision_p99=20,
    seconds=600,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"lost": 1},
        {"doubled": 1},
        {"stuck": 1},
        {"problems": ["a review ended otherwise"]},
        {"decisions": 1999},
        {"faults": 59},
        {"kinds": {}},
        {"ended": {"worker-1": 1}},
        {"unrecovered": {WORKER_KILLED: 1}},
        {"recovery": {WORKER_KILLED: 30.1}},
        {"recovery": {POSTGRES_CUT: 20.1}},
        {"seconds": 600.1},
        {"planned": 200, "decisions": 200, "faults": 5},
    ],
    ids=str,
)
def test_a_storm_that_is_too_little_or_too_long_holds_nothing(changes: dict[str, object]) -> None:
    """Ten minutes, every decision of the plan, and 60 faults to 2,000 of them: a tenth of that to a tenth."""
    assert WHOLE.holds
    assert WHOLE.model_copy(update={"planned": 200, "decisions": 200, "faults": 6}).holds
    assert not WHOLE.model_copy(update=changes).holds


def test_a_seed_is_a_storm() -> None:
    """The same in another process, with other hashes; and another one for another seed."""
    program = f"from tests.chaos.plan import draw; print(draw({SEED}, decisions=200, faults=8).digest)"
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"})
    plan = draw(SEED, decisions=200, faults=8)
    assert said.stdout.strip() == plan.digest
    assert draw(SEED + 1, decisions=200, faults=8).digest != plan.digest


def test_the_whole_storm_is_what_it_promises() -> None:
    """That which `make chaos` lets rage, with some faults more than have to take effect."""
    plan = draw(SEED, decisions=DECISIONS, faults=FAULTS)
    assert plan.decisions == DECISIONS >= 2000
    acts = [act for case in plan.cases for step in case.steps for act in step.acts]
    assert len({act.id for act in acts}) == DECISIONS
    assert {len(act.sent) for act in acts} == {1, 2, 3, 4, 5}
    assert all(len({sending.api for sending in act.sent}) == min(APIS, len(act.sent)) for act in acts)
    assert set(Counter(fault.kind for fault in plan.faults)) == set(KINDS)
    assert len(plan.faults) == FAULTS > 60
    assert {"approved", "withdrawn", "declined"} == {case.outcome for case in plan.cases}
    assert any(case.rests < len(case.steps) for case in plan.cases)
    assert [step.accepted for step in plan.cases[-1].steps[plan.cases[-1].rests :]] == [1, 1]
    assert RECOVERY.keys() == set(KINDS)
