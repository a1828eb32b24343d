"""Signing in with a browser at a real identity provider, what the session is good for, and how it ends."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from api.cookies import SESSION_COOKIE, SIGN_IN_COOKIE
from runtime.embedded import free_port
from tests.support.browser import EVIL, Browser, origin_of
from tests.support.place import Place, refused
from tests.support.provider import CLIENT_ID
from tests.support.system import OPERATOR, OWNER, example


def callback_of(browser: Browser) -> str:
    """The address at which the browser came back from the provider."""
    return next(str(r.url) for r in reversed(browser.trail) if "/sign-in/callback" in str(r.url))


async def test_the_whole_way(place: Place, browser: Browser) -> None:
    """To the provider with a challenge, a state and a nonce; back; and then the session is as good as a token."""
    page = await place.to_provider(browser, return_to="/me")
    asked = parse_qs(urlsplit(str(page.url)).query)
    assert {"S256"} == set(asked["code_challenge_method"])
    assert [f"{place.url}/sign-in/callback"] == asked["redirect_uri"]
    assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))
    answer = await browser.press(str(page.url), "", sub=OWNER)
    assert (200, f"{place.url}/me") == (answer.status_code, str(answer.url))
    mine = await (await place.person(OWNER)).get("/me")
    assert mine.json() == answer.json()
    session = (await place.has(browser, "/session")).json()
    assert (OWNER, None, None) == (session["person"], session["invitation"], session["reviews"])
    assert abs(datetime.fromisoformat(session["auth_time"]).timestamp() - time.time()) < 60


async def test_the_cookie(place: Place, browser: Browser) -> None:
    """Bound to the host, for no script, not for other sites; and the database does not have it."""
    await place.signs_in(browser)
    cookie = browser.cookie(place.url, SESSION_COOKIE)
    assert cookie is not None
    assert {"path", "secure", "httponly", "samesite", "max-age"} == set(cookie.attributes)
    assert ("lax", str(12 * 3600)) == (cookie.attributes["samesite"].lower(), cookie.attributes["max-age"])
    assert len(cookie.value) >= 43
    kept = await place.system.database.pool.fetch("select s::text as row from sessions s")
    assert kept
    assert not any(cookie.value in row["row"] for row in kept)


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil.example",
        "",
        "/a\\b",
        "/a b",
        "/a\nb",
        "/ä",
        "javascript:alert(1)",
        "/" + "a" * 500,
    ],
)
async def test_nobody_is_led_elsewhere(place: Place, browser: Browser, return_to: str) -> None:
    """Only to a path here."""
    answer = await browser.go(str(httpx2.URL(place.url + "/sign-in", params={"return_to": return_to})))
    refused(answer, 422, "invalid")


async def test_a_callback_is_taken_once(place: Place, browser: Browser) -> None:
    """Nor with another state, or none, nor by the cookie of another browser or none."""
    page = await place.to_provider(browser)
    browser.trail.clear()
    other = Browser()
    await place.to_provider(other)
    waiting = browser.cookie(place.url, SIGN_IN_COOKIE)
    assert waiting is not None
    answer = await browser.press(str(page.url), "", sub=OWNER)
    assert 200 == answer.status_code
    back = callback_of(browser)
    code = httpx2.URL(back).params["code"]
    refused(await browser.go(back), 403, "sign-in-refused")
    for thief in (Browser(), other):
        refused(await thief.go(back), 403, "sign-in-refused")
    refused(await other.go(f"{place.url}/sign-in/callback?code={code}&state=x"), 403, "sign-in-refused")
    refused(await other.go(f"{place.url}/sign-in/callback?code={code}"), 422, "invalid")
    assert other.cookie(place.url, SESSION_COOKIE) is None


async def test_a_callback_that_another_browser_brings_first(place: Place, browser: Browser) -> None:
    """It doesn't sign the other one in; and where it belongs it is still good."""
    page = await place.to_provider(browser)
    sent = await place.provider.http.post(str(page.url), data={"sub": OWNER}, follow_redirects=False)
    back = sent.headers["location"]
    victim = Browser()
    refused(await victim.go(back, led_by=EVIL), 403, "sign-in-refused")
    await place.to_provider(victim)
    refused(await victim.go(back, led_by=EVIL), 403, "sign-in-refused")
    assert victim.cookie(place.url, SESSION_COOKIE) is None
    assert 200 == (await browser.go(back, led_by=place.provider.url)).status_code


