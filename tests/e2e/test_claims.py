"""Claims over HTTP: of several people one does it, whoever asks at the same instant, and nobody holds it for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

from domain.route import Allowance, Phase
from domain.verification import verify
from store.registers import Registers
from tests.support.harness import SIGNER, until
from tests.support.system import AUDITOR, JUN, KEI, OFFICER, OPERATOR, PACK, REVIEWERS, RIN, System, example, sheet

CLAIM: dict[str, Any] = {"act": "verdict_sheet"}


async def waits_for(system: System, review: str) -> list[str]:
    """Which reviewers have it in their inbox."""
    found = []
    for name in REVIEWERS:
        items = (await system.person(name).get("/inbox", limit=500)).json()["items"]
        found += [name for item in items if item["review"] == review]
    return found


async def test_of_two_who_claim_at_the_same_instant_one_has_it(system: System) -> None:
    """Each twice: one is told yes both times, the other no; then it is given back, and assigned by name."""
    review = await system.opened(example(1))
    assert [*REVIEWERS] == await waits_for(system, review)
    ids = {name: str(uuid4()) for name in (RIN, JUN)}
    answers = await asyncio.gather(
        *(system.person(name).say(review, "claim", id=ids[name], **CLAIM) for name in (RIN, JUN, RIN, JUN))
    )
    by_person = {name: {answers[n].status_code, answers[n + 2].status_code} for n, name in enumerate((RIN, JUN))}
    assert [{200}, {409}] == sorted(by_person.values(), key=min)
    holder, other = sorted((RIN, JUN), key=lambda name: min(by_person[name]))
    (turn,) = (await system.at(review)).waits_for
    assert ((holder,), True) == (turn.claimed_by, turn.taken)
    assert [holder] == await waits_for(system, review)
    (claim,) = (await system.at(review)).claims
    assert (holder, "verdict_sheet", None, False) == (claim.person, claim.act, claim.assigned_by, claim.paused)
    assert claim.due_at is not None
    assert claim.due_at > claim.since

    told = await system.person(other).refused(review, "claimed", "verdict_sheet", verdicts=sheet())
    assert (told.detail or "").startswith(f"{holder} claimed it")
    await system.person(other).accepted(review, "question", reason="Who reads the figures?")
    await system.person(other).refused(review, "unknown_reference", "release")
    await system.person(holder).accepted(review, "release")
    assert [*REVIEWERS] == await waits_for(system, review)
    await system.person(other).accepted(review, "claim", **CLAIM)

    officer = system.person(OFFICER)
    assert 422 == (await officer.say(review, "reassignment", **CLAIM, reason="Nobody is named.")).status_code
    assert 422 == (await officer.say(review, "reassignment", **CLAIM, person=KEI)).status_code, "without a reason"
    reason = "They are away this week."
    await officer.refused(review, "invalid", "reassignment", **CLAIM, person="hana.owner", reason=reason)
    await officer.refused(review, "claimed", "reassignment", **CLAIM, person=KEI, reason=reason)
    await officer.accepted(review, "reassignment", **CLAIM, person=KEI, instead_of=other, reason=reason)
    assert [KEI] == await waits_for(system, review)
    assert [(KEI, OFFICER)] == [(c.person, c.assigned_by) for c in (await system.at(review)).claims]
    await system.person(KEI).accepted(review, "verdict_sheet", verdicts=sheet())
    status = await system.at(review)
    assert ("sign_off", []) == (status.stage, status.claims)
    assert {
        "Claimed a verdict sheet.",
        "Gave back what they had claimed.",
        f"Assigned a verdict sheet to {KEI} in place of {other}.",
    } <= set(await system.told(review))
    await system.signed_off(review)
    evidence = await system.person(AUDITOR).evidence(review)
    result = verify(evidence, await Registers(system.database, SIGNER).registry.entries())
    assert result.holds, result.difference


async def test_a_claim_runs_out_while_its_maker_does_nothing(own_system: System) -> None:
    """Its time is the policy's; then it is for everybody again, without anybody's doing."""
    system = own_system
    hasty = Allowance(remind_after=timedelta(seconds=3), due_after=timedelta(hours=1))
    tiers = tuple(t.model_copy(update={"allowances": {**t.allowances, Phase.REVIEWING: hasty}}) for t in PACK.tiers)
    await Registers(system.database, SIGNER).publish(PACK.model_copy(update={"version": "0.3", "tiers": tiers}))
    review = await system.opened(example(1))
    await system.person(JUN).accepted(review, "claim", **CLAIM)

    # Not that it is held meanwhile: on a busy machine its time is over before anybody has looked.
    async def free() -> bool:
        return [*REVIEWERS] == await waits_for(system, review)

    await until(free, seconds=40)
    assert any(f"({JUN}); next in line: reviewer." in what for what in await system.told(review))
    await system.person(RIN).accepted(review, "verdict_sheet", verdicts=sheet())
    evidence = await system.person(AUDITOR).evidence(review)
    assert verify(evidence, await Registers(system.database, SIGNER).registry.entries()).holds


async def test_the_claim_of_who_loses_the_role_ends(system: System) -> None:
    """Within seconds it is for the others, on record, and the verifier follows."""
    review = await system.opened(example(1))
    await system.granted(("new.reviewer", "reviewer", ""))
    await system.person("new.reviewer").accepted(review, "claim", **CLAIM)
    assert [] == await waits_for(system, review)
    registers = Registers(system.database, SIGNER)
    for grant in await registers.grants("new.reviewer"):
        await registers.revoke(grant.id, "They left.", by=OPERATOR)

    async def free() -> bool:
        return [*REVIEWERS] == await waits_for(system, review)

    await until(free, seconds=30)
    assert "The claim of new.reviewer is ended: what they claimed falls to them no more." in await system.told(review)
    assert [] == (await system.at(review)).claims
    evidence = await system.person(AUDITOR).evidence(review)
    assert verify(evidence, await Registers(system.database, SIGNER).registry.entries()).holds
