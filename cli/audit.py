"""The command for auditors: a record checked without trusting who keeps it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ValidationError

from cli import show
from cli.client import Session, open_session, review_path
from cli.exits import CliError, Exit
from cli.local import DEFAULT_DATA
from cli.options import (
    AsOption,
    DataOption,
    JsonOption,
    TokenOption,
    UrlOption,
    content,
)
from domain.problems import problems_of
from domain.registry import RecordedEntry
from domain.verification import Evidence
from domain.verification import verify as verify_evidence

_IS_DIGEST = re.compile("[0-9a-f]{64}").fullmatch


def verify(
    review: Annotated[str | None, typer.Argument(metavar="[ID]", help="The review.", show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Evidence that was saved; needs no server.", show_default=False)
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Keep the evidence in this new file.", show_default=False)
    ] = None,
    founder: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="The id of the key that founded the registry, as you know it from elsewhere: without it, a registry that "
            "was written anew as a whole looks as good as the true one.",
            show_default=False,
        ),
    ] = None,
    issuer_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--issuer-key",
            metavar="THUMBPRINT",
            help="A key of the identity provider's, by its thumbprint (RFC 7638, SHA-256) in hexadecimal, as you know it from "
            "elsewhere; can be repeated. Renewed sign-ins may then rest on these alone: without it, which keys are the "
            "provider's is the service's word.",
            show_default=False,
        ),
    ] = None,
    record_alone: Annotated[
        bool,
        typer.Option(
            "--record-alone",
            help="Take evidence without its registry, or its proposals and policy packs, too: who decided, and with which "
            "key, or what came of the proposals, is not checked then.",
        ),
    ] = False,
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a record's chain and its fold, check that every decision was signed and made by who might, and that all
    that came of each proposal comes of its text, and say the first place where record, registry, read model and workflow
    differ.
    """
    for option, key in (("--key", founder), *(("--issuer-key", key) for key in issuer_keys or ())):
        if key is not None and not _IS_DIGEST(key.lower()):
            raise CliError(Exit.USAGE, f"{option} takes 64 hexadecimal digits, and {key!r} is something else.")
    if (review is None) == (file is None) or (save is not None and review is None):
        raise CliError(Exit.USAGE, "Name either a review (and, if you like, --save FILE) or --file FILE.")
    if review is None:
        assert file is not None
        evidence = _evidence(content(file), str(file))
    else:
        session = open_session(url, access_token, person, data, as_json=as_json)
        answer = session.get(review_path(review, "evidence"))
        evidence = _evidence(answer.text.encode(), "the answer")
        evidence = evidence.model_copy(update={"registry": _registry(session)})
        if save is not None:
            _save(save, evidence.model_dump_json())
    if evidence.registry is None and (founder is not None or issuer_keys):
        raise CliError(Exit.USAGE, "There is no registry with this evidence, so no key to compare.")
    if evidence.registry is None and not record_alone:
        raise CliError(
            Exit.USAGE,
            "There is no registry with this evidence, so who decided, and with which key, can't be checked. "
            "--record-alone checks the rest.",
        )
    if (evidence.proposals is None or evidence.packs is None) and not record_alone:
        raise CliError(
            Exit.USAGE,
            "The proposals and policy packs are not with this evidence, so whom the record keeps from judging, and by which "
            "route it went, can't be checked. --record-alone checks the rest.",
        )
    founder = None if founder is None else founder.lower()
    result = verify_evidence(evidence, evidence.registry, founder, [key.lower() for key in issuer_keys or ()] or None)
    if as_json:
        show.raw(
            _VerificationOut(
                review=evidence.review,
                holds=result.holds,
                difference=result.difference,
                entries=result.entries,
                head=result.head,
                workflow=evidence.workflow.status,
                registry=result.registry,
                founder=result.founder,
                issuer_keys=[
                    _IssuerKeyOut(key=seen.key.id, issuer=seen.key.issuer, audience=seen.key.audience, entry=seen.entry)
                    for seen in result.issuers
                ],
                issuer_keys_pinned=result.pinned,
                decisions=result.spoken,
                signed_in=result.signed_in,
            ).model_dump_json()
        )
    else:
        show.verification(evidence, result, pinned=founder is not None)
    if not result.holds:
        raise CliError(Exit.REFUSED, "")


class _IssuerKeyOut(BaseModel):
    """A key that renewed sign-ins rest on, and the entry of the registry that says that it is the provider's."""

    key: str
    issuer: str
    audience: str
    entry: int


class _VerificationOut(BaseModel):
    """What `audit verify --json` answers."""

    review: str
    holds: bool
    difference: str | None
    entries: int
    head: str
    workflow: str
    registry: int
    founder: str | None
    issuer_keys: list[_IssuerKeyOut]
    issuer_keys_pinned: bool
    decisions: int
    signed_in: int


def _evidence(text: bytes, where: str) -> Evidence:
    try:
        return Evidence.model_validate_json(text)
    except ValidationError as error:
        problems = "\n".join(f"{where}: {problem}" for problem in problems_of(error, None))
        raise CliError(Exit.USAGE, f"This is no evidence about a review.\n{problems}") from error


def _registry(session: Session) -> tuple[RecordedEntry, ...]:
    """All of the registry's ledger."""
    entries: list[RecordedEntry] = []
    following: int | None = 0
    while following is not None:
        page = session.get("/registry/ledger", after=following).data
        entries += (RecordedEntry.model_validate_json(json.dumps(entry)) for entry in page["entries"])
        following = page["next"]
    return tuple(entries)


def _save(file: Path, text: str) -> None:
    # Never over what is there: it may be evidence of another day.
    try:
        with file.open("x", encoding="utf-8", newline="") as saved:
            saved.write(text)
    except OSError as error:
        raise CliError(Exit.USAGE, f"{file}: {error.strerror}") from error
    show.note(f"Saved in {file}.")
