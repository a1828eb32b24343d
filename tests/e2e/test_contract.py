"""The API does what its OpenAPI description says, and never fails: schemathesis sends what fits it, and what doesn't."""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from schemathesis.engine import events, from_schema
from temporalio.client import Client

from activities.naming import workflow_id_for
from api.cookies import SESSION_COOKIE
from domain.decisions import Envelope
from domain.step_up import act_digest
from runtime.issuer import Issuer
from store.sessions import Sessions
from tests.conftest import DatabaseUrls, Servers
from tests.support.harness import SIGNER
from tests.support.place import Place, place_on
from tests.support.provider import ProviderProcess
from tests.support.soak import MINUTES, seed, soaks
from tests.support.system import (
    AUDITOR,
    COUNCIL,
    OFFICER,
    OWNER,
    REVIEWERS,
    SIGNATORIES,
    TRAINING_OFFICER,
    example,
)

OPERATOR = "ops.operator"
NOBODY = "nobody.at.all"
SPARE = "spare.person"
SIGNED_IN = "a browser's session"
OFF = {"enabled": False}

NOT_CALLED = {"GET /events": "It never ends. Its tests read it event by event (tests/e2e/test_notices.py)."}

LEFT_OUT = {
    # What fits the description, and is refused all the same.
    "positive_data_acceptance": {
        "POST /assessments": "Which answers a proposal needs is the policy pack's to say.",
        "POST /reviews": "As above; and its documents have to be there.",
        "POST /reviews/{review_id}/decisions": "As above; and what each kind of decision needs, the process says.",
        "POST /keys": "No schema tells a point of the curve from other bytes.",
        "POST /webhooks": "An address has to be one that may be posted to.",
        "PUT /me/preferences": "Which time zones there are is the IANA database's to say.",
        "POST /people/import": "CSV, whose columns no schema describes.",
        "POST /training/import": "As above.",
        "POST /documents": "An empty document is none.",
        "POST /invitations": "The reviews have to be there, and open.",
        "GET /invited/{token}": "410, where a token is none of ours.",
        "POST /invited/{token}": "As above.",
    },
    "negative_data_rejection": {"POST /documents": "Whatever bytes there are, they are a document."},
    "use_after_free": {"GET /webhooks/{webhook}/posts": "What was posted stays on record when its webhook is removed."},
}
"""The checks that can't be made of an operation, and why."""

TOO_MANY = {
    "POST /reviews": "Its proposal is covered by POST /assessments.",
    "POST /reviews/{review_id}/decisions": "Seventeen kinds of decision, one with a proposal: 1,800 cases, and a minute.",
}
"""What takes so long that only a soak covers it, or follows its links with all else, and why."""

NO_SUCCESS = {
    **NOT_CALLED,
    "GET /sign-in/callback": "Only the provider leads there: tests/e2e/test_sign_in.py.",
}
"""What nobody gets a success from here, and why."""

WHO = {
    "POST /assessments": (OWNER,),
    "POST /reviews": (OWNER,),
    "POST /documents": (OWNER,),
    "GET /documents/{digest}": (OWNER,),
    "POST /reviews/{review_id}/decisions": (
        REVIEWERS[0],
        COUNCIL[1],
        OFFICER,
        OWNER,
        SIGNATORIES["business_unit_head"],
    ),
    "POST /reviews/{review_id}/repair": (OPERATOR,),
    "GET /registry/ledger": (AUDITOR,),
    "POST /training/import": (TRAINING_OFFICER,),
    "POST /invitations": (OFFICER,),
    "GET /session": (SIGNED_IN,),
    "POST /sign-out": (SIGNED_IN,),
    "GET /step-up": (SIGNED_IN,),
    "POST /step-up": (SIGNED_IN,),
}
"""Who asks for what: first those who may. Everything else about a review is asked by an auditor, and the rest by an
operator; now and then, each by somebody who holds no role.
"""


