"""The process, as people go through it over HTTP: from a submission to its outcome, and every turn on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.decisions import Finding
from domain.people import Assigned
from domain.route import Phase
from domain.stages import Stage
from domain.verification import verify
from tests.support.harness import until
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    COUNCIL,
    LECTURE,
    OFFICER,
    ONLINE,
    OWNER,
    REVIEWERS,
    SIGNATORIES,
    System,
    decision_id,
    digest,
    example,
    sheet,
)

GAP = ("ren.operator", LECTURE)
"""What the examples leave open: the lecture of one operator, which the highest tier requires."""

STAGES = {
    Stage.PRINCIPLE_REVIEW: "principle review",
    Stage.COUNCIL: "the Advisory Council",
    Stage.TRAINING: "training",
    Stage.SIGN_OFF: "sign-off",
}
HOW = {"completed": "completed", "not_required": "passed as not required"}

NO_COUNCIL = (Stage.COUNCIL,)
NEITHER = (Stage.COUNCIL, Stage.TRAINING)


@pytest.mark.parametrize(("tier", "not_required"), [(1, NEITHER), (2, NO_COUNCIL), (3, NO_COUNCIL), (4, ())])
async def test_an_example_goes_from_submission_to_certificate(
    own_system: System, tier: int, not_required: tuple[Stage, ...]
) -> None:
    """Whatever its tier, it passes all four stages; those that are not required, on record and with the reason."""
    system = own_system
    review = await system.opened(example(tier))
    await system.reviewed(review)
    if tier == 4:
        await system.advised(review)
        assert "training" == (await system.at(review)).stage
        await system.trained(GAP)
        await system.until_stage(review, "sign_off")
    await system.signed_off(review)

    status = await system.at(review)
    assert tier == status.tier
    assert (None, (), ()) == (status.basis, status.waits_for, status.gaps)
    assert list(Stage) == list(status.passed)
    assert set(not_required) == {stage for stage, how in status.passed.items() if how.result == "not_required"}
    entries = (await system.person(AUDITOR).timeline(review)).entries
    passages = [(entry.what, entry.said) for entry in entries if entry.what.startswith("Stage ")]
    assert [(f"Stage {STAGES[s]}: {HOW[how.result]}.", how.because) for s, how in status.passed.items()] == passages
    assert all(because for _, because in passages)
    assert (AUTHOR, "Submitted the proposal.") == (entries[0].who, entries[0].what)
    assert "Closed: approved." == entries[-1].what

    certificate = await system.person(OWNER).certificate(review)
    assert (review, tier, example(tier).title) == (certificate.review, certificate.tier, certificate.title)
    assert list(SIGNATORIES.values())[: len(certificate.signatures)] == [s.person for s in certificate.signatures]
    assert certificate.valid_until > certificate.approved_at
    assert digest(example(tier)) == certificate.rests_on[0].digest
    assert verify(await system.person(AUDITOR).evidence(review)).holds
    assert [] == await _inbox(system, OWNER)


async def test_whoever_may_ask_is_told_whose_turn_it_is(system: System) -> None:
    """And it stands in their inbox, with the digest that a decision about it names, until they took it."""
    review = await system.opened(example(3))
    (turn,) = (await system.person(OWNER).status(review)).waits_for
    assert ("reviewer", Phase.REVIEWING) == (turn.role, (await system.at(review)).phase)
    assert turn.due_at is not None
    assert turn.since < turn.due_at
    (item,) = [item for item in await _inbox(system, REVIEWERS[0]) if item["review"] == review]
    assert (digest(example(3)), None) == (item["digest"], item["basis"])
    await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet(), digest=item["digest"])
    assert review not in [item["review"] for item in await _inbox(system, REVIEWERS[0])]
    assert review in [item["review"] for item in await _inbox(system, REVIEWERS[1])]


async def test_breaches_of_one_principle_decline_it(system: System) -> None:
    """As many as sheets are needed; what else the reviewers found doesn't count."""
    review = await system.opened(example(3))
    await system.person(REVIEWERS[0]).accepted(
        review, "verdict_sheet", verdicts=sheet(fairness=Finding.BREACH, privacy=Finding.BREACH)
    )
    assert (await system.at(review)).outcome is None
    await system.person(REVIEWERS[1]).accepted(review, "verdict_sheet", verdicts=sheet(fairness=Finding.BREACH))
    status = await system.at(review)
    assert "declined" == status.outcome
    assert "fairness" in (status.outcome_because or "")
    assert 404 == (await system.person(OWNER).get(f"/reviews/{review}/certificate")).status_code


