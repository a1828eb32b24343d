"""The `ringi` command: what an operator starts, and what everybody else asks and decides."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID, uuid4

import typer
import uvicorn
from pydantic import BaseModel, ValidationError
from typer.core import TyperGroup

from cli import show
from cli.client import Session, StepUpNeededError, UnreachableError, open_session, review_path
from cli.demo import demo as play_demo
from cli.exits import EXIT_CODES, CliError, Exit
from cli.local import DEFAULT_DATA, Addresses, mint, mint_id_token
from cli.setup import SetUpError, set_up
from cli.up import Ports
from cli.up import up as run_up
from domain.assessment import AnswersError
from domain.assessment import assess as assess_proposal
from domain.certificate import Certificate
from domain.discrepancies import LOSSES
from domain.policy import PolicyPack
from domain.problems import problems_of
from domain.registry import RecordedEntry
from domain.verification import Evidence
from domain.verification import verify as verify_evidence
from runtime.keys import make_key, signer_of
from runtime.packs import FileError, load_pack, load_plain, load_proposal, shipped_packs
from runtime.settings import Settings, SettingsError, load_settings

LOCAL = Addresses()
PORTS = Ports()

SEALS = frozenset({"signature", "declining"})
"""The kinds of decision that name a basis beside the digest."""


class _Group(TyperGroup):
    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        """Run a command; an error that carries an exit code is told on standard error, without a traceback."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            if str(error):
                show.fault(error)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Durable review of AI business proposals: from submission to sign-off, with a record that can be checked.",
    epilog=EXIT_CODES,
)
people = typer.Typer(no_args_is_help=True, help="Who is known here, and in which roles.")
training = typer.Typer(no_args_is_help=True, help="Which training is on record.")
audit = typer.Typer(no_args_is_help=True, help="Check a record without trusting who keeps it.")
app.add_typer(people, name="people")
app.add_typer(training, name="training")
app.add_typer(audit, name="audit")
keys = typer.Typer(no_args_is_help=True, help="The keys that decisions are signed with.")
app.add_typer(keys, name="keys")

DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="RINGI_DATA", metavar="FOLDER", help="The embedded system's data folder."),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="RINGI_URL",
        help=f"The API. Without it: where the system of the data folder listens, or else {LOCAL.api}.",
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


@app.command(epilog=EXIT_CODES)
def up(
    data: DataOption = DEFAULT_DATA,
    port: Annotated[int, typer.Option(help="The API's port.")] = PORTS.api,
    issuer_port: Annotated[int, typer.Option(help="The token issuer's port.")] = PORTS.issuer,
    temporal_port: Annotated[int, typer.Option(help="Temporal's port.")] = PORTS.temporal,
    temporal_ui_port: Annotated[int, typer.Option(help="The port of Temporal's UI.")] = PORTS.temporal_ui,
) -> None:
    """Run the whole system on this machine, its data in one folder, until Ctrl-C."""
    run_up(data, Ports(api=port, issuer=issuer_port, temporal=temporal_port, temporal_ui=temporal_ui_port))


@app.command(epilog=EXIT_CODES)
def demo() -> None:
    """Play a proposal of the highest tier through the whole process, told as it goes, on a system of its own."""
    play_demo()


@app.command(epilog=EXIT_CODES)
def migrate() -> None:
    """Make the database ready: the schema, the shipped policy packs, and the operator that the settings name."""
    settings = _settings()
    if settings.owner_database_url is None:
        raise CliError(Exit.USAGE, "RINGI_OWNER_DATABASE_URL is not set: only the schema's owner can migrate.")
    owner, application = settings.owner_database_url, settings.database_url
    try:
        asyncio.run(
            set_up(
                owner.get_secret_value(),
                application.get_secret_value(),
                signer_of(settings),
                settings.bootstrap_operator,
            ),
        )
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error
    except SetUpError as error:
        raise CliError(Exit.SERVER, str(error)) from error
    show.note("The database is ready.")


@app.command(epilog=EXIT_CODES)
def api() -> None:
    """Run the HTTP server. Its settings are environment variables that begin with RINGI_ and TEMPORAL_."""
    settings = _settings()
    try:
        # By its name: the command line knows nothing of what is inside the API.
        uvicorn.run(
            "api.app:from_environment",
            factory=True,
            host=settings.api_host,
            port=settings.api_port,
            log_config=None,
            access_log=False,
            server_header=False,
            # Longer than a proxy in front keeps a connection that nothing happens on: or else it sends a request into one
            # that we are just ending.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=8,
        )
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error


@app.command(epilog=EXIT_CODES)
def worker() -> None:
    """Run a worker. Its settings are environment variables that begin with RINGI_ and TEMPORAL_."""
    _settings()
    runpy.run_module("worker", run_name="__main__")


