"""What the activities need from the outside, as small protocols; `store` and `runtime` implement them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from domain.decisions import Envelope
from domain.discrepancies import Difference
from domain.events import Event
from domain.facts import Facts
from domain.proof import Proof
from domain.reconciliation import Known, Look, Sighting, Word
from domain.state import Review
from domain.verification import Verification


class UnknownReviewError(Exception):
    """There is no review with this id: nothing was ever submitted under it."""


class RecordBehindError(Exception):
    """The workflow has seen more entries than the record holds: the database was restored to an earlier state."""


class UndeliverableError(Exception):
    """Temporal did not take a message for now: it can't be reached, or the workflow is not there."""


class NotThereError(UndeliverableError):
    """Temporal knows no workflow of the review that runs."""


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
        """The time of this commit; never before that of the entry before."""

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
class LastRound:
    """The reconciler's last round: the id and run of its workflow, when it ended, and whether that is so short a time ago
    that Temporal must still know it.
    """

    workflow_id: str
    run_id: str
    ended_at: datetime
    retained: bool


@dataclass(frozen=True)
class Found:
    """Something that differs, as written down; `id` is that of the decision by which it is put on record."""

    id: UUID
    review: str
    difference: Difference


@dataclass(frozen=True)
class Checked:
    """The check of a review's record by itself, None if there is no such review; whether it must have a workflow; and the
    digest of the rows that were there when the check began.
    """

    record: Verification | None = None
    expected: bool = False
    rows: str | None = None


@dataclass(frozen=True)
class Limits:
    """How many reviews are compared at most: of those that `changed`; `in_depth` with the open ones in turn that did not;
    and of the `closed` ones that did not.
    """

    changed: int
    in_depth: int
    closed: int


class Book(Protocol):
    """Where the reconciler writes down what it finds, and reads what is on record."""

    async def last_round(self) -> LastRound | None:
        """The round before this one; None for the first ever."""

    async def is_restored(self) -> bool:
        """Whether Temporal was found restored, and not every open review was compared since."""

    async def end_round(self, workflow_id: str, run_id: str) -> None:
        """Leave the name of this round for the next."""

    async def open_reviews(self) -> Sequence[str]:
        """The reviews that were submitted and have no outcome."""

    async def differing(self) -> Sequence[str]:
        """The reviews of which something is written down that differed when it was last compared."""

    async def altered(self, reviews: Sequence[str]) -> Sequence[str]:
        """Those of these reviews whose rows are not as they were left: they end elsewhere than the ledger, or are other
        ones, with no entry more, than when they were last compared.
        """

    async def due(self, running: Mapping[str, str], done: Collection[str], limits: Limits) -> Sequence[str]:
        """Of the reviews that are not `done`, those that have changed since they were last compared, first of all those
        whose workflow is in another run than then; and those that were not compared for longest.
        """

    async def known(self, review: str) -> Known:
        """What was known of its workflow when it was last compared."""

    async def check(self, review: str) -> Checked:
        """The check of its record by itself."""

    async def compared(self, review: str, look: Look, found: Sequence[Difference]) -> Sequence[Difference]:
        """Write down what differs at this look, and that nothing else does any more; return what is new."""

    async def forget(self, restored: Difference) -> bool:
        """Have every review compared again, and write down why; return whether that is new."""

    async def not_entered(self) -> Sequence[Found]:
        """What belongs on the ledger and is not put on it yet."""

    async def enter(self, found: Found) -> Delivery | None:
        """Store the decision that puts it on record; None while it can't be: the reconciler's last word on that review is
        pending, or nothing that this process signs counts.
        """

    async def entered(self, found: Found) -> None:
        """Write down that it stands on record."""


class Witness(Protocol):
    """What Temporal has of reviews. Every method raises what its client does if it can't be reached."""

    async def running(self) -> Mapping[str, str]:
        """The reviews whose workflows run, with the run that each is in. It lags: nothing is decided by it."""

    async def sighting(self, review: str) -> Sighting:
        """What is there under the id of this review's workflow."""

    async def word(self, review: str) -> Word | None:
        """What the workflow of this review says; None if it does not answer in time."""

    async def knows(self, workflow_id: str, run_id: str) -> bool:
        """Whether Temporal knows this run."""


