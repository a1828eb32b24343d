"""Principle review: verdict sheets, verdicts carried from revision to revision, and the officer's ruling.

A reviewer's voice is all that they, or another in their place, found in this round, principle by principle: in one sheet,
or in what is carried of an earlier one and a new sheet for the rest. Only whole voices agree; a breach counts as soon
as it is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from domain.assessment import Assessment
from domain.decisions import Finding, Reason, Reopening, Ruling, VerdictSheet
from domain.entitlement import eligible, officers, units_of
from domain.events import Closed, Event, Passed
from domain.facts import Facts
from domain.people import Grant, Role
from domain.refusal import Refusal
from domain.route import Phase
from domain.separation import broken_rule, excluded, givers, parties
from domain.stages import Outcome, Stage
from domain.state import Found, Given, Review, Ruled, Sheet, joined
from domain.turns import Turn
from domain.values import PersonId, Slug

Voices = dict[PersonId, dict[Slug, Finding]]


def voices(review: Review) -> Voices:
    """What each reviewer found, principle by principle, in the order in which they first spoke."""
    heard: Voices = {}
    for sheet in review.sheets:
        heard.setdefault(sheet.by.voice, {}).update({found.principle: found.finding for found in sheet.findings})
    return heard


def open_to(review: Review, person: PersonId) -> tuple[Slug, ...]:
    """The principles on which this reviewer has still to give a verdict in this round."""
    judged = () if review.route is None else review.route.principles
    voice = voices(review).get(person, {})
    return tuple(principle for principle in judged if principle not in voice)


def whole(review: Review) -> Voices:
    """The voices that say something of every principle."""
    return {person: voice for person, voice in voices(review).items() if not open_to(review, person)}


def unfinished(review: Review) -> tuple[PersonId, ...]:
    """The reviewers who have to complete their voice, and as far as is known can."""
    return tuple(person for person in incomplete(review) if person not in review.vacated)


def incomplete(review: Review) -> tuple[PersonId, ...]:
    """The reviewers who have to complete their voice, and whom no rule keeps from it, whatever became of their roles."""
    return tuple(
        person
        for person in voices(review)
        if open_to(review, person) and broken_rule(review, "verdict_sheet", person) is None
    )


def breaches(review: Review) -> Counter[str]:
    """How many reviewers find a breach in this round, per principle."""
    return Counter(p for voice in voices(review).values() for p, found in voice.items() if found is Finding.BREACH)


def agreeing(review: Review) -> int:
    """How many whole voices find no breach."""
    return sum(Finding.BREACH not in voice.values() for voice in whole(review).values())


def breached(review: Review) -> str | None:
    """The first principle that as many reviewers find breached as are needed to agree: it declines the proposal."""
    if review.route is None:
        return None
    count = breaches(review)
    return next((p for p in review.route.principles if count[p] >= review.route.reviewers.needed), None)


def agreed(review: Review) -> bool:
    """Whether enough reviewers agree."""
    return review.route is not None and agreeing(review) >= review.route.reviewers.needed


def undecided(review: Review) -> bool:
    """Whether the panel was heard in full and neither agreement nor a breach came of it: the officer rules."""
    return (
        review.route is not None
        and review.stage is Stage.PRINCIPLE_REVIEW
        and review.changes is None
        and len(whole(review)) >= review.route.reviewers.panel
        and not agreed(review)
        and breached(review) is None
    )


def free_seats(review: Review) -> int:
    """How many seats the panel has for reviewers who have not spoken yet.

    Whoever has to complete their voice keeps their seat until their time has run out.
    """
    if review.route is None:
        return 0
    kept = sum(not review.late(person) for person in unfinished(review))
    return max(review.route.reviewers.panel - len(whole(review)) - kept, 0)


def asked_alone(review: Review) -> tuple[PersonId, ...]:
    """Those of whom alone verdicts are awaited: who has to complete theirs,
    where the panel has a seat for nobody else.
    """
    return () if free_seats(review) else unfinished(review)


def voices_needed(review: Review) -> int:
    """How many more reviewers the panel needs to agree, as far as it has seats for them; none past principle review."""
    if review.route is None or review.stage is not Stage.PRINCIPLE_REVIEW:
        return 0
    return min(max(review.route.reviewers.needed - agreeing(review), 0), free_seats(review))


def refuse_sheet(review: Review, voice: PersonId, sheet: VerdictSheet) -> Refusal | None:
    """Why this verdict sheet, with the voice of this reviewer, can't be taken now, if it can't."""
    if review.route is None or review.stage is not Stage.PRINCIPLE_REVIEW:
        return Refusal(Reason.OUT_OF_STAGE, "The review is past principle review.")
    if review.changes is not None:
        return Refusal(Reason.OUT_OF_STAGE, "Changes were asked for; the owner's new revision comes first.")
    wanted = open_to(review, voice)
    if not wanted:
        return Refusal(Reason.ALREADY_GIVEN, "You have already given your verdict sheet in this round.")
    if len(whole(review)) >= review.route.reviewers.panel:
        return Refusal(Reason.OUT_OF_STAGE, "The panel is complete; the officer rules.")
    if voice not in voices(review) and not free_seats(review):
        return Refusal(Reason.OUT_OF_STAGE, "The panel's seats are taken: its reviewers complete their verdicts first.")
    judged = [verdict.principle for verdict in sheet.verdicts]
    unknown = [principle for principle in judged if principle not in review.route.principles]
    if unknown:
        return Refusal(Reason.INVALID, f"The route does not judge by: {', '.join(unknown)}.")
    missing = [principle for principle in wanted if principle not in judged]
    if missing:
        return Refusal(Reason.INCOMPLETE, f"The sheet has no verdict on: {', '.join(missing)}.")
    given = [principle for principle in judged if principle not in wanted]
    if given:
        return Refusal(Reason.ALREADY_GIVEN, f"Your verdict stands already on: {', '.join(given)}.")
    if len(judged) != len(wanted):
        return Refusal(Reason.INVALID, "The sheet has more than one verdict on a principle.")
    return None


def refuse_reopening(review: Review, reopening: Reopening) -> Refusal | None:
    """Why this principle can't be reopened now, if it can't."""
    if review.changes is not None:
        return Refusal(Reason.OUT_OF_STAGE, "Changes were asked for; the owner's new revision comes first.")
    if not any(reopening.principle in _judged(sheet) for sheet in _carried_sheets(review)):
        return Refusal(
            Reason.UNKNOWN_REFERENCE, f"No verdict on {reopening.principle} is carried from an earlier revision."
        )
    return None


def refuse_ruling(review: Review, ruling: Ruling) -> Refusal | None:
    """Why the officer can't rule so now, if they can't."""
    if undecided(review):
        return None
    overdue = review.overdue and review.phase in (Phase.REVIEWING, Phase.WITH_OWNER, Phase.TRAINING)
    if not (overdue or review.owner_overdue):
        return Refusal(
            Reason.OUT_OF_STAGE, "The officer rules when the panel is complete and undecided, or when time has run out."
        )
    if ruling.ruling == "decline":
        return None
    if not review.overdue or review.phase is not Phase.REVIEWING or not whole(review):
        return Refusal(
            Reason.OUT_OF_STAGE,
            "Time alone lets no proposal proceed: the officer can decline it, or extend the time.",
        )
    return None


def with_sheet(review: Review, given: Given, sheet: VerdictSheet) -> Review:
    """The review with this sheet on the table."""
    findings = tuple(
        Found(
            principle=verdict.principle,
            finding=verdict.finding,
            condition=verdict.condition,
            reason=verdict.reason if verdict.finding is Finding.BREACH else None,
        )
        for verdict in sheet.verdicts
    )
    return review.model_copy(update={"sheets": (*review.sheets, Sheet(by=given, findings=findings))})


def with_reopening(review: Review, reopening: Reopening) -> Review:
    """The review without the verdicts on this principle that are carried, and without a ruling that rested on them."""
    kept = (
        sheet if sheet.carried_from is None else _on(sheet, {*_judged(sheet)} - {reopening.principle})
        for sheet in review.sheets
    )
    return review.model_copy(update={"sheets": tuple(s for s in kept if s.findings), "ruling": None})


def reopened(review: Review, assessment: Assessment) -> tuple[Slug, ...]:
    """The principles that this assessment judges by something else than the review's present one."""
    return tuple(
        principle
        for principle in assessment.route.principles
        if principle not in assessment.inputs or assessment.inputs[principle] != review.inputs.get(principle)
    )


