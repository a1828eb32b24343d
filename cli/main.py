"""The `ringi` command: what an operator starts, and what everybody else asks and decides."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from cli import audit, operating, processes, reviews, show
from cli.exits import EXIT_CODES, CliError, Exit


class _Group(TyperGroup):
    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        """Run a command; an error that carries an exit code is told on standard error, without a traceback."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            if str(error):
                show.fault(error)
            raise typer.Exit(error.exit_code) from error


COMMANDS: tuple[Callable[..., None], ...] = (
    processes.up,
    processes.demo,
    processes.migrate,
    processes.api,
    processes.worker,
    processes.token,
    reviews.assess,
    reviews.propose,
    reviews.inbox,
    reviews.reviews,
    reviews.status,
    reviews.proposal,
    reviews.decide,
    reviews.timeline,
    reviews.certificate,
    operating.doctor,
    operating.repair,
)

GROUPS: dict[tuple[str, str], dict[str, Callable[..., None]]] = {
    ("people", "Who is known here, and in which roles."): {"import": operating.import_people},
    ("training", "Which training is on record."): {"import": operating.import_training},
    ("audit", "Check a record without trusting who keeps it."): {"verify": audit.verify},
    ("keys", "The keys that decisions are signed with."): {
        "new": operating.new_key,
        "list": operating.list_keys,
        "add": operating.add_key,
        "revoke": operating.revoke_key,
    },
}


def _app() -> typer.Typer:
    made = typer.Typer(
        cls=_Group,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Durable review of AI business proposals: from submission to sign-off, with a record that can be checked.",
        epilog=EXIT_CODES,
    )
    for command in COMMANDS:
        made.command(epilog=EXIT_CODES)(command)
    for (name, about), commands in GROUPS.items():
        group = typer.Typer(no_args_is_help=True, help=about)
        for verb, command in commands.items():
            group.command(verb, epilog=EXIT_CODES)(command)
        made.add_typer(group, name=name)
    return made


app = _app()


def main() -> None:
    """Run the command that the arguments name; what nobody expected must not look like a refusal."""
    try:
        app()
    except Exception:  # noqa: BLE001 - the last resort
        traceback.print_exc()
        sys.exit(Exit.SERVER)


if __name__ == "__main__":
    main()
