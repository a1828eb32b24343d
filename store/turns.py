"""Whose turn it is, in the tables: the twin of `domain.turns.falls_to`, but for units, which the core compares."""

from __future__ import annotations

import asyncpg

from domain.people import Grant, Holder
from domain.turns import Turn

COLUMNS = tuple(Turn.model_fields)
"""The columns of a turn, which are its fields."""

FALLS_TO = """(
    t.role = a.role and (t.office is null or t.office = a.office) and (t.person is null or t.person = a.holder)
    and not a.holder = any (t.not_for) and not a.person = any (t.not_for)
    and (t.people = '{}' or a.holder = any (t.people))
    and (a.granted_by is null or not a.granted_by = any (t.not_granted_by))
    and (a.lent_by is null or not a.lent_by = any (t.not_granted_by))
    and (a.granted_by is distinct from a.person or t.role = 'owner')
    and (a.person = a.holder or not a.person = any (t.own_voice_only))
    and (not t.taken or a.holder = any (t.claimed_by))
)"""
"""Whether the turn `t` falls to whom the row `a` of `acting` says, in their own place or in another's, unless the unit of
somebody keeps it from them.
"""

INSERT = (
    f"insert into turns (review_id, position, {', '.join(COLUMNS)})"  # noqa: S608 - put together of constants
    f" values ({', '.join(f'${n}' for n in range(1, len(COLUMNS) + 3))})"
)


def row(review_id: str, position: int, turn: Turn) -> tuple[object, ...]:
    """A turn as a row, with its place among those of the review."""
    values = (getattr(turn, name) for name in COLUMNS)
    return (review_id, position, *(list(value) if isinstance(value, tuple) else value for value in values))


def turn(record: asyncpg.Record) -> Turn:
    """The turn of a row."""
    return Turn.model_validate({name: record[name] for name in COLUMNS})


def holder(record: asyncpg.Record) -> Holder:
    """Who acts under which grant, as a row of `acting` says."""
    lent = record["who"] != record["holder"]
    return Holder(
        grant=Grant(
            id=record["id"],
            person=record["holder"],
            role=record["role"],
            office=record["office"],
            by=record["granted_by"],
        ),
        unit=record["holder_unit"],
        delegate=record["who"] if lent else None,
        delegate_unit=record["unit"] if lent else None,
        lent_by=record["lent_by"],
    )