@pytest.mark.parametrize("ruling", ["proceed", "decline"])
async def test_the_officer_rules_where_the_panel_is_undecided(system: System, ruling: str) -> None:
    """All sheets are in and neither agree nor find the same breach; nobody rules before, and nobody else ever."""
    review = await system.opened(example(3))
    officer = system.person(OFFICER)
    for name, findings in zip(REVIEWERS, ({}, {"fairness": Finding.BREACH}, {"privacy": Finding.BREACH}), strict=True):
        await officer.refused(review, "out_of_stage", "ruling", ruling=ruling, reason="I have seen enough.")
        await system.person(name).accepted(review, "verdict_sheet", verdicts=sheet(**findings))
    assert {("officer", "ruling"), ("officer", "extension")} == {
        (turn.role, kind) for turn in (await system.at(review)).waits_for for kind in turn.kinds
    }
    response = await system.person(REVIEWERS[0]).say(review, "ruling", ruling=ruling, reason="I rule.")
    assert 403 == response.status_code
    await officer.accepted(review, "ruling", ruling=ruling, reason="The measures meet both concerns, or not.")
    status = await system.at(review)
    if ruling == "decline":
        assert ("declined", "principle_review") == (status.outcome, status.stage)
        return
    await system.signed_off(review)
    dissent = (await system.person(OWNER).certificate(review)).dissent
    assert [REVIEWERS[1], REVIEWERS[2]] == [voice.person for voice in dissent]


async def test_a_change_request_is_answered_by_a_revision_and_a_new_round(system: System) -> None:
    """The purpose bears on every principle: no verdict is carried, and a decision on the old digest is stale."""
    first = example(3)
    review = await system.opened(first)
    owner, reviewer = system.person(OWNER), system.person(REVIEWERS[1])
    await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet())
    await reviewer.accepted(review, "change_request", reason="Say how long the applications are kept.")
    assert Phase.WITH_OWNER == (await system.at(review)).phase
    await reviewer.refused(review, "out_of_stage", "verdict_sheet", verdicts=sheet())
    await owner.refused(review, "invalid", "revision", proposal=first.model_dump(mode="json"))

    revised = example(3, purpose=f"{first.purpose} Applications are kept for 18 months.")
    await owner.accepted(review, "revision", proposal=revised.model_dump(mode="json"))
    status = await system.at(review)
    assert (2, 2, digest(revised), []) == (status.revision, status.round, status.digest, status.sheets)
    await reviewer.refused(review, "stale", "verdict_sheet", digest=digest(first), verdicts=sheet())
    assert revised.model_dump(mode="json") == (await owner.get(f"/reviews/{review}/proposal")).json()
    before = await owner.get(f"/reviews/{review}/proposal", digest=digest(first))
    assert first.model_dump(mode="json") == before.json()
    assert 404 == (await owner.get(f"/reviews/{review}/proposal", digest="1" * 64)).status_code
    await system.reviewed(review)
    await system.signed_off(review)
    assert 2 == (await owner.certificate(review)).revision


