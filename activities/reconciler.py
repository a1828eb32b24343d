"""The reconciler: compares the record with what Temporal has, and says so where they differ.

Each round looks at every open review, cheaply: whether its workflow runs, and whether its rows are as they were left.
Whatever has changed since it was last compared, and others in turn, it compares in depth. What differs is an alarm, an entry on record, and a row for `ringi doctor`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from temporalio import activity

from activities.commits import Commits
from activities.messages import Reconciled
from activities.ports import Book, Courier, Found, LastRound, Limits, UndeliverableError, Witness
from domain.discrepancies import DIFFERENCES, LOSSES, Difference, Differs
from domain.reconciliation import Known, Look, confirmed, differences

T = TypeVar("T")

PAUSE = 10.0
"""Seconds between the two looks: as long as Temporal waits for a worker that is gone. What such a one left is no loss."""

IN_DEPTH = 100
"""How many reviews are compared in one round: those that changed, and of the other open ones those that were not compared
for longest. Each takes some 25 ms of a worker that has commits to make beside it.
"""

CHANGED = 50
"""How many of them may be reviews that changed; the others come in the next round."""

CLOSED_IN_TURN = 5
"""How many closed ones that did not change are compared beside these."""

AT_A_TIME = 500
"""How many are compared in one round whose rows were altered; and how many at a time when Temporal was restored, but then
all are, in the same round.
"""

_AT_ONCE = 2
"""A person's decision waits behind as many of them in the worker's loop."""

BEAT = timedelta(seconds=3)
"""Between two signs of life; a worker that keeps them back for longer is missed while it lives."""

_log = logging.getLogger(__name__)


class Reconciler:
    """Compares what is in the `book` with what the `witness` sees in Temporal."""

    def __init__(self, book: Book, witness: Witness, courier: Courier, commits: Commits) -> None:
        self._book = book
        self._witness = witness
        self._courier = courier
        self._commits = commits
        self._under_way: dict[str, asyncio.Task[None]] = {}

    @activity.defn
    async def reconcile(self) -> Reconciled:
        """Go round once. While it does, Temporal hears of it often enough to miss a worker that is gone within seconds:
        nothing that is waited for here waits without bounds.
        """
        beating = asyncio.create_task(_beat())
        try:
            return await self._go_round()
        finally:
            beating.cancel()

    async def _go_round(self) -> Reconciled:
        restored = await self._is_restored()
        open_reviews = await self._book.open_reviews()
        running = await self._witness.running()
        done = (set(open_reviews) ^ set(running)) | set(await self._book.differing())
        done.update(await self._altered([review for review in open_reviews if review not in done]))
        due = (*sorted(done), *await self._book.due(running, done, Limits(CHANGED, IN_DEPTH, CLOSED_IN_TURN)))
        differ = 0
        while due:
            differ += await self._compare(due)
            done.update(due)
            due = tuple(await self._book.due(running, done, Limits(AT_A_TIME, 0, 0))) if restored else ()
        await self._enter_what_was_not()
        info = activity.info()
        await self._book.end_round(info.workflow_id or "", info.workflow_run_id or "")
        return Reconciled(open=len(open_reviews), compared=len(done), differ=differ)

    def suspect(self, review: str) -> None:
        """Compare this review now, beside whatever else happens: somebody did not find its workflow."""
        if review not in self._under_way:
            task = self._under_way[review] = asyncio.create_task(self._look_into(review))
            task.add_done_callback(lambda _: self._under_way.pop(review, None))

    async def aclose(self) -> None:
        """Leave what is under way to the next round."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_into(self, review: str) -> None:
        try:
            await self._compare((review,))
        except Exception as error:  # noqa: BLE001 - the next round compares it in any case
            _log.warning("not compared", extra={"review_id": review, "error": type(error).__name__})

    async def _is_restored(self) -> bool:
        """Whether Temporal has lost what it had, as far as it is not made good yet. The last round left its name; what
        does not know it any more is an earlier state. After so long a time that it may only have let it go, too: nobody
        can tell then, and no round ends while Temporal is being restored, however long that takes.
        """
        last = await self._book.last_round()
        if last is not None and not await self._witness.knows(last.workflow_id, last.run_id):
            difference = Difference(what=Differs.RESTORED, detail=_not_known(last))
            if await self._book.forget(difference):
                _alarm(None, difference)
            return True
        return await self._book.is_restored()

    async def _altered(self, reviews: Sequence[str]) -> Sequence[str]:
        """Those whose rows were altered; asked for in parts, since one question about all may take too long."""
        found: list[str] = []
        for start in range(0, len(reviews), AT_A_TIME):
            found += await self._book.altered(reviews[start : start + AT_A_TIME])
        return found[:AT_A_TIME]

    async def _compare(self, reviews: Sequence[str]) -> int:
        """Look at these reviews, and again at those that differ; write down what does, and put it on record.

        Returns:
            How many differ.
        """
        first: dict[str, tuple[Known, Look]] = {}

        async def look(review: str) -> None:
            known, look = await self._book.known(review), await look_at(review, self._book, self._witness)
            if differences(look, known):
                first[review] = known, look
            else:
                await self._book.compared(review, look, ())

        async def look_again(review: str) -> bool:
            known, before = first[review]
            look = await look_at(review, self._book, self._witness)
            found = confirmed(before, look, known)
            for difference in await self._book.compared(review, look, found):
                _alarm(review, difference)
            return bool(found)

        await _each(look, reviews)
        if not first:
            return 0
        await asyncio.sleep(PAUSE)
        differ = sum(map(bool, await _each(look_again, tuple(first))))
        await self._enter_what_was_not()
        return differ

    async def _enter_what_was_not(self) -> None:
        """Put on record what was found and does not stand there yet, now or in a round that did not come to its end.
        A workflow that is told of it learns what else it has missed.
        """
        for found in await self._book.not_entered():
            try:
                await self._enter(found)
            except ValueError as error:  # its rows are such that nothing more can be put on its record
                _log.error("can't be put on record", extra={"review_id": found.review, "error": type(error).__name__})

    async def _enter(self, found: Found) -> None:
        delivery = await self._book.enter(found)
        if delivery is None:  # not yet
            return
        await self._commits.settle(delivery)
        await self._book.entered(found)
        with suppress(UndeliverableError):
            await self._courier.deliver(delivery)


