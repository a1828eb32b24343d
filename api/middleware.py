"""What every request gets: an id, one line in the log, safe headers, and an answer even when we fail."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterator
from http import HTTPMethod
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response

REQUEST_ID_HEADER = "X-Request-ID"

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
METHODS = frozenset(HTTPMethod)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RequestContext:
    """The outermost middleware of ours.

    It takes a well-formed `X-Request-ID` or makes an id, binds it for every log line of the request, keeps it in
    `request.state.request_id` and returns it; writes one line per request, without query, token or anything else that a
    person sent; sets the headers that keep a browser from guessing and a cache from keeping; and answers an exception
    that nobody handled with a problem that says nothing of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                _secure(headers)
            await send(message)

        # A request that was sent before the last one was answered is served in that one's context.
        structlog.contextvars.clear_contextvars()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            except ClientDisconnect:
                pass  # nobody is left to answer
            except Exception as error:  # noqa: BLE001 - the last one who can answer
                _log.error("request failed", error=_names(error), frames=_frames(error))
                # A response that has begun can't be taken back: the server sees that it is cut short, and hangs up.
                if status is None:
                    await problem_response(error, request_id)(scope, receive, send_with_headers)
            finally:
                _log.info(
                    "request",
                    method=scope["method"] if scope["method"] in METHODS else "other",
                    route=route_of(scope),
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 1),
                )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).getlist(REQUEST_ID_HEADER)
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else str(uuid4())


def _secure(headers: MutableHeaders) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Cache-Control", "no-store")
    if headers.get("content-type", "").partition(";")[0].endswith("json"):
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


def route_of(scope: Scope) -> str | None:
    """The path of the route that a request was led to, with its parameters' names in it."""
    # A route that came with a router knows its path without the prefix that the router was included under; FastAPI
    # keeps the whole one in its own corner of the scope.
    context = scope.get("fastapi", {}).get("effective_route_context")
    return getattr(context or scope.get("route"), "path", None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    yield from seen


def _names(error: BaseException) -> list[str]:
    return [f"{type(cause).__module__}.{type(cause).__qualname__}" for cause in _chain(error)]


def _frames(error: BaseException) -> list[str]:
    # Where, not what: the text of an exception may quote what people sent (PostgreSQL's does).
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for cause in _chain(error)
        for frame in traceback.extract_tb(cause.__traceback__)
    ]
