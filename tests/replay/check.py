"""Replays histories and compares what the workflow asks of Temporal: `python -m tests.replay.check [SCENARIO ...]`.

Prints what differs, as JSON, by the name of the history; ends with 0 if nothing does. It is a process of its own since
a hash seed is for a process's whole life, and so that it can be run against a changed copy of the workflows.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import zip_longest
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from runtime.temporal import plugin
from tests.replay.recorder import Recorder

HISTORIES = Path(__file__).resolve().parent / "histories"


def names() -> list[str]:
    """The names of the histories that are kept."""
    return sorted(path.name.removesuffix(".commands.json") for path in HISTORIES.glob("*.commands.json"))


def export(name: str) -> Path:
    """Where the history of this name is kept, as Temporal exports it."""
    return HISTORIES / f"{name}.json"


def commands(name: str) -> Path:
    """Where the commands are kept that the workflow issued in the history of this name."""
    return HISTORIES / f"{name}.commands.json"


async def differences(name: str) -> list[str]:
    """What differs when this history is replayed: by Temporal's own word, and the first command that is another."""
    data = export(name).read_text(encoding="utf-8")
    started = WorkflowHistory.from_json("", data).events[0].workflow_execution_started_event_attributes
    history = WorkflowHistory.from_json(started.workflow_id, data)
    recorder = Recorder()
    replayer = Replayer(workflows=[], plugins=[plugin(), recorder])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    found = [] if result.replay_failure is None else [f"replay: {result.replay_failure}"]
    recorded = json.loads(commands(name).read_text(encoding="utf-8"))
    issued = recorder.commands(history.run_id)
    for number, (before, now) in enumerate(zip_longest(recorded, issued), start=1):
        if before != now:
            return [*found, f"command {number} was {json.dumps(before)} and is {json.dumps(now)}"]
    return found


async def main(wanted: list[str]) -> int:
    """Check these, or all; return the exit code."""
    chosen = [name for name in names() if not wanted or name.partition(".")[0] in wanted]
    found = {name: await differences(name) for name in chosen}
    different = {name: what for name, what in found.items() if what}
    print(json.dumps({"replayed": chosen, "different": different}))  # noqa: T201 - what this program answers
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
