"""The migrations: numbered SQL files, each applied once, by dbmate."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

MIGRATIONS = Path(__file__).parent / "migrations"

SECONDS = 600


class MigrationError(Exception):
    """The schema could not be brought up to date; the message says why, without the password."""


async def migrate(owner_url: str, directory: Path = MIGRATIONS) -> None:
    """Apply the migrations that the database has not seen, in order. One at a time: others wait for it.

    Args:
        owner_url: the database, as the role that owns it.
        directory: where the numbered SQL files are.

    Raises:
        MigrationError: one of them failed (and was rolled back), or the database cannot be reached.
    """
    await asyncio.to_thread(_run, owner_url, directory)


def not_applied(applied: Collection[str], directory: Path = MIGRATIONS) -> tuple[str, ...]:
    """The migrations that this version brings beside those with the numbers `applied`, in order."""
    return tuple(sorted(file.name for file in directory.glob("*.sql") if file.name.partition("_")[0] not in applied))


def _run(owner_url: str, directory: Path) -> None:
    program = shutil.which("dbmate", path=sysconfig.get_path("scripts")) or shutil.which("dbmate")
    if program is None:
        raise MigrationError("dbmate is not installed")
    # The URL goes by the environment: a command line can be read by everybody on the machine.
    env = {name: value for name, value in os.environ.items() if not name.startswith("DBMATE_")}
    env["DATABASE_URL"] = dbmate_url(owner_url)
    try:
        done = subprocess.run(
            [
                *(program, "--env-file", os.devnull, "--migrations-dir", str(directory.absolute())),
                *("--migration-lock", "--no-dump-schema", "migrate"),
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MigrationError(f"the migrations took longer than {SECONDS} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace(owner_url, "the database")
        raise MigrationError(re.sub(r"://[^@\s/]*@", "://", said))


def dbmate_url(url: str) -> str:
    """The URL as dbmate wants it: over a socket its driver would insist on TLS unless it is told not to."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in query}
    if "sslmode" not in names and any(name == "host" and value.startswith("/") for name, value in query):
        query.append(("sslmode", "disable"))
    # Not `_replace` alone: an empty host (`user@/database`) has to stay one.
    return urlunsplit(("postgres", parts.netloc, parts.path, urlencode(query), parts.fragment))
