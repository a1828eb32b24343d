"""Reading imports: CSV in UTF-8, every row checked, and nothing taken unless all of it can be."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from api.problems import FieldError, Invalid
from domain.people import Grant, Person, Role, Seat
from domain.training import Completion
from domain.values import PersonId

MAX_ROWS = 500_000


def read_people(data: bytes, *, by: PersonId) -> tuple[list[Person], list[tuple[PersonId, Role, str | None]]]:
    """People, and the roles they are to be granted: columns person, name, unit, role, office. `by` is who imports.

    Raises:
        Invalid: a row can't be taken; each mistake names its line and column.
    """
    people: dict[str, Person] = {}
    roles: list[tuple[PersonId, Role, str | None]] = []
    mistakes: list[FieldError] = []
    for line, row in _rows(data, ("person", "name", "unit", "role", "office")):
        try:
            person = Person(id=row["person"], name=row["name"], unit=row["unit"])
            people[person.id] = person
            if row["role"]:
                grant = Grant(id="new", person=person.id, role=Role(row["role"]), office=row["office"] or None)
                _check_grant(grant, by)
                roles.append((grant.person, grant.role, grant.office))
        except (ValidationError, ValueError) as error:
            mistakes += _mistakes(line, error)
    if mistakes:
        raise Invalid.at(*mistakes)
    return list(people.values()), roles


def read_completions(data: bytes) -> list[Completion]:
    """Completions of courses: columns person, course, completed_at and, optionally, expires_at (RFC 3339 with an offset).

    Raises:
        Invalid: a row can't be taken; each mistake names its line and column.
    """
    completions: list[Completion] = []
    mistakes: list[FieldError] = []
    for line, row in _rows(data, ("person", "course", "completed_at"), ("expires_at",)):
        try:
            completions.append(Completion.model_validate({k: v for k, v in row.items() if v}))
        except ValidationError as error:
            mistakes += _mistakes(line, error)
    if mistakes:
        raise Invalid.at(*mistakes)
    return completions


def _check_grant(grant: Grant, by: PersonId) -> None:
    if grant.role is Role.SERVICE:
        raise ValueError("this role is nobody's")
    if grant.person == by:
        raise ValueError("nobody grants a role to themselves")
    if grant.role is Role.COUNCIL_MEMBER and grant.office not in set(Seat):
        raise ValueError(f"a council member's office is their seat: {', '.join(Seat)}")
    if grant.role in (Role.OFFICER, Role.SIGNATORY) and grant.office is None:
        raise ValueError(f"a grant as {grant.role} names its office")


def _rows(data: bytes, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid.at(FieldError(pointer="", detail=f"not UTF-8 at byte {error.start}", type="encoding")) from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        if not set(columns) <= set(header) <= {*columns, *optional}:
            raise Invalid.at(
                FieldError(pointer="/1", detail=f"the columns must be: {', '.join(columns)}", type="columns")
            )
        reader.fieldnames = header
        for number, row in enumerate(reader, start=1):
            if number > MAX_ROWS:
                raise Invalid.at(FieldError(pointer="", detail=f"more than {MAX_ROWS} rows", type="too_long"))
            if None in row or any(value is None for value in row.values()):
                raise Invalid.at(
                    FieldError(pointer=f"/{reader.line_num}", detail="not as many columns as the header", type="row")
                )
            yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise Invalid.at(FieldError(pointer=f"/{reader.line_num}", detail=str(error), type="csv")) from None


def _mistakes(line: int, error: ValueError) -> list[FieldError]:
    if isinstance(error, ValidationError):
        return [
            FieldError(
                pointer=f"/{line}/{'/'.join(str(part) for part in mistake['loc'])}",
                detail=mistake["msg"],
                type=mistake["type"],
            )
            for mistake in error.errors(include_input=False, include_url=False)
        ]
    return [FieldError(pointer=f"/{line}/role", detail=str(error), type="role")]
