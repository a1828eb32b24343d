"""Browsers' sessions: what is kept of those who are on their way, and for how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from store import sessions as subject
from store.database import connect
from store.sessions import Sessions
from tests.conftest import DatabaseUrls


@pytest.fixture
async def sessions(database: DatabaseUrls) -> AsyncIterator[Sessions]:
    """The sessions of an empty database."""
    async with connect(database.app_url) as opened:
        yield Sessions(opened, idle=timedelta(hours=1), longest=timedelta(days=1))


async def test_those_who_are_too_many_push_out_the_oldest(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for nothing but to sign in, without end, keeps no others out and fills nothing."""
    monkeypatch.setattr(subject, "MOST_UNDER_WAY", 3)
    left = [await sessions.depart("/", None) for _ in range(6)]
    came = [await sessions.arrive(departure.state, departure.browser) for departure in left]
    assert [False, False, True, True, True, True] == [arrival is not None for arrival in came]