async def test_one_member_of_the_council_gets_more_time(system: System) -> None:
    """By name, with the officer's reason; the others have as long as before, and a stranger to the case has none."""
    review = await system.opened(example(4))
    await system.reviewed(review)
    due_at = (await system.at(review)).due_at
    assert due_at is not None
    until = due_at + timedelta(days=30)
    give = {"until": until.isoformat(), "reason": "She was ill."}
    await system.person(OFFICER).refused(review, "unknown_reference", "extension", person=OWNER, **give)
    await system.person(OFFICER).accepted(review, "extension", person=COUNCIL[0], **give)
    turns = (await system.at(review)).waits_for
    assert {COUNCIL[0]: until, **dict.fromkeys(COUNCIL[1:], due_at)} == {turn.person: turn.due_at for turn in turns}
    await system.person(COUNCIL[0]).accepted(review, "opinion", stance="supports", reason="It was weighed.")


async def test_a_question_is_answered_without_a_revision(system: System) -> None:
    """A reviewer's holds nothing up; a signatory's holds the signatures until the owner has answered."""
    review = await system.opened(example(1))
    owner, head = system.person(OWNER), system.person(SIGNATORIES["business_unit_head"])
    asked = await system.person(REVIEWERS[0]).accepted(review, "question", reason="Who looks at the forecasts?")
    open_to_the_owner = (await owner.status(review)).questions
    assert [(decision_id(asked), "Who looks at the forecasts?")] == [(q.id, q.text) for q in open_to_the_owner]
    await system.reviewed(review)
    status = await system.at(review)
    assert ("sign_off", Phase.SIGNING, 1) == (status.stage, status.phase, len(status.questions))

    held = await head.accepted(review, "question", reason="What does it cost to leave it?")
    status = await system.at(review)
    assert (Phase.SIGNING, True, None) == (status.phase, status.paused, status.due_at)
    assert [(OWNER, "answer")] * 2 == [(turn.person, *turn.kinds) for turn in status.waits_for]
    response = await head.signed(review)
    assert "out_of_stage" == response.json()["reason"]
    await owner.refused(review, "unknown_reference", "answer", question="1" * 32, reason="Nothing.")
    for receipt in (held, asked):
        await owner.accepted(review, "answer", question=str(decision_id(receipt)), reason="The caretakers do.")
    await system.signed_off(review)
    entries = (await owner.timeline(review)).entries
    answers = [(entry.who, entry.said) for entry in entries if entry.what.startswith("Answered the question")]
    assert [(OWNER, "The caretakers do.")] * 2 == answers


@pytest.mark.parametrize("who", [REVIEWERS[0], OFFICER])
async def test_the_council_can_be_asked_whatever_the_tier(system: System, who: str) -> None:
    """A reviewer or the officer escalates, with a reason; then the Council is heard though the tier does not ask it."""
    review = await system.opened(example(1))
    await system.person(who).accepted(review, "escalation", reason="Those who work there should be heard.")
    await system.person(OFFICER).refused(review, "already_given", "escalation", reason="Indeed they should.")
    await system.reviewed(review)
    assert "council" == (await system.at(review)).stage
    await system.advised(review)
    await system.signed_off(review)
    status = await system.at(review)
    assert ["completed", "completed", "not_required", "completed"] == [how.result for how in status.passed.values()]
    assert 4 == len(status.conditions)


async def test_whoever_steps_aside_is_counted_nowhere(system: System) -> None:
    """Their seat is empty, the others make the quorum, and the review is no longer theirs to read."""
    review = await system.opened(example(4))
    await system.reviewed(review)
    lawyer = system.person(COUNCIL[0])
    before = await lawyer.status(review)
    await lawyer.accepted(review, "recusal", reason="I have advised the customer.")
    assert 404 == (await lawyer.get(f"/reviews/{review}")).status_code
    response = await lawyer.say(review, "opinion", digest=before.digest, stance="supports", reason="It is sound.")
    assert 404 == response.status_code
    await system.advised(review, COUNCIL[1:])
    council = (await system.at(review)).council
    assert (COUNCIL[:1], list(COUNCIL[1:])) == (council.recused, [o.person for o in council.opinions])
    assert "opinion" == council.concluded


