"""Every refusal is a problem document (RFC 9457) that says where and why, and never what was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI, Header, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.bodies import BoundedRoute
from api.middleware import RequestContext
from api.problems import Conflict, Disabled, NotFound, Problem, Unavailable, install_problems, problems

CANARY = "canary-7f3a"


def _one_word(text: str) -> str:
    if " " in text:
        raise ValueError("must be one word")
    return text


Advice = Annotated[str, AfterValidator(_one_word)]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=20)]


class Sheet(BaseModel):
    kind: Literal["sheet"]
    verdicts: list[Verdict]
    advice: Annotated[tuple[Advice, ...], Field(min_length=1)] = ("none",)


class Question(BaseModel):
    kind: Literal["question"]
    id: UUID
    sheet: int = 0


class DecisionRefused(Conflict):
    """The process's own conflict."""

    slug = "decision-refused"
    title = "Decision refused"


def _app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestContext)
    install_problems(app)
    router = APIRouter(route_class=BoundedRoute)

    @router.post("/reviews/{number}", responses=problems(401, 409))
    async def decide(
        number: int,
        body: Annotated[Sheet | Question, Field(discriminator="kind")],
        limit: Annotated[int, Query(le=10)] = 1,
        if_match: Annotated[int, Header()] = 0,
    ) -> int:
        return number + limit + if_match

    @router.get("/reviews/{number}")
    async def look(number: int) -> int:
        return number

    @router.get("/refused")
    async def refused() -> None:
        raise DecisionRefused("It is late.", reason="late", status="never", type="never")

    @router.get("/hidden")
    async def hidden() -> None:
        raise NotFound

    @router.get("/away")
    async def away() -> None:
        raise Unavailable(retry_after=7)

    @router.get("/plain")
    async def plain() -> None:
        raise HTTPException(429, "Slower.", {"Retry-After": "3"})

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError(CANARY)

    @router.get("/unlike")
    async def unlike() -> Verdict:
        return {"reason": CANARY * 9}  # type: ignore[return-value]  # that it is wrong is the point

    app.include_router(router)
    return app


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(_app()), base_url="http://api.test") as client:
        yield client


def _problem(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:ringi:problem:{slug}"
    assert document["instance"] == "urn:ringi:request:" + answer.headers["x-request-id"]
    assert CANARY not in answer.text
    return document


async def test_a_problem_of_our_own(client: httpx2.AsyncClient) -> None:
    """Its members are in the document, and can't replace those that every problem has."""
    document = _problem(await client.get("/refused"), 409, "decision-refused")
    assert document["title"] == "Decision refused"
    assert document["detail"] == "It is late."
    assert document["reason"] == "late"


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/hidden", 404, "not-found"),
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/hidden", 405, "method-not-allowed"),
        ("GET", "/away", 503, "unavailable"),
        ("GET", "/plain", 429, "too-many-requests"),
        ("GET", "/broken", 500, "internal-server-error"),
        ("GET", "/unlike", 500, "internal-server-error"),
    ],
)
async def test_every_refusal_is_a_problem(
    client: httpx2.AsyncClient, method: str, path: str, status: int, slug: str
) -> None:
    """Whoever raised it, and whether or not there is such a route."""
    _problem(await client.request(method, path), status, slug)


async def test_headers_of_the_status_are_kept(client: httpx2.AsyncClient) -> None:
    """Retry-After and Allow reach the client."""
    assert (await client.get("/away")).headers["retry-after"] == "7"
    assert (await client.get("/plain")).headers["retry-after"] == "3"
    assert (await client.delete("/hidden")).headers["allow"] == "GET"


async def test_allow_names_the_methods_of_all_routes(client: httpx2.AsyncClient) -> None:
    """Each method of a path is a route of its own."""
    assert (await client.delete("/reviews/1")).headers["allow"] == "GET, POST"


async def test_pointers_lead_into_the_body(client: httpx2.AsyncClient) -> None:
    """A pointer is a place in the document that was sent, whichever union members pydantic tried."""
    body = {"kind": "sheet", "verdicts": [{"reason": CANARY * 5}, {}, {"reason": "r", "a/b~c": CANARY}]}
    document = _problem(await client.post("/reviews/1", json=body), 422, "invalid")
    assert document["errors"] == [
        {
            "detail": "String should have at most 20 characters",
            "type": "string_too_long",
            "pointer": "/verdicts/0/reason",
        },
        {"detail": "Field required", "type": "missing", "pointer": "/verdicts/1/reason"},
        {"detail": "Extra inputs are not permitted", "type": "extra_forbidden", "pointer": "/verdicts/2/a~1b~0c"},
    ]


