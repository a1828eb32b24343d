"""The record: told in plain words, taken along and checked, and nothing done to it goes unnoticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from temporalio.client import Client

from activities.naming import workflow_id_for
from domain.canonical import canonical_bytes, sha256
from domain.events import Assessed, Event
from domain.ledger import Entry, Recorded
from domain.review import fold
from domain.verification import verify
from runtime.embedded.postgres import SUPERUSER
from tests.conftest import Servers
from tests.support.system import AUDITOR, OFFICER, OWNER, REVIEWERS, System, example, sheet


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(system: System) -> str:
    """A review with much on record: two rounds, a question, a refusal, and its certificate."""
    review = await system.opened(example(3))
    reviewer, owner = system.person(REVIEWERS[0]), system.person(OWNER)
    asked = await reviewer.accepted(review, "question", reason="Who looks at the list?")
    await owner.accepted(review, "answer", question=str(asked.decision_id), reason="A recruiter does.")
    await reviewer.accepted(review, "change_request", reason="Say so in the text.")
    revised = example(3, how_affected=f"{example(3).how_affected} A recruiter looks at the list.")
    await owner.accepted(review, "revision", proposal=revised.model_dump(mode="json"))
    await reviewer.refused(review, "incomplete", "verdict_sheet", verdicts=sheet()[:2])
    await system.reviewed(review)
    await system.signed_off(review)
    return review


async def test_the_timeline_tells_every_entry_in_plain_words(system: System, told: str) -> None:
    """Who, when, what, on which digest; and under which hash it stands on the ledger."""
    auditor = system.person(AUDITOR)
    timeline, evidence = await auditor.timeline(told), await auditor.evidence(told)
    assert [recorded.seq for recorded in evidence.entries] == [entry.seq for entry in timeline.entries]
    assert [recorded.hash for recorded in evidence.entries] == [entry.hash for entry in timeline.entries]
    assert timeline.next is None
    times = [entry.at for entry in timeline.entries]
    assert times == sorted(times)
    for entry in timeline.entries:
        assert entry.what.endswith("."), entry
        assert "_" not in entry.what.split("(")[0].split(":")[0].replace("verdict_sheet", ""), entry
    assert all(entry.on_digest for entry in timeline.entries if entry.who is not None)
    deciders = {entry.who for entry in timeline.entries if entry.who is not None}
    assert {"aki.author", OWNER, *REVIEWERS[:2], "bo.head", "di.head"} == deciders
    reasons = [entry.said for entry in timeline.entries]
    assert {"Who looks at the list?", "A recruiter does.", "Say so in the text."} <= set(reasons)
    assert timeline == await system.person(OWNER).timeline(told)


async def test_the_timeline_is_paged(system: System, told: str) -> None:
    """Page after page it is the same as in one."""
    auditor = system.person(AUDITOR)
    whole = (await auditor.timeline(told)).entries
    entries, after = [], 0
    while True:
        page = await auditor.timeline(told, after=after, limit=3)
        entries += page.entries
        if page.next is None:
            break
        after = page.next
    assert whole == entries
    nonsense: list[dict[str, Any]] = [{"after": -1}, {"limit": 0}, {"limit": 1001}, {"after": 2**31}]
    for bad in nonsense:
        assert 422 == (await auditor.get(f"/reviews/{told}/timeline", **bad)).status_code


async def test_the_history_is_all_of_temporals_own(system: System, told: str, temporal_client: Client) -> None:
    """Every event, readable, payloads decoded, markers explained; and page after page it is the same."""
    auditor = system.person(AUDITOR)
    history = await auditor.history(told)
    own = await temporal_client.get_workflow_handle(workflow_id_for(told)).fetch_history()
    assert workflow_id_for(told) == history.workflow_id
    assert [event.event_id for event in own.events] == [event.event_id for event in history.events]
    assert list(range(1, len(own.events) + 1)) == [event.id for event in history.events]
    signals = [event for event in history.events if event.type == "workflow_execution_signaled"]
    assert f"A signal named 'question' brought a decision of {REVIEWERS[0]}." == signals[0].what
    assert "Who looks at the list?" == signals[0].details["input"][0]["reason"]
    markers = [event.what for event in history.events if event.type == "marker_recorded"]
    assert "A commit (open the review) put 3 entries on record: accepted, assessed, began." == markers[0]
    assert all(event.what.endswith(".") for event in history.events)

    events, after = [], 0
    while True:
        page = await auditor.history(told, after=after, limit=7)
        events += page.events
        if page.next is None:
            break
        after = page.next
    assert history.events == events


async def test_the_history_goes_over_all_runs(without_worker: System) -> None:
    """A review that continued as new is told from its first run on."""
    system = without_worker
    async with system.api(messages_per_run=1) as http, system.worker(messages_per_run=1):
        system.http = http
        review = await system.opened(example(1))
        await system.person(REVIEWERS[0]).accepted(review, "question", reason="Why?")
        await system.reviewed(review)
        await system.signed_off(review)
        history = await system.person(OFFICER).history(review)
        assert verify(await system.person(OFFICER).evidence(review)).holds
    runs = list(dict.fromkeys(event.run_id for event in history.events))
    assert len(runs) >= 2
    assert ["workflow_execution_started"] * len(runs) == [event.type for event in history.events if event.event_id == 1]
    assert list(range(1, len(history.events) + 1)) == [event.id for event in history.events]


def _event(entry: Recorded) -> Event:
    return Entry.model_validate_json(entry.data).event


async def test_the_evidence_holds(system: System, told: str) -> None:
    """The chain and the fold, recomputed by whoever takes it along; at the end and half way."""
    evidence = await system.person(AUDITOR).evidence(told)
    check = verify(evidence)
    assert (None, len(evidence.entries), evidence.entries[-1].hash) == (check.difference, check.entries, check.head)
    assert "finished" == evidence.workflow.status
    named = [e.assessment for e in map(_event, evidence.entries) if isinstance(e, Assessed)]
    assert {each.content_digest for each in named} == {sha256(text.encode()) for text in evidence.proposals or ()}
    assert {each.pack_digest for each in named} == {sha256(text.encode()) for text in evidence.packs or ()}
    half_way = await system.opened(example(3))
    await system.person(REVIEWERS[0]).accepted(half_way, "verdict_sheet", verdicts=sheet())
    evidence = await system.person(OFFICER).evidence(half_way)
    assert (True, "answered") == (verify(evidence).holds, evidence.workflow.status)


async def test_the_evidence_holds_while_decisions_come_in(system: System) -> None:
    """It is of one moment, whatever happens beside it."""
    review = await system.opened(example(3))
    reviewer, auditor = system.person(REVIEWERS[0]), system.person(AUDITOR)

    async def ask() -> None:
        for number in range(5):
            await reviewer.accepted(review, "question", reason=f"Question {number}?")

    asking = asyncio.create_task(ask())
    looks = 0
    while not asking.done():
        check = verify(await auditor.evidence(review))
        assert check.holds, check.difference
        looks += 1
    await asking
    assert looks


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection for the length of the block."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("table", ["ledger", "policy_packs"])
@pytest.mark.parametrize(
    "statement",
    [
        "update {table} set {column} = {column}",
        "update {table} set {column} = {column} where false",
        "delete from {table}",
        "truncate {table}",
        "truncate {table} cascade",
        "insert into {table} select * from {table} on conflict ({key}) do update set {column} = excluded.{column}",
    ],
)
async def test_what_is_on_record_is_not_changed(system: System, told: str, table: str, statement: str) -> None:
    """Not by the application's role, which has no privilege for it; and not by the owner's,
    for which a trigger stands.
    """
    columns = {"ledger": ("data", "review_id, seq"), "policy_packs": ("content", "digest")}
    column, key = columns[table]
    sentence = statement.format(table=table, column=column, key=key)
    async with connected(system.urls.app_url) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await connection.execute(sentence)
    async with connected(system.urls.owner_url) as connection:
        if "where false" in sentence:  # nothing is touched, so nothing is refused
            assert "UPDATE 0" == await connection.execute(sentence)
            return
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is append-only"):
            await connection.execute(sentence)


@pytest.mark.parametrize(
    "statement",
    [
        "alter table ledger disable trigger all",
        "drop trigger ledger_is_append_only on ledger",
        "drop table ledger cascade",
        "create table probe (n int)",
        "set session_replication_role = replica",
        "grant update on ledger to ringi_app",
        "update proposals set content = content",
        "delete from documents",
        "delete from completions",
        "delete from decisions",
        "delete from reviews",
        "delete from grants",
    ],
)
async def test_the_applications_role_does_not_get_around_it(system: System, told: str, statement: str) -> None:
    """It owns nothing, and removes nothing that a decision rests on."""
    async with connected(system.urls.app_url) as connection:
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            return
        # A grant that the role may not give is only warned about.
        allowed = await connection.fetchval("select has_table_privilege('ringi_app', 'ledger', 'update')")
        assert (True, False) == (statement.startswith("grant"), allowed)


async def test_a_row_that_a_superuser_changed_is_found(servers: Servers, system: System) -> None:
    """The first place where something was done: changed, changed with a new hash, taken out, put in, cut off."""
    review = await system.opened(example(1))
    await system.person(REVIEWERS[0]).accepted(review, "question", reason="Who asks?")
    await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet())
    honest = await system.person(AUDITOR).evidence(review)
    assert verify(honest).holds
    last = len(honest.entries)
    cares = "convert_to(replace(convert_from(data, 'UTF8'), 'Who asks?', 'Who cares?'), 'UTF8')"
    for statement, difference in (
        (f"update ledger set data = {cares}", "entry 4: its bytes do not have the hash"),
        (
            f"update ledger set data = {cares}, hash = encode(sha256({cares}), 'hex')",
            "entry 5: it does not follow from the entry before",
        ),
        ("delete from ledger where seq = 4", "entry 4: it is numbered 5"),
        ("delete from ledger where seq = 1", "entry 1: it is numbered 2"),
        (f"delete from ledger where seq = {last}", "read model: seq"),
        ("update ledger set seq = 1000 + seq where seq > 3", "entry 4: it is numbered 4"),
        ("delete from ledger", "read model: seq"),
    ):
        async with tampered(servers, system, review, statement):
            check = verify(await system.person(AUDITOR).evidence(review))
            assert (check.difference or "").startswith(difference), (statement, check.difference)
    assert honest.entries == (await system.person(AUDITOR).evidence(review)).entries


@asynccontextmanager
async def tampered(servers: Servers, system: System, review: str, statement: str) -> AsyncIterator[None]:
    """What a superuser does to the ledger of one review, past every trigger; undone at the end of the block."""
    sentence = statement.replace(" where ", f" where review_id = '{review}' and ", 1)
    if " where " not in statement:
        sentence += f" where review_id = '{review}'"
    async with connected(servers.postgres.url(SUPERUSER, system.urls.name)) as connection:
        await connection.execute("set session_replication_role = replica")
        rows = await connection.fetch("select * from ledger where review_id = $1", review)
        await connection.execute(sentence)
        try:
            yield
        finally:
            await connection.execute("delete from ledger where review_id = $1", review)
            await connection.executemany("insert into ledger values ($1, $2, $3, $4)", [tuple(row) for row in rows])


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("update reviews set stage = 'sign_off' where id = $1", "read model: stage"),
        ("update reviews set outcome = 'approved' where id = $1", "read model: outcome"),
        ("update reviews set seq = seq + 1 where id = $1", "read model: seq"),
        ("update reviews set head = repeat('1', 64) where id = $1", "read model: head"),
        ("delete from turns where review_id = $1", "read model: turns"),
        ("insert into turns select * from turns where review_id = $1", "read model: turns"),
    ],
)
async def test_a_read_model_that_was_changed_is_found(system: System, statement: str, difference: str) -> None:
    """The application's role can do that; the fold of the ledger says otherwise."""
    review = await system.opened(example(1))
    await system.database.pool.execute(statement, review)
    check = verify(await system.person(AUDITOR).evidence(review))
    assert (check.difference or "").startswith(difference), check.difference


