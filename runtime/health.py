"""Whether this process lives, and whether it can do its work. Used by the API and by the worker's small port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import structlog
from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel

Check = Callable[[], Awaitable[object]]
"""Returns when what it looks at is well; raises when it is not."""

CHECK_SECONDS = 2.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Result = Literal["ok", "failed", "timeout"]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Readiness(BaseModel):
    """What each check said; ready if all are ok."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Result]


def health_router(checks: Mapping[str, Check], *, seconds: float = CHECK_SECONDS) -> APIRouter:
    """A router with `/livez`, which depends on nothing, and `/readyz`, which runs `checks`, all at once.

    Args:
        checks: by the name that the answer calls them.
        seconds: how long each of them may take.
    """
    router = APIRouter(tags=["health"])

    @router.get("/livez", summary="Whether the process answers")
    async def livez() -> Liveness:
        return Liveness()

    @router.get(
        "/readyz",
        summary="Whether everything that the process needs is there",
        responses={503: {"model": Readiness, "description": "Something that the process needs is not there"}},
    )
    async def readyz(response: Response) -> Readiness:
        results = await asyncio.gather(*(_run(name, check, seconds) for name, check in checks.items()))
        ready = all(result == "ok" for result in results)
        response.status_code = 200 if ready else 503
        return Readiness(status="ready" if ready else "not_ready", checks=dict(zip(checks, results, strict=True)))

    return router


def health_app(checks: Mapping[str, Check], *, seconds: float = CHECK_SECONDS) -> FastAPI:
    """An application with the health routes and nothing else."""
    app = FastAPI(openapi_url=None)
    app.include_router(health_router(checks, seconds=seconds))
    return app


async def _run(name: str, check: Check, seconds: float) -> Result:
    try:
        async with asyncio.timeout(seconds) as limit:
            await check()
    except Exception as error:  # noqa: BLE001 - whatever a check raises, it is the check's answer and not ours to know
        result: Result = "timeout" if limit.expired() else "failed"
        _log.warning("readiness check failed", check=name, result=result, error=type(error).__name__)
        return result
    return "ok"
