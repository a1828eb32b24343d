"""Documents in PostgreSQL, as the application's role."""

from __future__ import annotations

from domain.canonical import sha256
from store.database import connect
from store.documents import Documents
from tests.conftest import DatabaseUrls, Log


async def test_a_document_is_at_its_digest(database: DatabaseUrls) -> None:
    """As it came, of the kind that the first said; for all who uploaded it."""
    async with connect(database.app_url) as opened:
        documents = Documents(opened)
        digest = await documents.keep(b"\x00\xff", "application/pdf", "a.person")
        assert digest == await documents.keep(b"\x00\xff", "text/plain", "b.person")
        document = await documents.at(digest)
        assert document is not None
        assert (b"\x00\xff", "application/pdf") == (document.content, document.media_type)
        assert {"a.person", "b.person"} == set(document.uploaded_by)
        for person in ("a.person", "b.person"):
            assert {digest: "application/pdf"} == await documents.uploaded([digest, "1" * 64], [person])
        assert {} == await documents.uploaded([digest], ["c.person"]), "knowing the digest is not enough"
        assert await documents.at("1" * 64) is None


async def test_what_is_not_what_its_digest_says_is_no_document(database: DatabaseUrls, log: Log) -> None:
    """Whoever can write to the table can put anything there; it is served to nobody, and said to who operates it."""
    digest = sha256(b"What was reviewed.")
    async with connect(database.app_url) as opened:
        documents = Documents(opened)
        await opened.pool.execute("insert into documents values ($1, 'text/plain', $2)", digest, b"Something else.")
        assert digest == await documents.keep(b"What was reviewed.", "text/plain", "a.person")
        assert await documents.at(digest) is None
    (line,) = log.lines(level="error")
    assert line["digest"] == digest
