"""Temporal is set back, and reviews are lost from it: noticed, on record, told by the doctor, and brought back."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import reconciler
from activities.commits import Commits
from activities.naming import workflow_id_for
from domain.decisions import Discrepancy, Question, Repair
from domain.discrepancies import Differs
from domain.events import Accepted
from domain.review import fold
from domain.state import Review
from runtime import rounds
from runtime.courier import TemporalCourier
from runtime.embedded.postgres import SUPERUSER
from runtime.history import readable_history
from runtime.repairs import ClosedError, InTheWayError, RunsWellError
from runtime.witness import workflow_state
from store.decisions import NotFoundError
from store.ledgers import Ledgers
from store.reconciliations import Discrepancy as Row
from tests.conftest import DatabaseUrls, Servers
from tests.faults.conftest import Mortal
from tests.faults.test_poison import plain, poison, said
from tests.support.harness import Harness, harness, until
from workflows.reconciliation import Reconciliation

PERSON = "rin.reviewer"
OPERATOR = "ops.operator"


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reconciler looks again soon."""
    monkeypatch.setattr(reconciler, "PAUSE", 1.0)


async def rows(system: Harness, review: str | None) -> dict[Differs, Row]:
    return {row.what: row for row in await system.book.discrepancies(1000) if row.review_id == review}


async def noticed(system: Harness, review: str | None, what: Differs, *, seconds: float = 60) -> Row:
    async def there() -> Row | None:
        return (await rows(system, review)).get(what)

    return await until(there, seconds=seconds) or pytest.fail("never")


async def well(system: Harness, *reviews: str) -> None:
    """Nothing differs any more, and record, read model and workflow say the same."""

    async def none() -> bool:
        return not any([await rows(system, review) for review in reviews])

    await until(none)
    for review in reviews:
        await system.agrees(review)


async def words(system: Harness, review: str) -> list[Differs]:
    """What the reconciler put on record."""
    ledger = await system.ledger(review)
    contents = [event.envelope.content for event in ledger if isinstance(event, Accepted)]
    return [content.what for content in contents if isinstance(content, Discrepancy)]


async def ask(system: Harness, review: str, person: str = PERSON) -> None:
    assert (await system.decide(review, person, Question(), "Who checks it?")).status == "accepted"


async def entered(system: Harness, review: str, *expected: Differs) -> None:
    async def there() -> bool:
        return await words(system, review) == list(expected)

    await until(there)


def without_number(review: Review) -> Review:
    return review.model_copy(update={"seq": 0})


async def lose(system: Harness, review: str, how: str) -> None:
    if how == "terminated":
        await system.handle(review).terminate("by hand")
        return
    request = DeleteWorkflowExecutionRequest(namespace="default")
    request.workflow_execution.workflow_id = workflow_id_for(review)
    await system.client.workflow_service.delete_workflow_execution(request)

    async def gone() -> bool:
        return (await system.witness.sighting(review)).status == "nothing"

    await until(gone)


