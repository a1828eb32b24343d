"""Who may do what: every route, with things that are there, by every kind of person and by nobody; about a review, at
every turn of it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute

from api.app import create_app
from api.cookies import SESSION_COOKIE
from domain.proposal import Document
from runtime.embedded import free_port
from runtime.issuer import Issuer
from runtime.settings import Settings
from tests.conftest import Servers, new_database
from tests.support.harness import SIGNING_KEY
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    COUNCIL,
    LECTURE,
    OFFICER,
    OPERATOR,
    OWNER,
    PATIENT,
    REVIEWERS,
    SIGNATORIES,
    TRAINING_OFFICER,
    Person,
    System,
    example,
    new_id,
    sheet,
    system_on,
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
    "reviewer on leave": "lou.reviewer",
    "reviewer's delegate": "rea.delegate",
    "owner's delegate": "oda.delegate",
    "officer's delegate": "ofe.delegate",
    "without a role": "sam.stranger",
    "nobody": "nobody.at.all",
}
"""Whoever has a token that is good. All are entered here but nobody."""

ALWAYS = {
    *("owner", "author", "reviewer", "officer", "officer of another office", "training officer", "auditor"),
    *("reviewer on leave", "reviewer's delegate", "owner's delegate", "officer's delegate"),
}
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

ASKERS = COUNCIL_SEES | {
    *("reviewer", "officer", "officer of another office", "signatory"),
    *("reviewer on leave", "reviewer's delegate", "officer's delegate"),
}
"""Who holds a role in which questions are asked, or was left one."""

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


@dataclass
class World:
    """A system in which there is one of everything, with an API that browsers find, and more of it for the asking."""

    system: System
    http: httpx2.AsyncClient
    review: str = ""
    """Before the council; the invited member is invited to it."""
    other: str = ""
    """At the same place; nobody is invited to it."""
    decision: str = ""
    revision: str = ""
    document: str = ""
    session: dict[str, str] = field(default_factory=dict)
    """What the invited member's browser sends along."""
    numbers: count[int] = field(default_factory=count)

    async def given(self, person: str, path: str, body: object) -> dict[str, str]:
        """What somebody made by a request of theirs."""
        response = await self.system.person(person, self.http).post(path, body)
        assert 201 == response.status_code, response.text
        made: dict[str, str] = response.json()
        return made


Make = Callable[[World], Awaitable[str]]


async def a_webhook(world: World) -> str:
    """One that is told of nothing, as no signature lapses here."""
    return (await world.given("ops.operator", "/webhooks", webhook(world)))["id"]


async def an_invitation(world: World) -> str:
    """One that nobody has used."""
    return (await world.given(OFFICER, "/invitations", invitation(world)))["id"]


async def a_link(world: World) -> str:
    """What stands in the letter of an invitation that nobody has used, after the path."""
    letter = await world.system.database.pool.fetchval(
        "select body from mails where event_id = $1", await an_invitation(world)
    )
    (link,) = re.findall(r"^https?://\S+/invited/(\S+)$", letter, re.MULTILINE)
    return str(link)


async def a_delegation(world: World) -> str:
    """One of the reviewer on leave for the reviewer's delegate, on days of its own to come."""
    starts_at = datetime.now(UTC) + timedelta(days=30, hours=2 * next(world.numbers))
    body = {"taker": PEOPLE["reviewer's delegate"], "roles": ["reviewer"]}
    days = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
    return (await world.given(PEOPLE["reviewer on leave"], "/delegations", body | days))["id"]


async def a_key(world: World) -> str:
    """One in force, that nobody signs with."""
    return (await world.given("ops.operator", "/keys", key(world)))["key"]


async def a_person(world: World) -> str:
    """Somebody entered, with a role."""
    person = f"person-{next(world.numbers)}"
    await world.system.granted((person, "reviewer", ""))
    return person


async def a_disabled_person(world: World) -> str:
    """Likewise; disabled since."""
    person = await a_person(world)
    response = await world.system.person(OPERATOR).post(f"/people/{person}/disabled", {"because": "Left."})
    assert 204 == response.status_code, response.text
    return person


async def a_grant(world: World) -> str:
    """A role that somebody holds."""
    held = await world.system.person(OPERATOR).get("/grants", person=await a_person(world))
    (grant,) = held.json()["grants"]
    return str(grant["id"])


