"""Being told, as people and other systems meet it: by mail, by webhook, and by a stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from standardwebhooks import Webhook

from api.routes import events as streams
from domain.people import Assigned
from store.feed import Mark
from tests.support.harness import until
from tests.support.mail import mail_server
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    COUNCIL,
    OFFICER,
    OPERATOR,
    OWNER,
    REVIEWERS,
    SIGNATORIES,
    System,
    decision_id,
    example,
    serving,
    sheet,
)

HEAD = SIGNATORIES["business_unit_head"]


class Stream:
    """A stream of events that somebody reads."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id: str | None = None

    async def next(self, seconds: float = 60) -> tuple[str, dict[str, Any]]:
        """The next event, and what it says."""
        async with asyncio.timeout(seconds):
            event, data = "", ""
            async for line in self._lines:
                name, _, value = line.partition(": ")
                match name:
                    case "id":
                        self.last_id = value
                    case "event":
                        event = value
                    case "data":
                        data += value
                    case "" if event:
                        return event, json.loads(data)
                    case _:
                        pass
        raise EOFError

    async def upto(self, kind: str, **said: object) -> list[tuple[str, dict[str, Any]]]:
        """The events up to the first that says this, that one included."""
        found = []
        while True:
            found.append(await self.next())
            event, data = found[-1]
            if event == kind and said.items() <= data.items():
                return found

    async def quiet(self) -> None:
        """Nothing comes, but that the stream is still there."""
        with pytest.raises(TimeoutError):
            raise AssertionError(await self.next(1.5))


@asynccontextmanager
async def stream(
    system: System, person: str, *, after: str | None = None, http: httpx2.AsyncClient | None = None, **params: Any
) -> AsyncIterator[Stream]:
    """Somebody's stream; it has begun."""
    headers = {"Authorization": f"Bearer {system.issuer.mint(person)}"}
    if after is not None:
        headers["Last-Event-ID"] = after
    async with (http or system.http).stream("GET", "/events", headers=headers, params=params or None) as response:
        assert 200 == response.status_code
        assert "text/event-stream" == response.headers["content-type"].partition(";")[0]
        reading = Stream(response.aiter_lines())
        event, said = await reading.next()
        assert "begin" == event
        assert said == {"resumed": after is not None}
        yield reading


async def test_people_follow_their_inbox_and_the_reviews_that_they_may_read(system: System) -> None:
    """Each sees what is theirs, when it happens, in plain words and without what was written."""
    async with (
        stream(system, OWNER) as owner,
        stream(system, REVIEWERS[0]) as reviewer,
        stream(system, HEAD) as head,
        stream(system, "sota.engineer") as engineer,
    ):
        review = await system.opened(example(1, title="Follow me"))
        mine = {"review": review}
        *_, (_, asked) = await reviewer.upto("inbox", **mine)
        assert ("began", "Follow me") == (asked["change"], asked["title"])
        assert "verdict_sheet" in asked["kinds"]
        await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet())
        entries = await owner.upto("entry", type="began", **mine)
        *_, (_, signing) = await head.upto("inbox", **mine)
        assert ("began", "signature") == (signing["change"], signing["kinds"][0])
        assert 200 == (await system.person(HEAD).signed(review)).status_code
        told = await owner.upto("entry", type="closed", **mine)
        assert [seq for _, data in entries + told if data["review"] == review and (seq := data.get("seq"))] == list(
            range(1, len((await system.person(AUDITOR).timeline(review)).entries) + 1)
        )
        *_, (_, done) = await head.upto("inbox", change="ended", **mine)
        assert signing["what"] == done["what"]
        await engineer.quiet()


async def test_a_stream_is_taken_up_where_it_ended(system: System) -> None:
    """Over the end of one API and the beginning of another: nothing is left out, nothing comes twice."""
    review = await system.opened(example(3))
    async with stream(system, AUDITOR, review=review) as first:
        await system.person(REVIEWERS[0]).accepted(review, "question", reason="Who checks it?")
        seen = [await first.next()]
        last = first.last_id
    await asyncio.gather(
        *(system.person(name).accepted(review, "question", reason="And who else?") for name in REVIEWERS)
    )
    async with system.api() as other, stream(system, AUDITOR, after=last, http=other, review=review) as second:
        whole = len((await system.person(AUDITOR).timeline(review)).entries)
        found = await second.upto("entry", seq=whole)
        seqs = [data["seq"] for event, data in seen + found if event == "entry"]
        assert sorted(set(seqs)) == seqs
        assert seqs == list(range(seqs[0], whole + 1))
        await second.quiet()


