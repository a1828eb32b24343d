"""A review: `decide` says what a command does to it, `evolve` folds what happened into it.

These two functions are the only rules of the process. The commit, the workflow, the read model and the verifier run
them; none has rules of its own. Each stage's rules are in its own module; here it is only asked which stage is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce

from domain import claims, conflicts, council, deadlines, fulfilment, owner, principles, revisions, sign_off, training
from domain.authority import mandate, misstated, unpublished, unsigned
from domain.canonical import digest_of
from domain.commands import Command, FallDue, Take, TurnAway
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
    Reason,
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
from domain.entitlement import may_propose
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
    Mandate,
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
from domain.facts import Facts, Proposed
from domain.people import Holder, Role
from domain.refusal import Refusal
from domain.registry import BOOTSTRAP
from domain.route import Phase
from domain.separation import JUDGING, OFFERING, PROPOSING, moved, restricted, too_close, with_moved
from domain.stages import Outcome, Stage
from domain.state import (
    Called,
    Consultation,
    Given,
    Passage,
    Review,
    Revised,
    Ruled,
    Voice,
    joined,
    proposed_as,
)
from domain.turns import Turn
from domain.values import Digest, PersonId, ReviewId

ORDER = tuple(Stage)

CLOCKS_APART = timedelta(minutes=1)
"""So much later, at most, may a decision be dated than the commit that applies it: the clocks of two database servers, of
which one took over from the other, are not farther apart than this.
"""

UNDOING = frozenset({"change_request", "reopening", "escalation", "conflict"})
"""The kinds of decision after which signatures, or stages that were passed, can count no more."""


def decide(review: Review, command: Command, facts: Facts, at: datetime) -> tuple[Event, ...]:
    """What this command does to this review. Total: whatever comes, it is applied or refused, on record.

    Args:
        review: the review as it stands.
        command: what is asked of it.
        facts: the registers as they stand, read in the same transaction.
        at: the time of the commit; it stamps the events. Timeliness is decided by `received_at`.

    Returns:
        What happened, in order. Empty only for a deadline that no longer stands. Of a decision, exactly one event says
        `accepted` or `refused`.
    """
    happened = _Happened(review)
    match command:
        case FallDue(deadline=name):
            due = deadlines.falls_due(review, name, facts, at)
            if due is None:
                return ()
            _look_who_moved(happened, facts, at)
            happened.add(due)
        case TurnAway():
            happened.add(Refused(at=at, **{name: getattr(command, name) for name in TurnAway.model_fields}))
            return happened.events
        case Take(envelope=envelope, digest=digest, proof=proof):
            _look_who_moved(happened, facts, at)
            review = happened.review
            under = _mandate(review, command, facts, at)
            if isinstance(under, Mandate):
                givers = _givers_of(under) if envelope.kind in JUDGING else ()
                happened.add(
                    Accepted(at=at, envelope=envelope, digest=digest, proof=proof, mandate=under, given_by=givers)
                )
                _consequences(happened, review, envelope, facts, at)
            else:
                refusal = under
                happened.add(Refused.of(envelope, digest, refusal.reason, refusal.detail, at))
                if refusal.reason is Reason.TRAINING_GAP:
                    _lapse(happened, at, "The training that the signatures rest on no longer holds.")
                    happened.add(Returned(at=at, stage=Stage.TRAINING, because=refusal.detail))
                elif isinstance(envelope.content, Submission) and review.stage is None and not review.closed:
                    happened.add(
                        Closed(at=at, outcome=Outcome.DECLINED, because=_prose(f"Not opened: {refusal.detail}"))
                    )
    while (event := _follows(happened.review, facts, at)) is not None:
        happened.add(event)
    if not all(isinstance(event, Refused) for event in happened.events):
        _look_for_who_can(happened, facts, at)
    return happened.events


def concerned_by(review: Review, holders: Iterable[Holder], units: Mapping[PersonId, str]) -> bool:
    """Whether the roles and absences of these holders, or the units of these people, make something of the review that its
    record does not have yet.
    """
    found = tuple(holders)
    return (
        fulfilment.lacking(review, found) != review.blocked
        or fulfilment.vacant(review, found) != review.vacated
        or bool(claims.void(review, found))
        or bool(moved(review, units))
    )


def holds(review: Review, before: Event | None, event: Event) -> bool:
    """Whether this can stand on the record here, as far as the record alone tells: no decision is taken that had to be
    refused, no stage passed, no Council heard and no outcome come to but by the rules. `review` is that up to the entry,
    `before` the entry before it.
    """
    match event:
        case Accepted(envelope=envelope, mandate=under, given_by=givers):
            voice = envelope.person if under is None else under.grant.person
            in_time = deadlines.due_before(review, min(envelope.received_at, event.at)) is None
            of_judging = envelope.kind in JUDGING and under is not None and givers == _givers_of(under)
            return (
                (givers == () or of_judging)
                and in_time
                and (_refuses_to_hear(review, envelope, event.at) or _refuses_on_record(review, envelope, voice))
                is None
            )
        case Assessed():
            return isinstance(before, Accepted) and text_of(before.envelope) == event.content_digest
        case Passed() | Concluded():
            return _stage_follows(review, Facts(), event.at) == event
        case Closed() if isinstance(before, Accepted) and isinstance(before.envelope.content, Withdrawal):
            return event.outcome is Outcome.WITHDRAWN
        case Closed() if isinstance(before, Accepted) and isinstance(before.envelope.content, Declining):
            return event.outcome is Outcome.DECLINED
        case Closed() if review.stage is None:
            return event.outcome is Outcome.DECLINED and isinstance(before, Refused)
        case Closed():
            return _ends(review, event.at) == event
        case Moved(units=units):
            return units != {} and units == moved(review, units)
        case Unclaimed(person=person):
            return review.claim_of(person) is not None
        case Vacated(people=people):
            return review.open and people != review.vacated and {*people} <= {*principles.incomplete(review)}
        case Struck(person=person, decisions=gone):
            return person in review.aside and gone != () and gone == conflicts.counted(review, person)
        case Lapsed(decisions=gone):
            return _undoes(before) and gone != () and gone == tuple(s.by.decision for s in review.signatures)
        case Returned(stage=stage):
            return (isinstance(before, Lapsed | Struck) or _undoes(before)) and stage in review.passed
        case Blocked(lacking=lacks):
            return review.open and lacks not in ((), review.blocked)
        case Unblocked():
            return review.open and review.blocked != ()
        case _:
            return True


def puts_forward(before: Review, after: Review, taken: Accepted, facts: Facts, at: datetime) -> Assessed | Refusal:
    """What stands on the record behind this submission or revision, by these facts, or why it can't be taken. `before` is
    the review before it, `after` the one after it. Of `facts` it asks for what is proposed, and units, and holders.
    """
    refusal = None if taken.mandate is None else _refuses_proposal(before, taken.envelope, taken.mandate, facts)
    if refusal is not None or facts.proposed is None:
        return refusal or Refusal(Reason.INVALID, "The proposal is not on record.")
    return _put_forward(before, after, facts.proposed, facts, at)


def _undoes(event: Event | None) -> bool:
    """Whether something that was reached can count no more because of this."""
    if isinstance(event, Refused):
        return event.reason is Reason.TRAINING_GAP
    return isinstance(event, Accepted) and event.envelope.kind in UNDOING


def text_of(envelope: Envelope) -> Digest | None:
    """The text of the proposal that this decision puts before the reviewers, if it puts one."""
    match envelope.content:
        case Submission():
            return envelope.content_digest
        case Revision(proposal=digest):
            return digest
        case _:
            return None


def evolve(review: Review, event: Event) -> Review:
    """The review after the event. Never refuses: what is on record happened."""
    return claims.settled(_evolve(review, event)).model_copy(update={"seq": review.seq + 1})


def fold(review_id: ReviewId, events: Iterable[Event]) -> Review:
    """The review that these events amount to, from its beginning."""
    return reduce(evolve, events, Review(id=review_id))


def state_digest(review: Review) -> Digest:
    """The digest of the whole state: what record, read model and workflow are compared by."""
    return digest_of(review)


def waits_for(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is, for what, since when: the whole answer to "what is blocking?". Empty once closed."""
    if review.stage is None or review.closed or review.phase_since is None or review.subject is None:
        return ()
    with_owner = (*owner.turns(review), *deadlines.turns(review))
    if review.changes is not None or owner.holds_sign_off(review):
        return restricted(review, (*with_owner, *fulfilment.turns(review)))
    match review.stage:
        case Stage.PRINCIPLE_REVIEW:
            own = principles.turns(review)
        case Stage.COUNCIL:
            own = council.turns(review)
        case Stage.TRAINING:
            own = training.turns(review)
        case Stage.SIGN_OFF:
            own = sign_off.turns(review)
    own = deadlines.timed(review, claims.narrowed(review, own))
    return restricted(review, (*own, *with_owner, *fulfilment.turns(review)))


