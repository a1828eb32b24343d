"""Forgeries by whoever reaches the API: tokens, cookies, other people's names, links, and rules to get around."""

from __future__ import annotations

import asyncio
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
from domain.decisions import Reason
from domain.dsse import REGISTRY, SESSION
from domain.people import Assigned, Role
from domain.registry import BOOTSTRAP, KeyAdded, entry_bytes
from domain.sessions import Terms
from store.sessions import digest_of_token
from tests.forgery.families import family
from tests.forgery.stand import EACH, OTHER, REVIEWER, THIRD, Stand, signed
from tests.forgery.stand import sheet as stored_sheet
from tests.forgery.stored import proved, with_hmac
from tests.support.browser import EVIL, Browser, Cookie
from tests.support.system import AUTHOR, COUNCIL, OFFICER, OPERATOR, OWNER, example, sheet

ASK = {"kind": "question", "reason": "Who looks at the list?"}

_CHAINED = """
insert into delegations (id, giver, taker, roles, starts_at, ends_at)
values ($1, $2, $3, '{reviewer}', now(), now() + interval '1 day')
"""

_KEY = "insert into signing_keys (id, public, added_at) values ($1, $2, now() - interval '1 day')"

_SESSION = """
insert into sessions (id, person, expires_at, auth_time, signatures) values ($1, $2, $3, $4, $5)
"""


def _id(stand: Stand) -> str:
    return str(UUID(int=stand.rng.getrandbits(128), version=4))


async def _asks(stand: Stand, review: str, headers: dict[str, str], *, query: str = "", **body: Any) -> httpx2.Response:
    said = {"digest": (await stand.state(review)).content_digest, "id": _id(stand), **ASK, **body}
    return await stand.place.http.post(f"/reviews/{review}/decisions{query}", json=said, headers=headers)


