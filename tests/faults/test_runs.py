"""A run for every message: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from domain.decisions import Question, QuestionAnswer
from domain.drafts import stored_bytes
from domain.events import Accepted
from runtime.embedded import DataFolder, TemporalServer, free_port
from runtime.temporal import connect
from tests.conftest import DatabaseUrls
from tests.faults.test_poison import goes_on, plain, poison, said
from tests.support.harness import WITHOUT_PAUSE, Harness, harness

ROUNDS = 50


async def test_many_messages_at_once(database: DatabaseUrls) -> None:
    """What brings no decision is turned away together: a flood is not a run for each of its messages."""
    async with _with_a_run_for_every_message(database) as system:
        review = await system.submit()
        for number in range(4):
            await asyncio.gather(*(poison(system, review, "junk", said([number, n])) for n in range(10)))
            asked = await system.decide(review, "jun.reviewer", Question(), f"Question {number}?")
            assert asked.status == "accepted"
        account = await goes_on(system, review, poisoned=40)
        assert 4 < account.runs < 40


@pytest.mark.timeout(300)
async def test_a_review_goes_through_hundreds_of_runs(database: DatabaseUrls) -> None:
    """Decisions, each of them told again, later or at once, under its own name or with another content; and garbage
    between them: each decision is applied once, and every signal is accounted for.
    """
    async with _with_a_run_for_every_message(database) as system:
        review = await system.submit()
        for number in range(ROUNDS):
            await _question_and_answer(system, review, number)
        account = await goes_on(system, review, poisoned=2 * ROUNDS)
        assert account.runs > 4 * ROUNDS
        assert account.repeats == 2 * ROUNDS
        applied = [event for event in await system.ledger(review) if isinstance(event, Accepted)]
        assert len(applied) == 1 + 2 * ROUNDS + 2


@asynccontextmanager
async def _with_a_run_for_every_message(database: DatabaseUrls) -> AsyncIterator[Harness]:
    with TemporaryDirectory(prefix="ringi-runs-") as path, DataFolder(Path(path)) as folder:
        async with TemporalServer(folder, port=free_port(), durable=False, arguments=WITHOUT_PAUSE) as temporal:
            client = await connect(temporal.address)
            async with (
                harness(database.app_url, client, temporal.address) as system,
                system.worker(messages_per_run=1),
            ):
                yield system


async def _question_and_answer(system: Harness, review: str, number: int) -> None:
    """Two decisions, each told twice; one of them also with another reason; and garbage."""
    asked = await system.send(review, "jun.reviewer", Question(), f"Question {number}?")
    await asyncio.gather(system.courier.deliver(asked), poison(system, review, "junk", said(number)))
    assert (await system.receipt(asked)).status == "accepted"
    answer = await system.send(review, "aki.author", QuestionAnswer(question=asked.decision), f"Answer {number}.")
    envelope = await system.decisions.envelope(asked.decision)
    assert envelope is not None
    other = envelope.model_copy(update={"reason": "Was it another question?"})
    await asyncio.gather(system.courier.deliver(answer), poison(system, review, "question", plain(stored_bytes(other))))
    assert (await system.receipt(answer)).status == "accepted"
