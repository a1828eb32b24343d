"""What lists show: the twin, in SQL, of who may read a review."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from domain.access import may_read
from store.standing import standing_of
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import opened
from tests.support.harness import Harness, harness


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


@pytest.mark.parametrize(
    ("person", "sees_it_at_once"),
    [
        ("ava.auditor", True),
        ("tao.training", True),
        ("rin.reviewer", False),
        ("omi.officer", False),
    ],
)
async def test_before_and_after_it_is_opened(system: Harness, person: str, *, sees_it_at_once: bool) -> None:
    """Nobody who would judge it sees it before it is known who is too close to it."""
    waiting = (await system.store_submission()).review
    open_already = await opened(system, tier=3)
    standing = await standing_of(system.database.pool, person)
    for review, sees in ((waiting, sees_it_at_once), (open_already, True)):
        listed = {listed.id for listed in await system.reviews.all(person, standing, 10)}
        assert sees is (review in listed)
        assert sees is may_read(await system.state(review), person, standing)
