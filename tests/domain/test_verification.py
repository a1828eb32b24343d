"""The ledger: whatever is changed, taken out, put in or put elsewhere is found, and the place is named."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canonical import canonical_bytes, sha256
from domain.commands import Take
from domain.decisions import Conflict, Declining, Question, Reason, Ruling, Signature, Withdrawal
from domain.events import (
    Accepted,
    Assessed,
    Closed,
    Concluded,
    Event,
    FellDue,
    Lapsed,
    Passed,
    Refused,
    Reminded,
    Returned,
    Seated,
    Struck,
    TrainingChecked,
)
from domain.ledger import GENESIS, Entry, Recorded, Settlement, append, settlement
from domain.review import fold, state_digest
from domain.stages import Outcome
from domain.verification import Evidence, Heading, ReadModel, Verification, WorkflowState, read_model, verify
from tests.domain.builders import (
    HEAD,
    LEA,
    OFFICER,
    OWNER,
    REVIEWERS,
    START,
    Case,
    answers,
    opinion,
    route,
    sheet,
    taken,
    text_digest,
)


def finished() -> Case:
    """A review that went all the way, and was spoken to after that."""
    case = Case(route(council=True, signatories=1))
    case.accepts(REVIEWERS[0], Question())
    case.agree()
    case.consult("ask them")
    case.accepts(OFFICER, answers(case.review))
    case.sign(HEAD)
    assert case.review.outcome is Outcome.APPROVED
    case.refusal(OWNER, Withdrawal())
    case.refusal(HEAD, Signature(basis="0" * 64))
    return case


CASE = finished()
ENTRIES = append("R-1", 0, GENESIS, CASE.events)
CLOSED_AT = next(n for n, event in enumerate(CASE.events, start=1) if isinstance(event, Closed))
positions = st.integers(0, len(ENTRIES) - 1)


def evidence(
    entries: tuple[Recorded, ...] = ENTRIES, workflow: WorkflowState | None = None, **changed: object
) -> Evidence:
    """The review's evidence, with some of it changed."""
    model = read_model(CASE.review, ENTRIES[-1].hash).model_copy(update=changed)
    return Evidence(review="R-1", entries=entries, read_model=model, workflow=workflow or WorkflowState(status="gone"))


def at(seq: int, status: str = "finished", digest: str | None = None) -> WorkflowState:
    """A workflow that saw this many entries and folded them rightly, if nothing else is said."""
    folded = state_digest(fold("R-1", CASE.events[:seq]))
    return WorkflowState.model_validate({"status": status, "seq": seq, "state_digest": digest or folded})


def caught(entries: tuple[Recorded, ...]) -> str:
    """What is said of these entries, which are not the record; something must be."""
    result = verify(evidence(entries))
    assert not result.holds
    assert result.difference is not None
    return result.difference


def test_a_record_that_nobody_touched_holds() -> None:
    """All of it, and its head and fold are told."""
    assert Verification(len(ENTRIES), None, ENTRIES[-1].hash, CASE.review) == verify(evidence())


@settings(max_examples=50)
@given(positions, st.data())
def test_a_changed_byte_is_found(position: int, data: st.DataObject) -> None:
    """Any byte, of any entry, changed to any other; the entry is named."""
    stored = ENTRIES[position].data.encode()
    where = data.draw(st.integers(0, len(stored) - 1))
    byte = data.draw(st.integers(0, 127).filter(lambda other: other != stored[where]))
    changed = bytes([*stored[:where], byte, *stored[where + 1 :]]).decode(errors="replace")
    entry = ENTRIES[position].model_copy(update={"data": changed})
    said = caught((*ENTRIES[:position], entry, *ENTRIES[position + 1 :]))
    assert said.startswith(f"entry {position + 1}: its bytes do not have the hash")


def test_every_byte_of_an_entry_counts() -> None:
    """One whole entry, byte by byte."""
    stored = ENTRIES[3].data
    for where, character in enumerate(stored):
        entry = ENTRIES[3].model_copy(update={"data": stored[:where] + chr(ord(character) ^ 1) + stored[where + 1 :]})
        assert "entry 4" in caught((*ENTRIES[:3], entry, *ENTRIES[4:]))


