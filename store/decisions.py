"""Decisions on their way: stored before anything else happens to them, and handed on until they have their receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from activities.ports import Delivery, Found
from domain.access import may_read
from domain.canonical import canonical_bytes, sha256
from domain.decisions import Envelope, Receipt
from domain.drafts import Draft, discrepancy, registry_changed, seal, stored_bytes, training_recorded
from domain.dsse import DECISION, Signer, key_id
from domain.entitlement import RECONCILER, REGISTER, REGISTRY
from domain.facts import Facts, Standing
from domain.people import Role
from domain.proof import Proof, SignedIn
from domain.proposal import Proposal
from domain.review import concerned_by
from domain.state import Review
from domain.step_up import Renewed, act_digest, is_required
from domain.values import Digest, PersonId
from store.database import Connection, Database
from store.registry import KeyNotInForceError
from store.standing import Named, changes_of_roles, look
from store.states import readable, state_of

GRACE = timedelta(seconds=3)
"""For so long the dispatcher leaves a new decision to whoever stored it."""

_KNOWN = "select envelope from decisions where id = $1"

_SIGNED = "select envelope, proof from decisions where id = $1 and review_id = $2"

_OPENING = "select id from decisions where review_id = $1 and kind = 'submission'"

_REUSE = "insert into reuses (decision, person) values ($1, $2) on conflict do nothing returning true"

_SHARE = "select state, title, business_unit, owner, author from reviews where id = $1 for share"

_INSERT = """
insert into decisions (id, review_id, kind, person, envelope, digest, received_at, next_attempt_at, proof)
values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8, $9)
on conflict do nothing returning id
"""

_PROPOSAL = "insert into proposals (digest, content) values ($1, $2) on conflict do nothing"

_REVIEW = """
insert into reviews (id, title, business_unit, owner, author, submitted_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $6) on conflict do nothing returning id
"""

_RECEIPT = """
select id, review_id, status, reason, detail, seq, settled_at from decisions where id = $1 and status <> 'pending'
"""

# What is put off for longer than we ever put anything off, somebody else put off: it is due.
_DUE = """
update decisions d set next_attempt_at = clock_timestamp()
    + least(interval '30 seconds', greatest(interval '2 seconds', clock_timestamp() - d.received_at))
