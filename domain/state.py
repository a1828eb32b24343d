"""The state of a review: what the fold of its events amounts to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from pydantic import Field

from domain.calendar import Span
from domain.certificate import Certificate, Condition, DeclinedAdvice, Dissent
from domain.completions import TrainingCheck
from domain.decisions import Act, Answer, Finding, Stance
from domain.people import Assigned, Grant, Role, Seat
from domain.route import Phase, Route
from domain.stages import Outcome, Stage
from domain.values import DecisionId, Digest, Instant, Line, PersonId, Prose, ReviewId, Slug, Value


class Subject(Value):
    """What the process must know of a proposal: who stands for it and who would work on it."""

    title: Line
    business_unit: Line
    owner: PersonId
    author: PersonId
    staff: tuple[Assigned, ...]

    @property
    def proposers(self) -> tuple[PersonId, PersonId]:
        """Who stands for it: its owner and its author, who may be one person."""
        return self.owner, self.author


class Given(Value):
    """The core of an accepted decision: which one, whose, and the digest of its envelope; `for_person` is whose place
    its maker acted in, where they did.
    """

    decision: DecisionId
    digest: Digest
    person: PersonId
    at: Instant
    for_person: PersonId | None = None

    @property
    def voice(self) -> PersonId:
        """Whose voice it was: whoever acts in another's place has that other's and no second one."""
        return self.for_person or self.person

    @property
    def people(self) -> tuple[PersonId, ...]:
        """Whose act it was: its maker's, and that of whoever left it to them."""
        return (self.person,) if self.for_person is None else (self.person, self.for_person)


class Voice(Value):
    """Somebody was heard in judging: `person`, with the voice of `of`, which is their own unless they acted in another's
    place. `given_by` are those whose doing it was that they could.
    """

    person: PersonId
    of: PersonId
    role: Role
    round: int
    # Left out where there are none, so that a state of before they were asked for has the digest that it always had.
    given_by: tuple[PersonId, ...] = Field(default=(), exclude_if=lambda givers: not givers)


class Found(Value):
    """A finding on one principle. The reason is kept where it may have to stand on the certificate: at a breach."""

    principle: Slug
    finding: Finding
    condition: Prose | None = None
    reason: Prose | None = None


class Sheet(Value):
    """The verdicts of one decision of a reviewer that count in this round.

    `carried_from` is the revision that they were given on, where that is an earlier one.
    """

    by: Given
    findings: tuple[Found, ...]
    carried_from: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether there is no breach in it."""
        return not any(found.finding is Finding.BREACH for found in self.findings)


class Revised(Value):
    """A revision of the proposal, and what changed in it against the one before: JSON pointers."""

    number: int
    digest: Digest
    changes: tuple[str, ...] = ()


class Asked(Value):
    """A question to the owner that is still open, asked in the wait of this number."""

    by: Given
    holds_sign_off: bool
    wait: int = 0
    text: Prose | None = None


class Advised(Value):
    """A council member's opinion; the reason is kept where it dissents."""

    by: Given
    seat: Seat
    stance: Stance
    reason: Prose | None = None


class Advice(Value):
    """One piece of advice, and what the officer answered."""

    id: str
    text: Prose
    given_by: PersonId
    decision: DecisionId
    answer: Answer | None = None
    answered_by: PersonId | None = None
    answered_in: DecisionId | None = None
    reason: Prose | None = None
    condition: Prose | None = None


class Called(Value):
    """Why the Council is asked though the route did not."""

    person: PersonId
    reason: Prose


class Consultation(Value):
    """The Council's part in this round."""

    roster: tuple[Grant, ...] | None = None
    opinions: tuple[Advised, ...] = ()
    recused: tuple[PersonId, ...] = ()
    advice: tuple[Advice, ...] = ()
    concluded: Literal["opinion", "no_opinion"] | None = None
    no_opinion_because: Prose | None = None
    no_opinion_by: Given | None = None


class Ruled(Value):
    """The officer's ruling."""

    by: Given
    ruling: Literal["proceed", "decline"]
    reason: Prose


class Signed(Value):
    """A signature on `basis`."""

    by: Given
    office: Slug
    meaning: Line
    basis: Digest
    conditions: tuple[Prose, ...] = ()
    answers: int = 0
    """How many of the owner's answers it rests on; the later ones came after it."""


class Claimed(Value):
    """A place in a turn that is held by `person`: by their own word, or because the officer named them. `office` is the
    one that a signature is for.
    """

    act: Act
    office: Slug | None = None
    person: PersonId
    by: Given


class Deadline(Value):
    """An absolute moment at which something happens by itself."""

    id: str
    kind: Literal["remind", "due"]
    at: Instant
    person: PersonId | None = None


