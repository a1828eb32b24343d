"""What people say about a review: one act of one person, on the digest that they were shown.

The content of a decision is a value of its own per kind; the `Envelope` around it holds what every kind has. Its
fields are frozen: what is stored, signalled and put on the ledger is this, byte for byte.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from domain.discrepancies import Differs
from domain.people import Role
from domain.stages import Stage
from domain.values import DecisionId, Digest, Instant, Line, PersonId, Prose, ReviewId, Slug, Value


class Finding(StrEnum):
    """What a reviewer finds about one principle."""

    RESPECTED = "respected"
    CONCERN = "concern"
    BREACH = "breach"


class Verdict(Value):
    """A finding about one principle, with its reason; a concern can carry a condition."""

    principle: Slug
    finding: Finding
    reason: Prose
    condition: Prose | None = None

    @model_validator(mode="after")
    def _only_a_concern_has_a_condition(self) -> Self:
        if self.condition is not None and self.finding is not Finding.CONCERN:
            raise ValueError("only a concern can carry a condition")
        return self


class Stance(StrEnum):
    """Where a council member stands. The Council advises: no stance stops a proposal."""

    SUPPORTS = "supports"
    SUPPORTS_WITH_ADVICE = "supports_with_advice"
    OPPOSES = "opposes"


class Answer(StrEnum):
    """What the officer answers to a piece of advice."""

    ACCEPTED = "accepted"
    ACCEPTED_IN_PART = "accepted_in_part"
    DECLINED = "declined"


class AdviceAnswer(Value):
    """The officer's answer to one piece of advice. Accepted advice becomes a condition; in part,
    `condition` says which.
    """

    advice: Annotated[str, Field(max_length=64)]
    answer: Answer
    reason: Prose
    condition: Prose | None = None

    @model_validator(mode="after")
    def _part_needs_its_condition(self) -> Self:
        if self.answer is Answer.ACCEPTED_IN_PART and self.condition is None:
            raise ValueError("advice accepted in part needs the condition that remains of it")
        if self.answer is Answer.DECLINED and self.condition is not None:
            raise ValueError("declined advice leaves no condition")
        return self


class Content(Value):
    """The base of what is said; a kind that must be given with a reason says so."""

    needs_reason: ClassVar[bool] = False


class Submission(Content):
    """The owner's or author's first act: the proposal itself is named by the envelope's content digest."""

    kind: Literal["submission"] = "submission"


class Revision(Content):
    """A new text of the proposal, named by its digest, in place of the one that the envelope names."""

    kind: Literal["revision"] = "revision"
    proposal: Digest


class VerdictSheet(Content):
    """One reviewer's verdict on each principle that the route names and they have no verdict on yet."""

    kind: Literal["verdict_sheet"] = "verdict_sheet"
    verdicts: Annotated[tuple[Verdict, ...], Field(min_length=1, max_length=20)]

    @property
    def agrees(self) -> bool:
        """Whether there is no breach in it."""
        return not any(verdict.finding is Finding.BREACH for verdict in self.verdicts)


class Reopening(Content):
    """Asks for verdicts anew on a principle whose verdicts are carried from an earlier revision; the reason says why."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["reopening"] = "reopening"
    principle: Slug


class ChangeRequest(Content):
    """Sends the proposal back to its owner; the reason says what must change."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["change_request"] = "change_request"


class Question(Content):
    """A question to the owner; the text of it is the reason."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["question"] = "question"


class QuestionAnswer(Content):
    """The owner's answer to a question; the text of it is the reason."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["answer"] = "answer"
    question: DecisionId


class Escalation(Content):
    """Asks for the Council, whatever the tier."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["escalation"] = "escalation"


class Opinion(Content):
    """A council member's opinion, and any number of pieces of advice."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["opinion"] = "opinion"
    stance: Stance
    advice: Annotated[tuple[Prose, ...], Field(max_length=10)] = ()


class Recusal(Content):
    """A council member steps aside; they are counted nowhere after it."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["recusal"] = "recusal"


class Conflict(Content):
    """Somebody who could judge the proposal is too close to it, and steps aside; what they said in this round counts no
    more.
    """

    needs_reason: ClassVar[bool] = True
    kind: Literal["conflict"] = "conflict"


class AdviceResponse(Content):
    """The officer's answers to one or more pieces of advice."""

    kind: Literal["advice_response"] = "advice_response"
    answers: Annotated[tuple[AdviceAnswer, ...], Field(min_length=1, max_length=100)]


class NoOpinion(Content):
    """The officer goes on although no opinion could be had; the reason stands on the certificate."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["no_opinion"] = "no_opinion"


class Extension(Content):
    """The officer gives the present wait until another moment; or, where one is named, one person in it."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["extension"] = "extension"
    until: Instant
    # Left out where there is none, so that the bytes of an envelope stay those that were signed.
    person: PersonId | None = Field(default=None, exclude_if=lambda person: person is None)


class Ruling(Content):
    """The officer decides where the reviewers did not, or where a wait ran out."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["ruling"] = "ruling"
    ruling: Literal["proceed", "decline"]


class Signature(Content):
    """A signatory's seal on `basis`, the digest of everything before it."""

    kind: Literal["signature"] = "signature"
    basis: Digest
    conditions: Annotated[tuple[Prose, ...], Field(max_length=10)] = ()


