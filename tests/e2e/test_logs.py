"""The logs of API and worker: whose request, which review, which decision; and nothing of what anybody wrote."""

from __future__ import annotations

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.worker import Replayer

from activities.naming import workflow_id_for
from domain.verification import verify
from runtime.issuer import Issuer
from runtime.temporal import plugin
from tests.conftest import DatabaseUrls, Log, Servers
from tests.support.harness import until
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    OPERATOR,
    OWNER,
    REVIEWERS,
    SIGNATORIES,
    System,
    example,
    new_id,
    people_of_the_examples,
    sheet,
    system_on,
)

CANARY = "canary"
"""Whatever somebody wrote, or keeps secret, has this in it."""


async def test_nothing_that_anybody_wrote_is_in_the_logs(
    servers: Servers,
    database: DatabaseUrls,
    issuer: Issuer,
    temporal_client: Client,
    log: Log,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Names, titles, reasons, documents, tokens, passwords; in whatever goes well, and in whatever fails."""
    with_password = database.app_url.replace("ringi_app@", f"ringi_app:{CANARY}-password@")
    assert CANARY in with_password
    urls = DatabaseUrls(database.name, with_password, database.owner_url)
    async with system_on(urls, servers.temporal.address, issuer) as system, system.worker():
        review = await a_whole_review(system)
        await what_is_refused(system, review)
        await what_fails(system, review)
        token = issuer.mint(AUTHOR)
        history = await temporal_client.get_workflow_handle(workflow_id_for(review)).fetch_history()
        about_workflows = len(log.lines(logger="temporalio.workflow", event="commit not possible for now"))
        assert about_workflows
        await Replayer(workflows=[], plugins=[plugin()]).replay_workflow(history)
        assert about_workflows == len(log.lines(logger="temporalio.workflow"))

    written = log.getvalue() + "".join(capfd.readouterr())
    assert CANARY not in written.lower()
    assert not [person["person"] for person in people_of_the_examples() if person["person"] in written]
    assert not [part for part in token.split(".")[:2] if part in written]
    assert "Traceback" not in "".join(line["event"] for line in log.lines())

    requests = log.lines(logger="api.middleware", event="request")
    assert all(line["request_id"] for line in requests)
    assert len(requests) == len({line["request_id"] for line in requests})
    decided = [line for line in requests if line["route"] == "/reviews/{review_id}/decisions"]
    assert {200, 401, 404, 409, 422} <= {line["status"] for line in decided}
    taken = [line for line in decided if line["status"] == 200]
    committed = {line["decision_id"]: line for line in log.lines(event="committed") if "decision_id" in line}
    for line in taken:
        assert review == line["review_id"]
        assert review == committed[line["decision_id"]]["review_id"]
    (failed,) = log.lines(event="request failed")
    assert "asyncpg.exceptions.UndefinedTableError" in failed["error"]
    assert failed["request_id"] in {line["request_id"] for line in requests if line["status"] == 500}


async def a_whole_review(system: System) -> str:
    """Everything that people write on the way to a certificate."""
    row = f'new.person,"{CANARY} name",{CANARY} unit,reviewer,'
    response = await system.person(OPERATOR).put_in(
        "/people/import", f"person,name,unit,role,office\n{row}", "text/csv"
    )
    assert 200 == response.status_code
    response = await system.person(OWNER).put_in("/documents", f"{CANARY} document".encode(), "text/plain")
    document = {"digest": response.json()["digest"], "name": f"{CANARY}.txt", "media_type": "text/plain"}
    texts = {name: f"{CANARY} {name}" for name in ("title", "business_unit", "purpose", "use_of_ai", "how_affected")}
    proposal = {
        **example(1).model_dump(mode="json"),
        **texts,
        "customers": [{"name": f"{CANARY} customer", "use": f"{CANARY} use"}],
        "documents": [document],
    }
    # Who passes it on to customers is asked more.
    proposal["answers"] |= {"use_is_agreed": True, "use_is_watched": True}
    review = new_id()
    response = await system.person(AUTHOR).post("/reviews", {"review": review, "proposal": proposal})
    assert 200 == response.status_code, response.text
    reviewer, owner = system.person("new.person"), system.person(OWNER)
    asked = await reviewer.accepted(review, "question", reason=f"{CANARY} question?")
    await owner.accepted(review, "answer", question=str(asked.decision_id), reason=f"{CANARY} answer")
    verdicts = [verdict | {"reason": f"{CANARY} verdict"} for verdict in sheet()]
    verdicts[0] |= {"finding": "concern", "condition": f"{CANARY} condition"}
    await reviewer.accepted(review, "verdict_sheet", verdicts=verdicts, reason=f"{CANARY} reason")
    return review


async def what_is_refused(system: System, review: str) -> None:
    """By the API, by the process, and by the workflow."""
    reviewer, path = system.person(REVIEWERS[1]), f"/reviews/{review}/decisions"
    await reviewer.refused(review, "out_of_stage", "question", reason=f"{CANARY} late")
    for headers in (
        {"Authorization": f"Bearer {CANARY}"},
        {"Authorization": f"Basic {CANARY}"},
        {"Cookie": CANARY, "X-Request-ID": f"{CANARY} {CANARY}", "User-Agent": CANARY},
    ):
        response = await system.http.post(path, json={"reason": CANARY}, headers=headers, params={"q": CANARY})
        assert 401 == response.status_code
    for body in (
        {"kind": CANARY},
        {CANARY: 1},
        {"kind": "question", "digest": CANARY, "reason": f"{CANARY}\x00"},
        {"kind": "verdict_sheet", "digest": "1" * 64, "verdicts": [{"principle": CANARY, "finding": CANARY}]},
    ):
        assert 422 == (await reviewer.post(path, body)).status_code
    assert 400 == (await reviewer.put_in(path, f'{{"{CANARY}"'.encode(), "application/json")).status_code
    assert (
        404
        == (
            await reviewer.post(
                f"/reviews/{new_id()}/decisions", {"kind": "question", "digest": "1" * 64, "reason": CANARY}
            )
        ).status_code
    )
    assert 422 == (await reviewer.get(f"/reviews/{CANARY}%20{CANARY}")).status_code
    assert 404 == (await reviewer.get(f"/{CANARY}")).status_code
    rows = f'{CANARY} person,"{CANARY}",{CANARY},{CANARY},{CANARY}'
    response = await system.person(OPERATOR).put_in(
        "/people/import", f"person,name,unit,role,office\n{rows}", "text/csv"
    )
    assert 422 == response.status_code


async def what_fails(system: System, review: str) -> None:
    """A table that is gone, under a request and under a commit; both are there again, and the decision is taken."""
    owner = await asyncpg.connect(system.urls.owner_url)
    try:
        await owner.execute("alter table documents rename to elsewhere")
        response = await system.person(OWNER).put_in("/documents", f"{CANARY} lost".encode(), "text/plain")
        assert (500, "application/problem+json") == (response.status_code, response.headers["Content-Type"])
        await owner.execute("alter table elsewhere rename to documents")

        await owner.execute("alter table turns rename to elsewhere")
        head = system.person(SIGNATORIES["business_unit_head"])
        signed = await head.signed(review, conditions=[f"{CANARY} condition"], headers={"Prefer": "wait=0"})
        assert 202 == signed.status_code
        await gave_up(system, review)
        await owner.execute("alter table elsewhere rename to turns")
    finally:
        await owner.close()

    async def approved() -> bool:
        return (await system.at(review)).outcome == "approved"

    await until(approved, seconds=40)
    assert verify(await system.person(AUDITOR).evidence(review)).holds


async def gave_up(system: System, review: str) -> None:
    """Wait until the local activity gave up, and a regular one was scheduled that waits until the database is back."""

    async def scheduled() -> bool:
        history = await system.person(AUDITOR).history(review)
        return any(event.type == "activity_task_scheduled" for event in history.events)

    await until(scheduled, seconds=40, every=0.5)
