"""Documents in PostgreSQL: each at the address of its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from domain.canonical import sha256
from domain.values import Digest, PersonId
from store.database import Database

_DOCUMENT = "insert into documents (digest, media_type, content) values ($1, $2, $3) on conflict do nothing"

_UPLOADED = """
select d.digest, d.media_type from documents d where d.digest = any($1)
and exists (select from uploads u where u.digest = d.digest and u.person = any($2))
"""

_UPLOAD = "insert into uploads (digest, person) values ($1, $2) on conflict do nothing"

_DOCUMENT_AT = """
select d.digest, d.media_type, d.content, array(select person from uploads u where u.digest = d.digest) as uploaded_by
from documents d where d.digest = $1
"""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Document:
    """An uploaded document, of the kind that its first uploader gave it."""

    digest: Digest
    media_type: str
    content: bytes
    uploaded_by: Sequence[PersonId]


class Documents:
    """Keeps documents in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, content: bytes, media_type: str, person: PersonId) -> Digest:
        """Keep a document, and who uploaded it; return its address, the SHA-256 of its content."""
        digest = sha256(content)
        async with self._database.transaction() as connection:
            await connection.execute(_DOCUMENT, digest, media_type, content)
            await connection.execute(_UPLOAD, digest, person)
        return digest

    async def at(self, digest: Digest) -> Document | None:
        """The document at this address, or None; what is there and has another digest is none."""
        row = await self._database.pool.fetchrow(_DOCUMENT_AT, digest)
        if row is None:
            return None
        if sha256(row["content"]) != digest:
            _log.error("what is stored as a document is not what its digest says", digest=digest)
            return None
        return Document(**dict(row))

    async def uploaded(self, digests: Sequence[Digest], people: Sequence[PersonId]) -> dict[Digest, str]:
        """Those of these addresses at which there is a document that one of these people uploaded, each with the kind that
        it is kept as.
        """
        if not digests:
            return {}
        rows = await self._database.pool.fetch(_UPLOADED, list(digests), list(people))
        return {row["digest"]: row["media_type"] for row in rows}
