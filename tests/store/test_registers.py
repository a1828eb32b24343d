"""The registers: published packs stay as they are, grants are in force once, completions are taken once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest

from domain.canonical import canonical_bytes, digest_of
from domain.completions import Completion
from domain.people import Person, Role
from domain.registry import PackPublished, RegistryEntry
from runtime.packs import shipped_packs
from store.database import connect
from store.registers import PublishedOtherwiseError, Registers
from store.registry import NotThereError, RegistryRefusedError
from tests.conftest import DatabaseUrls
from tests.support.harness import SIGNER

OPERATOR = "op.erator"

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
async def registers(database: DatabaseUrls) -> AsyncIterator[Registers]:
    """Empty registers, as the application's role."""
    async with connect(database.app_url) as opened:
        registers = Registers(opened, SIGNER)
        await registers.registry.enrol()
        yield registers


async def test_a_published_pack_stays_as_it_is(registers: Registers, database: DatabaseUrls) -> None:
    """Publishing it again changes nothing; another content needs another version; nobody changes or removes it."""
    (pack,) = shipped_packs()
    digest = await registers.publish(pack)
    assert digest == digest_of(pack) == await registers.publish(pack)
    changed = pack.model_copy(update={"title": "Another title"})
    with pytest.raises(PublishedOtherwiseError, match=f"version {pack.version} of {pack.id}"):
        await registers.publish(changed)
    assert pack == await registers.pack(pack.id)
    newer = changed.model_copy(update={"version": "1.0.1"})
    assert newer == await registers.pack_of(await registers.publish(newer))
    assert (newer, pack) == (await registers.pack(pack.id), await registers.pack_of(digest))
    for url in (database.app_url, database.owner_url):
        connection = await asyncpg.connect(url)
        try:
            for statement in (
                "update policy_packs set content = ''",
                "delete from policy_packs",
                "truncate policy_packs",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()


async def test_a_row_in_the_table_of_packs_publishes_none(registers: Registers, database: DatabaseUrls) -> None:
    """Whoever has the application's role can write one; what is published, the registry's record says, and each pack is
    on it once, however often it is published.
    """
    (pack,) = shipped_packs()
    rows = "insert into policy_packs (digest, id, version, content) values ($1, $2, $3, $4)"
    connection = await asyncpg.connect(database.app_url)
    try:
        await connection.execute(rows, pack.digest, pack.id, pack.version, canonical_bytes(pack))
        assert await registers.pack(pack.id) is None
        assert [pack.digest] * 2 == [await registers.publish(pack) for _ in range(2)]
        newer = pack.model_copy(update={"version": "99"})
        await connection.execute(rows, digest_of(newer), newer.id, newer.version, canonical_bytes(newer))
        other = pack.model_copy(update={"version": "100"})
        await connection.execute(rows, digest_of(other), other.id, "100", canonical_bytes(newer))
    finally:
        await connection.close()
    assert pack == await registers.pack(pack.id)
    with pytest.raises(PublishedOtherwiseError, match="version 100"):
        await registers.publish(other)
    entries = [RegistryEntry.model_validate_json(entry.data).event for entry in await registers.registry.entries()]
    assert [pack.digest] == [event.digest for event in entries if isinstance(event, PackPublished)]


async def test_a_pack_that_is_published_by_several_at_once_is_there_once(registers: Registers) -> None:
    """Each API process publishes what it ships when it starts."""
    (pack,) = shipped_packs()
    digests = await asyncio.gather(*(registers.publish(pack) for _ in range(6)))
    assert 1 == len(set(digests))
    assert await registers.pack("no-such-pack") is None
    assert await registers.pack_of("1" * 64) is None


async def test_a_grant_is_in_force_once_and_until_it_is_revoked(registers: Registers) -> None:
    """Revoked and granted again, it is another grant."""
    await registers.ensure_operator(OPERATOR)
    people = [Person(id="a.person", name="A", unit="U")]
    roles: list[tuple[str, Role, str | None]] = [
        ("a.person", Role.REVIEWER, None),
        ("a.person", Role.SIGNATORY, "an_office"),
        ("a.person", Role.SIGNATORY, "another_office"),
    ]
    assert 3 == await registers.enter_people(people, roles, by=OPERATOR)
    assert 0 == await registers.enter_people(people, roles + roles, by=OPERATOR)
    granted = await registers.grants("a.person")
    assert sorted(roles, key=str) == sorted(((g.person, g.role, g.office) for g in granted), key=str)
    (reviewer,) = (grant for grant in granted if grant.role is Role.REVIEWER)
    await registers.revoke(reviewer.id, "It is over.", by=OPERATOR)
    with pytest.raises(NotThereError, match="No grant with this id is in force"):
        await registers.revoke(reviewer.id, "It is over.", by=OPERATOR)
    assert reviewer not in await registers.grants("a.person")
    assert 1 == await registers.enter_people(people, roles, by=OPERATOR)
    (again,) = (grant for grant in await registers.grants("a.person") if grant.role is Role.REVIEWER)
    assert reviewer.id != again.id


async def test_people_are_entered_all_or_none(registers: Registers) -> None:
    """A grant to somebody who is not known takes everything back."""
    await registers.ensure_operator(OPERATOR)
    people = [Person(id="a.person", name="A", unit="U")]
    roles: list[tuple[str, Role, str | None]] = [("a.person", Role.REVIEWER, None), ("no.body", Role.REVIEWER, None)]
    with pytest.raises(RegistryRefusedError, match=r"There is nobody with the id no\.body here"):
        await registers.enter_people(people, roles, by=OPERATOR)
    assert () == await registers.grants("a.person")


async def test_the_first_operator_is_the_only_one_who_comes_from_outside(registers: Registers) -> None:
    """Whoever comes after it is granted the role by an operator; however many start at once."""
    ensured = await asyncio.gather(*(registers.ensure_operator(f"op.{n}") for n in range(6)))
    assert 1 == sum(ensured)
    assert not await registers.ensure_operator("op.7")
    assert 1 == sum([len(await registers.grants(f"op.{n}")) for n in range(8)])


async def test_completions_are_taken_once(registers: Registers) -> None:
    """The same moment in another zone is the same; another moment is another completion."""
    one = Completion(person="a.person", course="a-course", completed_at=AT)
    elsewhere = one.model_copy(update={"completed_at": AT.astimezone(timezone(timedelta(hours=9)))})
    later = one.model_copy(update={"completed_at": AT + timedelta(days=1), "expires_at": AT + timedelta(days=2)})
    assert 2 == await registers.enter_completions([one, elsewhere, later, one])
    assert 0 == await registers.enter_completions([later, one])
    assert 0 == await registers.enter_completions([])
    by_somebody = one.model_copy(update={"by": OPERATOR})
    assert [1, 0] == [await registers.enter_completions([by_somebody]) for _ in range(2)]
    assert [1, 0] == sorted(
        await asyncio.gather(
            *(registers.enter_completions([one.model_copy(update={"course": "b-course"})]) for _ in range(2))
        ),
        reverse=True,
    )