def judges(review: Review) -> tuple[PersonId, ...]:
    """Everybody whose act a verdict of this round is: who gave it, and who left it to them."""
    return joined((), *(person for sheet in review.sheets for person in sheet.by.people))


def carried(review: Review, after: Review, assessment: Assessment, facts: Facts) -> dict[PersonId, tuple[Slug, ...]]:
    """Whose verdicts stand when the proposal is that of `after`, and on which principles: on those that are judged by the
    same as before, where everybody whose act they were may judge it still, and by nobody's doing who has a part in it.
    Whose voice it was must hold a role still by which they, or who acts for them, could judge it.
    """
    anew = reopened(review, assessment)
    standing: dict[PersonId, tuple[Slug, ...]] = {}
    for sheet in review.sheets:
        kept = tuple(principle for principle in _judged(sheet) if principle not in anew)
        if kept and any(
            _stands(after, sheet, holder.grant, facts.units)
            for holder in facts.holders
            if holder.grant.role is Role.REVIEWER
            and holder.grant.person == sheet.by.voice
            and eligible(after, assessment.route.reviewers, holder.grant, holder.unit)
        ):
            standing[sheet.by.voice] = (*standing.get(sheet.by.voice, ()), *kept)
    return standing


def carry(review: Review, standing: Mapping[PersonId, Collection[Slug]]) -> tuple[Sheet, ...]:
    """What stands of the sheets of this round on the next revision."""
    kept = (
        _on(sheet, standing[sheet.by.voice]).model_copy(update={"carried_from": sheet.carried_from or review.revision})
        for sheet in review.sheets
        if sheet.by.voice in standing
    )
    return tuple(sheet for sheet in kept if sheet.findings)


