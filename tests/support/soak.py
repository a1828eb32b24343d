"""How much is generated: little in CI, and for as long as `SOAK_MINUTES` says by `make soak`."""

from __future__ import annotations

import os
import secrets
import time

MINUTES = float(os.environ.get("SOAK_MINUTES") or 0)
"""How long each soaking test may go on; nothing in CI."""


def soaks() -> bool:
    """Whether this is a soak."""
    return MINUTES > 0


def until(among: int = 1) -> float:
    """The moment, by the monotonic clock, up to which a test that begins now goes on; one of several shares the time."""
    return time.monotonic() + 60 * MINUTES / among


def seed() -> int:
    """`SOAK_SEED`, to repeat a soak; a new one for each soak; and always the same in CI,
    where a failure must be the change's.
    """
    given = os.environ.get("SOAK_SEED")
    if given:
        return int(given)
    return secrets.randbelow(2**31) if soaks() else 1
