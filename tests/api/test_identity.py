"""Who asks: what the verifier takes, what it refuses, and what it does when the issuer is away."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.identity import Identity, TokenVerifier, Who
from api.middleware import RequestContext
from api.problems import Unauthenticated, Unavailable, install_problems
from api.provider import (
    FRESH_SECONDS,
    MAX_DOCUMENT_BYTES,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    Provider,
)
from runtime.issuer import KEY_FILE, Issuer, issuer_app, signing_key
from runtime.private_files import UnusableKeyError

if TYPE_CHECKING:
    from tests.api.conftest import Serve

PERSON = "example.reviewer"
ALGORITHMS = ["ES256", "RS256", "PS256", "EdDSA", "Ed25519", "HS256", "none"]


@dataclass
class Switchboard:
    """Serves what it is told to, on one address, and counts who asks."""

    client: httpx2.AsyncClient
    url: str = ""
    app: ASGIApp | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        app = self.app or Response(status_code=503)
        await app(scope, receive, send)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class NoSessions:
    """Nobody has a session; one person is disabled."""

    async def of(self, _: str) -> None:
        return None

    async def is_disabled(self, person: str) -> bool:
        return person == "gone.person"


@dataclass
class World:
    """An issuer on loopback, and a verifier that trusts it."""

    issuer: Issuer
    board: Switchboard
    clock: Clock
    verifier: TokenVerifier

    def sign(self, header: dict[str, Any] | None = None, key: Key | None = None, **claims: Any) -> str:
        """A good token, but for what is said; a claim that is None is left out."""
        now = int(time.time())
        good: dict[str, Any] = {"iss": self.issuer.url, "aud": "ringi", "sub": PERSON, "iat": now, "exp": now + 60}
        whole = {name: value for name, value in (good | claims).items() if value is not None}
        kid = self.issuer.key.thumbprint()
        parts = {"alg": "ES256", "typ": "at+jwt", "kid": kid} | (header or {})
        parts = {name: value for name, value in parts.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        return jwt.encode(parts, whole, key or self.issuer.key, registry=registry, default_type=None)

    async def person_of(self, token: str) -> str:
        """Whom a token speaks of."""
        person, _ = await self.verifier.read(token)
        return person

    async def refused(self, token: str) -> None:
        with pytest.raises(Unauthenticated) as refusal:
            await self.verifier.read(token)
        assert refusal.value.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@pytest_asyncio.fixture(scope="module")
async def board(serve: Serve) -> AsyncIterator[Switchboard]:
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        board = Switchboard(client)
        async with serve(board) as board.url:
            yield board


@pytest_asyncio.fixture
async def world(board: Switchboard, tmp_path: Path) -> World:
    issuer = Issuer(signing_key(tmp_path), board.url)
    board.app = issuer_app(issuer.key, board.url)
    board.asked.clear()
    clock = Clock()
    return World(issuer, board, clock, TokenVerifier(Provider(board.url, board.client, monotonic=clock), "ringi"))


def _segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# --- the issuer ---


def test_the_key_is_kept_for_its_owner(tmp_path: Path) -> None:
    """Made once, mode 0600, the same ever after."""
    folder = tmp_path / "deep" / "down"
    key = signing_key(folder)
    assert signing_key(folder).as_dict(private=True) == key.as_dict(private=True)
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [folder / KEY_FILE]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"kty": "EC"}',
        json.dumps(ECKey.generate_key("P-384").as_dict(private=True)).encode(),
        json.dumps(ECKey.generate_key("P-256").as_dict(private=False)).encode(),
        json.dumps({"kty": "EC", "crv": "P-256", "x": 1, "y": "", "d": None}).encode(),
        b" " * 10_000 + b"{}",
    ],
)
def test_a_damaged_key_is_said(tmp_path: Path, content: bytes) -> None:
    """In one sentence that names the file; it is not replaced behind anybody's back."""
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UnusableKeyError, match="damaged"):
        signing_key(tmp_path)
    assert path.read_bytes() == content


