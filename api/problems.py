"""Problem details (RFC 9457): every answer that is not a success is one.

Problem                    the base; a status, a stable type, a title, and what else the reader needs
├── MalformedRequest       400  the body is not JSON, or not JSON that all readers understand alike
├── Unauthenticated        401  no token or session, or none that we accept
├── Forbidden              403  known, but not entitled
│   ├── Disabled                 can do nothing here any more
│   ├── CrossSite                another site made the browser ask
│   ├── SignInRefused            the sign-in was not begun here, or did not end well
│   └── StepUpRequired           the person must sign in again, over this very decision
├── NotFound               404  not there, or not for this person to see
├── RequestTimeout         408  the body did not arrive in time
├── Conflict               409  the process refuses
├── ContentTooLarge        413
├── UnsupportedMediaType   415
├── Invalid                422  understood, but not valid; `errors` points at the fields at fault
└── Unavailable            503  something that we need is not there; worth trying again
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPMethod, HTTPStatus
from itertools import takewhile
from types import MappingProxyType
from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from domain.problems import message_of, mistakes, path_in, pointer_to

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ringi:problem:"
REQUEST_PREFIX = "urn:ringi:request:"

# A body full of mistakes must not become an answer larger than itself.
MAX_ERRORS = 50
_MAX_NAME_LENGTH = 100


class FieldError(BaseModel):
    """One thing that is wrong with a request, and where."""

    detail: str = Field(description="What is wrong, without the value")
    type: str = Field(description="The kind of mistake, for programs")
    pointer: str | None = Field(default=None, description="Where in the body: a JSON pointer (RFC 6901)")
    parameter: str | None = Field(default=None, description="Which parameter, where it is not in the body")


class ProblemDocument(BaseModel):
    """Problem details as of RFC 9457. A type may have members of its own."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(
        description="A URN that names the kind of problem and doesn't change", examples=[TYPE_PREFIX + "conflict"]
    )
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(default=None, description="A URN with the id of the request")
    errors: list[FieldError] | None = Field(default=None, max_length=MAX_ERRORS)


class Problem(HTTPException):
    """An answer that is not a success.

    A subclass names its `status`, and a `slug` and `title` where those of the status say too little.

    Args:
        detail: what the person who gets it can do with it; never what they sent, never what we are made of.
        headers: what the status asks for, as `WWW-Authenticate` or `Retry-After`.
        refuses: whether something that somebody tried is refused with it, and belongs among the attempts on record; not
            where one more step is asked for, or where the refusal is on a review's record itself.
        members: members of the document that are this problem's own.
    """

    status: ClassVar[HTTPStatus]
    slug: ClassVar[str | None] = None
    title: ClassVar[str | None] = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        refuses: bool = True,
        **members: JsonValue,
    ) -> None:
        super().__init__(self.status.value, detail or "", headers)
        self.refuses = refuses
        self.members = members
        self.person: str | None = None
        """Who is refused, where that is known of something else than a session or a token that holds."""

    def document(self) -> dict[str, JsonValue]:
        """The problem as JSON, without its instance."""
        title = self.title or self.status.phrase
        return {**self.members, **_document(self.status, self.slug or _slug(self.status), title, self.detail)}


class MalformedRequest(Problem):
    """The body is not JSON, or not JSON that all readers understand alike."""

    status = HTTPStatus.BAD_REQUEST
    slug = "malformed-request"
    title = "Malformed request"