async def test_a_forged_state_is_found(system: System) -> None:
    """The state that the next decision would be judged by; everything else left as it is."""
    review = await system.opened(example(1))
    state = await system.database.pool.fetchval("select state from reviews where id = $1", review)
    forged = json.loads(state) | {"reviewed_by": ["somebody.else"]}
    await system.database.pool.execute("update reviews set state = $2 where id = $1", review, canonical_bytes(forged))
    check = verify(await system.person(AUDITOR).evidence(review))
    assert (check.difference or "").startswith("read model: state_digest"), check.difference


async def test_a_workflow_that_says_otherwise_is_found(system: System, told: str) -> None:
    """Whatever stands in the database, in agreement with itself."""
    evidence = await system.person(AUDITOR).evidence(told)
    lying = evidence.workflow.model_copy(update={"state_digest": "1" * 64})
    check = verify(evidence.model_copy(update={"workflow": lying}))
    assert (check.difference or "").startswith("workflow:"), check.difference


async def test_the_read_model_is_the_fold_of_the_ledger(system: System, told: str) -> None:
    """The stored state, byte for byte."""
    rows = await system.database.pool.fetch("select data from ledger where review_id = $1 order by seq", told)
    folded = fold(told, [Entry.model_validate_json(row["data"]).event for row in rows])
    stored = await system.database.pool.fetchval("select state from reviews where id = $1", told)
    assert canonical_bytes(folded) == stored