async def test_a_place_that_is_not_known_is_not_taken_up(system: System) -> None:
    """The stream says so, and begins with the present."""
    for wrong in ("", "nonsense", "00000000-1-1", "9" * 100):
        headers = {"Authorization": f"Bearer {system.issuer.mint(AUDITOR)}", "Last-Event-ID": wrong}
        async with system.http.stream("GET", "/events", headers=headers) as response:
            assert 200 == response.status_code
            assert ("begin", {"resumed": False}) == await Stream(response.aiter_lines()).next()
    too_long = await system.person(AUDITOR).get("/events", headers={"Last-Event-ID": "9" * 101})
    assert 422 == too_long.status_code


async def test_who_steps_aside_hears_no_more_of_it(own_system: System) -> None:
    """From the moment on; and what they are told of other cases goes on."""
    system = own_system
    review = await system.opened(example(4))
    await system.reviewed(review)
    async with stream(system, COUNCIL[0]) as stepping, stream(system, COUNCIL[1]) as staying:
        await system.person(COUNCIL[1]).accepted(review, "question", reason="Who checks it?")
        await stepping.upto("inbox", change="changed")  # its time stands still while the owner answers
        await system.person(COUNCIL[0]).accepted(review, "recusal", reason="I know them.")
        assert ("inbox", hidden(review)) == await stepping.next()
        asked = await system.person(COUNCIL[2]).accepted(review, "question", reason="And then?")
        told = await staying.upto("entry", what="Stepped aside.")
        await staying.upto("entry", what=f"Asked the owner the question {decision_id(asked)}.")
        assert told
        await stepping.quiet()


def hidden(review: str) -> dict[str, Any]:
    """What is said of a review to somebody from whom it is hidden now: that nothing in it is theirs any more."""
    return {"review": review, "title": None, "change": "ended", "kinds": [], "what": None, "due_at": None}


async def test_what_is_hidden_from_somebody_waits_for_them_no_more(own_system: System) -> None:
    """Though they may not be told any more what it is: who declares a conflict, or was named as staff by a revision while
    they were away. To whoever nothing waited for, nothing is said.
    """
    system = own_system
    review = await system.opened(example(3))
    async with stream(system, REVIEWERS[0]) as declares, stream(system, "sota.engineer") as engineer:
        async with stream(system, REVIEWERS[1]) as before:
            await system.person(REVIEWERS[0]).accepted(review, "conflict", reason="I know them.")
            assert ("inbox", hidden(review)) == await declares.next()
            *_, (_, changed) = await before.upto("inbox")
            assert "changed" == changed["change"]
        await system.person(REVIEWERS[2]).accepted(review, "change_request", reason="Say who works on it.")
        proposal = example(3)
        staff = (*proposal.staff, Assigned(person=REVIEWERS[1], role="designer"))
        revised = proposal.model_copy(update={"staff": staff}).model_dump(mode="json")
        await system.person(OWNER).accepted(review, "revision", proposal=revised)
        async with stream(system, REVIEWERS[1], after=before.last_id) as named:
            assert "roles" == (await named.next())[0]
            assert ("inbox", hidden(review)) == await named.next()
            await named.quiet()
        await declares.quiet()
        await engineer.quiet()


async def test_whoever_moves_to_another_unit_is_told(without_worker: System) -> None:
    """As with their roles: what they may see is another thing now."""
    system = without_worker
    async with stream(system, REVIEWERS[0]) as moving:
        moved = f"person,name,unit,role,office\n{REVIEWERS[0]},Rin,Elsewhere,,\n"
        response = await system.person(OPERATOR).put_in("/people/import", moved, "text/csv")
        assert 200 == response.status_code, response.text
        event, said = await moving.next()
        assert ("roles", [REVIEWERS[0]]) == (event, [grant["person"] for grant in said["grants"]])


