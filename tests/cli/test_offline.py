"""What `ringi` does without a server, and the exit codes that say what became of a command."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from cli.main import app
from cli.show import plain
from domain.assessment import Assessment, assess
from domain.canonical import canonical_bytes, sha256
from domain.decisions import Reason
from domain.events import Accepted, Refused
from domain.ledger import GENESIS, append
from domain.review import fold
from domain.verification import Evidence, WorkflowState, read_model
from runtime.issuer import signing_key
from runtime.packs import load_proposal, shipped_packs
from tests.domain.builders import SIGNER
from tests.domain.registers import PROVIDER, THIEF, published, recorded, seen, signed_in, stepping_up

ROOT = Path(__file__).resolve().parent.parent.parent
TIER_1 = ROOT / "examples" / "tier-1-meeting-room-air.yaml"
TIER_4 = ROOT / "examples" / "tier-4-faces-at-the-station.yaml"

runner = CliRunner()


def ringi(*arguments: str | Path, **environment: str) -> Result:
    """Run a command, with nothing of an embedded system at hand unless it is named."""
    return runner.invoke(app, [str(argument) for argument in arguments], env={"NO_COLOR": "1", **environment})


def test_help_tells_the_exit_codes() -> None:
    """Of the whole and of each command."""
    commands = re.findall(r"^\W+([a-z]+) ", ringi("--help").stdout, re.MULTILINE)
    assert {"up", "demo", "migrate", "assess", "propose", "inbox", "status", "decide", "timeline"} <= set(commands)
    for arguments in ((), ("up",), ("decide",), ("audit", "verify"), ("people", "import"), ("training", "import")):
        result = ringi(*arguments, "--help")
        assert 0 == result.exit_code
        assert "Exit codes: 0 done; 1 refused" in " ".join(result.stdout.split())


def test_assess_says_the_tier_and_what_caused_it() -> None:
    """With the places in the proposal, the questions, and the route."""
    result = ringi("assess", TIER_4)
    assert 0 == result.exit_code
    for said in (
        "Tier 4 (highest): 75 of 162 points",
        "/answers/identifies_in_public: yes",
        "2 of 3 who find no breach",
    ):
        assert said in result.stdout
    assert "" == result.stderr


def test_assess_as_json_is_the_assessment_and_nothing_else() -> None:
    """So that it can be compared with what the API answers."""
    (pack,) = shipped_packs()
    result = ringi("assess", TIER_1, "--json")
    assert assess(pack, load_proposal(TIER_1)) == Assessment.model_validate_json(result.stdout)


def test_a_pack_in_a_file(tmp_path: Path) -> None:
    """A pack that is not shipped is named by its file; one that is nowhere is a mistake."""
    (pack,) = shipped_packs()
    file = tmp_path / "pack.json"
    file.write_text(pack.model_dump_json())
    assert "Tier 1 (light)" in ringi("assess", TIER_1, "--pack", file).stdout
    missing = ringi("assess", TIER_1, "--pack", tmp_path / "none.yaml")
    assert (2, "") == (missing.exit_code, missing.stdout)
    assert "neither shipped (nec-human-rights) nor a file" in missing.stderr


def test_bad_input_is_told_by_file_and_pointer(tmp_path: Path) -> None:
    """Every mistake at once, none of it as a traceback."""
    wrong = tmp_path / "proposal.yaml"
    wrong.write_text(TIER_1.read_text().replace("[JP]", "[XX]").replace("phase: development", "phase: soon"))
    result = ringi("assess", wrong)
    assert 2 == result.exit_code
    assert f"{wrong}: /jurisdictions/0: " in result.stderr
    assert f"{wrong}: /phase: " in result.stderr
    answers = tmp_path / "answers.yaml"
    answers.write_text(TIER_1.read_text().replace("team_knows: false", "team_knows: 3"))
    result = ringi("assess", answers)
    assert 2 == result.exit_code
    assert f"{answers}: /answers/team_knows: must be true or false" in result.stderr
    assert 2 == ringi("assess", tmp_path / "nothing.yaml").exit_code


def test_a_token_is_minted_only_where_a_system_is(tmp_path: Path) -> None:
    """Asking for one makes no key."""
    folder = tmp_path / "data"
    result = ringi("token", "hana.owner", "--data", folder)
    assert 2 == result.exit_code
    assert "There is no embedded system in" in result.stderr
    assert not folder.exists()
    signing_key(folder)
    result = ringi("token", "hana.owner", RINGI_DATA=str(folder))
    assert 0 == result.exit_code
    assert 3 == len(result.stdout.strip().split("."))
    result = ringi("token", "hana owner", "--data", folder)
    assert 2 == result.exit_code
    assert "No token can be minted for 'hana owner'" in result.stderr
    (folder / "issuer-key.json").chmod(0o644)
    assert "must be readable for its owner only" in ringi("token", "hana.owner", "--data", folder).stderr


def test_who_asks_must_be_said(tmp_path: Path) -> None:
    """By --as or by a token; there is no anonymous way in."""
    result = ringi("inbox", "--data", tmp_path)
    assert 2 == result.exit_code
    assert "Say who you are" in result.stderr


def test_a_server_that_is_not_there_is_three(tmp_path: Path) -> None:
    """And of a decision it is said how to find out what became of it."""
    result = ringi("inbox", "--url", "http://127.0.0.1:9", RINGI_TOKEN="x")
    assert (3, "") == (result.exit_code, result.stdout)
    assert "http://127.0.0.1:9 gave no answer" in result.stderr
    result = ringi("propose", TIER_1, "--url", "http://127.0.0.1:9", RINGI_TOKEN="x")
    assert 3 == result.exit_code
    assert re.search(r"The same command with --id [0-9a-f-]{36} asks what became of it", result.stderr)
    assert 2 == ringi("inbox", "--url", "ftp://127.0.0.1", RINGI_TOKEN="x").exit_code


def test_a_decision_names_what_was_shown(tmp_path: Path) -> None:
    """Nothing is filled in unless that is asked for; nothing is sent."""
    file = tmp_path / "decision.yaml"
    file.write_text("kind: signature\n")
    result = ringi("decide", "r-1", file, "--url", "http://127.0.0.1:9", RINGI_TOKEN="x")
    assert 2 == result.exit_code
    for name in ("digest", "basis"):
        assert f"{file}: /{name}: missing: a decision names what you were shown" in result.stderr
    file.write_text("- no\n- decision\n")
    result = ringi("decide", "r-1", file, RINGI_TOKEN="x")
    assert 2 == result.exit_code
    assert f"{file}: /kind: missing" in result.stderr


def test_settings_that_are_missing_are_bad_input() -> None:
    """For the commands that a deployment starts."""
    for command in ("migrate", "api", "worker"):
        result = ringi(command)
        assert 2 == result.exit_code
        assert "RINGI_DATABASE_URL is not set" in result.stderr
    result = ringi("migrate", RINGI_DATABASE_URL="postgresql://localhost/none")
    assert 2 == result.exit_code
    assert "RINGI_OWNER_DATABASE_URL is not set" in result.stderr
    result = ringi("api", RINGI_DATABASE_URL="postgresql://localhost/none")
    assert 2 == result.exit_code
    assert "RINGI_OIDC_ISSUER is not set" in result.stderr


def test_an_api_serves_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes beyond that is told so, and those who are there are served."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda _app, **settings: given.update(settings))
    ringi("api", RINGI_DATABASE_URL="postgresql://localhost/none", RINGI_API_CONNECTIONS="2")

    async def statuses() -> list[int]:
        def serve() -> FastAPI:
            app = FastAPI()
            app.get("/")(lambda: None)
            return app

        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(serve, **given))
            task = asyncio.create_task(server.serve(sockets=[listener]))
            answers = []
            async with AsyncExitStack() as stack, asyncio.timeout(20):
                for _ in range(3):
                    client = await stack.enter_async_context(
                        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False)
                    )
                    answers.append((await client.get("/")).status_code)
            server.should_exit = True
            await task
        return answers

    assert asyncio.run(statuses()) == [200, 200, 503]


def refusals(count: int) -> Evidence:
    """The evidence of a review that saw nothing but messages that were turned away."""
    events = [
        Refused(
            at=datetime(2026, 4, 1, 9, number, tzinfo=UTC),
            reason=Reason.UNREADABLE,
            detail="It is not a decision.",
            ordinal=number,
            digest=sha256(bytes([number])),
            length=1,
            shown=f"\\x0{number}",
        )
        for number in range(1, count + 1)
    ]
    entries = append("r-1", 0, GENESIS, events)
    review = fold("r-1", events)
    return Evidence(
        review="r-1",
        entries=entries,
        read_model=read_model(review, entries[-1].hash),
        workflow=WorkflowState(status="gone"),
    )


def test_evidence_in_a_file_is_verified_offline(tmp_path: Path) -> None:
    """Zero if it holds, as text and as JSON. Without the registry, or the proposals, it has to be said that the record
    alone will do.
    """
    file = tmp_path / "evidence.json"
    evidence = refusals(3)
    file.write_text(evidence.model_dump_json())
    result = ringi("audit", "verify", "--file", file)
    assert 2 == result.exit_code
    assert "who decided, and with which key, can't be checked" in result.stderr
    file.write_text(evidence.model_copy(update={"registry": ()}).model_dump_json())
    result = ringi("audit", "verify", "--file", file)
    assert 2 == result.exit_code
    assert "The proposals and policy packs are not with this evidence" in result.stderr
    file.write_text(evidence.model_dump_json())
    result = ringi("audit", "verify", "--record-alone", "--file", file)
    assert 0 == result.exit_code
    assert "what came of them was not checked" in result.stdout
    assert "The record of r-1 holds: 3 entries" in result.stdout
    assert "record and read model alone were compared" in result.stdout
    said = json.loads(ringi("audit", "verify", "--record-alone", "--file", file, "--json").stdout)
    assert {"review": "r-1", "holds": True, "difference": None, "entries": 3} == {
        name: said[name] for name in ("review", "holds", "difference", "entries")
    }


def test_it_is_said_on_which_keys_renewed_sign_ins_rest(tmp_path: Path) -> None:
    """And whose word it is that they are the identity provider's: nobody's but the service's, unless they are named."""
    file = tmp_path / "evidence.json"
    case = stepping_up(seen(PROVIDER))
    assert isinstance(signed_in(case, PROVIDER), Accepted)
    evidence = case.evidence().model_copy(update={"registry": recorded(case.registry)})
    file.write_text(evidence.model_dump_json())
    verify = ("audit", "verify", "--record-alone", "--file", file)
    key, other, entry = published(PROVIDER).id, published(THIEF).id, len(case.registry)
    result = ringi(*verify)
    assert 0 == result.exit_code
    assert f"Renewed sign-ins rest on the key {key}" in result.stdout
    assert f"of https://login.example (for ringi-web), by entry {entry} of the registry; not pinned" in result.stdout
    said = "3 decisions rest on the service's word for the person; 1 of them also on the identity provider's ID token"
    assert said in result.stdout
    result = ringi(*verify, "--issuer-key", other, "--issuer-key", key.upper())
    assert 0 == result.exit_code
    assert f"by entry {entry} of the registry; pinned." in result.stdout
    result = ringi(*verify, "--issuer-key", other)
    assert 1 == result.exit_code
    assert f"rests on the key {key}, which is none of those that were named" in result.stdout
    told = json.loads(ringi(*verify, "--json", "--issuer-key", key).stdout)
    known = {"key": key, "issuer": "https://login.example", "audience": "ringi-web", "entry": entry}
    assert ([known], True, 3, 1) == tuple(
        told[name] for name in ("issuer_keys", "issuer_keys_pinned", "decisions", "signed_in")
    )
    file.write_text(case.evidence().model_dump_json())
    assert 2 == ringi(*verify, "--issuer-key", key).exit_code