async def _there(what: str) -> str:
    return what


THINGS: dict[str, Make] = {
    "review_id": lambda world: _there(world.review),
    "decision_id": lambda world: _there(world.decision),
    "revision": lambda world: _there(world.revision),
    "digest": lambda world: _there(world.document),
    "pack": lambda _: _there("nec-human-rights"),
    "webhook": a_webhook,
    "invitation": an_invitation,
    "token": a_link,
    "delegation": a_delegation,
    "key": a_key,
    "grant": a_grant,
    "person": a_person,
}
"""What stands in the place of each parameter of a path: something that is there."""

NO_ID = "00000000-0000-4000-8000-000000000000"
NO_DIGEST = "0" * 64

ABSENT = {
    "review_id": NO_ID,
    "decision_id": NO_ID,
    "digest": NO_DIGEST,
    "pack": "no-such-pack",
    "webhook": NO_ID,
    "invitation": f"invitation-{NO_ID}",
    "token": "no-such-link",
    "delegation": "no-such-delegation",
    "key": NO_DIGEST,
    "grant": "no-such-grant",
    "person": "nobody.is.called.so",
}
"""Likewise, something that is not."""

PROPOSAL = example(1).model_dump(mode="json")
OLGAS = PROPOSAL | {"owner": "olga.owner", "author": "olga.owner"}
QUESTION = {"kind": "question", "digest": "1" * 64, "reason": "Who asks?"}
"""Stale, so that nothing comes of it where it gets as far as the process."""


def webhook(_: World) -> object:
    """A webhook to be registered."""
    return {"url": "https://hooks.example/ringi", "types": ["ringi.review.lapsed"]}


