"""The outcome of an approved review."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.values import DecisionId, Digest, Instant, Line, PersonId, Prose, ReviewId, Slug, Value


class Condition(Value):
    """Something the approval depends on, and the decision that set it."""

    text: Prose
    set_by: PersonId
    decision: DecisionId
    source: Literal["verdict", "advice", "signature"]


class Dissent(Value):
    """A voice against, which did not prevail."""

    person: PersonId
    about: Line
    reason: Prose
    decision: DecisionId


class DeclinedAdvice(Value):
    """Advice of the Council that was not taken, and why."""

    advice: Prose
    given_by: PersonId
    answered_by: PersonId
    reason: Prose


class Sealed(Value):
    """A signature as it stands on the certificate: of `person`, in place of `for_person`, where it is another's. It rests on
    the service's word for the person; where they were `signed_in` over it, on the identity provider's ID token too.
    """

    person: PersonId
    for_person: PersonId | None = None
    office: Slug
    meaning: Line
    at: Instant
    decision: DecisionId
    basis: Digest
    # Left out where it is not so, as in the certificates that did not say it yet.
    signed_in: bool = Field(default=False, exclude_if=lambda signed_in: not signed_in)


class RestsOn(Value):
    """One thing the approval rests on, by its digest."""

    what: Line
    digest: Digest


class Certificate(Value):
    """What was approved, for how long, under which conditions, against which voices, and what it rests on."""

    review: ReviewId
    title: Line
    revision: int
    tier: int
    tier_name: Line
    approved_at: Instant
    valid_until: Instant
    conditions: tuple[Condition, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    declined_advice: tuple[DeclinedAdvice, ...] = ()
    no_opinion_because: Prose | None = None
    signatures: tuple[Sealed, ...]
    rests_on: tuple[RestsOn, ...]
