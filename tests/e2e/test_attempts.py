"""Refused attempts: each is on record, with who, what and why, before it is answered; and nothing that somebody wrote."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from structlog.testing import capture_logs

from api.app import create_app
from api.attempts import EACH, NOBODY, Recorder
from api.cookies import SESSION_COOKIE
from api.problems import Conflict, Forbidden
from domain.proposal import content_digest
from store.attempts import Attempt, Attempts
from store.database import connect
from tests.conftest import DatabaseUrls
from tests.e2e.test_invitations import at_council, link_to
from tests.e2e.test_step_up import judgement, to_provider
from tests.e2e.test_step_up import opened as opened_strictly
from tests.support.browser import EVIL, Browser
from tests.support.place import Place
from tests.support.system import AUDITOR, AUTHOR, OFFICER, OPERATOR, REVIEWERS, System, example, serving, sheet

SECRET = "canary-4f1d"


async def on_record(system: System, **query: Any) -> list[dict[str, Any]]:
    """The attempts on record, the newest first."""
    response = await system.person(AUDITOR).get("/attempts", **query)
    assert 200 == response.status_code, response.text
    found: list[dict[str, Any]] = response.json()["attempts"]
    return found


async def newest(system: System, **query: Any) -> tuple[Any, ...]:
    """Who tried what, and why it was refused: the newest attempt."""
    (last, *_) = await on_record(system, **query)
    what = last["method"] + " " + (last["route"] or "-")
    return last["person"], what, last["kind"], last["status"], last["problem"], last["reason"]


async def test_who_what_and_why(own_system: System) -> None:
    """One after the other: each leaves one entry, on top of those before."""
    system = own_system
    review = await system.opened(example(1))
    decide = "POST /reviews/{review_id}/decisions"
    stranger, owner, reviewer = "someone.else", "hana.owner", system.person(REVIEWERS[0])
    assert [] == await on_record(system)

    await system.http.get(f"/reviews/{review}")
    assert (None, "GET /reviews/{review_id}", None, 401, "unauthenticated", None) == await newest(system)
    await system.http.get("/me", headers={"Authorization": "Bearer not.a.token"})
    assert (None, "GET /me", None, 401, "unauthenticated", None) == await newest(system)
    await system.person(stranger).get(f"/reviews/{review}")
    assert (stranger, "GET /reviews/{review_id}", None, 404, "not-found", None) == await newest(system, review=review)
    digest = content_digest(example(1))
    await system.person(owner).say(review, "ruling", digest=digest, ruling="proceed", reason="I'd like it.")
    assert (owner, decide, "ruling", 403, "forbidden", None) == await newest(system, person=owner)
    await system.person(owner).post("/keys", {"public": "x"})
    assert (owner, "POST /keys") == (await newest(system))[:2]
    await reviewer.say(review, "verdict_sheet", verdicts=[])
    assert (REVIEWERS[0], decide, None, 422, "invalid", None) == await newest(system)
    await reviewer.post(
        "/delegations", {"taker": REVIEWERS[0], "roles": ["reviewer"], "ends_at": "2100-01-01T00:00:00Z"}
    )
    assert (REVIEWERS[0], "POST /delegations", None, 409, "conflict", None) == await newest(system)
    again = str(uuid4())
    await reviewer.accepted(review, "question", id=again, reason="Who checks it?")
    await reviewer.say(review, "question", id=again, reason="Who else?")
    assert (REVIEWERS[0], decide, "question", 409, "conflict", "id_reused") == await newest(system)
    assert again == (await on_record(system))[0]["decision_id"]
    await system.person(OFFICER).get("/reviews/no-such-review")
    before = await on_record(system)
    assert 9 == len(before)
    assert all(attempt["request_id"] and attempt["detail"] and attempt["times"] == 1 for attempt in before)

    # What is accepted is no attempt; what the process refused stands on its review's record.
    await system.person(AUTHOR).say(review, "question", reason="May I?")
    assert 10 == len(await on_record(system))
    await reviewer.refused(review, "stale", "verdict_sheet", digest="0" * 64, verdicts=sheet())
    await reviewer.accepted(review, "verdict_sheet", verdicts=sheet())
    assert 10 == len(await on_record(system))


async def test_whoever_is_disabled(own_system: System) -> None:
    """They are known, and named."""
    operator = own_system.person(OPERATOR)
    assert 204 == (await operator.post(f"/people/{REVIEWERS[0]}/disabled", {"because": "Left."})).status_code
    await own_system.person(REVIEWERS[0]).get("/inbox")
    assert (REVIEWERS[0], "GET /inbox", None, 403, "disabled", "disabled") == await newest(own_system)


async def test_a_page_of_another_site(place: Place, browser: Browser) -> None:
    """The person whose browser it asks for them is named, as is why it was refused."""
    await place.signs_in(browser, REVIEWERS[0])
    cookie = browser.cookie(place.url, SESSION_COOKIE)
    assert cookie is not None
    sent = {"Cookie": f"{SESSION_COOKIE}={cookie.value}", "Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    assert 403 == (await place.http.post("/sign-out", headers=sent)).status_code
    auditor = await place.person(AUDITOR)
    (last, *_) = (await auditor.get("/attempts")).json()["attempts"]
    assert (REVIEWERS[0], "/sign-out", "cross-site", "cross_site") == tuple(
        last[name] for name in ("person", "route", "problem", "reason")
    )


async def test_whoever_signs_in_again_as_another(place: Place, browser: Browser) -> None:
    """They are who was asked to, not who the provider says, nor nobody;
    whether their session holds or ended meanwhile.
    """
    review = await opened_strictly(place)
    body = await judgement(place, review)
    auditor = await place.person(AUDITOR)
    for ended in (False, True):
        await place.signs_in(browser, REVIEWERS[0])
        asked = await place.posts(browser, f"/reviews/{review}/decisions", body)
        page = await to_provider(place, browser, asked)
        if ended:
            await place.posts(browser, "/sign-out")
        assert 403 == (await browser.press(str(page.url), "", sub=REVIEWERS[1])).status_code
        (last, *_) = (await auditor.get("/attempts")).json()["attempts"]
        assert (REVIEWERS[0], "/sign-in/callback", "sign-in-refused") == tuple(
            last[name] for name in ("person", "route", "problem")
        )
        assert ("has ended" if ended else "another person") in last["detail"]


async def test_a_link_that_is_not_good(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Guessed, used or revoked, looked at or pressed: the page is the same, the record says why; and never the token."""
    review = await at_council(place)
    auditor = await place.person(AUDITOR)
    from_here = {"Origin": place.url, "Sec-Fetch-Site": "same-origin"}
    _, used = await link_to(place, review)
    assert 303 == (await place.http.post(used, headers=from_here)).status_code
    invitation, revoked = await link_to(place, review)
    assert 204 == (await (await place.person(OFFICER)).delete(f"/invitations/{invitation}")).status_code
    links = {f"{place.url}/invited/{SECRET}": "unknown", used: "used", revoked: "revoked"}
    pages = set()
    with capture_logs() as logs:
        for link, why in links.items():
            for method in ("GET", "POST"):
                page = await place.http.request(method, link, headers=from_here)
                assert 410 == page.status_code
                pages.add(page.text)
                (last, *_) = (await auditor.get("/attempts")).json()["attempts"]
                assert (None, method, "/invited/{token}", 410, "gone", why) == tuple(
                    last[name] for name in ("person", "method", "route", "status", "problem", "reason")
                )
                assert last["detail"]
    assert 1 == len(pages)
    rows = await place.system.database.pool.fetch("select * from attempts")
    said = json.dumps([[dict(row) for row in rows], logs, caplog.messages], default=str)
    for link in links:
        assert link.rpartition("/")[2] not in said


