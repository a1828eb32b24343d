"""The record of reviews: the locked head, and everything that one commit writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import accumulate
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from activities.ports import StoredDecision, UnknownReviewError, UnstorableError
from domain.assessment import AnswersError
from domain.canonical import canonical_bytes, sha256
from domain.completions import Completion, required
from domain.decisions import Envelope, Revision, Submission
from domain.events import Event, TrainingChecked
from domain.facts import Facts, Proposed, propose
from domain.ledger import Entry, append, settlement, settles
from domain.notices import Notice, notices
from domain.principles import judges
from domain.proof import Proof
from domain.proposal import Proposal
from domain.review import fold, waits_for
from domain.state import Review
from domain.turns import Turn, changes
from domain.values import PersonId
from store.database import Connection, Database
from store.registers import Calendars, Published, published_pack
from store.standing import Named, look
from store.states import review_in
from store.turns import INSERT, row

RECEIPTS = "ringi_receipts"
"""The channel on which the id of a decision is notified when it has its receipt."""

FEED = "ringi_feed"
"""The channel on which it is notified that the feed has grown."""

CATCH_UP = 100
"""Entries that one answer carries at most to a workflow that has not seen them."""

CATCH_UP_BYTES = 512 * 1024
"""More bytes than this are in an answer only where one entry alone has more: Temporal takes no payload above 2 MiB."""

_DATA_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

_LOCK = "select seq, head, state, updated_at from reviews where id = $1 for no key update"

_SINCE = "select data from ledger where review_id = $1 and seq > $2 order by seq limit $3"

# A row can be written by whoever has the application's password, the ledger only added to: so it alone says what is
# settled. Of the row, what is signed counts: digest and date are those of the envelope, whatever the columns say.
_STORED = """
select d.id, d.envelope, d.status, d.proof, array(
    select l.data from ledger l
    where d.status = 'pending' and l.review_id = d.review_id
    and position(convert_to(d.id::text, 'UTF8') in l.data) > 0
) as naming
from decisions d
"""

_DECISION = f"{_STORED} where d.id = $1 and d.review_id = $2"

_SUBMISSION = f"{_STORED} where d.review_id = $1 and d.kind = 'submission'"

_PENDING = f"""
{_STORED}
where d.review_id = $1 and d.status = 'pending'
"""

_PROPOSED = """
select p.content, k.content as pack, (select content from proposals where digest = $3) as before
from proposals p, policy_packs k where p.digest = $1 and k.digest = $2
"""

_COMPLETIONS = """
select c.person, c.course, c.completed_at, c.expires_at, nullif(c.entered_by, '') as by
from unnest($1::text[], $2::text[]) as wanted (person, course)
join completions c on c.person = wanted.person and c.course = wanted.course
order by c.person, c.course, c.completed_at, c.entered_by
"""

_WRITE = """
with entries as (
    insert into ledger (review_id, seq, data, hash)
    select $1, e.seq, e.data, e.hash from unnest($2::integer[], $3::bytea[], $4::text[]) as e (seq, data, hash)
), settled as (
    update decisions d set status = r.status, reason = r.reason, detail = r.detail, seq = r.seq, settled_at = $5
    from unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::integer[]) as r (id, status, reason, detail, seq)
    where d.id = r.id
    returning pg_notify($11, d.id::text)
), read_model as (
    update reviews set
        seq = $12, head = $13, state = $14, stage = $15, phase = $16, outcome = $17, tier = $18,
        title = coalesce($19, title), business_unit = coalesce($20, business_unit), author = coalesce($21, author),
        updated_at = $5, closed_at = $22, aside = $28, assigned = $29, units = $30
    where id = $1
), fed as (
    insert into feed (review_id, seq, was, now)
    select $1, f.seq, f.was, f.now
    from unnest($23::integer[], $24::text[], $25::text[]) with ordinality as f (seq, was, now, number) order by f.number
), posted as (
    insert into posts (webhook, review_id, seq, queued_at, next_attempt_at)
    select w.id, $1, e.seq, $5, $5 from unnest($2::integer[], $26::text[]) as e (seq, type)
    join webhooks w on w.removed_at is null and e.type = any(w.entries)
)
select pg_notify($27, '')
"""

_FORGET_TURNS = "delete from turns where review_id = $1"

_FORGET_WAITS = "delete from training_waits where review_id = $1"

_WAIT = "insert into training_waits (review_id, person, course, on_record) values ($1, $2, $3, $4)"

_NOTICE = """
insert into notices (review_id, seq, kind, what, role, office, person, answered_by, due_at, queued_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


class Ledgers:
    """The record of all reviews, in `database`; implements the commit's port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calendars = Calendars()
        self._published = Published()

    @asynccontextmanager
    async def head(self, review_id: str) -> AsyncIterator[LockedHead]:
        """Lock the head of a review for one transaction.

        Raises:
            UnknownReviewError: nothing was ever submitted under this id.
            UnstorableError: PostgreSQL refuses the data that was appended.
        """
        try:
            async with self._database.transaction() as connection:
                row = await connection.fetchrow(_LOCK, review_id)
                if row is None:
                    raise UnknownReviewError(f"nothing was ever submitted under the id {review_id!r}")
                review = review_in(review_id, row["state"])
                # Never before the entry before, also where the clock was set back, or another server's goes slower.
                now = max(await self._database.now(connection), row["updated_at"])
                yield LockedHead(connection, review, row["head"], now, self._calendars, self._published)
        except _DATA_ERRORS as error:
            raise UnstorableError(f"{type(error).__name__} ({error.sqlstate})") from error


class LockedHead:
    """The head of a review's ledger, locked; see the port for what its methods promise."""

    def __init__(
        self,
        connection: Connection,
        review: Review,
        head: str,
        now: datetime,
        calendars: Calendars,
        published: Published,
    ) -> None:
        self._connection = connection
        self._head = head
        self._calendars = calendars
        self._published = published
        self._turns = waits_for(review)
        self._on_record: Counter[tuple[str, str]] = Counter()
        self.review = review
        self.now = now

    async def since(self, seq: int) -> tuple[Event, ...]:
        """The entries after `seq`."""
        rows = await self._connection.fetch(_SINCE, self.review.id, seq, CATCH_UP)
        up_to = accumulate(len(row["data"]) for row in rows)
        fitting = max(1, sum(size <= CATCH_UP_BYTES for size in up_to))
        return tuple(Entry.model_validate_json(row["data"]).event for row in rows[:fitting])

    async def at(self, seq: int) -> Review:
        """The fold up to entry `seq`."""
        if seq == self.review.seq:
            return self.review
        rows = await self._connection.fetch(_SINCE, self.review.id, 0, seq)
        return fold(self.review.id, (Entry.model_validate_json(row["data"]).event for row in rows))

    async def decision(self, decision: UUID) -> StoredDecision | None:
        """The stored decision with this id."""
        return _stored(await self._connection.fetchrow(_DECISION, decision, self.review.id))

    async def submission(self) -> StoredDecision | None:
        """The decision that opens this review."""
        return _stored(await self._connection.fetchrow(_SUBMISSION, self.review.id))

    async def pending(self, received_by: datetime) -> tuple[StoredDecision, ...]:
        """The decisions without a receipt that were received by then."""
        rows = await self._connection.fetch(_PENDING, self.review.id)
        waiting = (stored for stored in map(_stored, rows) if stored is not None and not stored.settled)
        in_time = (stored for stored in waiting if stored.envelope.received_at <= received_by)
        return tuple(sorted(in_time, key=lambda stored: (stored.envelope.received_at, stored.envelope.decision_id)))

    async def facts(self, review: Review, decision: StoredDecision | None) -> Facts:
        """The registers, as far as a rule about this review and this decision can ask."""
        proposed, unassessable = await self._proposed(review, None if decision is None else decision.envelope)
        named = [] if decision is None or not _proposes(decision.envelope) else [decision.envelope.pack_digest]
        packs = await self._published.among(self._connection, named)
        proof = None if decision is None else decision.proof
        facts = await look(
            self._connection,
            None if decision is None else decision.envelope.person,
            keys=() if proof is None else [signature.keyid for signature in proof.signatures],
            issuer_key=None if proof is None or proof.step_up is None else proof.step_up.key,
            named=_named(review, proposed, self.now),
            members=_members(review, proposed),
        )
        completions = await self._completions(review, proposed)
        pack = review.pack_digest if decision is None or review.open else decision.envelope.pack_digest
        calendar = await self._calendars.of(self._connection, pack)
        return facts.model_copy(
            update={
                "packs": packs,
                "completions": completions,
                "proposed": proposed,
                "unassessable": unassessable,
                "calendar": calendar,
            }
        )

    async def append(self, events: Sequence[Event], review: Review) -> None:
        """Put `events` on the ledger, with everything that goes with them."""
        recorded = append(review.id, self.review.seq, self._head, events)
        each = (settlement(entry.seq, event) for entry, event in zip(recorded, events, strict=True))
        settled = [(one.decision, one.status, one.reason, one.detail, one.seq) for one in each if one is not None]
        subject = review.subject
        turns = waits_for(review)
        changed = changes(self._turns, turns)
        fed: list[tuple[int, str | None, str | None]] = [(entry.seq, None, None) for entry in recorded]
        fed += [(review.seq, _json(change.was), _json(change.now)) for change in changed]
        await self._connection.fetchval(
            _WRITE,
            review.id,
            [entry.seq for entry in recorded],
            [entry.data.encode() for entry in recorded],
            [entry.hash for entry in recorded],
            self.now,
            *(list(column) for column in (zip(*settled, strict=True) if settled else ((), (), (), (), ()))),
            RECEIPTS,
            review.seq,
            recorded[-1].hash,
            canonical_bytes(review),
            review.stage,
            review.phase,
            review.outcome,
            None if review.route is None else review.route.tier,
            None if subject is None else subject.title,
            None if subject is None else subject.business_unit,
            None if subject is None else subject.author,
            review.closed_at,
            *(list(column) for column in zip(*fed, strict=True)),
            [event.type for event in events],
            FEED,
            review.aside,
            review.assigned,
            review.units,
        )
        if turns != self._turns:
            await self._connection.execute(_FORGET_TURNS, review.id)
            await self._connection.executemany(
                INSERT, [row(review.id, position, turn) for position, turn in enumerate(turns)]
            )
        told = notices(self.review, review, events, turns, changed)
        if told:
            await self._connection.executemany(_NOTICE, [(*_notice_row(review, notice), self.now) for notice in told])
        checked = any(isinstance(event, TrainingChecked) for event in events)
        if checked or review.closed or review.training != self.review.training:
            await self._connection.execute(_FORGET_WAITS, review.id)
            await self._connection.executemany(_WAIT, [(review.id, *wait) for wait in self._training_waits(review)])

    def _training_waits(self, review: Review) -> list[tuple[str, str, int]]:
        if review.closed or review.training is None:
            return []
        return [(gap.person, gap.course, self._on_record[gap.person, gap.course]) for gap in review.training.gaps]

    async def _proposed(self, review: Review, envelope: Envelope | None) -> tuple[Proposed | None, str | None]:
        if envelope is None or not isinstance(envelope.content, Submission | Revision):
            return None, None
        content = envelope.content
        digest = content.proposal if isinstance(content, Revision) else envelope.content_digest
        replaced = review.content_digest if isinstance(content, Revision) else None
        row = await self._connection.fetchrow(_PROPOSED, digest, envelope.pack_digest, replaced)
        if row is None:
            return None, "The proposal, or the policy pack, is not on record."
        try:
            before = None if row["before"] is None else _proposal(row["before"])
            return propose(published_pack(row["pack"]), _proposal(row["content"]), before), None
        except AnswersError as error:
            return None, f"The answers don't fit the questionnaire: {error}"[:1000]

    async def _completions(self, review: Review, proposed: Proposed | None) -> tuple[Completion, ...]:
        subject = review.subject if proposed is None else proposed.subject
        route = review.route if proposed is None else proposed.assessment.route
        if subject is None or route is None or not route.training_required:
            return ()
        wanted = [(member.person, course.id) for member, course in required(subject.staff, route.requirements)]
        if not wanted:
            return ()
        people, courses = zip(*wanted, strict=True)
        rows = await self._connection.fetch(_COMPLETIONS, list(people), list(courses))
        # What is dated ahead of now closes no gap yet, and is something new when its date comes.
        self._on_record = Counter((row["person"], row["course"]) for row in rows if row["completed_at"] <= self.now)
        return tuple(Completion.model_validate(dict(row)) for row in rows)


def _stored(row: asyncpg.Record | None) -> StoredDecision | None:
    if row is None:
        return None
    try:
        envelope = Envelope.model_validate_json(row["envelope"])
    except ValidationError:  # somebody else than us wrote it, and it says nothing
        return None
    if envelope.decision_id != row["id"]:  # nor do we file one decision under the id of another
        return None
    told = (settles(event) for event in map(_event, row["naming"]) if event is not None)
    settled = row["status"] != "pending" or envelope.decision_id in told
    digest = sha256(row["envelope"])
    return StoredDecision(envelope=envelope, digest=digest, settled=settled, proof=Proof.read(row["proof"]))


def _event(data: bytes) -> Event | None:
    try:
        return Entry.model_validate_json(data).event
    except ValidationError:  # as above, on the ledger: the auditor finds it
        return None


def _proposes(envelope: Envelope) -> bool:
    return isinstance(envelope.content, Submission | Revision)


def _proposal(content: bytes) -> Proposal:
    return Proposal.model_validate_json(content, extra="ignore")


def _members(review: Review, proposed: Proposed | None) -> tuple[PersonId, ...]:
    if proposed is None:
        return review.proposed_by
    return (*review.proposed_by, *proposed.subject.proposers, *judges(review))


def _named(review: Review, proposed: Proposed | None, at: datetime) -> Named | None:
    subject = review.subject if proposed is None else proposed.subject
    route = review.route if proposed is None else proposed.assessment.route
    return None if route is None or subject is None else Named.by(route, subject, at)


def _json(turn: Turn | None) -> str | None:
    return None if turn is None else turn.model_dump_json()


def _notice_row(review: Review, notice: Notice) -> tuple[object, ...]:
    return (
        review.id,
        review.seq,
        notice.kind,
        notice.what,
        notice.role,
        notice.office,
        notice.person,
        list(notice.answered_by),
        notice.due_at,
    )
