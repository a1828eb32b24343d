"""Forgeries by whoever reaches the API: tokens, cookies, other people's names, links, and rules to get around."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey

from api.cookies import SESSION_COOKIE
from tests.e2e.browser import EVIL, Browser
from tests.e2e.system import AUTHOR, COUNCIL, OFFICER, OPERATOR, OWNER, sheet
from tests.forgery.families import family
from tests.forgery.stand import EACH, OTHER, REVIEWER, THIRD, Stand
from tests.forgery.stored import with_hmac

ASK = {"kind": "question", "reason": "Who looks at the list?"}


def _id(stand: Stand) -> str:
    return str(UUID(int=stand.rng.getrandbits(128), version=4))


async def _asks(stand: Stand, review: str, headers: dict[str, str], **body: Any) -> httpx2.Response:
    said = {"digest": (await stand.state(review)).content_digest, "id": _id(stand), **ASK, **body}
    return await stand.place.http.post(f"/reviews/{review}/decisions", json=said, headers=headers)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def _tokens(stand: Stand, make: Callable[[str], Iterable[str]]) -> None:
    """None of these is taken for a token; the good one that they are made of is."""
    review = await stand.opened()
    good = await stand.place.provider.access_token(REVIEWER)
    for token in make(good):
        async with stand.nothing_comes_of_it(review):
            response = await _asks(stand, review, _bearer(token))
            assert 401 == response.status_code, response.text
    stand.control(await _asks(stand, review, _bearer(good)))


@family
async def token_unsigned(stand: Stand) -> None:
    """`none` in several spellings, and no signature."""

    def make(good: str) -> Iterable[str]:
        head, body, sig = good.split(".")
        for alg in ("none", "None", "NONE", "nOnE", ""):
            unsigned = _b64({"alg": alg, "typ": "at+jwt"})
            yield from (f"{unsigned}.{body}.", f"{unsigned}.{body}.{sig}", f"{unsigned}.{body}")
        yield f"{head}.{body}."

    await _tokens(stand, make)


@family
async def token_signed_with_the_public_key(stand: Stand) -> None:
    """HMAC, with what everybody can read of the issuer for a secret."""
    keys = (await stand.place.provider.http.get(f"{stand.place.provider.url}/jwks")).json()["keys"]

    def make(good: str) -> Iterable[str]:
        body = good.split(".")[1]
        for key in keys:
            for secret in (RSAKey.import_key(key).as_pem(private=False), json.dumps(key).encode()):
                for alg in ("HS256", "HS512"):
                    yield with_hmac(alg, body, secret, typ="at+jwt", kid=key.get("kid", ""))

    await _tokens(stand, make)


@family
async def token_edited(stand: Stand) -> None:
    """Another person's name in it, with the signature of one's own; a character of it changed."""

    def make(good: str) -> Iterable[str]:
        head, body, sig = good.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        for change in ({"sub": OPERATOR}, {"sub": OTHER}, {"exp": claims["exp"] + 9999}, {"aud": ["ringi"]}):
            yield f"{head}.{_b64(claims | change)}.{sig}"
        for _ in range(EACH):
            place = stand.rng.randrange(len(sig) - 2)
            yield f"{head}.{body}.{sig[:place]}{'A' if sig[place] != 'A' else 'B'}{sig[place + 1 :]}"

    await _tokens(stand, make)


@family
async def token_of_another_key(stand: Stand) -> None:
    """A key of one's own: under the issuer's key id, brought along in the header, or at an address that the header names."""
    keys = (await stand.place.provider.http.get(f"{stand.place.provider.url}/jwks")).json()["keys"]
    mine = RSAKey.generate_key(2048)

    def make(good: str) -> Iterable[str]:
        claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
        named = {"kid": keys[0].get("kid", "1")}
        heads: tuple[dict[str, Any], ...] = (
            {},
            named,
            {"jwk": mine.as_dict(private=False)},
            {"jku": "https://evil.example/jwks", **named},
            {"x5u": "https://evil.example/cert", **named},
            {"kid": "../../dev/null"},
        )
        for head in heads:
            yield jwt.encode({"alg": "RS256", "typ": "at+jwt", **head}, claims, mine, algorithms=["RS256"])
        yield stand.place.system.issuer.mint(REVIEWER)

    await _tokens(stand, make)


@family
async def token_with_a_wrong_claim(stand: Stand) -> None:
    """Truly signed by the issuer: for somebody else, in another's name, expired, not yet good, of another type, of nobody."""
    provider, now = stand.place.provider, int(time.time())
    claims: tuple[dict[str, Any], ...] = (
        *({"aud": aud} for aud in ("another", None, ["another"], "RINGI")),
        *({"iss": iss} for iss in (EVIL, None, f"{provider.url}/")),
        *({"exp": exp} for exp in (now - 3600, None, "never")),
        {"nbf": now + 3600},
        *({"sub": sub} for sub in (None, "", "two words", ["a"], "../x")),
    )
    tokens = [await provider.access_token(REVIEWER, **claim) for claim in claims]
    body = {"iss": provider.url, "aud": "ringi", "sub": REVIEWER, "iat": now, "exp": now + 600}
    tokens += [await provider.sign({"typ": typ}, body) for typ in ("JWT", "id+jwt", "dpop+jwt", "")]
    tokens.append(await provider.id_token(REVIEWER, "n", aud="ringi"))
    await _tokens(stand, lambda _: tokens)


