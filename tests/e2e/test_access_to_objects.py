"""Who may do what with what is there: every route that names something which is no review, by every kind of person."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.dsse import Ed25519Signer
from domain.proposal import Document
from tests.e2e.test_access import ALWAYS, ENTERED, OFFICERS, OPERATORS, PEOPLE, RULES
from tests.support.system import COUNCIL, OFFICER, OPERATOR, OWNER, REVIEWERS, System, example

MAIL = "lea@law.example"

PUBLIC = "https://ringi.example"


@dataclass(frozen=True)
class Objects:
    """Things of each kind, made as people make them; each call makes another one."""

    system: System
    http: httpx2.AsyncClient
    review: str
    numbers: count[int]

    async def made(self, who: str, path: str, body: object) -> dict[str, str]:
        """What was made there."""
        response = await self.system.person(who, self.http).post(path, body)
        assert response.status_code in (201, 204), response.text
        return {} if response.status_code == 204 else dict(response.json())

    async def document(self) -> str:
        """One that the review's proposal names."""
        return hashlib.sha256(DOCUMENT).hexdigest()

    async def key(self) -> str:
        """A key in force, beside the one that is used."""
        public = Ed25519Signer(Ed25519PrivateKey.generate()).public
        return (await self.made(OPERATOR, "/keys", {"public": public}))["key"]

    async def somebody(self) -> str:
        """Somebody who is known here and holds a role."""
        person = f"new.person{next(self.numbers)}"
        await self.system.granted((person, "owner", ""))
        return person

    async def disabled(self) -> str:
        """Somebody whose account is disabled."""
        person = await self.somebody()
        await self.made(OPERATOR, f"/people/{person}/disabled", {"because": "Left."})
        return person

    async def grant(self) -> str:
        """The only grant of somebody."""
        listed = await self.system.person(OPERATOR, self.http).get("/grants", person=await self.somebody())
        (grant,) = listed.json()["grants"]
        return str(grant["id"])

    async def delegation(self) -> str:
        """What the reviewer left to another owner."""
        number = next(self.numbers)
        start = datetime.now(UTC) + timedelta(days=2 * number)
        window = {"starts_at": start.isoformat(), "ends_at": (start + timedelta(days=1)).isoformat()}
        body = {"taker": PEOPLE["another owner"], "roles": ["reviewer"], **window}
        return (await self.made(PEOPLE["reviewer"], "/delegations", body))["id"]

    async def webhook(self) -> str:
        """One that is told of everything."""
        url = f"https://hooks.example.org/{next(self.numbers)}"
        return (await self.made(OPERATOR, "/webhooks", {"url": url}))["id"]

    async def invitation(self) -> str:
        """A council member's, sent by the officer."""
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"person": COUNCIL[0], "email": MAIL, "reviews": [self.review], "expires_at": until}
        return (await self.made(OFFICER, "/invitations", body))["id"]

    async def pack(self) -> str:
        """The one that is shipped."""
        return "nec-human-rights"


DOCUMENT = b"%PDF-1.7 what the measures are"


@dataclass(frozen=True)
class Theirs:
    """Whose it is to do this with such a thing, and what everybody else is answered who says who they are."""

    thing: Callable[[Objects], Awaitable[str]]
    to: frozenset[str]
    status: int = 204
    otherwise: int = 403
    query: str = ""
    body: object = None


OBJECTS = {
    "GET /packs/{pack}": Theirs(Objects.pack, frozenset(PEOPLE), 200),
    "GET /documents/{digest}": Theirs(Objects.document, frozenset(ALWAYS), 200, 404, "?review={review}"),
    "DELETE /keys/{key}": Theirs(Objects.key, OPERATORS, query="?because=Replaced."),
    "POST /people/{person}/disabled": Theirs(Objects.somebody, OPERATORS, body={"because": "Left."}),
    "DELETE /people/{person}/disabled": Theirs(Objects.disabled, OPERATORS, query="?because=Back."),
    "DELETE /grants/{grant}": Theirs(Objects.grant, OPERATORS, query="?because=Over."),
    "DELETE /delegations/{delegation}": Theirs(
        Objects.delegation, OPERATORS | {"reviewer", "another owner"}, otherwise=409
    ),
    "GET /webhooks/{webhook}/posts": Theirs(Objects.webhook, OPERATORS, 200),
    "DELETE /webhooks/{webhook}": Theirs(Objects.webhook, OPERATORS),
    "DELETE /invitations/{invitation}": Theirs(
        Objects.invitation, OPERATORS | OFFICERS, query="?because=Sent%20twice."
    ),
}
"""Every route that names something in its path which is no review."""

OF_OTHERS = {
    "/delegations?person={person}": OPERATORS | {"auditor"},
    "/grants?person={person}": OPERATORS,
    "/notices?review={review}": OPERATORS | OFFICERS | {"auditor"},
    "/attempts?person={person}": OPERATORS | {"auditor"},
}
"""What names somebody else, or a review, in its query: to whom it is answered."""


def test_every_route_that_names_a_thing_has_its_people() -> None:
    """A new one has to say how to make such a thing, and whose it is."""
    assert {route for route in RULES if "{" in route} == OBJECTS.keys()
    assert ENTERED >= set().union(*(theirs.to for theirs in OBJECTS.values())) - {"nobody"}


async def test_each_thing_is_theirs_alone(own_system: System) -> None:
    """Whoever is refused leaves it as it was: those whose it is come last, and each finds one to use."""
    system = own_system
    await system.granted(("olga.owner", "owner", ""), ("sid.signatory", "signatory", "another_office"))
    await system.granted(("late.lawyer", "council_member", "lawyer"))
    await system.written_to(COUNCIL[0], MAIL)
    uploaded = await system.person(OWNER).put_in("/documents", DOCUMENT, "application/pdf")
    assert 201 == uploaded.status_code
    named = Document(digest=uploaded.json()["digest"], name="measures.pdf", media_type="application/pdf")
    review = await system.opened(example(4, documents=(named,)))
    unlike: list[object] = []
    async with system.api(public_url=PUBLIC) as http:
        objects = Objects(system, http, review, count(1))

        async def ask(kind: str, route: str, theirs: Theirs, name: str) -> None:
            method, template = route.split()
            path = template[: template.index("{")] + name + template[template.index("}") + 1 :]
            path += theirs.query.format(review=review)
            headers = {"Authorization": f"Bearer {system.issuer.mint(PEOPLE[kind])}"}
            response = await http.request(method, path, headers=headers, json=theirs.body)
            wanted = theirs.status if kind in theirs.to else theirs.otherwise
            if response.status_code != wanted:
                unlike.append((kind, route, response.status_code, wanted, response.text[:200]))

        for route, theirs in OBJECTS.items():
            name = await theirs.thing(objects)
            for kind in sorted(PEOPLE.keys() - theirs.to):
                await ask(kind, route, theirs, name)
            for kind in sorted(theirs.to):
                await ask(kind, route, theirs, name)
                name = await theirs.thing(objects) if theirs.status == 204 else name

        for template, allowed in OF_OTHERS.items():
            for kind, asker in PEOPLE.items():
                other = REVIEWERS[0] if asker != REVIEWERS[0] else OWNER
                response = await system.person(asker, http).get(template.format(person=other, review=review))
                if response.status_code != (200 if kind in allowed else 403):
                    unlike.append((kind, template, response.status_code, response.text[:200]))
    assert [] == unlike
