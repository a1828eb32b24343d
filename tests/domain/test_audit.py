"""The audit: what whoever owns the database, or holds the service's key, tells otherwise than it was is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain import review as review_module
from domain.canonical import sha256
from domain.commands import Take
from domain.decisions import ChangeRequest, Question, Reason, RegistryChanged, Revision
from domain.drafts import stored_bytes
from domain.dsse import DECISION, Ed25519Signer
from domain.entitlement import REGISTRY
from domain.events import Accepted, Assessed, Moved, Refused
from domain.people import Delegation, Role
from domain.proof import Proof
from domain.registry import (
    BOOTSTRAP,
    Delegated,
    DelegationEnded,
    Disabled,
    Granted,
    GrantRevoked,
    IssuerKeySeen,
    KeyAdded,
    KeyRevoked,
    Member,
    PeopleEntered,
    RegistryEvent,
)
from domain.review import CLOCKS_APART, fold
from domain.verification import IMPORT_UNDER_WAY, UNDER_WAY, SeenKey, verify
from tests.domain.builders import (
    AUDITOR,
    AUTHOR,
    DAY,
    ENGINEER,
    GRANTS,
    HEAD,
    HOUR,
    JUN,
    KEI,
    OPERATOR,
    OUTSIDER,
    OWNER,
    RIN,
    START,
    UNIT,
    grant,
    route,
    sheet,
    taken,
)
from tests.domain.builders import SECOND as SECOND_HEAD
from tests.domain.registers import PROVIDER, THIEF, AuditedCase, WrittenCase, published, seen, signed_in, stepping_up

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
    assert 5 == case.audit().registry


def test_who_lost_their_role_is_not_told_as_having_held_it() -> None:
    """Days later, as of the registry's entry before the revocation."""
    case = AuditedCase()
    said = case.envelope(RIN, sheet())
    case.registry.append(revoked())
    case.now = START + 5 * DAY
    case.read = 4
    assert isinstance(case.take(said), Accepted)
    case.read = None
    case.sign(HEAD)
    entry = 1 + next(n for n, e in enumerate(case.events) if isinstance(e, Accepted) and e.envelope == said)
    assert f"entry {entry}: it was applied as of entry 4 of the registry, when entry 5 was there already" == (
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
    assert "it was applied as of entry 5 of the registry, when entry 6 was there already" in (
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


def revised() -> WrittenCase:
    """A proposal of which a reviewer asked for changes, when another had agreed, and which was revised."""
    case = WrittenCase(grants=[grant(ENGINEER, Role.REVIEWER)], staff=[{"person": ENGINEER, "role": "engineer"}])
    assert case.review.route is not None
    case.accepts(RIN, ChangeRequest())
    second = [{"person": ENGINEER, "role": "engineer"}, {"person": "new.comer", "role": "operator"}]
    case.accepts(OWNER, Revision(proposal=case.written(staff=second)))
    case.accepts(JUN, sheet(on=case.review.route.principles))
    return case


def assessed_in(case: WrittenCase) -> list[tuple[int, Assessed]]:
    """What came of each revision, and where it stands."""
    return [(place, event) for place, event in enumerate(case.events) if isinstance(event, Assessed)]


def test_what_comes_of_a_proposal_comes_of_its_text() -> None:
    """Of each revision; with its registry, and without."""
    case = revised()
    assert 2 == len(assessed_in(case))
    assert case.audit().holds
    assert verify(case.evidence()).holds


CHANGED: dict[str, Callable[[Assessed], dict[str, object]]] = {
    "revision": lambda event: {"revision": event.revision + 1},
    "round": lambda event: {"round": event.round + 1},
    "subject": lambda event: {"subject": event.subject.model_copy(update={"staff": ()})},
    "subject (owner)": lambda event: {"subject": event.subject.model_copy(update={"owner": AUTHOR})},
    "subject (author)": lambda event: {"subject": event.subject.model_copy(update={"author": OWNER})},
    "subject (unit)": lambda event: {"subject": event.subject.model_copy(update={"business_unit": "Nowhere"})},
    "assessment": lambda event: {"assessment": event.assessment.model_copy(update={"tier_because": "It is said so."})},
    "assessment (route)": lambda event: {
        "assessment": event.assessment.model_copy(
            update={"route": event.assessment.route.model_copy(update={"training_required": False, "tier": 2})}
        )
    },
    "changes": lambda event: {"changes": (*event.changes, "/title")},
    "reopened": lambda event: {"reopened": (*event.reopened, "privacy")},
    "carried": lambda _: {"carried": {RIN: ("privacy",)}},
    "units": lambda _: {"units": ()},
}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("what", CHANGED)
def test_nothing_else_is_told_of_a_proposal_than_comes_of_it(what: str, number: int) -> None:
    """Who owns the database can have nobody on the staff, and keep nobody from judging: but the text says who it is."""
    case = revised()
    place, event = assessed_in(case)[number]
    forged = event.model_copy(update=CHANGED[what](event))
    assert forged != event
    said = case.audit([*case.events[:place], forged]).difference
    name = what.partition(" ")[0]
    assert f"entry {place + 1}: its {name} is not what comes of the proposal and the policy pack" == said
    alone = verify(case.evidence([*case.events[:place], forged]))
    assert alone.holds is (name in ("carried", "units"))


LEFT = Delegation(
    id="d", giver=KEI, taker=AUDITOR, roles=(Role.REVIEWER,), starts_at=START, ends_at=START + DAY, by=KEI
)


def carrying(*put: RegistryEvent) -> WrittenCase:
    """A proposal of which other people are to work on it, after Rin agreed and an auditor did for Kei, who was away, and this was
    put on record of people.
    """
    case = WrittenCase()
    assert case.review.route is not None
    case.registry.append(Delegated(at=START, by=KEI, delegation=LEFT))
    case.accepts(RIN, sheet("privacy", on=case.review.route.principles))
    case.accepts(AUDITOR, sheet("fairness", on=case.review.route.principles))
    case.now += 2 * HOUR
    case.registry += put
    case.accepts(JUN, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=case.written(staff=[{"person": ENGINEER, "role": "engineer"}])))
    return case


@pytest.mark.parametrize(
    ("put", "stand"),
    [
        ((), {RIN, KEI}),
        ((revoked(),), {KEI}),
        ((Disabled(at=START + HOUR, by=OPERATOR, person=KEI, because="They left."),), {RIN}),
        ((DelegationEnded(at=START + HOUR, by=KEI, delegation="d"),), {RIN, KEI}),
        ((PeopleEntered(at=START + HOUR, by=OPERATOR, people=(Member(person=RIN, unit=UNIT),)),), {KEI}),
    ],
)
def test_verdicts_are_carried_by_what_the_registry_says(put: tuple[RegistryEvent, ...], stand: set[str]) -> None:
    """Whose stand, and that nobody else's do, is found by who has it: who lost their role, or was moved to its unit."""
    case = carrying(*put)
    place, event = assessed_in(case)[1]
    assert stand == set(event.carried)
    assert case.audit().difference is None
    for person in (RIN, KEI):
        carried = {name: on for name, on in event.carried.items() if name != person}
        if person not in event.carried:
            carried = {**event.carried, person: ("privacy",)}
        forged = event.model_copy(update={"carried": carried})
        said = case.audit([*case.events[:place], forged]).difference
        assert f"entry {place + 1}: its carried is not what comes of the proposal and the policy pack" == said


def moving(*put: RegistryEvent) -> AuditedCase:
    """A review that Rin judged an hour after this was put on record of people."""
    case = AuditedCase()
    case.now += HOUR
    case.registry += put
    case.now += HOUR
    case.say(RIN, sheet())
    return case


def test_a_move_is_on_record_as_the_registry_has_it() -> None:
    """That of the owner, and nobody else's: told of another unit, of another entry, or of whoever did not move, it is found."""
    to_sales = PeopleEntered(at=START + HOUR, by=OPERATOR, people=(Member(person=OWNER, unit="Sales"),))
    case = moving(to_sales)
    assert case.audit().difference is None
    place, event = next((n, e) for n, e in enumerate(case.events) if isinstance(e, Moved))
    for update, difference in (
        ({"units": {OWNER: "Research"}}, "its units are not those of whoever stands for the proposal"),
        ({"units": {AUTHOR: "Sales"}}, "its units are not those of whoever stands for the proposal"),
        ({"registry": 4}, "it was applied as of entry 4 of the registry, when entry 5 was there already"),
        ({"registry": 9}, "it was applied as of entry 9 of the registry, which is at 5 there"),
    ):
        said = case.audit([*case.events[:place], event.model_copy(update=update)]).difference
        assert f"entry {place + 1}: {difference}" == said


def test_a_move_of_which_the_record_does_not_tell_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was undone before somebody judged whom it would have kept away for good."""
    monkeypatch.setattr(review_module, "moved", lambda *_: {})
    to_sales = tuple(Member(person=person, unit="Sales") for person in (OWNER, RIN))
    case = AuditedCase(route(needed=2, panel=3))
    case.registry.append(PeopleEntered(at=START + HOUR, by=OPERATOR, people=to_sales))
    case.now += 2 * HOUR
    case.accepts(KEI, sheet())
    entry = len(case.events)
    case.registry.append(PeopleEntered(at=case.now + HOUR, by=OPERATOR, people=(Member(person=OWNER, unit=UNIT),)))
    case.now += 2 * HOUR
    case.accepts(RIN, sheet())
    monkeypatch.undo()
    untold = "somebody who stands for the proposal had moved to another unit, and the record does not tell of it"
    assert f"entry {entry}: {untold}" == case.audit().difference


def test_staff_who_judged_are_found_although_the_record_is_told_without_them() -> None:
    """What was refused is not told as accepted by having the entry before say something else."""
    case = WrittenCase(grants=[grant(ENGINEER, Role.REVIEWER)], staff=[{"person": ENGINEER, "role": "engineer"}])
    assert case.review.route is not None
    said = case.envelope(ENGINEER, sheet(on=case.review.route.principles))
    assert isinstance(case.take(said), Refused)
    ((place, event),) = assessed_in(case)
    told = event.model_copy(update={"subject": event.subject.model_copy(update={"staff": ()}), "kept_away": ()})
    case.events = [told if e is event else e for e in case.events[:-1]]
    case.review = fold("R-1", case.events)
    assert isinstance(case.take(said), Accepted)
    assert f"entry {place + 1}: its subject is not" in (case.audit().difference or "")


def test_a_text_that_is_missing_is_named() -> None:
    """And so is one that was changed: it is another."""
    case = revised()
    evidence = case.evidence()
    assert evidence.proposals is not None
    assert evidence.packs is not None
    place, event = assessed_in(case)[1]
    first, second = evidence.proposals
    said = f"entry {place + 1}: the text of the proposal {event.content_digest} is not with the evidence"
    for proposals in (
        (first,),
        (first, second.replace("operator", "engineer")),
        (first, f"{second} "),
        (first, "\ud800"),
    ):
        assert said == verify(evidence.model_copy(update={"proposals": proposals})).difference
    for packs in ((), ("",), (evidence.packs[0].replace("privacy", "secrecy"),)):
        told = verify(evidence.model_copy(update={"packs": packs})).difference or ""
        assert f"the text of the policy pack {event.assessment.pack_digest} is not with the evidence" in told


def test_a_proposal_is_submitted_by_who_owns_or_wrote_it() -> None:
    """Nobody else's submission is told as accepted."""
    stranger = grant(OUTSIDER, Role.OWNER)
    case = WrittenCase(grants=[stranger])
    (_, event), (submitted, *_) = assessed_in(case)[0], case.events
    assert isinstance(submitted, Accepted)
    assert submitted.mandate is not None
    given = stranger.model_copy(update={"by": BOOTSTRAP})
    envelope = submitted.envelope.model_copy(update={"person": OUTSIDER, "grant": given.id})
    command = taken(envelope)
    under = submitted.mandate.model_copy(update={"grant": given, "unit": f"Unit of {OUTSIDER}"})
    told = submitted.model_copy(
        update={"envelope": envelope, "digest": command.digest, "proof": command.proof, "mandate": under}
    )
    assert "entry 2: the proposal was not to be taken: Only its owner or its author submits a proposal." == (
        case.audit([told, event]).difference
    )


def test_an_auditor_learns_which_keys_the_renewed_sign_ins_rest_on() -> None:
    """With the entry that says so; and can name those on which they may."""
    case = stepping_up(seen(THIEF), seen(PROVIDER))
    assert isinstance(signed_in(case, PROVIDER), Accepted)
    result = case.audit()
    assert (True, (SeenKey(published(PROVIDER), 6),), False) == (result.holds, result.issuers, result.pinned)
    pinned = case.audit(issuers=[published(PROVIDER).id])
    assert (True, result.issuers, True) == (pinned.holds, pinned.issuers, pinned.pinned)
    plain = AuditedCase()
    plain.accepts(RIN, sheet())
    assert (True, ()) == (plain.audit(issuers=[]).holds, plain.audit().issuers)


def test_a_key_that_only_the_service_calls_the_providers_is_found_by_who_knows_the_true_ones() -> None:
    """Who has the service's key puts one of their own on record, and signs in with it as anybody."""
    case = stepping_up(seen(PROVIDER), seen(THIEF))
    accepted = signed_in(case, THIEF)
    assert isinstance(accepted, Accepted)
    assert case.audit().holds
    assert (SeenKey(published(THIEF), 6),) == case.audit().issuers
    place = case.events.index(accepted)
    said = case.audit(issuers=[published(PROVIDER).id]).difference or ""
    assert said.startswith(f"entry {place + 1}: the renewed sign-in over the decision ")
    assert said.endswith(
        f"rests on the key {published(THIEF).id}, which is none of those that were named as the identity provider's"
    )


@pytest.mark.parametrize(
    "forged",
    [
        seen(THIEF, by="eve.evil"),
        seen(THIEF, by=OPERATOR),
        seen(THIEF, id=published(PROVIDER).id),
        seen(PROVIDER, audience="another"),
    ],
)
def test_the_registry_takes_no_other_key_for_the_providers(forged: IssuerKeySeen) -> None:
    """By anybody else, under the id of another, or in the place of one that is on record."""
    case = stepping_up(seen(PROVIDER))
    assert isinstance(signed_in(case, PROVIDER), Accepted)
    case.registry.append(forged.model_copy(update={"at": case.now + DAY}))
    assert "registry entry 6: it breaks a rule: " in (case.audit().difference or "")


def test_a_certificate_says_of_each_signature_whose_word_it_rests_on() -> None:
    """The service's, and where the route asks for it, the identity provider's too; and so does the auditor."""
    case = stepping_up(seen(PROVIDER))
    signed_in(case, PROVIDER)
    assert case.review.certificate is not None
    assert [True] == [sealed.signed_in for sealed in case.review.certificate.signatures]
    assert (3, 1) == (case.audit().spoken, case.audit().signed_in)
    plain = AuditedCase(route(signatories=2))
    plain.accepts(RIN, sheet())
    plain.sign(HEAD)
    plain.sign(SECOND_HEAD)
    assert plain.review.certificate is not None
    assert [False, False] == [sealed.signed_in for sealed in plain.review.certificate.signatures]
    assert "signed_in" not in plain.review.certificate.model_dump_json()
    assert (4, 0) == (plain.audit().spoken, plain.audit().signed_in)


def test_what_the_service_itself_says_rests_on_nobodys_word_for_a_person() -> None:
    """It is not counted among people's decisions."""
    case = AuditedCase()
    case.accepts(REGISTRY.person, RegistryChanged())
    assert (True, 1) == (case.audit().holds, case.audit().spoken)


def test_a_signature_is_not_told_with_another_meaning() -> None:
    """By whoever has the service's key too."""
    case = AuditedCase()
    case.accepts(RIN, sheet())
    case.sign(HEAD)
    place, there = next(
        (n, e) for n, e in enumerate(case.events) if isinstance(e, Accepted) and e.envelope.role is Role.SIGNATORY
    )
    command = taken(there.envelope.model_copy(update={"meaning": "merely takes note"}))
    told = there.model_copy(update={"envelope": command.envelope, "digest": command.digest, "proof": command.proof})
    assert (
        f"entry {place + 1}: the decision {there.envelope.decision_id}: It says that it means something else than it does."
        == (case.audit([*case.events[:place], told]).difference)
    )
