"""Where forgeries are tried: planted in the database, signalled, sent; and what must be so after each."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey
from temporalio.client import Client

from activities.ports import Delivery
from domain.canonical import canonical_bytes, digest_of, sha256
from domain.commands import Take
from domain.decisions import AnyContent, Envelope, Finding, Question, Verdict, VerdictSheet
from domain.drafts import Draft, seal, stored_bytes
from domain.dsse import DECISION, Ed25519Signer
from domain.entitlement import meaning
from domain.events import Accepted, Event, Refused
from domain.facts import Facts
from domain.ledger import Recorded, append
from domain.proof import IssuerKey, Proof
from domain.registry import RecordedEntry
from domain.review import decide, fold
from domain.state import Review
from domain.verification import Evidence, Verification, WorkflowState, read_model, verify
from runtime.courier import TemporalCourier
from store.registers import Registers
from store.reviews import Reviews
from store.standing import look
from tests.support.harness import SIGNER, until
from tests.support.place import Place
from tests.support.system import OPERATOR, PACK, PRINCIPLES, REVIEWERS, Person, example, new_id

EACH = 4
"""How many of a family go through the whole stack in a round."""

IN_BULK = EACH * 3
"""How many of a family an auditor is shown."""

STRICT = PACK.model_copy(
    update={
        "id": "strict",
        "tiers": tuple(rule.model_copy(update={"step_up": ("verdict_sheet",)}) for rule in PACK.tiers),
    }
)
"""A pack by which a verdict sheet needs the reviewer's renewed sign-in."""

REVIEWER, OTHER, THIRD = REVIEWERS

_ACCEPTED = "select id from decisions where review_id = $1 and status = 'accepted'"


@dataclass(frozen=True)
class Forged:
    """A decision as a thief writes it into the database: its bytes, the digest and the proof stored with them."""

    data: bytes
    digest: str
    proof: Proof
    id: UUID
    kind: str = "question"

    @classmethod
    def of(cls, envelope: Envelope, proof: Proof, digest: str | None = None) -> Forged:
        """This envelope, with its own digest if no other is given."""
        data = stored_bytes(envelope)
        return cls(data, digest or sha256(data), proof, envelope.decision_id, envelope.kind)

    def fitting(self) -> Forged:
        """The same, with the digest of its bytes."""
        return replace(self, digest=sha256(self.data))


def signed(envelope: Envelope, by: Ed25519Signer = SIGNER, **more: Any) -> Forged:
    """This envelope, rightly signed."""
    proof = Proof(signatures=(by.signature(DECISION, stored_bytes(envelope)),), **more)
    return Forged.of(envelope, proof)


