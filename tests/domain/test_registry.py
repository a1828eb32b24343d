"""The registry: what can't be put on record, and that whatever is changed in what is on record is found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canonical import sha256
from domain.dsse import DECISION, REGISTRY, Ed25519Signer, key_id, public_key
from domain.entitlement import SERVICES
from domain.facts import Standing
from domain.people import DELEGABLE, Delegation, Grant, Role
from domain.proof import IssuerKey
from domain.registry import (
    BOOTSTRAP,
    LONGEST_DELEGATION_DAYS,
    LONGEST_INVITATION_DAYS,
    UNIT_OF_THE_FIRST_OPERATOR,
    Address,
    AddressesEntered,
    Delegated,
    DelegationEnded,
    Disabled,
    Enabled,
    Granted,
    GrantRevoked,
    InvitationRevoked,
    InvitationUsed,
    Invited,
    IssuerKeySeen,
    KeyAdded,
    KeyRevoked,
    Member,
    NotThere,
    PackPublished,
    PeopleEntered,
    RecordedEntry,
    Registry,
    RegistryAudit,
    RegistryEvent,
    address_digest,
    entry_bytes,
    refuse,
)
from tests.domain.builders import DAY, HOUR, SIGNER, START

SECOND = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"2" * 32))
STRANGER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"x" * 32))

OPERATOR = "ops.operator"
PEOPLE = ("ann.one", "ben.two", "cho.three", "lea.lawyer", "omi.officer", OPERATOR)
GENESIS = "0" * 64
JWK = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}
PUBLISHED = IssuerKey(
    id=sha256(b'{"crv":"P-256","kty":"EC","x":"x","y":"y"}'),
    issuer="https://login.example",
    audience="ringi-web",
    jwk=dict(JWK),
)
MAIL = "lea@law.example"


def added(signer: Ed25519Signer, by: str = OPERATOR, at: datetime = START) -> KeyAdded:
    """This signer's key is registered."""
    return KeyAdded(at=at, by=by, key=signer.keyid, public=signer.public)


def entered(*people: str, at: datetime = START) -> PeopleEntered:
    """These people are entered, each with a unit of their own."""
    return PeopleEntered(at=at, by=BOOTSTRAP, people=tuple(Member(person=p, unit=f"Unit of {p}") for p in people))


def moved(*people: str, by: str = OPERATOR, to: str = "Another unit") -> PeopleEntered:
    """An operator enters that these belong to another unit."""
    return PeopleEntered(at=START, by=by, people=tuple(Member(person=person, unit=to) for person in people))


def granted(person: str, role: Role, office: str | None = None, *, name: str = "g", by: str = OPERATOR) -> Granted:
    """A role is granted."""
    return Granted(at=START, by=by, grants=(Grant(id=name, person=person, role=role, office=office, by=by),))


def left_to(giver: str, taker: str, *roles: Role, name: str = "d", days: float = 7, **changed: Any) -> Delegated:
    """Somebody leaves roles to another, from tomorrow on."""
    given_away = Delegation(
        id=name,
        giver=giver,
        taker=taker,
        roles=roles or (Role.REVIEWER,),
        starts_at=START + DAY,
        ends_at=START + DAY * (1 + days),
        by=changed.get("by", giver),
    )
    return Delegated(at=START, by=changed.get("by", giver), delegation=given_away.model_copy(update=changed))


def invited(person: str = "lea.lawyer", *, days: float = 7, reviews: tuple[str, ...] = ("r-1",)) -> Invited:
    """Somebody is invited."""
    return Invited(
        at=START,
        by="omi.officer",
        invitation="i",
        person=person,
        email=address_digest(MAIL),
        reviews=reviews,
        expires_at=START + DAY * days,
    )


def written_to(email: str | None = MAIL, *, person: str = "lea.lawyer", by: str = OPERATOR) -> AddressesEntered:
    """An operator enters where somebody is written to, or that it is nowhere."""
    digest = None if email is None else address_digest(email)
    return AddressesEntered(at=START, by=by, addresses=(Address(person=person, email=digest),))


