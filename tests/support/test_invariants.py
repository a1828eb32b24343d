"""A promise that nothing could break promises nothing: each is broken here,
in what is read of a review that keeps them all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
from temporalio.client import Client

from domain.decisions import Question, Reopening
from domain.events import Accepted, Event, Refused
from domain.ledger import GENESIS, append
from tests.conftest import DatabaseUrls, Servers
from tests.support.harness import Harness, assert_no_task_failed_for_good, harness
from tests.support.invariants import (
    Found,
    Told,
    i1_nothing_acknowledged_is_lost,
    i1_nothing_is_doubled,
    i2_everything_applied_is_signed_by_who_might,
    i3_everything_became_what_the_model_says,
    i4_duties_are_separate,
    i5_the_read_model_is_the_fold,
    i6_every_signal_is_settled,
    i7_no_workflow_task_failed,
    i8_every_open_review_has_its_workflow,
    i8_the_doctor_finds_nothing,
    receipts_of,
)
from tests.support.oracle import past_of


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


def rewritten(found: Found, events: Sequence[Event]) -> Found:
    """The record as it would be with these events, and every hash in order."""
    return replace(found, recorded=append(found.review, 0, GENESIS, events))


async def test_every_promise_can_be_broken(system: Harness) -> None:
    async with system.worker():
        review = await system.submit()
        refused = await system.decide(review, "jun.reviewer", Reopening(principle="fairness"), "Nothing is carried.")
        assert refused.status == "refused"
        await system.approve(review)
        await i8_every_open_review_has_its_workflow(system, review)
    record = await system.reviews.record(review)
    assert record is not None
    found = Found(review, *record, await system.registers.registry.entries(), await past_of(system))
    events = found.events
    for promise in (
        i2_everything_applied_is_signed_by_who_might,
        i3_everything_became_what_the_model_says,
        i4_duties_are_separate,
        i5_the_read_model_is_the_fold,
    ):
        assert not list(promise(found))

    entries = {receipt.decision_id: [receipt] for receipt in receipts_of(review, events)}
    told = Told(acknowledged=dict.fromkeys(entries, review))
    assert not list(i1_nothing_acknowledged_is_lost(told, entries))
    told.acknowledged[lost := uuid4()] = review
    assert [str(lost) in problem for problem in i1_nothing_acknowledged_is_lost(told, entries)] == [True]
    told.receipts[refused.decision_id] = {refused}
    assert not list(i1_nothing_is_doubled(told, entries))
    receipt_alone, gone = Told(receipts=told.receipts), {**entries, refused.decision_id: []}
    assert not list(i1_nothing_acknowledged_is_lost(receipt_alone, entries))
    assert [str(refused.decision_id) in each for each in i1_nothing_acknowledged_is_lost(receipt_alone, gone)] == [True]
    told.receipts[refused.decision_id].add(refused.model_copy(update={"seq": 1}))
    assert list(i1_nothing_is_doubled(told, entries))
    assert list(i1_nothing_is_doubled(Told(), {refused.decision_id: [refused, refused]}))

    assert list(i2_everything_applied_is_signed_by_who_might(replace(found, registry=found.registry[:2])))
    assert list(i2_everything_applied_is_signed_by_who_might(replace(found, recorded=found.recorded[:-1])))

    number, refusal = next((n, event) for n, event in enumerate(events) if isinstance(event, Refused))
    other = refusal.model_copy(update={"detail": "Not today."})
    assert list(
        i3_everything_became_what_the_model_says(rewritten(found, (*events[:number], other, *events[number + 1 :])))
    )
    assert list(i3_everything_became_what_the_model_says(rewritten(found, events[:-1])))
    assert list(i3_everything_became_what_the_model_says(rewritten(found, (*events, events[-1]))))

    assert list(i4_duties_are_separate(rewritten(found, [signed_by_the_reviewer(event) for event in events])))
    assert list(i5_the_read_model_is_the_fold(replace(found, rows=found.rows.model_copy(update={"outcome": None}))))


def signed_by_the_reviewer(event: Event) -> Event:
    """The same event, where it is a signature: of whoever reviewed."""
    if not isinstance(event, Accepted) or event.envelope.kind != "signature":
        return event
    return event.model_copy(update={"envelope": event.envelope.model_copy(update={"person": "rin.reviewer"})})


async def test_a_review_whose_workflow_is_gone_is_found(system: Harness) -> None:
    async with system.worker():
        review = await system.submit()
        await system.agrees(review)
        await system.handle(review).terminate()
        with pytest.raises(AssertionError, match="terminated"):
            await i8_every_open_review_has_its_workflow(system, review)


async def test_a_signal_more_or_less_is_found(system: Harness) -> None:
    async with system.worker():
        review = await system.submit()
        await system.approve(review)
        (history,) = runs = await system.histories(review)
        await i6_every_signal_is_settled(system, review, runs)
        signal = next(
            event for event in history if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        )
        for other in ([event for event in history if event is not signal], [*history, signal]):
            with pytest.raises(AssertionError):
                await i6_every_signal_is_settled(system, review, [other])


async def test_a_task_that_failed_is_found(system: Harness) -> None:
    async with system.worker():
        review = await system.submit()
        (history,) = runs = await system.histories(review)
    await i7_no_workflow_task_failed(system, review, runs)
    failed = HistoryEvent(
        event_id=len(history) + 1,
        event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        workflow_task_failed_event_attributes=WorkflowTaskFailedEventAttributes(
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
        ),
    )
    with pytest.raises(AssertionError):
        await i7_no_workflow_task_failed(system, review, [[*history, failed]])


async def test_a_task_that_was_given_up_although_no_worker_was_gone_is_found(system: Harness) -> None:
    async with system.worker():
        review = await system.submit()
        (history,) = await system.histories(review)
    given_up = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    for gone in (0, 1):
        assert_no_task_failed_for_good([*history, *[given_up] * gone], gone=gone)
        with pytest.raises(AssertionError):
            assert_no_task_failed_for_good([*history, *[given_up] * (gone + 1)], gone=gone)
    with pytest.raises(AssertionError):
        await i7_no_workflow_task_failed(system, review, [history, [given_up]])


async def test_what_the_doctor_finds_is_found(system: Harness) -> None:
    async with system.worker(reconcile_seconds=1):
        review = await system.submit()
        await i8_the_doctor_finds_nothing(system)
    await system.store(review, "rin.reviewer", Question(), "Who checks it?")
    await system.database.pool.execute("update decisions set received_at = received_at - interval '5 minutes'")
    with pytest.raises(AssertionError, match="pending"):
        await i8_the_doctor_finds_nothing(system, seconds=0)
