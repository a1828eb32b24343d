"""The `Prefer` header (RFC 7240): how long a client is willing to wait for the outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

DEFAULT_WAIT_SECONDS = 5
MAX_WAIT_SECONDS = 30

# A header longer than this is nobody's honest preference.
_MAX_HEADER_LENGTH = 1_000

# Possessive throughout: what one part has taken is not tried again in the next, so no header takes long.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_PARAMETER = rf"{_NAME}(?:[ \t]*+=[ \t]*+(?:{_NAME}|{_QUOTED})?+)?+"
_ELEMENT = re.compile(rf'(?:{_QUOTED}|[^",])++')
_PREFERENCE = re.compile(
    rf"[ \t]*+(?P<name>{_NAME})(?:[ \t]*+=[ \t]*+(?P<value>{_NAME}|{_QUOTED})?+)?+"
    rf"(?:[ \t]*+;[ \t]*+(?:{_PARAMETER})?+)*+[ \t]*+"
)


@dataclass(frozen=True)
class Preferred:
    """What the client prefers. `wait` is in seconds, bounded; `asked` is whether it was the client that said so."""

    wait: int = DEFAULT_WAIT_SECONDS
    asked: bool = False

    @property
    def applied(self) -> dict[str, str]:
        """The `Preference-Applied` header of the answer, with the wait as bounded; nothing where nothing was asked."""
        return {"Preference-Applied": f"wait={self.wait}"} if self.asked else {}


def parse_prefer(headers: Iterable[str]) -> Preferred:
    """What the `Prefer` headers of one request say, in their order.

    As the RFC has it: the first of several equal preferences counts, names are case-insensitive, and what is unknown or
    malformed is ignored.
    """
    for name, value in _preferences(headers):
        if name == "wait":
            if not re.fullmatch(r"[0-9]+", value):
                break
            # The length first: the number may have thousands of digits.
            digits = value.lstrip("0")
            wait = MAX_WAIT_SECONDS if len(digits) > 9 else min(int(value), MAX_WAIT_SECONDS)
            return Preferred(wait=wait, asked=True)
    return Preferred()


def _preferences(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    for header in headers:
        if len(header) > _MAX_HEADER_LENGTH:
            continue
        for element in _ELEMENT.findall(header):
            if match := _PREFERENCE.fullmatch(element):
                value = match["value"] or ""
                if value.startswith('"'):
                    value = re.sub(r"\\(.)", r"\1", value[1:-1])
                yield match["name"].lower(), value


async def _prefer(
    prefer: Annotated[
        list[str] | None,
        Header(
            description=f"`wait=N`: wait up to N seconds (at most {MAX_WAIT_SECONDS}) for the outcome; "
            f"{DEFAULT_WAIT_SECONDS} when nothing is said. RFC 7240.",
            examples=[["wait=10"]],
        ),
    ] = None,
) -> Preferred:
    return parse_prefer(prefer or ())


Prefer = Annotated[Preferred, Depends(_prefer)]
"""The preferences of the request, as a FastAPI dependency."""
