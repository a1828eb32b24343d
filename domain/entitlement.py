"""Which roles entitle to which decisions, and under which grant somebody acts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from domain.decisions import Reason
from domain.people import Grant, Role, belongs_to
from domain.proposal import Proposal
from domain.refusal import Refusal
from domain.route import OWN, Eligible, SignatoryStep
from domain.stages import Stage
from domain.state import Review, Subject
from domain.turns import Turn
from domain.values import PersonId

ROLES: dict[str, tuple[Role, ...]] = {
    "submission": (Role.OWNER,),
    "revision": (Role.OWNER,),
    "answer": (Role.OWNER,),
    "withdrawal": (Role.OWNER,),
    "verdict_sheet": (Role.REVIEWER,),
    "reopening": (Role.REVIEWER,),
    "change_request": (Role.REVIEWER, Role.OFFICER),
    "question": (Role.REVIEWER, Role.OFFICER, Role.COUNCIL_MEMBER, Role.SIGNATORY),
    "escalation": (Role.REVIEWER, Role.OFFICER),
    "opinion": (Role.COUNCIL_MEMBER,),
    "recusal": (Role.COUNCIL_MEMBER,),
    "conflict": (Role.REVIEWER, Role.COUNCIL_MEMBER, Role.OFFICER, Role.SIGNATORY),
    "advice_response": (Role.OFFICER,),
    "no_opinion": (Role.OFFICER,),
    "extension": (Role.OFFICER,),
    "ruling": (Role.OFFICER,),
    "signature": (Role.SIGNATORY,),
    "declining": (Role.SIGNATORY,),
    "claim": (Role.REVIEWER, Role.OFFICER, Role.SIGNATORY),
    "release": (Role.REVIEWER, Role.OFFICER, Role.SIGNATORY),
    "reassignment": (Role.OFFICER,),
    "training_recorded": (Role.SERVICE,),
    "registry_changed": (Role.SERVICE,),
    "discrepancy": (Role.SERVICE,),
    "repair": (Role.OPERATOR,),
}
"""The roles of which one must be held for each kind of decision."""

AT_HOME = {
    Role.REVIEWER: Stage.PRINCIPLE_REVIEW,
    Role.COUNCIL_MEMBER: Stage.COUNCIL,
    Role.SIGNATORY: Stage.SIGN_OFF,
}
"""The stage in which a role acts; the other roles act throughout."""

IN_ANY_STAGE = frozenset({"escalation", "reopening", "conflict"})
"""What can be done in any stage: ask, as reviewer, for more to be heard, or step aside."""

REGISTER = Grant(id="ringi", person="ringi:training-register", role=Role.SERVICE)
"""What the training register acts under. It is granted to nobody."""

NO_UNITS: Mapping[PersonId, str] = MappingProxyType({})

RECONCILER = Grant(id="ringi", person="ringi:reconciler", role=Role.SERVICE)
"""What the reconciler acts under. It is granted to nobody."""

REGISTRY = Grant(id="ringi", person="ringi:registry", role=Role.SERVICE)
"""What the registry of people, roles and absences acts under. It is granted to nobody."""

SERVICES: dict[str, Grant] = {
    "training_recorded": REGISTER,
    "registry_changed": REGISTRY,
    "discrepancy": RECONCILER,
}
"""The kinds of decision that the service itself makes, and what it makes them under."""

_MEANINGS = {
    "submission": "submits the proposal for review",
    "revision": "submits a revised proposal",
    "answer": "answers for the proposal",
    "withdrawal": "withdraws the proposal",
    "reopening": "asks for verdicts on a principle anew",
    "change_request": "asks for changes",
    "question": "asks the owner",
    "escalation": "escalates to the Advisory Council",
    "recusal": "steps aside from this case",
    "conflict": "declares a conflict of interest and steps aside",
    "advice_response": "answers the Council's advice",
    "no_opinion": "goes on without an opinion of the Council",
    "extension": "extends the time",
    "ruling": "rules on the review",
    "signature": "signs, out of turn",
    "claim": "says that they will do it, before others",
    "release": "gives back what they claimed",
    "reassignment": "says who should do it, or ends a claim",
    "training_recorded": "records that training was completed",
    "registry_changed": "records that roles or absences changed",
    "discrepancy": "records that Temporal and the record differed",
    "repair": "has the workflow started anew from the record",
}


def steps_left(review: Review) -> tuple[tuple[SignatoryStep, int], ...]:
    """The offices that have still to sign, in their order, each with how many of its holders are left to sign."""
    steps = () if review.route is None else review.route.signatories
    done = len(review.signatures)
    left: list[tuple[SignatoryStep, int]] = []
    for step in steps:
        given = min(done, step.needed)
        done -= given
        if given < step.needed:
            left.append((step, step.needed - given))
    return tuple(left)


def current_step(review: Review) -> SignatoryStep | None:
    """The office whose signature is due next, if the review is in sign-off."""
    left = steps_left(review) if review.stage is Stage.SIGN_OFF else ()
    return left[0][0] if left else None


def speaks_for_the_unit(review: Review, office: str | None) -> bool:
    """Whether this office, or the one that it is the deputy of, signs for the unit which the proposal comes from."""
    steps = () if review.route is None else review.route.signatories
    speaking = (step for step in steps if step.speaks_for_unit or step.unit == OWN)
    return any(office in step.offices for step in speaking)


def units_of(review: Review, rule: Eligible) -> tuple[str, ...]:
    """The units to which this rule keeps an act; none where it keeps it to none. Of those that the proposal comes from it
    is the one that it names: nobody is entitled by where its people belong.
    """
    if rule.unit is None:
        return ()
    if rule.unit != OWN:
        return (rule.unit,)
    return () if review.subject is None else (review.subject.business_unit,)


def eligible(review: Review, rule: Eligible, grant: Grant, unit: str | None) -> bool:
    """Whether the holder of this grant, who belongs to `unit`, is one of those whom the rule allows."""
    stands_in = isinstance(rule, SignatoryStep) and grant.office in rule.offices[1:]
    named = not rule.people or grant.person in rule.people or stands_in
    return named and (rule.unit is None or belongs_to(unit, units_of(review, rule)))


def officer_offices(review: Review) -> tuple[str, ...]:
    """The offices that may act as officer now: the one the route names, and its deputy once the wait is overdue, or the
    owner is with an answer.
    """
    if review.route is None:
        return ()
    late = review.overdue or review.owner_overdue
    return review.route.officers if late else review.route.officers[:1]


def officers(review: Review, turn: Turn) -> tuple[Turn, ...]:
    """This turn of the officer, once for each office that may take it now; a deputy's since the wait is overdue."""
    first, *deputies = officer_offices(review)
    late = {"since": review.due_at or turn.since}
    return (
        turn.model_copy(update={"office": first}),
        *(turn.model_copy(update={"office": office, **late}) for office in deputies),
    )


