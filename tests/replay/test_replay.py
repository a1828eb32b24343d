"""The replay gate: today's workflows ask of Temporal, in every kept history, exactly what they asked when it was made."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.replay.check import HISTORIES, export, names
from tests.replay.record import IDENTITY
from tests.replay.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Checked:
    """What a check of the histories said."""

    replayed: list[str]
    different: dict[str, list[str]]


def check(*scenarios: str, seed: int = 0, workflows: Path = ROOT) -> Checked:
    """Replay these scenarios, or all, in a process of their own, with the workflows in this folder."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.replay.check", *scenarios],
        cwd=workflows,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])  # the SDK logs to the same place
    assert (done.returncode == 0) is (answer["different"] == {}), done.stderr
    return Checked(answer["replayed"], answer["different"])


@pytest.mark.parametrize("seed", [0, 1, 20190401])
def test_every_history_replays_with_the_same_commands(seed: int) -> None:
    """Under whatever hash seed; nothing rests on the order of a set."""
    checked = check(seed=seed)
    assert names() == checked.replayed
    assert {} == checked.different


def test_every_scenario_has_its_histories() -> None:
    """And every history its scenario."""
    assert {*SCENARIOS} == {name.partition(".")[0] for name in names()}
    assert {path.name for path in HISTORIES.iterdir()} == {
        file for name in names() for file in (f"{name}.json", f"{name}.commands.json")
    }


@dataclass(frozen=True)
class Change:
    """A change somebody could make to a workflow, and a scenario in which it matters."""

    file: str
    old: str
    new: str
    scenario: str


ARGUMENTS = {
    "number of the last entry seen": Change(
        "proposal_review.py", "seen=self._review.seq", "seen=self._review.seq + 1", "the_owner_withdraws"
    ),
    "ordinal": Change(
        "proposal_review.py", "read_signal(self._tally.signals,", "read_signal(self._tally.signals + 1,", "poison"
    ),
    "timeout": Change(
        "proposal_review.py",
        "start_to_close_timeout=timedelta(seconds=5)",
        "start_to_close_timeout=timedelta(seconds=6)",
        "waits_on",
    ),
    "summary": Change("alarm.py", "falls due", "is due", "waits_on"),
    "time of a timer": Change("alarm.py", "workflow.sleep(left", "workflow.sleep(left + 1", "waits_on"),
    "what is carried": Change("proposal_review.py", "waiting=waiting", "waiting=()", "continued_with_what_waits"),
    "result": Change("proposal_review.py", "because=review.outcome_because or", "because=", "breaches_decline"),
}

ORDER = {
    "a timer later": Change(
        "proposal_review.py",
        "            self._alarm.follow(next_deadline(self._review))\n            message = await self._inbox.take()\n",
        "            message = await self._inbox.take()\n            self._alarm.follow(next_deadline(self._review))\n",
        "the_owner_withdraws",
    ),
    "a timer more": Change(
        "proposal_review.py",
        "            if not self._is_past(message):\n",
        "            await workflow.sleep(1)\n            if not self._is_past(message):\n",
        "the_owner_withdraws",
    ),
}


def changed(change: Change, folder: Path) -> Path:
    """A folder that holds the workflows with this change."""
    shutil.copytree(ROOT / "workflows", folder / "workflows", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "workflows" / change.file
    source = path.read_text(encoding="utf-8")
    assert 1 == source.count(change.old), f"{change.old!r} is no longer there once: choose another change"
    path.write_text(source.replace(change.old, change.new), encoding="utf-8")
    return folder


@pytest.mark.parametrize("change", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_a_changed_argument_is_found(change: Change, tmp_path: Path) -> None:
    """Though Temporal's own replay sees nothing of it."""
    different = check(change.scenario, workflows=changed(change, tmp_path)).different
    assert different
    for (found,) in different.values():
        assert found.startswith("command ")


@pytest.mark.parametrize("change", ORDER.values(), ids=ORDER.keys())
def test_a_change_in_the_order_is_found(change: Change, tmp_path: Path) -> None:
    """By Temporal, and by us."""
    ((replay, command),) = check(change.scenario, workflows=changed(change, tmp_path)).different.values()
    assert "[TMPRL1100]" in replay
    assert command.startswith("command ")


def test_a_copy_that_was_not_changed_passes(tmp_path: Path) -> None:
    """So it is the change that is found, and not the copying."""
    same = Change("alarm.py", "falls due", "falls due", "waits_on")
    assert {} == check(same.scenario, workflows=changed(same, tmp_path)).different


def test_the_histories_are_small_and_tell_of_no_machine() -> None:
    """Neither in their text nor within their payloads."""
    files = sorted(HISTORIES.iterdir())
    assert sum(path.stat().st_size for path in files) < 3 * 2**20
    telling = [f"@{socket.gethostname()}", str(ROOT), str(Path.home()), "site-packages"]
    for path in files:
        for text in _texts(json.loads(path.read_text(encoding="utf-8"))):
            assert not [word for word in telling if word in text], (path.name, text[:200])


@pytest.mark.parametrize("name", names())
def test_whoever_worked_was_the_recorder(name: str) -> None:
    """No process id, no machine."""
    assert {IDENTITY} == set(_values("identity", json.loads(export(name).read_text(encoding="utf-8"))))


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
            try:
                yield base64.b64decode(value, validate=True).decode(errors="replace")
            except ValueError:
                return
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)


def _values(name: str, value: JsonValue) -> Iterator[JsonValue]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from [inner] if key == name else _values(name, inner)
        case list():
            for inner in value:
                yield from _values(name, inner)
