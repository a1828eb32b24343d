"""People who can do nothing here any more, and those who can again."""

from __future__ import annotations

from fastapi import APIRouter

from api.bodies import BoundedRoute
from api.problems import Conflict, NotFound, problems
from api.schemas import NO_REASON, Because, In
from api.services import TheCaller, TheServices
from domain.people import Role
from domain.values import PersonId, Prose
from store.registers import NobodyError

router = APIRouter(route_class=BoundedRoute, tags=["people"])


class BecauseIn(In):
    """Why something is done; it stands on record."""

    because: Prose


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
    if person == caller.person:
        raise Conflict("Nobody disables themselves.")
    try:
        fresh = await services.registers.disable(person, caller.person, body.because)
    except NobodyError as error:
        raise NotFound("There is nobody with this id here.") from error
    if not fresh:
        raise Conflict("This person is disabled already.")


@router.delete(
    "/people/{person}/disabled",
    status_code=204,
    summary="Let somebody act again",
    responses=problems(400, 401, 403, 409, 422, 503),
)
async def enable(person: PersonId, caller: TheCaller, services: TheServices, because: Because = NO_REASON) -> None:
    """Let a disabled person act again, with the roles that they hold. They sign in anew."""
    caller.must_hold(Role.OPERATOR)
    await services.registers.enable(person, caller.person, because)
