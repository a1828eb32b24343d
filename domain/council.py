"""The external Advisory Council, on the written route: who is seated, opinions and advice, recusal, quorum, the answers.

The Council advises and holds no veto: every piece of advice gets a recorded answer, and where no opinion could be had
the officer may go on, which stands on the certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.decisions import AdviceResponse, Answer, Envelope, Opinion, Reason, Stance
from domain.entitlement import officers
from domain.events import Concluded, Event, Passed, Seated
from domain.facts import Facts
from domain.people import Grant, Holder, Role, Seat
from domain.refusal import Refusal
from domain.route import CouncilRule, Phase
from domain.separation import broken_rule, excluded
from domain.stages import Stage
from domain.state import Advice, Advised, Given, Review, joined
from domain.turns import Turn


def is_called(review: Review) -> bool:
    """Whether this review goes to the Council: by its route, or because somebody entitled escalated it."""
    return review.route is not None and (review.route.council_required or review.called is not None)


def seated(review: Review, holders: Iterable[Holder]) -> tuple[Grant, ...]:
    """The members who sit on this case: those of the route's seats whom no rule keeps away, one grant each."""
    seats = _rule(review).seats
    chosen: dict[str, Grant] = {}
    for holder in sorted(holders, key=lambda holder: (holder.grant.office or "", holder.grant.person, holder.grant.id)):
        grant = holder.grant
        fits = grant.role is Role.COUNCIL_MEMBER and any(grant.office == seat for seat in seats)
        if fits and broken_rule(review, "opinion", grant.person, under=grant, unit=holder.unit) is None:
            chosen.setdefault(grant.person, grant)
    return tuple(chosen.values())


def seated_too(review: Review, holders: Iterable[Holder]) -> tuple[Grant, ...]:
    """The roster with those members on it who could be seated by now and were not."""
    roster = review.council.roster or ()
    on_it = {grant.person for grant in roster}
    return (*roster, *(grant for grant in seated(review, holders) if grant.person not in on_it))


def able(review: Review, holders: Iterable[Holder]) -> tuple[Grant, ...]:
    """The members who could still give an opinion: of those who wait, if the Council sits on the case already, those who
    have their seat still and whom no rule keeps away by now.
    """
    found = tuple(holders)
    if review.council.roster is None:
        return seated(review, found)
    hold = {
        (holder.grant.person, holder.grant.office)
        for holder in found
        if holder.grant.role is Role.COUNCIL_MEMBER
        and broken_rule(review, "opinion", holder.grant.person, under=holder.grant, unit=holder.unit) is None
    }
    return tuple(grant for grant in waiting_members(review) if (grant.person, grant.office) in hold)


def quorum_met(rule: CouncilRule, seats: list[Seat]) -> bool:
    """Whether these seats make a quorum: enough of them, and every one that must be there."""
    return len(seats) >= rule.quorum and all(seat in seats for seat in rule.must_include)


def waiting_members(review: Review) -> tuple[Grant, ...]:
    """The seated members who have neither given an opinion nor stepped aside."""
    heard = {opinion.by.person for opinion in review.council.opinions}
    return tuple(
        grant
        for grant in review.council.roster or ()
        if grant.person not in heard and grant.person not in review.council.recused
    )


def in_time(review: Review) -> tuple[Grant, ...]:
    """Those of the waiting members whose time has not run out: their own, or else the one that all have."""
    return tuple(grant for grant in waiting_members(review) if not review.late(grant.person))


def unreachable(review: Review) -> bool:
    """Whether no quorum can be had any more, even if every waiting member gave an opinion."""
    remaining = [Seat(grant.office or "") for grant in waiting_members(review)]
    return not quorum_met(_rule(review), [*_heard(review), *remaining])


