"""Conflicts of interest: stepping aside from a proposal, and what becomes of what was said before."""

from __future__ import annotations

from domain.decisions import Envelope, Reason
from domain.events import Struck
from domain.refusal import Refusal
from domain.stages import Stage
from domain.state import Advice, Consultation, Given, Review, joined
from domain.values import DecisionId, PersonId


def refuse_conflict(review: Review, envelope: Envelope) -> Refusal | None:
    """Why nobody can step aside with this, if they can't."""
    if envelope.person in review.aside:
        return Refusal(Reason.ALREADY_GIVEN, "You have stepped aside from this proposal already.")
    return None


def with_conflict(review: Review, given: Given) -> Review:
    """The review that this person has stepped aside from."""
    council = review.council
    if any(seat.person == given.person for seat in council.roster or ()):
        council = council.model_copy(update={"recused": joined(council.recused, given.person)})
    return review.model_copy(update={"aside": joined(review.aside, given.person), "council": council})


def counted(review: Review, person: PersonId) -> tuple[DecisionId, ...]:
    """What this person said, or another in their place, that the review rests on in this round, but for signatures."""
    council = review.council
    ruling = () if review.ruling is None else (review.ruling.by,)
    sheets = (sheet.by for sheet in review.sheets)
    opinions = (opinion.by for opinion in council.opinions)
    went_on = () if council.no_opinion_by is None else (council.no_opinion_by,)
    given = (by.decision for by in (*sheets, *ruling, *opinions, *went_on) if person in by.people)
    answers = (a.answered_in for a in council.advice if a.answered_by == person and a.answered_in is not None)
    return tuple(dict.fromkeys((*given, *answers)))


def goes_back_to(review: Review, struck: Struck) -> Stage | None:
    """The stage, passed already, that these decisions belonged to; None where the review is still in it."""
    reviewed = (*(sheet.by for sheet in review.sheets), *(() if review.ruling is None else (review.ruling.by,)))
    home = Stage.PRINCIPLE_REVIEW if any(by.decision in struck.decisions for by in reviewed) else Stage.COUNCIL
    return home if struck.decisions and home in review.passed else None


def without(review: Review, struck: Struck) -> Review:
    """The review in which these decisions count no more."""
    gone = struck.decisions
    ruling = None if review.ruling is not None and review.ruling.by.decision in gone else review.ruling
    return review.model_copy(
        update={
            "sheets": tuple(sheet for sheet in review.sheets if sheet.by.decision not in gone),
            "ruling": ruling,
            "council": _consulted_without(review.council, gone),
        }
    )


def _consulted_without(council: Consultation, gone: tuple[DecisionId, ...]) -> Consultation:
    went_on = council.no_opinion_by is not None and council.no_opinion_by.decision in gone
    opinions = tuple(opinion for opinion in council.opinions if opinion.by.decision not in gone)
    update: dict[str, object] = {
        "opinions": opinions,
        "advice": tuple(_unanswered(advice, gone) for advice in council.advice if advice.decision not in gone),
    }
    if went_on or opinions != council.opinions:
        update |= {"concluded": None, "no_opinion_because": None, "no_opinion_by": None}
    return council.model_copy(update=update)


def _unanswered(advice: Advice, gone: tuple[DecisionId, ...]) -> Advice:
    if advice.answered_in not in gone:
        return advice
    return Advice(id=advice.id, text=advice.text, given_by=advice.given_by, decision=advice.decision)
