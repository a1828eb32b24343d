"""The auditor's view: the ledger in plain words and as stored, and the workflow's history."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, JsonValue, ValidationError
from temporalio.service import RPCError

from activities.naming import workflow_id_for
from api.identity import KnownRoute
from api.problems import NotFound, Unavailable, problems
from api.services import AuditableReview, ReadableReview, TheServices
from domain import dsse
from domain.ledger import Entry
from domain.narrative import tell
from domain.values import Digest, PersonId, ReviewId
from domain.verification import Evidence
from runtime.history import readable_history
from runtime.witness import workflow_state
from store.states import UnreadableError

router = APIRouter(route_class=KnownRoute, tags=["record"])

After = Annotated[int, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]

_ATTEMPTS = 3


class TimelineEntry(BaseModel):
    """One entry of the ledger in plain words; `hash` is that of its stored bytes."""

    seq: int
    at: datetime
    who: PersonId | None
    for_person: PersonId | None
    role: str | None
    what: str
    said: str | None
    on_digest: Digest | None
    hash: str


class Timeline(BaseModel):
    """A page of a review's ledger; `next` is what to give as `after` for the page after it."""

    review: ReviewId
    entries: list[TimelineEntry]
    next: int | None


class HistoryEvent(BaseModel):
    """One event of the workflow's history; `id` counts over all its runs."""

    id: int
    run_id: str
    event_id: int
    time: datetime
    type: str
    what: str
    details: dict[str, Any]


class History(BaseModel):
    """A page of the workflow's history; `next` is what to give as `after` for the page after it."""

    review: ReviewId
    workflow_id: str
    events: list[HistoryEvent]
    next: int | None


@router.get(
    "/reviews/{review_id}/timeline", summary="Read the ledger in plain words", responses=problems(401, 404, 422, 503)
)
async def timeline(review: ReadableReview, services: TheServices, after: After = 0, limit: Limit = 100) -> Timeline:
    """Every entry in plain words: who, when, what, on which digest."""
    recorded = await services.reviews.entries(review.id, after, limit)
    entries: list[TimelineEntry] = []
    for stored in recorded:
        try:
            event = Entry.model_validate_json(stored.data).event
        except ValidationError as error:
            raise Unavailable(
                f"Entry {stored.seq} of the record can't be read: `ringi audit verify` says what is wrong."
            ) from error
        entries.append(TimelineEntry(seq=stored.seq, at=event.at, hash=stored.hash, **tell(event).model_dump()))
    return Timeline(review=review.id, entries=entries, next=recorded[-1].seq if len(recorded) == limit else None)


@router.get(
    "/reviews/{review_id}/history",
    summary="Read the workflow's history",
    responses=problems(401, 403, 404, 422, 503),
)
async def history(review: AuditableReview, services: TheServices, after: After = 0, limit: Limit = 100) -> History:
    """The Temporal history itself: every event, of every run, payloads decoded."""
    try:
        events = await readable_history(services.temporal, review.id, after, limit)
    except (RPCError, RuntimeError) as error:
        raise Unavailable("Temporal can't be asked now.") from error
    if events is None:
        raise NotFound("Temporal holds no history of this review: not started yet, or past its retention.")
    return History(
        review=review.id,
        workflow_id=workflow_id_for(review.id),
        events=[HistoryEvent(**asdict(event)) for event in events],
        next=events[-1].id if len(events) == limit else None,
    )


@router.get(
    "/reviews/{review_id}/decisions/{decision_id}/envelope",
    summary="Take a decision along as it was signed",
    responses=problems(401, 403, 404, 422, 503),
)
async def signed_envelope(review: AuditableReview, decision_id: UUID, services: TheServices) -> dict[str, JsonValue]:
    """A decision's exact bytes with the service's signatures, as a DSSE envelope in JSON: other tools verify it too."""
    signed = await services.decisions.signed(decision_id, review.id)
    if signed is None:
        raise NotFound("The review has no such decision.")
    data, proof = signed
    return dsse.envelope(dsse.DECISION, data, proof.signatures)


@router.get(
    "/reviews/{review_id}/evidence", summary="Take the whole record along", responses=problems(401, 403, 404, 503)
)
async def evidence(review: AuditableReview, services: TheServices) -> Evidence:
    """The ledger's exact bytes, the read model, the workflow's word, and the texts of the proposals and policy packs that
    the record names, to be checked by whoever takes them.
    """
    for _ in range(_ATTEMPTS):  # the review may move on between the two looks
        workflow = await workflow_state(services.temporal, review.id)
        try:
            record = await services.reviews.record(review.id)
        except ValidationError as error:
            raise UnreadableError(review.id) from error
        if record is None:
            raise NotFound("The review has no record.")
        entries, read_model = record
        if workflow.seq is None or workflow.seq == read_model.seq:
            break
    proposals, packs = await services.reviews.texts(entries)
    return Evidence(
        review=review.id,
        entries=entries,
        read_model=read_model,
        workflow=workflow,
        proposals=proposals,
        packs=packs,
    )
