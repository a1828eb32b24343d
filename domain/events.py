"""What can happen to a review. Each is one entry of its ledger; nothing else ever changes a review."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from domain.assessment import Assessment
from domain.certificate import Certificate
from domain.completions import TrainingCheck
from domain.decisions import Envelope, Reason
from domain.people import Grant, Role
from domain.proof import Proof
from domain.route import Phase
from domain.stages import Outcome, Stage
from domain.state import Clock, Lack, Subject
from domain.values import DecisionId, Digest, Instant, Line, PersonId, Prose, Slug, Value


class Happened(Value):
    """The base of every event: `at` is the time of the commit that put it on record."""

    at: Instant


class Mandate(Value):
    """Under what somebody acted, as the registry said at its entry number `registry`.

    `grant` is another's where that other left it to them by `delegation`, or had it left to them by `lent_by`; `unit` is
    the unit of whoever acted.
    """

    registry: int
    grant: Grant
    unit: Line | None = None
    delegation: str | None = None
    lent_by: PersonId | None = None

    @property
    def for_person(self) -> PersonId | None:
        """In whose place they acted, if they did."""
        return None if self.delegation is None else self.grant.person


class Accepted(Happened):
    """A decision was applied. `digest` is that of the stored envelope, `proof` what was stored with it.

    Of a decision by which somebody judges, `given_by` are those whose doing it is that they can: who gave the role that
    they act under, and who chose them to act in it for another.
    """

    type: Literal["accepted"] = "accepted"
    envelope: Envelope
    digest: Digest
    proof: Proof = Proof()
    mandate: Mandate | None = None
    # Left out where there are none, as in what was put on record before they were asked for: the fold of that stays.
    given_by: tuple[PersonId, ...] = Field(default=(), exclude_if=lambda givers: not givers)


class Refused(Happened):
    """A message was not applied, and why.

    `decision` is its id where one could be read, `content_digest` what its maker was shown. A message that no stored
    decision stands behind has an `ordinal`, its number among all signals (or all cancel requests) of this review;
    `shown`, `length` and `digest` tell what it was.
    """

    type: Literal["refused"] = "refused"
    reason: Reason
    detail: str
    decision: DecisionId | None = None
    kind: str | None = None
    person: PersonId | None = None
    content_digest: Digest | None = None
    ordinal: int | None = None
    digest: Digest | None = None
    length: int | None = None
    shown: str | None = None

    @classmethod
    def of(cls, envelope: Envelope, digest: Digest, reason: Reason, detail: str, at: datetime) -> Self:
        """The refusal of a stored decision; `digest` is that of its stored bytes."""
        return cls(
            at=at,
            reason=reason,
            detail=detail,
            decision=envelope.decision_id,
            kind=envelope.kind,
            person=envelope.person,
            content_digest=envelope.content_digest,
            digest=digest,
        )


class Assessed(Happened):
    """A revision of the proposal was assessed; a round of review begins with it.

    Of a revision in place of another, `changes` tells what differs, `reopened` which principles are judged by something
    else than before, and `carried` whose verdicts stand, and on which principles. `kept_away` are those who would judge
    it, if its own words did not name them as staff, or their unit as the one that it comes from. `units` are those of its
    owner and author.
    """

    type: Literal["assessed"] = "assessed"
    revision: int
    round: int
    content_digest: Digest
    subject: Subject
    assessment: Assessment
    changes: tuple[str, ...] = ()
    reopened: tuple[Slug, ...] = ()
    carried: dict[PersonId, tuple[Slug, ...]] = Field(default_factory=dict)
    kept_away: tuple[PersonId, ...] = ()
    # Left out where there are none, as in what was put on record before they were asked for.
    units: tuple[Line, ...] = Field(default=(), exclude_if=lambda units: not units)


class Returned(Happened):
    """The review went back to a stage."""

    type: Literal["returned"] = "returned"
    stage: Stage
    because: str


class Began(Happened):
    """A wait began, with its deadlines; or, within it, the time that `person` has of their own, which for an answer of
    the owner's names the question. Where it is given more time, it has been waited for since `since`.
    """

    type: Literal["began"] = "began"
    phase: Phase
    number: int
    remind_at: Instant | None
    due_at: Instant
    person: PersonId | None = None
    question: DecisionId | None = None
    since: Instant | None = None


class Reminded(Happened):
    """A reminder fell due, of everybody or of `person`; the next one comes at `again_at`."""

    type: Literal["reminded"] = "reminded"
    deadline: str
    person: PersonId | None = None
    again_at: Instant | None = None


class FellDue(Happened):
    """A deadline passed, everybody's or that of `person`; `next_in_line` may act from here on. All are reminded again at
    `again_at`.
    """

    type: Literal["fell_due"] = "fell_due"
    deadline: str
    next_in_line: tuple[Role, Slug | None]
    person: PersonId | None = None
    again_at: Instant | None = None


class Paused(Happened):
    """The owner has a question to answer: these clocks stand still."""

    type: Literal["paused"] = "paused"
    clocks: tuple[Clock, ...]


class Resumed(Happened):
    """The owner has answered every question: these clocks run again, with what was left of them."""

    type: Literal["resumed"] = "resumed"
    clocks: tuple[Clock, ...]


class Seated(Happened):
    """The Council's members for this case."""

    type: Literal["seated"] = "seated"
    roster: tuple[Grant, ...]


