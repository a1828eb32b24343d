"""What comes in about reviews, and where a review stands, over HTTP. What comes in forbids fields that we don't know.

What one router alone takes or answers with is beside it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from domain import decisions as said
from domain.canonical import digest_of
from domain.certificate import Condition
from domain.completions import Gap
from domain.drafts import Draft
from domain.people import Grant
from domain.proposal import Proposal
from domain.review import waits_for
from domain.route import Phase
from domain.sign_off import basis
from domain.stages import Stage
from domain.state import Advice, Claimed, Passage, Review, conditions
from domain.turns import Turn
from domain.values import Digest, Instant, Line, PersonId, Prose, ReviewId, Slug

DEFAULT_PACK = "nec-human-rights"


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written_out(moment: object) -> object:
    """Pydantic takes a bare number as seconds since 1970, and "20260601" would be one."""
    if isinstance(moment, str) and _MOMENT.match(moment):
        return moment
    raise PydanticCustomError("moment", "must be a date and time with its offset (RFC 3339)")


Moment = Annotated[Instant, BeforeValidator(_written_out)]
"""A moment that comes in, with whatever offset, and is kept in UTC."""


Because = Annotated[Prose, Query(description="Why; it stands on record.")]
"""Why something is undone, where there is no body to say it in."""

NO_REASON = "No reason was given."


class In(BaseModel):
    """The base of what comes in."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AssessIn(In):
    """A proposal to be assessed, without submitting it."""

    pack: Slug = DEFAULT_PACK
    proposal: Proposal


class SubmissionIn(AssessIn):
    """A proposal to be reviewed. `review` is its business id; without one, it is the decision's id."""

    review: ReviewId | None = None
    decision_id: UUID | None = None


class StepUpIn(In):
    """The person signed in again, over this very decision: the ID token whose `nonce` is the one that was asked for."""

    id_token: Annotated[str, Field(min_length=1, max_length=8_192)]


def _with_its_kind(schema: dict[str, JsonValue]) -> None:
    """The kind has a default in Python, where the class says it; in JSON nothing else tells decisions apart."""
    required = schema["required"]
    assert isinstance(required, list)
    required.insert(0, "kind")


class DecisionIn(In):
    """What every decision has: its id (or the Idempotency-Key), and the digest of the content that was shown. `step_up`
    is for programs; a browser goes where the answer `step_up_required` says.
    """

    model_config = ConfigDict(json_schema_extra=_with_its_kind)

    id: UUID | None = None
    digest: Digest
    reason: Prose | None = None
    step_up: StepUpIn | None = None

    def draft(self, review: ReviewId, decision_id: UUID, person: PersonId) -> Draft:
        """This decision, made by `person` on `review`."""
        content = self.model_dump(exclude=set(DecisionIn.model_fields) | {"proposal"})
        if self.proposed is not None:
            content["proposal"] = digest_of(self.proposed)
        return Draft.model_validate(
            {
                "decision_id": decision_id,
                "review": review,
                "person": person,
                "digest": self.digest,
                "content": content,
                "reason": self.reason,
            }
        )

    @property
    def proposed(self) -> Proposal | None:
        """The new text of the proposal, where the decision brings one."""
        return None


class ReasonedIn(DecisionIn):
    """A decision that is never without its reason."""

    reason: Prose


class VerdictIn(said.Verdict, extra="forbid"):
    """A finding about one principle."""


class AdviceAnswerIn(said.AdviceAnswer, extra="forbid"):
    """The answer to one piece of advice."""


class VerdictSheetIn(DecisionIn, said.VerdictSheet, extra="forbid"):
    """A reviewer's verdict on each principle that is still open to them."""

    verdicts: Annotated[tuple[VerdictIn, ...], Field(min_length=1, max_length=20)]


class ReopeningIn(ReasonedIn, said.Reopening, extra="forbid"):
    """Ask for verdicts anew on a principle whose verdicts are carried from an earlier revision."""


class ChangeRequestIn(ReasonedIn, said.ChangeRequest, extra="forbid"):
    """Send the proposal back; the reason says what must change."""


class RevisionIn(DecisionIn):
    """The owner's new text in answer to a change request."""

    kind: Literal["revision"] = "revision"
    proposal: Proposal

    @property
    def proposed(self) -> Proposal | None:
        """The new text."""
        return self.proposal


class QuestionIn(ReasonedIn, said.Question, extra="forbid"):
    """Ask the owner; the reason is the question."""


class AnswerIn(ReasonedIn, said.QuestionAnswer, extra="forbid"):
    """Answer a question; the reason is the answer."""


