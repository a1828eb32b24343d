"""Submitting proposals, deciding about them, and seeing where they stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Response
from structlog.contextvars import bind_contextvars

from activities.ports import Delivery
from api.answers import answer, as_it_stands
from api.away import nothing_taken, taking
from api.description import links
from api.identity import KnownRoute
from api.prefer import Prefer
from api.problems import Conflict, FieldError, Forbidden, Invalid, NotFound, problems
from api.schemas import (
    AnyDecisionIn,
    AssessIn,
    Changes,
    Inbox,
    InboxItemOut,
    ListedOut,
    Me,
    Moment,
    Pending,
    ReviewList,
    ReviewOut,
    SubmissionIn,
    basis_out,
    review_out,
)
from api.services import NO_SUCH_REVIEW, Caller, NamedReview, ReadableReview, Services, TheCaller, TheServices
from domain.access import opening_all
from domain.assessment import AnswersError, Assessment, assess
from domain.certificate import Certificate
from domain.decisions import Receipt, Submission
from domain.drafts import Draft
from domain.entitlement import may_propose
from domain.people import Role
from domain.policy import PolicyPack
from domain.proposal import Proposal, content_digest
from domain.revisions import changes
from domain.values import Digest
from store.decisions import IdReusedError, NoRoleError, NotFoundError, PendingError, StepUpNeededError

router = APIRouter(route_class=KnownRoute)

IdempotencyKey = Annotated[
    UUID | None, Header(alias="Idempotency-Key", description="The decision's id, where the body does not give it.")
]
_NO_SUCH_REVISION = "The review has no revision with this digest."
_NO_SUCH_DECISION = "There is no such decision, or it is not yours to see."
Limit = Annotated[int, Query(ge=1, le=500)]

_ITS_REVIEW = {"review_id": "$response.body#/review"}
_ITSELF = {**_ITS_REVIEW, "decision_id": "$response.body#/decision_id"}
_STORED: dict[int | str, dict[str, Any]] = {
    200: links(
        ("see where it stands", "GET /reviews/{review_id}", _ITS_REVIEW),
        ("decide", "POST /reviews/{review_id}/decisions", _ITS_REVIEW),
        ("read the record", "GET /reviews/{review_id}/timeline", _ITS_REVIEW),
        ("take it along as it was signed", "GET /reviews/{review_id}/decisions/{decision_id}/envelope", _ITSELF),
    ),
    202: {
        "model": Pending,
        "description": "Stored; its receipt is yet to come",
        **links(("ask for the receipt", "GET /reviews/{review_id}/decisions/{decision_id}", _ITSELF)),
    },
}
"""What a decision that was sent is answered, and where that leads."""


@router.get("/me", tags=["people"], summary="Who I am here, and the roles I hold", responses=problems(401, 503))
async def me(caller: TheCaller) -> Me:
    """Who asks, and the roles that they hold now."""
    return Me(person=caller.person, grants=caller.grants)


@router.post(
    "/assessments",
    tags=["reviews"],
    summary="See which route a proposal would take, and why",
    responses=problems(400, 401, 413, 422, 503),
)
async def assess_only(body: AssessIn, services: TheServices) -> Assessment:
    """Assess a proposal without submitting it. Nothing is stored."""
    return _assessed(await _pack(services, body.pack), body.proposal)


@router.post(
    "/reviews",
    tags=["reviews"],
    summary="Submit a proposal",
    response_model=Receipt,
    responses={**_STORED, **problems(400, 401, 403, 409, 413, 422, 503)},
)
async def submit(
    body: SubmissionIn, caller: TheCaller, services: TheServices, prefer: Prefer, key: IdempotencyKey = None
) -> Response:
    """Submit a proposal for review. Stored first: from then on it can't be lost, and repeating it changes nothing."""
    caller.must_hold(Role.OWNER)
    decision_id = _one_id(body.decision_id, key, "/decision_id")
    with taking(decision_id):
        delivery = await _submitted(services, caller, body, decision_id)
    receipt = await services.settle(delivery, prefer.wait)
    return answer(receipt, delivery.decision, delivery.review, prefer.applied)


@router.get("/reviews", tags=["reviews"], summary="List reviews", responses=problems(401, 422, 503))
async def list_reviews(
    caller: TheCaller, services: TheServices, limit: Limit = 50, before: Moment | None = None
) -> ReviewList:
    """The reviews that the caller owns or wrote; for reviewers, officers, training officers and auditors, all of them."""
    if opening_all(caller.standing.grants):
        listed = await services.reviews.all(caller.person, caller.standing, limit, before)
    else:
        listed = await services.reviews.of_proposer(caller.person, limit, before)
    following = listed[-1].submitted_at if len(listed) == limit else None
    return ReviewList(reviews=[ListedOut.model_validate(row) for row in listed], next=following)


