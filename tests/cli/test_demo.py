"""`ringi demo`, from nothing to a verified record, as anybody runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import started, until


@pytest.mark.timeout(240)
def test_the_demo_ends_well_after_one_that_was_killed(tmp_path: Path) -> None:
    """Nothing of the first is in the way, and nothing of either is left."""
    with started(tmp_path, "demo") as first:
        first.wait_for("The API answers")
        first.process.kill()
        first.ends()
        with started(tmp_path, "demo") as second:
            second.wait_for("Everything is stopped.")
            assert 0 == second.ends(), second.said()
            until(lambda: not first.left(), first.left)
            assert {} == second.left()
    said = second.said()
    for what in (
        "refused. Conflict (stale)",
        "refused. Conflict (out_of_stage)",
        "refused. Forbidden",
        "still missing: ren.operator",
        "approved: Every stage was passed",
        "must sign in again, over this very act (",
        "Closed: approved.",
        "The record of faces-at-the-station holds",
        "its bytes do not have the hash that is stored with them",
        "It has another digest than the one that it was stored with.",
        "It bears no signature of a key that was in force when it was received.",
        "Signatures and roles were checked by",
    ):
        assert what in said
    assert [] == [json.loads(path.read_text()) for path in (tmp_path / "build/demo/run").glob("*.json")]
