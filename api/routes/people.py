"""People: who is known here, in which roles, and who can do nothing here any more."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from api.bodies import CSV, ImportRoute, body_of, media_type_of
from api.description import links
from api.identity import KnownRoute
from api.imports import read_people
from api.problems import problems
from api.schemas import NO_REASON, Because, In, Me
from api.services import TheCaller, TheServices
from domain.people import Role
from domain.values import PersonId, Prose

router = APIRouter(route_class=KnownRoute, tags=["people"])
imports = APIRouter(route_class=ImportRoute, tags=["people"])

GrantId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PeopleImported(BaseModel):
    """What an import of people brought."""

    people: int
    grants: int


class BecauseIn(In):
    """Why something is done; it stands on record."""

    because: Prose


@imports.post(
    "/people/import",
    summary="Import people and grant roles",
    openapi_extra=body_of(CSV),
    responses=problems(401, 403, 409, 413, 415, 422, 503),
)
async def import_people(request: Request, caller: TheCaller, services: TheServices) -> PeopleImported:
    """CSV with the columns person, name, unit, role, office and, optionally, email; all rows or none. Nobody grants a
    role to themselves, or moves themselves to another unit.
    """
    caller.must_hold(Role.OPERATOR)
    media_type_of(request, CSV)
    held = {(grant.role, grant.office) for grant in caller.grants if grant.person == caller.person}
    people, roles = await asyncio.to_thread(read_people, await request.body(), by=caller.person, held=held)
    granted = await services.registers.enter_people(people, roles, by=caller.person)
    return PeopleImported(people=len(people), grants=granted)


@router.get(
    "/grants",
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
    summary="Revoke a grant",
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def revoke(grant: GrantId, caller: TheCaller, services: TheServices, because: Because = NO_REASON) -> None:
    """Take a role away. It acts at once, on the next commit."""
    caller.must_hold(Role.OPERATOR)
    await services.registers.revoke(grant, because, by=caller.person)


@router.post(
    "/people/{person}/disabled",
    status_code=204,
    summary="Disable somebody",
    responses=problems(400, 401, 403, 404, 409, 413, 422, 503),
)
async def disable(person: PersonId, body: BecauseIn, caller: TheCaller, services: TheServices) -> None:
    """Take everything from a person at once: whatever they ask for is answered with 403, and their sessions end.
    Nobody disables themselves.
    """
    caller.must_hold(Role.OPERATOR)
    await services.registers.disable(person, caller.person, body.because)


@router.delete(
    "/people/{person}/disabled",
    status_code=204,
    summary="Let somebody act again",
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)
async def enable(person: PersonId, caller: TheCaller, services: TheServices, because: Because = NO_REASON) -> None:
    """Let a disabled person act again, with the roles that they hold. They sign in anew."""
    caller.must_hold(Role.OPERATOR)
    await services.registers.enable(person, caller.person, because)