async def _says(stand: Stand, review: str, who: str, kind: str, **content: Any) -> httpx2.Response:
    """What this person is answered, who signs in again where they are asked to."""
    person = await stand.person(who)
    digest = (await stand.state(review)).content_digest
    body = {"kind": kind, "digest": digest, "id": _id(stand), "reason": "As the documents show.", **content}
    response = await person.post(f"/reviews/{review}/decisions", body)
    if response.status_code != 403 or response.json().get("reason") != "step_up_required":
        return response
    token = await stand.place.provider.id_token(who, response.json()["nonce"])
    return await person.post(f"/reviews/{review}/decisions", body | {"step_up": {"id_token": token}})


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _later(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


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
    """A key of one's own: under the issuer's key id, brought along in the header,
    or at an address that the header names.
    """
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
    """Truly signed by the issuer: for somebody else, in another's name, expired, not yet good,
    of another type, of nobody.
    """
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
    for name in ("person", "sub", "user", "on_behalf_of"):
        async with stand.nothing_comes_of_it(review):
            assert 403 == (await _asks(stand, review, token, query=f"?{name}={REVIEWER}")).status_code
    for name in ("person", "role", "grant", "received_at", "meaning", "on_behalf_of", "envelope"):
        async with stand.nothing_comes_of_it(review):
            assert 422 == (await _asks(stand, review, token, **{name: REVIEWER})).status_code
    stand.control(await _asks(stand, review, _bearer(await stand.place.provider.access_token(REVIEWER))))


async def _session(stand: Stand, planted: str | None = None) -> tuple[Browser, str]:
    """A reviewer's browser, signed in, and its session's cookie; a thief may have planted another before."""
    browser = Browser()
    if planted is not None:
        browser.jar["127.0.0.1"] = {SESSION_COOKIE: Cookie(SESSION_COOKIE, planted, {})}
    await stand.place.signs_in(browser, REVIEWER)
    return browser, stand.place.session_of(browser).value


def _with(cookie: str, name: str = SESSION_COOKIE) -> dict[str, str]:
    return {"Sec-Fetch-Site": "same-origin", "Cookie": f"{name}={cookie}"}


@family
async def a_cookie_made_up_or_ended(stand: Stand) -> None:
    """Guessed, edited, without its prefix; a real session's that was signed out, not used for an hour, or past its
    time; and a guess, one that ended, or the thief's own, planted in a browser in which somebody signs in after that.
    """
    place, review = stand.place, await stand.opened()
    _, good = await _session(stand)
    guessed = [good[:-1] + ("A" if good[-1] != "A" else "B"), good[:-1], good.swapcase(), "", "x" * 43]
    forged = [_with(value) for value in guessed]
    forged += [_with(good, name) for name in ("ringi", "__Secure-ringi", "__host-ringi", "__Host-ringi-sign-in")]

    browser, signed_out = await _session(stand)
    await place.posts(browser, "/sign-out")
    (_, unused), (_, outlived) = await _session(stand), await _session(stand)
    for value, change in ((unused, "last_seen_at = now() - interval '61 minutes'"), (outlived, "expires_at = now()")):
        await place.alter(f"update sessions set {change} where id = $1", digest_of_token(value))
    ended = [signed_out, unused, outlived]

    thief = Browser()
    await place.signs_in(thief, OTHER)
    for value in (guessed[-1], *ended, place.session_of(thief).value):
        _, begun = await _session(stand, value)
        assert begun != value
        assert 200 == (await place.http.get("/me", headers=_with(begun))).status_code
        forged.append(_with(value))
    for headers in forged:
        async with stand.nothing_comes_of_it(review):
            assert 401 == (await _asks(stand, review, headers)).status_code, headers
    stand.control(await _asks(stand, review, _with(good)))


@family
async def a_session_written_by_hand(stand: Stand) -> None:
    """By who may write rows: a row of one's own making, unsigned, signed with a key of one's own that was put into the
    table of keys and as far as possible on the registry's record, or with the signature of another session; and one's
    own session, made somebody else's.
    """
    place, review = stand.place, await stand.opened()
    browser, thief = Browser(), stand.thief
    await place.signs_in(browser, OWNER)
    own = place.session_of(browser).value
    mine = await stand.pool.fetchrow("select * from sessions where id = $1", digest_of_token(own))
    _, good = await _session(stand)
    theirs = await stand.pool.fetchrow("select * from sessions where id = $1", digest_of_token(good))
    await stand.pool.execute(_KEY, thief.keyid, thief.public)
    seq = 1_000_000 + stand.rng.getrandbits(20)
    added = KeyAdded(at=datetime.now(UTC), by=BOOTSTRAP, key=thief.keyid, public=thief.public)
    data, digest = entry_bytes(seq, "0" * 64, added)
    entered = "[" + thief.signature(REGISTRY, data).model_dump_json() + "]"
    await stand.pool.execute("insert into registry_ledger values ($1, $2, $3, $4)", seq, data, digest, entered.encode())

    forged = []
    for by in (None, b"", b"[]", b"{}", mine["signatures"], theirs["signatures"], thief):
        token = f"{stand.rng.getrandbits(250):064x}"
        terms = Terms.model_validate({**theirs, "id": digest_of_token(token), "reviews": None})
        signatures = f"[{by.signature(SESSION, terms.stored()).model_dump_json()}]".encode() if by is thief else by
        await stand.pool.execute(_SESSION, terms.id, terms.person, terms.expires_at, terms.auth_time, signatures)
        forged.append(token)
    await stand.pool.execute(
        "update sessions set person = $2, expires_at = $3, auth_time = $4, signatures = $5 where id = $1",
        *(digest_of_token(own), REVIEWER, theirs["expires_at"], theirs["auth_time"], theirs["signatures"]),
    )
    for token in (*forged, own):
        async with stand.nothing_comes_of_it(review):
            assert 401 == (await _asks(stand, review, _with(token))).status_code
    await place.alter(
        f"alter table registry_ledger disable trigger user; delete from registry_ledger where seq = {seq};"
        f"alter table registry_ledger enable trigger user; delete from signing_keys where id = '{thief.keyid}'"
    )
    stand.control(await _asks(stand, review, _with(good)))


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


async def _before_the_council(stand: Stand) -> str:
    """A review that has come to the Council."""
    review = await stand.opened(4)
    await stand.place.system.reviewed(review)
    return review


async def _invited(stand: Stand, review: str) -> tuple[str, str]:
    """The id of an invitation of a council member to this review, and its link."""
    await stand.place.system.written_to(COUNCIL[0], "lea@law.example")
    said = {"person": COUNCIL[0], "email": "lea@law.example", "reviews": [review], "expires_at": _later(days=3)}
    response = await (await stand.person(OFFICER)).post("/invitations", said)
    assert 201 == response.status_code, response.text
    invitation = str(response.json()["id"])
    return invitation, await stand.place.link_of(invitation)


async def _advises(stand: Stand, browser: Browser, review: str) -> httpx2.Response:
    """What is answered to an opinion that a browser sends."""
    digest = (await stand.state(review)).content_digest
    opinion = {"kind": "opinion", "digest": digest, "stance": "supports", "reason": "It is sound."}
    return await stand.place.posts(browser, f"/reviews/{review}/decisions", opinion)


async def _opens_nothing(stand: Stand, review: str, link: str) -> None:
    """Whoever presses the button behind this link is nobody, and can't advise."""
    async with stand.nothing_comes_of_it(review):
        browser = Browser()
        assert (await browser.press(link, "")).status_code in (404, 410), link
        assert browser.cookie(stand.place.url, SESSION_COOKIE) is None
        assert 401 == (await _advises(stand, browser, review)).status_code


@family
async def an_invitation_link_that_is_not_good(stand: Stand) -> None:
    """Guessed, edited, revoked; one that was revoked when it had been used; and a good one, for another case."""
    review, other = await _before_the_council(stand), await _before_the_council(stand)
    officer, browser, gone = await stand.person(OFFICER), Browser(), Browser()
    _, good = await _invited(stand, other)
    revoked, link = await _invited(stand, other)
    assert 204 == (await officer.delete(f"/invitations/{revoked}")).status_code
    for forged in (link, good[:-1] + ("A" if good[-1] != "A" else "B"), f"{stand.place.url}/invited/{'x' * 43}"):
        await _opens_nothing(stand, other, forged)
    revoked, link = await _invited(stand, other)
    assert 200 == (await gone.press(link, "")).status_code
    assert 204 == (await officer.delete(f"/invitations/{revoked}")).status_code
    async with stand.nothing_comes_of_it(other):
        assert 401 == (await _advises(stand, gone, other)).status_code
    assert 200 == (await browser.press(good, "")).status_code
    async with stand.nothing_comes_of_it(review):
        assert 404 == (await _advises(stand, browser, review)).status_code
    stand.control(await _advises(stand, browser, other))


@family
async def an_invitation_that_expired(stand: Stand) -> None:
    """Opened too late; and opened in time, and used to advise too late."""
    review = await _before_the_council(stand)
    (invitation, link), browser = await _invited(stand, review), Browser()
    await stand.place.alter("update invitations set expires_at = now() where id = $1", invitation)
    await _opens_nothing(stand, review, link)
    invitation, link = await _invited(stand, review)
    assert 200 == (await browser.press(link, "")).status_code
    await stand.place.alter("update sessions set expires_at = now() where invitation = $1", invitation)
    async with stand.nothing_comes_of_it(review):
        assert 401 == (await _advises(stand, browser, review)).status_code
    _, link = await _invited(stand, review)
    browser = Browser()
    assert 200 == (await browser.press(link, "")).status_code
    stand.control(await _advises(stand, browser, review))


@family
async def an_invitation_link_used_before(stand: Stand) -> None:
    """By several in the same moment, of whom one is let in; and after that, by whoever finds the mail."""
    review = await _before_the_council(stand)
    _, link = await _invited(stand, review)
    browsers = [Browser() for _ in range(EACH)]
    statuses = [page.status_code for page in await asyncio.gather(*(each.press(link, "") for each in browsers))]
    assert [200, *[410] * (EACH - 1)] == sorted(statuses)
    for browser, status in zip(browsers, statuses, strict=True):
        if status != 200:
            async with stand.nothing_comes_of_it(review):
                assert 401 == (await _advises(stand, browser, review)).status_code
    await _opens_nothing(stand, review, link)
    stand.control(await _advises(stand, browsers[statuses.index(200)], review))


@family
async def an_invitation_to_a_mailbox_of_ones_own(stand: Stand) -> None:
    """By an officer to another address than the one on record; by an operator to one that they entered themselves."""
    review, mine = await _before_the_council(stand), "mine@evil.example"
    await stand.place.system.written_to(COUNCIL[0], "lea@law.example")
    said = {"person": COUNCIL[0], "email": mine, "reviews": [review], "expires_at": _later(days=3)}
    for who in (OFFICER, OPERATOR):
        async with stand.nothing_comes_of_it(review):
            assert 409 == (await (await stand.person(who)).post("/invitations", said)).status_code
        await stand.place.system.written_to(COUNCIL[0], mine)
    (_, link), browser = await _invited(stand, review), Browser()
    assert 200 == (await browser.press(link, "")).status_code
    stand.control(await _advises(stand, browser, review))


@family
async def a_renewed_sign_in_used_again(stand: Stand) -> None:
    """A true token over one act, sent along with another: other words, another id, by another person,
    on another review.
    """
    review, other = await stand.opened(), await stand.opened()
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
    async with stand.nothing_comes_of_it(other):
        assert 403 == (await person.post(f"/reviews/{other}/decisions", body | token)).status_code
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
    """Judged by its owner, its author, or somebody on its staff, though an operator made each of them reviewer and
    officer: by the API, and by a row that the service signed.
    """
    roles = (("owner", ""), ("reviewer", ""), ("officer", "ai_governance_officer"))
    owner, author, engineer = [await stand.newcomer(*roles) for _ in range(3)]
    staff = (Assigned(person=engineer, role="engineer"),)
    review = await stand.opened(owner=owner, author=author, staff=staff)
    judging: tuple[tuple[str, dict[str, Any]], ...] = (
        ("question", {}),
        ("change_request", {}),
        ("escalation", {}),
        ("extension", {"until": _later(days=60)}),
        ("verdict_sheet", {"verdicts": sheet()}),
    )
    for who in (owner, author, engineer):
        for kind, content in judging:
            async with stand.nothing_comes_of_it(review):
                answer = await _says(stand, review, who, kind, **content)
                assert answer.status_code in (404, 409), answer.text
        refused = await stand.forged(review, signed(await stand.envelope(review, who)))
        assert Reason.SEPARATION_OF_DUTIES == refused.reason
    stand.control(await _says(stand, review, await stand.newcomer(*roles), "question"))


@family
async def a_role_for_oneself(stand: Stand) -> None:
    """Granted by who has none to grant, or by an operator to themselves; then tried out."""
    review, who = await stand.opened(), await stand.newcomer()
    for by in (OFFICER, REVIEWER, OWNER, OPERATOR, who):
        held = await stand.registers.grants(by)
        for role, office in (
            ("reviewer", ""),
            ("officer", "ai_governance_officer"),
            ("signatory", "business_unit_head"),
        ):
            async with stand.nothing_comes_of_it(review):
                assert (await stand.entered((by, role, office), by=by)).status_code in (403, 422)
                assert held == await stand.registers.grants(by)
    for by in (OWNER, OPERATOR, who):
        async with stand.nothing_comes_of_it(review):
            assert (await _says(stand, review, by, "question")).status_code in (403, 404)
    assert 200 == (await stand.entered((who, "reviewer", ""))).status_code
    stand.control(await _says(stand, review, who, "question"))


@family
async def a_second_voice(stand: Stand) -> None:
    """In the same round, of somebody who was heard: in another role that they hold, or in somebody else's place."""
    roles = (("reviewer", ""), ("officer", "ai_governance_officer"))
    acts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("verdict_sheet", {"verdicts": sheet()}),
        ("extension", {"until": _later(days=60)}),
    )
    for (first, said), (second, also) in (acts, acts[::-1]):
        review, who = await stand.opened(), await stand.newcomer(*roles)
        stand.control(await _says(stand, review, who, first, **said))
        async with stand.nothing_comes_of_it(review):
            answer = await _says(stand, review, who, second, **also)
            assert "separation_of_duties" == answer.json()["reason"], answer.text

    review, other, who = await stand.opened(), await stand.opened(), await stand.newcomer(("reviewer", ""))
    (lent,) = [grant.id for grant in await stand.registers.grants(THIRD) if grant.role is Role.REVIEWER]
    left = await (await stand.person(THIRD)).post("/delegations", _delegation(who))
    assert 201 == left.status_code, left.text
    await stand.genuine(other, signed(await stand.envelope(other, who, grant=lent)))
    await stand.genuine(review, signed(await stand.envelope(review, who)))
    refused = await stand.forged(review, signed(await stand.envelope(review, who, grant=lent)))
    assert Reason.SEPARATION_OF_DUTIES == refused.reason
    assert 204 == (await (await stand.person(THIRD)).delete(f"/delegations/{left.json()['id']}")).status_code


