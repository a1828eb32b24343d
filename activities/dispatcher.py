"""The dispatcher: a loop in every worker that hands on what is stored and has no receipt yet.

Whoever stores a decision tries to hand it on at once; this is what makes sure, over crashes of anybody.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from activities.commits import Commits
from activities.ports import Courier, Delivery, NotThereError, Outbox, Overseer, UndeliverableError

_BATCH = 50

_PAUSE = 1.0
"""Seconds until the next round, where nothing more is due at once."""

_LOOKED_AT = 200
"""Open reviews looked at in one round when roles change: some twelve thousand in a minute."""

_log = logging.getLogger(__name__)


class Dispatcher:
    """Hands on pending decisions, settles those of closed reviews, and wakes reviews whose gap in training has closed, or
    whose route somebody else can fulfil than before.
    """

    def __init__(self, outbox: Outbox, courier: Courier, commits: Commits, overseer: Overseer) -> None:
        self._outbox = outbox
        self._courier = courier
        self._commits = commits
        self._overseer = overseer

    async def run(self) -> None:
        """Go round until cancelled; a round that fails is told and tried again."""
        while True:
            try:
                busy = await self.round()
            except Exception as error:  # noqa: BLE001 - a loop that must outlive whatever its servers do
                _log.warning("dispatcher round failed", extra={"error": type(error).__name__})
                busy = False
            if not busy:
                await asyncio.sleep(_PAUSE)

    async def round(self) -> bool:
        """Hand on one batch of what is due.

        Returns:
            Whether the batch was full, so that more may be due at once.
        """
        for asked in (self._outbox.word_from_the_register, partial(self._outbox.word_from_the_registry, _LOOKED_AT)):
            try:
                await asked()
            except Exception as error:  # noqa: BLE001 - what waits for a register is not to hold up all others
                _log.warning("a register was not asked", extra={"error": type(error).__name__})
        deliveries = await self._outbox.due(_BATCH)
        await asyncio.gather(*map(self._hand_on, deliveries))
        return len(deliveries) == _BATCH

    async def _hand_on(self, delivery: Delivery) -> None:
        about = {"review_id": delivery.review, "decision_id": str(delivery.decision)}
        try:
            if delivery.closed and await self._commits.settle_late(delivery):
                _log.info("settled a late decision", extra=about)
            else:
                await self._courier.deliver(delivery)
                _log.info("handed on a pending decision", extra=about)
        except UndeliverableError as error:
            _log.warning("not delivered for now", extra={**about, "why": str(error)})
            if isinstance(error, NotThereError):
                self._overseer.suspect(delivery.review)
        except Exception as error:  # noqa: BLE001 - one that can't be handed on is not to hold up the others
            _log.warning("not handed on", extra={**about, "error": type(error).__name__})
