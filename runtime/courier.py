"""The way of a stored decision to its workflow."""

from __future__ import annotations

from datetime import timedelta

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.naming import workflow_id_for
from activities.ports import Delivery, NotThereError, UndeliverableError
from workflows.messages import StartReview
from workflows.proposal_review import ProposalReview

_PATIENCE = timedelta(seconds=5)


class TemporalCourier:
    """Starts a review's workflow with its submission, and signals it with every other decision, named by its kind."""

    def __init__(self, client: Client, task_queue: str, messages_per_run: int | None = None) -> None:
        self._client = client
        self._task_queue = task_queue
        self._messages_per_run = messages_per_run

    async def deliver(self, delivery: Delivery) -> None:
        """Hand a stored decision to its review.

        Raises:
            UndeliverableError: Temporal can't be reached.
            NotThereError: there is no such workflow (yet, or any more).
        """
        try:
            if delivery.kind == "submission":
                await self._start(delivery.review)
            else:
                await self._signal(delivery)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotThereError(error.message) from error
            raise UndeliverableError(f"{error.status.name}: {error.message}") from error
        except RuntimeError as error:  # a lazy client that can't connect
            raise UndeliverableError(str(error)) from error

    async def restart(self, review: str) -> None:
        """Start a review's workflow, whatever became of the one before; harmless if one runs.

        Raises:
            RPCError: Temporal can't be asked.
        """
        await self._start(review, WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    async def _start(
        self, review: str, reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    ) -> None:
        try:
            await self._client.start_workflow(
                ProposalReview.run,
                StartReview(review=review, messages_per_run=self._messages_per_run),
                id=workflow_id_for(review),
                task_queue=self._task_queue,
                id_reuse_policy=reuse,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=f"Review {review}",
                static_details="Principle review, Advisory Council, training, sign-off. Who decided what is on the ledger.",
                rpc_timeout=_PATIENCE,
            )
        except WorkflowAlreadyStartedError:
            return

    async def _signal(self, delivery: Delivery) -> None:
        payload = Payload(metadata={"encoding": b"json/plain"}, data=delivery.data)
        handle = self._client.get_workflow_handle(workflow_id_for(delivery.review))
        await handle.signal(delivery.kind, RawValue(payload), rpc_timeout=_PATIENCE)
