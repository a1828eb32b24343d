"""What was tried and refused before it became a decision: written once, read by auditors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from domain.values import PersonId, ReviewId
from store.database import Database

_ADD = """
insert into attempts
    (person, method, route, review_id, decision_id, kind, status, problem, reason, detail, request_id, times)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

_FIND = """
select id, at, person, method, route, review_id, decision_id, kind, status, problem, reason, detail, request_id, times
from attempts
where id < $1 and ($2::text is null or person = $2) and ($3::text is null or review_id = $3)
order by id desc limit $4
"""


@dataclass(frozen=True)
class Attempt:
    """Something that was tried and refused: by whom, where that is known; what; and why. Nothing in it was written by
    whoever tried, but for the ids of what it was about.

    `route` is the path with its parameters' names in it, `problem` and `reason` name the refusal as its answer did.
    Where `times` is above one, it stands for so many, of which it is the last.
    """

    method: str
    route: str | None
    status: int
    problem: str
    reason: str | None = None
    detail: str | None = None
    person: PersonId | None = None
    review_id: ReviewId | None = None
    decision_id: UUID | None = None
    kind: str | None = None
    request_id: str | None = None
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class RecordedAttempt(Attempt):
    """An attempt as it stands on record."""

    id: int
    at: datetime


class Attempts:
    """The record of refused attempts, in `database`. Nobody changes or removes what stands there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, attempt: Attempt) -> None:
        """Put an attempt on record."""
        row = asdict(attempt)
        columns = ("person", "method", "route", "review_id", "decision_id", "kind", "status", "problem")
        more = ("reason", "detail", "request_id", "times")
        await self._database.pool.execute(_ADD, *(row[name] for name in (*columns, *more)))

    async def find(
        self, person: PersonId | None, review: ReviewId | None, limit: int, before: int
    ) -> tuple[RecordedAttempt, ...]:
        """Attempts of this person, or about this review, or all; those before number `before`, the newest first."""
        rows = await self._database.pool.fetch(_FIND, before, person, review, limit)
        return tuple(RecordedAttempt(**dict(row)) for row in rows)
