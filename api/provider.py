"""The identity provider: what it publishes of itself, fetched when first needed and then kept.

One of these serves all who need the provider: access tokens and ID tokens are verified by the same keys, looked for at
most once a minute, and sign-in finds the provider's endpoints in the same document.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExceededSizeError,
    InvalidKeyIdError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, JsonValue

from api.problems import Unavailable
from domain.step_up import ALGORITHMS
from runtime.loopback import is_loopback

LEEWAY_SECONDS = 30
FETCH_SECONDS = 5.0
MAX_TOKEN_LENGTH = 8 * 1024
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 64

REFRESH_SECONDS = 60.0
"""How long after a look at the provider's keys the next one may follow, once there are keys."""

FRESH_SECONDS = 15 * 60.0
"""How old the keys may become before we look again: how soon a withdrawn key is noticed."""

STALE_SECONDS = 24 * 3600.0
"""How long keys are trusted while the provider can't be reached."""

RETRY_SECONDS = 1.0
"""As `REFRESH_SECONDS`, while there are no keys."""

_KEY_TYPES: dict[str, type[ECKey | RSAKey | OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}

# 2,048 bits in base64url.
_MIN_MODULUS_LENGTH = 342

_AWAY = "The identity provider can't be reached."

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class BadTokenError(Exception):
    """The token is not one that we accept; the cause says why, and is for the log only."""


@dataclass(frozen=True)
class Verified:
    """What a token says that the provider signed, and the public key by which that was found."""

    claims: dict[str, Any]
    key: Key


class Discovery(BaseModel):
    """What a provider says of itself (OpenID Connect Discovery 1.0), as far as we ask."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Provider:
    """The provider known as `issuer`, and the keys that it publishes.

    The documents are fetched when they are first needed and then kept; a token that no known key fits makes us look
    again, at most once a minute, one request at a time.

    Args:
        issuer: the issuer's identifier, as its discovery document and its tokens have it. Plain http is for loopback.
        client: fetches the provider's documents; redirects are not followed, whatever it says.
        monotonic: the clock, in seconds, that the age of the keys is measured by.

    Raises:
        ValueError: `issuer` is not an https URL (or http on loopback), or has a query, fragment or user in it.
    """

    def __init__(
        self, issuer: str, client: httpx2.AsyncClient, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not is_safe(issuer, plain=True):
            raise ValueError(f"the issuer must be an https URL (http on loopback only), without query: {issuer!r}")
        self.issuer = issuer
        self._client = client
        self._monotonic = monotonic
        self._registry = _Registry(strict_check_header=False)
        self._keys: KeySet | None = None
        self._discovery: Discovery | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    async def verify(self, token: str, types: Collection[str | None], claims: JWTClaimsRegistry) -> Verified:
        """What `token` says, if the provider signed it, it is of one of these types (`typ`, in lower case; None where
        it may name none), and `claims` hold.

        Raises:
            BadTokenError: it is not so.
            Unavailable: the provider can't be reached, and none of its keys is known.
        """
        if not token.isascii() or len(token) > MAX_TOKEN_LENGTH:
            raise BadTokenError from ExceededSizeError()
        await self._look(unless_fresh=True)
        try:
            return self._verified(token, types, claims)
        except InvalidKeyIdError:
            await self._look()
        try:
            return self._verified(token, types, claims)
        except InvalidKeyIdError as error:
            raise BadTokenError from error

    async def discovery(self) -> Discovery:
        """What the provider says of itself. An endpoint where it can't be trusted is None.

        Raises:
            Unavailable: the provider can't be reached.
        """
        await self._look(unless_fresh=True)
        if self._discovery is None or self._age > STALE_SECONDS:
            raise Unavailable(_AWAY)
        return self._discovery

    @property
    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _verified(self, token: str, types: Collection[str | None], claims: JWTClaimsRegistry) -> Verified:
        """What `token` says by the keys that we have; `InvalidKeyIdError` if it takes others."""
        if self._keys is None or self._age > STALE_SECONDS:
            raise Unavailable(_AWAY)
        try:
            header = extract_compact(token.encode()).headers()
            kid = _key_id(header, types)
            key = self._keys.get_by_kid(kid, {"alg": header["alg"], "use": "sig"})
            try:
                said = jwt.decode(token, key, registry=self._registry).claims
            except BadSignatureError:
                # A token that names no key may be by one that has come since.
                raise (InvalidKeyIdError("no key fits") if kid is None else BadSignatureError()) from None
            claims.validate(said)
        except InvalidKeyIdError:
            raise
        except Exception as error:
            raise BadTokenError from error
        return Verified(said, key)

    async def _look(self, *, unless_fresh: bool = False) -> None:
        """Fetch the documents, unless that was tried a moment ago. Where it fails, what we have stays."""
        if unless_fresh and self._keys is not None and (self._age <= FRESH_SECONDS or self._fetching.locked()):
            return
        asked_at = self._monotonic()
        async with self._fetching:
            if self._tried_at is not None:
                pause = RETRY_SECONDS if self._keys is None else REFRESH_SECONDS
                # Somebody else's attempt, ended while we waited for the lock, is ours too.
                if self._tried_at >= asked_at or self._monotonic() - self._tried_at < pause:
                    return
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    self._discovery, self._keys = await self._fetch()
                self._fetched_at = self._monotonic()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
                _log.warning(
                    "issuer's keys not to be had", error=type(error).__name__, keys_known=self._keys is not None
                )
            finally:
                self._tried_at = self._monotonic()

    async def _fetch(self) -> tuple[Discovery, KeySet]:
        address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        discovery = Discovery.model_validate_json(await self._get(address))
        if discovery.issuer != self.issuer:
            raise ValueError("the discovery document is another issuer's")
        plain = self.issuer.startswith("http:")
        if not is_safe(discovery.jwks_uri, plain=plain, query=True):
            raise ValueError("the keys are not published where they can be trusted")
        published = _PublishedKeys.model_validate_json(await self._get(discovery.jwks_uri))
        keys = [key for data in published.keys[:MAX_KEYS] if (key := _public_key(data)) is not None]
        if not keys:
            raise ValueError("the issuer publishes no key that we can use")
        unsafe: dict[str, None] = {
            name: None
            for name in ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
            if not is_safe(getattr(discovery, name) or "", plain=plain, query=True)
        }
        return discovery.model_copy(update=unsafe), KeySet(keys)

    async def _get(self, url: str) -> bytes:
        headers = {"Accept": "application/json, application/jwk-set+json"}
        async with self._client.stream("GET", url, headers=headers | PLAIN, follow_redirects=False) as response:
            if response.status_code != 200:
                raise ValueError(f"the issuer answered {response.status_code}")
            return await bounded(response)


PLAIN = {"Accept-Encoding": "identity"}
"""Bytes as they come: unpacking could make much of little."""


async def bounded(response: httpx2.Response) -> bytes:
    """The body of a document of the provider's.

    Raises:
        ValueError: it is too large.
    """
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError("the issuer's document is too large")
    return bytes(body)


def is_safe(url: str, *, plain: bool, query: bool = False) -> bool:
    """Whether what is read from `url` is what its host says: https, or (where `plain`) loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or (parts.query and not query):
        return False
    return parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(host))


class _PublishedKeys(BaseModel):
    keys: list[dict[str, JsonValue]]


class _Registry(JWSRegistry):
    """Knows our algorithms and no other."""

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - the library keeps the type to itself
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError("the algorithm is not one of ours")
        return self.algorithms[name]


def _key_id(header: dict[str, Any], types: Collection[str | None]) -> str | None:
    # What it says of keys (jwk, jku, x5u, x5c) is never looked at; kid only chooses among ours.
    kind, kid = header.get("typ"), header.get("kid")
    if (kind.lower() if isinstance(kind, str) else kind) not in types:
        raise JoseError("not a token of the type that is wanted")
    if kid is not None and not isinstance(kid, str):
        raise JoseError("kid is not a string")
    return kid


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