class _Happened:
    """What happened so far, and the review after it."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.events: tuple[Event, ...] = ()

    def add(self, event: Event) -> None:
        self.review = evolve(self.review, event)
        self.events = (*self.events, event)


def _mandate(review: Review, command: Take, facts: Facts, at: datetime) -> Mandate | Refusal:
    """Under what this decision is taken, or why it can't be."""
    envelope, proof = command.envelope, command.proof
    refusal = (
        unsigned(envelope, command.digest, proof, facts.keys)
        or _refuses_to_hear(review, envelope, at)
        or unpublished(envelope, facts.packs)
    )
    if refusal is not None:
        return refusal
    under = mandate(review, envelope, proof, facts)
    if isinstance(under, Refusal):
        return under
    return _refuses(review, envelope, under, facts, at) or misstated(review, envelope, under.grant) or under


def _refuses_to_hear(review: Review, envelope: Envelope, at: datetime) -> Refusal | None:
    """Why nobody's decision of this kind can be taken on this review at this moment, if it can't."""
    if envelope.received_at > at + CLOCKS_APART:
        return Refusal(Reason.INVALID, "It is dated later than it is now.")
    if review.closed and not isinstance(envelope.content, Discrepancy):
        return Refusal(Reason.LATE, f"The review is closed: {review.outcome}.")
    if (review.stage is None) is not isinstance(envelope.content, Submission):
        if review.stage is None:
            return Refusal(Reason.OUT_OF_STAGE, "The review has not been opened yet.")
        return Refusal(Reason.ALREADY_GIVEN, "The proposal was submitted before.")
    return None


