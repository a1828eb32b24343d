"""Whether there is anybody who can do what a review's route still asks for: now, and in the stages to come.

A person has one voice in a round, so the places that are left compete for the same people. Whether there are enough of
them is a matter of matching places to people; where there are not, exactly those places are named that are too many.
What is told names no person: whoever can mend it need not know the case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from domain import council, principles, training
from domain.entitlement import eligible, entitles, officers, steps_left
from domain.people import Holder, Role
from domain.route import CouncilRule, ReviewersRule, SignatoryStep
from domain.separation import excluded, forbidding
from domain.stages import Stage
from domain.state import Lack, Review
from domain.turns import Turn
from domain.values import PersonId

_ORDER = tuple(Stage)


@dataclass(frozen=True)
class Part:
    """Something that the route asks of `needed` people more: who is `able` to do it, and whether anybody has the role."""

    stage: Stage
    act: str
    needed: int
    able: frozenset[PersonId]
    held: bool


def lacking(review: Review, holders: Iterable[Holder]) -> tuple[Lack, ...]:
    """What nobody among these holders of roles can do, or too few of them, of all that the route still asks for."""
    if not review.open or review.route is None:
        return ()
    found = tuple(holders)
    alone = [(part,) for part in _whoever(review, found) if not part.able]
    return tuple(_lack(parts) for parts in (*alone, *short(tuple(_places(review, found)))))


def vacant(review: Review, holders: Iterable[Holder]) -> tuple[PersonId, ...]:
    """The reviewers who have to complete their verdicts and, among these holders of roles, can't, nor can anybody in their
    place: others have their seats. What is carried of them counts all the same.
    """
    if (
        review.route is None
        or not review.open
        or review.stage is not Stage.PRINCIPLE_REVIEW
        or review.changes is not None
    ):
        return review.vacated
    able = {
        holder.grant.person
        for holder in holders
        if _judges(review, review.route.reviewers, holder) and _may(review, "verdict_sheet", holder)
    }
    return tuple(person for person in principles.incomplete(review) if person not in able)


def short(parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    """Those of these parts for which there are too few different people, put together where they compete for them."""
    places = [number for number, part in enumerate(parts) for _ in range(part.needed)]
    taken: dict[PersonId, int] = {}

    def placed(place: int, tried: set[PersonId]) -> bool:
        for person in sorted(parts[places[place]].able - tried):
            if person in tried:
                continue
            tried.add(person)
            if person not in taken or placed(taken[person], tried):
                taken[person] = place
                return True
        return False

    empty = [place for place in range(len(places)) if not placed(place, set())]
    groups: list[set[int]] = []
    for place in empty:
        # Whoever could take the place has one already, whose others have one too, and so on: these are too many.
        tried: set[PersonId] = set()
        placed(place, tried)
        group = {places[place], *(places[taken[person]] for person in tried)}
        for other in [known for known in groups if known & group]:
            groups.remove(other)
            group |= other
        groups.append(group)
    return tuple(tuple(parts[number] for number in sorted(group)) for group in sorted(groups, key=min))


def turns(review: Review) -> tuple[Turn, ...]:
    """The officer's turn, and the operators', who grant roles, to see to what is lacking: once for each lack.

    The review stands still for it where it is lacking in the present stage.
    """
    if review.stage is None or review.blocked_since is None:
        return ()
    found: list[Turn] = []
    for lack in review.blocked:
        turn = Turn(
            stage=review.stage,
            kinds=("grant",),
            what=lack.what,
            role=Role.OFFICER,
            not_for=excluded(review, "extension"),
            since=review.blocked_since,
            blocking=lack.stage is review.stage,
        )
        found += officers(review, turn)
        found.append(turn.model_copy(update={"role": Role.OPERATOR, "not_for": review.aside}))
    return tuple(found)


def _places(review: Review, holders: tuple[Holder, ...]) -> Iterator[Part]:
    """What has to be done in any case, each by people who do nothing else of it."""
    route = review.route
    if route is None:
        return
    if review.stage is Stage.PRINCIPLE_REVIEW:
        rule = route.reviewers
        agreeing, heard = principles.agreeing(review), len(principles.whole(review))
        yield _part(
            review,
            holders,
            Stage.PRINCIPLE_REVIEW,
            "judge it by the principles",
            "verdict_sheet",
            partial(_judges, review, rule),
            needed=max(0, min(rule.needed - agreeing, rule.panel - heard)),
        )
    yield from _opinions(review, route.council, holders)
    if _is_up_to_the_officer(review):
        yield _officer(review, holders)
    for step, needed in steps_left(review):
        yield _part(
            review,
            holders,
            Stage.SIGN_OFF,
            f"sign as {step.title}",
            "signature",
            partial(_signs, review, step),
            needed=needed,
        )


def _opinions(review: Review, rule: CouncilRule, holders: tuple[Holder, ...]) -> Iterator[Part]:
    """A quorum of the Council: an opinion from each seat that has to be heard, and from as many members as it takes.

    Once it is up to the officer to go on without, nobody is lacking.
    """
    if not _is_to_consult(review) or review.council.concluded is not None or council.without_opinion(review):
        return
    heard = {opinion.seat for opinion in review.council.opinions}
    seats = [grant for grant in (holder.grant for holder in holders) if grant.role is Role.COUNCIL_MEMBER]
    members = council.able(review, holders)
    must = [seat for seat in rule.must_include if seat not in heard]
    for seat in must:
        able = frozenset(grant.person for grant in members if grant.office == seat)
        held = any(grant.office == seat for grant in seats)
        yield Part(Stage.COUNCIL, f"advise in the {seat} seat of the Advisory Council", 1, able, held)
    others = rule.quorum - len(review.council.opinions) - len(must)
    if others > 0:
        able = frozenset(grant.person for grant in members)
        held = any(grant.office in rule.seats for grant in seats)
        yield Part(Stage.COUNCIL, "advise on the Advisory Council", others, able, held)


def _judges(review: Review, rule: ReviewersRule, holder: Holder) -> bool:
    grant = holder.grant
    holds = grant.role is Role.REVIEWER and eligible(review, rule, grant, holder.unit)
    return holds and bool(principles.open_to(review, grant.person))


def _signs(review: Review, step: SignatoryStep, holder: Holder) -> bool:
    grant = holder.grant
    holds = grant.role is Role.SIGNATORY and grant.office in step.offices
    return holds and eligible(review, step, grant, holder.unit)


def _whoever(review: Review, holders: tuple[Holder, ...]) -> Iterator[Part]:
    """What may have to be done: there must be somebody, who may have to do other things instead."""
    yield _part(
        review,
        holders,
        review.stage or Stage.PRINCIPLE_REVIEW,
        "answer for the proposal",
        "revision",
        lambda holder: holder.grant.role is Role.OWNER and entitles(review, "revision", holder.grant),
    )
    if training.is_open(review):
        kept = {*training.unheard(review), *review.aside}
        entering = [holder for holder in holders if holder.grant.role is Role.TRAINING_OFFICER]
        able = frozenset(holder.actor for holder in entering) - kept
        yield Part(Stage.TRAINING, "enter what was completed in training", 1, able, held=bool(entering))
    in_question = review.stage is Stage.PRINCIPLE_REVIEW or _is_to_consult(review)
    if in_question and not _is_up_to_the_officer(review):
        yield _officer(review, holders)


def _is_to_consult(review: Review) -> bool:
    return council.is_called(review) and Stage.COUNCIL not in review.passed


def _is_up_to_the_officer(review: Review) -> bool:
    unanswered = review.stage is Stage.COUNCIL and any(advice.answer is None for advice in review.council.advice)
    return unanswered or principles.undecided(review) or council.without_opinion(review)


def _officer(review: Review, holders: tuple[Holder, ...]) -> Part:
    route = review.route
    offices = () if route is None else route.officers
    stage = Stage.COUNCIL if review.stage is Stage.COUNCIL else Stage.PRINCIPLE_REVIEW
    return _part(
        review,
        holders,
        stage,
        "rule on it as officer",
        "ruling",
        lambda holder: holder.grant.role is Role.OFFICER and holder.grant.office in offices,
    )


def _part(
    review: Review,
    holders: tuple[Holder, ...],
    stage: Stage,
    act: str,
    kind: str,
    fits: Callable[[Holder], bool],
    needed: int = 1,
) -> Part:
    fitting = [holder for holder in holders if fits(holder)]
    able = frozenset(holder.actor for holder in fitting if _may(review, kind, holder))
    return Part(stage, act, needed, able, held=bool(fitting))


def _may(review: Review, kind: str, holder: Holder) -> bool:
    """Whether no rule keeps whoever acts under this grant, or whose it is, from a decision of this kind."""
    belonging = {holder.grant.person: holder.unit, holder.actor: holder.actor_unit}
    units = {person: unit for person, unit in belonging.items() if unit is not None}
    return forbidding(review, kind, holder.actor, holder.grant, units, holder.lent_by) is None


def _lack(parts: tuple[Part, ...]) -> Lack:
    needed = sum(part.needed for part in parts)
    able = frozenset[PersonId]().union(*(part.able for part in parts))
    acts = " and to ".join(part.act for part in parts)
    if able:
        what = f"To {acts}, {needed} different people are still needed, and only {_are(len(able))} able to."
    else:
        held = any(part.held for part in parts)
        why = "whoever has the role is kept from this proposal" if held else "nobody who may act has the role"
        what = f"Nobody can {acts}: {why}."
    return Lack(stage=max((part.stage for part in parts), key=_ORDER.index), what=what[:2000])


def _are(number: int) -> str:
    return "1 is" if number == 1 else f"{number} are"
