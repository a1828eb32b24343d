"""Policy packs: what a proposal is asked, how its answers are judged, and the route that each tier takes.

A pack is data. Its conditions are a small closed set of forms, so that everybody who can read the pack can see what it
does, and whoever has pack and proposal comes to the same assessment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from domain.calendar import Calendar, Duration, WorkingDays
from domain.canonical import digest_of
from domain.decisions import KINDS
from domain.entitlement import SERVICES
from domain.problems import Problem, ProblemsError, pointer_to, problems_of
from domain.proposal import COUNTRIES, LARGEST_NUMBER, MOST_CHOICES, Affected, DataKind, ProjectPhase
from domain.route import (
    Allowance,
    CouncilRule,
    Course,
    Phase,
    Requirement,
    ReviewersRule,
    Route,
    SignatoryStep,
    says_nothing,
)
from domain.values import Digest, Line, Prose, Slug, Written

# Conditions. A question that is hidden or has no answer meets no condition on its answer.


class IntakeField(StrEnum):
    """What a condition can ask of the intake: each stands for the set of names that the proposal gives there."""

    PHASE = "phase"
    DATA = "data"
    AFFECTED = "affected"
    JURISDICTIONS = "jurisdictions"
    ROLES = "roles"
    PASSED_ON_TO = "passed_on_to"


class AnswerIs(Written):
    """The answer to a yes-or-no question is `equals`."""

    answer: Slug
    equals: Annotated[bool, Field(strict=True)]


class AnswerIncludes(Written):
    """The choice, or one of the choices, is one of `any_of`."""

    answer: Slug
    any_of: tuple[Slug, ...] = Field(min_length=1, max_length=MOST_CHOICES)


class AnswerAtLeast(Written):
    """The number is `at_least` this."""

    answer: Slug
    at_least: Annotated[int, Field(strict=True, ge=0, le=LARGEST_NUMBER)]


class IntakeIncludes(Written):
    """The intake field names at least one of `any_of`."""

    intake: IntakeField
    any_of: tuple[Line, ...] = Field(min_length=1, max_length=60)


class AllOf(Written):
    """Every one of these holds."""

    all: tuple[Condition, ...] = Field(min_length=1, max_length=20)


class AnyOf(Written):
    """At least one of these holds."""

    any: tuple[Condition, ...] = Field(min_length=1, max_length=20)


class NoneOf(Written):
    """Not one of these holds."""

    none: tuple[Condition, ...] = Field(min_length=1, max_length=20)


_FORMS: dict[frozenset[str], type[Written]] = {
    frozenset(form.model_fields): form
    for form in (AnswerIs, AnswerIncludes, AnswerAtLeast, IntakeIncludes, AllOf, AnyOf, NoneOf)
}


def _form(value: object) -> str | None:
    """Tell the form of a condition by the keys that it has."""
    if isinstance(value, BaseModel):
        return type(value).__name__
    form = _FORMS.get(frozenset(value)) if isinstance(value, dict) else None
    return None if form is None else form.__name__


Condition = Annotated[
    Annotated[AnswerIs, Tag("AnswerIs")]
    | Annotated[AnswerIncludes, Tag("AnswerIncludes")]
    | Annotated[AnswerAtLeast, Tag("AnswerAtLeast")]
    | Annotated[IntakeIncludes, Tag("IntakeIncludes")]
    | Annotated[AllOf, Tag("AllOf")]
    | Annotated[AnyOf, Tag("AnyOf")]
    | Annotated[NoneOf, Tag("NoneOf")],
    Discriminator(
        _form,
        custom_error_type="condition_form",
        custom_error_message="not a condition; the forms are {answer, equals}, {answer, any_of}, {answer, at_least}, "
        "{intake, any_of}, {all}, {any}, {none}",
    ),
]
"""One of the forms above."""

for _written in (AllOf, AnyOf, NoneOf):
    _written.model_rebuild()


# The questionnaire. More points, more at stake: no answer takes points away.

Points = Annotated[int, Field(strict=True, ge=0, le=100)]


class Option(Written):
    """One of the answers to choose from."""

    id: Slug
    text: Line
    points: Points = 0


class Band(Written):
    """The points of a number from `at_least` on, up to the next band."""

    at_least: Annotated[int, Field(strict=True, ge=0, le=LARGEST_NUMBER)]
    points: Points


class _Asked(Written):
    id: Slug
    text: Prose
    principles: tuple[Slug, ...] = Field(min_length=1, max_length=20)
    when: Condition | None = None


class YesNo(_Asked):
    """Answered by yes (true) or no (false)."""

    kind: Literal["boolean"]
    points_if_yes: Points = 0
    points_if_no: Points = 0

    @property
    def most(self) -> int:
        """The most points that an answer can have."""
        return max(self.points_if_yes, self.points_if_no)


class Choice(_Asked):
    """Answered by one of the options."""

    kind: Literal["choice"]
    options: tuple[Option, ...] = Field(min_length=2, max_length=MOST_CHOICES)

    @property
    def most(self) -> int:
        """The most points that an answer can have."""
        return max(option.points for option in self.options)


class Choices(_Asked):
    """Answered by any number of the options, none included; their points add up."""

    kind: Literal["choices"]
    options: tuple[Option, ...] = Field(min_length=1, max_length=MOST_CHOICES)

    @property
    def most(self) -> int:
        """The most points that an answer can have."""
        return sum(option.points for option in self.options)


class Number(_Asked):
    """Answered by a whole number from 0; below the first band it has no points."""

    kind: Literal["number"]
    unit: Line
    bands: tuple[Band, ...] = Field(min_length=1, max_length=20)

    @property
    def most(self) -> int:
        """The most points that an answer can have."""
        return max(band.points for band in self.bands)


Question = Annotated[YesNo | Choice | Choices | Number, Field(discriminator="kind")]
"""One question of the questionnaire."""


# The pack.


class Limb(StrEnum):
    """Where in the process a principle is held: by the reviewers' verdicts, the training gate, or the Council."""

    JUDGED = "judged"
    TRAINING = "training"
    COUNCIL = "council"