@settings(max_examples=50)
@given(positions, st.data())
def test_a_changed_byte_with_its_hash_made_to_fit_is_found(position: int, data: st.DataObject) -> None:
    """Then the next entry does not follow from it, or, at the last one, the read model knows another head."""
    stored = ENTRIES[position].data
    where = data.draw(st.integers(0, len(stored) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != stored[where]))
    changed = stored[:where] + other + stored[where + 1 :]
    entry = Recorded(seq=position + 1, data=changed, hash=sha256(changed.encode()))
    assert caught((*ENTRIES[:position], entry, *ENTRIES[position + 1 :]))


@given(positions)
def test_a_missing_entry_is_found(position: int) -> None:
    """In the middle by the numbers, at the end by the read model."""
    said = caught((*ENTRIES[:position], *ENTRIES[position + 1 :]))
    assert ("read model: seq" in said) is (position == len(ENTRIES) - 1)


@given(st.integers(0, len(ENTRIES) - 1))
def test_a_record_cut_short_is_found(kept: int) -> None:
    """Nothing in the chain tells it; the read model does."""
    assert "read model: seq" in caught(ENTRIES[:kept])


@settings(max_examples=50)
@given(positions, positions)
def test_entries_in_another_order_are_found(one: int, other: int) -> None:
    """Two entries in each other's place, with or without their numbers."""
    if one == other:
        return
    swapped = list(ENTRIES)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert f"entry {min(one, other) + 1}:" in caught(tuple(swapped))
    renumbered = [entry.model_copy(update={"seq": n}) for n, entry in enumerate(swapped, start=1)]
    assert f"entry {min(one, other) + 1}:" in caught(tuple(renumbered))


@settings(max_examples=50)
@given(st.integers(0, len(ENTRIES)), positions)
def test_an_entry_put_in_is_found(where: int, copied: int) -> None:
    """A copy of any entry, anywhere, as it is or made to follow."""
    assert caught((*ENTRIES[:where], ENTRIES[copied], *ENTRIES[where:]))
    previous = ENTRIES[where - 1].hash if where else GENESIS
    (forged,) = append("R-1", where, previous, CASE.events[copied : copied + 1])
    assert caught((*ENTRIES[:where], forged, *ENTRIES[where:]))


@settings(max_examples=50)
@given(positions, st.data())
def test_a_chain_forged_from_an_entry_on_is_found(position: int, data: st.DataObject) -> None:
    """Rewritten with every hash made to fit, it still has another head than the read model and the workflow know."""
    events = list(CASE.events)
    events[position] = events[data.draw(positions.filter(lambda other: CASE.events[other] != events[position]))]
    forged = append("R-1", 0, GENESIS, events)
    result = verify(evidence(forged))
    assert not result.holds


def test_an_entry_of_another_review_is_found() -> None:
    """A whole chain that hangs together, of a review that it is not asked about."""
    assert "entry 1: it belongs to the review R-2" == caught(append("R-2", 0, GENESIS, CASE.events))


@pytest.mark.parametrize("data", ["", "{}", "null", "\ud800", "\0", '{"review":"R-1"}', "[" * 10_000])
def test_garbage_is_no_entry(data: str) -> None:
    """Whatever is stored, with a hash that fits, the check goes through and names it."""
    garbage = Recorded(seq=1, data=data, hash=sha256(data.encode(errors="surrogatepass")))
    assert "entry 1: its bytes are not an entry" in caught((garbage, *ENTRIES[1:]))


@settings(max_examples=50)
@given(st.permutations(range(len(CASE.events))))
def test_what_cannot_have_happened_is_told_and_not_raised(order: list[int]) -> None:
    """A forged record, well chained, of events in any order."""
    told = verify(evidence(append("R-1", 0, GENESIS, [CASE.events[n] for n in order])))
    assert told.holds is (order == sorted(order))


CHANGES = {
    "seq": 1,
    "head": GENESIS,
    "state_digest": GENESIS,
    "stage": "council",
    "phase": "consulting",
    "outcome": None,
    "closed_at": None,
    "aside": ("somebody",),
    "assigned": (),
    "units": ("Another unit",),
    "heading": Heading(title="another", business_unit="u", owner="o", author="a", tier=1),
    "turns": read_model(fold("R-1", CASE.events[:8]), GENESIS).turns,
}


RECEIPTS = tuple(told for seq, event in enumerate(CASE.events, start=1) if (told := settlement(seq, event)) is not None)


