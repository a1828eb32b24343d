"""The system that is measured: the processes of `ringi up`, durable as there, and the bare workflow's worker beside."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from benchmarks import bare
from cli.setup import enter_examples, set_up
from domain.completions import Completion
from domain.dsse import Signer
from runtime.embedded import DataFolder, PostgresServer, TemporalServer, free_port, python_process
from runtime.issuer import Issuer, issuer_app, signing_key
from runtime.keys import KEY_FILE, key_in
from runtime.packs import load_proposal, shipped_packs
from runtime.serving import serving
from store.database import connect
from store.registers import Registers

HOST = "127.0.0.1"

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "tier-3-shortlist-of-applicants.yaml"
"""The proposal that is reviewed again and again."""

_READY_SECONDS = 60


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
        postgres = await stack.enter_async_context(PostgresServer(folder))
        temporal = await stack.enter_async_context(TemporalServer(folder, port=free_port()))
        await _entered(postgres, key_in(path))
        issuer = Issuer(signing_key(path), f"http://{HOST}:{(issuer_port := free_port())}")
        await stack.enter_async_context(serving(issuer_app(issuer.key, issuer.url), issuer_port))
        api_port, health_port = free_port(), free_port()
        environment = {
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_ADDRESS": temporal.address,
            "RINGI_DATABASE_URL": postgres.app_url,
            "RINGI_SIGNING_KEY_FILE": str(path / KEY_FILE),
            "RINGI_OIDC_ISSUER": issuer.url,
            "RINGI_API_PORT": str(api_port),
            "RINGI_WORKER_HEALTH_PORT": str(health_port),
            "RINGI_LOG_FORMAT": "console",
        }
        for name, module in (
            ("API", ["cli.main", "api"]),
            ("worker", ["worker"]),
            ("bare worker", ["benchmarks.bare"]),
        ):
            child = python_process(folder, name, ["-m", *module], env=environment)
            stack.push_async_callback(child.stop)
            if name != "bare worker":
                await child.ready(
                    f"http://{HOST}:{api_port if name == 'API' else health_port}/readyz", seconds=_READY_SECONDS
                )
        tokens = {person: issuer.mint(person) for person in people}
        yield System(temporal.address, postgres.app_url, f"http://{HOST}:{api_port}", tokens, str(path / KEY_FILE))


async def _entered(postgres: PostgresServer, signer: Signer) -> None:
    """The schema, the pack, the example people, trained; and the table that the bare workflow writes to."""
    await set_up(postgres.owner_url, postgres.app_url, signer, None)
    await enter_examples(postgres.app_url, signer)
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
