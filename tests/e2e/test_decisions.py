"""The way of a decision: stored, applied once, and answered; whatever is repeated, raced, wrong, or away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

from activities.naming import workflow_id_for
from domain.decisions import Receipt
from domain.events import Accepted, Refused
from domain.ledger import Entry
from domain.verification import verify
from runtime.embedded import DataFolder, PostgresServer, free_port
from runtime.issuer import Issuer
from store.migrate import migrate
from tests.conftest import DatabaseUrls, Servers
from tests.support.harness import until
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    OPERATOR,
    OWNER,
    REVIEWERS,
    Person,
    System,
    decision_id,
    example,
    new_id,
    sheet,
    system_on,
)

NO_WAIT = {"Prefer": "wait=0"}


async def entries_about(system: System, review: str, decision: UUID) -> list[Entry]:
    """The entries of the ledger that say what became of a decision."""
    recorded = (await system.person(AUDITOR).evidence(review)).entries
    entries = [Entry.model_validate_json(entry.data) for entry in recorded]
    return [
        entry
        for entry in entries
        if (isinstance(entry.event, Accepted) and entry.event.envelope.decision_id == decision)
        or (isinstance(entry.event, Refused) and entry.event.decision == decision)
    ]


async def pending(response: httpx2.Response) -> str:
    """Where to ask for the receipt of a decision that has none yet."""
    assert 202 == response.status_code, response.text
    body = response.json()
    location = response.headers["Location"]
    assert f"/reviews/{body['review']}/decisions/{body['decision_id']}" == location
    assert "pending" == body["status"]
    return location


async def receipt_at(person: Person, location: str) -> Receipt:
    """The receipt, when there is one."""

    async def there() -> httpx2.Response | None:
        response = await person.get(location, headers={"Prefer": "wait=5"})
        return response if response.status_code == 200 else None

    response = await until(there, seconds=30)
    assert response is not None
    return Receipt.model_validate_json(response.content)


async def test_a_repeated_decision_gets_the_same_receipt(system: System) -> None:
    """Whether its id is in the body or in the header; and there is one entry on record."""
    review, reviewer, key = await system.opened(example(3)), system.person(REVIEWERS[0]), uuid4()
    first = await reviewer.say(review, "verdict_sheet", id=str(key), verdicts=sheet())
    digest = (await reviewer.status(review)).digest
    again = await reviewer.say(review, "verdict_sheet", id=str(key), verdicts=sheet(), digest=digest)
    header = await reviewer.say(
        review, "verdict_sheet", verdicts=sheet(), digest=digest, headers={"Idempotency-Key": str(key)}
    )
    assert [200, 200, 200] == [response.status_code for response in (first, again, header)]
    assert first.json() == again.json() == header.json()
    asked = await reviewer.get(f"/reviews/{review}/decisions/{key}")
    assert (200, first.json()) == (asked.status_code, asked.json())
    assert 1 == len(await entries_about(system, review, key))


async def test_a_repeated_refusal_is_the_same_refusal(system: System) -> None:
    """A 409 with the receipt of the first time."""
    review, reviewer, key = await system.opened(example(3)), system.person(REVIEWERS[0]), str(uuid4())
    first, again = [
        await reviewer.say(review, "verdict_sheet", id=key, verdicts=sheet()[:2], digest="1" * 64) for _ in range(2)
    ]
    assert [409, 409] == [first.status_code, again.status_code]
    assert first.json()["receipt"] == again.json()["receipt"]
    assert ("urn:ringi:problem:conflict", "stale") == (first.json()["type"], first.json()["reason"])
    assert 1 == len(await entries_about(system, review, UUID(key)))


async def test_the_same_decision_ten_times_at_once_is_applied_once(system: System) -> None:
    """A double click: all get the one receipt."""
    review, reviewer, key = await system.opened(example(3)), system.person(REVIEWERS[0]), uuid4()
    digest = (await reviewer.status(review)).digest
    responses = await asyncio.gather(
        *(reviewer.say(review, "verdict_sheet", id=str(key), verdicts=sheet(), digest=digest) for _ in range(10))
    )
    assert [200] * 10 == [response.status_code for response in responses], [r.text for r in responses]
    assert 1 == len({response.text for response in responses})
    assert 1 == len(await entries_about(system, review, key))


async def test_an_id_is_not_used_again_for_something_else(system: System) -> None:
    """That is an error of its own, on record once however often it is tried, and changes nothing."""
    review, reviewer, key = await system.opened(example(3)), system.person(REVIEWERS[0]), uuid4()
    await reviewer.accepted(review, "question", id=str(key), reason="Who looks at the list?")
    response = await reviewer.say(review, "question", id=str(key), reason="Who looks at the lists?")
    assert (409, "id_reused") == (response.status_code, response.json()["reason"])
    assert "receipt" not in response.json()

    async def on_record() -> list[Entry]:
        return [entry for entry in await entries_about(system, review, key) if isinstance(entry.event, Refused)]

    await until(on_record)
    for _ in range(5):
        response = await reviewer.say(review, "question", id=str(key), reason=f"Who looks at {uuid4()}?")
        assert (409, "id_reused") == (response.status_code, response.json()["reason"])
    await reviewer.accepted(review, "question", reason="And when?")
    (entry,) = await on_record()
    assert isinstance(entry.event, Refused)
    assert "id_reused" == entry.event.reason
    assert any("(id_reused)" in what for what in await system.told(review))
    assert 2 == len((await system.at(review)).questions)
    asked = await reviewer.get(f"/reviews/{review}/decisions/{key}")
    assert "accepted" == asked.json()["status"]


async def test_body_and_header_name_one_id(system: System) -> None:
    """Where they differ, nothing is taken."""
    review, reviewer = await system.opened(example(3)), system.person(REVIEWERS[0])
    response = await reviewer.say(
        review, "question", id=str(uuid4()), reason="Why?", headers={"Idempotency-Key": str(uuid4())}
    )
    assert (422, "/id") == (response.status_code, response.json()["errors"][0]["pointer"])
    response = await system.person(AUTHOR).post(
        "/reviews",
        {"proposal": example(1).model_dump(mode="json"), "decision_id": str(uuid4())},
        **{"Idempotency-Key": str(uuid4())},
    )
    assert (422, "/decision_id") == (response.status_code, response.json()["errors"][0]["pointer"])
    assert [] == (await system.at(review)).questions


async def test_who_does_not_wait_is_told_where_to_ask(system: System) -> None:
    """202 and the place; the receipt is there when it is; the preference is said to be applied."""
    review, reviewer = await system.opened(example(3)), system.person(REVIEWERS[0])
    response = await reviewer.say(review, "verdict_sheet", verdicts=sheet(), headers=NO_WAIT)
    location = await pending(response)
    assert "wait=0" == response.headers["Preference-Applied"]
    assert "accepted" == (await receipt_at(reviewer, location)).status
    assert 404 == (await reviewer.get(f"/reviews/{review}/decisions/{uuid4()}")).status_code
    other = await system.opened(example(1))
    assert 404 == (await reviewer.get(location.replace(review, other))).status_code


async def test_with_no_worker_decisions_are_taken_and_applied_once_when_one_is_there(without_worker: System) -> None:
    """A submission likewise: never lost, and however often it is repeated, started once."""
    system, review, key = without_worker, new_id(), str(uuid4())
    author, proposal = system.person(AUTHOR), example(3)
    submitted = [
        await author.submit(proposal, review, **{"Idempotency-Key": key, "Prefer": "wait=0"}) for _ in range(3)
    ]
    assert 1 == len({await pending(response) for response in submitted})
    status = await author.status(review)
    assert (None, None, proposal.title) == (status.stage, status.outcome, status.title)

    async with system.worker():
        assert "accepted" == (await receipt_at(author, await pending(submitted[0]))).status
    reviewer, one, two = system.person(REVIEWERS[0]), str(uuid4()), str(uuid4())
    digest = (await reviewer.status(review)).digest
    decided = [
        await reviewer.say(review, "verdict_sheet", id=one, verdicts=sheet(), digest=digest, headers=NO_WAIT)
        for _ in range(3)
    ]
    assert 1 == len({await pending(response) for response in decided})
    second = await reviewer.say(review, "question", id=two, reason="And?", digest=digest, headers=NO_WAIT)
    assert (409, "pending") == (second.status_code, second.json()["reason"])

    async with system.worker():
        assert "accepted" == (await receipt_at(reviewer, await pending(decided[0]))).status
        accepted = await reviewer.say(review, "question", id=two, reason="And?", digest=digest)
        assert 200 == accepted.status_code
        again = await author.submit(proposal, review, **{"Idempotency-Key": key})
        assert (200, key) == (again.status_code, again.json()["decision_id"])
        for decision in (key, one, two):
            assert 1 == len(await entries_about(system, review, UUID(decision)))
        assert verify(await system.person(AUDITOR).evidence(review)).holds


async def test_with_temporal_away_decisions_are_taken_and_applied_once_when_it_is_back(
    own_system: System, temporal_client: Client
) -> None:
    """The dispatcher hands them on; nobody has to send them again."""
    system, review, key = own_system, new_id(), uuid4()
    async with system.api(temporal=f"127.0.0.1:{free_port()}") as cut_off:
        author, reviewer = (system.person(name, cut_off) for name in (AUTHOR, REVIEWERS[0]))
        location = await pending(
            await author.submit(example(1), review, **{"Idempotency-Key": str(key), "Prefer": "wait=0"})
        )
        assert "accepted" == (await receipt_at(author, location)).status
        response = await reviewer.say(review, "verdict_sheet", verdicts=sheet(), headers=NO_WAIT)
        receipt = await receipt_at(reviewer, await pending(response))
        assert "accepted" == receipt.status
        assert 503 == (await system.person(AUDITOR, cut_off).get(f"/reviews/{review}/history")).status_code
        evidence = await system.person(AUDITOR, cut_off).evidence(review)
        assert "unreachable" == evidence.workflow.status
        assert verify(evidence).holds
        ready = await cut_off.get("/readyz")
        assert (503, "ok") == (ready.status_code, ready.json()["checks"]["database"])
    for decision in (key, receipt.decision_id):
        assert 1 == len(await entries_about(system, review, decision))
    assert 1 == await runs_of(temporal_client, review)
    assert verify(await system.person(AUDITOR).evidence(review)).holds


async def runs_of(client: Client, review: str) -> int:
    """How many workflows there are of a review; Temporal's list lags."""
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace, query=f"WorkflowId = '{workflow_id_for(review)}'"
    )

    async def listed() -> int:
        return len((await client.workflow_service.list_workflow_executions(request)).executions)

    return await until(listed)


