"""What has to hold whatever was done to the system, each promise once: storms and the model test end with all of them.

A promise says where it is broken, a sentence for each place; nothing, where it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from temporalio.api.history.v1 import HistoryEvent

from activities.reconciler import look_at
from domain.canonical import canonical_bytes
from domain.decisions import (
    AdviceResponse,
    Conflict,
    Declining,
    NoOpinion,
    Opinion,
    Receipt,
    Recusal,
    Reopening,
    Ruling,
    Signature,
    VerdictSheet,
)
from domain.events import Accepted, Assessed, Event, Lapsed, Refused
from domain.ledger import Entry, Recorded, Settlement
from domain.people import Role
from domain.reconciliation import differences
from domain.registry import RecordedEntry
from domain.review import fold
from domain.separation import JUDGING, PROPOSING
from domain.verification import Evidence, ReadModel, WorkflowState, read_model, verify
from runtime.doctor import Doctor
from tests.support.harness import Account, Harness
from tests.support.oracle import Past, differs, past_of

T = TypeVar("T")
Problems = Iterator[str]
Runs = Sequence[Sequence[HistoryEvent]]


@dataclass(frozen=True)
class Told:
    """What people were told: the review of each decision that was acknowledged, and every receipt that was given."""

    acknowledged: dict[UUID, str] = field(default_factory=dict)
    receipts: dict[UUID, set[Receipt]] = field(default_factory=lambda: defaultdict(set))


@dataclass(frozen=True)
class Found:
    """A review as it is found: its record, what the read model says of it, and the registers as they were."""

    review: str
    recorded: tuple[Recorded, ...]
    rows: ReadModel
    registry: tuple[RecordedEntry, ...]
    past: Past

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened to it."""
        return tuple(Entry.model_validate_json(entry.data).event for entry in self.recorded)


@dataclass(frozen=True)
class Kept:
    """What became of the promises: acknowledged decisions that are `lost`, those that were `doubled`, and whatever else
    was not kept; and the account of every review whose signals are accounted for.
    """

    lost: list[str]
    doubled: list[str]
    problems: list[str]
    accounts: list[Account]


async def kept(
    system: Harness, reviews: Sequence[str], told: Told, *, stuck: Sequence[str] = (), gone: int = 0
) -> Kept:
    """Hold everything that is known of these reviews against every promise; of those that are `stuck`, the record alone.
    So many times, a worker was `gone`.
    """
    problems: list[str] = []
    accounts: list[Account] = []

    async def ask(promise: str, review: str, answer: Awaitable[T]) -> T | None:
        try:
            return await answer
        except (AssertionError, RuntimeError, TimeoutError) as error:
            problems.append(f"{promise}: {review}: {error}"[:2000])
            return None

    for review in (review for review in reviews if review not in stuck):
        runs = await system.histories(review)
        await ask("I8", review, i8_every_open_review_has_its_workflow(system, review))
        await ask("I7", review, i7_no_workflow_task_failed(system, review, runs, gone=gone))
        account = await ask("I6", review, i6_every_signal_is_settled(system, review, runs))
        accounts += [] if account is None else [account]
    await ask("I8", "all", i8_the_doctor_finds_nothing(system))

    past, registry = await past_of(system), await system.registers.registry.entries()
    entries: dict[UUID, list[Receipt]] = defaultdict(list)
    for review in reviews:
        record = await system.reviews.record(review)
        found = None if record is None else Found(review, *record, registry, past)
        if found is None:
            continue
        for receipt in receipts_of(review, found.events):
            entries[receipt.decision_id].append(receipt)
        for name, promise in OF_THE_RECORD.items():
            problems += [f"{name}: {review}: {problem}" for problem in promise(found)]
    return Kept(
        lost=list(i1_nothing_acknowledged_is_lost(told, entries)),
        doubled=list(i1_nothing_is_doubled(told, entries)),
        problems=problems,
        accounts=accounts,
    )


def i1_nothing_acknowledged_is_lost(told: Told, entries: Mapping[UUID, Sequence[Receipt]]) -> Problems:
    """What was acknowledged, by a receipt at the least, stands on the ledger of its review: a refused one, too."""
    given = {decision: receipt.review for decision, receipts in told.receipts.items() for receipt in receipts}
    for decision, review in {**given, **told.acknowledged}.items():
        if [entry.review for entry in entries.get(decision, ())] != [review]:
            yield f"{review}: {decision} is on the ledger {len(entries.get(decision, ()))} times"


def i1_nothing_is_doubled(told: Told, entries: Mapping[UUID, Sequence[Receipt]]) -> Problems:
    """Of every decision there is one entry at most, and everybody was given the one receipt that it says."""
    for decision in {*told.receipts, *entries}:
        receipts = told.receipts.get(decision, set()) | set(entries.get(decision, ()))
        if len(receipts) > 1 or len(entries.get(decision, ())) > 1:
            yield f"{decision}: {len(entries.get(decision, ()))} entries, {len(receipts)} different receipts"


def i2_everything_applied_is_signed_by_who_might(found: Found) -> Problems:
    """The chain holds; every applied decision bears the signature of a key in force, and a renewed sign-in where the
    route asks for it, and was made under a role that the registry says its maker held: what an auditor checks offline.
    """
    alone = WorkflowState(status="gone")
    evidence = Evidence(
        review=found.review,
        entries=found.recorded,
        read_model=found.rows,
        workflow=alone,
        proposals=tuple(canonical_bytes(proposal).decode() for proposal in found.past.proposals.values()),
        packs=tuple(canonical_bytes(pack).decode() for pack in found.past.packs.values()),
    )
    difference = verify(evidence, found.registry).difference
    if difference is not None:
        yield difference


