"""The base of every value, and the small types that the other modules are made of."""

from __future__ import annotations

import re
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


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _plain(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"character {found.start()} (U+{ord(found[0]):04X}) is a control character")
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


# What JSON Schema is told of what the functions above check: no control characters, and something beside space.
_LINE = Field(json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$"})
_PROSE = Field(
    json_schema_extra={
        "pattern": r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    }
)

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_line), _LINE
]
"""One line of text: 1 to 200 characters, no control characters."""

Prose = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(_plain), _PROSE
]
"""Text of 1 to 2,000 characters; line breaks and tabs are the only control characters."""

LongProse = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), AfterValidator(_plain), _PROSE
]
"""Text of 1 to 10,000 characters; line breaks and tabs are the only control characters."""

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

Count = Annotated[int, Field(ge=0, lt=2**31)]
"""A number of things, or the number of one among them: no more than PostgreSQL counts with an `integer`."""

Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment: read with whatever offset, kept and written in UTC."""
