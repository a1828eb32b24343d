"""The owner's part: changes are asked for, and answered with a revision; questions, and answered. A signatory's holds sign-off."""

from __future__ import annotations

from domain import revisions
from domain.decisions import Envelope, QuestionAnswer, Reason, Revision
from domain.people import Role
from domain.refusal import Refusal
from domain.separation import excluded
from domain.stages import Stage
from domain.state import Asked, Given, Review
from domain.turns import Turn
from domain.values import DecisionId, Digest, PersonId

MOST_QUESTIONS = 20
"""How many may be open in a review."""

MOST_OF_ONE = 5
"""How many of them may be of one person's act."""


def holds_sign_off(review: Review) -> bool:
    """Whether nobody signs before the owner has answered."""
    return review.stage is Stage.SIGN_OFF and any(asked.holds_sign_off for asked in review.questions)


def refuse_change_request(review: Review) -> Refusal | None:
    """Why no changes can be asked for now, if they can't."""
    if review.changes is not None:
        return Refusal(Reason.ALREADY_GIVEN, "Changes were asked for already.")
    return None


def refuse_revision(review: Review, envelope: Envelope, revision: Revision) -> Refusal | None:
    """Why this text can't be put in the place of the present one, if it can't."""
    if envelope.content_digest != review.content_digest:
        return Refusal(Reason.STALE, revisions.stale(review, envelope))
    if review.changes is None:
        return Refusal(Reason.OUT_OF_STAGE, "Nobody asked for changes; a revision answers a change request.")
    if revision.proposal == review.content_digest:
        return Refusal(Reason.INVALID, "The revision is the same text as the one it should replace.")
    if envelope.pack_digest != review.pack_digest:
        return Refusal(Reason.STALE, "The review is pinned to another policy pack than you were shown.")
    return None


def refuse_question(review: Review, person: PersonId, voice: PersonId) -> Refusal | None:
    """Why `person` can't ask one more, with this voice, if they can't."""
    if len(review.questions) >= MOST_QUESTIONS:
        return Refusal(Reason.OUT_OF_STAGE, "Twenty questions are open; the owner's answers come first.")
    if sum(not {person, voice}.isdisjoint(asked.by.people) for asked in review.questions) >= MOST_OF_ONE:
        return Refusal(Reason.OUT_OF_STAGE, "Five of your questions are open; the owner's answers come first.")
    return None


def refuse_answer(review: Review, answer: QuestionAnswer) -> Refusal | None:
    """Why there is nothing that this answers, if there is nothing."""
    if all(asked.by.decision != answer.question for asked in review.questions):
        return Refusal(Reason.UNKNOWN_REFERENCE, "No open question has this id.")
    return None


def with_question(review: Review, given: Given, envelope: Envelope) -> Review:
    """The review with this question open."""
    holds = envelope.role is Role.SIGNATORY
    asked = Asked(by=given, holds_sign_off=holds, wait=review.wait, text=envelope.reason)
    return review.model_copy(update={"questions": (*review.questions, asked)})


def with_answer(review: Review, question: DecisionId, answer: Digest) -> Review:
    """The review with this question answered, by the decision with this digest."""
    still_open = tuple(asked for asked in review.questions if asked.by.decision != question)
    return review.model_copy(update={"questions": still_open, "answered": (*review.answered, answer)})


def turns(review: Review) -> tuple[Turn, ...]:
    """What is asked of the owner: the new revision first."""
    if review.subject is None or review.stage is None or review.phase_since is None:
        return ()
    if review.changes is None and not review.questions:
        return ()
    owner = review.subject.owner
    not_in_their_place = (person for person in review.aside if person != owner)
    base = Turn(
        stage=review.stage,
        kinds=("revision",),
        what="Answer the change request with a new revision.",
        role=Role.OWNER,
        person=owner,
        not_for=tuple(sorted({*excluded(review, "revision"), *not_in_their_place})),
        since=review.phase_since,
        due_at=review.due_at,
    )
    revise = () if review.changes is None else (base,)
    answers = tuple(
        base.model_copy(
            update={
                "kinds": ("answer",),
                "what": f"Answer the question {asked.by.decision} of {asked.by.person}.",
                "since": asked.by.at,
                "due_at": None if clock is None else clock.due_at,
                "blocking": asked.holds_sign_off and holds_sign_off(review),
            }
        )
        for asked in review.questions
        for clock in (review.clock_for(asked.by.decision),)
    )
    return (*revise, *answers)
