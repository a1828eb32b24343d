"""What an answer of the API means for whoever asked on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from joserfc import jwt
from typer.testing import CliRunner, Result

from cli.client import exit_code_of
from cli.main import app
from runtime.issuer import signing_key

REFUSED = {
    "type": "urn:ringi:problem:invalid",
    "title": "Not valid",
    "status": 422,
    "detail": "1 thing is wrong with the request",
    "errors": [{"detail": "must be one of them", "type": "enum", "pointer": "/verdicts/0/finding"}],
}
PENDING = {"decision_id": "5accab10-7151-405e-87a4-0a4a27ba0e69", "review": "r-1", "status": "pending"}


@contextmanager
def answering(*answers: tuple[int, bytes], heard: list[bytes] | None = None) -> Iterator[str]:
    """A server that gives these answers one after the other, and then the last one; its URL."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            said = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if heard is not None:
                heard.append(said)
            status, body = left.pop(0) if len(left) > 1 else left[0]
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
    with answering((422, body)) as url:
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
    with answering((202, json.dumps(PENDING).encode())) as url:
        result = ringi(url, "decide", "r-1", str(file), "--id", PENDING["decision_id"])
        assert 5 == result.exit_code
        assert "Taken, and still pending" in result.stdout
        assert f"The same command with --id {PENDING['decision_id']}" in result.stderr
        result = ringi(url, "decide", "r-1", str(file), "--json")
        assert (5, PENDING) == (result.exit_code, json.loads(result.stdout))


ASKED = {
    "type": "urn:ringi:problem:step-up-required",
    "title": "Sign in again",
    "status": 403,
    "detail": "This decision needs you to sign in again, over the decision itself.",
    "reason": "step_up_required",
    "nonce": "ab" * 32,
    "decision_id": PENDING["decision_id"],
    "authorize": "/step-up",
}
TAKEN = {
    "decision_id": PENDING["decision_id"],
    "review": "r-1",
    "status": "accepted",
    "reason": None,
    "detail": None,
    "seq": 7,
    "at": "2026-11-23T00:00:00Z",
}


@pytest.fixture
def signature(tmp_path: Path) -> str:
    """A signature in a file."""
    file = tmp_path / "signature.yaml"
    file.write_text(f"kind: signature\ndigest: {'0' * 64}\nbasis: {'1' * 64}\n")
    return str(file)


def test_on_the_machine_of_the_embedded_issuer_the_command_signs_in_again(tmp_path: Path, signature: str) -> None:
    """It sends the same decision, with the issuer's word over it."""
    key, heard = signing_key(tmp_path), list[bytes]()
    with answering((403, json.dumps(ASKED).encode()), (200, json.dumps(TAKEN).encode()), heard=heard) as url:
        given = ("decide", "r-1", signature, "--as", "bo.head", "--data", str(tmp_path), "--json")
        result = ringi(url, *given)
    assert (0, TAKEN) == (result.exit_code, json.loads(result.stdout)), result.stderr
    first, second = map(json.loads, heard)
    claims = jwt.decode(second.pop("step_up")["id_token"], key, algorithms=["ES256"]).claims
    assert ("bo.head", ASKED["nonce"], "ringi-local") == (claims["sub"], claims["nonce"], claims["aud"])
    assert claims["exp"] > claims["iat"] == claims["auth_time"]
    assert second == {**first, "id": PENDING["decision_id"]}


def test_elsewhere_it_says_how_to_sign_in_again(tmp_path: Path, signature: str) -> None:
    """With the nonce and the id to come back with; a token that is given goes along, and is not replaced."""
    heard = list[bytes]()
    with answering((403, json.dumps(ASKED).encode()), heard=heard) as url:
        result = ringi(url, "decide", "r-1", signature)
        assert (4, "") == (result.exit_code, result.stdout)
        assert str(ASKED["nonce"]) in result.stderr
        assert f"--id {PENDING['decision_id']} --id-token TOKEN" in result.stderr
        result = ringi(url, "decide", "r-1", signature, "--id-token", "a.b.c", "--json")
        assert (4, ASKED) == (result.exit_code, json.loads(result.stdout))
    assert [None, {"id_token": "a.b.c"}] == [json.loads(said).get("step_up") for said in heard]


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>hello</html>"), (502, b"bad gateway"), (200, b"[1]")])
def test_a_server_that_is_not_ringi_is_three(status: int, body: bytes) -> None:
    """What it says is not passed on as an answer."""
    with answering((status, body)) as url:
        result = ringi(url, "inbox", "--json")
    assert (3, "") == (result.exit_code, result.stdout)
    assert "not as Ringi does" in result.stderr


def test_whoever_holds_no_role_is_told_so() -> None:
    """Nothing waits for a name that nobody has, either."""
    nothing = (200, b'{"items": []}')
    with answering(nothing, (200, b'{"grants": []}')) as url:
        result = ringi(url, "inbox")
    assert (0, "Nothing waits for you.\n") == (result.exit_code, result.stdout)
    assert "Nobody of this name holds a role here." in result.stderr
    with answering(nothing, (200, b'{"grants": [{"role": "reviewer"}]}')) as url:
        assert "" == ringi(url, "inbox").stderr


def test_whose_voice_an_inbox_speaks_of_is_told() -> None:
    """A delegate's, that of whoever they act for."""
    turn = {
        "what": "Sign.",
        "person": None,
        "role": "signatory",
        "office": "head",
        "not_for": [],
        "claimed_by": [],
        "taken": False,
        "since": "2026-11-23T00:00:00Z",
        "due_at": None,
        "paused": False,
        "kinds": ["signature"],
    }
    item = {"title": "T", "review": "r", "for_person": "bo.head", "turn": turn, "digest": "0" * 64, "basis": None}
    with answering((200, json.dumps({"items": [item]}).encode())) as url:
        assert "  in place of   bo.head" in ringi(url, "inbox").stdout.split("\n")


def test_a_repair_of_all_says_that_there_is_none() -> None:
    """Instead of nothing."""
    with answering((200, b'{"discrepancies": []}')) as url:
        result = ringi(url, "repair", "--all")
    assert (0, True) == (result.exit_code, "The doctor names none that needs it." in result.stderr)
