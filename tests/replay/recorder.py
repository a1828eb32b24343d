"""What a workflow asks of Temporal, command by command: recorded when a history is made, and compared when it is
replayed.

Temporal's own replay compares the kinds of commands and their order. It does not look at their arguments, and those of
a local activity are not in the history at all. So this records them as they leave the workflow, beneath every
interceptor: activities and local activities, timers, continue-as-new, the result; with their timeouts and summaries.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, cast

from google.protobuf.json_format import MessageToDict
from pydantic import JsonValue
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

NOT_IN_HISTORIES = "respondToQuery"
"""The one thing a workflow hands over that is no command: nothing of it is kept, and a replay asks nothing."""

OWN_TASK_QUEUE = "the workflow's own"


class Recorder(SimplePlugin):
    """A plugin that records the commands of every run, around whatever runner the plugins before it have chosen."""

    def __init__(self) -> None:
        super().__init__("recorder", workflow_runner=self._around)
        self._runs: dict[str, list[JsonValue]] = {}

    def commands(self, run_id: str) -> list[JsonValue]:
        """The commands of a run in their order, with canonical arguments; none if it never ran here."""
        return self._runs.get(run_id, [])

    def _around(self, runner: WorkflowRunner | None) -> WorkflowRunner:
        if runner is None:
            raise ValueError("the recorder comes after the plugin that chooses the runner")
        return _RecordingRunner(runner, self._runs)


class _RecordingRunner(WorkflowRunner):
    def __init__(self, runner: WorkflowRunner, runs: dict[str, list[JsonValue]]) -> None:
        self._runner = runner
        self._runs = runs

    def prepare_workflow(self, defn: Any) -> None:
        self._runner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._runner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        # An instance begins at the beginning of its run, so what an earlier one of the same run did is told again.
        commands = self._runs[det.info.run_id] = []
        return _RecordingInstance(self._runner.create_instance(det), det.info.task_queue, commands)


class _RecordingInstance(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance, task_queue: str, commands: list[JsonValue]) -> None:
        self._instance = instance
        self._task_queue = task_queue
        self._commands = commands

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = self._instance.activate(act)
        for command in completion.successful.commands:
            plain = MessageToDict(command)
            if NOT_IN_HISTORIES not in plain:
                self._commands.append(_canonical(without_stack_traces(plain), self._task_queue))
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


def without_stack_traces(value: JsonValue) -> JsonValue:
    """The value without the stack traces in it: they tell of a machine and of line numbers, and decide nothing."""
    match value:
        case dict():
            return {name: without_stack_traces(inner) for name, inner in value.items() if name != "stackTrace"}
        case list():
            return [without_stack_traces(inner) for inner in value]
        case _:
            return value


def _canonical(value: JsonValue, task_queue: str) -> JsonValue:
    """The value with every payload in it opened, so that arguments are compared as what they say; and with the
    workflow's own task queue called the same everywhere: a replay has another.
    """
    match value:
        case {"metadata": {"encoding": str(), **_rest}, "data": str(data)}:
            return cast("JsonValue", json.loads(base64.b64decode(data)))
        case dict():
            return {
                name: OWN_TASK_QUEUE if (name, inner) == ("taskQueue", task_queue) else _canonical(inner, task_queue)
                for name, inner in value.items()
            }
        case list():
            return [_canonical(inner, task_queue) for inner in value]
        case _:
            return value