class Principle(Written):
    """A principle, the question that it puts to a proposal, and where in the process it is held."""

    id: Slug
    name: Line
    question: Prose
    limb: Limb


class Named(Written):
    """An office, a role in a project, or a course: what the routes refer to."""

    id: Slug
    title: Line


class Trigger(Written):
    """What points must not decide: where it holds, the tier is at least `minimum_tier`, or the Council is asked."""

    id: Slug
    when: Condition
    minimum_tier: int | None = Field(default=None, ge=1, le=4)
    council: bool = False
    reason: Prose


class RequiredCourse(Written):
    """A course that a tier requires, and how long a completion of it counts; without `valid_for`, for good."""

    course: Slug
    valid_for: Duration | None = None


class RoleCourses(Written):
    """The courses that a tier requires of those in `role`; without a role, of everybody assigned."""

    role: Slug | None = None
    courses: tuple[RequiredCourse, ...] = Field(min_length=1, max_length=20)


STEPPING_UP = KINDS - SERVICES.keys() - {"submission"}
"""The kinds for which a renewed sign-in can be asked: made by people, on a route that is known."""


class TierRule(Written):
    """A tier: from which percentage of the pack's points it holds, and the route that it takes. Decisions of the kinds
    in `step_up` need their maker to sign in again, over the decision.
    """

    tier: int = Field(ge=1, le=4)
    name: Line
    from_percent: Annotated[int, Field(strict=True, ge=0, le=100)]
    reviewers: ReviewersRule
    officer: Slug
    deputy_officer: Slug | None = None
    council_required: bool
    council: CouncilRule
    training: tuple[RoleCourses, ...] = ()
    signatories: tuple[SignatoryStep, ...] = Field(min_length=1, max_length=9)
    allowances: dict[Phase, Allowance]
    valid_for: Duration
    step_up: tuple[Slug, ...] = Field(default=(), max_length=20, exclude_if=says_nothing)


