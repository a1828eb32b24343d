"""Keys: who registers and revokes them, how they are replaced while people decide, and what an auditor makes of it."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from domain import dsse
from domain.canonical import canonical_bytes
from domain.dsse import DECISION, Ed25519Signer, Signature
from domain.proof import Proof
from domain.registry import RecordedEntry
from domain.verification import verify
from runtime.keys import pem
from tests.support.harness import PRIVATE_KEY, SIGNER, SIGNING_KEY, until
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    OFFICER,
    OPERATOR,
    REVIEWERS,
    Person,
    System,
    decision_id,
    example,
)

CANARY = "".join(SIGNING_KEY.splitlines()[1:-1])[-40:]
"""A part of the private key that can't be anywhere by chance."""


def new_key() -> tuple[Ed25519Signer, str]:
    """A key, and its private half as a process is given it."""
    key = Ed25519PrivateKey.generate()
    return Ed25519Signer(key), pem(key).decode()


async def keys(person: Person) -> dict[str, dict[str, Any]]:
    """The keys, by their ids."""
    response = await person.get("/keys")
    assert 200 == response.status_code
    return {key["key"]: key for key in response.json()["keys"]}


async def revoked(person: Person, key: str, because: str = "It is replaced.") -> httpx2.Response:
    """What comes of an attempt to revoke a key."""
    return await person.delete(f"/keys/{key}?because={because.replace(' ', '%20')}")


async def registry_of(system: System, limit: int = 200) -> tuple[RecordedEntry, ...]:
    """The registry, page by page, as an auditor takes it."""
    entries: list[RecordedEntry] = []
    following: int | None = 0
    while following is not None:
        response = await system.person(AUDITOR).get("/registry/ledger", after=following, limit=limit)
        assert 200 == response.status_code, response.text
        entries += [RecordedEntry.model_validate(entry) for entry in response.json()["entries"]]
        following = response.json()["next"]
    return tuple(entries)


async def test_operators_register_and_revoke_keys(own_system: System) -> None:
    """By their public halves, in either form; repeating it changes nothing, and nobody else does it."""
    operator, (signer, _), (second, _) = own_system.person(OPERATOR), new_key(), new_key()
    text = base64.b64decode(second.public)
    as_pem = Ed25519PublicKey.from_public_bytes(text)
    given = {
        signer.keyid: signer.public,
        second.keyid: as_pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    }
    for name, public in given.items():
        first, again = [await operator.post("/keys", {"public": public}) for _ in range(2)]
        assert [201, 201] == [first.status_code, again.status_code]
        assert first.json() == again.json() == (await keys(own_system.person(AUTHOR)))[name]
        assert f"/keys/{name}" == first.headers["location"]
    for person in (own_system.person(OFFICER), own_system.person(AUDITOR), own_system.person("nobody.at.all")):
        assert 403 == (await person.post("/keys", {"public": new_key()[0].public})).status_code
        assert 403 == (await revoked(person, signer.keyid)).status_code
    for public in ("", "not a key", SIGNING_KEY, base64.b64encode(bytes(31)).decode()):
        response = await operator.post("/keys", {"public": public})
        assert (422, "/public") == (response.status_code, response.json()["errors"][0]["pointer"])
        assert CANARY not in response.text
    assert 204 == (await revoked(operator, signer.keyid)).status_code
    assert (await keys(operator))[signer.keyid]["revoked_at"] is not None
    for key in (signer.keyid, "0" * 64):
        assert 404 == (await revoked(operator, key)).status_code
    assert 422 == (await operator.delete(f"/keys/{second.keyid}")).status_code
    again = await operator.post("/keys", {"public": signer.public})
    assert (409, "This key was registered before; a revoked key stays revoked.") == (
        again.status_code,
        again.json()["detail"],
    )
    assert 204 == (await revoked(operator, second.keyid)).status_code
    last = await revoked(operator, SIGNER.keyid)
    assert (409, "This is the only key in force; register the next one first.") == (
        last.status_code,
        last.json()["detail"],
    )


