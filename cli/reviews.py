"""The commands about reviews: propose, see, decide, read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from cli import show
from cli.client import Session, StepUpNeededError, UnreachableError, open_session, review_path
from cli.exits import CliError, Exit
from cli.local import DEFAULT_DATA, mint_id_token
from cli.options import (
    AsOption,
    DataOption,
    IdOption,
    JsonOption,
    ReviewArgument,
    TokenOption,
    UrlOption,
    WaitOption,
)
from domain.assessment import AnswersError
from domain.assessment import assess as assess_proposal
from domain.certificate import Certificate
from domain.policy import PolicyPack
from domain.separation import SEALING
from runtime.packs import FileError, load_pack, load_plain, load_proposal, shipped_packs


def assess(
    file: Annotated[Path, typer.Argument(help="A proposal, YAML or JSON.", show_default=False)],
    pack: Annotated[
        str, typer.Option(metavar="ID|FILE", help="A shipped policy pack by its id, or one in a file.")
    ] = "nec-human-rights",
    as_json: JsonOption = False,
) -> None:
    """Say which tier and route a proposal would take, and what causes it. Offline; nothing is submitted."""
    try:
        result = assess_proposal(_pack(pack), load_proposal(file))
    except FileError as error:
        raise CliError(Exit.USAGE, str(error)) from error
    except AnswersError as error:
        raise CliError(Exit.USAGE, "\n".join(f"{file}: {problem}" for problem in error.problems)) from error
    if as_json:
        show.raw(result.model_dump_json())
    else:
        show.assessment(result)


def propose(
    file: Annotated[Path, typer.Argument(help="A proposal, YAML or JSON.", show_default=False)],
    person: AsOption = None,
    review: Annotated[
        str | None, typer.Option(help="The review's id; without it, the decision's id.", show_default=False)
    ] = None,
    pack: Annotated[str | None, typer.Option(help="The policy pack, if not the default.", show_default=False)] = None,
    decision_id: IdOption = None,
    wait: WaitOption = 5,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a proposal for review."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    body: dict[str, object] = {"proposal": _proposal(file)}
    if review is not None:
        body["review"] = review
    if pack is not None:
        body["pack"] = pack
    _submit(session, "/reviews", body, "decision_id", decision_id or uuid4(), wait)


def inbox(
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """See what waits for you, the most urgent first."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.get("/inbox")
    session.show(answer, show.inbox)
    if not answer.data["items"] and not session.get("/me").data["grants"]:
        show.note("Nobody of this name holds a role here.")


def reviews(
    person: AsOption = None,
    before: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="Only what was submitted before.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many a page has.")] = 50,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the reviews that you own or wrote, the newest first; all, for reviewers, officers,
    training officers and auditors.
    """
    session = open_session(url, access_token, person, data, as_json=as_json)
    earlier = {} if before is None else {"before": before}
    session.show(session.get("/reviews", limit=limit, **earlier), show.reviews)


def status(
    review: ReviewArgument,
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """See where a review stands: what blocks it, whose turn it is, since when."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    session.show(session.get(review_path(review)), show.status)


def proposal(
    review: ReviewArgument,
    digest: Annotated[
        str | None, typer.Option(help="An earlier revision, by its content digest.", show_default=False)
    ] = None,
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the proposal under review. As JSON it is a file that a revision can be written in."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    given = {} if digest is None else {"digest": digest}
    session.show(session.get(review_path(review, "proposal"), **given), show.proposal)


def decide(
    review: ReviewArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help="The decision, YAML or JSON: its kind, the digest that you were shown, a reason, and what else the "
            "kind has: docs/deciding.md lists that. The proposal of a revision may be the name of a file beside it.",
            show_default=False,
        ),
    ],
    person: AsOption = None,
    current: Annotated[
        bool,
        typer.Option(
            "--current",
            help="Where the file names no digest (or a signature no basis), name what is there now, and print it. "
            "Only for what you have just read: you answer for what is named.",
        ),
    ] = False,
    decision_id: IdOption = None,
    id_token: Annotated[
        str | None,
        typer.Option(
            "--id-token",
            envvar="RINGI_ID_TOKEN",
            metavar="TOKEN",
            help="Where the decision needs you to sign in again: the ID token with the nonce that was asked for.",
            show_default=False,
        ),
    ] = None,
    wait: WaitOption = 5,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about a review. Where the decision needs you to sign in again, --as does that too."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    body = _decision(file)
    missing = [name for name in _names(body) if name not in body]
    if missing and current:
        _name_what_is_there(session, review, body, missing)
    elif missing:
        raise CliError(
            Exit.USAGE,
            "\n".join(f"{file}: /{name}: missing: a decision names what you were shown" for name in missing)
            + "\n`ringi status` and `ringi inbox` show it; --current names what is there now.",
        )
    given = body.get("id")
    chosen = decision_id or (given if isinstance(given, str) else uuid4())
    if id_token is not None:
        body["step_up"] = {"id_token": id_token}
    path = review_path(review, "decisions")
    try:
        _submit(session, path, body, "id", chosen, wait)
    except StepUpNeededError as needed:
        if person is None or id_token is not None:
            session.refuse(needed.text)
            raise CliError(needed.exit_code, f"{needed}\n{_how_to_step_up(needed)}") from needed
        # On the machine of the embedded issuer, whoever holds its key is the one who signs in.
        body["step_up"] = {"id_token": mint_id_token(data, person, needed.nonce)}
        show.note(f"Signed in again, over this decision: {needed.meaning}.")
        _submit(session, path, body, "id", needed.decision_id, wait)


