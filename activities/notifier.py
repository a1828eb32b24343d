"""The notifier: a loop in every worker that tells people, by mail, and other systems, by webhook, what the record says.

What is to be told was stored in the commit that it tells of. It goes out at least once: who dies between sending and
noting it sends it again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from uuid import UUID

from activities.ports import (
    Attempt,
    MailAttempt,
    Mailer,
    NoticeStore,
    PostAttempt,
    Poster,
    PostStore,
    UnsentError,
)

KEEP_TRYING = timedelta(days=3)
"""How long what can't be sent is tried again."""

LEAST_ATTEMPTS = 10
"""And how often at least: where nothing was sent for days, what was queued then is not given up over one refusal."""

LONGEST_PAUSE = timedelta(hours=4)

LONGEST_PAUSE_OF_MAIL = timedelta(minutes=10)
"""One mail is on its way to a person at a time: what must be told at once waits for one that is tried again."""

AT_ONCE = 20
"""Mails, or posts, that one worker sends side by side."""

PER_WEBHOOK = 4
"""Posts to one webhook side by side: one that answers slowly takes no more of the room than this."""

_BATCH = 100
_DRAIN_SECONDS = 5

_log = logging.getLogger(__name__)


class Notifier:
    """Sends what is to be told. Without a `mailer` no mail goes out, and what would be in it stays listed."""

    def __init__(
        self, notices: NoticeStore, mailer: Mailer | None, posts: PostStore, poster: Poster, every: float = 1.0
    ) -> None:
        self._notices = notices
        self._mailer = mailer
        self._posts = posts
        self._poster = poster
        self._every = every
        self._mailing = _Lane(AT_ONCE)
        self._posting = _Lane(AT_ONCE)
        self._busy: Counter[UUID] = Counter()

    async def run(self) -> None:
        """Go round until cancelled; what is being sent then is given a moment to end. A round that fails is told and
        tried again.
        """
        if self._mailer is None:
            _log.warning("no mail server is set: notices are listed, and not sent by mail")
        try:
            await asyncio.gather(*(self._forever(step) for step in (self.address, self.mail, self.post)))
        finally:
            await asyncio.gather(self._mailing.drain(), self._posting.drain())

    async def round(self) -> None:
        """Do once what there is to do, and wait until it is done."""
        for step in (self.address, self.mail, self.post):
            while await step():
                pass
            await asyncio.gather(self._mailing.rest(), self._posting.rest())

    async def address(self) -> bool:
        """Find out whom new notices are for, and whom else those of turns are for since roles or absences changed; and
        gather what waits for a person into one mail.

        Returns:
            Whether there may be more to do at once; so do the other steps.
        """
        addressed = await self._notices.address(_BATCH)
        anew = await self._notices.address_anew(_BATCH)
        gathered = 0 if self._mailer is None else await self._notices.gather(_BATCH)
        return _BATCH in (addressed, anew, gathered)

    async def mail(self) -> bool:
        """Begin to send the mails that are due."""
        if self._mailer is None:
            return False
        room = await self._mailing.room()
        attempts = await self._notices.claim(room)
        for attempt in attempts:
            self._mailing.begin(self._send(attempt, self._mailer))
        return len(attempts) == room

    async def post(self) -> bool:
        """Begin to post the events that are due."""
        room = await self._posting.room()
        attempts = await self._posts.claim(room, each=PER_WEBHOOK, but=tuple(self._busy))
        for attempt in attempts:
            self._busy[attempt.post.webhook] += 1
            self._posting.begin(self._hand_over(attempt))
        return bool(attempts)

    async def _send(self, attempt: MailAttempt, mailer: Mailer) -> None:
        about = {"mail": str(attempt.mail)}

        async def send() -> None:
            letter = await self._notices.letter(attempt.mail)
            if letter is None:
                return
            await mailer.send(letter)
            await self._notices.sent(attempt.mail)
            _log.info("mail sent", extra=about)

        async def note(why: str, again_in: timedelta | None) -> None:
            await self._notices.unsent(attempt.mail, why, again_in)

        await _try(attempt, send, note, about, LONGEST_PAUSE_OF_MAIL)

    async def _hand_over(self, attempt: PostAttempt) -> None:
        about = {"webhook": str(attempt.post.webhook), "review_id": attempt.review, "event": attempt.post.event_id}

        async def post() -> None:
            await self._poster.post(attempt.post)
            await self._posts.delivered(attempt)

        async def note(why: str, again_in: timedelta | None) -> None:
            await self._posts.undelivered(attempt, why, again_in)

        try:
            await _try(attempt, post, note, about)
        finally:
            self._busy -= Counter([attempt.post.webhook])

    async def _forever(self, step: Callable[[], Awaitable[bool]]) -> None:
        while True:
            try:
                busy = await step()
            except Exception as error:  # noqa: BLE001 - a loop that must outlive whatever its servers do
                _log.warning("notifier round failed", extra={"error": type(error).__name__})
                busy = False
            if not busy:
                await asyncio.sleep(self._every)


class _Lane:
    """What is being sent, side by side: what is slow holds up nothing but itself, until the lane is full of it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._under_way: set[asyncio.Task[None]] = set()

    async def room(self) -> int:
        """For how many there is room, once there is room for one."""
        while len(self._under_way) >= self._width:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        return self._width - len(self._under_way)

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside whatever else happens."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def rest(self) -> None:
        """Wait until all of it is done."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def drain(self) -> None:
        """Let it end, for a moment; then leave it to whoever claims it next."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_DRAIN_SECONDS)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


async def _try(
    attempt: Attempt,
    send: Callable[[], Awaitable[None]],
    note: Callable[[str, timedelta | None], Awaitable[None]],
    about: dict[str, str],
    longest: timedelta = LONGEST_PAUSE,
) -> None:
    try:
        try:
            await send()
        except UnsentError as error:
            tried = attempt.age > KEEP_TRYING and attempt.number >= LEAST_ATTEMPTS
            again_in = None if error.final or tried else min(pause_after(attempt.number), longest)
            await note(str(error), again_in)
            _log.warning("not sent", extra={**about, "why": str(error), "given_up": again_in is None})
    except Exception as error:  # noqa: BLE001 - what is claimed and not settled is claimed again; the others go on
        _log.warning("sending failed", extra={**about, "error": type(error).__name__})


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts in vain: seconds at first, hours in the end."""
    return min(timedelta(seconds=5 * 4 ** min(attempts - 1, 10)), LONGEST_PAUSE)
