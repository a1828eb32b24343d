"""Webhooks: where other systems are told what happens in reviews."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.description import links
from api.identity import KnownRoute
from api.problems import Conflict, FieldError, Invalid, NotFound, problems
from api.schemas import In, Moment
from api.services import TheCaller, TheServices
from domain.cloud_events import ENTRIES, TYPE_PREFIX
from domain.people import Role
from domain.values import PersonId, ReviewId
from runtime.webhooks import LONGEST_URL, why_not

router = APIRouter(route_class=KnownRoute, tags=["webhooks"])

MOST = 50
"""Webhooks at a time."""

TYPES = tuple(TYPE_PREFIX + entry for entry in ENTRIES)

_NO_SUCH_WEBHOOK = "There is no such webhook."


def _known_type(name: str) -> str:
    if name not in TYPES:
        raise ValueError(f"must be one of: {', '.join(TYPES)}")
    return name


EventType = Annotated[str, Field(max_length=64, json_schema_extra={"enum": list(TYPES)}), AfterValidator(_known_type)]
Limit = Annotated[int, Query(ge=1, le=500)]


class WebhookIn(In):
    """Where to post to, and what: the types of the events."""

    url: Annotated[str, Field(max_length=LONGEST_URL)]
    types: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=50)] = TYPES


class WebhookRegistered(BaseModel):
    """A new webhook, and the secret that its posts are signed with. It is told now and never again."""

    id: UUID
    url: str
    types: tuple[str, ...]
    secret: str


class WebhookOut(BaseModel):
    """A webhook, and how many posts to it wait, were delivered, and failed for good."""

    id: UUID
    url: str
    types: tuple[str, ...]
    registered_by: PersonId
    registered_at: datetime
    waiting: int
    delivered: int
    failed: int


class WebhookList(BaseModel):
    """All webhooks."""

    webhooks: list[WebhookOut]


class PostOut(BaseModel):
    """What became of the post of one entry; `error` is why the last attempt failed."""

    model_config = ConfigDict(from_attributes=True)

    review: ReviewId = Field(validation_alias="review_id")
    seq: int
    queued_at: datetime
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    error: str | None
    settled_at: datetime | None


class PostList(BaseModel):
    """A page of posts, those queued last first; `next` is what to give as `before` for the page after it."""

    posts: list[PostOut]
    next: datetime | None


@router.post(
    "/webhooks",
    status_code=201,
    summary="Register a webhook",
    responses={
        201: links(
            ("see what was posted", "GET /webhooks/{webhook}/posts", {"webhook": "$response.body#/id"}),
            ("remove it", "DELETE /webhooks/{webhook}", {"webhook": "$response.body#/id"}),
        ),
        **problems(400, 401, 403, 409, 413, 415, 422, 503),
    },
)
async def register(body: WebhookIn, caller: TheCaller, services: TheServices) -> WebhookRegistered:
    """Post what happens from now on to this URL: CloudEvents, signed by the scheme of Standard Webhooks."""
    caller.must_hold(Role.OPERATOR)
    settings = services.settings
    problem = why_not(body.url, settings.webhook_ports, to_loopback=settings.webhooks_to_loopback)
    if problem is not None:
        raise Invalid.at(FieldError(pointer="/url", detail=problem, type="url"))
    if len(await services.webhooks.all()) >= MOST:
        raise Conflict(f"There are {MOST} webhooks already.")
    entries = [name.removeprefix(TYPE_PREFIX) for name in dict.fromkeys(body.types)]
    webhook, secret = await services.webhooks.register(body.url, entries, caller.person)
    return WebhookRegistered(id=webhook, url=body.url, types=_types(entries), secret=secret)


@router.get("/webhooks", summary="List webhooks", responses=problems(401, 403, 503))
async def list_webhooks(caller: TheCaller, services: TheServices) -> WebhookList:
    """Where what happens is posted to, without the secrets."""
    caller.must_hold(Role.OPERATOR)
    return WebhookList(
        webhooks=[
            WebhookOut(
                id=webhook.id,
                url=webhook.url,
                types=_types(webhook.entries),
                registered_by=webhook.registered_by,
                registered_at=webhook.registered_at,
                waiting=webhook.waiting,
                delivered=webhook.delivered,
                failed=webhook.failed,
            )
            for webhook in await services.webhooks.all()
        ]
    )


@router.get("/webhooks/{webhook}/posts", summary="List a webhook's posts", responses=problems(401, 403, 404, 422, 503))
async def posts(
    webhook: UUID,
    caller: TheCaller,
    services: TheServices,
    state: Literal["waiting", "delivered", "failed"] | None = None,
    limit: Limit = 50,
    before: Moment | None = None,
) -> PostList:
    """What became of what was posted to a webhook, those queued last first; also after it was removed."""
    caller.must_hold(Role.OPERATOR)
    found = await services.webhooks.posts(webhook, state, limit, before)
    if not found and not await services.webhooks.knows(webhook):
        raise NotFound(_NO_SUCH_WEBHOOK)
    following = found[-1].queued_at if len(found) == limit else None
    return PostList(posts=[PostOut.model_validate(post) for post in found], next=following)


@router.delete(
    "/webhooks/{webhook}", status_code=204, summary="Remove a webhook", responses=problems(401, 403, 404, 422, 503)
)
async def remove(webhook: UUID, caller: TheCaller, services: TheServices) -> None:
    """Post nothing more there; what waits is given up."""
    caller.must_hold(Role.OPERATOR)
    if not await services.webhooks.remove(webhook, caller.person):
        raise NotFound(_NO_SUCH_WEBHOOK)


def _types(entries: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(TYPE_PREFIX + entry for entry in entries)
