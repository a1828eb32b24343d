"""Claims: of several people who could take a turn, one says that they will; gives it back; is named by the officer.

A claim holds a place in a turn. There are as many places as acts are still needed: verdicts, signatures of the office
whose turn it is, or the one ruling. While every place is held, the turn is the claimants' alone. A claim decides nothing,
and it ends by itself: with the act, with what was waited for, when its time has run out, or with the claimant's role.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain import principles, sign_off
from domain.deadlines import freed
from domain.decisions import Act, Claim, Envelope, Reason, Reassignment
from domain.entitlement import current_step, steps_left
from domain.facts import Facts
from domain.people import Holder
from domain.refusal import Refusal
from domain.separation import restricted
from domain.stages import Stage
from domain.state import Claimed, Given, Review
from domain.turns import Turn, falls_to
from domain.values import PersonId

WORDS: dict[Act, str] = {"verdict_sheet": "a verdict sheet", "ruling": "the ruling", "signature": "a signature"}
"""What can be claimed, in words."""


def places(review: Review, act: Act) -> int:
    """How many of these acts the review still needs, which is how many can be held by claims."""
    if not review.open or review.changes is not None:
        return 0
    match act:
        case "verdict_sheet":
            return principles.voices_needed(review)
        case "ruling":
            return int(principles.undecided(review))
        case "signature":
            left = steps_left(review) if review.stage is Stage.SIGN_OFF else ()
            return left[0][1] if left else 0


def shared(review: Review, act: Act) -> tuple[Turn, ...]:
    """The turns in which any of several people can do this; nobody has to claim what they are asked for by name."""
    if not places(review, act):
        return ()
    turns = sign_off.turns(review) if act == "signature" else principles.turns(review)
    return restricted(review, (turn for turn in turns if turn.kinds[0] == act and turn.person is None))


def narrowed(review: Review, turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """These turns, each with who claimed a place in it, and marked where no place is left."""
    return tuple(_narrowed(review, turn) for turn in turns)


def refuse_claim(review: Review, act: Act, voice: PersonId, facts: Facts) -> Refusal | None:
    """Why no place can be held for `voice`, if none can."""
    if not shared(review, act):
        return _nothing_to_claim(act)
    if review.overdue:
        return Refusal(Reason.LATE, "The time has run out, so nothing is held for anybody: whoever can, does it.")
    if act == "verdict_sheet" and voice in principles.voices(review):
        return Refusal(Reason.ALREADY_GIVEN, "Your voice was heard in this round; what is open of it is yours alone.")
    if review.claim_of(voice) is not None:
        return Refusal(Reason.ALREADY_GIVEN, "You have claimed it already.")
    return refuse_act(review, act, voice, facts)


def refuse_release(review: Review, voice: PersonId) -> Refusal | None:
    """Why there is nothing to give back, if there is nothing."""
    if review.claim_of(voice) is None:
        return Refusal(Reason.UNKNOWN_REFERENCE, "You have claimed nothing here, or your claim has ended.")
    return None


def refuse_reassignment(
    review: Review, envelope: Envelope, reassignment: Reassignment, officer: PersonId, facts: Facts
) -> Refusal | None:
    """Why the officer can't have it done by this person, or free the place of that one, if they can't."""
    act, person, instead_of = reassignment.act, reassignment.person, reassignment.instead_of
    if instead_of is not None and not any(c.person == instead_of and c.act == act for c in review.claims):
        return Refusal(Reason.UNKNOWN_REFERENCE, f"{instead_of} holds no claim to {WORDS[act]} here.")
    if person is None:
        return None
    if person in (envelope.person, officer):
        return Refusal(Reason.INVALID, "Nobody assigns a turn to themselves; whoever it falls to can claim it.")
    turns = shared(review, act)
    if not turns:
        return _nothing_to_claim(act)
    if review.overdue:
        return Refusal(Reason.LATE, "The time has run out: extend it first, and then assign it.")
    if not _falls_to(turns, person, facts.holders):
        return Refusal(
            Reason.INVALID,
            f"This does not fall to {person}: they hold no role for it on this route, or a rule keeps them from it.",
        )
    with_room = review.model_copy(update={"claims": _but(review.claims, instead_of)})
    return refuse_act(with_room, act, person, facts)


def refuse_act(review: Review, act: Act, voice: PersonId, facts: Facts) -> Refusal | None:
    """Why `voice` can't do this, although they might, if others claimed every place.

    Only the claim of somebody who can still act counts: whoever lost the role since, or is kept from it, holds nobody up.
    """
    idle = void(review, facts.holders)
    holding = [claim for claim in review.claims if claim.act == act and claim.person not in idle]
    if not shared(review, act) or len(holding) < places(review, act) or any(claim.person == voice for claim in holding):
        return None
    if act == "verdict_sheet" and voice in principles.voices(review):
        return None
    names = " and ".join(claim.person for claim in holding)
    return Refusal(
        Reason.CLAIMED,
        f"{names} claimed it, so it is theirs to do. They can release it, and the officer can assign it to another.",
    )


def void(review: Review, holders: Iterable[Holder]) -> tuple[PersonId, ...]:
    """Those whose claim holds nothing, for by these roles what they claimed does not fall to them any more."""
    found = tuple(holders)
    return tuple(c.person for c in review.claims if not _falls_to(shared(review, c.act), c.person, found))


def with_claim(review: Review, given: Given, claim: Claim) -> Review:
    """The review in which whoever claimed it, or in whose place it was claimed, holds a place."""
    return _with_holder(review, claim.act, given.voice, given)


def with_release(review: Review, given: Given) -> Review:
    """The review in which they hold none any more."""
    return ended(review, given.voice)


def with_reassignment(review: Review, given: Given, reassignment: Reassignment) -> Review:
    """The review in which the person named holds a place, from now on, and whose claim it ends does not."""
    review = _without(review, reassignment.instead_of)
    if reassignment.person is None:
        return review
    return _with_holder(_without(review, reassignment.person), reassignment.act, reassignment.person, given)


def ended(review: Review, person: PersonId) -> Review:
    """The review in which they hold no place any more."""
    return _without(review, person)


def settled(review: Review) -> Review:
    """The review with those claims alone that still hold a place: not what was done, is not waited for any more, or was
    not done in time; nor those of anybody who stepped aside, or whom such a one named.
    """
    for claim in review.claims:
        if not _stands(review, claim):
            review = _without(review, claim.person)
    return review


def _stands(review: Review, claim: Claimed) -> bool:
    clock = review.clock_of(claim.person)
    done = (
        claim.person in principles.voices(review)
        if claim.act == "verdict_sheet"
        else any(claim.person == signature.by.voice for signature in review.signatures)
    )
    return (
        places(review, claim.act) > 0
        and claim.office == _office(review, claim.act)
        and not done
        and (clock is None or not clock.overdue)
        and {claim.person, *claim.by.people}.isdisjoint(review.aside)
    )


def _narrowed(review: Review, turn: Turn) -> Turn:
    if turn.person is not None:
        return turn
    held = [claim for claim in review.claims if claim.act == turn.kinds[0]]
    if not held:
        return turn
    claimed_by = tuple(claim.person for claim in held)
    return turn.model_copy(update={"claimed_by": claimed_by, "taken": len(held) >= places(review, held[0].act)})


def _with_holder(review: Review, act: Act, person: PersonId, by: Given) -> Review:
    claimed = Claimed(act=act, office=_office(review, act), person=person, by=by)
    # Whatever time they had of their own before, they have that of the claim now.
    return freed(review, person).model_copy(update={"claims": (*review.claims, claimed)})


def _without(review: Review, person: PersonId | None) -> Review:
    if person is None or review.claim_of(person) is None:
        return review
    return freed(review, person).model_copy(update={"claims": _but(review.claims, person)})


def _but(claims: tuple[Claimed, ...], person: PersonId | None) -> tuple[Claimed, ...]:
    return tuple(claim for claim in claims if claim.person != person)


def _office(review: Review, act: Act) -> str | None:
    step = current_step(review) if act == "signature" else None
    return None if step is None else step.office


def _nothing_to_claim(act: Act) -> Refusal:
    return Refusal(
        Reason.OUT_OF_STAGE,
        f"There is nothing to claim: {WORDS[act]} that any of several people could give is not asked for now.",
    )


def _falls_to(turns: Iterable[Turn], person: PersonId, holders: Iterable[Holder]) -> bool:
    mine = [holder for holder in holders if holder.grant.person == person]
    return any(falls_to(turn, holder) for turn in turns for holder in mine)
