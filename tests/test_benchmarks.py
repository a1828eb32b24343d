"""The benchmarks run, and write what is read from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(240)
def test_a_quick_run_writes_every_figure(tmp_path: Path) -> None:
    """Its numbers mean nothing; their form does, and that a decision's events are no matter of speed."""
    out = tmp_path / "build" / "bench.json"
    subprocess.run([sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)], cwd=ROOT, check=True)
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert ["reviews/s", "reviews/s", "events", "ms"] == [row["unit"] for row in rows]
    for row in rows:
        assert {"name", "value", "unit", "reference", "ratio", "goal", "holds"} == row.keys()
        assert min(row["value"], row["reference"], row["ratio"]) > 0
        assert row["ratio"] == pytest.approx(row["value"] / row["reference"], rel=0.02)
        relation, _, limit = row["goal"].removeprefix("ratio ").partition(" ")
        reached = {">=": row["ratio"] >= float(limit), "<=": row["ratio"] <= float(limit)}[relation]
        assert reached is row["holds"]
    assert rows[2]["holds"]
