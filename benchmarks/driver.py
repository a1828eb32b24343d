"""The side of the people: plays complete reviews against a running system and says how long each act took.

`python -m benchmarks.driver` reads one `Job` as JSON and answers with one `Played`. It is a process of its own, so that
its work is not done where the work that it measures is done.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

import httpx2
import uvloop
from pydantic import BaseModel, ConfigDict, JsonValue
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from activities.naming import workflow_id_for
from benchmarks import bare
from benchmarks.system import EXAMPLE
from domain import sign_off
from domain.decisions import AnyContent, Finding, Signature, Submission, Verdict, VerdictSheet
from domain.drafts import Draft
from domain.policy import PolicyPack
from domain.proposal import Proposal, content_digest
from runtime.courier import TemporalCourier
from runtime.keys import read_key
from runtime.packs import load_proposal, shipped_packs
from runtime.temporal import connect as connect_temporal
from store.database import connect as connect_database
from store.decisions import Decisions
from store.receipts import Receipts
from store.registers import Registers
from store.reviews import Reviews

REVIEWERS = ("rin.reviewer", "jun.reviewer")
SIGNATORIES = ("bo.head", "di.head")
DECISIONS = len(REVIEWERS) + len(SIGNATORIES)

_PATIENCE = 30.0
_WARM_UP = 4

Side = Literal["bare", "signals", "http"]


class Job(BaseModel):
    """What to play: so many reviews on one side, so many at a time; and where everything is."""

    model_config = ConfigDict(frozen=True)

    side: Side
    reviews: int
    at_once: int
    temporal: str
    database: str
    api: str
    tokens: dict[str, str]
    key: str


class Played(BaseModel):
    """How long all of it took, in seconds, and how long each decision took until its sender had the answer."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    decisions: list[float]


class Review(Protocol):
    """One review being played."""

    async def submit(self) -> None:
        """Open it, and wait until it is open."""

    async def basis(self) -> str:
        """What the next signatory is shown and signs."""

    async def decide(self, person: str, content: AnyContent) -> None:
        """Decide, and wait for the receipt."""


class Stopwatch:
    """Keeps how long each decision took."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def complete(self, review: Review, sheet: VerdictSheet) -> None:
        """Play one review to its approval: two sheets, two signatures."""
        await review.submit()
        for person in REVIEWERS:
            await self._timed(review, person, sheet)
        for person in SIGNATORIES:
            await self._timed(review, person, Signature(basis=await review.basis()))

    async def _timed(self, review: Review, person: str, content: AnyContent) -> None:
        start = time.perf_counter()
        await review.decide(person, content)
        self.taken.append(time.perf_counter() - start)


class BareReview:
    """On the bare workflow: as many updates, each with as many bytes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id = f"bare:{uuid4()}"

    async def submit(self) -> None:
        await self._client.start_workflow(bare.BareReview.run, DECISIONS, id=self._id, task_queue=bare.TASK_QUEUE)

    async def basis(self) -> str:
        return "0" * 64

    async def decide(self, person: str, content: AnyContent) -> None:
        handle = self._client.get_workflow_handle(self._id)
        await handle.execute_update(bare.BareReview.decide, args=[str(uuid4()), person + content.model_dump_json()])


@dataclass(frozen=True)
class Stores:
    """What a `SignalledReview` works with."""

    decisions: Decisions
    reviews: Reviews
    receipts: Receipts
    courier: TemporalCourier
    pack_digest: str


class SignalledReview:
    """As the API does it, without HTTP: stored, signalled, and the receipt awaited."""

    def __init__(self, stores: Stores, proposal: Proposal) -> None:
        self._stores = stores
        self._proposal = proposal
        self._digest = content_digest(proposal)
        self.id = str(uuid4())

    async def submit(self) -> None:
        draft = self._draft(self._proposal.author, Submission())
        delivery = await self._stores.decisions.submit(draft, self._proposal, self._stores.pack_digest)
        await self._stores.courier.deliver(delivery)
        receipt = await self._stores.receipts.wait(draft.decision_id, _PATIENCE)
        assert receipt is not None
        assert receipt.status == "accepted", receipt

    async def basis(self) -> str:
        state = await self._stores.reviews.state(self.id)
        assert state is not None
        return sign_off.basis(state)

    async def decide(self, person: str, content: AnyContent) -> None:
        draft = self._draft(person, content)
        await self._stores.courier.deliver(await self._stores.decisions.store(draft))
        receipt = await self._stores.receipts.wait(draft.decision_id, _PATIENCE)
        assert receipt is not None
        assert receipt.status == "accepted", receipt

    def _draft(self, person: str, content: AnyContent) -> Draft:
        return Draft(decision_id=uuid4(), review=self.id, person=person, digest=self._digest, content=content)