async def test_a_code_of_another_way(place: Place, browser: Browser) -> None:
    """A code that somebody else was given, put into one's own way back: it was asked for with another verifier."""
    attacker = Browser()
    page = await place.to_provider(attacker)
    stolen = await place.provider.http.post(str(page.url), data={"sub": "eve.evil"}, follow_redirects=False)
    page = await place.to_provider(browser)
    state = parse_qs(urlsplit(str(page.url)).query)["state"][0]
    code = httpx2.URL(stolen.headers["location"]).params["code"]
    answer = await browser.go(f"{place.url}/sign-in/callback?state={state}&code={code}", led_by=EVIL)
    refused(answer, 403, "sign-in-refused")
    assert browser.cookie(place.url, SESSION_COOKIE) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"exp": 1},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"auth_time": "today"},
        {"exp": None},
        {"iat": None},
    ],
)
async def test_an_id_token_that_is_not_believed(place: Place, browser: Browser, claims: dict[str, Any]) -> None:
    """Rightly signed and fresh from the provider, but for one claim."""
    await place.provider.says("odd.person", **claims)
    refused(await place.signs_in(browser, "odd.person"), 403, "sign-in-refused")
    assert browser.cookie(place.url, SESSION_COOKIE) is None
    await place.provider.says("odd.person", aud=[CLIENT_ID, "another-client"], azp=CLIENT_ID)
    assert 200 == (await place.signs_in(browser, "odd.person", return_to="/session")).status_code


@pytest.mark.parametrize("subject", ["two words", "x" * 129, "ä", "../x"])
async def test_a_subject_that_no_person_has(place: Place, browser: Browser, subject: str) -> None:
    """As with access tokens."""
    refused(await place.signs_in(browser, subject), 403, "sign-in-refused")


async def test_who_is_denied_at_the_provider(place: Place, browser: Browser) -> None:
    """Comes back without a code; the way is used up."""
    page = await place.to_provider(browser)
    answer = await browser.press(str(page.url), "", action="deny")
    # This provider forgets the state when somebody says no.
    refused(answer, 422, "invalid")
    page = await place.to_provider(browser)
    state = parse_qs(urlsplit(str(page.url)).query)["state"][0]
    back = f"{place.url}/sign-in/callback?state={state}&error=access_denied"
    assert "did not sign you in" in refused(await browser.go(back), 403, "sign-in-refused")
    assert "used" in refused(await browser.go(back), 403, "sign-in-refused")


async def test_an_answer_of_another_provider(place: Place, browser: Browser) -> None:
    """RFC 9207: whoever says who it is must be who we asked."""
    page = await place.to_provider(browser)
    sent = await place.provider.http.post(str(page.url), data={"sub": OWNER}, follow_redirects=False)
    answer = await browser.go(sent.headers["location"] + "&iss=https%3A%2F%2Felsewhere.example")
    assert "another" in refused(answer, 403, "sign-in-refused")


async def test_two_tabs(place: Place, browser: Browser) -> None:
    """The second one doesn't spoil the first."""
    pages = [await place.to_provider(browser) for _ in range(2)]
    for page in pages:
        assert 200 == (await browser.press(str(page.url), "", sub=OWNER)).status_code


async def test_a_way_that_took_too_long(place: Place, browser: Browser) -> None:
    """Ten minutes at the provider are enough."""
    page = await place.to_provider(browser)
    await place.alter("update sign_ins set expires_at = now() - interval '1 second'")
    refused(await browser.press(str(page.url), "", sub=OWNER), 403, "sign-in-refused")


async def test_the_provider_takes_another_key(place: Place, browser: Browser) -> None:
    """For sign-in and for access tokens alike; by the old key nothing is taken any more."""
    assert 200 == (await place.signs_in(browser)).status_code
    old = await place.person(OWNER)
    assert 200 == (await old.get("/me")).status_code
    await place.provider.rotate()
    assert 200 == (await place.signs_in(Browser())).status_code
    assert 401 == (await old.get("/me")).status_code
    await place.provider.rotate()
    assert 200 == (await (await place.person(OWNER)).get("/me")).status_code


async def test_a_session_that_was_put_there(place: Place, browser: Browser) -> None:
    """Neither a cookie that somebody made up nor one that was there before is the one after signing in."""
    await place.signs_in(browser)
    before = browser.cookie(place.url, SESSION_COOKIE)
    assert before is not None
    await place.signs_in(browser)
    after = browser.cookie(place.url, SESSION_COOKIE)
    assert after is not None
    assert before.value != after.value
    ended = Browser(jar={"127.0.0.1": {SESSION_COOKIE: before}})
    refused(await place.has(ended, "/session"), 401, "unauthenticated")
    assert ended.cookie(place.url, SESSION_COOKIE) is None
    planted = Browser(
        jar={"127.0.0.1": {name: type(before)(name, "planted", {}) for name in (SESSION_COOKIE, SIGN_IN_COOKIE)}}
    )
    page = await place.to_provider(planted)
    waiting = planted.cookie(place.url, SIGN_IN_COOKIE)
    assert waiting is not None
    assert "planted" != waiting.value
    assert 200 == (await planted.press(str(page.url), "", sub=OWNER)).status_code
    signed_in = planted.cookie(place.url, SESSION_COOKIE)
    assert signed_in is not None
    assert "planted" != signed_in.value


