"""Reviews as they stand, read from the rows of the read model."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import asyncpg

from domain.state import Review, Subject
from domain.values import ReviewId


class UnreadableError(ValueError):
    """What is stored of a review makes no sense; the message says so to whoever asked for it."""

    def __init__(self, review: ReviewId) -> None:
        super().__init__(
            f"What is stored of the review {review} can't be read: somebody changed it. Its record is on the ledger all the same; "
            "an operator finds more in `ringi doctor`."
        )


_log = logging.getLogger(__name__)


def review_in(review_id: ReviewId, state: bytes | None) -> Review:
    """The review whose state is stored as these bytes; an empty one where it was not opened yet.

    Raises:
        ValueError: they make no sense.
    """
    return Review(id=review_id) if state is None else Review.model_validate_json(state)


def state_of(review_id: ReviewId, row: asyncpg.Record) -> Review:
    """The review of a whole row; of one that was submitted and not opened yet, only who stands for it is known.

    Raises:
        UnreadableError: its state makes no sense.
    """
    if row["state"] is not None:
        try:
            return review_in(review_id, row["state"])
        except ValueError as error:
            raise UnreadableError(review_id) from error
    names = ("title", "business_unit", "owner", "author")
    return Review(id=review_id, subject=Subject(**{name: row[name] for name in names}, staff=()))


def readable(rows: Iterable[asyncpg.Record]) -> dict[ReviewId, Review]:
    """The reviews of these rows (`id` and `state`) by their ids; one that was not opened yet is empty.

    One whose state makes no sense is left out, and logged: it holds up no other, and the reconciler tells of it.
    """
    found: dict[ReviewId, Review] = {}
    for row in rows:
        review = row["id"]
        try:
            found[review] = review_in(review, row["state"])
        except ValueError as error:
            _log.error("a review can't be read", extra={"review_id": review, "error": type(error).__name__})
    return found
