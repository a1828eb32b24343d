"""The base of every value, and the small types that the other modules are made of."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints


class Value(BaseModel):
    """A value that crosses process borders: frozen, and deaf to fields that a newer version added."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Written(BaseModel):
    """A value that a person wrote: frozen, and a field we don't know is an error, not a loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Beside the controls of ASCII and Latin-1 and what is no character by itself: separators that break a line where none is
seen, and what has a text read in another order than the one in which it is kept.
"""

_UNSEEN = frozenset({"Cc", "Cf", "Mn", "Me", "Zs", "Zl", "Zp"})
"""The categories of what is not seen by itself: formats, marks on other characters, spaces."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol that look like a space: the fillers of Hangul, and Braille without a dot."""


def _plain(text: str) -> str:
    """Take it, unless people would read something else than what is kept, or nothing at all.

    After Unicode Technical Report 36 (Unicode Security Considerations) and "Trojan Source: Invisible Vulnerabilities"
    (CVE-2021-42574). What joins or parts letters within a word is theirs in many scripts, and stays.
    """
    if found := _CONTROL.search(text):
        raise ValueError(f"character {found.start()} (U+{ord(found[0]):04X}) is a control character")
    if all(character in _BLANK or unicodedata.category(character) in _UNSEEN for character in text):
        raise ValueError("must have something in it that can be seen")
    return text


def _line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    return _plain(text)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999") from None


def _uuid_text(value: UUID) -> str:
    return str(value)


# What JSON Schema is told of what the functions above check: no control characters, and something beside space, formats and
# blanks. It says nothing of the marks of each single script, of which there are hundreds of ranges.
_REFUSED = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_NOT_ALONE = (
    r"\s\xad\u0300-\u036f\u061c\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\u206a-\u206f\u2800\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0"
)
_SEEN = rf"[^\x00-\x1f{_REFUSED}{_NOT_ALONE}]"
_LINE = Field(json_schema_extra={"pattern": rf"^[^\x00-\x1f{_REFUSED}]*{_SEEN}[^\x00-\x1f{_REFUSED}]*$"})
_PROSE = Field(
    json_schema_extra={"pattern": rf"^[^\x00-\x08\x0b-\x1f{_REFUSED}]*{_SEEN}[^\x00-\x08\x0b-\x1f{_REFUSED}]*$"}
)

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_line), _LINE
]
"""One line of text: 1 to 200 characters, some of which can be seen; no control characters."""

Prose = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(_plain), _PROSE
]
"""Text of 1 to 2,000 characters, some of which can be seen; line breaks and tabs are the only control characters."""

LongProse = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), AfterValidator(_plain), _PROSE
]
"""Text of 1 to 10,000 characters, some of which can be seen; line breaks and tabs are the only control characters."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""A name that policy packs give to something: a question, a course, an office, a role in a project."""

PersonId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._|:@-]{0,127}$")]
"""The subject that the identity provider knows a person by; ASCII, so that no two of them look alike."""

MailAddress = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
        max_length=254,
    ),
]
"""An e-mail address: ASCII, one, and nothing around it."""

ReviewId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""The business id of a review; its workflow is named after it."""

DecisionId = Annotated[UUID, PlainSerializer(_uuid_text, return_type=str)]
"""The id that the client gave a decision."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""The id that Temporal gives a run of a workflow."""

UNCOUNTABLE = 2**31
"""The first number that is too large to be one of something."""

Count = Annotated[int, Field(ge=0, lt=UNCOUNTABLE)]
"""A number of things, or the number of one among them: no more than PostgreSQL counts with an `integer`."""

Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment: read with whatever offset, kept and written in UTC."""
