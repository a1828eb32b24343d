"""Whatever is forged, by whomever, in whichever way: none is accepted, and the record tells of those that reached it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.forgery import callers, records, signals, stored
from tests.forgery.families import FAMILIES
from tests.forgery.report import FILE, Report
from tests.forgery.stand import Stand
from tests.support import soak

assert all((callers, records, signals, stored))

SEED = soak.seed()


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    """What was tried of each family, in a file at the end."""
    report = Report(seed=SEED)
    yield report
    report.write(FILE)


@pytest.mark.soak
@pytest.mark.timeout(120 + 2 * 60 * soak.MINUTES / len(FAMILIES))
@pytest.mark.parametrize("name", FAMILIES)
async def test_no_forgery_is_accepted(stand: Stand, report: Report, name: str) -> None:
    """Not one of the family, while what is genuine is, the same way."""
    seed, end = SEED, soak.until(among=len(FAMILIES))
    while True:
        print(f"SOAK_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
        stand.begin(name, seed)
        try:
            await FAMILIES[name](stand)
        finally:
            report.add(name, tried=stand.tried, accepted=stand.accepted, genuine=stand.controls)
        assert stand.tried
        assert stand.controls
        assert 0 == stand.accepted
        seed += 1
        if time.monotonic() > end:
            return


@pytest.mark.soak
def test_every_family_was_tried(report: Report, request: pytest.FixtureRequest) -> None:
    """There are many, and none of those that were asked for was left out, or made nothing."""
    assert len(FAMILIES) >= 25
    asked_for = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_no_forgery_is_accepted.__name__
    }
    assert asked_for == {name for name, family in report.families.items() if family.tried}
    assert 0 == report.accepted
