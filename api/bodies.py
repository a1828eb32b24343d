"""How a request's body is read: bounded, and as JSON that every reader understands alike (I-JSON, RFC 7493).

`APIRouter(route_class=BoundedRoute)` is where this is switched on; a router for larger bodies has a route class of its
own. FastAPI's `max_body_size` is not used: where the length is declared it answers in plain text, whatever handlers
there are.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from fastapi.routing import APIRoute
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from api.problems import ContentTooLarge, MalformedRequest, RequestTimeout, UnsupportedMediaType
from runtime.settings import LARGEST_DOCUMENT

KIB = 1024
MIB = 1024 * KIB

MAX_DEPTH = 64
"""How deep arrays and objects may be nested."""

BODY_SECONDS = 20.0
"""For so long a body may be on its way, and a second longer for each `BODY_RATE` bytes that came."""

BODY_RATE = 16 * KIB

_SINGLE = ("Content-Type", "Idempotency-Key", "Last-Event-ID", "Origin", "Sec-Fetch-Site")
"""The headers that we read and that have one value: of two, whoever is in between may have read the other."""

_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})

_MAX_INTEGER = 2**53 - 1


def parse_json(data: bytes) -> JsonValue:
    """`data` as JSON.

    Raises:
        MalformedRequest: it is not JSON in UTF-8; or a name occurs twice in one object, a number is not finite or an
            integer beyond ±(2^53 - 1), a surrogate stands alone, or it is nested deeper than `MAX_DEPTH`. It says where.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body is not UTF-8.", position=error.start) from None
    try:
        value: JsonValue = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _malformed("The body is not JSON.", text, error.pos) from None
    except (_NotInteroperableError, UnicodeEncodeError, RecursionError):
        raise _malformed(*_first_fault(text)) from None
    if _deeper_than(value, MAX_DEPTH):
        raise _malformed(*_first_fault(text))
    return value


class BoundedRequest(Request):
    """A request whose body is at most `limit` bytes, however it is read, and whose JSON is I-JSON."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        super().__init__(scope, receive)
        self._limit = limit

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces.

        Raises:
            ContentTooLarge: more of it arrived than the limit, or more is announced.
            RequestTimeout: it comes too slowly.
        """
        # A length that is no number is the server's to refuse; what counts is what arrives.
        declared = self.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() and len(declared) < 20 else 0
        self._check(size)
        size = 0
        began = asyncio.get_running_loop().time()
        chunks = super().stream()
        while True:
            try:
                async with asyncio.timeout_at(began + BODY_SECONDS + size / BODY_RATE):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise RequestTimeout(
                    "The body did not arrive in time.", headers={"Connection": "close"}, refuses=False
                ) from None
            size += len(chunk)
            self._check(size)
            yield chunk

    async def json(self) -> object:
        """The body as JSON.

        Raises:
            MalformedRequest: it is not I-JSON.
            ContentTooLarge: it is larger than the limit.
            RequestTimeout: it comes too slowly.
        """
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ContentTooLarge(f"At most {self._limit} bytes are taken here.", limit=self._limit)


class BoundedRoute(APIRoute):
    """A route whose requests are bounded and say each thing once, and which takes JSON as JSON only."""

    body_limit: ClassVar[int] = 256 * KIB

    async def admit(self, request: Request) -> None:
        """Refuse a request before its body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a `BoundedRequest`."""
        handler: Callable[[Request], Awaitable[Response]] = super().get_route_handler()
        takes_json = self.body_field is not None

        async def bounded(request: Request) -> Response:
            await self.admit(request)
            _check_headers(request)
            if takes_json and _has_body(request) and not (_is_json(request) and _is_utf8(request)):
                raise UnsupportedMediaType(
                    "The body must be application/json, in UTF-8.", headers={"Accept": "application/json"}
                )
            return await handler(BoundedRequest(request.scope, request.receive, self.body_limit))

        return bounded


class DocumentRoute(BoundedRoute):
    """A route that takes a document."""

    body_limit = LARGEST_DOCUMENT


class ImportRoute(BoundedRoute):
    """A route that takes an import of people or of completions."""

    body_limit = 64 * MIB


CSV = "text/csv"


