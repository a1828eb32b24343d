"""Mail, by SMTP: encrypted, unless the server is on this machine; plain text, one mail a connection."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
from pydantic import SecretStr

from activities.ports import Letter, UnsentError
from runtime.loopback import is_loopback

SECONDS = 30.0

NAME = "Ringi"
"""The name beside the address that mails come from."""


class SmtpMailer:
    """Sends mail through one server.

    Args:
        url: `smtps://` for TLS from the beginning; `smtp://` for TLS after STARTTLS, which is required unless the
            server is on loopback. With user and password, where the server wants them.
        sender: the address that mails come from.
    """

    def __init__(self, url: SecretStr, sender: str) -> None:
        parts = urlsplit(url.get_secret_value())
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "smtps"
        self._start_tls = not self._tls and not is_loopback(self._host)
        self._port = parts.port or (465 if self._tls else 587)
        self._user = None if parts.username is None else unquote(parts.username)
        self._password = None if parts.password is None else SecretStr(unquote(parts.password))
        self._sender = sender
        self._domain = sender.rpartition("@")[2]

    async def send(self, letter: Letter) -> None:
        """Hand a mail to the server.

        Raises:
            UnsentError: it did not take it; for good, where it refuses this recipient or this mail.
        """
        try:
            message = self._message(letter)
        except ValueError as error:
            raise UnsentError("the mail can't be written: there is a line break in a header", final=True) from error
        try:
            await aiosmtplib.send(
                message,
                sender=self._sender,
                recipients=[letter.to],
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=None if self._password is None else self._password.get_secret_value(),
                use_tls=self._tls,
                start_tls=self._start_tls,
                local_hostname=self._domain,
                timeout=SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0].code, "recipient") from error
        except aiosmtplib.SMTPDataError as error:
            raise _refused(error.code, "mail") from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise UnsentError(f"the mail server can't be used now ({type(error).__name__})") from error

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        message["From"] = f"{NAME} <{self._sender}>"
        message["To"] = letter.to
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{letter.id}@{self._domain}>"
        # Keeps answering machines from answering one (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        return message


def _refused(code: int, what: str) -> UnsentError:
    return UnsentError(f"the mail server refuses the {what} ({code})", final=500 <= code < 600)
