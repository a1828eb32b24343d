"""`ringi up` as a process of its own: a whole review from the command line, and every way that it ends."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.local import Addresses
from cli.up import _forget_key_of_another
from domain.proposal import Proposal
from domain.verification import Evidence
from runtime.issuer import signing_key
from runtime.packs import load_proposal
from tests.cli.place import Place
from tests.cli.processes import ROOT, Started, started, until

EXAMPLES = ROOT / "examples"
TIER_1 = EXAMPLES / "tier-1-meeting-room-air.yaml"
REVIEW = "air"


@pytest.mark.timeout(300)
def test_a_review_from_the_command_line(place: Place) -> None:
    """From `ringi up` over submission and signature to a verified record; it is kept over a restart."""
    with started(place.folder, *place.up) as ringi:
        ringi.wait_for("Ctrl-C stops it.")
        assert f"http://127.0.0.1:{place.ports[0]}/docs" in ringi.said()
        assert f"http://127.0.0.1:{place.ports[3]}" in ringi.said()

        second = Started(place.folder, *place.up)
        assert 3 == second.ends()
        assert f"in use by process {ringi.process.pid}" in second.said()
        assert 1 == len(second.said().strip().splitlines())

        play(place)

        ringi.process.send_signal(signal.SIGINT)
        assert 0 == ringi.ends(), ringi.said()
        assert ringi.said().endswith("Stopping, the worker first ...\nStopped.\n")
        place.assert_nothing_is_left(ringi)
        unreached = place.ringi("inbox", "--as", "hana.owner", code=3).stderr
        assert "gave no answer" in unreached
        assert "`ringi up` starts it." in unreached

    with started(place.folder, *place.up) as ringi:
        ringi.wait_for("Ctrl-C stops it.")
        assert "approved" == place.json("status", REVIEW, "--as", "hana.owner")["outcome"]
        os.kill(place.pid("API"), signal.SIGKILL)
        assert 3 == ringi.ends()
        assert "API ended with exit code -9" in ringi.said()
        place.assert_nothing_is_left(ringi)


def test_a_key_is_one_issuers(tmp_path: Path) -> None:
    """What renewed sign-ins rest on is on record for one address: at another there is another key, and else the same."""
    key = signing_key(tmp_path)
    _forget_key_of_another(tmp_path, "http://127.0.0.1:1")
    assert key.thumbprint() == signing_key(tmp_path).thumbprint(), "nothing tells where it was"
    Addresses(issuer="http://127.0.0.1:1").write(tmp_path)
    _forget_key_of_another(tmp_path, "http://127.0.0.1:1")
    assert key.thumbprint() == signing_key(tmp_path).thumbprint()
    _forget_key_of_another(tmp_path, "http://127.0.0.1:2")
    assert key.thumbprint() != signing_key(tmp_path).thumbprint()


def play(place: Place) -> None:
    """Take the lowest tier to its outcome, with every kind of exit code on the way."""
    os.kill(place.pid("worker"), signal.SIGSTOP)
    propose = ("propose", TIER_1, "--as", "aki.author", "--review", REVIEW)
    pending = place.json(*propose, "--wait", "0", code=5)
    assert ("pending", REVIEW) == (pending["status"], pending["review"])
    os.kill(place.pid("worker"), signal.SIGCONT)
    receipt = place.json(*propose, "--id", pending["decision_id"], "--wait", "30")
    assert ("accepted", 1) == (receipt["status"], receipt["seq"])

    status = place.json("status", REVIEW, "--as", "hana.owner")
    assert (1, "principle_review", None) == (status["tier"], status["stage"], status["basis"])
    assert "any reviewer" in place.ringi("status", REVIEW, "--as", "hana.owner").stdout
    (listed,) = place.json("reviews", "--as", "rin.reviewer")["reviews"]
    assert REVIEW == listed["id"]
    assert listed["title"] in place.ringi("reviews", "--as", "aki.author").stdout
    assert "No review is listed" in place.ringi("reviews", "--as", "bo.head").stdout
    earlier = place.ringi("reviews", "--as", "rin.reviewer", "--before", listed["submitted_at"])
    assert "No review is listed" in earlier.stdout
    written = load_proposal(TIER_1)
    assert written == Proposal.model_validate(place.json("proposal", REVIEW, "--as", "rin.reviewer"))
    read = place.ringi("proposal", REVIEW, "--as", "rin.reviewer", "--digest", status["digest"])
    assert written == Proposal.model_validate(yaml.safe_load(read.stdout))
    place.ringi("proposal", REVIEW, "--as", "rin.reviewer", "--digest", "0" * 64, code=4)
    (item,) = place.json("inbox", "--as", "rin.reviewer")["items"]
    assert (REVIEW, status["digest"]) == (item["review"], item["digest"])
    assert status["digest"] in place.ringi("inbox", "--as", "rin.reviewer").stdout
    assert "Nothing waits for you." in place.ringi("inbox", "--as", "bo.head").stdout
    assert "Not Found: There is no such review" in place.ringi("status", "none", "--as", "rin.reviewer", code=4).stderr
    place.ringi("status", REVIEW, "--as", "nobody.known", code=4)

    principles = ("fairness", "privacy", "transparency", "responsibility_to_explain", "proper_utilization")
    verdicts = [{"principle": name, "finding": "respected", "reason": "Nobody is concerned."} for name in principles]
    stale = place.decision(kind="verdict_sheet", verdicts=verdicts, digest="0" * 64)
    assert "(stale)" in place.ringi("decide", REVIEW, stale, "--as", "rin.reviewer", code=1).stderr
    wrong = place.decision(kind="verdict_sheet", verdicts=[{**verdicts[0], "finding": "fine"}], digest=status["digest"])
    assert "/verdicts/0/finding: " in place.ringi("decide", REVIEW, wrong, "--as", "rin.reviewer", code=2).stderr
    early = place.decision(kind="signature")
    place.ringi("decide", REVIEW, early, "--as", "bo.head", "--current", code=4)
    nothing = place.ringi("decide", REVIEW, early, "--as", "rin.reviewer", "--current", code=1)
    assert "not in sign-off, so there is nothing to sign" in nothing.stderr
    sheet = place.decision(kind="verdict_sheet", verdicts=verdicts)
    assert "/digest: missing" in place.ringi("decide", REVIEW, sheet, "--as", "rin.reviewer", code=2).stderr
    named = place.ringi("decide", REVIEW, sheet, "--as", "rin.reviewer", "--current")
    assert f"digest  {status['digest']}" in named.stderr
    assert "Accepted: decision" in named.stdout

    signature = place.decision(kind="signature", conditions=["The switch in each room stays."])
    place.ringi("decide", REVIEW, signature, "--as", "hana.owner", "--current", code=4)
    named = place.ringi("decide", REVIEW, signature, "--as", "bo.head", "--current")
    assert "  basis  " in named.stderr
    status = place.json("status", REVIEW, "--as", "hana.owner")
    assert "approved" == status["outcome"]
    assert "The switch in each room stays." in place.ringi("certificate", REVIEW, "--as", "hana.owner").stdout

    page = place.json("timeline", REVIEW, "--as", "ava.auditor", "--limit", "2")
    assert [1, 2] == [entry["seq"] for entry in page["entries"]]
    told = place.ringi("timeline", REVIEW, "--as", "ava.auditor", "--limit", "2").stdout
    assert "Closed: approved." in told
    evidence = place.folder / "evidence.json"
    verified = place.ringi("audit", "verify", REVIEW, "--as", "ava.auditor", "--save", evidence)
    assert f"The record of {REVIEW} holds" in verified.stdout
    assert Evidence.model_validate_json(evidence.read_text()).entries[-1].seq == len(told.split("entry ")) - 1
    place.ringi("audit", "verify", "--file", evidence)
    place.ringi("audit", "verify", REVIEW, "--as", "ava.auditor", "--save", evidence, code=2)
    place.ringi("audit", "verify", REVIEW, "--as", "hana.owner", code=4)

    people = place.folder / "people.csv"
    people.write_text("person,name,unit,role,office\nnew.reviewer,Example Newcomer,Example Unit,reviewer,\n")
    assert {"people": 1, "grants": 1} == place.json("people", "import", people, "--as", "ops.operator")
    place.ringi("people", "import", people, "--as", "hana.owner", code=4)
    training = place.json("training", "import", EXAMPLES / "training.csv", "--as", "tao.training")
    assert training["completions"] == training["new"] > 0
    again = place.ringi("training", "import", EXAMPLES / "training.csv", "--as", "tao.training").stdout
    assert f"{training['completions']} completions, 0 of them new" in again
    place.ringi("training", "import", people, "--as", "tao.training", code=2)


@pytest.mark.parametrize("which", range(4))
def test_a_port_in_use_is_said_in_one_sentence(place: Place, which: int) -> None:
    """Whichever it is; nothing is started."""
    with socket.create_server(("127.0.0.1", place.ports[which])):
        ringi = Started(place.folder, *place.up)
        assert 3 == ringi.ends()
    assert [f"Port {place.ports[which]} on 127.0.0.1, which "] == [
        line[: line.index("which ") + 6] for line in ringi.said().strip().splitlines()
    ]
    place.assert_nothing_is_left(ringi)


def damaged_postgres(data: Path) -> str:
    """PostgreSQL's data without what it begins with."""
    (data / "postgres").mkdir()
    return "has no PG_VERSION"


