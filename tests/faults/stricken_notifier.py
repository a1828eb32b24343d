"""A notifier that kills itself: `python -m tests.faults.stricken_notifier`.

It is composed as in `worker`, and goes round for ever. Where it would note that a mail was sent, or a post delivered,
it dies, if `STRICKEN_AT` says so: the server has it, and nobody knows.
"""

from __future__ import annotations

import asyncio
import os
import signal
from uuid import UUID

from activities.notifier import Notifier
from activities.ports import PostAttempt
from domain.notices import Preferences
from runtime.mail import SmtpMailer
from runtime.settings import load_settings
from runtime.webhooks import WebhookPoster
from store.database import connect
from store.notices import Notices
from store.webhooks import UNNAMED, Webhooks

AT = "STRICKEN_AT"
MAIL, POST = "mail", "post"


def _strike(place: str) -> None:
    if os.environ.get(AT) == place:
        os.kill(os.getpid(), signal.SIGKILL)


class StrickenNotices(Notices):
    """Dies before it notes that a mail was sent."""

    async def sent(self, mail: UUID) -> None:
        """As ever, if it comes to that."""
        _strike(MAIL)
        await super().sent(mail)


class StrickenWebhooks(Webhooks):
    """Dies before it notes that a post was delivered."""

    async def delivered(self, attempt: PostAttempt) -> None:
        """As ever, if it comes to that."""
        _strike(POST)
        await super().delivered(attempt)


async def main() -> None:
    """Go round until killed."""
    settings = load_settings()
    assert settings.smtp_url is not None
    assert settings.mail_from is not None
    async with connect(settings.database_url.get_secret_value()) as database:
        await Notifier(
            StrickenNotices(database, Preferences()),
            SmtpMailer(settings.smtp_url, settings.mail_from),
            StrickenWebhooks(database, UNNAMED),
            WebhookPoster(to_loopback=settings.webhooks_to_loopback),
            every=0.1,
        ).run()


if __name__ == "__main__":
    asyncio.run(main())
