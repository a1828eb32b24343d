"""The Temporal history of a review, readable: every event of every run, payloads decoded, markers explained."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.naming import workflow_id_for

_LONGEST = 4_000
_LARGEST = 512 * 1024
_DEEPEST = 64
_PREFIX = "EVENT_TYPE_"

_WHAT = {
    "WORKFLOW_TASK_SCHEDULED": "There is something for the workflow to look at.",
    "WORKFLOW_TASK_STARTED": "A worker took it up.",
    "WORKFLOW_TASK_COMPLETED": "The worker told what the workflow does next.",
    "WORKFLOW_TASK_FAILED": "The worker could not; it is tried again.",
    "WORKFLOW_TASK_TIMED_OUT": "The worker did not answer in time; it is tried again.",
    "WORKFLOW_EXECUTION_STARTED": "The workflow of this review started.",
    "WORKFLOW_EXECUTION_COMPLETED": "The review has its outcome.",
    "WORKFLOW_EXECUTION_FAILED": "The workflow failed.",
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW": "The workflow goes on in a new run, with its state and its inbox.",
    "WORKFLOW_EXECUTION_CANCEL_REQUESTED": "A client asked Temporal to cancel; the review refuses that on record.",
    "WORKFLOW_EXECUTION_TERMINATED": "An operator terminated the workflow.",
    "TIMER_STARTED": "A timer was set for the next deadline.",
    "TIMER_FIRED": "The timer fired.",
    "TIMER_CANCELED": "The timer was let go.",
    "ACTIVITY_TASK_SCHEDULED": "A commit was scheduled that waits until the database is back.",
    "ACTIVITY_TASK_STARTED": "A worker took up the commit.",
    "ACTIVITY_TASK_COMPLETED": "The commit is done.",
}


@dataclass(frozen=True)
class ReadableEvent:
    """One event: its number over all runs, and what it says."""

    id: int
    run_id: str
    event_id: int
    time: datetime
    type: str
    what: str
    details: dict[str, Any]


async def readable_history(client: Client, review: str, after: int, limit: int) -> list[ReadableEvent] | None:
    """Up to `limit` events after number `after`, over all runs of the review's workflow, in order.

    Returns:
        None if Temporal has no such workflow: not started yet, or past its retention.

    Raises:
        RPCError: Temporal can't be asked.
    """
    events: list[ReadableEvent] = []
    number = 0
    try:
        async for run_id, event in _all_runs(client, workflow_id_for(review)):
            number += 1
            if number <= after:
                continue
            if len(events) == limit:
                break
            events.append(_readable(number, run_id, event))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return events


async def _all_runs(client: Client, workflow_id: str) -> AsyncIterator[tuple[str, HistoryEvent]]:
    """The events of the present chain of runs: back from the latest run,
    since one that was reset has two that follow it.
    """
    latest = await client.get_workflow_handle(workflow_id).describe()
    runs = [latest.run_id]
    while (before := await _run_before(client, workflow_id, runs[0])) is not None:
        runs.insert(0, before)
    for run_id in runs:
        async for event in client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events():
            yield run_id, event


async def _run_before(client: Client, workflow_id: str, run_id: str) -> str | None:
    async for event in client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events(page_size=1):
        return event.workflow_execution_started_event_attributes.continued_execution_run_id or None
    return None


def _readable(number: int, run_id: str, event: HistoryEvent) -> ReadableEvent:
    kind = EventType.Name(event.event_type).removeprefix(_PREFIX)
    attributes = getattr(event, str(event.WhichOneof("attributes")))
    details = _plain(attributes)
    details.pop("header", None)
    summary = _summary(event)
    if summary is not None:
        details["summary"] = summary
    return ReadableEvent(
        id=number,
        run_id=run_id,
        event_id=event.event_id,
        time=event.event_time.ToDatetime(tzinfo=UTC),
        type=kind.lower(),
        what=_what(kind, attributes, details, summary),
        details=details,
    )


def _what(kind: str, attributes: Any, details: dict[str, Any], summary: str | None) -> str:  # noqa: ANN401 - any event
    if kind == "WORKFLOW_EXECUTION_SIGNALED":
        said = details.get("input")
        envelope = said[0] if isinstance(said, list) and len(said) == 1 and isinstance(said[0], dict) else {}
        what = "a decision" if "decision_id" in envelope else "a message"
        who = f" of {envelope['person']}" if "person" in envelope else ""
        return f"A signal named {attributes.signal_name!r} brought {what}{who}."
    if kind == "MARKER_RECORDED":
        events = _committed(details)
        told = "" if events is None else f" put {len(events)} entries on record: {', '.join(events) or 'none'}"
        return f"A commit ({summary or 'of a message'}){told or ' was made'}."
    if kind == "TIMER_STARTED" and summary is not None:
        return f"A timer was set {summary}."
    return _WHAT.get(kind, kind.replace("_", " ").capitalize() + ".")


def _committed(details: dict[str, Any]) -> list[str] | None:
    """The types of the entries that a commit's marker holds, if it holds a result."""
    for value in details.get("details", {}).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and isinstance(item.get("events"), list):
                return [str(event.get("type")) for event in item["events"]]
    return None


def _summary(event: HistoryEvent) -> str | None:
    metadata = event.user_metadata
    return str(_decoded(metadata.summary)) if metadata.HasField("summary") else None


def _plain(message: Any) -> dict[str, Any]:  # noqa: ANN401 - any protobuf message
    """A protobuf message as plain data, each payload in it decoded."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
            result[field.name] = {str(key): _value(inner) for key, inner in value.items()}
        elif field.is_repeated:
            result[field.name] = [_value(inner) for inner in value]
        elif field.enum_type is not None:
            named = field.enum_type.values_by_number.get(value)
            result[field.name] = value if named is None else named.name
        else:
            result[field.name] = _value(value)
    return result


def _value(value: Any) -> Any:  # noqa: ANN401 - any protobuf value
    match value:
        case Payloads():
            return [_decoded(payload) for payload in value.payloads]
        case Payload():
            return _decoded(value)
        case bytes():
            return value.decode(errors="backslashreplace")
        case str() | bool() | int() | float():
            return value
        case _ if value.DESCRIPTOR.full_name.startswith("google.protobuf."):
            return MessageToDict(value)
        case _:
            return _plain(value)


def _decoded(payload: Payload) -> Any:  # noqa: ANN401 - whatever is in it
    """What a payload says: JSON as such, anything else as escaped text; long ones are cut short and say so."""
    if payload.metadata.get("encoding") in (b"json/plain", b"json/protobuf") and len(payload.data) <= _LARGEST:
        try:
            value = json.loads(payload.data)
            json.dumps(value, ensure_ascii=False).encode()  # a surrogate that stands alone can't be answered
            if _within(value, _DEEPEST):
                return value
        except (ValueError, RecursionError):
            pass
    text = payload.data[:_LONGEST].decode(errors="backslashreplace")
    return text if len(payload.data) <= _LONGEST else f"{text}… ({len(payload.data)} bytes)"


def _within(value: Any, depth: int) -> bool:  # noqa: ANN401 - whatever JSON holds
    match value:
        case dict():
            return depth > 0 and all(_within(inner, depth - 1) for inner in value.values())
        case list():
            return depth > 0 and all(_within(inner, depth - 1) for inner in value)
        case _:
            return True
