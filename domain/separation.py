"""Separation of duties: who may not do what in a review, whatever roles they hold.

The rules are named, and each is a sentence that a refused person understands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from domain.state import Review
from domain.values import PersonId

JUDGING = frozenset(
    {
        "verdict_sheet",
        "reopening",
        "change_request",
        "question",
        "escalation",
        "opinion",
        "advice_response",
        "no_opinion",
        "extension",
        "ruling",
        "signature",
        "declining",
    }
)
"""The kinds by which somebody judges a proposal, or steers how it is judged."""

SEALING = frozenset({"signature", "declining"})

RULING = frozenset({"ruling", "advice_response", "no_opinion"})


@dataclass(frozen=True)
class Rule:
    """A named rule; it forbids `kinds` to the people whom `applies` picks out."""

    name: str
    sentence: str
    kinds: frozenset[str]
    applies: Callable[[Review, PersonId], bool]


RULES: tuple[Rule, ...] = (
    Rule(
        "proposers_do_not_judge",
        "You own or wrote this proposal, or a revision of it, so others must judge it.",
        JUDGING,
        lambda review, person: person in review.proposed_by,
    ),
    Rule(
        "staff_do_not_judge",
        "You are, or were, on the staff assigned to this proposal, so others must judge it.",
        JUDGING,
        lambda review, person: person in review.assigned,
    ),
    Rule(
        "recused_stay_aside",
        "You stepped aside from this proposal for the Council, so others must judge it.",
        JUDGING,
        lambda review, person: person in review.council.recused,
    ),
    Rule(
        "reviewers_do_not_advise",
        "You took part in this proposal's principle review, so you can't also advise on it for the Council.",
        frozenset({"opinion"}),
        lambda review, person: person in review.reviewed_by,
    ),
    Rule(
        "reviewers_do_not_rule",
        "You took part in this proposal's principle review, so another officer must rule on it and answer advice on it.",
        RULING,
        lambda review, person: person in review.reviewed_by,
    ),
    Rule(
        "advisers_do_not_answer",
        "You advised on this proposal for the Council, so another officer must rule on it and answer advice on it.",
        RULING,
        lambda review, person: person in review.advised_by,
    ),
    Rule(
        "officer_does_not_review_or_advise",
        "You ruled on this proposal or answered advice on it as officer, so others must review it and advise on it.",
        frozenset({"verdict_sheet", "reopening", "opinion"}),
        lambda review, person: person in review.ruled_by,
    ),
    Rule(
        "advisers_do_not_review",
        "You advised on this proposal for the Council, so you can't also review it.",
        frozenset({"verdict_sheet", "reopening"}),
        lambda review, person: person in review.advised_by,
    ),
    Rule(
        "reviewers_do_not_sign",
        "You took part in this proposal's principle review, so others must sign it off.",
        SEALING,
        lambda review, person: person in review.reviewed_by,
    ),
    Rule(
        "advisers_do_not_sign",
        "You advised on this proposal for the Council, so others must sign it off.",
        SEALING,
        lambda review, person: person in review.advised_by,
    ),
    Rule(
        "officer_does_not_sign",
        "You answered the Council's advice or ruled on this proposal as officer, so others must sign it off.",
        SEALING,
        lambda review, person: person in review.ruled_by,
    ),
    Rule(
        "one_seal_each",
        "You have already signed this proposal in another office; each signature is another person's.",
        SEALING,
        lambda review, person: any(signature.by.person == person for signature in review.signatures),
    ),
)


def broken_rule(review: Review, kind: str, person: PersonId) -> Rule | None:
    """The first rule that forbids `person` a decision of `kind` on this review."""
    return next((rule for rule in RULES if kind in rule.kinds and rule.applies(review, person)), None)


def excluded(review: Review, kind: str) -> tuple[PersonId, ...]:
    """Everybody involved in this review whom a rule keeps from a decision of `kind`, sorted."""
    involved = {
        *review.proposed_by,
        *review.assigned,
        *review.reviewed_by,
        *review.advised_by,
        *review.ruled_by,
        *review.council.recused,
        *(signature.by.person for signature in review.signatures),
    }
    return tuple(sorted(person for person in involved if broken_rule(review, kind, person) is not None))
