"""The registry in the database: one chain whoever appends, tables that say what it says, and nothing that is forged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import JsonValue
from temporalio.client import Client

from activities.ports import Delivery, Found
from domain.canonical import canonical_bytes, digest_of, sha256
from domain.completions import Completion
from domain.decisions import Envelope, Question, Reason, Submission
from domain.discrepancies import Difference, Differs
from domain.drafts import Draft, stored_bytes
from domain.dsse import DECISION, Ed25519Signer
from domain.events import Accepted, Refused
from domain.people import Assigned, Delegation, Grant, Person, Role
from domain.proof import IssuerKey, Proof, thumbprint
from domain.registry import (
    BOOTSTRAP,
    MOST_AT_ONCE,
    SIGN_IN,
    Address,
    AddressesEntered,
    Delegated,
    DelegationEnded,
    Disabled,
    Enabled,
    Granted,
    GrantRevoked,
    Invited,
    IssuerKeySeen,
    KeyAdded,
    KeyRevoked,
    Member,
    PackPublished,
    PeopleEntered,
    Registry,
    RegistryAudit,
    RegistryEntry,
    RegistryEvent,
    refuse,
)
from domain.verification import Evidence, Verification, WorkflowState, verify
from runtime.packs import load_proposal, shipped_packs
from store.database import connect
from store.decisions import Decisions
from store.reconciliations import Reconciliations
from store.registers import Registers
from store.registry import KeyNotInForceError, NotThereError, Registrar, RegistryRefusedError, packs_on_record
from store.registry_check import RegistryCheck
from store.standing import look, standing_of
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import ONLINE, arrived, commit, opened, sheet_of
from tests.support.harness import EXAMPLES, SIGNER, TIER_1, Harness, harness
from tests.support.harness import OPERATOR as EXAMPLE_OPERATOR

OTHER = Ed25519Signer(Ed25519PrivateKey.generate())
OPERATOR = "op.erator"

FOUNDED = 3
"""How many entries there are when there is a key, and an operator: that they are known, and their role."""


@pytest.fixture
async def registers(database: DatabaseUrls) -> AsyncIterator[Registers]:
    """Registers that hold nobody but an operator, as the application's role."""
    async with connect(database.app_url) as opened_database:
        registers = Registers(opened_database, SIGNER)
        await registers.registry.enrol()
        await registers.ensure_operator(OPERATOR)
        yield registers


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own, with the example people."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


def published(number: int = 1, audience: str = "ringi-web") -> IssuerKey:
    """A key that the identity provider publishes."""
    jwk: dict[str, JsonValue] = {"kty": "EC", "crv": "P-256", "x": f"x{number}", "y": "y"}
    return IssuerKey(id=thumbprint(jwk), issuer="https://login.example", audience=audience, jwk=jwk)


async def audited(registry: Registrar) -> RegistryAudit:
    """The registry as an auditor reads it; it must hold."""
    audit = RegistryAudit(SIGNER.keyid)
    for entry in await registry.entries():
        assert audit.check(entry) is None
    return audit


async def verified(system: Harness, review: str) -> Verification:
    """What an auditor says of a review and the registry."""
    record = await system.reviews.record(review)
    assert record is not None
    evidence = Evidence(
        review=review, entries=record[0], read_model=record[1], workflow=WorkflowState(status="unreachable")
    )
    return verify(evidence, await system.registers.registry.entries(), SIGNER.keyid)


# The chain.


async def test_of_several_that_start_at_once_one_founds_the_registry(database: DatabaseUrls) -> None:
    """With the same key; whoever has another one must be let in."""
    async with connect(database.app_url) as one, connect(database.app_url) as two:
        founded = await asyncio.gather(*(Registrar(each, SIGNER).enrol() for each in (one, two, one, two)))
        assert [False, False, False, True] == sorted(founded)
        with pytest.raises(KeyNotInForceError, match=rf"The key {OTHER.keyid} .* `ringi keys add`"):
            await Registrar(one, OTHER).enrol()
        await Registers(one, SIGNER).ensure_operator(OPERATOR)
        await Registrar(one, SIGNER).add_key(OTHER.public, by=OPERATOR)
        assert not await Registrar(two, OTHER).enrol()
        assert [SIGNER.keyid, OTHER.keyid] == list((await audited(Registrar(one, SIGNER))).registry.keys)