@pytest.mark.parametrize("how", ["terminated", "deleted"])
async def test_a_review_that_is_lost(system: Harness, soon: None, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody decides about it and nobody takes it: noticed at once. Repaired, it goes on as if nothing had been."""
    async with system.worker():  # with no reconciler but the dispatcher's
        review = await system.submit()
        await ask(system, review)
        before = await system.state(review)
        await lose(system, review, how)
        pending = await system.send(review, "jun.reviewer", Question(), "And who checks them?")
        row = await noticed(system, review, Differs.LOST, seconds=20)
        assert ("terminated" in row.detail) is (how == "terminated")
        await entered(system, review, Differs.LOST)
        assert without_number(before) == without_number(await system.state(review))
        alarms = [r for r in caplog.records if r.levelno == logging.ERROR and getattr(r, "review_id", "") == review]
        assert [alarm.getMessage() for alarm in alarms] == [
            "discrepancy: the review is open and no workflow of it runs"
        ]

        repair = await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        assert repair.kind == Repair().kind
        assert (await system.receipt(repair)).status == "accepted"
        assert (await system.receipt(pending, 10)).status == "accepted"
        ledger = await system.ledger(review)
        at = next(n for n, e in enumerate(ledger) if isinstance(e, Accepted) and e.envelope.kind == "repair")
        changed = fold(review, ledger[: at + 1]), fold(review, ledger[:at])
        assert without_number(changed[0]) == without_number(changed[1])
        history = await readable_history(system.client, review, 0, 1000)
        assert history is not None
        assert history[0].type == "workflow_execution_started"
        with pytest.raises(RunsWellError):
            await system.repairs.repair(review, uuid4(), OPERATOR, terminate=True)
        await system.approve(review)
        await system.agrees(review)
        with pytest.raises(ClosedError):
            await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        with pytest.raises(NotFoundError):
            await system.repairs.repair("no-such-review", uuid4(), OPERATOR, terminate=False)


async def test_a_repair_that_came_to_nothing_is_asked_for_again(
    system: Harness, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored, and whoever would have started the workflow died: what is pending holds up no repair, nor is any of it lost."""

    async def dies(*_: object) -> None:
        raise ConnectionError

    async with system.worker():
        review = await system.submit()
        await lose(system, review, "terminated")
        with monkeypatch.context() as killed:
            killed.setattr(TemporalCourier, "restart", dies)
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        last = await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        assert (await system.receipt(last, 30)).status == "accepted"

        async def settled() -> bool:
            kinds = [e.envelope.kind for e in await system.ledger(review) if isinstance(e, Accepted)]
            return kinds.count("repair") == 3

        await until(settled)
        await system.approve(review)
        await system.agrees(review)


async def test_a_review_that_nobody_decides_about_is_noticed_too(system: Harness, soon: None) -> None:
    """By the reconciler, on its schedule; and what is noticed is written down once, however often it goes round."""
    async with system.worker(reconcile_seconds=1):
        review, other = await system.submit(), await system.submit()
        await lose(system, review, "terminated")
        await noticed(system, review, Differs.LOST)
        await entered(system, review, Differs.LOST)
        first = await system.book.last_ended()

        async def again() -> bool:
            ended = await system.book.last_ended()
            return first is not None and ended is not None and (ended - first).total_seconds() > 4

        await until(again)
        await entered(system, review, Differs.LOST)
        await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        await well(system, review, other)
        assert not await words(system, other)
        await forgotten(system)


async def test_two_reconcilers_at_once(system: Harness, soon: None, caplog: pytest.LogCaptureFixture) -> None:
    """Each difference is one row, one entry and one alarm."""
    async with system.worker(), system.worker():
        reviews = [await system.submit() for _ in range(5)]
        for review in reviews:
            await lose(system, review, "terminated")
        await asyncio.gather(*(go_round(system) for _ in range(2)))
        for review in reviews:
            assert list(await rows(system, review)) == [Differs.LOST]
            assert await words(system, review) == [Differs.LOST]
            await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        alarms = [r.review_id for r in caplog.records if r.levelno == logging.ERROR and hasattr(r, "review_id")]
        assert sorted(alarms) == sorted(reviews)
        await go_round(system)
        await well(system, *reviews)


@pytest.mark.parametrize("signals", ["reapplied", "excluded"])
async def test_a_review_that_is_reset(system: Harness, soon: None, signals: str) -> None:
    """It learns what it has seen before, and what comes after that counts as ever: garbage too."""
    async with system.worker():
        review = await system.submit()
        await poison(system, review, "before", said("garbage"))
        await ask(system, review)
        await go_round(system)
        before = await system.state(review)
        await reset(system, review, 1, reapply=signals == "reapplied")
        await go_round(system)
        assert Differs.SET_BACK in await rows(system, review)
        assert await words(system, review) == [Differs.SET_BACK]
        assert without_number(before) == without_number(await system.state(review))
        await poison(system, review, "after", said("garbage"))
        await poison(system, review, "after", said("other garbage"))
        await ask(system, review, "jun.reviewer")
        await go_round(system)
        await well(system, review)
        assert await words(system, review) == [Differs.SET_BACK]
        assert (await system.state(review)).refused == before.refused + 2
        await system.approve(review)
        await system.agrees(review)


async def test_a_closed_review_that_is_reset(system: Harness, soon: None) -> None:
    """The first that it asks the record for is that the review is closed; so it ends again by itself."""
    async with system.worker():
        review = await system.submit()
        await system.approve(review)
        before = await system.state(review)
        await reset(system, review, 2, reapply=False)

        async def ended() -> bool:
            return (await system.handle(review).describe()).status is WorkflowExecutionStatus.COMPLETED

        await until(ended)
        await go_round(system)
        await well(system, review)
        assert before == await system.state(review)


@pytest.mark.timeout(300)
async def test_temporal_is_restored_to_an_older_backup(mortal: Mortal, tmp_path: Path) -> None:
    """With everything as it is set by default: within a minute what went missing is known, and made good on a word."""
    system = mortal.system
    async with system.worker(reconcile_seconds=20):
        idle, decided, closed = [await system.submit() for _ in range(3)]
        for review in (idle, decided, closed):
            await ask(system, review)
        await go_round(system)
    await mortal.temporal.stop()
    files = [path for path in mortal.folder.path.iterdir() if path.name.startswith("temporal.db")]
    for path in files:
        shutil.copy2(path, tmp_path / path.name)
    await mortal.temporal.start()
    async with system.worker(reconcile_seconds=20):
        await ask(system, decided, "jun.reviewer")
        await system.approve(closed)
        opened = await system.submit()
        await ask(system, opened)
        await go_round(system)
        await mortal.temporal.stop()
        for path in mortal.folder.path.glob("temporal.db*"):
            path.unlink()
        for path in files:
            shutil.copy2(tmp_path / path.name, path)
        await mortal.temporal.start()
        started = time.monotonic()
        await noticed(system, None, Differs.RESTORED)
        await noticed(system, opened, Differs.LOST)
        await entered(system, decided, Differs.SET_BACK)
        await entered(system, closed, Differs.RUNS_ON)
        await entered(system, opened, Differs.LOST)
        assert time.monotonic() - started < 60
        await system.repairs.repair(opened, uuid4(), OPERATOR, terminate=False)
        await go_round(system)
        await well(system, idle, decided, closed, opened)
        assert not await rows(system, None)
        assert not await words(system, idle)
        for review in (idle, decided, opened):
            await system.approve(review)
            await system.agrees(review)
        await forgotten(system)


@pytest.mark.parametrize(
    ("ago", "known", "said"),
    [
        (0, False, "It was restored to an earlier state."),
        (31, False, "Either Temporal was restored to an earlier state since, or it no longer keeps"),
        (31, True, None),
        (None, False, None),
    ],
    ids=["restored", "restored, and it took long", "away for long", "the first round ever"],
)
async def test_the_last_round_is_not_known(
    system: Harness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ago: int | None,
    known: bool,
    said: str | None,
) -> None:
    """Temporal was restored, or it was so long ago that it may have let it go: what is open is compared, and it is said."""
    monkeypatch.setattr(reconciler, "IN_DEPTH", 0)
    pool = system.database.pool
    async with system.worker():
        review = await system.submit()
        if ago is not None:
            await go_round(system)
        before = await pool.fetchval("select compared_at from comparisons where review_id = $1", review)
        await pool.execute("update rounds set ended_at = ended_at - make_interval(mins => coalesce($1, 0))", ago)
        if not known:
            await pool.execute("update rounds set run_id = $1", str(uuid4()))
        await go_round(system)
        after = await pool.fetchval("select compared_at from comparisons where review_id = $1", review)
    written = await pool.fetch("select review_id, cleared_at is null as still from discrepancies")
    alarms = [record for record in caplog.records if record.getMessage().startswith("discrepancy")]
    if said is None:
        assert (after == before, written, alarms) == (ago is not None, [], [])
    else:
        assert after > before
        assert [tuple(row) for row in written] == [(None, False)]
        assert [said in vars(alarm)["detail"] for alarm in alarms] == [True]


async def test_a_start_that_cannot_be_read_stands_in_the_way(system: Harness, soon: None) -> None:
    """Somebody took the id with what no worker understands. It is only terminated if the operator says so."""
    submission = await system.store_submission()
    review = submission.review
    request = StartWorkflowExecutionRequest(
        namespace="default", workflow_id=workflow_id_for(review), request_id=str(uuid4()), identity="somebody"
    )
    request.workflow_type.name = "ProposalReview"
    request.task_queue.name = system.task_queue
    request.input.payloads.append(plain(b"\xff"))
    await system.client.workflow_service.start_workflow_execution(request)
    await system.database.pool.execute(
        "update reviews set submitted_at = submitted_at - interval '2 minutes' where id = $1", review
    )
    async with system.worker():
        await system.courier.deliver(submission)
        await go_round(system)
        assert list(await rows(system, review)) == [Differs.SILENT]
        with pytest.raises(InTheWayError):
            await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        repair = await system.repairs.repair(review, uuid4(), OPERATOR, terminate=True)
        assert (await system.receipt(submission)).status == "accepted"
        assert (await system.receipt(repair)).status == "accepted"
        await go_round(system)
        await well(system, review)
        await system.approve(review)


async def test_an_id_that_is_taken_by_something_else(system: Harness, soon: None) -> None:
    """A workflow that is none of ours."""
    async with system.worker():
        review = await system.submit()
        await lose(system, review, "terminated")
        await system.client.start_workflow("Something", id=workflow_id_for(review), task_queue="elsewhere")
        await go_round(system)
        assert list(await rows(system, review)) == [Differs.TAKEN]
        await system.repairs.repair(review, uuid4(), OPERATOR, terminate=True)
        await go_round(system)
        await well(system, review)


SAID: dict[str, Any] = {"seq": 3, "state_digest": "0" * 64, "run": str(UUID(int=1)), "chain": str(UUID(int=2))}
"""An answer as it should be, but for the run: nobody knows that one."""


@workflow.defn(name="ProposalReview")
class _Impostor:
    """What somebody who can poll the task queue may answer in our place: what it was started with."""

    @workflow.init
    def __init__(self, answer: Any, ends: bool) -> None:
        self._answer = answer
        self._ends = ends

    @workflow.run
    async def run(self, answer: Any, _ends: bool) -> Any:
        await workflow.wait_condition(lambda: self._ends)
        return answer

    @workflow.query(name="where_it_stands")
    def where_it_stands(self) -> Any:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"seq": "well"},
        SAID,
        SAID | {"run": "no run's id"},
        SAID | {"run": ""},
        SAID | {"chain": "a\x00b"},
        SAID | {"seq": 2**31},
        SAID | {"earlier": -1},
        SAID | {"tally": {"signals": 2**63}},
    ],
    ids=str,
)
async def test_an_answer_that_is_none_of_ours(system: Harness, soon: None, answer: object) -> None:
    """As if it had answered nothing: on record, and what asks for it on the way is not surprised."""
    async with system.worker():
        review, lost = [await system.submit() for _ in range(2)]
        for each in (review, lost):
            await system.handle(each).terminate("by hand")
    impostor = Worker(
        await Client.connect(system.address),
        task_queue=system.task_queue,
        workflows=[_Impostor],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with impostor:
        overseer = reconciler.Reconciler(system.book, system.witness, system.courier, Commits(Ledgers(system.database)))
        for each, ends in ((review, False), (lost, True)):
            started = await system.client.start_workflow(
                "ProposalReview", id=workflow_id_for(each), task_queue=system.task_queue, args=[answer, ends]
            )
            if ends:
                await started.result()
            overseer.suspect(each)
        await noticed(system, review, Differs.SILENT)
        await noticed(system, lost, Differs.LOST)
        said = await workflow_state(system.client, review)
        assert said.status == ("answered" if answer == SAID else "unreachable")
        ended = await workflow_state(system.client, lost)
        assert (ended.status, ended.seq) == ("finished", None)
        with pytest.raises(InTheWayError):
            await system.repairs.repair(review, uuid4(), OPERATOR, terminate=False)
        await overseer.aclose()
    async with system.worker():
        await system.repairs.repair(review, uuid4(), OPERATOR, terminate=True)
        await system.repairs.repair(lost, uuid4(), OPERATOR, terminate=False)
        await go_round(system)
        await well(system, review, lost)


@pytest.mark.parametrize("name", ["a\x00b", "x" * 900])
async def test_a_workflow_under_an_id_that_no_review_has(system: Harness, soon: None, name: str) -> None:
    """It holds up nothing: what became of the others is noticed, and the round comes to its end."""
    async with system.worker():
        review = await system.submit()
        await system.handle(review).terminate("by hand")
        await system.client.start_workflow(
            "ProposalReview", id=f"review:{name}", task_queue=system.task_queue, args=["unreadable"]
        )
        await visible(system, f"review:{name}")
        await go_round(system)
        assert list(await rows(system, review)) == [Differs.LOST]
        assert await system.book.last_ended() is not None


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("update turns set stage = 'nowhere' where review_id = $1", "rows can't be read"),
        ("update reviews set state = convert_to('{}', 'UTF8') where id = $1", "state_digest"),
    ],
)
async def test_rows_that_make_no_sense(
    servers: Servers, database: DatabaseUrls, system: Harness, soon: None, broken: str, said: str
) -> None:
    """That is a difference like others, and keeps none of the others from being noticed."""
    async with system.worker():
        review, lost = [await system.submit() for _ in range(2)]
        owner = await asyncpg.connect(servers.postgres.url(SUPERUSER, database.name))
        try:
            await owner.execute(broken, review)
        finally:
            await owner.close()
        await system.handle(lost).terminate("by hand")
        await go_round(system)
        found = await rows(system, review)
        assert list(found) == [Differs.RECORD]
        assert said in found[Differs.RECORD].detail
        assert list(await rows(system, lost)) == [Differs.LOST]
        assert await system.book.last_ended() is not None


