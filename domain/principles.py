"""Principle review: verdict sheets, change requests, questions, and the officer's ruling where the sheets don't agree."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from domain.decisions import Envelope, Finding, Reason, Ruling, VerdictSheet
from domain.entitlement import officers
from domain.events import Event, Passed
from domain.people import Role
from domain.policy import Phase
from domain.rebuff import Rebuff
from domain.separation import excluded
from domain.stages import Stage
from domain.state import Found, Given, Review, Ruled, Sheet, joined
from domain.turns import Turn


def breaches(review: Review) -> Counter[str]:
    """How many sheets of this round find a breach, per principle."""
    return Counter(v.principle for sheet in review.sheets for v in sheet.findings if v.finding is Finding.BREACH)


def breached(review: Review) -> str | None:
    """The first principle that as many sheets find breached as are needed to agree: it declines the proposal."""
    if review.route is None:
        return None
    count = breaches(review)
    return next((p for p in review.route.principles if count[p] >= review.route.reviewers.needed), None)


def agreed(review: Review) -> bool:
    """Whether enough sheets of this round agree."""
    if review.route is None:
        return False
    return sum(sheet.agrees for sheet in review.sheets) >= review.route.reviewers.needed


def undecided(review: Review) -> bool:
    """Whether every sheet of the panel is in and neither agreement nor a breach came of it: the officer rules."""
    return (
        review.route is not None
        and review.stage is Stage.PRINCIPLE_REVIEW
        and review.changes is None
        and len(review.sheets) >= review.route.reviewers.panel
        and not agreed(review)
        and breached(review) is None
    )


def refuse_sheet(review: Review, envelope: Envelope, sheet: VerdictSheet) -> Rebuff | None:
    """Why this verdict sheet can't be taken now, if it can't."""
    if review.route is None or review.stage is not Stage.PRINCIPLE_REVIEW:
        return Rebuff(Reason.OUT_OF_STAGE, "The review is past principle review.")
    if review.changes is not None:
        return Rebuff(Reason.OUT_OF_STAGE, "Changes were asked for; the owner's new revision comes first.")
    if any(given.by.person == envelope.person for given in review.sheets):
        return Rebuff(Reason.ALREADY_GIVEN, "You have already given your verdict sheet in this round.")
    if len(review.sheets) >= review.route.reviewers.panel:
        return Rebuff(Reason.OUT_OF_STAGE, "The panel is complete; the officer rules.")
    judged = [verdict.principle for verdict in sheet.verdicts]
    missing = [principle for principle in review.route.principles if principle not in judged]
    if missing:
        return Rebuff(Reason.INCOMPLETE, f"The sheet has no verdict on: {', '.join(missing)}.")
    unknown = [principle for principle in judged if principle not in review.route.principles]
    if unknown:
        return Rebuff(Reason.INVALID, f"The route does not judge by: {', '.join(unknown)}.")
    if len(judged) != len(review.route.principles):
        return Rebuff(Reason.INVALID, "The sheet has more than one verdict on a principle.")
    return None


def refuse_ruling(review: Review, ruling: Ruling) -> Rebuff | None:
    """Why the officer can't rule so now, if they can't."""
    if undecided(review):
        return None
    if not review.overdue or review.phase not in (Phase.REVIEWING, Phase.WITH_OWNER, Phase.TRAINING):
        return Rebuff(
            Reason.OUT_OF_STAGE, "The officer rules when the panel is complete and undecided, or when time has run out."
        )
    if ruling.ruling == "decline":
        return None
    if review.phase is not Phase.REVIEWING or not review.sheets:
        return Rebuff(
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
    return review.model_copy(
        update={
            "sheets": (*review.sheets, Sheet(by=given, findings=findings, agrees=sheet.agrees)),
        }
    )


def with_ruling(review: Review, given: Given, ruling: Ruling, reason: str) -> Review:
    """The review with the officer's ruling."""
    return review.model_copy(
        update={
            "ruling": Ruled(by=given, ruling=ruling.ruling, reason=reason),
            "ruled_by": joined(review.ruled_by, given.person),
        }
    )


def follows(review: Review, at: datetime) -> Event | None:
    """What follows by itself from the sheets on the table."""
    if review.route is None or review.changes is not None:
        return None
    if review.ruling is not None:
        return Passed(
            at=at,
            stage=Stage.PRINCIPLE_REVIEW,
            result="completed",
            because=f"The officer ruled that the proposal proceeds: {review.ruling.reason}"[:2000],
        )
    if agreed(review):
        rule = review.route.reviewers
        return Passed(
            at=at,
            stage=Stage.PRINCIPLE_REVIEW,
            result="completed",
            because=f"{rule.needed} of at most {rule.panel} verdict sheets found no breach.",
        )
    return None


def turns(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is in principle review."""
    if review.route is None or review.phase_since is None:
        return ()
    officer = Turn(
        stage=Stage.PRINCIPLE_REVIEW,
        kinds=("ruling", "extension"),
        what="Rule on the proposal: the panel is complete and undecided.",
        role=Role.OFFICER,
        not_for=excluded(review, "ruling"),
        since=max((sheet.by.at for sheet in review.sheets), default=review.phase_since),
        due_at=review.due_at,
    )
    if undecided(review):
        return officers(review, officer)
    rule = review.route.reviewers
    reviewers = Turn(
        stage=Stage.PRINCIPLE_REVIEW,
        kinds=("verdict_sheet", "change_request", "question", "escalation"),
        what=f"Give a verdict on each principle ({sum(s.agrees for s in review.sheets)} of {rule.needed} agreeing so far).",
        role=Role.REVIEWER,
        not_for=tuple(sorted({*excluded(review, "verdict_sheet"), *(sheet.by.person for sheet in review.sheets)})),
        since=review.phase_since,
        due_at=review.due_at,
    )
    if not review.overdue:
        return (reviewers,)
    late = officer.model_copy(
        update={
            "what": "Time for the verdicts has run out: extend it, or rule.",
            "since": review.due_at or review.phase_since,
        }
    )
    return (reviewers, *officers(review, late))
