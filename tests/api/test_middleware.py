"""What every request gets, and how its body is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue
from starlette.types import Message
from structlog.testing import LogCapture
from structlog.typing import EventDict

from api import bodies
from api.bodies import MAX_DEPTH, BoundedRequest, BoundedRoute, parse_json
from api.middleware import RequestContext
from api.problems import MalformedRequest, install_problems

if TYPE_CHECKING:
    from tests.api.conftest import Serve

CANARY = "canary-7f3a"


class Anything(BaseModel):
    value: JsonValue


class SmallRoute(BoundedRoute):
    body_limit = 100


def _app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestContext)
    install_problems(app)
    router = APIRouter(route_class=BoundedRoute)
    small = APIRouter(route_class=SmallRoute)

    @router.get("/named/{name}")
    async def named(name: str) -> str:
        structlog.contextvars.bind_contextvars(name=name)
        return name

    @router.post("/anything/{name}")
    async def anything(name: str, body: Anything) -> Anything:
        structlog.get_logger().info("inside")
        return body

    @small.post("/json")
    async def small_json(body: Anything) -> Anything:
        return body

    @small.put("/stream")
    async def small_stream(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    @router.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>", headers={"Cache-Control": "max-age=60"})

    @router.get("/broken")
    async def broken() -> None:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise RuntimeError(CANARY) from error

    @router.get("/broken-off")
    async def broken_off() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError(CANARY)

        return StreamingResponse(pieces())

    app.include_router(router, prefix="/v1")
    app.include_router(small, prefix="/small")
    return app


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(_app()), base_url="http://api.test") as client:
        yield client


@pytest.fixture
def lines() -> Any:
    """The lines logged in the test, with what is bound to them."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


async def test_a_request_has_an_id(client: httpx2.AsyncClient) -> None:
    """Ours, unless the client has a good one."""
    made = (await client.get("/v1/page")).headers["x-request-id"]
    assert str(UUID(made)) == made
    given_id = "client-0001.a_b"
    assert (await client.get("/v1/page", headers={"X-Request-ID": given_id})).headers["x-request-id"] == given_id
    two = [("X-Request-ID", given_id), ("X-Request-ID", "client-0002")]
    made = (await client.get("/v1/page", headers=two)).headers["x-request-id"]
    assert str(UUID(made)) == made


@pytest.mark.parametrize("bad", ["", "short", "a" * 65, "with space", "<script>", "x\ty-padding", ".hidden-file"])
async def test_an_id_that_is_not_well_formed_is_replaced(client: httpx2.AsyncClient, bad: str) -> None:
    """It goes into the log and into answers."""
    made = (await client.get("/v1/page", headers={"X-Request-ID": bad})).headers["x-request-id"]
    assert str(UUID(made)) == made


async def test_one_line_per_request(client: httpx2.AsyncClient, lines: list[EventDict]) -> None:
    """It names the route, not what was filled in; and the lines inside bear the same id."""
    answer = await client.post(
        f"/v1/anything/{CANARY}?q={CANARY}",
        json={"value": CANARY},
        headers={"Authorization": f"Bearer {CANARY}", "User-Agent": CANARY},
    )
    assert answer.status_code == 200
    inside, line = lines
    assert inside["event"] == "inside"
    assert inside["request_id"] == line["request_id"] == answer.headers["x-request-id"]
    duration = line.pop("duration_ms")
    assert duration >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": line["request_id"],
        "method": "POST",
        "route": "/v1/anything/{name}",
        "status": 200,
    }
    assert CANARY not in repr(lines)
    assert structlog.contextvars.get_contextvars() == {}


async def test_a_request_that_has_no_route(client: httpx2.AsyncClient, lines: list[EventDict]) -> None:
    """Its path is what somebody typed, and so is its method."""
    await client.request(CANARY.upper(), f"/{CANARY}")
    (line,) = lines
    assert (line["method"], line["route"], line["status"]) == ("other", None, 404)
    assert CANARY.lower() not in repr(lines).lower()


async def test_a_failure_is_logged_and_not_told(client: httpx2.AsyncClient, lines: list[EventDict]) -> None:
    """Where it happened is in the log under the id that the client has; its text is nowhere."""
    answer = await client.get("/v1/broken")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    failure, line = lines
    assert failure["error"] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert failure["frames"][-1].endswith(" broken")
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert line["status"] == 500
    assert CANARY not in repr(lines) + answer.text