async def test_without_a_quorum_the_officer_goes_on_and_says_why(own_system: System) -> None:
    """The consumer's seat must be filled: "no opinion obtained, because …" stands on the certificate."""
    system = own_system
    await system.trained(GAP)
    review = await system.opened(example(4))
    await system.reviewed(review)
    officer = system.person(OFFICER)
    await officer.refused(review, "out_of_stage", "no_opinion", reason="It takes too long.")
    await system.person("cai.consumer").accepted(review, "recusal", reason="I work for the customer.")
    await officer.accepted(review, "no_opinion", reason="The seat can't be filled in time.")
    await system.signed_off(review)
    assert "no_opinion" == (await system.at(review)).passed[Stage.COUNCIL].result
    certificate = await system.person(OWNER).certificate(review)
    assert "The seat can't be filled in time." == certificate.no_opinion_because


async def test_declined_advice_stands_on_the_certificate_with_its_reason(own_system: System) -> None:
    """The Council advises and holds no veto; every piece gets its answer, and a voice against is heard."""
    system = own_system
    await system.trained(GAP)
    review = await system.opened(example(4))
    await system.reviewed(review)
    for name in COUNCIL:
        await system.person(name).accepted(
            review,
            "opinion",
            stance="opposes" if name == "noa.npo" else "supports_with_advice",
            advice=[f"Advice of {name}, one.", f"Advice of {name}, two."],
            reason=f"As {name} sees it.",
        )
    pieces = (await system.at(review)).council.advice
    assert 8 == len(pieces)
    answers = [
        {"advice": pieces[0].id, "answer": "accepted", "reason": "Rightly so."},
        {"advice": pieces[1].id, "answer": "accepted_in_part", "reason": "Half of it.", "condition": "Half of it."},
        *({"advice": piece.id, "answer": "declined", "reason": f"No {n}."} for n, piece in enumerate(pieces[2:])),
    ]
    officer = system.person(OFFICER)
    await officer.accepted(review, "advice_response", answers=answers[:5])
    assert "council" == (await system.at(review)).stage
    await officer.refused(review, "already_given", "advice_response", answers=answers[:1])
    await officer.accepted(review, "advice_response", answers=answers[5:])
    await system.signed_off(review)
    certificate = await system.person(OWNER).certificate(review)
    assert [pieces[0].text, "Half of it."] == [condition.text for condition in certificate.conditions]
    assert [(piece.text, OFFICER, f"No {n}.") for n, piece in enumerate(pieces[2:])] == [
        (declined.advice, declined.answered_by, declined.reason) for declined in certificate.declined_advice
    ]
    assert [("noa.npo", "As noa.npo sees it.")] == [(voice.person, voice.reason) for voice in certificate.dissent]


async def test_conditions_of_verdicts_and_signatures_stand_on_the_certificate(system: System) -> None:
    """Whoever sets one, it is there with their name."""
    review = await system.opened(example(1))
    verdicts = sheet()
    verdicts[0] |= {"finding": "concern", "condition": "Measure it for each floor."}
    await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=verdicts)
    head = system.person(SIGNATORIES["business_unit_head"])
    assert 200 == (await head.signed(review, conditions=["For one year."])).status_code
    conditions = (await system.person(OWNER).certificate(review)).conditions
    assert [(REVIEWERS[0], "Measure it for each floor.", "verdict"), (head.name, "For one year.", "signature")] == [
        (condition.set_by, condition.text, condition.source) for condition in conditions
    ]


async def test_a_completion_wakes_exactly_the_reviews_that_wait_for_it(system: System) -> None:
    """Two wait for different people: the one goes on, and nothing happens to the other."""
    waiting = {}
    for person in ("one.newcomer", "two.newcomer"):
        review = await system.opened(example(2, staff=(Assigned(person=person, role="engineer"),)))
        await system.reviewed(review)
        status = await system.at(review)
        assert [(person, ONLINE)] == [(gap.person, gap.course) for gap in status.gaps]
        waiting[person] = review
    before = await system.told(waiting["two.newcomer"])
    counts = await system.trained(("one.newcomer", ONLINE), ("one.newcomer", LECTURE))
    assert (2, 2) == (counts["completions"], counts["new"])
    await system.until_stage(waiting["one.newcomer"], "sign_off")
    told = await system.told(waiting["one.newcomer"])
    assert 1 == told.count("A completion was recorded that this review waits for.")
    assert "Training checked: nothing is missing, by the word of tao.training." in told
    assert before == await system.told(waiting["two.newcomer"])
    assert {"completions": 1, "new": 0, "woken": 0} == await _again(system, "one.newcomer")


