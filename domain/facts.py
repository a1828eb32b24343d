"""What a rule may need to know that is not in the review: read inside the transaction that applies it."""

from __future__ import annotations

from datetime import datetime

from domain.assessment import Assessment, assess
from domain.calendar import MONDAY_TO_FRIDAY, Calendar
from domain.completions import Completion
from domain.dsse import PublicKey
from domain.people import Delegation, Grant
from domain.policy import PolicyPack
from domain.proof import IssuerKey
from domain.proposal import Proposal
from domain.revisions import changes
from domain.state import Subject
from domain.values import Instant, Line, PersonId, Value


class SigningKey(Value):
    """A key that the service signs, or signed, with."""

    public: PublicKey
    added_at: Instant
    revoked_at: Instant | None = None

    def in_force(self, moment: datetime) -> bool:
        """Whether what was signed at this moment counts."""
        return self.added_at <= moment and (self.revoked_at is None or moment < self.revoked_at)


class Standing(Value):
    """What the registers say of whoever decides, as of the registry's entry number `registry`.

    `grants` are those in force of the person, and of everybody who left theirs to the person; `delegations` those that
    the person gave or took, and that were not ended.
    """

    registry: int = 0
    unit: Line | None = None
    disabled: bool = False
    grants: tuple[Grant, ...] = ()
    delegations: tuple[Delegation, ...] = ()

    def usable(self, person: PersonId, moment: datetime) -> tuple[Grant, ...]:
        """The grants that `person`, whose standing this is, can act under: their own, and those left to them then."""
        return tuple(
            grant
            for grant in self.grants
            if grant.person == person
            or any(d.giver == grant.person and d.covers(grant.role, moment) for d in self.delegations)
        )


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
    `council` are the grants of all council members; `completions` those of the assigned staff in the courses that the
    route requires; `proposed` is what a submission or revision names, or, where it could not be assessed,
    `unassessable` says why; `calendar` is that of the policy pack.
    """

    standing: Standing = Standing()
    keys: tuple[SigningKey, ...] = ()
    issuer_keys: tuple[IssuerKey, ...] = ()
    council: tuple[Grant, ...] = ()
    completions: tuple[Completion, ...] = ()
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