def timeline(
    review: ReviewArgument,
    person: AsOption = None,
    after: Annotated[int, typer.Option(min=0, help="Only the entries after this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many entries a page has.")] = 100,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every entry of a review's ledger in plain words. As JSON it is one page, whose `next` is for --after."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    following: int | None = after
    while following is not None:
        page = session.get(review_path(review, "timeline"), after=following, limit=limit)
        session.show(page, show.timeline)
        following = None if as_json else page.data["next"]


def certificate(
    review: ReviewArgument,
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the certificate of an approved review."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.get(review_path(review, "certificate"))
    session.show(answer, lambda said: show.certificate(Certificate.model_validate(said)))


def _pack(name: str) -> PolicyPack:
    shipped = {pack.id: pack for pack in shipped_packs()}
    if name in shipped:
        return shipped[name]
    if not Path(name).exists():
        raise CliError(
            Exit.USAGE, f"There is no policy pack {name}: neither shipped ({', '.join(shipped)}) nor a file."
        )
    return load_pack(Path(name))


def _proposal(file: Path) -> object:
    try:
        return load_proposal(file).model_dump(mode="json")
    except FileError as error:
        raise CliError(Exit.USAGE, str(error)) from error


def _decision(file: Path) -> dict[str, Any]:
    """A decision's body as its file has it."""
    try:
        body = load_plain(file)
    except FileError as error:
        raise CliError(Exit.USAGE, str(error)) from error
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        raise CliError(Exit.USAGE, f"{file}: /kind: missing: a decision begins with its kind")
    if isinstance(body.get("proposal"), str):
        body["proposal"] = _proposal(file.parent / body["proposal"])
    return body


def _names(body: dict[str, Any]) -> tuple[str, ...]:
    """The digests by which a decision of this kind says what was shown."""
    return ("digest", "basis") if body["kind"] in SEALING else ("digest",)


def _name_what_is_there(session: Session, review: str, body: dict[str, Any], missing: list[str]) -> None:
    there = session.get(review_path(review)).data
    if "basis" in missing and there["basis"] is None:
        raise CliError(Exit.REFUSED, "The review is not in sign-off, so there is nothing to sign.")
    show.note(f"Names revision {there['revision']} of {there['title']!r} as what was shown:")
    for name in missing:
        body[name] = there[name]
        show.note(f"  {name}  {there[name]}")


def _submit(session: Session, path: str, body: dict[str, Any], name: str, decision_id: UUID | str, wait: int) -> None:
    """Send a decision and show its receipt; end with the exit code that says what became of it."""
    body[name] = str(decision_id)
    again = f"The same command with --id {decision_id} asks what became of it, and decides nothing twice."
    try:
        answer = session.post(path, body, wait=wait)
    except UnreachableError as error:
        raise CliError(error.exit_code, f"{error} Whether the decision was taken is not known. {again}") from error
    session.show(answer, show.receipt)
    if answer.exit_code is not Exit.DONE:
        raise CliError(answer.exit_code, again)


def _how_to_step_up(needed: StepUpNeededError) -> str:
    return (
        f"It will mean: {needed.meaning}. Sign in again at your identity provider with the nonce {needed.nonce} and "
        f"max_age=0, and send the same command with --id {needed.decision_id} --id-token TOKEN; or decide with a browser."
    )