async def test_a_workflow_without_a_review(system: Harness, soon: None) -> None:
    """There is no record to enter it in; the row names it."""
    review = f"r-{uuid4().hex[:12]}"
    async with system.worker():
        await system.client.start_workflow(
            "ProposalReview", id=workflow_id_for(review), task_queue=system.task_queue, args=["unreadable"]
        )
        await visible(system, workflow_id_for(review))
        await go_round(system)
        assert list(await rows(system, review)) == [Differs.RUNS_ON]
        await system.handle(review).terminate("by hand")
        await go_round(system)
        assert not await rows(system, review)


async def test_a_database_that_was_restored(
    servers: Servers, database: DatabaseUrls, system: Harness, soon: None
) -> None:
    """The workflow has seen more than is on record: told, and nothing entered; restarted, it goes by the record."""
    async with system.worker():
        review = await system.submit()
        before = await system.database.pool.fetchrow("select seq, head, state from reviews where id = $1", review)
        assert before is not None
        owner = await asyncpg.connect(servers.postgres.url(SUPERUSER, database.name))
        try:
            await owner.execute("create temporary table backup as select * from turns")
            await ask(system, review)
            await owner.execute("set session_replication_role = replica")
            for table in ("ledger", "decisions"):
                await owner.execute(f"delete from {table} where review_id = $1 and seq > $2", review, before["seq"])
            await owner.execute(
                "update reviews set seq = $2, head = $3, state = $4 where id = $1", review, *before.values()
            )
            await owner.execute("delete from turns")
            await owner.execute("insert into turns select * from backup")
        finally:
            await owner.close()
        await go_round(system)
        assert Differs.AHEAD in await rows(system, review)
        assert not await words(system, review)
        await system.repairs.repair(review, uuid4(), OPERATOR, terminate=True)
        await ask(system, review, "jun.reviewer")


