"""Posting to webhooks: what arrives is signed; what must not be reached is not, by whatever name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
from standardwebhooks import Webhook

from activities.ports import Post, UnsentError
from runtime import webhooks
from runtime.webhooks import WebhookPoster, is_public, why_not
from tests.support.certificates import server_context

SECRET = "whsec_" + "QUJD" * 8
BODY = b'{"specversion":"1.0"}'


@dataclass
class Receiver:
    """What came, as it came."""

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@asynccontextmanager
async def receiver(
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A server that gives one answer to everything, byte by byte as it is."""
    came = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            lowered = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(lowered.get("content-length", "0")))
            came.requests.append((head[0], lowered, body))
            writer.write(answer)
            await writer.drain()
            if answer.endswith(b"..."):  # there is more to come, for ever
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            if not answer:
                await asyncio.sleep(60)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    came.port = server.sockets[0].getsockname()[1]
    try:
        yield came
    finally:
        server.close()


def post(url: str) -> Post:
    """An event on its way."""
    return Post(webhook=uuid4(), url=url, secret=SECRET, event_id=str(UUID(int=7)), body=BODY)


def answering(*addresses: str) -> Callable[[str, int], asyncio.Future[Sequence[str]]]:
    """A resolver that knows one answer."""

    async def answer(host: str, port: int) -> Sequence[str]:
        return addresses

    return answer  # type: ignore[return-value]  # as mypy can't see through the fake


async def fails(poster: WebhookPoster, url: str) -> str:
    """Why a post did not go; it must not."""
    with pytest.raises(UnsentError) as caught:
        await poster.post(post(url))
    assert not caught.value.final
    assert SECRET not in str(caught.value)
    return str(caught.value)


async def test_what_arrives_is_signed_and_names_its_event() -> None:
    """By the scheme of Standard Webhooks, over a body in CloudEvents' own media type."""
    async with receiver() as came:
        await WebhookPoster(to_loopback=True).post(post(f"http://127.0.0.1:{came.port}/hooks?key=1"))
    ((line, headers, body),) = came.requests
    assert "POST /hooks?key=1 HTTP/1.1" == line
    assert BODY == body
    assert "application/cloudevents+json" == headers["content-type"]
    assert str(UUID(int=7)) == headers["webhook-id"]
    assert f"127.0.0.1:{came.port}" == headers["host"]
    Webhook(SECRET).verify(body, headers, json_parse=True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "answered 301"),
        (b"HTTP/1.1 307 Moved\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n", "answered 307"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (b"no HTTP at all\r\n\r\n", "not reached (RemoteProtocolError)"),
    ],
)
async def test_only_a_yes_is_a_yes(answer: bytes, said: str) -> None:
    """A redirect leads nowhere; everything else is tried again."""
    async with receiver(answer) as came:
        assert said == await fails(WebhookPoster(to_loopback=True), f"http://127.0.0.1:{came.port}/")
    assert 1 == len(came.requests)


async def test_an_answer_without_end_is_not_read() -> None:
    """The first line is all that counts."""
    async with receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n...") as came:
        await asyncio.wait_for(WebhookPoster(to_loopback=True).post(post(f"http://127.0.0.1:{came.port}/")), 5)


async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a name that nobody resolves."""
    monkeypatch.setattr(webhooks, "SECONDS", 0.3)

    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return ()

    async with receiver(b"") as came:
        assert "no answer" in await fails(WebhookPoster(to_loopback=True), f"http://127.0.0.1:{came.port}/")
    assert "no answer" in await fails(WebhookPoster(resolver=never), "https://hooks.example.org/")


async def test_nobody_there() -> None:
    """It is tried again."""
    async with receiver() as came:
        pass
    assert "not reached" in await fails(WebhookPoster(to_loopback=True), f"http://127.0.0.1:{came.port}/")


async def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    """Though the connection goes to the address that was looked at."""
    context, trusted = server_context(tmp_path, "localhost")
    ours = ssl.create_default_context(cafile=str(trusted))
    seen: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with receiver(tls=context) as came:
        url = f"https://localhost:{came.port}/"
        poster = WebhookPoster(to_loopback=True, context=ours, resolver=answering("127.0.0.1"))
        await poster.post(post(url))
        assert ["localhost"] == seen
        assert f"localhost:{came.port}" == came.requests[0][1]["host"]
        assert "not reached" in await fails(WebhookPoster(to_loopback=True), url), "nobody vouches for it"
        other = WebhookPoster(to_loopback=True, context=ours)
        assert "not reached" in await fails(other, f"https://127.0.0.1:{came.port}/"), "it is of another name"
    assert 1 == len(came.requests)


NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "224.0.1.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "193.0.6.139", "2606:4700:4700::1111", "2a00:1450:4001:830::200e"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_no_address_but_a_public_one_is_posted_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under any name, and not beside a public one either; no connection is even tried."""
    tried: list[object] = []
    monkeypatch.setattr(httpx2, "AsyncHTTPTransport", lambda **_: tried.append(1))
    assert not is_public(address)
    for addresses in ((address,), ("8.8.8.8", address), (address, "8.8.8.8")):
        said = await fails(WebhookPoster(resolver=answering(*addresses)), "https://hooks.example.org/")
        assert "not public" in said
    assert [] == tried


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    """Or nothing would ever be posted."""
    assert is_public(address)