class Overseer(Protocol):
    """Who is told that something is not where it should be."""

    def suspect(self, review: str) -> None:
        """Look into this review: its workflow is not there."""


class Outbox(Protocol):
    """The decisions that are stored and have no receipt."""

    async def due(self, limit: int) -> Sequence[Delivery]:
        """Claim up to `limit` of them whose delivery is due; each is due again later, until it is settled."""

    async def word_from_the_register(self) -> int:
        """Store a decision of the training register for each review that waits for a completion now on record."""

    async def word_from_the_registry(self, limit: int) -> int:
        """Store a decision of the registry for each of up to `limit` open reviews of which it has become another question
        who can do what it waits for, since roles, units or absences changed.
        """


class Courier(Protocol):
    """Hands stored decisions to their reviews."""

    async def deliver(self, delivery: Delivery) -> None:
        """Start the review's workflow with a submission; signal it with every other decision.

        Raises:
            UndeliverableError: not for now; the decision stays pending.
            NotThereError: there is nobody to take it.
        """


class UnsentError(Exception):
    """A mail or a post did not go; the message says why, without an address or a secret.

    `final` says that trying again can't help.
    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@dataclass(frozen=True)
class Letter:
    """A mail as it goes out: plain text, under an id that is the same however often it goes."""

    id: UUID
    to: str
    subject: str
    text: str


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, letter: Letter) -> None:
        """Hand a mail to the mail server.

        Raises:
            UnsentError: it did not take it.
        """


@dataclass(frozen=True)
class Post:
    """An event on its way to a webhook: signed with `secret`, under an id that is the same however often it goes."""

    webhook: UUID
    url: str
    secret: str
    event_id: str
    body: bytes


class Poster(Protocol):
    """Posts events to webhooks."""

    async def post(self, post: Post) -> None:
        """Post an event.

        Raises:
            UnsentError: it was not taken, or must not go there.
        """


@dataclass(frozen=True)
class Attempt:
    """Something that is to be sent now. `number` counts the attempts, this one included; `age` is since it was queued."""

    number: int
    age: timedelta


@dataclass(frozen=True)
class MailAttempt(Attempt):
    """A mail that is to be sent now."""

    mail: UUID


@dataclass(frozen=True)
class PostAttempt(Attempt):
    """An event that is to be posted now."""

    review: str
    seq: int
    post: Post


class NoticeStore(Protocol):
    """What people are to be told. Nothing in it is claimed by two at once; what was claimed and is not settled is claimed
    again some minutes later.
    """

    async def address(self, limit: int) -> int:
        """Find out whom up to `limit` new notices are for, and when each is written to. Returns how many they were."""

    async def address_anew(self, limit: int) -> int:
        """Find out to whom else what up to `limit` reviews wait for falls since roles or absences changed, and have
        them told. Returns how many reviews they were.
        """

    async def gather(self, limit: int) -> int:
        """Make a mail of everything that waits for a person, for up to `limit` people. Returns how many they were."""

    async def claim(self, limit: int) -> Sequence[MailAttempt]:
        """Claim up to `limit` mails that are due."""

    async def letter(self, mail: UUID) -> Letter | None:
        """What a claimed mail says now; None if there is nothing left to say."""

    async def sent(self, mail: UUID) -> None:
        """Note that a mail went out."""

    async def unsent(self, mail: UUID, why: str, again_in: timedelta | None) -> None:
        """Note that a mail did not go out, and when it is tried again, if it is."""


class PostStore(Protocol):
    """What is to be posted to webhooks; claims are as in `NoticeStore`."""

    async def claim(self, limit: int, *, each: int, but: Sequence[UUID]) -> Sequence[PostAttempt]:
        """Claim up to `limit` posts that are due, up to `each` for a webhook, and none for these."""

    async def delivered(self, attempt: PostAttempt) -> None:
        """Note that an event was taken."""

    async def undelivered(self, attempt: PostAttempt, why: str, again_in: timedelta | None) -> None:
        """Note that an event was not taken, and when it is tried again, if it is."""