class Unauthenticated(Problem):
    """No token or session, or none that we accept. Needs a `WWW-Authenticate` header."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthenticated"
    title = "Not authenticated"


class Forbidden(Problem):
    """Known, but not entitled."""

    status = HTTPStatus.FORBIDDEN


class Disabled(Forbidden):
    """This person can do nothing here any more."""

    slug = "disabled"
    title = "Disabled"

    def __init__(self, person: str) -> None:
        super().__init__("Your account is disabled here.", reason="disabled")
        self.person = person


class CrossSite(Forbidden):
    """Another site made the browser ask."""

    slug = "cross-site"
    title = "From another site"

    def __init__(self) -> None:
        detail = "This request came from another site, or did not say where from; make it from a page of ours."
        super().__init__(detail, reason="cross_site")


class SignInRefused(Forbidden):
    """The sign-in was not begun here, or did not end well."""

    slug = "sign-in-refused"
    title = "Not signed in"


class StepUpRequired(Forbidden):
    """The person must sign in again, over this very decision (after RFC 9470)."""

    slug = "step-up-required"
    title = "Sign in again"

    def __init__(
        self, detail: str | None = None, *, max_age: int = 0, refuses: bool = True, **members: JsonValue
    ) -> None:
        challenge = f'Bearer error="insufficient_user_authentication", max_age={max_age}'
        headers = {"WWW-Authenticate": challenge}
        super().__init__(detail, headers=headers, refuses=refuses, reason="step_up_required", **members)


class NotFound(Problem):
    """Not there, or not for this person to see."""

    status = HTTPStatus.NOT_FOUND


class RequestTimeout(Problem):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Conflict(Problem):
    """The process refuses."""

    status = HTTPStatus.CONFLICT


class ContentTooLarge(Problem):
    """The body is larger than this endpoint takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "content-too-large"
    title = "Content too large"


