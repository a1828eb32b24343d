"""The HTTP API, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version

import httpx2
from fastapi import Depends, FastAPI, Request, Response
from temporalio.client import Client

from api import docs
from api.attempts import Recorder, RecordsRefusals
from api.away import away
from api.description import install_description
from api.identity import Identity, TokenVerifier, authenticated
from api.middleware import RequestContext
from api.problems import Conflict, NotFound, Unavailable, install_problems, problem_response
from api.provider import Provider
from api.routes import (
    attempts,
    delegations,
    documents,
    events,
    invitations,
    keys,
    notices,
    operations,
    packs,
    people,
    record,
    reviews,
    sign_in,
    training,
    webhooks,
)
from api.services import Services
from api.sign_in import SignIn
from api.step_up import StepUp
from domain.dsse import Signer
from domain.notices import Preferences
from runtime import temporal
from runtime.courier import TemporalCourier
from runtime.doctor import Doctor, IllError, Probe
from runtime.health import Check, health_router
from runtime.keys import signer_of
from runtime.logging import configure_logging
from runtime.repairs import Repairs
from runtime.settings import Settings, SettingsError, load_settings
from runtime.witness import TemporalWitness
from store.attempts import Attempts
from store.database import AWAY, Database, connect
from store.decisions import Decisions
from store.documents import Documents
from store.feed import Feed
from store.invitations import Invitations
from store.notices import Notices
from store.receipts import Receipts
from store.reconciliations import Reconciliations
from store.registers import Registers
from store.registry import InTheWayError, KeyNotInForceError, NotThereError, Registrar, RegistryRefusedError
from store.registry_check import RegistryCheck
from store.reviews import Reviews
from store.sessions import Sessions
from store.states import UnreadableError
from store.webhooks import UNNAMED, Webhooks

TITLE = "Ringi"


OPEN = (sign_in.doors, invitations.doors, docs.router)
"""The routes that are there for anybody."""

FOR_KNOWN_PEOPLE = (
    reviews.router,
    record.router,
    operations.router,
    attempts.router,
    keys.router,
    documents.router,
    people.router,
    people.imports,
    training.router,
    packs.router,
    delegations.router,
    sign_in.router,
    invitations.router,
    notices.router,
    webhooks.router,
    events.router,
)
"""The routes that are there for whoever says who they are."""


def create_app(settings: Settings) -> FastAPI:
    """The application; what it works with is opened when it starts and closed when it stops.

    Raises:
        SettingsError: the issuer is not set, or the key to sign with.
    """
    if settings.oidc_issuer is None:
        raise SettingsError("RINGI_OIDC_ISSUER is not set.")
    opened = partial(_opened, settings=settings, issuer=settings.oidc_issuer, signer=signer_of(settings))
    # A redirect would lead to whatever host the request named.
    app = FastAPI(
        title=TITLE,
        version=version("ringi"),
        lifespan=opened,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in FOR_KNOWN_PEOPLE:
        app.include_router(router, dependencies=[Depends(authenticated)])
    for router in OPEN:
        app.include_router(router)
    app.include_router(health_router(_checks(app)))
    install_problems(app, {NotThereError: NotFound, RegistryRefusedError: Conflict})
    install_description(app)
    for kind in AWAY:
        app.add_exception_handler(kind, away)
    app.add_exception_handler(KeyNotInForceError, _for_now)
    app.add_exception_handler(InTheWayError, _for_now)
    app.add_exception_handler(UnreadableError, _for_now)
    app.add_middleware(RecordsRefusals)
    app.add_middleware(RequestContext)
    return app


@asynccontextmanager
async def _opened(app: FastAPI, *, settings: Settings, issuer: str, signer: Signer) -> AsyncIterator[None]:
    """What the application works with, for as long as it runs, in `app.state`."""
    url = settings.database_url.get_secret_value()
    client = await temporal.connect(lazy=True)
    async with (
        connect(url, min_size=settings.database_pool_min, max_size=settings.database_pool_max) as database,
        httpx2.AsyncClient(timeout=5) as http,
    ):
        provider = Provider(issuer, http)
        services = _services(settings, signer, database, client, provider, http)
        await services.registers.registry.enrol()
        recorder = Recorder(services.attempts)
        app.state.database = database
        app.state.identity = Identity(
            TokenVerifier(provider, settings.oidc_audience), services.sessions, settings.public_url
        )
        app.state.services = services
        app.state.recorder = recorder
        flushing = asyncio.create_task(recorder.every_minute())
        async with services.receipts.listening(), services.feed.listening():
            yield
        flushing.cancel()
        await services.close()
        await recorder.flush()


def _services(
    settings: Settings, signer: Signer, database: Database, client: Client, provider: Provider, http: httpx2.AsyncClient
) -> Services:
    """What the endpoints work with, put together of what is open."""
    url = settings.database_url.get_secret_value()
    registers = Registers(database, signer)
    decisions = Decisions(database, signer)
    sessions = Sessions(
        database,
        signer,
        idle=timedelta(minutes=settings.session_idle_minutes),
        longest=timedelta(hours=settings.session_hours),
    )
    signing_in = SignIn(
        provider,
        http,
        sessions,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        origin=settings.public_url,
    )
    courier = TemporalCourier(client, settings.task_queue, settings.messages_per_run)
    book = Reconciliations(database, decisions)
    probes = {
        "identity provider": _publishes(provider),
        "signing key": _counts(registers.registry),
        "registry": _agrees(RegistryCheck(database)),
    }
    return Services(
        settings=settings,
        registers=registers,
        documents=Documents(database),
        reviews=Reviews(database),
        decisions=decisions,
        receipts=Receipts(url, decisions),
        notices=Notices(database, Preferences(time_zone=settings.time_zone), settings.public_url),
        webhooks=Webhooks(database, settings.public_url or UNNAMED),
        attempts=Attempts(database),
        feed=Feed(url, database, sessions, settings.event_streams),
        sessions=sessions,
        invitations=Invitations(database, registers.registry, signer),
        sign_in=signing_in,
        step_up=StepUp(signing_in, sessions, registers),
        courier=courier,
        temporal=client,
        doctor=Doctor(database, decisions, book, client, settings.task_queue, probes),
        repairs=Repairs(client, courier, book, TemporalWitness(client, settings.task_queue), decisions),
    )


def _checks(app: FastAPI) -> dict[str, Check]:
    """What must answer before the application is ready."""

    async def database_answers() -> object:
        database: Database = app.state.database
        return await database.pool.fetchval("select 1")

    async def temporal_answers() -> object:
        services: Services = app.state.services
        return await services.temporal.service_client.check_health()

    async def key_counts() -> None:
        services: Services = app.state.services
        await services.registers.registry.must_be_in_force()

    return {"database": database_answers, "temporal": temporal_answers, "signing_key": key_counts}


async def _for_now(request: Request, error: Exception) -> Response:
    return problem_response(Unavailable(str(error)), getattr(request.state, "request_id", None))


def _publishes(provider: Provider) -> Probe:
    async def probe() -> str:
        await provider.discovery()
        return f"{provider.issuer} publishes its keys."

    return probe


def _counts(registrar: Registrar) -> Probe:
    async def probe() -> str:
        if not await registrar.in_force():
            raise IllError("What the API signs does not count: its key is not in force.")
        return "What the API signs counts."

    return probe


def _agrees(check: RegistryCheck) -> Probe:
    async def probe() -> str:
        difference = await check.first_difference()
        if difference is not None:
            raise IllError(difference)
        return f"{check.entries} entries hold, and the tables agree with them."

    return probe


def from_environment() -> FastAPI:
    """The application, with the settings that the environment holds; for uvicorn's `--factory`."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    return create_app(settings)
