"""Separation of duties: who may not do what in a review, whatever roles they hold.

The rules are named, and each is a sentence that a refused person understands. A conflict of interest is one of them: who
is too close to a proposal does not judge it, whether they said so or it was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from domain.decisions import Reason
from domain.entitlement import ROLES, speaks_for_the_unit
from domain.people import Grant, Holder, Role, belongs_to
from domain.state import Review, joined
from domain.turns import Turn
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
        "reassignment",
        "ruling",
        "signature",
        "declining",
    }
)
"""The kinds by which somebody judges a proposal, or steers how it is judged."""

PROPOSING = frozenset({"submission", "revision", "answer", "withdrawal"})
"""The kinds by which somebody stands for a proposal."""

OFFERING = frozenset({"claim", "release"})
"""The kinds by which somebody says what they will do, or won't: nothing is judged by them yet."""

SEALING = frozenset({"signature", "declining"})

RULING = frozenset({"ruling", "advice_response", "no_opinion"})

JUDGES = frozenset({Role.REVIEWER, Role.COUNCIL_MEMBER, Role.OFFICER, Role.SIGNATORY})
"""The roles in which proposals are judged."""


@dataclass(frozen=True)
class Actor:
    """Somebody about to act: in their own name, or, where it is another's, with the voice of `voice`.

    `unit` is theirs, where it is known; `under` the grant that they would act under, where that is known, and `lent_by`
    who chose them to act under it in its holder's place, where the holder did not.
    """

    person: PersonId
    voice: PersonId
    role: Role
    unit: str | None = None
    under: Grant | None = None
    lent_by: PersonId | None = None

    @property
    def given_by(self) -> frozenset[PersonId]:
        """Those whose doing it is that they can act under this grant."""
        givers = (None if self.under is None else self.under.by, self.lent_by)
        return frozenset(giver for giver in givers if giver is not None)


@dataclass(frozen=True)
class Rule:
    """A named rule; it forbids `kinds` to those whom `applies` picks out."""

    name: str
    sentence: str
    kinds: frozenset[str]
    applies: Callable[[Review, Actor], bool]
    reason: Reason = Reason.SEPARATION_OF_DUTIES


def _of_its_unit(review: Review, actor: Actor) -> bool:
    """Whether they belong to the unit that the proposal comes from, and don't sign for it."""
    office = None if actor.under is None else actor.under.office
    signs_for_it = actor.role is Role.SIGNATORY and speaks_for_the_unit(review, office)
    return belongs_to(actor.unit, review.units) and not signs_for_it


