"""The same decision again and again: to two API processes in the same moment,
and where the answer to a COMMIT is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from domain.decisions import Receipt
from domain.events import Accepted, Refused
from domain.proposal import content_digest
from runtime.temporal import connect as connect_to_temporal
from store.database import connect
from store.decisions import Decisions
from store.receipts import Receipts
from tests.support.fleet import Fleet, fleet
from tests.support.harness import SIGNER, Harness, until
from tests.support.system import AUTHOR, REVIEWERS, example

PROPOSAL = example(1)


@dataclass(frozen=True)
class Doubled:
    """Two APIs and two workers, and who looks into what became of it."""

    fleet: Fleet
    apis: list[httpx2.AsyncClient]
    record: Harness

    async def post(self, api: int, path: str, person: str, body: dict[str, Any]) -> httpx2.Response | None:
        """The answer of one API; None where it has none, or can't know."""
        headers = {"Authorization": f"Bearer {self.fleet.issuer.mint(person)}", "Prefer": "wait=10"}
        try:
            response = await self.apis[api].post(path, json=body, headers=headers)
        except httpx2.TransportError:
            return None
        return response if response.status_code == httpx2.codes.OK else None

    async def receipt(self, api: int, path: str, person: str, body: dict[str, Any]) -> Receipt:
        """What became of it: sent until somebody knows."""
        response = await until(lambda: self.post(api, path, person, body))
        assert response is not None
        return Receipt.model_validate_json(response.content)

    async def opened(self) -> str:
        """A review."""
        review = f"r-{uuid4().hex[:12]}"
        body = {"review": review, "decision_id": str(uuid4()), "proposal": PROPOSAL.model_dump(mode="json")}
        assert (await self.receipt(0, "/reviews", AUTHOR, body)).status == "accepted"
        return review

    async def settled(self, review: str) -> list[str]:
        """The decisions on the ledger of this review, each as often as it stands there; all else agrees with it."""
        await self.record.agrees(review)
        found = []
        for event in await self.record.ledger(review):
            if isinstance(event, Accepted):
                found.append(str(event.envelope.decision_id))
            elif isinstance(event, Refused):
                found.append(str(event.decision))
        return found[1:]


@pytest.fixture(scope="module")
async def doubled() -> AsyncIterator[Doubled]:
    """Processes as in earnest; a run of a workflow ends after three messages."""
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(fleet(RINGI_MESSAGES_PER_RUN="3"))
        apis = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=api.ready_url or "", timeout=15, trust_env=False)
            )
            for api in system.apis
        ]
        url = system.postgres.app_url
        database = await stack.enter_async_context(connect(url))
        client = await connect_to_temporal(system.temporal.address)
        receipts = Receipts(url, Decisions(database, SIGNER))
        yield Doubled(system, apis, Harness(database, client, system.temporal.address, url, receipts))


def question(number: int) -> dict[str, Any]:
    """A decision that changes nothing but the number of open questions."""
    return {"id": str(uuid4()), "kind": "question", "digest": content_digest(PROPOSAL), "reason": f"Number {number}?"}


async def test_the_same_decision_to_two_apis_in_the_same_moment(doubled: Doubled) -> None:
    """Each of ten is sent six times at once, three times to each: one entry, and all who sent it get its receipt."""
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    asked = [question(number) for number in range(10)]
    for body in asked:
        everybody = await asyncio.gather(*(doubled.receipt(n % 2, path, REVIEWERS[0], body) for n in range(6)))
        (receipt,) = set(everybody)
        assert (str(receipt.decision_id), receipt.status) == (body["id"], "accepted")
    assert await doubled.settled(review) == [body["id"] for body in asked]
    account = await doubled.record.account(review)
    assert account.stored == len(asked)
    assert account.runs > 3


async def test_two_people_take_the_same_place_in_the_same_moment(doubled: Doubled) -> None:
    """The route asks for one verdict sheet: of two that come at once, each by another API, one is taken."""
    review = await doubled.opened()
    route = (await doubled.record.state(review)).route
    assert route is not None
    verdicts = [
        {"principle": principle, "finding": "respected", "reason": "As the documents show."}
        for principle in route.principles
    ]
    digest = content_digest(PROPOSAL)
    sheet = {"kind": "verdict_sheet", "digest": digest, "verdicts": verdicts}
    ids = [str(uuid4()) for _ in range(2)]
    path = f"/reviews/{review}/decisions"
    await asyncio.gather(*(doubled.post(n, path, REVIEWERS[n], {"id": name, **sheet}) for n, name in enumerate(ids)))
    assert sorted(await doubled.settled(review)) == sorted(ids)
    ledger = await doubled.record.ledger(review)
    assert sum(isinstance(event, Accepted) and event.envelope.kind == "verdict_sheet" for event in ledger) == 1


async def test_the_answer_to_a_commit_is_lost(doubled: Doubled) -> None:
    """Of the API that stores a decision, with the workers away; then of whoever commits, as it comes."""
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    proxy = doubled.fleet.before_postgres
    first = question(0)
    async with doubled.fleet.without(doubled.fleet.workers):
        lost = proxy.swallowed
        proxy.swallow(after=b"COMMIT")
        assert await doubled.post(0, path, REVIEWERS[0], first) is None
        assert proxy.swallowed == lost + 1
    bodies = [first, *(question(number) for number in range(1, 4))]
    for number, body in enumerate(bodies):
        proxy.swallow(after=b"COMMIT")
        receipt = await doubled.receipt(number % 2, path, REVIEWERS[0], body)
        assert receipt.status == "accepted"
    proxy.calm()
    assert proxy.swallowed > len(bodies)
    assert await doubled.settled(review) == [body["id"] for body in bodies]
    assert (await doubled.record.account(review)).stored <= len(bodies)
