"""The whole system, as people meet it: an API, a worker, an issuer of tokens, and the people of the examples."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

import worker
from api.app import create_app
from api.routes.record import History, Timeline
from api.schemas import ReviewOut
from domain.canonical import digest_of
from domain.certificate import Certificate
from domain.decisions import Finding, Receipt
from domain.proposal import Proposal
from domain.verification import Evidence
from runtime.issuer import CLIENT_ID, Issuer
from runtime.packs import load_proposal, shipped_packs
from runtime.settings import Settings
from store.database import Database, connect
from store.registers import Registers
from tests.conftest import DatabaseUrls
from tests.support.harness import SIGNER, SIGNING_KEY, until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PACK = shipped_packs()[0]
PRINCIPLES = tuple(principle.id for principle in PACK.principles if principle.limb == "judged")

OPERATOR = "root.operator"
OWNER = "hana.owner"
AUTHOR = "aki.author"
REVIEWERS = ("rin.reviewer", "jun.reviewer", "kei.reviewer")
RIN, JUN, KEI = REVIEWERS
COUNCIL = ("lea.lawyer", "noa.npo", "ada.academic", "cai.consumer")
OFFICER = "omi.officer"
TRAINING_OFFICER = "tao.training"
AUDITOR = "ava.auditor"
SIGNATORIES = {"business_unit_head": "bo.head", "digital_trust_head": "di.head"}

LECTURE = "biometrics-human-rights-lecture"
ONLINE = "ai-human-rights-online"


def example(tier: int, **changes: object) -> Proposal:
    """The example proposal of a tier, with these fields in place of its own."""
    (path,) = EXAMPLES.glob(f"tier-{tier}-*.yaml")
    return load_proposal(path).model_copy(update=changes)


PATIENT = {"Prefer": "wait=30"}
"""For those who need the receipt, however busy the machine is."""


def sheet(*on: str, **findings: Finding) -> list[dict[str, str]]:
    """A verdict on each principle, or `on` these alone: respected, where nothing else is said."""
    return [
        {"principle": p, "finding": findings.get(p, Finding.RESPECTED), "reason": "As the documents show."}
        for p in on or PRINCIPLES
    ]


class Clock:
    """The present, some time ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the present."""
        return datetime.now(UTC) + self.ahead


class Person:
    """Somebody who talks to the API; `name` is whom the token speaks of. Where a decision asks them to sign in again,
    they do, with `issuer`.
    """

    def __init__(self, http: httpx2.AsyncClient, name: str, token: str, issuer: Issuer | None = None) -> None:
        self.name = name
        self._http = http
        self._issuer = issuer
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, *, headers: dict[str, str] | None = None, **params: Any) -> httpx2.Response:
        """Ask for something."""
        return await self._http.get(path, params=params or None, headers={**self._headers, **(headers or {})})

    async def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        """Send JSON."""
        return await self._http.post(path, json=body, headers=self._with(headers))

    async def put(self, path: str, body: object) -> httpx2.Response:
        """Put JSON in the place of what was there."""
        return await self._http.put(path, json=body, headers=self._headers)

    async def put_in(self, path: str, content: bytes | str, media_type: str, **headers: str) -> httpx2.Response:
        """Send something that is not JSON."""
        return await self._http.post(path, content=content, headers={**self._with(headers), "Content-Type": media_type})

    async def delete(self, path: str) -> httpx2.Response:
        """Take something away."""
        return await self._http.delete(path, headers=self._headers)

    async def submit(self, proposal: Proposal, review: str | None = None, **headers: str) -> httpx2.Response:
        """Submit a proposal."""
        body: dict[str, object] = {"proposal": proposal.model_dump(mode="json")}
        if review is not None:
            body["review"] = review
        return await self.post("/reviews", body, **headers)

    async def say(
        self,
        review: str,
        kind: str,
        *,
        digest: str | None = None,
        headers: dict[str, str] | None = None,
        **content: Any,
    ) -> httpx2.Response:
        """Decide about a review; on what it is at now, if no digest is given."""
        body = {"kind": kind, "digest": digest or (await self.status(review)).digest, **content}
        path = f"/reviews/{review}/decisions"
        response = await self.post(path, body, **(headers or {}))
        if self._issuer is None or response.status_code != 403 or response.json().get("reason") != "step_up_required":
            return response
        asked = response.json()
        id_token = self._issuer.mint_id_token(self.name, asked["nonce"])
        again = {**body, "step_up": {"id_token": id_token}}
        if "Idempotency_Key" not in (headers or {}):
            again["id"] = asked["decision_id"]
        return await self.post(path, again, **(headers or {}))

    async def accepted(self, review: str, kind: str, /, **content: Any) -> Receipt:
        """Decide about a review; the process accepts it."""
        response = await self.say(review, kind, **{"headers": PATIENT, **content})
        assert 200 == response.status_code, response.text
        receipt = Receipt.model_validate_json(response.content)
        assert "accepted" == receipt.status
        return receipt

    async def refused(self, review: str, reason: str, kind: str, /, **content: Any) -> Receipt:
        """Decide about a review; the process refuses it for this reason."""
        response = await self.say(review, kind, **{"headers": PATIENT, **content})
        assert 409 == response.status_code, response.text
        problem = response.json()
        receipt = Receipt.model_validate_json(json.dumps(problem["receipt"]))
        assert (reason, "refused", reason) == (problem["reason"], receipt.status, receipt.reason), response.text
        return receipt

    async def signed(self, review: str, **content: Any) -> httpx2.Response:
        """Sign what stands now."""
        status = await self.status(review)
        told = {"headers": PATIENT, "digest": status.digest, "basis": status.basis, **content}
        return await self.say(review, "signature", **told)

    async def status(self, review: str) -> ReviewOut:
        """Where a review stands."""
        return ReviewOut.model_validate_json(await self._read(f"/reviews/{review}"))

    async def timeline(self, review: str, **params: int) -> Timeline:
        """The ledger in plain words."""
        return Timeline.model_validate_json(
            await self._read(f"/reviews/{review}/timeline", **{"limit": 1000, **params})
        )

    async def history(self, review: str, **params: int) -> History:
        """The workflow's history."""
        return History.model_validate_json(await self._read(f"/reviews/{review}/history", **{"limit": 1000, **params}))

    async def evidence(self, review: str) -> Evidence:
        """The whole record."""
        return Evidence.model_validate_json(await self._read(f"/reviews/{review}/evidence"))

    async def certificate(self, review: str) -> Certificate:
        """The certificate."""
        return Certificate.model_validate_json(await self._read(f"/reviews/{review}/certificate"))

    async def _read(self, path: str, **params: Any) -> bytes:
        response = await self.get(path, **params)
        assert 200 == response.status_code, response.text
        return response.content

    def _with(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}