@dataclass
class World:
    """What there is when the fuzzing begins, and who asks."""

    place: Place
    loop: asyncio.AbstractEventLoop
    tokens: dict[str, str]
    review: str
    lost: str
    decided: dict[str, str]
    approved: str
    document: str
    links: list[str]
    webhook: str
    invitation: str
    key: str
    kept: set[str]
    """What nobody may take away, or else there would be nothing more to try: people, their grants, the signing key."""
    digest: str
    delegation: str
    spare_grant: str
    nonce: str
    steady: bool = False
    """Whether each operation is always asked for by the same person."""
    _turns: dict[str, Iterator[str]] = field(default_factory=dict)
    _days: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def asks(self, operation: str) -> str:
        """Who sends the next request to an operation."""
        if operation not in self._turns:
            may = WHO.get(operation, (AUDITOR,) if "{review_id}" in operation else (OPERATOR,))
            self._turns[operation] = itertools.cycle(may[:1] if self.steady else [*may * 4, NOBODY])
        return next(self._turns[operation])

    def examples(self) -> dict[str, list[dict[str, Any]]]:
        """What each operation succeeds with, where chance alone would not find it."""
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        # As that of `review`, so that a decision on it is one on whatever is submitted.
        proposal = example(4).model_dump(mode="json")
        day = datetime.now(UTC) + timedelta(days=next(self._days))
        review, approved = {"review_id": self.review}, {"review_id": self.approved}
        decision = {**review, "decision_id": self.decided[self.review]}
        about = "/reviews/{review_id}"
        question = {"kind": "question", "digest": self.digest, "reason": "Who is asked?"}
        return {
            "POST /assessments": [{"body": {"proposal": proposal}}],
            "POST /reviews": [{"body": {"proposal": proposal}}],
            f"GET {about}": [{"path_parameters": review}, {"path_parameters": approved}],
            f"GET {about}/proposal": [{"path_parameters": review}],
            f"GET {about}/assessment": [{"path_parameters": review}],
            f"GET {about}/timeline": [{"path_parameters": approved}],
            f"GET {about}/history": [{"path_parameters": approved}],
            f"GET {about}/evidence": [{"path_parameters": approved}],
            f"GET {about}/certificate": [{"path_parameters": approved}],
            f"GET {about}/changes": [{"path_parameters": review, "query": {"since": self.digest}}],
            f"POST {about}/repair": [{"path_parameters": {"review_id": self.lost}, "body": {"terminate": True}}],
            f"POST {about}/decisions": [{"path_parameters": review, "body": question}] * 5,
            f"GET {about}/decisions/{{decision_id}}": [{"path_parameters": decision}],
            f"GET {about}/decisions/{{decision_id}}/envelope": [{"path_parameters": decision}],
            "GET /packs/{pack}": [{"path_parameters": {"pack": "nec-human-rights"}}],
            "GET /documents/{digest}": [{"path_parameters": {"digest": self.document}}],
            "POST /documents": [{"body": b"A text.", "media_type": "text/plain"}],
            "POST /people/import": [
                {"body": b"person,name,unit,role,office\nx.y,X,Y,auditor,\n", "media_type": "text/csv"}
            ],
            "POST /training/import": [
                {"body": b"person,course,completed_at\nx.y,c,2026-06-01T09:00:00Z\n", "media_type": "text/csv"}
            ],
            "POST /people/{person}/disabled": [{"path_parameters": {"person": SPARE}, "body": {"because": "Left."}}],
            "DELETE /people/{person}/disabled": [{"path_parameters": {"person": "former.person"}}],
            "GET /grants": [{"query": {"person": SPARE}}],
            "DELETE /grants/{grant}": [{"path_parameters": {"grant": self.spare_grant}}],
            "POST /delegations": [
                {
                    "body": {
                        "giver": REVIEWERS[1],
                        "taker": SPARE,
                        "roles": ["reviewer"],
                        "starts_at": day.isoformat(),
                        "ends_at": (day + timedelta(hours=1)).isoformat(),
                    }
                }
            ],
            "DELETE /delegations/{delegation}": [{"path_parameters": {"delegation": self.delegation}}],
            "GET /notices": [{"query": {"review": self.review}}],
            "PUT /me/preferences": [{"body": {"pace": "none"}}],
            "POST /webhooks": [{"body": {"url": "https://hooks.example/there"}}],
            "DELETE /webhooks/{webhook}": [{"path_parameters": {"webhook": self.webhook}}],
            "GET /webhooks/{webhook}/posts": [{"path_parameters": {"webhook": self.webhook}}],
            "DELETE /keys/{key}": [{"path_parameters": {"key": self.key}, "query": {"because": "It is old."}}],
            "DELETE /invitations/{invitation}": [{"path_parameters": {"invitation": self.invitation}}],
            "POST /keys": [{"body": {"public": a_key()}}],
            "POST /invitations": [
                {
                    "body": {
                        "person": COUNCIL[3],
                        "email": "m@law.example",
                        "reviews": [self.review],
                        "expires_at": later,
                    }
                }
            ],
            "GET /step-up": [{"query": {"nonce": self.nonce}}],
            "POST /step-up": [{"query": {"nonce": self.nonce}}],
            "GET /invited/{token}": [{"path_parameters": {"token": self.links[0]}}],
            "POST /invited/{token}": [{"path_parameters": {"token": self.links[1]}}],
        }

    def identify(self, case: schemathesis.Case[Any]) -> None:
        """Say in a request who asks."""
        who = self.asks(case.operation.label)
        case.headers["Sec-Fetch-Site"] = "same-origin"
        if who == SIGNED_IN:
            case.cookies[SESSION_COOKIE] = asyncio.run_coroutine_threadsafe(self._session(), self.loop).result()
        else:
            self._ask_as(who, case)

    def spare(self, case: schemathesis.Case[Any]) -> None:
        """Have somebody without a role ask, where otherwise something would be taken away that is needed."""
        taking = case.operation.label.startswith(("DELETE", "POST /people/"))
        if taking and self.kept & {str(value) for value in case.path_parameters.values()}:
            self._ask_as(NOBODY, case)

    def _ask_as(self, who: str, case: schemathesis.Case[Any]) -> None:
        case.cookies.pop(SESSION_COOKIE, None)  # chance may have made one; nobody says twice who they are
        case.headers["Authorization"] = f"Bearer {self.tokens[who]}"

    async def _session(self) -> str:
        cookie, _ = await sessions_of(self.place).begin(OWNER, None, instead_of=None)
        return cookie


