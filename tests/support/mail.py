"""A real mail server, on loopback and in the test's own loop, and what it was handed."""
# ruff: noqa: ARG002, N802 - the handlers' names and arguments are the library's

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope


@dataclass
class MailServer:
    """Takes mail, or does not: by what `answers` says to a recipient, and by what `hang` waits for."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    """What it answers to a recipient, where that is not what it should be."""
    refuses_data: str | None = None
    hangs_at: set[str] = field(default_factory=set)
    """Recipients at whom it says nothing for a long time."""
    on_taken: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, address: str) -> list[EmailMessage]:
        """What it took for somebody."""
        return [message for message in self.taken if message["To"] == address]

    async def handle_RCPT(
        self, server: object, session: object, envelope: Envelope, address: str, options: object
    ) -> str:
        """Answer to a recipient."""
        if address in self.hangs_at:
            await asyncio.sleep(60)
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        """Take a mail."""
        if self.refuses_data is not None:
            return self.refuses_data
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=POLICY)
        assert isinstance(message, EmailMessage)
        assert [message["To"]] == envelope.rcpt_tos
        self.taken.append(message)
        self.on_taken()
        return "250 OK"

    def authenticate(self, server: object, session: object, envelope: object, mechanism: str, login: Any) -> AuthResult:
        """Believe anybody, and remember it."""
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=True)


@asynccontextmanager
async def mail_server(
    *, auth: bool = False, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """A mail server for the length of the block."""
    mail = MailServer()
    loop = asyncio.get_running_loop()
    connections: list[SMTP] = []

    def connected() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it takes passwords without TLS: on loopback, nobody listens in
            connection = SMTP(
                mail,
                hostname="localhost",
                loop=loop,
                tls_context=starttls,
                require_starttls=starttls is not None,
                authenticator=mail.authenticate if auth else None,
                auth_require_tls=False,
                auth_required=auth,
            )
        connections.append(connection)
        return connection

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls)
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield mail
    finally:
        server.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.close()
        await server.wait_closed()