@dataclass
class System:
    """One API and what is behind it. Its worker runs between `worker` and the end of that block."""

    urls: DatabaseUrls
    temporal_address: str
    issuer: Issuer
    database: Database
    """The worker's pool; the `clock` that commits go by is its own."""

    clock: Clock
    task_queue: str = field(default_factory=lambda: f"e2e-{uuid4()}")
    http: httpx2.AsyncClient = field(init=False)
    """Talks to the API that is running."""

    def settings(self, **changes: Any) -> Settings:
        """The settings of API and worker."""
        given = {
            "database_url": SecretStr(self.urls.app_url),
            "signing_key": SecretStr(SIGNING_KEY),
            "oidc_issuer": self.issuer.url,
            "oidc_client_id": CLIENT_ID,
            "task_queue": self.task_queue,
            "database_pool_max": 5,
            "reconcile_seconds": 0,
        }
        return Settings.model_validate({**given, **changes})

    def person(self, name: str, http: httpx2.AsyncClient | None = None) -> Person:
        """Somebody, at the running API or at another."""
        return Person(http or self.http, name, self.issuer.mint(name), self.issuer)

    @asynccontextmanager
    async def api(
        self, *, temporal: str | None = None, port: int = 0, **settings: Any
    ) -> AsyncIterator[httpx2.AsyncClient]:
        """An API for the length of the block; `temporal` is where it looks for Temporal, `port` where it listens."""
        app = create_app(self.settings(**settings))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEMPORAL_ADDRESS", temporal or self.temporal_address)
            stack = AsyncExitStack()
            url = await stack.enter_async_context(serving(app, lifespan=True, port=port))
        async with stack, httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
            yield http

    @asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[None]:
        """A worker for the length of the block."""
        stack = AsyncExitStack()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEMPORAL_ADDRESS", self.temporal_address)
            await stack.enter_async_context(worker.running(self.settings(**settings), self.database))
        async with stack:
            yield

    # The way of a review, for those who only want to be further on.

    async def opened(self, proposal: Proposal, review: str | None = None) -> str:
        """Submit a proposal, and say under which id it is reviewed."""
        response = await self.person(proposal.author).submit(proposal, review or new_id(), **PATIENT)
        assert 200 == response.status_code, response.text
        return Receipt.model_validate_json(response.content).review

    async def reviewed(self, review: str) -> None:
        """Have as many reviewers agree as are needed."""
        needed = 1 if ((await self.at(review)).tier or 0) < 3 else 2
        for name in REVIEWERS[:needed]:
            await self.person(name).accepted(review, "verdict_sheet", verdicts=sheet())

    async def advised(self, review: str, members: Iterable[str] = COUNCIL, *, answer: str = "accepted") -> None:
        """Have these members support it with one piece of advice each, and the officer answer all of it."""
        for name in members:
            await self.person(name).accepted(
                review,
                "opinion",
                stance="supports_with_advice",
                advice=[f"Publish the error rates: {name}."],
                reason="The measures are sound.",
            )
        await self.answered(review, answer=answer)

    async def answered(self, review: str, *, answer: str = "accepted") -> None:
        """Have the officer answer all advice that has no answer."""
        advice = [piece.id for piece in (await self.at(review)).council.advice if piece.answer is None]
        answers = [{"advice": piece, "answer": answer, "reason": "It is known by now."} for piece in advice]
        await self.person(OFFICER).accepted(review, "advice_response", answers=answers)

    async def trained(self, *rows: tuple[str, str], expires_at: datetime | None = None) -> dict[str, int]:
        """Have completions, as person and course, imported; completed yesterday."""
        end = "" if expires_at is None else expires_at.isoformat()
        at = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        lines = ["person,course,completed_at,expires_at", *(f"{who},{course},{at},{end}" for who, course in rows)]
        response = await self.person(TRAINING_OFFICER).put_in("/training/import", "\n".join(lines), "text/csv")
        assert 200 == response.status_code, response.text
        counts: dict[str, int] = response.json()
        return counts

    async def granted(self, *rows: tuple[str, str, str]) -> None:
        """Have people entered with a role and an office, if not empty; whoever is known stays where they are."""
        known = await self.database.pool.fetch(
            "select id, name, unit from people where id = any($1)", [r[0] for r in rows]
        )
        where = {row["id"]: f"{row['name']},{row['unit']}" for row in known}
        lines = ["person,name,unit,role,office"]
        lines += [f"{who},{where.get(who, 'Example,Example')},{role},{of}" for who, role, of in rows]
        response = await self.person(OPERATOR).put_in("/people/import", "\n".join(lines), "text/csv")
        assert 200 == response.status_code, response.text

    async def written_to(self, person: str, address: str) -> None:
        """Have the operator enter where somebody known is written to."""
        row = await self.database.pool.fetchrow("select name, unit from people where id = $1", person)
        assert row is not None
        table = f"person,name,unit,role,office,email\n{person},{row['name']},{row['unit']},,,{address}\n"
        response = await self.person(OPERATOR).put_in("/people/import", table, "text/csv")
        assert 200 == response.status_code, response.text

    async def signed_off(self, review: str) -> None:
        """Have every signatory sign whose signature is still due."""
        offices = tuple(SIGNATORIES)[: 1 if ((await self.at(review)).tier or 0) < 3 else 2]
        for office in offices[len((await self.at(review)).signatures) :]:
            response = await self.person(SIGNATORIES[office]).signed(review)
            assert 200 == response.status_code, response.text
        assert "approved" == (await self.at(review)).outcome

    async def at(self, review: str) -> ReviewOut:
        """Where a review stands, as the auditor sees it."""
        return await self.person(AUDITOR).status(review)

    async def told(self, review: str) -> list[str]:
        """What the entries of the ledger say, in order."""
        return [entry.what for entry in (await self.person(AUDITOR).timeline(review)).entries]

    async def until_stage(self, review: str, stage: str) -> None:
        """Wait until the review has come to a stage."""

        async def there() -> bool:
            return (await self.at(review)).stage == stage

        await until(there, seconds=20)