@family
async def somebody_elses_name(stand: Stand) -> None:
    """In the body, in a header that a proxy might set, in the query: it is whom the token says, or nothing."""
    review = await stand.opened()
    token = _bearer(await stand.place.provider.access_token(OWNER))
    names = ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-Request-User", "X-User", "Impersonate-User")
    for name in names:
        async with stand.nothing_comes_of_it(review):
            assert 403 == (await _asks(stand, review, {**token, name: REVIEWER})).status_code
    for name in ("person", "role", "grant", "received_at", "meaning", "on_behalf_of", "envelope"):
        async with stand.nothing_comes_of_it(review):
            assert 422 == (await _asks(stand, review, token, **{name: REVIEWER})).status_code
    stand.control(await _asks(stand, review, _bearer(await stand.place.provider.access_token(REVIEWER))))


@family
async def a_cookie_made_up_or_ended(stand: Stand) -> None:
    """Guessed, edited, without its prefix, set before signing in, and after signing out."""
    place, review = stand.place, await stand.opened()
    browser = Browser()
    browser.jar["127.0.0.1"] = {}
    await place.signs_in(browser, REVIEWER)
    session = place.session_of(browser).value
    headers = {"Sec-Fetch-Site": "same-origin"}
    forged = [session[:-1] + ("A" if session[-1] != "A" else "B"), session[:-1], session.swapcase(), "", "x" * 43]
    cookies = [f"{SESSION_COOKIE}={value}" for value in forged]
    cookies += [f"{name}={session}" for name in ("ringi", "__Secure-ringi", "__host-ringi", "__Host-ringi-sign-in")]
    for cookie in cookies:
        async with stand.nothing_comes_of_it(review):
            assert 401 == (await _asks(stand, review, {**headers, "Cookie": cookie})).status_code, cookie
    genuine = {**headers, "Cookie": f"{SESSION_COOKIE}={session}"}
    stand.control(await _asks(stand, review, genuine))
    await place.posts(browser, "/sign-out")
    async with stand.nothing_comes_of_it(review):
        assert 401 == (await _asks(stand, review, genuine)).status_code


@family
async def a_request_that_another_site_makes(stand: Stand) -> None:
    """With the person's own session: by Fetch Metadata, by Origin, by neither."""
    place, review = stand.place, await stand.opened()
    browser = Browser()
    await place.signs_in(browser, REVIEWER)
    cookie = {"Cookie": f"{SESSION_COOKIE}={place.session_of(browser).value}"}
    forged: tuple[dict[str, str], ...] = (
        *(
            {"Sec-Fetch-Site": site}
            for site in ("cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, x")
        ),
        *({"Origin": origin} for origin in (EVIL, "null", f"{place.url}.evil.example", place.url.upper(), "")),
        {"Sec-Fetch-Site": "cross-site", "Origin": place.url},
        {"Referer": f"{place.url}/"},
        {},
    )
    for headers in forged:
        async with stand.nothing_comes_of_it(review):
            assert 403 == (await _asks(stand, review, {**cookie, **headers})).status_code, headers
    stand.control(await _asks(stand, review, {**cookie, "Origin": place.url}))


