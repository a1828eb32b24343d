"""The worker: runs the workflows and the commits, and hands on what is pending. Composition only."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import structlog
import uvloop
from temporalio.worker import Worker

from activities.commits import Commits
from activities.dispatcher import Dispatcher
from activities.notifier import Notifier
from activities.reconciler import BEAT, Reconciler
from domain.notices import Preferences
from runtime import temporal
from runtime.courier import TemporalCourier
from runtime.health import health_app
from runtime.keys import signer_of
from runtime.logging import configure_logging
from runtime.mail import SmtpMailer
from runtime.rounds import Rounds
from runtime.serving import serving
from runtime.settings import Settings, SettingsError, load_settings
from runtime.webhooks import WebhookPoster
from runtime.witness import TemporalWitness
from store.database import Database, connect
from store.decisions import Decisions
from store.ledgers import Ledgers
from store.notices import Notices
from store.reconciliations import Reconciliations
from store.registry import KeyNotInForceError, Registrar
from store.webhooks import UNNAMED, Webhooks

DRAIN = timedelta(seconds=10)
"""How long a stopping worker lets what it has begun come to its end."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: Settings, database: Database) -> AsyncIterator[None]:
    """A worker for the length of the block; it is drained when the block ends.

    Raises:
        RuntimeError: Temporal can't be reached.
        SettingsError: there is no key to sign with.
        KeyNotInForceError: what it signs would not count.
    """
    signer = signer_of(settings)
    registrar = Registrar(database, signer)
    await registrar.enrol()
    client = await temporal.connect()
    commits = Commits(Ledgers(database))
    courier = TemporalCourier(client, settings.task_queue, settings.messages_per_run)
    decisions = Decisions(database, signer)
    book, witness = Reconciliations(database, decisions), TemporalWitness(client, settings.task_queue)
    reconciler = Reconciler(book, witness, courier, commits)
    dispatcher = Dispatcher(decisions, courier, commits, reconciler)
    rounds = Rounds(client, settings.task_queue, settings.reconcile_seconds)
    worker = Worker(
        client,
        task_queue=settings.task_queue,
        activities=[commits.commit, reconciler.reconcile],
        graceful_shutdown_timeout=DRAIN,
        max_concurrent_local_activities=settings.database_pool_max,
        max_concurrent_activities=settings.database_pool_max,
        max_heartbeat_throttle_interval=BEAT,
    )
    notices = Notices(database, Preferences(time_zone=settings.time_zone), settings.public_url)
    webhooks = Webhooks(database, settings.public_url or UNNAMED)
    notifier = Notifier(notices, _mailer(settings), webhooks, _poster(settings))
    checks = {
        "database": lambda: database.pool.fetchval("select 1"),
        "temporal": client.service_client.check_health,
        "signing_key": registrar.must_be_in_force,
    }
    async with (
        aclosing(reconciler),
        worker,
        _beside(dispatcher.run()),
        _beside(notifier.run()),
        _beside(rounds.keep()),
    ):
        if settings.worker_health_port is None:
            yield
            return
        async with serving(health_app(checks), settings.worker_health_port):
            yield


async def main() -> None:
    """Run until asked to stop."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = settings.database_url.get_secret_value()
    smallest, largest = settings.database_pool_min, settings.database_pool_max
    async with connect(url, min_size=smallest, max_size=largest) as database, running(settings, database):
        # Or else each full collection walks all that was imported: a tenth of a second in which nothing moves.
        gc.freeze()
        _log.info("worker started", task_queue=settings.task_queue)
        await stop.wait()
        _log.info("worker stopping")
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)


def _mailer(settings: Settings) -> SmtpMailer | None:
    if settings.smtp_url is None or settings.mail_from is None:
        return None
    return SmtpMailer(settings.smtp_url, settings.mail_from)


def _poster(settings: Settings) -> WebhookPoster:
    return WebhookPoster(settings.webhook_ports, to_loopback=settings.webhooks_to_loopback)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except (SettingsError, KeyNotInForceError) as error:
        sys.exit(str(error))