def invitation(world: World) -> object:
    """An invitation to be sent."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {"person": INVITED, "email": INVITED_AT, "reviews": [world.review], "expires_at": until}


def key(_: World) -> object:
    """A key to be registered."""
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {"public": base64.b64encode(public).decode()}


def absence(_: World) -> object:
    """A delegation, for days on which nobody in the table has another."""
    starts_at = datetime.now(UTC) + timedelta(days=20)
    days = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
    return {"taker": "tea.taker", "roles": ["reviewer"], **days}


@dataclass(frozen=True)
class Rule:
    """What a route answers: `status` to those who may use it, `otherwise` to everybody else who says who they are,
    `invited` to who came by an invitation. Who has no token or session that holds is answered 401; who is disabled, 403.
    """

    status: int = 200
    to: frozenset[str] | None = None
    """The kinds of people who may use it; None if all may."""
    query: str = ""
    things: Mapping[str, Make] = field(default_factory=dict)
    """What stands for a parameter in the path or in the query, where that is not as in THINGS."""
    body: Callable[[World], object] | None = None
    media_type: str = "application/json"
    otherwise: int = 403
    invited: int = 404
    absent: int = 404
    """What those who may use it are answered where there is no such thing."""
    but: Mapping[str, int] = field(default_factory=dict)
    """Kinds of people who are answered something of their own."""

    def wanted(self, kind: str) -> int:
        """What this kind of person is answered about something that is there."""
        return self.but.get(kind, self.status if self.may(kind) else self.otherwise)

    def may(self, kind: str) -> bool:
        """Whether this kind of person may use it."""
        return self.to is None or kind in self.to


OPERATORS = frozenset({"operator"})
AUDITOR_ALONE = frozenset({"auditor"})
OWNERS = frozenset({"owner", "author", "another owner", "owner's delegate"})
OFFICERS = frozenset({"officer", "officer of another office"})
ENTERED = frozenset(PEOPLE) - {"nobody"}
NOT_BY_TOKEN = Rule(401, invited=200)
INVITED, INVITED_AT = COUNCIL[3], "cai@consumers.example"

RULES: dict[str, tuple[Rule, ...]] = {
    "GET /me": (Rule(invited=200),),
    "GET /me/preferences": (Rule(),),
    "PUT /me/preferences": (Rule(to=ENTERED, body=lambda _: {"pace": "immediate"}),),
    "GET /me/notices": (Rule(invited=200),),
    "GET /inbox": (Rule(invited=200),),
    "GET /events": (Rule(invited=200),),
    "GET /reviews": (Rule(),),
    "POST /reviews": (
        # Its owner left the role to a delegate, who is neither its owner nor its author.
        Rule(to=frozenset({"author"}), body=lambda _: {"proposal": PROPOSAL, "review": new_id()}, but={"owner": 409}),
        Rule(to=frozenset({"another owner"}), body=lambda _: {"proposal": OLGAS, "review": new_id()}),
    ),
    "POST /assessments": (Rule(body=lambda _: {"proposal": PROPOSAL}),),
    "GET /packs/{pack}": (Rule(invited=200),),
    "POST /documents": (Rule(201, OWNERS, body=lambda _: "A text of mine.", media_type="text/plain"),),
    "GET /documents/{digest}": (
        Rule(to=frozenset({"owner"}), otherwise=404),
        Rule(to=frozenset(ALWAYS | COUNCIL_SEES), query="review={review_id}", otherwise=404, invited=200),
        Rule(to=frozenset({"owner"}), query="review={other}", otherwise=404),
    ),
    "GET /doctor": (Rule(to=OPERATORS),),
    "GET /keys": (Rule(),),
    "POST /keys": (Rule(201, OPERATORS, body=key),),
    "DELETE /keys/{key}": (Rule(204, OPERATORS, "because=It+is+replaced."),),
    "GET /registry/ledger": (Rule(to=OFFICERS | AUDITOR_ALONE),),
    "POST /people/import": (
        Rule(
            to=OPERATORS,
            body=lambda world: f"person,name,unit,role,office\nnew.{next(world.numbers)},N,U,reviewer,\n",
            media_type="text/csv",
        ),
    ),
    "POST /training/import": (
        Rule(
            to=frozenset({"training officer"}),
            body=lambda _: f"person,course,completed_at\nren.operator,{LECTURE},2026-01-01T00:00:00Z\n",
            media_type="text/csv",
        ),
    ),
    "POST /people/{person}/disabled": (Rule(204, OPERATORS, body=lambda _: {"because": "Left."}),),
    "DELETE /people/{person}/disabled": (Rule(204, OPERATORS, "because=Back.", {"person": a_disabled_person}),),
    "GET /grants": (Rule(to=OPERATORS, query="person={person}"),),
    "DELETE /grants/{grant}": (Rule(204, OPERATORS),),
    "GET /attempts": (Rule(to=OPERATORS | AUDITOR_ALONE),),
    "GET /delegations": (
        Rule(),
        Rule(to=OPERATORS | {"auditor", "reviewer on leave"}, query=f"person={PEOPLE['reviewer on leave']}"),
    ),
    "POST /delegations": (Rule(201, ENTERED, body=absence, otherwise=409),),
    "DELETE /delegations/{delegation}": (
        Rule(204, OPERATORS | {"reviewer on leave", "reviewer's delegate"}, otherwise=404),
    ),
    "GET /notices": (
        Rule(to=OPERATORS | OFFICERS | {"auditor"}, query="review={review_id}", but={"officer's delegate": 404}),
    ),
    "GET /webhooks": (Rule(to=OPERATORS),),
    "POST /webhooks": (Rule(201, OPERATORS, body=webhook),),
    "GET /webhooks/{webhook}/posts": (Rule(to=OPERATORS),),
    "DELETE /webhooks/{webhook}": (Rule(204, OPERATORS),),
    "GET /invitations": (Rule(to=OPERATORS | OFFICERS | {"officer's delegate"}),),
    "POST /invitations": (Rule(201, OPERATORS | OFFICERS | {"officer's delegate"}, body=invitation),),
    "DELETE /invitations/{invitation}": (Rule(204, OPERATORS | OFFICERS | {"officer's delegate"}),),
    "GET /session": (NOT_BY_TOKEN,),
    "POST /sign-out": (NOT_BY_TOKEN,),
    # Who was invited has no account to sign in with again.
    "GET /step-up": (Rule(401, query=f"nonce={NO_DIGEST}", invited=403),),
    "POST /step-up": (Rule(401, query=f"nonce={NO_DIGEST}", invited=403),),
}
"""What each route that is not about one review answers, and to whom."""

INVITED_TO = {
    DECIDE: 409,
    REPAIR: 403,
    CERTIFICATE: 404,
    **dict.fromkeys(AUDIT, 403),
    **dict.fromkeys(READ | {CHANGES}, 200),
}
"""What the case that the invited member is invited to answers them. Before the council there is no certificate yet."""

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
    return frozenset(ways_into(create_app(SETTINGS)))


def ways_into(app: FastAPI) -> Iterator[str]:
    """Each route by its methods; whatever has none, by what it is; and the same again for what is mounted."""
    yield from _ways(app.routes)
    if any(True for _ in app.router._iter_low_priority_routes()):  # FastAPI tells it nowhere else
        yield "FRONTEND /"


def _ways(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[str]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        path = prefix + (route.host if isinstance(route, Host) else context.path or "")
        for method in context.methods or (_KINDS.get(type(route), type(route).__name__.upper()),):
            yield f"{method} {path}"
        if isinstance(route, Mount | Host):
            yield from _ways(route.routes or [], path)


_KINDS: dict[type[BaseRoute], str] = {
    Mount: "MOUNT",
    Host: "HOST",
    WebSocketRoute: "WEBSOCKET",
    APIWebSocketRoute: "WEBSOCKET",
    Route: "ANY",
}


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


def test_whatever_leads_into_the_application_needs_a_rule_of_its_own(tmp_path: Path) -> None:
    """Not what has methods alone: a socket, what is mounted, and what that leads to, would be let in by no rule."""

    async def speaks(websocket: WebSocket) -> None:
        raise AssertionError

    async def answers() -> None:
        raise AssertionError

    app = FastAPI(openapi_url=None)
    inner, innermost, router = FastAPI(openapi_url=None), FastAPI(openapi_url=None), APIRouter()
    innermost.websocket("/deep")(speaks)
    inner.get("/inner")(answers)
    inner.mount("/further", innermost)
    router.websocket("/live")(speaks)
    router.get("/plain")(answers)
    app.include_router(router, prefix="/routed")
    app.websocket("/live")(speaks)
    app.mount("/x", inner)
    app.mount("/opaque", PlainTextResponse("all"))
    app.router.routes.append(Route("/every", PlainTextResponse("all")))
    app.host("admin.example", inner)
    app.frontend("/", directory=tmp_path)
    assert set(ways_into(app)) == {
        "GET /routed/plain",
        "WEBSOCKET /routed/live",
        "WEBSOCKET /live",
        "MOUNT /x",
        "GET /x/inner",
        "MOUNT /x/further",
        "WEBSOCKET /x/further/deep",
        "MOUNT /opaque",
        "ANY /every",
        "HOST admin.example",
        "GET admin.example/inner",
        "MOUNT admin.example/further",
        "WEBSOCKET admin.example/further/deep",
        "FRONTEND /",
    }


def test_every_parameter_of_a_path_has_something_real_to_stand_in_its_place() -> None:
    """A new one has to say what; and where those who may are refused, nobody knows that the rest are refused for good."""
    for route in sorted(all_routes()):
        for name in parameters(route):
            if name not in THINGS:
                pytest.fail(f"{route} has the parameter {name}: have THINGS make something real that it names.")
            if name not in ABSENT:
                pytest.fail(f"{route} has the parameter {name}: say in ABSENT how one is called that is not there.")
        for rule in RULES.get(route, ()):
            if parameters(route):
                assert 200 <= rule.status < 300, f"{route}: whoever may use it must be seen to, with something real"
    for route, by_invitation in INVITED_TO.items():
        assert (by_invitation < 300) == (expected(route, "council member", "before the council") < 300), route
    assert INVITED_TO.keys() == ABOUT_A_REVIEW


def parameters(address: str) -> list[str]:
    """The names of what an address leaves open."""
    return re.findall(r"\{(\w+)\}", address)


def rules() -> list[tuple[str, Rule]]:
    """Every route but the open ones, with its rules: about a review, as it is before the council. Signing out comes last,
    as it ends the session that the invited member asks by.
    """
    about_a_review = [
        (
            route,
            Rule(
                query="since={revision}" if route == CHANGES else "",
                body={REPAIR: lambda _: {}, DECIDE: lambda _: QUESTION}.get(route),
                invited=INVITED_TO[route],
                but={kind: expected(route, kind, "before the council") for kind in PEOPLE},
            ),
        )
        for route in sorted(ABOUT_A_REVIEW)
    ]
    others = [(route, rule) for route, several in RULES.items() for rule in several]
    return sorted(about_a_review + others, key=lambda each: each[0] == "POST /sign-out")


async def address(world: World, route: str, rule: Rule, **instead: str) -> str:
    """An address of a route that names what is there: for each, something made for it; but `instead` what this says."""
    path = route.split()[1]
    query = f"?{rule.query}" if rule.query else ""
    makes = {**THINGS, "other": lambda world: _there(world.other), **rule.things}
    made = {name: await makes[name](world) for name in parameters(path + query) if name not in instead}
    # What the query names is there always: what is told of something absent must not hang on that.
    return path.format(**made | instead) + query.format(**made)


async def status_of(world: World, route: str, path: str, headers: dict[str, str], rule: Rule) -> int:
    """What a request is answered; a stream is not waited for."""
    body = None if rule.body is None else rule.body(world)
    sent = {**headers, **PATIENT, **({} if body is None else {"Content-Type": rule.media_type})}
    content, json = (body, None) if isinstance(body, str) else (None, body)
    method = route.split(maxsplit=1)[0]
    async with world.http.stream(method, path, headers=sent, json=json, content=content) as response:
        return response.status_code


@pytest.fixture(scope="module")
async def world(servers: Servers, template: str, issuer: Issuer) -> AsyncIterator[World]:
    """One for the tests of this module: whoever is refused leaves it as it is, and whoever is not, has things of their
    own.
    """
    port = free_port()
    async with (
        new_database(servers, template) as database,
        system_on(database, servers.temporal.address, issuer) as system,
        system.worker(),
        system.api(port=port, public_url=f"http://127.0.0.1:{port}") as http,
    ):
        await enter_everybody(system)
        await system.granted(("tea.taker", "", ""), *(("gone.person", role, "") for role in ("operator", "auditor")))
        world, text = World(system, http), b"What we measured."
        kept = await system.person(OWNER).put_in("/documents", text, "text/plain")
        world.document = kept.json()["digest"]
        assert hashlib.sha256(text).hexdigest() == world.document
        named = Document(digest=world.document, name="measures.txt", media_type="text/plain")
        world.review = await system.opened(example(4, documents=(named,)))
        world.other = await system.opened(example(4))
        for review in (world.review, world.other):
            await system.reviewed(review)
        await seat_another(system)
        world.revision = (await system.at(world.review)).digest
        submission = "select id from decisions where review_id = $1 and kind = 'submission'"
        world.decision = str(await system.database.pool.fetchval(submission, world.review))
        await system.written_to(INVITED, INVITED_AT)
        ours = {"Sec-Fetch-Site": "same-origin"}
        begun = await http.post(f"/invited/{await a_link(world)}", headers=ours)
        assert 303 == begun.status_code, begun.text
        world.session = {**ours, "Cookie": begun.headers["set-cookie"].partition(";")[0]}
        response = await system.person(OPERATOR).post("/people/gone.person/disabled", {"because": "Left."})
        assert 204 == response.status_code, response.text
        yield world


async def enter_everybody(system: System) -> None:
    """Those of the table who are not of the examples, and what is left to them."""
    await system.granted(
        ("olga.owner", "owner", ""),
        ("sid.signatory", "signatory", "another_office"),
        ("lou.reviewer", "reviewer", ""),
        ("ola.officer", "officer", "third_office"),
        *((PEOPLE[kind], "", "") for kind in PEOPLE if kind.endswith("delegate") or kind == "without a role"),
    )
    for giver, taker, role in (
        ("lou.reviewer", "reviewer's delegate", "reviewer"),
        ("ola.officer", "officer's delegate", "officer"),
        (OWNER, "owner's delegate", "owner"),
    ):
        until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        body = {"taker": PEOPLE[taker], "roles": [role], "ends_at": until}
        response = await system.person(giver).post("/delegations", body)
        assert 201 == response.status_code, response.text


async def seat_another(system: System) -> None:
    """Who becomes a member after the roster was drawn up sits on another case."""
    await system.granted(("late.lawyer", "council_member", "lawyer"))


async def test_who_may_do_what_to_what_is_there(world: World) -> None:
    """Every route by everybody. First whoever may not tries, all of them on the same things; then whoever may, the first
    of them on those very things: so they were there, and untouched.
    """
    unlike: list[object] = []
    cases = [(route, rule, await address(world, route, rule)) for route, rule in rules()]

    def changes(route: str) -> bool:
        return not route.startswith("GET ")

    async def tries(who: str, headers: dict[str, str], always: int | None = None) -> None:
        for route, rule, path in cases:
            wanted = always or rule.wanted(who)
            if changes(route) and wanted < 300:
                continue
            got = await status_of(world, route, path, headers, rule)
            if got != wanted:
                unlike.append((who, route, rule.query, got, wanted))

    def token(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {world.system.issuer.mint(name)}"}

    await asyncio.gather(
        *(tries(kind, token(name)) for kind, name in PEOPLE.items()),
        tries("disabled", token("gone.person"), 403),
        tries("no token", {}, 401),
        tries("no good token", {"Authorization": "Bearer no.token.atall"}, 401),
        tries("another scheme", {"Authorization": "Basic bm86b25l"}, 401),
        tries("no session", {"Cookie": f"{SESSION_COOKIE}=no-such-session"}, 401),
    )
    assert [] == unlike
    for route, rule, path in cases:
        for kind in [kind for kind in PEOPLE if changes(route) and rule.wanted(kind) < 300]:
            got = await status_of(world, route, path, token(PEOPLE[kind]), rule)
            if got != rule.wanted(kind):
                unlike.append((kind, route, got, rule.wanted(kind)))
            path = await address(world, route, rule)  # noqa: PLW2901 - the next one has another
    assert [] == unlike


async def test_an_invited_member_has_their_cases_and_nothing_else(world: World) -> None:
    """By the session's cookie; the case that is theirs, another case that is there, and every other route."""
    unlike: list[object] = []
    for route, rule in rules():
        for instead, wanted in (({}, rule.invited), ({"review_id": world.other}, 404)):
            if not instead or "review_id" in parameters(route):
                path = await address(world, route, rule, **instead)
                got = await status_of(world, route, path, world.session, rule)
                if got != wanted:
                    unlike.append((route, instead, got, wanted))
    assert [] == unlike
    assert 401 == (await world.http.get("/session", headers=world.session)).status_code


