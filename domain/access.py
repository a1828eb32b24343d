"""Who may read what. Nobody reads what is not theirs."""

from __future__ import annotations

from collections.abc import Iterable

from domain.council import is_called
from domain.people import Grant, Role
from domain.stages import Stage
from domain.state import Review
from domain.values import PersonId

_EVERYWHERE = frozenset({Role.AUDITOR, Role.OFFICER, Role.REVIEWER, Role.TRAINING_OFFICER})


def may_read(review: Review, person: PersonId, grants: Iterable[Grant]) -> bool:
    """Whether this person may read the review: its content, its state and its record.

    Its owner and author, reviewers, officers, auditors and training officers; a council member once the Council is
    asked; a signatory of its route, once it comes to sign-off. Whoever stepped aside from it, no more, in any role.
    """
    if review.subject is not None and person in (review.subject.owner, review.subject.author):
        return True
    if person in review.council.recused:
        return False
    return any(grant.person == person and _opens(review, grant) for grant in grants)


def reads_all(grants: Iterable[Grant]) -> bool:
    """Whether one of these grants opens every review."""
    return any(grant.role in _EVERYWHERE for grant in grants)


def may_audit(person: PersonId, grants: Iterable[Grant]) -> bool:
    """Whether this person may read the ledger's bytes, the workflow's history, and check them."""
    return any(grant.person == person and grant.role in (Role.AUDITOR, Role.OFFICER) for grant in grants)


def _opens(review: Review, grant: Grant) -> bool:
    match grant.role:
        case role if role in _EVERYWHERE:
            return True
        case Role.COUNCIL_MEMBER:
            roster = review.council.roster or ()
            on_it = any(seat.id == grant.id for seat in roster)
            return is_called(review) and on_it
        case Role.SIGNATORY if review.route is not None:
            offices = {step.office for step in review.route.signatories}
            offices |= {step.deputy for step in review.route.signatories if step.deputy is not None}
            signed = any(signature.by.person == grant.person for signature in review.signatures)
            at_sign_off = review.stage is Stage.SIGN_OFF or Stage.SIGN_OFF in review.passed
            return grant.office in offices and (at_sign_off or signed)
        case _:
            return False