@router.get("/reviews/{review_id}", tags=["reviews"], summary="See where a review stands", responses=problems(401, 404))
async def status(review: ReadableReview) -> ReviewOut:
    """What blocks it, whose turn it is, since when; and the digests that decisions about it name."""
    return review_out(review)


@router.get(
    "/reviews/{review_id}/proposal", tags=["reviews"], summary="Read the proposal", responses=problems(401, 404, 422)
)
async def proposal(review: ReadableReview, services: TheServices, digest: Digest | None = None) -> Proposal:
    """The proposal's present revision, or the revision with this digest."""
    wanted = digest or review.content_digest
    if wanted != review.content_digest and wanted not in await services.reviews.revisions(review.id):
        raise NotFound(_NO_SUCH_REVISION)
    found = await services.reviews.proposal(wanted)
    if found is None:
        raise NotFound("The review has no proposal yet.")
    return found


@router.get(
    "/reviews/{review_id}/changes",
    tags=["reviews"],
    summary="See what changed since a revision",
    responses=problems(401, 404, 422),
)
async def changed(review: ReadableReview, services: TheServices, since: Digest) -> Changes:
    """What differs between the revision with this digest and the present one, as JSON pointers into the proposal."""
    known = await services.reviews.revisions(review.id)
    old, new = [await services.reviews.proposal(digest) for digest in (since, review.content_digest)]
    if since not in known or old is None or new is None:
        raise NotFound(_NO_SUCH_REVISION)
    return Changes(
        review=review.id,
        since=len(known) - known[::-1].index(since),
        revision=review.revision,
        digest=review.content_digest,
        changes=changes(old, new),
    )


@router.get(
    "/reviews/{review_id}/assessment", tags=["reviews"], summary="Read the assessment", responses=problems(401, 404)
)
async def assessment(review: ReadableReview, services: TheServices) -> Assessment:
    """The assessment of the present revision: score, tier, what caused it, and the route."""
    found = await services.reviews.proposal(review.content_digest)
    pack = await services.registers.pack_of(review.pack_digest)
    if found is None or pack is None:
        raise NotFound("The review has no assessment yet.")
    return _assessed(pack, found)


