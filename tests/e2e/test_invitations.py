"""Council members without an account: the link that signs them in, what it opens, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from api.cookies import SESSION_COOKIE
from tests.e2e.test_notices import Stream
from tests.support.browser import EVIL, Browser
from tests.support.harness import until
from tests.support.mail import mail_server
from tests.support.place import Place, refused
from tests.support.system import AUTHOR, COUNCIL, OFFICER, OPERATOR, OWNER, Person, example, new_id

MEMBER, OTHER = COUNCIL[:2]
ANOTHER = "another.operator"
MAIL = "lea@law.example"


async def at_council(place: Place) -> str:
    """A review that has come to the Council."""
    author = await place.person(AUTHOR)
    review = new_id()
    assert 200 == (await author.submit(example(4), review)).status_code
    await place.system.reviewed(review)
    return review


async def invited(
    place: Place, *reviews: str, by: str = OFFICER, on_record: str = MAIL, **changes: Any
) -> httpx2.Response:
    """What an invitation is answered, with this address on record of the member."""
    await place.system.written_to(MEMBER, on_record)
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"person": MEMBER, "email": MAIL, "reviews": list(reviews), "expires_at": until, **changes}
    return await (await place.person(by)).post("/invitations", body)


async def link_to(place: Place, *reviews: str, **changes: Any) -> tuple[str, str]:
    """The id and the link of a new invitation."""
    response = await invited(place, *reviews, **changes)
    assert 201 == response.status_code, response.text
    invitation = str(response.json()["id"])
    return invitation, await place.link_of(invitation)


async def opens(browser: Browser, link: str) -> httpx2.Response:
    """Open a link, and press the button."""
    page = await browser.go(link, led_by="https://mail.example")
    assert 200 == page.status_code, page.text
    return await browser.press(str(page.url), "")


async def told(place: Place, invitation: str) -> list[str]:
    """What the registry's record says of an invitation."""
    rows = await place.system.database.pool.fetch(
        "select data from registry_ledger where convert_from(data, 'UTF8') like $1 order by seq", f"%{invitation}%"
    )
    return [re.findall(r'"type":"(invit[a-z_]+)"', row["data"].decode())[0] for row in rows]


async def test_the_whole_way(place: Place, browser: Browser) -> None:
    """Invited, signed in, opinion given, on record."""
    review = await at_council(place)
    invitation, link = await link_to(place, review)
    landed = await opens(browser, link)
    assert f"{place.url}/inbox" == str(landed.url)
    assert [review] == [item["review"] for item in landed.json()["items"]]
    session = (await place.has(browser, "/session")).json()
    assert (MEMBER, invitation, [review]) == (session["person"], session["invitation"], session["reviews"])
    digest = (await place.has(browser, f"/reviews/{review}")).json()["digest"]
    opinion = {"kind": "opinion", "digest": digest, "stance": "supports", "reason": "It is sound."}
    taken = await place.posts(browser, f"/reviews/{review}/decisions", opinion)
    assert (200, "accepted") == (taken.status_code, taken.json()["status"]), taken.text
    assert ["invited", "invitation_used"] == await told(place, invitation)
    out = await place.posts(browser, "/sign-out")
    assert {"end_session": None} == out.json()


async def test_the_mail(place: Place, browser: Browser) -> None:
    """It arrives, its link works, and then its text is kept nowhere."""
    review = await at_council(place)
    address = f"{new_id()}@law.example"
    async with mail_server() as server, place.system.worker(smtp_url=server.url, mail_from="ringi@example.org"):
        made = (await invited(place, review, on_record=address, email=address)).json()
        invitation = made["id"]
        assert ("waiting", None) == (made["mail"], made["mail_error"])

        async def arrived() -> bool:
            return bool(server.to(address)) and await place.system.database.pool.fetchval(
                "select body is null from mails where event_id = $1", invitation
            )

        await until(arrived, seconds=30)
    (listed,) = [
        each
        for each in (await (await place.person(OFFICER)).get("/invitations")).json()["invitations"]
        if each["id"] == invitation
    ]
    assert ("sent", None) == (listed["mail"], listed["mail_error"])
    (mail,) = server.to(address)
    (link,) = [line for line in mail.get_content().splitlines() if line.startswith(place.url)]
    assert 200 == (await opens(browser, link)).status_code