@family
async def a_claim_held_by_another(stand: Stand) -> None:
    """Judged, claimed as well, given back, or taken over by who does not hold it: by the API, and by a row that the
    service signed.
    """
    review = await stand.opened(1)
    act = {"act": "verdict_sheet"}
    stand.control(await _says(stand, review, REVIEWER, "claim", **act))
    tries: tuple[tuple[str, str, dict[str, Any], str | None], ...] = (
        (OTHER, "verdict_sheet", {"verdicts": sheet()}, "claimed"),
        (OTHER, "claim", act, "claimed"),
        (OTHER, "release", {}, "unknown_reference"),
        (OTHER, "reassignment", {**act, "person": OTHER, "instead_of": REVIEWER}, None),
        (OFFICER, "reassignment", {**act, "person": OTHER}, "claimed"),
        (OFFICER, "reassignment", {**act, "person": OFFICER, "instead_of": REVIEWER}, "invalid"),
    )
    for who, kind, content, reason in tries:
        async with stand.nothing_comes_of_it(review):
            answer = await _says(stand, review, who, kind, **content)
            assert (403 if reason is None else 409, reason) == (answer.status_code, answer.json().get("reason"))
    for _ in range(EACH):
        refused = await stand.forged(review, proved(stand, await stand.envelope(review, OTHER, stored_sheet())))
        assert Reason.CLAIMED == refused.reason
    stand.control(await _says(stand, review, REVIEWER, "verdict_sheet", verdicts=sheet()))