class Clock(Value):
    """The time that a wait has or, where a person is named, that they have of their own, counted from when they were
    asked.

    It runs towards `due_at`, with a reminder before; once `overdue`, there are only reminders. While it stands still,
    since `stopped_at`, nothing is due, and `due_left` and `remind_left` say what is left of it. Its `number` is its own:
    it gets another one whenever its moments change.
    """

    number: int
    phase: Phase
    person: PersonId | None = None
    question: DecisionId | None = None
    since: Instant
    runs_since: Instant
    remind_at: Instant | None = None
    due_at: Instant | None = None
    reminders: int = 0
    """How many there were: before it was due; once it is overdue, since then."""
    overdue: bool = False
    stopped_at: Instant | None = None
    due_left: Span | None = None
    remind_left: Span | None = None

    @property
    def deadlines(self) -> tuple[Deadline, ...]:
        """What it will ring for, the sooner first."""
        wait = f"{self.phase}-{self.number}"
        remind = f"{wait}-overdue" if self.overdue else f"{wait}-remind"
        if self.reminders:
            remind = f"{remind}-{self.reminders + 1}"
        found = []
        if self.remind_at is not None:
            found.append(Deadline(id=remind, kind="remind", at=self.remind_at, person=self.person))
        if self.due_at is not None and not self.overdue:
            found.append(Deadline(id=f"{wait}-due", kind="due", at=self.due_at, person=self.person))
        return tuple(found)


class Lack(Value):
    """Something of the route that nobody can do, or too few people; `stage` is where the review comes to stand still."""

    stage: Stage
    what: Prose


class Passage(Value):
    """How a stage was passed."""

    result: Literal["completed", "not_required", "no_opinion"]
    because: Prose


class Review(Value):
    """One run of the process over a proposal, as far as the ledger tells it. `seq` is the last entry folded in."""

    id: ReviewId
    seq: int = 0
    subject: Subject | None = None
    route: Route | None = None
    pack_digest: Digest = "0" * 64
    assessment_digest: Digest = "0" * 64
    content_digest: Digest = "0" * 64
    inputs: dict[Slug, Digest] = Field(default_factory=dict)
    training_because: str = ""
    revision: int = 0
    round: int = 0
    revisions: tuple[Revised, ...] = ()

    stage: Stage | None = None
    phase: Phase | None = None
    wait: int = 0
    """The number with which the present wait began."""
    waits: int = 0
    """The last number that a wait, or one person's time, began with."""
    phase_since: Instant | None = None
    clocks: tuple[Clock, ...] = ()
    passed: dict[Stage, Passage] = Field(default_factory=dict)
    returned: str | None = None
    """Why it last went back to a stage in this round, if it did."""
    # Left out where nothing is lacking, so that the digests of reviews that never were blocked stay as they are.
    blocked: tuple[Lack, ...] = Field(default=(), exclude_if=lambda lacks: not lacks)
    """What nobody can do of all that the route still asks for."""
    blocked_since: Instant | None = Field(default=None, exclude_if=lambda since: since is None)

    sheets: tuple[Sheet, ...] = ()
    changes: Given | None = None
    questions: tuple[Asked, ...] = ()
    answered: tuple[Digest, ...] = ()
    ruling: Ruled | None = None
    called: Called | None = None
    council: Consultation = Consultation()
    training: TrainingCheck | None = None
    signatures: tuple[Signed, ...] = ()
    # Left out where there are none, so that a state without claims has the digest that it always had.
    claims: tuple[Claimed, ...] = Field(default=(), exclude_if=lambda claims: not claims)

    vacated: tuple[PersonId, ...] = Field(default=(), exclude_if=lambda people: not people)
    """Who has verdicts to complete and can't any more."""

    proposed_by: tuple[PersonId, ...] = ()
    assigned: tuple[PersonId, ...] = ()
    reviewed_by: tuple[PersonId, ...] = ()
    advised_by: tuple[PersonId, ...] = ()
    ruled_by: tuple[PersonId, ...] = ()
    heard: tuple[Voice, ...] = ()
    aside: tuple[PersonId, ...] = ()
    """Who declared a conflict of interest, in whatever role."""
    grantors: tuple[PersonId, ...] = ()
    """Who gave a role that somebody acted under here."""
    units: tuple[Line, ...] = ()
    """The units that the proposal comes from: those that its revisions name, and those of whoever ever stood for it, and
    to which these moved while it was open.
    """

    outcome: Outcome | None = None
    outcome_because: str | None = None
    closed_at: Instant | None = None
    certificate: Certificate | None = None
    refused: int = 0

    @property
    def closed(self) -> bool:
        """Whether it has its outcome."""
        return self.outcome is not None

    @property
    def open(self) -> bool:
        """Whether it was opened and has no outcome yet."""
        return self.stage is not None and not self.closed

    @property
    def clock(self) -> Clock | None:
        """The time of the present wait."""
        return next((clock for clock in self.clocks if clock.person is None), None)

    @property
    def deadlines(self) -> tuple[Deadline, ...]:
        """Every deadline that stands, the wait's and those of single people."""
        return tuple(deadline for clock in self.clocks for deadline in clock.deadlines)

    @property
    def due_at(self) -> Instant | None:
        """When the present wait is due, or was; nothing while its clock stands still."""
        return None if self.clock is None else self.clock.due_at

    @property
    def overdue(self) -> bool:
        """Whether the present wait is overdue."""
        return self.clock is not None and self.clock.overdue

    @property
    def paused(self) -> bool:
        """Whether the present wait's clock stands still, because the owner has a question to answer."""
        return self.clock is not None and self.clock.stopped_at is not None

    @property
    def owner_overdue(self) -> bool:
        """Whether the owner has let the time for an answer run out."""
        return any(clock.overdue and clock.question is not None for clock in self.clocks)

    def clock_of(self, person: PersonId) -> Clock | None:
        """The time that this person has of their own in the present wait, if they have any."""
        return next((c for c in self.clocks if c.person == person and c.question is None), None)

    def late(self, person: PersonId) -> bool:
        """Whether the time that this person has in the present wait has run out: their own, or everybody's."""
        own = self.clock_of(person)
        return self.overdue if own is None else own.overdue

    def claim_of(self, person: PersonId) -> Claimed | None:
        """The claim that this person holds, if they hold one."""
        return next((claim for claim in self.claims if claim.person == person), None)

    def clock_for(self, question: DecisionId) -> Clock | None:
        """The time that the owner has for this answer."""
        return next((clock for clock in self.clocks if clock.question == question), None)