HOME_ORIGIN = "home"
MATRIX = [
    # Sec-Fetch-Site, Origin, taken (for a POST)
    ("same-origin", HOME_ORIGIN, True),
    ("same-origin", None, True),
    ("same-site", HOME_ORIGIN, False),
    ("cross-site", EVIL, False),
    ("cross-site", HOME_ORIGIN, False),
    ("none", None, False),
    ("none", HOME_ORIGIN, False),
    ("", HOME_ORIGIN, False),
    ("SAME-ORIGIN", HOME_ORIGIN, False),
    (None, HOME_ORIGIN, True),
    (None, EVIL, False),
    (None, "null", False),
    (None, "https://127.0.0.1", False),
    (None, None, False),
]


@pytest.mark.parametrize(("site", "origin", "taken"), MATRIX)
async def test_where_a_request_comes_from(place: Place, site: str | None, origin: str | None, taken: bool) -> None:
    """Under a session, only a page of ours changes something; reading is for every way there,
    and a token needs none of it.
    """
    browser = Browser()
    await place.signs_in(browser)
    cookie = browser.cookie(place.url, SESSION_COOKIE)
    assert cookie is not None
    headers = {} if site is None else {"Sec-Fetch-Site": site}
    if origin is not None:
        headers["Origin"] = place.url if origin == HOME_ORIGIN else origin
    body = {"proposal": example(1).model_dump(mode="json")}
    with_cookie = headers | {"Cookie": f"{SESSION_COOKIE}={cookie.value}"}
    answer = await place.http.post("/assessments", json=body, headers=with_cookie)
    if taken:
        assert 200 == answer.status_code, answer.text
    else:
        refused(answer, 403, "cross-site")
    assert 200 == (await place.http.get("/me", headers=with_cookie)).status_code
    token = await place.provider.access_token(OWNER)
    answer = await place.http.post("/assessments", json=body, headers=headers | {"Authorization": f"Bearer {token}"})
    assert 200 == answer.status_code, answer.text


@pytest.mark.parametrize("modern", [True, False])
async def test_a_page_of_another_site(place: Place, modern: bool) -> None:
    """What its scripts and forms send does not even bear the cookie; a link there leads a signed-in person here."""
    browser = Browser(modern=modern)
    await place.signs_in(browser)
    body = {"proposal": example(1).model_dump(mode="json")}
    assert 200 == (await place.posts(browser, "/assessments", body)).status_code
    assert 401 == (await browser.fetch("POST", f"{place.url}/assessments", script_of=EVIL, json=body)).status_code
    assert 401 == (await browser.press(f"{EVIL}/page", f"{place.url}/sign-out")).status_code
    assert 200 == (await browser.go(f"{place.url}/me", led_by=EVIL)).status_code


async def test_a_token_and_a_session(place: Place, browser: Browser) -> None:
    """One of the two."""
    await place.signs_in(browser)
    cookie = browser.cookie(place.url, SESSION_COOKIE)
    assert cookie is not None
    token = await place.provider.access_token(OWNER)
    headers = {"Cookie": f"{SESSION_COOKIE}={cookie.value}", "Authorization": f"Bearer {token}"}
    assert "not by both" in refused(await place.http.get("/me", headers=headers), 400, "malformed-request")