async def test_a_role_that_is_gone_shows_nothing_more(own_system: System) -> None:
    """The person is told that their roles are others now, and of no review any more; a disabled one is hung up on."""
    system = own_system
    review = await system.opened(example(3))
    async with stream(system, REVIEWERS[1]) as revoked, stream(system, REVIEWERS[2]) as disabled:
        grants = (await system.person(OPERATOR).get("/grants", person=REVIEWERS[1])).json()["grants"]
        assert 204 == (await system.person(OPERATOR).delete(f"/grants/{grants[0]['id']}")).status_code
        assert ("roles", {"grants": []}) == await revoked.next()
        await system.person(REVIEWERS[0]).accepted(review, "question", reason="Who checks it?")
        await disabled.upto("entry", type="accepted")
        await revoked.quiet()
        response = await system.person(OPERATOR).post(f"/people/{REVIEWERS[2]}/disabled", {"because": "left"})
        assert 204 == response.status_code, response.text
        with pytest.raises(EOFError):
            await disabled.upto("never")


async def test_whoever_comes_back_is_told_which_roles_they_have(without_worker: System) -> None:
    """At once: they may have been given one, lost one or been left one while they were away."""
    system = without_worker
    operator = system.person(OPERATOR)
    await system.granted(("olga.owner", "owner", ""))
    left: dict[str, str | None] = {}
    for person in (REVIEWERS[0], REVIEWERS[1], "olga.owner", AUDITOR):
        async with stream(system, person) as before:
            left[person] = before.last_id
    (grant,) = (await operator.get("/grants", person=REVIEWERS[0])).json()["grants"]
    assert 204 == (await operator.delete(f"/grants/{grant['id']}")).status_code
    await system.granted((REVIEWERS[1], "auditor", ""))
    next_week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    absence = {"giver": REVIEWERS[2], "taker": "olga.owner", "roles": ["reviewer"], "ends_at": next_week}
    assert 201 == (await operator.post("/delegations", absence)).status_code
    for person, roles in (
        (REVIEWERS[0], []),
        (REVIEWERS[1], [(REVIEWERS[1], "auditor"), (REVIEWERS[1], "reviewer")]),
        ("olga.owner", [("olga.owner", "owner"), (REVIEWERS[2], "reviewer")]),
        (AUDITOR, [(AUDITOR, "auditor")]),
    ):
        async with stream(system, person, after=left[person]) as after:
            event, said = await after.next(5)
            assert "roles" == event
            assert sorted(roles) == sorted((grant["person"], grant["role"]) for grant in said["grants"])


async def test_there_are_so_many_streams_and_no_more(system: System) -> None:
    """One person has a few; whoever closes one makes room."""
    headers = {"Authorization": f"Bearer {system.issuer.mint('ava.auditor')}"}
    async with system.api(event_streams=2) as http, stream(system, AUDITOR, http=http):
        async with stream(system, OWNER, http=http):
            refused = await http.get("/events", headers=headers)
            assert 503 == refused.status_code
            assert "Too many event streams are open. Close one, or try again later." == refused.json()["detail"]
            assert "Retry-After" in refused.headers

        async def room() -> bool:
            async with http.stream("GET", "/events", headers=headers) as response:
                return response.status_code == 200

        assert await until(room)