@router.post(
    "/reviews/{review_id}/decisions",
    tags=["decisions"],
    summary="Decide",
    response_model=Receipt,
    responses={**_STORED, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
async def decide(
    review_id: NamedReview,
    body: AnyDecisionIn,
    caller: TheCaller,
    services: TheServices,
    prefer: Prefer,
    key: IdempotencyKey = None,
) -> Response:
    """Decide about a review: 200 with the receipt if the process accepts, 409 with the reason if it refuses, 202 and
    where to ask for the receipt if it takes longer than the caller waits. 403 `step_up_required` names the `nonce` to
    sign in again with, what the decision will mean (`meaning`), and where a browser is shown it and does so
    (`authorize`); after that, the same is sent again.
    """
    decision_id = _one_id(body.id, key, "/id")
    with taking(decision_id):
        delivery = await _decided(services, caller, body, body.draft(review_id, decision_id, caller.person))
    receipt = await services.settle(delivery, prefer.wait)
    return answer(receipt, delivery.decision, delivery.review, prefer.applied)


@router.get(
    "/reviews/{review_id}/decisions/{decision_id}",
    tags=["decisions"],
    summary="Ask for a receipt",
    responses={202: {"model": Pending}, **problems(401, 404, 422, 503)},
    response_model=Receipt,
)
async def receipt_of(
    review_id: NamedReview, decision_id: UUID, caller: TheCaller, services: TheServices, prefer: Prefer
) -> Response:
    """What became of a decision; its maker and whoever may read the review may ask."""
    bind_contextvars(decision_id=str(decision_id))
    envelope = await services.decisions.envelope(decision_id)
    if envelope is None or envelope.review != review_id:
        raise NotFound(_NO_SUCH_DECISION)
    if envelope.person != caller.person and not await services.may_read(review_id, caller):
        raise NotFound(_NO_SUCH_DECISION)
    receipt = await services.receipts.wait(decision_id, prefer.wait if prefer.asked else 0)
    return as_it_stands(receipt, decision_id, review_id, prefer.applied)


@router.get(
    "/reviews/{review_id}/certificate",
    tags=["reviews"],
    summary="Read the certificate",
    responses=problems(401, 404),
)
async def certificate(review: ReadableReview) -> Certificate:
    """The certificate of an approved review."""
    if review.certificate is None:
        raise NotFound("The review is not approved, so it has no certificate.")
    return review.certificate


@router.get(
    "/inbox",
    tags=["decisions"],
    summary="See what waits for me",
    responses={
        200: links(
            ("see where the first stands", "GET /reviews/{review_id}", {"review_id": "$response.body#/items/0/review"})
        ),
        **problems(401, 422, 503),
    },
)
async def inbox(caller: TheCaller, services: TheServices, limit: Limit = 100) -> Inbox:
    """What waits for the caller, by role or by name, the most urgent first."""
    items: list[InboxItemOut] = []
    for item in await services.reviews.inbox(caller.person, limit, caller.may_read, caller.roles, caller.reviews):
        review = item.state
        items.append(
            InboxItemOut(
                review=review.id,
                title=item.title,
                turn=item.turn,
                for_person=item.for_person,
                digest=review.content_digest,
                basis=basis_out(review),
            )
        )
    return Inbox(items=items)


async def _submitted(services: Services, caller: Caller, body: SubmissionIn, decision_id: UUID) -> Delivery:
    pack = await _pack(services, body.pack)
    _assessed(pack, body.proposal)
    await _check_documents(services, body.proposal, "/proposal")
    draft = Draft(
        decision_id=decision_id,
        review=body.review or str(decision_id),
        person=caller.person,
        digest=content_digest(body.proposal),
        content=Submission(),
    )
    bind_contextvars(review_id=draft.review, decision_id=str(decision_id))
    if not may_propose(body.proposal, caller.person):
        raise Forbidden("Only its owner or its author submits a proposal.")
    try:
        return await services.decisions.submit(draft, body.proposal, pack.digest)
    except IdReusedError as error:
        await services.report_reused(draft.review, caller, error)
        raise Conflict("This id is taken by another submission.", reason="id_reused") from error
    except NoRoleError as error:
        raise Forbidden("Submitting proposals needs the role owner.") from error


async def _decided(services: Services, caller: Caller, body: AnyDecisionIn, draft: Draft) -> Delivery:
    if body.proposed is not None:
        if not await services.may_read(draft.review, caller):  # or else anybody could ask which documents there are
            raise NotFound(NO_SUCH_REVIEW)
        await _check_documents(services, body.proposed, "/proposal")
    bind_contextvars(decision_id=str(draft.decision_id), kind=draft.content.kind)
    store = partial(services.decisions.store, draft, body.proposed, sees=caller.sees, roles=caller.roles)
    try:
        return await _stored(store, services, body)
    except NotFoundError as error:
        raise NotFound(NO_SUCH_REVIEW) from error
    except NoRoleError as error:
        raise Forbidden("You hold no role for a decision of this kind.") from error
    except PendingError as error:
        detail = "Your decision before has no receipt yet; wait for it."
        raise Conflict(detail, reason="pending") from error
    except IdReusedError as error:
        await services.report_reused(draft.review, caller, error)
        raise Conflict("This id is taken by a decision that says something else.", reason="id_reused") from error


async def _stored(store: Callable[..., Awaitable[Delivery]], services: Services, body: AnyDecisionIn) -> Delivery:
    """Store it; where the route asks for it, with the person's renewed sign-in over the decision as it is stored: whoever
    was asked when it meant something else is asked again.
    """
    renewed = None
    while True:
        try:
            return await store(step_up=renewed)
        except StepUpNeededError as needed:
            with nothing_taken():
                renewed = await services.step_up.over(needed.envelope, body.step_up)


def _one_id(given: UUID | None, key: UUID | None, pointer: str) -> UUID:
    if given is not None and key is not None and given != key:
        raise Invalid.at(FieldError(pointer=pointer, detail="differs from the Idempotency-Key", type="id_mismatch"))
    return given or key or uuid4()


async def _pack(services: Services, name: str) -> PolicyPack:
    pack = await services.registers.pack(name)
    if pack is None:
        raise Invalid.at(FieldError(pointer="/pack", detail="no such policy pack is published", type="unknown_pack"))
    return pack


def _assessed(pack: PolicyPack, given: Proposal) -> Assessment:
    try:
        return assess(pack, given)
    except AnswersError as error:
        raise Invalid.at(
            *(FieldError(pointer=f"/proposal{p.pointer}", detail=p.detail, type="answer") for p in error.problems)
        ) from error


async def _check_documents(services: Services, given: Proposal, at: str) -> None:
    kept = await services.documents.uploaded([document.digest for document in given.documents], given.proposers)
    mistakes: list[FieldError] = []
    for n, document in enumerate(given.documents):
        kind = kept.get(document.digest)
        if kind is None:
            detail = "its owner or author uploaded no such document"
            mistakes.append(FieldError(pointer=f"{at}/documents/{n}/digest", detail=detail, type="missing"))
        elif kind != document.media_type:
            detail = f"it is kept as {kind}"
            mistakes.append(FieldError(pointer=f"{at}/documents/{n}/media_type", detail=detail, type="media_type"))
    if mistakes:
        raise Invalid.at(*mistakes)