def seen(*, by: str = "ringi:sign-in", **changed: Any) -> IssuerKeySeen:
    """The identity provider was seen to publish a key, changed."""
    return IssuerKeySeen(at=START, by=by, key=PUBLISHED.model_copy(update=changed))


def by(person: str, event: RegistryEvent) -> RegistryEvent:
    """The same, done by somebody else."""
    return event.model_copy(update={"by": person})


def later(event: RegistryEvent, *, days: float) -> RegistryEvent:
    """The same, so many days later."""
    return event.model_copy(update={"at": START + DAY * days})


def published(version: str = "1", *, digest: str = "1", by: str = BOOTSTRAP) -> PackPublished:
    """A version of the one policy pack is published."""
    return PackPublished(at=START, by=by, pack="a-pack", version=version, digest=digest * 64)


SEAT = granted("lea.lawyer", Role.COUNCIL_MEMBER, "lawyer", name="seat")
WRITTEN_TO = written_to()
REVIEWER = granted("ann.one", Role.REVIEWER)
USED = InvitationUsed(at=START, by="lea.lawyer", invitation="i")
WITHDRAWN = InvitationRevoked(at=START, by=OPERATOR, invitation="i", because="Sent to another.")
REVOKED = GrantRevoked(at=START, by=OPERATOR, grant="g", because="It is over.")
DISABLED = Disabled(at=START, by=OPERATOR, person="ann.one", because="She left.")
ENABLED = Enabled(at=START, by=OPERATOR, person="ann.one", because="She is back.")
ENDED = DelegationEnded(at=START, by="ann.one", delegation="d")
SECOND_OPERATOR = granted("cho.three", Role.OPERATOR, name="second")
OFFICER_DISABLED = Disabled(at=START, by=OPERATOR, person="omi.officer", because="He left.")
REVOKED_FIRST = GrantRevoked(at=START, by="cho.three", grant="first", because="One is enough.")
DISABLED_FIRST = Disabled(at=START, by="cho.three", person=OPERATOR, because="He left.")
LAWYER_DISABLED = Disabled(at=START, by=OPERATOR, person="lea.lawyer", because="She left.")
SWAPPED = REVIEWER.model_copy(update={"by": "cho.three"})
FOUNDING: tuple[RegistryEvent, ...] = (
    added(SIGNER, BOOTSTRAP),
    entered(*PEOPLE),
    Granted(
        at=START,
        by=BOOTSTRAP,
        grants=(
            Grant(id="first", person=OPERATOR, role=Role.OPERATOR, by=BOOTSTRAP),
            Grant(id="officer", person="omi.officer", role=Role.OFFICER, office="officer", by=BOOTSTRAP),
        ),
    ),
)


def registry(*events: RegistryEvent) -> Registry:
    """The registry after its founding and these, none of which may be refused."""
    folded = Registry()
    for event in (*FOUNDING, *events):
        assert refuse(folded, event) is None
        folded.apply(event)
    return folded


