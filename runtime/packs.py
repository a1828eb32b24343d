"""Policy packs and proposals in files: YAML or JSON in, values out, and every fault told with file and place."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from domain.calendar import Calendar
from domain.policy import PolicyPack, read_pack
from domain.problems import Problem, ProblemsError, problems_of
from domain.proposal import Proposal

SHIPPED = Path(__file__).resolve().parent.parent / "policies"
"""The folder of the packs that come with Ringi."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

MOST_BYTES = 4 * 1024 * 1024
"""Neither a pack nor a proposal is larger."""


class FileError(ValueError):
    """A file does not hold what it should.

    Attributes:
        path: the file.
        problems: what is wrong with it, each with a JSON pointer; a file that cannot be read at all has one, at its root.
    """

    def __init__(self, path: Path, *problems: Problem) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


def load_pack(path: Path) -> PolicyPack:
    """Read a policy pack from a YAML or JSON file, with the calendar that it names.

    Raises:
        FileError: it cannot be read, or it is not a pack; or its calendar is none.
    """
    given = load_pack_data(path)
    try:
        return read_pack(given)
    except ProblemsError as error:
        raise FileError(path, *error.problems) from error


def load_pack_data(path: Path) -> object:
    """Read what is in the file of a policy pack. The calendar that it names, a file in the folder `calendars` beside it
    or else one that comes with Ringi, becomes a part of it: whoever has the pack needs no other file.

    Raises:
        FileError: one of the two cannot be read, or the calendar is none.
    """
    given = load_plain(path)
    if not isinstance(given, dict) or not isinstance(name := given.get("calendar"), str):
        return given
    if _NAME.fullmatch(name) is None:
        raise FileError(path, Problem(pointer="/calendar", detail=f"{name!r} is not the name of a calendar"))
    places = [folder / "calendars" / f"{name}.yaml" for folder in (path.parent, SHIPPED)]
    calendar = load_calendar(next((place for place in places if place.exists()), places[0]))
    return {**given, "calendar": calendar.model_dump(mode="json")}


def load_calendar(path: Path) -> Calendar:
    """Read a business calendar from a YAML or JSON file.

    Raises:
        FileError: it cannot be read, or it is not a calendar.
    """
    given = load_plain(path)
    try:
        return Calendar.model_validate(given, extra="forbid")
    except ValidationError as error:
        raise FileError(path, *problems_of(error, given)) from error


def shipped_packs() -> tuple[PolicyPack, ...]:
    """Read the packs that come with Ringi, in the order of their file names."""
    return tuple(load_pack(path) for path in sorted(SHIPPED.glob("*.yaml")))


def load_proposal(path: Path) -> Proposal:
    """Read a proposal from a YAML or JSON file.

    Raises:
        FileError: it cannot be read, or it is not a proposal.
    """
    given = load_plain(path)
    try:
        return Proposal.model_validate(given)
    except ValidationError as error:
        raise FileError(path, *problems_of(error, given)) from error


def load_plain(path: Path) -> object:
    """Read plain data: `.json` as JSON, everything else as YAML, without that format's surprises.

    Raises:
        FileError: it cannot be read, or it is neither.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _unreadable(path, f"larger than {MOST_BYTES:,} bytes")
        text = data.decode()
        if path.suffix.lower() == ".json":
            return json.loads(text, object_pairs_hook=_each_key_once)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from SafeLoader
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _unreadable(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _unreadable(path, f"{place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _unreadable(path, str(error)) from error
    except RecursionError as error:
        raise _unreadable(path, "nested too deeply") from error
    except _TwiceError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, detail: str) -> FileError:
    return FileError(path, Problem(pointer="", detail=detail))


class _TwiceError(ValueError):
    """A key stands in an object twice."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _TwiceError(f"the key {twice!r} stands in an object twice")
    return result


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: a key twice is an error, and NO, on or 2026-04-01 are the text that they look like."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands in it twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in {"bool", "timestamp"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
