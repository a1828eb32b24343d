"""Authority: whether whoever made a decision might, when it is applied. The commit asks it, and so does the auditor."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime

from domain import dsse
from domain.canonical import sha256
from domain.decisions import Envelope, Reason, Revision, Submission, governed_by
from domain.drafts import stored_bytes
from domain.entitlement import SERVICES, entitles, meaning, not_entitled
from domain.events import Mandate
from domain.facts import Facts, SigningKey, Standing
from domain.people import Delegation, Grant
from domain.proof import Proof
from domain.refusal import Refusal
from domain.separation import forbidding
from domain.state import Review
from domain.step_up import refuse_step_up
from domain.values import Digest


def mandate(review: Review, envelope: Envelope, proof: Proof, facts: Facts) -> Mandate | Refusal:
    """Under what this decision was made, or why its maker might not make it.

    It must be made under a role that is in force now, by its holder or by whom the holder left it to, against no rule of
    separation, on a review where that role entitles to it; and where the route asks for it, with the person's own
    renewed sign-in. Whether it is signed at all, `unsigned` says, and `misstated` whether it means what it says.
    """
    if envelope.review != review.id:
        return Refusal(Reason.INVALID, "It was made about another review.")
    standing = facts.standing
    if standing.disabled:
        return Refusal(Reason.DISABLED, "Your account is disabled here.")
    service = SERVICES.get(envelope.kind)
    grants = standing.grants if service is None else (service,)
    grant = next((g for g in grants if g.id == envelope.grant and g.role is envelope.role), None)
    if grant is None:
        return _not_held(envelope)
    lent = standing.lent(envelope.person, grant, envelope.received_at)
    if grant.person != envelope.person and lent is None:
        return _not_held(envelope)
    away = absence(standing, envelope.person, grant, envelope.received_at)
    if away is not None and envelope.kind != "conflict":
        return Refusal(
            Reason.ABSENT,
            f"You left this role to {away.taker} until {away.ends_at:%Y-%m-%d}; end the delegation to act yourself.",
        )
    kind = governed_by(envelope.content)
    lent_by = None if lent is None else lent.lent_by
    forbidden = forbidding(review, kind, envelope.person, grant, standing.units, lent_by)
    if forbidden is not None:
        person, rule = forbidden
        who = "" if person == envelope.person else f"Of {person}, in whose place you act: "
        return Refusal(rule.reason, who + rule.sentence)
    if not entitles(review, kind, grant, standing.units.get(grant.person)):
        return not_entitled(review, kind, grant)
    refusal = refuse_step_up(review.route, envelope, proof.step_up, facts.issuer_keys)
    if refusal is not None:
        return refusal
    return Mandate(
        registry=standing.registry,
        grant=grant,
        unit=standing.units.get(envelope.person),
        delegation=None if lent is None else lent.id,
        lent_by=lent_by,
    )


def misstated(review: Review, envelope: Envelope, grant: Grant) -> Refusal | None:
    """The refusal of a decision that would stand on the record with another meaning than it has, made under this grant.

    It is asked last: what a review has become since the decision was stored says more of why it can't be taken.
    """
    if envelope.meaning == meaning(review, envelope.kind, grant, envelope.person):
        return None
    return Refusal(Reason.INVALID, "It says that it means something else than it does.")


def unsigned(envelope: Envelope, digest: Digest, proof: Proof, keys: Iterable[SigningKey]) -> Refusal | None:
    """The refusal of a decision that has not its digest, or that no key signed which counts on it."""
    data = stored_bytes(envelope)
    if sha256(data) != digest:
        return Refusal(Reason.BAD_SIGNATURE, "It has another digest than the one that it was stored with.")
    trusted = [key.public for key in keys if key.counts_on(digest, envelope.received_at)]
    if dsse.signed_by(dsse.DECISION, data, proof.signatures, trusted):
        return None
    return Refusal(Reason.BAD_SIGNATURE, "It bears no signature of a key that was in force when it was received.")


def unpublished(envelope: Envelope, packs: Container[Digest]) -> Refusal | None:
    """The refusal of a proposal that is put before reviewers under a policy pack that is not among the published ones."""
    if not isinstance(envelope.content, Submission | Revision) or envelope.pack_digest in packs:
        return None
    return Refusal(Reason.INVALID, "The policy pack that it names is not published.")


def absence(standing: Standing, person: str, grant: Grant, moment: datetime) -> Delegation | None:
    """The delegation by which `person` left this role of their own to another at this moment, if there is one."""
    if grant.person != person:
        return None
    return next((d for d in standing.delegations if d.giver == person and d.covers(grant.role, moment)), None)


def _not_held(envelope: Envelope) -> Refusal:
    return Refusal(Reason.NOT_ENTITLED, f"The role as {envelope.role} is no longer held.")
