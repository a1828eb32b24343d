"""How a decision that was handed on is answered: by its receipt, or by where to ask for it."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response
from fastapi.responses import JSONResponse

from api.problems import Conflict
from api.schemas import Pending
from domain.decisions import Receipt
from domain.values import ReviewId


def answer(receipt: Receipt | None, decision_id: UUID, review: ReviewId, headers: dict[str, str]) -> Response:
    """The receipt, or, where there is none yet, where to ask for it.

    Raises:
        Conflict: the process refused it.
    """
    if receipt is not None and receipt.status == "refused":
        raise Conflict(
            receipt.detail,
            refuses=False,
            reason=receipt.reason,
            receipt=receipt.model_dump(mode="json"),
            headers=headers,
        )
    return as_it_stands(receipt, decision_id, review, headers)


def as_it_stands(receipt: Receipt | None, decision_id: UUID, review: ReviewId, headers: dict[str, str]) -> Response:
    """As `answer`; a receipt that says no is a success to who asks for it."""
    if receipt is not None:
        return JSONResponse(receipt.model_dump(mode="json"), headers=headers)
    body = Pending(decision_id=decision_id, review=review)
    location = f"/reviews/{review}/decisions/{decision_id}"
    return JSONResponse(body.model_dump(mode="json"), status_code=202, headers={**headers, "Location": location})
