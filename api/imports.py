"""Reading imports: CSV in UTF-8, every row checked, and nothing taken unless all of it can be."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from pydantic import ValidationError

from api.problems import MAX_ERRORS, FieldError, Invalid
from api.schemas import Moment
from domain.completions import Completion, problems_with
from domain.people import Grant, Person, Role
from domain.problems import message_of
from domain.registry import refuse_office, refuse_role
from domain.values import PersonId

MAX_ROWS = 500_000

_COLUMNS = {"id": "person"}
"""The column of a field, where it is called otherwise."""

_OF_A_PERSON = ("name", "unit", "email")
"""What all rows about one person say alike."""


class CompletionIn(Completion):
    """A completion as it comes in."""

    completed_at: Moment
    expires_at: Moment | None = None


def read_people(
    data: bytes, *, by: PersonId, held: Collection[tuple[Role, str | None]] = ()
) -> tuple[list[Person], list[tuple[PersonId, Role, str | None]]]:
    """People, and the roles they are to be granted: columns person, name, unit, role, office and, optionally, email.
    Without that column, addresses stay as they are. All rows about one person say the same of them. `by` is who imports,
    and holds the roles `held`: these may stand there, and are not granted again.

    Raises:
        Invalid: a row can't be taken; each mistake names its line and column.
    """
    people: dict[PersonId, Person] = {}
    lines: dict[PersonId, int] = {}
    roles: list[tuple[PersonId, Role, str | None]] = []
    mistakes = _Mistakes()
    for line, row in _rows(data, ("person", "name", "unit", "role", "office"), ("email",)):
        try:
            address = {"email": row["email"] or None} if "email" in row else {}
            person = Person(id=row["person"], name=row["name"], unit=row["unit"], **address)
            first = people.setdefault(person.id, person)
            said_in = lines.setdefault(person.id, line)
            for column in _OF_A_PERSON if person != first else ():
                if getattr(person, column) != getattr(first, column):
                    detail = f"line {said_in} says something else of this person"
                    mistakes.at(line, column, detail, "contradiction")
            if row["role"] or row["office"]:
                grant = Grant(id="new", person=person.id, role=_role(row["role"]), office=row["office"] or None)
                if grant.person == by and (grant.role, grant.office) in held:
                    continue
                _check_grant(grant, by)
                roles.append((grant.person, grant.role, grant.office))
        except ValidationError as error:
            mistakes.of(line, error)
        except _ColumnError as error:
            mistakes.at(line, error.column, error.detail, error.column)
    mistakes.raise_any()
    return list(people.values()), roles


def read_completions(data: bytes, *, by: PersonId, now: datetime) -> list[Completion]:
    """Completions of courses: columns person, course, completed_at and, optionally, expires_at (RFC 3339 with an offset).
    `by` is who imports, `now` the present moment.

    Raises:
        Invalid: a row can't be taken; each mistake names its line and column.
    """
    completions: list[Completion] = []
    mistakes = _Mistakes()
    for line, row in _rows(data, ("person", "course", "completed_at"), ("expires_at",)):
        try:
            completion = CompletionIn.model_validate({k: v for k, v in row.items() if v} | {"by": by})
            completions.append(completion)
            for problem in problems_with(completion, now):
                mistakes.at(line, problem.pointer.removeprefix("/"), problem.detail, "date")
        except ValidationError as error:
            mistakes.of(line, error)
    mistakes.raise_any()
    return completions


class _Mistakes:
    """What is wrong with the rows of a table: the first mistakes, no more than an answer tells, and how many there are."""

    def __init__(self) -> None:
        self._first: list[FieldError] = []
        self._count = 0

    def at(self, line: int, column: str, detail: str, kind: str) -> None:
        """Note what is wrong with one column of a row."""
        self._count += 1
        if self._are_told:
            self._first.append(FieldError(pointer=f"/{line}/{column}", detail=detail, type=kind))

    def of(self, line: int, error: ValidationError) -> None:
        """Note what pydantic finds wrong with a row."""
        self._count += error.error_count()
        if self._are_told:
            self._first += (
                FieldError(
                    pointer=f"/{line}/{_COLUMNS.get(str(mistake['loc'][0]), mistake['loc'][0])}",
                    detail=message_of(mistake),
                    type=mistake["type"],
                )
                for mistake in error.errors(include_input=False, include_url=False)
            )

    @property
    def _are_told(self) -> bool:
        return len(self._first) < MAX_ERRORS

    def raise_any(self) -> None:
        """Raises Invalid if there are any."""
        if self._count:
            raise Invalid.at(*self._first, count=self._count)


class _ColumnError(Exception):
    """What is wrong with one column of a row."""

    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column
        self.detail = detail


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        held = ", ".join(role for role in Role if role is not Role.SERVICE)
        raise _ColumnError("role", f"must be one of: {held}") from None


def _check_grant(grant: Grant, by: PersonId) -> None:
    for column, said in (("role", refuse_role(grant, by)), ("office", refuse_office(grant))):
        if said is not None:
            raise _ColumnError(column, said)


def _rows(data: bytes, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the header, each with the line in which it begins."""
    lines = _lines(data)
    _, named = next(lines, (1, []))
    header = [name.strip() for name in named]
    if len(set(header)) < len(header) or not set(columns) <= set(header) <= {*columns, *optional}:
        said = f"the columns must be: {', '.join(columns)}; and may be: {', '.join(optional)}"
        raise Invalid.at(FieldError(pointer="/1", detail=said, type="columns"))
    for number, (line, row) in enumerate(((line, row) for line, row in lines if row), start=1):
        if number > MAX_ROWS:
            raise Invalid.at(FieldError(pointer="", detail=f"more than {MAX_ROWS} rows", type="too_long"))
        if len(row) != len(header):
            raise Invalid.at(FieldError(pointer=f"/{line}", detail="not as many columns as the header", type="row"))
        yield line, {name: value.strip() for name, value in zip(header, row, strict=True)}


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """What the table has, row after row, each with the line in which it begins: within quotes, it can go over several."""
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    begins = 1
    try:
        for row in reader:
            yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Invalid.at(FieldError(pointer=f"/{begins}", detail=str(error), type="csv")) from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line = 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
        byte = len(before) - max(before.rfind(b"\n"), before.rfind(b"\r"))
        detail = f"not UTF-8 at byte {byte} of this line"
        raise Invalid.at(FieldError(pointer=f"/{line}", detail=detail, type="encoding")) from None
