"""Decisions: what can be said, how it is put into its envelope, and that every one gets one answer."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.canonical import digest_of
from domain.decisions import (
    AdviceAnswer,
    Answer,
    ChangeRequest,
    Envelope,
    Opinion,
    Reason,
    Revision,
    Stance,
    Submission,
    VerdictSheet,
    Withdrawal,
)
from domain.drafts import Draft, stored_bytes, training_recorded
from domain.events import Accepted, Closed, Refused
from domain.facts import Facts
from domain.people import Role
from domain.review import decide
from domain.stages import Outcome
from domain.state import Review
from tests.domain.builders import (
    AUTHOR,
    HEAD,
    OWNER,
    REVIEWERS,
    START,
    Case,
    sheet,
    taken,
    text_digest,
)
from tests.domain.sayings import contents

texts = st.builds("{}.{}".format, st.text(max_size=15), st.text(max_size=15))


def envelope() -> Envelope:
    """An ordinary decision."""
    return Case().envelope(REVIEWERS[0], sheet())


def test_an_envelope_is_the_same_after_every_way() -> None:
    """Stored, signalled and read again, its bytes are the same."""
    data = stored_bytes(envelope())
    assert data == stored_bytes(Envelope.model_validate_json(data))


def test_the_envelopes_fields_are_frozen() -> None:
    """What is signed from the next version on is exactly these."""
    assert [
        "decision_id",
        "review",
        "revision",
        "content_digest",
        "pack_digest",
        "stage",
        "round",
        "kind",
        "content",
        "meaning",
        "reason",
        "person",
        "role",
        "grant",
        "received_at",
    ] == list(Envelope.model_fields)
    with pytest.raises(ValidationError, match="frozen"):
        envelope().person = OWNER  # type: ignore[misc]  # that it is refused is what is tried


def test_an_envelope_says_one_thing() -> None:
    """Its kind is its content's; a kind that needs a reason has one."""
    data = envelope().model_dump(mode="json")
    with pytest.raises(ValidationError, match="the envelope says 'opinion'"):
        Envelope.model_validate(data | {"kind": "opinion"})
    with pytest.raises(ValidationError, match="needs a reason"):
        Envelope.model_validate(data | {"kind": "withdrawal", "content": {"kind": "withdrawal"}, "reason": None})


def test_an_answer_in_part_says_what_is_left() -> None:
    """And a declined one leaves nothing."""
    with pytest.raises(ValidationError, match="needs the condition"):
        AdviceAnswer(advice="a", answer=Answer.ACCEPTED_IN_PART, reason="some")
    with pytest.raises(ValidationError, match="leaves no condition"):
        AdviceAnswer(advice="a", answer=Answer.DECLINED, reason="no", condition="but")


def test_a_draft_repeats_what_says_the_same() -> None:
    """The same words by the same person on the same text, and nothing else."""
    sealed = envelope()
    draft = Draft(
        decision_id=sealed.decision_id,
        review="R-1",
        person=REVIEWERS[0],
        digest=sealed.content_digest,
        content=sheet(),
        reason="because",
    )
    assert draft.repeats(sealed)
    for changed in ({"person": OWNER}, {"reason": None}, {"digest": "1" * 64}, {"content": sheet("privacy")}):
        assert not draft.model_copy(update=changed).repeats(sealed)


def test_the_registers_word_is_sealed_under_its_own_name() -> None:
    """For the review as it stands."""
    review = Case().review
    sealed = training_recorded(UUID(int=7), review, START)
    assert (Role.SERVICE, review.content_digest, "ringi") == (sealed.role, sealed.content_digest, sealed.grant)


STAGES = ("unopened", "review", "changes", "sign_off", "closed")


def standing(at: str) -> Case:
    """A review that stands there."""
    case = Case(opened=at != "unopened")
    if at == "changes":
        case.say(REVIEWERS[0], ChangeRequest())
    if at in ("sign_off", "closed"):
        case.agree()
    if at == "closed":
        case.sign(HEAD)
    return case