class EscalationIn(ReasonedIn, said.Escalation, extra="forbid"):
    """Escalate to the Council."""


class OpinionIn(ReasonedIn, said.Opinion, extra="forbid"):
    """A council member's opinion and advice."""


class RecusalIn(ReasonedIn, said.Recusal, extra="forbid"):
    """A council member steps aside."""


class ConflictIn(ReasonedIn, said.Conflict, extra="forbid"):
    """Whoever could judge steps aside, for a conflict of interest."""


class AdviceResponseIn(DecisionIn, said.AdviceResponse, extra="forbid"):
    """The officer's answers to advice."""

    answers: Annotated[tuple[AdviceAnswerIn, ...], Field(min_length=1, max_length=100)]


class NoOpinionIn(ReasonedIn, said.NoOpinion, extra="forbid"):
    """Go on without an opinion of the Council."""


class ExtensionIn(ReasonedIn, said.Extension, extra="forbid"):
    """Give the present wait more time."""

    until: Moment


class RulingIn(ReasonedIn, said.Ruling, extra="forbid"):
    """The officer's ruling."""


class SignatureIn(DecisionIn, said.Signature, extra="forbid"):
    """Sign, on the digest of everything before."""


class DecliningIn(ReasonedIn, said.Declining, extra="forbid"):
    """Decline, as signatory."""


class ClaimIn(DecisionIn, said.Claim, extra="forbid"):
    """Say that you will do what several people could."""


class ReleaseIn(DecisionIn, said.Release, extra="forbid"):
    """Give back what you claimed, or were assigned."""


class ReassignmentIn(ReasonedIn, said.Reassignment, extra="forbid"):
    """Have it done by somebody, as officer, in place of whoever claimed it; or free that place."""


class WithdrawalIn(ReasonedIn, said.Withdrawal, extra="forbid"):
    """Withdraw, as owner."""


AnyDecisionIn = Annotated[
    VerdictSheetIn
    | ReopeningIn
    | ChangeRequestIn
    | RevisionIn
    | QuestionIn
    | AnswerIn
    | EscalationIn
    | OpinionIn
    | RecusalIn
    | ConflictIn
    | AdviceResponseIn
    | NoOpinionIn
    | ExtensionIn
    | RulingIn
    | SignatureIn
    | DecliningIn
    | ClaimIn
    | ReleaseIn
    | ReassignmentIn
    | WithdrawalIn,
    Field(discriminator="kind"),
]
"""A decision, told apart by `kind`."""


class Pending(BaseModel):
    """A decision that is stored and has no receipt yet."""

    decision_id: UUID
    review: ReviewId
    status: Literal["pending"] = "pending"


class Me(BaseModel):
    """Who asks, and the roles they hold."""

    person: PersonId
    grants: tuple[Grant, ...]


class ListedOut(BaseModel):
    """A review in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: ReviewId
    title: Line
    business_unit: Line
    owner: PersonId
    author: PersonId
    tier: int | None
    stage: str | None
    outcome: str | None
    submitted_at: datetime
    closed_at: datetime | None


class ReviewList(BaseModel):
    """A page of reviews, the newest first; `next` is what to give as `before` for the page after it."""

    reviews: list[ListedOut]
    next: datetime | None


class SheetOut(BaseModel):
    """What counts in this round of a verdict sheet, in short; its reasons are in the timeline.

    `carried_from` is the revision that it was given on, where that is an earlier one.
    """

    person: PersonId
    decision_id: UUID
    agrees: bool
    carried_from: int | None
    findings: dict[Slug, str]


class QuestionOut(BaseModel):
    """A question that is still open."""

    id: UUID
    person: PersonId
    at: datetime
    text: str | None


class OpinionOut(BaseModel):
    """An opinion, in short; its reason is in the timeline."""

    person: PersonId
    seat: str
    stance: str


class CouncilOut(BaseModel):
    """The Council's part in this round."""

    roster: tuple[Grant, ...]
    opinions: list[OpinionOut]
    recused: tuple[PersonId, ...]
    advice: tuple[Advice, ...]
    concluded: str | None
    no_opinion_because: str | None


class SignatureOut(BaseModel):
    """A signature that holds."""

    person: PersonId
    office: str
    meaning: str
    at: datetime
    conditions: tuple[str, ...]


class ClaimOut(BaseModel):
    """Who claimed what, or, with `assigned_by`, was assigned it, and when the claim runs out; not while `paused`."""

    person: PersonId
    act: str
    since: datetime
    assigned_by: PersonId | None
    due_at: datetime | None
    paused: bool