async def test_a_submission_is_not_started_again_after_its_end(system: System, temporal_client: Client) -> None:
    """The repeat gets the receipt; another proposal under the same review id is refused."""
    author, key, review = system.person(AUTHOR), str(uuid4()), new_id()
    first = await author.submit(example(1), review, **{"Idempotency-Key": key})
    await system.reviewed(review)
    await system.signed_off(review)
    again = await author.submit(example(1), review, **{"Idempotency-Key": key})
    assert (200, first.json()) == (again.status_code, again.json())
    for changed in (
        await author.submit(example(1), review),
        await author.submit(example(1), review, **{"Idempotency-Key": str(uuid4())}),
        await author.submit(example(2), review, **{"Idempotency-Key": key}),
    ):
        assert (409, "id_reused") == (changed.status_code, changed.json()["reason"])
    assert 1 == await runs_of(temporal_client, review)
    assert (example(1).title, "approved") == ((await system.at(review)).title, (await system.at(review)).outcome)


async def test_ten_submissions_at_once_under_one_id_start_one_review(system: System, temporal_client: Client) -> None:
    """The same one ten times: one receipt; another one beside it: refused."""
    review, key = new_id(), str(uuid4())
    author, owner = system.person(AUTHOR), system.person(OWNER)
    same = [author.submit(example(1), review, **{"Idempotency-Key": key}) for _ in range(10)]
    responses = await asyncio.gather(*same, owner.submit(example(2), review))
    statuses = sorted(response.status_code for response in responses)
    assert statuses in ([200] * 10 + [409], [200] + [409] * 10)
    assert 1 == await runs_of(temporal_client, review)


