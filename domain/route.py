"""The route: what the assessment hands to the review, and the review follows."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from domain.calendar import Duration, Span, WorkingDays
from domain.people import Seat
from domain.values import Line, PersonId, Slug, Value


class Phase(StrEnum):
    """What a review can be waiting for; each has its own allowance of time."""

    REVIEWING = "reviewing"
    WITH_OWNER = "with_owner"
    CONSULTING = "consulting"
    ANSWERING_ADVICE = "answering_advice"
    TRAINING = "training"
    SIGNING = "signing"


class Allowance(Value):
    """How long a phase may take, from the moment it begins: both by the clock, or both in working days.

    Of working days, a reminder comes when the day opens, and the last one is due when it closes.
    """

    remind_after: Span
    due_after: Span

    @model_validator(mode="after")
    def _reminds_before_it_is_due(self) -> Self:
        match self.remind_after, self.due_after:
            case timedelta() as remind, timedelta() as due:
                in_order = remind < due
            case WorkingDays(working_days=remind_days), WorkingDays(working_days=due_days):
                in_order = 1 <= remind_days < due_days
            case _:
                raise ValueError("remind_after and due_after must both be durations, or both be working days")
        if not in_order:
            raise ValueError("remind_after must be shorter than due_after")
        return self


def says_nothing(value: object) -> bool:
    """For what packs could not say at first: where it says nothing it is not written,
    so that digests stay as they are.
    """
    return value in ((), None, 1)


OWN = "own"
"""In place of the name of a unit: the one that the proposal names."""


class Eligible(Value):
    """Who of a role's holders may act on a route: of these `people`, where any are named; of this `unit`, where one is.

    `unit: own` is an office that speaks for the unit which the proposal names.
    """

    people: tuple[PersonId, ...] = Field(default=(), max_length=50, exclude_if=says_nothing)
    unit: Line | None = Field(default=None, exclude_if=says_nothing)

    @model_validator(mode="after")
    def _nobody_twice(self) -> Self:
        if len(set(self.people)) < len(self.people):
            raise ValueError("somebody stands in people twice")
        return self


class ReviewersRule(Eligible):
    """Of at most `panel` reviewers, `needed` that agree complete the stage; as many breaches on one principle decline.

    A pack can also say `needed: all` or `needed: any`.
    """

    needed: int = Field(ge=1, le=9)
    panel: int = Field(ge=1, le=9)

    @model_validator(mode="before")
    @classmethod
    def _in_numbers(cls, given: object) -> object:
        return _counted(given, "panel")

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.needed > self.panel:
            raise ValueError("needed cannot be more than panel")
        if self.people and len(self.people) < self.panel:
            raise ValueError("the panel cannot be larger than the people named for it")
        return self


def _counted(given: object, of: str) -> object:
    """`all` and `any` in numbers: `of` names the field that says of how many."""
    if not isinstance(given, dict) or given.get("needed") not in ("all", "any"):
        return given
    everybody = given.get(of)
    number = len(everybody) if isinstance(everybody, list | tuple) else everybody
    if given["needed"] == "all" and not number:
        raise ValueError(f"needed: all is of the {of}, which must be named")
    return {**given, "needed": 1 if given["needed"] == "any" else number}


class CouncilRule(Value):
    """How the Council is consulted, when the policy or an escalation asks for it."""

    seats: tuple[Seat, ...] = Field(min_length=1, max_length=len(Seat))
    quorum: int = Field(ge=1, le=len(Seat))
    must_include: tuple[Seat, ...] = ()

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if len(set(self.seats)) < len(self.seats):
            raise ValueError("a seat stands in it twice")
        if len(set(self.must_include)) < len(self.must_include) or not set(self.must_include) <= set(self.seats):
            raise ValueError("must_include must be some of the seats, each once")
        if not len(self.must_include) <= self.quorum <= len(self.seats):
            raise ValueError("the quorum must be at least the seats that must be included, and at most all the seats")
        return self


class Course(Value):
    """Something to be completed; it has to be completed again after `valid_for`, where there is one."""

    id: Slug
    title: Line
    valid_for: Duration | None = None


class Requirement(Value):
    """The courses that an assigned person in `role` must have completed; without a role, everybody assigned."""

    role: Slug | None = None
    courses: tuple[Course, ...] = Field(min_length=1, max_length=20)


class SignatoryStep(Eligible):
    """One office in the order of sign-off: who signs, who stands in, and what it says; `needed` of its holders sign.

    A pack can also say `needed: any`, or, of the people that it names, `needed: all`.
    """

    office: Slug
    title: Line
    deputy: Slug | None = None
    meaning: Line
    needed: int = Field(default=1, ge=1, le=9, exclude_if=says_nothing)
    speaks_for_unit: bool = Field(default=False, exclude_if=lambda says: says is False)
    """Whether its holders may belong to the unit that the proposal comes from: they sign for it."""

    @property
    def offices(self) -> tuple[Slug, ...]:
        """The office, and its deputy where it has one."""
        return (self.office,) if self.deputy is None else (self.office, self.deputy)

    @model_validator(mode="before")
    @classmethod
    def _in_numbers(cls, given: object) -> object:
        return _counted(given, "people")

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.people and self.needed > len(self.people):
            raise ValueError("needed cannot be more than the people named for it")
        return self


class Route(Value):
    """What one proposal needs, from principle review to sign-off, and how long the approval then holds."""

    tier: int = Field(ge=1, le=4)
    tier_name: Line
    principles: tuple[Slug, ...] = Field(min_length=1, max_length=20)
    reviewers: ReviewersRule
    officer: Slug
    deputy_officer: Slug | None = None
    council_required: bool
    council: CouncilRule
    training_required: bool
    requirements: tuple[Requirement, ...] = ()
    signatories: tuple[SignatoryStep, ...] = Field(min_length=1, max_length=9)
    allowances: dict[Phase, Allowance]
    valid_for: Duration
    step_up: tuple[Slug, ...] = Field(default=(), exclude_if=says_nothing)
    """The kinds of decision for which the person signs in anew, over the decision itself."""

    @property
    def officers(self) -> tuple[Slug, ...]:
        """The officer's office, and its deputy where it has one."""
        return (self.officer,) if self.deputy_officer is None else (self.officer, self.deputy_officer)

    @property
    def signing(self) -> tuple[Slug, ...]:
        """Every office that can come to sign, deputies included."""
        return tuple(office for step in self.signatories for office in step.offices)
