"""The process, as Temporal runs it: the workflow waits, wakes and carries on; the rules are in the core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from itertools import takewhile

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.commits import Commits
    from activities.messages import AT_ONCE, Arrived, CancelRequested, Commit, Committed, Due, Message, Opening
    from activities.naming import workflow_id_for
    from domain.deadlines import next_deadline
    from domain.narrative import PHASES, STAGES
    from domain.review import evolve, state_digest, waits_for
    from domain.stages import Outcome, Stage
    from domain.state import Review
    from workflows.alarm import Alarm
    from workflows.inbox import Inbox, as_turned_away, read_cancel, read_signal, turned_away
    from workflows.messages import Carried, Result, StartReview, WhereItStands


_SHORTLY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=1), maximum_attempts=5
)
_UNTIL_IT_IS_BACK = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15))
_MOST_CARRIED = 500
"""Messages that one run hands to the next at most: more, after a flood, would pass Temporal's 2 MiB a payload."""

_MOST_TOLD = 1024 * 1024
"""After about so many bytes of answers a workflow task is ended: Temporal takes no report above 4 MiB on one, and
terminates a workflow that comes to such a one again and again.
"""

_PAUSE = timedelta(seconds=5)


@workflow.defn
class ProposalReview:
    """One review of one proposal, from submission to its outcome."""

    @workflow.init
    def __init__(self, start: StartReview) -> None:
        carried = start.carried if workflow.info().continued_run_id is not None else None
        self._unproven = carried is not None
        carried = (carried or Carried(state=Review(id=start.review))).believed()
        self._review = carried.state
        # A dictionary for its keys: in their order, and found at once however many a flood has left.
        self._turned_away = dict.fromkeys(carried.turned_away)
        self._messages_per_run = start.messages_per_run
        self._tally = carried.tally
        self._earlier = carried.tally.signals
        self._cancels = carried.cancels
        self._told = 0
        # A deadline that still stands rings again; and one that somebody only says has rung does not count.
        self._inbox = Inbox([message for message in carried.waiting if not isinstance(message, Due)])
        self._alarm = Alarm(self._inbox)

    @workflow.run
    async def run(self, _start: StartReview) -> Result:
        """The process: every review passes all four stages, once for each revision, until it has its outcome."""
        await self._open()
        while not self._review.closed:
            await self._through(Stage.PRINCIPLE_REVIEW)
            await self._through(Stage.COUNCIL)
            await self._through(Stage.TRAINING)
            await self._through(Stage.SIGN_OFF)
        await self._answer_what_is_late()
        return self._result()

    @workflow.signal(dynamic=True)
    def receive(self, name: str, args: Sequence[RawValue]) -> None:
        """Every signal, under whatever name and with whatever in it, goes to the inbox."""
        self._count("signals")
        self._inbox.put(read_signal(self._tally.signals, name, args))

    @workflow.query
    def where_it_stands(self) -> WhereItStands:
        """What this workflow has seen of its review."""
        info = workflow.info()
        return WhereItStands(
            seq=self._review.seq,
            state_digest=state_digest(self._review),
            tally=self._tally,
            run=info.run_id,
            chain=info.first_execution_run_id,
            earlier=self._earlier,
        )

    def cancel_requested(self, why: str) -> None:
        """A client asked Temporal to cancel: that is a message like any other, and refused on record."""
        self._cancels += 1
        self._inbox.put(read_cancel(self._cancels, why))

    async def _open(self) -> None:
        if workflow.info().workflow_id != workflow_id_for(self._review.id):
            raise ApplicationError("this workflow does not have the id of its review", type="NotItsReview")
        if self._review.seq == 0 or self._unproven:
            await self._commit(Opening())
        if not (self._review.open or self._review.closed):
            raise ApplicationError("there is no submission to open this review with", type="NothingToOpen")

    async def _through(self, stage: Stage) -> None:
        """Take message after message until the review has left this stage; at once, where it is not in it."""
        while self._review.stage is stage and not self._review.closed:
            self._tell()
            self._alarm.follow(next_deadline(self._review))
            message = await self._inbox.take()
            if not self._is_past(message):
                await self._commit(message)
            if not self._review.closed:
                self._continue_if_long()

    async def _answer_what_is_late(self) -> None:
        self._tell()
        while self._inbox.waiting:
            message = await self._inbox.take()
            if not isinstance(message, Due):
                await self._commit(message)

    def _is_past(self, message: Message) -> bool:
        return isinstance(message, Due) and all(d.id != message.deadline for d in self._review.deadlines)

    async def _commit(self, message: Message) -> None:
        """Have the message applied, and learn what is on record since: what is stored wins."""
        known, done, became = as_turned_away(message), False, None
        while not done and (known is None or known not in self._turned_away):
            await self._make_room(message)
            held = state_digest(self._review) if self._unproven else None
            request = Commit(
                review=self._review.id, seen=self._review.seq, message=message, behind=self._behind(), state=held
            )
            committed = await self._committed(request, _summary(message))
            self._unproven = False
            self._told += committed.size
            self._review = reduce(evolve, committed.events, self._fresh() if committed.anew else self._review)
            done, became = committed.done, committed.became
            if not done:
                self._turned_away |= dict.fromkeys(turned_away(committed.events))
            for turned in self._inbox.drop(committed.turned_away):
                if isinstance(turned, Arrived):
                    self._count("refused")
        if isinstance(message, Arrived):
            self._count(became or "refused")
        if not self._inbox.waiting:  # whatever was learnt of this chain's messages was of those
            self._turned_away = {}

    def _behind(self) -> tuple[Arrived | CancelRequested, ...]:
        """What waits behind the message, as far as it is not known to have been turned away."""
        waiting = self._inbox.behind(AT_ONCE)
        return tuple(takewhile(lambda message: as_turned_away(message) not in self._turned_away, waiting))

    def _fresh(self) -> Review:
        return Review(id=self._review.id)

    def _count(self, what: str) -> None:
        self._tally = self._tally.counting(what)

    async def _committed(self, request: Commit, summary: str) -> Committed:
        """The commit's answer, however long that takes. While the database is down a regular activity waits: its
        attempts leave nothing in history. Nothing that it says is believed, but asked for again: anybody who reaches
        Temporal can answer in its place.
        """
        while True:
            try:
                return await workflow.execute_local_activity_method(
                    Commits.commit,
                    request,
                    start_to_close_timeout=timedelta(seconds=5),
                    schedule_to_close_timeout=timedelta(seconds=8),
                    retry_policy=_SHORTLY,
                    summary=summary,
                )
            except FailureError as error:
                if isinstance(error, ApplicationError) and error.type == "UnknownReview":
                    raise
                _not_for_now(error)
            try:
                await workflow.execute_activity_method(
                    Commits.commit,
                    request,
                    start_to_close_timeout=timedelta(seconds=30),
                    retry_policy=_UNTIL_IT_IS_BACK,
                    summary=summary,
                )
            except FailureError as error:  # it has no last attempt: somebody reached into Temporal and failed it
                _not_for_now(error)
                await workflow.sleep(_PAUSE, summary="until the commit is tried again")

    async def _make_room(self, message: Message) -> None:
        """Have what was learnt put into history before more is asked for; and go on in a new run, with the message in
        hand, where that is long.
        """
        if self._told > _MOST_TOLD:
            await workflow.sleep(timedelta(milliseconds=1), summary="until what was learnt is in history")
            self._told = 0
            self._continue_if_long(() if isinstance(message, Opening) else (message,))  # each run opens it

    def _continue_if_long(self, in_hand: tuple[Message, ...] = ()) -> None:
        limit = self._messages_per_run
        full = limit is not None and self._inbox.taken >= limit
        waiting = (*in_hand, *self._inbox.waiting)
        if len(waiting) > _MOST_CARRIED:
            return
        if full or workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(
                StartReview(
                    review=self._review.id,
                    messages_per_run=limit,
                    carried=Carried(
                        state=self._review,
                        waiting=waiting,
                        turned_away=tuple(self._turned_away),
                        tally=self._tally,
                        cancels=self._cancels,
                    ),
                )
            )

    def _result(self) -> Result:
        review = self._review
        return Result(
            review=review.id,
            outcome=review.outcome or Outcome.DECLINED,
            because=review.outcome_because or "",
            seq=review.seq,
            state_digest=state_digest(review),
        )

    def _tell(self) -> None:
        """Say in Temporal's own UI where the review stands, without naming anybody."""
        review = self._review
        if review.closed or review.stage is None or review.phase is None:
            workflow.set_current_details(f"**{review.outcome or 'not open'}**")
            return
        turns = "\n".join(f"- {turn.role}: {', '.join(turn.kinds)}" for turn in waits_for(review))
        due = "" if review.due_at is None else f", due {review.due_at:%Y-%m-%d %H:%M} UTC"
        still = "\n\nThe clock stands still until the owner has answered." if review.paused else ""
        workflow.set_current_details(
            f"**{STAGES[review.stage]}**, round {review.round}: waits for {PHASES[review.phase]}{due}{still}\n\n{turns}"
        )


def _not_for_now(error: FailureError) -> None:
    cause = error.cause if isinstance(error, ActivityError) else error
    workflow.logger.warning("commit not possible for now", extra={"cause": type(cause).__name__})


def _summary(message: Message) -> str:
    match message:
        case Opening():
            return "open the review"
        case Arrived():
            return f"take {message.name[:60]}"
        case CancelRequested():
            return "refuse a cancel request"
        case Due():
            return f"{message.deadline} falls due"
