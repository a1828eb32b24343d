"""What other systems are told of an entry of the ledger: a CloudEvent (1.0, JSON) that names it and quotes nothing.

Who receives it and may read the review asks the API, with rights of their own.
"""

from __future__ import annotations

from typing import get_args
from uuid import UUID, uuid5

from pydantic import JsonValue

from domain.canonical import canonical_bytes
from domain.events import Accepted, Closed, Event, Refused
from domain.values import Digest, ReviewId

TYPE_PREFIX = "ringi.review."

ENTRIES: tuple[str, ...] = tuple(kind.model_fields["type"].default for kind in get_args(get_args(Event)[0]))
"""The types of entry that a webhook can ask for."""

_ENTRIES = UUID("5f0a4c52-7d0e-5c0b-9a51-3f1d6f6a8e10")


def event_id(review: ReviewId, seq: int) -> str:
    """The id of the event of an entry: however often it is told, this is it. Without a full stop, which a signature of
    Standard Webhooks takes for the end of it.
    """
    return str(uuid5(_ENTRIES, f"{review}/{seq}"))


def cloud_event(source: str, review: ReviewId, seq: int, entry_hash: Digest, event: Event) -> bytes:
    """The event of an entry, in the very same bytes whenever it is asked for."""
    data: dict[str, JsonValue] = {"review": review, "seq": seq, "hash": entry_hash}
    match event:
        case Accepted(envelope=envelope):
            data |= {"decision": str(envelope.decision_id), "kind": envelope.kind}
        case Refused(decision=decision) if decision is not None:
            data |= {"decision": str(decision), "kind": event.kind, "reason": event.reason}
        case Refused():
            data |= {"reason": event.reason}
        case Closed():
            data |= {"outcome": event.outcome}
        case _:
            pass
    return canonical_bytes(
        {
            "specversion": "1.0",
            "id": event_id(review, seq),
            "source": source,
            "type": TYPE_PREFIX + event.type,
            "subject": review,
            "time": event.model_dump(mode="json", include={"at"})["at"],
            "datacontenttype": "application/json",
            "data": data,
        }
    )