@dataclass
class Stand:
    """The stack, and the count of what was tried in the family that is on."""

    place: Place
    client: Client
    registers: Registers
    idp: ECKey
    idp_key: IssuerKey
    unseen: ECKey
    revoked: Ed25519Signer
    in_force: tuple[datetime, timedelta]
    """From when on the revoked key counted, and for how long."""

    late: Ed25519Signer
    grants: dict[str, list[str]] = field(default_factory=dict)
    thief: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(Ed25519PrivateKey.generate()))
    rng: random.Random = field(default_factory=random.Random)
    tried: int = 0
    accepted: int = 0
    controls: int = 0

    def begin(self, name: str, seed: int) -> None:
        """A family's own luck, whichever were tried before it."""
        self.rng = random.Random(f"{seed} {name}")
        self.tried = self.accepted = self.controls = 0

    @property
    def pool(self) -> Any:
        """The database, as the application's role."""
        return self.place.system.database.pool

    async def person(self, name: str) -> Person:
        """Somebody with a good access token."""
        return await self.place.person(name)

    async def entered(self, *rows: tuple[str, str, str], by: str = OPERATOR) -> httpx2.Response:
        """What is answered where `by` enters these people, each with a role and its office."""
        lines = [
            "person,name,unit,role,office",
            *(f"{who},Example,Example {who},{role},{of}" for who, role, of in rows),
        ]
        return await (await self.person(by)).put_in("/people/import", "\n".join(lines), "text/csv")

    async def newcomer(self, *roles: tuple[str, str]) -> str:
        """Somebody of whom nobody has heard in this round yet, with these roles and their offices."""
        who = f"newcomer.{self.rng.getrandbits(60)}"
        if roles:
            response = await self.entered(*((who, role, office) for role, office in roles))
            assert 200 == response.status_code, response.text
        return who

    async def opened(self, tier: int = 3, **changes: object) -> str:
        """A review of an example, with these fields in place of its own, in its principle review."""
        proposal = example(tier, **changes)
        body = {"pack": "strict", "proposal": proposal.model_dump(mode="json"), "review": new_id()}
        response = await (await self.person(proposal.author)).post("/reviews", body)
        assert 200 == response.status_code, response.text
        return str(response.json()["review"])

    async def state(self, review: str) -> Review:
        """The review, as the read model has it."""
        state = await Reviews(self.place.system.database).state(review)
        assert state is not None
        return state

    async def events(self, review: str, after: int = 0) -> tuple[Event, ...]:
        """The entries after one."""
        entries = await Reviews(self.place.system.database).events(review, after)
        return tuple(entry.event for entry in entries)

    # Making what is genuine, out of which forgeries are made.

    async def facts(self, person: str, keys: Sequence[str] = (SIGNER.keyid,)) -> Facts:
        """What the registers say of somebody, and of these keys, now."""
        async with self.place.system.database.transaction() as connection:
            return await look(connection, person, keys=keys, issuer_key=self.idp_key.id)

    async def envelope(
        self, review: str, person: str = REVIEWER, content: AnyContent | None = None, **changes: Any
    ) -> Envelope:
        """What the API would store of this person now; changed. Under another's `grant`, it says so, unless told otherwise."""
        state = await self.state(review)
        standing = (await self.facts(person)).standing
        draft = Draft(
            decision_id=UUID(int=self.rng.getrandbits(128), version=4),
            review=review,
            person=person,
            digest=state.content_digest,
            content=content or Question(),
            reason=f"Question {self.rng.random()}?",
        )
        async with self.place.system.database.transaction() as connection:
            now = await self.place.system.database.now(connection)
        sealed = seal(draft, state, state.pack_digest, standing, now)
        assert sealed is not None
        for grant in standing.grants:
            if grant.id == changes.get("grant"):
                changes = {"meaning": meaning(state, sealed.kind, grant, person), **changes}
        return sealed.model_copy(update=changes)

    # Trying.

    @asynccontextmanager
    async def nothing_comes_of_it(self, review: str) -> AsyncIterator[None]:
        """After this block nothing was accepted, and the review stands as before but for refusals on record."""
        before = await self.state(review)
        try:
            yield
        finally:
            after = await self.state(review)
            # What comes of it may still be on its way.
            new = (await self.events(review, before.seq))[: after.seq - before.seq]
            wrong = [event for event in new if not isinstance(event, Refused)]
            self.tried += 1
            self.accepted += bool(wrong)
        assert [] == wrong, "a forgery was accepted"
        assert substance(before) == substance(after)
        assert (after.seq - before.seq, after.refused - before.refused) == (len(new), len(new))
        receipts = await self.pool.fetch(_ACCEPTED, review)
        on_record = {e.envelope.decision_id for e in await self.events(review) if isinstance(e, Accepted)}
        assert {row["id"] for row in receipts} <= on_record, "a receipt says accepted, and the record does not"

    async def plant(self, review: str, forged: Forged, *, row: UUID | None = None) -> None:
        """Write it into the database as the application's role, as pending."""
        await self.pool.execute(
            """
            insert into decisions (id, review_id, kind, person, envelope, digest, received_at, next_attempt_at, proof)
            values ($1, $2, $3, $4, $5, $6, clock_timestamp(), clock_timestamp() + interval '30 minutes', $7)
            """,
            row or forged.id,
            review,
            forged.kind,
            f"somebody.{self.rng.getrandbits(60)}",
            forged.data,
            forged.digest,
            canonical_bytes(forged.proof),
        )

    async def signal(self, review: str, data: bytes, kind: str = "question") -> None:
        """Hand these bytes to the workflow, as the courier would."""
        delivery = Delivery(decision=UUID(int=0), review=review, kind=kind, data=data, digest="")
        await TemporalCourier(self.client, self.place.system.task_queue).deliver(delivery)

    async def dealt_with(self, review: str, seq: int) -> None:
        """Wait for an entry after `seq`."""

        async def more() -> bool:
            return (await self.state(review)).seq > seq

        await until(more, seconds=40, every=0.01)

    async def forged(self, review: str, forged: Forged, *, planted: bool = False) -> Refused:
        """Plant it, if it is not, and signal it; it is refused, on record."""
        async with self.nothing_comes_of_it(review):
            found = await self._taken(review, forged, planted)
        assert isinstance(found, Refused)
        return found

    async def genuine(self, review: str, forged: Forged, *, planted: bool = False) -> None:
        """The same way, for what is genuine: it is accepted."""
        found = await self._taken(review, forged, planted)
        assert isinstance(found, Accepted), found
        self.controls += 1

    async def became(self, review: str, seq: int) -> Accepted | Refused:
        """What is put on record, after the entry `seq`, of the one decision that is on its way."""
        await self.dealt_with(review, seq)
        (found,) = [event for event in await self.events(review, seq) if isinstance(event, Accepted | Refused)]
        return found

    async def _taken(self, review: str, forged: Forged, planted: bool) -> Accepted | Refused:
        seq = (await self.state(review)).seq
        if not planted:
            await self.plant(review, forged)
        await self.signal(review, forged.data, forged.kind)
        return await self.became(review, seq)

    def control(self, response: httpx2.Response, status: int = 200) -> httpx2.Response:
        """What is genuine, and was sent by the same code, is taken."""
        assert status == response.status_code, response.text
        self.controls += 1
        return response

    # The auditor.

    async def evidence(self, review: str) -> tuple[Evidence, tuple[RecordedEntry, ...]]:
        """The record of a review and the registry, as a bundle holds them."""
        record = await Reviews(self.place.system.database).record(review)
        assert record is not None
        proposals, packs = await Reviews(self.place.system.database).texts(record[0])
        bundle = Evidence(
            review=review,
            entries=record[0],
            read_model=record[1],
            workflow=WorkflowState(status="gone"),
            proposals=proposals,
            packs=packs,
        )
        return bundle, await self.registers.registry.entries()

    async def auditor(self, review: str) -> Auditor:
        """Whoever checks this review's record offline."""
        evidence, registry = await self.evidence(review)
        return Auditor(self, review, await self.events(review), evidence, registry)