class HttpReview:
    """As people do it: over HTTP, each with their own token."""

    def __init__(self, client: httpx2.AsyncClient, tokens: dict[str, str], proposal: Proposal) -> None:
        self._client = client
        self._headers = {
            person: {"Authorization": f"Bearer {token}", "Prefer": f"wait={_PATIENCE:.0f}"}
            for person, token in tokens.items()
        }
        self._proposal = proposal
        self._digest = content_digest(proposal)
        self._id = str(uuid4())

    async def submit(self) -> None:
        body: dict[str, JsonValue] = {
            "review": self._id,
            "decision_id": str(uuid4()),
            "proposal": self._proposal.model_dump(mode="json"),
        }
        await self._post("/reviews", self._proposal.author, body)

    async def basis(self) -> str:
        response = await self._client.get(f"/reviews/{self._id}", headers=self._headers[SIGNATORIES[0]])
        assert response.status_code == httpx2.codes.OK, response.text
        return str(response.json()["basis"])

    async def decide(self, person: str, content: AnyContent) -> None:
        body: dict[str, JsonValue] = {"id": str(uuid4()), "digest": self._digest, **content.model_dump(mode="json")}
        await self._post(f"/reviews/{self._id}/decisions", person, body)

    async def _post(self, path: str, person: str, body: dict[str, JsonValue]) -> None:
        response = await self._client.post(path, json=body, headers=self._headers[person])
        assert response.status_code == httpx2.codes.OK, response.text
        assert response.json()["status"] == "accepted"


async def play(job: Job) -> Played:
    """Play a job: first a few reviews that are not counted, then those that are."""
    proposal = load_proposal(EXAMPLE)
    (pack,) = shipped_packs()
    sheet = _sheet(pack)
    async with _side(job, proposal, pack) as begin:
        await _all(begin, sheet, min(_WARM_UP, job.reviews), job.at_once)
        start = time.perf_counter()
        watch = await _all(begin, sheet, job.reviews, job.at_once)
        return Played(seconds=time.perf_counter() - start, decisions=watch.taken)


async def _all(begin: Callable[[], Review], sheet: VerdictSheet, reviews: int, at_once: int) -> Stopwatch:
    watch = Stopwatch()
    left = iter(range(reviews))

    async def one_after_the_other() -> None:
        for _ in left:
            await watch.complete(begin(), sheet)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_the_other())
    return watch


@asynccontextmanager
async def _side(job: Job, proposal: Proposal, pack: PolicyPack) -> AsyncIterator[Callable[[], Review]]:
    if job.side == "bare":
        client = await Client.connect(job.temporal)
        yield lambda: BareReview(client)
    elif job.side == "http":
        limits = httpx2.Limits(max_connections=job.at_once)
        async with httpx2.AsyncClient(base_url=job.api, limits=limits, timeout=60, trust_env=False) as http:
            yield lambda: HttpReview(http, job.tokens, proposal)
    else:
        client = await connect_temporal(job.temporal)
        async with _stores(client, job.database, job.key, pack) as stores:
            yield lambda: SignalledReview(stores, proposal)


@asynccontextmanager
async def _stores(client: Client, database_url: str, key: str, pack: PolicyPack) -> AsyncIterator[Stores]:
    async with connect_database(database_url) as database:
        signer = read_key(Path(key))
        decisions = Decisions(database, signer)
        receipts = Receipts(database_url, decisions)
        digest = await Registers(database, signer).publish(pack)
        async with receipts.listening():
            yield Stores(decisions, Reviews(database), receipts, TemporalCourier(client, "ringi"), digest)


async def events_of_a_decision(temporal: str, database_url: str, key: str) -> int:
    """How many events the first verdict sheet of a review adds to the history of its workflow."""
    (pack,) = shipped_packs()
    client = await connect_temporal(temporal)
    async with _stores(client, database_url, key, pack) as stores:
        review = SignalledReview(stores, load_proposal(EXAMPLE))
        handle = client.get_workflow_handle(workflow_id_for(review.id))
        await review.submit()
        before = await _at_rest(handle, markers=1)
        await review.decide(REVIEWERS[0], _sheet(pack))
        return await _at_rest(handle, markers=2) - before


async def _at_rest(handle: WorkflowHandle[Any, Any], markers: int) -> int:
    """How many events its history has, when it has so many markers: they are written with the end of a task."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            history = await handle.fetch_history()
            kinds = [event.event_type for event in history.events]
            if kinds.count(EventType.EVENT_TYPE_MARKER_RECORDED) >= markers:
                return len(kinds)
            await asyncio.sleep(0.05)


def _sheet(pack: PolicyPack) -> VerdictSheet:
    principles = pack.route(3, council_required=False).principles
    return VerdictSheet(
        verdicts=tuple(
            Verdict(principle=p, finding=Finding.RESPECTED, reason="As the documents show.") for p in principles
        )
    )


async def main() -> None:
    """Answer one job."""
    played = await play(Job.model_validate_json(sys.stdin.buffer.read()))
    sys.stdout.write(played.model_dump_json())
    sys.stdout.flush()
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)


if __name__ == "__main__":
    uvloop.run(main())
