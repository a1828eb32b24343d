"""What was tried and refused: for those who look into it afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.identity import KnownRoute
from api.problems import problems
from api.services import TheCaller, TheServices
from domain.people import Role
from domain.values import PersonId, ReviewId

router = APIRouter(route_class=KnownRoute, tags=["operations"])

Limit = Annotated[int, Query(ge=1, le=500)]
Place = Annotated[int, Query(ge=1, le=2**62)]


class AttemptOut(BaseModel):
    """Something that was tried and refused before it became a decision: who (`person`, where that is known), what
    (`method` and `route`, and the review, the decision's id and its kind, where it had come so far), and why (`status`,
    `problem`, `reason`, `detail`, as it was answered).

    Where `times` is above one, it stands for so many in one minute, and tells of the last.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    person: PersonId | None
    method: str
    route: str | None
    review: ReviewId | None = Field(validation_alias="review_id")
    decision_id: UUID | None
    kind: str | None
    status: int
    problem: str
    reason: str | None
    detail: str | None
    request_id: str | None
    times: int


class AttemptList(BaseModel):
    """A page of attempts, the newest first; `next` is what to give as `before` for the page after it."""

    attempts: list[AttemptOut]
    next: int | None


@router.get("/attempts", summary="See what was tried and refused", responses=problems(401, 403, 422, 503))
async def attempts(
    caller: TheCaller,
    services: TheServices,
    person: PersonId | None = None,
    review: ReviewId | None = None,
    limit: Limit = 100,
    before: Place = 2**62,
) -> AttemptList:
    """What the API refused, of this person or about this review or at all, for auditors and operators. What became a
    decision and was refused stands on its review's timeline.
    """
    caller.must_hold(Role.AUDITOR, Role.OPERATOR)
    found = await services.attempts.find(person, review, limit, before)
    following = found[-1].id if len(found) == limit else None
    return AttemptList(attempts=[AttemptOut.model_validate(each) for each in found], next=following)
