"""How a command ends: exit codes that mean something, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code of every command means."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    SERVER = 3
    NOT_ALLOWED = 4
    PENDING = 5


EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or something differs; 2 usage or bad input; 3 the server, or what was started, can't be reached or failed; "
    "4 not authenticated, not allowed, or not there for you; 5 taken, and still pending."
)
"""As `--help` tells them."""


class CliError(Exception):
    """A command ends here; the message, if it is not empty, is for whoever started it."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
