"""Imports of people and training: every row checked, every mistake with its line and column, all rows or none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.system import AUDITOR, OPERATOR, TRAINING_OFFICER, System

PEOPLE = "person,name,unit,role,office"
TRAINING = "person,course,completed_at,expires_at"


async def people(system: System, text: str | bytes, who: str = OPERATOR) -> tuple[int, dict[str, Any]]:
    """Import people."""
    response = await system.person(who).put_in("/people/import", text, "text/csv; charset=utf-8")
    return response.status_code, response.json()


async def training(system: System, text: str | bytes) -> tuple[int, dict[str, Any]]:
    """Import completions."""
    response = await system.person(TRAINING_OFFICER).put_in("/training/import", text, "text/csv")
    return response.status_code, response.json()


def mistakes(answer: tuple[int, dict[str, Any]]) -> list[str]:
    """Where the mistakes are, as line and column."""
    assert 422 == answer[0], answer
    assert "urn:ringi:problem:invalid" == answer[1]["type"]
    return [error["pointer"] for error in answer[1]["errors"]]


async def known(system: System) -> tuple[int, int, int]:
    """How many people, grants and completions there are."""
    row = await system.database.pool.fetchrow(
        "select (select count(*) from people), (select count(*) from grants), (select count(*) from completions)"
    )
    assert row is not None
    return row[0], row[1], row[2]


async def test_a_table_in_another_encoding_is_said_to_be_one(system: System) -> None:
    """It is not read as if it were UTF-8."""
    response = await system.person(OPERATOR).put_in("/people/import", f"{PEOPLE}\n", "text/csv; charset=Shift_JIS")
    assert (415, "text/csv") == (response.status_code, response.headers["Accept"])


async def test_people_are_entered_with_their_roles(system: System) -> None:
    """Several roles make several rows; what is there already stays as it is; a name can change."""
    text = f"{PEOPLE}\npia.person,Pia,Example,reviewer,\npia.person,Pia,Example,officer,deputy_officer\n"
    assert (200, {"people": 1, "grants": 2}) == await people(system, text)
    assert (200, {"people": 1, "grants": 0}) == await people(system, text)
    assert (200, {"people": 1, "grants": 0}) == await people(system, f"{PEOPLE}\npia.person,Pia Q.,Example,,\n")
    assert "Pia Q." == await system.database.pool.fetchval("select name from people where id = 'pia.person'")
    grants = (await system.person("pia.person").get("/me")).json()["grants"]
    assert {("reviewer", None), ("officer", "deputy_officer")} == {(g["role"], g["office"]) for g in grants}


async def test_nobody_moves_themselves_to_another_unit(system: System) -> None:
    """Another operator does; and what else there is in the table waits for that."""
    await system.granted(("oda.operator", "operator", ""))
    moves = f"{PEOPLE}\noda.operator,Oda,Elsewhere,,\nmia.mover,Mia,Example,,\n"
    status, answer = await people(system, moves, "oda.operator")
    assert (409, "Nobody moves themselves to another unit; another operator does.") == (status, answer["detail"])
    assert None is await system.database.pool.fetchval("select unit from people where id = 'mia.mover'")
    assert 200 == (await people(system, moves.replace("Elsewhere", "Example"), "oda.operator"))[0]
    assert 200 == (await people(system, moves))[0]


async def test_columns_come_in_any_order_with_any_line_ends_and_a_byte_order_mark(system: System) -> None:
    """As a spreadsheet writes them."""
    text = 'office,role,unit,name,person\r\n,owner,"Example, with a comma","Poe ""P."" 稟議",poe.person\r\n\r\n'
    assert (200, {"people": 1, "grants": 1}) == await people(system, b"\xef\xbb\xbf" + text.encode())
    row = await system.database.pool.fetchrow("select name, unit from people where id = 'poe.person'")
    assert ('Poe "P." 稟議', "Example, with a comma") == (row and tuple(row))


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ("no person's id,Name,Unit,,", ["/3/person"]),
        (",Name,Unit,,", ["/3/person"]),
        ("a.person,,Unit,,", ["/3/name"]),
        ("a.person,Name, ,,", ["/3/unit"]),
        (",,,,", ["/3/person", "/3/name", "/3/unit"]),
        ("a.person,Na\x00me,Unit,,", ["/3/name"]),
        (f"a.person,{'x' * 201},Unit,,", ["/3/name"]),
        ("a.person,Name,Unit,king,", ["/3/role"]),
        ("a.person,Name,Unit,service,", ["/3/role"]),
        (f"{OPERATOR},Name,Unit,reviewer,", ["/3/role"]),
        ("a.person,Name,Unit,council_member,", ["/3/office"]),
        ("a.person,Name,Unit,council_member,priest", ["/3/office"]),
        ("a.person,Name,Unit,officer,", ["/3/office"]),
        ("a.person,Name,Unit,signatory,", ["/3/office"]),
        ("a.person,Name,Unit,officer,No Office", ["/3/office"]),
        ("a.person,Name,Unit,,an_office", ["/3/role"]),
        ("a.person,Name,Unit,", ["/3"]),
        ("a.person,Name,Unit,,,", ["/3"]),
        ('a.person,"Name,Unit,,', ["/3"]),
    ],
)
async def test_a_mistake_among_people_is_said_and_nothing_is_taken(system: System, row: str, places: list[str]) -> None:
    """Nobody grants to themselves, and the service's role is nobody's."""
    before = await known(system)
    answer = await people(system, f"{PEOPLE}\ngood.person,Good,Example,owner,\n{row}")
    assert places == mistakes(answer)
    assert before == await known(system)
    assert "king" not in str(answer)
    assert "priest" not in str(answer)


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ("a.person,ai-course,2026-06-01,", ["/3/completed_at"]),
        ("a.person,ai-course,2026-06-01T09:00:00,", ["/3/completed_at"]),
        ("a.person,ai-course,20260601,", ["/3/completed_at"]),
        ("a.person,ai-course,1780000000,", ["/3/completed_at"]),
        ("a.person,ai-course,,", ["/3/completed_at"]),
        ("a.person,ai-course,0001-01-01T00:00:00+14:00,", ["/3/completed_at"]),
        ("a.person,ai-course,2026-02-30T09:00:00Z,", ["/3/completed_at"]),
        ("a.person,ai-course,2026-06-01T09:00:00Z,tomorrow", ["/3/expires_at"]),
        ("a.person,No course,2026-06-01T09:00:00Z,", ["/3/course"]),
        ("no person's id,,x,y", ["/3/person", "/3/course", "/3/completed_at", "/3/expires_at"]),
        (",ai-course,2026-06-01T09:00:00Z,", ["/3/person"]),
        ("a.person,ai-course,9999-12-31T23:59:59Z,", ["/3/completed_at"]),
        ("a.person,ai-course,2026-06-01T09:00:00Z,2026-06-01T09:00:00Z", ["/3/expires_at"]),
        ("a.person,ai-course,9999-12-31T23:59:59Z,2026-06-01T09:00:00Z", ["/3/completed_at", "/3/expires_at"]),
        ("a.person,ai-course", ["/3"]),
    ],
)
async def test_a_mistake_among_completions_is_said_and_nothing_is_taken(
    system: System, row: str, places: list[str]
) -> None:
    """Moments have their offset: whoever reads them elsewhere must not read another day."""
    before = await known(system)
    answer = await training(system, f"{TRAINING}\na.person,ai-course,2026-06-01T09:00:00+09:00,\n{row}")
    assert places == mistakes(answer)
    assert before == await known(system)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "/1"),
        (b"person,name,unit,role\n", "/1"),
        (b"person,name,unit,role,office,more\n", "/1"),
        (b"person,name,unit,role,office,office\n", "/1"),
        (b"person;name;unit;role;office\n", "/1"),
        (f"{PEOPLE}\np,N\xe4me,U,,".encode("latin-1"), "/2"),
        (f"{PEOPLE}\n".encode("utf-16"), "/1"),
    ],
)
async def test_a_table_that_cannot_be_read_is_refused(system: System, data: bytes, place: str) -> None:
    """Wrong columns, or not UTF-8."""
    assert [place] == mistakes(await people(system, data))


async def test_every_mistake_is_named_as_far_as_an_answer_goes(system: System) -> None:
    """Their number is said, and the first fifty stand there."""
    rows = "\n".join(f"p{n},,U,," for n in range(80))
    answer = await people(system, f"{PEOPLE}\n{rows}")
    assert [f"/{line}/name" for line in range(2, 52)] == mistakes(answer)
    assert "80" in answer[1]["detail"]


async def test_lines_are_counted_as_an_editor_does(system: System) -> None:
    """A name of several lines is no name; it begins where it begins."""
    assert ["/4/name"] == mistakes(await people(system, f'{PEOPLE}\ngood.person,Good,U,,\n\nbad.person,"",U,,\n'))
    assert ["/2/name"] == mistakes(
        await people(system, f'{PEOPLE}\nbad.person,"two\nlines",U,,\ngood.person,Good,U,,\n')
    )


async def test_only_csv_is_taken(system: System) -> None:
    """415 for anything else, 403 for anybody else."""
    response = await system.person(OPERATOR).put_in("/people/import", PEOPLE, "application/json")
    assert (415, "text/csv") == (response.status_code, response.headers["Accept"])
    assert 403 == (await people(system, PEOPLE, AUDITOR))[0]
    assert (200, {"people": 0, "grants": 0}) == await people(system, PEOPLE)


async def test_completions_are_taken_once(system: System) -> None:
    """A repeat is nothing new; another date of the same course is."""
    text = f"{TRAINING}\nt.person,ai-course,2026-06-01T09:00:00+09:00,\nt.person,ai-course,2026-06-02T09:00:00Z,"
    assert (200, {"completions": 2, "new": 2, "woken": 0}) == await training(system, text)
    assert (200, {"completions": 2, "new": 0, "woken": 0}) == await training(system, text)
    # The same moment, written otherwise.
    other = "person,course,completed_at\nt.person,ai-course,2026-06-01T00:00:00Z"
    assert (200, {"completions": 1, "new": 0, "woken": 0}) == await training(system, other)


async def test_a_completion_is_of_the_past_as_far_as_clocks_agree(system: System) -> None:
    """A minute ahead is another clock; an hour ahead is a promise."""
    row = "s.person,ai-course,{},"
    soon, later = [(datetime.now(UTC) + ahead).isoformat() for ahead in (timedelta(minutes=1), timedelta(hours=1))]
    answer = await training(system, f"{TRAINING}\n{row.format(soon)}\n{row.format(later)}")
    assert ["/3/completed_at"] == mistakes(answer)
    assert (200, {"completions": 1, "new": 1, "woken": 0}) == await training(system, f"{TRAINING}\n{row.format(soon)}")


async def test_fifty_thousand_people_are_imported_in_seconds(own_system: System) -> None:
    """With their training; and a repeat changes nothing."""
    system, n = own_system, 50_000
    rows = "\n".join(f"person.{i},Example {i},Example Unit {i % 90},," for i in range(n))
    courses = "\n".join(f"person.{i},ai-human-rights-online,2026-06-01T09:00:00+09:00," for i in range(n))
    started = time.monotonic()
    assert (200, {"people": n, "grants": 0}) == await people(system, f"{PEOPLE}\n{rows}")
    seconds = time.monotonic() - started
    assert (200, {"completions": n, "new": n, "woken": 0}) == await training(system, f"{TRAINING}\n{courses}")
    assert (200, {"completions": n, "new": 0, "woken": 0}) == await training(system, f"{TRAINING}\n{courses}")
    assert (n, n) < (await known(system))[::2]
    assert seconds < 30, f"{seconds:.1f} s for {n} people"