@pytest.mark.parametrize(
    ("before", "event", "sentence"),
    [
        ((), added(SIGNER), "registered before"),
        (
            (added(SECOND), KeyRevoked(at=START, by=OPERATOR, key=SECOND.keyid, because="Lost.")),
            added(SECOND),
            "before",
        ),
        ((), added(SECOND).model_copy(update={"key": SIGNER.keyid[::-1]}), "not that of the key"),
        ((), KeyRevoked(at=START, by=OPERATOR, key=SIGNER.keyid, because="Old."), "only key in force"),
        ((), KeyRevoked(at=START, by=OPERATOR, key=SECOND.keyid, because="Old."), "No key with this id"),
        ((), granted(OPERATOR, Role.REVIEWER), "Nobody grants a role to themselves"),
        ((), REVIEWER.model_copy(update={"by": "ann.one"}), "This is for operators"),
        ((), REVIEWER.model_copy(update={"by": BOOTSTRAP}), "There is an operator"),
        ((SECOND_OPERATOR, REVOKED_FIRST), REVIEWER, "This is for operators"),
        ((SECOND_OPERATOR, DISABLED_FIRST), REVIEWER, "This is for operators"),
        ((), added(SECOND, "ann.one"), "This is for operators"),
        ((), entered("dan.four").model_copy(update={"by": "ann.one"}), "This is for operators"),
        ((SECOND_OPERATOR,), SWAPPED, "does not name who gives it"),
        ((), granted("ann.one", Role.SERVICE), "not granted to anybody"),
        ((), granted("no.body", Role.REVIEWER), r"nobody with the id no\.body"),
        ((REVIEWER,), granted("ben.two", Role.REVIEWER), "was given before"),
        ((REVIEWER, REVOKED), granted("ann.one", Role.REVIEWER), "was given before"),
        ((REVIEWER,), granted("ann.one", Role.REVIEWER, name="again"), "holds this role already"),
        ((), REVIEWER.model_copy(update={"grants": REVIEWER.grants * 2}), "there twice"),
        ((), granted("ann.one", Role.COUNCIL_MEMBER), "one of the seats"),
        ((), granted("ann.one", Role.COUNCIL_MEMBER, "priest"), "one of the seats"),
        ((), granted("ann.one", Role.SIGNATORY), "names its office"),
        ((), granted("ann.one", Role.OFFICER), "names its office"),
        ((), granted("ann.one", Role.REVIEWER, "head"), "has no office"),
        ((), REVOKED, "No grant with this id"),
        ((REVIEWER, REVOKED), REVOKED, "No grant with this id"),
        ((), DISABLED.model_copy(update={"person": OPERATOR}), "Nobody disables themselves"),
        ((), DISABLED.model_copy(update={"person": "no.body"}), "nobody with the id"),
        ((DISABLED,), DISABLED, "disabled already"),
        ((), ENABLED, "not disabled"),
        ((DISABLED,), ENABLED.model_copy(update={"by": "ann.one"}), "This is for operators"),
        ((), left_to("ann.one", "ann.one"), "their own delegate"),
        ((), left_to("ann.one", "ben.two", by="ben.two"), "Only whoever holds roles"),
        ((), GrantRevoked(at=START, by=OPERATOR, grant="first", because="Enough."), "only operator"),
        (
            (SECOND_OPERATOR, DISABLED_FIRST),
            GrantRevoked(at=START, by="cho.three", grant="second", because="Enough."),
            "only operator",
        ),
        ((DISABLED,), left_to("ann.one", "ben.two"), "Your account is disabled"),
        ((SECOND_OPERATOR, DISABLED_FIRST), left_to("ann.one", "ben.two", by=OPERATOR), "Your account is disabled"),
        ((left_to("ann.one", "ben.two"), DISABLED), ENDED, "Your account is disabled"),
        (
            (left_to("ann.one", "ben.two"), SECOND_OPERATOR, DISABLED_FIRST),
            by(OPERATOR, ENDED),
            "Your account is disabled",
        ),
        ((), left_to("ann.one", "ben.two", by=OPERATOR, starts_at=START - HOUR / 60), "starts now or later"),
        ((), left_to("ann.one", "ben.two").model_copy(update={"by": OPERATOR}), "does not name who sees to it"),
        ((), left_to("ann.one", "ben.two", Role.COUNCIL_MEMBER), "What can be left to another"),
        ((), left_to("ann.one", "ben.two", roles=()), "What can be left to another"),
        ((), left_to("ann.one", "ben.two", days=-1), "ends after it starts"),
        ((), left_to("ann.one", "ben.two", starts_at=START - 9 * DAY, ends_at=START - DAY), "not in the past"),
        ((), left_to("ann.one", "ben.two", starts_at=START - DAY), "starts now or later"),
        ((), left_to("ann.one", "ben.two", days=LONGEST_DELEGATION_DAYS + 1), "lasts at most"),
        ((), left_to("ann.one", "no.body"), "nobody with the id"),
        ((), left_to("no.body", "ann.one"), "nobody with the id"),
        ((DISABLED,), left_to("ben.two", "ann.one"), "account is disabled"),
        ((left_to("ben.two", "cho.three"),), left_to("ann.one", "ben.two", name="e"), "no chains"),
        ((left_to("cho.three", "ann.one"),), left_to("ann.one", "ben.two", name="e"), "no chains"),
        ((left_to("ann.one", "ben.two"),), left_to("ann.one", "cho.three", name="e"), "left to somebody"),
        ((), ENDED, "No delegation with this id"),
        ((left_to("ann.one", "ben.two"), ENDED), ENDED, "No delegation with this id"),
        ((SEAT, WRITTEN_TO), by("ann.one", invited()), "for officers and operators to send"),
        ((SEAT, WRITTEN_TO, OFFICER_DISABLED), invited(), "for officers and operators to send"),
        ((SEAT, WRITTEN_TO, left_to("omi.officer", "ann.one", Role.OFFICER)), by("ann.one", invited()), "to send"),
        ((SEAT, WRITTEN_TO, invited()), by("lea.lawyer", WITHDRAWN), "for officers and operators to take back"),
        ((), invited(), "Only members of the Advisory Council"),
        ((SEAT, WRITTEN_TO), invited().model_copy(update={"person": "omi.officer"}), "Nobody invites themselves"),
        ((SEAT, WRITTEN_TO, invited()), invited(), "was sent before"),
        ((SEAT,), invited(days=LONGEST_INVITATION_DAYS + 1), "holds for at most"),
        ((SEAT,), invited(days=0), "holds for at most"),
        ((SEAT,), invited(reviews=()), "at least one review"),
        ((), USED, "can't be used any more"),
        ((SEAT,), invited(), "No address is on record"),
        ((SEAT, WRITTEN_TO, written_to(None)), invited(), "No address is on record"),
        ((SEAT, written_to("omi@example.org")), invited(), "Another address is on record"),
        ((SEAT, WRITTEN_TO), invited().model_copy(update={"by": OPERATOR}), "You entered their address"),
        ((), written_to(by="ann.one"), "This is for operators"),
        ((), written_to(person="no.body"), "nobody with the id"),
        ((WRITTEN_TO,), written_to(MAIL.upper()), "on record of lea.lawyer already"),
        ((), written_to(None), "on record of lea.lawyer already"),
        ((), moved(OPERATOR), "Nobody moves themselves"),
        *(((), moved(each.person), "the name of a service") for each in SERVICES.values()),
        ((SECOND_OPERATOR,), moved("ann.one", "cho.three", by="cho.three"), "Nobody moves themselves"),
        ((), seen(by=OPERATOR), "the sign-in alone says"),
        ((), seen(by=BOOTSTRAP), "the sign-in alone says"),
        ((), seen(id="1" * 64), "is not its thumbprint"),
        ((), seen(jwk={**JWK, "x": "z"}), "is not its thumbprint"),
        ((), seen(jwk={}), "is not its thumbprint"),
        ((seen(),), seen(audience="another"), "for another issuer or client"),
        ((seen(),), seen(issuer="https://login.example.org"), "for another issuer or client"),
        ((seen(),), seen(jwk={**JWK, "use": "enc"}), "on record as the identity provider's already"),
        ((SEAT, WRITTEN_TO, invited(), USED), USED, "can't be used any more"),
        ((SEAT, WRITTEN_TO, invited(), WITHDRAWN), USED, "can't be used any more"),
        ((SEAT, WRITTEN_TO, invited(days=1)), later(USED, days=1), "can't be used any more"),
        ((SEAT, WRITTEN_TO, invited()), by("omi.officer", USED), "is somebody else's"),
        ((SEAT, WRITTEN_TO, invited(), LAWYER_DISABLED), USED, "is disabled"),
        ((SEAT, WRITTEN_TO, invited(days=1)), later(WITHDRAWN, days=1), "No invitation with this id"),
        ((SEAT, WRITTEN_TO, invited(), WITHDRAWN), WITHDRAWN, "No invitation with this id"),
        ((), published(by="ann.one"), "This is for operators"),
        ((SECOND_OPERATOR, DISABLED_FIRST), published(by=OPERATOR), "This is for operators"),
        ((published(),), published(), "published already"),
        ((published(),), published(digest="2"), "Version 1 of a-pack is published with another content"),
    ],
)
def test_what_breaks_a_rule_is_refused(before: tuple[RegistryEvent, ...], event: RegistryEvent, sentence: str) -> None:
    """In a sentence for whoever asked for it."""
    said = refuse(registry(*before), event)
    assert said is not None
    assert re.search(sentence, said), said