RULES: tuple[Rule, ...] = (
    Rule(
        "who_declared_a_conflict_stays_aside",
        "You stepped aside from this proposal, so others must judge it.",
        JUDGING,
        lambda review, actor: actor.person in review.aside,
        Reason.CONFLICT_OF_INTEREST,
    ),
    Rule(
        "who_stepped_aside_answers_for_nobody_else",
        "You stepped aside from this proposal, so you can't stand for it in another's place.",
        PROPOSING,
        lambda review, actor: actor.person in review.aside and actor.person != actor.voice,
        Reason.CONFLICT_OF_INTEREST,
    ),
    Rule(
        "proposers_do_not_judge",
        "You own or wrote this proposal, or a revision of it, or answered for it, so others must judge it.",
        JUDGING,
        lambda review, actor: actor.person in review.proposed_by,
    ),
    Rule(
        "judges_do_not_propose",
        "You took part in judging this proposal, so others must answer for it.",
        PROPOSING,
        lambda review, actor: any(actor.person in (voice.person, voice.of) for voice in review.heard),
    ),
    Rule(
        "staff_do_not_judge",
        "You are, or were, on the staff assigned to this proposal, so others must judge it.",
        JUDGING,
        lambda review, actor: actor.person in review.assigned,
    ),
    Rule(
        "own_unit_does_not_judge",
        "You belong to the unit that this proposal comes from, so others must judge it.",
        JUDGING,
        _of_its_unit,
        Reason.CONFLICT_OF_INTEREST,
    ),
    Rule(
        "one_voice_a_round",
        "You were heard in this round already, in another role or in somebody else's place; everybody counts once a round.",
        JUDGING,
        lambda review, actor: any(
            not {person, of}.isdisjoint({actor.person, actor.voice}) and (of, role) != (actor.voice, actor.role)
            for person, of, role in _voices(review)
        ),
    ),
    Rule(
        "grantors_do_not_judge",
        "You gave somebody a role that they acted under in this review, or chose them to act for another, so others must "
        "judge it.",
        JUDGING,
        lambda review, actor: actor.person in review.grantors,
    ),
    Rule(
        "grantors_do_not_propose",
        "You gave somebody the role in which they took part in judging this proposal, or chose them to act in it for "
        "another, so others must answer for it.",
        PROPOSING,
        lambda review, actor: any(actor.person in voice.given_by for voice in review.heard),
    ),
    Rule(
        "roles_from_parties_do_not_count",
        "The role that you would act in was given, or lent, to you by somebody who takes part in this review, so you can't "
        "use it here.",
        JUDGING,
        lambda review, actor: bool(actor.given_by) and not actor.given_by.isdisjoint(parties(review)),
    ),
    Rule(
        "grantors_do_not_borrow",
        "You granted this role to the person who left it to you, so you can't judge in it.",
        JUDGING,
        lambda _, actor: actor.person in actor.given_by,
    ),
    Rule(
        "reviewers_do_not_advise",
        "You took part in this proposal's principle review, so you can't also advise on it for the Council.",
        frozenset({"opinion"}),
        lambda review, actor: actor.person in review.reviewed_by,
    ),
    Rule(
        "reviewers_do_not_rule",
        "You took part in this proposal's principle review, so another officer must rule on it and answer advice on it.",
        RULING,
        lambda review, actor: actor.person in review.reviewed_by,
    ),
    Rule(
        "advisers_do_not_answer",
        "You advised on this proposal for the Council, so another officer must rule on it and answer advice on it.",
        RULING,
        lambda review, actor: actor.person in review.advised_by,
    ),
    Rule(
        "officer_does_not_review_or_advise",
        "You ruled on this proposal or answered advice on it as officer, so others must review it and advise on it.",
        frozenset({"verdict_sheet", "reopening", "opinion"}),
        lambda review, actor: actor.person in review.ruled_by,
    ),
    Rule(
        "advisers_do_not_review",
        "You advised on this proposal for the Council, so you can't also review it.",
        frozenset({"verdict_sheet", "reopening"}),
        lambda review, actor: actor.person in review.advised_by,
    ),
    Rule(
        "reviewers_do_not_sign",
        "You took part in this proposal's principle review, so others must sign it off.",
        SEALING,
        lambda review, actor: actor.person in review.reviewed_by,
    ),
    Rule(
        "advisers_do_not_sign",
        "You advised on this proposal for the Council, so others must sign it off.",
        SEALING,
        lambda review, actor: actor.person in review.advised_by,
    ),
    Rule(
        "officer_does_not_sign",
        "You answered the Council's advice or ruled on this proposal as officer, so others must sign it off.",
        SEALING,
        lambda review, actor: actor.person in review.ruled_by,
    ),
    Rule(
        "one_seal_each",
        "You have already signed this proposal; each signature is another person's.",
        SEALING,
        lambda review, actor: any(actor.person in signature.by.people for signature in review.signatures),
    ),
)

_RULES_FOR = {kind: tuple(rule for rule in RULES if kind in rule.kinds) for kind in ROLES}


def broken_rule(
    review: Review,
    kind: str,
    person: PersonId,
    *,
    under: Grant | None = None,
    lent_by: PersonId | None = None,
    unit: str | None = None,
) -> Rule | None:
    """The first rule that forbids `person` a decision of `kind` on this review: whatever they would act under, or, with
    the voice of its holder, `under` that grant, for which `lent_by` chose them where the holder did not.
    """
    actor = Actor(
        person=person,
        voice=person if under is None else under.person,
        role=ROLES[kind][0] if under is None else under.role,
        unit=unit,
        under=under,
        lent_by=lent_by,
    )
    return next((rule for rule in _RULES_FOR[kind] if rule.applies(review, actor)), None)