@pytest.mark.parametrize(
    ("receipts", "says"),
    [
        (RECEIPTS[1:], f"the decision {RECEIPTS[0].decision} has no receipt, and entry {RECEIPTS[0].seq} settles it"),
        (
            (*RECEIPTS, RECEIPTS[0].model_copy(update={"decision": UUID(int=2**100)})),
            f"the decision {UUID(int=2**100)} has a receipt, and no entry settles it",
        ),
        *(
            (
                (RECEIPTS[0].model_copy(update={name: lie}), *RECEIPTS[1:]),
                f"the receipt of the decision {RECEIPTS[0].decision} says something else than entry {RECEIPTS[0].seq}",
            )
            for name, lie in (
                ("status", "refused"),
                ("reason", "stale"),
                ("detail", "No."),
                ("seq", None),
                ("seq", 2),
                ("at", None),
            )
        ),
    ],
)
def test_a_receipt_that_says_something_else_is_found(receipts: tuple[Settlement, ...], says: str) -> None:
    """With its decision and its entry; one that is missing, and one of nothing, too."""
    assert verify(evidence(receipts=RECEIPTS)).holds
    assert f"read model: {says}" == verify(evidence(receipts=receipts)).difference


@pytest.mark.parametrize("name", [name for name in ReadModel.model_fields if name != "receipts"])
def test_a_read_model_that_says_something_else_is_found(name: str) -> None:
    """Each of its fields, by name."""
    result = verify(evidence(ENTRIES, None, **{name: CHANGES[name]}))
    assert result.difference is not None
    assert result.difference.startswith(f"read model: {name} is ")


@pytest.mark.parametrize("status", ["answered", "finished"])
def test_a_workflow_that_saw_everything_agrees_or_differs(status: str) -> None:
    """By the digest of its state."""
    assert verify(evidence(workflow=at(len(ENTRIES), status))).holds
    differs = verify(evidence(workflow=at(len(ENTRIES), status, GENESIS))).difference
    assert f"workflow: it has seen {len(ENTRIES)} entries, and its state is another" in (differs or "")


@pytest.mark.parametrize("seq", range(len(ENTRIES) + 2))
def test_a_finished_workflow_may_have_missed_what_was_refused_after_the_outcome(seq: int) -> None:
    """Only that: one that finished before the outcome, or saw more than there is, differs; a running one saw it all."""
    assert all(isinstance(event, Refused) for event in CASE.events[CLOSED_AT:])
    known = at(min(seq, len(ENTRIES))).model_copy(update={"seq": seq})
    assert verify(evidence(workflow=known)).holds is (CLOSED_AT <= seq <= len(ENTRIES))
    running = known.model_copy(update={"status": "answered"})
    assert verify(evidence(workflow=running)).holds is (seq == len(ENTRIES))


def test_a_finished_workflow_must_have_folded_rightly_what_it_saw() -> None:
    """At its own entry, not at the last one."""
    late = state_digest(CASE.review)
    assert verify(evidence(workflow=at(CLOSED_AT))).holds
    assert not verify(evidence(workflow=at(CLOSED_AT, digest=late))).holds


def test_nothing_but_refusals_may_come_after_what_a_finished_workflow_saw() -> None:
    """Another entry after the outcome, well chained and in the read model, is one that the workflow should have seen."""
    events = [*CASE.events[:CLOSED_AT], Reminded(at=START, deadline="signing-1-remind"), *CASE.events[CLOSED_AT:]]
    entries = append("R-1", 0, GENESIS, events)
    model = read_model(fold("R-1", events), entries[-1].hash)
    forged = Evidence(review="R-1", entries=entries, read_model=model, workflow=at(CLOSED_AT))
    assert f"workflow: it has seen {CLOSED_AT} entries of {len(events)}" == verify(forged).difference


def test_a_workflow_that_finished_before_the_outcome_is_named() -> None:
    """Even if nothing but a refusal came after what it saw."""
    case = Case()
    case.refusal(HEAD, Question())
    entries = append("R-1", 0, GENESIS, case.events)
    early = fold("R-1", case.events[:-1])
    workflow = WorkflowState(status="finished", seq=early.seq, state_digest=state_digest(early))
    given_evidence = Evidence(
        review="R-1", entries=entries, read_model=read_model(case.review, entries[-1].hash), workflow=workflow
    )
    assert "the review had no outcome yet" in (verify(given_evidence).difference or "")


@pytest.mark.parametrize("status", ["gone", "unreachable"])
def test_a_workflow_that_cannot_be_asked_is_no_difference(status: str) -> None:
    """Its history may be past retention; the record stands by itself."""
    assert verify(evidence(workflow=WorkflowState.model_validate({"status": status}))).holds