@pytest.mark.parametrize(
    ("event", "is_there"),
    [
        (REVOKED, False),
        (GrantRevoked(at=START, by=OPERATOR, grant="first", because="Enough."), True),
        (ENDED, False),
        (KeyRevoked(at=START, by=OPERATOR, key=SECOND.keyid, because="Old."), False),
        (KeyRevoked(at=START, by=OPERATOR, key=SIGNER.keyid, because="Old."), True),
        (WITHDRAWN, False),
        (DISABLED.model_copy(update={"person": "no.body"}), False),
        (ENABLED.model_copy(update={"person": "no.body"}), False),
        (ENABLED, True),
        (DISABLED.model_copy(update={"person": OPERATOR}), True),
        (granted("no.body", Role.REVIEWER), True),
    ],
)
def test_what_is_not_there_is_told_from_what_may_not_be(event: RegistryEvent, is_there: bool) -> None:
    """Where it is what should be changed; whom else it speaks of has to be there, as other rules ask."""
    said = refuse(registry(SEAT), event)
    assert said
    assert is_there is not isinstance(said, NotThere)


@pytest.mark.parametrize(
    "events",
    [
        (added(SECOND), KeyRevoked(at=START, by=OPERATOR, key=SIGNER.keyid, because="Replaced.")),
        (REVIEWER, REVOKED, granted("ann.one", Role.REVIEWER, name="again")),
        (DISABLED, ENABLED, DISABLED),
        (seen(), seen(), seen(jwk={**JWK, "x": "z"}, id=sha256(b'{"crv":"P-256","kty":"EC","x":"z","y":"y"}'))),
        (left_to("ann.one", "ben.two"), ENDED, left_to("ann.one", "cho.three", name="e")),
        (left_to("ann.one", "ben.two"), left_to("ann.one", "cho.three", Role.OFFICER, name="e")),
        (
            left_to("ann.one", "ben.two"),
            left_to("ann.one", "cho.three", name="e", starts_at=START + DAY * 8, ends_at=START + DAY * 9),
        ),
        tuple(left_to("ann.one", "ben.two", role, name=role) for role in sorted(DELEGABLE)),
        (SEAT, WRITTEN_TO, invited(), USED, WITHDRAWN),
        (SEAT, WRITTEN_TO, left_to("omi.officer", "ann.one", Role.OFFICER, starts_at=START), by("ann.one", invited())),
        (SEAT, WRITTEN_TO, written_to(None), written_to(by=OPERATOR), invited()),
        (left_to("ann.one", "ben.two", by=OPERATOR),),
        (left_to("ann.one", "ben.two", by=OPERATOR, starts_at=START),),
        (left_to("ann.one", "ben.two", starts_at=START - HOUR / 60),),
        (SECOND_OPERATOR, REVOKED_FIRST),
        (SECOND_OPERATOR, DISABLED_FIRST, REVOKED_FIRST),
        (SECOND_OPERATOR, moved("ann.one", OPERATOR, by="cho.three")),
        (published(), published("2", digest="2", by=OPERATOR)),
        (moved("cho.three", to=UNIT_OF_THE_FIRST_OPERATOR), SECOND_OPERATOR, moved("cho.three", by="cho.three")),
    ],
)
def test_what_breaks_no_rule_is_taken(events: tuple[RegistryEvent, ...]) -> None:
    """One after the other."""
    registry(*events)