async def look_at(review: str, book: Book, witness: Witness) -> Look:
    """What the workflow says; and then what is on record, so that the workflow can't have seen more than that."""
    sighting = await witness.sighting(review)
    word = await witness.word(review) if sighting.runs else None
    checked = await book.check(review)
    return Look(checked.record, checked.expected, sighting, word, checked.rows)


def _not_known(last: LastRound) -> str:
    if last.retained:
        return "It was restored to an earlier state. Whatever is open is compared anew."
    return (
        f"That ended at {last.ended_at:%Y-%m-%d %H:%M} UTC. Either Temporal was restored to an earlier state since, or it no"
        " longer keeps what ended then. Whatever is open is compared anew."
    )


def _alarm(review: str | None, difference: Difference) -> None:
    about = difference.model_dump(mode="json", exclude_none=True)
    if review is not None:
        about["review_id"] = review
        if difference.what in LOSSES:
            about["to_repair"] = f"ringi repair {review}"
    _log.error("discrepancy: %s", DIFFERENCES[difference.what], extra=about)


async def _each(what: Callable[[str], Awaitable[T]], reviews: Sequence[str]) -> list[T | None]:
    """Do this with each review, a few at once; None for one of which something can't be read, which holds up no other."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(review: str) -> T | None:
        async with room:
            try:
                return await what(review)
            except ValueError as error:
                _log.error("can't be compared", extra={"review_id": review, "error": type(error).__name__})
                return None

    return list(await asyncio.gather(*map(one, reviews)))


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT.total_seconds())
