"""Reviews brought on their way by the commit alone, without a workflow."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from activities.commits import Commits
from activities.messages import Arrived, Commit, Committed, Message, Opening
from activities.ports import Delivery
from domain.decisions import Submission
from domain.drafts import Draft
from domain.proposal import content_digest
from runtime.packs import load_proposal, shipped_packs
from store.ledgers import Ledgers
from tests.support.harness import EXAMPLES, Harness

ONLINE = "ai-human-rights-online"


async def opened(system: Harness, tier: int = 1, **changes: Any) -> str:
    """A review of the example of a tier, open."""
    (path,) = EXAMPLES.glob(f"tier-{tier}-*.yaml")
    proposal = load_proposal(path).model_copy(update=changes)
    draft = Draft(
        decision_id=uuid4(),
        review=f"r-{uuid4()}",
        person=proposal.author,
        digest=content_digest(proposal),
        content=Submission(),
    )
    await system.decisions.submit(draft, proposal, await system.registers.publish(shipped_packs()[0]))
    assert (await commit(system, draft.review, Opening(), seen=0)).done
    return draft.review


async def commit(system: Harness, review: str, message: Message, *, seen: int | None = None) -> Committed:
    """Commit a message, as a workflow that has seen so much; all of it, if nothing is said."""
    known = (await system.state(review)).seq if seen is None else seen
    return await Commits(Ledgers(system.database)).apply(Commit(review=review, seen=known, message=message))


def arrived(delivery: Delivery, ordinal: int = 1) -> Arrived:
    """The signal that brings a stored decision."""
    return Arrived(
        ordinal=ordinal,
        name=delivery.kind,
        decision=delivery.decision,
        digest=delivery.digest,
        length=len(delivery.data),
        shown="",
    )


async def sheet_of(system: Harness, review: str, person: str) -> None:
    """Have a reviewer agree."""
    delivery = await system.store(review, person, await system.sheet(review))
    assert (await commit(system, review, arrived(delivery))).done
