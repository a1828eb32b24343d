"""Who may read what. Nobody reads what is not theirs."""

from __future__ import annotations

from collections.abc import Iterable

from domain.council import is_called
from domain.entitlement import is_seated
from domain.facts import Standing
from domain.people import Grant, Role
from domain.separation import has_conflict
from domain.stages import Stage
from domain.state import Review
from domain.values import PersonId

_OVERSEEING = frozenset({Role.AUDITOR, Role.TRAINING_OFFICER})
"""The roles that see every review and judge none: a unit of one's own is no conflict in them."""

_EVERYWHERE = _OVERSEEING | {Role.OFFICER, Role.REVIEWER}


def may_read(review: Review, person: PersonId, standing: Standing) -> bool:
    """Whether this person may read the review: its content, its state and its record.

    Its owner and author, auditors and training officers; reviewers and officers; a council member once the Council is
    asked; a signatory of its route, once it comes to sign-off; and whoever any of the judging ones, or the owner, left
    their role to. Whoever would judge it sees it once it is opened, when it is known who is too close to it. Whoever
    would judge it and has a conflict of interest reads nothing of it, nor does anybody in their place; whoever declared
    one, no more in any role.

    Args:
        review: the review.
        person: who would read it.
        standing: what the registers say of them, with the grants that they can act under now.
    """
    if review.subject is not None and person in review.subject.proposers:
        return True
    if person in review.aside:
        return False
    return any(_opens(review, person, grant, standing) for grant in standing.grants)


def opening_all(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Those of these grants that open every review, but for conflicts of interest: nothing of how far it has come, nor of
    its route, is asked for them.
    """
    return tuple(grant for grant in grants if grant.role in _EVERYWHERE)


def may_audit(person: PersonId, grants: Iterable[Grant]) -> bool:
    """Whether this person may read the ledger's bytes, the workflow's history, and check them."""
    return any(grant.person == person and grant.role in (Role.AUDITOR, Role.OFFICER) for grant in grants)


def may_be_invited(review: Review, person: PersonId) -> bool:
    """Whether a council member can be invited to this review: while it is open, or as one who was seated for it."""
    return review.open or any(seat.person == person for seat in review.council.roster or ())


def _opens(review: Review, person: PersonId, grant: Grant, standing: Standing) -> bool:
    if grant.role in _OVERSEEING:
        return True
    if grant.role is Role.OWNER:
        subject = review.subject
        return subject is not None and grant.person != person and grant.person in subject.proposers
    if not review.seq:  # nobody knows yet who is too close to it
        return False
    judges = dict.fromkeys((person, grant.person))
    if any(has_conflict(review, judge, standing.units.get(judge), grant) for judge in judges):
        return False
    match grant.role:
        case Role.REVIEWER | Role.OFFICER:
            return True
        case Role.COUNCIL_MEMBER:
            return is_called(review) and is_seated(review, grant)
        case Role.SIGNATORY if review.route is not None:
            signed = any(grant.person in signature.by.people for signature in review.signatures)
            at_sign_off = review.stage is Stage.SIGN_OFF or Stage.SIGN_OFF in review.passed
            return grant.office in review.route.signing and (at_sign_off or signed)
        case _:
            return False
