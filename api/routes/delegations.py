"""Absences: who acts for whom, for a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.description import links
from api.identity import KnownRoute
from api.problems import problems
from api.schemas import In, Moment
from api.services import TheCaller, TheServices
from domain.people import Delegation, Role
from domain.values import PersonId

router = APIRouter(route_class=KnownRoute, tags=["people"])

DelegationId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class DelegationIn(In):
    """Who acts for whom, in which roles, how long. Without a giver it is whoever asks; without a start, from now on."""

    giver: PersonId | None = None
    taker: PersonId
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
    starts_at: Moment | None = None
    ends_at: Moment


class Delegations(BaseModel):
    """The delegations that somebody gave or took."""

    delegations: list[Delegation]


@router.post(
    "/delegations",
    status_code=201,
    summary="Leave roles to somebody for a time",
    responses={
        201: links(("end it", "DELETE /delegations/{delegation}", {"delegation": "$response.body#/id"})),
        **problems(400, 401, 403, 409, 413, 422, 503),
    },
)
async def delegate(body: DelegationIn, caller: TheCaller, services: TheServices) -> Delegation:
    """Have somebody act for the caller, or, where an operator asks, for somebody else who can't. What waits for the giver
    waits for the taker meanwhile; both names stand on record; nobody passes on what they took.
    """
    giver = body.giver or caller.person
    window = (body.starts_at, body.ends_at)
    return await services.registers.delegate(giver, body.taker, body.roles, window, by=caller.person)


@router.get("/delegations", summary="List delegations", responses=problems(401, 403, 422, 503))
async def list_delegations(caller: TheCaller, services: TheServices, person: PersonId | None = None) -> Delegations:
    """What the caller left to others, and what others left to the caller;
    operators and auditors can ask about anybody.
    """
    if person not in (None, caller.person):
        caller.must_hold(Role.OPERATOR, Role.AUDITOR)
    return Delegations(delegations=list(await services.registers.delegations(person or caller.person)))


@router.delete(
    "/delegations/{delegation}",
    status_code=204,
    summary="End a delegation",
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)
async def end(delegation: DelegationId, caller: TheCaller, services: TheServices) -> None:
    """End a delegation before its time: its giver, its taker, or an operator."""
    await services.registers.end_delegation(delegation, by=caller.person)
