"""The oracle: what the pure core says of everything on record, with the registers as they were then.

The commit asked `decide` once, with what PostgreSQL told it. Here it is asked again, from the records alone: the
registry's own ledger, the decisions as they were stored, and when each completion was entered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.assessment import AnswersError
from domain.calendar import MONDAY_TO_FRIDAY
from domain.canonical import sha256
from domain.commands import Command, FallDue, Take, TurnAway
from domain.completions import Completion, required
from domain.decisions import Envelope, Revision, Submission
from domain.events import Accepted, Event, FellDue, Moved, Refused, Reminded
from domain.facts import Facts, Proposed, Standing, propose
from domain.people import Holder, Role
from domain.policy import PolicyPack
from domain.principles import judges
from domain.proof import Proof
from domain.proposal import Proposal
from domain.registry import Registry, RegistryEntry
from domain.review import decide, evolve
from domain.state import Review
from domain.values import Digest, PersonId
from store.database import Database
from store.registers import published_pack
from tests.support.harness import Harness

MOMENT = timedelta(seconds=5)
"""A commit is dated at its beginning, and what it read may have been written a moment after that."""


@dataclass(frozen=True)
class Stored:
    """A decision as it was stored."""

    envelope: Envelope
    digest: Digest
    proof: Proof


@dataclass
class Past:
    """All that a rule could ever have asked for, and when it was so."""

    registry: Sequence[RegistryEntry]
    decisions: Mapping[UUID, Stored]
    completions: Sequence[tuple[datetime, Completion]]
    proposals: Mapping[Digest, Proposal]
    packs: Mapping[Digest, PolicyPack]
    _after: dict[int, Registry] = field(default_factory=dict)

    def registry_after(self, seq: int) -> Registry:
        """The fold of the registry's first `seq` entries."""
        known = self._after.get(seq)
        if known is None:
            known = self._after[seq] = Registry()
            for entry in self.registry[:seq]:
                known.apply(entry.event)
        return known

    def between(self, start: datetime, end: datetime) -> range:
        """The numbers of the entries of which each may have been the registry's last,
        at some time from `start` to `end`.
        """
        first = sum(entry.event.at <= start for entry in self.registry)
        last = sum(entry.event.at <= end for entry in self.registry)
        return range(first, last + 1)

    def facts(self, review: Review, stored: Stored | None, at: datetime, seq: int, entered_by: datetime) -> Facts:
        """What the registers said, after entry `seq` of the registry and with the completions entered by then."""
        registry = self.registry_after(seq)
        envelope = None if stored is None else stored.envelope
        proposed, unassessable = self._proposed(review, envelope)
        pack = review.pack_digest if envelope is None or review.open else envelope.pack_digest
        calendar = self.packs[pack].calendar if pack in self.packs else None
        return Facts(
            standing=Standing(registry=seq) if envelope is None else standing(registry, envelope.person),
            keys=tuple(registry.keys.values()),
            issuer_keys=tuple(registry.issuer_keys.values()),
            packs=tuple(registry.packs),
            holders=tuple(_named(review, proposed, holders(registry, at))),
            completions=self._completions(review, proposed, entered_by),
            units=_units(registry, review, proposed),
            proposed=proposed,
            unassessable=unassessable,
            calendar=calendar or MONDAY_TO_FRIDAY,
        )

    def _proposed(self, review: Review, envelope: Envelope | None) -> tuple[Proposed | None, str | None]:
        if envelope is None or not isinstance(envelope.content, Submission | Revision):
            return None, None
        revises = isinstance(envelope.content, Revision)
        digest = envelope.content.proposal if isinstance(envelope.content, Revision) else envelope.content_digest
        pack, proposal = self.packs.get(envelope.pack_digest), self.proposals.get(digest)
        if pack is None or proposal is None:
            return None, "The proposal, or the policy pack, is not on record."
        try:
            return propose(pack, proposal, self.proposals.get(review.content_digest) if revises else None), None
        except AnswersError as error:
            return None, f"The answers don't fit the questionnaire: {error}"[:1000]

    def _completions(self, review: Review, proposed: Proposed | None, entered_by: datetime) -> tuple[Completion, ...]:
        subject = review.subject if proposed is None else proposed.subject
        route = review.route if proposed is None else proposed.assessment.route
        if subject is None or route is None or not route.training_required:
            return ()
        wanted = {(member.person, course.id) for member, course in required(subject.staff, route.requirements)}
        held = (done for entered, done in self.completions if entered <= entered_by)
        mine = (done for done in held if (done.person, done.course) in wanted)
        return tuple(sorted(mine, key=lambda done: (done.person, done.course, done.completed_at)))


def standing(registry: Registry, person: PersonId) -> Standing:
    """What the registry said of a person, with their grants in the order in which they are tried."""
    said = registry.standing(person)
    return said.model_copy(update={"grants": tuple(sorted(said.grants, key=lambda grant: grant.id))})


def holders(registry: Registry, at: datetime) -> Iterator[Holder]:
    """Who held which role then, and who acted in their place."""
    for grant in sorted(registry.grants.values(), key=lambda grant: grant.id):
        away = (d for d in registry.delegations.values() if d.giver == grant.person and d.covers(grant.role, at))
        delegation = next(away, None)
        delegate = None if delegation is None else delegation.taker
        if {grant.person, delegate} & registry.disabled:
            continue
        yield Holder(
            grant=grant,
            unit=registry.units.get(grant.person),
            delegate=delegate,
            delegate_unit=None if delegate is None else registry.units.get(delegate),
            lent_by=None if delegation is None else delegation.lent_by,
        )


