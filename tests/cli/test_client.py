"""What an answer of the API means for whoever asked on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from cli.client import exit_code_of
from cli.main import app

REFUSED = {
    "type": "urn:ringi:problem:invalid",
    "title": "Not valid",
    "status": 422,
    "detail": "1 thing is wrong with the request",
    "errors": [{"detail": "must be one of them", "type": "enum", "pointer": "/verdicts/0/finding"}],
}
PENDING = {"decision_id": "5accab10-7151-405e-87a4-0a4a27ba0e69", "review": "r-1", "status": "pending"}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything with this; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class's name

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def ringi(url: str, *arguments: str) -> Result:
    """Run a command against this URL."""
    environment = {"RINGI_URL": url, "RINGI_TOKEN": "x", "NO_COLOR": "1"}
    return CliRunner().invoke(app, list(arguments), env=environment)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 4), (403, 4), (404, 4), (409, 1), (400, 2), (413, 2), (415, 2), (422, 2), (429, 3), (500, 3), (503, 3)],
)
def test_every_status_has_its_exit_code(status: int, code: int) -> None:
    """As `--help` has it."""
    assert code == exit_code_of(status)


def test_a_problem_is_told_with_its_pointers() -> None:
    """On standard error; as JSON it is on standard output as it came."""
    body = json.dumps(REFUSED).encode()
    with answering(422, body) as url:
        result = ringi(url, "inbox")
        assert (2, "") == (result.exit_code, result.stdout)
        assert (
            "Not valid: 1 thing is wrong with the request\n  /verdicts/0/finding: must be one of them" in result.stderr
        )
        result = ringi(url, "inbox", "--json")
        assert (2, body.decode() + "\n") == (result.exit_code, result.stdout)


def test_what_is_still_pending_is_five(tmp_path: Path) -> None:
    """And it is said how to ask again."""
    file = tmp_path / "withdrawal.yaml"
    file.write_text(f"kind: withdrawal\nreason: It is not needed.\ndigest: {'0' * 64}\n")
    with answering(202, json.dumps(PENDING).encode()) as url:
        result = ringi(url, "decide", "r-1", str(file), "--id", PENDING["decision_id"])
        assert 5 == result.exit_code
        assert "Taken, and still pending" in result.stdout
        assert f"The same command with --id {PENDING['decision_id']}" in result.stderr
        result = ringi(url, "decide", "r-1", str(file), "--json")
        assert (5, PENDING) == (result.exit_code, json.loads(result.stdout))


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>hello</html>"), (502, b"bad gateway"), (200, b"[1]")])
def test_a_server_that_is_not_ringi_is_three(status: int, body: bytes) -> None:
    """What it says is not passed on as an answer."""
    with answering(status, body) as url:
        result = ringi(url, "inbox", "--json")
    assert (3, "") == (result.exit_code, result.stdout)
    assert "not as Ringi does" in result.stderr
