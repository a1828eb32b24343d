"""A worker that strikes itself at a chosen line: `python -m tests.faults.stricken_worker`.

It is composed by `worker`, with its commit and its ledger replaced by ones that look for a mark: a file in the folder
`STRICKEN_MARKS`, named after the place and the review, whose text is the signal's number. The mark is used up.
It can be started ahead of its time: with `STRICKEN_GO` it waits, all imported, until that file is there.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio import activity

import worker
from activities.commits import Commits
from activities.messages import Arrived, Commit, Committed
from store.ledgers import Ledgers, LockedHead

MARKS = "STRICKEN_MARKS"
GO = "STRICKEN_GO"

BEFORE, INSIDE, AFTER = "before", "inside", "after"


def mark(folder: Path, place: str, review: str, with_signal: int) -> Path:
    """Have the worker strike itself with this signal when it comes to this place of a commit on this review."""
    path = folder / f"{place}-{review}"
    path.write_text(str(int(with_signal)))
    return path


def _strike(place: str, review: str) -> None:
    path = Path(os.environ[MARKS]) / f"{place}-{review}"
    try:
        with_signal = int(path.read_text())
        path.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), with_signal)


class StrickenCommits(Commits):
    """Strikes right before and right after the transaction of a decision's commit."""

    @activity.defn
    async def commit(self, request: Commit) -> Committed:
        """As ever."""
        if isinstance(request.message, Arrived):
            _strike(BEFORE, request.review)
        answer = await super().commit(request)
        if isinstance(request.message, Arrived):
            _strike(AFTER, request.review)
        return answer


class StrickenLedgers(Ledgers):
    """Strikes inside the transaction, with the head locked."""

    @asynccontextmanager
    async def head(self, review_id: str) -> AsyncIterator[LockedHead]:
        """As ever."""
        async with super().head(review_id) as head:
            _strike(INSIDE, review_id)
            yield head


if __name__ == "__main__":
    vars(worker).update(Commits=StrickenCommits, Ledgers=StrickenLedgers)
    while GO in os.environ and not Path(os.environ[GO]).exists():
        time.sleep(0.02)
    asyncio.run(worker.main())
