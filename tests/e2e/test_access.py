"""Who may do what: every route by every kind of person and by nobody; about a review, at every turn of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from api.app import create_app
from api.cookies import SESSION_COOKIE
from runtime.embedded import free_port
from runtime.settings import Settings
from tests.support.harness import SIGNING_KEY
from tests.support.system import (
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
    "GET /reviews/{review_id}/decisions/{decision_id}",
}
CHANGES = "GET /reviews/{review_id}/changes"
REPAIR = "POST /reviews/{review_id}/repair"
AUDIT = {
    "GET /reviews/{review_id}/history",
    "GET /reviews/{review_id}/evidence",
    "GET /reviews/{review_id}/decisions/{decision_id}/envelope",
}
CERTIFICATE = "GET /reviews/{review_id}/certificate"
DECIDE = "POST /reviews/{review_id}/decisions"
ABOUT_A_REVIEW = READ | AUDIT | {CHANGES, REPAIR, CERTIFICATE, DECIDE}


@dataclass(frozen=True)
class Rule:
    """What a route that is not about one review answers: `status` to those who may use it, 403 to everybody else who
    says who they are. What is sent along comes to nothing.
    """

    status: int = 200
    to: frozenset[str] | None = None
    """The kinds of people who may use it; None if all may."""
    path: str = ""
    """Where to ask, if the route has parameters or needs a query."""
    body: object = None
    media_type: str = "application/json"
    otherwise: int = 403


NOBODY_HERE = "nobody.is.called.so"
NO_ID = "00000000-0000-4000-8000-000000000000"
NO_DIGEST = "0" * 64
OPERATORS = frozenset({"operator"})
OWNERS = frozenset({"owner", "author", "another owner"})
OFFICERS = frozenset({"officer", "officer of another office"})
ENTERED = frozenset(PEOPLE) - {"nobody"}
NOT_BY_TOKEN = Rule(401)
PROPOSAL = example(1).model_dump(mode="json")

RULES = {
    "GET /me": Rule(),
    "GET /me/preferences": Rule(),
    "PUT /me/preferences": Rule(to=ENTERED, body={"pace": "immediate"}),
    "GET /me/notices": Rule(),
    "GET /inbox": Rule(),
    "GET /events": Rule(),
    "GET /reviews": Rule(),
    "POST /reviews": Rule(422, OWNERS, body={"proposal": PROPOSAL, "pack": "no-such-pack"}),
    "POST /assessments": Rule(body={"proposal": PROPOSAL}),
    "GET /packs/{pack}": Rule(path="/packs/nec-human-rights"),
    "POST /documents": Rule(422, OWNERS, body="", media_type="text/plain"),
    "GET /documents/{digest}": Rule(404, path=f"/documents/{NO_DIGEST}"),
    "GET /doctor": Rule(to=OPERATORS),
    "GET /keys": Rule(),
    "POST /keys": Rule(422, OPERATORS, body={"public": "no key"}),
    "DELETE /keys/{key}": Rule(404, OPERATORS, f"/keys/{NO_DIGEST}?because=None."),
    "GET /registry/ledger": Rule(to=OFFICERS | {"auditor"}),
    "POST /people/import": Rule(to=OPERATORS, body="person,name,unit,role,office\n", media_type="text/csv"),
    "POST /training/import": Rule(
        to=frozenset({"training officer"}), body="person,course,completed_at\n", media_type="text/csv"
    ),
    "POST /people/{person}/disabled": Rule(
        404, OPERATORS, f"/people/{NOBODY_HERE}/disabled", body={"because": "Left."}
    ),
    "DELETE /people/{person}/disabled": Rule(409, OPERATORS, f"/people/{NOBODY_HERE}/disabled?because=None."),
    "GET /grants": Rule(to=OPERATORS, path=f"/grants?person={OWNER}"),
    "DELETE /grants/{grant}": Rule(404, OPERATORS, "/grants/no-such-grant"),
    "GET /attempts": Rule(to=OPERATORS | {"auditor"}),
    "GET /delegations": Rule(),
    "POST /delegations": Rule(
        409, body={"taker": NOBODY_HERE, "roles": ["reviewer"], "ends_at": "2100-01-01T00:00:00Z"}
    ),
    "DELETE /delegations/{delegation}": Rule(409, path="/delegations/no-such-delegation"),
    "GET /notices": Rule(404, OPERATORS | OFFICERS | {"auditor"}, "/notices?review=no-such-review"),
    "GET /webhooks": Rule(to=OPERATORS),
    "POST /webhooks": Rule(422, OPERATORS, body={"url": "ftp://nowhere.example"}),
    "GET /webhooks/{webhook}/posts": Rule(404, OPERATORS, f"/webhooks/{NO_ID}/posts"),
    "DELETE /webhooks/{webhook}": Rule(404, OPERATORS, f"/webhooks/{NO_ID}"),
    "GET /invitations": Rule(to=OPERATORS | OFFICERS),
    "POST /invitations": Rule(
        409,
        OPERATORS | OFFICERS,
        body={"person": COUNCIL[0], "email": "a@law.example", "reviews": ["r"], "expires_at": "2100-01-01T00:00:00Z"},
    ),
    "DELETE /invitations/{invitation}": Rule(404, OPERATORS | OFFICERS, f"/invitations/invitation-{NO_ID}"),
    "GET /session": NOT_BY_TOKEN,
    "POST /sign-out": NOT_BY_TOKEN,
    "GET /step-up": Rule(401, path=f"/step-up?nonce={NO_DIGEST}"),
}
"""What each route that is not about one review answers, and to whom."""

OPEN = {
    "GET /openapi.json",
    "HEAD /openapi.json",
    "GET /docs",
    "GET /docs/start.js",
    "GET /docs/swagger-ui.css",
    "GET /docs/swagger-ui-bundle.js",
    "GET /livez",
    "GET /readyz",
    "GET /sign-in",
    "GET /sign-in/callback",
    "GET /invited/{token}",
    "POST /invited/{token}",
}
"""What says nothing of anybody, or leads to a session."""


@cache
def all_routes() -> frozenset[str]:
    """Every route that the application has."""
    app = create_app(SETTINGS)
    return frozenset(
        f"{method} {context.path}" for context in iter_route_contexts(app.routes) for method in context.methods or ()
    )


def routes() -> tuple[str, ...]:
    """Those about one review."""
    return tuple(sorted(route for route in all_routes() if "{review_id}" in route))


def expected(route: str, kind: str, moment: str) -> int:
    """The status that this person gets."""
    if route == REPAIR:
        return 409 if kind == "operator" else 403
    if kind not in READERS[moment]:
        return 404
    if route in READ or route == CHANGES:
        return 200
    if route in AUDIT:
        return 200 if kind in AUDITORS else 403
    if route == CERTIFICATE:
        return 200 if moment == "approved" else 404
    assert route == DECIDE
    return 409 if kind in ASKERS else 403


def test_every_route_has_a_rule() -> None:
    """A new one has to say who may use it."""
    ruled = ABOUT_A_REVIEW | RULES.keys() | OPEN
    for route in sorted(all_routes() - ruled):
        pytest.fail(f"{route} has no rule: say in RULES, or in a set of ABOUT_A_REVIEW, who may use it.")
    assert not ruled - all_routes(), "these have a rule, and are no routes any more"


async def status_of(system: System, route: str, path: str, headers: dict[str, str], rule: Rule) -> int:
    """What a request is answered; a stream is not waited for."""
    content = rule.body if isinstance(rule.body, str) else None
    sent = {**headers, "Content-Type": rule.media_type} if rule.body is not None else headers
    body = None if isinstance(rule.body, str) else rule.body
    method = route.split(maxsplit=1)[0]
    async with system.http.stream(method, path, headers=sent, json=body, content=content) as response:
        return response.status_code


def asked_at(route: str, malformed: str | None = None) -> str:
    """An address of a route: of nothing there is, or of what can't be."""
    template = route.split()[1]
    if malformed is None:
        rule = RULES.get(route, Rule())
        return rule.path or re.sub(r"\{\w+\}", NO_ID, template) + (f"?since={NO_DIGEST}" if route == CHANGES else "")
    return re.sub(r"\{\w+\}", malformed, template)