def with_ruling(review: Review, given: Given, ruling: Ruling, reason: str) -> Review:
    """The review with the officer's ruling."""
    return review.model_copy(
        update={
            "ruling": Ruled(by=given, ruling=ruling.ruling, reason=reason),
            "ruled_by": joined(review.ruled_by, *given.people),
        }
    )


def follows(review: Review, at: datetime) -> Event | None:
    """What follows by itself from the voices heard."""
    if review.route is None or review.changes is not None:
        return None
    principle = breached(review)
    if principle is not None:
        because = f"{breaches(review)[principle]} reviewers found a breach of the principle {principle}."
        return Closed(at=at, outcome=Outcome.DECLINED, because=because)
    if review.ruling is not None:
        because = f"The officer ruled that the proposal proceeds: {review.ruling.reason}"[:2000]
    elif agreed(review):
        rule = review.route.reviewers
        because = f"{rule.needed} of at most {rule.panel} reviewers found no breach.{_carried_words(review)}"
    else:
        return None
    return Passed(at=at, stage=Stage.PRINCIPLE_REVIEW, result="completed", because=because)


def turns(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is in principle review."""
    if review.route is None or review.phase_since is None:
        return ()
    if undecided(review):
        since = max((review.phase_since, *(sheet.by.at for sheet in review.sheets)))
        return _officers_turns(review, "Rule on the proposal: the panel is complete and undecided.", since)
    rule = review.route.reviewers
    anybody = Turn(
        stage=Stage.PRINCIPLE_REVIEW,
        kinds=("verdict_sheet", "change_request", "question", "escalation"),
        what=f"Give a verdict on each principle ({agreeing(review)} of {rule.needed} agreeing so far).",
        role=Role.REVIEWER,
        not_for=tuple(sorted({*excluded(review, "verdict_sheet"), *voices(review)})),
        people=rule.people,
        units=units_of(review, rule),
        principles=review.route.principles,
        since=review.phase_since,
        due_at=review.due_at,
    )
    named = tuple(_turn_of(review, person, anybody) for person in unfinished(review))
    reviewers = (*named, *((anybody,) if free_seats(review) else ()))
    if not review.overdue:
        return reviewers
    since = review.due_at or review.phase_since
    late = _officers_turns(review, "Time for the verdicts has run out: extend it, or rule.", since)
    return (*reviewers, *late)


def _officers_turns(review: Review, what: str, since: datetime) -> tuple[Turn, ...]:
    turn = Turn(
        stage=Stage.PRINCIPLE_REVIEW,
        kinds=("ruling", "extension"),
        what=what,
        role=Role.OFFICER,
        not_for=excluded(review, "ruling"),
        since=since,
        due_at=review.due_at,
    )
    return officers(review, turn)


def _carried_sheets(review: Review) -> tuple[Sheet, ...]:
    return tuple(sheet for sheet in review.sheets if sheet.carried_from is not None)


def _stands(review: Review, sheet: Sheet, under: Grant, units: Mapping[PersonId, str]) -> bool:
    """Whether this sheet could be given here by those who gave it, under this grant of whose voice it was."""
    by = sheet.by
    may_judge = (
        broken_rule(review, "verdict_sheet", person, under=under, unit=units.get(person)) is None
        for person in by.people
    )
    return all(may_judge) and givers(review, by.person, by.voice, Role.REVIEWER).isdisjoint(parties(review))


def _judged(sheet: Sheet) -> tuple[Slug, ...]:
    return tuple(found.principle for found in sheet.findings)


def _on(sheet: Sheet, principles: Collection[Slug]) -> Sheet:
    findings = tuple(found for found in sheet.findings if found.principle in principles)
    return sheet.model_copy(update={"findings": findings})


def _carried_words(review: Review) -> str:
    """What is carried, from which revision, for the record of how the stage was passed."""
    by_revision: dict[int, dict[Slug, None]] = {}
    for sheet in _carried_sheets(review):
        by_revision.setdefault(sheet.carried_from or 0, {}).update(dict.fromkeys(_judged(sheet)))
    if not by_revision:
        return ""
    told = "; ".join(f"of revision {number} on {', '.join(names)}" for number, names in sorted(by_revision.items()))
    every = "every verdict is carried, " if all(sheet.carried_from for sheet in review.sheets) else ""
    return f" Carried, because what they judge by is the same: {every}{told}."[:1500]


def _turn_of(review: Review, person: PersonId, turn: Turn) -> Turn:
    left = open_to(review, person)
    what = f"Complete your verdicts: {', '.join(left)}."
    speakers = {person, *(each for sheet in review.sheets if sheet.by.voice == person for each in sheet.by.people)}
    others = tuple(other for other in turn.not_for if other not in speakers)
    return turn.model_copy(update={"what": what, "person": person, "not_for": others, "principles": left})
