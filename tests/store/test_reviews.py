"""What lists show: exactly what the core says that somebody may read."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client

from domain.access import may_read
from domain.facts import Standing
from domain.people import Grant, Role
from domain.state import Review, Subject
from store.database import connect
from store.reviews import Reviews
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


PEOPLE, UNITS = ("p1", "p2", "p3", "p4"), ("Unit One", "Unit Two", "Unit Three", "unit  ONE")
_ROW = """
insert into reviews (id, seq, title, business_unit, owner, author, submitted_at, updated_at, aside, assigned, units)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)
"""


def a_review(number: int, chance: random.Random) -> Review:
    """Any review, which was opened or not."""

    def some(of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chance.sample(of, chance.choice([0, 0, 1, 2])))

    owner, author = chance.choice(PEOPLE), chance.choice(PEOPLE)
    subject = Subject(title=f"Number {number}", business_unit="u9", owner=owner, author=author, staff=())
    if chance.random() < 0.2:
        return Review(id=f"r-{number}", subject=subject)
    return Review(
        id=f"r-{number}", seq=2, subject=subject, aside=some(PEOPLE), assigned=some(PEOPLE), units=some(UNITS)
    )


def a_standing(person: str, chance: random.Random) -> Standing:
    """That of somebody with some of the roles that open every review, of their own or left to them by others."""
    roles = (Role.REVIEWER, Role.REVIEWER, Role.OFFICER, Role.AUDITOR, Role.TRAINING_OFFICER)
    grants = tuple(
        Grant(id=f"g{number}", person=holder, role=chance.choice(roles[: 5 if holder == person else 3]))
        for number, holder in enumerate(chance.choices((person, person, *PEOPLE), k=chance.choice([1, 1, 2])))
    )
    units = {each: chance.choice(UNITS) for each in PEOPLE if chance.random() < 0.8}
    return Standing(grants=grants, units=units)


async def test_a_list_shows_exactly_what_may_be_read(database: DatabaseUrls) -> None:
    """Whatever reviews there are, and whoever looks: who stepped aside, is on the staff, or is of a unit that it comes
    from, they or whoever left them the role, finds it in no list.
    """
    chance = random.Random(7)
    reviews = [a_review(number, chance) for number in range(80)]
    async with connect(database.app_url, max_size=1) as connected:
        for number, review in enumerate(reviews):
            subject = review.subject
            assert subject is not None
            heading = (subject.title, subject.business_unit, subject.owner, subject.author)
            at = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(hours=number)
            await connected.pool.execute(
                _ROW, review.id, review.seq, *heading, at, review.aside, review.assigned, review.units
            )
        shown = 0
        for _ in range(200):
            person = chance.choice(PEOPLE)
            standing = a_standing(person, chance)
            wanted = [review.id for review in reversed(reviews) if may_read(review, person, standing)]
            listed = await Reviews(connected).all(person, standing, 500)
            assert wanted == [each.id for each in listed], (person, standing)
            assert wanted[:5] == [each.id for each in await Reviews(connected).all(person, standing, 5)]
            shown += len(wanted)
    assert 200 * 80 * 0.2 < shown < 200 * 80 * 0.8