async def test_signing_out(place: Place, browser: Browser) -> None:
    """The cookie is dropped, and is good for nothing where somebody kept it; the provider's session ends elsewhere."""
    await place.signs_in(browser)
    cookie = browser.cookie(place.url, SESSION_COOKIE)
    assert cookie is not None
    answer = await place.posts(browser, "/sign-out")
    assert 200 == answer.status_code
    end = answer.json()["end_session"]
    assert origin_of(end) == place.provider.url
    assert 200 == (await place.provider.http.get(end)).status_code
    assert browser.cookie(place.url, SESSION_COOKIE) is None
    for _ in range(2):
        kept = Browser(jar={"127.0.0.1": {SESSION_COOKIE: cookie}})
        refused(await place.has(kept, "/me"), 401, "unauthenticated")
    refused(await place.posts(browser, "/sign-out"), 401, "unauthenticated")
    refused(await (await place.person(OWNER)).get("/session"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "change",
    [
        "update sessions set last_seen_at = now() - interval '61 minutes'",
        "update sessions set expires_at = now() - interval '1 second'",
        "update sessions set ended_at = now()",
        "delete from sign_ins; delete from sessions",
    ],
)
async def test_how_a_session_ends(place: Place, browser: Browser, change: str) -> None:
    """When it was not used for an hour, when its time is over, when it was ended."""
    await place.signs_in(browser)
    await place.alter("update sessions set last_seen_at = now() - interval '59 minutes'")
    assert 200 == (await place.has(browser, "/me")).status_code
    await place.alter(change)
    refused(await place.has(browser, "/me"), 401, "unauthenticated")


async def test_a_session_that_is_used_goes_on(place: Place, browser: Browser) -> None:
    """Each use counts, though not each is written down."""
    await place.signs_in(browser)
    for _ in range(2):
        await place.alter("update sessions set last_seen_at = now() - interval '59 minutes'")
        assert 200 == (await place.has(browser, "/me")).status_code
    seen = await place.system.database.pool.fetchval("select min(now() - last_seen_at) from sessions")
    assert seen.total_seconds() < 60


async def test_a_disabled_person(place: Place, browser: Browser) -> None:
    """At once, by token and by session, with nothing that they ask for answered; enabled again, they sign in anew."""
    person, operator = await place.person("rin.reviewer"), await place.person(OPERATOR)
    await place.signs_in(browser, "rin.reviewer")
    reason = {"because": "Left the company."}
    assert 204 == (await operator.post("/people/rin.reviewer/disabled", reason)).status_code
    for path in ("/me", "/inbox", "/reviews", "/session", "/packs/nec-human-rights", "/reviews/none"):
        refused(await person.get(path), 403, "disabled")
        assert "disabled" == (await place.has(browser, path)).json()["reason"]
    refused(await place.posts(browser, "/sign-out"), 403, "disabled")
    refused(await place.signs_in(Browser(), "rin.reviewer"), 403, "disabled")
    assert 409 == (await operator.post("/people/rin.reviewer/disabled", reason)).status_code
    assert 204 == (await operator.delete("/people/rin.reviewer/disabled?because=Came+back.")).status_code
    assert 409 == (await operator.delete("/people/rin.reviewer/disabled?because=Came+back.")).status_code
    assert 200 == (await person.get("/me")).status_code
    refused(await place.has(browser, "/me"), 401, "unauthenticated")
    assert 200 == (await place.signs_in(browser, "rin.reviewer")).status_code


async def test_who_disables_whom(place: Place) -> None:
    """An operator, with a reason, somebody who is there, and not themselves."""
    operator, owner = await place.person(OPERATOR), await place.person(OWNER)
    reason = {"because": "Left the company."}
    assert 403 == (await owner.post("/people/rin.reviewer/disabled", reason)).status_code
    assert 403 == (await owner.delete("/people/rin.reviewer/disabled?because=x")).status_code
    assert 422 == (await operator.post("/people/rin.reviewer/disabled", {})).status_code
    assert 404 == (await operator.post("/people/nobody/disabled", reason)).status_code
    refused(await operator.post(f"/people/{OPERATOR}/disabled", reason), 409, "conflict")
    assert 200 == (await operator.get("/me")).status_code


async def test_where_nobody_signs_in_with_a_browser(place: Place) -> None:
    """Without a client's name or an address for browsers;
    and an issuer of tokens alone offers nothing to sign in with.
    """
    browser = Browser()
    async with place.system.api(oidc_issuer=place.provider.url) as http:
        refused(await browser.go(f"{origin_of(str(http.base_url))}/sign-in"), 404, "not-found")
    async with place.system.api(oidc_client_id="ringi-local", public_url=place.url) as http:
        refused(await browser.go(f"{origin_of(str(http.base_url))}/sign-in"), 404, "not-found")


async def test_the_provider_is_away(place: Place) -> None:
    """503: that is for a time."""
    async with place.system.api(
        oidc_issuer=f"http://127.0.0.1:{free_port()}", oidc_client_id="x", public_url=place.url
    ) as http:
        refused(await Browser().go(f"{origin_of(str(http.base_url))}/sign-in"), 503, "unavailable")


async def test_many_callbacks_at_once(place: Place, browser: Browser) -> None:
    """One of them signs in."""
    page = await place.to_provider(browser)
    sent = await place.provider.http.post(str(page.url), data={"sub": OWNER}, follow_redirects=False)
    answers = await asyncio.gather(*(browser.go(sent.headers["location"]) for _ in range(5)))
    assert [200, 403, 403, 403, 403] == sorted(answer.status_code for answer in answers)
