"""The system that is measured: that of `ringi up`, and the bare workflow's worker beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from benchmarks import bare
from cli import up
from domain.completions import Completion
from domain.dsse import Signer
from runtime.embedded import DataFolder, PostgresServer, free_port, python_process
from runtime.issuer import Issuer, signing_key
from runtime.keys import KEY_FILE, key_in
from runtime.packs import load_proposal, shipped_packs
from store.database import connect
from store.registers import Registers

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "tier-3-shortlist-of-applicants.yaml"
"""The proposal that is reviewed again and again."""


@dataclass(frozen=True)
class System:
    """Where everything is, a token for each of the people, and the file with the key to sign with."""

    temporal: str
    database: str
    api: str
    tokens: dict[str, str]
    key: str


@asynccontextmanager
async def running(people: Sequence[str]) -> AsyncIterator[System]:
    """The whole system for the length of the block, in a folder that goes with it.

    Args:
        people: who is given a token.

    Raises:
        EmbeddedError: a part of it does not start.
    """
    async with AsyncExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="ringi-bench-")))
        folder = stack.enter_context(DataFolder(path))
        ports = up.Ports(api=free_port(), issuer=free_port(), temporal=free_port(), temporal_ui=free_port())
        system = await stack.enter_async_context(up.running(folder, ports, lambda _: None))
        database, temporal = system.postgres.app_url, system.addresses.temporal
        await _entered(system.postgres, key_in(path))
        environment = {"TEMPORAL_ADDRESS": temporal, "RINGI_DATABASE_URL": database}
        child = python_process(folder, "bare worker", ["-m", "benchmarks.bare"], env=environment)
        stack.push_async_callback(child.stop)
        issuer = Issuer(signing_key(path), system.addresses.issuer)
        tokens = {person: issuer.mint(person) for person in people}
        yield System(temporal, database, system.addresses.api, tokens, str(path / KEY_FILE))


async def _entered(postgres: PostgresServer, signer: Signer) -> None:
    """The training of the example's staff; and the table that the bare workflow writes to."""
    trained = datetime.now(UTC) - timedelta(days=30)
    courses = [course.id for pack in shipped_packs() for course in pack.courses]
    staff = [member.person for member in load_proposal(EXAMPLE).staff]
    async with connect(postgres.app_url) as database:
        await Registers(database, signer).enter_completions(
            [Completion(person=person, course=course, completed_at=trained) for person in staff for course in courses]
        )
    owner = await asyncpg.connect(postgres.owner_url)
    try:
        await owner.execute(bare.TABLE)
    finally:
        await owner.close()
