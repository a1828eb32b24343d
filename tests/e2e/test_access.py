"""Who may do what about a review: every route by every kind of person, at every turn of it."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from api.app import create_app
from runtime.settings import Settings
from tests.e2e.system import (
    AUDITOR,
    AUTHOR,
    COUNCIL,
    LECTURE,
    OFFICER,
    OWNER,
    REVIEWERS,
    SIGNATORIES,
    TRAINING_OFFICER,
    Person,
    System,
    example,
    sheet,
)
from tests.harness import SIGNING_KEY

HEAD, SECOND_HEAD = SIGNATORIES.values()

SETTINGS = Settings(
    database_url=SecretStr("postgresql://none@/none"),
    signing_key=SecretStr(SIGNING_KEY),
    oidc_issuer="http://127.0.0.1:1",
)

PEOPLE = {
    "owner": OWNER,
    "author": AUTHOR,
    "another owner": "olga.owner",
    "reviewer": REVIEWERS[2],
    "council member": COUNCIL[1],
    "council member who steps aside": COUNCIL[0],
    "council member who is not seated": "late.lawyer",
    "officer": OFFICER,
    "officer of another office": "dai.deputy",
    "training officer": TRAINING_OFFICER,
    "signatory": HEAD,
    "signatory of another office": "sid.signatory",
    "auditor": AUDITOR,
    "operator": "ops.operator",
    "staff": "sota.engineer",
    "nobody": "nobody.at.all",
}

ALWAYS = {"owner", "author", "reviewer", "officer", "officer of another office", "training officer", "auditor"}
COUNCIL_SEES = {"council member", "council member who steps aside"}

READERS = {
    "in principle review": ALWAYS,
    "before the council": ALWAYS | COUNCIL_SEES,
    "after a recusal": ALWAYS | {"council member"},
    "in sign-off": ALWAYS | {"council member", "signatory"},
    "approved": ALWAYS | {"council member", "signatory"},
}
"""Who may read the review, by how far it has come."""

AUDITORS = {"auditor", "officer", "officer of another office"}
"""Who may, beside that, read the bytes of the record and the workflow's history."""

ASKERS = {"reviewer", "officer", "officer of another office", "signatory"} | COUNCIL_SEES
"""Who holds a role in which questions are asked."""

READ = {
    "GET /reviews/{review_id}",
    "GET /reviews/{review_id}/proposal",
    "GET /reviews/{review_id}/assessment",
    "GET /reviews/{review_id}/timeline",
    "GET /reviews/{review_id}/changes",
    "GET /reviews/{review_id}/decisions/{decision_id}",
}
AUDIT = {
    "GET /reviews/{review_id}/history",
    "GET /reviews/{review_id}/evidence",
    "GET /reviews/{review_id}/decisions/{decision_id}/envelope",
}
CERTIFICATE = "GET /reviews/{review_id}/certificate"
DECIDE = "POST /reviews/{review_id}/decisions"


@cache
def routes() -> tuple[str, ...]:
    """Every route about one review that the application has."""
    app = create_app(SETTINGS)
    found = {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if "{review_id}" in (context.path or "")
    }
    return tuple(sorted(found))


def expected(route: str, kind: str, moment: str) -> int:
    """The status that this person gets."""
    if kind not in READERS[moment]:
        return 404
    if route in READ:
        return 200
    if route in AUDIT:
        return 200 if kind in AUDITORS else 403
    if route == CERTIFICATE:
        return 200 if moment == "approved" else 404
    assert route == DECIDE
    return 409 if kind in ASKERS else 403


def test_every_route_about_a_review_is_listed_here() -> None:
    """A new one has to say who may use it."""
    assert READ | AUDIT | {CERTIFICATE, DECIDE} == set(routes())


def test_every_route_needs_a_token_or_a_session_but_health_and_the_doors() -> None:
    """By the application's own description of itself. The doors are what leads to a session."""
    app = create_app(SETTINGS)
    open_ones = {
        path
        for path, operations in app.openapi()["paths"].items()
        for operation in operations.values()
        if not operation.get("security")
    }
    assert {"/livez", "/readyz", "/sign-in", "/sign-in/callback", "/invitations/{token}"} == open_ones


async def test_nobody_reads_or_decides_what_is_not_theirs(own_system: System) -> None:
    """At each turn of a review of the highest tier, each kind of person, each route."""
    system = own_system
    await system.granted(
        ("olga.owner", "owner", ""),
        ("sid.signatory", "signatory", "another_office"),
    )
    await system.trained(("ren.operator", LECTURE))
    review = await system.opened(example(4))
    await look(system, review, "in principle review")
    await system.reviewed(review)
    # Who becomes a member after the roster was drawn up sits on another case.
    await system.granted(("late.lawyer", "council_member", "lawyer"))
    await look(system, review, "before the council")
    await system.person(COUNCIL[0]).accepted(review, "recusal", reason="I have advised the customer.")
    await look(system, review, "after a recusal")
    await system.advised(review, COUNCIL[1:])
    await look(system, review, "in sign-off")
    await system.signed_off(review)
    await look(system, review, "approved")