def _refuses(review: Review, envelope: Envelope, under: Mandate, facts: Facts, at: datetime) -> Refusal | None:
    """Why this decision can't be taken, if it can't, although its maker might make it."""
    on_record = _refuses_on_record(review, envelope, under.grant.person)
    return on_record or _refuses_by_registers(review, envelope, under, facts, at)


def _refuses_on_record(review: Review, envelope: Envelope, voice: PersonId) -> Refusal | None:
    """Why this can't be taken as the review stands, whatever the registers say, if it can't. The auditor asks it too."""
    match envelope.content:
        case Submission() | Discrepancy() | RegistryChanged() | Repair():  # not of what was shown to anybody
            return None
        case Revision() as revision:
            return owner.refuse_revision(review, envelope, revision)
    shown = (envelope.content_digest, envelope.pack_digest, envelope.round)
    if shown != (review.content_digest, review.pack_digest, review.round):
        return Refusal(Reason.STALE, revisions.stale(review, envelope))
    return _refuses_content(review, envelope, voice)


def _refuses_content(review: Review, envelope: Envelope, voice: PersonId) -> Refusal | None:
    match envelope.content:
        case VerdictSheet() as sheet:
            return principles.refuse_sheet(review, voice, sheet)
        case Reopening() as reopening:
            return principles.refuse_reopening(review, reopening)
        case ChangeRequest():
            return owner.refuse_change_request(review)
        case Question():
            return owner.refuse_question(review, envelope.person, voice)
        case QuestionAnswer() as answer:
            return owner.refuse_answer(review, answer)
        case Escalation():
            return council.refuse_escalation(review)
        case Opinion() | Recusal():
            return council.refuse_member(review, envelope)
        case Conflict():
            return conflicts.refuse_conflict(review, envelope)
        case AdviceResponse() as response:
            return council.refuse_response(review, response)
        case NoOpinion():
            return council.refuse_no_opinion(review)
        case Ruling() as ruling:
            return principles.refuse_ruling(review, ruling)
        case Signature() | Declining() as seal:
            return sign_off.refuse_seal(review, seal)
        case Release():
            return claims.refuse_release(review, voice)
        case TrainingRecorded():
            return training.refuse_word(review)
        case _:
            pass
    return None


