"""What the commands have in common: their options, and how a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.exits import CliError, Exit
from cli.local import Addresses

DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="RINGI_DATA", metavar="FOLDER", help="The embedded system's data folder."),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="RINGI_URL",
        help=f"The API. Without it: where the system of the data folder listens, or else {Addresses().api}.",
        show_default=False,
    ),
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        help="Who you are, by a token minted with the key in the data folder. Without it: the token in RINGI_TOKEN.",
        show_default=False,
    ),
]
TokenOption = Annotated[str | None, typer.Option("--token", envvar="RINGI_TOKEN", hidden=True)]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Only the answer, as JSON as it came, on standard output; refusals too.")
]
WaitOption = Annotated[
    int, typer.Option("--wait", min=0, max=30, metavar="SECONDS", help="How long to wait for the receipt.")
]
IdOption = Annotated[
    UUID | None,
    typer.Option(
        "--id",
        help="The decision's id. Repeating a command with the id that it had changes nothing and tells what became of it.",
        show_default=False,
    ),
]
ReviewArgument = Annotated[str, typer.Argument(metavar="ID", help="The review.", show_default=False)]


def content(file: Path) -> bytes:
    """What stands in a file, or an error that names it."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise CliError(Exit.USAGE, f"{file}: {error.strerror}") from error