async def test_a_failure_in_the_middle_of_an_answer(
    serve: Serve, lines: list[EventDict], caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees that the answer is cut short; nothing of the failure is in it, or in the server's log."""
    async with serve(_app()) as url, httpx2.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/v1/broken-off")
    assert [line["event"] for line in lines] == ["request failed", "request"]
    assert CANARY not in repr(lines) + caplog.text


async def test_a_request_that_follows_another_is_told_apart(serve: Serve, lines: list[EventDict]) -> None:
    """Sent before the first was answered, on the same connection: nothing of the first is said of it."""
    async with serve(_app()) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for path, more in (("/v1/named/first", ""), ("/v1/page", "Connection: close\r\n")):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: api.test\r\n{more}\r\n".encode())
        assert 2 == (await reader.read()).count(b"HTTP/1.1 200 OK")
        writer.close()
    assert ["first", None] == [line.get("name") for line in lines]


async def test_safe_headers(client: httpx2.AsyncClient) -> None:
    """On every answer; the endpoint's own choice of caching stays."""
    missing = await client.get("/nowhere")
    assert missing.headers["cache-control"] == "no-store"
    assert missing.headers["x-content-type-options"] == "nosniff"
    assert missing.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    page = await client.get("/v1/page")
    assert page.headers["cache-control"] == "max-age=60"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in page.headers


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 10):
        yield b" " * 10


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 10


