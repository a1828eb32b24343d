"""Documents in PostgreSQL: each at the address of its digest."""

from __future__ import annotations

from collections.abc import Sequence

from activities.ports import Document
from domain.canonical import sha256
from domain.values import Digest, PersonId
from store.database import Database

_DOCUMENT = "insert into documents (digest, media_type, content) values ($1, $2, $3) on conflict do nothing"

_UPLOADED = "select distinct digest from uploads where digest = any($1) and person = any($2)"

_UPLOAD = "insert into uploads (digest, person) values ($1, $2) on conflict do nothing"

_DOCUMENT_AT = """
select d.digest, d.media_type, d.content, array(select person from uploads u where u.digest = d.digest) as uploaded_by
from documents d where d.digest = $1
"""


class Documents:
    """Keeps documents in `database`; implements the port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, content: bytes, media_type: str, person: PersonId) -> Digest:
        """Keep a document; its address is its digest."""
        digest = sha256(content)
        async with self._database.transaction() as connection:
            await connection.execute(_DOCUMENT, digest, media_type, content)
            await connection.execute(_UPLOAD, digest, person)
        return digest

    async def at(self, digest: Digest) -> Document | None:
        """The document at this address."""
        row = await self._database.pool.fetchrow(_DOCUMENT_AT, digest)
        return None if row is None else Document(**dict(row))

    async def not_uploaded(self, digests: Sequence[Digest], people: Sequence[PersonId]) -> set[Digest]:
        """Those of these addresses at which there is no document that one of these people uploaded."""
        if not digests:
            return set()
        rows = await self._database.pool.fetch(_UPLOADED, list(digests), list(people))
        return set(digests) - {row["digest"] for row in rows}