def test_a_key_that_is_a_link(tmp_path: Path) -> None:
    """It is not followed: the key is this folder's own."""
    signing_key(tmp_path / "other")
    (tmp_path / KEY_FILE).symlink_to(tmp_path / "other" / KEY_FILE)
    with pytest.raises(OSError, match="symbolic"):
        signing_key(tmp_path)


def test_a_token_is_an_access_token(world: World) -> None:
    """With all that RFC 9068 wants of one."""
    token = world.issuer.mint(PERSON, minutes=3, audience="other")
    decoded = jwt.decode(token, world.issuer.key, algorithms=["ES256"])
    assert decoded.header == {"alg": "ES256", "typ": "at+jwt", "kid": world.issuer.key.thumbprint()}
    claims = decoded.claims
    assert set(claims) == {"iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (world.issuer.url, "other", PERSON)
    assert claims["exp"] - claims["iat"] == 180
    assert claims["jti"] != jwt.decode(world.issuer.mint(PERSON), world.issuer.key).claims["jti"]


@pytest.mark.parametrize(("person", "minutes"), [("", 1), ("a b", 1), ("人", 1), (PERSON, 0), (PERSON, 10**9)])
def test_what_is_not_minted(world: World, person: str, minutes: int) -> None:
    """A name that no person has, or a token for ever."""
    with pytest.raises(ValueError, match="validation error"):
        world.issuer.mint(person, minutes=minutes)


async def test_the_issuer_publishes_public_keys_and_nothing_else(world: World) -> None:
    """Two documents; no token comes out over HTTP."""
    async with httpx2.AsyncClient(base_url=world.issuer.url) as client:
        (key,) = (await client.get("/jwks.json")).json()["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        discovery = (await client.get("/.well-known/openid-configuration")).json()
        assert (discovery["issuer"], discovery["jwks_uri"]) == (world.issuer.url, world.issuer.url + "/jwks.json")
        for path in ("/", "/token", "/mint", "/.well-known/openid-configuration/x"):
            assert (await client.post(path)).status_code in {404, 405}
            assert (await client.get(path)).status_code == 404


# --- tokens ---


async def test_a_good_token(world: World) -> None:
    """The one that the issuer mints, and what other issuers' good tokens look like."""
    assert await world.person_of(world.issuer.mint(PERSON)) == PERSON
    for token in (
        world.sign(),
        world.sign(aud=["other", "ringi"]),
        world.sign({"typ": "application/AT+JWT"}),
        world.sign({"kid": None}),
        world.sign({"x-vendor": "1"}),
        world.sign(exp=time.time() - 5.5),
        world.sign(nbf=time.time() + 5.5),
    ):
        assert await world.person_of(token) == PERSON
    assert len(world.board.asked) == 2


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://127.0.0.1:1"},
        {"iss": ""},
        {"iss": None},
        {"iss": ["{iss}"]},
        {"iss": "{iss}/"},
        {"aud": "other"},
        {"aud": []},
        {"aud": None},
        {"aud": {"ringi": 1}},
        {"aud": "ringi2"},
        {"aud": ["ring", "i"]},
        {"exp": 1},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"exp": "2099-01-01"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"exp": "9999999999"},
        {"nbf": int(time.time()) + 3600},
        {"nbf": "now"},
        {"iat": int(time.time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": [PERSON]},
        {"sub": {"id": PERSON}},
        {"sub": "two words"},
        {"sub": "x" * 129},
        {"sub": "example.reviewer\n"},
        {"sub": "example.reviewer\x00"},
        {"sub": "\u0435xample.reviewer"},
        {"sub": "'; drop table person; --"},
        {"sub": "../example"},
    ],
)
async def test_claims_that_are_refused(world: World, claims: dict[str, Any]) -> None:
    """Each but for one claim a good token, rightly signed."""
    text = json.dumps(claims).replace("{iss}", world.issuer.url)
    await world.refused(world.sign(**json.loads(text)))


@pytest.mark.parametrize("kind", [None, "", "JWT", "jwt", "id+jwt", "at+jwt ", "logout+jwt", "dpop+jwt"])
async def test_other_types_of_token_are_refused(world: World, kind: str | None) -> None:
    """An id token is not an access token, even where its audience is ours."""
    await world.refused(world.sign({"typ": kind}))


async def test_no_algorithm(world: World) -> None:
    """`none` in any spelling, with and without a signature."""
    good = world.issuer.mint(PERSON)
    _, payload, signature = good.split(".")
    for name in ("none", "None", "NONE", "nOnE", ""):
        header = _segment({"alg": name, "typ": "at+jwt", "kid": world.issuer.key.thumbprint()})
        for end in ("", signature):
            await world.refused(f"{header}.{payload}.{end}")


async def test_the_public_key_as_a_secret(world: World) -> None:
    """HS256, keyed with what the issuer publishes, in every form that one might think of."""
    key = world.issuer.key
    forms = [
        key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.as_dict(private=False)).encode(),
    ]
    header = _segment({"alg": "HS256", "typ": "at+jwt", "kid": key.thumbprint()})
    payload = world.issuer.mint(PERSON).split(".")[1]
    for form in forms:
        # By hand: the library won't sign with such a secret.
        signature = hmac.digest(form, f"{header}.{payload}".encode(), "sha256")
        await world.refused(f"{header}.{payload}.{_segment(signature)}")


