"""Being told: what one wants by mail, what one was told, and what was told of a review."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.identity import KnownRoute
from api.problems import Forbidden, NotFound, problems
from api.schemas import In
from api.services import NO_SUCH_REVIEW, TheCaller, TheServices
from domain.access import may_audit
from domain.calendar import TimeZone
from domain.notices import Kind, Pace, Preferences
from domain.people import Role
from domain.values import PersonId, ReviewId
from store.notices import NobodyHereError, Told

router = APIRouter(route_class=KnownRoute, tags=["notices"])

Limit = Annotated[int, Query(ge=1, le=500)]
Place = Annotated[int, Query(ge=0, le=2**62)]
State = Literal["waiting", "mailing", "sent", "failed", "past", "unwanted", "no_address"]


class PreferencesIn(In):
    """What a person wants by mail: how often, about what, and at which hour of their day a daily mail comes. What is
    overdue, or lacks somebody who can do it, is told soon after it became so, whatever is said here. Where no time zone
    or hour is given, it is everybody's.
    """

    pace: Pace
    kinds: Annotated[tuple[Kind, ...], Field(max_length=20)] = tuple(Kind)
    time_zone: TimeZone | None = None
    hour: Annotated[int, Field(ge=0, le=23, strict=True)] | None = None


class NoticeOut(BaseModel):
    """A notice, and what became of it for one person.

    It is `waiting` until a mail goes at `mail_at`, then `mailing`, then `sent` or `failed`; `past` if it was done, or no
    longer theirs, when its mail was due; `unwanted` and `no_address` if there was never to be one.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    review: ReviewId = Field(validation_alias="review_id")
    seq: int
    title: str | None
    kind: Kind
    what: str | None
    due_at: datetime | None
    queued_at: datetime
    person: PersonId | None
    state: State | None
    mail_at: datetime | None
    settled_at: datetime | None
    attempts: int | None
    error: str | None


class NoticeList(BaseModel):
    """A page of notices; `next` is where the page after it begins."""

    notices: list[NoticeOut]
    next: int | None


@router.get("/me/preferences", summary="What I want by mail", responses=problems(401, 403, 503))
async def preferences(caller: TheCaller, services: TheServices) -> Preferences:
    """What the caller wants by mail; where they have not said, what everybody gets."""
    return await services.notices.preferences(caller.person)


@router.put("/me/preferences", summary="Say what I want by mail", responses=problems(400, 401, 403, 413, 415, 422, 503))
async def prefer(body: PreferencesIn, caller: TheCaller, services: TheServices) -> Preferences:
    """Keep what the caller wants by mail. It holds at once, for what waits for them already as well."""
    wanted = Preferences.model_validate(services.notices.default.model_dump() | body.model_dump(exclude_none=True))
    try:
        await services.notices.prefer(caller.person, wanted)
    except NobodyHereError as error:
        raise Forbidden("Only people in the registry have preferences; ask an operator to enter you.") from error
    return wanted


@router.get("/me/notices", summary="What I was told", responses=problems(401, 403, 422, 503))
async def my_notices(caller: TheCaller, services: TheServices, limit: Limit = 50, before: Place = 2**62) -> NoticeList:
    """What the caller was told, by mail or not, the newest first; of the reviews that they may read. `before` is the
    `next` of the page before.
    """
    told, following = await services.notices.of_person(caller.person, caller.may_read, limit, before)
    return NoticeList(notices=[NoticeOut.model_validate(each) for each in told], next=following)


@router.get("/notices", summary="What was told of a review", responses=problems(401, 403, 404, 422, 503))
async def notices_of(
    review: ReviewId, caller: TheCaller, services: TheServices, limit: Limit = 100, after: Place = 0
) -> NoticeList:
    """What was told of a review, to whom and when, in order. Auditors and officers see what was said; an operator sees
    that it was, and not about what. `after` is the `next` of the page before.
    """
    state = await services.reviews.state(review)
    audits = state is not None and may_audit(caller.person, caller.grants) and caller.may_read(state)
    if not audits:
        caller.must_hold(Role.OPERATOR, Role.AUDITOR, Role.OFFICER)
    if state is None or not (audits or any(grant.role is Role.OPERATOR for grant in caller.grants)):
        raise NotFound(NO_SUCH_REVIEW)
    told, following = await services.notices.of_review(review, limit, after)
    return NoticeList(notices=[_shown(each, audits) for each in told], next=following)


def _shown(told: Told, whole: bool) -> NoticeOut:
    shown = NoticeOut.model_validate(told)
    return shown if whole else shown.model_copy(update={"title": None, "what": None})
