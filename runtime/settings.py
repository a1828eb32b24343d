"""What can be set from outside: environment variables with the prefix `RINGI_`.

How to reach Temporal is not here: Temporal's own variables and profiles (`TEMPORAL_ADDRESS`, …) say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.calendar import TimeZone
from domain.problems import message_of
from domain.values import MailAddress, PersonId

PREFIX = "RINGI_"

LARGEST_DOCUMENT = 16 * 2**20
"""Bytes; no setting makes the API take a larger document."""

Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message is one sentence for the operator and holds no value."""


class Settings(BaseSettings):
    """The settings of every process of ours; the worker and the API are given the same ones."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr
    """PostgreSQL as the application's role, which cannot change what is on record."""

    owner_database_url: SecretStr | None = None
    """PostgreSQL as the role that owns the schema. For migrations only: no long-running process needs it."""

    database_pool_min: Annotated[int, Field(ge=0, le=1000)] = 1
    database_pool_max: Annotated[int, Field(ge=1, le=1000)] = 10

    signing_key_file: Path | None = None
    """A file with the private key that this process signs with (Ed25519, PKCS#8 in PEM), readable for its owner only."""

    signing_key: SecretStr | None = None
    """The same key itself, for who is given secrets by the environment: PEM, or the base64 between its two lines."""

    oidc_issuer: str | None = None
    """The issuer whose access tokens the API accepts; the worker needs none."""

    oidc_audience: Annotated[str, Field(min_length=1)] = "ringi"

    oidc_client_id: Annotated[str, Field(min_length=1)] | None = None
    """As whom the issuer knows us, where people sign in with a browser or again over a decision."""

    oidc_client_secret: SecretStr | None = None
    """What we prove that with; a client that is registered as public has none."""

    public_url: str | None = None
    """Where browsers find the API: scheme, host and, if any, port. Without it, nobody has a session."""

    session_idle_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 60
    """After so long without a request a browser's session ends. One that an invitation began ends with that."""

    session_hours: Annotated[int, Field(ge=1, le=7 * 24)] = 12
    """After so long a browser's session ends in any case."""

    task_queue: Annotated[str, Field(min_length=1, max_length=200)] = "ringi"

    api_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    api_port: Port = 8420

    api_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """How many connections one API serves at the same time; whoever comes beyond that is answered 503."""

    worker_health_port: Port | None = None
    """Where the worker answers `/livez` and `/readyz`; without it, it listens nowhere."""

    messages_per_run: Annotated[int, Field(ge=1)] = 100
    """After how many messages a workflow continues as new: a run has to be short enough to be replayed within one
    workflow task, of ten seconds. Where the server itself suggests it, after 4,096 events, that can be too late for
    ever.
    """

    reconcile_seconds: Annotated[int, Field(ge=0, le=60)] = 20
    """How often the record is compared with what Temporal has; 0 for never, which is for tests."""

    document_max_bytes: Annotated[int, Field(ge=1, le=LARGEST_DOCUMENT)] = 10 * 2**20

    smtp_url: SecretStr | None = None
    """The mail server: `smtps://`, or `smtp://` with STARTTLS, with user and password if it wants them. Without it, what
    people are told is listed and not sent.
    """

    mail_from: MailAddress | None = None
    """The address that mails come from."""

    time_zone: TimeZone = "UTC"
    """Where it is morning when the daily mail comes, for people who have not said where they are."""

    webhook_ports: frozenset[Port] = frozenset({443})
    """The ports that webhooks may be at: a JSON list."""

    webhooks_to_loopback: bool = False
    """Whether a webhook may be on this machine, in plain HTTP too: for trying things out."""

    event_streams: Annotated[int, Field(ge=0, le=100_000)] = 500
    """How many streams of events one API keeps open at most."""

    bootstrap_operator: PersonId | None = None
    """Who is given the operator's role in a system that has no operator yet."""

    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return url

    @field_validator("oidc_issuer")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return url

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        origin = re.fullmatch(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?/?", url)
        if origin is None:
            raise ValueError("must be https:// and a host in lower case, with a port if it is another than 443")
        # As a browser writes it: that is what its Origin header is compared with.
        default = {"https": ":443", "http": ":80"}[origin[1]]
        port = "" if origin[3] in (None, default) else origin[3]
        if origin[1] == "http" and origin[2] not in ("127.0.0.1", "localhost", "[::1]"):
            raise ValueError("must begin with https://, unless it is on this machine")
        return f"{origin[1]}://{origin[2]}{port}"

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            parts = None if url is None else urlsplit(url.get_secret_value())
            sound = parts is None or (parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("must begin with smtp:// or smtps:// and name a host")
        return url

    @model_validator(mode="after")
    def _mail_comes_from_somewhere(self) -> Settings:
        if self.smtp_url is not None and self.mail_from is None:
            raise ValueError("smtp_url is set, and mail_from is not")
        return self

    @model_validator(mode="after")
    def _pool_has_room(self) -> Settings:
        if self.database_pool_min > self.database_pool_max:
            raise ValueError("database_pool_min is above database_pool_max")
        return self


def load_settings() -> Settings:
    """The settings that the environment holds.

    Raises:
        SettingsError: one is missing or makes no sense; the message names the variables and never their values.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(map(_said, error.errors())) + ".") from None


def _said(problem: Mapping[str, Any]) -> str:
    place = problem["loc"]
    name = PREFIX + str(place[0]).upper() if place else "The settings"
    return f"{name} is not set" if problem["type"] == "missing" else f"{name}: {message_of(problem)}"
