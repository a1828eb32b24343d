"""The sandbox that workflows run in, spared from answering the same question for each payload."""

from __future__ import annotations

from typing import Any

from temporalio.converter import SerializationContext, StorageDriverStoreContext, WorkflowSerializationContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info


class OneContextRunner(SandboxedWorkflowRunner):
    """Runs workflows sandboxed, and tells the converter one context for all payloads of a workflow: its namespace and id.

    The SDK, as of temporalio 1.35.0, asks inside the sandbox for the context of each payload, which costs the worker a
    sixth of its time; once it asks outside, or only those that use a context, this can go. Our converter knows no
    context; a codec that comes to use one must be content with the workflow's id for its activities' payloads too.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """A sandboxed instance that answers from outside the sandbox."""
        return _OneContext(super().create_instance(det))


class _OneContext(WorkflowInstance):
    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed
        info = sandboxed.get_info()
        self._context = WorkflowSerializationContext(namespace=info.namespace, workflow_id=info.workflow_id)
        self._store: StorageDriverStoreContext | None = None

    def activate(self, act: Any) -> Any:  # noqa: ANN401 - protobuf messages of the SDK's own
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: object) -> SerializationContext:  # noqa: ARG002 - one answer for all
        return self._context

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:  # noqa: ARG002 - one answer for all
        if self._store is None:
            self._store = self._sandboxed.get_external_store_context(None)
        return self._store

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()