def i3_everything_became_what_the_model_says(found: Found) -> Problems:
    """Each entry is what `decide` says on the fold of those before it: accepted or refused, for the same reason, with the
    same consequences, up to the outcome.
    """
    difference = differs(found.review, found.events, found.past)
    if difference is not None:
        yield difference


def i4_duties_are_separate(found: Found) -> Problems:
    """Told from the record alone, not by the rules' own words: nobody judges what they propose, staff or stepped aside
    from, nobody both reviews, advises, rules and signs, and no two signatures are one person's.
    """
    proposed: set[str] = set()
    judged: set[str] = set()
    aside: set[str] = set()
    parts: dict[str, set[str]] = defaultdict(set)
    signed: set[str] = set()
    for number, event in enumerate(found.events, start=1):
        match event:
            case Assessed(subject=subject):
                proposed |= {subject.owner, subject.author, *(member.person for member in subject.staff)}
                signed.clear()
            case Lapsed():
                signed.clear()
            case Accepted(envelope=envelope, mandate=mandate) if envelope.role is not Role.SERVICE:
                people = {envelope.person, *(() if mandate is None else (mandate.grant.person,))}
                part = _part(event)
                elsewhere = {person for other, who in parts.items() if part and other != part for person in who}
                wrong: set[str] = set()
                if envelope.kind in JUDGING:
                    wrong = people & (proposed | aside | elsewhere)
                    judged |= people
                elif envelope.kind in PROPOSING:
                    wrong = people & judged
                    proposed |= people
                if part == "signs":
                    wrong |= people & signed
                    signed |= people
                elif part is not None:
                    parts[part] |= people
                if wrong:
                    yield f"entry {number}: {envelope.kind} of {', '.join(sorted(wrong))}, who had another part in it"
                if isinstance(envelope.content, Recusal | Conflict):
                    aside.add(envelope.person)
            case _:
                pass


def i5_the_read_model_is_the_fold(found: Found) -> Problems:
    """What lists, inboxes, states and receipts say is what the ledger, folded anew, amounts to."""
    rebuilt = read_model(fold(found.review, found.events), found.recorded[-1].hash if found.recorded else "0" * 64)
    told = (receipt.model_dump(exclude={"review"}) for receipt in receipts_of(found.review, found.events))
    receipts = tuple(Settlement(decision=each.pop("decision_id"), **each) for each in told)
    rebuilt = rebuilt.model_copy(update={"receipts": receipts})
    for name in ReadModel.model_fields:
        stored, folded = getattr(found.rows, name), getattr(rebuilt, name)
        if stored != folded and not (name == "heading" and folded is None):
            yield f"{name} is {stored}, and the fold says {folded}"


OF_THE_RECORD: dict[str, Callable[[Found], Problems]] = {
    "I2": i2_everything_applied_is_signed_by_who_might,
    "I3": i3_everything_became_what_the_model_says,
    "I4": i4_duties_are_separate,
    "I5": i5_the_read_model_is_the_fold,
}
"""The promises that one review's record and the registers keep, or not."""


async def i6_every_signal_is_settled(system: Harness, review: str, runs: Runs) -> Account:
    """In all histories together: as many signals as were accepted, refused and repeated, and each of them on record."""
    return await system.account_of(review, runs)


async def i7_no_workflow_task_failed(system: Harness, review: str, runs: Runs, *, gone: int = 0) -> None:
    """No task of a workflow failed, but where another signal came in, none was given up but for a worker that was gone,
    and every run replays: none is wedged, or was.
    """
    await system.replays(review, runs, gone=gone)


async def i8_every_open_review_has_its_workflow(system: Harness, review: str) -> None:
    """It has seen every entry and folds them to the same; and a closed review's has come to its end."""
    await system.agrees(review, seconds=30)
    if (await system.state(review)).closed:
        await asyncio.wait_for(system.handle(review).result(), 30)
    look = (await look_at(review, system.book, system.witness)).expecting()
    found = differences(look, await system.book.known(review))
    assert not found, found


async def i8_the_doctor_finds_nothing(system: Harness, *, seconds: float = 60) -> None:
    """Once it is quiet, nothing is pending for long, and the reconciler, having gone round, has nothing to say."""
    doctor = Doctor(system.database, system.decisions, system.book, system.client, system.task_queue, {})
    end = time.monotonic() + seconds
    while not (said := await doctor.examine()).well:
        assert time.monotonic() < end, said
        await asyncio.sleep(1)


def receipts_of(review: str, events: Sequence[Event]) -> Iterator[Receipt]:
    """What the ledger says became of each decision."""
    for seq, event in enumerate(events, start=1):
        match event:
            case Accepted(envelope=envelope, at=at):
                yield Receipt(decision_id=envelope.decision_id, review=review, status="accepted", seq=seq, at=at)
            case Refused(ordinal=None, decision=UUID() as decision, reason=reason, detail=detail, at=at):
                yield Receipt(
                    decision_id=decision,
                    review=review,
                    status="refused",
                    reason=reason,
                    detail=detail,
                    seq=seq,
                    at=at,
                )
            case _:
                pass


def _part(event: Accepted) -> str | None:
    """The part in a review that excludes every other one, if this gives somebody one."""
    match event.envelope.content:
        case VerdictSheet() | Reopening():
            return "reviews"
        case Opinion():
            return "advises"
        case Ruling() | AdviceResponse() | NoOpinion():
            return "rules"
        case Signature() | Declining():
            return "signs"
        case _:
            return None
