"""Browsers' sessions: what is kept of those who are on their way, and for how many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.dsse import Ed25519Signer
from store import sessions as subject
from store.database import connect
from store.registers import Registers
from store.registry import KeyNotInForceError
from store.sessions import Sessions
from tests.conftest import DatabaseUrls
from tests.support.harness import SIGNER


@pytest.fixture
async def sessions(database: DatabaseUrls) -> AsyncIterator[Sessions]:
    """The sessions of an empty database."""
    async with connect(database.app_url) as opened:
        yield Sessions(opened, SIGNER, idle=timedelta(hours=1), longest=timedelta(days=1))


async def test_those_who_are_too_many_push_out_the_oldest(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for nothing but to sign in, without end, keeps no others out and fills nothing."""
    monkeypatch.setattr(subject, "MOST_UNDER_WAY", 3)
    left = [await sessions.depart("/", None) for _ in range(6)]
    came = [await sessions.arrive(departure.state, departure.browser) for departure in left]
    assert [False, False, True, True, True, True] == [arrival is not None for arrival in came]


async def test_a_session_counts_as_long_as_the_key_that_signed_it(database: DatabaseUrls) -> None:
    """Signed by another process's key, which is in force, it counts here too; once that is revoked it does not, whatever
    the table of keys is made to say. Nor is one begun that would not count.
    """
    other = Ed25519Signer(Ed25519PrivateKey.generate())
    async with connect(database.app_url) as opened:
        mine, theirs = (
            Sessions(opened, s, idle=timedelta(hours=1), longest=timedelta(days=1)) for s in (SIGNER, other)
        )
        registers = Registers(opened, SIGNER)
        await registers.registry.enrol()
        await registers.ensure_operator("root.operator")
        with pytest.raises(KeyNotInForceError):
            await theirs.begin("rin.reviewer", None, instead_of=None)
        await registers.registry.add_key(other.public, by="root.operator")
        (good, _), (token, begun) = [
            await sessions.begin("rin.reviewer", None, instead_of=None) for sessions in (mine, theirs)
        ]
        assert begun == await mine.of(token)
        await registers.registry.revoke_key(other.keyid, "It leaked.", by="root.operator")
        await opened.pool.execute("update signing_keys set revoked_at = null")
        assert await mine.of(token) is None
        assert await theirs.of(good) is not None
        with pytest.raises(KeyNotInForceError):
            await theirs.begin("rin.reviewer", None, instead_of=None)