@asynccontextmanager
async def system_on(urls: DatabaseUrls, temporal_address: str, issuer: Issuer) -> AsyncIterator[System]:
    """A system with the people and the training of the examples, and an API; no worker runs yet."""
    clock = Clock()
    async with connect(urls.app_url, clock=clock, max_size=5) as database:
        registers = Registers(database, SIGNER)
        await registers.registry.enrol()
        await registers.publish(PACK)
        await registers.ensure_operator(OPERATOR)
        system = System(urls, temporal_address, issuer, database, clock)
        async with system.api() as http:
            system.http = http
            for who, path, file in (
                (OPERATOR, "/people/import", "people.csv"),
                (TRAINING_OFFICER, "/training/import", "training.csv"),
            ):
                response = await system.person(who).put_in(path, (EXAMPLES / file).read_bytes(), "text/csv")
                assert 200 == response.status_code, response.text
            yield system


@asynccontextmanager
async def serving(app: ASGIApp, *, lifespan: bool = False, port: int = 0) -> AsyncIterator[str]:
    """A server on loopback, in this loop, for the length of the block; gives its URL."""
    # With the protocol named: asyncio turns Nagle's algorithm off for no other socket, and each answer takes 40 ms more.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="on" if lifespan else "off",
                log_config=None,
                access_log=False,
                http="h11",  # as in earnest, whatever else is installed
                timeout_keep_alive=75,  # likewise
                timeout_graceful_shutdown=1,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                while not server.started:
                    assert not task.done(), "the server did not start"
                    await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def new_id() -> str:
    """A business id that no other review of this run has: all tests share one Temporal."""
    return f"r-{uuid4()}"


def decision_id(receipt: Receipt | httpx2.Response) -> UUID:
    """The id of a decision, by what came back for it."""
    return receipt.decision_id if isinstance(receipt, Receipt) else UUID(receipt.json()["decision_id"])


def digest(proposal: Proposal) -> str:
    """The content digest of a proposal."""
    return digest_of(proposal)


def people_of_the_examples() -> list[dict[str, str]]:
    """The rows of the example people."""
    with (EXAMPLES / "people.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