def _units(registry: Registry, review: Review, proposed: Proposed | None) -> dict[str, str]:
    people = set(review.proposed_by)
    if proposed is not None:
        people |= {proposed.subject.owner, proposed.subject.author, *judges(review)}
    return {person: registry.units[person] for person in people if person in registry.units}


def _named(review: Review, proposed: Proposed | None, everybody: Iterable[Holder]) -> Iterator[Holder]:
    subject = review.subject if proposed is None else proposed.subject
    route = review.route if proposed is None else proposed.assessment.route
    if subject is None or route is None:
        return
    steps = (office for step in route.signatories for office in (step.office, step.deputy))
    offices = {route.officer, route.deputy_officer, *steps}
    for holder in everybody:
        match holder.grant.role:
            case Role.REVIEWER | Role.COUNCIL_MEMBER | Role.TRAINING_OFFICER:
                yield holder
            case Role.OFFICER | Role.SIGNATORY if holder.grant.office in offices:
                yield holder
            case Role.OWNER if holder.grant.person in (subject.owner, subject.author):
                yield holder
            case _:
                pass


async def past_of(system: Harness) -> Past:
    """What is stored, of all reviews."""
    rows = system.database.pool.fetch
    return Past(
        registry=[RegistryEntry.model_validate_json(entry.data) for entry in await system.registers.registry.entries()],
        decisions=await _decisions(system.database),
        completions=[
            (row["recorded_at"], Completion.model_validate({name: row[name] for name in Completion.model_fields}))
            for row in await rows("select *, nullif(entered_by, '') as by from completions")
        ],
        proposals={
            row["digest"]: Proposal.model_validate_json(row["content"])
            for row in await rows("select digest, content from proposals")
        },
        packs={
            row["digest"]: published_pack(row["content"])
            for row in await rows("select digest, content from policy_packs")
        },
    )


async def _decisions(database: Database) -> dict[UUID, Stored]:
    rows = await database.pool.fetch("select id, envelope, proof from decisions")
    return {
        row["id"]: Stored(
            Envelope.model_validate_json(row["envelope"]), sha256(row["envelope"]), Proof.read(row["proof"])
        )
        for row in rows
    }


def differs(review_id: str, events: Sequence[Event], past: Past) -> str | None:
    """The first entry of a ledger that is not what `decide` says, command after command, on the fold of those before it;
    None if there is none. A refusal does not say which state of the registry it saw: one of that moment must explain it.
    """
    review = Review(id=review_id)
    done = seen = 0
    while done < len(events):
        command, stored = _command(events[done:], past)
        if command is None:
            return f"entry {done + 1}: nothing brought it about: {events[done]}"
        at = events[done].at
        best: tuple[Event, ...] = ()
        first: tuple[Event, ...] | None = None
        for seq, entered_by in _moments(events[done], seen, past):
            said = decide(review, command, past.facts(review, stored, at, seq, entered_by), at)
            first = said if first is None else first
            matches = said == tuple(events[done : done + len(said)])
            if matches and len(said) > len(best):
                best, saw = said, seq
                following = events[done + len(said) :]
                if not following or _command(following, past)[0] is not None:
                    break
        if not best:
            return (
                f"entry {done + 1}: the model says {_brief(first or ())}, the record {_brief(events[done : done + 3])}"
            )
        if isinstance(best[0], Accepted | Moved):
            seen = saw
        for event in best:
            review = evolve(review, event)
        done += len(best)
    return None


def _command(events: Sequence[Event], past: Past) -> tuple[Command | None, Stored | None]:
    """What these entries answer, of which the first is the first of its command: but for a move, which goes before."""
    moved = len(events) > 1 and isinstance(events[0], Moved)
    match events[moved]:
        case Refused(ordinal=int()) as event:
            return TurnAway.model_validate({name: getattr(event, name) for name in TurnAway.model_fields}), None
        case Accepted(envelope=Envelope(decision_id=decision)) | Refused(decision=UUID() as decision):
            stored = past.decisions.get(decision)
            if stored is None:
                return None, None
            return Take(envelope=stored.envelope, digest=stored.digest, proof=stored.proof), stored
        case FellDue(deadline=name) | Reminded(deadline=name):
            return FallDue(deadline=name), None
        case _:
            return None, None


def _moments(event: Event, seen: int, past: Past) -> Iterator[tuple[int, datetime]]:
    """The states of the registers that the commit of this entry may have seen, the likeliest first."""
    if isinstance(event, Accepted) and event.mandate is not None:
        possible = [event.mandate.registry]
    elif isinstance(event, Moved):
        possible = [event.registry]
    else:
        window = past.between(event.at - MOMENT, event.at + MOMENT)
        likely = past.between(event.at, event.at).start
        possible = sorted((seq for seq in window if seq >= seen), key=lambda seq: abs(seq - likely))
    entered = {at for at, _ in past.completions if event.at < at <= event.at + MOMENT}
    for seq in possible:
        for entered_by in (event.at, *sorted(entered)):
            yield seq, entered_by


def _brief(events: Sequence[Event]) -> str:
    said = [
        f"{event.type} ({event.reason}: {event.detail})" if isinstance(event, Refused) else event.type
        for event in events
    ]
    return ", ".join(said) or "nothing"
