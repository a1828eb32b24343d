"""The systems that the end-to-end tests talk to over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runtime.embedded import free_port
from runtime.issuer import Issuer, issuer_app, signing_key
from tests.conftest import DatabaseUrls, Servers, new_database
from tests.support.browser import Browser
from tests.support.place import Place, place_on
from tests.support.provider import ProviderProcess, provider_process
from tests.support.system import System, serving, system_on


@pytest.fixture(scope="session")
async def issuer() -> AsyncIterator[Issuer]:
    """A real issuer, on loopback."""
    with TemporaryDirectory(prefix="ringi-issuer-") as folder:
        key, port = signing_key(Path(folder)), free_port()
        url = f"http://127.0.0.1:{port}"
        async with serving(issuer_app(key, url), port=port):
            yield Issuer(key, url)


@pytest.fixture(scope="session")
async def provider() -> AsyncIterator[ProviderProcess]:
    """A real identity provider, in a process of its own."""
    async with provider_process() as process:
        yield process


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, issuer: Issuer) -> AsyncIterator[System]:
    """The system that the tests of a module share; each has its own reviews in it."""
    async with (
        new_database(servers, template) as database,
        system_on(database, servers.temporal.address, issuer) as shared,
        shared.worker(),
    ):
        yield shared


@pytest.fixture(scope="module")
async def place(servers: Servers, template: str, issuer: Issuer, provider: ProviderProcess) -> AsyncIterator[Place]:
    """The system that the tests of a module share whose people come with browsers; nobody is signed in."""
    async with (
        new_database(servers, template) as database,
        place_on(database, servers.temporal.address, issuer, provider) as shared,
        shared.system.worker(),
    ):
        yield shared


@pytest.fixture
def browser() -> Browser:
    """A browser that was never here."""
    return Browser()


@pytest.fixture
async def without_worker(servers: Servers, database: DatabaseUrls, issuer: Issuer) -> AsyncIterator[System]:
    """A system of the test's own, with nobody who runs its workflows."""
    async with system_on(database, servers.temporal.address, issuer) as own:
        yield own


@pytest.fixture
async def own_system(without_worker: System) -> AsyncIterator[System]:
    """A system of the test's own, for who changes roles, or the time, or what is on record."""
    async with without_worker.worker():
        yield without_worker