def without_opinion(review: Review) -> bool:
    """Whether it is up to the officer to go on without an opinion, or to give more time."""
    council = review.council
    if review.phase is not Phase.CONSULTING or council.concluded is not None:
        return False
    return unreachable(review) or not (in_time(review) or quorum_met(_rule(review), _heard(review)))


def refuse_member(review: Review, envelope: Envelope) -> Refusal | None:
    """Why a member's opinion or recusal can't be taken now, if it can't."""
    if review.phase is not Phase.CONSULTING or review.council.concluded is not None:
        return Refusal(Reason.OUT_OF_STAGE, "The Council is not being asked now.")
    if envelope.person in review.council.recused:
        return Refusal(Reason.ALREADY_GIVEN, "You have stepped aside from this case.")
    if any(opinion.by.person == envelope.person for opinion in review.council.opinions):
        return Refusal(Reason.ALREADY_GIVEN, "You have already given your opinion in this round.")
    if review.late(envelope.person):
        return Refusal(Reason.LATE, "The time for opinions has run out; the officer decides whether to extend it.")
    return None


def refuse_response(review: Review, response: AdviceResponse) -> Refusal | None:
    """Why the officer's answers can't be taken now, if they can't."""
    if review.phase is not Phase.ANSWERING_ADVICE:
        return Refusal(Reason.OUT_OF_STAGE, "No advice of the Council waits for an answer now.")
    named = [answer.advice for answer in response.answers]
    if len(set(named)) != len(named):
        return Refusal(Reason.INVALID, "A piece of advice is answered twice in this response.")
    known = {advice.id: advice for advice in review.council.advice}
    unknown = [name for name in named if name not in known]
    if unknown:
        return Refusal(Reason.UNKNOWN_REFERENCE, f"There is no advice with the id {unknown[0]!r}.")
    answered = [name for name in named if known[name].answer is not None]
    if answered:
        return Refusal(Reason.ALREADY_GIVEN, f"The advice {answered[0]} has its answer already.")
    return None


def refuse_no_opinion(review: Review) -> Refusal | None:
    """Why the officer can't go on without an opinion now, if they can't."""
    if without_opinion(review):
        return None
    return Refusal(
        Reason.OUT_OF_STAGE,
        "You can go on without an opinion only once the time has run out, or no quorum can be had any more.",
    )


def refuse_escalation(review: Review) -> Refusal | None:
    """Why the review can't be escalated to the Council now, if it can't."""
    if is_called(review):
        return Refusal(Reason.ALREADY_GIVEN, "The Council is asked about this proposal in any case.")
    if review.changes is not None:
        return Refusal(Reason.OUT_OF_STAGE, "Changes were asked for; the owner's new revision comes first.")
    return None


def with_opinion(review: Review, given: Given, opinion: Opinion, reason: str | None) -> Review:
    """The review with this member's opinion and advice."""
    seat = next(member.office for member in review.council.roster or () if member.person == given.person)
    advised = Advised(
        by=given,
        seat=Seat(seat or ""),
        stance=opinion.stance,
        reason=reason if opinion.stance is Stance.OPPOSES else None,
    )
    advice = tuple(
        Advice(id=f"{given.decision}.{number}", text=text, given_by=given.person, decision=given.decision)
        for number, text in enumerate(opinion.advice, start=1)
    )
    council = review.council.model_copy(
        update={
            "opinions": (*review.council.opinions, advised),
            "advice": (*review.council.advice, *advice),
        }
    )
    return review.model_copy(update={"council": council, "advised_by": joined(review.advised_by, *given.people)})


def with_response(review: Review, given: Given, response: AdviceResponse) -> Review:
    """The review with these answers to advice. Accepted advice becomes a condition,
    in its own words if no others are given.
    """
    answers = {answer.advice: answer for answer in response.answers}
    advice = tuple(
        piece
        if (answer := answers.get(piece.id)) is None
        else piece.model_copy(
            update={
                "answer": answer.answer,
                "answered_by": given.person,
                "answered_in": given.decision,
                "reason": answer.reason,
                "condition": (answer.condition or piece.text) if answer.answer is Answer.ACCEPTED else answer.condition,
            }
        )
        for piece in review.council.advice
    )
    council = review.council.model_copy(update={"advice": advice})
    return review.model_copy(update={"council": council, "ruled_by": joined(review.ruled_by, *given.people)})


