"""`make chaos`: 2,000 decisions under 66 faults. `CHAOS_SEED` repeats a storm."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from tests.chaos.plan import draw
from tests.chaos.storm import LONGEST, Report, Storm
from tests.support.fleet import fleet

REPORT = Path(__file__).resolve().parents[2] / "build" / "chaos.json"

DECISIONS = 2000
FAULTS = 66


async def chaos(
    seed: int, *, decisions: int, faults: int, longest: float = LONGEST, tell: Callable[[str], None] = lambda _: None
) -> Report:
    """One storm of this seed over a fleet of its own, in which reviews go through many short runs."""
    async with fleet(RINGI_MESSAGES_PER_RUN="3") as system:
        return await Storm(draw(seed, decisions=decisions, faults=faults), system, tell, longest).run()


def main() -> int:
    """Let it rage, write the report, and say whether all of it happened in time, and every promise was kept."""
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(2**31))
    _say(f"CHAOS_SEED={seed}")
    report = asyncio.run(chaos(seed, decisions=DECISIONS, faults=FAULTS, tell=_say))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report.model_dump_json(indent=2) + "\n")
    _say(REPORT.read_text())
    return 0 if report.holds else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os._exit(main())  # the SDK can abort an interpreter that shuts down (sdk-python#300)
