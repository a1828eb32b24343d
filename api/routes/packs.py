"""Policy packs, as they are published."""

from __future__ import annotations

from fastapi import APIRouter

from api.identity import KnownRoute
from api.problems import NotFound, problems
from api.services import TheServices
from domain.policy import PolicyPack
from domain.values import Slug

router = APIRouter(route_class=KnownRoute, tags=["reviews"])


@router.get("/packs/{pack}", summary="Read a policy pack", responses=problems(401, 404), response_model=None)
async def pack(pack: Slug, services: TheServices) -> PolicyPack:
    """The policy pack that was last published under this id."""
    found = await services.registers.pack(pack)
    if found is None:
        raise NotFound("No policy pack is published under this id.")
    return found