def _refuses_by_registers(
    review: Review, envelope: Envelope, under: Mandate, facts: Facts, at: datetime
) -> Refusal | None:
    """Why this can't be taken by what the registers say now, if it can't."""
    voice = under.grant.person
    match envelope.content:
        case Submission() | Revision():
            return _refuses_proposal(review, envelope, under, facts)
        case VerdictSheet():
            return claims.refuse_act(review, "verdict_sheet", voice, facts)
        case Ruling():
            return claims.refuse_act(review, "ruling", voice, facts)
        case Declining():
            return claims.refuse_act(review, "signature", voice, facts)
        case Signature():
            return claims.refuse_act(review, "signature", voice, facts) or training.refuse_untrained(review, facts, at)
        case Extension() as extension:
            return deadlines.refuse_extension(review, envelope, extension, facts)
        case Claim(act=act):
            return claims.refuse_claim(review, act, voice, facts)
        case Reassignment() as reassignment:
            return claims.refuse_reassignment(review, envelope, reassignment, voice, facts)
        case _:
            return None


def _refuses_proposal(review: Review, envelope: Envelope, under: Mandate, facts: Facts) -> Refusal | None:
    if facts.proposed is None:
        return Refusal(Reason.INVALID, facts.unassessable or "The proposal is not on record.")
    named = text_of(envelope)
    assessed = facts.proposed.assessment
    if (assessed.content_digest, assessed.pack_digest) != (named, envelope.pack_digest):
        return Refusal(Reason.INVALID, "What is on record is another proposal, or policy pack, than the one named.")
    subject = facts.proposed.subject
    submits = isinstance(envelope.content, Submission)
    if not may_propose(subject, envelope.person if submits else under.grant.person):
        return Refusal(Reason.NOT_ENTITLED, "Only its owner or its author submits a proposal.")
    if review.subject is not None and subject.owner != review.subject.owner:
        return Refusal(Reason.INVALID, "A revision can't change who owns the proposal.")
    if assessed.route.training_required and not subject.staff:
        return Refusal(
            Reason.INVALID,
            "Whoever will work on it must be trained on this route, and the proposal names nobody: name its staff.",
        )
    return None


