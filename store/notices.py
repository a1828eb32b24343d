"""Being told: who is told what, by which mail, and what became of it."""

from __future__ import annotations

from pydantic import TypeAdapter

from domain.values import Line, MailAddress
from store.database import Connection

_MAIL = """
insert into mails (event_id, address, subject, body) values ($1, $2, $3, $4) on conflict (event_id) do nothing
"""

_address: TypeAdapter[str] = TypeAdapter(MailAddress)
_line: TypeAdapter[str] = TypeAdapter(Line)


async def queue_mail(connection: Connection, event_id: str, address: str, subject: str, text: str) -> None:
    """Have a mail sent to an address that is nobody's account, once the transaction of `connection` is committed.

    It goes out at least once; a repeat bears the same Message-ID. Its text is kept until it is gone, and no longer.

    Args:
        connection: in the transaction that the mail tells of.
        event_id: of what is told; queued again under the same one, nothing more is sent.
        address: where to.
        subject: one line.
        text: plain text.

    Raises:
        ValueError: the address or the subject is not one.
    """
    await connection.execute(_MAIL, event_id, _address.validate_python(address), _line.validate_python(subject), text)
