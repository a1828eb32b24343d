"""Sessions: what the service signs when it begins one, so that a row in a table is none by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from domain.canonical import canonical_bytes
from domain.dsse import SESSION, PublicKey, Signature, signed_by
from domain.values import Digest, Instant, PersonId, ReviewId, Value


class Terms(Value):
    """All that decides what a session can do: whose it is, by which cookie (its digest is `id`), until when, and, where
    an invitation began it, for which reviews.
    """

    id: Digest
    person: PersonId
    expires_at: Instant
    auth_time: Instant | None
    invitation: str | None
    reviews: tuple[ReviewId, ...] | None

    def stored(self) -> bytes:
        """The bytes that are signed."""
        return canonical_bytes(self)


@lru_cache(maxsize=4_096)
def is_signed(terms: bytes, signatures: Sequence[Signature], keys: frozenset[PublicKey]) -> bool:
    """Whether one of these keys signed the terms. A session is used many times, so each is looked into once."""
    return bool(signed_by(SESSION, terms, signatures, keys))
