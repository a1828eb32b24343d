"""What is on its way to webhooks: one post that makes no sense holds up none but itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from temporalio.client import Client

from runtime.embedded.postgres import SUPERUSER
from store.webhooks import UNREADABLE, Webhooks
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import opened
from tests.support.harness import OPERATOR, Harness, harness


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def test_an_entry_that_can_t_be_read_is_given_up(
    system: Harness, servers: Servers, database: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """With an error, at once; what is claimed beside it is posted."""
    webhooks = Webhooks(system.database, "urn:ringi")
    webhook, _ = await webhooks.register("https://hooks.example.org/", ["opened", "assessed", "began"], OPERATOR)
    review = await opened(system, tier=3)
    queued = [post.seq for post in await webhooks.posts(webhook, "waiting", 100)]
    assert len(queued) > 1
    bad = min(queued)
    superuser = await asyncpg.connect(servers.postgres.url(SUPERUSER, database.name))
    try:
        await superuser.execute("set session_replication_role = replica")
        newer = "update ledger set data = '{\"newer\": 1}' where review_id = $1 and seq = $2"
        assert "UPDATE 1" == await superuser.execute(newer, review, bad)
    finally:
        await superuser.close()
    attempts = await webhooks.claim(100, each=100, but=())
    assert {seq for seq in queued if seq != bad} == {attempt.seq for attempt in attempts}
    (failed,) = await webhooks.posts(webhook, "failed", 100)
    assert (review, bad, UNREADABLE) == (failed.review_id, failed.seq, failed.error)
    assert failed.settled_at is not None
    assert "an entry can't be posted" in caplog.messages
    assert [] == await webhooks.claim(100, each=100, but=())
