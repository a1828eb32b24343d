"""Records of which no workflow can be told at once: Temporal takes no report above 4 MiB on one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from temporalio.client import Client

from activities.commits import Commits
from activities.messages import Commit, Committed
from domain.decisions import Question, QuestionAnswer
from store.ledgers import Ledgers
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived
from tests.support.harness import Harness, harness

REPORT = 4 * 1024 * 1024


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def long_winded(system: Harness, review: str) -> None:
    """Have so much asked and answered that it fills more than one report, while nobody tells the workflow."""
    said = "\N{CJK UNIFIED IDEOGRAPH-20B9F}" * 2000  # of four bytes each
    commits = Commits(Ledgers(system.database))

    async def decide(person: str, content: Question | QuestionAnswer) -> Committed:
        delivery = await system.store(review, person, content, said)
        seen = (await system.state(review)).seq
        return await commits.apply(Commit(review=review, seen=seen, message=arrived(delivery)))

    size = 0
    while size < 1.1 * REPORT:
        asked = await decide("rin.reviewer", Question())
        (open_question,) = (await system.state(review)).questions
        answered = await decide("hana.owner", QuestionAnswer(question=open_question.by.decision))
        assert (asked.became, answered.became) == ("accepted", "accepted")
        size += asked.size + answered.size


async def sound(system: Harness, review: str) -> None:
    """The review goes on, after the worker that opened it was ended, and Temporal was never told too much."""
    await system.approve(review)
    await system.agrees(review)
    await system.replays(review, await system.histories(review), gone=1)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("lost", [True, False])
async def test_a_long_record_is_caught_up_with(system: Harness, lost: bool) -> None:
    """Report by report, by a workflow that is new to it and by one that a decision finds far behind."""
    async with system.worker():
        review = await system.submit()
    if lost:
        await system.handle(review).terminate("by hand")
    await long_winded(system, review)
    async with system.worker():
        if lost:
            await system.repairs.repair(review, uuid4(), "ops.operator", terminate=False)
        await sound(system, review)
        assert len(await system.histories(review)) > 1
