"""Signing in again over a decision: by a browser and by a program, at a real identity provider."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from domain.decisions import Finding
from domain.events import Accepted
from domain.ledger import Entry
from store.registers import Registers
from tests.conftest import Servers
from tests.support.browser import EVIL, Browser, origin_of
from tests.support.harness import SIGNER
from tests.support.place import Place, refused
from tests.support.system import AUTHOR, LECTURE, PACK, REVIEWERS, SIGNATORIES, Person, example, sheet

STRICT = PACK.model_copy(
    update={
        "id": "strict",
        "tiers": tuple(rule.model_copy(update={"step_up": ("verdict_sheet", "signature")}) for rule in PACK.tiers),
    }
)
REVIEWER, OTHER = REVIEWERS[:2]


async def opened(place: Place) -> str:
    """A review whose verdict sheets need a renewed sign-in."""
    await Registers(place.system.database, SIGNER).publish(STRICT)
    author = await place.person(AUTHOR)
    body = {"pack": "strict", "proposal": example(1).model_dump(mode="json"), "review": f"r-{uuid4()}"}
    response = await author.post("/reviews", body)
    assert 200 == response.status_code, response.text
    return str(response.json()["review"])


async def to_provider(place: Place, browser: Browser, asked_for: httpx2.Response) -> httpx2.Response:
    """The provider's page, to which a browser is led that was shown the decision and wants to sign in over it."""
    page = await browser.go(place.url + asked_for.json()["authorize"], led_by=place.url)
    assert 200 == page.status_code, page.text
    assert place.url == origin_of(str(page.url))
    led = await browser.press(str(page.url), "")
    assert place.provider.url == origin_of(str(led.url)), led.text
    return led


MEANINGS = {"verdict_sheet": "gives a verdict on each principle of the sheet", "signature": "approves as "}
"""What whoever signs in again is told that the decision will mean."""


async def judgement(place: Place, review: str, **more: Any) -> dict[str, Any]:
    """A verdict sheet, not sent yet."""
    digest = (await (await place.person(REVIEWER)).status(review)).digest
    return {"kind": "verdict_sheet", "digest": digest, "verdicts": sheet(), "id": str(uuid4()), **more}