async def test_whoever_appends_at_the_same_time_makes_one_chain(registers: Registers) -> None:
    """Each entry follows from the one before, and none is lost."""
    await asyncio.gather(
        *(
            registers.enter_people(
                [Person(id=f"p.{n}", name=f"P {n}", unit="U")], [(f"p.{n}", Role.OWNER, None)], by=OPERATOR
            )
            for n in range(12)
        )
    )
    audit = await audited(registers.registry)
    assert (FOUNDED + 12 * 2, 1 + 12) == (audit.registry.seq, len(audit.registry.grants))


async def test_a_repeat_puts_nothing_on_record(registers: Registers) -> None:
    """Only what is new: a person of another unit, a key that was not seen before."""
    people = [Person(id="a.person", name="A", unit="U"), Person(id="b.person", name="B", unit="U")]
    issuer_key = published()

    async def everything() -> int:
        await registers.enter_people(people, [("a.person", Role.OWNER, None)], by=OPERATOR)
        await registers.see_issuer_key(issuer_key)
        await registers.registry.add_key(OTHER.public, by=OPERATOR)
        return (await audited(registers.registry)).registry.seq

    assert FOUNDED + 4 == await everything()
    assert FOUNDED + 4 == await everything()
    people[1] = people[1].model_copy(update={"unit": "V", "name": "Bee"})
    assert FOUNDED + 5 == await everything()
    (entry,) = await registers.registry.entries(FOUNDED + 4, 10)
    event = RegistryEntry.model_validate_json(entry.data).event
    assert PeopleEntered(at=event.at, by=OPERATOR, people=(Member(person="b.person", unit="V"),)) == event


async def test_many_people_are_several_entries(registers: Registers) -> None:
    """None of them too large to be read at once."""
    count = MOST_AT_ONCE * 2 + 1
    people = [Person(id=f"p.{n}", name=f"P {n}", unit="U") for n in range(count)]
    roles: list[tuple[str, Role, str | None]] = [(person.id, Role.OWNER, None) for person in people]
    assert count == await registers.enter_people(people, roles, by=OPERATOR)
    audit = await audited(registers.registry)
    assert (FOUNDED + 3 + 3, 1 + count) == (audit.registry.seq, len(audit.registry.grants))


async def test_what_is_refused_leaves_nothing_behind(registers: Registers) -> None:
    """Not what went before it in the same act, either."""
    people = [Person(id="a.person", name="A", unit="U")]
    with pytest.raises(RegistryRefusedError, match="Nobody grants a role to themselves"):
        await registers.enter_people(
            people, [("a.person", Role.OWNER, None), (OPERATOR, Role.OWNER, None)], by=OPERATOR
        )
    assert FOUNDED == (await audited(registers.registry)).registry.seq
    assert 1 == await registers.registry._database.pool.fetchval("select count(*) from people")


async def test_entries_never_go_back_in_time(database: DatabaseUrls) -> None:
    """Where the clock does: a key that was revoked can't be used before its revocation."""
    early = datetime(2020, 1, 1, tzinfo=UTC)
    async with connect(database.app_url) as now, connect(database.app_url, clock=lambda: early) as then:
        await Registrar(now, SIGNER).enrol()
        await Registrar(then, SIGNER).add_key(OTHER.public, by=BOOTSTRAP)
        first, second = await Registrar(now, SIGNER).entries(0, 10)
        moments = [RegistryEntry.model_validate_json(entry.data).event.at for entry in (first, second)]
        assert moments[0] == moments[1]


# The tables.


