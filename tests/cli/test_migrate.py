"""`ringi migrate` makes a database ready, and can be run again."""

from __future__ import annotations

import asyncio

import asyncpg
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.packs import shipped_packs
from tests.conftest import DatabaseUrls
from tests.support.harness import SIGNING_KEY


def migrate(database: DatabaseUrls, *, owner: str | None = None) -> Result:
    """Run it with the settings of a deployment."""
    environment = {
        "RINGI_DATABASE_URL": database.app_url,
        "RINGI_OWNER_DATABASE_URL": owner or database.owner_url,
        "RINGI_SIGNING_KEY": SIGNING_KEY,
        "RINGI_BOOTSTRAP_OPERATOR": "ops.operator",
    }
    return CliRunner().invoke(app, ["migrate"], env=environment)


async def test_packs_and_operator_are_there_afterwards(database: DatabaseUrls) -> None:
    """Once, however often it runs."""
    for _ in range(2):
        result = await asyncio.to_thread(migrate, database)
        assert 0 == result.exit_code, result.output
    connection = await asyncpg.connect(database.app_url)
    try:
        packs = await connection.fetch("select digest from policy_packs")
        grants = await connection.fetch("select person, role from grants")
    finally:
        await connection.close()
    assert [pack.digest for pack in shipped_packs()] == [row["digest"] for row in packs]
    assert [("ops.operator", "operator")] == [tuple(row) for row in grants]


async def test_a_database_that_cannot_be_reached_is_three(database: DatabaseUrls) -> None:
    """And the password is not in what is said."""
    result = await asyncio.to_thread(migrate, database, owner="postgresql://ringi:hidden-word@127.0.0.1:9/ringi")
    assert 3 == result.exit_code
    assert "The database can't be migrated" in result.stderr
    assert "hidden-word" not in result.output
