"""The record: one transition, one transaction, and what is stored wins."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.messages import Opening
from activities.ports import RecordBehindError, UnknownReviewError, UnstorableError
from domain.decisions import Question, Reason
from domain.events import Accepted, Event, Refused
from domain.review import evolve
from domain.route import Phase
from domain.verification import IMPORT_UNDER_WAY, UNDER_WAY, Evidence, WorkflowState, verify
from runtime.packs import shipped_packs
from store.database import _SESSION
from store.ledgers import CATCH_UP, Ledgers
from store.registers import _IMPORT_SECONDS
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived, commit, opened, sheet_of
from tests.support.harness import Harness, harness, until


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def question(system: Harness, review: str, number: int = 0) -> None:
    """Have a question asked."""
    delivery = await system.store(review, "rin.reviewer", Question(), f"Question {number}?")
    assert (await commit(system, review, arrived(delivery))).done


async def test_a_commit_that_has_not_seen_everything_writes_nothing_and_is_told(system: Harness) -> None:
    """The entries that it has not seen come back; with them it has seen everything."""
    review = await opened(system, tier=3)
    seen = (await system.state(review)).seq
    await question(system, review)
    before = await system.ledger(review)
    delivery = await system.store(review, "jun.reviewer", await system.sheet(review))
    missed = await commit(system, review, arrived(delivery), seen=seen)
    assert (False, before[seen:]) == (missed.done, missed.events)
    assert before == await system.ledger(review)
    assert await system.decisions.receipt(delivery.decision) is None
    done = await commit(system, review, arrived(delivery), seen=seen + len(missed.events))
    assert done.done
    receipt = await system.decisions.receipt(delivery.decision)
    assert receipt is not None
    assert ("accepted", seen + len(missed.events) + 1) == (receipt.status, receipt.seq)


async def test_working_days_are_counted_on_the_calendar_of_the_pack(system: Harness) -> None:
    """The reviewers' time, from the submission on: to the close of a working day in Tokyo."""
    review = await opened(system)
    state = await system.state(review)
    (pack,) = shipped_packs()
    assert pack.calendar is not None
    assert state.route is not None
    assert state.phase_since is not None
    assert state.due_at is not None
    allowance = state.route.allowances[Phase.REVIEWING]
    assert state.due_at == pack.calendar.closing_after(state.phase_since, allowance.due_after)
    local = state.due_at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert (17, 30) == (local.hour, local.minute)
    assert pack.calendar.is_working(local.date())


async def test_a_paused_turn_is_listed_as_such(system: Harness) -> None:
    """In the read model too, as the ledger's fold has it."""
    review = await opened(system, tier=3)
    await question(system, review)
    paused = await system.database.pool.fetch("select role, paused from turns where review_id = $1", review)
    assert {("reviewer", True), ("owner", False)} == {(row["role"], row["paused"]) for row in paused}


async def test_a_commit_that_runs_again_changes_nothing(system: Harness) -> None:
    """Its reply was lost: it learns what it did the first time, and then that there is nothing left to do."""
    review = await opened(system, tier=3)
    seen = (await system.state(review)).seq
    delivery = await system.store(review, "rin.reviewer", await system.sheet(review))
    first = await commit(system, review, arrived(delivery), seen=seen)
    again = await commit(system, review, arrived(delivery), seen=seen)
    assert (True, False, first.events) == (first.done, again.done, again.events)
    third = await commit(system, review, arrived(delivery))
    assert (True, ()) == (third.done, third.events)
    assert (True, ()) == ((opening := await commit(system, review, Opening())).done, opening.events)


async def test_commits_that_race_are_applied_one_after_the_other(system: Harness) -> None:
    """Each decision is on record once, whoever is faster, and the chain holds."""
    review = await opened(system, tier=3)
    people = ("rin.reviewer", "jun.reviewer", "kei.reviewer", "omi.officer")
    deliveries = [await system.store(review, person, Question(), f"Who is {person}?") for person in people]

    async def insist(number: int) -> None:
        seen = (await system.state(review)).seq
        while not (committed := await commit(system, review, arrived(deliveries[number % 4]), seen=seen)).done:
            seen += len(committed.events)

    await asyncio.gather(*(insist(number) for number in range(12)))
    accepted = [event.envelope.decision_id for event in await system.ledger(review) if isinstance(event, Accepted)]
    assert sorted(delivery.decision for delivery in deliveries) == sorted(accepted[1:])
    await holds(system, review)


async def test_an_entry_is_never_dated_before_the_one_before(system: Harness) -> None:
    """Also where the clock goes back, as when a slower server takes over."""
    review = await opened(system, tier=3)
    late = await system.database.pool.fetchval(
        "update reviews set updated_at = updated_at + interval '30 seconds' where id = $1 returning updated_at", review
    )
    assert (await commit(system, review, arrived(await system.store(review, "rin.reviewer", Question(), "Why?")))).done
    assert late == (await system.ledger(review))[-1].at
    await holds(system, review)


def test_an_auditor_knows_how_long_a_transaction_may_take() -> None:
    """An entry of the registry is dated at the beginning of the transaction that is seen at its end."""
    assert re.fullmatch(r"\d+s", ordinarily := _SESSION["transaction_timeout"])
    assert timedelta(seconds=int(ordinarily[:-1])) < UNDER_WAY
    assert timedelta(seconds=_IMPORT_SECONDS) < IMPORT_UNDER_WAY


