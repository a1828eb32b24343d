"""Reviews as they stand, read from the rows of the read model."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import asyncpg

from domain.state import Review
from domain.values import ReviewId

_log = logging.getLogger(__name__)


def readable(rows: Iterable[asyncpg.Record]) -> dict[ReviewId, Review]:
    """The reviews of these rows (`id` and `state`) by their ids; one that was not opened yet is empty.

    One whose state makes no sense is left out, and logged: it holds up no other, and the reconciler tells of it.
    """
    found: dict[ReviewId, Review] = {}
    for row in rows:
        review = row["id"]
        try:
            found[review] = Review(id=review) if row["state"] is None else Review.model_validate_json(row["state"])
        except ValueError as error:
            _log.error("a review can't be read", extra={"review_id": review, "error": type(error).__name__})
    return found
