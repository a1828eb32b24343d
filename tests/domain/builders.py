"""What the tests of the process share: example people, routes, and a review that is played without any server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain import sign_off
from domain.access import may_read
from domain.assessment import Assessment
from domain.calendar import MONDAY_TO_FRIDAY
from domain.canonical import digest_of, sha256
from domain.commands import Command, FallDue, Take
from domain.completions import Completion
from domain.deadlines import due_before, next_deadline
from domain.decisions import (
    AdviceAnswer,
    AdviceResponse,
    Answer,
    AnyContent,
    Envelope,
    Finding,
    Opinion,
    Reason,
    Revision,
    Signature,
    Stance,
    Submission,
    Verdict,
    VerdictSheet,
)
from domain.drafts import Draft, seal, stored_bytes
from domain.dsse import DECISION, Ed25519Signer
from domain.entitlement import SERVICES
from domain.events import Accepted, Event, Refused
from domain.facts import Facts, Proposed, SigningKey, Standing
from domain.notices import Notice, notices
from domain.people import Assigned, Delegation, Grant, Holder, Role, Seat
from domain.principles import judges
from domain.proof import Proof
from domain.review import decide, evolve, waits_for
from domain.route import Allowance, CouncilRule, Course, Phase, Requirement, ReviewersRule, Route, SignatoryStep
from domain.state import Deadline, Review, Subject
from domain.turns import changes
from domain.values import Digest

START = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PACK = digest_of("an example pack")

OWNER, AUTHOR, ENGINEER = "hana.owner", "aki.author", "sota.engineer"
REVIEWERS = ("rin.reviewer", "jun.reviewer", "kei.reviewer", "mao.reviewer")
RIN, JUN, KEI, MAO = REVIEWERS
COUNCIL = {
    "lea.lawyer": Seat.LAWYER,
    "noa.npo": Seat.NPO,
    "ada.academic": Seat.ACADEMIC,
    "cai.consumer": Seat.CONSUMER,
}
LEA, NOA, ADA, CAI = COUNCIL
OFFICER, DEPUTY = "omi.officer", "dai.deputy"
HEAD, HEAD_DEPUTY = "bo.head", "be.deputy"
SECOND, SECOND_DEPUTY = "di.head", "du.deputy"
TRAINER, AUDITOR, OPERATOR = "tao.training", "ava.auditor", "ops.operator"
OUTSIDER = "oto.outsider"

UNIT = "Example Facilities"
"""The unit that the proposal comes from."""

PRINCIPLES = ("fairness", "privacy")
ONLINE = Course(id="online", title="AI and human rights, online", valid_for=timedelta(days=365))
LECTURE = Course(id="lecture", title="Lecture on biometrics and human rights")


SIGNER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def taken(envelope: Envelope) -> Take:
    """The command that takes this decision, as it would be stored: signed."""
    data = stored_bytes(envelope)
    return Take(envelope=envelope, digest=sha256(data), proof=Proof(signatures=(SIGNER.signature(DECISION, data),)))


def grant(person: str, role: Role, office: str | None = None) -> Grant:
    """A grant with an id that tells what it is."""
    return Grant(id=f"{person}/{role}/{office or '-'}", person=person, role=role, office=office)


GRANTS = (
    grant(OWNER, Role.OWNER),
    grant(AUTHOR, Role.OWNER),
    *(grant(person, Role.REVIEWER) for person in REVIEWERS),
    *(grant(person, Role.COUNCIL_MEMBER, seat) for person, seat in COUNCIL.items()),
    grant(OFFICER, Role.OFFICER, "officer"),
    grant(DEPUTY, Role.OFFICER, "deputy_officer"),
    grant(HEAD, Role.SIGNATORY, "head"),
    grant(HEAD_DEPUTY, Role.SIGNATORY, "head_deputy"),
    grant(SECOND, Role.SIGNATORY, "second"),
    grant(SECOND_DEPUTY, Role.SIGNATORY, "second_deputy"),
    grant(TRAINER, Role.TRAINING_OFFICER),
    grant(AUDITOR, Role.AUDITOR),
    grant(OPERATOR, Role.OPERATOR),
)


def route(
    *,
    needed: int = 1,
    panel: int = 1,
    council: bool = False,
    training: bool = False,
    signatories: int = 1,
    deputies: bool = True,
) -> Route:
    """A route; the allowances differ, so that no two waits are taken for each other."""
    steps = (
        SignatoryStep(office="head", title="Head", deputy="head_deputy" if deputies else None, meaning="approves"),
        SignatoryStep(office="second", title="Second", deputy="second_deputy" if deputies else None, meaning="agrees"),
    )
    requirements = (Requirement(courses=(ONLINE,)), Requirement(role="engineer", courses=(LECTURE,)))
    return Route(
        tier=4,
        tier_name="example",
        principles=PRINCIPLES,
        reviewers=ReviewersRule(needed=needed, panel=panel),
        officer="officer",
        deputy_officer="deputy_officer" if deputies else None,
        council_required=council,
        council=CouncilRule(seats=tuple(Seat), quorum=3, must_include=(Seat.CONSUMER,)),
        training_required=training,
        requirements=requirements if training else (),
        signatories=steps[:signatories],
        allowances={
            phase: Allowance(remind_after=timedelta(days=5 + n), due_after=timedelta(days=20 + n))
            for n, phase in enumerate(Phase)
        },
        valid_for=timedelta(days=365),
    )


def text_digest(revision: int) -> Digest:
    """The content digest of an example text."""
    return digest_of(f"text {revision}")


def sheet(*breaches: str, condition: str | None = None, on: Iterable[str] = PRINCIPLES) -> VerdictSheet:
    """A sheet that finds these principles breached and the others respected, or of concern on a condition."""
    fine = Finding.RESPECTED if condition is None else Finding.CONCERN
    return VerdictSheet(
        verdicts=tuple(
            Verdict(principle=p, finding=Finding.BREACH, reason=f"{p} is broken")
            if p in breaches
            else Verdict(principle=p, finding=fine, reason="as described", condition=condition)
            for p in on
        )
    )


def opinion(*advice: str, stance: Stance = Stance.SUPPORTS) -> Opinion:
    """An opinion with these pieces of advice."""
    return Opinion(stance=stance, advice=advice)


def completion(person: str, course: Course = ONLINE, at: datetime = START) -> Completion:
    """A completion on record."""
    return Completion(person=person, course=course.id, completed_at=at - DAY)


def answers(review: Review, answer: Answer = Answer.ACCEPTED) -> AdviceResponse:
    """The officer's answer to every piece of advice that has none."""
    part = "only in part" if answer is Answer.ACCEPTED_IN_PART else None
    return AdviceResponse(
        answers=tuple(
            AdviceAnswer(advice=piece.id, answer=answer, reason="considered", condition=part)
            for piece in review.council.advice
            if piece.answer is None
        )
    )


