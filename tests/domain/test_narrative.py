"""Every entry is told in plain words: who, what, why, on which digest."""

from __future__ import annotations

import typing

from domain import sign_off
from domain.canonical import sha256
from domain.commands import TurnAway
from domain.decisions import (
    AdviceResponse,
    AnyContent,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Discrepancy,
    Envelope,
    Escalation,
    Extension,
    NoOpinion,
    Opinion,
    Question,
    QuestionAnswer,
    Reason,
    Reassignment,
    Recusal,
    RegistryChanged,
    Release,
    Reopening,
    Repair,
    Revision,
    Ruling,
    Signature,
    TrainingRecorded,
    VerdictSheet,
    Withdrawal,
)
from domain.discrepancies import Differs
from domain.entitlement import RECONCILER, REGISTER, REGISTRY
from domain.events import Accepted, Event, Reminded
from domain.narrative import tell
from tests.domain.builders import (
    CAI,
    DAY,
    HEAD,
    LEA,
    OFFICER,
    OPERATOR,
    OWNER,
    PRINCIPLES,
    REVIEWERS,
    SECOND,
    START,
    Case,
    answers,
    opinion,
    route,
    sheet,
    text_digest,
)


def everything() -> list[Event]:
    """The entries of reviews in which everything happens that can."""
    case = Case(route(training=True, signatories=2))
    case.accepts(REVIEWERS[0], Question())
    case.accepts(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    case.accepts(REVIEWERS[0], ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.time_runs_out()
    case.accepts(OFFICER, Extension(until=case.now + DAY))
    case.accepts(REVIEWERS[1], sheet())
    case.trained()
    case.accepts(REGISTER.person, TrainingRecorded())
    case.accepts(RECONCILER.person, Discrepancy(what=Differs.LOST))
    case.accepts(OPERATOR, Repair())
    case.sign(HEAD)
    case.accepts(OFFICER, Escalation())
    case.consult("ask them")
    case.accepts(OFFICER, answers(case.review))
    garbage = TurnAway(ordinal=1, reason=Reason.UNREADABLE, detail="?", digest=sha256(b"\0"), length=1, shown="\\x00")
    case.apply(garbage, case.facts())
    case.sign(HEAD)
    case.sign(SECOND)
    assert case.review.closed
    other = Case(route(needed=2, panel=2, council=True))
    other.accepts(REVIEWERS[0], sheet())
    other.accepts(REVIEWERS[1], sheet("privacy"))
    other.accepts(OFFICER, Ruling(ruling="proceed"))
    other.accepts(LEA, opinion())
    other.accepts(CAI, Recusal())
    other.accepts(OFFICER, NoOpinion())
    other.accepts(HEAD, Declining(basis=sign_off.basis(other.review)))
    third = Case(route(needed=2, panel=3), inputs=lambda _: dict.fromkeys(PRINCIPLES, "a" * 64))
    third.accepts(REVIEWERS[0], sheet())
    third.accepts(REVIEWERS[1], ChangeRequest())
    third.accepts(OWNER, Revision(proposal=text_digest(2)))
    third.accepts(REVIEWERS[1], Reopening(principle="privacy"))
    third.accepts(OWNER, Withdrawal())
    fourth = Case(route(needed=2, panel=3))
    fourth.accepts(REVIEWERS[0], Claim(act="verdict_sheet"))
    fourth.accepts(REVIEWERS[0], Release())
    fourth.accepts(OFFICER, Reassignment(act="verdict_sheet", person=REVIEWERS[0]))
    fourth.accepts(OFFICER, Reassignment(act="verdict_sheet", instead_of=REVIEWERS[0]))
    fourth.accepts(REVIEWERS[0], sheet())
    fourth.accepts(REVIEWERS[0], Conflict())
    fifth = Case(route(deputies=False))
    fifth.accepts(REVIEWERS[0], Claim(act="verdict_sheet"))
    fifth.disabled |= {REVIEWERS[0], HEAD}
    fifth.accepts(REGISTRY.person, RegistryChanged())
    fifth.disabled.clear()
    fifth.units[OWNER] = "Sales"
    fifth.accepts(REGISTRY.person, RegistryChanged())
    sixth = Case(route(needed=2, panel=3), inputs=lambda text: {"fairness": "a" * 64, "privacy": text})
    sixth.accepts(REVIEWERS[0], sheet())
    sixth.accepts(OFFICER, ChangeRequest())
    sixth.accepts(OWNER, Revision(proposal=text_digest(2)))
    sixth.disabled.add(REVIEWERS[0])
    sixth.accepts(REGISTRY.person, RegistryChanged())
    sixth.disabled.clear()
    sixth.accepts(REGISTRY.person, RegistryChanged())
    return [*case.events, *other.events, *third.events, *fourth.events, *fifth.events, *sixth.events]


EVERYTHING = everything()


def test_everything_that_can_happen_is_tried_here() -> None:
    """Every kind of event and every kind of decision is among the examples."""
    events, *_ = typing.get_args(Event)
    assert {kind.model_fields["type"].default for kind in typing.get_args(events)} == {e.type for e in EVERYTHING}
    contents, *_ = typing.get_args(AnyContent)
    accepted = {event.envelope.kind for event in EVERYTHING if isinstance(event, Accepted)}
    assert {kind.model_fields["kind"].default for kind in typing.get_args(contents)} == accepted


def test_every_entry_has_its_sentence() -> None:
    """In words: no name of a class, no field's name, no empty end."""
    for event in EVERYTHING:
        told = tell(event)
        assert told.what[0].isupper()
        assert told.what.endswith(".") or "Refused" in told.what
        assert not any(sign in told.what for sign in ("<", "None", "Stage.", "Phase.", "datetime"))


def test_a_decision_is_told_with_who_and_why_on_which_digest() -> None:
    """As its envelope has it."""
    for event in EVERYTHING:
        if isinstance(event, Accepted):
            told, envelope = tell(event), event.envelope
            assert (envelope.person, envelope.role) == (told.who, told.role)
            assert envelope.content_digest == told.on_digest
            assert all(word in (told.said or "") for word in _words_of(envelope))


def _words_of(envelope: Envelope) -> list[str]:
    """Everything that a person wrote in a decision."""
    said = [envelope.reason]
    match envelope.content:
        case VerdictSheet(verdicts=verdicts):
            said += [word for verdict in verdicts for word in (verdict.reason, verdict.condition)]
        case Opinion(advice=advice):
            said += advice
        case AdviceResponse(answers=answers):
            said += [word for answer in answers for word in (answer.reason, answer.condition)]
        case Signature(conditions=conditions):
            said += conditions
        case _:
            pass
    return [word for word in said if word is not None]


def test_what_the_engine_does_is_nobodys() -> None:
    """No person is named for what follows by itself."""
    assert all(tell(e).who is None for e in EVERYTHING if e.type not in ("accepted", "refused"))


def test_a_deadline_of_an_unknown_name_is_told_by_its_name() -> None:
    """An entry that a later version wrote is told, not raised about."""
    assert "Reminded: lunch-1-remind is still awaited." == tell(Reminded(at=START, deadline="lunch-1-remind")).what
