"""Every refused attempt is on record before it is answered: who, what, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import METHODS, route_of
from api.problems import slug_of
from store.attempts import Attempt, Attempts
from store.database import FAILING

EACH = 60
"""So many attempts of one person stand on record one by one in a minute; of the rest,
those that are alike are one entry.
"""

NOBODY = 20
"""The same for all those together of whom we don't know who they are."""

_ALIKE = ("person", "method", "route", "status", "problem", "reason")
"""What attempts have in common that are counted together: noise of one kind hides no attempt of another."""

PATIENCE = 2.0
"""Seconds that an answer waits for the record at most."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Recorder:
    """Writes attempts down, so many a minute one by one, and counts what is beyond that.

    If the record can't be reached, an attempt is in the log instead. What was only counted is lost if the process is
    killed before the minute is over.
    """

    def __init__(self, attempts: Attempts, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = attempts
        self._clock = clock
        self._minute = 0
        self._seen: dict[str | None, int] = {}
        self._beyond: dict[Attempt, tuple[Attempt, int]] = {}

    async def note(self, attempt: Attempt) -> None:
        """Put an attempt on record, or count it."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._seen = minute, {}
            await self.flush()
        person = attempt.person
        seen = self._seen[person] = self._seen.get(person, 0) + 1
        if seen <= (NOBODY if person is None else EACH):
            await self._add(attempt)
        else:
            alike = Attempt(**{name: getattr(attempt, name) for name in _ALIKE})
            _, times = self._beyond.get(alike, (attempt, 0))
            self._beyond[alike] = attempt, times + 1

    async def flush(self) -> None:
        """Put on record what was only counted until now."""
        beyond, self._beyond = self._beyond, {}
        for attempt, times in beyond.values():
            await self._add(replace(attempt, times=times))

    async def every_minute(self) -> None:
        """Keep what was counted from waiting for the next attempt; until cancelled."""
        while True:
            await asyncio.sleep(60)
            await self.flush()

    async def _add(self, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._attempts.add(attempt)
        except FAILING as error:
            about = {"person": attempt.person, "route": attempt.route, "times": attempt.times}
            refusal = {"status": attempt.status, "problem": attempt.problem, "reason": attempt.reason}
            _log.warning("a refused attempt is not on record", error=type(error).__name__, **about, **refusal)


class RecordsRefusals:
    """The middleware that has each refusal noted, by `app.state.recorder`, before its answer begins.

    Each answer from 400 to 499 is one, whoever makes it. `request.state.refusal` says why, as `api.problems` has it;
    or, with None, that it is no attempt.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope["app"].state  # one that is mounted in it puts itself in its place

        async def send_when_noted(message: Message) -> None:
            if message["type"] == "http.response.start" and 400 <= (status := message["status"]) < 500:
                refusal = scope["state"].get("refusal", {"problem": slug_of(status)})
                if refusal is not None:
                    recorder: Recorder = state.recorder
                    await recorder.note(_attempt(scope, status, refusal))
            await send(message)

        await self.app(scope, receive, send_when_noted)


def _attempt(scope: Scope, status: int, refusal: dict[str, str | None]) -> Attempt:
    # What is bound for the log is checked before it is bound.
    bound = structlog.contextvars.get_contextvars()
    decision = bound.get("decision_id")
    return Attempt(
        method=scope["method"] if scope["method"] in METHODS else "other",
        route=route_of(scope),
        person=scope["state"].get("person"),
        review_id=bound.get("review_id"),
        decision_id=None if decision is None else UUID(decision),
        kind=bound.get("kind"),
        request_id=scope["state"].get("request_id"),
        status=status,
        **refusal,  # type: ignore[arg-type]  # its two keys are fields, of text
    )