async def test_keys_are_replaced_while_people_decide(without_worker: System) -> None:
    """Two API processes with a key each: what the old one took before its revocation counts,
    and it takes nothing more.
    """
    system, operator = without_worker, without_worker.person(OPERATOR)
    signer, private = new_key()
    async with system.worker():
        review = await system.opened(example(3))
    assert 201 == (await operator.post("/keys", {"public": signer.public})).status_code
    settings: dict[str, Any] = {"signing_key": SecretStr(private)}
    async with system.api(**settings) as newer:
        digest = (await system.at(review)).digest
        said = {"kind": "question", "digest": digest, "reason": "Who looks at the list?"}
        path = f"/reviews/{review}/decisions"
        before = await system.person(REVIEWERS[0]).post(path, said, prefer="wait=0")
        assert 202 == before.status_code
        assert 204 == (await revoked(system.person(OPERATOR, newer), SIGNER.keyid)).status_code
        assert 503 == (await system.http.get("/readyz")).status_code
        assert {"signing_key": "failed"}.items() <= (await system.http.get("/readyz")).json()["checks"].items()
        assert 200 == (await newer.get("/readyz")).status_code
        for response in (
            await system.person(REVIEWERS[1]).post(path, said),
            await operator.put_in("/people/import", "person,name,unit,role,office\np,P,U,,", "text/csv"),
        ):
            assert 503 == response.status_code
            assert f"The key {SIGNER.keyid} that this process signs with is not in force" in response.json()["detail"]
        stolen = await system.person(REVIEWERS[2], newer).post(path, said, prefer="wait=0")
        assert 202 == stolen.status_code
        await signed_by_a_thief(system, decision_id(stolen))
        async with system.worker(**settings):
            assert "accepted" == (await settled(system, review, before))["status"]
            assert "bad_signature" == (await settled(system, review, stolen))["reason"]
            assert 200 == (await system.person(REVIEWERS[1], newer).post(path, said)).status_code
            evidence = await system.person(AUDITOR).evidence(review)
    result = verify(evidence, await registry_of(system), SIGNER.keyid)
    assert result.holds, result.difference


async def signed_by_a_thief(system: System, decision: UUID) -> None:
    """Have the revoked key's signature on this decision, as who stole that key and the application's role would."""
    pool = system.database.pool
    data = await pool.fetchval("select envelope from decisions where id = $1", decision)
    proof = canonical_bytes(Proof(signatures=(SIGNER.signature(DECISION, data),)))
    await pool.execute("update decisions set proof = $2 where id = $1", decision, proof)


async def settled(system: System, review: str, response: httpx2.Response) -> dict[str, Any]:
    """The receipt of a decision that was pending."""

    async def receipt() -> dict[str, Any] | None:
        asked = await system.person(OFFICER).get(f"/reviews/{review}/decisions/{decision_id(response)}")
        answer: dict[str, Any] = asked.json()
        return answer if asked.status_code == 200 else None

    found = await until(receipt)
    assert found is not None
    return found


async def test_an_auditor_takes_the_registry_along(system: System) -> None:
    """Page by page, byte by byte; with it whose decisions and keys counted is checked without us."""
    review = await system.opened(example(1))
    await system.reviewed(review)
    await system.signed_off(review)
    entries = await registry_of(system)
    assert entries == await registry_of(system, limit=1)
    evidence = await system.person(AUDITOR).evidence(review)
    result = verify(evidence, entries, SIGNER.keyid)
    assert (None, len(entries), SIGNER.keyid) == (result.difference, result.registry, result.founder)
    pinned = verify(evidence, entries, "0" * 64)
    assert f"registry entry 1: the registry was founded with the key {SIGNER.keyid}" in (pinned.difference or "")
    cut = verify(evidence, entries[:-1]).difference or ""
    assert "of the registry, which is at" in cut
    for name, status in ((OFFICER, 200), (OPERATOR, 403), (AUTHOR, 403), (REVIEWERS[0], 403)):
        assert status == (await system.person(name).get("/registry/ledger")).status_code, name