async def holds(system: Harness, review: str) -> None:
    """Record and read model agree."""
    record = await system.reviews.record(review)
    assert record is not None
    evidence = Evidence(
        review=review, entries=record[0], read_model=record[1], workflow=WorkflowState(status="unreachable")
    )
    check = verify(evidence)
    assert check.holds, check.difference


async def test_whoever_missed_much_learns_it_in_pieces(system: Harness) -> None:
    """Answer after answer until it has seen everything; none of them is too large."""
    review = await opened(system, tier=3)
    for number in range(CATCH_UP + 20):
        delivery = await system.store(review, "rin.reviewer", Question(), f"Question {number}?")
        assert (await commit(system, review, arrived(delivery))).done
    learnt: list[Event] = []
    while not (committed := await commit(system, review, Opening(), seen=len(learnt))).done:
        assert 0 < len(committed.events) <= CATCH_UP
        learnt += committed.events
    assert tuple(learnt) == await system.ledger(review)


async def test_a_record_that_was_set_back_is_not_written_to(system: Harness) -> None:
    """The workflow has seen more than there is: that is said, and tried again, not mended."""
    review = await opened(system)
    before = await system.ledger(review)
    with pytest.raises(RecordBehindError, match="seen 99 entries"):
        await commit(system, review, Opening(), seen=99)
    assert before == await system.ledger(review)


async def test_there_is_no_record_of_what_was_never_submitted(system: Harness) -> None:
    """Not to be tried again."""
    with pytest.raises(UnknownReviewError):
        async with Ledgers(system.database).head("r-none"):
            pass
    with pytest.raises(ApplicationError) as caught:
        await commit(system, "r-none", Opening(), seen=0)
    assert ("UnknownReview", True) == (caught.value.type, caught.value.non_retryable)


async def test_data_that_the_database_refuses_becomes_a_refusal(system: Harness, database: DatabaseUrls) -> None:
    """With its receipt, on record; the review goes on."""
    review = await opened(system, tier=3)
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute("alter table turns add constraint probe check (what not like 'Answer the question%')")
        delivery = await system.store(review, "rin.reviewer", Question(), "Who asks?")
        committed = await commit(system, review, arrived(delivery))
        await owner.execute("alter table turns drop constraint probe")
    finally:
        await owner.close()
    (refused,) = committed.events
    assert isinstance(refused, Refused)
    assert (Reason.INVALID, delivery.decision, "question") == (refused.reason, refused.decision, refused.kind)
    assert "CheckViolationError (23514)" in refused.detail
    receipt = await system.decisions.receipt(delivery.decision)
    assert receipt is not None
    assert ("refused", "invalid") == (receipt.status, receipt.reason)
    await sheet_of(system, review, "rin.reviewer")
    await holds(system, review)


async def append(system: Harness, review: str, event: Event, error: Exception | None = None) -> None:
    """Append an event as a commit does; and then let the block end badly, if there is an error."""
    async with Ledgers(system.database).head(review) as head:
        await head.append([event], evolve(head.review, event))
        if error is not None:
            raise error


async def test_what_cannot_be_stored_is_said_as_such_and_leaves_nothing(system: Harness) -> None:
    """NUL is the one character that PostgreSQL's text can't hold."""
    review = await opened(system)
    before = await system.ledger(review)
    delivery = await system.store(review, "rin.reviewer", Question(), "Who asks?")
    refused = Refused(at=datetime.now(UTC), reason=Reason.INVALID, detail="a\x00b", decision=delivery.decision)
    with pytest.raises(UnstorableError, match="CharacterNotInRepertoireError") as caught:
        await append(system, review, refused)
    assert "a\x00b" not in str(caught.value)
    assert before == await system.ledger(review)


async def test_a_block_that_ends_badly_changes_nothing(system: Harness) -> None:
    """And gives the head back to whoever is next."""
    review = await opened(system)
    before = await system.ledger(review)
    refused = Refused(at=datetime.now(UTC), reason=Reason.INVALID, detail="never")
    with pytest.raises(LookupError):
        await append(system, review, refused, LookupError())
    assert before == await system.ledger(review)
    await question(system, review)


async def test_a_deadline_is_decided_after_what_was_received_before_it(system: Harness) -> None:
    """A decision is not stored between the look at what is pending and the end of a commit: it waits."""
    review = await opened(system, tier=3)
    draft = await system.draft(review, "rin.reviewer", Question(), "Who asks?")
    async with Ledgers(system.database).head(review) as head:
        storing = asyncio.create_task(system.decisions.store(draft))
        held_up = (
            "select count(*) from pg_stat_activity "
            "where cardinality(pg_blocking_pids(pid)) > 0 and datname = current_database()"
        )
        await until(lambda: system.database.pool.fetchval(held_up), seconds=20, every=0.01)
        assert not await head.pending(head.now)
        ended = head.now
    delivery = await storing
    envelope = await system.decisions.envelope(delivery.decision)
    assert envelope is not None
    assert envelope.received_at > ended


async def test_whose_turn_it_has_become_is_told(system: Harness) -> None:
    """A notice for each, once; not again while it stays their turn."""
    review = await opened(system, tier=3)
    notices = "select role, person from notices where review_id = $1 order by id"
    first = [tuple(row) for row in await system.database.pool.fetch(notices, review)]
    assert [("reviewer", None)] == first
    await question(system, review)
    second = [tuple(row) for row in await system.database.pool.fetch(notices, review)]
    assert [*first, ("owner", "hana.owner")] == second
