"""Whatever somebody put into a payload, the history can be read."""

from __future__ import annotations

import json

import pytest
from temporalio.api.common.v1 import Payload

from runtime.history import _decoded


@pytest.mark.parametrize(
    "data",
    [b'"\\ud800"', b'{"\\ud800": 1}', b"[" * 400 + b"]" * 400, b"[" * 90_000, b"\x00\xff", b"", b"nonsense"],
    ids=["surrogate", "surrogate key", "nested", "never closed", "bytes", "empty", "no JSON"],
)
def test_poison_is_shown_as_escaped_text(data: bytes) -> None:
    """It can be written as JSON in UTF-8, and is bounded."""
    shown = _decoded(Payload(metadata={"encoding": b"json/plain"}, data=data))
    assert isinstance(shown, str)
    assert len(json.dumps(shown, ensure_ascii=False).encode()) < 30_000


def test_json_is_shown_as_it_is() -> None:
    """As data, not as text."""
    assert {"a": [1, None]} == _decoded(Payload(metadata={"encoding": b"json/plain"}, data=b'{"a": [1, null]}'))