async def look(system: System, review: str, moment: str) -> None:
    """Have everybody try everything."""
    status = await system.at(review)
    submission = await system.database.pool.fetchval("select id from decisions where review_id = $1", review)
    unlike: list[object] = []

    async def try_everything(kind: str, person: Person) -> None:
        for route in routes():
            method, path = route.split()
            address = path.format(review_id=review, decision_id=submission)
            if method == "GET":
                query = f"?since={status.digest}" if path.endswith("/changes") else ""
                response = await person.get(address + query)
            else:
                # Stale, so that nothing comes of it where it gets as far as the process.
                body = {"kind": "question", "digest": "1" * 64, "reason": "Who asks?"}
                response = await person.post(address, body)
            wanted = expected(route, kind, moment)
            if response.status_code != wanted:
                unlike.append((kind, route, response.status_code, wanted, response.text[:200]))

    await asyncio.gather(*(try_everything(kind, system.person(name)) for kind, name in PEOPLE.items()))
    assert [] == unlike, moment
    assert status.stage == (await system.at(review)).stage


async def test_what_is_not_theirs_is_in_no_list(own_system: System) -> None:
    """Lists and inboxes hold what the person may read, and nothing else."""
    system = own_system
    await system.granted(("olga.owner", "owner", ""))
    mine = await system.opened(example(1))
    hers = await system.opened(example(1, owner="olga.owner", author="olga.owner"))
    for name, reviews in (
        (OWNER, [mine]),
        ("olga.owner", [hers]),
        (AUDITOR, [hers, mine]),
        (COUNCIL[0], []),
        (HEAD, []),
        ("nobody.at.all", []),
    ):
        response = await system.person(name).get("/reviews")
        assert reviews == [row["id"] for row in response.json()["reviews"]], name
    for name, waiting in ((REVIEWERS[0], {mine, hers}), (OFFICER, set()), ("nobody.at.all", set())):
        items = (await system.person(name).get("/inbox")).json()["items"]
        assert waiting == {item["review"] for item in items}, name


async def test_registers_are_for_those_whose_they_are(system: System) -> None:
    """People for the operator, training for the training officer, documents for owners; packs for everybody."""
    for kind, name in PEOPLE.items():
        person = system.person(name)
        statuses = (
            (await person.put_in("/people/import", "person,name,unit,role,office\n", "text/csv")).status_code,
            (await person.put_in("/training/import", "person,course,completed_at\n", "text/csv")).status_code,
            (await person.put_in("/documents", b"A text.", "text/plain")).status_code,
            (await person.delete("/grants/no-such-grant")).status_code,
            (await person.get("/packs/nec-human-rights")).status_code,
            (await person.get("/me")).status_code,
        )
        operator, training, owner = (kind == wanted for wanted in ("operator", "training officer", "owner"))
        owner = owner or kind == "author"
        assert statuses == (
            200 if operator else 403,
            200 if training else 403,
            201 if owner else 403,
            404 if operator else 403,
            200,
            200,
        ), kind


async def test_a_revoked_role_ends_at_once(without_worker: System) -> None:
    """Also for a decision that is on its way: what counts is the moment of the commit."""
    system = without_worker
    async with system.worker():
        review = await system.opened(example(3))
    reviewer, operator = system.person(REVIEWERS[0]), system.person("ops.operator")
    stored = await reviewer.say(review, "verdict_sheet", verdicts=sheet(), headers={"Prefer": "wait=0"})
    assert 202 == stored.status_code
    (grant,) = (await reviewer.get("/me")).json()["grants"]
    assert (REVIEWERS[0], "reviewer") == (grant["person"], grant["role"])
    assert 204 == (await operator.delete(f"/grants/{grant['id']}")).status_code
    assert 404 == (await operator.delete(f"/grants/{grant['id']}")).status_code
    assert [] == (await reviewer.get("/me")).json()["grants"]
    assert 404 == (await reviewer.get(f"/reviews/{review}")).status_code
    async with system.worker():
        receipt = await reviewer.get(stored.headers["Location"], headers={"Prefer": "wait=30"})
    assert ("refused", "not_entitled") == (receipt.json()["status"], receipt.json()["reason"])


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/livez", "/readyz"])
async def test_the_description_and_health_are_open(system: System, path: str) -> None:
    """They say nothing of anybody."""
    assert 200 == (await system.http.get(path)).status_code


async def test_a_reviewer_lists_every_review(system: System) -> None:
    """Those of others too; only what they stepped aside from would be left out."""
    review = await system.opened(example(1))
    listed = (await system.person(REVIEWERS[0]).get("/reviews")).json()["reviews"]
    assert review in {row["id"] for row in listed}
