"""The audit: what whoever owns the database, or holds the service's key, tells otherwise than it was is found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.canonical import sha256
from domain.commands import Take
from domain.decisions import Question, Reason
from domain.drafts import stored_bytes
from domain.dsse import DECISION, Ed25519Signer
from domain.events import Accepted, Refused
from domain.people import Role
from domain.proof import Proof
from domain.registry import Granted, GrantRevoked, KeyAdded, KeyRevoked, Member, PeopleEntered
from domain.review import CLOCKS_APART
from domain.verification import IMPORT_UNDER_WAY, UNDER_WAY
from tests.domain.builders import (
    DAY,
    GRANTS,
    HEAD,
    HOUR,
    JUN,
    OPERATOR,
    RIN,
    START,
    grant,
    sheet,
    taken,
)
from tests.domain.registers import AuditedCase

SECOND = timedelta(seconds=1)
OTHER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"x" * 32))
OF_RIN = next(grant.id for grant in GRANTS if grant.person == RIN)


def revoked(at: timedelta = HOUR) -> GrantRevoked:
    """Rin is a reviewer no more."""
    return GrantRevoked(at=START + at, by=OPERATOR, grant=OF_RIN, because="They left.")


def test_an_honest_record_under_an_honest_registry_holds() -> None:
    """Whatever was revoked before and after."""
    case = AuditedCase()
    case.accepts(RIN, sheet())
    case.registry.append(revoked())
    case.now += DAY
    case.sign(HEAD)
    assert case.audit().holds
    assert 4 == case.audit().registry


def test_who_lost_their_role_is_not_told_as_having_held_it() -> None:
    """Days later, as of the registry's entry before the revocation."""
    case = AuditedCase()
    said = case.envelope(RIN, sheet())
    case.registry.append(revoked())
    case.now = START + 5 * DAY
    case.read = 3
    assert isinstance(case.take(said), Accepted)
    case.read = None
    case.sign(HEAD)
    entry = 1 + next(n for n, e in enumerate(case.events) if isinstance(e, Accepted) and e.envelope == said)
    assert f"entry {entry}: it was applied as of entry 3 of the registry, when entry 4 was there already" == (
        case.audit().difference
    )


def test_a_revoked_key_is_not_told_as_being_in_force() -> None:
    """What it signed after that, neither."""
    case = AuditedCase()
    case.now += HOUR
    case.registry.append(KeyAdded(at=START + HOUR, by=OPERATOR, key=OTHER.keyid, public=OTHER.public))
    case.now = START + 5 * DAY
    said = case.envelope(RIN, sheet())
    signature = OTHER.signature(DECISION, stored_bytes(said))
    forged = Take(envelope=said, digest=sha256(stored_bytes(said)), proof=Proof(signatures=(signature,)))
    assert isinstance(case.apply(forged, case.facts(said))[0], Accepted)
    assert case.audit().holds
    gone = KeyRevoked(at=START + 2 * HOUR, by=OPERATOR, key=OTHER.keyid, because="It leaked.")
    case.registry.append(gone)
    assert "it was applied as of entry 4 of the registry, when entry 5 was there already" in (
        case.audit().difference or ""
    )


@pytest.mark.parametrize(
    ("since", "holds"), [(-DAY, True), (UNDER_WAY - SECOND, True), (UNDER_WAY, False), (IMPORT_UNDER_WAY, False)]
)
def test_a_change_of_the_registry_may_be_under_way_when_a_commit_reads_it(since: timedelta, holds: bool) -> None:
    """It is dated before it is seen; as long as a transaction lasts."""
    case = AuditedCase()
    case.now += DAY
    case.accepts(RIN, sheet())
    case.registry.append(revoked(DAY - since))
    assert holds is case.audit().holds


@pytest.mark.parametrize(
    ("since", "holds"), [(UNDER_WAY, True), (IMPORT_UNDER_WAY - SECOND, True), (IMPORT_UNDER_WAY, False)]
)
def test_an_import_may_be_under_way_for_longer(since: timedelta, holds: bool) -> None:
    """And nothing that follows it: a revocation after an import that is under way is not there before it."""
    case = AuditedCase()
    case.now += DAY
    case.accepts(RIN, sheet())
    at = case.now - since
    newcomer = Member(person="new.comer", unit="Elsewhere")
    case.registry += (
        PeopleEntered(at=at, by=OPERATOR, people=(newcomer,)),
        Granted(at=at, by=OPERATOR, grants=(grant("new.comer", Role.REVIEWER).model_copy(update={"by": OPERATOR}),)),
    )
    assert holds is case.audit().holds
    case.registry.append(revoked(DAY - UNDER_WAY))
    assert "when entry" in (case.audit().difference or "")


@pytest.mark.parametrize(("after", "holds"), [(SECOND, True), (UNDER_WAY, True), (UNDER_WAY + SECOND, False)])
def test_nobody_acts_under_what_the_registry_says_only_later(after: timedelta, holds: bool) -> None:
    """A commit is dated at its beginning and may read what came a moment after that, and nothing of another day."""
    case = AuditedCase()
    case.registry.append(revoked(after))
    case.accepts(JUN, sheet())
    assert holds is case.audit().holds


def test_a_record_does_not_go_back_in_time() -> None:
    """Each entry is dated as the one before, or later."""
    case = AuditedCase()
    case.accepts(RIN, Question())
    last = case.events[-1]
    early = last.model_copy(update={"at": case.events[-2].at - SECOND})
    said = case.audit([*case.events[:-1], early]).difference
    assert f"entry {len(case.events)}: it is dated before the entry before" == said


@pytest.mark.parametrize(("ahead", "taken_up"), [(CLOCKS_APART, True), (CLOCKS_APART + SECOND, False)])
def test_a_decision_is_not_received_after_it_was_applied(ahead: timedelta, taken_up: bool) -> None:
    """The commit refuses it, and the auditor finds it where it is told as applied; clocks may be a little apart."""
    case = AuditedCase()
    said = case.envelope(RIN, Question()).model_copy(update={"received_at": case.now + ahead})
    before = list(case.events)
    answer = case.take(said)
    assert taken_up is isinstance(answer, Accepted)
    if isinstance(answer, Refused):
        assert (Reason.INVALID, "It is dated later than it is now.") == (answer.reason, answer.detail)
        command = taken(said)
        under = next(event.mandate for event in before if isinstance(event, Accepted))
        rin = case.standing(RIN).grants[0]
        assert under is not None
        under = under.model_copy(update={"grant": rin, "unit": f"Unit of {RIN}"})
        told = Accepted(at=case.now, envelope=said, digest=command.digest, proof=command.proof, mandate=under)
        difference = case.audit([*before, told]).difference
        assert f"entry {len(before) + 1}: it cannot have happened here" == difference