def _consequences(happened: _Happened, before: Review, envelope: Envelope, facts: Facts, at: datetime) -> None:
    """What an accepted decision brings about at once, beside its own effect."""
    match envelope.content:
        case Submission() | Revision() if facts.proposed is not None:
            happened.add(_put_forward(before, happened.review, facts.proposed, facts, at))
        case ChangeRequest():
            _lapse(happened, at, "Changes to the proposal were asked for.")
            if before.stage is not Stage.PRINCIPLE_REVIEW:
                happened.add(Returned(at=at, stage=Stage.PRINCIPLE_REVIEW, because="Changes were asked for."))
        case Reopening(principle=principle) if before.stage is not Stage.PRINCIPLE_REVIEW:
            because = f"The verdicts on {principle} were reopened."
            _lapse(happened, at, because)
            happened.add(Returned(at=at, stage=Stage.PRINCIPLE_REVIEW, because=because))
        case Escalation():
            _lapse(happened, at, "The proposal was escalated to the Advisory Council.")
            if before.stage in (Stage.TRAINING, Stage.SIGN_OFF):
                happened.add(Returned(at=at, stage=Stage.COUNCIL, because="The proposal was escalated to the Council."))
        case Extension() as extension:
            roster = before.council.roster
            if before.phase is Phase.CONSULTING and extension.person is None:
                roster = council.seated_too(before, facts.holders)
                if roster != before.council.roster:
                    happened.add(Seated(at=at, roster=roster))
            for began in deadlines.extends(before, extension, facts, at):
                happened.add(began)
            for grant in (roster or ())[len(before.council.roster or ()) :]:
                asked = deadlines.ask(happened.review, grant.person, at, facts)
                if asked is not None and asked.due_at > extension.until:
                    happened.add(asked)
        case Claim() | Reassignment(person=str()):
            for claim in happened.review.claims:
                held = deadlines.claimed(happened.review, claim.person, at, facts)
                if held is not None and claim.by.decision == envelope.decision_id:
                    happened.add(held)
        case Conflict():
            _strike(happened, before, envelope.person, at)
        case Withdrawal():
            happened.add(Closed(at=at, outcome=Outcome.WITHDRAWN, because=envelope.reason or "Withdrawn."))
        case Declining():
            happened.add(Closed(at=at, outcome=Outcome.DECLINED, because=envelope.reason or "Declined."))
        case _:
            pass


def _put_forward(before: Review, after: Review, proposed: Proposed, facts: Facts, at: datetime) -> Assessed:
    subject, assessment = proposed.subject, proposed.assessment
    units = joined((), *(facts.units[p] for p in subject.proposers if p in facts.units))
    then = proposed_as(after, subject, units)
    return Assessed(
        at=at,
        revision=before.revision + 1,
        round=before.round + 1,
        content_digest=assessment.content_digest,
        subject=subject,
        assessment=assessment,
        changes=proposed.changes,
        reopened=principles.reopened(before, assessment) if before.revision else (),
        carried=principles.carried(before, then, assessment, facts),
        kept_away=too_close(then, facts.holders),
        units=units,
    )


def _lapse(happened: _Happened, at: datetime, because: str) -> None:
    signatures = happened.review.signatures
    if signatures:
        happened.add(Lapsed(at=at, decisions=tuple(s.by.decision for s in signatures), because=because))


def _strike(happened: _Happened, before: Review, person: PersonId, at: datetime) -> None:
    """What this person said in this round counts no more, nor does anything that rests on it."""
    because = f"{person} declared a conflict of interest."
    said = conflicts.counted(before, person)
    if said or any(person in signature.by.people for signature in before.signatures):
        _lapse(happened, at, because)
    if said:
        struck = Struck(at=at, person=person, decisions=said)
        happened.add(struck)
        back = conflicts.goes_back_to(before, struck)
        if back is not None:
            happened.add(Returned(at=at, stage=back, because=because))


def _look_who_moved(happened: _Happened, facts: Facts, at: datetime) -> None:
    """Put on record, before anything else, where else the proposal comes from by now: it says who is too close to it."""
    if units := moved(happened.review, facts.units):
        happened.add(Moved(at=at, registry=facts.standing.registry, units=units))


def _look_for_who_can(happened: _Happened, facts: Facts, at: datetime) -> None:
    """Put on record whose seat or claim holds nothing any more, and that somebody is lacking for the route, or no longer."""
    vacant = fulfilment.vacant(happened.review, facts.holders)
    if vacant != happened.review.vacated:
        happened.add(Vacated(at=at, people=vacant))
    for person in claims.void(happened.review, facts.holders):
        happened.add(Unclaimed(at=at, person=person))
    lacks = fulfilment.lacking(happened.review, facts.holders)
    if happened.review.open and lacks != happened.review.blocked:
        happened.add(Blocked(at=at, lacking=lacks) if lacks else Unblocked(at=at))


