"""Kills between sending and noting it: everything arrives, and what arrives twice can be told by its id."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from temporalio.client import Client

from domain.notices import Pace, Preferences
from runtime.embedded import Child, DataFolder, python_process
from store.notices import Notices
from store.webhooks import Webhooks
from tests.conftest import DatabaseUrls, Servers
from tests.faults.stricken_notifier import AT, MAIL, POST
from tests.store.reviews import opened
from tests.support.harness import EXAMPLES, Harness, harness, until
from tests.support.mail import mail_server
from tests.support.system import serving

REVIEWERS = ("jun.reviewer", "kei.reviewer", "rin.reviewer")


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


@asynccontextmanager
async def notifier(system: Harness, folder: DataFolder, name: str, mail_url: str, at: str = "") -> AsyncIterator[Child]:
    """A notifier process, which kills itself where it is told to."""
    child = python_process(
        folder,
        name,
        ["-m", "tests.faults.stricken_notifier"],
        env={
            "RINGI_DATABASE_URL": system.url,
            "RINGI_SMTP_URL": mail_url,
            "RINGI_MAIL_FROM": "ringi@example.org",
            "RINGI_WEBHOOKS_TO_LOOPBACK": "true",
            "PYTHONPATH": str(EXAMPLES.parent),
            AT: at,
        },
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            await child.stop()


async def dead(child: Child) -> None:
    """Wait until it has killed itself."""

    async def gone() -> bool:
        return child.returncode is not None

    await until(gone, seconds=60)
    assert -signal.SIGKILL == child.returncode


async def settled(system: Harness, table: str, number: int) -> None:
    """Wait until so many are, and none is waiting."""
    query = f"select count(*) = {number} and bool_and(state <> 'waiting') from {table}"
    await until(lambda: system.database.pool.fetchval(query), seconds=60)


async def test_a_mail_that_was_sent_and_not_noted_is_sent_again(system: Harness) -> None:
    """Each of three reviewers gets theirs; who gets it twice gets one Message-ID twice."""
    notices = Notices(system.database, Preferences())
    await system.database.pool.execute("update people set email = id || '@example.org'")
    for person in REVIEWERS:
        await notices.prefer(person, Preferences(pace=Pace.IMMEDIATE))
    await opened(system, tier=3)
    with TemporaryDirectory(prefix="ringi-notices-") as path, DataFolder(Path(path)) as folder:
        async with mail_server() as mail:
            for number in range(2):
                async with notifier(system, folder, f"stricken-{number}", mail.url, MAIL) as stricken:
                    await until(lambda: system.database.pool.fetchval("select count(*) = 3 from tellings"), seconds=60)
                    await system.database.pool.execute("update tellings set due_at = now() where state = 'waiting'")
                    await dead(stricken)
                assert mail.taken
                # What it had claimed is claimed again in some minutes; they are over.
                await system.database.pool.execute("update mails set next_attempt_at = now() where state = 'waiting'")
            async with notifier(system, folder, "sound", mail.url):
                await settled(system, "mails", 3)
            received = {(message["To"], message["Message-ID"]) for message in mail.taken}
            assert len(mail.taken) > len(received)
            assert sorted(f"{person}@example.org" for person in REVIEWERS) == sorted(to for to, _ in received)


async def test_a_post_that_was_delivered_and_not_noted_is_posted_again(system: Harness) -> None:
    """Under the same id, in the same bytes."""
    came: list[tuple[str, bytes]] = []

    async def receive(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        came.append((headers[b"webhook-id"].decode(), (await receive())["body"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with TemporaryDirectory(prefix="ringi-notices-") as path, DataFolder(Path(path)) as folder:
        async with mail_server() as mail, serving(receive) as url:
            await Webhooks(system.database, "urn:ringi").register(url, ["assessed", "accepted"], "ops.operator")
            await opened(system, tier=3)
            for number in range(2):
                async with notifier(system, folder, f"stricken-{number}", mail.url, POST) as stricken:
                    await dead(stricken)
                await system.database.pool.execute("update posts set next_attempt_at = now() where state = 'waiting'")
            async with notifier(system, folder, "sound", mail.url):
                await settled(system, "posts", 2)
    assert 2 == len({event for event, _ in came}) == len(set(came))
    assert len(came) > 2
