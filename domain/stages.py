"""The names of the stages and of the outcomes."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The four stages that every review passes, in this order."""

    PRINCIPLE_REVIEW = "principle_review"
    COUNCIL = "council"
    TRAINING = "training"
    SIGN_OFF = "sign_off"


class Outcome(StrEnum):
    """How a review ends."""

    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
