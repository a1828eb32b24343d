"""Who may act: roles, the grants that give them, and the staff a proposal is assigned to."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from domain.values import Instant, Line, MailAddress, PersonId, Slug, Value, Written


class Role(StrEnum):
    """What a person may do here. A grant can narrow it to an office or a seat."""

    OWNER = "owner"
    REVIEWER = "reviewer"
    COUNCIL_MEMBER = "council_member"
    OFFICER = "officer"
    TRAINING_OFFICER = "training_officer"
    SIGNATORY = "signatory"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    SERVICE = "service"


class Seat(StrEnum):
    """The four kinds of seat of the external Advisory Council (NEC's account of fiscal 2020)."""

    LAWYER = "lawyer"
    NPO = "npo"
    ACADEMIC = "academic"
    CONSUMER = "consumer"


class Grant(Value):
    """A role given to a person, and `by` whom; `office` is the office of an officer or signatory, or the seat of a
    council member.
    """

    id: str
    person: PersonId
    role: Role
    office: Slug | None = None
    by: PersonId | None = None


DELEGABLE = frozenset({Role.OWNER, Role.REVIEWER, Role.OFFICER, Role.SIGNATORY})
"""The roles that somebody absent can leave to another. A seat on the Council is personal; what is nobody's voice in a
review (audit, training, operations) is granted, not lent.
"""


class Delegation(Value):
    """For a time, `taker` acts in place of `giver`, in these roles: from `starts_at`, and no longer at `ends_at`. `by` is
    who saw to it: the giver, or an operator.
    """

    id: str
    giver: PersonId
    taker: PersonId
    roles: tuple[Role, ...]
    starts_at: Instant
    ends_at: Instant
    by: PersonId | None = None

    @property
    def lent_by(self) -> PersonId | None:
        """Who chose the delegate, where that was not the giver."""
        return None if self.by == self.giver else self.by

    def covers(self, role: Role, moment: datetime) -> bool:
        """Whether it holds for this role at this moment."""
        return role in self.roles and self.starts_at <= moment < self.ends_at


class Holder(Value):
    """A grant in force of somebody who may act, the holder's unit, and, where they are away, who acts in their place;
    `lent_by` is who chose that delegate, where it was not the holder.
    """

    grant: Grant
    unit: Line | None = None
    delegate: PersonId | None = None
    delegate_unit: Line | None = None
    lent_by: PersonId | None = None

    @property
    def actor(self) -> PersonId:
        """Who acts under the grant now."""
        return self.delegate or self.grant.person

    @property
    def actor_unit(self) -> Line | None:
        """The unit of whoever acts."""
        return self.unit if self.delegate is None else self.delegate_unit


def belongs_to(unit: str | None, units: Iterable[str]) -> bool:
    """Whether somebody of this unit belongs to one of these. People write their names, so it is the same one in upper and
    lower case, in wide and in composed characters, and however it is spaced.
    """
    return unit is not None and _spelt_alike(unit) in map(_spelt_alike, units)


@lru_cache(maxsize=4096)
def _spelt_alike(unit: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", unit).casefold())
    seen = (character for character in folded if unicodedata.category(character) != "Cf")
    return " ".join("".join(seen).split())


class Assigned(Written):
    """A member of the staff that the proposal names, with the role that decides what they must be trained in."""

    person: PersonId
    role: Slug


class Person(Value):
    """Somebody known here; `email` is where they are written to, if that is known."""

    id: PersonId
    name: Line
    unit: Line
    email: MailAddress | None = None
