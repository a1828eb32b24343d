"""What the command line knows of an embedded system by its data folder: where it listens,
and the key that mints tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.exits import CliError, Exit
from runtime.issuer import KEY_FILE, Issuer, signing_key
from runtime.private_files import UnusableKeyError

DEFAULT_DATA = Path(".ringi")
"""Where an embedded system keeps its data if nothing else is said."""

NOTE = "addresses.json"


class Addresses(BaseModel):
    """Where an embedded system listens. The defaults are the documented ports of `ringi up`."""

    model_config = ConfigDict(frozen=True)

    api: str = "http://127.0.0.1:8420"
    issuer: str = "http://127.0.0.1:8421"
    temporal: str = "127.0.0.1:8433"
    temporal_ui: str = "http://127.0.0.1:8434"

    def write(self, data: Path) -> None:
        """Leave a note in the data folder, for commands that are pointed at it."""
        unfinished = data / f"{NOTE}.new"
        unfinished.write_text(self.model_dump_json(indent=2) + "\n")
        unfinished.replace(data / NOTE)


def addresses(data: Path) -> Addresses:
    """Where the system of this data folder listens, or listened last; the documented ports if it never ran."""
    try:
        return Addresses.model_validate_json((data / NOTE).read_bytes())
    except (OSError, ValidationError):
        return Addresses()


def mint(data: Path, person: str, *, minutes: int = 60) -> str:
    """An access token for `person`, by the key of the embedded system in `data`.

    Raises:
        CliError: there is no such key, it can't be used, or the person's id or the minutes make no sense.
    """
    with _minting(data, person) as issuer:
        return issuer.mint(person, minutes=minutes)


def mint_id_token(data: Path, person: str, nonce: str) -> str:
    """The word of the embedded system in `data` that `person` has just signed in over `nonce`.

    Raises:
        CliError: as `mint`.
    """
    with _minting(data, person) as issuer:
        return issuer.mint_id_token(person, nonce)


@contextmanager
def _minting(data: Path, person: str) -> Iterator[Issuer]:
    if not (data / KEY_FILE).exists():
        raise CliError(
            Exit.USAGE,
            f"There is no embedded system in {data}: start one with `ringi up`, name its folder with --data, "
            "or set RINGI_TOKEN.",
        )
    try:
        yield Issuer(key=signing_key(data), url=addresses(data).issuer)
    except (UnusableKeyError, OSError) as error:
        raise CliError(Exit.USAGE, f"No token can be minted: {error}.") from error
    except ValidationError as error:
        said = "; ".join(line["msg"] for line in error.errors(include_input=False, include_url=False))
        raise CliError(Exit.USAGE, f"No token can be minted for {person!r}: {said}.") from error
