"""What an operator does from the command line: the keys, the doctor, and bringing a lost review back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from activities.naming import workflow_id_for
from cli.main import app
from tests.cli.place import Place
from tests.cli.processes import ROOT, started, until

TIER_1 = ROOT / "examples" / "tier-1-meeting-room-air.yaml"
REVIEW = "air"
OPERATOR = ("--as", "ops.operator")
OWNER = ("--as", "hana.owner")


@pytest.mark.timeout(300)
def test_an_operators_day(place: Place) -> None:
    """Against a system that runs."""
    with started(place.folder, *place.up) as ringi:
        ringi.wait_for("Ctrl-C stops it.")
        rotate(place)
        bring_back(place)


def rotate(place: Place) -> None:
    """A new key is made, registered, listed and revoked, and the one in use stays in force."""
    (founder,) = place.json("keys", "list", *OWNER)["keys"]
    assert founder["revoked_at"] is None
    assert founder["key"] in place.ringi("keys", "list", *OWNER).stdout

    first, second = place.folder / "first.pem", place.folder / "second.pem"
    made = place.json("keys", "new", first)
    added = place.json("keys", "add", made["public"], *OPERATOR)
    assert (made["key"], None) == (added["key"], added["revoked_at"])
    assert f"What {made['key']} signs counts since " in place.ringi("keys", "add", made["public"], *OPERATOR).stdout

    said = place.ringi("keys", "new", second)
    public = place.folder / "second.pub"
    public.write_text(said.stdout)
    place.ringi("keys", "add", public, *OWNER, code=4)
    other = place.json("keys", "add", public, *OPERATOR)["key"]
    assert f"Its id is {other}" in said.stderr
    assert "/public: " in place.ringi("keys", "add", "no key", *OPERATOR, code=2).stderr

    revoke = ("keys", "revoke", made["key"], "--because", "Its machine was sold.")
    place.ringi(*revoke, *OWNER, code=4)
    assert "Revoked." in place.ringi(*revoke, *OPERATOR).stderr
    place.ringi(*revoke, *OPERATOR, code=4)
    listed = {key["key"]: key["revoked_at"] for key in place.json("keys", "list", *OWNER)["keys"]}
    assert [founder["key"], made["key"], other] == list(listed)
    assert [True, False, True] == [revoked is None for revoked in listed.values()]
    shown = place.ringi("keys", "list", *OWNER).stdout
    assert (2, 1) == (shown.count(", in force"), shown.count(", until "))


def bring_back(place: Place) -> None:
    """A review whose workflow was terminated is seen by the doctor and repaired, once, by the operator alone."""
    place.ringi("propose", TIER_1, "--as", "aki.author", "--review", REVIEW)
    assert "runs_well" in place.ringi("repair", REVIEW, *OPERATOR, code=1).stderr
    before = place.json("status", REVIEW, *OWNER)
    wait_for_doctor(place, 0)
    assert "Everything is well." in place.ringi("doctor", *OPERATOR).stdout

    asyncio.run(terminate(place))
    wait_for_doctor(place, 1)
    assert f"ringi repair {REVIEW}" in place.ringi("doctor", *OPERATOR, code=1).stdout
    place.ringi("doctor", *OWNER, code=4)
    place.ringi("repair", REVIEW, *OWNER, code=4)
    place.ringi("repair", *OPERATOR, code=2)
    place.ringi("repair", REVIEW, "--all", *OPERATOR, code=2)
    assert "none: " in place.ringi("repair", "none", *OPERATOR, code=4).stderr

    assert "Accepted" in place.ringi("repair", "--all", *OPERATOR, "--wait", "30").stdout
    assert before == place.json("status", REVIEW, *OWNER)
    assert "ops.operator" in place.ringi("timeline", REVIEW, "--as", "ava.auditor").stdout
    wait_for_doctor(place, 0)
    assert "" == place.ringi("repair", "--all", *OPERATOR).stdout


def wait_for_doctor(place: Place, code: int) -> None:
    """Until the doctor ends with this exit code; the reconciler looks once in half a minute."""
    until(lambda: place.run("doctor", *OPERATOR).exit_code == code, lambda: place.run("doctor", *OPERATOR).stdout)


async def terminate(place: Place) -> None:
    """End the review's workflow, as somebody does with Temporal's own tools."""
    client = await Client.connect(f"127.0.0.1:{place.ports[2]}")
    await client.get_workflow_handle(workflow_id_for(REVIEW)).terminate("A slip of the hand.")


def test_a_new_key_never_replaces_a_file(tmp_path: Path) -> None:
    """Nor does it appear where it can't be written; its file is for its owner alone."""
    runner, file = CliRunner(), tmp_path / "key.pem"
    assert 0 == runner.invoke(app, ["keys", "new", str(file)]).exit_code
    assert 0o600 == file.stat().st_mode & 0o777
    kept = file.read_bytes()
    again = runner.invoke(app, ["keys", "new", str(file)])
    assert (2, kept) == (again.exit_code, file.read_bytes())
    assert f"{file}: File exists" in again.stderr
    assert 2 == runner.invoke(app, ["keys", "new", str(tmp_path / "none" / "key.pem")]).exit_code
    assert [file] == list(tmp_path.iterdir())