@pytest.mark.parametrize(("method", "path"), [("POST", "/small/json"), ("PUT", "/small/stream")])
async def test_a_body_that_is_too_large(client: httpx2.AsyncClient, method: str, path: str) -> None:
    """Announced or not, parsed or streamed, it is refused as a problem; one of just the limit is not."""
    headers = {"Content-Type": "application/json"}
    fits = b'{"value": "' + b"x" * 87 + b'"}'
    assert len(fits) == 100
    assert (await client.request(method, path, content=fits, headers=headers)).status_code == 200
    for content in (fits + b" ", _chunks(110), _endless()):
        answer = await client.request(method, path, content=content, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        assert answer.json()["limit"] == 100


async def test_the_default_limit(client: httpx2.AsyncClient) -> None:
    """256 KiB."""
    frame = len(b'{"value":""}')
    for size, status in ((256 * 1024, 200), (256 * 1024 + 1, 413)):
        body = b'{"value":"' + b"x" * (size - frame) + b'"}'
        answer = await client.post("/v1/anything/a", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status


@pytest.mark.parametrize("drips", [False, True], ids=["that stops", "that drips"])
async def test_a_slow_body_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, lines: list[EventDict], drips: bool
) -> None:
    """Answered, and the connection ended; whoever goes on sending may miss the answer."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    async with serve(_app()) as url, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))

        async def drip() -> None:
            while drips and not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)

        writer.write(b"POST /v1/anything/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 10000\r\n\r\n{")
        dripping = asyncio.create_task(drip())
        answer = b""
        with suppress(ConnectionResetError):
            answer = await reader.read()
        writer.close()
        await dripping
    assert lines[-1]["status"] == 408
    if not drips:
        head, _, document = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(document)["type"] == "urn:ringi:problem:request-timeout"


async def test_a_body_has_longer_the_more_of_it_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one over a slow line is read to its end."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1)
    monkeypatch.setattr(bodies, "BODY_RATE", 1)
    left = 25

    async def receive() -> Message:
        nonlocal left
        left -= 1
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x" * 100, "more_body": left > 0}

    request = BoundedRequest({"type": "http", "headers": []}, receive, 10_000)
    assert len(await request.body()) == 2_500


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
        None,
        "application/json; charset=utf-16",
    ],
)
async def test_a_body_of_another_kind(client: httpx2.AsyncClient, media_type: str | None) -> None:
    """JSON has to be called JSON: what a browser's form can send is not."""
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await client.post("/v1/anything/a", content=b'{"value": 1}', headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")


@pytest.mark.parametrize(
    "media_type", ["application/json", 'Application/JSON; x=1; Charset="UTF-8"', "application/ld+json"]
)
async def test_what_is_json(client: httpx2.AsyncClient, media_type: str) -> None:
    """With parameters and with the +json suffix."""
    answer = await client.post("/v1/anything/a", content=b'{"value": 1}', headers={"Content-Type": media_type})
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["Content-Type", "Idempotency-Key", "Last-Event-ID", "Origin", "Sec-Fetch-Site"])
async def test_what_is_said_once_is_not_said_twice(client: httpx2.AsyncClient, name: str) -> None:
    """Of two values, another reader takes the other one."""
    headers = [("Content-Type", "application/json"), *([] if name == "Content-Type" else [(name, "a")]), (name, "b")]
    answer = await client.post("/v1/anything/a", content=b'{"value": 1}', headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["header"] == name


HOSTILE = {
    "not json": b"{value: 1}",
    "cut off": b'{"value": ',
    "two documents": b'{"value": 1} {}',
    "white space": b"   ",
    "byte order mark": b'\xef\xbb\xbf{"value": 1}',
    "utf-16": '{"value": 1}'.encode("utf-16"),
    "not utf-8": b'{"value": "\xff"}',
    "a surrogate in utf-8": b'{"value": "\xed\xa0\x80"}',
    "nested arrays": b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested arrays, open": b"[" * 200_000,
    "nested objects": b'{"value":' * 20_000 + b"1" + b"}" * 20_000,
    "nested a little too deep": b'{"value": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "nested nearly as deep as python": b'{"value": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a name twice": b'{"value": 1, "value": 2}',
    "a name twice, escaped": b'{"value": 1, "v\\u0061lue": 2}',
    "a name twice, inside": b'{"value": {"a": {"b": 1, "b": 1}}}',
    "NaN": b'{"value": NaN}',
    "Infinity": b'{"value": [Infinity]}',
    "-Infinity": b'{"value": -Infinity}',
    "a float beyond floats": b'{"value": 1e400}',
    "an integer beyond doubles": b'{"value": 9007199254740992}',
    "a huge integer": b'{"value": ' + b"9" * 200_000 + b"}",
    "a huge negative integer": b'{"value": -' + b"9" * 5_000 + b"}",
    "a lone surrogate": b'{"value": "\\ud800"}',
    "a lone surrogate, upper case": b'{"value": "\\uDC00 "}',
    "a lone surrogate in a name": b'{"\\ud83d": 1}',
    "nested one too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "a control character": b'{"value": "\x00"}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_json(client: httpx2.AsyncClient, body: bytes) -> None:
    """What readers would understand differently, or not at all, is refused before anybody reads it."""
    answer = await client.post("/v1/anything/a", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["type"] == "urn:ringi:problem:malformed-request"
    assert "position" in answer.json()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("oops", "not JSON"),
        ("NaN", "not finite"),
        ("-Infinity", "not finite"),
        ("1e400", "not finite"),
        ("-1.5E+999", "not finite"),
        ("9007199254740992", "integer"),
        ("-" + "9" * 5_000, "integer"),
        ("9" * 30 + "e", "integer"),
        ('"\\ud800 oops"', "surrogate"),
        ('"\\\\ \\" \\udc00"', "surrogate"),
    ],
    ids=lambda value: value[:12],
)
async def test_malformed_json_says_where(client: httpx2.AsyncClient, value: str, what: str) -> None:
    """Offset, line and column; it does not repeat what is there."""
    before = '{"a": [{"稟": {"b": 1}}, "}: NaN \\" [", 1.5e3, -0, {"b": "b"}], "value":\n  '
    body = f"{before}{value}}}".encode()
    answer = await client.post("/v1/anything/a", content=body, headers={"Content-Type": "application/json"})
    document = answer.json()
    assert (answer.status_code, document["position"], document["line"], document["column"]) == (400, len(before), 2, 3)
    assert what in document["detail"]
    assert "oops" not in answer.text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"a": {"b": 1, "c": "b", "b": 1}, "b": 1}', '"b": 1}, '),
        ('{"a": [{"b": 1}, {"b": 1}], "b" : "b", "\\u0061" : 1}', '"\\u0061"'),
        ('{"a": NaN, "a": 1}', "NaN"),
        ("[" * MAX_DEPTH + "], [[1]" + "]" * MAX_DEPTH, "[1"),
    ],
)
def test_the_first_place_is_said(body: str, place: str) -> None:
    """Of a name that comes again, of what is nested too deep, and of two faults."""
    with pytest.raises(MalformedRequest) as refused:
        parse_json(body.encode())
    assert refused.value.members["position"] == body.index(place)


@pytest.mark.parametrize(
    "body",
    [
        b'"\\ud83d\\ude00 \\u0000"',
        b"9007199254740991",
        b"-9007199254740991",
        b"[1.5, 1e300, -0.0, true, false, null]",
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        '{"稟議": {"a": [1]}}'.encode(),
        b'"\\\\ud800"',
    ],
)
def test_json_that_all_understand_alike(body: bytes) -> None:
    """The strict reader reads it as any other does."""
    assert parse_json(body) == json.loads(body)


@given(
    st.binary(max_size=200)
    | st.text(alphabet=st.sampled_from('{}[]":,\\ud8001eE+-.NaInfinty \n'), max_size=80).map(str.encode)
)
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Whatever arrives is JSON that can be written again, or a malformed request."""
    try:
        value = parse_json(body)
    except MalformedRequest:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
