"""What Temporal has of reviews: what runs, and what the workflow itself says."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import TypeVar

from pydantic import TypeAdapter
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.naming import workflow_id_for
from domain.reconciliation import Sighting, Word
from domain.values import ReviewId
from domain.verification import WorkflowState
from workflows.messages import Result, WhereItStands
from workflows.proposal_review import ProposalReview

_PATIENCE = timedelta(seconds=5)

_PATIENCE_WITH_MANY = timedelta(seconds=20)
"""The same for a page of a list, or of a history."""

_NO_ANSWER = (WorkflowQueryFailedError, RuntimeError, ValueError, KeyError)
"""No worker answers, or one that can't go on with it, or one whose answer is none of ours."""

_UNKNOWN = (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT)
"""Temporal has no such run, or there can be none of that name."""

_PREFIX = workflow_id_for("")

_ID: TypeAdapter[ReviewId] = TypeAdapter(ReviewId)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class TemporalWitness:
    """What Temporal has of the reviews whose workflows the workers of a task queue run."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def running(self) -> Mapping[str, str]:
        """The reviews whose workflows run, as far as Visibility knows by now, with the runs that they are in."""
        queue = self._task_queue.replace("'", "''")
        query = f"WorkflowType = '{ProposalReview.__name__}' AND TaskQueue = '{queue}' AND ExecutionStatus = 'Running'"
        found: dict[str, str] = {}
        async for execution in self._client.list_workflows(query, page_size=1000, rpc_timeout=_PATIENCE_WITH_MANY):
            if not execution.id.startswith(_PREFIX):
                continue
            try:
                review = _ID.validate_python(execution.id.removeprefix(_PREFIX))
            except ValueError:  # whoever reaches Temporal can start one under any id
                _log.error("a workflow runs under an id that is no review's", extra={"run_id": execution.run_id})
            else:
                found[review] = execution.run_id
        return found

    async def sighting(self, review: str) -> Sighting:
        """What is there under the id of this review's workflow.

        Raises:
            RPCError: Temporal can't be asked.
        """
        try:
            found = await self._client.get_workflow_handle(workflow_id_for(review)).describe(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Sighting(status="nothing")
            raise
        runs = found.status is WorkflowExecutionStatus.RUNNING
        ours = (found.workflow_type, found.task_queue) == (ProposalReview.__name__, self._task_queue)
        return Sighting(
            status="running" if runs else "ended",
            how=_how(found),
            run=found.run_id,
            ours=ours,
            reset=found.raw_description.workflow_extended_info.HasField("last_reset_time"),
        )

    async def word(self, review: str) -> Word | None:
        """What the workflow says, and how many signals its history holds. The history of earlier runs is what the run
        was told of it; that of its own is counted.

        Raises:
            RPCError: Temporal can't be asked.
        """
        stands = await self._stands(review)
        found = None if stands is None else await self._signals(review, stands.run)
        if stands is None or found is None:
            return None
        in_history = stands.earlier + found
        if in_history > stands.tally.signals:  # those that came between the two answers are not missed
            before, stands = stands, await self._stands(review)
            if stands is None:
                return None
            in_history = max(in_history, stands.tally.signals) if stands.run == before.run else stands.tally.signals
        tally = stands.tally
        return Word(
            run=stands.run,
            chain=stands.chain,
            seq=stands.seq,
            state_digest=stands.state_digest,
            signals=tally.signals,
            unsettled=tally.signals - tally.accepted - tally.refused - tally.repeated,
            in_history=in_history,
        )

    async def knows(self, workflow_id: str, run_id: str) -> bool:
        """Whether Temporal knows this run.

        Raises:
            RPCError: Temporal can't be asked.
        """
        try:
            await self._client.get_workflow_handle(workflow_id, run_id=run_id).describe(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _stands(self, review: str) -> WhereItStands | None:
        handle = self._client.get_workflow_handle_for(ProposalReview.run, workflow_id_for(review))
        try:
            return await _where_it_stands(handle)
        except (RPCError, *_NO_ANSWER):
            return None

    async def _signals(self, review: str, run: str) -> int | None:
        """How many are in the history of this run; None if the workflow only says that it is in it."""
        handle = self._client.get_workflow_handle(workflow_id_for(review), run_id=run)
        signaled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        try:
            return sum(
                [
                    event.event_type == signaled
                    async for event in handle.fetch_history_events(rpc_timeout=_PATIENCE_WITH_MANY)
                ]
            )
        except RPCError as error:
            if error.status in _UNKNOWN:
                return None
            raise


async def workflow_state(client: Client, review: str) -> WorkflowState:
    """Ask the workflow of a review what it has seen: of one that completed, its result tells; one that runs needs a
    running worker to answer.
    """
    handle = client.get_workflow_handle_for(ProposalReview.run, workflow_id_for(review))
    try:
        description = await handle.describe(rpc_timeout=_PATIENCE)
        if description.status not in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED):
            return WorkflowState(status="ended", detail=_how(description))
        if description.status is WorkflowExecutionStatus.COMPLETED:
            return await _finished(handle)
        stands = await _where_it_stands(handle)
    except RPCError as error:
        gone = error.status is RPCStatusCode.NOT_FOUND
        return WorkflowState(status="gone" if gone else "unreachable", detail=error.status.name)
    except _NO_ANSWER as error:
        return WorkflowState(status="unreachable", detail=type(error).__name__)
    return WorkflowState(status="answered", seq=stands.seq, state_digest=stands.state_digest)


async def _where_it_stands(handle: WorkflowHandle[ProposalReview, Result]) -> WhereItStands:
    return await _ours(handle.query(ProposalReview.where_it_stands, rpc_timeout=_PATIENCE), WhereItStands)


async def _finished(handle: WorkflowHandle[ProposalReview, Result]) -> WorkflowState:
    try:
        result = await _ours(handle.result(rpc_timeout=_PATIENCE), Result)
    except _NO_ANSWER as error:  # what it ended with was not written by our workflow
        return WorkflowState(status="finished", detail=type(error).__name__)
    return WorkflowState(status="finished", seq=result.seq, state_digest=result.state_digest)


async def _ours(asked: Awaitable[object], kind: type[T]) -> T:
    """The answer. Raises ValueError where it is something else: a payload can name a type of its own, or be empty."""
    answer = await asked
    if not isinstance(answer, kind):
        raise ValueError(f"the answer is no {kind.__name__}")  # noqa: TRY004 - it came from outside
    return answer


def _how(found: WorkflowExecutionDescription) -> str:
    return "unknown" if found.status is None else found.status.name.lower().replace("_", " ")
