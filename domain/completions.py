"""What the assigned staff must have completed, what is on record, and the difference."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.canonical import digest_of
from domain.people import Assigned
from domain.route import Course, Requirement
from domain.values import Digest, Instant, Line, PersonId, Slug, Value


class Completion(Value):
    """On record: this person completed this course then; `expires_at` where the record itself says so."""

    person: PersonId
    course: Slug
    completed_at: Instant
    expires_at: Instant | None = None


class Gap(Value):
    """A course that an assigned person has not completed, or no longer holds."""

    person: PersonId
    role: Slug
    course: Slug
    title: Line
    expired_at: Instant | None = None


class TrainingCheck(Value):
    """The result of comparing what is required with what is on record at one moment."""

    gaps: tuple[Gap, ...] = ()
    rests_on: Digest


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
    staff: Iterable[Assigned], requirements: Iterable[Requirement], completions: Iterable[Completion], at: datetime
) -> TrainingCheck:
    """Who lacks what at the moment `at`.

    A completion holds from its own date until `expires_at` or until the course's validity has passed, whichever is
    first; it holds on neither boundary's far side, and one dated after `at` does not count yet.
    """
    held: dict[tuple[PersonId, Slug], list[Completion]] = {}
    for completion in completions:
        held.setdefault((completion.person, completion.course), []).append(completion)
    gaps: list[Gap] = []
    used: list[list[str]] = []
    for member, course in required(staff, requirements):
        mine = [c for c in held.get((member.person, course.id), ()) if c.completed_at <= at]
        ends = [(_end(completion, course), completion) for completion in mine]
        valid = [(end, completion) for end, completion in ends if end is None or end > at]
        if valid:
            best = max(valid, key=lambda pair: pair[1].completed_at)[1]
            used.append([best.person, best.course, best.completed_at.isoformat()])
        else:
            expired = max((end for end, _ in ends if end is not None), default=None)
            gaps.append(
                Gap(person=member.person, role=member.role, course=course.id, title=course.title, expired_at=expired)
            )
    return TrainingCheck(gaps=tuple(gaps), rests_on=digest_of([list(row) for row in sorted(used)]))


def _shorter(one: Course, other: Course) -> bool:
    return one.valid_for is not None and (other.valid_for is None or one.valid_for < other.valid_for)


def _end(completion: Completion, course: Course) -> datetime | None:
    own = None if course.valid_for is None else completion.completed_at + course.valid_for
    ends = [end for end in (own, completion.expires_at) if end is not None]
    return min(ends, default=None)
