"""Generated people: who they are, where they belong, and what they may do, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from domain.people import Role, Seat

UNITS = ("Example Rail", "Example Retail", "Example Trust", "Example Audit")

OFFICES: dict[Role, tuple[str | None, ...]] = {
    Role.OWNER: (None,),
    Role.REVIEWER: (None,),
    Role.COUNCIL_MEMBER: tuple(Seat),
    Role.OFFICER: ("ai_governance_officer", "deputy_ai_governance_officer"),
    Role.SIGNATORY: (
        "business_unit_head",
        "deputy_business_unit_head",
        "digital_trust_head",
        "deputy_digital_trust_head",
    ),
}
"""The offices of the shipped pack's routes."""


@dataclass(frozen=True)
class Member:
    """Somebody, and the roles, with their offices, that they are granted at first."""

    person: str
    unit: str
    roles: tuple[tuple[Role, str | None], ...]


def draw(rng: random.Random) -> tuple[Member, ...]:
    """Some with one role each, enough for every stage; some with several, who run into separation of duties; some with none."""
    wanted = [(role, office) for role, offices in OFFICES.items() for office in offices]
    wanted += [(Role.OWNER, None), (Role.OWNER, None), *[(Role.REVIEWER, None)] * 3]
    single = [
        Member(f"m{number:02}.{role}", rng.choice(UNITS), ((role, office),))
        for number, (role, office) in enumerate(wanted)
    ]
    several = [
        Member(f"s{number:02}.several", rng.choice(UNITS), tuple(rng.sample(wanted[:12], rng.randint(2, 3))))
        for number in range(6)
    ]
    return (*single, *several, Member("n01.nobody", UNITS[0], ()), Member("n02.nobody", UNITS[2], ()))


def as_csv(members: Iterable[Member]) -> str:
    """What an operator imports to have them here, with their roles."""
    lines = ["person,name,unit,role,office"]
    for member in members:
        for role, office in member.roles or (("", ""),):
            lines.append(f"{member.person},Example {member.person},{member.unit},{role},{office or ''}")
    return "\n".join(lines)
