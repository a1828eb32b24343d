"""Posting to webhooks: to public addresses only, over TLS, signed, and never led elsewhere.

A name is resolved once, and the connection goes to the very address that was looked at; so a name that means another
address a moment later (DNS rebinding) leads nowhere. Proxies are not asked, redirects not followed, answers not read.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx2
from standardwebhooks import Webhook

from activities.ports import Post, UnsentError
from runtime.loopback import is_loopback

SECONDS = 10.0
"""How long a webhook may take, from its name to its answer."""

LONGEST_URL = 2_000

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host; raises OSError where it has none."""

# Beside what is not global: where an IPv6 address stands for an IPv4 one, or leads through somebody's relay; and what
# releases of Python differ over.
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # what a cloud tells its machines about themselves, Azure
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local
        "2001::/23",  # protocol assignments, Teredo among them
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local
    )
)

_PORTS = {"https": 443, "http": 80}

_CHARACTERS = re.compile(rf"[!-\[\]-~]{{1,{LONGEST_URL}}}")

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]+")


def is_public(address: str) -> bool:
    """Whether this is an address on the public internet that means nothing but itself."""
    ip = ip_address(address)
    if ip.version == 6 and ip.scope_id is not None:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified) and not _is_special(ip)


def why_not(url: str, ports: Collection[int], *, to_loopback: bool = False) -> str | None:
    """Why a webhook can't have this URL, in a sentence for whoever registers it, if it can't.

    Args:
        url: where to post to.
        ports: those that may be posted to.
        to_loopback: whether this machine may be posted to, in plain HTTP too.
    """
    if not _CHARACTERS.fullmatch(url):
        return f"The URL must be at most {LONGEST_URL} printable ASCII characters, without spaces or backslashes."
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return "This is not a URL."
    host = _host(parts)
    if not _HOST.fullmatch(host):
        return "The URL must name a host."
    if parts.userinfo or parts.fragment:
        return "The URL must have neither a user nor a fragment; the signature says who posts."
    if parts.port == 0:
        return "The URL's port must not be 0."
    if to_loopback and is_loopback(host):
        return None if parts.scheme in _PORTS else "The URL must begin with https:// or http://."
    if parts.scheme != "https":
        return "The URL must begin with https://."
    if (parts.port or 443) not in ports:
        return f"The URL's port must be one of: {', '.join(map(str, sorted(ports)))}."
    if _is_address(host) and not is_public(host):
        return "The URL must lead to a public address."
    return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, by the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class WebhookPoster:
    """Posts events.

    Args:
        ports: those that may be posted to.
        to_loopback: whether this machine may be posted to, in plain HTTP too: for trying things out.
        resolver: gives a host's addresses.
        context: what a server's certificate is checked by; public authorities, if nothing is said.
    """

    def __init__(
        self,
        ports: Collection[int] = (443,),
        *,
        to_loopback: bool = False,
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._ports = frozenset(ports)
        self._to_loopback = to_loopback
        self._resolver = resolver
        self._context = context or httpx2.create_ssl_context(trust_env=False)

    async def post(self, post: Post) -> None:
        """Post an event, signed by the scheme of Standard Webhooks.

        Raises:
            UnsentError: it was not taken: anything but a 2xx in time, or an address that must not be posted to.
        """
        try:
            async with asyncio.timeout(SECONDS):
                status = await self._status(post)
        except TimeoutError as error:
            raise UnsentError(f"no answer within {SECONDS:.0f} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise UnsentError(f"not reached ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise UnsentError(f"answered {status}")

    async def _status(self, post: Post) -> int:
        problem = why_not(post.url, self._ports, to_loopback=self._to_loopback)
        if problem is not None:
            raise UnsentError(problem)
        url = httpx2.URL(post.url)
        host = _host(url)
        address = await self._address(host, url.port or _PORTS[url.scheme])
        now = datetime.now(UTC)
        request = httpx2.Request(
            "POST",
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/cloudevents+json",
                "User-Agent": "ringi",
                "webhook-id": post.event_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(post.secret).sign(post.event_id, now, post.body.decode()),
            },
            content=post.body,
            # The certificate is that of the name, whatever address it has.
            extensions={"sni_hostname": host, "timeout": httpx2.Timeout(SECONDS).as_dict()},
        )
        async with httpx2.AsyncHTTPTransport(verify=self._context, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
            return response.status_code

    async def _address(self, host: str, port: int) -> str:
        addresses = await self._resolver(host, port)
        if not addresses:
            raise UnsentError("the name has no address")
        if self._to_loopback and is_loopback(host):
            allowed = all(ip_address(address).is_loopback for address in addresses)
        else:
            allowed = all(map(is_public, addresses))
        if not allowed:
            raise UnsentError("the name leads to an address that is not public")
        return addresses[0]


def _host(url: httpx2.URL) -> str:
    """As it is written, and asked for: `url.host` is what a name in Punycode reads like."""
    return url.raw_host.decode("ascii")


def _is_special(ip: IPv4Address | IPv6Address) -> bool:
    return any(ip.version == network.version and ip in network for network in _NOT_PUBLIC)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