def every_way_to_refuse(app: FastAPI) -> dict[str, tuple[int, str | None]]:
    """Routes for all ways to answer from 400 to 499; with the status, and what it is called on record."""

    def raises(error: Exception) -> Response:
        raise error

    async def plain(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"Nothing here."})

    @app.get("/set")
    async def told(response: Response) -> str:
        response.status_code = 423
        return "Locked."

    mounted = FastAPI()
    app.mount("/mounted", mounted)
    app.mount("/plain", plain)
    mounted.get("/page")(lambda: HTMLResponse("Gone.", 410))
    ways: dict[str, tuple[int, str | None, Any]] = {
        "/page": (410, "gone", lambda: HTMLResponse("Gone.", 410)),
        "/text": (406, "not-acceptable", lambda: PlainTextResponse("No.", 406)),
        "/json": (409, "conflict", lambda: JSONResponse({}, 409)),
        "/stream": (429, "too-many-requests", lambda: StreamingResponse(iter(["No."]), 429)),
        "/unnamed": (499, "499", lambda: Response(status_code=499)),
        "/raised": (451, "unavailable-for-legal-reasons", lambda: raises(HTTPException(451))),
        "/problem": (403, "forbidden", lambda: raises(Forbidden("No."))),
        "/elsewhere-on-record": (409, None, lambda: raises(Conflict("Not now.", refuses=False))),
    }
    for path, (_, _, answer) in ways.items():
        app.get(path)(answer)
    others = {"/set": (423, "locked"), "/mounted/page": (410, "gone"), "/plain/": (404, "not-found")}
    return {path: (status, name) for path, (status, name, _) in ways.items()} | others