class Generated:
    """A history of the registry, drawn from a seed, of which much makes no sense."""

    PEOPLE = (OPERATOR, *(f"p.{n}" for n in range(5)))
    SIGNERS = tuple(Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in range(4))

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.ids = 0

    def name(self) -> str:
        """An id: mostly new, sometimes not."""
        self.ids += self.draw.random() < 0.7
        return f"id-{self.ids}"

    def event(self, at: datetime) -> RegistryEvent:
        """Anything that could be asked for."""
        person, other, somebody = (self.draw.choice(self.PEOPLE) for _ in range(3))
        by = OPERATOR if self.draw.random() < 0.8 else somebody
        signer = self.draw.choice(self.SIGNERS)
        known = f"id-{self.draw.randint(1, self.ids + 1)}"
        roles = (Role.OPERATOR, Role.OWNER, Role.REVIEWER, Role.COUNCIL_MEMBER, Role.SIGNATORY, Role.OFFICER)
        role = self.draw.choice(roles)
        office = self.draw.choice([None, "lawyer", "npo"])
        start = at + timedelta(days=self.draw.randint(-2, 9))
        events: list[RegistryEvent] = [
            KeyAdded(at=at, by=by, key=signer.keyid, public=signer.public),
            KeyRevoked(at=at, by=by, key=signer.keyid, because="Drawn."),
            PeopleEntered(
                at=at,
                by=by,
                people=tuple(Member(person=p, unit=f"Unit {self.draw.randint(1, 2)}") for p in sorted({person, other})),
            ),
            Granted(at=at, by=by, grants=(Grant(id=self.name(), person=person, role=role, office=office, by=by),)),
            GrantRevoked(at=at, by=by, grant=known, because="Drawn."),
            Disabled(at=at, by=by, person=person, because="Drawn."),
            Enabled(at=at, by=by, person=person, because="Drawn."),
            Delegated(
                at=at,
                by=by,
                delegation=Delegation(
                    id=self.name(),
                    giver=person,
                    taker=other,
                    roles=(role,),
                    starts_at=start,
                    ends_at=start + timedelta(days=self.draw.randint(0, 5)),
                    by=by,
                ),
            ),
            AddressesEntered(
                at=at, by=by, addresses=(Address(person=person, email=self.draw.choice([None, "1" * 64, "2" * 64])),)
            ),
            DelegationEnded(at=at, by=by, delegation=known),
            Invited(
                at=at,
                by=self.draw.choice([by, somebody]),
                invitation=self.name(),
                person=person,
                email=self.draw.choice(["1" * 64, "2" * 64]),
                reviews=("r-1",),
                expires_at=at + timedelta(days=1),
            ),
            IssuerKeySeen(
                at=at,
                by=self.draw.choice([SIGN_IN, SIGN_IN, by]),
                key=published(self.draw.randint(1, 3), self.draw.choice(["ringi-web", "ringi-web", person])),
            ),
            PackPublished(
                at=at,
                by=self.draw.choice([BOOTSTRAP, by]),
                pack="a-pack",
                version=self.name(),
                digest=f"{self.draw.randint(1, 30):064x}",
            ),
        ]
        return self.draw.choice(events)


@pytest.mark.parametrize("seed", range(4))
async def test_the_tables_say_what_the_fold_says(registers: Registers, seed: int) -> None:
    """After every change that was taken: of every person, of every key; and what one refuses, the other refuses."""
    generated, folded, registry = Generated(seed), Registry(), registers.registry
    taken = refused = 0
    for founding in await registry.entries(0, 10):
        folded.apply(RegistryEntry.model_validate_json(founding.data).event)
    for _ in range(250):
        async with registry.head() as head:
            event = generated.event(head.now)
        said = refuse(folded, event)
        if said is not None:
            refused += 1
        try:
            async with registry.head() as head:
                put = await head.append(event)
        except RegistryRefusedError as error:
            told: str | None = str(error)
            put = ()
        else:
            told = None if put else said  # a repeat is refused by the rule, and no error here
        assert said == told
        for new in put:
            folded.apply(new)
            taken += 1
        pool = registry._database.pool
        for person in (*generated.PEOPLE, "no.body"):
            ours, theirs = folded.standing(person), await standing_of(pool, person)
            for name in ("grants", "delegations"):
                assert set(getattr(ours, name)) == set(getattr(theirs, name)), (person, name)
            nothing: dict[str, Any] = {"grants": (), "delegations": ()}
            assert ours.model_copy(update=nothing) == theirs.model_copy(update=nothing)
        assert folded.keys == await registry.keys()
        assert [*folded.packs.values()] == [*(await packs_on_record(pool)).values()]
        rows = await pool.fetch("select id, email_digest, email_by from people where email_digest is not null")
        assert folded.addresses == {row["id"]: (row["email_digest"], row["email_by"]) for row in rows}
    assert taken > 60, taken
    assert refused > 60, refused
    assert folded.standing("p.1") == (await audited(registry)).registry.standing("p.1")