class UnsupportedMediaType(Problem):
    """The body is of a kind that this endpoint doesn't take."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Invalid(Problem):
    """Understood, but not valid."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid"
    title = "Not valid"

    @classmethod
    def at(cls, *errors: FieldError, count: int | None = None) -> Invalid:
        """The problem with these mistakes, of which the first ones are named. `count` is how many there are, where not all
        of them are given.
        """
        wrong = len(errors) if count is None else count
        named: list[JsonValue] = [error.model_dump(exclude_none=True) for error in errors[:MAX_ERRORS]]
        return cls(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong with the request", errors=named)


class Unavailable(Problem):
    """Something that we need is not there; worth trying again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "unavailable"
    title = "Unavailable for now"

    def __init__(self, detail: str | None = None, *, retry_after: int = 5, **members: JsonValue) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, refuses=False, **members)


class ProblemResponse(JSONResponse):
    """A problem document as an answer."""

    media_type = MEDIA_TYPE

    def __init__(self, document: dict[str, JsonValue], headers: Mapping[str, str] | None) -> None:
        code = document["status"]
        assert isinstance(code, int)
        super().__init__(document, status_code=code, headers=headers)
        self.document = document


def problem_response(error: Exception, request_id: str | None) -> ProblemResponse:
    """The one place where an exception becomes an answer; one that we don't expect says nothing of itself."""
    headers: Mapping[str, str] | None = None
    match error:
        case Problem():
            document, headers = error.document(), error.headers
        case RequestValidationError():
            document = Invalid.at(*map(_field_error(error.body), mistakes(error.errors()))).document()
        case HTTPException():
            status, headers = HTTPStatus(error.status_code), error.headers
            detail = None if error.detail == status.phrase else error.detail
            document = _document(status, _slug(status), status.phrase, detail)
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            document = _document(status, _slug(status), status.phrase, "Something went wrong on our side.")
    if request_id is not None:
        document["instance"] = REQUEST_PREFIX + request_id
    return ProblemResponse(document, headers)


def install_problems(app: FastAPI, refusals: Mapping[type[Exception], type[Problem]] = MappingProxyType({})) -> None:
    """Make every refusal of `app` a problem document, in its answers and in its OpenAPI description; `refusals` are the
    errors of what is behind it whose message says what stands against a request, and the problem that each is.

    What nobody expected is answered by `api.middleware.RequestContext`, which knows more about it.
    """

    async def handle(request: Request, error: Exception) -> Response:
        response = problem_response(error, getattr(request.state, "request_id", None))
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = ", ".join(_allowed(request))
        if getattr(error, "refuses", True):
            document = response.document
            refused_with(
                request,
                str(document["type"]).removeprefix(TYPE_PREFIX),
                reason=document.get("reason"),
                detail=document.get("detail"),
            )
        else:
            request.state.refusal = None
        if isinstance(error, Problem) and error.person is not None:
            request.state.person = error.person
        return response

    def refused_as(problem: type[Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def refused(request: Request, error: Exception) -> Response:
            return await handle(request, problem(str(error)))

        return refused

    for kind, problem in refusals.items():
        app.add_exception_handler(kind, refused_as(problem))
    app.add_exception_handler(HTTPException, handle)
    app.add_exception_handler(RequestValidationError, handle)

    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_SCHEMAS)
        # FastAPI describes 422 in its own form wherever there is something to validate; ours is another.
        for operation in (operation for path in schema.get("paths", {}).values() for operation in path.values()):
            responses = operation["responses"]
            if "application/json" in responses.get("422", {}).get("content", {}):
                responses["422"] = problems(422)[422]
            refusals: dict[int | str, dict[str, Any]] = {}
            if operation.get("security"):
                refusals |= _WHO_ASKS
            if "requestBody" in operation:
                refusals |= problems(408)
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                refusals |= _TAKES_JSON
            for status, refusal in refusals.items():
                responses.setdefault(str(status), refusal)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to change it


def refused_with(request: Request, problem: str, *, reason: JsonValue = None, detail: JsonValue = None) -> None:
    """Tell the record of attempts why a request is answered with a status from 400 to 499.

    Of such an answer that nothing is told of, it has the status alone; only what is None in `request.state.refusal` is no
    attempt.
    """
    request.state.refusal = {"problem": problem, "reason": reason, "detail": detail}


def slug_of(status: int) -> str:
    """What a problem is called that has no name but its status."""
    try:
        return _slug(HTTPStatus(status))
    except ValueError:
        return str(status)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What `responses=` of an endpoint takes, for the statuses that it refuses with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


_WHO_ASKS = problems(400, 401, 403, 404, 503)
"""How whoever asks can be refused anywhere: known twice over, not known, disabled or from another site, not invited to
this, not to be known now.
"""

_TAKES_JSON = problems(400, 413, 415)
"""How a body in JSON can be refused anywhere: no JSON, too large, or said to be something else."""


def _allowed(request: Request) -> list[str]:
    """The methods of all the routes that lead to where a request went; Starlette names those of the first one."""
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _schemas() -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}


_SCHEMAS = _schemas()

# Pydantic quotes the input in these messages.
_DISCREET = {
    "union_tag_invalid": "The tag must be one of {expected_tags}",
    "uuid_parsing": "Input should be a valid UUID",
}


def _document(status: HTTPStatus, slug: str, title: str, detail: str | None) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {"type": TYPE_PREFIX + slug, "title": title, "status": status.value}
    if detail:
        document["detail"] = detail
    return document


def _slug(status: HTTPStatus) -> str:
    return status.phrase.lower().replace(" ", "-")


def _field_error(body: object) -> Callable[[Mapping[str, Any]], FieldError]:
    def convert(error: Mapping[str, Any]) -> FieldError:
        kind: str = error["type"]
        detail = _DISCREET[kind].format(**error.get("ctx", {})) if kind in _DISCREET else message_of(error)
        place, *path = error["loc"]
        if place == "body":
            # It ends early at a name that is so long that it would be input rather than a place.
            short = takewhile(_is_a_place, path_in(body, error, above=(place,)))
            return FieldError(detail=detail, type=kind, pointer=pointer_to(*short))
        return FieldError(detail=detail, type=kind, parameter=".".join(map(str, path)))

    return convert


def _is_a_place(step: str | int) -> bool:
    return not isinstance(step, str) or len(step) <= _MAX_NAME_LENGTH