def all_new(text: Digest) -> dict[str, Digest]:
    """What the principles are judged by in this text, where everything changes with it."""
    return dict.fromkeys(PRINCIPLES, text)


def noticed(before: Review, after: Review, events: Sequence[Event]) -> tuple[Notice, ...]:
    """What is to be told of these events."""
    turns = waits_for(after)
    return notices(before, after, events, turns, changes(waits_for(before), turns))


class Case:
    """One review, played as the commit plays it: the deadlines before a decision first, then the decision.

    `grants`, `delegations`, `disabled`, `units`, `completions` and `now` are the registers and the clock, free to be
    changed between decisions; `staff` is
    that of the next text, and `changes` what it changes. `inputs` says by what each principle is judged in a text.
    """

    pack_digest = PACK

    def __init__(
        self,
        its_route: Route | None = None,
        *,
        owner: str = OWNER,
        author: str = AUTHOR,
        staff: tuple[Assigned, ...] = (Assigned(person=ENGINEER, role="engineer"),),
        grants: Iterable[Grant] = GRANTS,
        opened: bool = True,
        inputs: Callable[[Digest], dict[str, Digest]] = all_new,
    ) -> None:
        self.route = its_route or route()
        self.owner, self.author, self.staff = owner, author, staff
        self.grants = list(grants)
        self.delegations: list[Delegation] = []
        self.disabled: set[str] = set()
        self.units: dict[str, str] = {owner: UNIT, author: UNIT}
        self.inputs = inputs
        self.changes: tuple[str, ...] = ("/purpose",)
        self.completions: list[Completion] = []
        self.calendar = MONDAY_TO_FRIDAY
        self.now = START
        self.review = Review(id="R-1")
        self.events: list[Event] = []
        self.commands: list[tuple[Command, tuple[Event, ...]]] = []
        self._said = 0
        if opened:
            assert isinstance(self.say(author, Submission(), digest=text_digest(1)), Accepted)

    def facts(self, envelope: Envelope | None = None) -> Facts:
        """The registers, as the store would read them for this decision."""
        proposed = None
        match envelope:
            case Envelope(content=Submission()):
                proposed = self.proposed(envelope.content_digest)
            case Envelope(content=Revision(proposal=digest)):
                proposed = self.proposed(digest)
            case _:
                pass
        return Facts(
            standing=self.standing(None if envelope is None else envelope.person),
            keys=(SigningKey(public=SIGNER.public, added_at=START - DAY),),
            packs=() if envelope is None else (envelope.pack_digest,),
            holders=self.holders(),
            completions=tuple(self.completions),
            units={
                p: self.unit_of(p) for p in (self.owner, self.author, *self.review.proposed_by, *judges(self.review))
            },
            proposed=proposed,
            calendar=self.calendar,
        )

    def standing(self, person: str | None) -> Standing:
        """What the registers say of this person."""
        delegations = tuple(d for d in self.delegations if person in (d.giver, d.taker))
        givers = {d.giver for d in delegations if d.taker == person} - self.disabled
        return Standing(
            units={known: self.unit_of(known) for known in sorted({person or "", *givers} - {""})},
            disabled=person in self.disabled,
            grants=tuple(g for g in self.grants if g.person == person or g.person in givers),
            delegations=delegations,
        )

    def holders(self) -> tuple[Holder, ...]:
        """Everybody with a role who may act, themselves or by whom they left it to."""
        found: list[Holder] = []
        for each in self.grants:
            away = next((d for d in self.delegations if d.giver == each.person and d.covers(each.role, self.now)), None)
            taker = None if away is None else away.taker
            if not {each.person, taker} & self.disabled:
                unit = None if taker is None else self.unit_of(taker)
                found.append(
                    Holder(
                        grant=each,
                        unit=self.unit_of(each.person),
                        delegate=taker,
                        delegate_unit=unit,
                        lent_by=None if away is None else away.lent_by,
                    )
                )
        return tuple(found)

    def unit_of(self, person: str) -> str:
        """The unit that this person belongs to: their own, where nothing else is said."""
        return self.units.get(person, f"Unit of {person}")

    def may_read(self, person: str) -> bool:
        """Whether this person may read the review now."""
        return may_read(self.review, person, self.standing(person).at(person, self.now))

    def delegates(self, giver: str, taker: str, *roles: Role, days: int = 10, by: str | None = None) -> Delegation:
        """Have somebody leave these roles to another from now on, or `by` somebody else for them."""
        number = len(self.delegations) + 1
        delegation = Delegation(
            id=f"delegation-{number}",
            giver=giver,
            taker=taker,
            roles=roles,
            starts_at=self.now,
            ends_at=self.now + days * DAY,
            by=by or giver,
        )
        self.delegations.append(delegation)
        return delegation

    def proposed(self, digest: Digest) -> Proposed:
        """What the pack makes of the example text with this digest."""
        return Proposed(
            subject=Subject(
                title="Forecast of the air in meeting rooms",
                business_unit=UNIT,
                owner=self.owner,
                author=self.author,
                staff=self.staff,
            ),
            assessment=Assessment(
                pack_id="example",
                pack_version="1",
                pack_digest=PACK,
                content_digest=digest,
                score=7,
                max_score=100,
                contributions=(),
                ignored=(),
                tier=self.route.tier,
                tier_because="An example.",
                triggers=(),
                council_because="The tier asks for it." if self.route.council_required else None,
                training_because="The tier says so.",
                route=self.route,
                inputs=self.inputs(digest),
            ),
            changes=() if self.review.stage is None else self.changes,
        )

    def envelope(
        self,
        person: str,
        content: AnyContent,
        *,
        reason: str | None = "because",
        digest: Digest | None = None,
        under: Grant | None = None,
    ) -> Envelope:
        """A decision as it is stored now; of somebody without a fitting role, under `under`."""
        self._said += 1
        draft = Draft(
            decision_id=UUID(int=self._said),
            review=self.review.id,
            person=person,
            digest=self.review.content_digest if digest is None else digest,
            content=content,
            reason=reason,
        )
        standing = self.standing(person).at(person, self.now)
        service = SERVICES.get(content.kind)
        acting = standing if service is None else Standing(grants=(service,))
        sealed = seal(draft, self.review, self.pack_digest, acting, self.now)
        if sealed is not None:
            return sealed
        forged = under or Grant(id="none", person=person, role=Role.OPERATOR)
        return Envelope(
            decision_id=draft.decision_id,
            review=draft.review,
            revision=self.review.revision,
            content_digest=draft.digest,
            pack_digest=self.review.pack_digest,
            stage=self.review.stage,
            round=self.review.round,
            kind=content.kind,
            content=content,
            meaning="says something",
            reason=reason,
            person=person,
            role=forged.role,
            grant=forged.id,
            received_at=self.now,
        )

    def take(self, envelope: Envelope) -> Accepted | Refused:
        """Commit a stored decision, the deadlines that fell due before it first."""
        while (deadline := due_before(self.review, envelope.received_at)) is not None:
            self.apply(FallDue(deadline=deadline.id), self.facts())
        command = taken(envelope)
        happened = self.apply(command, self.facts(envelope))
        (answer,) = (event for event in happened if isinstance(event, Accepted | Refused))
        return answer

    def apply(self, command: Command, facts: Facts) -> tuple[Event, ...]:
        """Decide, and fold what happened."""
        happened = decide(self.review, command, facts, self.now)
        for event in happened:
            self.review = evolve(self.review, event)
        self.events += happened
        self.commands.append((command, happened))
        return happened

    def say(
        self,
        person: str,
        content: AnyContent,
        *,
        reason: str | None = "because",
        digest: Digest | None = None,
        under: Grant | None = None,
    ) -> Accepted | Refused:
        """Store a decision and commit it at once."""
        return self.take(self.envelope(person, content, reason=reason, digest=digest, under=under))

    def refusal(
        self, person: str, content: AnyContent, *, digest: Digest | None = None, under: Grant | None = None
    ) -> Reason:
        """Why this is refused; it must be."""
        answer = self.say(person, content, digest=digest, under=under)
        assert isinstance(answer, Refused), answer
        return answer.reason

    def accepts(self, person: str, content: AnyContent, *, digest: Digest | None = None) -> None:
        """Say it; it must be accepted."""
        answer = self.say(person, content, digest=digest)
        assert isinstance(answer, Accepted), answer

    def time_runs_out(self, person: str | None = None) -> tuple[Event, ...]:
        """Let the time pass, with every reminder, until the present wait is due, or this person,
        and nothing else happen.
        """
        events: tuple[Event, ...] = ()
        while (deadline := next_deadline(self.review)) is not None:
            events += self.rings(deadline)
            if (deadline.kind, deadline.person) == ("due", person):
                break
        self.now += HOUR
        return events

    def rings(self, deadline: Deadline) -> tuple[Event, ...]:
        """Let this deadline fall due, when it is time."""
        self.now = max(self.now, deadline.at)
        return self.apply(FallDue(deadline=deadline.id), self.facts())

    def trained(self) -> None:
        """Put every completion on record that the staff may need."""
        self.completions += [completion(m.person, c, self.now) for m in self.staff for c in (ONLINE, LECTURE)]

    def agree(self) -> None:
        """As many agreeing sheets as are needed."""
        self.agree_by(*REVIEWERS[: self.route.reviewers.needed])

    def agree_by(self, *people: str) -> None:
        """An agreeing sheet of each of these."""
        for person in people:
            self.accepts(person, sheet())

    def consult(self, *advice: str) -> None:
        """Every member of the Council gives an opinion, the first one with this advice."""
        for number, person in enumerate(COUNCIL):
            self.accepts(person, opinion(*(advice if number == 0 else ())))

    def to_sign_off(self) -> None:
        """Everything up to sign-off, without an objection."""
        self.trained()
        self.agree()
        if self.route.council_required:
            self.consult()

    def sign(self, person: str, *conditions: str) -> Accepted | Refused:
        """Sign what is to be signed now."""
        return self.say(person, Signature(basis=sign_off.basis(self.review), conditions=conditions))