async def test_keys_in_the_header_are_not_looked_at(world: World) -> None:
    """jwk, jku, x5u: the token can't say by which key it wants to be judged, nor make us fetch one."""
    await world.person_of(world.issuer.mint(PERSON))
    forger = ECKey.generate_key("P-256")
    public = forger.as_dict(private=False)
    before = len(world.board.asked)
    for header in (
        {"jwk": public},
        {"jwk": public, "kid": None},
        {"jwk": public, "kid": forger.thumbprint()},
        {"jku": world.issuer.url + "/forged.json"},
        {"x5u": world.issuer.url + "/forged.pem"},
        {"x5c": ["AAAA"]},
        {},
    ):
        await world.refused(world.sign(header, key=forger))
        assert not any("forged" in path for path in world.board.asked[before:])
    assert await world.person_of(world.sign({"jwk": public})) == PERSON


@pytest.mark.parametrize(
    "kid",
    [
        "../../../dev/null",
        "/etc/passwd",
        "' OR 1=1 --",
        "x\u0000",
        "http://127.0.0.1/key",
        "",
        "k" * 300,
        7,
        [],
        {},
        True,
    ],
)
async def test_ugly_key_ids(world: World, kid: object) -> None:
    """A key id is compared, and never a place."""
    payload = world.issuer.mint(PERSON).split(".")[1]
    header = _segment({"alg": "ES256", "typ": "at+jwt", "kid": kid})
    signature = jws.JWSRegistry.algorithms["ES256"].sign(f"{header}.{payload}".encode(), world.issuer.key)
    await world.refused(f"{header}.{payload}.{_segment(signature)}")
    assert set(world.board.asked) <= {"/.well-known/openid-configuration", "/jwks.json"}


async def test_a_critical_header_is_critical(world: World) -> None:
    """What we don't understand and must, we refuse."""
    payload = world.issuer.mint(PERSON).split(".")[1]
    for crit in (["x-vendor"], [], ["b64"], "alg", [1]):
        header = _segment({"alg": "ES256", "typ": "at+jwt", "x-vendor": 1, "b64": False, "crit": crit})
        signature = jws.JWSRegistry.algorithms["ES256"].sign(f"{header}.{payload}".encode(), world.issuer.key)
        await world.refused(f"{header}.{payload}.{_segment(signature)}")


@pytest.mark.parametrize("position", range(3))
async def test_a_changed_token(world: World, position: int) -> None:
    """One character of any part."""
    parts = world.issuer.mint(PERSON).split(".")
    part = parts[position]
    parts[position] = part[:10] + ("A" if part[10] != "A" else "B") + part[11:]
    await world.refused(".".join(parts))


