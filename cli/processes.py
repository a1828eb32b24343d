"""The commands that run something: the whole system, its demo, one of its processes; and a token for it."""

from __future__ import annotations

import asyncio
import json
import runpy
from typing import Annotated

import typer
import uvicorn

from cli import show
from cli.demo import demo as play_demo
from cli.exits import CliError, Exit
from cli.local import DEFAULT_DATA, mint
from cli.options import DataOption, JsonOption
from cli.setup import SetUpError, set_up
from cli.up import Ports
from cli.up import up as run_up
from runtime.keys import signer_of
from runtime.settings import Settings, SettingsError, load_settings

PORTS = Ports()


def up(
    data: DataOption = DEFAULT_DATA,
    port: Annotated[int, typer.Option(help="The API's port.")] = PORTS.api,
    issuer_port: Annotated[int, typer.Option(help="The token issuer's port.")] = PORTS.issuer,
    temporal_port: Annotated[int, typer.Option(help="Temporal's port.")] = PORTS.temporal,
    temporal_ui_port: Annotated[int, typer.Option(help="The port of Temporal's UI.")] = PORTS.temporal_ui,
) -> None:
    """Run the whole system on this machine, its data in one folder, until Ctrl-C."""
    run_up(data, Ports(api=port, issuer=issuer_port, temporal=temporal_port, temporal_ui=temporal_ui_port))


def demo() -> None:
    """Play a proposal of the highest tier through the whole process, told as it goes, on a system of its own."""
    play_demo()


def migrate() -> None:
    """Make the database ready: the schema, the shipped policy packs, and the operator that the settings name."""
    settings = _settings()
    if settings.owner_database_url is None:
        raise CliError(Exit.USAGE, "RINGI_OWNER_DATABASE_URL is not set: only the schema's owner can migrate.")
    owner, application = settings.owner_database_url, settings.database_url
    try:
        asyncio.run(
            set_up(
                owner.get_secret_value(),
                application.get_secret_value(),
                signer_of(settings),
                settings.bootstrap_operator,
            ),
        )
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error
    except SetUpError as error:
        raise CliError(Exit.SERVER, str(error)) from error
    show.note("The database is ready.")


def api() -> None:
    """Run the HTTP server. Its settings are environment variables that begin with RINGI_ and TEMPORAL_."""
    settings = _settings()
    try:
        # By its name: the command line knows nothing of what is inside the API.
        uvicorn.run(
            "api.app:from_environment",
            factory=True,
            host=settings.api_host,
            port=settings.api_port,
            loop="uvloop",
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            # Longer than a proxy in front keeps a connection that nothing happens on: or else it sends a request into one
            # that we are just ending.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=8,
            limit_concurrency=settings.api_connections + 1,  # the first one that is refused
        )
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error


def worker() -> None:
    """Run a worker. Its settings are environment variables that begin with RINGI_ and TEMPORAL_."""
    _settings()
    runpy.run_module("worker", run_name="__main__")


def token(
    person: Annotated[str, typer.Argument(help="Whom the token speaks of.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    minutes: Annotated[int, typer.Option(min=1, max=7 * 24 * 60, help="How long it is good for.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Mint an access token by the key in the data folder of an embedded system."""
    minted = mint(data, person, minutes=minutes)
    show.raw(json.dumps({"person": person, "token": minted}) if as_json else minted)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error