@given(
    st.data(),
    st.sampled_from(STAGES),
    st.sampled_from([OWNER, AUTHOR, *REVIEWERS, HEAD, "nobody"]),
    st.none() | st.sampled_from(Role),
    st.none() | st.builds(Facts, unassessable=st.none() | st.text(max_size=3_000)),
)
def test_every_decision_has_exactly_one_answer(
    data: st.DataObject, at: str, person: str, role: Role | None, registers: Facts | None
) -> None:
    """Whatever is said, by whoever, wherever the review stands, whatever the registers hold: accepted or refused."""
    case = standing(at)
    said = case.envelope(person, data.draw(contents(case.review)))
    facts = case.facts(said)
    if registers is not None:
        facts = registers.model_copy(update={"standing": facts.standing, "keys": facts.keys})
    if role is not None:
        said = said.model_copy(update={"role": role})
    happened = decide(case.review, taken(said), facts, case.now)
    assert 1 == sum(isinstance(event, Accepted | Refused) for event in happened)
    refused = isinstance(happened[0], Refused)
    assert (len(happened) == (2 if isinstance(said.content, Submission) and at == "unopened" else 1)) or not refused


def test_after_the_outcome_everything_is_late() -> None:
    """On record, with the outcome in the reason, and it changes nothing else."""
    case = standing("closed")
    before = case.review
    answer = case.say(OWNER, Withdrawal())
    assert isinstance(answer, Refused)
    assert (Reason.LATE, "The review is closed: approved.") == (answer.reason, answer.detail)
    changed = before.model_copy(update={"refused": before.refused + 1, "seq": before.seq + 1})
    assert changed == case.review


def test_a_proposal_that_cannot_be_assessed_is_declined_with_the_reason() -> None:
    """Control characters in what is said about it do not get onto the record."""
    case = Case(opened=False)
    said = case.envelope(AUTHOR, Submission(), digest=text_digest(1))
    facts = case.facts(said).model_copy(update={"proposed": None, "unassessable": "answers/x\0y: no\ud800"})
    _, closed = case.apply(taken(said), facts)
    assert isinstance(closed, Closed)
    assert (Outcome.DECLINED, "Not opened: answers/x\ufffdy: no\ufffd") == (closed.outcome, closed.because)


@pytest.mark.parametrize("what", ["content_digest", "pack_digest"])
def test_what_is_assessed_must_be_what_was_named(what: str) -> None:
    """Another text, or another pack, behind the named digest opens nothing."""
    case = Case(opened=False)
    said = case.envelope(AUTHOR, Submission(), digest=text_digest(1))
    facts = case.facts(said)
    assert facts.proposed is not None
    other = facts.proposed.assessment.model_copy(update={what: digest_of("another")})
    swapped = facts.model_copy(update={"proposed": facts.proposed.model_copy(update={"assessment": other})})
    refused, _ = case.apply(taken(said), swapped)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INVALID


def test_a_review_stays_with_the_pack_it_began_under() -> None:
    """A revision under another pack is refused."""
    case = standing("changes")
    said = case.envelope(OWNER, Revision(proposal=text_digest(2))).model_copy(update={"pack_digest": "1" * 64})
    assert Reason.STALE is getattr(case.take(said), "reason", None)


def test_an_unopened_review_is_nothing_yet() -> None:
    """No stage, no outcome: neither open nor closed."""
    review = Review(id="R-1")
    assert not review.open
    assert not review.closed


@given(texts, st.lists(texts, max_size=3))
def test_prose_is_kept_as_it_was_written_or_refused(reason: str, advice: list[str]) -> None:
    """White space at the ends aside, no text is changed on its way in."""
    try:
        said = Opinion(stance=Stance.SUPPORTS, advice=tuple(advice))
    except ValidationError:
        assert any(not c.isprintable() for text in advice for c in text)
    else:
        assert [text.strip() for text in advice] == list(said.advice)
    assert VerdictSheet.needs_reason is False or reason