def test_entries_are_canonical_and_numbered_on() -> None:
    """Appending in two steps is appending in one; every entry is the canonical JSON of what it says."""
    some = append("R-1", 0, GENESIS, CASE.events[:5])
    assert ENTRIES == (*some, *append("R-1", 5, some[-1].hash, CASE.events[5:]))
    for recorded in ENTRIES:
        assert recorded.data.encode() == canonical_bytes(Entry.model_validate_json(recorded.data))
    assert any(isinstance(e, Refused) and e.reason is Reason.LATE for e in CASE.events)


ASKED = next(e for e in CASE.events if isinstance(e, Accepted) and isinstance(e.envelope.content, Question))


def rechained(events: Sequence[Event]) -> Evidence:
    """The evidence of another story, told so that chain and read model hold together."""
    entries = append("R-1", 0, GENESIS, events)
    model = read_model(fold("R-1", events), entries[-1].hash)
    return Evidence(review="R-1", entries=entries, read_model=model, workflow=WorkflowState(status="gone"))


@pytest.mark.parametrize(
    "left_out",
    [
        place
        for place, event in enumerate(CASE.events[:-1])
        if isinstance(event, Accepted | Assessed | Passed | Concluded | Seated) and event != ASKED
    ],
)
def test_no_stage_is_passed_and_no_outcome_reached_but_by_the_rules(left_out: int) -> None:
    """A story from which an act, or what came of it, is taken away, and that is chained anew, breaks there or later."""
    told = append("R-1", 0, GENESIS, (*CASE.events[:left_out], *CASE.events[left_out + 1 :]))
    assert verify(evidence()).holds
    assert (verify(evidence(told)).difference or "").startswith("entry ")


def test_a_decision_that_was_settled_twice_is_found() -> None:
    """Accepted again, or refused and then accepted: the second entry is named, and the first."""
    place = CASE.events.index(ASKED)
    assert f"entry {place + 2}: the decision {ASKED.envelope.decision_id} was settled by entry {place + 1}" == (
        verify(rechained((*CASE.events[: place + 1], *CASE.events[place:]))).difference
    )
    refused = Refused.of(ASKED.envelope, ASKED.digest, Reason.STALE, "It is stale.", ASKED.at)
    said = verify(rechained((*CASE.events[:place], refused, *CASE.events[place:]))).difference or ""
    assert said.startswith(f"entry {place + 2}: the decision ")


def test_an_outcome_of_nowhere_is_found() -> None:
    """Approved in the middle, declined by nobody, withdrawn by nobody."""
    closed = next(event for event in CASE.events if isinstance(event, Closed))
    for outcome in Outcome:
        for end in range(1, CLOSED_AT - 1):
            forged = closed.model_copy(update={"outcome": outcome})
            assert not verify(rechained((*CASE.events[:end], forged))).holds, (outcome, end)


def dissented() -> Case:
    """An approval against a breach that one of three found, in which the right people also said the wrong things."""
    case = Case(route(needed=2, panel=3, signatories=1, training=True))
    case.trained()
    case.refusal(REVIEWERS[1], sheet(on=("fairness",)))
    case.refusal(REVIEWERS[1], sheet(), digest=text_digest(7))
    case.accepts(REVIEWERS[0], sheet("privacy"))
    case.refusal(REVIEWERS[0], sheet())
    case.refusal(OFFICER, Ruling(ruling="decline"))
    case.accepts(REVIEWERS[1], sheet())
    case.refusal(HEAD, Signature(basis="0" * 64))
    case.accepts(REVIEWERS[2], sheet())
    case.refusal(REVIEWERS[3], sheet())
    case.refusal(HEAD, Declining(basis="0" * 64))
    case.refusal(HEAD, Signature(basis="0" * 64))
    case.sign(HEAD)
    assert case.review.outcome is Outcome.APPROVED
    case.refusal(OWNER, Withdrawal())
    return case


DISSENTED = dissented()


@pytest.mark.parametrize(
    "place",
    [n for n, event in enumerate(DISSENTED.events) if isinstance(event, Refused)],
    ids=lambda n: f"entry-{n + 1}",
)
def test_what_was_refused_is_not_told_as_accepted(place: int) -> None:
    """Its maker said it, the service signed it, and it was stale, out of stage, incomplete or late all the same."""
    events, refused = DISSENTED.events, DISSENTED.events[place]
    assert isinstance(refused, Refused)
    take = next(
        command
        for command, happened in DISSENTED.commands
        if refused in happened and isinstance(command, Take) and command.envelope.decision_id == refused.decision
    )
    forged = Accepted(at=refused.at, envelope=take.envelope, digest=take.digest, proof=take.proof)
    entries = append("R-1", 0, GENESIS, (*events[:place], forged, *events[place + 1 :]))
    difference = verify(evidence(entries)).difference
    assert f"entry {place + 1}: it cannot have happened here" == difference