async def test_a_list_of_items_that_are_at_fault_is_not_called_short(client: httpx2.AsyncClient) -> None:
    """It was as long as it has to be; one that is empty is short."""
    faulty = {"kind": "sheet", "verdicts": [], "advice": ["two words"]}
    document = _problem(await client.post("/reviews/1", json=faulty), 422, "invalid")
    assert document["errors"] == [{"detail": "must be one word", "type": "value_error", "pointer": "/advice/0"}]
    empty = {"kind": "sheet", "verdicts": [], "advice": []}
    document = _problem(await client.post("/reviews/1", json=empty), 422, "invalid")
    assert [("too_short", "/advice")] == [(error["type"], error["pointer"]) for error in document["errors"]]


async def test_parameters_are_named(client: httpx2.AsyncClient) -> None:
    """Path, query and header have no pointer: the parameter has a name."""
    answer = await client.post(
        f"/reviews/{CANARY}?limit=99", json={"kind": "question", "id": str(UUID(int=1))}, headers={"If-Match": CANARY}
    )
    errors = _problem(answer, 422, "invalid")["errors"]
    assert [(error["parameter"], error["type"]) for error in errors] == [
        ("number", "int_parsing"),
        ("limit", "less_than_equal"),
        ("if-match", "int_parsing"),
    ]
    assert all("pointer" not in error for error in errors)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": CANARY}, ""),
        ({"verdicts": []}, ""),
        ([CANARY], ""),
        (CANARY, ""),
        ({"kind": "question", "id": CANARY}, "/id"),
        ({"kind": "question", "id": str(UUID(int=1)), "sheet": CANARY}, "/sheet"),
        ({"kind": "sheet", "verdicts": CANARY}, "/verdicts"),
        ({"kind": "sheet", "verdicts": [{"reason": "r", CANARY * 20: 1}]}, "/verdicts/0"),
    ],
)
async def test_no_input_in_the_answer(client: httpx2.AsyncClient, body: object, pointer: str) -> None:
    """Neither a value, nor a tag, nor a name that is a text of its own."""
    document = _problem(await client.post("/reviews/1", json=body), 422, "invalid")
    assert [error["pointer"] for error in document["errors"]] == [pointer]


async def test_an_empty_body_is_missing(client: httpx2.AsyncClient) -> None:
    """The whole document is what is missing."""
    document = _problem(await client.post("/reviews/1"), 422, "invalid")
    assert document["errors"] == [{"detail": "Field required", "type": "missing", "pointer": ""}]


async def test_many_mistakes_are_not_all_told(client: httpx2.AsyncClient) -> None:
    """The answer stays small, and says how many there are."""
    body = {"kind": "sheet", "verdicts": [{}] * 1_000}
    document = _problem(await client.post("/reviews/1", json=body), 422, "invalid")
    assert len(document["errors"]) == 50
    assert document["detail"].startswith("1000 ")


async def test_openapi_describes_them(client: httpx2.AsyncClient) -> None:
    """One schema for all, under the media type that they have; FastAPI's own form of 422 is gone."""
    schema = (await client.get("/openapi.json")).json()
    responses = schema["paths"]["/reviews/{number}"]["post"]["responses"]
    for status in ("401", "409", "422"):
        assert responses[status]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    assert {"Problem", "FieldError"} <= set(schema["components"]["schemas"])
    assert "HTTPValidationError" not in json.dumps(schema)


def test_every_problem_has_its_own_type() -> None:
    """The types are what programs tell problems apart by."""

    def tree(kind: type[Problem]) -> list[type[Problem]]:
        return [kind, *(inner for child in kind.__subclasses__() for inner in tree(child))]

    kinds = [kind for kind in tree(Problem) if hasattr(kind, "status") and kind.__module__ == "api.problems"]
    types = [(kind("somebody") if kind is Disabled else kind()).document()["type"] for kind in kinds]
    assert len(types) == len(set(types)) == 14