T = TypeVar("T")


def proposed_as(review: Review, subject: Subject, units: Iterable[Line] = ()) -> Review:
    """The review of this subject, with everybody on record who ever proposed it or was to work on it, and the unit that
    it names, beside those of its owner and author.
    """
    return review.model_copy(
        update={
            "subject": subject,
            "proposed_by": joined(review.proposed_by, *subject.proposers),
            "assigned": joined(review.assigned, *(member.person for member in subject.staff)),
            "units": joined(review.units, subject.business_unit, *units),
        }
    )


def joined(known: tuple[T, ...], *more: T) -> tuple[T, ...]:
    """`known` with these in it, each once, in order of arrival."""
    return tuple(dict.fromkeys((*known, *more)))


def conditions(review: Review) -> tuple[Condition, ...]:
    """Every condition that this round has set so far, in the order of the process."""
    from_sheets = (
        Condition(text=verdict.condition, set_by=sheet.by.person, decision=sheet.by.decision, source="verdict")
        for sheet in review.sheets
        for verdict in sheet.findings
        if verdict.condition is not None
    )
    from_advice = (
        Condition(text=advice.condition, set_by=advice.answered_by, decision=advice.answered_in, source="advice")
        for advice in review.council.advice
        if advice.condition is not None and advice.answered_by is not None and advice.answered_in is not None
    )
    from_signatures = (
        Condition(text=text, set_by=signature.by.person, decision=signature.by.decision, source="signature")
        for signature in review.signatures
        for text in signature.conditions
    )
    return (*from_sheets, *from_advice, *from_signatures)


def dissent(review: Review) -> tuple[Dissent, ...]:
    """Every breach found and every opinion against, in this round."""
    breaches = (
        Dissent(person=sheet.by.person, about=found.principle, reason=found.reason, decision=sheet.by.decision)
        for sheet in review.sheets
        for found in sheet.findings
        if found.finding is Finding.BREACH and found.reason is not None
    )
    opposed = (
        Dissent(person=o.by.person, about=f"opinion of the {o.seat} seat", reason=o.reason, decision=o.by.decision)
        for o in review.council.opinions
        if o.stance is Stance.OPPOSES and o.reason is not None
    )
    return (*breaches, *opposed)


def declined_advice(review: Review) -> tuple[DeclinedAdvice, ...]:
    """Every piece of advice that the officer declined."""
    return tuple(
        DeclinedAdvice(
            advice=advice.text, given_by=advice.given_by, answered_by=advice.answered_by, reason=advice.reason
        )
        for advice in review.council.advice
        if advice.answer is Answer.DECLINED and advice.answered_by is not None and advice.reason is not None
    )
