"""Who may act: roles, the grants that give them, and the staff a proposal is assigned to."""

from __future__ import annotations

from enum import StrEnum

from domain.values import Line, PersonId, Slug, Value, Written


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
    """A role given to a person; `office` is the office of an officer or signatory, or the seat of a council member."""

    id: str
    person: PersonId
    role: Role
    office: Slug | None = None


class Assigned(Written):
    """A member of the staff that the proposal names, with the role that decides what they must be trained in."""

    person: PersonId
    role: Slug


class Person(Value):
    """Somebody known here."""

    id: PersonId
    name: Line
    unit: Line
