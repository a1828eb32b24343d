"""A refusal, before it is put on record."""

from __future__ import annotations

from dataclasses import dataclass

from domain.decisions import Reason


@dataclass(frozen=True)
class Refusal:
    """Why a decision does nothing, in a sentence for the person who made it."""

    reason: Reason
    detail: str