def damaged_temporal(data: Path) -> str:
    """Temporal's state is something else."""
    (data / "temporal.db").write_text("not a database at all")
    return "is not an SQLite database"


def damaged_key(data: Path) -> str:
    """The issuer's key is none."""
    (data / "issuer-key.json").touch(mode=0o600)
    return "holds no P-256 private key"


@pytest.mark.parametrize("damage", [damaged_postgres, damaged_temporal, damaged_key])
def test_a_damaged_folder_is_said_in_one_sentence(place: Place, damage: Any) -> None:
    """What was started before it showed is stopped again."""
    place.data.mkdir()
    said = damage(place.data)
    ringi = Started(place.folder, *place.up)
    assert 3 == ringi.ends()
    last = ringi.said().strip().splitlines()[-1]
    assert said in last
    assert last.endswith(".")
    assert "Traceback" not in ringi.said()
    place.assert_nothing_is_left(ringi)


def test_told_to_stop_while_it_starts(place: Place) -> None:
    """It stops what it has started, and calls that a good end."""
    with started(place.folder, *place.up) as ringi:
        ringi.wait_for("Starting schema")
        ringi.process.send_signal(signal.SIGTERM)
        assert 0 == ringi.ends(), ringi.said()
        assert ringi.said().endswith("Stopped.\n")
        until(lambda: not ringi.left(), ringi.left)
        place.assert_nothing_is_left(ringi)