async def test_the_review_is_named_by_its_submission_where_nothing_else_is_said(system: System) -> None:
    """Its id is that of the decision."""
    response = await system.person(AUTHOR).submit(example(1))
    assert (200, str(decision_id(response))) == (response.status_code, response.json()["review"])


@asynccontextmanager
async def nothing_decided(system: System, review: str) -> AsyncIterator[None]:
    """Whatever is sent within the block, nothing of it is on record."""
    before = await system.told(review)
    yield
    assert before == await system.told(review)


def problem(response: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem that an answer is (RFC 9457); never with a trace of what we are made of."""
    assert status == response.status_code, response.text
    assert "application/problem+json" == response.headers["Content-Type"]
    document: dict[str, Any] = response.json()
    assert (f"urn:ringi:problem:{slug}", status) == (document["type"], document["status"])
    assert document["title"]
    assert f"urn:ringi:request:{response.headers['X-Request-ID']}" == document["instance"]
    assert "Traceback" not in response.text
    return document


def places(document: dict[str, Any]) -> list[str]:
    """Where the mistakes are."""
    return [error.get("pointer", error.get("parameter")) for error in document["errors"]]


async def test_what_cannot_be_taken_is_said_as_a_problem(system: System) -> None:
    """With the place of each mistake, and nothing of it on record."""
    review = await system.opened(example(3))
    reviewer, digest = system.person(REVIEWERS[0]), (await system.at(review)).digest
    path = f"/reviews/{review}/decisions"
    full = {"kind": "verdict_sheet", "digest": digest, "verdicts": sheet()}
    async with nothing_decided(system, review):
        unknown = problem(await system.http.post(path, json=full), 401, "unauthenticated")
        assert unknown["detail"]
        bad = await system.http.post(path, json=full, headers={"Authorization": "Bearer e30.e30.e30"})
        problem(bad, 401, "unauthenticated")
        assert bad.headers["WWW-Authenticate"].startswith("Bearer")

        problem(await system.person(OWNER).post(path, full), 403, "forbidden")
        problem(await system.person("ops.operator").post(path, full), 404, "not-found")
        problem(await reviewer.post(f"/reviews/{new_id()}/decisions", full), 404, "not-found")

        problem(await reviewer.put_in(path, b"x" * 300_000, "application/json"), 413, "content-too-large")
        problem(await reviewer.put_in(path, b"{}", "text/plain"), 415, "unsupported-media-type")
        for text in (b"{", b'{"kind": "question", "kind": "answer"}', b'{"a": NaN}', b"\xff", b'"\\ud800"'):
            problem(await reviewer.put_in(path, text, "application/json"), 400, "malformed-request")

        wrong = {
            **full,
            "digest": "x",
            "more": 1,
            "verdicts": [{"principle": "fairness", "finding": "bad", "reason": ""}, *sheet()[1:]],
        }
        document = problem(await reviewer.post(path, wrong), 422, "invalid")
        assert {"/digest", "/more", "/verdicts/0/finding", "/verdicts/0/reason"} == set(places(document))
        for body, pointer in (
            ({}, ""),
            ({**full, "kind": "no_such_kind"}, ""),
            ({"kind": "question", "digest": digest}, "/reason"),
            ({"kind": "question", "digest": digest, "reason": "a\x00b"}, "/reason"),
            ({"kind": "question", "digest": digest, "reason": " "}, "/reason"),
            ({"kind": "submission", "digest": digest}, ""),
            ({"kind": "training_recorded", "digest": digest}, ""),
            ({**full, "id": "no uuid"}, "/id"),
            ({"kind": "revision", "digest": digest, "proposal": {}}, "/proposal/title"),
        ):
            document = problem(await reviewer.post(path, body), 422, "invalid")
            assert pointer in places(document), (body, document)
        document = problem(await reviewer.post(path, full, **{"Idempotency-Key": "none"}), 422, "invalid")
        assert "idempotency-key" == document["errors"][0]["parameter"].lower()
    problem(await reviewer.post(path, {**full, "verdicts": sheet()[:1]}), 409, "conflict")


async def test_nobodys_body_is_read(system: System) -> None:
    """Who does not say who they are is answered 401, whatever they send: it tells nothing of what would be taken."""
    for content, kind in (
        (b'{"kind": 1, "kind": 1}', "application/json"),
        (b"x" * 300_000, "application/json"),
        (b"{}", "text/plain"),
    ):
        for path in (
            f"/reviews/{new_id()}/decisions",
            "/reviews",
            "/assessments",
            "/keys",
            "/webhooks",
            "/invitations",
        ):
            response = await system.http.post(path, content=content, headers={"Content-Type": kind})
            problem(response, 401, "unauthenticated")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"answers": {}}, "/proposal/answers"),
        ({"answers": {"output_use": "no_such_option"}}, "/proposal/answers"),
        ({"jurisdictions": ["ZZ"]}, "/proposal/jurisdictions/0"),
        ({"title": "a\nb"}, "/proposal/title"),
        (
            {"documents": [{"digest": "1" * 64, "name": "a.pdf", "media_type": "application/pdf"}]},
            "/proposal/documents/0",
        ),
        ({"nonsense": 1}, "/proposal/nonsense"),
        ({"purpose": "x" * 10_001}, "/proposal/purpose"),
    ],
)
async def test_a_proposal_that_does_not_hold_is_not_submitted(
    system: System, change: dict[str, object], pointer: str
) -> None:
    """Each mistake is said with its place, and there is no review."""
    review = new_id()
    body = {"review": review, "proposal": {**example(1).model_dump(mode="json"), **change}}
    document = problem(await system.person(AUTHOR).post("/reviews", body), 422, "invalid")
    assert any(place.startswith(pointer) for place in places(document)), document
    assert 404 == (await system.person(AUDITOR).get(f"/reviews/{review}")).status_code


async def test_only_its_owner_or_author_submits_a_proposal(system: System) -> None:
    """Having the role is not enough; nor is being named without having it."""
    review = new_id()
    proposal = example(1, owner=REVIEWERS[0], author=REVIEWERS[0])
    for name in (OWNER, REVIEWERS[0], OPERATOR):
        problem(await system.person(name).submit(proposal, review), 403, "forbidden")
    body = {"proposal": example(1).model_dump(mode="json"), "pack": "no-such-pack"}
    document = problem(await system.person(OWNER).post("/reviews", body), 422, "invalid")
    assert ["/pack"] == places(document)
    body = {"proposal": example(1).model_dump(mode="json"), "review": "../etc"}
    assert ["/review"] == places(problem(await system.person(OWNER).post("/reviews", body), 422, "invalid"))


@pytest.mark.parametrize(
    "path",
    [
        "/reviews/%00",
        "/reviews/a%20b/timeline",
        f"/reviews/{'x' * 65}",
        "/reviews/%F0%9F%92%A9/history",
        "/reviews/r-1/decisions/not-a-uuid",
        "/reviews?before=2026-01-01T00:00:00",
        "/reviews?before=0001-01-01T00:00:00%2B14:00",
        "/reviews?limit=0",
        "/reviews?limit=99999999999999999999",
        "/inbox?limit=501",
        "/documents/no-digest",
        "/packs/%00",
    ],
)
async def test_an_address_that_makes_no_sense_is_refused(system: System, path: str) -> None:
    """And never ends in an error of ours."""
    for name in (AUDITOR, OWNER):
        problem(await system.person(name).get(path), 422, "invalid")


@pytest.mark.parametrize("path", ["/reviews/", "/me/", "/docs/", "/readyz/"])
async def test_an_address_with_a_slash_too_many_is_none(system: System, path: str) -> None:
    """Nobody is led to the host that a request names."""
    response = await system.person(OWNER).get(path, headers={"Host": "elsewhere.example"})
    assert "Location" not in response.headers
    problem(response, 404, "not-found")


async def test_lists_are_paged(system: System) -> None:
    """The newest first; a page says where the next one begins."""
    reviews = [await system.opened(example(1)) for _ in range(3)]
    owner = system.person(OWNER)
    first = (await owner.get("/reviews", limit=2)).json()
    rest = (await owner.get("/reviews", limit=2, before=first["next"])).json()
    assert reviews[::-1] == [row["id"] for row in first["reviews"] + rest["reviews"][:1]]
    assert [] == (await system.person("ops.operator").get("/reviews")).json()["reviews"]


@asynccontextmanager
async def with_its_own_postgres(servers: Servers, issuer: Issuer) -> AsyncIterator[tuple[System, PostgresServer]]:
    """A system, without a worker, whose PostgreSQL can be stopped."""
    with TemporaryDirectory(prefix="ringi-e2e-") as path, DataFolder(Path(path)) as folder:
        async with PostgresServer(folder, durable=False) as postgres:
            await migrate(postgres.owner_url)
            urls = DatabaseUrls("ringi", postgres.app_url, postgres.owner_url)
            async with system_on(urls, servers.temporal.address, issuer) as system:
                yield system, postgres


async def test_without_the_database_nothing_is_taken(servers: Servers, issuer: Issuer) -> None:
    """503, worth trying again; when it is back, everything goes on."""
    async with with_its_own_postgres(servers, issuer) as (system, postgres):
        author, review = system.person(AUTHOR), new_id()
        await postgres.stop()
        for response in (
            await author.submit(example(1), review),
            await author.get("/reviews"),
            await author.post(
                f"/reviews/{review}/decisions", {"kind": "withdrawal", "digest": "1" * 64, "reason": "x"}
            ),
        ):
            assert "nothing was taken" in problem(response, 503, "unavailable")["detail"]
            assert int(response.headers["Retry-After"]) > 0
        ready = await system.http.get("/readyz")
        assert (503, "ok") == (ready.status_code, ready.json()["checks"]["temporal"])
        assert 200 == (await system.http.get("/livez")).status_code
        await postgres.start()
        async with system.worker():
            response = await author.submit(example(1), review)
            assert (200, "accepted") == (response.status_code, response.json()["status"])


async def test_a_decision_that_is_stored_is_pending_when_the_database_goes_while_it_waits(
    servers: Servers, issuer: Issuer
) -> None:
    """202 and where to ask; there it has its receipt when the database is back. Nobody has to send it again."""
    async with with_its_own_postgres(servers, issuer) as (system, postgres):
        author, review, key = system.person(AUTHOR), new_id(), uuid4()
        waiting = asyncio.create_task(
            author.submit(example(1), review, **{"Idempotency-Key": str(key), "Prefer": "wait=30"})
        )
        await until(lambda: system.database.pool.fetchval("select true from decisions where id = $1", key))
        await postgres.stop()
        location = await pending(await waiting)
        await postgres.start()
        async with system.worker():
            receipt = await receipt_at(author, location)
        assert (key, "accepted") == (receipt.decision_id, receipt.status)
