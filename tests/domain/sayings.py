"""Everything that can be said about a review, generated."""

from __future__ import annotations

from typing import get_args
from uuid import UUID

from hypothesis import strategies as st

from domain import sign_off
from domain.decisions import (
    Act,
    AdviceAnswer,
    AdviceResponse,
    Answer,
    AnyContent,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Discrepancy,
    Escalation,
    Extension,
    Finding,
    NoOpinion,
    Opinion,
    Question,
    QuestionAnswer,
    Reassignment,
    Recusal,
    RegistryChanged,
    Release,
    Reopening,
    Repair,
    Revision,
    Ruling,
    Signature,
    Stance,
    Submission,
    TrainingRecorded,
    Verdict,
    VerdictSheet,
    Withdrawal,
)
from domain.discrepancies import Differs
from domain.state import Review
from tests.domain.builders import (
    DAY,
    HEAD,
    HOUR,
    OFFICER,
    OWNER,
    PRINCIPLES,
    REVIEWERS,
    SECOND,
    START,
    sheet,
    text_digest,
)

UNKNOWN = UUID(int=0)
TAKERS = (*REVIEWERS, HEAD, SECOND, OFFICER, OWNER)

texts = st.sampled_from(["a", "two\nlines", "ü" * 40])
verdicts = st.builds(
    Verdict, principle=st.sampled_from((*PRINCIPLES, "other")), finding=st.sampled_from(Finding), reason=texts
)
parts = st.builds(sheet, on=st.sampled_from(PRINCIPLES).map(lambda principle: (principle,)))
sheets = parts | st.builds(sheet) | st.builds(sheet, st.sampled_from(PRINCIPLES)) | st.builds(sheet, condition=texts)
bad_sheets = st.builds(VerdictSheet, verdicts=st.lists(verdicts, min_size=1, max_size=3).map(tuple))
acts = st.sampled_from(get_args(Act))
opinions = st.builds(Opinion, stance=st.sampled_from(Stance), advice=st.lists(texts, max_size=2).map(tuple))


@st.composite
def contents(draw: st.DrawFn, review: Review) -> AnyContent:
    """Anything that can be said about this review, sensible or not."""
    questions = [UNKNOWN, *(asked.by.decision for asked in review.questions)]
    advice = ["nothing", *(piece.id for piece in review.council.advice)]
    answer = st.builds(AdviceAnswer, advice=st.sampled_from(advice), answer=st.just(Answer.DECLINED), reason=texts)
    basis = st.sampled_from([sign_off.basis(review), "1" * 64])
    until = st.sampled_from([-DAY, 3 * HOUR, 9 * DAY, 400 * DAY]).map(lambda more: (review.due_at or START) + more)
    holders = [claim.person for claim in review.claims]
    kinds: list[st.SearchStrategy[AnyContent]] = [
        sheets,
        bad_sheets,
        opinions,
        st.builds(Reopening, principle=st.sampled_from((*PRINCIPLES, "other"))),
        st.builds(ChangeRequest),
        st.builds(Question),
        st.builds(QuestionAnswer, question=st.sampled_from(questions)),
        st.builds(Escalation),
        st.builds(Recusal),
        st.builds(Conflict),
        st.builds(AdviceResponse, answers=st.lists(answer, min_size=1, max_size=2).map(tuple)),
        st.builds(NoOpinion),
        st.builds(Extension, until=until, person=st.sampled_from([None, None, *(c.person for c in review.clocks)])),
        st.builds(Ruling, ruling=st.sampled_from(["proceed", "decline"])),
        st.builds(Signature, basis=basis, conditions=st.lists(texts, max_size=1).map(tuple)),
        st.builds(Declining, basis=basis),
        st.builds(Claim, act=acts),
        st.builds(Release),
        *(st.builds(Reassignment, act=acts, instead_of=st.just(holder)) for holder in holders),
        st.builds(Reassignment, act=acts, person=st.sampled_from(TAKERS), instead_of=st.sampled_from([None, *holders])),
        st.builds(Withdrawal),
        st.builds(Submission),
        st.builds(Revision, proposal=st.integers(1, 4).map(text_digest)),
        st.builds(TrainingRecorded),
        st.builds(RegistryChanged),
        st.builds(Discrepancy, what=st.sampled_from(Differs)),
        st.builds(Repair),
    ]
    return draw(draw(st.sampled_from(kinds)))
