"""A decision on its way in: what a person says, before the present state of the review is put around it."""

from __future__ import annotations

from datetime import datetime

from domain import principles
from domain.canonical import canonical_bytes
from domain.decisions import (
    AnyContent,
    Discrepancy,
    Envelope,
    RegistryChanged,
    Submission,
    TrainingRecorded,
    governed_by,
)
from domain.discrepancies import Difference
from domain.entitlement import RECONCILER, REGISTER, REGISTRY, acting_grant, meaning
from domain.facts import Standing
from domain.people import Grant
from domain.separation import forbidding
from domain.state import Review
from domain.values import DecisionId, Digest, PersonId, Prose, ReviewId, Value


class Draft(Value):
    """What a person says about a review; `digest` is that of the content that they were shown."""

    decision_id: DecisionId
    review: ReviewId
    person: PersonId
    digest: Digest
    content: AnyContent
    reason: Prose | None = None

    def repeats(self, envelope: Envelope) -> bool:
        """Whether this says the same as the stored decision with its id."""
        mine = (self.review, self.person, self.content, self.reason, self.digest)
        return mine == (envelope.review, envelope.person, envelope.content, envelope.reason, envelope.content_digest)


def seal(
    draft: Draft,
    review: Review,
    pack_digest: Digest,
    standing: Standing,
    received_at: datetime,
) -> Envelope | None:
    """The envelope around a draft, as the review stands when it is received; None if the person holds no role that
    could entitle them to a decision of this kind.

    `pack_digest` is the one that a submission names; every other decision is pinned to the review's own. `standing` is
    the person's, with the grants that they can act under now.
    """
    kind = governed_by(draft.content)
    asked = principles.asked_alone(review) if kind == "verdict_sheet" else ()

    def forbidden(grant: Grant) -> bool:
        lent = standing.lent(draft.person, grant, received_at)
        lent_by = None if lent is None else lent.lent_by
        return forbidding(review, kind, draft.person, grant, standing.units, lent_by) is not None

    grant = acting_grant(review, kind, standing.grants, draft.person, standing.units, asked, forbidden)
    if grant is None:
        return None
    opening = isinstance(draft.content, Submission)
    current = draft.digest == review.content_digest
    return Envelope(
        decision_id=draft.decision_id,
        review=draft.review,
        revision=1 if opening else review.revision if current else 0,
        content_digest=draft.digest,
        pack_digest=pack_digest if opening else review.pack_digest,
        stage=review.stage,
        round=review.round,
        kind=draft.content.kind,
        content=draft.content,
        meaning=meaning(review, draft.content.kind, grant, draft.person),
        reason=draft.reason,
        person=draft.person,
        role=grant.role,
        grant=grant.id,
        received_at=received_at,
    )


def training_recorded(decision_id: DecisionId, review: Review, received_at: datetime) -> Envelope:
    """The training register's word to a review that waits for training."""
    return _of_the_service(decision_id, review, REGISTER, TrainingRecorded(), received_at)


def registry_changed(decision_id: DecisionId, review: Review, received_at: datetime) -> Envelope:
    """The registry's word to a review that another answer is due to who can fulfil its route."""
    return _of_the_service(decision_id, review, REGISTRY, RegistryChanged(), received_at)


def discrepancy(decision_id: DecisionId, review: Review, difference: Difference, received_at: datetime) -> Envelope:
    """The reconciler's word that a review's record and Temporal differ."""
    content = Discrepancy(what=difference.what, run=difference.run)
    return _of_the_service(decision_id, review, RECONCILER, content, received_at, difference.detail)


def _of_the_service(
    decision_id: DecisionId,
    review: Review,
    service: Grant,
    content: AnyContent,
    received_at: datetime,
    reason: str | None = None,
) -> Envelope:
    draft = Draft(
        decision_id=decision_id,
        review=review.id,
        person=service.person,
        digest=review.content_digest,
        content=content,
        reason=reason,
    )
    envelope = seal(draft, review, review.pack_digest, Standing(grants=(service,)), received_at)
    if envelope is None:
        raise ValueError(f"{service.person} holds its own role")
    return envelope


def stored_bytes(envelope: Envelope) -> bytes:
    """The bytes of an envelope that are stored, signalled and digested."""
    return canonical_bytes(envelope)