async def test_an_officers_delegate_invites_while_the_officer_may(registers: Registers) -> None:
    """What a rule asks of somebody else than the event names is read too: the table says of them what the ledger says."""

    async def put(make: Callable[[datetime], RegistryEvent]) -> str | None:
        said = None
        folded = (await audited(registers.registry)).registry
        try:
            async with registers.registry.head() as head:
                event = make(head.now)
                await head.append(event)
        except RegistryRefusedError as error:
            said = str(error)
        assert said == refuse(folded, event)
        return said

    def invited(at: datetime) -> RegistryEvent:
        day = at + timedelta(days=1)
        return Invited(
            at=at,
            by="d.elegate",
            invitation=str(uuid4()),
            person="l.awyer",
            email="1" * 64,
            reviews=("r",),
            expires_at=day,
        )

    people = ("o.fficer", "d.elegate", "l.awyer")
    roles = ((people[0], Role.OFFICER, "officer"), (people[2], Role.COUNCIL_MEMBER, "lawyer"))
    await registers.enter_people([Person(id=p, name=p, unit="A unit") for p in people], roles, by=OPERATOR)
    address = (Address(person="l.awyer", email="1" * 64),)
    assert await put(lambda at: AddressesEntered(at=at, by=OPERATOR, addresses=address)) is None
    assert await put(invited) == "Invitations are for officers and operators to send."
    days = (None, datetime.now(UTC) + timedelta(days=1))
    await registers.delegate("o.fficer", "d.elegate", (Role.OFFICER,), days, by="o.fficer")
    assert await put(invited) is None
    assert await put(lambda at: Disabled(at=at, by=OPERATOR, person="o.fficer", because="Left.")) is None
    assert await put(invited) == "Invitations are for officers and operators to send."


async def test_only_what_a_decision_names_is_read(registers: Registers) -> None:
    """Its maker's standing, the keys of its signatures, the issuer's key of its step-up."""
    await registers.registry.add_key(OTHER.public, by=OPERATOR)
    issuer_key = published()
    await registers.see_issuer_key(issuer_key)
    pool = registers.registry._database.pool
    facts = await look(pool, "a.person", keys=[OTHER.keyid, OTHER.keyid, "junk"], issuer_key=issuer_key.id)
    assert [OTHER.public] == [key.public for key in facts.keys]
    assert ((issuer_key,), FOUNDED + 2) == (facts.issuer_keys, facts.standing.registry)
    assert ((), ()) == ((await look(pool, "a.person")).keys, (await look(pool, None)).holders)


# What the application's role can and can't do.


