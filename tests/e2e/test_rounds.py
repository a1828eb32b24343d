"""A revision in front of reviewers: what they are asked for anew, what is carried, and what a stale decision is told."""

from __future__ import annotations

from api.schemas import ReviewOut
from domain.proposal import Proposal
from domain.stages import Stage
from domain.verification import verify
from store.registers import Registers
from tests.support.harness import SIGNER
from tests.support.system import (
    AUDITOR,
    JUN,
    KEI,
    OFFICER,
    OWNER,
    PRINCIPLES,
    RIN,
    SIGNATORIES,
    System,
    digest,
    example,
    sheet,
)

OTHERS = [principle for principle in PRINCIPLES if principle != "privacy"]


def shorter(first: Proposal) -> Proposal:
    """The proposal with one answer changed, to a question that names privacy alone."""
    return first.model_copy(update={"answers": first.answers | {"kept_for_months": 6}})


async def revise(system: System, review: str, asker: str, revised: Proposal) -> None:
    """Have somebody ask for changes and the owner answer with this text."""
    await system.person(asker).accepted(review, "change_request", reason="It is kept too long.")
    await system.person(OWNER).accepted(review, "revision", proposal=revised.model_dump(mode="json"))


def asked(status: ReviewOut) -> dict[str | None, list[str]]:
    """Which reviewer is asked for verdicts on what; None is whoever has not spoken yet."""
    return {turn.person: list(turn.principles) for turn in status.waits_for if turn.role == "reviewer"}


async def in_inbox(system: System, person: str, review: str) -> list[list[str]]:
    """What somebody's inbox asks them to judge of this review."""
    items = (await system.person(person).get("/inbox", limit=500)).json()["items"]
    return [item["turn"]["principles"] for item in items if item["review"] == review]


async def test_one_answer_is_changed_and_one_principle_is_judged_anew(system: System) -> None:
    """Everything else is carried, marked, and one of it reopened with a reason; the certificate says what it rests on."""
    first = example(3)
    review = await system.opened(first)
    rin, jun, owner = (system.person(name) for name in (RIN, JUN, OWNER))
    verdicts = sheet()
    verdicts[0] |= {"finding": "concern", "condition": "Measured for each group every month."}
    await rin.accepted(review, "verdict_sheet", verdicts=verdicts)
    revised = shorter(first)
    await revise(system, review, JUN, revised)

    status = await system.at(review)
    assert [(RIN, 1, OTHERS)] == [(s.person, s.carried_from, list(s.findings)) for s in status.sheets]
    assert ["Measured for each group every month."] == [condition.text for condition in status.conditions]
    assert ("/answers/kept_for_months",) == status.changes
    assert {RIN: ["privacy"], None: list(PRINCIPLES)} == asked(status)
    assert [["privacy"]] == await in_inbox(system, RIN, review)
    assert [list(PRINCIPLES)] == await in_inbox(system, JUN, review)
    assert [] == await in_inbox(system, OFFICER, review)

    stale = await jun.refused(review, "stale", "verdict_sheet", digest=digest(first), verdicts=sheet())
    assert stale.detail == (
        f"You were shown revision 1 ({digest(first)[:12]}), and the proposal is now at revision 2 "
        f"({digest(revised)[:12]}). Changed since: /answers/kept_for_months."
    )
    changes = (await jun.get(f"/reviews/{review}/changes", since=digest(first))).json()
    assert ["/answers/kept_for_months"] == changes["changes"]
    assert (1, 2, digest(revised)) == (changes["since"], changes["revision"], changes["digest"])

    await rin.refused(review, "already_given", "verdict_sheet", verdicts=sheet())
    await jun.refused(review, "incomplete", "verdict_sheet", verdicts=sheet("privacy"))
    await rin.accepted(review, "verdict_sheet", verdicts=sheet("privacy"))
    unreasoned = await jun.say(review, "reopening", principle="transparency")
    assert 422 == unreasoned.status_code
    await jun.accepted(review, "reopening", principle="transparency", reason="The notice must say the new period.")
    await jun.refused(review, "unknown_reference", "reopening", principle="privacy", reason="Once more.")
    assert {RIN: ["transparency"], None: list(PRINCIPLES)} == asked(await system.at(review))
    assert [["transparency"]] == await in_inbox(system, RIN, review)
    await rin.accepted(review, "verdict_sheet", verdicts=sheet("transparency"))
    await jun.accepted(review, "verdict_sheet", verdicts=sheet())

    carried = [principle for principle in OTHERS if principle != "transparency"]
    because = (await system.at(review)).passed[Stage.PRINCIPLE_REVIEW].because
    assert because.endswith(f"of revision 1 on {', '.join(carried)}.")
    await system.signed_off(review)
    rests_on = [part.what for part in (await owner.certificate(review)).rests_on]
    assert "verdict sheet 1, carried from revision 1" in rests_on
    assert {"verdict sheet 2", "verdict sheet 3", "verdict sheet 4"} <= set(rests_on)
    told = await system.told(review)
    assert any(
        what.endswith(f"To be judged anew: privacy. Verdicts carried: {RIN} on {', '.join(OTHERS)}.") for what in told
    )
    assert "Reopened the verdicts on transparency that were carried." in told
    evidence = await system.person(AUDITOR).evidence(review)
    result = verify(evidence, await Registers(system.database, SIGNER).registry.entries())
    assert result.holds, result.difference