async def test_a_stream_on_which_nothing_happens_says_that_it_is_there(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how far it has come."""
    monkeypatch.setattr(streams, "BEAT", 0.2)
    headers = {"Authorization": f"Bearer {system.issuer.mint('sota.engineer')}"}
    async with asyncio.timeout(60), system.http.stream("GET", "/events", headers=headers) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line == ": still here":
                break
        name, _, mark = (await anext(lines)).partition(": ")
        assert "id" == name
        assert Mark.parse(mark) is not None


async def test_nobody_follows_without_a_token(system: System) -> None:
    """Nor for longer than it is good."""
    assert 401 == (await system.http.get("/events")).status_code


async def test_everybody_says_what_they_want_by_mail(system: System) -> None:
    """What they have not said is what everybody gets; what makes no sense is refused."""
    person = system.person(AUTHOR)
    default = {"pace": "daily", "kinds": [*_kinds()], "time_zone": "UTC", "hour": 8}
    assert default == (await person.get("/me/preferences")).json()
    wanted = {"pace": "hourly", "kinds": ["outcome"], "time_zone": "Asia/Tokyo", "hour": 7}
    assert wanted == (await person.put("/me/preferences", wanted)).json()
    assert wanted == (await person.get("/me/preferences")).json()
    for wrong in (
        {"pace": "always"},
        {"pace": "daily", "hour": 24},
        {"pace": "daily", "time_zone": "Mars/Olympus"},
        {"pace": "daily", "kinds": ["gossip"]},
        {"pace": "daily", "email": "eve@example.org"},
        {},
    ):
        assert 422 == (await person.put("/me/preferences", wrong)).status_code
    refused = await system.person("nobody.known").put("/me/preferences", wanted)
    assert 403 == refused.status_code
    assert "Only people in the registry" in refused.json()["detail"]


async def test_what_is_not_said_is_as_everybody_has_it(system: System) -> None:
    """Saying how often leaves the morning where this deployment has it."""
    headers = {"Authorization": f"Bearer {system.issuer.mint(AUTHOR)}"}
    async with system.api(time_zone="Asia/Tokyo") as http:
        for said, zone, hour in (
            ({"pace": "daily"}, "Asia/Tokyo", 8),
            ({"pace": "daily", "hour": 7}, "Asia/Tokyo", 7),
            ({"pace": "daily", "time_zone": "UTC", "hour": None}, "UTC", 8),
        ):
            told = (await http.put("/me/preferences", headers=headers, json=said)).json()
            assert (zone, hour) == (told["time_zone"], told["hour"])
            assert told == (await http.get("/me/preferences", headers=headers)).json()


def _kinds() -> tuple[str, ...]:
    return ("turn", "reminder", "overdue", "blocked", "answer", "advice", "outcome")


async def test_people_are_written_to_where_the_import_says(without_worker: System) -> None:
    """From the import of an address to the mail in the box; listed for them, for auditors, and for operators."""
    system = without_worker
    people = f"person,name,unit,role,office,email\n{REVIEWERS[0]},Rin,Example,,,rin@example.org\n"
    response = await system.person(OPERATOR).put_in("/people/import", people, "text/csv")
    assert 200 == response.status_code, response.text
    assert (
        "immediate" == (await system.person(REVIEWERS[0]).put("/me/preferences", {"pace": "immediate"})).json()["pace"]
    )
    async with mail_server() as mail, system.worker(smtp_url=mail.url, mail_from="ringi@example.org"):
        review = await system.opened(example(3, title="To be told of"))
        await until(lambda: _found(system, "select count(*) from tellings where state = 'waiting'"))
        system.clock.ahead += timedelta(minutes=2)

        async def arrived() -> bool:
            return bool(mail.taken)

        await until(arrived)
        (message,) = mail.taken
        assert ("rin@example.org", "Your turn: To be told of") == (message["To"], message["Subject"])
        await until(lambda: _found(system, "select count(*) from tellings where state = 'sent'"))
    (mine,) = (await system.person(REVIEWERS[0]).get("/me/notices")).json()["notices"]
    assert (review, "sent", "turn", "To be told of") == tuple(
        mine[name] for name in ("review", "state", "kind", "title")
    )
    others = (await system.person(AUDITOR).get("/notices", review=review)).json()["notices"]
    assert {(REVIEWERS[0], "sent"), (REVIEWERS[1], "no_address")} <= {(n["person"], n["state"]) for n in others}
    for notice in (await system.person(OPERATOR).get("/notices", review=review)).json()["notices"]:
        assert (None, None) == (notice["title"], notice["what"])
    assert 403 == (await system.person(OWNER).get("/notices", review=review)).status_code
    assert 404 == (await system.person(AUDITOR).get("/notices", review="r-unknown")).status_code
    assert 422 == (await system.person(AUDITOR).get("/notices")).status_code
    assert {"notices": [], "next": None} == (await system.person("nobody.known").get("/me/notices")).json()


async def _found(system: System, query: str) -> int:
    found: int = await system.database.pool.fetchval(query)
    return found


async def test_an_address_stays_until_another_is_imported(system: System) -> None:
    """An import without the column changes no address; an empty cell takes it away; a bad one is a mistake."""
    operator = system.person(OPERATOR)
    address = "select email from people where id = 'mei.manager'"
    for column, cell, expected in (
        (",email", ",mei@example.org", "mei@example.org"),
        ("", "", "mei@example.org"),
        (",email", ",", None),
    ):
        data = f"person,name,unit,role,office{column}\nmei.manager,Mei,Example,,{cell}\n"
        assert 200 == (await operator.put_in("/people/import", data, "text/csv")).status_code
        assert expected == await system.database.pool.fetchval(address)
    data = "person,name,unit,role,office,email\nmei.manager,Mei,Example,,,mei@example.org bcc: eve@example.org\n"
    refused = await operator.put_in("/people/import", data, "text/csv")
    assert 422 == refused.status_code
    assert "/2/email" == refused.json()["errors"][0]["pointer"]


async def test_a_webhook_is_told_what_happens(without_worker: System) -> None:
    """Signed events that name the entry and quote nothing; again under the same id where one was not taken."""
    system = without_worker
    came: list[tuple[dict[str, str], bytes]] = []
    answers = iter([500])

    async def receive(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        came.append(({name.decode(): value.decode() for name, value in scope["headers"]}, body))
        await send({"type": "http.response.start", "status": next(answers, 204), "headers": []})
        await send({"type": "http.response.body"})

    loopback: dict[str, Any] = {"webhooks_to_loopback": True}
    async with serving(receive) as url, system.api(**loopback) as http, system.worker(**loopback):
        operator = system.person(OPERATOR, http)
        registered = (await operator.post("/webhooks", {"url": f"{url}/hook", "types": ["ringi.review.closed"]})).json()
        review = await system.opened(example(1, title="SECRET title"))
        await system.reviewed(review)
        await system.signed_off(review)

        async def twice() -> bool:
            system.clock.ahead += timedelta(seconds=1)
            return len(came) == 2

        await until(twice, seconds=30, every=0.2)
        (first, body), (second, again) = came
        assert body == again
        assert first["webhook-id"] == second["webhook-id"]
        event = json.loads(body)
        Webhook(registered["secret"]).verify(again, second)
        assert ("1.0", "ringi.review.closed", review, "urn:ringi", first["webhook-id"]) == tuple(
            event[name] for name in ("specversion", "type", "subject", "source", "id")
        )
        timeline = (await system.person(AUDITOR).timeline(review)).entries
        assert {"review": review, "seq": len(timeline), "hash": timeline[-1].hash, "outcome": "approved"} == event[
            "data"
        ]
        assert "SECRET" not in body.decode()
        await until(lambda: _found(system, "select count(*) from posts where state = 'delivered'"))
        (listed,) = (await operator.get("/webhooks")).json()["webhooks"]
        assert (0, 1, 0) == (listed["waiting"], listed["delivered"], listed["failed"])
        assert registered["secret"] not in str(listed)
        (post,) = (await operator.get(f"/webhooks/{registered['id']}/posts", state="delivered")).json()["posts"]
        assert (review, 2) == (post["review"], post["attempts"])
        assert 204 == (await operator.delete(f"/webhooks/{registered['id']}")).status_code
        assert 404 == (await operator.delete(f"/webhooks/{registered['id']}")).status_code
        assert {"webhooks": []} == (await operator.get("/webhooks")).json()


async def test_webhooks_are_the_operator_s(system: System) -> None:
    """And lead to public addresses only."""
    url = "https://hooks.example.org/ringi"
    for name in (OWNER, OFFICER, AUDITOR, REVIEWERS[0]):
        person = system.person(name)
        assert 403 == (await person.post("/webhooks", {"url": url})).status_code
        assert 403 == (await person.get("/webhooks")).status_code
        assert 403 == (await person.get(f"/webhooks/{uuid4()}/posts")).status_code
        assert 403 == (await person.delete(f"/webhooks/{uuid4()}")).status_code
    operator = system.person(OPERATOR)
    for wrong in (
        {"url": "https://127.0.0.1/"},
        {"url": "http://hooks.example.org/"},
        {"url": "http://127.0.0.1:9/"},
        {"url": url, "types": []},
        {"url": url, "types": ["ringi.review.gossip"]},
        {"url": url, "secret": "mine"},
        {},
    ):
        refused = await operator.post("/webhooks", wrong)
        assert 422 == refused.status_code, refused.text
    registered = (await operator.post("/webhooks", {"url": url})).json()
    assert registered["secret"].startswith("whsec_")
    assert len(registered["types"]) > 10
    assert 204 == (await operator.delete(f"/webhooks/{registered['id']}")).status_code


async def test_what_waits_for_a_removed_webhook_is_given_up(without_worker: System) -> None:
    """And it says why."""
    system = without_worker
    operator = system.person(OPERATOR)
    registered = (await operator.post("/webhooks", {"url": "https://hooks.example.org/"})).json()
    async with system.worker(webhook_ports=[1]):
        await system.opened(example(1))
        await until(lambda: _found(system, "select count(*) from posts where attempts > 0"))
    assert 204 == (await operator.delete(f"/webhooks/{registered['id']}")).status_code
    posts = (await operator.get(f"/webhooks/{registered['id']}/posts")).json()["posts"]
    assert posts
    assert {("failed", "the webhook was removed")} == {(post["state"], post["error"]) for post in posts}