class PolicyPack(Written):
    """Everything that decides what a proposal is asked and which route it takes. Published packs do not change.

    Raises:
        pydantic.ValidationError: it is not a pack. What pydantic cannot see by the types (a name that refers to
            nothing, tiers out of order) is told all at once, as `ProblemsError` with JSON pointers.
    """

    id: Slug
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")]
    title: Line
    source: Prose
    principles: tuple[Principle, ...] = Field(min_length=1, max_length=20)
    offices: tuple[Named, ...] = Field(min_length=1, max_length=50)
    roles: tuple[Named, ...] = Field(max_length=100)
    courses: tuple[Named, ...] = Field(max_length=100)
    questions: tuple[Question, ...] = Field(min_length=1, max_length=200)
    triggers: tuple[Trigger, ...] = Field(max_length=100)
    tiers: tuple[TierRule, TierRule, TierRule, TierRule]
    # Left out where there is none: the digests of packs that were published before there were calendars stay the same.
    calendar: Calendar | None = Field(default=None, exclude_if=lambda calendar: calendar is None)

    @cached_property
    def digest(self) -> Digest:
        """What a review is pinned to: the digest of the canonical form."""
        return digest_of(self)

    @cached_property
    def max_score(self) -> int:
        """The points of the worst answer to every question, seen or hidden.

        The percentage is taken of this and not of the questions that one proposal gets to see. So an answer that
        opens further questions can never make a score look smaller, and scores under one pack can be compared.
        """
        return sum(question.most for question in self.questions)

    def route(self, tier: int, *, council_required: bool) -> Route:
        """Make the route of a tier, with the Council where that tier or `council_required` asks for it."""
        rule = self.tiers[tier - 1]
        titles = {course.id: course.title for course in self.courses}
        return Route(
            tier=tier,
            tier_name=rule.name,
            principles=tuple(principle.id for principle in self.principles if principle.limb is Limb.JUDGED),
            reviewers=rule.reviewers,
            officer=rule.officer,
            deputy_officer=rule.deputy_officer,
            council_required=council_required or rule.council_required,
            council=rule.council,
            training_required=bool(rule.training),
            requirements=tuple(
                Requirement(
                    role=each.role,
                    courses=tuple(
                        Course(id=wanted.course, title=titles[wanted.course], valid_for=wanted.valid_for)
                        for wanted in each.courses
                    ),
                )
                for each in rule.training
            ),
            signatories=rule.signatories,
            allowances=rule.allowances,
            valid_for=rule.valid_for,
            step_up=rule.step_up,
        )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        problems = [*_twice(self), *_questionnaire(self), *_triggers(self), *_tiers(self)]
        if problems:
            raise ProblemsError(problems)
        return self


def read_pack(given: object) -> PolicyPack:
    """Read the pack that `given`, plain data as JSON or YAML have it, describes; a key that means nothing is an error.

    Raises:
        ProblemsError: it is not a pack; each fault with its place.
    """
    try:
        return PolicyPack.model_validate(given, extra="forbid")
    except ValidationError as error:
        raise ProblemsError(problems_of(error, given)) from error


Place = tuple[str | int, ...]


def _at(place: Place, detail: str) -> Problem:
    return Problem(pointer=pointer_to(*place), detail=detail)


def _twice(pack: PolicyPack) -> Iterator[Problem]:
    lists: list[tuple[Place, Iterable[str]]] = [
        (("principles",), [each.id for each in pack.principles]),
        (("offices",), [each.id for each in pack.offices]),
        (("roles",), [each.id for each in pack.roles]),
        (("courses",), [each.id for each in pack.courses]),
        (("questions",), [each.id for each in pack.questions]),
        (("triggers",), [each.id for each in pack.triggers]),
        *(
            (("questions", at, "options"), [option.id for option in question.options])
            for at, question in enumerate(pack.questions)
            if isinstance(question, Choice | Choices)
        ),
    ]
    for place, ids in lists:
        for name, times in Counter(ids).items():
            if times > 1:
                yield _at(place, f"{name!r} stands in it {times} times")


def _questionnaire(pack: PolicyPack) -> Iterator[Problem]:
    principles = {principle.id for principle in pack.principles}
    if not any(principle.limb is Limb.JUDGED for principle in pack.principles):
        yield _at(("principles",), "at least one must be judged by the reviewers")
    if pack.max_score == 0:
        yield _at(("questions",), "no answer has any points")
    asked: dict[str, Question] = {}
    for at, question in enumerate(pack.questions):
        place: Place = ("questions", at)
        for number, name in enumerate(question.principles):
            if name not in principles:
                yield _at((*place, "principles", number), f"there is no principle {name!r}")
        if question.when is not None:
            # Only what was asked before: so the form can be filled in from top to bottom, and no cycle can be written.
            yield from _condition(pack, question.when, (*place, "when"), asked)
        if isinstance(question, Number):
            starts = [band.at_least for band in question.bands]
            if starts != sorted(set(starts)):
                yield _at((*place, "bands"), "each band must begin above the one before it")
        asked[question.id] = question


def _triggers(pack: PolicyPack) -> Iterator[Problem]:
    asked = {question.id: question for question in pack.questions}
    for at, trigger in enumerate(pack.triggers):
        yield from _condition(pack, trigger.when, ("triggers", at, "when"), asked)
        if trigger.minimum_tier is None and not trigger.council:
            yield _at(("triggers", at), "has no effect: neither a minimum_tier nor the council")