def signatory_offices(review: Review) -> tuple[str, ...]:
    """The offices that may sign now: the one whose turn it is, and its deputy once it is overdue."""
    step = current_step(review)
    if step is None:
        return ()
    return step.offices if review.overdue else step.offices[:1]


def entitles(review: Review, kind: str, grant: Grant, unit: str | None = None) -> bool:
    """Whether the grant entitles its holder, who belongs to `unit`, to a decision of `kind` on this review as it stands.

    A reviewer's, council member's or signatory's grant counts in the stage that is theirs, if the route allows its
    holder; an officer's or signatory's in the offices whose turn it can be; a council member's where they are seated; an
    owner's for the proposals that they own, or, short of withdrawing, wrote. Anybody who could judge can declare a
    conflict of interest, and whoever holds a claim can give it back. Whoever may do something can claim it
    (`domain.decisions.governed_by`).
    """
    if grant.role not in ROLES.get(kind, ()) or _elsewhere(review, kind, grant):
        return False
    match grant.role:
        case _ if kind == "conflict":
            return True
        case role if kind == "release":
            held = review.claim_of(grant.person)
            return held is not None and role in ROLES[held.act]
        case Role.OWNER if kind == "submission":
            return True
        case Role.OWNER:
            subject = review.subject
            people = () if subject is None else subject.proposers
            return grant.person in (people[:1] if kind == "withdrawal" else people)
        case Role.OFFICER:
            return grant.office in officer_offices(review)
        case Role.REVIEWER:
            return review.route is not None and eligible(review, review.route.reviewers, grant, unit)
        case Role.SIGNATORY:
            step = current_step(review)
            allowed = step is not None and eligible(review, step, grant, unit)
            return allowed and grant.office in signatory_offices(review)
        case Role.COUNCIL_MEMBER:
            return is_seated(review, grant)
        case _:
            return True


def may_propose(proposal: Proposal | Subject, person: PersonId) -> bool:
    """Whether this proposal is this person's to put before reviewers: they own or wrote it. A delegate of theirs answers
    for it then, and revises it, but does not submit it.
    """
    return person in proposal.proposers