from reviews r
where r.id = d.review_id and d.id in (
    select id from decisions where status = 'pending'
    and (next_attempt_at <= clock_timestamp() or next_attempt_at > clock_timestamp() + interval '1 hour')
    order by next_attempt_at limit $1 for update skip locked
)
returning d.id, d.review_id, d.kind, d.envelope, r.outcome is not null as closed
"""

_HASTEN = """
update decisions set next_attempt_at = clock_timestamp() where review_id = $1 and status = 'pending'
"""

# Whoever can write rows can have one look as if nothing were late about it.
_PENDING_LONG = """
select id, review_id, kind, received_at, nullif(concat_ws(', ',
    case when ahead then 'it is dated ahead' end,
    case when put_off then 'its delivery was put off' end,
    case when altered then 'its digest is not that of its content' end
), '') as amiss
from (
    select *, received_at > clock_timestamp() + interval '1 minute' as ahead,
        next_attempt_at > clock_timestamp() + interval '1 hour' as put_off,
        digest <> encode(sha256(envelope), 'hex') as altered
    from decisions where status = 'pending'
) as waiting
where received_at < clock_timestamp() - interval '1 minute' or ahead or put_off or altered
order by received_at, id limit $1
"""

_CLOSED_GAPS = """
select distinct w.review_id from training_waits w join reviews r on r.id = w.review_id and r.outcome is null
where ($1::text is null or w.review_id = $1)
and w.on_record < (
    select count(*) from completions c
    where c.person = w.person and c.course = w.course and c.completed_at <= clock_timestamp()
)
and not exists (
    select from decisions d where d.review_id = w.review_id and d.status = 'pending' and d.kind = 'training_recorded'
)
"""

_UNSEEN = """
select id, state, roles_seen from reviews r where outcome is null and state is not null and roles_seen < $1
and ($3::bigint is null or (roles_seen, id) > ($3, $4))
and not exists (
    select from decisions d where d.review_id = r.id and d.status = 'pending' and d.kind = 'registry_changed'
)
order by roles_seen, id limit $2
"""

# Not where a commit is under way, or has been since: it may have read the roles before they changed.
_SEEN = """
update reviews r set roles_seen = $3 from (
    select r.id from reviews r join unnest($1::text[], $2::integer[]) as l (id, seq) on r.id = l.id and r.seq = l.seq
    order by r.id for no key update of r skip locked
) as unchanged where r.id = unchanged.id
"""


Sight = Callable[[Review, PersonId, Standing], bool]


class NotFoundError(Exception):
    """There is no such review."""


class IdReusedError(Exception):
    """The id is taken by the decision `stored`, which says something else than `data`, that was said now."""

    def __init__(self, stored: UUID, data: bytes) -> None:
        super().__init__("a decision with this id is stored, and says something else")
        self.stored = stored
        self.data = data


class PendingError(Exception):
    """Another decision of the same person on this review has no receipt yet."""


class NoRoleError(Exception):
    """The person holds no role that could entitle them to a decision of this kind."""


class StepUpNeededError(Exception):
    """The route asks for a renewed sign-in over a decision of this kind, and there is none over this `envelope`."""

    def __init__(self, envelope: Envelope) -> None:
        super().__init__("the route asks for a renewed sign-in over the decision")
        self.envelope = envelope


@dataclass(frozen=True)
class Waiting:
    """A decision that is stored and has no receipt; `amiss` says what of its row we never wrote so, if anything."""

    id: UUID
    review_id: str
    kind: str
    received_at: datetime
    amiss: str | None = None


class Decisions:
    """Stores decisions, signed with `signer`, and answers what became of them.

    Nothing is stored with a key that is not in force: it would only be refused (`KeyNotInForceError`).
    """

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer
        self._key = key_id(signer.public)

    async def submit(self, draft: Draft, proposal: Proposal, pack_digest: Digest) -> Delivery:
        """Store a submission, with its proposal and a review to come, in one transaction. Repeating it changes nothing.

        Raises:
            IdReusedError: the decision id, or the review id, is taken by something else.
            NoRoleError: the person may not submit proposals.
        """
        async with self._database.transaction() as connection:
            known = await self._known(connection, draft)
            if known is not None:
                return known
            now = await self._database.now(connection)
            standing = await self._standing(connection, draft.person, now)
            envelope = _sealed(draft, Review(id=draft.review), pack_digest, standing, now)
            fresh = await connection.fetchval(
                _REVIEW, draft.review, proposal.title, proposal.business_unit, proposal.owner, proposal.author, now
            )
            if fresh is None:
                known = await self._known(connection, draft)
                if known is not None:
                    return known
                raise IdReusedError(await connection.fetchval(_OPENING, draft.review), stored_bytes(envelope))
            await self._store_proposal(connection, proposal)
            try:
                return await self._insert(connection, envelope, GRACE)
            except PendingError:  # the id was taken in the same moment, for another review
                raise IdReusedError(draft.decision_id, stored_bytes(envelope)) from None

    async def store(
        self,
        draft: Draft,
        proposal: Proposal | None = None,
        sees: Sight = may_read,
        roles: frozenset[Role] | None = None,
        *,
        step_up: Renewed | None = None,
    ) -> Delivery:
        """Store a decision about an existing review, with the new text of the proposal where it brings one, and the
        person's renewed sign-in over it where there is one. Repeating it changes nothing. `sees` says whether the
        person may read the review at all; `roles` are those that they may act in, or None if any that they hold.

        Raises:
            NotFoundError: there is no such review, as far as the person may know.
            IdReusedError: the id is taken by a decision that says something else: their own, or another's, where they
                may read the review that they decide about.
            PendingError: the person's decision before has no receipt yet.
            NoRoleError: the person holds no role for this kind of decision.
            StepUpNeededError: the route asks for a renewed sign-in, and there is none over the decision as it would be
                stored now.
        """
        async with self._database.transaction() as connection:
            stored = await self._stored(connection, draft)
            if stored is not None and stored[0].person == draft.person:
                return _repeated(draft, *stored)
            review = await self._shared(connection, draft.review)
            now = await self._database.now(connection)
            standing = await self._standing(connection, draft.person, now)
            if roles is not None:
                grants = tuple(grant for grant in standing.grants if grant.role in roles)
                standing = standing.model_copy(update={"grants": grants})
            if not sees(review, draft.person, standing):
                raise NotFoundError
            if stored is not None:
                return _repeated(draft, *stored)
            envelope = _sealed(draft, review, review.pack_digest, standing, now)
            if is_required(review.route, envelope.kind) and (step_up is None or step_up.act != act_digest(envelope)):
                raise StepUpNeededError(envelope)
            if proposal is not None:
                await self._store_proposal(connection, proposal)
            # No workflow takes what is late: that is the dispatcher's at once.
            grace = timedelta(0) if review.closed else GRACE
            try:
                signed_in = None if step_up is None else step_up.signed_in
                return replace(await self._insert(connection, envelope, grace, signed_in), closed=review.closed)
            except PendingError:
                known = await self._known(connection, draft)  # the same, stored at the same time
                if known is None:
                    raise
                return known

    async def receipt(self, decision: UUID) -> Receipt | None:
        """What became of a decision; None while it is pending, or if there is none."""
        row = await self._database.pool.fetchrow(_RECEIPT, decision)
        if row is None:
            return None
        return Receipt(
            decision_id=row["id"],
            review=row["review_id"],
            status=row["status"],
            reason=row["reason"],
            detail=row["detail"],
            seq=row["seq"],
            at=row["settled_at"],
        )

    async def envelope(self, decision: UUID) -> Envelope | None:
        """A stored decision, settled or not."""
        data = await self._database.pool.fetchval(_KNOWN, decision)
        return None if data is None else Envelope.model_validate_json(data)

    async def signed(self, decision: UUID, review: str) -> tuple[bytes, Proof] | None:
        """The exact bytes of a stored decision of this review, and what was stored with them."""
        row = await self._database.pool.fetchrow(_SIGNED, decision, review)
        return None if row is None else (row["envelope"], Proof.read(row["proof"]))

    async def first_reuse(self, stored: UUID, person: PersonId) -> bool:
        """Note that a person used the id of this decision for something else.
        Returns whether they do so for the first time.
        """
        return bool(await self._database.pool.fetchval(_REUSE, stored, person))

    async def due(self, limit: int) -> Sequence[Delivery]:
        """Claim up to `limit` pending decisions whose next delivery is due; each is due again later,
        until it is settled.
        """
        rows = await self._database.pool.fetch(_DUE, limit)
        return [
            Delivery(
                decision=row["id"],
                review=row["review_id"],
                kind=row["kind"],
                data=row["envelope"],
                digest=sha256(row["envelope"]),
                closed=row["closed"],
            )
            for row in rows
        ]

    async def word_from_the_register(self) -> int:
        """Store a decision of the training register for each review that waits for a completion now on record.

        Returns:
            How many there were.
        """
        stored = 0
        for row in await self._database.pool.fetch(_CLOSED_GAPS, None):
            async with self._database.transaction() as connection:
                review = await self._shared(connection, row["review_id"])
                # Somebody else may have been faster, and the review have gone on: now it stands still.
                if not await connection.fetch(_CLOSED_GAPS, review.id):
                    continue
                now = await self._database.now(connection)
                await self._standing(connection, REGISTER.person, now)
                with suppress(PendingError):
                    await self._insert(connection, training_recorded(uuid4(), review, now), timedelta(0))
                    stored += 1
        return stored

    async def word_from_the_registry(self, limit: int) -> int:
        """Look at who can do what up to `limit` open reviews wait for, where that was not done since roles, units or
        absences changed; store a decision of the registry for each of which the record says something else.

        Returns:
            How many there were.
        """
        pool = self._database.pool
        async with pool.acquire() as connection:
            now = await self._database.now(connection)
            changes = await changes_of_roles(connection, now)
            reviews = await self._unseen(connection, changes, limit)
            if not reviews:
                return 0
            proposers = {person for review in reviews for person in review.proposed_by}
            facts = await look(connection, None, named=Named.of(reviews, now), members=proposers)
        same, stored = [], 0
        for review in reviews:
            if not concerned_by(review, facts.holders, facts.units):
                same.append(review)
            else:
                stored += await self._has_changed(review.id, facts)
            await asyncio.sleep(0)  # others have their turn: this is the worker's loop
        await pool.execute(_SEEN, [review.id for review in same], [review.seq for review in same], changes)
        return stored

    async def _unseen(self, connection: Connection, changes: int, limit: int) -> tuple[Review, ...]:
        """The first of them that can be read: those that can't hold up no other."""
        after: tuple[int | None, str | None] = (None, None)
        while rows := await connection.fetch(_UNSEEN, changes, limit, *after):
            found = tuple(readable(rows).values())
            if found or len(rows) < limit:
                return found
            after = (rows[-1]["roles_seen"], rows[-1]["id"])
        return ()

    async def _has_changed(self, review_id: str, facts: Facts) -> bool:
        async with self._database.transaction() as connection:
            review = await self._shared(connection, review_id)
            if not concerned_by(review, facts.holders, facts.units):
                return False
            now = await self._database.now(connection)
            await self._standing(connection, REGISTRY.person, now)
            with suppress(PendingError):
                await self._insert(connection, registry_changed(uuid4(), review, now), timedelta(0))
                return True
        return False

    async def word_from_the_reconciler(self, found: Found) -> Delivery:
        """Store the decision that puts on record what the reconciler found. Repeating it changes nothing.

        Raises:
            KeyNotInForceError: what this process signs does not count.
            PendingError: its last word on this review has no receipt yet.
        """
        async with self._database.transaction() as connection:
            data = await connection.fetchval(_KNOWN, found.id)
            if data is not None:
                return _delivery(Envelope.model_validate_json(data), data, fresh=False)
            review = await self._shared(connection, found.review)
            now = await self._database.now(connection)
            await self._standing(connection, RECONCILER.person, now)
            return await self._insert(connection, discrepancy(found.id, review, found.difference, now), GRACE)

    async def hasten(self, review_id: str) -> None:
        """Have what is pending of this review handed on at once: there is somebody again who takes it."""
        await self._database.pool.execute(_HASTEN, review_id)

    async def pending_long(self, limit: int) -> tuple[Waiting, ...]:
        """The decisions that have had no receipt for more than a minute, or whose rows somebody changed, the oldest first."""
        rows = await self._database.pool.fetch(_PENDING_LONG, limit)
        return tuple(Waiting(**dict(row)) for row in rows)

    async def _known(self, connection: Connection, draft: Draft) -> Delivery | None:
        stored = await self._stored(connection, draft)
        return None if stored is None else _repeated(draft, *stored)

    async def _stored(self, connection: Connection, draft: Draft) -> tuple[Envelope, bytes] | None:
        data = await connection.fetchval(_KNOWN, draft.decision_id)
        return None if data is None else (Envelope.model_validate_json(data), data)

    async def _shared(self, connection: Connection, review_id: str) -> Review:
        """The review as it stands. Its row stays locked against commits until this transaction ends, so that nothing
        received before a deadline can slip behind the commit of that deadline.
        """
        row = await connection.fetchrow(_SHARE, review_id)
        if row is None:
            raise NotFoundError
        return state_of(review_id, row)

    async def _standing(self, connection: Connection, person: PersonId, now: datetime) -> Standing:
        """A person's standing, with the grants that they can act under;
        and the key that this process signs with must count.
        """
        facts = await look(connection, person, keys=[self._key])
        if not any(key.in_force(now) for key in facts.keys):
            raise KeyNotInForceError(self._key)
        return facts.standing.at(person, now)

    async def _insert(
        self, connection: Connection, envelope: Envelope, grace: timedelta, step_up: SignedIn | None = None
    ) -> Delivery:
        data = stored_bytes(envelope)
        proof = Proof(signatures=(await self._signer.sign(DECISION, data),), step_up=step_up)
        try:
            inserted = await connection.fetchval(
                _INSERT,
                envelope.decision_id,
                envelope.review,
                envelope.kind,
                envelope.person,
                data,
                sha256(data),
                envelope.received_at,
                grace,
                canonical_bytes(proof),
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise NotFoundError from error
        if inserted is None:
            raise PendingError
        return _delivery(envelope, data)

    async def _store_proposal(self, connection: Connection, proposal: Proposal) -> None:
        content = canonical_bytes(proposal)
        await connection.execute(_PROPOSAL, sha256(content), content)


def _sealed(draft: Draft, review: Review, pack_digest: Digest, standing: Standing, received_at: datetime) -> Envelope:
    envelope = seal(draft, review, pack_digest, standing, received_at)
    if envelope is None:
        raise NoRoleError
    return envelope


def _repeated(draft: Draft, envelope: Envelope, data: bytes) -> Delivery:
    """The stored decision that has the draft's id, which must say the same."""
    if not draft.repeats(envelope):
        said = envelope.model_copy(
            update={
                "review": draft.review,
                "person": draft.person,
                "kind": draft.content.kind,
                "content": draft.content,
                "reason": draft.reason,
                "content_digest": draft.digest,
            }
        )
        raise IdReusedError(draft.decision_id, stored_bytes(said))
    return _delivery(envelope, data, fresh=False)


def _delivery(envelope: Envelope, data: bytes, *, fresh: bool = True) -> Delivery:
    return Delivery(
        decision=envelope.decision_id,
        review=envelope.review,
        kind=envelope.kind,
        data=data,
        digest=sha256(data),
        fresh=fresh,
    )