ODD_HEADERS: list[object] = [[], ["alg"], "alg", 1, None, {}, {"alg": []}, {"alg": {}}, {"alg": None}, {"typ": []}]


async def test_what_is_hardly_a_token(world: World) -> None:
    """Any text is refused, none is an error of ours."""
    good = world.issuer.mint(PERSON)
    header, payload, signature = good.split(".")
    odd = [f"{_segment(one)}.{payload}.{signature}" for one in ODD_HEADERS]
    right_header = _segment({"alg": "ES256", "typ": "at+jwt"})
    for claims in (b"[]", b"1", b"\xff", b"", b"[" * 90_00, b'{"a":' * 50):
        data = f"{right_header}.{_segment(claims)}"
        mark = jws.JWSRegistry.algorithms["ES256"].sign(data.encode(), world.issuer.key)
        odd.append(f"{data}.{_segment(mark)}")
    for token in [
        *odd,
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        good + ".",
        good + "=",
        "é" * 9,
        "x" * 9_000,
        f"{header}.{payload}",
        good + "A" * 9_000,
    ]:
        await world.refused(token)


async def test_any_text_is_refused(world: World) -> None:
    """Generated, near a token and far from one."""
    await world.person_of(world.issuer.mint(PERSON))
    parts = world.issuer.mint(PERSON).split(".")
    anything = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)
    headers = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk"]), anything).map(
        lambda odd: f"{_segment({'alg': 'ES256', 'typ': 'at+jwt'} | odd)}.{parts[1]}.{parts[2]}"
    )
    # The keys are cached and the clock stands still, so that reading never waits: one step of the coroutine is all of it.
    texts = headers | st.text(max_size=60) | st.lists(st.binary(max_size=40).map(_segment), max_size=4).map(".".join)

    @settings(max_examples=300, deadline=None)
    @given(texts)
    def refused(token: str) -> None:
        with pytest.raises(Unauthenticated):
            world.verifier.read(token).send(None)

    refused()


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
    ],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_the_other_algorithms(world: World, algorithm: str, key: Key) -> None:
    """What identity providers sign with; a key set may hold keys that we can't use, or don't want."""
    small = {"kty": "RSA", "n": _segment(b"\xff" * 128), "e": "AQAB", "kid": "small"}
    odd: list[Any] = [{"kty": "AKP"}, {"kty": "EC"}, {"kty": []}, {}, OctKey.generate_key(256).as_dict(), small]
    _publish(world, [*odd, key.as_dict(private=False, kid="k")])
    assert await world.person_of(world.sign({"alg": algorithm, "kid": "k"}, key=key)) == PERSON
    await world.refused(world.sign({"alg": algorithm, "kid": "small"}, key=key))
    await world.refused(world.sign({"kid": "k"}))


async def test_a_key_is_used_as_it_is_meant(world: World) -> None:
    """Not one for encryption, not one for another algorithm, not a private one that was published."""
    key = world.issuer.key
    for data in (
        key.as_dict(private=False, use="enc"),
        key.as_dict(private=False, alg="ES384"),
        key.as_dict(private=True),
    ):
        other = RSAKey.generate_key(2048).as_dict(private=False)
        _publish(world, [data, other])
        world.clock.now += FRESH_SECONDS + 1
        await world.refused(world.sign())


# --- the issuer's keys over time ---


def _publish(world: World, keys: list[Any], **discovery: Any) -> None:
    url = world.issuer.url
    documents = {
        "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}/jwks.json"} | discovery,
        "/jwks.json": {"keys": keys},
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        document = documents.get(scope["path"])
        answer = Response(json.dumps(document), status_code=200 if document else 404)
        await answer(scope, receive, send)

    world.board.app = serve


async def test_rotation(world: World) -> None:
    """A token by a new key makes us look, once; the old key is gone with it."""
    old = world.issuer.mint(PERSON)
    assert await world.person_of(old) == PERSON
    new = Issuer(ECKey.generate_key("P-256"), world.issuer.url)
    world.board.app = issuer_app(new.key, new.url)
    world.clock.now += REFRESH_SECONDS
    assert await world.person_of(new.mint(PERSON)) == PERSON
    await world.refused(old)
    assert len(world.board.asked) == 4