def is_seated(review: Review, grant: Grant) -> bool:
    """Whether the holder of this grant sits on the case in that seat, whichever grant they were seated under."""
    seats = review.council.roster or ()
    return any((seat.person, seat.office) == (grant.person, grant.office) for seat in seats)


def not_entitled(review: Review, kind: str, grant: Grant) -> Refusal:
    """Why a grant that does not entitle to this decision does not."""
    if _elsewhere(review, kind, grant):
        return Refusal(Reason.OUT_OF_STAGE, f"As {_words(grant.role)} you act during {_words(AT_HOME[grant.role])}.")
    if kind == "release":
        return Refusal(Reason.UNKNOWN_REFERENCE, "You have claimed nothing here, or your claim has ended.")
    rule = _rule_for(review, grant)
    if rule is not None:
        return Refusal(Reason.NOT_ENTITLED, f"On this route only {_allowed(review, rule)} can do this.")
    if grant.role is Role.SIGNATORY and review.route is not None:
        step = current_step(review)
        if any(grant.office == signatory.office for signatory in review.route.signatories):
            turn = "" if step is None else f" The next signature: {step.title}."
            return Refusal(Reason.OUT_OF_STAGE, f"It is not your office's turn to sign.{turn}")
    office = "" if grant.office is None else f" ({grant.office})"
    return Refusal(
        Reason.NOT_ENTITLED,
        f"Your role as {_words(grant.role)}{office} does not entitle you to this on this review, as it stands.",
    )


def acting_grant(
    review: Review,
    kind: str,
    grants: Iterable[Grant],
    person: PersonId,
    units: Mapping[PersonId, str] = NO_UNITS,
    asked: Collection[PersonId] = (),
    forbidden: Callable[[Grant], bool] = lambda _: False,
) -> Grant | None:
    """The grant, of those that `person` holds or that were left to them, that they act under: one that entitles them
    (their own before another's), or else one of a role that could (so that the refusal is on record with it), or none.
    Before them all comes a grant of somebody who alone is `asked`, and after them all one under which it is `forbidden`:
    nobody is kept from judging by one more grant of what they hold. `units` are those of the grants' holders.
    """
    fitting = [grant for grant in grants if grant.role in ROLES.get(kind, ())]
    fitting.sort(key=lambda grant: (forbidden(grant), grant.person not in asked, grant.person != person))
    entitling = (grant for grant in fitting if entitles(review, kind, grant, units.get(grant.person)))
    return next(entitling, fitting[0] if fitting else None)


def meaning(review: Review, kind: str, grant: Grant, person: PersonId) -> str:
    """What a decision of `kind` means that `person` makes under `grant`, in words that stand beside their name."""
    said = _meaning(review, kind, grant)
    own = grant.person == person or grant.role is Role.SERVICE or kind == "conflict"
    return said if own else _on_a_line(f"for {grant.person}: {said}")


def _meaning(review: Review, kind: str, grant: Grant) -> str:
    step = current_step(review)
    if kind == "signature" and step is not None and grant.office in step.offices:
        return step.meaning if grant.office == step.office else _on_a_line(f"as deputy, {step.meaning}")
    if kind == "declining":
        return "declines the proposal as signatory"
    if kind == "verdict_sheet":
        return "gives a verdict on each principle of the sheet"
    if kind == "opinion":
        return f"gives an opinion for the {grant.office} seat of the Advisory Council"
    return _MEANINGS.get(kind, kind)


def _on_a_line(said: str) -> str:
    # As an envelope keeps it, which has no space at its end: what it means is compared with what it says.
    return said[:200].rstrip()


def _rule_for(review: Review, grant: Grant) -> Eligible | None:
    """What the route says of whoever acts under this grant now, if it says something of them."""
    if grant.role is Role.REVIEWER:
        return None if review.route is None else review.route.reviewers
    return current_step(review) if grant.office in signatory_offices(review) else None


def _allowed(review: Review, rule: Eligible) -> str:
    people, units = " or ".join(rule.people), " or ".join(units_of(review, rule))
    return " of ".join(part for part in (people or "members", units) if part)


def _elsewhere(review: Review, kind: str, grant: Grant) -> bool:
    return kind not in IN_ANY_STAGE and AT_HOME.get(grant.role, review.stage) is not review.stage


def _words(name: str) -> str:
    return name.replace("_", " ")
