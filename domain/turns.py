"""Whose turn it is: what a review waits for, from whom, since when."""

from __future__ import annotations

from collections.abc import Iterable

from domain.people import Holder, Role, belongs_to
from domain.stages import Stage
from domain.values import Instant, Line, PersonId, Prose, Slug, Value


class Turn(Value):
    """One act that the review waits for.

    Either `person` is named, or any holder of `role` (in `office`, where one is named) who is not in `not_for`. `kinds`
    are the decisions that answer it (`completion`: the training register's word; `grant`: the registry's, of roles
    given); `principles` what a verdict sheet then has to judge; `blocking` says whether the review stands still without
    it, `paused` whether nobody is late with it for now, as the owner has a question to answer first.

    Where `people` or `units` are named, it is for these alone; it is not for members of `not_units`, nor under a role
    that somebody of `not_granted_by` gave, or had left to whoever acts. Those of `own_voice_only` were heard in this
    round, and take it for nobody else. `claimed_by` are those who said that they do it; once it is `taken`, it is
    theirs alone.
    """

    stage: Stage
    kinds: tuple[str, ...]
    what: Prose
    role: Role
    office: Slug | None = None
    person: PersonId | None = None
    not_for: tuple[PersonId, ...] = ()
    people: tuple[PersonId, ...] = ()
    units: tuple[Line, ...] = ()
    not_units: tuple[Line, ...] = ()
    not_granted_by: tuple[PersonId, ...] = ()
    own_voice_only: tuple[PersonId, ...] = ()
    principles: tuple[Slug, ...] = ()
    since: Instant
    due_at: Instant | None = None
    blocking: bool = True
    paused: bool = False
    claimed_by: tuple[PersonId, ...] = ()
    taken: bool = False

    @property
    def is_one_of_many(self) -> bool:
        """Whether only its words tell it from others that wait for the same person: questions, and what is lacking."""
        return "answer" in self.kinds or "grant" in self.kinds


def falls_to(turn: Turn, holder: Holder) -> bool:
    """Whether the turn falls to this holder of a role, or to whoever acts in their place."""
    grant = holder.grant
    people = {grant.person, holder.actor}
    units = {holder.unit, holder.actor_unit}
    return (
        grant.role is turn.role
        and turn.office in (None, grant.office)
        and turn.person in (None, grant.person)
        and people.isdisjoint(turn.not_for)
        and (not turn.people or grant.person in turn.people)
        and (not turn.units or belongs_to(holder.unit, turn.units))
        and not any(belongs_to(unit, turn.not_units) for unit in units)
        and {grant.by, holder.lent_by}.isdisjoint(turn.not_granted_by)
        and (grant.by != holder.actor or turn.role is Role.OWNER)  # whoever stands for a proposal judges nothing
        and (holder.actor == grant.person or holder.actor not in turn.own_voice_only)
        and (not turn.taken or grant.person in turn.claimed_by)
    )


class Change(Value):
    """What became of one turn: it began (`was` is None), it ended (`now` is None), or it is another way than it was."""

    was: Turn | None
    now: Turn | None


def is_for(turn: Turn, person: PersonId, holders: Iterable[Holder]) -> bool:
    """Whether this is the turn of `person`, by a role among `holders` that is theirs or that was left to them."""
    return any(falls_to(turn, holder) for holder in holders if person == holder.actor)


def changes(before: Iterable[Turn], after: Iterable[Turn]) -> tuple[Change, ...]:
    """How the turns of a review changed, in order; those that are as they were are left out."""
    was, now = _numbered(before), _numbered(after)
    pairs = [Change(was=was.get(key), now=now.get(key)) for key in {**was, **now}]
    return tuple(pair for pair in pairs if pair.was != pair.now)


def _numbered(turns: Iterable[Turn]) -> dict[tuple[object, ...], Turn]:
    # A turn stays the same one while what is said of it changes (how many agree so far); of two questions to the owner
    # each is one of its own, and so is what is lacking, and a reviewer's for one more principle.
    numbered: dict[tuple[object, ...], Turn] = {}
    for turn in turns:
        asked = turn.what if turn.is_one_of_many else turn.principles
        key = (turn.stage, turn.kinds, turn.role, turn.office, turn.person, asked)
        number = sum(known[:-1] == key for known in numbered)
        numbered[(*key, number)] = turn
    return numbered
