"""Who asks: OIDC access tokens (RFC 9068), verified against the issuer's published keys.

The token says who a person is and nothing more; which roles they have, our tables say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import ExceededSizeError, InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, JsonValue, TypeAdapter

from api.problems import Unauthenticated, Unavailable
from domain.values import PersonId

ALGORITHMS = frozenset({"ES256", "RS256", "PS256", "EdDSA", "Ed25519"})
"""What a token may be signed with: asymmetric only. Ed25519 is the name that RFC 9864 gives to EdDSA on that curve."""

TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})

LEEWAY_SECONDS = 30
FETCH_SECONDS = 5.0
MAX_TOKEN_LENGTH = 8 * 1024
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 64

REFRESH_SECONDS = 60.0
"""How long after a look at the issuer's keys the next one may follow, once there are keys."""

FRESH_SECONDS = 15 * 60.0
"""How old the keys may become before we look again: how soon a withdrawn key is noticed."""

STALE_SECONDS = 24 * 3600.0
"""How long keys are trusted while the issuer can't be reached."""

RETRY_SECONDS = 1.0
"""As `REFRESH_SECONDS`, while there are no keys."""

_KEY_TYPES: dict[str, type[ECKey | RSAKey | OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}

# 2,048 bits in base64url.
_MIN_MODULUS_LENGTH = 342

_person_id: TypeAdapter[str] = TypeAdapter(PersonId)
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TokenVerifier:
    """Tells who a token speaks of, by the keys that `issuer` publishes.

    The keys are fetched when they are first needed and then kept; a token that names an unknown key makes us look
    again, at most once a minute, one request at a time.

    Args:
        issuer: the issuer's identifier, as its discovery document and its tokens have it. Plain http is for loopback.
        audience: what tokens for us name as their audience.
        client: fetches the issuer's documents; redirects are not followed, whatever it says.
        monotonic: the clock, in seconds, that the age of the keys is measured by.

    Raises:
        ValueError: `issuer` is not an https URL (or http on loopback), or has a query, fragment or user in it.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        client: httpx2.AsyncClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _is_safe(issuer, plain=True):
            raise ValueError(f"the issuer must be an https URL (http on loopback only), without query: {issuer!r}")
        self._issuer = issuer
        self._client = client
        self._monotonic = monotonic
        self._registry = _Registry(strict_check_header=False)
        self._claims = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    async def verify(self, token: str) -> PersonId:
        """The person whom `token` speaks of.

        Raises:
            Unauthenticated: the token is not one that we accept.
            Unavailable: the issuer can't be reached, and none of its keys is known.
        """
        if not token.isascii() or len(token) > MAX_TOKEN_LENGTH:
            raise _invalid(ExceededSizeError())
        if self._keys is None or (self._age > FRESH_SECONDS and not self._fetching.locked()):
            await self._refresh()
        try:
            return self._person(token)
        except InvalidKeyIdError:
            await self._refresh()
        try:
            return self._person(token)
        except InvalidKeyIdError as error:
            raise _invalid(error) from None

    @property
    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _person(self, token: str) -> PersonId:
        """The person whom `token` speaks of by the keys that we have; `InvalidKeyIdError` if it takes others."""
        if self._keys is None or self._age > STALE_SECONDS:
            raise Unavailable("The identity provider can't be reached.")
        try:
            _check_header(extract_compact(token.encode()).headers())
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            self._claims.validate(claims)
            return _person_id.validate_python(claims["sub"])
        except InvalidKeyIdError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a token makes the library raise, the answer is no
            raise _invalid(error) from None

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was tried a moment ago. Where it fails, what we have stays."""
        asked_at = self._monotonic()
        async with self._fetching:
            if self._tried_at is not None:
                pause = RETRY_SECONDS if self._keys is None else REFRESH_SECONDS
                # Somebody else's attempt, ended while we waited for the lock, is ours too.
                if self._tried_at >= asked_at or self._monotonic() - self._tried_at < pause:
                    return
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    self._keys = await self._fetch()
                self._fetched_at = self._monotonic()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
                _log.warning(
                    "issuer's keys not to be had", error=type(error).__name__, keys_known=self._keys is not None
                )
            finally:
                self._tried_at = self._monotonic()

    async def _fetch(self) -> KeySet:
        address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        discovery = _Discovery.model_validate_json(await self._get(address))
        if discovery.issuer != self._issuer:
            raise ValueError("the discovery document is another issuer's")
        if not _is_safe(discovery.jwks_uri, plain=self._issuer.startswith("http:"), query=True):
            raise ValueError("the keys are not published where they can be trusted")
        published = _PublishedKeys.model_validate_json(await self._get(discovery.jwks_uri))
        keys = [key for data in published.keys[:MAX_KEYS] if (key := _public_key(data)) is not None]
        if not keys:
            raise ValueError("the issuer publishes no key that we can use")
        return KeySet(keys)

    async def _get(self, url: str) -> bytes:
        # Bytes as they come: unpacking could make much of little.
        headers = {"Accept": "application/json, application/jwk-set+json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.status_code != 200:
                raise ValueError(f"the issuer answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the issuer's document is too large")
        return bytes(body)


class _Discovery(BaseModel):
    issuer: str
    jwks_uri: str


class _PublishedKeys(BaseModel):
    keys: list[dict[str, JsonValue]]


class _Registry(JWSRegistry):
    """Knows our algorithms and no other."""

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - the library keeps the type to itself
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError("the algorithm is not one of ours")
        return self.algorithms[name]


def _check_header(header: dict[str, Any]) -> None:
    # What it says of keys (jwk, jku, x5u, x5c) is never looked at; kid only chooses among ours.
    kind, kid = header.get("typ"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in TOKEN_TYPES:
        raise JoseError("not an access token")
    if kid is not None and not isinstance(kid, str):
        raise JoseError("kid is not a string")


def _public_key(data: dict[str, JsonValue]) -> Key | None:
    """The key, where it is one that we could use; a set may hold others."""
    kind = _KEY_TYPES.get(str(data.get("kty")))
    if kind is None or "d" in data or (kind is RSAKey and len(str(data.get("n"))) < _MIN_MODULUS_LENGTH):
        return None
    try:
        key = kind.import_key(data)  # type: ignore[arg-type]  # it checks what is in there itself
        key.ensure_kid()
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


def _is_safe(url: str, *, plain: bool, query: bool = False) -> bool:
    """Whether what is read from `url` is what its host says: https, or (where `plain`) loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or (parts.query and not query):
        return False
    return parts.scheme == "https" or (plain and parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _invalid(cause: Exception) -> Unauthenticated:
    _log.info("token refused", error=type(cause).__name__)
    # RFC 6750, 3.1. Which part of it we didn't like helps only those who try tokens out.
    return Unauthenticated(
        "The access token is not valid.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )


_bearer = HTTPBearer(
    bearerFormat="JWT", description="An OIDC access token (RFC 9068) of the configured issuer.", auto_error=False
)


async def current_person(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> PersonId:
    """The person whose token the request bears; the verifier is `app.state.token_verifier`.

    Raises:
        Unauthenticated: there is no token, more than one, or none that we accept.
        Unavailable: the issuer's keys are not to be had.
    """
    if credentials is None or len(request.headers.getlist("authorization")) > 1:
        raise Unauthenticated("An access token is needed.", headers={"WWW-Authenticate": "Bearer"})
    verifier: TokenVerifier = request.app.state.token_verifier
    return await verifier.verify(credentials.credentials)


CurrentPerson = Annotated[PersonId, Depends(current_person)]
"""Who asks, as a FastAPI dependency."""
