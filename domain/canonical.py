"""Canonical bytes and their digest.

The form is that of RFC 8785 (JSON Canonicalization Scheme), restricted to what makes it simple: no floats, and
ASCII keys, so that sorting by code point and by UTF-16 unit are the same thing.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, JsonValue

from domain.values import Digest


def canonical_bytes(value: BaseModel | JsonValue) -> bytes:
    """The one way to write `value` as JSON: sorted ASCII keys, no white space, UTF-8.

    Raises:
        ValueError: there is a float in it, or a key that is not ASCII.
    """
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    _check(plain)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: BaseModel | JsonValue) -> Digest:
    """The SHA-256 of the canonical bytes of `value`, as 64 hexadecimal digits."""
    return sha256(canonical_bytes(value))


def sha256(data: bytes) -> Digest:
    """The SHA-256 of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _check(value: JsonValue) -> None:
    match value:
        case float():
            raise ValueError(f"a float has no canonical form here: {value!r}")
        case dict():
            for key, inner in value.items():
                if not key.isascii():
                    raise ValueError(f"a key must be ASCII: {key!r}")
                _check(inner)
        case list():
            for inner in value:
                _check(inner)
        case _:
            pass