def test_the_registry_says_what_was_so_at_any_entry() -> None:
    """Grants, units, absences: of the person, and of whoever left theirs to the person."""
    folded = registry(REVIEWER, left_to("ann.one", "ben.two"), SEAT)
    (delegation,) = folded.delegations.values()
    mine = Standing(
        registry=6,
        units={"ann.one": "Unit of ann.one", "ben.two": "Unit of ben.two"},
        grants=REVIEWER.grants,
        delegations=(delegation,),
    )
    assert mine == folded.standing("ben.two")
    assert () == mine.at("ben.two", START).grants
    assert REVIEWER.grants == mine.at("ben.two", delegation.starts_at).grants
    assert REVIEWER.grants == folded.standing("ann.one").at("ann.one", START).grants
    folded.apply(ENDED)
    assert Standing(registry=7, units={"ben.two": "Unit of ben.two"}) == folded.standing("ben.two")
    folded.apply(DISABLED)
    folded.apply(REVOKED)
    assert Standing(registry=9, units={"ann.one": "Unit of ann.one"}, disabled=True) == folded.standing("ann.one")
    assert Standing(registry=9) == folded.standing("no.body")


class Book:
    """A registry's ledger that is kept honestly, or not."""

    def __init__(self, *events: RegistryEvent, signer: Ed25519Signer = SIGNER) -> None:
        self.entries: list[RecordedEntry] = []
        for event in events:
            self.add(event, signer)

    def add(self, event: RegistryEvent, signer: Ed25519Signer = SIGNER) -> None:
        """Append, whatever it is."""
        number, previous = len(self.entries) + 1, self.entries[-1].hash if self.entries else GENESIS
        data, digest = entry_bytes(number, previous, event)
        signatures = (signer.signature(REGISTRY, data),)
        self.entries.append(RecordedEntry(seq=number, data=data.decode(), hash=digest, signatures=signatures))


