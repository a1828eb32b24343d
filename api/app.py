"""The HTTP API, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx2
from fastapi import Depends, FastAPI, Request, Response

from api import docs
from api.identity import TokenVerifier, current_person
from api.middleware import RequestContext
from api.problems import Unavailable, install_problems, problem_response
from api.routes import record, registers, reviews
from api.services import Services
from runtime import temporal
from runtime.courier import TemporalCourier
from runtime.health import health_router
from runtime.logging import configure_logging
from runtime.settings import Settings, SettingsError, load_settings
from store.database import Database, connect
from store.decisions import Decisions
from store.documents import Documents
from store.receipts import Receipts
from store.registers import Registers
from store.reviews import Reviews

TITLE = "Ringi"
_DATABASE_IS_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)


def create_app(settings: Settings) -> FastAPI:
    """The application; what it works with is opened when it starts and closed when it stops.

    Raises:
        SettingsError: the issuer is not set.
    """
    if settings.oidc_issuer is None:
        raise SettingsError("RINGI_OIDC_ISSUER is not set.")
    issuer = settings.oidc_issuer

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = settings.database_url.get_secret_value()
        client = await temporal.connect(lazy=True)
        async with (
            connect(url, min_size=settings.database_pool_min, max_size=settings.database_pool_max) as database,
            httpx2.AsyncClient(timeout=5) as http,
        ):
            decisions = Decisions(database)
            receipts = Receipts(url, decisions)
            app.state.database = database
            app.state.token_verifier = TokenVerifier(issuer, settings.oidc_audience, http)
            app.state.services = Services(
                settings=settings,
                registers=Registers(database),
                documents=Documents(database),
                reviews=Reviews(database),
                decisions=decisions,
                receipts=receipts,
                courier=TemporalCourier(client, settings.task_queue, settings.messages_per_run),
                temporal=client,
            )
            async with receipts.listening():
                yield
            await app.state.services.close()

    app = FastAPI(title=TITLE, version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in (reviews.router, record.router, registers.router, registers.documents, registers.imports):
        app.include_router(router, dependencies=[Depends(current_person)])
    app.include_router(docs.router)

    async def database_answers() -> object:
        database: Database = app.state.database
        return await database.pool.fetchval("select 1")

    async def temporal_answers() -> object:
        services: Services = app.state.services
        return await services.temporal.service_client.check_health()

    app.include_router(health_router({"database": database_answers, "temporal": temporal_answers}))
    install_problems(app)

    async def away(request: Request, _error: Exception) -> Response:
        problem = Unavailable("The database can't be reached now; nothing was taken.")
        return problem_response(problem, getattr(request.state, "request_id", None))

    for kind in _DATABASE_IS_AWAY:
        app.add_exception_handler(kind, away)
    app.add_middleware(RequestContext)
    return app


def from_environment() -> FastAPI:
    """The application, with the settings that the environment holds; for uvicorn's `--factory`."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    return create_app(settings)
