"""Sign-off: in order, each on the digest of everything before it, and lapsing with it."""

from __future__ import annotations

import pytest

from domain import sign_off
from domain.canonical import digest_of
from domain.decisions import ChangeRequest, Declining, Question, QuestionAnswer, Reason, Revision, Signature
from domain.events import Accepted, FellDue, Lapsed, Refused
from domain.people import Role
from domain.review import waits_for
from domain.route import Phase
from domain.stages import Outcome, Stage
from tests.domain.builders import (
    ENGINEER,
    HEAD,
    HEAD_DEPUTY,
    LECTURE,
    OFFICER,
    OWNER,
    REVIEWERS,
    SECOND,
    SECOND_DEPUTY,
    Case,
    route,
    sheet,
    text_digest,
)


def signing(*, training: bool = False, signatories: int = 2) -> Case:
    """A review at its first signature."""
    case = Case(route(training=training, signatories=signatories))
    case.to_sign_off()
    assert case.review.phase is Phase.SIGNING
    return case


def test_signatures_are_given_in_order_and_approve() -> None:
    """The second office waits for the first; the last signature makes the certificate."""
    case = signing()
    assert Reason.OUT_OF_STAGE is getattr(case.sign(SECOND), "reason", None)
    assert isinstance(case.sign(HEAD, "only in one building"), Accepted)
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEAD), "reason", None)
    assert isinstance(case.sign(SECOND), Accepted)
    certificate = case.review.certificate
    assert case.review.outcome is Outcome.APPROVED
    assert certificate is not None
    assert [(HEAD, "head"), (SECOND, "second")] == [(s.person, s.office) for s in certificate.signatures]
    assert ["only in one building"] == [condition.text for condition in certificate.conditions]
    assert case.now + case.route.valid_for == certificate.valid_until


def test_each_signature_is_on_everything_before_it() -> None:
    """Sheets, answers and earlier signatures are in the basis; another basis than the present one is stale."""
    case = signing()
    first = sign_off.basis(case.review)
    assert isinstance(case.sign(HEAD), Accepted)
    assert first != sign_off.basis(case.review)
    assert Reason.STALE is case.refusal(SECOND, Signature(basis=first))
    names = [part.what for part in sign_off.rests_on(case.review)]
    assert ["proposal, revision 1", "policy pack", "assessment", "verdict sheet 1", "signature of the head"] == names


def test_a_signatorys_question_holds_sign_off_until_it_is_answered() -> None:
    """It is the owner's turn; the signatures before it stay, and rest on what was before them."""
    case = signing()
    assert isinstance(case.sign(HEAD), Accepted)
    case.accepts(SECOND, Question())
    (asked,) = case.review.questions
    assert (Phase.SIGNING, True) == (case.review.phase, case.review.paused)
    assert [(Role.OWNER, True)] == [(turn.role, turn.blocking) for turn in waits_for(case.review)]
    assert Reason.OUT_OF_STAGE is getattr(case.sign(SECOND), "reason", None)
    shown = sign_off.basis(case.review)
    case.accepts(OWNER, QuestionAnswer(question=asked.by.decision))
    assert Reason.STALE is case.refusal(SECOND, Signature(basis=shown))
    assert isinstance(case.sign(SECOND), Accepted)
    certificate = case.review.certificate
    assert certificate is not None
    names = [part.what for part in certificate.rests_on]
    assert ["signature of the head", "answer 1", "signature of the second"] == names[-3:]
    for sealed, until in zip(certificate.signatures, (-3, -1), strict=True):
        before = certificate.rests_on[:until]
        assert sealed.basis == digest_of([part.model_dump(mode="json") for part in before])


def test_a_signatory_declines_with_a_reason() -> None:
    """On the same basis as a signature; a stale one declines nothing."""
    case = signing()
    assert Reason.STALE is case.refusal(HEAD, Declining(basis="0" * 64))
    case.accepts(HEAD, Declining(basis=sign_off.basis(case.review)))
    assert (Outcome.DECLINED, "because") == (case.review.outcome, case.review.outcome_because)
    assert case.review.certificate is None


def test_training_is_checked_again_at_each_signature() -> None:
    """Where it no longer holds, the signature is refused, the ones before lapse, and the review goes back."""
    case = signing(training=True)
    assert isinstance(case.sign(HEAD), Accepted)
    case.completions = [done for done in case.completions if done.course != LECTURE.id]
    refused = case.sign(SECOND)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.TRAINING_GAP
    assert f"{ENGINEER} needs {LECTURE.id}" in refused.detail
    assert isinstance(case.commands[-1][1][1], Lapsed)
    assert (Stage.TRAINING, Phase.TRAINING, ()) == (case.review.stage, case.review.phase, case.review.signatures)
    assert Stage.TRAINING not in case.review.passed


def test_a_change_request_lapses_signatures() -> None:
    """On record, by name; the new text is signed anew."""
    case = signing()
    assert isinstance(case.sign(HEAD), Accepted)
    (signed,) = case.review.signatures
    case.accepts(OFFICER, ChangeRequest())
    (lapsed,) = (event for event in case.events if isinstance(event, Lapsed))
    assert (signed.by.decision,) == lapsed.decisions
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.accepts(REVIEWERS[0], sheet())
    assert isinstance(case.sign(HEAD), Accepted)


def test_a_deputy_signs_only_when_it_is_overdue_and_as_deputy() -> None:
    """And only for the office whose turn it is; each signature has its time anew."""
    case = signing()
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEAD_DEPUTY), "reason", None)
    *_, fell_due = case.time_runs_out()
    assert isinstance(fell_due, FellDue)
    assert (Role.SIGNATORY, "head_deputy") == fell_due.next_in_line
    assert ["head", "head_deputy"] == [turn.office for turn in waits_for(case.review) if turn.role is Role.SIGNATORY]
    assert Reason.NOT_ENTITLED is getattr(case.sign(SECOND_DEPUTY), "reason", None)
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)
    assert ("head", "as deputy, approves") == (case.review.signatures[0].office, case.review.signatures[0].meaning)
    assert not case.review.overdue
    assert ["second"] == [turn.office for turn in waits_for(case.review)]


@pytest.mark.parametrize("says", ["m", "m" * 195, "m" * 200, f"{'m' * 188} m", f"{'m' * 187}   m"])
def test_what_a_deputys_signature_means_fits_on_a_line(says: str) -> None:
    """However long the pack makes the meaning of a signature, the deputy's can be put on record."""
    its_route = route()
    step = its_route.signatories[0].model_copy(update={"meaning": says})
    case = Case(its_route.model_copy(update={"signatories": (step,)}))
    case.agree()
    case.time_runs_out()
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)
