"""A folder with a system of its own, and the commands against it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from runtime.embedded import DataFolder
from tests.cli.processes import Started


@dataclass(frozen=True)
class Place:
    """A folder, and ports that nobody listens on."""

    folder: Path
    ports: tuple[int, int, int, int]

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def up(self) -> tuple[str, ...]:
        """The arguments that start a system here."""
        names = ("--port", "--issuer-port", "--temporal-port", "--temporal-ui-port")
        options = [part for name, port in zip(names, self.ports, strict=True) for part in (name, str(port))]
        return ("up", "--data", str(self.data), *options)

    def run(self, *arguments: str | Path) -> Result:
        """A command against the system here, however it ends."""
        environment = {"RINGI_DATA": str(self.data), "NO_COLOR": "1"}
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    def ringi(self, *arguments: str | Path, code: int = 0) -> Result:
        """A command against the system here, which must end with this exit code."""
        result = self.run(*arguments)
        assert code == result.exit_code, (arguments, result.output, result.exception)
        return result

    def json(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """What such a command answers as JSON."""
        answer: dict[str, Any] = json.loads(self.ringi(*arguments, "--json", code=code).stdout)
        return answer

    def decision(self, **content: object) -> Path:
        """A file with a decision."""
        file = self.folder / "decision.json"
        file.write_text(json.dumps(content))
        return file

    def pid(self, name: str) -> int:
        """The process that the data folder's record names."""
        pid: int = json.loads((self.data / "run" / f"{name}.json").read_text())["pid"]
        return pid

    def assert_nothing_is_left(self, ringi: Started) -> None:
        """No process, no listener, no record of one; and the folder is free."""
        assert {} == ringi.left()
        for port in self.ports:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
                pytest.fail(f"somebody listens on {port}")
        assert [] == list((self.data / "run").glob("*.json"))
        with DataFolder(self.data):
            pass
