"""The commands for whoever keeps it running: the doctor, repairs, people, training, keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from cli import show
from cli.client import Session, UnreachableError, open_session, review_path
from cli.exits import CliError, Exit
from cli.local import DEFAULT_DATA
from cli.options import (
    AsOption,
    DataOption,
    JsonOption,
    TokenOption,
    UrlOption,
    WaitOption,
    content,
)
from domain.discrepancies import LOSSES
from runtime.keys import make_key


def doctor(
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """See whether everything is well: what the system consists of, what is pending, where record and Temporal differ.
    For the operator.
    """
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.get("/doctor")
    session.show(answer, show.doctor)
    if not answer.data["well"]:
        raise CliError(Exit.REFUSED, "")


def repair(
    reviews: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="The reviews.", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every review of which `ringi doctor` says that it needs it.")
    ] = False,
    terminate: Annotated[
        bool,
        typer.Option(
            "--terminate", help="Terminate first what runs and does not answer, holds something else, or is not ours."
        ),
    ] = False,
    person: AsOption = None,
    wait: WaitOption = 5,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start lost reviews anew from their ledgers. Nothing else about them changes. For the operator."""
    if bool(reviews) is every:
        raise CliError(Exit.USAGE, "Name the reviews to repair, or say --all.")
    session = open_session(url, access_token, person, data, as_json=as_json)
    worst = Exit.DONE
    wanted = _to_repair(session) if every else reviews or ()
    if not wanted:
        show.note("The doctor names none that needs it.")
    for review in wanted:
        try:
            answer = session.post(review_path(review, "repair"), {"terminate": terminate}, wait=wait)
        except UnreachableError:
            raise
        except CliError as error:
            show.fault(f"{review}: {error}")
            worst = worst or error.exit_code
            continue
        session.show(answer, show.receipt)
        worst = worst or answer.exit_code
    if worst is not Exit.DONE:
        raise CliError(worst, "")


def import_people(
    file: Annotated[
        Path, typer.Argument(help="CSV: person,name,unit,role,office and, if any, email.", show_default=False)
    ],
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter people and grant their roles, all or none. For the operator."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.post_csv("/people/import", content(file))
    session.show(answer, lambda said: show.line(f"{said['people']} people, {said['grants']} new grants."))


def import_training(
    file: Annotated[
        Path, typer.Argument(help="CSV: person,course,completed_at and, if any, expires_at.", show_default=False)
    ],
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put completions on record, all or none; reviews that wait for one go on. For the training officer."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.post_csv("/training/import", content(file))
    session.show(
        answer,
        lambda said: show.line(
            f"{said['completions']} completions, {said['new']} of them new; {said['woken']} reviews go on."
        ),
    )


def new_key(
    file: Annotated[Path, typer.Argument(help="A new file for the private key.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Make a key to sign with, in a new file that only its owner can read. Prints its public half, for `keys add`."""
    try:
        signer = make_key(file)
    except OSError as error:
        raise CliError(Exit.USAGE, f"{file}: {error.strerror}") from error
    if as_json:
        show.raw(json.dumps({"key": signer.keyid, "public": signer.public}))
    else:
        show.raw(signer.public)
        show.note(f"Its id is {signer.keyid}; the private half is in {file}.")


def list_keys(
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every key that was ever registered: since when what it signs counts, and until when."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    session.show(session.get("/keys"), show.keys)


def add_key(
    public: Annotated[
        str,
        typer.Argument(help="The public key: in base64, as `keys new` prints it, or a PEM file.", show_default=False),
    ],
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a key: what it signs counts from now on. For the operator."""
    given = content(Path(public)).decode(errors="replace") if Path(public).is_file() else public
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.post("/keys", {"public": given})
    session.show(
        answer, lambda said: show.line(f"What {said['key']} signs counts since {show.moment(said['added_at'])}.")
    )


def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id.", show_default=False)],
    because: Annotated[str, typer.Option(help="Why; it stands on record.", show_default=False)],
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
) -> None:
    """Revoke a key: what it signs counts no more, what it signed before stays valid. For the operator."""
    session = open_session(url, access_token, person, data, as_json=False)
    session.delete(f"/keys/{quote(key, safe='')}", because=because)
    show.note("Revoked.")


def _to_repair(session: Session) -> list[str]:
    """The reviews that don't recover by themselves, as the doctor has it, each once."""
    differ = session.get("/doctor").data["discrepancies"]
    return list(dict.fromkeys(d["review_id"] for d in differ if d["what"] in LOSSES and d["review_id"] is not None))
