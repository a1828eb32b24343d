"""The stand on which all families of forgeries are tried: one real stack, with a provider that people sign in with."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from tests.e2e.conftest import issuer, place, provider
from tests.forgery.stand import Stand, stand_on
from tests.support.place import Place

__all__ = ["issuer", "place", "provider"]


@pytest.fixture(scope="module")
async def stand(place: Place, temporal_client: Client) -> Stand:
    """The stand that all families share; each has reviews of its own on it."""
    return await stand_on(place, temporal_client)