async def asked(person: Person, review: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a decision is answered that needs a renewed sign-in."""
    response = await person.post(f"/reviews/{review}/decisions", body)
    refused(response, 403, "step-up-required")
    challenge = 'Bearer error="insufficient_user_authentication", max_age=300'
    assert challenge == response.headers["www-authenticate"]
    problem: dict[str, Any] = response.json()
    assert ("step_up_required", body["id"]) == (problem["reason"], problem["decision_id"])
    assert MEANINGS[body["kind"]] in problem["meaning"]
    return problem


async def test_with_a_browser(place: Place, browser: Browser) -> None:
    """Asked, led to the provider and back, sent again, taken; and the provider's word stands on the ledger."""
    review = await opened(place)
    await place.signs_in(browser, REVIEWER)
    before = place.session_of(browser)
    body = await judgement(place, review)
    path = f"/reviews/{review}/decisions"
    answer = await place.posts(browser, path, body)
    refused(answer, 403, "step-up-required")
    page = await to_provider(place, browser, answer)
    query = dict(page.url.params)
    assert ("login", "0", answer.json()["nonce"]) == (query["prompt"], query["max_age"], query["nonce"])
    landed = await browser.press(str(page.url), "", sub=REVIEWER)
    assert f"{place.url}/reviews/{review}" == str(landed.url)
    assert before == place.session_of(browser)
    taken = await place.posts(browser, path, body)
    assert (200, "accepted") == (taken.status_code, taken.json()["status"]), taken.text
    again = await place.posts(browser, path, body)
    assert taken.json() == again.json()
    evidence = await place.system.person("ava.auditor").evidence(review)
    events = [Entry.model_validate_json(entry.data).event for entry in evidence.entries]
    (judged,) = (e for e in events if isinstance(e, Accepted) and e.envelope.kind == "verdict_sheet")
    assert judged.proof.step_up is not None
    assert judged.proof.step_up.token.count(".") == 2


async def test_with_a_program(place: Place) -> None:
    """It brings the ID token itself."""
    review = await opened(place)
    person = await place.person(REVIEWER)
    body = await judgement(place, review)
    nonce = (await asked(person, review, body))["nonce"]
    token = await place.provider.id_token(REVIEWER, nonce)
    taken = await person.post(f"/reviews/{review}/decisions", body | {"step_up": {"id_token": token}})
    assert (200, "accepted") == (taken.status_code, taken.json()["status"]), taken.text


async def test_the_highest_tier_of_the_shipped_policy(place: Place) -> None:
    """Whoever signs signs in again, over the signature; a session or a token alone is too little."""
    system = place.system
    await system.trained(("ren.operator", LECTURE))
    review = await system.opened(example(4))
    await system.reviewed(review)
    await system.advised(review)
    await system.until_stage(review, "sign_off")
    for name in SIGNATORIES.values():
        signatory = await place.person(name)
        status = await signatory.status(review)
        assert (PACK.digest, 4) == (status.pack_digest, status.tier)
        body = {"kind": "signature", "digest": status.digest, "basis": status.basis, "id": str(uuid4())}
        nonce = (await asked(signatory, review, body))["nonce"]
        assert status.signatures == (await system.at(review)).signatures
        again = body | {"step_up": {"id_token": await place.provider.id_token(name, nonce)}}
        taken = await signatory.post(f"/reviews/{review}/decisions", again)
        assert (200, "accepted") == (taken.status_code, taken.json()["status"]), taken.text
    assert "approved" == (await system.at(review)).outcome


@pytest.mark.parametrize(
    ("claims", "because"),
    [
        ({"nonce": "0" * 64}, "another decision"),
        ({"nonce": None}, "another decision"),
        ({"sub": OTHER}, "another person"),
        ({"auth_time": int(time.time()) - 3600}, "last few minutes"),
        ({"auth_time": int(time.time()) + 3600}, "last few minutes"),
        ({"auth_time": None}, "last few minutes"),
        ({"exp": 1}, "did not sign you in"),
        ({"aud": "ringi"}, "did not sign you in"),
        ({"aud": "another-client"}, "did not sign you in"),
        ({"iss": "https://elsewhere.example"}, "did not sign you in"),
        ({"iat": None}, "did not sign you in"),
    ],
)
async def test_an_id_token_that_does_not_hold(place: Place, claims: dict[str, Any], because: str) -> None:
    """Rightly signed by the provider, but for one claim; the answer says what to do, and nothing was taken."""
    review = await opened(place)
    person = await place.person(REVIEWER)
    body = await judgement(place, review)
    nonce = (await asked(person, review, body))["nonce"]
    token = await place.provider.id_token(**{"person": REVIEWER, "nonce": nonce, **claims})
    problem = await asked(person, review, body | {"step_up": {"id_token": token}})
    assert because in problem["detail"], problem["detail"]
    assert 404 == (await person.get(f"/reviews/{review}/decisions/{body['id']}")).status_code


async def test_tokens_that_are_no_id_token(place: Place) -> None:
    """An access token of the same person with that nonce, one of another key, and what is hardly a token."""
    review = await opened(place)
    person = await place.person(REVIEWER)
    body = await judgement(place, review)
    nonce = (await asked(person, review, body))["nonce"]
    access = await place.provider.access_token(REVIEWER, aud="ringi-web", nonce=nonce, auth_time=int(time.time()))
    local = place.system.issuer.mint_id_token(REVIEWER, nonce, audience="ringi-web")
    good = await place.provider.id_token(REVIEWER, nonce)
    for token in (access, local, "a.b.c", "x", good[:-10], good.rsplit(".", 1)[0] + "."):
        await asked(person, review, body | {"step_up": {"id_token": token}})


async def test_another_decision_needs_another_sign_in(place: Place) -> None:
    """A token over one act is none over an act that differs in a word, in its id, or in who says it."""
    review = await opened(place)
    person, other = await place.person(REVIEWER), await place.person(OTHER)
    body = await judgement(place, review)
    nonce = (await asked(person, review, body))["nonce"]
    step_up = {"id_token": await place.provider.id_token(REVIEWER, nonce)}
    for changed in ({"id": str(uuid4())}, {"reason": "A word."}, {"verdicts": sheet(fairness=Finding.CONCERN)}):
        problem = await asked(person, review, body | changed | {"step_up": step_up})
        assert nonce != problem["nonce"]
    assert nonce != (await asked(other, review, body | {"step_up": step_up}))["nonce"]


async def test_a_decision_that_has_come_to_mean_something_else(place: Place) -> None:
    """Asked while they held one role, and sent again when they hold another: they are asked again, over what is stored,
    and nothing was taken.
    """
    review, who = await opened(place), f"rey.{uuid4().hex[:8]}"
    operator, person = await place.person("ops.operator"), await place.person(who)
    table = f"person,name,unit,role,office\n{who},Rey,Example,reviewer,"
    assert 200 == (await operator.put_in("/people/import", table, "text/csv")).status_code
    body = await judgement(place, review)
    nonce = (await asked(person, review, body))["nonce"]
    step_up = {"step_up": {"id_token": await place.provider.id_token(who, nonce)}}
    (grant,) = (await operator.get("/grants", person=who)).json()["grants"]
    assert 204 == (await operator.delete(f"/grants/{grant['id']}")).status_code
    assert 200 == (await operator.put_in("/people/import", table, "text/csv")).status_code
    again = await asked(person, review, body | step_up)
    assert "another decision" in again["detail"]
    assert nonce != again["nonce"]
    assert 404 == (await person.get(f"/reviews/{review}/decisions/{body['id']}")).status_code
    step_up = {"step_up": {"id_token": await place.provider.id_token(who, again["nonce"])}}
    taken = await person.post(f"/reviews/{review}/decisions", body | step_up)
    assert (200, "accepted") == (taken.status_code, taken.json()["status"]), taken.text


async def test_a_decision_that_needs_none(place: Place) -> None:
    """Only the kinds that the route names."""
    review = await opened(place)
    person = await place.person(REVIEWER)
    await person.accepted(review, "question", reason="Who looks at the pictures?")


async def test_what_a_stolen_token_asked_for_is_shown(place: Place, browser: Browser) -> None:
    """Whoever holds somebody's token has a decision of theirs asked for, and sends them the link. They read what it is
    before they sign in over it; to look at it sends nobody to the provider, and leaves no trace.
    """
    review = await opened(place)
    reason = '<script>alert(1)</script> &amp; {title}\n"Only a renewal"'
    body = await judgement(place, review, verdicts=sheet(fairness=Finding.BREACH), reason=reason)
    problem = await asked(await place.person(REVIEWER), review, body)
    await place.signs_in(browser, REVIEWER)
    browser.trail.clear()
    page = await browser.go(place.url + problem["authorize"])
    (only,) = browser.trail
    assert (200, place.url) == (only.status_code, origin_of(str(only.url)))
    assert "set-cookie" not in page.headers
    said = re.sub(r"<[^>]+>", "\n", page.text)
    title = (await (await place.person(REVIEWER)).get(f"/reviews/{review}")).json()["title"]
    for shown in (review, title, REVIEWER, problem["meaning"], body["kind"], "breach", "fairness", "do not go on"):
        assert shown in said, shown
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp; {title}\n&quot;Only a renewal&quot;"
    assert f"<dt>Reason</dt><dd>{escaped}</dd>" in page.text
    assert not re.search(r"<script|src=|href=|url\(|action=", page.text)
    assert 1 == page.text.count("<h1>") == page.text.count("<button") == page.text.count("<form")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "form-action" not in policy
    assert ("same-origin", "no-store") == (page.headers["referrer-policy"], page.headers["cache-control"])
    pool = place.system.database.pool
    assert 0 == await pool.fetchval("select count(*) from sign_ins where nonce = $1", problem["nonce"])
    assert await pool.fetchval("select token is null from step_ups where nonce = $1", problem["nonce"])
    refused(await place.posts(browser, f"/reviews/{review}/decisions", body), 403, "step-up-required")


async def test_only_over_what_was_asked(place: Place, browser: Browser) -> None:
    """A link with somebody's nonce shows nothing and leads nobody to sign in over it: not from another site, not over a
    stranger's act, not without a session, not over what is not there to be shown.
    """
    review = await opened(place)
    body = await judgement(place, review)
    await place.signs_in(browser, REVIEWER)
    problem = (await place.posts(browser, f"/reviews/{review}/decisions", body)).json()
    address = place.url + problem["authorize"]
    nobody, stranger = Browser(), Browser()
    await place.signs_in(stranger, OTHER)

    async def look(browser: Browser, address: str) -> httpx2.Response:
        return await browser.go(address)

    async def press(browser: Browser, address: str) -> httpx2.Response:
        return await browser.press(address, "")

    for do in (look, press):
        refused(await do(browser, f"{place.url}/step-up?nonce={'0' * 64}"), 403, "forbidden")
        for nonsense in ("?nonce=x", "", f"?nonce={problem['nonce']}&return_to=//evil.example"):
            refused(await do(browser, f"{place.url}/step-up{nonsense}"), 422, "invalid")
        refused(await do(nobody, address), 401, "unauthenticated")
        answer = await do(stranger, address)
        refused(answer, 403, "forbidden")
        assert review not in answer.text
    refused(await browser.go(address, led_by=EVIL), 403, "cross-site")
    await to_provider(place, browser, await place.posts(browser, f"/reviews/{review}/decisions", body))
    for kept in ("replace(convert_from(envelope, 'UTF8'), 'verdict on', 'nod to')::bytea", "null"):
        await place.alter(f"update step_ups set envelope = {kept} where nonce = $1", problem["nonce"])
        for do in (look, press):
            refused(await do(browser, address), 403, "forbidden")


async def test_what_was_asked_is_kept_for_a_day(place: Place) -> None:
    """And no longer, though nobody goes to sign in again: programs don't."""
    review = await opened(place)
    person = await place.person(REVIEWER)
    nonce = (await asked(person, review, await judgement(place, review)))["nonce"]
    await place.alter("update step_ups set asked_at = asked_at - interval '25 hours' where nonce = $1", nonce)
    await asked(person, review, await judgement(place, review))
    assert 0 == await place.system.database.pool.fetchval("select count(*) from step_ups where nonce = $1", nonce)


@pytest.mark.parametrize("modern", [True, False])
async def test_another_site_presses_the_button(place: Place, modern: bool) -> None:
    """It leads nobody away."""
    review, browser = await opened(place), Browser(modern=modern)
    body = await judgement(place, review)
    await place.signs_in(browser, REVIEWER)
    problem = (await place.posts(browser, f"/reviews/{review}/decisions", body)).json()
    address = place.url + problem["authorize"]
    # As browsers do by themselves, no cookie goes along; where one does all the same, it is refused by where it comes from.
    refused(await browser.press(f"{EVIL}/page", address), 401, "unauthenticated")
    cookie = place.session_of(browser)
    sent = {"Cookie": f"{cookie.name}={cookie.value}", "Origin": EVIL}
    sent |= {"Sec-Fetch-Site": "cross-site"} if modern else {}
    refused(await place.http.post(problem["authorize"], headers=sent), 403, "cross-site")
    assert place.provider.url == origin_of(str((await browser.press(address, "")).url))


async def test_pressed_again_and_with_more_than_the_button_sends(place: Place, browser: Browser) -> None:
    """Each time it leads to the provider, over what was shown: what else is sent is not read."""
    review = await opened(place)
    body = await judgement(place, review)
    await place.signs_in(browser, REVIEWER)
    problem = (await place.posts(browser, f"/reviews/{review}/decisions", body)).json()
    address = place.url + problem["authorize"]
    for form in ({}, {}, {"nonce": "0" * 64, "return_to": EVIL}, {"nonce": "x" * 2**20}):
        led = await browser.press(address, "", **form)
        assert place.provider.url == origin_of(str(led.url)), led.text
        assert problem["nonce"] == led.url.params["nonce"]
    landed = await browser.press(str(led.url), "", sub=REVIEWER)
    assert f"{place.url}/reviews/{review}" == str(landed.url)


async def test_who_signs_in_again_as_another(place: Place, browser: Browser) -> None:
    """Is refused, and stays who they were."""
    review = await opened(place)
    body = await judgement(place, review)
    path = f"/reviews/{review}/decisions"
    await place.signs_in(browser, REVIEWER)
    page = await to_provider(place, browser, await place.posts(browser, path, body))
    detail = refused(await browser.press(str(page.url), "", sub=OTHER), 403, "sign-in-refused")
    assert "another person" in detail
    assert REVIEWER == (await place.has(browser, "/me")).json()["person"]
    refused(await place.posts(browser, path, body), 403, "step-up-required")


async def test_a_provider_that_did_not_ask(place: Place, browser: Browser) -> None:
    """A sign-in of two minutes ago that it only repeats is not a new one, even where it would be young enough."""
    review = await opened(place)
    body = await judgement(place, review)
    path = f"/reviews/{review}/decisions"
    await place.signs_in(browser, REVIEWER)
    page = await to_provider(place, browser, await place.posts(browser, path, body))
    await place.provider.says(REVIEWER, auth_time=int(time.time()) - 120)
    try:
        detail = refused(await browser.press(str(page.url), "", sub=REVIEWER), 403, "sign-in-refused")
    finally:
        await place.provider.says(REVIEWER)
    assert "did not ask you" in detail


async def test_a_session_that_ended_meanwhile(place: Place, browser: Browser) -> None:
    """What comes back belongs to the session that left."""
    review = await opened(place)
    body = await judgement(place, review)
    path = f"/reviews/{review}/decisions"
    await place.signs_in(browser, REVIEWER)
    page = await to_provider(place, browser, await place.posts(browser, path, body))
    await place.posts(browser, "/sign-out")
    await place.signs_in(browser, REVIEWER)
    detail = refused(await browser.press(str(page.url), "", sub=REVIEWER), 403, "sign-in-refused")
    assert "has ended" in detail


async def test_a_sign_in_that_was_left_lying(place: Place, browser: Browser) -> None:
    """It is fresh for some minutes; after that, one is asked for again."""
    review = await opened(place)
    body = await judgement(place, review)
    path = f"/reviews/{review}/decisions"
    await place.signs_in(browser, REVIEWER)
    answer = await place.posts(browser, path, body)
    problem = answer.json()
    stale = await place.provider.id_token(REVIEWER, problem["nonce"], auth_time=int(time.time()) - 600)
    page = await to_provider(place, browser, answer)
    assert 200 == (await browser.press(str(page.url), "", sub=REVIEWER)).status_code
    await place.alter("update step_ups set token = $1 where nonce = $2", stale, problem["nonce"])
    answer = await place.posts(browser, path, body)
    assert "last few minutes" in refused(answer, 403, "step-up-required")


async def test_the_issuer_on_one_machine(place: Place, servers: Servers) -> None:
    """Whoever holds the embedded issuer's key signs in again without a browser."""
    review = await opened(place)
    issuer = place.system.issuer
    async with place.system.api(oidc_client_id="ringi-local") as http:
        person = place.system.person(REVIEWER, http)
        body = await judgement(place, review)
        nonce = (await asked(person, review, body))["nonce"]
        for wrong in (issuer.mint_id_token(REVIEWER, "x"), issuer.mint_id_token(OTHER, nonce), issuer.mint(REVIEWER)):
            await asked(person, review, body | {"step_up": {"id_token": wrong}})
        token = issuer.mint_id_token(REVIEWER, nonce)
        taken = await person.post(f"/reviews/{review}/decisions", body | {"step_up": {"id_token": token}})
        assert 200 == taken.status_code, taken.text