def _follows(review: Review, facts: Facts, at: datetime) -> Event | None:
    """The next thing that follows by itself, or nothing."""
    if review.closed or review.stage is None or review.route is None:
        return None
    if review.ruling is not None and review.ruling.ruling == "decline":
        return _declined(review.ruling, at)
    if review.changes is None:
        event = _stage_follows(review, facts, at)
        if event is not None:
            return event
    return deadlines.follows(review, _wanted_phase(review), facts, at)


def _ends(review: Review, at: datetime) -> Event | None:
    """The outcome that this review comes to by itself, or nothing."""
    if review.ruling is not None and review.ruling.ruling == "decline":
        return _declined(review.ruling, at)
    return None if review.changes is not None else _stage_follows(review, Facts(), at)


def _declined(ruling: Ruled, at: datetime) -> Closed:
    because = f"The officer declined the proposal: {ruling.reason}"[:2000]
    return Closed(at=at, outcome=Outcome.DECLINED, because=because)


def _stage_follows(review: Review, facts: Facts, at: datetime) -> Event | None:
    match review.stage:
        case Stage.PRINCIPLE_REVIEW:
            return principles.follows(review, at)
        case Stage.COUNCIL:
            return council.follows(review, facts, at)
        case Stage.TRAINING:
            return training.follows(review, facts, at)
        case Stage.SIGN_OFF:
            return None if owner.holds_sign_off(review) else sign_off.follows(review, at)
        case None:
            return None


def _wanted_phase(review: Review) -> Phase:
    if review.changes is not None:
        return Phase.WITH_OWNER
    match review.stage:
        case Stage.COUNCIL:
            return council.phase(review)
        case Stage.TRAINING:
            return Phase.TRAINING
        case Stage.SIGN_OFF:
            return Phase.SIGNING
        case _:
            return Phase.REVIEWING


def _evolve(review: Review, event: Event) -> Review:
    match event:
        case Accepted():
            return _accepted(review, event)
        case Refused():
            return _with(review, refused=review.refused + 1)
        case Assessed():
            return _assessed(review, event)
        case Began():
            return deadlines.with_clock(review, event)
        case Reminded():
            return deadlines.with_reminder(review, event)
        case FellDue():
            return deadlines.with_overdue(review, event)
        case Paused():
            return deadlines.with_pause(review, event)
        case Resumed():
            return deadlines.with_resumption(review, event)
        case Seated(roster=roster):
            return _with(review, council=review.council.model_copy(update={"roster": roster}))
        case Concluded():
            return _with(review, council=review.council.model_copy(update={"concluded": "opinion"}))
        case TrainingChecked(check=check):
            return _with(review, training=check)
        case Lapsed():
            return _with(review, signatures=(), phase=None)
        case Struck():
            return conflicts.without(review, event)
        case Returned(stage=stage, because=because):
            kept = {passed: how for passed, how in review.passed.items() if ORDER.index(passed) < ORDER.index(stage)}
            return _with(deadlines.at_rest(review), stage=stage, passed=kept, returned=because, training=None)
        case Passed(stage=stage, result=result, because=because):
            following = ORDER[min(ORDER.index(stage) + 1, len(ORDER) - 1)]
            passed = {**review.passed, stage: Passage(result=result, because=because)}
            return _with(deadlines.at_rest(review), stage=following, passed=passed)
        case Moved(units=units):
            return with_moved(review, units)
        case Unclaimed(person=person):
            return claims.ended(review, person)
        case Vacated(people=people):
            for person in people:
                review = deadlines.freed(review, person)
            return _with(review, vacated=people)
        case Blocked(lacking=lacks, at=at):
            return _with(review, blocked=lacks, blocked_since=review.blocked_since or at)
        case Unblocked():
            return _with(review, blocked=(), blocked_since=None)
        case Closed(outcome=outcome, because=because, certificate=certificate, at=at):
            return _with(
                deadlines.at_rest(review),
                clocks=(),
                blocked=(),
                blocked_since=None,
                outcome=outcome,
                outcome_because=because,
                closed_at=at,
                certificate=certificate,
            )


