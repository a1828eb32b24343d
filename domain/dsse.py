"""Signatures over bytes: DSSE, the Dead Simple Signing Envelope (its protocol, version 1.0.2), with Ed25519 keys.

What is signed are the bytes and the name of their type, together. A key's id only chooses among the keys that the
caller trusts; it proves nothing by itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import JsonValue, StringConstraints

from domain.canonical import sha256
from domain.values import Digest, Value

DECISION = "application/vnd.ringi.decision.v1+json"
"""The type of a decision's bytes."""

REGISTRY = "application/vnd.ringi.registry.v1+json"
"""The type of a registry entry's bytes."""

SESSION = "application/vnd.ringi.session.v1+json"
"""The type of the bytes that say whose a browser's session is."""

KeyId = Digest
"""The SHA-256 of a public key's 32 bytes."""

PublicKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""An Ed25519 public key: its 32 bytes (RFC 8032) in base64."""


class Signature(Value):
    """One signature, in base64, and the id of the key that it is said to be by."""

    keyid: Annotated[str, StringConstraints(max_length=200)]
    sig: Annotated[str, StringConstraints(max_length=200)]


class Signer(Protocol):
    """Whoever can sign: a key in this process, or a key management service that keeps it."""

    @property
    def public(self) -> PublicKey:
        """The public half of the key that it signs with."""

    async def sign(self, payload_type: str, payload: bytes) -> Signature:
        """Sign these bytes, as of this type."""


class Ed25519Signer:
    """Signs with a private key that this process holds."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: PublicKey = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        self.keyid = key_id(self.public)

    async def sign(self, payload_type: str, payload: bytes) -> Signature:
        """Sign these bytes, as of this type."""
        return self.signature(payload_type, payload)

    def signature(self, payload_type: str, payload: bytes) -> Signature:
        """The key's signature on these bytes, as of this type."""
        return Signature(keyid=self.keyid, sig=base64.b64encode(self._key.sign(pae(payload_type, payload))).decode())


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE: what is really signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(public: PublicKey) -> KeyId:
    """The id of a public key.

    Raises:
        ValueError: it is not base64.
    """
    return sha256(base64.b64decode(public, validate=True))


def public_key(given: str) -> PublicKey:
    """The Ed25519 public key that is given as PEM, or as its 32 bytes in base64.

    Raises:
        ValueError: it is none.
    """
    with suppress(ValueError, UnsupportedAlgorithm):
        if "-----BEGIN" in given:
            key = load_pem_public_key(given.encode())
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(given.strip(), validate=True))
        if isinstance(key, Ed25519PublicKey):
            return base64.b64encode(key.public_bytes_raw()).decode()
    raise ValueError("must be an Ed25519 public key: PEM, or its 32 bytes in base64")


def signed_by(
    payload_type: str, payload: bytes, signatures: Sequence[Signature], keys: Iterable[PublicKey]
) -> frozenset[KeyId]:
    """Which of `keys` signed these bytes as of this type; each counts once, however often it signed."""
    trusted = {key_id(public): public for public in keys}
    encoded = pae(payload_type, payload)
    return frozenset(
        signature.keyid
        for signature in signatures
        if signature.keyid in trusted and _holds(trusted[signature.keyid], signature.sig, encoded)
    )


def envelope(payload_type: str, payload: bytes, signatures: Sequence[Signature]) -> dict[str, JsonValue]:
    """The JSON form of DSSE, which other tools read."""
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [signature.model_dump() for signature in signatures],
    }


def _holds(public: PublicKey, signature: str, encoded: bytes) -> bool:
    try:
        _key(public).verify(base64.b64decode(signature, validate=True), encoded)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _key(public: PublicKey) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
