"""What a rule may need to know that is not in the review: read inside the transaction that applies it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from pydantic import Field

from domain.assessment import Assessment, assess
from domain.calendar import MONDAY_TO_FRIDAY, Calendar
from domain.completions import Completion
from domain.dsse import PublicKey
from domain.people import Delegation, Grant, Holder
from domain.policy import PolicyPack
from domain.proof import IssuerKey
from domain.proposal import Proposal
from domain.revisions import changes
from domain.state import Subject
from domain.values import Digest, Instant, Line, PersonId, Value


class SigningKey(Value):
    """A key that the service signs, or signed, with; `pending` are the digests of the decisions that had no receipt yet
    when it was revoked.
    """

    public: PublicKey
    added_at: Instant
    revoked_at: Instant | None = None
    pending: tuple[Digest, ...] = ()

    def in_force(self, moment: datetime) -> bool:
        """Whether what was signed at this moment counts."""
        return self.added_at <= moment and (self.revoked_at is None or moment < self.revoked_at)

    def counts_on(self, decision: Digest, received_at: datetime) -> bool:
        """Whether its signature counts on the decision with this digest, which is to be applied now.

        A date proves nothing once somebody else may have the key: after its revocation it counts on what was seen
        to be there before.
        """
        return self.added_at <= received_at and (self.revoked_at is None or decision in self.pending)


class Standing(Value):
    """What the registers say of whoever decides, as of the registry's entry number `registry`.

    `grants` are those in force of the person, and of everybody who left theirs to the person and may act themselves;
    `units` where all of these belong; `delegations` those that the person gave or took, and that were not ended.
    """

    registry: int = 0
    units: dict[PersonId, Line] = Field(default_factory=dict)
    disabled: bool = False
    grants: tuple[Grant, ...] = ()
    delegations: tuple[Delegation, ...] = ()

    @classmethod
    def acting(cls, person: PersonId, holders: Iterable[Holder]) -> Self:
        """The standing of `person` with the grants, among these, that they act under."""
        mine = [holder for holder in holders if holder.actor == person]
        pairs = [(p, u) for h in mine for p, u in ((h.grant.person, h.unit), (h.actor, h.actor_unit)) if u is not None]
        return cls(units=dict(pairs), grants=tuple(holder.grant for holder in mine))

    def at(self, person: PersonId, moment: datetime) -> Standing:
        """The standing of `person`, whose it is, with those grants alone that they can act under at this moment: their
        own, and those that are left to them then.
        """
        usable = tuple(
            grant for grant in self.grants if grant.person == person or self.lent(person, grant, moment) is not None
        )
        return self.model_copy(update={"grants": usable})

    def lent(self, person: PersonId, grant: Grant, moment: datetime) -> Delegation | None:
        """The delegation by which `person` acts at this moment under a grant that is another's, if there is one."""
        if grant.person == person:
            return None
        between = (d for d in self.delegations if (d.giver, d.taker) == (grant.person, person))
        return next((d for d in between if d.covers(grant.role, moment)), None)


class Proposed(Value):
    """A proposal as the process sees it: its subject, what the pack made of it, and, of a revision, what `changes` it
    makes.
    """

    subject: Subject
    assessment: Assessment
    changes: tuple[str, ...] = ()


class Facts(Value):
    """The present state of the registers.

    `standing` is that of the person who decides; `keys` and `issuer_keys` are those that the decision's proof names;
    `packs` the published ones among those that it names;
    `holders` those who hold a role that the review's route names, and may act; `completions` those of the assigned
    staff in the courses that the route requires; `units` are those of whoever stood for the proposal before, or stands
    for what is proposed, and of whoever gave the verdicts that it may carry; `proposed` is what a submission or revision
    names, or, where it could not be assessed, `unassessable` says why; `calendar` is that of the policy pack.
    """

    standing: Standing = Standing()
    keys: tuple[SigningKey, ...] = ()
    issuer_keys: tuple[IssuerKey, ...] = ()
    packs: tuple[Digest, ...] = ()
    holders: tuple[Holder, ...] = ()
    completions: tuple[Completion, ...] = ()
    units: dict[PersonId, Line] = Field(default_factory=dict)
    proposed: Proposed | None = None
    unassessable: str | None = None
    calendar: Calendar = MONDAY_TO_FRIDAY


def propose(pack: PolicyPack, proposal: Proposal, before: Proposal | None = None) -> Proposed:
    """What the process sees of a proposal under a pack; of a revision, with the text `before` it.

    Raises:
        AnswersError: the answers don't fit the pack's questionnaire.
    """
    return Proposed(
        subject=Subject(
            title=proposal.title,
            business_unit=proposal.business_unit,
            owner=proposal.owner,
            author=proposal.author,
            staff=proposal.staff,
        ),
        assessment=assess(pack, proposal),
        changes=() if before is None else changes(before, proposal),
    )
