"""Kills: nothing lost, nothing twice, and record, read model and workflow say the same."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from temporalio.api.enums.v1 import EventType

from activities.naming import workflow_id_for
from activities.ports import Delivery, UndeliverableError
from domain.decisions import Question
from domain.drafts import Draft
from runtime.embedded import Child, EmbeddedError
from store.database import FAILING
from store.decisions import PendingError
from tests.faults.conftest import Mortal
from tests.faults.stricken_worker import AFTER, BEFORE, GO, INSIDE, MARKS, mark
from tests.support.harness import Account, Harness, until

T = TypeVar("T")

STRICKEN = "tests.faults.stricken_worker"

PEOPLE = ("rin.reviewer", "jun.reviewer", "kei.reviewer")


@pytest.fixture
async def system(mortal: Mortal) -> Harness:
    """Both servers run, whatever an earlier test left behind."""
    if mortal.postgres.child.returncode is not None:
        await _started(mortal.postgres.start)
    if mortal.temporal.child.returncode is not None:
        await mortal.temporal.start()
    return mortal.system


@asynccontextmanager
async def worker_process(mortal: Mortal, name: str, module: str = "worker", **env: str) -> AsyncIterator[Child]:
    """A worker process, ended with the block if it has not ended before."""
    child = mortal.system.process(mortal.folder, name, module, **env)
    try:
        yield child
    finally:
        if child.returncode is None:
            os.kill(child.pid, signal.SIGCONT)
            await child.stop()


async def ask(system: Harness, review: str, person: str = PEOPLE[0], text: str = "Who checks it?") -> Delivery:
    return await system.send(review, person, Question(), text)


async def settled_once(system: Harness, review: str, *, stored: int, gone: int = 0) -> Account:
    """Every decision has one entry, the three agree, and the account of the signals holds."""
    await system.agrees(review)
    account = await system.account(review, gone=gone)
    assert (account.stored, account.turned_away) == (stored, 0)
    return account


@pytest.mark.timeout(300)
async def test_worker_killed_at_the_line(mortal: Mortal, system: Harness, tmp_path: Path) -> None:
    """Ten times between the commit and its completion, and twice right before the transaction."""
    async with system.worker():
        reviews = [await system.submit() for _ in range(12)]
    deliveries = []
    async with AsyncExitStack() as stack:
        ready: list[tuple[Child, Path]] = []
        for number, review in enumerate(reviews):
            while len(ready) < 3 and number + len(ready) < len(reviews):  # importing takes longest: the next ones begin
                go = tmp_path / f"go-{number + len(ready)}"
                env = {MARKS: str(tmp_path), GO: str(go)}
                ready.append((await stack.enter_async_context(worker_process(mortal, go.name, STRICKEN, **env)), go))
            child, go = ready.pop(0)
            place = AFTER if number < 10 else BEFORE
            path = mark(tmp_path, place, review, signal.SIGKILL)
            before = await system.state(review)
            deliveries.append(await ask(system, review))
            go.touch()
            assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
            assert not path.exists()
            after = await system.state(review)
            assert (after.seq > before.seq) is (place is AFTER)
    async with system.worker():
        for review, delivery in zip(reviews, deliveries, strict=True):
            assert (await system.receipt(delivery)).status == "accepted"
            await settled_once(system, review, stored=1, gone=1 + len(reviews))  # it may meet those of the others, too
        await asyncio.gather(*(system.approve(review) for review in reviews))
        for review in reviews:
            await system.agrees(review)


async def test_worker_stopped_in_a_commit_and_resumed(mortal: Mortal, system: Harness, tmp_path: Path) -> None:
    """One stands still before its transaction, one inside it with the head locked; others take over; both wake up."""
    async with system.worker():
        outside, inside = await system.submit(), await system.submit()
    stricken = {MARKS: str(tmp_path)}
    async with worker_process(mortal, "first", STRICKEN, **stricken) as first:
        mark(tmp_path, BEFORE, outside, signal.SIGSTOP)
        one = await ask(system, outside)
        await until(lambda: _stopped(first))
        async with worker_process(mortal, "second", STRICKEN, **stricken) as second:
            mark(tmp_path, INSIDE, inside, signal.SIGSTOP)
            two = await ask(system, inside)
            await until(lambda: _stopped(second))
            async with system.worker():
                for review, delivery in ((outside, one), (inside, two)):
                    assert (await system.receipt(delivery)).status == "accepted"
                    more = await system.decide(review, PEOPLE[1], Question(), "And then?")
                    assert more.status == "accepted"
                    await system.agrees(review)
                records = [await system.reviews.record(review) for review in (outside, inside)]
                os.kill(first.pid, signal.SIGCONT)
                os.kill(second.pid, signal.SIGCONT)
                # They answer for a task that is no longer theirs. Both are let to work on until they take one anew.
                for _ in range(4):
                    for review in (outside, inside):
                        assert (await system.decide(review, PEOPLE[2], Question(), "Still there?")).status == "accepted"
                for review, before in zip((outside, inside), records, strict=True):
                    await settled_once(system, review, stored=6, gone=3)
                    after = await system.reviews.record(review)
                    assert before is not None
                    assert after is not None
                    assert after[0][: len(before[0])] == before[0]
            await second.stop()
        await first.stop()


async def test_api_killed_between_store_and_hand_over(system: Harness) -> None:
    """A submission and a decision that were stored and nothing more: handed on, once."""
    async with system.worker():
        open_already = await system.submit()
        decision = await system.store(open_already, PEOPLE[0], Question(), "Who checks it?")
        submission = await system.store_submission()
        assert (await system.receipt(submission)).status == "accepted"
        assert (await system.receipt(decision)).status == "accepted"
        assert (await settled_once(system, open_already, stored=1)).signals == 1
        assert (await settled_once(system, submission.review, stored=0)).signals == 0
        assert len(await system.histories(submission.review)) == 1
        await system.approve(submission.review)


async def test_servers_killed_while_decisions_keep_coming(mortal: Mortal, system: Harness) -> None:
    """PostgreSQL, Temporal, then Temporal and every worker at once; each is started again on what it left."""
    async with worker_process(mortal, "one") as one:
        reviews = [await system.submit() for _ in range(3)]
        people = [_Asker(system, review, person) for review in reviews for person in PEOPLE]
        asking = [asyncio.create_task(person.ask()) for person in people]
        _let(people, 2)
        await until(lambda: _asked(people, 9))

        await mortal.postgres.child.kill()
        await _started(mortal.postgres.start)
        _let(people, 4)
        await until(lambda: _asked(people, 27))

        await mortal.temporal.child.kill()
        _let(people, 5)
        await until(lambda: _pending(system, len(people)))  # stored, although nobody takes them now
        await mortal.temporal.start()

        await mortal.temporal.child.kill()
        await one.kill()
        late = [await ask(system, review, "omi.officer", "Before everything is back?") for review in reviews]
        for delivery in late:
            assert await system.decisions.receipt(delivery.decision) is None
        await mortal.temporal.start()
        async with worker_process(mortal, "two"):
            await asyncio.gather(*asking)
            for delivery in late:
                assert (await system.receipt(delivery)).status == "accepted"
            for review in reviews:
                await settled_once(system, review, stored=5 * len(PEOPLE) + 1, gone=3)
            await asyncio.gather(*(system.approve(review) for review in reviews))
            for review in reviews:
                await system.agrees(review)


async def test_histories_do_not_grow_while_the_database_is_down(mortal: Mortal, system: Harness) -> None:
    """For longer than a local activity waits: then a regular one waits, and the review goes on when it is back."""
    async with system.worker():
        review = await system.submit()
        delivery = await system.store(review, PEOPLE[0], Question(), "Who checks it?")
        before = len(await system.events(workflow_id_for(review)))
        await mortal.postgres.child.kill()
        await system.courier.deliver(delivery)

        async def waits() -> bool:
            events = await system.events(workflow_id_for(review))
            return any(e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED for e in events)

        await until(waits, seconds=30)
        down = len(await system.events(workflow_id_for(review)))
        assert down - before < 25
        end = time.monotonic() + 4

        async def as_long() -> bool:
            assert len(await system.events(workflow_id_for(review))) == down
            return time.monotonic() > end

        await until(as_long, every=0.5)
        await _started(mortal.postgres.start)
        assert (await system.receipt(delivery)).status == "accepted"
        await settled_once(system, review, stored=1)
        events = await system.events(workflow_id_for(review))
        # The dispatcher may have sent the signal again meanwhile; what the review itself asked for happened once.
        again = sum(event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED for event in events[down:])
        assert len(events) - down < 15 + 4 * again
        assert sum(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED for event in events) <= 2
        await system.approve(review)


class _Asker:
    """A person whose program asks question after question, as many as it `may`, and repeats what got no answer."""

    def __init__(self, system: Harness, review: str, person: str) -> None:
        self.review = review
        self.may = 0
        self.asked: list[Draft] = []
        self._system = system
        self._person = person

    async def ask(self) -> None:
        """Five questions in all, each as soon as there is a receipt for the one before."""
        while len(self.asked) < 5:
            await until(self._allowed)
            text = f"Question {len(self.asked)}?"
            draft = await _surely(lambda: self._system.draft(self.review, self._person, Question(), text))  # noqa: B023 - awaited here
            delivery = await _surely(lambda: self._system.decisions.store(draft))  # noqa: B023 - awaited here
            self.asked.append(draft)
            with suppress(UndeliverableError):
                await self._system.courier.deliver(delivery)
            while await _surely(lambda: self._system.receipts.wait(draft.decision_id, 0.5)) is None:  # noqa: B023 - awaited here
                pass

    async def _allowed(self) -> bool:
        return len(self.asked) < self.may


async def _surely(what: Callable[[], Awaitable[T]]) -> T:
    """Try again until the database answers."""
    end = time.monotonic() + 60
    while True:
        try:
            return await what()
        except (*FAILING, PendingError):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)


async def _started(start: Callable[[], Awaitable[None]]) -> None:
    """Start a killed server: what is left of it may need a moment to go."""
    end = time.monotonic() + 20
    while True:
        try:
            return await start()
        except EmbeddedError:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)


def _let(people: list[_Asker], may: int) -> None:
    for person in people:
        person.may = may


async def _asked(people: list[_Asker], at_least: int) -> bool:
    return sum(len(person.asked) for person in people) >= at_least


async def _pending(system: Harness, count: int) -> bool:
    pending: int = await system.database.pool.fetchval("select count(*) from decisions where status = 'pending'")
    return pending == count


async def _stopped(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