async def test_a_decision_is_handed_out_as_others_tools_read_it(system: System) -> None:
    """A DSSE envelope in JSON: its payload is what was signed."""
    review = await system.opened(example(1))
    receipt = await system.person(REVIEWERS[0]).accepted(review, "question", reason="Who looks at the list?")
    path = f"/reviews/{review}/decisions/{receipt.decision_id}/envelope"
    envelope = (await system.person(AUDITOR).get(path)).json()
    payload = base64.b64decode(envelope["payload"])
    signatures = [Signature.model_validate(signature) for signature in envelope["signatures"]]
    assert dsse.signed_by(envelope["payloadType"], payload, signatures, [SIGNER.public]) == {SIGNER.keyid}
    assert b"Who looks at the list?" in payload
    unknown = f"/reviews/{review}/decisions/{uuid4()}/envelope"
    other = f"/reviews/{await system.opened(example(1))}/decisions/{receipt.decision_id}/envelope"
    for missing in (unknown, other):
        assert 404 == (await system.person(AUDITOR).get(missing)).status_code


async def test_who_grants_stands_beside_the_grant_and_nobody_grants_themselves(own_system: System) -> None:
    """In a sentence for whoever tries."""
    system, operator = own_system, own_system.person(OPERATOR)
    await system.granted(("gil.granted", "reviewer", ""))
    (grant,) = (await operator.get("/grants", person="gil.granted")).json()["grants"]
    assert OPERATOR == grant["by"]
    row = f"person,name,unit,role,office\n{OPERATOR},Root,Operations,signatory,business_unit_head"
    response = await operator.put_in("/people/import", row, "text/csv")
    assert 422 == response.status_code
    assert "Nobody grants a role to themselves" in response.text
    (own,) = (await operator.get("/grants", person=OPERATOR)).json()["grants"]
    assert "ringi:bootstrap" == own["by"]
    assert 204 == (await operator.delete(f"/grants/{grant['id']}?because=Moved%20on.")).status_code
    told = [entry.data for entry in await registry_of(system)]
    assert any('"because":"Moved on."' in data and f'"by":"{OPERATOR}"' in data for data in told)


async def test_the_private_key_is_nowhere_but_where_it_was_given(
    own_system: System, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a row of the database, not in a line that was logged, not in a value that is printed."""
    system = own_system
    with caplog.at_level("DEBUG"):
        review = await system.opened(example(1))
        await system.reviewed(review)
        await system.signed_off(review)
        await system.person(OPERATOR).post("/keys", {"public": SIGNING_KEY})
        for path in (f"/reviews/{review}/evidence", f"/reviews/{review}/history", "/registry/ledger", "/keys"):
            assert CANARY not in (await system.person(AUDITOR).get(path)).text
    settings = system.settings()
    for value in (settings, SIGNER, system.database):
        assert CANARY not in repr(value) + str(value)
    raw = PRIVATE_KEY.private_bytes_raw()
    needles = (CANARY.encode(), raw, raw.hex().encode(), base64.b64encode(raw)[:40])
    connection = await asyncpg.connect(system.urls.owner_url)
    try:
        for table in await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        ):
            rows = await connection.fetch(f'select * from "{table["relname"]}"')
            whole = b"".join(
                value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values()
            )
            assert not any(needle in whole for needle in needles), table["relname"]
    finally:
        await connection.close()
    captured = capfd.readouterr()
    # A line shows bytes as they are printed, or as whoever printed them took them for text.
    shown = (*(needle.decode(errors="replace") for needle in needles), repr(raw)[2:-1], raw.decode("latin-1"))
    for said in (captured.out, captured.err, caplog.text):
        assert not any(each in said or each.upper() in said for each in shown)
