"""Decisions on their way: claimed by one dispatcher at a time, and the register's word given exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client

from domain.canonical import sha256
from domain.completions import Completion
from domain.decisions import Envelope, Question, Withdrawal
from domain.drafts import Draft
from domain.people import Assigned
from store.database import connect
from store.decisions import GRACE, IdReusedError, NoRoleError, NotFoundError, PendingError
from store.ledgers import Ledgers
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import ONLINE, arrived, commit, opened, sheet_of
from tests.support.harness import Harness, harness, until

REVIEWERS = ("rin.reviewer", "jun.reviewer", "kei.reviewer")


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def due_now(system: Harness) -> None:
    """Let the time pass for which a new decision is left to whoever stored it."""
    await system.database.pool.execute("update decisions set next_attempt_at = now() where status = 'pending'")


async def test_a_new_decision_is_left_to_whoever_stored_it(system: Harness) -> None:
    """For a moment; then it is due, with the very bytes that were stored."""
    review = await opened(system, tier=3)
    delivery = await system.store(review, REVIEWERS[0], Question(), "Who asks?")
    assert [] == list(await system.decisions.due(10))
    assert timedelta(0) < GRACE < timedelta(seconds=10)
    await due_now(system)
    (due,) = await system.decisions.due(10)
    assert (delivery.decision, delivery.data, delivery.digest) == (due.decision, due.data, due.digest)
    assert sha256(due.data) == due.digest
    assert Envelope.model_validate_json(due.data) == await system.decisions.envelope(delivery.decision)
    # Claimed: due again later, until it has its receipt.
    assert [] == list(await system.decisions.due(10))
    left = await system.database.pool.fetchval("select min(next_attempt_at) - now() from decisions")
    assert timedelta(seconds=1) < left <= timedelta(seconds=30)


HIDDEN = """
update decisions set digest = repeat('0', 64), received_at = '9999-01-01', next_attempt_at = 'infinity' where id = $1
"""


async def test_a_decision_whose_row_is_changed_is_told_of_and_decided_all_the_same(system: Harness) -> None:
    """Whoever can write rows can't have one that was taken vanish: it is listed, with what is wrong with it, comes before
    a deadline by the date that is signed, is handed on, and applied as it was made.
    """
    review = await opened(system, tier=3)
    other = await system.store(review, REVIEWERS[1], Question(), "Who answers?")
    delivery = await system.store(review, REVIEWERS[0], Question(), "Who asks?")
    assert () == await system.decisions.pending_long(10)
    await system.database.pool.execute(HIDDEN, delivery.decision)
    await system.database.pool.execute("update decisions set received_at = 'infinity' where id = $1", other.decision)
    wrong = "it is dated ahead", "its delivery was put off", "its digest is not that of its content"
    said = {waiting.id: waiting.amiss for waiting in await system.decisions.pending_long(10)}
    assert {delivery.decision: ", ".join(wrong), other.decision: wrong[0]} == said
    async with Ledgers(system.database).head(review) as head:
        pending = await head.pending(head.now)
    assert [other.decision, delivery.decision] == [stored.envelope.decision_id for stored in pending]
    (due,) = await system.decisions.due(10)
    assert (delivery.decision, delivery.digest) == (due.decision, due.digest)
    assert [] == list(await system.decisions.due(10))
    assert (await commit(system, review, arrived(due))).became == "accepted"
    receipt = await system.decisions.receipt(delivery.decision)
    assert receipt is not None
    assert "accepted" == receipt.status


async def test_two_dispatchers_claim_nothing_twice_and_leave_nothing(system: Harness) -> None:
    """However they race."""
    stored = set()
    for _ in range(4):
        review = await opened(system, tier=3)
        for person in REVIEWERS:
            stored.add((await system.store(review, person, Question(), "Who asks?")).decision)
    await due_now(system)
    batches = await asyncio.gather(*(system.decisions.due(2) for _ in range(9)))
    claimed = [delivery.decision for batch in batches for delivery in batch]
    assert len(claimed) == len(set(claimed))
    while batch := await system.decisions.due(5):
        claimed += [delivery.decision for delivery in batch]
    assert sorted(stored) == sorted(claimed)


async def test_a_claim_passes_over_what_somebody_else_holds(system: Harness, database: DatabaseUrls) -> None:
    """It does not wait for it."""
    review = await opened(system, tier=3)
    held, free = [await system.store(review, person, Question(), "Who asks?") for person in REVIEWERS[:2]]
    await due_now(system)
    async with connect(database.app_url) as other, other.transaction() as connection:
        await connection.execute("select from decisions where id = $1 for update", held.decision)
        async with asyncio.timeout(5):
            claimed = await system.decisions.due(10)
        assert [free.decision] == [delivery.decision for delivery in claimed]
    assert [held.decision] == [delivery.decision for delivery in await system.decisions.due(10)]


async def test_what_is_late_is_due_at_once(system: Harness) -> None:
    """No workflow takes it any more."""
    review = await opened(system, tier=1)
    withdrawal = await system.store(review, "hana.owner", Withdrawal(), "The customer has left.")
    assert (await commit(system, review, arrived(withdrawal))).done
    delivery = await system.store(review, REVIEWERS[0], Question(), "Who asks?")
    (due,) = await system.decisions.due(10)
    assert (delivery.decision, True) == (due.decision, due.closed)


async def test_one_person_has_one_decision_under_way(system: Harness) -> None:
    """On each review; a repeat of it is no other one."""
    review, other = await opened(system, tier=3), await opened(system, tier=3)
    draft = await system.draft(review, REVIEWERS[0], Question(), "Who asks?")
    first = await system.decisions.store(draft)
    again = await system.decisions.store(draft)
    assert (first.data, True, False) == (again.data, first.fresh, again.fresh)
    with pytest.raises(PendingError):
        await system.store(review, REVIEWERS[0], Question(), "And who else?")
    with pytest.raises(IdReusedError):
        await system.decisions.store(draft.model_copy(update={"reason": "Who else asks?"}))
    await system.store(review, REVIEWERS[1], Question(), "Who asks?")
    await system.store(other, REVIEWERS[0], Question(), "Who asks?")


async def test_another_persons_id_says_nothing_to_who_may_not_read_the_review(system: Harness) -> None:
    """They learn what a fresh id tells them, of a review that is there and of one that is not; whoever may read the review
    is told that the id is taken, and one's own is one's own.
    """
    review = await opened(system, tier=3)
    asked = await system.draft(review, REVIEWERS[0], Question(), "Who asks?")
    await system.decisions.store(asked)
    for person, decision in (("sam.stranger", asked.decision_id), ("sam.stranger", uuid4())):
        for name in (review, "there.is.none"):
            with pytest.raises(NotFoundError):
                await system.decisions.store(
                    asked.model_copy(update={"review": name, "person": person, "decision_id": decision})
                )
    for update in ({"person": REVIEWERS[1]}, {"review": "there.is.none"}):
        with pytest.raises(IdReusedError):
            await system.decisions.store(asked.model_copy(update=update))


async def test_the_same_decision_at_once_is_stored_once(system: Harness) -> None:
    """And another one at the same time is not: one of them is there."""
    review = await opened(system, tier=3)
    draft = await system.draft(review, REVIEWERS[0], Question(), "Who asks?")
    other = draft.model_copy(update={"decision_id": uuid4(), "reason": "Who else asks?"})
    said = await asyncio.gather(
        *(system.decisions.store(draft) for _ in range(5)),
        *(system.decisions.store(other) for _ in range(5)),
        return_exceptions=True,
    )
    refused = [answer for answer in said if isinstance(answer, BaseException)]
    taken = {answer.data for answer in said if not isinstance(answer, BaseException)}
    assert (5, {PendingError}, 1) == (len(refused), {type(error) for error in refused}, len(taken))


async def test_who_may_not_decide_leaves_nothing(system: Harness) -> None:
    """Nor does a decision about a review that is not there."""
    review = await opened(system, tier=1)
    with pytest.raises(NoRoleError):
        await system.store(review, "ava.auditor", Question(), "Who asks?")
    with pytest.raises(NotFoundError):
        await system.store(review, "ops.operator", Question(), "Who asks?")
    gone = Draft(decision_id=uuid4(), review="r-none", person=REVIEWERS[0], digest="1" * 64, content=Question())
    with pytest.raises(NotFoundError):
        await system.decisions.store(gone.model_copy(update={"reason": "Who asks?"}))
    assert 0 == await system.database.pool.fetchval("select count(*) from decisions where status = 'pending'")


async def waiting(system: Harness, *people: str) -> str:
    """A review that waits for these people's training."""
    staff = tuple(Assigned(person=person, role="engineer") for person in people)
    review = await opened(system, tier=2, staff=staff)
    await sheet_of(system, review, REVIEWERS[0])
    state = await system.state(review)
    assert state.training is not None
    assert sorted(people) == sorted(gap.person for gap in state.training.gaps)
    return review


