"""What the assigned staff must have completed, what is on record, and the difference."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from domain.canonical import digest_of
from domain.people import Assigned
from domain.problems import Problem
from domain.route import Course, Requirement
from domain.values import Digest, Instant, Line, PersonId, Slug, Value

SKEW = timedelta(minutes=5)
"""So far ahead may a completion be dated: clocks differ by that much."""


class Completion(Value):
    """On record: this person completed this course then; `expires_at` where the record itself says so. `by` is who entered
    it, where that is known.
    """

    person: PersonId
    course: Slug
    completed_at: Instant
    expires_at: Instant | None = None
    by: PersonId | None = None


class Gap(Value):
    """A course that an assigned person has not completed, or no longer holds. Where they would hold it by the word of
    somebody whose word does not count here, `by` is who that is.
    """

    person: PersonId
    role: Slug
    course: Slug
    title: Line
    expired_at: Instant | None = None
    by: PersonId | None = None

    @property
    def why(self) -> str:
        """What is missing, in words."""
        if self.by is None:
            return f"{self.person} needs {self.course}"
        return f"{self.person} needs {self.course}, entered by somebody else than {self.by}, who takes part in this proposal"


class TrainingCheck(Value):
    """The result of comparing what is required with what is on record at one moment, as entered by `entered_by`."""

    gaps: tuple[Gap, ...] = ()
    rests_on: Digest
    entered_by: tuple[PersonId, ...] = ()


def problems_with(completion: Completion, now: datetime) -> tuple[Problem, ...]:
    """Why it can't be put on record at the moment `now`, if it can't, each with the field it is about."""
    found: list[Problem] = []
    if completion.completed_at > now + SKEW:
        found.append(Problem(pointer="/completed_at", detail="lies in the future; only what was completed is recorded"))
    if completion.expires_at is not None and completion.expires_at <= completion.completed_at:
        found.append(Problem(pointer="/expires_at", detail="must be later than completed_at"))
    return tuple(found)


def required(staff: Iterable[Assigned], requirements: Iterable[Requirement]) -> tuple[tuple[Assigned, Course], ...]:
    """Each course that each assigned person needs for their role, once per person and course; with several
    validities the shortest counts.
    """
    strictest: dict[tuple[PersonId, Slug], tuple[Assigned, Course]] = {}
    rules = tuple(requirements)
    for member in staff:
        for rule in rules:
            if rule.role is not None and rule.role != member.role:
                continue
            for course in rule.courses:
                known = strictest.get((member.person, course.id))
                if known is None or _shorter(course, known[1]):
                    strictest[member.person, course.id] = (member, course)
    return tuple(strictest.values())


def check(
    staff: Iterable[Assigned],
    requirements: Iterable[Requirement],
    completions: Iterable[Completion],
    at: datetime,
    parties: Collection[PersonId] = (),
) -> TrainingCheck:
    """Who lacks what at the moment `at`. What one of the `parties` entered does not count: nobody vouches for their own.

    A completion holds from its own date until `expires_at` or until the course's validity has passed, whichever is
    first; it holds on neither boundary's far side, and one dated after `at` does not count yet.
    """
    held: dict[tuple[PersonId, Slug], list[Completion]] = {}
    for completion in completions:
        held.setdefault((completion.person, completion.course), []).append(completion)
    gaps: list[Gap] = []
    used: list[Completion] = []
    for member, course in required(staff, requirements):
        mine = [c for c in held.get((member.person, course.id), ()) if c.completed_at <= at]
        ends = [(_end(completion, course), completion) for completion in mine]
        valid = [completion for end, completion in ends if end is None or end > at]
        counting = [completion for completion in valid if completion.by not in parties]
        if counting:
            used.append(max(counting, key=lambda completion: (completion.completed_at, completion.by or "")))
        else:
            expired = max((end for end, _ in ends if end is not None), default=None)
            gaps.append(
                Gap(
                    person=member.person,
                    role=member.role,
                    course=course.id,
                    title=course.title,
                    expired_at=expired,
                    by=min((completion.by for completion in valid if completion.by is not None), default=None),
                )
            )
    rows = sorted((one.person, one.course, one.completed_at.isoformat()) for one in used)
    return TrainingCheck(
        gaps=tuple(gaps),
        rests_on=digest_of([list(row) for row in rows]),
        entered_by=tuple(sorted({one.by for one in used if one.by is not None})),
    )


def _shorter(one: Course, other: Course) -> bool:
    return one.valid_for is not None and (other.valid_for is None or one.valid_for < other.valid_for)


def _end(completion: Completion, course: Course) -> datetime | None:
    own = None if course.valid_for is None else completion.completed_at + course.valid_for
    ends = [end for end in (own, completion.expires_at) if end is not None]
    return min(ends, default=None)