def _delegation(taker: str, **changes: Any) -> dict[str, Any]:
    """Reviewing is left to this person; changed."""
    return {"taker": taker, "roles": ["reviewer"], "ends_at": _later(days=5), **changes}


@family
async def a_delegation_that_does_not_hold(stand: Stand) -> None:
    """To oneself, by the one whom it is for, of what is another's, of what can't be left, in the past, not begun, ended;
    and passed on, by the API or by who may write rows: nobody acts by it.
    """
    review = await stand.opened()
    giver, (taker, last) = await stand.person(THIRD), [await stand.newcomer(("owner", "")) for _ in range(2)]
    token, passed_on = [_bearer(await stand.place.provider.access_token(who)) for who in (taker, last)]

    async def left(**changes: Any) -> str:
        response = await giver.post("/delegations", _delegation(taker, **changes))
        assert 201 == response.status_code, response.text
        return str(response.json()["id"])

    async def nobody_acts(by: dict[str, str]) -> None:
        async with stand.nothing_comes_of_it(review):
            assert (await _asks(stand, review, by)).status_code in (403, 404)

    for who, said in (
        (THIRD, _delegation(THIRD)),
        (taker, _delegation(taker, giver=THIRD)),
        (OTHER, _delegation(taker, giver=THIRD)),
        (THIRD, _delegation(taker, ends_at=_later(days=-1))),
        (THIRD, _delegation(taker, roles=["operator"])),
    ):
        assert 409 == (await (await stand.person(who)).post("/delegations", said)).status_code
        await nobody_acts(token)
    not_begun = await left(starts_at=_later(days=1))
    await nobody_acts(token)
    refused = await stand.forged(review, signed(await stand.envelope(review, taker)))
    assert Reason.NOT_ENTITLED == refused.reason
    assert 204 == (await giver.delete(f"/delegations/{not_begun}")).status_code

    begun = await left()
    stand.control(await _asks(stand, review, token))
    for who, more in ((taker, {}), (OPERATOR, {"giver": taker})):
        said = _delegation(last, **more)
        assert 409 == (await (await stand.person(who)).post("/delegations", said)).status_code
        await nobody_acts(passed_on)
    row = f"delegation-{stand.rng.getrandbits(60)}"
    await stand.pool.execute(_CHAINED, row, taker, last)
    await nobody_acts(passed_on)
    lent = await stand.envelope(review, taker)
    refused = await stand.forged(review, signed(lent.model_copy(update={"person": last})))
    assert Reason.NOT_ENTITLED == refused.reason
    await stand.pool.execute("update delegations set ended_at = clock_timestamp() where id = $1", row)

    in_time = signed(await stand.envelope(review, taker))
    assert 204 == (await giver.delete(f"/delegations/{begun}")).status_code
    await nobody_acts(token)
    refused = await stand.forged(review, in_time)
    assert Reason.NOT_ENTITLED == refused.reason


