"""What is wrong with something that was written, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from domain.values import Value


class Problem(Value):
    """One thing that is wrong, and where: a JSON pointer (RFC 6901) into what was given, empty for the whole of it."""

    pointer: str
    detail: str

    def __str__(self) -> str:
        """Tell the fault on one line, and before it the place, where that is not the whole."""
        return f"{self.pointer}: {self.detail}" if self.pointer else self.detail


class ProblemsError(ValueError):
    """Several things are wrong at once; all of them are told."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def pointer_to(*path: str | int) -> str:
    """Write the JSON pointer of a path of keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def problems_of(error: ValidationError, given: object) -> tuple[Problem, ...]:
    """Tell what pydantic found wrong with `given`, placed in it."""
    found: list[Problem] = []
    for mistake in mistakes(error.errors(include_url=False, include_input=False)):
        cause = mistake.get("ctx", {}).get("error")
        pointer = pointer_to(*path_in(given, mistake))
        if isinstance(cause, ProblemsError):
            found += (Problem(pointer=pointer + inner.pointer, detail=inner.detail) for inner in cause.problems)
        else:
            found.append(Problem(pointer=pointer, detail=message_of(mistake)))
    return tuple(dict.fromkeys(found))


def mistakes(errors: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of pydantic's errors that don't only follow from others: a list is short of the items that are at fault
    themselves.
    """
    all_of_them = list(errors)
    inside = {tuple(error["loc"][:length]) for error in all_of_them for length in range(len(error["loc"]))}
    return [error for error in all_of_them if error["type"] != "too_short" or tuple(error["loc"]) not in inside]


def message_of(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says, without a word about Python."""
    return str(error["msg"]).removeprefix("Value error, ")


def path_in(given: object, error: Mapping[str, Any], above: Sequence[str | int] = ()) -> list[str | int]:
    """Where in `given` one of pydantic's errors is, as keys and indexes. Its own place begins with the steps that lead to
    `given`, if there are any `above`, and has steps that are not in it (the member of a union that was tried): both are
    left out. What is missing is named all the same.
    """
    loc = error["loc"][len(above) :]
    path: list[str | int] = []
    here = given
    for position, step in enumerate(loc):
        if (isinstance(here, Mapping) and step in here) or (
            isinstance(here, list | tuple) and isinstance(step, int) and 0 <= step < len(here)
        ):
            here = here[step]
        elif not (error["type"] == "missing" and position == len(loc) - 1 and isinstance(here, Mapping)):
            continue
        path.append(step)
    return path
