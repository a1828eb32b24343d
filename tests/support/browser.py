"""A browser, as far as signing in needs one: cookies by their rules, redirects, and where a request comes from.

It holds what browsers hold: `__Host-` cookies only as they must be set, SameSite=Lax cookies not along with what another
site starts (unless it leads the person here), `Sec-Fetch-Site` and `Origin` that no page can choose.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

# Made once, and trusts nobody: all is on loopback, without TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

EVIL = "https://evil.example"


@dataclass(frozen=True)
class Cookie:
    """A cookie, with what it was set with, in lower case."""

    name: str
    value: str
    attributes: dict[str, str]


@dataclass
class Browser:
    """Somebody's browser. `modern` ones send Fetch Metadata; older ones only `Origin`."""

    modern: bool = True
    jar: dict[str, dict[str, Cookie]] = field(default_factory=dict)
    trail: list[httpx2.Response] = field(default_factory=list)
    """What came back, redirects among it."""

    async def go(self, url: str, *, led_by: str | None = None) -> httpx2.Response:
        """Open a page: typed in, or where a page of the origin `led_by` has a link to it."""
        return await self._navigate("GET", url, led_by, None)

    async def press(self, page: str, action: str, /, **form: str) -> httpx2.Response:
        """Send a form that stands on the page `page`."""
        return await self._navigate("POST", urljoin(page, action), origin_of(page), form)

    async def fetch(self, method: str, url: str, *, script_of: str, **body: Any) -> httpx2.Response:
        """Send what a script on a page of the origin `script_of` asks for."""
        return await self._send(method, url, _relation({script_of}, url), script_of, navigates=False, **body)

    def cookie(self, url: str, name: str) -> Cookie | None:
        """A cookie that would go to `url`."""
        return self.jar.get(_host(url), {}).get(name)

    async def _navigate(
        self, method: str, url: str, led_by: str | None, form: dict[str, str] | None
    ) -> httpx2.Response:
        involved = set() if led_by is None else {led_by}
        body: dict[str, Any] = {} if form is None else {"data": form}
        while True:
            site = _relation(involved, url)
            response = await self._send(method, url, site, led_by, navigates=True, **body)
            if response.status_code not in (302, 303):
                return response
            if involved:
                involved.add(origin_of(url))
            method, url, body = "GET", urljoin(url, response.headers["location"]), {}

    async def _send(
        self, method: str, url: str, site: str, origin: str | None, *, navigates: bool, **body: Any
    ) -> httpx2.Response:
        headers = {"Accept": "text/html" if navigates else "application/json"}
        if self.modern:
            headers |= {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate" if navigates else "cors"}
        if method != "GET" and origin is not None:
            headers["Origin"] = origin
        # Lax: from another site only when the person is led here by a link.
        if site != "cross-site" or (navigates and method == "GET"):
            ours = self.jar.get(_host(url), {}).values()
            headers |= {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in ours)} if ours else {}
        async with httpx2.AsyncClient(trust_env=False, timeout=60, verify=_NO_TLS) as http:
            response = await http.request(method, url, headers=headers, follow_redirects=False, **body)
        self.trail.append(response)
        for line in response.headers.get_list("set-cookie"):
            self._keep(url, line)
        return response

    def _keep(self, url: str, line: str) -> None:
        pair, *rest = line.split(";")
        name, _, value = pair.partition("=")
        attributes = {key.strip().lower(): given for key, _, given in (part.partition("=") for part in rest)}
        if name.startswith("__Host-"):
            assert "secure" in attributes, line
            assert "domain" not in attributes, line
            assert "/" == attributes["path"], line
        kept = self.jar.setdefault(_host(url), {})
        if "0" == attributes.get("max-age"):
            kept.pop(name, None)
        else:
            kept[name] = Cookie(name, value, attributes)


def origin_of(url: str) -> str:
    """The origin of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _relation(involved: set[str], url: str) -> str:
    """`Sec-Fetch-Site`: how the origins that led to a request are related to where it goes."""
    if not involved:
        return "none"
    if involved == {origin_of(url)}:
        return "same-origin"
    return "same-site" if {_host(one) for one in involved} == {_host(url)} else "cross-site"