class Declining(Content):
    """A signatory declines the proposal."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["declining"] = "declining"
    basis: Digest


Act = Literal["verdict_sheet", "ruling", "signature"]
"""What several people can be asked for, of whom one does it."""


class Claim(Content):
    """Of several people who could do this, one says that they will."""

    kind: Literal["claim"] = "claim"
    act: Act


class Release(Content):
    """Gives back what was claimed, or assigned."""

    kind: Literal["release"] = "release"


class Reassignment(Content):
    """The officer has it done by `person`, in place of `instead_of` where somebody claimed it; without a `person`, that
    place is free for everybody again.
    """

    needs_reason: ClassVar[bool] = True
    kind: Literal["reassignment"] = "reassignment"
    act: Act
    person: PersonId | None = None
    instead_of: PersonId | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.person is None and self.instead_of is None:
            raise ValueError("it names neither who should do it nor whose claim it ends")
        return self


class Withdrawal(Content):
    """The owner withdraws the proposal."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["withdrawal"] = "withdrawal"


class TrainingRecorded(Content):
    """The training register's own word that a completion arrived which this review waits for."""

    kind: Literal["training_recorded"] = "training_recorded"


class RegistryChanged(Content):
    """The registry's own word that roles, units or absences changed in a way that concerns who can do what of the review."""

    kind: Literal["registry_changed"] = "registry_changed"


class Discrepancy(Content):
    """The reconciler's own word that the record and Temporal differed; the reason says how, `run` in which run."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["discrepancy"] = "discrepancy"
    what: Differs
    run: Annotated[str, Field(max_length=64)] | None = None


class Repair(Content):
    """An operator has the review's workflow started anew, from this record; the reason says what was wrong with it."""

    needs_reason: ClassVar[bool] = True
    kind: Literal["repair"] = "repair"


AnyContent = Annotated[
    Submission
    | Revision
    | VerdictSheet
    | Reopening
    | ChangeRequest
    | Question
    | QuestionAnswer
    | Escalation
    | Opinion
    | Recusal
    | Conflict
    | AdviceResponse
    | NoOpinion
    | Extension
    | Ruling
    | Signature
    | Declining
    | Claim
    | Release
    | Reassignment
    | Withdrawal
    | TrainingRecorded
    | RegistryChanged
    | Discrepancy
    | Repair,
    Field(discriminator="kind"),
]
"""What can be said, told apart by `kind`."""

KINDS: frozenset[str] = frozenset(content.model_fields["kind"].default for content in get_args(get_args(AnyContent)[0]))
"""What a decision can be."""


def governed_by(content: AnyContent) -> str:
    """The kind whose rules say who may make this decision: whoever may do something can claim it, and nobody else."""
    return content.act if isinstance(content, Claim) else content.kind


class Envelope(Value):
    """A decision as it is stored, signalled and recorded. These fields are frozen.

    `content_digest` is what the person was shown; `pack_digest`, `stage` and `round` are the review's when it was
    received, and so is `revision`, or 0 where another revision than the present one was shown. `meaning` is what the
    act means, in words; `grant` is the id of the grant of `role` that they acted under; `received_at` is the
    database's time at which the decision was stored, and what timeliness is decided by.
    """

    decision_id: DecisionId
    review: ReviewId
    revision: int
    content_digest: Digest
    pack_digest: Digest
    stage: Stage | None
    round: int
    kind: str
    content: AnyContent
    meaning: Line
    reason: Prose | None
    person: PersonId
    role: Role
    grant: str
    received_at: Instant

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.kind != self.content.kind:
            raise ValueError(f"the envelope says {self.kind!r} and its content {self.content.kind!r}")
        if self.content.needs_reason and self.reason is None:
            raise ValueError(f"a decision of kind {self.kind!r} needs a reason")
        return self


class Reason(StrEnum):
    """Why a message was refused."""

    BAD_SIGNATURE = "bad_signature"
    NOT_ENTITLED = "not_entitled"
    DISABLED = "disabled"
    ABSENT = "absent"
    CONFLICT_OF_INTEREST = "conflict_of_interest"
    STEP_UP_REQUIRED = "step_up_required"
    SEPARATION_OF_DUTIES = "separation_of_duties"
    STALE = "stale"
    LATE = "late"
    OUT_OF_STAGE = "out_of_stage"
    ALREADY_GIVEN = "already_given"
    CLAIMED = "claimed"
    INCOMPLETE = "incomplete"
    UNKNOWN_REFERENCE = "unknown_reference"
    TRAINING_GAP = "training_gap"
    INVALID = "invalid"
    NOT_STORED = "not_stored"
    ID_REUSED = "id_reused"
    UNREADABLE = "unreadable"
    CANCEL_REFUSED = "cancel_refused"


class Receipt(Value):
    """What became of a decision. `seq` is the ledger entry that says so."""

    decision_id: DecisionId
    review: ReviewId
    status: Literal["accepted", "refused"]
    reason: Reason | None = None
    detail: str | None = None
    seq: int
    at: Instant