class Changes(BaseModel):
    """What differs between a revision and the present one: JSON pointers into the proposal."""

    review: ReviewId
    since: int
    revision: int
    digest: Digest
    changes: tuple[str, ...]


class ReviewOut(BaseModel):
    """Where a review stands: the whole answer to what blocks it, whose turn it is, and since when.

    `digest` is what a decision names as shown; `basis`, in sign-off, what a signature signs; `changes`, what the present
    revision changed against the one before, as JSON pointers into the proposal.
    """

    review: ReviewId
    title: Line | None
    business_unit: Line | None
    owner: PersonId | None
    author: PersonId | None
    stage: Stage | None
    phase: Phase | None
    outcome: str | None
    outcome_because: str | None
    closed_at: datetime | None
    revision: int
    changes: tuple[str, ...]
    round: int
    tier: int | None
    tier_name: str | None
    digest: Digest
    basis: Digest | None
    pack_digest: Digest
    due_at: datetime | None
    overdue: bool
    paused: bool
    waits_for: tuple[Turn, ...]
    passed: dict[Stage, Passage]
    sheets: list[SheetOut]
    questions: list[QuestionOut]
    council: CouncilOut
    gaps: tuple[Gap, ...]
    signatures: list[SignatureOut]
    claims: list[ClaimOut]
    conditions: tuple[Condition, ...]


def review_out(review: Review) -> ReviewOut:
    """A review as it stands."""
    subject, route, council = review.subject, review.route, review.council
    return ReviewOut(
        review=review.id,
        title=None if subject is None else subject.title,
        business_unit=None if subject is None else subject.business_unit,
        owner=None if subject is None else subject.owner,
        author=None if subject is None else subject.author,
        stage=review.stage,
        phase=review.phase,
        outcome=review.outcome,
        outcome_because=review.outcome_because,
        closed_at=review.closed_at,
        revision=review.revision,
        changes=review.revisions[-1].changes if review.revisions else (),
        round=review.round,
        tier=None if route is None else route.tier,
        tier_name=None if route is None else route.tier_name,
        digest=review.content_digest,
        basis=basis_out(review),
        pack_digest=review.pack_digest,
        due_at=review.due_at,
        overdue=review.overdue,
        paused=review.paused,
        waits_for=waits_for(review),
        passed={stage: review.passed[stage] for stage in Stage if stage in review.passed},
        sheets=[
            SheetOut(
                person=sheet.by.person,
                decision_id=sheet.by.decision,
                agrees=sheet.agrees,
                carried_from=sheet.carried_from,
                findings={found.principle: found.finding for found in sheet.findings},
            )
            for sheet in review.sheets
        ],
        questions=[
            QuestionOut(id=q.by.decision, person=q.by.person, at=q.by.at, text=q.text) for q in review.questions
        ],
        council=CouncilOut(
            roster=council.roster or (),
            opinions=[OpinionOut(person=o.by.person, seat=o.seat, stance=o.stance) for o in council.opinions],
            recused=council.recused,
            advice=council.advice,
            concluded=council.concluded,
            no_opinion_because=council.no_opinion_because,
        ),
        gaps=() if review.training is None or review.closed else review.training.gaps,
        signatures=[
            SignatureOut(person=s.by.person, office=s.office, meaning=s.meaning, at=s.by.at, conditions=s.conditions)
            for s in review.signatures
        ],
        claims=[_claim_out(review, claim) for claim in review.claims],
        conditions=conditions(review),
    )


def _claim_out(review: Review, claim: Claimed) -> ClaimOut:
    clock = review.clock_of(claim.person)
    return ClaimOut(
        person=claim.person,
        act=claim.act,
        since=claim.by.at,
        assigned_by=None if claim.by.voice == claim.person else claim.by.person,
        due_at=None if clock is None else clock.due_at,
        paused=clock is not None and clock.stopped_at is not None,
    )


def basis_out(review: Review) -> Digest | None:
    """What a signature signs now; None unless the review is in sign-off."""
    return basis(review) if review.open and review.stage is Stage.SIGN_OFF else None


class InboxItemOut(BaseModel):
    """Something that waits for the person who asks, or for whoever left it to them (`for_person`), and the digests that
    a decision about it names.
    """

    review: ReviewId
    title: Line
    turn: Turn
    for_person: PersonId | None
    digest: Digest
    basis: Digest | None


class Inbox(BaseModel):
    """What waits for the person who asks, the most urgent first."""

    items: list[InboxItemOut]