def body_of(*media_types: str) -> dict[str, object]:
    """How OpenAPI describes a body of one of these kinds, which is read as bytes."""
    # To OpenAPI, a body in JSON is its value and not its bytes.
    content = {
        kind: {"schema": {} if kind == "application/json" else {"type": "string", "format": "binary"}}
        for kind in media_types
    }
    return {"requestBody": {"required": True, "content": content}}


def media_type_of(request: Request, *allowed: str) -> str:
    """The kind of body that a request brings, which must be one of these; CSV, which we read ourselves, in UTF-8.

    Raises:
        UnsupportedMediaType: it is another.
    """
    given = _media_type(request)
    if given not in allowed or (allowed == (CSV,) and not _is_utf8(request)):
        accept = ", ".join(sorted(allowed))
        raise UnsupportedMediaType(f"Taken here: {accept}.", headers={"Accept": accept})
    return given


class _NotInteroperableError(Exception):
    """JSON by its grammar, but readers differ over what it says: `_first_fault` finds where."""


_TWICE = "A name occurs twice in one object."
_TOO_LARGE = "An integer is beyond ±(2^53 - 1)."
_NOT_FINITE = "A number is not finite."
_ALONE = "A surrogate stands alone in a string."
_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotInteroperableError(_TWICE)
    return members


def _integer(digits: str) -> int:
    # The length first: a number of a million digits takes its time.
    if len(digits) > 17 or abs(value := int(digits)) > _MAX_INTEGER:
        raise _NotInteroperableError(_TOO_LARGE)
    return value


def _float(digits: str) -> float:
    return _constant(digits) if math.isinf(value := float(digits)) else value


def _constant(_: str) -> float:
    raise _NotInteroperableError(_NOT_FINITE)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)


_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+")(?P<name>[ \t\n\r]*+:)?"""
    r"|(?P<constant>NaN|-?Infinity)"
    r"|(?P<float>-?[0-9]++(?:\.[0-9]++(?:[eE][+-]?[0-9]++)?+|[eE][+-]?[0-9]++))|(?P<integer>-?[0-9]++)"
    r"|(?P<open>[\[{])|(?P<close>[\]}])"
)


def _first_fault(text: str) -> tuple[str, str, int]:
    """The first place at which readers differ over a text that is JSON up to there; what it is, the text, and where.

    The decoder knows no places, and this is slow: it is for a text that is refused already.
    """
    names: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        fault = _fault(token, names)
        if fault is not None:
            return fault, text, token.start()
    raise AssertionError("the decoder found a fault, and there is none")


def _fault(token: re.Match[str], names: list[set[str]]) -> str | None:
    """What is wrong with a token, inside of objects and arrays with these names so far."""
    match token.lastgroup:
        case "open":
            names.append(set())
            return _TOO_DEEP if len(names) > MAX_DEPTH else None
        case "close":
            names.pop()
        case "constant":
            return _NOT_FINITE
        case "float":
            return _NOT_FINITE if math.isinf(float(token[0])) else None
        case "integer":
            return _TOO_LARGE if len(token[0]) > 17 or abs(int(token[0])) > _MAX_INTEGER else None
        case _:
            string = token["string"]
            if "\\" in string:
                string = f'"{json.loads(string)}"'
                if any("\ud800" <= character <= "\udfff" for character in string):
                    return _ALONE
            if token["name"] is not None:
                if string in names[-1]:
                    return _TWICE
                names[-1].add(string)
    return None


def _malformed(what: str, text: str, position: int) -> MalformedRequest:
    before = text[:position]
    line, column = before.count("\n") + 1, position - before.rfind("\n")
    return MalformedRequest(what, position=position, line=line, column=column)


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(inner, dict | list) for inner in level)


def _check_headers(request: Request) -> None:
    for name in _SINGLE:
        if len(request.headers.getlist(name)) > 1:
            raise MalformedRequest(f"There is more than one {name} header.", header=name)


def _is_utf8(request: Request) -> bool:
    _, _, parameters = request.headers.get("content-type", "").partition(";")
    named = (parameter.partition("=") for parameter in parameters.split(";"))
    charsets = [value.strip().strip('"').lower() for name, _, value in named if name.strip().lower() == "charset"]
    return all(charset in _UTF8 for charset in charsets)


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(request: Request) -> bool:
    media_type = _media_type(request)
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