class Concluded(Happened):
    """The Council's part ended with an opinion."""

    type: Literal["concluded"] = "concluded"
    because: str


class TrainingChecked(Happened):
    """The staff's training was compared with what is required."""

    type: Literal["training_checked"] = "training_checked"
    check: TrainingCheck


class Lapsed(Happened):
    """Signatures no longer hold, because what they rest on changed."""

    type: Literal["lapsed"] = "lapsed"
    decisions: tuple[DecisionId, ...]
    because: str


class Struck(Happened):
    """What somebody said counts no more, because they have a conflict of interest."""

    type: Literal["struck"] = "struck"
    person: PersonId
    decisions: tuple[DecisionId, ...]


class Passed(Happened):
    """A stage was passed."""

    type: Literal["passed"] = "passed"
    stage: Stage
    result: Literal["completed", "not_required", "no_opinion"]
    because: Prose


class Moved(Happened):
    """Of those who ever stood for the proposal, these belong to units by now that the record does not know it to come
    from, as of the registry's entry number `registry`.
    """

    type: Literal["moved"] = "moved"
    registry: int = Field(ge=0)
    units: dict[PersonId, Line]


class Unclaimed(Happened):
    """By the roles of now whoever held this claim can't do what they claimed, so it is ended."""

    type: Literal["unclaimed"] = "unclaimed"
    person: PersonId


class Vacated(Happened):
    """By the roles of now these reviewers can't complete what is carried of their verdicts, so that others have their
    seats; nobody, where all can again.
    """

    type: Literal["vacated"] = "vacated"
    people: tuple[PersonId, ...]


class Blocked(Happened):
    """By the roles and absences of now there is nobody, or are too few people,
    for this of what the route still asks for.
    """

    type: Literal["blocked"] = "blocked"
    lacking: tuple[Lack, ...]


class Unblocked(Happened):
    """There are people again for everything that the route still asks for."""

    type: Literal["unblocked"] = "unblocked"


class Closed(Happened):
    """The review has its outcome."""

    type: Literal["closed"] = "closed"
    outcome: Outcome
    because: Prose
    certificate: Certificate | None = None


Event = Annotated[
    Accepted
    | Refused
    | Assessed
    | Returned
    | Began
    | Reminded
    | FellDue
    | Paused
    | Resumed
    | Seated
    | Concluded
    | TrainingChecked
    | Lapsed
    | Struck
    | Passed
    | Moved
    | Unclaimed
    | Vacated
    | Blocked
    | Unblocked
    | Closed,
    Field(discriminator="type"),
]
"""What can happen, told apart by `type`."""