async def test_the_page(place: Place) -> None:
    """Looking uses nothing up, and shows nothing that must be fetched; no script, no other site, no cache."""
    _, link = await link_to(place, await at_council(place))
    for method in ("GET", "HEAD", "GET"):
        page = await place.http.request(method, link, headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status_code in (200, 405)
    assert 200 == page.status_code
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert ("same-origin", "no-store") == (page.headers["referrer-policy"], page.headers["cache-control"])
    assert "set-cookie" not in page.headers
    assert not re.search(r"<script|src=|href=|url\(", page.text)
    assert '<html lang="en">' in page.text
    assert 1 == page.text.count("<h1>") == page.text.count("<main>") == page.text.count("<button")
    assert MEMBER not in page.text
    assert 200 == (await opens(Browser(), link)).status_code


async def test_only_the_digest_is_kept(place: Place) -> None:
    """The link's token is with the mail, and nowhere else: not in the record, not in an answer."""
    review = await at_council(place)
    response = await invited(place, review)
    token = (await place.link_of(response.json()["id"])).rsplit("/", 1)[1]
    assert len(token) >= 43
    assert token not in response.text
    for table in ("invitations", "registry_ledger", "sessions", "notices"):
        rows = await place.system.database.pool.fetch(f"select t::text as row from {table} t")
        assert not any(token in row["row"] for row in rows)
    listed = await (await place.person(OFFICER)).get("/invitations")
    assert token not in listed.text
    assert MAIL in listed.text


async def test_used_twice_at_once(place: Place) -> None:
    """One of them signs in."""
    invitation, link = await link_to(place, await at_council(place))
    browsers = [Browser() for _ in range(8)]
    answers = await asyncio.gather(*(opens(browser, link) for browser in browsers))
    assert [200, *[410] * 7] == sorted(answer.status_code for answer in answers)
    assert 1 == sum(browser.cookie(place.url, SESSION_COOKIE) is not None for browser in browsers)
    assert ["invited", "invitation_used"] == await told(place, invitation)


async def test_links_that_are_no_longer_good(place: Place, browser: Browser) -> None:
    """Used, revoked, expired, changed and made up: all get the same page, and no session."""
    review = await at_council(place)
    _, used = await link_to(place, review)
    await opens(Browser(), used)
    revoked_id, revoked = await link_to(place, review)
    assert 204 == (await (await place.person(OFFICER)).delete(f"/invitations/{revoked_id}")).status_code
    expired_id, expired = await link_to(place, review)
    await place.alter("update invitations set expires_at = now() - interval '1 second' where id = $1", expired_id)
    _, good = await link_to(place, review)
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    pages = set()
    for link in (used, revoked, expired, changed, f"{place.url}/invited/x", f"{place.url}/invited/%00%ff"):
        page = await browser.go(link)
        assert 410 == page.status_code, link
        pages.add(page.text)
        assert 410 == (await browser.press(link, "")).status_code
    assert 1 == len(pages)
    assert browser.cookie(place.url, SESSION_COOKIE) is None
    assert 200 == (await opens(browser, good)).status_code


async def test_another_site_presses_the_button(place: Place, browser: Browser) -> None:
    """It would sign somebody in as another."""
    _, link = await link_to(place, await at_council(place))
    refused(await browser.press(f"{EVIL}/page", link), 403, "cross-site")
    old = Browser(modern=False)
    refused(await old.press(f"{EVIL}/page", link), 403, "cross-site")
    assert 200 == (await opens(old, link)).status_code


async def test_what_the_session_opens(place: Place, browser: Browser) -> None:
    """The invitation's reviews, as council member; nothing else is there, whatever else the person may."""
    system = place.system
    review, other = await at_council(place), await at_council(place)
    judged = await system.opened(example(3))
    await system.granted((MEMBER, "auditor", ""), (MEMBER, "reviewer", ""), (MEMBER, "owner", ""))
    try:
        mine = await place.person(MEMBER)
        assert 200 == (await mine.get(f"/reviews/{other}")).status_code
        assert judged in [item["review"] for item in (await mine.get("/inbox")).json()["items"]]
        _, early = await link_to(place, judged)
        assert [] == (await opens(Browser(), early)).json()["items"], "of a reviewer's turn they are told otherwise"
        _, link = await link_to(place, review)
        landed = await opens(browser, link)
        assert [review] == [item["review"] for item in landed.json()["items"]]
        me = (await place.has(browser, "/me")).json()
        assert ["council_member"] == [grant["role"] for grant in me["grants"]]
        for path in ("", "/proposal", "/assessment", "/timeline"):
            assert 200 == (await place.has(browser, f"/reviews/{review}{path}")).status_code
            assert 404 == (await place.has(browser, f"/reviews/{other}{path}")).status_code
        for path in ("evidence", "history"):
            assert 403 == (await place.has(browser, f"/reviews/{review}/{path}")).status_code
            assert 404 == (await place.has(browser, f"/reviews/{other}/{path}")).status_code
        for path in ("/reviews", "/grants?person=x", "/invitations", "/reviews/none"):
            assert 404 == (await place.has(browser, path)).status_code, path
        digest = (await place.has(browser, f"/reviews/{review}")).json()["digest"]
        for kind, reason in (("escalation", "More."), ("change_request", "Less."), ("withdrawal", "None.")):
            body = {"kind": kind, "digest": digest, "reason": reason}
            assert 403 == (await place.posts(browser, f"/reviews/{review}/decisions", body)).status_code
            assert 404 == (await place.posts(browser, f"/reviews/{other}/decisions", body)).status_code
        submission = {"proposal": example(1).model_dump(mode="json")}
        assert 404 == (await place.posts(browser, "/reviews", submission)).status_code
        assert 404 == (await place.posts(browser, "/assessments", submission)).status_code
        step_up = f"{place.url}/step-up?nonce={'0' * 64}"
        for again in (await browser.go(step_up), await browser.press(step_up, "")):
            assert "no account" in refused(again, 403, "forbidden")
    finally:
        operator = await place.person(OPERATOR)
        for grant in (await mine.get("/me")).json()["grants"]:
            if grant["role"] != "council_member":
                assert 204 == (await operator.delete(f"/grants/{grant['id']}")).status_code


async def test_the_invited_are_told_of_their_cases_alone(place: Place, browser: Browser) -> None:
    """By the stream, until the invitation is revoked, and in the list; as council member, whatever else they may be."""
    system, member = place.system, "ulla.invited"
    await system.granted((member, "council_member", "academic"), (member, "reviewer", ""))
    await system.written_to(member, MAIL)
    other, review = await at_council(place), await at_council(place)
    invitation, link = await link_to(place, review, person=member)
    await opens(browser, link)

    async def listed() -> list[str]:
        notices = (await place.has(browser, "/me/notices")).json()["notices"]
        return [notice["review"] for notice in notices]

    await until(listed)
    assert {review} == set(await listed())
    cookie = place.session_of(browser)
    headers = {"Cookie": f"{cookie.name}={cookie.value}", "Sec-Fetch-Site": "same-origin"}
    async with place.http.stream("GET", "/events", headers=headers) as response:
        assert 200 == response.status_code
        stream = Stream(response.aiter_lines())
        assert "begin" == (await stream.next())[0]
        await system.granted((member, "auditor", ""))
        for case in (other, review):
            await system.person(OTHER).accepted(case, "opinion", stance="supports", reason="It is sound.")
        seen = await stream.upto("entry", review=review)
        assert 204 == (await (await place.person(OFFICER)).delete(f"/invitations/{invitation}")).status_code
        with contextlib.suppress(EOFError):
            while True:
                seen.append(await stream.next())
    assert {review} == {said.get("review") for _, said in seen}


async def test_every_route_is_closed_unless_it_is_named(place: Place, browser: Browser) -> None:
    """Of all that the API's description lists, the invited find what is about their reviews and what says so."""
    review = await at_council(place)
    _, link = await link_to(place, review)
    await opens(browser, link)
    paths = (await place.http.get("/openapi.json")).json()["paths"]
    open_to_all = {"/livez", "/readyz", "/sign-in", "/sign-in/callback", "/invited/{token}"}
    named = {"/me", "/me/notices", "/session", "/sign-out", "/step-up", "/inbox", "/events", "/documents/{digest}"}
    named.add("/packs/{pack}")
    closed = [
        (method, path)
        for path, operations in paths.items()
        for method in operations
        if path not in open_to_all | named and "{review_id}" not in path and not path.startswith("/invitations/{")
    ]
    assert closed
    for method, path in closed:
        url = place.url + re.sub(r"\{[^}]+\}", "x", path)
        answer = await browser.fetch(method.upper(), url, script_of=place.url)
        assert 404 == answer.status_code, f"{method} {path}: {answer.text}"


async def test_revoking_ends_the_session(place: Place, browser: Browser) -> None:
    """At once; and not a second time."""
    review = await at_council(place)
    invitation, link = await link_to(place, review)
    await opens(browser, link)
    assert 200 == (await place.has(browser, f"/reviews/{review}")).status_code
    officer = await place.person(OFFICER)
    assert 204 == (await officer.delete(f"/invitations/{invitation}?because=A+mistake.")).status_code
    refused(await place.has(browser, f"/reviews/{review}"), 401, "unauthenticated")
    assert 404 == (await officer.delete(f"/invitations/{invitation}")).status_code
    assert ["invited", "invitation_used", "invitation_revoked"] == await told(place, invitation)


async def test_how_long_the_session_lasts(place: Place, browser: Browser) -> None:
    """As long as the invitation, used or not; the link would not work again."""
    review = await at_council(place)
    invitation, link = await link_to(place, review)
    await opens(browser, link)
    cookie = place.session_of(browser)
    assert int(cookie.attributes["max-age"]) > 29 * 86_400
    await place.alter("update sessions set last_seen_at = now() - interval '20 days' where invitation = $1", invitation)
    assert 200 == (await place.has(browser, "/session")).status_code
    await place.alter("update sessions set expires_at = now() where invitation = $1", invitation)
    refused(await place.has(browser, "/session"), 401, "unauthenticated")


async def test_whoever_loses_the_seat_or_is_disabled(place: Place, browser: Browser) -> None:
    """The invitation gives nothing that the person doesn't hold."""
    review = await at_council(place)
    await place.system.granted(("una.former", "council_member", "academic"))
    await place.system.written_to("una.former", "una@example.org")
    _, link = await link_to(place, review, person="una.former", email="una@example.org")
    _, second = await link_to(place, review, person="una.former", email="una@example.org")
    await opens(browser, link)
    operator = await place.person(OPERATOR)
    (grant,) = (await (await place.person("una.former")).get("/me")).json()["grants"]
    assert 204 == (await operator.delete(f"/grants/{grant['id']}")).status_code
    assert [] == (await place.has(browser, "/me")).json()["grants"]
    refused(await place.has(browser, f"/reviews/{review}"), 404, "not-found")
    assert 204 == (await operator.post("/people/una.former/disabled", {"because": "Left."})).status_code
    refused(await place.has(browser, "/me"), 403, "disabled")
    assert 410 == (await Browser().go(second)).status_code


async def test_who_may_be_invited_to_what(place: Place) -> None:
    """A seated member, by an officer or operator who is somebody else, to cases that are there and open, for 60 days."""
    review = await at_council(place)
    closed = new_id()
    author = await place.person(AUTHOR)
    assert 200 == (await author.submit(example(1), closed)).status_code
    await (await place.person(OWNER)).accepted(closed, "withdrawal", reason="Not needed.")
    later = datetime.now(UTC)
    await place.system.granted((ANOTHER, "operator", ""))
    for changes, status in (
        ({"by": ANOTHER}, 201),
        ({"by": OPERATOR}, 409),
        ({"by": OWNER}, 403),
        ({"by": MEMBER}, 403),
        ({"person": "hana.owner"}, 409),
        ({"person": "nobody"}, 409),
        ({"email": "not an address"}, 422),
        ({"email": "a@example.org\nBcc: b@example.org"}, 422),
        ({"expires_at": (later - timedelta(days=1)).isoformat()}, 409),
        ({"expires_at": (later + timedelta(days=62)).isoformat()}, 409),
        ({"reviews": []}, 422),
        ({"reviews": ["none"]}, 422),
        ({"reviews": [review, closed]}, 422),
    ):
        response = await invited(place, review, **changes)
        assert status == response.status_code, (changes, response.text)
    await place.system.granted((OFFICER, "council_member", "lawyer"))
    await place.system.written_to(OFFICER, MAIL)
    refused(await invited(place, review, person=OFFICER), 409, "conflict")


async def test_the_link_goes_to_the_address_on_record(place: Place) -> None:
    """Whoever reads it is taken for the member: nobody alone has it sent to a mailbox of their own."""
    review = await at_council(place)
    await place.system.granted(("ivo.invited", "council_member", "academic"), (ANOTHER, "operator", ""))

    async def answered(email: str, by: str = OFFICER) -> str:
        response = await invited(place, review, by=by, person="ivo.invited", email=email)
        return "" if response.status_code == 201 else str(response.json()["detail"])

    assert "No address is on record" in await answered("ivo@law.example")
    await place.system.written_to("ivo.invited", "ivo@law.example")
    assert "Another address is on record" in await answered("omi@example.org")
    assert "" == await answered("Ivo@law.example")
    assert "You entered their address" in await answered("ivo@law.example", by=OPERATOR)
    assert "" == await answered("ivo@law.example", by=ANOTHER)
    again = "person,name,unit,role,office,email\nivo.invited,Ivo,Example,,,{}\n"
    another = await place.person(ANOTHER)
    for email, said in (("ivo@law.example", ""), ("ivo@example.org", "You entered their address")):
        assert 200 == (await another.put_in("/people/import", again.format(email), "text/csv")).status_code
        assert said in await answered(email, by=ANOTHER)


async def test_who_sees_and_revokes(place: Place) -> None:
    """Officers and operators."""
    invitation, _ = await link_to(place, await at_council(place))
    for name in (OWNER, MEMBER):
        person: Person = await place.person(name)
        assert 403 == (await person.get("/invitations")).status_code
        assert 403 == (await person.delete(f"/invitations/{invitation}")).status_code
    operator = await place.person(OPERATOR)
    listed = (await operator.get("/invitations", limit=1)).json()["invitations"]
    assert [invitation] == [one["id"] for one in listed]


@pytest.mark.parametrize("path", ["/invitations/x", "/invitations/invitation-00000000-0000-0000-0000-000000000000"])
async def test_an_invitation_that_is_not_there(place: Place, path: str) -> None:
    """Can't be revoked."""
    assert (await (await place.person(OFFICER)).delete(path)).status_code in (404, 422)