def substance(review: Review) -> str:
    """The digest of a review but for what refusals leave."""
    return digest_of(review.model_copy(update={"seq": 0, "refused": 0}))


@dataclass
class Auditor:
    """A record as it is, and what an auditor says of it with something else in it, chained and folded so that it fits."""

    stand: Stand
    review: str
    events: tuple[Event, ...]
    evidence: Evidence
    registry: tuple[RecordedEntry, ...]
    issuers: tuple[str, ...] | None = None
    """The identity provider's keys, by their thumbprints, where the auditor knows them."""

    def says(self, entries: Sequence[Recorded], events: Sequence[Event] | None = None) -> Verification:
        """Of these entries, with the read model that fits to `events`, or else the one there is."""
        model = self.evidence.read_model
        if events is not None:
            model = read_model(fold(self.review, events), entries[-1].hash)
        told = self.evidence.model_copy(update={"entries": tuple(entries), "read_model": model})
        return verify(told, self.registry, SIGNER.keyid, self.issuers)

    def of(self, events: Sequence[Event]) -> Verification:
        """Of a record with these events, every hash made to fit."""
        return self.says(append(self.review, 0, "0" * 64, events), events)

    async def applied(self, forged: Forged) -> tuple[Event, ...]:
        """The events with the genuine decision applied at their end."""
        envelope = Envelope.model_validate_json(forged.data)
        facts = await self.stand.facts(envelope.person, [signature.keyid for signature in forged.proof.signatures])
        take = Take(envelope=envelope, digest=forged.digest, proof=forged.proof)
        at = max(envelope.received_at, self.events[-1].at)
        return (*self.events, *decide(fold(self.review, self.events), take, facts, at))

    def finds(self, genuine: Sequence[Event], forged: Forged) -> None:
        """Written in the place of the genuine one, at its entry, it is found there."""
        number = len(self.events) + 1
        there = genuine[number - 1]
        assert isinstance(there, Accepted)
        envelope = Envelope.model_validate_json(forged.data)
        instead = there.model_copy(update={"envelope": envelope, "digest": forged.digest, "proof": forged.proof})
        events = (*self.events, instead, *genuine[number:])
        self.stand.tried += 1
        said = self.says(append(self.review, 0, "0" * 64, events), None).difference or ""
        self.stand.accepted += not said.startswith(f"entry {number}: ")
        assert said.startswith(f"entry {number}: "), said


def sheet() -> VerdictSheet:
    """A sheet that finds nothing."""
    return VerdictSheet(
        verdicts=tuple(Verdict(principle=p, finding=Finding.RESPECTED, reason="As it says.") for p in PRINCIPLES)
    )


async def stand_on(place: Place, client: Client) -> Stand:
    """The stand on this stack: a pack with step-up, an identity provider that tokens can be forged of, a revoked key, and
    one that came late.
    """
    registers = Registers(place.system.database, SIGNER)
    await registers.publish(STRICT)
    idp, unseen = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    key = IssuerKey(
        id=base64.urlsafe_b64decode(idp.thumbprint() + "=").hex(),
        issuer="https://login.example",
        audience="ringi-web",
        jwk={name: str(value) for name, value in idp.as_dict(private=False).items()},
    )
    await registers.see_issuer_key(key)
    revoked, late = Ed25519Signer(Ed25519PrivateKey.generate()), Ed25519Signer(Ed25519PrivateKey.generate())
    operator = await place.person(OPERATOR)
    for signer in (revoked, late):
        assert 201 == (await operator.post("/keys", {"public": signer.public})).status_code
    assert 204 == (await operator.delete(f"/keys/{revoked.keyid}?because=Stolen.")).status_code
    gone = (await registers.registry.keys())[revoked.keyid]
    assert gone.revoked_at is not None
    in_force = (gone.added_at, gone.revoked_at - gone.added_at)
    stand = Stand(place, client, registers, idp, key, unseen, revoked, in_force, late)
    stand.grants[OTHER] = [grant.id for grant in (await stand.facts(OTHER)).standing.grants]
    return stand