async def test_a_closed_review_waits_for_no_training(system: System) -> None:
    """What arrives after a withdrawal wakes nobody, now or later."""
    staff = (Assigned(person="late.newcomer", role="engineer"),)
    review = await system.opened(example(2, staff=staff))
    await system.reviewed(review)
    assert "training" == (await system.at(review)).stage
    assert 200 == (await system.person(OWNER).say(review, "withdrawal", reason="Not now.")).status_code
    before = await system.told(review)
    assert 0 == (await system.trained(("late.newcomer", ONLINE), ("late.newcomer", LECTURE)))["woken"]
    assert before == await system.told(review)


async def _again(system: System, person: str) -> dict[str, int]:
    """Import a completion that is on record already."""
    at = "2026-01-01T00:00:00Z"
    text = f"person,course,completed_at\n{person},{ONLINE},{at}"
    for _ in range(2):
        response = await system.person("tao.training").put_in("/training/import", text, "text/csv")
    counts: dict[str, int] = response.json()
    return counts


async def test_training_that_lapses_before_a_signature_takes_the_earlier_ones_with_it(own_system: System) -> None:
    """On record; the review waits for training again, and then every signature is given anew."""
    system = own_system
    staff = (Assigned(person="one.newcomer", role="engineer"),)
    await system.trained(("one.newcomer", ONLINE), expires_at=datetime.now(UTC) + timedelta(days=2))
    review = await system.opened(example(3, staff=staff))
    await system.reviewed(review)
    first, second = (system.person(name) for name in SIGNATORIES.values())
    assert 200 == (await first.signed(review)).status_code
    assert 1 == len((await system.at(review)).signatures)
    system.clock.ahead = timedelta(days=3)
    response = await second.signed(review)
    assert (409, "training_gap") == (response.status_code, response.json()["reason"])
    status = await system.at(review)
    assert ("training", [], Stage.SIGN_OFF not in status.passed) == (status.stage, status.signatures, True)
    assert ["one.newcomer"] == [gap.person for gap in status.gaps]
    told = await system.told(review)
    assert any("lapsed" in what for what in told)
    assert "Back to training." in told
    await system.trained(("one.newcomer", ONLINE))
    await system.until_stage(review, "sign_off")
    await system.signed_off(review)
    assert verify(await system.person(AUDITOR).evidence(review)).holds


async def test_signatures_are_given_in_order_and_on_what_stands(system: System) -> None:
    """The second office waits for the first; a basis that was shown before the first signature is stale after it."""
    review = await system.opened(example(3))
    await system.reviewed(review)
    first, second = (system.person(name) for name in SIGNATORIES.values())
    early = await second.status(review)
    await second.refused(review, "out_of_stage", "signature", basis=early.basis)
    await first.refused(review, "stale", "signature", basis="1" * 64)
    assert 200 == (await first.signed(review)).status_code
    await second.refused(review, "stale", "signature", basis=early.basis)
    assert early.basis != (await second.status(review)).basis
    assert 200 == (await second.signed(review)).status_code