def audited(entries: Iterable[RecordedEntry], founder: str | None = None) -> str | None:
    """What an auditor says of these entries."""
    audit = RegistryAudit(founder)
    return next((said for entry in entries if (said := audit.check(entry)) is not None), None)


HONEST = Book(
    *FOUNDING,
    REVIEWER,
    SEAT,
    left_to("ann.one", "ben.two"),
    added(SECOND),
    IssuerKeySeen(
        at=START + HOUR,
        by="ringi:sign-in",
        key=PUBLISHED,
    ),
    DISABLED.model_copy(update={"at": START + HOUR}),
    WRITTEN_TO.model_copy(update={"at": START + HOUR}),
    invited().model_copy(update={"at": START + HOUR}),
)
positions = st.integers(0, len(HONEST.entries) - 1)


def test_an_honest_registry_holds() -> None:
    """And names the key that founded it."""
    audit = RegistryAudit(SIGNER.keyid)
    assert [None] * len(HONEST.entries) == [audit.check(entry) for entry in HONEST.entries]
    assert (SIGNER.keyid, HONEST.entries[-1].hash) == (audit.founder, audit.head)
    assert {SIGNER.keyid, SECOND.keyid} == set(audit.registry.keys)


@settings(max_examples=60)
@given(positions, st.data())
def test_a_changed_character_is_found(position: int, data: st.DataObject) -> None:
    """As it is, with its hash made to fit, and signed anew by a stranger."""
    entry = HONEST.entries[position]
    where = data.draw(st.integers(0, len(entry.data) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != entry.data[where]))
    changed = entry.data[:where] + other + entry.data[where + 1 :]
    rest = HONEST.entries[position + 1 :]
    for forged in (
        entry.model_copy(update={"data": changed}),
        entry.model_copy(update={"data": changed, "hash": sha256(changed.encode())}),
        RecordedEntry(
            seq=entry.seq,
            data=changed,
            hash=sha256(changed.encode()),
            signatures=(STRANGER.signature(REGISTRY, changed.encode()),),
        ),
    ):
        said = audited([*HONEST.entries[:position], forged, *rest])
        assert said is not None
        assert said.startswith(f"registry entry {position + 1}: ")


@given(positions, positions)
def test_entries_taken_out_or_in_another_order_are_found(one: int, other: int) -> None:
    """At the place where it begins; only what is cut off at the end leaves a registry that holds."""
    without = [*HONEST.entries[:one], *HONEST.entries[one + 1 :]]
    assert (audited(without) is None) is (one == len(HONEST.entries) - 1)
    swapped = list(HONEST.entries)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert (audited(swapped) is None) is (one == other)


