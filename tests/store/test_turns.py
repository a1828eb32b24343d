"""Whose turn it is: the tables say what the core says."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

from domain.people import Grant, Holder, Role
from domain.stages import Stage
from domain.turns import Turn, falls_to
from store.database import connect
from store.turns import FALLS_TO
from tests.conftest import DatabaseUrls

PEOPLE, UNITS, OFFICES = ("p1", "p2", "p3"), ("u1", "u2"), (None, "o1", "o2")

_ASKED = f"""
select coalesce({FALLS_TO}, false)
from jsonb_to_record($1) as t (
    role text, office text, person text, not_for text[], people text[], units text[], not_units text[],
    not_granted_by text[], own_voice_only text[], claimed_by text[], taken boolean
), jsonb_to_record($2) as a (
    role text, office text, holder text, holder_unit text, person text, unit text, granted_by text, lent_by text
)
"""


def a_turn(chance: random.Random) -> Turn:
    """Any turn."""

    def some(of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chance.sample(of, chance.choice([0, 0, 0, 1, 2])))

    return Turn(
        stage=Stage.SIGN_OFF,
        kinds=("signature",),
        what="Sign.",
        role=chance.choice([Role.SIGNATORY] * 3 + [Role.OWNER]),
        office=chance.choice(OFFICES),
        person=chance.choice([None, None, *PEOPLE]),
        not_for=some(PEOPLE),
        people=some(PEOPLE),
        units=some(UNITS),
        not_units=some(UNITS),
        not_granted_by=some(PEOPLE),
        own_voice_only=some(PEOPLE),
        since=datetime(2026, 4, 1, tzinfo=UTC),
        claimed_by=some(PEOPLE),
        taken=chance.random() < 0.5,
    )


def a_holder(chance: random.Random) -> Holder:
    """Anybody who holds a role, and acts under it or left it to another."""
    person, taker = chance.sample(PEOPLE, 2)
    delegate = chance.choice([None, taker])
    role = chance.choice([Role.SIGNATORY] * 6 + [Role.OWNER] * 2 + [Role.OFFICER])
    by = chance.choice([None, *PEOPLE])
    return Holder(
        grant=Grant(id="g", person=person, role=role, office=chance.choice(OFFICES), by=by),
        unit=chance.choice(UNITS),
        delegate=delegate,
        delegate_unit=None if delegate is None else chance.choice(UNITS),
        lent_by=None if delegate is None else chance.choice([None, *PEOPLE]),
    )


async def test_a_turn_falls_to_the_same_people_in_the_tables_as_in_the_core(database: DatabaseUrls) -> None:
    """Whatever it says of whom it is for, and whoever asks; but for units, which whoever reads the tables asks the core."""
    chance = random.Random(5)
    answers = []
    async with connect(database.app_url, max_size=1) as connected:
        for _ in range(2500):
            turn, holder = a_turn(chance), a_holder(chance)
            grant = holder.grant
            acting = {
                "role": grant.role,
                "office": grant.office,
                "holder": grant.person,
                "holder_unit": holder.unit,
                "person": holder.actor,
                "unit": holder.actor_unit,
                "granted_by": grant.by,
                "lent_by": holder.lent_by,
            }
            answer = await connected.pool.fetchval(_ASKED, turn.model_dump_json(), json.dumps(acting))
            wherever_they_belong = turn.model_copy(update={"units": (), "not_units": ()})
            assert falls_to(wherever_they_belong, holder) is answer, (turn, holder)
            assert answer or not falls_to(turn, holder), "what the tables leave out the core does not bring back"
            answers.append(answer)
    assert 50 < sum(answers) < len(answers) - 50
