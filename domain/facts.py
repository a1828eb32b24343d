"""What a rule may need to know that is not in the review: read inside the transaction that applies it."""

from __future__ import annotations

from domain.assessment import Assessment, assess
from domain.completions import Completion
from domain.people import Grant
from domain.policy import PolicyPack
from domain.proposal import Proposal
from domain.revisions import changes
from domain.state import Subject
from domain.values import Value


class Proposed(Value):
    """A proposal as the process sees it: its subject, what the pack made of it, and, of a revision, what `changes` it
    makes.
    """

    subject: Subject
    assessment: Assessment
    changes: tuple[str, ...] = ()


class Facts(Value):
    """The present state of the registers.

    `grants` are those in force of the person who decides; `council` those of all council members; `completions` those
    of the assigned staff in the courses that the route requires; `proposed` is what a submission or revision names,
    or, where it could not be assessed, `unassessable` says why.
    """

    grants: tuple[Grant, ...] = ()
    council: tuple[Grant, ...] = ()
    completions: tuple[Completion, ...] = ()
    proposed: Proposed | None = None
    unassessable: str | None = None


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
