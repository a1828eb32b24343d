"""The migrations: applied once, by one at a time, and said clearly when they fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from store.migrate import MigrationError, dbmate_url, migrate
from tests.conftest import DatabaseUrls


def write(directory: Path, name: str, statements: str) -> None:
    """A migration file."""
    (directory / name).write_text(f"-- migrate:up\n{statements}\n\n-- migrate:down\n")


async def test_files_are_applied_in_order_and_once(database: DatabaseUrls, tmp_path: Path) -> None:
    write(tmp_path, "9001_first.sql", "create table probe (n int); insert into probe values (1);")
    write(tmp_path, "9002_second.sql", "insert into probe select n + 1 from probe;")
    await migrate(database.owner_url, tmp_path)
    await migrate(database.owner_url, tmp_path)
    write(tmp_path, "9003_third.sql", "insert into probe values (3);")
    await asyncio.gather(*(migrate(database.owner_url, tmp_path) for _ in range(3)))
    connection = await asyncpg.connect(database.owner_url)
    try:
        assert [1, 2, 3] == [row["n"] for row in await connection.fetch("select n from probe order by n")]
    finally:
        await connection.close()


async def test_a_file_that_fails_is_said_and_leaves_nothing(database: DatabaseUrls, tmp_path: Path) -> None:
    write(tmp_path, "9001_bad.sql", "create table probe (n int); select no_such_function();")
    with pytest.raises(MigrationError, match="no_such_function"):
        await migrate(database.owner_url, tmp_path)
    connection = await asyncpg.connect(database.owner_url)
    try:
        assert await connection.fetchval("select to_regclass('probe')") is None
    finally:
        await connection.close()


async def test_the_application_cannot_migrate(database: DatabaseUrls, tmp_path: Path) -> None:
    write(tmp_path, "9001_first.sql", "create table probe (n int);")
    with pytest.raises(MigrationError, match="permission denied"):
        await migrate(database.app_url, tmp_path)


async def test_a_failure_does_not_tell_the_password(tmp_path: Path) -> None:
    write(tmp_path, "9001_first.sql", "select 1;")
    with pytest.raises(MigrationError) as caught:
        await migrate("postgresql://owner:canary-7f3a@127.0.0.1:1/ringi?sslmode=disable", tmp_path)
    assert "canary" not in str(caught.value)
    assert "refused" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://ringi_owner@/ringi?host=/run/ringi",
            "postgres://ringi_owner@/ringi?host=%2Frun%2Fringi&sslmode=disable",
        ),
        ("postgresql://o:p%40ss@db:5432/ringi", "postgres://o:p%40ss@db:5432/ringi"),
        ("postgres://o@db/ringi?sslmode=verify-full", "postgres://o@db/ringi?sslmode=verify-full"),
    ],
)
def test_a_url_keeps_its_meaning(url: str, expected: str) -> None:
    assert expected == dbmate_url(url)