def forbidding(
    review: Review,
    kind: str,
    person: PersonId,
    under: Grant,
    units: Mapping[PersonId, str],
    lent_by: PersonId | None = None,
) -> tuple[PersonId, Rule] | None:
    """Whom a rule keeps from a decision of `kind` that `person` makes under this grant: that person, or whose grant it
    is; and the rule. `units` are theirs; `lent_by` is who chose the one to act for the other, where that was neither.
    """
    for each in dict.fromkeys((person, under.person)):
        rule = broken_rule(review, kind, each, under=under, lent_by=lent_by, unit=units.get(each))
        if rule is not None:
            return each, rule
    return None


def excluded(review: Review, kind: str) -> tuple[PersonId, ...]:
    """Everybody involved in this review whom a rule keeps from a decision of `kind`, sorted."""
    involved = {*parties(review), *review.grantors}
    return tuple(sorted(person for person in involved if broken_rule(review, kind, person) is not None))


def parties(review: Review) -> frozenset[PersonId]:
    """Everybody who stands for the proposal, would work on it, takes part in judging it, or stepped aside."""
    return frozenset(
        (
            *review.proposed_by,
            *review.assigned,
            *review.aside,
            *(person for voice in review.heard for person in (voice.person, voice.of)),
            *review.reviewed_by,
            *review.advised_by,
            *review.ruled_by,
            *(person for signature in review.signatures for person in signature.by.people),
        )
    )


def givers(review: Review, person: PersonId, of: PersonId, role: Role) -> frozenset[PersonId]:
    """Those whose doing it was, as far as the record tells, that `person` was heard in this role with the voice of `of`."""
    spoke = (voice for voice in review.heard if (voice.person, voice.of, voice.role) == (person, of, role))
    return frozenset(giver for voice in spoke for giver in voice.given_by)


def moved(review: Review, units: Mapping[PersonId, str]) -> dict[PersonId, str]:
    """Those who ever stood for the proposal of this review, while it is open, and belong, by these `units` of people, to
    none of those that it is known to come from; and where they belong.
    """
    found: dict[PersonId, str] = {}
    for person in sorted(review.proposed_by) if review.open else ():
        unit = units.get(person)
        if unit is not None and not belongs_to(unit, (*review.units, *found.values())):
            found[person] = unit
    return found


def with_moved(review: Review, units: Mapping[PersonId, str]) -> Review:
    """The review that is known to come from the units of these people, too."""
    return review.model_copy(update={"units": joined(review.units, *(units[person] for person in sorted(units)))})


def has_conflict(review: Review, person: PersonId, unit: str | None, under: Grant) -> bool:
    """Whether `person`, acting under this grant, has a conflict of interest in this review, declared or found."""
    actor = Actor(person=person, voice=under.person, role=under.role, unit=unit, under=under)
    return person in review.aside or person in review.assigned or _of_its_unit(review, actor)


def too_close(review: Review, holders: Iterable[Holder]) -> tuple[PersonId, ...]:
    """Of these holders of roles, those who would judge the proposal if it did not name them as staff, or their unit. Sorted."""
    judges = (holder for holder in holders if holder.grant.role in JUDGES)
    found = {h.actor for h in judges if has_conflict(review, h.actor, h.actor_unit, h.grant)}
    return tuple(sorted(found - {*review.aside, *review.proposed_by}))


def restricted(review: Review, turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """These turns, each closed to whom a conflict of interest, the origin of their role, or what they said in this round
    keeps from it.
    """
    return tuple(_restricted(review, turn) for turn in turns)


def _restricted(review: Review, turn: Turn) -> Turn:
    if turn.role not in JUDGES:
        return turn
    own = turn.role is Role.SIGNATORY and speaks_for_the_unit(review, turn.office)
    return turn.model_copy(
        update={
            "not_units": () if own else review.units,
            "not_granted_by": tuple(sorted(parties(review))),
            "own_voice_only": tuple(sorted({person for person, of, _ in _voices(review) if person == of})),
        }
    )


def _voices(review: Review) -> Iterator[tuple[PersonId, PersonId, Role]]:
    """Who was heard in this round, whose voice that was, in which role; those among them whose verdicts were carried to it."""
    yield from ((voice.person, voice.of, voice.role) for voice in review.heard if voice.round == review.round)
    yield from ((sheet.by.person, sheet.by.voice, Role.REVIEWER) for sheet in review.sheets)