async def test_nothing_that_is_judged_changed_and_nobody_is_asked_again(system: System) -> None:
    """Other staff: the verdicts are carried, the stage is passed with the revision; a reviewer can still reopen one."""
    first = example(3)
    review = await system.opened(first)
    await system.reviewed(review)
    await revise(system, review, OFFICER, first.model_copy(update={"staff": first.staff[:1]}))
    status = await system.at(review)
    assert (2, "sign_off") == (status.revision, status.stage)
    assert [1, 1] == [s.carried_from for s in status.sheets]
    head = system.person(SIGNATORIES["business_unit_head"])
    assert 200 == (await head.signed(review)).status_code
    basis = (await system.at(review)).basis

    kei = system.person(KEI)
    await kei.accepted(review, "reopening", principle="fairness", reason="The one who knew the groups has left.")
    assert {RIN: ["fairness"], JUN: ["fairness"], None: list(PRINCIPLES)} == asked(await system.at(review))
    for name in (RIN, JUN):
        await system.person(name).accepted(review, "verdict_sheet", verdicts=sheet("fairness"))
    second = system.person(SIGNATORIES["digital_trust_head"])
    await second.refused(review, "out_of_stage", "signature", basis=basis)
    late = await head.refused(review, "stale", "signature", basis=basis)
    assert "the review went back. The verdicts on fairness were reopened." in (late.detail or "")
    await system.signed_off(review)


async def test_a_stale_signature_is_told_what_came_since(system: System) -> None:
    """The other signature, by its name."""
    review = await system.opened(example(3))
    await system.reviewed(review)
    early = (await system.at(review)).basis
    first, second = (system.person(name) for name in SIGNATORIES.values())
    assert 200 == (await first.signed(review)).status_code
    late = await second.refused(review, "stale", "signature", basis=early)
    assert "there came: signature of the business_unit_head." in (late.detail or "")


async def test_changes_are_told_to_who_may_read_the_review(system: System) -> None:
    """And of its own revisions only; of the present one, nothing has changed."""
    review = await system.opened(example(3))
    await system.opened(example(1))
    owner, at = system.person(OWNER), f"/reviews/{review}/changes"
    assert [] == (await owner.get(at, since=digest(example(3)))).json()["changes"]
    for wrong, status in ((digest(example(1)), 404), ("1" * 64, 404), ("1", 422)):
        assert status == (await owner.get(at, since=wrong)).status_code
    assert 422 == (await owner.get(at)).status_code
    assert 404 == (await system.person("sota.engineer").get(at, since=digest(example(3)))).status_code
