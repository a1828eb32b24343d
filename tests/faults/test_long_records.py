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


@pytest.mark.timeout(180)
async def test_a_long_record_is_caught_up_with(system: Harness) -> None:
    """Report by report, by a workflow that a decision finds far behind and, when that is lost, by one that is new to it;
    and then the review goes on.
    """
    async with system.worker():
        review = await system.submit()
    await long_winded(system, review)
    async with system.worker():
        assert (await system.decide(review, "rin.reviewer", Question(), "And now?")).status == "accepted"
        await caught_up(system, review)
        await system.handle(review).terminate("by hand")
        await system.repairs.repair(review, uuid4(), "ops.operator", terminate=False)
        await system.approve(review)
        await caught_up(system, review)


async def caught_up(system: Harness, review: str) -> None:
    """It has seen all that there is, in more than one run, and Temporal was never told too much."""
    await system.agrees(review)
    histories = await system.histories(review)
    assert len(histories) > 1
    await system.replays(review, histories, gone=1)