async def test_nobody_signs_what_they_had_a_part_in(own_system: System) -> None:
    """Owner, author, staff, reviewers, advisers, whoever stepped aside, and the officer who answered the advice."""
    system = own_system
    await system.trained(GAP)
    review = await system.opened(example(4))
    involved = (OWNER, AUTHOR, "sota.engineer", REVIEWERS[0], "noa.npo", COUNCIL[0], OFFICER)
    await system.granted(*((name, "signatory", "business_unit_head") for name in involved))
    await system.granted((SIGNATORIES["business_unit_head"], "signatory", "digital_trust_head"))
    await system.reviewed(review)
    await system.person(COUNCIL[0]).accepted(review, "recusal", reason="I have advised the customer.")
    await system.advised(review, COUNCIL[1:])
    status = await system.at(review)
    (turn,) = status.waits_for
    assert set(involved) <= set(turn.not_for)
    for name in involved:
        kinds: dict[str, dict[str, Any]] = {"signature": {}, "declining": {"reason": "I don't want it."}}
        for kind, content in kinds.items():
            response = await system.person(name).say(review, kind, digest=status.digest, basis=status.basis, **content)
            # Whoever stepped aside may not even read it, nor may a judge who is on its staff.
            unseen = name in (COUNCIL[0], "sota.engineer")
            expected = (404, None) if unseen else (409, "separation_of_duties")
            assert expected == (response.status_code, response.json().get("reason")), (name, response.text)
    both = system.person(SIGNATORIES["business_unit_head"])
    assert 200 == (await both.signed(review)).status_code
    assert "separation_of_duties" == (await both.signed(review)).json()["reason"]
    await system.signed_off(review)


async def test_a_signatory_declines(system: System) -> None:
    """With a reason; that is the outcome."""
    review = await system.opened(example(1))
    await system.reviewed(review)
    head = system.person(SIGNATORIES["business_unit_head"])
    basis = (await head.status(review)).basis
    await head.accepted(review, "declining", basis=basis, reason="We can't answer for it.")
    status = await system.at(review)
    assert ("declined", "We can't answer for it.") == (status.outcome, status.outcome_because)


async def test_the_owner_withdraws_at_any_time_and_what_comes_later_is_late(system: System) -> None:
    """Nobody else withdraws. A decision after the close is refused as late, on record, and changes nothing."""
    review = await system.opened(example(3))
    await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet())
    await system.person(AUTHOR).refused(review, "not_entitled", "withdrawal", reason="I wrote it.")
    await system.person(OWNER).accepted(review, "withdrawal", reason="The customer has left.")
    await system.person(REVIEWERS[1]).refused(review, "late", "verdict_sheet", verdicts=sheet())
    status = await system.at(review)
    assert ("withdrawn", "The customer has left.", ()) == (status.outcome, status.outcome_because, status.waits_for)
    assert (await system.told(review))[-1].startswith("Refused a decision of kind verdict_sheet (late)")

    async def ended() -> bool:
        return (await system.person(AUDITOR).evidence(review)).workflow.status == "finished"

    await until(ended)
    await system.person(REVIEWERS[2]).refused(review, "late", "verdict_sheet", verdicts=sheet())
    assert (await system.told(review))[-1].startswith("Refused a decision of kind verdict_sheet (late)")
    assert verify(await system.person(AUDITOR).evidence(review)).holds


async def test_a_proposal_is_assessed_without_being_submitted(system: System) -> None:
    """The owner sees which route it will take, and why; nothing is stored."""
    owner = system.person(OWNER)
    assessed = await owner.post("/assessments", {"proposal": example(4).model_dump(mode="json")})
    assert 200 == assessed.status_code
    assert 4 == assessed.json()["tier"]
    assert "biometric_identification_in_public" in [t["id"] for t in assessed.json()["triggers"]]
    listed = (await owner.get("/reviews", limit=500)).json()["reviews"]
    review = await system.opened(example(4))
    assert [review] == [r["id"] for r in (await owner.get("/reviews", limit=500)).json()["reviews"][: -len(listed)]]
    assert assessed.json() == (await owner.get(f"/reviews/{review}/assessment")).json()


async def _inbox(system: System, name: str) -> list[dict[str, object]]:
    response = await system.person(name).get("/inbox", limit=500)
    assert 200 == response.status_code
    items: list[dict[str, object]] = response.json()["items"]
    return items
