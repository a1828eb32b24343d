"""Documents: kept under their digests, and read by those who judge a proposal that names them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from api.bodies import DocumentRoute, body_of, media_type_of
from api.description import links
from api.problems import ContentTooLarge, FieldError, Invalid, NotFound, problems
from api.services import Caller, Services, TheCaller, TheServices
from domain.people import Role
from domain.values import Digest, ReviewId

router = APIRouter(route_class=DocumentRoute, tags=["documents"])

KINDS = (
    "application/pdf",
    "text/plain",
    "text/markdown",
    "text/csv",
    "application/json",
    "image/png",
    "image/jpeg",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
)
"""The kinds of document that are kept: none that a browser would run."""

_NO_SUCH_DOCUMENT = "There is no such document, or it is not yours to see."


class DocumentOut(BaseModel):
    """A document that is kept; `digest` is its address, `media_type` the kind that its first uploader gave it."""

    digest: Digest
    media_type: str
    size: int


@router.post(
    "/documents",
    status_code=201,
    summary="Upload a document",
    openapi_extra=body_of(*KINDS),
    responses={
        201: links(("download it", "GET /documents/{digest}", {"digest": "$response.body#/digest"})),
        **problems(401, 403, 413, 415, 422, 503),
    },
)
async def upload(request: Request, response: Response, caller: TheCaller, services: TheServices) -> DocumentOut:
    """Keep a document. Its address is its digest; a proposal names it by that."""
    caller.must_hold(Role.OWNER)
    media_type = media_type_of(request, *KINDS)
    content = await request.body()
    if not content:
        raise Invalid.at(FieldError(pointer="", detail="the document is empty", type="empty"))
    if len(content) > services.settings.document_max_bytes:
        limit = services.settings.document_max_bytes
        raise ContentTooLarge(f"A document has at most {limit} bytes.", limit=limit)
    digest = await services.documents.keep(content, media_type, caller.person)
    kept = await services.documents.uploaded([digest], [caller.person])
    response.headers["Location"] = f"/documents/{digest}"
    return DocumentOut(digest=digest, media_type=kept[digest], size=len(content))


@router.get(
    "/documents/{digest}",
    summary="Download a document",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in KINDS}}, **problems(401, 404, 422, 503)},
)
async def download(
    digest: Digest, caller: TheCaller, services: TheServices, review: Annotated[ReviewId | None, Query()] = None
) -> Response:
    """A document, for who uploaded it, and for whoever may read `review`, if a revision of that proposal names it."""
    document = await services.documents.at(digest)
    if document is None:
        raise NotFound(_NO_SUCH_DOCUMENT)
    own = caller.reviews is None and caller.person in document.uploaded_by
    if not own and not await _judges(services, caller, review, digest):
        raise NotFound(_NO_SUCH_DOCUMENT)
    headers = {
        "Content-Disposition": f'attachment; filename="{digest[:16]}"',
        "ETag": f'"{digest}"',
        "Content-Security-Policy": "sandbox",
    }
    return Response(document.content, media_type=document.media_type, headers=headers)


async def _judges(services: Services, caller: Caller, review_id: str | None, digest: Digest) -> bool:
    if review_id is None or not await services.may_read(review_id, caller):
        return False
    return await services.reviews.names_document(review_id, digest)