@pytest.mark.parametrize("name", ["hooks.example.org", "xn--bcher-kva.example"])
async def test_a_name_that_changes_its_mind_leads_nowhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """DNS rebinding: it is asked once, and what is connected to is what was looked at; so with names beyond ASCII."""
    answers = iter([("8.8.8.8",), ("127.0.0.1",)])
    asked: list[str] = []
    connected: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    class Transport(httpx2.AsyncBaseTransport):
        def __init__(self, **_: object) -> None:
            pass

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            connected.append(request.url.host)
            assert name == request.headers["host"] == request.extensions["sni_hostname"]
            return httpx2.Response(204)

    monkeypatch.setattr(httpx2, "AsyncHTTPTransport", Transport)
    poster = WebhookPoster(resolver=rebinding)
    await poster.post(post(f"https://{name}/a"))
    assert ([name], ["8.8.8.8"]) == (asked, connected)
    assert "not public" in await fails(poster, f"https://{name}/a")
    assert ["8.8.8.8"] == connected


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost.", "localhost"])
async def test_this_machine_by_another_name_is_still_this_machine(host: str) -> None:
    """Refused as it is written, or for what the resolver of the system makes of it."""
    async with receiver() as came:
        said = await fails(WebhookPoster(ports=(came.port,)), f"https://{host}:{came.port}/")
        assert any(why in said for why in ("public", "gaierror", "not a URL", "name a host"))
    assert [] == came.requests


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.org/", "https://"),
        ("file:///etc/passwd", "host"),
        ("ftp://hooks.example.org/", "https://"),
        ("gopher://hooks.example.org/", "https://"),
        ("//hooks.example.org/", "https://"),
        ("hooks.example.org", "host"),
        ("", "characters"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://user@hooks.example.org/", "user"),
        ("https://user:password@hooks.example.org/", "user"),
        ("https://hooks.example.org#fragment", "fragment"),
        ("https://hooks.example.org:8443/", "port"),
        ("https://hooks.example.org:22/", "port"),
        ("https://hooks.example.org:99999/", ""),
        ("https://hooks.example.org:0/", "port"),
        ("https://168.63.129.16/", "public"),
        ("https://127.0.0.1/", "public"),
        ("https://[::1]/", "public"),
        ("https://[::ffff:127.0.0.1]/", "public"),
        ("https://169.254.169.254/latest/meta-data/", "public"),
        ("https://hooks.example.org\\@evil.example/", "characters"),
        ("https://hooks.example.org /", "characters"),
        ("https://hooks.example.org/\r\nX: y", "characters"),
        ("https://hööks.example.org/", "characters"),
        ("https://[fe80::1%25eth0]/", ""),
        ("https://hooks.example.org/" + "x" * 2_000, "characters"),
    ],
)
async def test_where_nothing_may_be_posted_to_is_said_when_it_is_registered(url: str, why: str) -> None:
    """And nothing is posted there, however it came to be registered."""
    said = why_not(url, {443})
    assert said is not None
    assert why in said
    assert said == await fails(WebhookPoster(resolver=answering("8.8.8.8")), url)


def test_what_may_be_registered() -> None:
    """A public host on a port that is allowed; this machine only where that is allowed."""
    assert why_not("https://hooks.example.org/ringi?key=1", {443}) is None
    assert why_not("https://hooks.example.org:8443/", {443, 8443}) is None
    assert why_not("https://[2606:4700:4700::1111]/", {443}) is None
    assert why_not("https://xn--bcher-kva.example/", {443}) is None
    assert why_not("http://127.0.0.1:0/", {443}, to_loopback=True) is not None
    assert why_not("http://127.0.0.1:9999/", {443}) is not None
    assert why_not("http://127.0.0.1:9999/", {443}, to_loopback=True) is None
    assert why_not("http://localhost:9999/", {443}, to_loopback=True) is None
    assert why_not("ftp://localhost/", {443}, to_loopback=True) is not None
    assert why_not("http://10.0.0.1/", {443}, to_loopback=True) is not None
