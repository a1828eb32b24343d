"""The commit: the only place where a rule is applied to a real review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.messages import (
    Arrived,
    Became,
    CancelRequested,
    Commit,
    Committed,
    Due,
    Message,
    Opening,
    Signalled,
)
from activities.naming import PROPOSAL_REVIEW, workflow_id_for
from activities.ports import (
    Delivery,
    Head,
    Ledger,
    RecordBehindError,
    StoredDecision,
    UnknownReviewError,
    UnstorableError,
)
from domain.commands import Command, FallDue, Take, TurnAway
from domain.deadlines import due_before
from domain.decisions import Reason
from domain.events import Accepted, Event, Refused
from domain.facts import Facts
from domain.review import decide, evolve, state_digest


class Commits:
    """Applies messages to reviews, each in one short transaction. `ledger` is where they are on record."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @activity.defn
    async def commit(self, request: Commit) -> Committed:
        """Apply a message if the workflow has seen the whole record; tell it what it has not seen otherwise.

        Running it again changes nothing: a decision with a receipt and a deadline that passed are dealt with already,
        and a message that was turned away stands among the entries that the workflow has not seen. It is for the
        review's own workflow: another one could make up what it was sent.
        """
        info = activity.info()
        if (info.workflow_type, info.workflow_id) != (PROPOSAL_REVIEW, workflow_id_for(request.review)):
            activity.logger.error("a commit was asked for by what is not the review's workflow")
            raise ApplicationError("this is not the review's workflow", type="NotItsReview", non_retryable=True)
        return await self.apply(request)

    async def apply(self, request: Commit) -> Committed:
        """What `commit` does for the review's workflow.

        Raises:
            ApplicationError: there is no such review; trying again does not help.
        """
        try:
            try:
                committed = await self._commit(request, unstorable=None)
            except UnstorableError as error:
                committed = await self._commit(request, unstorable=str(error))
        except UnknownReviewError as error:
            raise ApplicationError(str(error), type="UnknownReview", non_retryable=True) from error
        if committed.done and committed.events:
            _log(request, committed.events)
        return committed.model_copy(update={"size": sum(len(event.model_dump_json()) for event in committed.events)})

    async def settle_late(self, delivery: Delivery) -> bool:
        """Put on record what became of a decision whose review is closed: no workflow takes it any more.

        Returns:
            Whether the review is closed; if it is not, nothing was done.
        """
        return await self._settle(delivery, only_late=True)

    async def settle(self, delivery: Delivery) -> None:
        """Put on record what becomes of a decision, without its workflow: that learns of it by its next commit."""
        await self._settle(delivery, only_late=False)

    async def _settle(self, delivery: Delivery, *, only_late: bool) -> bool:
        try:
            return await self._settle_as(delivery, None, only_late=only_late)
        except UnstorableError as error:
            return await self._settle_as(delivery, str(error), only_late=only_late)

    async def _settle_as(self, delivery: Delivery, unstorable: str | None, *, only_late: bool) -> bool:
        async with self._ledger.head(delivery.review) as head:
            if only_late and not head.review.closed:
                return False
            unit = _Unit(head, unstorable)
            await unit.settle(delivery.decision)
            if unit.events:
                await head.append(unit.events, unit.review)
            return True

    async def _commit(self, request: Commit, unstorable: str | None) -> Committed:
        async with self._ledger.head(request.review) as head:
            if request.state is not None and state_digest(await head.at(request.seen)) != request.state:
                activity.logger.error("the workflow holds what is not on record", extra={"review_id": request.review})
                return Committed(events=(), done=False, anew=True)
            if head.review.seq < request.seen:
                raise RecordBehindError(
                    f"review {request.review}: the workflow has seen {request.seen} entries, the record holds {head.review.seq}"
                )
            if head.review.seq > request.seen:
                return Committed(events=await head.since(request.seen), done=False)
            unit = _Unit(head, unstorable)
            done = await unit.deal_with(request.message)
            turned_away = await unit.turn_away(request.behind) if done else 0
            if unit.events:
                await head.append(unit.events, unit.review)
            return Committed(events=tuple(unit.events), done=done, became=unit.became, turned_away=turned_away)


def _log(request: Commit, events: Sequence[Event]) -> None:
    decided = (event.envelope.decision_id for event in events if isinstance(event, Accepted))
    named = request.message.decision if isinstance(request.message, Arrived) else None
    decision = named or next(decided, None)
    about = {"review_id": request.review, "entries": [event.type for event in events]}
    activity.logger.info("committed", extra=about if decision is None else {**about, "decision_id": str(decision)})


