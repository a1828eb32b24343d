"""The compose file and the image, held against the specification, each other, and the settings: no engine is needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import up
from runtime.keys import signer_of
from runtime.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
OURS = ("migrate", "api", "worker")

# What a person must fill in, with values that could be.
FILLED_IN = {
    "POSTGRES_PASSWORD": "p",
    "RINGI_OWNER_PASSWORD": "o",
    "RINGI_APP_PASSWORD": "a",
    "TEMPORAL_DB_PASSWORD": "t",
    "RINGI_SIGNING_KEY": b64encode(bytes.fromhex("302e020100300506032b657004220420") + bytes(32)).decode(),
    "RINGI_OIDC_ISSUER": "https://login.example.org",
    "RINGI_BOOTSTRAP_OPERATOR": "ops.operator",
    "RINGI_OIDC_CLIENT_ID": "ringi",
    "RINGI_PUBLIC_URL": "https://ringi.example.org",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, as YAML reads it."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def environment(compose: dict[str, Any], service: str) -> dict[str, str]:
    """What a service is given, with the variables filled in as Compose does."""

    def fill_in(match: re.Match[str]) -> str:
        name, _, default = match["name"].partition(":-")
        return FILLED_IN.get(name.rstrip(":?"), default)

    given = compose["services"][service].get("environment", {})
    return {name: re.sub(r"\$\{(?P<name>[^}]+)\}", fill_in, str(value)) for name, value in given.items()}


def test_it_is_a_compose_file() -> None:
    """It fits the compose specification's schema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dependency_is_a_service_that_can_meet_the_condition(compose: dict[str, Any]) -> None:
    """A service that is waited for exists; one that must be healthy says how; one that must end is let end."""
    services = compose["services"]
    waits = [
        (name, other, how["condition"])
        for name, service in services.items()
        for other, how in service.get("depends_on", {}).items()
    ]
    assert waits
    for name, other, condition in waits:
        assert other in services, f"{name} waits for {other}, which is no service"
        if condition == "service_healthy":
            assert "healthcheck" in services[other], f"{name} waits for the health of {other}, which has no check"
        if condition == "service_completed_successfully":
            restart = services[other].get("restart", "no")
            assert restart.startswith(("no", "on-failure")), f"{other} never ends: it is restarted {restart}"


def test_every_config_and_volume_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    """Nothing is mounted that is not there."""
    for name, service in compose["services"].items():
        for config in service.get("configs", ()):
            assert config["source"] in compose["configs"], name
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in compose["volumes"], name


def test_every_variable_to_fill_in_is_in_the_example(compose: dict[str, Any]) -> None:
    """`.env.example` names every variable that has no default, and no other."""
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    named = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert asked == named == set(FILLED_IN)
    assert compose["services"]


@pytest.mark.parametrize("service", OURS)
def test_every_setting_is_one_of_ours_and_makes_sense(
    compose: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a service of ours is given loads as settings, and none of it is a name that nothing reads."""
    given = environment(compose, service)
    fields = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith(PREFIX)} <= fields
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert signer_of(settings).public
    assert "ringi_app:a@postgres" in settings.database_url.get_secret_value()


def test_every_setting_can_be_set_and_is_explained(compose: dict[str, Any]) -> None:
    """A setting that is added is passed on by the compose file, and has its line in the operations page."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    passed_on = set().union(*(environment(compose, service).keys() for service in OURS))
    # The key is given as a secret instead of a file, and a webhook in a container's own loopback is nobody's.
    assert names - passed_on == {"RINGI_SIGNING_KEY_FILE", "RINGI_WEBHOOKS_TO_LOOPBACK"}
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    assert names == set(re.findall(r"`(RINGI_[A-Z_]+)`", table))


def test_what_ringi_up_sets_is_set_here_too(compose: dict[str, Any]) -> None:
    """API and worker get here what `ringi up` gives them."""
    together = environment(compose, "api").keys() | environment(compose, "worker").keys()
    assert up.settings_given("a database", "a Temporal", up.Ports(), health_port=1).keys() <= together
    assert "RINGI_OWNER_DATABASE_URL" not in together, "no long-running process needs the owner's role"


def test_temporal_ui_can_only_look(compose: dict[str, Any]) -> None:
    """Temporal's UI offers no signal, no terminate, no reset."""
    assert environment(compose, "temporal-ui")["TEMPORAL_DISABLE_WRITE_ACTIONS"] == "true"


def test_there_are_two_workers_that_are_let_drain(compose: dict[str, Any]) -> None:
    """Two workers run, and a stop waits longer than they take to drain."""
    worker = compose["services"]["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert int(worker["stop_grace_period"].rstrip("s")) > 10


def test_published_ports_are_on_loopback_only(compose: dict[str, Any]) -> None:
    """Nothing is published to the network by default, and the databases not at all."""
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in compose["services"]["postgres"]
    assert "ports" not in compose["services"]["temporal"]


def test_the_image_runs_as_nobody_special_from_pinned_dependencies(compose: dict[str, Any]) -> None:
    """One image serves API, worker and migration; it is not root's, and what it installs is pinned by hash."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER (?!root|0)\w+", final, re.MULTILINE)
    installs = re.findall(r"pip install (.*)", dockerfile)
    assert installs
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)
    assert {compose["services"][service]["image"] for service in OURS} == {f"ringi:{version('ringi')}"}
    for name in ("requirements/app.txt", "requirements/build.txt"):
        assert (ROOT / name).is_file()
        assert name.rpartition("/")[2] in dockerfile


def test_every_command_is_one_of_the_command_line(compose: dict[str, Any]) -> None:
    """`ringi migrate`, `ringi api` and `ringi worker` exist."""
    for service in OURS:
        (command,) = compose["services"][service]["command"]
        help_text = subprocess.run(
            [sys.executable, "-m", "cli.main", command, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert help_text.returncode == 0, help_text.stderr
