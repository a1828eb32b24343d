"""The families of forgeries, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.forgery.stand import Stand

Family = Callable[[Stand], Awaitable[None]]

FAMILIES: dict[str, Family] = {}
"""Each makes forgeries of one kind, tries them on the stand, and has the genuine article accepted the same way."""


def family(make: Family) -> Family:
    """A family, named as its function is."""
    assert make.__name__ not in FAMILIES
    assert make.__doc__
    FAMILIES[make.__name__] = make
    return make
