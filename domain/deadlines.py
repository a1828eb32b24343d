"""Deadlines: when a wait is reminded of, when it falls due, who is asked then, and how it is given more time."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import council, principles
from domain.decisions import Envelope, Extension, Reason
from domain.entitlement import officers
from domain.events import Began, Event, FellDue, Reminded
from domain.people import Role
from domain.policy import Phase
from domain.rebuff import Rebuff
from domain.separation import excluded
from domain.state import Deadline, Review
from domain.turns import Turn
from domain.values import Slug

LONGEST_EXTENSION = timedelta(days=366)


def due_before(review: Review, moment: datetime) -> Deadline | None:
    """The earliest deadline of an open review that fell due before `moment`, if there is one.

    A decision received at `moment` is taken only after the deadlines that fell due before it.
    """
    past = [deadline for deadline in review.deadlines if deadline.at < moment and not review.closed]
    return min(past, key=lambda deadline: deadline.at, default=None)


def next_deadline(review: Review) -> Deadline | None:
    """The deadline that falls due next."""
    return min(review.deadlines, key=lambda deadline: deadline.at, default=None)


def next_in_line(review: Review) -> tuple[Role, Slug | None]:
    """Who is asked once the present wait is overdue: the officer, or, where it was the officer's turn, the deputy."""
    if review.route is None:
        return Role.OFFICER, None
    if review.phase is Phase.ANSWERING_ADVICE or principles.undecided(review) or council.without_opinion(review):
        return Role.OFFICER, review.route.deputy_officer or review.route.officer
    if review.phase is Phase.SIGNING:
        done = len(review.signatures)
        step = review.route.signatories[min(done, len(review.route.signatories) - 1)]
        return Role.SIGNATORY, step.deputy or step.office
    return Role.OFFICER, review.route.officer


def begins(review: Review, phase: Phase, at: datetime) -> Began | None:
    """The beginning of the wait that `phase` is, if it has not begun."""
    if review.route is None or review.phase is phase:
        return None
    allowance = review.route.allowances[phase]
    return Began(
        at=at,
        phase=phase,
        number=review.waits + 1,
        remind_at=at + allowance.remind_after,
        due_at=at + allowance.due_after,
    )


def falls_due(review: Review, name: str, at: datetime) -> Event | None:
    """What it means that the deadline of this name is here; nothing, where it no longer stands."""
    deadline = next((d for d in review.deadlines if d.id == name), None)
    if deadline is None or review.closed:
        return None
    if deadline.kind == "remind":
        return Reminded(at=at, deadline=name)
    return FellDue(at=at, deadline=name, next_in_line=next_in_line(review))


def refuse_extension(review: Review, envelope: Envelope, extension: Extension) -> Rebuff | None:
    """Why the present wait can't be given time until then, if it can't."""
    if review.phase is None or review.due_at is None:
        return Rebuff(Reason.OUT_OF_STAGE, "Nothing waits that could be given more time.")
    if not max(review.due_at, envelope.received_at) < extension.until <= envelope.received_at + LONGEST_EXTENSION:
        return Rebuff(
            Reason.INVALID, "The time can be extended past the present deadline, by at most 366 days from now."
        )
    return None


def extends(review: Review, extension: Extension, at: datetime) -> Began | None:
    """The present wait, begun anew until another moment."""
    if review.phase is None or review.route is None:
        return None
    allowance = review.route.allowances[review.phase]
    remind_at = extension.until - (allowance.due_after - allowance.remind_after)
    return Began(
        at=at,
        phase=review.phase,
        number=review.waits + 1,
        remind_at=remind_at if remind_at > at else None,
        due_at=extension.until,
    )


def with_wait(review: Review, began: Began) -> Review:
    """The review in this wait, which is as old as before where it is the same one."""
    reminder = () if began.remind_at is None else (_deadline(began, "remind", began.remind_at),)
    return review.model_copy(
        update={
            "phase": began.phase,
            "waits": began.number,
            "phase_since": review.phase_since if review.phase is began.phase else began.at,
            "deadlines": (*reminder, _deadline(began, "due", began.due_at)),
            "due_at": began.due_at,
            "overdue": False,
        }
    )


def with_reminder(review: Review, reminded: Reminded) -> Review:
    """The review without the deadline for this reminder."""
    return review.model_copy(update={"deadlines": tuple(d for d in review.deadlines if d.id != reminded.deadline)})


def overdue(review: Review) -> Review:
    """The review whose present wait is overdue."""
    return review.model_copy(update={"deadlines": (), "overdue": True})


def at_rest(review: Review) -> Review:
    """The review that waits for nothing."""
    return review.model_copy(update={"phase": None, "deadlines": (), "due_at": None, "overdue": False})


def turns(review: Review) -> tuple[Turn, ...]:
    """The officer's turn once a wait of others is overdue."""
    if not review.overdue or review.stage is None or review.due_at is None:
        return ()
    late = Turn(
        stage=review.stage,
        kinds=("extension", "ruling"),
        what="The time has run out: extend it, or decline the proposal.",
        role=Role.OFFICER,
        not_for=excluded(review, "ruling"),
        since=review.due_at,
    )
    return officers(review, late)


def _deadline(began: Began, kind: str, at: datetime) -> Deadline:
    return Deadline.model_validate({"id": f"{began.phase}-{began.number}-{kind}", "kind": kind, "at": at})