class _Unit:
    """One transaction's work: the review as it becomes, and the events that make it so."""

    def __init__(self, head: Head, unstorable: str | None) -> None:
        self._head = head
        self._unstorable = unstorable
        self.review = head.review
        self.events: list[Event] = []
        self.became: Became | None = None

    async def deal_with(self, message: Message) -> bool:
        """Do what the message asks. At most one decision is taken in a transaction, so that data which can't be stored
        is never more than that one's: False where others go first and the message has to come again.
        """
        match message:
            case Opening():
                submission = await self._head.submission()
                if submission is not None and not submission.settled:
                    await self._take(submission)
            case Due(deadline=name):
                deadline = next((d for d in self.review.deadlines if d.id == name), None)
                if deadline is not None:
                    in_time = await self._head.pending(deadline.at)
                    if in_time:
                        await self._take(in_time[0])
                        return False
                    await self._decide(FallDue(deadline=name), None)
            case Arrived() | CancelRequested():
                stored = await self._named(message)
                if stored is not None and stored.digest == message.digest:
                    self.became = "repeated" if stored.settled else await self._take(stored)
                else:
                    self.became = "refused"
                    self._turn_away(message, stored)
        return True

    async def settle(self, decision: UUID) -> None:
        stored = await self._head.decision(decision)
        if stored is not None and not stored.settled:
            await self._take(stored)

    async def turn_away(self, messages: Sequence[Signalled]) -> int:
        """Turn away, in order, what brings no decision; how many there were before the first that does."""
        for number, message in enumerate(messages):
            stored = await self._named(message)
            if stored is not None and stored.digest == message.digest:
                return number
            self._turn_away(message, stored)
        return len(messages)

    def _turn_away(self, message: Signalled, stored: StoredDecision | None) -> None:
        # What is in the registers does not matter to it.
        for event in decide(self.review, _turning_away(message, stored), Facts(), self._head.now):
            self._add(event)

    async def _named(self, message: Signalled) -> StoredDecision | None:
        named = message.decision if isinstance(message, Arrived) else None
        return None if named is None else await self._head.decision(named)

    async def _take(self, stored: StoredDecision) -> Literal["accepted", "refused"]:
        envelope = stored.envelope
        # Nothing is due before its time, whatever date somebody wrote, whose signature nobody has looked at yet.
        received_at = min(envelope.received_at, self._head.now)
        while (deadline := due_before(self.review, received_at)) is not None:
            await self._decide(FallDue(deadline=deadline.id), None)
        if self._unstorable is None:
            await self._decide(Take(envelope=envelope, digest=stored.digest, proof=stored.proof), stored)
            applied = any(isinstance(e, Accepted) and e.envelope == envelope for e in self.events)
            return "accepted" if applied else "refused"
        self._add(
            Refused.of(
                envelope,
                stored.digest,
                Reason.INVALID,
                f"The database refuses this data: {self._unstorable}",
                self._head.now,
            )
        )
        return "refused"

    async def _decide(self, command: Command, decision: StoredDecision | None) -> None:
        facts = await self._head.facts(self.review, decision)
        for event in decide(self.review, command, facts, self._head.now):
            self._add(event)

    def _add(self, event: Event) -> None:
        self.review = evolve(self.review, event)
        self.events.append(event)


def _turning_away(message: Signalled, stored: StoredDecision | None) -> TurnAway:
    """The command that puts it on record as refused; `stored` is the decision whose id it names, if there is one."""
    decision = None
    if isinstance(message, CancelRequested):
        reason, detail = Reason.CANCEL_REFUSED, "A review is not cancelled from outside; its owner can withdraw it."
    else:
        decision = message.decision
        if decision is None:
            reason, detail = Reason.UNREADABLE, "The message can't be understood."
        elif stored is None:
            reason, detail = Reason.NOT_STORED, "No stored decision of this review has the id that the message names."
        else:
            reason, detail = Reason.ID_REUSED, "The message has the id of a stored decision, and another content."
        detail = f"{detail} It came under the name {message.name}."
    return TurnAway(
        ordinal=message.ordinal,
        reason=reason,
        detail=detail,
        decision=decision,
        digest=message.digest,
        length=message.length,
        shown=message.shown,
    )
