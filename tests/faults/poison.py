"""Poison from a seed: signals that no decision of ours is, in all the ways in which a signal can be none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from uuid import UUID

from temporalio.api.common.v1 import Payload

KINDS = ("verdict_sheet", "question", "signature", "withdrawal", "submission", "training_recorded", "ruling")

NAMES = (
    *KINDS,
    "receive",
    "where_it_stands",
    "run",
    "cancel_requested",
    "__temporal_signal",
    "__stack_trace",
    "' or 1=1 --",
    "\x00",
    "\u202egnp.exe",
    "稟議",
    "{}",
    "x" * 1000,
)

ENCODINGS = (b"json/plain", b"binary/plain", b"binary/null", b"json/protobuf", b"binary/encrypted", b"", b"\xff\xfe")

SCALARS: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    "",
    "\x00",
    "\ud800",
    "x" * 300,
    [],
    {},
    [[]],
    "9999-12-31",
)

Signal = tuple[str, list[Payload]]


def poisons(seed: int, good: bytes, count: int) -> list[Poison]:
    """Poison for so many reviews. What each is sent hangs on the seed alone, not on who was sent something first."""
    return [Poison(random.Random(f"{seed} {number}"), good) for number in range(count)]


class Poison:
    """Poison around one good decision, given by its stored bytes."""

    def __init__(self, rng: random.Random, good: bytes) -> None:
        self._rng = rng
        self._good = good
        self._ways: tuple[Callable[[], bytes], ...] = (
            self._noise,
            self._bit_flip,
            self._cut,
            self._other_fields,
            self._other_fields,
            self._other_id,
            self._nested,
            self._twice_in_one,
            self._spaced,
            self._scalar,
        )

    def signal(self) -> Signal:
        """The next one: its name, and its arguments as the wire has them."""
        rng = self._rng
        name = rng.choice(NAMES) if rng.random() < 0.8 else self._text(rng.randint(1, 40))
        arguments = rng.choice((1, 1, 1, 1, 1, 1, 0, 2, 3, 5))
        payloads = [self._payload() for _ in range(arguments)]
        if arguments != 1 and rng.random() < 0.5:  # what would be good, if it came alone
            payloads[:1] = [Payload(metadata={"encoding": b"json/plain"}, data=self._good)][:arguments]
        return name, payloads

    def _payload(self) -> Payload:
        rng = self._rng
        metadata = {"encoding": rng.choice(ENCODINGS) if rng.random() < 0.3 else b"json/plain"}
        if rng.random() < 0.1:
            metadata[self._text(5)] = rng.randbytes(8)
        return Payload(metadata=metadata if rng.random() < 0.95 else {}, data=rng.choice(self._ways)())

    def _text(self, length: int) -> str:
        alphabet = "abc/%\\'\"\n\t\x00\x7fé\u200b\u202e\ufffd稟😀"
        return "".join(self._rng.choice(alphabet) for _ in range(length))

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.choice((0, 1, 7, 200, 5000)))

    def _bit_flip(self) -> bytes:
        data = bytearray(self._good)
        data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def _cut(self) -> bytes:
        return self._good[: self._rng.randrange(len(self._good))]

    def _other_fields(self) -> bytes:
        """The good one with fields missing, added, or holding something else, sometimes deep within."""
        said: dict[str, Any] = json.loads(self._good)
        for _ in range(self._rng.randint(1, 3)):
            place = said["content"] if self._rng.random() < 0.3 and isinstance(said.get("content"), dict) else said
            field = self._rng.choice([*place, self._text(4)])
            if field in place and self._rng.random() < 0.3:
                del place[field]
            else:
                place[field] = deepcopy(self._rng.choice(SCALARS))
        return json.dumps({**said, "_": "never what is stored"}).encode()

    def _other_id(self) -> bytes:
        said = json.loads(self._good)
        said["decision_id"] = self._rng.choice(
            (str(UUID(int=self._rng.getrandbits(128))), "not an id", "0" * 32, said["decision_id"].upper() + " ")
        )
        return json.dumps(said).encode()

    def _nested(self) -> bytes:
        deep = self._rng.choice((10, 1000, 20_000))
        opening, closing = self._rng.choice(((b"[", b"]"), (b'{"decision_id":', b"}")))
        return opening * deep + b"1" + closing * self._rng.choice((deep, deep - 1, 0))

    def _twice_in_one(self) -> bytes:
        """The same name twice in an object: which one counts?"""
        return self._good[:-1] + b',"person":"rin.reviewer","reason":"Approve it."}'

    def _spaced(self) -> bytes:
        return self._rng.choice((b" ", b"\n", b"\xef\xbb\xbf")) + self._good

    def _scalar(self) -> bytes:
        return json.dumps(self._rng.choice(SCALARS)).encode()