async def test_unknown_keys_make_us_look_once_a_minute(world: World) -> None:
    """However many there are, and however many ask at once."""
    await world.person_of(world.issuer.mint(PERSON))
    unknown = [world.sign({"kid": f"unknown-{n}"}) for n in range(20)]
    await asyncio.gather(*(world.refused(token) for token in unknown))
    assert len(world.board.asked) == 2
    world.clock.now += REFRESH_SECONDS
    await asyncio.gather(*(world.refused(token) for token in unknown))
    assert len(world.board.asked) == 4


async def test_the_first_requests_share_one_look(world: World) -> None:
    """Single flight."""
    tokens = [world.issuer.mint(f"example.{n}") for n in range(20)]
    assert await asyncio.gather(*map(world.person_of, tokens)) == [f"example.{n}" for n in range(20)]
    assert len(world.board.asked) == 2


async def test_a_withdrawn_key_is_noticed(world: World) -> None:
    """Without anybody naming a new one."""
    token = world.issuer.mint(PERSON)
    await world.person_of(token)
    _publish(world, [ECKey.generate_key("P-256").as_dict(private=False)])
    world.clock.now += FRESH_SECONDS
    assert await world.person_of(token) == PERSON
    world.clock.now += 1
    await world.refused(token)


async def test_the_issuer_is_away_and_no_key_is_known(world: World) -> None:
    """We can't say: that is not the token's fault. It is well again as soon as the issuer is."""
    app, world.board.app = world.board.app, None
    token = world.issuer.mint(PERSON)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await world.person_of(token)
    assert len(world.board.asked) == 1
    world.board.app = app
    world.clock.now += RETRY_SECONDS
    assert await world.person_of(token) == PERSON


async def test_the_issuer_is_away_and_keys_are_known(world: World) -> None:
    """Known keys hold for a day; an unknown one is an unknown one."""
    token = world.issuer.mint(PERSON, minutes=24 * 60)
    await world.person_of(token)
    world.board.app = None
    world.clock.now += STALE_SECONDS
    assert await world.person_of(token) == PERSON
    await world.refused(world.sign({"kid": "unknown"}))
    world.clock.now += 1
    with pytest.raises(Unavailable):
        await world.person_of(token)


async def test_nobody_listens() -> None:
    """A refused connection is an issuer that can't be reached."""
    async with httpx2.AsyncClient() as client:
        with pytest.raises(Unavailable):
            await TokenVerifier(Provider("http://127.0.0.1:1", client), "ringi").read("a.b.c")


async def test_an_issuer_that_never_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes so long and no longer."""
    monkeypatch.setattr("api.provider.FETCH_SECONDS", 0.1)

    async def drip(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    world.board.app = drip
    with pytest.raises(Unavailable):
        await world.person_of(world.issuer.mint(PERSON))


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://keys.example/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://user@127.0.0.1/jwks.json"},
        {"jwks_uri": "http://[::1"},
        {"padding": "x" * MAX_DOCUMENT_BYTES},
    ],
)
async def test_a_discovery_document_that_is_not_believed(world: World, discovery: dict[str, Any]) -> None:
    """Another issuer's, one that leads where nobody vouches for the keys, or one without end."""
    _publish(world, [world.issuer.key.as_dict(private=False)], **discovery)
    with pytest.raises(Unavailable):
        await world.person_of(world.issuer.mint(PERSON))


