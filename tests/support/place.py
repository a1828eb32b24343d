"""An API that people find with a browser, and what tests have to know of who is where."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx2
import pytest

from api.cookies import SESSION_COOKIE
from runtime.embedded import free_port
from runtime.issuer import Issuer
from tests.conftest import DatabaseUrls
from tests.support.browser import Browser, Cookie, origin_of
from tests.support.provider import ProviderProcess, client_of
from tests.support.system import OWNER, Person, System, system_on


@dataclass
class Place:
    """An API that browsers find at `url`, and the provider that its people sign in with."""

    url: str
    system: System
    provider: ProviderProcess
    http: httpx2.AsyncClient

    async def to_provider(self, browser: Browser, path: str = "/sign-in", **query: str) -> httpx2.Response:
        """The provider's page, to which a browser is led that wants to sign in."""
        page = await browser.go(str(httpx2.URL(self.url + path, params=query)))
        assert 200 == page.status_code, page.text
        assert origin_of(str(page.url)) == self.provider.url
        return page

    async def signs_in(self, browser: Browser, person: str = OWNER, **query: str) -> httpx2.Response:
        """What a browser shows after somebody has signed in at the provider."""
        page = await self.to_provider(browser, **query)
        return await browser.press(str(page.url), "", sub=person)

    async def has(self, browser: Browser, path: str) -> httpx2.Response:
        """What a script on a page of ours is answered."""
        return await browser.fetch("GET", self.url + path, script_of=self.url)

    async def posts(self, browser: Browser, path: str, body: object = None) -> httpx2.Response:
        """As `has`, for a POST."""
        return await browser.fetch("POST", self.url + path, script_of=self.url, json=body)

    async def person(self, name: str) -> Person:
        """Somebody with an access token of the provider's."""
        return Person(self.http, name, await self.provider.access_token(name))

    async def alter(self, statement: str, *arguments: object) -> None:
        """Change the database as nobody of ours does."""
        connection = await asyncpg.connect(self.system.urls.owner_url)
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    async def link_of(self, invitation: str) -> str:
        """The link that a mail brings."""
        text = await self.system.database.pool.fetchval("select body from mails where event_id = $1", invitation)
        (link,) = re.findall(r"^https?://\S+$", text, re.MULTILINE)
        return str(link)

    def session_of(self, browser: Browser) -> Cookie:
        """The cookie of a browser's session."""
        cookie = browser.cookie(self.url, SESSION_COOKIE)
        assert cookie is not None, "nobody is signed in"
        return cookie


@asynccontextmanager
async def place_on(
    urls: DatabaseUrls, temporal_address: str, issuer: Issuer, provider: ProviderProcess
) -> AsyncIterator[Place]:
    """A system whose people sign in with `provider`; it looks for the provider's keys as often as it needs them."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.provider.REFRESH_SECONDS", 0.0)
        async with (
            system_on(urls, temporal_address, issuer) as system,
            system.api(port=port, public_url=url, **client_of(provider)) as http,
        ):
            yield Place(url, system, provider, http)


def refused(response: httpx2.Response, status: int, kind: str) -> str:
    """The detail of a problem of this kind."""
    assert status == response.status_code, response.text
    assert f"urn:ringi:problem:{kind}" == response.json()["type"]
    detail: str = response.json()["detail"]
    return detail