async def test_no_way_to_refuse_goes_unrecorded(own_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a route answers with, and whether it tells the record anything: each is an attempt, but for what says that
    it is none.
    """
    monkeypatch.setenv("TEMPORAL_ADDRESS", own_system.temporal_address)
    app = create_app(own_system.settings())
    ways = every_way_to_refuse(app)
    async with serving(app, lifespan=True) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        for path, (status, name) in ways.items():
            assert status == (await http.get(path)).status_code, path
            found = await on_record(own_system)
            last = (found[0]["status"], found[0]["problem"]) if found else None
            expected = [(status, name)] if name else []
            assert expected == [last][: len(expected)], path
    assert sum(name is not None for _, name in ways.values()) == len(await on_record(own_system))


async def test_nothing_that_somebody_wrote_is_on_record(own_system: System) -> None:
    """Neither from the path, nor the query, a header, a cookie or the body."""
    system = own_system
    person = system.person("someone.else")
    await person.get(f"/reviews/{SECRET}!", secret=SECRET, headers={"X-Request-ID": f"{SECRET} {SECRET}"})
    await person.get(f"/nowhere/{SECRET}")
    await person.post("/reviews", {"proposal": SECRET, SECRET: SECRET})
    await person.post("/delegations", {"taker": "nobody.known", "roles": [SECRET]})
    await system.http.get("/me", headers={"Authorization": f"Bearer {SECRET}"})
    await system.http.get("/me", headers={"Cookie": f"__Host-ringi={SECRET}"})
    await system.http.request(SECRET.upper().replace("-", ""), "/me")
    rows = await system.database.pool.fetch("select * from attempts")
    assert 7 == len(rows)
    assert SECRET not in json.dumps([dict(row) for row in rows], default=str).lower()


async def test_the_record_of_them_is_not_changed(own_system: System) -> None:
    """By the application's own role."""
    await own_system.http.get("/me")
    for statement in ("update attempts set person = 'x'", "delete from attempts", "truncate attempts"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await own_system.database.pool.execute(statement)
    assert 1 == len(await on_record(own_system))


async def test_pages(own_system: System) -> None:
    """The newest first, as many as asked for; auditors and operators read them."""
    for _ in range(5):
        await own_system.http.get("/me")
    auditor = own_system.person(AUDITOR)
    first = (await auditor.get("/attempts", limit=3)).json()
    rest = (await auditor.get("/attempts", limit=3, before=first["next"])).json()
    ids = [attempt["id"] for attempt in (*first["attempts"], *rest["attempts"])]
    assert (5, sorted(ids, reverse=True), None) == (len(ids), ids, rest["next"])


# How many.


async def noted(recorder: Recorder, person: str | None, times: int) -> None:
    """So many attempts of one person, or of nobody who is known."""
    for number in range(times):
        detail = f"Number {number}."
        await recorder.note(
            Attempt(method="GET", route="/keys", status=403, problem="forbidden", detail=detail, person=person)
        )


async def test_a_flood_fills_no_table_and_is_counted(database: DatabaseUrls) -> None:
    """So many a minute one by one; the rest as one entry that says how many they were. One flood hides nobody else's."""
    now = 0.0
    async with connect(database.app_url) as opened:
        store = Attempts(opened)
        recorder = Recorder(store, lambda: now)
        await noted(recorder, None, 500)
        await noted(recorder, "fred.flood", 500)
        await noted(recorder, "olga.once", 1)
        assert NOBODY + EACH + 1 == len(await store.find(None, None, 1000, 2**62))
        now = 61.0
        await noted(recorder, "fred.flood", 1)
        found = await store.find("fred.flood", None, 1000, 2**62)
        assert EACH + 2 == len(found)
        assert 501 == sum(attempt.times for attempt in found)
        assert "Number 499." in {attempt.detail for attempt in found if attempt.times > 1}
        await recorder.flush()
        assert 1002 == sum(attempt.times for attempt in await store.find(None, None, 1000, 2**62))


async def test_noise_hides_no_attempt_of_another_kind(database: DatabaseUrls) -> None:
    """However many come before and after it: what was tried once is told, with what it was about."""
    async with connect(database.app_url) as opened:
        store = Attempts(opened)
        recorder = Recorder(store, lambda: 0.0)
        await noted(recorder, "fred.flood", 500)
        probe = Attempt("POST", "/reviews/{review_id}/repair", 403, "forbidden", person="fred.flood", review_id="r-1")
        await recorder.note(probe)
        await noted(recorder, "fred.flood", 500)
        await recorder.flush()
        found = await store.find("fred.flood", None, 1000, 2**62)
        assert {(probe.route, "r-1", 1), ("/keys", None, 1000 - EACH)} == {
            (attempt.route, attempt.review_id, attempt.times)
            for attempt in found
            if attempt.times > 1 or attempt.route == probe.route
        }


async def test_with_the_database_away(database: DatabaseUrls) -> None:
    """It is answered all the same, and logged."""
    async with connect(database.app_url) as opened:
        recorder = Recorder(Attempts(opened))
    with capture_logs() as logs:
        await noted(recorder, "olga.once", 1)
    (log,) = logs
    assert ("a refused attempt is not on record", "olga.once", 403) == (log["event"], log["person"], log["status"])