def test_who_signs_must_be_trusted_by_what_came_before() -> None:
    """A stranger adds nothing, not even their own key; a key added by one that is trusted does."""
    for event in (granted("ben.two", Role.SIGNATORY, "head"), added(STRANGER)):
        book = Book(*FOUNDING)
        book.add(event, STRANGER)
        assert "registry entry 4: no key that was in force has signed it" == audited(book.entries)
    book = Book(*FOUNDING, added(SECOND))
    book.add(REVIEWER, SECOND)
    assert audited(book.entries) is None


def test_a_revoked_key_adds_nothing_more_however_it_is_dated() -> None:
    """Not before its revocation either: entries don't go back in time."""
    gone = KeyRevoked(at=START + DAY, by=OPERATOR, key=SIGNER.keyid, because="It leaked.")
    for at, said in ((START + 2 * DAY, "no key that was in force"), (START + DAY, "no key"), (START, "dated before")):
        book = Book(*FOUNDING, added(SECOND), gone)
        book.add(REVIEWER.model_copy(update={"at": at}), SIGNER)
        assert said in (audited(book.entries) or "")
    book = Book(*FOUNDING, added(SECOND), gone)
    book.add(REVIEWER.model_copy(update={"at": START + DAY}), SECOND)
    assert audited(book.entries) is None


def test_a_registry_that_was_written_anew_is_known_by_its_founder() -> None:
    """It hangs together; whoever knows the true key is not taken in."""
    forged = Book(added(STRANGER, BOOTSTRAP), *FOUNDING[1:], REVIEWER, signer=STRANGER)
    assert audited(forged.entries) is None
    assert "registry entry 1: the registry was founded with the key" in (audited(forged.entries, SIGNER.keyid) or "")


def test_a_registry_begins_with_its_key() -> None:
    """Signed with that very key."""
    assert "begins with the key" in (audited(Book(entered(*PEOPLE)).entries) or "")
    assert "no key that was in force" in (audited(Book(added(SIGNER), signer=STRANGER).entries) or "")


def test_what_the_rules_forbid_is_found_though_it_is_signed() -> None:
    """Who has the key can still not grant anything to themselves unseen."""
    book = Book(*FOUNDING, granted(OPERATOR, Role.SIGNATORY, "head"))
    assert "registry entry 4: it breaks a rule: Nobody grants a role to themselves." == audited(book.entries)


def test_a_signature_on_other_bytes_or_as_another_type_is_none() -> None:
    """A decision's signature is none on an entry."""
    book = Book(*FOUNDING)
    entry = book.entries[1]
    as_decision = entry.model_copy(update={"signatures": (SIGNER.signature(DECISION, entry.data.encode()),)})
    for forged in (as_decision, entry.model_copy(update={"signatures": ()})):
        assert "registry entry 2: no key" in (audited([book.entries[0], forged]) or "")


@pytest.mark.parametrize("data", ["", "{}", "null", "\ud800", "\0", '{"seq":1}', "[" * 10_000])
def test_garbage_is_no_entry(data: str) -> None:
    """Whatever is stored, with a hash that fits, the check goes through and names it."""
    garbage = RecordedEntry(seq=1, data=data, hash=sha256(data.encode(errors="surrogatepass")), signatures=())
    assert "registry entry 1: its bytes are not an entry" == audited([garbage])


def test_a_public_key_is_read_in_either_form() -> None:
    """PEM as OpenSSL writes it, or its 32 bytes in base64; nothing else."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.from_private_bytes(b"2" * 32).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert SECOND.public == public_key(pem) == public_key(f" {SECOND.public}\n")
    assert SECOND.keyid == key_id(SECOND.public)
    other = generate_private_key(65537, 2048).public_key()
    wrong = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (
        "",
        "§",
        "AAAA",
        SECOND.public[:-2],
        wrong,
        pem.replace("MC", "MD"),
        f"{SECOND.public}{SECOND.public}",
    ):
        with pytest.raises(ValueError, match="must be an Ed25519 public key"):
            public_key(text)
