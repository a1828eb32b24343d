"""Starting `ringi` as a process of its own, and finding what it left running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 90


class Started:
    """A `ringi` that was started, and what it has said so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = f"CLI_TEST_RUN={uuid4()}"
        self._said = folder / f"said-{uuid4()}"
        with self._said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=folder,
                env={**os.environ, **dict([self.mark.split("=")]), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        """Everything, both streams."""
        return self._said.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until it has said this."""
        until(lambda: text in self.said() or self.process.poll() is not None, self.said)
        assert text in self.said(), self.said()

    def ends(self) -> int:
        """Its exit code, when it has ended."""
        until(lambda: self.process.poll() is not None, self.said)
        return self.process.wait()

    def left(self) -> dict[int, str]:
        """Every process that it started, however far down, and that still runs."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if command and self.mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = command
        return found


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Started]:
    """`ringi` with these arguments; ended, with all that it started, when the block ends."""
    ringi = Started(folder, *arguments)
    try:
        yield ringi
    finally:
        for pid in (ringi.process.pid, *ringi.left()):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        ringi.process.wait()


def until(holds: Callable[[], bool], otherwise: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait until something holds, but not for ever."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)
