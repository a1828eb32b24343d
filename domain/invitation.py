"""Whom the Council's cases can be opened to by an invitation."""

from __future__ import annotations

from domain.state import Review
from domain.values import PersonId


def may_be_invited(review: Review, person: PersonId) -> bool:
    """Whether a council member can be invited to this review: while it is open, or as one who was seated for it."""
    return review.open or any(seat.person == person for seat in review.council.roster or ())
