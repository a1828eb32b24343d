"""What happens, as it happens: server-sent events over one's own inbox and the reviews that one may read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from api.identity import KnownRoute, Who
from api.problems import Unavailable, problems
from api.services import Caller, TheCaller, TheServices
from domain.facts import Standing
from domain.narrative import tell
from domain.people import Grant
from domain.turns import is_for
from domain.values import PersonId, ReviewId
from store.feed import Follower, FullError, Mark, Rest, Seen, TooFarError

router = APIRouter(route_class=KnownRoute, tags=["events"])

BEAT = 10.0
"""Seconds after which a stream on which nothing happens says that it is still there."""

RETRY_MS = 2_000
"""How long a browser waits before it comes back."""


class Begin(BaseModel):
    """The stream begins; `resumed` says whether it takes up where the last one ended. Where it does, `roles` comes next,
    and then what happened in between. Where it does not, read the inbox and the reviews anew.
    """

    resumed: bool


class InboxEvent(BaseModel):
    """Something began to wait for the person, changed, or no longer waits for them. Where it ended because the review is
    hidden from them now, there is neither a title nor what was asked: nothing in that review waits for them any more.
    """

    review: ReviewId
    title: str | None
    change: Literal["began", "changed", "ended"]
    kinds: tuple[str, ...]
    what: str | None
    due_at: datetime | None


class EntryEvent(BaseModel):
    """An entry was added to the record of a review that the person may read; its text is in the timeline."""

    review: ReviewId
    seq: int
    at: datetime
    type: str
    who: PersonId | None
    what: str


class RolesEvent(BaseModel):
    """What the person's roles are: where a stream is resumed, and whenever they, or the units of those who hold them,
    change. With them changes what they may see: unless nothing is new to you, read the inbox and the reviews anew.
    """

    grants: tuple[Grant, ...]


async def _follower(who: Who, services: TheServices) -> AsyncIterator[Follower]:
    session = None if who.session is None else who.session.id
    follower = Follower(who.person, who.until, session)
    try:
        async with services.feed.following(follower):
            yield follower
    except FullError as error:
        raise Unavailable("Too many event streams are open. Close one, or try again later.") from error


TheFollower = Annotated[Follower, Depends(_follower)]

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=100, description="The id of the last event that was received.")
]


@dataclass(frozen=True)
class Start:
    """Where a stream begins."""

    mark: Mark
    resumed: bool


async def _start(services: TheServices, last_event_id: LastEventId = None) -> Start:
    mark = None if last_event_id is None else Mark.parse(last_event_id)
    if mark is not None:
        with contextlib.suppress(TooFarError):
            await services.feed.check(mark)
            return Start(mark, resumed=True)
    return Start(await services.feed.present(), resumed=False)


TheStart = Annotated[Start, Depends(_start)]

Only = Annotated[tuple[ReviewId, ...], Query(alias="review", max_length=50, description="Tell of these reviews only.")]


@router.get(
    "/events",
    response_class=EventSourceResponse,
    summary="Follow what happens",
    responses=problems(401, 403, 422, 503),
)
async def events(
    follower: TheFollower,
    caller: TheCaller,
    services: TheServices,
    start: TheStart,
    only: Only = (),
) -> AsyncIterator[ServerSentEvent]:
    """A stream of `begin`, `inbox`, `entry` and `roles`. With the `Last-Event-ID` of the last event that arrived it goes
    on after that one: nothing is left out, and nothing comes twice. It ends with the token or the session.
    """
    yield ServerSentEvent(event="begin", id=str(start.mark), data=Begin(resumed=start.resumed), retry=RETRY_MS)
    # Nobody knows which roles they had when the stream ended that is resumed.
    roles = None if start.resumed else _roles(caller.person, caller.standing)
    async for seen in services.feed.follow(follower, start.mark, BEAT):
        standing = Standing.acting(caller.person, caller.acting(seen.holders))
        if roles != (roles := _roles(caller.person, standing)):
            yield ServerSentEvent(event="roles", data=RolesEvent(grants=standing.grants))
        match seen:
            case Rest():
                yield ServerSentEvent(comment="still here", id=str(seen.mark))
            case Seen(happening=happening):
                told = _told(seen, caller, only)
                if told is not None:
                    event = "entry" if isinstance(told, EntryEvent) else "inbox"
                    yield ServerSentEvent(event=event, id=str(happening.mark), data=told)


def _told(seen: Seen, caller: Caller, only: tuple[ReviewId, ...]) -> InboxEvent | EntryEvent | None:
    """What this person is told of it, if it is theirs to know as things stand."""
    happening, person, holders = seen.happening, caller.person, caller.acting(seen.holders)
    standing = Standing.acting(person, holders)
    if (only and happening.review not in only) or not caller.concerns(happening.review):
        return None
    was = happening.was is not None and is_for(happening.was, person, holders)
    now = happening.now is not None and is_for(happening.now, person, holders)
    if not caller.sees(seen.state, person, standing):
        return _hidden(happening.review) if was and not now else None
    if happening.entry is not None:
        told = tell(happening.entry)
        return EntryEvent(
            review=happening.review,
            seq=happening.seq,
            at=happening.entry.at,
            type=happening.entry.type,
            who=told.who,
            what=told.what,
        )
    turn = happening.now if now else happening.was
    if turn is None or seen.state.subject is None or not (was or now):
        return None
    return InboxEvent(
        review=happening.review,
        title=seen.state.subject.title,
        change="changed" if was and now else "began" if now else "ended",
        kinds=turn.kinds,
        what=turn.what,
        due_at=turn.due_at,
    )


def _hidden(review: ReviewId) -> InboxEvent:
    return InboxEvent(review=review, title=None, change="ended", kinds=(), what=None, due_at=None)


def _roles(person: PersonId, standing: Standing) -> frozenset[tuple[str | None, ...]]:
    """What they may see by their roles hangs on: these, and where who holds them and who acts belong."""
    units = standing.units
    return frozenset((grant.id, units.get(grant.person), units.get(person)) for grant in standing.grants)