async def test_what_is_on_record_is_not_changed(registers: Registers, database: DatabaseUrls) -> None:
    """Neither by the application's role nor, by a trigger, by the owner."""
    for url in (database.app_url, database.owner_url):
        connection = await asyncpg.connect(url)
        try:
            for statement in (
                "update registry_ledger set data = ''",
                "delete from registry_ledger",
                "truncate registry_ledger",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()
    connection = await asyncpg.connect(database.app_url)
    try:
        for statement in ("delete from registry", "insert into registry default values", "delete from signing_keys"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_forged_decision_is_refused(system: Harness) -> None:
    """A row as good as any, but for the signature: none, junk, a stranger's, one over other bytes."""
    review = await opened(system, tier=3)
    delivery = await system.store(review, "rin.reviewer", Question(), "Who?")
    envelope = await system.decisions.envelope(delivery.decision)
    assert envelope is not None
    good = SIGNER.signature(DECISION, delivery.data)
    forged = {
        "none": b"{}",
        "junk": b"\xff",
        "not json": b"[[[",
        "stranger": canonical_bytes(Proof(signatures=(OTHER.signature(DECISION, delivery.data),))),
        "stranger as the service": canonical_bytes(
            Proof(signatures=(good.model_copy(update={"sig": OTHER.signature(DECISION, delivery.data).sig}),))
        ),
        "another's": canonical_bytes(Proof(signatures=(good,))),
    }
    for number, (name, proof) in enumerate(forged.items()):
        said = envelope.model_copy(update={"decision_id": UUID(int=number + 1), "person": f"forger.{number}"})
        data = stored_bytes(said)
        await system.database.pool.execute(
            "insert into decisions (id, review_id, kind, person, envelope, digest, received_at, next_attempt_at, proof)"
            " values ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
            said.decision_id,
            review,
            said.kind,
            said.person,
            data,
            sha256(data),
            said.received_at,
            proof,
        )
        signal = arrived(delivery).model_copy(
            update={"decision": said.decision_id, "digest": sha256(data), "ordinal": number + 1}
        )
        (event,) = (await commit(system, review, signal)).events
        assert isinstance(event, Refused), name
        assert event.reason is Reason.BAD_SIGNATURE, name
    assert (await verified(system, review)).holds


async def test_a_decision_whose_row_was_changed_is_refused(system: Harness) -> None:
    """Other words, with the digest made to fit, under the signature of the first ones."""
    review = await opened(system, tier=3)
    delivery = await system.store(review, "rin.reviewer", Question(), "Who?")
    envelope = await system.decisions.envelope(delivery.decision)
    assert envelope is not None
    data = stored_bytes(envelope.model_copy(update={"reason": "Who else?"}))
    await system.database.pool.execute(
        "update decisions set envelope = $2, digest = $3 where id = $1", delivery.decision, data, sha256(data)
    )
    (event,) = (await commit(system, review, arrived(delivery).model_copy(update={"digest": sha256(data)}))).events
    assert isinstance(event, Refused)
    assert event.reason is Reason.BAD_SIGNATURE


async def test_a_grant_that_is_in_no_registry_is_found(system: Harness) -> None:
    """A row in the table is believed by the commit, and by no auditor."""
    review = await opened(system, tier=3)
    await system.database.pool.execute("insert into people (id, name, unit) values ('a.forger', 'A', 'U')")
    await system.database.pool.execute(
        "insert into grants (id, person, role, granted_by) values ('forged', 'a.forger', 'reviewer', 'ops.operator')"
    )
    delivery = await system.store(review, "a.forger", await system.sheet(review))
    (event, *_) = (await commit(system, review, arrived(delivery))).events
    assert isinstance(event, Accepted)
    found = await verified(system, review)
    assert found.difference is not None
    assert found.difference.startswith(f"entry {found.entries + 1}: ")
    assert "of a.forger was not theirs to make: The role as reviewer is no longer held." in found.difference


async def test_a_registry_that_was_appended_to_without_the_key_is_found(system: Harness) -> None:
    """Well chained, head and all, and signed with a key of the forger's own."""
    review = await opened(system, tier=3)
    async with system.database.transaction() as connection:
        row = await connection.fetchrow("select seq, hash, at from registry")
    assert row is not None
    forger = Registrar(system.database, OTHER)
    await system.database.pool.execute(
        "insert into signing_keys (id, public, added_at) values ($1, $2, $3)", OTHER.keyid, OTHER.public, row["at"]
    )
    async with forger.head() as head:
        await head.append(
            Granted(
                at=head.now,
                by=EXAMPLE_OPERATOR,
                grants=(Grant(id="forged", person="tao.training", role=Role.REVIEWER, by=EXAMPLE_OPERATOR),),
            )
        )
    delivery = await Decisions(system.database, OTHER).store(
        await system.draft(review, "tao.training", await system.sheet(review))
    )
    (event, *_) = (await commit(system, review, arrived(delivery))).events
    assert isinstance(event, Refused | Accepted)
    assert f"registry entry {row['seq'] + 1}: no key that was in force has signed it" in str(
        (await verified(system, review)).difference
    )


# What is taken away acts at once.


async def test_a_role_taken_away_after_the_decision_was_stored_is_gone_at_the_commit(system: Harness) -> None:
    """And so is a person who was disabled; what was applied before stays valid."""
    review = await opened(system, tier=3)
    await commit(system, review, arrived(await system.store(review, "kei.reviewer", Question(), "Who?")))
    stored = {
        person: await system.store(review, person, await system.sheet(review))
        for person in ("rin.reviewer", "jun.reviewer")
    }
    (grant,) = await system.registers.grants("rin.reviewer")
    await system.registers.revoke(grant.id, "She moved on.", by=EXAMPLE_OPERATOR)
    await system.registers.disable("jun.reviewer", EXAMPLE_OPERATOR, "He left.")
    (kept,) = await system.registers.grants("kei.reviewer")
    await system.registers.revoke(kept.id, "He moved on.", by=EXAMPLE_OPERATOR)
    for ordinal, (person, reason) in enumerate(
        {"rin.reviewer": Reason.NOT_ENTITLED, "jun.reviewer": Reason.DISABLED}.items(), start=1
    ):
        (event,) = (await commit(system, review, arrived(stored[person], ordinal))).events
        assert isinstance(event, Refused)
        assert (reason, person) == (event.reason, event.person)
    assert (await verified(system, review)).holds


async def test_a_key_that_is_revoked_counts_until_then_and_no_longer(system: Harness) -> None:
    """What it signed before is applied after its revocation; what a thief signs with it after is refused; an auditor says
    the same of both.
    """
    review = await opened(system, tier=3)
    registry = system.registers.registry
    await registry.add_key(OTHER.public, by=EXAMPLE_OPERATOR)
    second = Decisions(system.database, OTHER)
    before = await second.store(await system.draft(review, "rin.reviewer", Question(), "Who?"))
    await registry.revoke_key(OTHER.keyid, "It may have leaked.", by=EXAMPLE_OPERATOR)
    after = await system.store(review, "jun.reviewer", Question(), "Who else?")
    stolen = canonical_bytes(Proof(signatures=(OTHER.signature(DECISION, after.data),)))
    await system.database.pool.execute("update decisions set proof = $2 where id = $1", after.decision, stolen)
    (accepted, *_) = (await commit(system, review, arrived(before))).events
    assert isinstance(accepted, Accepted)
    assert OTHER.keyid == accepted.proof.signatures[0].keyid
    (refused,) = (await commit(system, review, arrived(after, 2))).events
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.BAD_SIGNATURE
    assert (await verified(system, review)).holds


async def test_what_a_revoked_key_signs_counts_under_no_date(system: Harness) -> None:
    """A thief who may write to the database as well dates what they store before the revocation;
    it was not there then.
    """
    review = await opened(system, tier=3)
    registry = system.registers.registry
    await registry.add_key(OTHER.public, by=EXAMPLE_OPERATOR)
    long_ago = datetime.now(UTC)
    await registry.revoke_key(OTHER.keyid, "It leaked.", by=EXAMPLE_OPERATOR)
    stored = await system.store(review, "jun.reviewer", Question(), "Who else?")
    dated = Envelope.model_validate_json(stored.data).model_copy(update={"received_at": long_ago})
    data = stored_bytes(dated)
    await system.database.pool.execute(
        "update decisions set envelope = $2, digest = $3, received_at = $4, proof = $5 where id = $1",
        stored.decision,
        data,
        sha256(data),
        long_ago,
        canonical_bytes(Proof(signatures=(OTHER.signature(DECISION, data),))),
    )
    forged = replace(stored, data=data, digest=sha256(data))
    (refused,) = (await commit(system, review, arrived(forged))).events
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.BAD_SIGNATURE
    assert (await verified(system, review)).holds


async def test_a_key_is_revoked_while_decisions_come_in(system: Harness) -> None:
    """Each is stored in time and accepted, or its sender is told; none is taken and then refused."""
    registry = system.registers.registry
    await registry.add_key(OTHER.public, by=EXAMPLE_OPERATOR)
    second = Decisions(system.database, OTHER)
    reviews = [await opened(system, tier=3) for _ in range(12)]
    drafts = [await system.draft(review, "rin.reviewer", Question(), "Who?") for review in reviews]

    async def store(number: int, draft: Draft) -> Delivery | KeyNotInForceError:
        await asyncio.sleep(number / 1000)
        try:
            return await second.store(draft)
        except KeyNotInForceError as error:
            return error

    async def revoke() -> None:
        await asyncio.sleep(0.005)
        await registry.revoke_key(OTHER.keyid, "It may have leaked.", by=EXAMPLE_OPERATOR)

    *outcomes, _ = await asyncio.gather(*(store(n, draft) for n, draft in enumerate(drafts)), revoke())
    stored = [outcome for outcome in outcomes if isinstance(outcome, Delivery)]
    assert 0 < len(stored) < len(drafts)
    for delivery in stored:
        (event, *_) = (await commit(system, delivery.review, arrived(delivery))).events
        assert isinstance(event, Accepted)
        assert (await verified(system, delivery.review)).holds


async def test_nothing_is_stored_with_a_key_that_does_not_count(system: Harness) -> None:
    """It would only be refused: people are told before, and the register's word waits for another worker."""
    review = await opened(system, tier=3)
    registry = system.registers.registry
    stranger = Decisions(system.database, OTHER)
    draft = await system.draft(review, "rin.reviewer", Question(), "Who?")
    with pytest.raises(KeyNotInForceError):
        await stranger.store(draft)
    await registry.add_key(OTHER.public, by=EXAMPLE_OPERATOR)
    await registry.revoke_key(OTHER.keyid, "It may have leaked.", by=EXAMPLE_OPERATOR)
    with pytest.raises(KeyNotInForceError, match="`ringi keys add`"):
        await stranger.store(draft)
    proposal = load_proposal(EXAMPLES / f"{TIER_1}.yaml")
    opening = draft.model_copy(
        update={"person": proposal.author, "review": "r-new", "content": Submission(), "digest": digest_of(proposal)}
    )
    with pytest.raises(KeyNotInForceError):
        await stranger.submit(opening, proposal, await system.registers.publish(shipped_packs()[0]))
    await reviewed_without_training(system)
    with pytest.raises(KeyNotInForceError):
        await stranger.word_from_the_register()
    assert 1 == await system.decisions.word_from_the_register()
    for person in ("rin.reviewer", "jun.reviewer"):
        await system.registers.disable(person, EXAMPLE_OPERATOR, "They left.")
    with pytest.raises(KeyNotInForceError):
        await stranger.word_from_the_registry(10)
    assert 0 < await system.decisions.word_from_the_registry(10)
    found = Found(uuid4(), review, Difference(what=Differs.LOST, detail="It is gone."))
    with pytest.raises(KeyNotInForceError):
        await stranger.word_from_the_reconciler(found)
    assert await Reconciliations(system.database, stranger).enter(found) is None
    assert found.id == (await system.decisions.word_from_the_reconciler(found)).decision
    (grant,) = await system.registers.grants("kei.reviewer")
    with pytest.raises(KeyNotInForceError):
        await Registers(system.database, OTHER).revoke(grant.id, "It signs nothing more.", by=EXAMPLE_OPERATOR)
    with pytest.raises(RegistryRefusedError, match="a revoked key stays revoked"):
        await registry.add_key(OTHER.public, by=EXAMPLE_OPERATOR)
    with pytest.raises(RegistryRefusedError, match="only key in force"):
        await registry.revoke_key(SIGNER.keyid, "The last one.", by=EXAMPLE_OPERATOR)


async def reviewed_without_training(system: Harness) -> str:
    """A review that waited for training, which is on record by now; nobody has told it."""
    proposal = load_proposal(EXAMPLES / "tier-2-service-desk.yaml")
    untrained = proposal.model_copy(update={"staff": (Assigned(person="new.comer", role=proposal.staff[0].role),)})
    review = await opened(system, tier=2, staff=untrained.staff)
    await sheet_of(system, review, "rin.reviewer")
    assert "training" == (await system.state(review)).stage
    at = datetime.now(UTC) - timedelta(days=1)
    await system.registers.enter_completions([Completion(person="new.comer", course=ONLINE, completed_at=at)])
    return review


async def test_a_key_can_revoke_itself(registers: Registers) -> None:
    """It is the last that it signs."""
    await registers.registry.add_key(OTHER.public, by=OPERATOR)
    await registers.registry.revoke_key(SIGNER.keyid, "Replaced.", by=OPERATOR)
    with pytest.raises(KeyNotInForceError):
        await registers.enter_people([Person(id="a.person", name="A", unit="U")], [], by=OPERATOR)
    assert not await registers.registry.in_force()
    await audited(registers.registry)


async def test_only_operators_change_who_may_do_what(registers: Registers) -> None:
    """The first of them is entered by nobody, and from then on nobody else enters anybody."""
    (grant,) = await registers.grants(OPERATOR)
    assert BOOTSTRAP == grant.by
    people = [Person(id="a.person", name="A", unit="U")]
    with pytest.raises(RegistryRefusedError, match="There is an operator"):
        await registers.enter_people(people, [], by=BOOTSTRAP)
    await registers.enter_people(people, [("a.person", Role.OPERATOR, None)], by=OPERATOR)
    await registers.revoke(grant.id, "Two are one too many.", by="a.person")
    (last,) = await registers.grants("a.person")
    with pytest.raises(RegistryRefusedError, match="only operator") as refused:
        await registers.revoke(last.id, "One is one too many.", by="a.person")
    assert not isinstance(refused.value, NotThereError), "it is there"
    for act in (
        registers.enter_people(people, [("a.person", Role.OWNER, None)], by=OPERATOR),
        registers.registry.add_key(OTHER.public, by=OPERATOR),
        registers.disable("a.person", OPERATOR, "A last act."),
    ):
        with pytest.raises(RegistryRefusedError, match="This is for operators"):
            await act


# Whoever has the application's role.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "update registry set seq = seq - 1",
            "The registry's record ends with entry 12; its head says 11, or another hash.",
        ),
        ("update registry set hash = repeat('0', 64)", "The registry's record ends with entry 12; its head says 12,"),
        (
            "insert into signing_keys (id, public, added_at) values ('k', 'x', now())",
            "The key k is in the tables, and not on",
        ),
        ("update signing_keys set revoked_at = null", f"Of the key {OTHER.keyid} the tables say something else than"),
        (
            "insert into issuer_keys (id, key) values ('k', '{}')",
            "The identity provider's key k is in the tables, and not",
        ),
        (
            "update people set unit = 'V' where id = 'a.person'",
            "Of the person a.person the tables say something else than",
        ),
        ("update people set disabled_at = null", "Of the person b.person the tables say something else than"),
        (
            "update people set email_digest = repeat('1', 64) where id = 'a.person'",
            "Of the person a.person the tables say",
        ),
        (
            "insert into grants (id, person, role) values ('g', 'a.person', 'officer')",
            "The grant g is in the tables, and not",
        ),
        ("update grants set revoked_at = now() where role = 'operator'", "The grant grant-"),
        ("update delegations set taker = 'b.person'", "Of the delegation delegation-"),
        ("update delegations set ended_at = now()", "The delegation delegation-"),
    ],
)
async def test_a_table_that_says_something_else_than_the_record(registers: Registers, change: str, said: str) -> None:
    """Is found, and named; as they are written by us, they agree."""
    check = RegistryCheck(registers._database)
    people = [Person(id=f"{name}.person", name=name, unit="U", email=f"{name}@x.example") for name in "ab"]
    await registers.enter_people(people, [("a.person", Role.REVIEWER, None)], by=OPERATOR)
    assert await check.first_difference() is None
    await registers.disable("b.person", OPERATOR, "Left.")
    until = datetime.now(UTC) + timedelta(days=1)
    await registers.registry.add_key(OTHER.public, by=OPERATOR)
    await registers.registry.revoke_key(OTHER.keyid, "Old.", by=OPERATOR)
    await registers.delegate("a.person", OPERATOR, [Role.REVIEWER], (None, until), by="a.person")
    await registers.see_issuer_key(published())
    await registers.publish(shipped_packs()[0])
    assert await check.first_difference() is None
    assert 0 == check.entries - await registers._pool.fetchval("select seq from registry")
    await registers._pool.execute(change)
    assert (await check.first_difference() or "").startswith(said)
    assert (await RegistryCheck(registers._database).first_difference() or "").startswith(said)