async def test_redirects_are_not_followed(world: World) -> None:
    """Though the client would."""
    good = world.board.app
    assert good is not None

    async def redirect(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer: ASGIApp = RedirectResponse("/jwks.json?again") if not request.url.query else good
        await (answer if scope["path"] == "/jwks.json" else good)(scope, receive, send)

    world.board.app = redirect
    with pytest.raises(Unavailable):
        await world.person_of(world.issuer.mint(PERSON))


@pytest.mark.parametrize(
    ("issuer", "taken"),
    [
        ("https://login.example", True),
        ("https://login.example/realms/a", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost:80", True),
        ("http://login.example", False),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("http://2130706433", False),
        ("http://0.0.0.0", False),
        ("https://user:secret@login.example", False),
        ("https://login.example?a=b", False),
        ("https://login.example#a", False),
        ("https://login.example:port", False),
        ("ftp://login.example", False),
        ("login.example", False),
        ("https://", False),
        ("", False),
    ],
)
async def test_which_issuer_may_be_trusted(issuer: str, taken: bool) -> None:
    """https, or http where nobody is between."""
    async with httpx2.AsyncClient() as client:
        if taken:
            Provider(issuer, client)
        else:
            with pytest.raises(ValueError, match="issuer"):
                Provider(issuer, client)


# --- over HTTP ---


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    app.add_middleware(RequestContext)
    install_problems(app)
    app.state.identity = Identity(world.verifier, NoSessions(), "https://ringi.example")

    @app.get("/me")
    async def me(who: Who) -> str:
        return who.person

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api.test") as client:
        yield client


async def test_the_person_reaches_the_endpoint(world: World, api: httpx2.AsyncClient) -> None:
    """With a token; the scheme's name has no case."""
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = await api.get("/me", headers={"Authorization": f"{scheme} {world.issuer.mint(PERSON)}"})
        assert (answer.status_code, answer.json()) == (200, PERSON)


async def test_without_a_token(world: World, api: httpx2.AsyncClient) -> None:
    """The challenge names no error where nothing was tried (RFC 6750); two tokens are none."""
    token = ("Authorization", f"Bearer {world.issuer.mint(PERSON)}")
    for headers in ([], [("Authorization", "Basic YTpi")], [("Authorization", "Bearer")], [token, token]):
        answer = await api.get("/me", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:ringi:problem:unauthenticated"


async def test_with_a_bad_token(world: World, api: httpx2.AsyncClient) -> None:
    """Every bad token gets the same answer."""
    answers = []
    for token in (world.sign(exp=1), world.sign(aud="x"), world.sign({"typ": "JWT"}), "nonsense"):
        answer = await api.get("/me", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        document = answer.json()
        del document["instance"]
        answers.append(document)
    assert all(document == answers[0] for document in answers)


async def test_issuer_away_over_http(world: World, api: httpx2.AsyncClient) -> None:
    """503, with a word on when to come again."""
    world.board.app = None
    answer = await api.get("/me", headers={"Authorization": f"Bearer {world.issuer.mint(PERSON)}"})
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:ringi:problem:unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_with_a_token_and_a_cookie(world: World, api: httpx2.AsyncClient) -> None:
    """Who says two things says nothing; a cookie alone that stands for no session is told so, and dropped."""
    headers = {"Authorization": f"Bearer {world.issuer.mint(PERSON)}", "Cookie": "__Host-ringi=abc"}
    answer = await api.get("/me", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:ringi:problem:malformed-request")
    answer = await api.get("/me", headers={"Cookie": "__Host-ringi=abc"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["set-cookie"].startswith("__Host-ringi=; Max-Age=0;")


async def test_a_disabled_person_with_a_good_token(world: World, api: httpx2.AsyncClient) -> None:
    """The token says who they are; that they are disabled, we say."""
    answer = await api.get("/me", headers={"Authorization": f"Bearer {world.issuer.mint('gone.person')}"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "disabled")


async def test_openapi_says_that_a_token_or_a_session_is_needed(api: httpx2.AsyncClient) -> None:
    """Either of the two."""
    schema = (await api.get("/openapi.json")).json()
    assert schema["paths"]["/me"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyCookie": []}]
    schemes = schema["components"]["securitySchemes"]
    assert schemes["HTTPBearer"]["scheme"] == "bearer"
    assert (schemes["APIKeyCookie"]["in"], schemes["APIKeyCookie"]["name"]) == ("cookie", "__Host-ringi")
