"""Training: who completed which course, as the training register says."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from pydantic import BaseModel

from api.bodies import CSV, ImportRoute, body_of, media_type_of
from api.imports import read_completions
from api.problems import problems
from api.services import TheCaller, TheServices
from domain.people import Role

router = APIRouter(route_class=ImportRoute, tags=["training"])


class TrainingImported(BaseModel):
    """What an import of completions brought: how many were read, how many are new, how many reviews it woke."""

    completions: int
    new: int
    woken: int


@router.post(
    "/training/import",
    summary="Import completions of courses",
    openapi_extra=body_of(CSV),
    responses=problems(401, 403, 413, 415, 422, 503),
)
async def import_training(request: Request, caller: TheCaller, services: TheServices) -> TrainingImported:
    """CSV with the columns person, course, completed_at and, if there is one, expires_at; all rows or none. What
    is yet to be completed is not taken. Reviews that wait for one of them are woken. Who entered it stands with it, and
    counts nothing for a proposal of their own.
    """
    caller.must_hold(Role.TRAINING_OFFICER)
    media_type_of(request, CSV)
    now = await services.registers.now()
    completions = await asyncio.to_thread(read_completions, await request.body(), by=caller.person, now=now)
    new = await services.registers.enter_completions(completions)
    woken = await services.decisions.word_from_the_register()
    return TrainingImported(completions=len(completions), new=new, woken=woken)