def a_key() -> str:
    """The public half of a new key."""
    return b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


async def world_of(place: Place, temporal: Client) -> World:
    """Reviews at several turns, and something of everything else that can be asked for."""
    system = place.system
    await system.granted((SPARE, "auditor", ""), ("former.person", "auditor", ""))
    operator, officer, owner = [await place.person(name) for name in (OPERATOR, OFFICER, OWNER)]
    await operator.post("/people/former.person/disabled", {"because": "Left."})
    reviews = [await system.opened(example(tier)) for tier in (4, 1, 1)]
    judged, lost, approved = reviews
    await system.reviewed(judged)
    await system.reviewed(approved)
    await system.signed_off(approved)
    await temporal.get_workflow_handle(workflow_id_for(lost)).terminate("by hand")
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for member in COUNCIL:
        await system.written_to(member, "m@law.example")
    looked_at, used, another = [
        await officer.post(
            "/invitations", {"person": who, "email": "m@law.example", "reviews": [judged], "expires_at": later}
        )
        for who in (COUNCIL[0], COUNCIL[2], COUNCIL[3])
    ]
    given = await operator.post(
        "/delegations", {"giver": REVIEWERS[2], "taker": SPARE, "roles": ["reviewer"], "ends_at": later}
    )
    webhook = await operator.post("/webhooks", {"url": "https://hooks.example/here"})
    key = await operator.post("/keys", {"public": a_key()})
    document = await owner.put_in("/documents", b"A text of its own.", "text/plain")
    for made in (looked_at, used, another, given, key, webhook, document):
        assert 201 == made.status_code, made.text
    people = {name for names in WHO.values() for name in names} | {OPERATOR, AUDITOR, NOBODY}
    tokens = {name: await place.provider.access_token(name, exp=2**32) for name in people - {SIGNED_IN}}
    kept = set(people)
    for name in people - {SIGNED_IN}:
        kept |= {grant["id"] for grant in (await operator.get("/grants", person=name)).json()["grants"]}
    kept |= {other["key"] for other in (await operator.get("/keys")).json()["keys"]} - {key.json()["key"]}
    (spare,) = (await operator.get("/grants", person=SPARE)).json()["grants"]
    decided = await system.database.pool.fetch("select id, review_id from decisions")
    return World(
        place=place,
        loop=asyncio.get_running_loop(),
        tokens=tokens,
        review=judged,
        lost=lost,
        decided={row["review_id"]: str(row["id"]) for row in decided},
        approved=approved,
        document=document.json()["digest"],
        links=[(await place.link_of(one.json()["id"])).rpartition("/")[2] for one in (looked_at, used)],
        webhook=webhook.json()["id"],
        invitation=another.json()["id"],
        key=key.json()["key"],
        kept=kept,
        digest=(await system.at(judged)).digest,
        delegation=given.json()["id"],
        spare_grant=spare["id"],
        nonce=await asked_over(place, judged),
    )


async def asked_over(place: Place, review: str) -> str:
    """The digest of a decision that a browser's session was asked to sign in again over."""
    stored = await place.system.database.pool.fetchval("select envelope from decisions where review_id = $1", review)
    envelope = Envelope.model_validate_json(stored).model_copy(update={"person": OWNER})
    nonce = act_digest(envelope)
    await sessions_of(place).ask_step_up(envelope, nonce)
    return nonce


