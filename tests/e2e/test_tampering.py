"""What somebody with the application's role writes over, or beside, what is stored: it is told, and nothing breaks of it."""

from __future__ import annotations

from uuid import uuid4

from domain.registry import RecordedEntry
from domain.verification import verify
from tests.support.system import AUDITOR, OPERATOR, OWNER, REVIEWERS, System, example, new_id

_REGISTRY = "insert into registry_ledger (seq, data, hash, signatures) values ($1, '\\x00ff', 'x', '\\x00')"

_LEDGER = "insert into ledger (review_id, seq, data, hash) values ($1, $2, '\\x00ff', 'x')"


async def found_by_the_auditor(system: System, review: str) -> str:
    """The first thing that is wrong with a record, by what its auditor is handed."""
    auditor = system.person(AUDITOR)
    page = (await auditor.get("/registry/ledger", limit=200)).json()
    assert page["next"] is None
    registry = tuple(RecordedEntry.model_validate(entry) for entry in page["entries"])
    return verify(await auditor.evidence(review), registry).difference or ""


async def found_by_the_doctor(system: System) -> str:
    """What the doctor says of the registry."""
    answer = (await system.person(OPERATOR).get("/doctor")).json()
    return next(f"{f['status']}: {f['detail']}" for f in answer["findings"] if f["name"] == "registry")


async def test_a_row_in_the_way_of_the_registrys_next_entry(own_system: System) -> None:
    """The doctor and the auditor say where it is; whoever would put something on record is told that it can't be."""
    review = await own_system.opened(example(1), new_id())
    assert "" == await found_by_the_auditor(own_system, review)
    assert (await found_by_the_doctor(own_system)).startswith("well: ")
    entries = await own_system.database.pool.fetchval("select seq from registry")
    await own_system.database.pool.execute(_REGISTRY, entries + 1)
    said = f"registry entry {entries + 1}: its bytes do not have the hash that is stored with them"
    assert said == await found_by_the_auditor(own_system, review)
    assert f"ill: R{said[1:]}." == await found_by_the_doctor(own_system)
    people = "person,name,unit,role,office\nnew.person,New,A unit,,"
    refused = await own_system.person(OPERATOR).put_in("/people/import", people, "text/csv")
    assert 503 == refused.status_code
    assert f"the place of entry {entries + 1}" in refused.json()["detail"]


async def test_a_row_in_the_way_of_a_reviews_next_entry(own_system: System) -> None:
    """The auditor says where it is, and who reads the timeline that it can't be read."""
    review = await own_system.opened(example(1), new_id())
    seq = (await own_system.person(AUDITOR).evidence(review)).read_model.seq
    await own_system.database.pool.execute(_LEDGER, review, seq + 1)
    said = f"entry {seq + 1}: its bytes do not have the hash that is stored with them"
    assert said == await found_by_the_auditor(own_system, review)
    timeline = await own_system.person(AUDITOR).get(f"/reviews/{review}/timeline")
    assert 503 == timeline.status_code
    assert timeline.json()["detail"].startswith(f"Entry {seq + 1} of the record can't be read")


async def test_a_state_that_was_written_over(own_system: System) -> None:
    """Whoever reads it, or decides on it, is told so."""
    review = await own_system.opened(example(1), new_id())
    digest = (await own_system.person(OWNER).status(review)).digest
    await own_system.database.pool.execute("update reviews set state = '{}' where id = $1", review)
    auditor = own_system.person(AUDITOR)
    answers = [await auditor.get(f"/reviews/{review}{path}") for path in ("", "/timeline", "/evidence")]
    said = {"kind": "question", "digest": digest, "reason": "Who asks?", "id": str(uuid4())}
    answers.append(await own_system.person(REVIEWERS[0]).post(f"/reviews/{review}/decisions", said))
    for answer in answers:
        assert 503 == answer.status_code, answer.text
        assert f"What is stored of the review {review} can't be read" in answer.json()["detail"]
