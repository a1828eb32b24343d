"""The issuer of the embedded system: a signing key in a file, and the two documents that publish its public half.

It never hands a token out over HTTP. Whoever can read the key file can mint: that is the same user, and root.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from pydantic import Field, validate_call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from domain.values import PersonId
from runtime.private_files import UnusableKeyError, read_or_make

AUDIENCE = "ringi"
CLIENT_ID = "ringi-local"
ALGORITHM = "ES256"
KEY_FILE = "issuer-key.json"


def signing_key(folder: Path) -> ECKey:
    """The P-256 key kept in `folder`, made on first use in a file that only its owner can read.

    Several processes may ask at the same time: all get the same key.

    Raises:
        UnusableKeyError: the file is damaged, not a plain file, or readable for others.
        OSError: the folder can't be written, or the file not be read.
    """
    path = folder / KEY_FILE
    data = read_or_make(path, _new_key, follow=False)
    try:
        key = ECKey.import_key(json.loads(data))
        usable = key.is_private and key.curve_name == "P-256"
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        usable = False
    if not usable:
        raise UnusableKeyError(f"{path} is damaged: it holds no P-256 private key")
    return key


@dataclass(frozen=True)
class Issuer:
    """Mints access tokens and ID tokens with `key`, in the name of `url`."""

    key: ECKey
    url: str

    @validate_call
    def mint(
        self,
        person_id: PersonId,
        *,
        minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 60,
        audience: str = AUDIENCE,
    ) -> str:
        """An RFC 9068 access token that says `person_id` for `minutes` from now, at most a week.

        Raises:
            ValueError: `person_id` has not the form of one, or `minutes` is out of range.
        """
        now = int(time.time())
        return self._signed(
            "at+jwt",
            {
                "iss": self.url,
                "aud": audience,
                "sub": person_id,
                "client_id": CLIENT_ID,
                "iat": now,
                "nbf": now,
                "exp": now + minutes * 60,
                "jti": secrets.token_urlsafe(16),
            },
        )

    @validate_call
    def mint_id_token(
        self,
        person_id: PersonId,
        nonce: Annotated[str, Field(min_length=1, max_length=200)],
        *,
        audience: str = CLIENT_ID,
        auth_time: datetime | None = None,
    ) -> str:
        """An ID token that says that `person_id` signed in at `auth_time` (now, if nothing is said) over `nonce`. Here,
        whoever holds the key is the one who signed in.

        Raises:
            ValueError: `person_id` has not the form of one, or `nonce` is empty or too long.
        """
        now = int(time.time())
        return self._signed(
            "JWT",
            {
                "iss": self.url,
                "aud": audience,
                "sub": person_id,
                "iat": now,
                "exp": now + 5 * 60,
                "auth_time": now if auth_time is None else int(auth_time.timestamp()),
                "nonce": nonce,
            },
        )

    def _signed(self, kind: str, claims: dict[str, str | int]) -> str:
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.key.thumbprint()}
        return jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])


def issuer_app(key: ECKey, issuer_url: str) -> ASGIApp:
    """An ASGI application that serves the discovery document and the public keys of the issuer, and nothing else."""
    # OpenID Connect Discovery also requires an authorization endpoint; there is none, and we don't pretend.
    discovery = {
        "issuer": issuer_url,
        "jwks_uri": issuer_url.rstrip("/") + "/jwks.json",
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": ["iss", "aud", "sub", "iat", "nbf", "exp", "auth_time", "nonce"],
    }
    public = key.as_dict(private=False, kid=key.thumbprint(), use="sig", alg=ALGORITHM)
    keys = KeySet([ECKey.import_key(public)]).as_dict()

    async def configuration(_: Request) -> JSONResponse:
        return JSONResponse(discovery)

    async def jwks(_: Request) -> JSONResponse:
        return JSONResponse(keys, media_type="application/jwk-set+json")

    return Starlette(
        routes=[Route("/.well-known/openid-configuration", configuration), Route("/jwks.json", jwks)],
    )


def _new_key() -> bytes:
    return json.dumps(ECKey.generate_key("P-256").as_dict(private=True)).encode()
