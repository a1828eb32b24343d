"""What stands behind a decision besides its words: the service's signature, and the person's own renewed sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import JsonValue, StringConstraints, ValidationError

from domain.canonical import digest_of
from domain.dsse import Signature
from domain.values import Digest, Line, Value

_ITS_OWN = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}


def itself(jwk: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a public key is, of all that its JWK says of it: the members that its thumbprint is of (RFC 7638, 3.2)."""
    return {name: jwk[name] for name in _ITS_OWN.get(str(jwk.get("kty")), ()) if name in jwk}


def thumbprint(jwk: Mapping[str, JsonValue]) -> Digest:
    """The thumbprint of a public key (RFC 7638, SHA-256) in hexadecimal."""
    return digest_of(itself(jwk))


class IssuerKey(Value):
    """A public key of the identity provider, as it was seen to publish it; `id` is its RFC 7638 thumbprint in
    hexadecimal, `audience` what its ID tokens for us name.
    """

    id: Digest
    issuer: Line
    audience: Line
    jwk: dict[str, JsonValue]


class SignedIn(Value):
    """The person signed in anew, over this very decision: the identity provider's ID token whose `nonce` is the act's
    digest. It verifies with the provider's key `key`, without us.
    """

    method: Literal["id_token"] = "id_token"
    token: Annotated[str, StringConstraints(max_length=8_192)]
    key: Digest


StepUp = SignedIn
"""The person's own part. A passkey's assertion is to stand beside the ID token here."""


class Proof(Value):
    """What was stored with a decision. `signatures` are the service's word for the authenticated person, over the
    decision's bytes as `domain.dsse.DECISION`; `step_up` is the person's own part, where the policy asks for it.
    """

    signatures: tuple[Signature, ...] = ()
    step_up: StepUp | None = None

    @classmethod
    def read(cls, data: bytes) -> Self:
        """What was stored with a decision, from its bytes."""
        try:
            return cls.model_validate_json(data)
        except ValidationError:  # nobody stores such a thing but a forger, and nothing stands behind what they say
            return cls()
