"""Real use cases, taken to their outcome: rows of a public inventory as proposals, over HTTP."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from domain.decisions import Finding
from domain.proposal import Proposal
from domain.verification import verify
from tests.support.harness import until
from tests.support.inventory import PATH, proposals
from tests.support.system import AUDITOR, LECTURE, ONLINE, OWNER, REVIEWERS, System, digest, example, sheet

SEED = 2024
CASES = 25
AT_ONCE = 5

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the inventory of AI use cases is not at hand")


async def test_real_use_cases_come_to_their_outcome(own_system: System) -> None:
    """Most are approved, and every fifth is declined; the record of each holds."""
    system = own_system
    await system.trained(*((member.person, course) for member in example(4).staff for course in (ONLINE, LECTURE)))
    chosen = proposals(SEED, CASES)
    declined = set(random.Random(SEED).sample(range(CASES), CASES // 5))
    gate = asyncio.Semaphore(AT_ONCE)

    async def take(number: int, proposal: Proposal) -> tuple[int, str]:
        async with gate:
            return await taken(system, proposal, decline=number in declined)

    taken_there = await asyncio.gather(*(take(number, proposal) for number, proposal in enumerate(chosen)))
    outcomes = Counter(outcome for _, outcome in taken_there)
    assert {"approved": CASES - len(declined), "declined": len(declined)} == outcomes
    assert {1, 2, 3, 4} == {tier for tier, _ in taken_there}


async def taken(system: System, proposal: Proposal, *, decline: bool) -> tuple[int, str]:
    """Take one proposal to its outcome; its tier, and what came of it."""
    review = await system.opened(proposal)
    status = await system.at(review)
    assert digest(proposal) == status.digest
    assert status.tier is not None
    if decline:
        needed = 1 if status.tier < 3 else 2
        for name in REVIEWERS[:needed]:
            await system.person(name).accepted(review, "verdict_sheet", verdicts=sheet(privacy=Finding.BREACH))
    else:
        await system.reviewed(review)
        if (await system.at(review)).stage == "council":
            await system.advised(review)
        await system.signed_off(review)
        certificate = await system.person(OWNER).certificate(review)
        assert (proposal.title, digest(proposal)) == (certificate.title, certificate.rests_on[0].digest)
    status = await system.at(review)

    async def ended() -> bool:
        evidence = await system.person(AUDITOR).evidence(review)
        check = verify(evidence)
        assert check.holds, check.difference
        return evidence.workflow.status == "finished"

    await until(ended)
    return status.tier or 0, status.outcome or ""