def sessions_of(place: Place) -> Sessions:
    """The sessions of a place, as its API has them."""
    return Sessions(place.system.database, SIGNER, idle=timedelta(hours=1), longest=timedelta(hours=1))


def schema_of(world: World, but: Collection[str], phases: dict[str, Any]) -> Any:
    """Our description, but for these operations, how it is gone through, and who asks."""
    known = {
        "reviews": [world.review, world.approved],
        "digests": [world.digest, world.document],
        "people": [SPARE, OWNER],
        "webhooks": [world.webhook],
    }
    config = schemathesis.Config.from_dict(
        {
            "seed": seed(),
            "max-redirects": 0,
            "continue-on-failure": True,
            **({"max-time": int(MINUTES * 60)} if soaks() else {}),
            "generation": {"max-examples": 10_000 if soaks() else 8, "database": "none"},
            "phases": phases,
            "dictionaries": {name: {"values": values} for name, values in known.items()},
            "parameters": {
                name: {"dictionary": dictionary, "probability": 0.7}
                for name, dictionary in (
                    ("path.review_id", "reviews"),
                    ("query.review", "reviews"),
                    ("path.digest", "digests"),
                    ("query.digest", "digests"),
                    ("query.since", "digests"),
                    ("query.person", "people"),
                    ("path.webhook", "webhooks"),
                )
            },
            "operations": [
                *({"include-name": name, "enabled": False} for name in {*NOT_CALLED, *but}),
                *(
                    {"include-name": name, "checks": {check: {"enabled": False}}}
                    for check, operations in LEFT_OUT.items()
                    for name in operations
                ),
                *({"include-name": name, "phases": {"coverage": {"enabled": soaks()}}} for name in TOO_MANY),
            ],
        }
    )
    schema = schemathesis.openapi.from_url(f"{world.place.url}/openapi.json", config=config)

    @schema.auth(refresh_interval=None)
    class _Someone:
        def get(self, _case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> bool:
            return True

        def set(self, case: schemathesis.Case[Any], _data: bool, _context: schemathesis.AuthContext) -> None:
            world.identify(case)

    @schema.hook
    def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
        """No pattern names the marks of every script: a reason of nothing else fits the description, and is refused."""
        given = (parts.get("because") for parts in (case.query, case.body) if isinstance(parts, dict))
        return not any(isinstance(reason, str) and reason and _are_marks(reason) for reason in given)

    if world.steady:

        @schema.hook
        def map_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
            """Chance makes nothing that would be taken."""
            if case.meta is not None and case.meta.generation.mode.is_positive:
                for parts in world.examples().get(case.operation.label, ()):
                    case.query.update(parts.get("query", {}))
                    if "body" in parts:
                        case.body = parts["body"]
                        case.headers.pop("Idempotency-Key", None)
            return case

    examples = world.examples()

    @schema.hook
    def before_add_examples(context: schemathesis.HookContext, examples_of: list[schemathesis.Case[Any]]) -> None:
        operation = context.operation
        assert operation is not None
        for parts in examples.get(operation.label, [{}]):
            case = operation.Case(**{"media_type": "application/json", **parts} if "body" in parts else parts)
            schema.auth.set(case, schemathesis.AuthContext(operation=operation, app=None))
            examples_of.append(case)

    return schema


def _are_marks(text: str) -> bool:
    return all(unicodedata.category(character) in ("Cf", "Me", "Mn") or character.isspace() for character in text)


@dataclass
class Outcome:
    """What came of a run: how often each operation answered what, and what was wrong."""

    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @property
    def succeeded(self) -> set[str]:
        """The operations that did what they are for, at least once."""
        return {name for name, answers in self.answers.items() if any(200 <= status < 400 for status in answers)}

    def take(self, event: events.EngineEvent) -> None:
        """Note what an event of schemathesis says."""
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.wrong[str(getattr(event, "label", "")), "error", ""] = str(event)
        if not isinstance(event, events.ScenarioFinished):
            return
        for key, sent in event.recorder.interactions.items():
            if sent.response is None:
                continue
            case, status = event.recorder.cases[key].value, sent.response.status_code
            operation = case.operation
            if case.method.upper() == operation.method.upper():
                self.answers[operation.label][status] += 1
                if str(status) not in operation.definition.raw["responses"]:
                    self.wrong[operation.label, "undocumented", str(status)] = sent.request.uri
            elif status == HTTPStatus.METHOD_NOT_ALLOWED and "allow" not in sent.response.headers:
                self.wrong[operation.label, "405", "no Allow"] = sent.request.uri
        for key, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    label = event.recorder.cases[key].value.operation.label
                    failure = check.failure_info.failure
                    said = f"{failure.message}\n{check.failure_info.code_sample}"
                    answer = event.recorder.interactions.get(key)
                    if answer is not None and answer.response is not None:
                        said += f"\n{answer.response.content[:500]!r}"
                    self.wrong.setdefault((label, check.name, failure.title), said)


async def run(world: World, *, but: Collection[str] = (), **phases: Any) -> Outcome:
    """Have schemathesis go through these phases; in a thread, for the API answers in the loop of the tests."""
    return await asyncio.to_thread(_run, world, but, phases)


def _run(world: World, but: Collection[str], phases: dict[str, Any]) -> Outcome:
    outcome = Outcome()
    schema = schema_of(world, but, phases)

    @schemathesis.hook
    def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
        world.spare(case)

    try:
        for event in from_schema(schema).execute():
            outcome.take(event)
    finally:
        schemathesis.hooks.unregister(before_call)
    return outcome


def told(wrong: dict[tuple[str, str, str], str]) -> str:
    """What was wrong, for people; SOAK_SEED repeats it."""
    return f"seed {seed()}\n\n" + "\n\n".join(f"{' / '.join(where)}: {what}" for where, what in wrong.items())


@pytest.fixture
async def own_place(
    servers: Servers, database: DatabaseUrls, issuer: Issuer, provider: ProviderProcess
) -> AsyncIterator[Place]:
    """A place of the test's own: what is made there twice is refused."""
    async with place_on(database, servers.temporal.address, issuer, provider) as own, own.system.worker():
        yield own


@pytest.mark.soak
@pytest.mark.timeout(300 + 2 * 60 * MINUTES)
async def test_every_operation_does_what_its_description_says(own_place: Place, temporal_client: Client) -> None:
    """Examples of our own, each boundary of each schema, and chance: what fits, and what does not. And every operation
    has really succeeded, so that it wasn't all refusals.
    """
    world = await world_of(own_place, temporal_client)
    outcome = await run(world, stateful=OFF)
    assert {} == outcome.wrong, told(outcome.wrong)
    assert {*await described(own_place)} - outcome.succeeded == NO_SUCCESS.keys()


@pytest.mark.soak
@pytest.mark.timeout(300 + 2 * 60 * MINUTES)
async def test_what_links_lead_to_is_there(own_place: Place, temporal_client: Client) -> None:
    """From what was made to what can be done with it, and after it was taken away: by the links of the description, and
    those that schemathesis finds itself.
    """
    world = await world_of(own_place, temporal_client)
    world.steady = True
    operations = await described(own_place)
    linked = {name: links_of(operation) for name, operation in operations.items() if links_of(operation)}
    followed = {end for name in linked.keys() - TOO_MANY.keys() for end in (name, *linked[name])}
    tried = {end for name in linked for end in (name, *linked[name])} if soaks() else followed
    stateful = {"max-steps": 10, "generation": {"mode": "positive", "max-examples": 10_000 if soaks() else 20}}
    phases = {"examples": OFF, "coverage": OFF, "fuzzing": OFF, "stateful": stateful}
    outcome = await run(world, but=operations.keys() - tried, **phases)
    assert {} == outcome.wrong, told(outcome.wrong)
    assert set() == followed - outcome.succeeded


async def test_what_was_submitted_is_decided_about(own_place: Place, temporal_client: Client) -> None:
    """As above, with what is too many there: a few proposals are submitted, and decisions made on those by their links."""
    world = await world_of(own_place, temporal_client)
    world.steady = True
    stateful = {"max-steps": 6, "generation": {"mode": "positive", "max-examples": 4}}
    phases = {"examples": OFF, "coverage": OFF, "fuzzing": OFF, "stateful": stateful}
    outcome = await run(world, but=(await described(own_place)).keys() - TOO_MANY.keys(), **phases)
    assert {} == outcome.wrong, told(outcome.wrong)
    assert outcome.succeeded == TOO_MANY.keys()
    asked = await own_place.system.database.pool.fetch("select review_id from decisions where kind = 'question'")
    assert {row["review_id"] for row in asked} - world.decided.keys(), "no decision was made on what was submitted here"


async def described(place: Place) -> dict[str, Any]:
    """Every operation of the description."""
    paths = (await place.http.get("/openapi.json")).json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def links_of(operation: dict[str, Any]) -> list[str]:
    """The operations that links lead to from an operation."""
    found = []
    for response in operation["responses"].values():
        for link in response.get("links", {}).values():
            path, method = unquote(link["operationRef"]).removeprefix("#/paths/").rsplit("/", 1)
            found.append(f"{method.upper()} {path.replace('~1', '/')}")
    return found
