"""What stands between Temporal and a workflow: a client's cancel becomes a message."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, runtime_checkable

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


@runtime_checkable
class TakesCancelRequests(Protocol):
    """A workflow that is not cancelled from outside, but told that somebody asked for it."""

    def cancel_requested(self, why: str) -> None:
        """Somebody asked."""


class CancelIsAMessage(Interceptor):
    """Lets a workflow that takes cancel requests run on, and tells it."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        """The interceptor that each run gets."""
        return _CancelIsAMessage


class _CancelIsAMessage(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002, ANN401 - the SDK's signature
        instance = workflow.instance()
        if not isinstance(instance, TakesCancelRequests):
            return await self.next.execute_workflow(input)
        process = asyncio.create_task(self.next.execute_workflow(input))
        while True:
            try:
                return await asyncio.shield(process)
            except asyncio.CancelledError:
                if process.done():  # the run is being put away, not cancelled by a client
                    raise
                instance.cancel_requested(workflow.cancellation_reason() or "no reason given")
