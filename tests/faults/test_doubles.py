"""The same decision again and again: to two API processes in the same moment,
and where the answer to a COMMIT is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

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


AN_ENTRY = b'"type":"accepted"'
"""What nobody says to PostgreSQL but who writes an entry on a ledger (its statement is said once on a connection alone)."""


@dataclass(frozen=True)
class Doubled:
    """Two APIs and two workers, and who looks into what became of it."""

    fleet: Fleet
    apis: list[httpx2.AsyncClient]
    record: Harness

    async def post(self, api: int, path: str, person: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """The status and the document that one API answers; None where nothing comes back."""
        headers = {"Authorization": f"Bearer {self.fleet.issuer.mint(person)}", "Prefer": "wait=10"}
        try:
            response = await self.apis[api].post(path, json=body, headers=headers)
        except httpx2.TransportError:
            return None
        return response.status_code, response.json()

    async def receipt(self, api: int, path: str, person: str, body: dict[str, Any]) -> Receipt:
        """What became of it: sent until somebody knows."""

        async def told() -> Receipt | None:
            answer = await self.post(api, path, person, body)
            return Receipt.model_validate(answer[1]) if answer is not None and answer[0] == httpx2.codes.OK else None

        receipt = await until(told)
        assert receipt is not None
        return receipt

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
    """Each of ten is sent six times at once, three times to each: one entry, and all who sent it get its receipt. Nobody has
    more than five questions open.
    """
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    asked = [question(number) for number in range(10)]
    for number, body in enumerate(asked):
        person = REVIEWERS[number % 2]
        everybody = await asyncio.gather(*(doubled.receipt(n % 2, path, person, body) for n in range(6)))
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


async def test_the_answer_to_the_commit_of_an_entry_is_lost(doubled: Doubled) -> None:
    """Of the worker, which alone writes entries, and can't know that it did: it tries again, and there is one."""
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    proxy = doubled.fleet.before_postgres
    bodies = [question(number) for number in range(3)]
    for body in bodies:
        before = proxy.swallowed
        lost = proxy.swallow(after=b"COMMIT", once=AN_ENTRY)
        receipt = await doubled.receipt(0, path, REVIEWERS[0], body)
        assert (str(receipt.decision_id), receipt.status) == (body["id"], "accepted")
        assert lost.is_set()
        assert proxy.swallowed == before + 1
    assert await doubled.settled(review) == [body["id"] for body in bodies]
    assert (await doubled.record.account(review)).stored == len(bodies)


@pytest.mark.parametrize("named", [True, False], ids=["with an id", "without"])
async def test_who_stores_a_decision_and_does_not_hear_that_it_is_says_so(doubled: Doubled, named: bool) -> None:
    """The answer to the API's COMMIT is lost, with the workers away: it may be stored, says the API, and names the id,
    its own where the client had none. Sent again by that, it counts once.
    """
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    proxy = doubled.fleet.before_postgres
    body = question(0)
    sent = body if named else {name: said for name, said in body.items() if name != "id"}
    async with doubled.fleet.without(doubled.fleet.workers):
        lost = proxy.swallowed
        proxy.swallow(after=b"COMMIT")
        answer = await doubled.post(0, path, REVIEWERS[0], sent)
        assert proxy.swallowed == lost + 1
        assert answer is not None
        status, problem = answer
        assert (status, problem["type"]) == (503, "urn:ringi:problem:unavailable")
        assert "may have been stored" in problem["detail"]
        assert "nothing was taken" not in problem["detail"]
        if named:
            assert problem["decision_id"] == body["id"]
        body["id"] = problem["decision_id"]
        assert await doubled.record.database.pool.fetchval(
            "select status from decisions where id = $1", UUID(body["id"])
        )
    receipt = await doubled.receipt(1, path, REVIEWERS[0], body)
    assert (str(receipt.decision_id), receipt.status) == (body["id"], "accepted")
    assert await doubled.settled(review) == [body["id"]]


async def test_a_submission_that_may_be_stored_is_sent_again_by_the_id_that_the_answer_names(doubled: Doubled) -> None:
    """Neither the decision nor the review had a name of the client's: there is one review, and it is that one."""
    body = {"proposal": PROPOSAL.model_dump(mode="json")}
    reviews = "select count(*) from reviews"
    before = await doubled.record.database.pool.fetchval(reviews)
    async with doubled.fleet.without(doubled.fleet.workers):
        doubled.fleet.before_postgres.swallow(after=b"COMMIT")
        answer = await doubled.post(0, "/reviews", AUTHOR, body)
    assert answer is not None
    status, problem = answer
    assert (status, "may have been stored" in problem["detail"]) == (503, True), problem
    receipt = await doubled.receipt(1, "/reviews", AUTHOR, {**body, "decision_id": problem["decision_id"]})
    assert (receipt.review, receipt.status) == (problem["decision_id"], "accepted")
    assert await doubled.record.database.pool.fetchval(reviews) == before + 1


async def test_the_answer_to_a_commit_is_lost(doubled: Doubled) -> None:
    """Of whoever commits, as it comes."""
    review = await doubled.opened()
    path = f"/reviews/{review}/decisions"
    proxy = doubled.fleet.before_postgres
    lost = proxy.swallowed
    bodies = [question(number) for number in range(4)]
    for number, body in enumerate(bodies):
        proxy.swallow(after=b"COMMIT")
        receipt = await doubled.receipt(number % 2, path, REVIEWERS[0], body)
        assert receipt.status == "accepted"
    proxy.calm()
    assert proxy.swallowed >= lost + len(bodies)
    assert await doubled.settled(review) == [body["id"] for body in bodies]
    assert (await doubled.record.account(review, gone=len(doubled.fleet.workers))).stored <= len(bodies)