@family
async def by_somebody_disabled(stand: Stand) -> None:
    """A good token or a good session, a good role, and an account that an operator closed."""
    review, who, browser = await stand.opened(), await stand.newcomer(("reviewer", "")), Browser()
    token = _bearer(await stand.place.provider.access_token(who))
    stand.control(await _asks(stand, review, token))
    await stand.place.signs_in(browser, who)
    session = _with(stand.place.session_of(browser).value)
    assert 200 == (await stand.place.http.get("/me", headers=session)).status_code
    operator = await stand.person(OPERATOR)
    assert 204 == (await operator.post(f"/people/{who}/disabled", {"because": "Left."})).status_code
    for _ in range(EACH):
        for by in (token, session):
            async with stand.nothing_comes_of_it(review):
                assert 403 == (await _asks(stand, review, by)).status_code


@family
async def on_another_text(stand: Stand) -> None:
    """A decision on what is not on the table: on the text before a revision, on no text that there is; and one that was
    stored before the revision, and taken after it.
    """
    review = await stand.opened()
    before = signed(await stand.envelope(review))
    first = (await stand.state(review)).content_digest
    stand.control(await _says(stand, review, REVIEWER, "change_request"))
    revised = example(3, purpose="Recruiters see first what fits best.").model_dump(mode="json")
    stand.control(await _says(stand, review, AUTHOR, "revision", proposal=revised))
    none = [f"{stand.rng.getrandbits(256):064x}" for _ in range(EACH)]
    for kind, digest, content in (
        *(("question", digest, {}) for digest in (first, *none)),
        ("verdict_sheet", first, {"verdicts": sheet()}),
    ):
        async with stand.nothing_comes_of_it(review):
            answer = await _says(stand, review, REVIEWER, kind, digest=digest, **content)
            assert "stale" == answer.json()["reason"], answer.text
    refused = await stand.forged(review, before)
    assert Reason.STALE == refused.reason
    stand.control(await _says(stand, review, REVIEWER, "question"))


@family
async def a_delegate_chosen_by_a_party(stand: Stand) -> None:
    """By an operator who owns the proposal, for a reviewer who is away: asked over the API,
    and by a row that is signed.
    """
    party, taker = await stand.newcomer(("operator", ""), ("owner", "")), await stand.newcomer(("owner", ""))
    review, other = await stand.opened(owner=party), await stand.opened()
    chosen = await (await stand.person(party)).post("/delegations", _delegation(taker, giver=THIRD))
    assert 201 == chosen.status_code, chosen.text
    token = _bearer(await stand.place.provider.access_token(taker))
    async with stand.nothing_comes_of_it(review):
        answer = await _asks(stand, review, token)
        assert (409, "separation_of_duties") == (answer.status_code, answer.json().get("reason")), answer.text
    (lent,) = [grant.id for grant in await stand.registers.grants(THIRD) if grant.role is Role.REVIEWER]
    refused = await stand.forged(review, signed(await stand.envelope(review, taker, grant=lent)))
    assert Reason.SEPARATION_OF_DUTIES == refused.reason
    stand.control(await _asks(stand, other, token))
    assert 204 == (await (await stand.person(party)).delete(f"/delegations/{chosen.json()['id']}")).status_code
