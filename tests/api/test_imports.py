"""Reading a table of people or completions, whatever is in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api import imports
from api.imports import read_completions, read_people
from api.problems import MAX_ERRORS, FieldError, Invalid

PEOPLE = "person,name,unit,role,office"
TRAINING = "person,course,completed_at,expires_at"
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def refused_people(text: str) -> Invalid:
    """What is said of a table of people that can't be taken."""
    with pytest.raises(Invalid) as refused:
        read_people(text.encode(), by="ops.operator")
    return refused.value


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
    assert all(isinstance(named := table.members["errors"], list) and MAX_ERRORS == len(named) for table in tables)
    assert len(tables) * MAX_ERRORS <= written <= len(tables) * (MAX_ERRORS + a_rows)