def sent_to(route: str) -> Rule:
    """What is sent there."""
    if route == DECIDE:
        return Rule(body={"kind": "question", "digest": "1" * 64, "reason": "Who asks?"})
    return Rule(body={}) if route == REPAIR else RULES.get(route, Rule())


async def test_what_each_kind_of_person_is_answered_elsewhere(own_system: System) -> None:
    """Every route that is not about one review, and every one about a review that there is not."""
    system = own_system
    await system.granted(("olga.owner", "owner", ""), ("sid.signatory", "signatory", "another_office"))
    await system.granted(("late.lawyer", "council_member", "lawyer"))
    unlike: list[object] = []

    async def try_everything(kind: str, name: str) -> None:
        headers = {"Authorization": f"Bearer {system.issuer.mint(name)}"}
        for route in sorted(all_routes() - OPEN):
            sent = sent_to(route)
            got = await status_of(system, route, asked_at(route), headers, sent)
            if route in RULES:
                wanted = sent.status if sent.to is None or kind in sent.to else sent.otherwise
            else:
                wanted = 403 if route == REPAIR and kind != "operator" else 404
            if got != wanted:
                unlike.append((kind, route, got, wanted))
            if "{" in route:
                got = await status_of(system, route, asked_at(route, "%00"), headers, sent)
                if got not in {403, 404, 422}:
                    unlike.append((kind, route, got, "malformed"))

    await asyncio.gather(*(try_everything(kind, name) for kind, name in PEOPLE.items()))
    assert [] == unlike