def test_it_is_said_whether_whoever_checks_knew_the_key_of_the_beginning(tmp_path: Path) -> None:
    """And what is no such key is a mistake in the command, and no sign of a forged record."""
    file = tmp_path / "evidence.json"
    case = stepping_up()
    file.write_text(case.evidence().model_copy(update={"registry": recorded(case.registry)}).model_dump_json())
    verify = ("audit", "verify", "--record-alone", "--file", file)
    assert f"founded with the key {SIGNER.keyid} (not pinned: " in ringi(*verify).stdout
    assert f"founded with the key {SIGNER.keyid} (pinned)" in ringi(*verify, "--key", SIGNER.keyid.upper()).stdout
    assert 1 == ringi(*verify, "--key", "0" * 64).exit_code
    for option in ("--key", "--issuer-key"):
        result = ringi(*verify, option, "2b4e")
        assert 2 == result.exit_code
        assert f"{option} takes 64 hexadecimal digits" in result.stderr


@pytest.mark.parametrize(("rehashed", "named"), [(False, 2), (True, 3)])
def test_evidence_that_was_tampered_with_is_one(tmp_path: Path, *, rehashed: bool, named: int) -> None:
    """The first place that differs is named: the entry itself, or, with its hash made anew, the one after it."""
    evidence = refusals(3)
    entries = list(evidence.entries)
    data = entries[1].data.replace("not a decision", "not a derision")
    entries[1] = entries[1].model_copy(
        update={"data": data, "hash": sha256(data.encode()) if rehashed else entries[1].hash}
    )
    file = tmp_path / "evidence.json"
    file.write_bytes(canonical_bytes(evidence.model_copy(update={"entries": tuple(entries)})))
    result = ringi("audit", "verify", "--record-alone", "--file", file)
    assert 1 == result.exit_code
    assert f"The record of r-1 differs, entry {named}: " in result.stdout
    assert not json.loads(ringi("audit", "verify", "--record-alone", "--file", file, "--json").stdout)["holds"]


def test_what_is_no_evidence_is_bad_input(tmp_path: Path) -> None:
    """A file that is damaged, absent, or not named at all."""
    file = tmp_path / "evidence.json"
    file.write_text('{"review": "r-1", "entries": 3}')
    result = ringi("audit", "verify", "--record-alone", "--file", file)
    assert 2 == result.exit_code
    assert "This is no evidence about a review." in result.stderr
    assert 2 == ringi("audit", "verify", "--file", tmp_path / "none").exit_code
    assert 2 == ringi("audit", "verify").exit_code
    assert 2 == ringi("audit", "verify", "r-1", "--file", file).exit_code


def test_what_a_terminal_would_obey_is_shown_and_not_sent() -> None:
    """Escape sequences and characters that turn the direction of reading."""
    assert "<001b>[2J<202e>稟議\nx" == plain("\x1b[2J\u202e稟議\nx")