@family
async def an_invitation_link_that_is_not_good(stand: Stand) -> None:
    """Guessed, edited, used, revoked; and a good one, for another case."""
    place, review, other = stand.place, await stand.opened(), await stand.opened()
    officer = await stand.person(OFFICER)
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()

    async def invited() -> tuple[str, str]:
        body = {"person": COUNCIL[0], "email": "lea@law.example", "reviews": [other], "expires_at": until}
        response = await officer.post("/invitations", body)
        assert 201 == response.status_code, response.text
        return response.json()["id"], await place.link_of(response.json()["id"])

    async def opens(link: str) -> tuple[int, Browser]:
        browser = Browser()
        return (await browser.press(link, "")).status_code, browser

    _, good = await invited()
    revoked_id, revoked = await invited()
    assert 204 == (await officer.delete(f"/invitations/{revoked_id}")).status_code
    for link in (revoked, good[:-1] + ("A" if good[-1] != "A" else "B"), f"{place.url}/invited/{'x' * 43}"):
        async with stand.nothing_comes_of_it(other):
            status, browser = await opens(link)
            assert status in (404, 410), link
            assert browser.cookie(place.url, SESSION_COOKIE) is None
    status, browser = await opens(good)
    assert 200 == status
    stand.control(await place.has(browser, "/session"))
    async with stand.nothing_comes_of_it(review):
        digest = (await stand.state(review)).content_digest
        answer = await place.posts(browser, f"/reviews/{review}/decisions", {**ASK, "digest": digest})
        assert 404 == answer.status_code
    async with stand.nothing_comes_of_it(other):
        assert 410 == (await opens(good))[0]


@family
async def a_renewed_sign_in_used_again(stand: Stand) -> None:
    """A true token over one act, sent along with another: other words, another id, by another person."""
    review = await stand.opened()
    provider, person = stand.place.provider, await stand.person(REVIEWER)
    digest = (await stand.state(review)).content_digest
    body = {"kind": "verdict_sheet", "digest": digest, "verdicts": sheet(), "id": _id(stand)}
    path = f"/reviews/{review}/decisions"
    asked = (await person.post(path, body)).json()
    token = {"step_up": {"id_token": await provider.id_token(REVIEWER, asked["nonce"])}}
    for change in ({"id": _id(stand)}, {"reason": "A word."}, {"verdicts": sheet()[::-1]}):
        async with stand.nothing_comes_of_it(review):
            assert 403 == (await person.post(path, body | change | token)).status_code
    async with stand.nothing_comes_of_it(review):
        assert 403 == (await (await stand.person(OTHER)).post(path, body | token)).status_code
    stand.control(await person.post(path, body | token))


@family
async def an_id_used_again(stand: Stand) -> None:
    """The id of an accepted decision, with other words, another kind, on another review, or by somebody else."""
    review, other = await stand.opened(), await stand.opened()
    person = await stand.person(REVIEWER)
    first = {**ASK, "digest": (await stand.state(review)).content_digest, "id": _id(stand)}
    stand.control(await person.post(f"/reviews/{review}/decisions", first))
    tries: tuple[tuple[str, str, dict[str, str]], ...] = (
        (REVIEWER, review, {"reason": "Another?"}),
        (REVIEWER, review, {"kind": "change_request"}),
        (REVIEWER, review, {"digest": "1" * 64}),
        (REVIEWER, other, {}),
        (OTHER, review, {}),
    )
    for who, where, change in tries:
        async with stand.nothing_comes_of_it(review), stand.nothing_comes_of_it(other):
            response = await (await stand.person(who)).post(f"/reviews/{where}/decisions", first | change)
            assert 409 == response.status_code, response.text
    again = await person.post(f"/reviews/{review}/decisions", first)
    assert 200 == again.status_code


@family
async def ones_own_proposal(stand: Stand) -> None:
    """Judged by its owner and its author, whom an operator made reviewers as well; and by its staff."""
    review = await stand.opened()
    await _entered(
        stand, (OWNER, "reviewer", ""), (AUTHOR, "reviewer", ""), (AUTHOR, "officer", "digital_trust_officer")
    )
    for who in (OWNER, AUTHOR):
        for kind in ("question", "change_request", "escalation", "extension"):
            async with stand.nothing_comes_of_it(review):
                more = {"until": (datetime.now(UTC) + timedelta(days=3)).isoformat()} if kind == "extension" else {}
                token = _bearer(await stand.place.provider.access_token(who))
                answer = await _asks(stand, review, token, kind=kind, **more)
                assert answer.status_code in (403, 409), answer.text
    stand.control(await _asks(stand, review, _bearer(await stand.place.provider.access_token(REVIEWER))))


