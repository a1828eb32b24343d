"""What the activities need from the outside, as small protocols; `store` implements them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.decisions import Envelope
from domain.events import Event
from domain.facts import Facts
from domain.proof import Proof
from domain.state import Review


class UnknownReviewError(Exception):
    """There is no review with this id: nothing was ever submitted under it."""


class RecordBehindError(Exception):
    """The workflow has seen more entries than the record holds: the database was restored to an earlier state."""


class UndeliverableError(Exception):
    """Temporal did not take a message for now: it can't be reached, or the workflow is not there."""


class UnstorableError(Exception):
    """PostgreSQL refuses the data itself (SQLSTATE class 22 or 23): trying again can't help."""


@dataclass(frozen=True)
class StoredDecision:
    """A decision as stored, what was stored with it, and whether it has its receipt."""

    envelope: Envelope
    digest: str
    settled: bool
    proof: Proof


@dataclass(frozen=True)
class Delivery:
    """A stored decision that is to be handed to its review.

    `closed` says whether that has its outcome; `fresh` is false where the decision had been stored before.
    """

    decision: UUID
    review: str
    kind: str
    data: bytes
    digest: str
    closed: bool = False
    fresh: bool = True


class Head(Protocol):
    """The head of a review's ledger, locked for one transaction."""

    @property
    def review(self) -> Review:
        """The fold of the ledger up to its last entry."""

    @property
    def now(self) -> datetime:
        """The time of this commit."""

    async def since(self, seq: int) -> tuple[Event, ...]:
        """The entries after `seq`, in order, as many as fit in one answer."""

    async def at(self, seq: int) -> Review:
        """The fold of the ledger up to entry `seq`."""

    async def decision(self, decision: UUID) -> StoredDecision | None:
        """The stored decision of this review with this id."""

    async def submission(self) -> StoredDecision | None:
        """The decision that opens this review."""

    async def pending(self, received_by: datetime) -> tuple[StoredDecision, ...]:
        """The decisions of this review that have no receipt and were received by then, in that order."""

    async def facts(self, review: Review, decision: StoredDecision | None) -> Facts:
        """The registers, as far as a rule about this review and this decision can ask."""

    async def append(self, events: Sequence[Event], review: Review) -> None:
        """Put `events` on the ledger, with receipts, read model and notices; `review` is the fold after them."""


class Ledger(Protocol):
    """The record of all reviews."""

    def head(self, review_id: str) -> AbstractAsyncContextManager[Head]:
        """Lock the head of a review; commits when the block ends well, and changes nothing otherwise.

        Raises:
            UnknownReviewError: nothing was ever submitted under this id.
            UnstorableError: what was appended is not storable.
        """


@dataclass(frozen=True)
class Document:
    """An uploaded document, of the kind that its first uploader gave it."""

    digest: str
    media_type: str
    content: bytes
    uploaded_by: Sequence[str]


class DocumentStore(Protocol):
    """Where documents are kept: in PostgreSQL for now."""

    async def keep(self, content: bytes, media_type: str, person: str) -> str:
        """Keep a document, and who uploaded it; return its address, the SHA-256 of its content."""

    async def at(self, digest: str) -> Document | None:
        """The document at this address, or None."""

    async def not_uploaded(self, digests: Sequence[str], people: Sequence[str]) -> set[str]:
        """Those of these addresses at which there is no document that one of these people uploaded."""


class Outbox(Protocol):
    """The decisions that are stored and have no receipt."""

    async def due(self, limit: int) -> Sequence[Delivery]:
        """Claim up to `limit` of them whose delivery is due; each is due again later, until it is settled."""

    async def word_from_the_register(self) -> int:
        """Store a decision of the training register for each review that waits for a completion now on record."""


class Courier(Protocol):
    """Hands stored decisions to their reviews."""

    async def deliver(self, delivery: Delivery) -> None:
        """Start the review's workflow with a submission; signal it with every other decision.

        Raises:
            UndeliverableError: not for now; the decision stays pending.
        """