async def test_a_read_model_that_is_no_fold(system: Harness, soon: None) -> None:
    """Told, and nothing entered on top of it; cleared when it is put right."""
    async with system.worker():
        review = await system.submit()
        title = await system.database.pool.fetchval("select title from reviews where id = $1", review)
        await system.database.pool.execute("update reviews set title = 'Another' where id = $1", review)
        await go_round(system)
        assert list(await rows(system, review)) == [Differs.RECORD]
        assert not await words(system, review)
        await system.database.pool.execute("update reviews set title = $2 where id = $1", review, title)
        await go_round(system)
        await well(system, review)


async def test_more_open_reviews_than_come_in_turn(
    system: Harness, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read model that is no fold is noticed in the next round, whichever it is."""
    async with system.worker():
        reviews = [await system.submit() for _ in range(6)]
        await go_round(system)
        monkeypatch.setattr(reconciler, "IN_DEPTH", 2)
        last = await system.database.pool.fetchval(
            "select review_id from comparisons order by compared_at desc limit 1"
        )
        title = await system.database.pool.fetchval("select title from reviews where id = $1", last)
        await system.database.pool.execute("update reviews set title = 'Another' where id = $1", last)
        await go_round(system)
        assert list(await rows(system, last)) == [Differs.RECORD]
        await system.database.pool.execute("update reviews set title = $2 where id = $1", last, title)
        await go_round(system)
        await well(system, *reviews)


async def test_a_receipt_that_no_entry_gives(system: Harness, soon: None) -> None:
    """A decision that was accepted, told to its maker as refused, by somebody who may write rows."""
    async with system.worker():
        review = await system.submit()
        forged = "update decisions set status = $2, reason = $3, detail = $4 where review_id = $1 returning id"
        lies = (("refused", "stale", "It is another text."), ("pending", None, None))
        for lie in lies:
            decision = await system.database.pool.fetchval(forged, review, *lie)
            await go_round(system)
            found = await rows(system, review)
            assert list(found) == [Differs.RECORD]
            assert str(decision) in found[Differs.RECORD].detail
            await system.database.pool.execute(forged, review, "accepted", None, None)
            await go_round(system)
            await well(system, review)


async def test_the_schedule_is_lost(system: Harness, soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made again, and the rounds go on; paused by somebody, it stays so."""
    monkeypatch.setattr(rounds, "_EVERY_SO_OFTEN", 1.0)
    async with system.worker(reconcile_seconds=1):
        schedule = system.client.get_schedule_handle(rounds.schedule_id(system.task_queue))

        async def runs() -> bool:
            return bool((await schedule.describe()).info.recent_actions)

        async def there() -> bool:
            try:
                return await runs()
            except Exception:
                return False

        await until(there)
        await schedule.delete()
        await until(there)
        await schedule.pause(note="for a while")
    async with system.worker(reconcile_seconds=2):

        async def corrected() -> bool:
            found = (await schedule.describe()).schedule
            return found.spec.intervals[0].every.total_seconds() == 2 and found.state.paused

        await until(corrected)
    await forgotten(system)


async def visible(system: Harness, workflow_id: str) -> None:
    """Visibility knows by now that it runs."""

    async def listed() -> bool:
        running = system.client.list_workflows("ExecutionStatus = 'Running'", page_size=1000)
        return any([execution.id == workflow_id async for execution in running])

    await until(listed)


async def go_round(system: Harness) -> None:
    """One round, once Visibility knows what runs: nothing is decided by it, but these tests want it all in one."""

    async def caught_up() -> bool:
        listed = await system.witness.running()
        submitted = [row["id"] for row in await system.database.pool.fetch("select id from reviews")]
        for review in {*submitted, *listed}:
            there = await system.witness.sighting(review)
            if listed.get(review) != (there.run if there.ours and there.status == "running" else None):
                return False
        return True

    await until(caught_up)
    await system.client.execute_workflow(Reconciliation.run, id=f"round-{uuid4()}", task_queue=system.task_queue)


async def forgotten(system: Harness) -> None:
    """No schedule goes on after its test."""
    await system.client.get_schedule_handle(rounds.schedule_id(system.task_queue)).delete()


async def reset(system: Harness, review: str, task: int, *, reapply: bool) -> None:
    """As an operator does: back to the end of this workflow task, with the signals since, or without."""
    events = await system.events(workflow_id_for(review))
    completed = [e.event_id for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    request = ResetWorkflowExecutionRequest(
        namespace="default",
        reason="by hand",
        workflow_task_finish_event_id=completed[task - 1],
        request_id=str(uuid4()),
    )
    request.workflow_execution.workflow_id = workflow_id_for(review)
    if not reapply:
        request.reset_reapply_exclude_types.append(ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL)
    await system.client.workflow_service.reset_workflow_execution(request)
