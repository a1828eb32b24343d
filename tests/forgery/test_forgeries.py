"""Whatever is forged, by whomever, in whichever way: none is accepted, and the record tells of those that reached it."""

from __future__ import annotations

import sys
import time

import pytest

from tests.forgery import callers, records, signals, stored
from tests.forgery.families import FAMILIES
from tests.forgery.stand import Stand
from tests.soak import seed

assert all((callers, records, signals, stored))


def test_there_are_many_families() -> None:
    """Each has a name of its own."""
    assert len(FAMILIES) >= 25


@pytest.mark.parametrize("name", FAMILIES)
async def test_no_forgery_is_accepted(stand: Stand, name: str) -> None:
    """Not one of the family, while what is genuine is, the same way."""
    stand.begin(name)
    began = time.monotonic()
    await FAMILIES[name](stand)
    sys.stdout.write(
        f"{name}: {stand.tried} tried, {stand.accepted} accepted, in {time.monotonic() - began:.1f} s; seed {seed()}\n"
    )
    assert stand.tried
    assert stand.controls
    assert 0 == stand.accepted