@app.command(epilog=EXIT_CODES)
def token(
    person: Annotated[str, typer.Argument(help="Whom the token speaks of.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    minutes: Annotated[int, typer.Option(min=1, max=7 * 24 * 60, help="How long it is good for.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Mint an access token by the key in the data folder of an embedded system."""
    minted = mint(data, person, minutes=minutes)
    show.raw(json.dumps({"person": person, "token": minted}) if as_json else minted)


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
def inbox(
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """See what waits for you, the most urgent first."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    session.show(session.get("/inbox"), show.inbox)


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
def decide(
    review: ReviewArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help="The decision, YAML or JSON: its kind, the digest that you were shown, a reason, and what else the "
            "kind has. The proposal of a revision may be the name of a file beside it.",
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
        show.note("Signed in again, over this decision.")
        _submit(session, path, body, "id", needed.decision_id, wait)


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
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


@app.command(epilog=EXIT_CODES)
def doctor(
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """See whether everything is well: what the system consists of, what is pending, where record and Temporal differ. For the operator."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.get("/doctor")
    session.show(answer, show.doctor)
    if not answer.data["well"]:
        raise CliError(Exit.REFUSED, "")


@app.command(epilog=EXIT_CODES)
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
    for review in _to_repair(session) if every else reviews or ():
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


@people.command("import", epilog=EXIT_CODES)
def import_people(
    file: Annotated[Path, typer.Argument(help="CSV: person,name,unit,role,office.", show_default=False)],
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter people and grant their roles, all or none. For the operator."""
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.post_csv("/people/import", _bytes(file))
    session.show(answer, lambda said: show.line(f"{said['people']} people, {said['grants']} new grants."))


@training.command("import", epilog=EXIT_CODES)
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
    answer = session.post_csv("/training/import", _bytes(file))
    session.show(
        answer,
        lambda said: show.line(
            f"{said['completions']} completions, {said['new']} of them new; {said['woken']} reviews go on."
        ),
    )


@keys.command("new", epilog=EXIT_CODES)
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


@keys.command("list", epilog=EXIT_CODES)
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


@keys.command("add", epilog=EXIT_CODES)
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
    given = _bytes(Path(public)).decode(errors="replace") if Path(public).is_file() else public
    session = open_session(url, access_token, person, data, as_json=as_json)
    answer = session.post("/keys", {"public": given})
    session.show(
        answer, lambda said: show.line(f"What {said['key']} signs counts since {show.moment(said['added_at'])}.")
    )


@keys.command("revoke", epilog=EXIT_CODES)
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


@audit.command(epilog=EXIT_CODES)
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
            metavar="FINGERPRINT",
            help="The id of the key that founded the registry, as you know it from elsewhere: without it, a registry that "
            "was written anew as a whole looks as good as the true one.",
            show_default=False,
        ),
    ] = None,
    person: AsOption = None,
    url: UrlOption = None,
    data: DataOption = DEFAULT_DATA,
    access_token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a record's chain and its fold, check that every decision was signed and made by who might, and say the
    first place where record, registry, read model and workflow differ.
    """
    if (review is None) == (file is None) or (save is not None and review is None):
        raise CliError(Exit.USAGE, "Name either a review (and, if you like, --save FILE) or --file FILE.")
    if review is None:
        assert file is not None
        evidence = _evidence(_bytes(file), str(file))
    else:
        session = open_session(url, access_token, person, data, as_json=as_json)
        answer = session.get(review_path(review, "evidence"))
        evidence = _evidence(answer.text.encode(), "the answer")
        evidence = evidence.model_copy(update={"registry": _registry(session)})
        if save is not None:
            _save(save, evidence.model_dump_json())
    if evidence.registry is None and founder is not None:
        raise CliError(Exit.USAGE, "There is no registry with this evidence, so no key to compare.")
    result = verify_evidence(evidence, evidence.registry, founder)
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
            ).model_dump_json()
        )
    else:
        show.verification(evidence, result)
    if not result.holds:
        raise CliError(Exit.REFUSED, "")


def main() -> None:
    """Run the command that the arguments name; what nobody expected must not look like a refusal."""
    try:
        app()
    except Exception:  # noqa: BLE001 - the last resort
        traceback.print_exc()
        sys.exit(Exit.SERVER)


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


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise CliError(Exit.USAGE, str(error)) from error


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
    return ("digest", "basis") if body["kind"] in SEALS else ("digest",)


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
        f"Sign in again at your identity provider with the nonce {needed.nonce} and max_age=0, and send the same command "
        f"with --id {needed.decision_id} --id-token TOKEN; or decide with a browser."
    )


def _to_repair(session: Session) -> list[str]:
    """The reviews that don't recover by themselves, as the doctor has it, each once."""
    differ = session.get("/doctor").data["discrepancies"]
    return list(dict.fromkeys(d["review_id"] for d in differ if d["what"] in LOSSES and d["review_id"] is not None))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CliError(Exit.USAGE, f"{file}: {error.strerror}") from error


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


if __name__ == "__main__":
    main()
