"""Whom the Council's cases can be opened to by an invitation, and where it goes."""

from __future__ import annotations

from domain.state import Review
from domain.values import MailAddress, PersonId


def may_be_invited(review: Review, person: PersonId) -> bool:
    """Whether a council member can be invited to this review: while it is open, or as one who was seated for it."""
    return review.open or any(seat.person == person for seat in review.council.roster or ())


def refuse_address(given: MailAddress, on_record: MailAddress | None) -> str | None:
    """Why an invitation can't go there, if it can't: whoever reads the link is taken for the member."""
    if on_record is None or given.casefold() == on_record.casefold():
        return None
    return (
        "Another address is on record for them, and the link goes to that one; an operator can change it by an import."
    )