async def test_what_each_kind_of_person_is_told_of_what_is_not_there(world: World) -> None:
    """Nothing that tells it from what is there and not theirs; and as much of what can't be."""
    unlike: list[object] = []

    async def tries(kind: str, name: str) -> None:
        headers = {"Authorization": f"Bearer {world.system.issuer.mint(name)}"}
        for route, rule in rules():
            if not (names := parameters(route)):
                continue
            path = await address(world, route, rule, **{name: ABSENT[name] for name in names})
            got = await status_of(world, route, path, headers, rule)
            wanted = rule.absent if rule.may(kind) else rule.otherwise
            if route == REPAIR and kind != "operator":
                wanted = 403
            if got != wanted:
                unlike.append((kind, route, got, wanted))
            if kind not in {"operator", "officer", "nobody"}:  # the rest say the same of it
                continue
            path = await address(world, route, rule, **dict.fromkeys(names, "%00"))
            got = await status_of(world, route, path, headers, rule)
            if got not in {403, 404, 422}:
                unlike.append((kind, route, got, "malformed"))

    await asyncio.gather(*(tries(kind, name) for kind, name in PEOPLE.items()))
    assert [] == unlike


async def test_the_doors_open_to_who_has_the_link(world: World) -> None:
    """Whoever that is: looked at by anybody, used once, and by no page of another site."""
    path = await address(world, "GET /invited/{token}", Rule())
    disabled = {"Authorization": f"Bearer {world.system.issuer.mint('gone.person')}"}
    for headers in ({}, disabled):
        assert 200 == (await world.http.get(path, headers=headers)).status_code
    for site, wanted in (("cross-site", 403), ("same-origin", 303), ("same-origin", 410)):
        assert wanted == (await world.http.post(path, headers={"Sec-Fetch-Site": site})).status_code
    assert 410 == (await world.http.get(path)).status_code
    assert 410 == (await world.http.get(f"/invited/{ABSENT['token']}")).status_code


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
    await enter_everybody(system)
    await system.trained(("ren.operator", LECTURE))
    review = await system.opened(example(4))
    await look(system, review, "in principle review")
    await system.reviewed(review)
    await seat_another(system)
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
                response = await person.post(address, {} if route == REPAIR else QUESTION)
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
