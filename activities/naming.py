"""What the workflow of a review is called in Temporal: whoever starts it, asks it or is asked by it goes by these."""

from __future__ import annotations

from domain.values import ReviewId

PROPOSAL_REVIEW = "ProposalReview"
"""The type of a review's workflow."""


def workflow_id_for(review: ReviewId) -> str:
    """The id of the workflow of a review."""
    return f"review:{review}"