async def complete(system: Harness, *people: str) -> None:
    """Put completions on record."""
    at = datetime.now(UTC) - timedelta(days=1)
    await system.registers.enter_completions([Completion(person=p, course=ONLINE, completed_at=at) for p in people])


async def words(system: Harness) -> list[str]:
    """The reviews to which the register has something to say."""
    rows = await system.database.pool.fetch(
        "select review_id from decisions where kind = 'training_recorded' order by review_id"
    )
    return [row["review_id"] for row in rows]


async def test_the_register_speaks_to_exactly_those_who_wait(system: Harness) -> None:
    """Once, and not about anybody else; nor about what was on record before."""
    one, two = await waiting(system, "one.newcomer"), await waiting(system, "two.newcomer")
    both = await waiting(system, "one.newcomer", "two.newcomer")
    assert 0 == await system.decisions.word_from_the_register()
    await complete(system, "one.newcomer", "somebody.else")
    assert 2 == await system.decisions.word_from_the_register()
    assert 0 == await system.decisions.word_from_the_register()
    assert sorted([one, both]) == await words(system)
    assert two not in await words(system)


@pytest.mark.parametrize("known_before", [True, False], ids=["known before", "known after"])
async def test_the_register_speaks_when_the_date_of_a_completion_comes(
    system: Harness, database: DatabaseUrls, known_before: bool
) -> None:
    """And not when it arrives: until then it closes nothing, whether it arrives before the review looks or after that."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    dated_ahead = Completion(person="one.newcomer", course=ONLINE, completed_at=tomorrow)
    if known_before:
        await system.registers.enter_completions([dated_ahead])
        review = await waiting(system, "one.newcomer")
    else:
        review = await waiting(system, "one.newcomer")
        await system.registers.enter_completions([dated_ahead])
    assert 0 == await system.decisions.word_from_the_register()
    connection = await asyncpg.connect(database.owner_url)
    try:  # tomorrow comes
        await connection.execute("update completions set completed_at = completed_at - interval '2 days'")
    finally:
        await connection.close()
    assert 1 == await system.decisions.word_from_the_register()
    assert [review] == await words(system)


async def test_the_register_speaks_once_however_many_ask(system: Harness) -> None:
    """Dispatchers, and imports, all at once."""
    review = await waiting(system, "one.newcomer")
    await complete(system, "one.newcomer")
    assert 1 == sum(await asyncio.gather(*(system.decisions.word_from_the_register() for _ in range(8))))
    assert [review] == await words(system)


async def test_the_register_says_nothing_to_a_review_that_has_gone_on(system: Harness, database: DatabaseUrls) -> None:
    """Not even where it looked before the review went on, and comes to speak after it."""
    review = await waiting(system, "one.newcomer")
    await complete(system, "one.newcomer")
    connection = await asyncpg.connect(database.app_url)
    try:
        async with connection.transaction():
            await connection.execute("select from reviews where id = $1 for no key update", review)
            speaking = asyncio.create_task(system.decisions.word_from_the_register())
            await held_up(connection)
            await connection.execute("delete from training_waits where review_id = $1", review)
        assert 0 == await speaking
    finally:
        await connection.close()
    assert [] == await words(system)


async def leave(system: Harness, *people: str) -> None:
    """Have these people not act any more."""
    for person in people:
        await system.registers.disable(person, "ops.operator", "They left.")


async def of_the_registry(system: Harness) -> list[str]:
    """The reviews to which the registry has something to say."""
    rows = await system.database.pool.fetch(
        "select review_id from decisions where kind = 'registry_changed' order by review_id"
    )
    return [row["review_id"] for row in rows]


async def test_the_registry_speaks_to_exactly_those_who_lack_somebody(system: Harness) -> None:
    """Once, however many ask; and where nothing is other than on record, nobody is looked at again."""
    one, other = await opened(system, tier=1), await opened(system, tier=1)
    await sheet_of(system, other, REVIEWERS[0])
    assert 0 == await system.decisions.word_from_the_registry(10)
    seen = "select count(*) from reviews where roles_seen > 0"
    assert 2 == await system.database.pool.fetchval(seen)
    await leave(system, *REVIEWERS)
    assert 1 == sum(await asyncio.gather(*(system.decisions.word_from_the_registry(10) for _ in range(8))))
    assert [one] == await of_the_registry(system)
    assert 0 == await system.decisions.word_from_the_registry(10)


async def test_the_registry_looks_at_so_many_reviews_at_a_time(system: Harness) -> None:
    """And at the others the next time."""
    reviews = sorted([await opened(system, tier=1) for _ in range(3)])
    await leave(system, *REVIEWERS)
    assert [2, 1, 0] == [await system.decisions.word_from_the_registry(2) for _ in range(3)]
    assert reviews == await of_the_registry(system)


async def test_what_cannot_be_read_holds_up_no_other(system: Harness) -> None:
    """However much of it is first in line."""
    reviews = [await opened(system, tier=1) for _ in range(5)]
    *broken, whole = sorted(reviews)
    rows = await system.database.pool.fetch("select id, state from reviews where id = any($1)", broken)
    await system.database.pool.execute("update reviews set state = '{}' where id = any($1)", broken)
    await leave(system, *REVIEWERS)
    assert [1, 0] == [await system.decisions.word_from_the_registry(2) for _ in range(2)]
    assert [whole] == await of_the_registry(system)
    for row in rows:
        await system.database.pool.execute("update reviews set state = $2 where id = $1", row["id"], row["state"])
    assert [2, 2, 0] == [await system.decisions.word_from_the_registry(2) for _ in range(3)]


async def test_a_review_that_goes_on_meanwhile_is_looked_at_again(system: Harness, database: DatabaseUrls) -> None:
    """Its commit may have read the roles before they changed: it is not taken for looked at."""
    review = await opened(system, tier=1)
    connection = await asyncpg.connect(database.app_url)
    behind = "select count(*) from reviews where roles_seen = 0"
    try:
        async with connection.transaction():
            await connection.execute("select from reviews where id = $1 for no key update", review)
            assert 0 == await system.decisions.word_from_the_registry(10)
        assert 1 == await system.database.pool.fetchval(behind)
    finally:
        await connection.close()
    assert 0 == await system.decisions.word_from_the_registry(10)
    assert 0 == await system.database.pool.fetchval(behind)


async def held_up(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until somebody waits for a lock that this connection holds."""
    waiting = "select count(*) from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))"
    await until(lambda: connection.fetchval(waiting), seconds=20, every=0.01)


async def test_a_submission_is_stored_whole_or_not_at_all(system: Harness) -> None:
    """With its proposal and a review to come; a second one under its id is refused."""
    delivery = await system.store_submission(review="r-first")
    assert ("r-first", "submission") == (delivery.review, delivery.kind)
    counts = "select (select count(*) from reviews), (select count(*) from decisions), (select count(*) from proposals)"
    assert (1, 1, 1) == tuple(await system.database.pool.fetchrow(counts) or ())
    with pytest.raises(IdReusedError):
        await system.store_submission("tier-4-faces-at-the-station", review="r-first")
    assert (1, 1, 1) == tuple(await system.database.pool.fetchrow(counts) or ())
