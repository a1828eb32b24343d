"""Documents in PostgreSQL, as the application's role."""

from __future__ import annotations

from store.database import connect
from store.documents import Documents
from tests.conftest import DatabaseUrls


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
