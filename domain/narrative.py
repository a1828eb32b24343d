"""What an entry of the ledger says, in plain words."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from domain.calendar import Span, WorkingDays
from domain.claims import WORDS
from domain.decisions import (
    AdviceResponse,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Discrepancy,
    Envelope,
    Escalation,
    Extension,
    NoOpinion,
    Opinion,
    Question,
    QuestionAnswer,
    Reassignment,
    Recusal,
    RegistryChanged,
    Release,
    Reopening,
    Repair,
    Revision,
    Ruling,
    Signature,
    Submission,
    TrainingRecorded,
    VerdictSheet,
    Withdrawal,
)
from domain.discrepancies import DIFFERENCES
from domain.events import (
    Accepted,
    Assessed,
    Began,
    Blocked,
    Closed,
    Concluded,
    Event,
    FellDue,
    Lapsed,
    Moved,
    Passed,
    Paused,
    Refused,
    Reminded,
    Resumed,
    Returned,
    Seated,
    Struck,
    TrainingChecked,
    Unblocked,
    Unclaimed,
    Vacated,
)
from domain.route import Phase
from domain.stages import Stage
from domain.state import Clock
from domain.values import Digest, PersonId, Value

STAGES = {
    Stage.PRINCIPLE_REVIEW: "principle review",
    Stage.COUNCIL: "the Advisory Council",
    Stage.TRAINING: "training",
    Stage.SIGN_OFF: "sign-off",
}

PHASES = {
    Phase.REVIEWING: "verdicts on the principles",
    Phase.WITH_OWNER: "the owner",
    Phase.CONSULTING: "opinions of the Council",
    Phase.ANSWERING_ADVICE: "answers to the Council's advice",
    Phase.TRAINING: "training to be completed",
    Phase.SIGNING: "the next signature",
}


class Told(Value):
    """One entry in plain words: who, if anybody, and in whose place, if in another's; what; and the digest that it was
    done on, if it was.
    """

    who: PersonId | None
    for_person: PersonId | None = None
    role: str | None
    what: str
    said: str | None
    on_digest: Digest | None


def tell(event: Event) -> Told:
    """What this entry says. Total over every event."""
    match event:
        case Accepted(envelope=envelope, mandate=mandate):
            given_for = None if mandate is None else mandate.for_person
            return Told(
                who=envelope.person,
                for_person=given_for,
                role=envelope.role,
                what=_decision(envelope) if given_for is None else f"In place of {given_for}: {_decision(envelope)}",
                said=_said(envelope),
                on_digest=envelope.content_digest,
            )
        case Refused():
            kind = "a message" if event.kind is None else f"a decision of kind {event.kind}"
            return Told(
                who=event.person,
                role=None,
                what=f"Refused {kind} ({event.reason}): {event.detail}",
                said=event.shown,
                on_digest=event.content_digest or event.digest,
            )
        case Assessed():
            a = event.assessment
            route = (
                f"Assessed revision {event.revision}: {a.score} of {a.max_score} points, tier {a.tier} "
                f"({a.route.tier_name}). Round {event.round} of review begins."
            )
            return _engine(f"{route}{_verdicts(event)}{_kept_away(event)}", _changed(event), event.content_digest)
        case Returned():
            return _engine(f"Back to {STAGES[event.stage]}.", event.because)
        case Began():
            reminder = "" if event.remind_at is None else f", reminder {_moment(event.remind_at)}"
            until = f"until {_moment(event.due_at)}{reminder}"
            if event.question is not None:
                return _engine(f"The owner ({event.person}) has time to answer {event.question}, {until}.")
            if event.person is not None:
                return _engine(f"Asked by name: {event.person}, {until}.")
            return _engine(f"Waits for {PHASES[event.phase]}, {until}.")
        case Reminded():
            again = "" if event.again_at is None else f"; again {_moment(event.again_at)}"
            return _engine(f"Reminded{_whom(event)}: {_awaited(event.deadline)}{again}.")
        case FellDue():
            role, office = event.next_in_line
            next_in_line = role if office is None else f"{role} ({office})"
            return _engine(f"Time ran out for {_of(event.deadline)}{_whom(event)}; next in line: {next_in_line}.")
        case Paused():
            left = "; ".join(f"{_clock(clock)}{_left(clock.due_left)}" for clock in event.clocks)
            return _engine(f"The clock stands still until the owner has answered: {left}.")
        case Resumed():
            until = "; ".join(
                f"{_clock(clock)} until {_moment(clock.due_at)}" for clock in event.clocks if clock.due_at
            )
            return _engine(f"The owner has answered, and the clock runs again: {until}.")
        case Seated():
            seats = ", ".join(f"{grant.person} ({grant.office})" for grant in event.roster) or "nobody"
            return _engine(f"The Council sits on this case: {seats}.")
        case Concluded():
            return _engine("The Council's consultation is concluded.", event.because)
        case TrainingChecked():
            gaps = event.check.gaps
            if not gaps:
                whose = f", by the word of {', '.join(event.check.entered_by)}" if event.check.entered_by else ""
                return _engine(f"Training checked: nothing is missing{whose}.", None, event.check.rests_on)
            names = "; ".join(gap.why for gap in gaps)
            return _engine(f"Training checked, gaps: {names}.", None, event.check.rests_on)
        case Lapsed():
            return _engine(f"Signatures lapsed: {len(event.decisions)}.", event.because)
        case Struck():
            return _engine(f"What {event.person} said counts no more: decisions {len(event.decisions)}.")
        case Passed():
            how = {
                "completed": "completed",
                "not_required": "passed as not required",
                "no_opinion": "passed with no opinion obtained",
            }[event.result]
            return _engine(f"Stage {STAGES[event.stage]}: {how}.", event.because)
        case Moved(units=units):
            where = ", ".join(f"{person} ({unit})" for person, unit in sorted(units.items()))
            return _engine(f"Who stands for it belongs to another unit by now, whose people don't judge it: {where}.")
        case Unclaimed(person=person):
            return _engine(f"The claim of {person} is ended: what they claimed falls to them no more.")
        case Vacated(people=()):
            return _engine("Whoever has verdicts to complete can do so again.")
        case Vacated(people=people):
            return _engine(f"Others have the seats of who can't complete their verdicts any more: {', '.join(people)}.")
        case Blocked(lacking=lacks):
            return _engine("The route can't be fulfilled as things are.", "\n".join(lack.what for lack in lacks))
        case Unblocked():
            return _engine("The route can be fulfilled again.")
        case Closed():
            return _engine(f"Closed: {event.outcome}.", event.because)


def _verdicts(event: Assessed) -> str:
    if event.revision == 1:
        return ""
    anew = (
        f" To be judged anew: {', '.join(event.reopened)}."
        if event.reopened
        else " Every principle is judged as before."
    )
    carried = "; ".join(f"{person} on {', '.join(names)}" for person, names in sorted(event.carried.items()))
    return f"{anew} Verdicts carried: {carried}." if carried else anew


def _kept_away(event: Assessed) -> str:
    if not event.kept_away:
        return ""
    return f" Its own words (staff, unit) keep from judging it: {', '.join(event.kept_away)}."


def _changed(event: Assessed) -> str:
    because = event.assessment.tier_because
    return f"{because}\nChanged: {', '.join(event.changes)}" if event.changes else because


def _engine(what: str, said: str | None = None, digest: Digest | None = None) -> Told:
    return Told(who=None, role=None, what=what, said=said, on_digest=digest)


def _of(deadline: str) -> str:
    phase, _, _ = deadline.partition("-")
    return PHASES[Phase(phase)] if phase in PHASES else deadline


def _awaited(deadline: str) -> str:
    return f"{_of(deadline)} {'is overdue' if '-overdue' in deadline else 'is still awaited'}"


def _whom(event: Reminded | FellDue) -> str:
    return "" if event.person is None else f" ({event.person})"


def _clock(clock: Clock) -> str:
    return PHASES[clock.phase] if clock.person is None else f"{PHASES[clock.phase]} ({clock.person})"


def _left(span: Span | None) -> str:
    match span:
        case None:
            return " is overdue"
        case WorkingDays(working_days=days):
            return f", {days} working days left"
        case timedelta():
            return f", {span.days} days left" if span.days else f", {span.seconds // 3600} hours left"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _said(envelope: Envelope) -> str | None:
    """Every word of the decision: its reason, and the reason, advice or condition of each part of it."""
    lines = [] if envelope.reason is None else [envelope.reason]
    match envelope.content:
        case VerdictSheet() as sheet:
            for verdict in sheet.verdicts:
                lines.append(f"{verdict.principle}: {verdict.reason}")
                lines += [] if verdict.condition is None else [f"  on condition: {verdict.condition}"]
        case Opinion() as opinion:
            lines += [f"advice {number}: {text}" for number, text in enumerate(opinion.advice, start=1)]
        case AdviceResponse() as response:
            for answer in response.answers:
                lines.append(f"{answer.advice}, {answer.answer.replace('_', ' ')}: {answer.reason}")
                lines += [] if answer.condition is None else [f"  on condition: {answer.condition}"]
        case Signature() as signature:
            lines += [f"on condition: {text}" for text in signature.conditions]
        case _:
            pass
    return "\n".join(lines) or None


def _decision(envelope: Envelope) -> str:
    match envelope.content:
        case Submission():
            return "Submitted the proposal."
        case Revision(proposal=digest):
            return f"Submitted a revised proposal ({digest[:12]})."
        case VerdictSheet() as sheet:
            findings = ", ".join(f"{verdict.principle}: {verdict.finding}" for verdict in sheet.verdicts)
            return f"Gave a verdict sheet ({'agrees' if sheet.agrees else 'finds a breach'}): {findings}."
        case Reopening(principle=principle):
            return f"Reopened the verdicts on {principle} that were carried."
        case ChangeRequest():
            return "Asked for changes."
        case Question():
            return f"Asked the owner the question {envelope.decision_id}."
        case QuestionAnswer(question=question):
            return f"Answered the question {question}."
        case Escalation():
            return "Escalated to the Advisory Council."
        case Opinion() as opinion:
            return f"Gave an opinion ({opinion.stance.replace('_', ' ')}); pieces of advice: {len(opinion.advice)}."
        case Recusal():
            return "Stepped aside."
        case Conflict():
            return "Declared a conflict of interest, and stepped aside."
        case AdviceResponse() as response:
            counts = Counter(answer.answer.replace("_", " ") for answer in response.answers)
            return "Answered advice: " + ", ".join(f"{number} {answer}" for answer, number in counts.items()) + "."
        case NoOpinion():
            return "Went on with no opinion obtained."
        case Extension(until=until, person=person):
            whose = "" if person is None else f" of {person}"
            return f"Extended the time{whose} until {_moment(until)}."
        case Ruling(ruling=ruling):
            return f"Ruled: {ruling}."
        case Signature() as signature:
            conditions = f"; conditions: {len(signature.conditions)}" if signature.conditions else ""
            return f"Signed: {envelope.meaning}{conditions}."
        case Declining():
            return "Declined the proposal."
        case Claim(act=act):
            return f"Claimed {WORDS[act]}."
        case Release():
            return "Gave back what they had claimed."
        case Reassignment(act=act, person=None, instead_of=holder):
            return f"Ended the claim of {holder} to {WORDS[act]}."
        case Reassignment(act=act, person=person, instead_of=holder):
            return f"Assigned {WORDS[act]} to {person}{'' if holder is None else f' in place of {holder}'}."
        case Withdrawal():
            return "Withdrew the proposal."
        case TrainingRecorded():
            return "A completion was recorded that this review waits for."
        case RegistryChanged():
            return "Roles, units or absences changed, and with them who can do what the review waits for."
        case Discrepancy(what=what):
            return f"Temporal and this record differed: {DIFFERENCES[what]}."
        case Repair():
            return "Had the workflow started anew from this record."
