"""Whose turn it is: what a review waits for, from whom, since when."""

from __future__ import annotations

from domain.people import Role
from domain.stages import Stage
from domain.values import Instant, PersonId, Prose, Slug, Value


class Turn(Value):
    """One act that the review waits for.

    Either `person` is named, or any holder of `role` (in `office`, where one is named) who is not in `not_for`. `kinds`
    are the decisions that answer it (`completion`: the training register's word); `principles` what a verdict sheet then
    has to judge; `blocking` says whether the review stands still without it,
    `paused` whether nobody is late with it for now, as the owner has a question to answer first.
    """

    stage: Stage
    kinds: tuple[str, ...]
    what: Prose
    role: Role
    office: Slug | None = None
    person: PersonId | None = None
    not_for: tuple[PersonId, ...] = ()
    principles: tuple[Slug, ...] = ()
    since: Instant
    due_at: Instant | None = None
    blocking: bool = True
    paused: bool = False
