"""Measures the figures that Ringi holds itself to, against bare Temporal: `python -m benchmarks [--quick]`.

Everything runs as `ringi up` runs it, durable: PostgreSQL, Temporal, the worker and the API as processes of their own.
Beside them works the worker of the bare workflow (`benchmarks.bare`), which takes each decision by `execute_update` and
commits one row for it, in the same PostgreSQL, in one local activity. One more process (`benchmarks.driver`) plays the
people on either side, one side at a time, in turns. A review is the example of tier 3, from its submission to the
receipt of its fourth decision: two verdict sheets and two signatures, one after the other. Bare, it is a workflow's
start and four updates with as many bytes.

1. Complete reviews per second, twenty at a time: decisions stored, signalled, receipts awaited. Median of five rounds.
2. The same over HTTP, with each person's token, what is signed read before it is signed.
3. The events that a decision adds to a history where it does not end a stage: the first of the two sheets. A signal
   and a local activity can't do with fewer than five.
4. How long it takes over HTTP from a decision to its receipt, one at a time: the 99th percentile of a thousand, against
   that of a thousand updates of the bare workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.driver import DECISIONS, REVIEWERS, SIGNATORIES, Job, Played, Side, events_of_a_decision
from benchmarks.system import EXAMPLE, System, running
from runtime.packs import load_proposal

LEAST_EVENTS = 5
"""The signal, the three of a workflow task, the marker of a local activity."""

MOST_SECONDS = 480
"""A run that takes longer is not worth its figures."""

SIDES: tuple[Side, ...] = ("bare", "signals", "http")


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    warm_up: int
    rounds: int
    reviews: int
    at_once: int
    chunks: int
    chunk: int

    @property
    def decisions(self) -> int:
        """How many decisions are timed one at a time."""
        return self.chunks * self.chunk * DECISIONS


FULL = Counts(warm_up=20, rounds=5, reviews=60, at_once=20, chunks=5, chunk=50)
QUICK = Counts(warm_up=0, rounds=1, reviews=2, at_once=2, chunks=1, chunk=2)


@dataclass(frozen=True)
class Row:
    """One figure: ours, what it is compared with, their ratio, and whether the goal is reached."""

    name: str
    value: float
    unit: str
    reference: float
    ratio: float
    goal: str
    holds: bool

    @classmethod
    def at_least(cls, goal: float, name: str, unit: str, *, value: float, reference: float) -> Self:
        """The more the better; the goal is a ratio."""
        ratio = value / reference
        return cls(name, _short(value), unit, _short(reference), _short(ratio), f"ratio >= {goal}", ratio >= goal)

    @classmethod
    def at_most(cls, goal: float, name: str, unit: str, *, value: float, reference: float) -> Self:
        """The less the better; the goal is a ratio."""
        ratio = value / reference
        return cls(name, _short(value), unit, _short(reference), _short(ratio), f"ratio <= {goal}", ratio <= goal)


async def measure(counts: Counts, tell: Callable[[], object]) -> list[Row]:
    """All rows. `tell` is called whenever one of `steps` is done."""
    people = (*REVIEWERS, *SIGNATORIES, load_proposal(EXAMPLE).author)
    async with running(people) as system:

        async def played(side: Side, reviews: int, at_once: int) -> Played:
            result = await _played(system, side, reviews, at_once)
            tell()
            return result

        for side in SIDES if counts.warm_up else ():
            await played(side, counts.warm_up, counts.at_once)  # what is done only once is done now
        per_second: dict[Side, list[float]] = {side: [] for side in SIDES}
        for number in range(counts.rounds):
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                result = await played(side, counts.reviews, counts.at_once)
                per_second[side].append(counts.reviews / result.seconds)
        waits: dict[Side, list[float]] = {"bare": [], "http": []}
        for _ in range(counts.chunks):
            for side in waits:
                waits[side] += (await played(side, counts.chunk, 1)).decisions
        events = await events_of_a_decision(system.temporal, system.database, system.key)
    rates = {side: statistics.median(rounds) for side, rounds in per_second.items()}
    at_a_time = f"{counts.at_once} at a time"
    return [
        Row.at_least(
            0.8,
            f"complete reviews, {at_a_time}, by signal",
            "reviews/s",
            value=rates["signals"],
            reference=rates["bare"],
        ),
        Row.at_least(
            0.5,
            f"complete reviews, {at_a_time}, over HTTP with tokens",
            "reviews/s",
            value=rates["http"],
            reference=rates["bare"],
        ),
        Row.at_most(
            6 / LEAST_EVENTS,
            "history events of a decision that does not end a stage",
            "events",
            value=events,
            reference=LEAST_EVENTS,
        ),
        Row.at_most(
            2,
            f"decision to receipt over HTTP, one at a time, p99 of {counts.decisions:,}",
            "ms",
            value=_p99(waits["http"]) * 1000,
            reference=_p99(waits["bare"]) * 1000,
        ),
    ]


def steps(counts: Counts) -> int:
    """How often `measure` tells."""
    return len(SIDES) * ((counts.warm_up > 0) + counts.rounds) + 2 * counts.chunks


async def _played(system: System, side: Side, reviews: int, at_once: int) -> Played:
    job = Job(side=side, reviews=reviews, at_once=at_once, **asdict(system))
    driver = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.driver"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        answer, _ = await driver.communicate(job.model_dump_json().encode())
    except asyncio.CancelledError:
        driver.kill()
        raise
    if driver.returncode != 0:
        raise RuntimeError(f"the driver ended with exit code {driver.returncode}")
    return Played.model_validate_json(answer.splitlines()[-1])


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _short(value: float) -> float:
    """Three digits are more than such a figure is good for."""
    return float(f"{value:.3g}")


async def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Ringi against bare Temporal.")
    parser.add_argument("--quick", action="store_true", help="a few reviews only: to see that it runs, not to measure")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="where the figures are written")
    arguments = parser.parse_args()
    counts = QUICK if arguments.quick else FULL
    with Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=steps(counts))
        try:
            async with asyncio.timeout(MOST_SECONDS):
                rows = await measure(counts, lambda: progress.advance(task))
        except TimeoutError:
            raise SystemExit(f"Not done in {MOST_SECONDS} s: this machine is too busy to be measured on.") from None
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    table = Table("figure", "Ringi", "bare", "unit", "ratio", "goal", "holds")
    for row in rows:
        holds = "[green]yes[/]" if row.holds else "[red]no[/]"
        table.add_row(row.name, f"{row.value:g}", f"{row.reference:g}", row.unit, f"{row.ratio:g}", row.goal, holds)
    Console().print(table)
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)


if __name__ == "__main__":
    asyncio.run(main())
