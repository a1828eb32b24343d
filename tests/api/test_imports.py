"""Reading a table of people or completions, whatever is in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api import imports
from api.imports import read_completions, read_people
from api.problems import MAX_ERRORS, FieldError, Invalid
from domain.people import Role

PEOPLE = "person,name,unit,role,office"
TRAINING = "person,course,completed_at,expires_at"
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def refused_people(text: str) -> Invalid:
    """What is said of a table of people that can't be taken."""
    with pytest.raises(Invalid) as refused:
        read_people(text.encode(), by="ops.operator")
    return refused.value


def errors_of(refused: Invalid) -> list[dict[str, str]]:
    """The mistakes that are told."""
    errors: Any = refused.members["errors"]
    return list(errors)


def refused_completions(text: str) -> Invalid:
    """What is said of a table of completions that can't be taken."""
    with pytest.raises(Invalid) as refused:
        read_completions(text.encode(), by="tao.training", now=NOW)
    return refused.value


def test_no_more_mistakes_are_written_down_than_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are counted: a table full of mistakes costs no more than one without."""
    written = 0

    def write(**said: str) -> FieldError:
        nonlocal written
        written += 1
        return FieldError(**said)

    monkeypatch.setattr(imports, "FieldError", write)
    rows, a_rows = 1_000, 4
    tables = [
        refused_people(f"{PEOPLE}\n" + ",,,king,\n" * rows),
        refused_people(f"{PEOPLE}\n" + "p,Name,Unit,king,\n" * rows),
        refused_completions(f"{TRAINING}\n" + "a b,No course,never,never\n" * rows),
        refused_completions(f"{TRAINING}\n" + "p,c,9999-01-01T00:00:00Z,2026-01-01T00:00:00Z\n" * rows),
    ]
    assert [f"{each * rows} things are wrong with the request" for each in (3, 1, 4, 2)] == [t.detail for t in tables]
    assert [MAX_ERRORS] * len(tables) == [len(errors_of(table)) for table in tables]
    assert len(tables) * MAX_ERRORS <= written <= len(tables) * (MAX_ERRORS + a_rows)


@pytest.mark.parametrize(
    ("other", "columns"),
    [
        ("p,Another,Unit,,,p@a.example", ["name"]),
        ("p,Name,Elsewhere,,,p@a.example", ["unit"]),
        ("p,Name,Unit,,,other@a.example", ["email"]),
        ("p,Name,Unit,,,", ["email"]),
        ("p,Another,Elsewhere,,,", ["name", "unit", "email"]),
    ],
)
def test_one_table_says_one_thing_of_a_person(other: str, columns: list[str]) -> None:
    """Both lines are named where it says two: a unit decides who may judge, and the last row is no better than the first."""
    text = f"{PEOPLE},email\nq,Other,Unit,,,\np,Name,Unit,owner,,p@a.example\nq,Other,Unit,owner,,\n{other}"
    errors = errors_of(refused_people(text))
    assert [(f"/5/{column}", "contradiction") for column in columns] == [(e["pointer"], e["type"]) for e in errors]
    assert all("line 3" in e["detail"] for e in errors)


def test_a_person_of_several_rows_is_one() -> None:
    """Each role has a row of its own, which says the same of the person."""
    text = f"{PEOPLE}\np,Name,Unit,owner,\np, Name,Unit ,reviewer,\n"
    people, roles = read_people(text.encode(), by="ops.operator")
    assert (["p"], ["owner", "reviewer"]) == ([person.id for person in people], [role for _, role, _ in roles])


def test_a_table_may_name_the_roles_that_its_importer_holds() -> None:
    """They are not granted again; any other is one that they would grant to themselves."""
    text = f"{PEOPLE}\nops.operator,Name,Unit,operator,\n"
    people, roles = read_people(text.encode(), by="ops.operator", held={(Role.OPERATOR, None)})
    assert (["ops.operator"], []) == ([person.id for person in people], roles)
    (error,) = errors_of(refused_people(text))
    assert ("/2/role", "Nobody grants a role to themselves.") == (error["pointer"], error["detail"])


@pytest.mark.parametrize(
    ("rows", "pointer"),
    [
        ('p,Name,Unit,,\n\nq,"two\nlines",Unit,,\n', "/4/name"),
        ('p,"Na\r\nme",Unit,,\r\n', "/2/name"),
        ('p,Name,Unit,,\n"q\n\n",Name,Unit\nr,Name,Unit,,\n', "/3"),
        ('p,Name,Unit,,\nq,"Name,Unit,,\nr,Name,Unit,,\ns,Name,Unit,,\n', "/3"),
        ('p,Name,Unit,,\nq,"a\nb"c,Unit,,\n', "/3"),
    ],
)
def test_a_row_of_several_lines_is_named_by_its_first(rows: str, pointer: str) -> None:
    """Wherever it ends, if it does: that is where an editor shows it to begin."""
    assert [pointer] == [error["pointer"] for error in errors_of(refused_people(f"{PEOPLE}\n{rows}"))]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize(
    ("end", "line"), [("\n", 4), ("\r\n", 4), ("\r", 4)], ids=["as on Unix", "as on Windows", "as on an old Mac"]
)
def test_what_is_not_utf_8_is_named_by_its_line(mark: str, end: str, line: int) -> None:
    """However lines end."""
    data = end.join([mark + PEOPLE, "p,稟議,Unit,,", "", "q,N\xe4me,Unit,,", ""]).encode()
    with pytest.raises(Invalid) as refused:
        read_people(data.replace("\xe4".encode(), b"\xe4"), by="ops.operator")
    said = {"pointer": f"/{line}", "type": "encoding", "detail": "not UTF-8 at byte 4 of this line"}
    assert [said] == errors_of(refused.value)