def test_nothing_that_a_signature_rests_on_is_changed_behind_it() -> None:
    """A breach left out, another route, somebody's training made up: the signature is on the digest of what there was."""
    events = DISSENTED.events
    signed = next(n for n, e in enumerate(events) if isinstance(e, Accepted) and e.envelope.kind == "signature")
    breach = next(n for n, e in enumerate(events) if isinstance(e, Accepted) and e.envelope.kind == "verdict_sheet")
    checked = next(n for n, e in enumerate(events) if isinstance(e, TrainingChecked))
    assessed = next(n for n, e in enumerate(events) if isinstance(e, Assessed))
    of_training, of_text = events[checked], events[assessed]
    assert isinstance(of_training, TrainingChecked)
    assert isinstance(of_text, Assessed)
    check = of_training.check.model_copy(update={"rests_on": "1" * 64})
    assessment = of_text.assessment.model_copy(update={"tier_because": "It is said so."})
    stories: dict[int, list[Event]] = {place: list(events) for place in (breach, checked, assessed)}
    del stories[breach][breach]
    stories[checked][checked] = of_training.model_copy(update={"check": check})
    stories[assessed][assessed] = of_text.model_copy(update={"assessment": assessment})
    for place, told in stories.items():
        entry = signed + 1 - (place == breach)
        difference = verify(evidence(append("R-1", 0, GENESIS, told))).difference
        assert f"entry {entry}: it cannot have happened here" == difference


def test_what_came_too_late_is_not_told_as_in_time() -> None:
    """The deadline that passed before it is left out, and the opinion that was late is told as accepted."""
    case = Case(route(council=True))
    case.agree()
    case.time_runs_out()
    late = case.envelope(LEA, opinion())
    command, facts = taken(late), case.facts(late)
    passed = case.review
    case.apply(command, facts)
    refused = case.events[-1]
    assert isinstance(refused, Refused)
    assert Reason.LATE is refused.reason
    fell_due = next(n for n, event in enumerate(case.events) if isinstance(event, FellDue))
    before = fold("R-1", case.events[:fell_due])
    assert passed != before
    accepted = Accepted(at=refused.at, envelope=late, digest=command.digest, proof=command.proof)
    told = rechained((*case.events[:fell_due], accepted))
    assert f"entry {fell_due + 1}: it cannot have happened here" == verify(told).difference


def test_a_voice_that_nobody_withdrew_is_not_struck_out() -> None:
    """Nor signatures, nor stages: without the decision that undoes them, and of nobody else's."""
    case = Case(route(needed=2, panel=3, signatories=2, training=True))
    case.trained()
    case.accepts(REVIEWERS[0], sheet("privacy"))
    case.accepts(REVIEWERS[1], sheet())
    case.accepts(REVIEWERS[2], sheet())
    case.sign(HEAD)
    case.accepts(REVIEWERS[0], Conflict())
    undone = [(n, e) for n, e in enumerate(case.events) if isinstance(e, Lapsed | Struck | Returned)]
    assert ["lapsed", "struck", "returned"] == [event.type for _, event in undone]
    assert verify(rechained(case.events)).holds
    for place, event in undone:
        for earlier in range(2, place - len(undone)):
            told = verify(rechained((*case.events[:earlier], event))).difference
            assert f"entry {earlier + 1}: it cannot have happened here" == told
    said = tuple(event.envelope.decision_id for event in case.events if isinstance(event, Accepted))
    for place, event in undone:
        if not isinstance(event, Returned):
            for others in ((), said, (*event.decisions, *event.decisions)):
                made_up = event.model_copy(update={"decisions": others})
                told = verify(rechained((*case.events[:place], made_up))).difference
                assert f"entry {place + 1}: it cannot have happened here" == told
    place, struck = undone[1]
    forged = struck.model_copy(update={"person": REVIEWERS[1]})
    assert f"entry {place + 1}: it cannot have happened here" == (
        verify(rechained((*case.events[:place], forged))).difference
    )
