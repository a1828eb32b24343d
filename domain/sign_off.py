"""Sign-off: the signatures in their order, each on the digest of everything before it, and the certificate."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from domain.canonical import digest_of
from domain.certificate import Certificate, RestsOn, Sealed
from domain.decisions import Declining, Envelope, Reason, Signature
from domain.entitlement import current_step, signatory_offices, steps_left, units_of
from domain.events import Closed, Event, Passed
from domain.people import Role
from domain.refusal import Refusal
from domain.separation import excluded
from domain.stages import Outcome, Stage
from domain.state import Given, Review, Sheet, Signed, conditions, declined_advice, dissent
from domain.step_up import is_required
from domain.turns import Turn
from domain.values import Digest


def rests_on(review: Review) -> tuple[RestsOn, ...]:
    """Everything that the next signature rests on, each by its digest, in the order of the process."""
    council = review.council
    parts = [
        RestsOn(what=f"proposal, revision {review.revision}", digest=review.content_digest),
        RestsOn(what="policy pack", digest=review.pack_digest),
        RestsOn(what="assessment", digest=review.assessment_digest),
        *(RestsOn(what=_sheet(n, sheet), digest=sheet.by.digest) for n, sheet in enumerate(review.sheets, start=1)),
    ]
    if review.ruling is not None:
        parts.append(RestsOn(what="ruling of the officer", digest=review.ruling.by.digest))
    parts += [RestsOn(what=f"opinion of the {o.seat} seat", digest=o.by.digest) for o in council.opinions]
    if council.advice or council.no_opinion_because is not None:
        answered: list[JsonValue] = [advice.model_dump(mode="json") for advice in council.advice]
        digest = digest_of({"advice": answered, "no_opinion_because": council.no_opinion_because})
        parts.append(RestsOn(what="answers to the Council", digest=digest))
    if review.training is not None:
        parts.append(RestsOn(what="training on record", digest=review.training.rests_on))
    answers = [RestsOn(what=f"answer {n}", digest=d) for n, d in enumerate(review.answered, start=1)]
    told = 0
    for signature in review.signatures:
        parts += answers[told : signature.answers]
        parts.append(RestsOn(what=f"signature of the {signature.office}", digest=signature.by.digest))
        told = signature.answers
    return (*parts, *answers[told:])


def basis(review: Review) -> Digest:
    """The digest of everything before the next signature: what a signatory signs."""
    return _digest(rests_on(review))


def since(review: Review, shown: Digest) -> str:
    """What has changed in what a signature rests on, since this basis was shown.

    While the review stays in sign-off things are only added, so that an earlier basis is one of fewer parts.
    """
    parts = rests_on(review)
    for count in range(len(parts) - 1, 0, -1):
        if _digest(parts[:count]) == shown:
            return f"Since this was shown, there came: {', '.join(part.what for part in parts[count:])}."
    if review.returned is not None:
        return f"This is not what is to be signed now: the review went back. {review.returned}"
    return "This was never what was to be signed on this revision."


def refuse_seal(review: Review, seal: Signature | Declining) -> Refusal | None:
    """Why this signature, or declining, can't be taken now, if it can't."""
    if review.stage is not Stage.SIGN_OFF or current_step(review) is None:
        return Refusal(Reason.OUT_OF_STAGE, "The review is not in sign-off.")
    if any(question.holds_sign_off for question in review.questions):
        return Refusal(Reason.OUT_OF_STAGE, "A question to the owner is open; the answer comes first.")
    if seal.basis != basis(review):
        return Refusal(Reason.STALE, f"{since(review, seal.basis)} Look at the review again.")
    return None


def with_signature(review: Review, given: Given, envelope: Envelope, signature: Signature) -> Review:
    """The review with this signature, for the office whose turn it was; the wait for the next one begins anew."""
    step = current_step(review)
    signed = Signed(
        by=given,
        office="" if step is None else step.office,
        meaning=envelope.meaning,
        basis=signature.basis,
        conditions=signature.conditions,
        answers=len(review.answered),
    )
    return review.model_copy(update={"signatures": (*review.signatures, signed), "phase": None})


def follows(review: Review, at: datetime) -> Event | None:
    """What follows by itself from the signatures."""
    if review.route is None or current_step(review) is not None:
        return None
    if Stage.SIGN_OFF not in review.passed:
        names = ", ".join(step.title for step in review.route.signatories)
        return Passed(at=at, stage=Stage.SIGN_OFF, result="completed", because=f"Signed in order by: {names}.")
    return Closed(
        at=at,
        outcome=Outcome.APPROVED,
        because="Every stage was passed and every signature given.",
        certificate=certificate(review, at),
    )


def certificate(review: Review, at: datetime) -> Certificate:
    """The certificate of a review whose every signature is given.

    Raises:
        ValueError: the review was never opened.
    """
    if review.route is None or review.subject is None:
        raise ValueError("a review that was never opened has no certificate")
    return Certificate(
        review=review.id,
        title=review.subject.title,
        revision=review.revision,
        tier=review.route.tier,
        tier_name=review.route.tier_name,
        approved_at=at,
        valid_until=at + review.route.valid_for,
        conditions=conditions(review),
        dissent=dissent(review),
        declined_advice=declined_advice(review),
        no_opinion_because=review.council.no_opinion_because,
        signatures=tuple(
            Sealed(
                person=s.by.person,
                for_person=s.by.for_person,
                office=s.office,
                meaning=s.meaning,
                at=s.by.at,
                decision=s.by.decision,
                basis=s.basis,
                signed_in=is_required(review.route, "signature"),
            )
            for s in review.signatures
        ),
        rests_on=rests_on(review),
    )


def turns(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is to sign."""
    left = steps_left(review)
    if review.stage is not Stage.SIGN_OFF or not left or review.phase_since is None:
        return ()
    step, lacking = left[0]
    count = "" if step.needed == 1 else f" ({step.needed - lacking} of {step.needed} signed)"
    not_for = excluded(review, "signature")
    return tuple(
        Turn(
            stage=Stage.SIGN_OFF,
            kinds=("signature", "question", "declining"),
            what=f"Sign, ask, or decline: {step.title}{'' if office == step.office else ' (as deputy)'}{count}.",
            role=Role.SIGNATORY,
            office=office,
            not_for=not_for,
            people=step.people if office == step.office else (),
            units=units_of(review, step),
            since=review.phase_since if office == step.office else review.due_at or review.phase_since,
            due_at=review.due_at,
        )
        for office in signatory_offices(review)
    )


def _digest(parts: tuple[RestsOn, ...]) -> Digest:
    return digest_of([part.model_dump(mode="json") for part in parts])


def _sheet(number: int, sheet: Sheet) -> str:
    carried = "" if sheet.carried_from is None else f", carried from revision {sheet.carried_from}"
    return f"verdict sheet {number}{carried}"