async def test_who_is_nobody_is_answered_nothing(own_system: System) -> None:
    """No token, a bad one, another issuer's scheme: 401 everywhere. Somebody disabled: 403 everywhere."""
    system = own_system
    review = await system.opened(example(1))
    disabled = {"Authorization": f"Bearer {system.issuer.mint(AUDITOR)}"}
    response = await system.person("ops.operator").post(f"/people/{AUDITOR}/disabled", {"because": "Left."})
    assert 204 == response.status_code
    unlike: list[object] = []
    for headers, wanted in (
        ({}, 401),
        ({"Authorization": "Bearer no.token.atall"}, 401),
        ({"Authorization": "Basic bm86b25l"}, 401),
        ({"Cookie": f"{SESSION_COOKIE}=no-such-session"}, 401),
        (disabled, 403),
    ):
        for route in sorted(all_routes() - OPEN):
            path = asked_at(route).replace(f"/reviews/{NO_ID}", f"/reviews/{review}")
            got = await status_of(system, route, path, headers, sent_to(route))
            if got != wanted:
                unlike.append((headers, route, got, wanted))
    assert [] == unlike


def test_every_route_needs_a_token_or_a_session_but_health_and_the_doors() -> None:
    """By the application's own description of itself. The doors are what leads to a session."""
    app = create_app(SETTINGS)
    open_ones = {
        path
        for path, operations in app.openapi()["paths"].items()
        for operation in operations.values()
        if not operation.get("security")
    }
    assert {"/livez", "/readyz", "/sign-in", "/sign-in/callback", "/invited/{token}"} == open_ones


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


INVITED = {
    "GET /me": 200,
    "GET /me/notices": 200,
    "GET /events": 200,
    "GET /step-up": 403,
    "GET /inbox": 200,
    "GET /session": 200,
    "GET /packs/{pack}": 200,
    "POST /sign-out": 200,
}
"""What is there, beside their cases, for who came by an invitation."""

INVITED_TO = {
    DECIDE: 409,
    REPAIR: 403,
    **dict.fromkeys(AUDIT, 403),
    **dict.fromkeys((CERTIFICATE, CHANGES, "GET /reviews/{review_id}/decisions/{decision_id}"), 404),
}
"""What their case answers them where that is not 200; no revision, decision or certificate is there that they name."""


async def test_an_invited_member_has_their_cases_and_nothing_else(own_system: System) -> None:
    """By the session's cookie; the case that is theirs, another case, and every other route."""
    system, port = own_system, free_port()
    url = f"http://127.0.0.1:{port}"
    mine, other = [await system.opened(example(4)) for _ in range(2)]
    for review in (mine, other):
        await system.reviewed(review)
    ours = {"Sec-Fetch-Site": "same-origin"}
    async with system.api(port=port, public_url=url) as http:
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"person": COUNCIL[0], "email": "lea@law.example", "reviews": [mine], "expires_at": until}
        await system.written_to(COUNCIL[0], "lea@law.example")
        response = await system.person(OFFICER, http).post("/invitations", body)
        assert 201 == response.status_code, response.text
        mail = await system.database.pool.fetchval("select body from mails where event_id = $1", response.json()["id"])
        (link,) = re.findall(r"^https?://\S+$", mail, re.MULTILINE)
        begun = await http.post(link, headers=ours)
        assert 303 == begun.status_code, begun.text
        headers = {**ours, "Cookie": begun.headers["set-cookie"].partition(";")[0]}
        unlike: list[object] = []
        for route in sorted(all_routes() - OPEN, key=lambda route: (route == "POST /sign-out", route)):
            for review in (mine, other) if route in ABOUT_A_REVIEW else ("",):
                path = asked_at(route).replace(f"/reviews/{NO_ID}", f"/reviews/{review}")
                got = await status_of(system, route, url + path, headers, sent_to(route))
                wanted = INVITED_TO.get(route, 200) if review == mine else INVITED.get(route, 404)
                if got != wanted:
                    unlike.append((route, review == mine, got, wanted))
    assert [] == unlike


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
                response = await person.post(address, sent_to(route).body)
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
