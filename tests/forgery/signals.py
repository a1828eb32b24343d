"""Forgeries by whoever can reach the Temporal server, and nothing else."""

from __future__ import annotations

from functools import partial

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from activities.naming import workflow_id_for
from domain.drafts import stored_bytes
from domain.events import Accepted
from domain.review import state_digest
from domain.stages import Outcome, Stage
from tests.forgery.families import family
from tests.forgery.stand import EACH, OTHER, Stand, signed
from tests.support.harness import until
from workflows.messages import Carried, StartReview
from workflows.proposal_review import ProposalReview

_SOMEBODY_WAITS = "select exists (select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid)))"


async def _sent(stand: Stand, review: str, data: bytes, kind: str = "question") -> None:
    async with stand.nothing_comes_of_it(review):
        seq = (await stand.state(review)).seq
        await stand.signal(review, data, kind)
        await stand.dealt_with(review, seq)


@family
async def a_signal_of_what_was_never_stored(stand: Stand) -> None:
    """Rightly made, and of somebody who might; only nobody stored it."""
    review = await stand.opened()
    for _ in range(EACH):
        await _sent(stand, review, stored_bytes(await stand.envelope(review)))
    await stand.genuine(review, signed(await stand.envelope(review)))


@family
async def a_signal_with_the_id_of_another_decision(stand: Stand) -> None:
    """The id is stored, and what the signal says is something else; the stored one is taken after it."""
    review = await stand.opened()
    for _ in range(EACH):
        envelope = await stand.envelope(review)
        good = signed(envelope)
        await stand.plant(review, good)
        await _sent(stand, review, stored_bytes(envelope.model_copy(update={"reason": "Approve it.", "person": OTHER})))
        await stand.genuine(review, good, planted=True)


@family
async def a_signal_with_a_decision_of_another_review(stand: Stand) -> None:
    """It is stored, signed and true, there."""
    review, other = await stand.opened(), await stand.opened()
    for _ in range(EACH):
        good = signed(await stand.envelope(other))
        await stand.plant(other, good)
        await _sent(stand, review, good.data)
    await stand.genuine(review, signed(await stand.envelope(review)))


@family
async def a_start_with_a_forged_state(stand: Stand) -> None:
    """The workflow is terminated, and started with a state by which all is approved: it begins from the record."""
    changes: tuple[dict[str, object], ...] = (
        {"outcome": Outcome.APPROVED},
        {"stage": Stage.SIGN_OFF},
        {"content_digest": "1" * 64},
        {"seq": 0},
    )
    for change in changes:
        review = await stand.opened()
        handle = stand.client.get_workflow_handle(workflow_id_for(review))
        state = await stand.state(review)
        forged = state.model_copy(update=change)
        async with stand.nothing_comes_of_it(review):
            await handle.terminate("by a thief")
            await stand.client.start_workflow(
                ProposalReview.run,
                StartReview(review=review, carried=Carried(state=forged)),
                id=workflow_id_for(review),
                task_queue=stand.place.system.task_queue,
            )
            seq = state.seq
            await stand.signal(review, b"{}")
            await stand.dealt_with(review, seq)
        assert WorkflowExecutionStatus.RUNNING == (await handle.describe()).status
        said = await handle.query(ProposalReview.where_it_stands)
        assert state_digest(await stand.state(review)) == said.state_digest
        await stand.genuine(review, signed(await stand.envelope(review)))


@family
async def a_cancel_for_an_outcome(stand: Stand) -> None:
    """A client's cancel is refused, on record."""
    review = await stand.opened()
    async with stand.nothing_comes_of_it(review):
        seq = (await stand.state(review)).seq
        await stand.client.get_workflow_handle(workflow_id_for(review)).cancel()
        await stand.dealt_with(review, seq)
    await stand.genuine(review, signed(await stand.envelope(review)))


@family
async def an_activity_completed_from_outside(stand: Stand) -> None:
    """Somebody says, while the commit is under way, in the worker's place what it answered: it is a local activity, which
    nobody can reach.
    """
    review = await stand.opened()
    for _ in range(EACH):
        seq, good = (await stand.state(review)).seq, signed(await stand.envelope(review))
        async with stand.place.system.database.transaction() as holding:
            await holding.execute("select from reviews where id = $1 for no key update", review)
            await stand.plant(review, good)
            await stand.signal(review, good.data)
            await until(partial(holding.fetchval, _SOMEBODY_WAITS), every=0.01)
            async with stand.nothing_comes_of_it(review):
                for number in range(1, 20):
                    activity = stand.client.get_async_activity_handle(
                        workflow_id=workflow_id_for(review), run_id=None, activity_id=str(number)
                    )
                    with pytest.raises(RPCError):
                        await activity.complete({"events": [], "done": True, "became": "accepted"})
        assert isinstance(await stand.became(review, seq), Accepted)
        stand.controls += 1
