"""Documents: addressed by their digest, bounded in size and kind, read by whoever must judge them."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2
import pytest

from api.routes.documents import KINDS
from domain.proposal import Document
from tests.support.system import AUDITOR, AUTHOR, COUNCIL, OFFICER, OWNER, REVIEWERS, System, example, new_id

PDF = b"%PDF-1.7 An example."


def named(content: bytes, name: str = "measures.pdf", media_type: str = "application/pdf") -> Document:
    """A document as a proposal names it."""
    return Document(digest=hashlib.sha256(content).hexdigest(), name=name, media_type=media_type)


async def upload(system: System, content: bytes, media_type: str = "application/pdf", who: str = OWNER) -> str:
    """Upload a document, and say where it is."""
    response = await system.person(who).put_in("/documents", content, media_type)
    assert 201 == response.status_code, response.text
    digest = hashlib.sha256(content).hexdigest()
    assert {"digest": digest, "media_type": media_type, "size": len(content)} == response.json()
    assert f"/documents/{digest}" == response.headers["Location"]
    return digest


async def test_what_was_uploaded_is_downloaded(system: System) -> None:
    """Byte for byte, as a file, in nothing that a browser would run."""
    content = bytes(range(256)) * 1000
    response = await system.person(OWNER).get(f"/documents/{await upload(system, content)}")
    assert (200, content) == (response.status_code, response.content)
    headers = response.headers
    assert "application/pdf" == headers["Content-Type"]
    assert headers["Content-Disposition"].startswith("attachment;")
    assert ("nosniff", "sandbox") == (headers["X-Content-Type-Options"], headers["Content-Security-Policy"])
    assert headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'


@pytest.mark.parametrize("kind", KINDS)
async def test_these_kinds_are_kept(system: System, kind: str) -> None:
    """With parameters, and however it is spelt."""
    content = f"A document of the kind {kind}.".encode()
    digest = await upload(system, content, kind)
    again = await system.person(OWNER).put_in("/documents", content, f"{kind.upper()} ; charset=utf-8")
    assert (201, digest) == (again.status_code, again.json()["digest"])
    assert content == (await system.person(OWNER).get(f"/documents/{digest}")).content


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/octet-stream", "text/html, text/plain", ""]
)
async def test_other_kinds_are_not(system: System, kind: str) -> None:
    """And the answer says which are."""
    response = await system.person(OWNER).put_in("/documents", PDF, kind)
    assert (415, "application/problem+json") == (response.status_code, response.headers["Content-Type"])
    assert "application/pdf" in response.headers["Accept"]


async def test_a_document_is_bounded(without_worker: System) -> None:
    """By the setting; what is announced, or arrives, beyond it, is refused; and so is nothing."""
    async with without_worker.api(document_max_bytes=1000) as http:
        owner = without_worker.person(OWNER, http)
        assert 201 == (await owner.put_in("/documents", b"x" * 1000, "text/plain")).status_code
        over = await owner.put_in("/documents", b"x" * 1001, "text/plain")
        assert (413, 1000) == (over.status_code, over.json()["limit"])
        empty = await owner.put_in("/documents", b"", "text/plain")
        assert (422, "") == (empty.status_code, empty.json()["errors"][0]["pointer"])
        huge = await owner.put_in("/documents", b"x" * (17 * 2**20), "text/plain")
        assert 413 == huge.status_code


async def test_the_same_document_is_kept_once_for_each_who_uploaded_it(system: System) -> None:
    """Whoever has the bytes may have them back."""
    content = b"The same document, twice."
    digest = await upload(system, content, "text/plain")
    author = system.person(AUTHOR)
    assert 404 == (await author.get(f"/documents/{digest}")).status_code
    assert digest == await upload(system, content, "text/plain", AUTHOR)
    assert content == (await author.get(f"/documents/{digest}")).content
    assert 1 == await system.database.pool.fetchval("select count(*) from documents where digest = $1", digest)


async def test_whoever_judges_the_proposal_reads_its_documents(system: System) -> None:
    """By naming the review; nobody else, and no document that the proposal does not name."""
    digest, other = await upload(system, PDF), await upload(system, b"Another one.", "text/plain")
    review = await system.opened(example(3, documents=(named(PDF),)))
    elsewhere = await system.opened(example(3))

    async def read(name: str, wanted: str, about: str | None = review) -> httpx2.Response:
        params: dict[str, Any] = {} if about is None else {"review": about}
        return await system.person(name).get(f"/documents/{wanted}", **params)

    for name in (REVIEWERS[0], OFFICER, AUDITOR, AUTHOR):
        assert PDF == (await read(name, digest)).content
        for refused in (
            await read(name, digest, None),
            await read(name, digest, elsewhere),
            await read(name, other),
            await read(name, digest, new_id()),
            await read(name, "1" * 64),
        ):
            assert 404 == refused.status_code
    for name in (COUNCIL[0], "bo.head", "ops.operator", "nobody.at.all"):
        assert 404 == (await read(name, digest)).status_code
    assert 422 == (await read(AUDITOR, digest, "no review's id")).status_code
    assert 422 == (await read(AUDITOR, "no-digest")).status_code


async def test_the_documents_of_an_earlier_revision_stay_readable(system: System) -> None:
    """What was judged then can be looked at later."""
    before, after = b"As it was.", b"As it is."
    for content in (before, after):
        await upload(system, content, "text/plain")
    documents = [named(content, "text.txt", "text/plain") for content in (before, after)]
    review = await system.opened(example(1, documents=(documents[0],)))
    await system.person(REVIEWERS[0]).accepted(review, "change_request", reason="Bring it up to date.")
    reviewer = system.person(REVIEWERS[0])
    assert 404 == (await reviewer.get(f"/documents/{documents[1].digest}", review=review)).status_code
    revised = example(1, documents=(documents[1],)).model_dump(mode="json")
    await system.person(OWNER).accepted(review, "revision", proposal=revised)
    for document, content in zip(documents, (before, after), strict=True):
        assert content == (await reviewer.get(f"/documents/{document.digest}", review=review)).content


async def test_a_proposal_names_documents_that_are_there(system: System) -> None:
    """Otherwise each that is not is pointed at, at the submission as at a revision, and nothing comes of it."""
    await upload(system, PDF)
    missing = (named(b"one", "one.pdf"), named(PDF), named(b"two", "two.pdf"))
    proposal = example(1, documents=missing).model_dump(mode="json")
    review = new_id()
    response = await system.person(AUTHOR).post("/reviews", {"review": review, "proposal": proposal})
    assert 422 == response.status_code
    pointers = ["/proposal/documents/0/digest", "/proposal/documents/2/digest"]
    assert pointers == [error["pointer"] for error in response.json()["errors"]]
    assert 404 == (await system.person(AUDITOR).get(f"/reviews/{review}")).status_code

    review = await system.opened(example(1))
    await system.person(REVIEWERS[0]).accepted(review, "change_request", reason="Add the measures.")
    response = await system.person(OWNER).say(review, "revision", proposal=proposal)
    assert (422, pointers) == (response.status_code, [error["pointer"] for error in response.json()["errors"]])


async def test_a_proposal_says_of_a_document_what_it_is_kept_as(system: System) -> None:
    """The kind by which it is served; at the submission as at a revision."""
    content = b"<script>alert('An example.')</script>"
    await upload(system, content, "text/plain")
    wrong = example(1, documents=(named(content, "page.html", "text/html"),)).model_dump(mode="json")
    response = await system.person(AUTHOR).post("/reviews", {"review": new_id(), "proposal": wrong})
    place = "/proposal/documents/0/media_type"
    said = {"pointer": place, "type": "media_type", "detail": "it is kept as text/plain"}
    assert (422, [said]) == (response.status_code, response.json()["errors"])

    review = await system.opened(example(1, documents=(named(content, "page.txt", "text/plain"),)))
    await system.person(REVIEWERS[0]).accepted(review, "change_request", reason="Call it what it is.")
    response = await system.person(OWNER).say(review, "revision", proposal=wrong)
    assert (422, [place]) == (response.status_code, [error["pointer"] for error in response.json()["errors"]])


async def test_a_document_stays_of_the_kind_that_it_came_as(system: System) -> None:
    """Whoever uploads it again as another is told so."""
    content = b"The same document, as two kinds."
    await upload(system, content, "text/plain")
    again = await system.person(AUTHOR).put_in("/documents", content, "text/markdown")
    assert (201, "text/plain") == (again.status_code, again.json()["media_type"])


async def test_a_document_is_what_its_digest_says(system: System) -> None:
    """The address is computed from what arrived; nobody can give another one, or replace what is there."""
    owner = system.person(OWNER)
    digest = await upload(system, PDF)
    response = await owner.put_in(f"/documents/{digest}", b"Something else.", "application/pdf")
    assert 405 == response.status_code
    rows = await system.database.pool.fetch("select digest, content from documents")
    assert all(hashlib.sha256(row["content"]).hexdigest() == row["digest"] for row in rows)
