"""What is wrong with something that was written, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
    lines = error.errors(include_url=False, include_input=False)
    for line in lines:
        deeper = any(len(o["loc"]) > len(line["loc"]) and o["loc"][: len(line["loc"])] == line["loc"] for o in lines)
        if line["type"] == "too_short" and deeper:
            continue  # it is only short of the entries that are refused on a line of their own
        cause = line.get("ctx", {}).get("error")
        pointer = pointer_to(*_path(line["loc"], given))
        if isinstance(cause, ProblemsError):
            found += (Problem(pointer=pointer + inner.pointer, detail=inner.detail) for inner in cause.problems)
        else:
            found.append(Problem(pointer=pointer, detail=line["msg"].removeprefix("Value error, ")))
    return tuple(dict.fromkeys(found))


def _path(loc: Sequence[str | int], given: object) -> list[str | int]:
    """Keep the parts of `loc` that are in `given`: pydantic puts the names of a union's members between them."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        match given:
            case Mapping() if part in given:
                given = given[part]
            case list() | tuple() if isinstance(part, int) and 0 <= part < len(given):
                given = given[part]
            case Mapping() if position == len(loc) - 1 and isinstance(part, str):
                pass  # a key that is missing is named all the same
            case _:
                continue
        path.append(part)
    return path
