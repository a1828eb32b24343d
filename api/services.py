"""What the endpoints work with: made once for the process, handed to each by FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import Depends, Request
from temporalio.client import Client

from activities.ports import Courier, Delivery, UndeliverableError
from api.away import nothing_taken
from api.identity import Who
from api.problems import Forbidden, NotFound
from api.sign_in import SignIn
from api.step_up import StepUp
from domain.access import may_audit, may_read
from domain.canonical import sha256
from domain.decisions import Receipt
from domain.facts import Standing
from domain.people import Grant, Holder, Role
from domain.state import Review
from domain.values import PersonId, ReviewId
from runtime.doctor import Doctor
from runtime.repairs import Repairs
from runtime.settings import Settings
from store.attempts import Attempts
from store.database import FAILING
from store.decisions import Decisions, IdReusedError
from store.documents import Documents
from store.feed import Feed
from store.invitations import Invitations
from store.notices import Notices
from store.receipts import Receipts
from store.registers import Registers
from store.reviews import Reviews
from store.sessions import Sessions
from store.webhooks import Webhooks

INVITED_AS = frozenset({Role.COUNCIL_MEMBER})
"""The roles that an invitation opens."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass
class Services:
    """The stores, the courier, and Temporal's client."""

    settings: Settings
    registers: Registers
    documents: Documents
    reviews: Reviews
    decisions: Decisions
    receipts: Receipts
    notices: Notices
    webhooks: Webhooks
    attempts: Attempts
    feed: Feed
    sessions: Sessions
    invitations: Invitations
    sign_in: SignIn
    step_up: StepUp
    courier: Courier
    temporal: Client
    doctor: Doctor
    repairs: Repairs
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def settle(self, delivery: Delivery, seconds: float) -> Receipt | None:
        """Hand a stored decision on, and wait for its receipt for so long, or until nobody can be asked for it: stored is
        stored. One that can't be handed on stays pending: the dispatcher sees to it.
        """
        if delivery.fresh and not delivery.closed:
            self.send(delivery)
        with suppress(*FAILING):
            return await self.receipts.wait(delivery.decision, seconds)
        return None

    async def may_read(self, review_id: str, caller: Caller) -> bool:
        """Whether the caller may read this review."""
        review = await self.reviews.state(review_id)
        return review is not None and caller.may_read(review)

    async def report_reused(self, review_id: str, caller: Caller, error: IdReusedError) -> None:
        """Have the review put on record that a decision's id was used again for another content, by whom may read it:
        once, however often they try.
        """
        if await self.may_read(review_id, caller) and await self.decisions.first_reuse(error.stored, caller.person):
            data = error.data
            self.send(Delivery(decision=uuid4(), review=review_id, kind="id_reused", data=data, digest=sha256(data)))

    async def close(self) -> None:
        """Leave what is under way to the dispatcher."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def send(self, delivery: Delivery) -> None:
        """Hand a decision on, beside whatever else happens."""
        task = asyncio.create_task(self._deliver(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self.courier.deliver(delivery)
        except UndeliverableError as error:
            _log.warning("not delivered for now", why=str(error), decision_id=str(delivery.decision))


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


TheServices = Annotated[Services, Depends(_services)]


@dataclass(frozen=True)
class Caller:
    """Who asks, and what the registers say of them now, with the grants that they can act under. Who came by an
    invitation asks as a council member alone, about `reviews`; everybody else about whatever their roles open.
    """

    person: PersonId
    standing: Standing
    reviews: frozenset[ReviewId] | None = None

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The roles that are their own."""
        return tuple(grant for grant in self.standing.grants if grant.person == self.person)

    @property
    def roles(self) -> frozenset[Role] | None:
        """The roles that they may act in; None if any that they hold."""
        return None if self.reviews is None else INVITED_AS

    def acting(self, holders: Iterable[Holder]) -> tuple[Holder, ...]:
        """Of what a person acts under, what they may act under as this caller."""
        return tuple(holder for holder in holders if self.roles is None or holder.grant.role in self.roles)

    def may_read(self, review: Review) -> bool:
        """Whether they may read this review."""
        return self.sees(review, self.person, self.standing)

    def sees(self, review: Review, person: PersonId, standing: Standing) -> bool:
        """As `may_read`, by a standing that was read a moment later."""
        return self.concerns(review.id) and may_read(review, person, standing)

    def concerns(self, review_id: ReviewId) -> bool:
        """Whether they may ask about this review at all."""
        return self.reviews is None or review_id in self.reviews

    def must_hold(self, *roles: Role) -> None:
        """Raises Forbidden unless the caller holds one of these roles, or somebody left it to them."""
        if not any(grant.role in roles for grant in self.standing.grants):
            raise Forbidden(f"This is for people with the role {' or '.join(roles)}.")


async def _caller(who: Who, services: TheServices) -> Caller:
    with nothing_taken():
        standing = await services.registers.standing(who.person)
    if who.session is None or who.session.reviews is None:
        return Caller(who.person, standing)
    grants = tuple(grant for grant in standing.grants if grant.role in INVITED_AS)
    return Caller(who.person, standing.model_copy(update={"grants": grants}), frozenset(who.session.reviews))


TheCaller = Annotated[Caller, Depends(_caller)]


async def _named(review_id: ReviewId) -> ReviewId:
    structlog.contextvars.bind_contextvars(review_id=review_id)
    return review_id


NamedReview = Annotated[ReviewId, Depends(_named)]
"""The id of the review that the path names; from here on, every line that the request logs bears it."""


async def _readable(review_id: NamedReview, caller: TheCaller, services: TheServices) -> Review:
    review = await services.reviews.state(review_id)
    if review is None or not caller.may_read(review):
        raise NotFound(NO_SUCH_REVIEW)
    return review


async def _auditable(review: ReadableReview, caller: TheCaller) -> Review:
    if not may_audit(caller.person, caller.grants):
        raise Forbidden("The record's bytes and the workflow's history are for auditors and officers.")
    return review


NO_SUCH_REVIEW = "There is no such review, or it is not yours to see."

ReadableReview = Annotated[Review, Depends(_readable)]
"""The review that the path names, if the caller may read it; otherwise 404."""

AuditableReview = Annotated[Review, Depends(_auditable)]
"""The review that the path names, if the caller may audit it; 403 if they may only read it."""