async def _entered(stand: Stand, *rows: tuple[str, str, str], by: str = OPERATOR) -> httpx2.Response:
    lines = ["person,name,unit,role,office", *(f"{who},Example,Example {who},{role},{of}" for who, role, of in rows)]
    return await (await stand.person(by)).put_in("/people/import", "\n".join(lines), "text/csv")


@family
async def a_role_for_oneself(stand: Stand) -> None:
    """Granted by who has none to grant, or by an operator to themselves; then tried out."""
    review = await stand.opened()
    who = f"mallory.{stand.rng.getrandbits(30)}"
    for by in (OFFICER, REVIEWER, OWNER, OPERATOR, who):
        async with stand.nothing_comes_of_it(review):
            assert (await _entered(stand, (by, "signatory", "business_unit_head"), by=by)).status_code in (403, 422)
    for role in ("reviewer", "officer"):
        token = _bearer(await stand.place.provider.access_token(who))
        async with stand.nothing_comes_of_it(review):
            assert (await _asks(stand, review, token)).status_code in (403, 404), role
    assert 200 == (await _entered(stand, (who, "reviewer", ""))).status_code
    stand.control(await _asks(stand, review, token))


@family
async def a_delegation_that_does_not_hold(stand: Stand) -> None:
    """To oneself, for oneself, in the past, passed on, not begun, ended: nobody acts by it."""
    review = await stand.opened()
    taker = f"tom.{stand.rng.getrandbits(30)}"
    assert 200 == (await _entered(stand, (taker, "owner", ""))).status_code
    token = _bearer(await stand.place.provider.access_token(taker))
    now = datetime.now(UTC)

    def body(**more: Any) -> dict[str, Any]:
        end = (now + timedelta(days=5)).isoformat()
        return {"taker": taker, "roles": ["reviewer"], "ends_at": end, **more}

    for who, said in (
        (THIRD, body(taker=THIRD)),
        (taker, body(giver=THIRD)),
        (OTHER, body(giver=THIRD)),
        (THIRD, body(ends_at=(now - timedelta(days=1)).isoformat())),
        (THIRD, body(roles=["operator"])),
    ):
        async with stand.nothing_comes_of_it(review):
            assert 409 == (await (await stand.person(who)).post("/delegations", said)).status_code
            assert (await _asks(stand, review, token)).status_code in (403, 404)
    giver = await stand.person(THIRD)
    for start, status in ((now + timedelta(days=1), 404), (now, 200)):
        left = await giver.post("/delegations", body(starts_at=start.isoformat()))
        assert 201 == left.status_code, left.text
        if status == 200:
            stand.control(await _asks(stand, review, token))
        else:
            async with stand.nothing_comes_of_it(review):
                assert (await _asks(stand, review, token)).status_code in (403, 404)
        assert 204 == (await giver.delete(f"/delegations/{left.json()['id']}")).status_code
        async with stand.nothing_comes_of_it(review):
            assert (await _asks(stand, review, token)).status_code in (403, 404)


@family
async def by_somebody_disabled(stand: Stand) -> None:
    """A good token, a good role, and an account that an operator closed."""
    review = await stand.opened()
    who = f"dan.{stand.rng.getrandbits(30)}"
    assert 200 == (await _entered(stand, (who, "reviewer", ""))).status_code
    token = _bearer(await stand.place.provider.access_token(who))
    stand.control(await _asks(stand, review, token))
    operator = await stand.person(OPERATOR)
    assert 204 == (await operator.post(f"/people/{who}/disabled", {"because": "Left."})).status_code
    for _ in range(EACH):
        async with stand.nothing_comes_of_it(review):
            assert 403 == (await _asks(stand, review, token)).status_code


@family
async def on_another_text(stand: Stand) -> None:
    """A decision on what was not shown: on an old digest, on no digest that there is."""
    review = await stand.opened()
    token = _bearer(await stand.place.provider.access_token(REVIEWER))
    for _ in range(EACH):
        async with stand.nothing_comes_of_it(review):
            answer = await _asks(stand, review, token, digest=f"{stand.rng.getrandbits(256):064x}")
            assert "stale" == answer.json()["reason"], answer.text
    stand.control(await _asks(stand, review, token))
