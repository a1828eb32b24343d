"""The registers: documents, people and roles, training, policy packs."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from api.bodies import BoundedRoute, DocumentRoute, ImportRoute
from api.description import links
from api.imports import read_completions, read_people
from api.problems import (
    ContentTooLarge,
    FieldError,
    Invalid,
    NotFound,
    UnsupportedMediaType,
    problems,
)
from api.schemas import NO_REASON, Because, Me
from api.services import TheCaller, TheServices
from domain.people import Role
from domain.policy import PolicyPack
from domain.values import Digest, PersonId, ReviewId, Slug
from store.registry import RegistryRefusedError

router = APIRouter(route_class=BoundedRoute)
documents = APIRouter(route_class=DocumentRoute, tags=["documents"])
imports = APIRouter(route_class=ImportRoute)

KINDS = (
    "application/pdf",
    "text/plain",
    "text/markdown",
    "text/csv",
    "application/json",
    "image/png",
    "image/jpeg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
)
"""The kinds of document that are kept: none that a browser would run."""

_CSV = {"text/csv"}

GrantId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class DocumentOut(BaseModel):
    """A document that is kept; `digest` is its address."""

    digest: Digest
    media_type: str
    size: int


class PeopleImported(BaseModel):
    """What an import of people brought."""

    people: int
    grants: int


class TrainingImported(BaseModel):
    """What an import of completions brought: how many were read, how many are new, how many reviews it woke."""

    completions: int
    new: int
    woken: int


def _any_body(kinds: tuple[str, ...]) -> dict[str, object]:
    # To OpenAPI, a body in JSON is its value and not its bytes.
    content = {
        kind: {"schema": {} if kind == "application/json" else {"type": "string", "format": "binary"}} for kind in kinds
    }
    return {"requestBody": {"required": True, "content": content}}


@documents.post(
    "/documents",
    status_code=201,
    summary="Upload a document",
    openapi_extra=_any_body(KINDS),
    responses={
        201: links(("download it", "GET /documents/{digest}", {"digest": "$response.body#/digest"})),
        **problems(401, 403, 413, 415, 422, 503),
    },
)
async def upload(request: Request, response: Response, caller: TheCaller, services: TheServices) -> DocumentOut:
    """Keep a document. Its address is its digest; a proposal names it by that."""
    caller.must_hold(Role.OWNER)
    media_type = _media_type(request, set(KINDS))
    content = await request.body()
    if not content:
        raise Invalid.at(FieldError(pointer="", detail="the document is empty", type="empty"))
    if len(content) > services.settings.document_max_bytes:
        limit = services.settings.document_max_bytes
        raise ContentTooLarge(f"A document has at most {limit} bytes.", limit=limit)
    digest = await services.documents.keep(content, media_type, caller.person)
    response.headers["Location"] = f"/documents/{digest}"
    return DocumentOut(digest=digest, media_type=media_type, size=len(content))


@documents.get(
    "/documents/{digest}",
    summary="Download a document",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in KINDS}}, **problems(401, 404, 422, 503)},
)
async def download(
    digest: Digest, caller: TheCaller, services: TheServices, review: Annotated[ReviewId | None, Query()] = None
) -> Response:
    """A document, for who uploaded it, and for whoever may read `review`, if a revision of that proposal names it."""
    document = await services.documents.at(digest)
    if document is None:
        raise NotFound(_NO_SUCH_DOCUMENT)
    own = caller.reviews is None and caller.person in document.uploaded_by
    if not own and not await _judges(services, caller, review, digest):
        raise NotFound(_NO_SUCH_DOCUMENT)
    headers = {
        "Content-Disposition": f'attachment; filename="{digest[:16]}"',
        "ETag": f'"{digest}"',
        "Content-Security-Policy": "sandbox",
    }
    return Response(document.content, media_type=document.media_type, headers=headers)


@imports.post(
    "/people/import",
    tags=["people"],
    summary="Import people and grant roles",
    openapi_extra=_any_body(("text/csv",)),
    responses=problems(401, 403, 409, 413, 415, 422, 503),
)
async def import_people(request: Request, caller: TheCaller, services: TheServices) -> PeopleImported:
    """CSV with the columns person, name, unit, role, office and, optionally, email; all rows or none. Nobody grants a role
    to themselves, or moves themselves to another unit.
    """
    caller.must_hold(Role.OPERATOR)
    _media_type(request, _CSV)
    people, roles = await asyncio.to_thread(read_people, await request.body(), by=caller.person)
    granted = await services.registers.enter_people(people, roles, by=caller.person)
    return PeopleImported(people=len(people), grants=granted)


@router.get(
    "/grants",
    tags=["people"],
    summary="List somebody's grants",
    responses={
        200: links(("revoke the first", "DELETE /grants/{grant}", {"grant": "$response.body#/grants/0/id"})),
        **problems(401, 403, 422, 503),
    },
)
async def grants_of(person: PersonId, caller: TheCaller, services: TheServices) -> Me:
    """The roles that a person holds, with the ids of the grants, for an operator."""
    caller.must_hold(Role.OPERATOR)
    return Me(person=person, grants=await services.registers.grants(person))


@router.delete(
    "/grants/{grant}",
    status_code=204,
    tags=["people"],
    summary="Revoke a grant",
    responses=problems(401, 403, 404, 422),
)
async def revoke(grant: GrantId, caller: TheCaller, services: TheServices, because: Because = NO_REASON) -> None:
    """Take a role away. It acts at once, on the next commit."""
    caller.must_hold(Role.OPERATOR)
    try:
        await services.registers.revoke(grant, because, by=caller.person)
    except RegistryRefusedError as error:
        raise NotFound(str(error)) from error


@imports.post(
    "/training/import",
    tags=["training"],
    summary="Import completions of courses",
    openapi_extra=_any_body(("text/csv",)),
    responses=problems(401, 403, 413, 415, 422, 503),
)
async def import_training(request: Request, caller: TheCaller, services: TheServices) -> TrainingImported:
    """CSV with the columns person, course, completed_at and, if there is one, expires_at; all rows or none. Reviews
    that wait for one of them are woken.
    """
    caller.must_hold(Role.TRAINING_OFFICER)
    _media_type(request, _CSV)
    completions = await asyncio.to_thread(read_completions, await request.body())
    new = await services.registers.enter_completions(completions)
    woken = await services.decisions.word_from_the_register()
    return TrainingImported(completions=len(completions), new=new, woken=woken)


@router.get(
    "/packs/{pack}", tags=["reviews"], summary="Read a policy pack", responses=problems(401, 404), response_model=None
)
async def pack(pack: Slug, services: TheServices) -> PolicyPack:
    """The policy pack that was last published under this id."""
    found = await services.registers.pack(pack)
    if found is None:
        raise NotFound("No policy pack is published under this id.")
    return found


_NO_SUCH_DOCUMENT = "There is no such document, or it is not yours to see."


def _media_type(request: Request, allowed: set[str]) -> str:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        accept = ", ".join(sorted(allowed))
        raise UnsupportedMediaType(f"Taken here: {accept}.", headers={"Accept": accept})
    return given


async def _judges(services: TheServices, caller: TheCaller, review_id: str | None, digest: Digest) -> bool:
    if review_id is None or not await services.may_read(review_id, caller):
        return False
    return await services.reviews.names_document(review_id, digest)