def _accepted(review: Review, event: Accepted) -> Review:
    envelope = event.envelope
    given = Given(
        decision=envelope.decision_id,
        digest=event.digest,
        person=envelope.person,
        at=envelope.received_at,
        for_person=None if event.mandate is None else event.mandate.for_person,
    )
    review = _taken_part(review, event, given)
    reason = envelope.reason or ""
    match envelope.content:
        case Submission():
            return _with(review, pack_digest=envelope.pack_digest)
        case VerdictSheet() as sheet:
            return principles.with_sheet(deadlines.freed(review, given.voice), given, sheet)
        case Reopening() as reopening:
            return principles.with_reopening(review, reopening)
        case ChangeRequest():
            return _with(review, changes=given)
        case Question():
            return owner.with_question(review, given, envelope)
        case QuestionAnswer(question=question):
            return owner.with_answer(deadlines.answered(review, question), question, event.digest)
        case Escalation():
            return _with(review, called=Called(person=envelope.person, reason=reason))
        case Opinion() as opinion:
            return council.with_opinion(deadlines.freed(review, envelope.person), given, opinion, reason)
        case Recusal() | Conflict():
            return conflicts.with_conflict(deadlines.freed(review, envelope.person), given)
        case AdviceResponse() as response:
            return council.with_response(review, given, response)
        case NoOpinion():
            return council.with_no_opinion(review, given, reason)
        case Ruling() as ruling:
            return principles.with_ruling(review, given, ruling, reason)
        case Signature() as signature:
            return sign_off.with_signature(review, given, envelope, signature)
        case Claim() as claim:
            return claims.with_claim(review, given, claim)
        case Release():
            return claims.with_release(review, given)
        case Reassignment() as reassignment:
            return claims.with_reassignment(review, given, reassignment)
        case TrainingRecorded():
            return _with(review, training=None)
        case Revision() | Extension() | Declining() | Withdrawal() | RegistryChanged() | Discrepancy() | Repair():
            return review


def _taken_part(review: Review, event: Accepted, given: Given) -> Review:
    """The review that knows who acted in it, with whose voice, in which role, and by whose grant."""
    under, kind, role = event.mandate, event.envelope.kind, event.envelope.role
    update: dict[str, object] = {}
    if kind in PROPOSING:
        update["proposed_by"] = joined(review.proposed_by, *given.people)
        if under is not None and under.unit is not None:
            update["units"] = joined(review.units, under.unit)
    if kind in JUDGING:
        by = event.given_by
        voice = Voice(person=given.person, of=given.voice, role=role, round=review.round, given_by=by)
        update["heard"] = joined(review.heard, voice)
        if role is Role.REVIEWER:
            update["reviewed_by"] = joined(review.reviewed_by, *given.people)
    if under is not None and kind not in OFFERING:
        update["grantors"] = joined(review.grantors, *_givers_of(under))
    return _with(review, **update)


def _givers_of(under: Mandate) -> tuple[PersonId, ...]:
    """Those whose doing it is that somebody could act under this: what a new system begins with is nobody's gift."""
    givers = (giver for giver in (under.grant.by, under.lent_by) if giver is not None and giver != BOOTSTRAP)
    return joined((), *givers)


def _assessed(review: Review, event: Assessed) -> Review:
    assessment = event.assessment
    revised = Revised(number=event.revision, digest=event.content_digest, changes=event.changes)
    return _with(
        proposed_as(deadlines.at_rest(review), event.subject, event.units),
        clocks=(),
        route=assessment.route,
        pack_digest=assessment.pack_digest,
        assessment_digest=digest_of(assessment),
        content_digest=event.content_digest,
        inputs=assessment.inputs,
        training_because=assessment.training_because,
        revision=event.revision,
        round=event.round,
        revisions=revisions.remembered(review, revised),
        stage=Stage.PRINCIPLE_REVIEW,
        passed={},
        returned=None,
        sheets=principles.carry(review, event.carried),
        changes=None,
        questions=(),
        ruling=None,
        council=Consultation(recused=review.council.recused),
        training=None,
        signatures=(),
        vacated=(),
    )


def _prose(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)[:2000]


def _with(review: Review, **update: object) -> Review:
    return review.model_copy(update=update)