def _tiers(pack: PolicyPack) -> Iterator[Problem]:
    offices = {office.id for office in pack.offices}
    floor = -1
    for at, rule in enumerate(pack.tiers):
        place: Place = ("tiers", at)
        if rule.tier != at + 1:
            yield _at((*place, "tier"), f"the tiers must stand in order: this is tier {at + 1}")
        if at == 0 and rule.from_percent != 0:
            yield _at((*place, "from_percent"), "the lowest tier must begin at 0")
        if rule.from_percent <= floor:
            yield _at((*place, "from_percent"), f"must be more than the {floor} of the tier below")
        floor = rule.from_percent
        yield from _offices(rule, place, offices)
        yield from _training(pack, rule, place)
        for number, kind in enumerate(rule.step_up):
            if kind not in STEPPING_UP:
                yield _at((*place, "step_up", number), f"nobody can sign in over a decision of kind {kind!r}")
        for phase in Phase:
            allowance = rule.allowances.get(phase)
            if allowance is None:
                yield _at((*place, "allowances"), f"nothing for {phase}")
            elif pack.calendar is None and isinstance(allowance.due_after, WorkingDays):
                yield _at((*place, "allowances", phase), "counts working days, and the pack has no calendar")


def _offices(rule: TierRule, place: Place, offices: set[str]) -> Iterator[Problem]:
    named: list[tuple[Place, str | None]] = [(("officer",), rule.officer), (("deputy_officer",), rule.deputy_officer)]
    for number, step in enumerate(rule.signatories):
        named += [(("signatories", number, "office"), step.office), (("signatories", number, "deputy"), step.deputy)]
    for where, office in named:
        if office is not None and office not in offices:
            yield _at((*place, *where), f"there is no office {office!r}")
    for office, times in Counter(office for _, office in named if office is not None).items():
        if times > 1:
            yield _at(place, f"the office {office!r} cannot act {times} times on one route")


def _training(pack: PolicyPack, rule: TierRule, place: Place) -> Iterator[Problem]:
    roles = {role.id for role in pack.roles}
    courses = {course.id for course in pack.courses}
    for number, each in enumerate(rule.training):
        here: Place = (*place, "training", number)
        if each.role is not None and each.role not in roles:
            yield _at((*here, "role"), f"there is no role {each.role!r}")
        for position, wanted in enumerate(each.courses):
            if wanted.course not in courses:
                yield _at((*here, "courses", position, "course"), f"there is no course {wanted.course!r}")


def _condition(pack: PolicyPack, when: Condition, place: Place, asked: dict[str, Question]) -> Iterator[Problem]:
    match when:
        case AllOf(all=inner) | AnyOf(any=inner) | NoneOf(none=inner):
            (key,) = type(when).model_fields
            for at, condition in enumerate(inner):
                yield from _condition(pack, condition, (*place, key, at), asked)
        case IntakeIncludes():
            allowed = _intake_names(pack, when.intake)
            for at, name in enumerate(when.any_of):
                if name not in allowed:
                    yield _at((*place, "any_of", at), f"{when.intake} never has {name!r}")
        case AnswerIs() | AnswerIncludes() | AnswerAtLeast():
            yield from _on_answer(when, asked.get(when.answer), place)


def _on_answer(
    when: AnswerIs | AnswerIncludes | AnswerAtLeast, question: Question | None, place: Place
) -> Iterator[Problem]:
    match when, question:
        case _, None:
            yield _at((*place, "answer"), f"no question {when.answer!r} is asked before it")
        case (AnswerIs(), YesNo()) | (AnswerAtLeast(), Number()):
            pass
        case AnswerIncludes(any_of=names), Choice(options=options) | Choices(options=options):
            for at, name in enumerate(names):
                if name not in {option.id for option in options}:
                    yield _at((*place, "any_of", at), f"{when.answer!r} has no option {name!r}")
        case _, other:
            yield _at(place, f"cannot be asked of {when.answer!r}, a question of kind {other.kind}")


_CLOSED: dict[IntakeField, frozenset[str]] = {
    IntakeField.PHASE: frozenset(ProjectPhase),
    IntakeField.DATA: frozenset(DataKind),
    IntakeField.AFFECTED: frozenset(Affected),
    IntakeField.JURISDICTIONS: COUNTRIES | {"EU"},
    IntakeField.PASSED_ON_TO: frozenset({"customers", "partners"}),
}


def _intake_names(pack: PolicyPack, field: IntakeField) -> frozenset[str]:
    return frozenset(role.id for role in pack.roles) if field is IntakeField.ROLES else _CLOSED[field]
