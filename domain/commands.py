"""What can be asked of a review. There are three: take a decision, let a deadline fall due, turn a message away."""

from __future__ import annotations

from domain.decisions import Envelope, Reason
from domain.proof import Proof
from domain.values import DecisionId, Digest, PersonId, Value


class Take(Value):
    """Take a stored decision. `digest` is that of its stored bytes; `proof` is what was stored with them."""

    envelope: Envelope
    digest: Digest
    proof: Proof = Proof()


class FallDue(Value):
    """Let this deadline fall due."""

    deadline: str


class TurnAway(Value):
    """Put on record a message that no stored decision stands behind; `ordinal` is its number among all signals of
    the workflow, or among all cancel requests.
    """

    ordinal: int
    reason: Reason
    detail: str
    decision: DecisionId | None = None
    kind: str | None = None
    person: PersonId | None = None
    digest: Digest
    length: int
    shown: str


Command = Take | FallDue | TurnAway
