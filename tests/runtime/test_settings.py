"""The settings: read from the environment, said clearly when they are wrong, never shown."""

from __future__ import annotations

import pytest

from runtime.settings import SettingsError, load_settings


def test_the_least_that_must_be_set_is_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://ringi_app@/ringi?host=/run/example")
    settings = load_settings()
    assert settings.oidc_audience == "ringi"
    assert settings.task_queue == "ringi"
    assert settings.document_max_bytes == 10 * 2**20
    assert settings.messages_per_run == 100
    assert settings.bootstrap_operator is None


def test_a_missing_database_is_said_by_the_name_of_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"^RINGI_DATABASE_URL is not set\.$"):
        load_settings()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "")
    monkeypatch.setenv("RINGI_MESSAGES_PER_RUN", "")
    with pytest.raises(SettingsError, match=r"^RINGI_DATABASE_URL is not set\.$"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://app:canary-7f3a@db/ringi"),
        ("OWNER_DATABASE_URL", "canary-7f3a"),
        ("OIDC_ISSUER", "canary-7f3a"),
        ("API_PORT", "70000"),
        ("MESSAGES_PER_RUN", "0"),
        ("LOG_FORMAT", "canary-7f3a"),
        ("LOG_LEVEL", "LOUD"),
        ("DOCUMENT_MAX_BYTES", "-1"),
        ("BOOTSTRAP_OPERATOR", "with space"),
        ("WORKER_HEALTH_PORT", "http"),
        ("SMTP_URL", "http://user:canary-7f3a@mail.example.org"),
        ("SMTP_URL", "smtp://"),
        ("MAIL_FROM", "canary-7f3a"),
        ("TIME_ZONE", "Mars/canary-7f3a"),
        ("WEBHOOK_PORTS", "[0]"),
        ("PUBLIC_URL", "ringi.canary-7f3a.example"),
        ("PUBLIC_URL", "http://ringi.canary-7f3a.example"),
        ("PUBLIC_URL", "https://ringi.canary-7f3a.example/path"),
        ("PUBLIC_URL", "https://canary-7f3a@ringi.example"),
        ("PUBLIC_URL", "https://Canary-7f3a.example"),
        ("SESSION_HOURS", "0"),
    ],
)
def test_what_makes_no_sense_is_said_by_name_and_not_by_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app:canary-7f3a@db/ringi")
    monkeypatch.setenv(f"RINGI_{name}", value)
    with pytest.raises(SettingsError, match=f"RINGI_{name}: ") as caught:
        load_settings()
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_pool_has_room_for_its_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app@db/ringi")
    monkeypatch.setenv("RINGI_DATABASE_POOL_MIN", "11")
    with pytest.raises(SettingsError, match="database_pool_min is above database_pool_max"):
        load_settings()


def test_mail_comes_from_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app@db/ringi")
    monkeypatch.setenv("RINGI_SMTP_URL", "smtp://user:canary-7f3a@mail.example.org")
    with pytest.raises(SettingsError, match="mail_from is not") as caught:
        load_settings()
    assert "canary" not in str(caught.value)
    monkeypatch.setenv("RINGI_MAIL_FROM", "ringi@example.org")
    assert load_settings().mail_from == "ringi@example.org"
    assert "canary" not in repr(load_settings())


def test_settings_can_be_printed_without_telling_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app:canary-7f3a@db/ringi")
    monkeypatch.setenv("RINGI_OWNER_DATABASE_URL", "postgresql://owner:canary-7f3a@db/ringi")
    settings = load_settings()
    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "canary" in settings.database_url.get_secret_value()


def test_a_level_may_be_written_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app@db/ringi")
    monkeypatch.setenv("RINGI_LOG_LEVEL", "debug")
    assert load_settings().log_level == "DEBUG"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://ringi.example", "https://ringi.example"),
        ("https://ringi.example/", "https://ringi.example"),
        ("https://ringi.example:443", "https://ringi.example"),
        ("https://ringi.example:8443", "https://ringi.example:8443"),
        ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("http://localhost:80/", "http://localhost"),
    ],
)
def test_the_public_url_is_kept_as_browsers_write_an_origin(
    monkeypatch: pytest.MonkeyPatch, given: str, origin: str
) -> None:
    monkeypatch.setenv("RINGI_DATABASE_URL", "postgresql://app@db/ringi")
    monkeypatch.setenv("RINGI_PUBLIC_URL", given)
    assert load_settings().public_url == origin