def with_no_opinion(review: Review, given: Given, because: str) -> Review:
    """The review going on without an opinion of the Council."""
    council = review.council.model_copy(
        update={"concluded": "no_opinion", "no_opinion_because": because, "no_opinion_by": given}
    )
    return review.model_copy(update={"council": council, "ruled_by": joined(review.ruled_by, *given.people)})


def follows(review: Review, facts: Facts, at: datetime) -> Event | None:
    """What follows by itself in the Council's stage; a wait is begun by the caller."""
    if not is_called(review):
        because = "The policy does not send this tier to the Council, and nobody escalated it."
        return Passed(at=at, stage=Stage.COUNCIL, result="not_required", because=because)
    council = review.council
    if council.roster is None:
        return Seated(at=at, roster=seated(review, facts.holders))
    if council.concluded is None:
        if review.phase is not Phase.CONSULTING:
            return None
        heard = _heard(review)
        everybody = not waiting_members(review)
        if not in_time(review) and quorum_met(_rule(review), heard):
            rest = "every seated member was heard" if everybody else "the time for opinions ran out"
            return Concluded(at=at, because=f"{len(heard)} opinions make a quorum, and {rest}.")
        return None
    if any(advice.answer is None for advice in council.advice):
        return None
    if council.concluded == "no_opinion":
        because = f"No opinion obtained, because: {council.no_opinion_because}"[:2000]
        return Passed(at=at, stage=Stage.COUNCIL, result="no_opinion", because=because)
    because = f"Opinions heard: {len(council.opinions)}; pieces of advice, each answered: {len(council.advice)}."
    return Passed(at=at, stage=Stage.COUNCIL, result="completed", because=because)


def phase(review: Review) -> Phase:
    """What the Council's stage waits for."""
    return Phase.CONSULTING if review.council.concluded is None else Phase.ANSWERING_ADVICE


def turns(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is in the Council's stage."""
    if review.phase_since is None:
        return ()
    since = review.phase_since
    if review.phase is Phase.ANSWERING_ADVICE:
        left = sum(advice.answer is None for advice in review.council.advice)
        answer = Turn(
            stage=Stage.COUNCIL,
            kinds=("advice_response",),
            what=f"Answer the Council's advice ({left} left).",
            role=Role.OFFICER,
            not_for=excluded(review, "advice_response"),
            since=since,
            due_at=review.due_at,
        )
        return officers(review, answer)
    if without_opinion(review):
        lost = "No quorum can be had any more" if unreachable(review) else "The time has run out without a quorum"
        officer = Turn(
            stage=Stage.COUNCIL,
            kinds=("no_opinion", "extension"),
            what=f"{lost}: go on without an opinion, with the reason, or give more time.",
            role=Role.OFFICER,
            not_for=excluded(review, "no_opinion"),
            since=(review.due_at or since) if review.overdue else since,
            due_at=None if review.overdue else review.due_at,
        )
        return officers(review, officer)
    return tuple(
        Turn(
            stage=Stage.COUNCIL,
            kinds=("opinion", "recusal", "question"),
            what="Give an opinion and any advice, or step aside.",
            role=Role.COUNCIL_MEMBER,
            office=grant.office,
            person=grant.person,
            since=since,
            due_at=review.due_at,
        )
        for grant in in_time(review)
    )


def _rule(review: Review) -> CouncilRule:
    if review.route is None:
        raise ValueError("a review without a route has no Council")
    return review.route.council


def _heard(review: Review) -> list[Seat]:
    return [opinion.seat for opinion in review.council.opinions]
