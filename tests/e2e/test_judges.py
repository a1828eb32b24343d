"""Whose judgement it is, over HTTP: a delegate's for somebody else, nobody's who is too close,
and several people's at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.people import Assigned
from domain.route import SignatoryStep
from domain.stages import Stage
from domain.verification import verify
from store.registers import Registers
from tests.support.harness import SIGNER, until
from tests.support.system import (
    AUDITOR,
    AUTHOR,
    JUN,
    KEI,
    OFFICER,
    OPERATOR,
    OWNER,
    PACK,
    RIN,
    SIGNATORIES,
    Person,
    System,
    example,
    sheet,
)

HEAD, TAKER = SIGNATORIES["business_unit_head"], "olga.owner"
OTHER_HEADS = ("cy.head", "ed.head")


async def holds(system: System, review: str) -> None:
    """The record holds, and so does everybody's authority, by the registry."""
    evidence = await system.person(AUDITOR).evidence(review)
    result = verify(evidence, await Registers(system.database, SIGNER).registry.entries())
    assert result.holds, result.difference


async def waits_for(system: System, person: str, review: str) -> list[str | None]:
    """For whom it waits in somebody's inbox."""
    items = (await system.person(person).get("/inbox", limit=500)).json()["items"]
    return [item["for_person"] for item in items if item["review"] == review]


async def test_a_delegate_signs_and_both_names_are_on_the_certificate(own_system: System) -> None:
    """Who signed, in whose place; the giver's seal is on it."""
    system = own_system
    await system.granted((TAKER, "owner", ""))
    review = await system.opened(example(1))
    await system.reviewed(review)
    ends_at = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    left = await system.person(HEAD).post("/delegations", {"taker": TAKER, "roles": ["signatory"], "ends_at": ends_at})
    assert 201 == left.status_code, left.text
    assert ([], [HEAD]) == (await waits_for(system, HEAD, review), await waits_for(system, TAKER, review))
    absent = await system.person(HEAD).signed(review)
    assert (409, "absent") == (absent.status_code, absent.json()["reason"])
    assert 200 == (await system.person(TAKER).signed(review)).status_code
    (sealed,) = (await system.person(OWNER).certificate(review)).signatures
    assert (TAKER, HEAD, True) == (sealed.person, sealed.for_person, sealed.meaning.startswith(f"for {HEAD}: "))
    await holds(system, review)


async def test_what_was_said_before_a_conflict_was_declared_counts_no_more(system: System) -> None:
    """The review goes back to where it stood, and whoever stepped aside sees nothing of it;
    another judges in their place.
    """
    review = await system.opened(example(3))
    await system.reviewed(review)
    assert 200 == (await system.person(HEAD).signed(review)).status_code
    rin = system.person(RIN)
    await rin.accepted(review, "conflict", reason="My brother leads the customer's project.")
    status = await system.at(review)
    assert (Stage.PRINCIPLE_REVIEW, [JUN], []) == (status.stage, [s.person for s in status.sheets], status.signatures)
    for path in ("", "/proposal", "/timeline"):
        assert 404 == (await rin.get(f"/reviews/{review}{path}")).status_code
    assert [] == await waits_for(system, RIN, review)
    assert [None] == await waits_for(system, KEI, review)
    assert 404 == (await rin.say(review, "question", digest=status.digest, reason="One more thing.")).status_code
    await system.person(KEI).accepted(review, "verdict_sheet", verdicts=sheet())
    await system.signed_off(review)
    assert not any(RIN in part.what for part in (await system.person(OWNER).certificate(review)).rests_on)
    assert {f"What {RIN} said counts no more: decisions 1.", "Signatures lapsed: 1."} <= set(await system.told(review))
    await holds(system, review)


async def test_who_stepped_aside_is_asked_for_nothing_of_it_in_another_role(own_system: System) -> None:
    """Not as training officer, nor in the owner's place: neither the turn nor the title is in their inbox, however long
    it is; what they may read comes after.
    """
    system = own_system
    await system.granted((RIN, "training_officer", ""))
    newcomer = (Assigned(person="one.newcomer", role="engineer"),)
    review, another = [await system.opened(example(3, staff=newcomer)) for _ in range(2)]
    rin = system.person(RIN)
    await rin.accepted(review, "conflict", reason="My brother leads the customer's project.")
    await system.person(JUN).accepted(review, "question", reason="Who checks it?")
    for each in (review, another):
        for name in (JUN, KEI):
            await system.person(name).accepted(each, "verdict_sheet", verdicts=sheet())
        assert Stage.TRAINING is (await system.at(each)).stage
    assert [[], [None]] == [await waits_for(system, RIN, each) for each in (review, another)]
    ends_at = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    for giver in (OWNER, AUTHOR):
        left = await system.person(giver).post("/delegations", {"taker": RIN, "roles": ["owner"], "ends_at": ends_at})
        assert 201 == left.status_code, left.text
    assert [] == await waits_for(system, RIN, review)
    (first,) = (await rin.get("/inbox", limit=1)).json()["items"]
    assert another == first["review"]


async def test_a_reviewer_of_the_unit_or_on_the_staff_finds_it_nowhere(own_system: System) -> None:
    """In no list, in no inbox, under no address, however the name of the unit is spelt; another reviewer does."""
    system = own_system
    proposal = example(3, staff=(Assigned(person=KEI, role="engineer"),))
    unit = proposal.business_unit.upper().replace(" ", "  ")
    table = f"person,name,unit,role,office\nuna.reviewer,Una,{unit},reviewer,\n"
    assert 200 == (await system.person(OPERATOR).put_in("/people/import", table, "text/csv")).status_code
    review = await system.opened(proposal)
    for person, sees in (("una.reviewer", False), (KEI, False), (RIN, True)):
        listed = (await system.person(person).get("/reviews")).json()["reviews"]
        assert sees is (review in {row["id"] for row in listed})
        assert sees is bool(await waits_for(system, person, review))
        answered = await system.person(person).get(f"/reviews/{review}")
        assert (200 if sees else 404) == answered.status_code


async def test_who_is_of_the_unit_to_which_the_owner_moves_sees_it_no_more(own_system: System) -> None:
    """Within seconds, although nobody decides anything; and what they say of it at once is refused, on record."""
    system = own_system
    review, another = [await system.opened(example(3)) for _ in range(2)]
    table = f"person,name,unit,role,office\nuna.reviewer,Una,Sales,reviewer,\n{OWNER},Owner,Sales,,\n"
    assert 200 == (await system.person(OPERATOR).put_in("/people/import", table, "text/csv")).status_code
    una = system.person("una.reviewer")
    await until(lambda: hidden(una, another))
    await until(lambda: hidden(una, review))
    assert [] == (await una.get("/inbox")).json()["items"]
    timeline = (await system.person(OFFICER).get(f"/reviews/{review}/timeline")).json()
    assert f"{OWNER} (Sales)" in str(timeline)


async def hidden(person: Person, review: str) -> bool:
    """Whether this person finds nothing there."""
    answered = await person.get(f"/reviews/{review}")
    return answered.status_code == 404


async def test_two_of_three_heads_sign(own_system: System) -> None:
    """As the policy says it: in any order, each in their own name; the third is not waited for."""
    system = own_system
    step = SignatoryStep.model_validate(
        {
            "office": "business_unit_head",
            "title": "Heads of the business units",
            "meaning": "approves as one of the heads",
            "people": [HEAD, *OTHER_HEADS],
            "needed": 2,
        }
    )
    tiers = tuple(tier.model_copy(update={"signatories": (step,)}) for tier in PACK.tiers)
    await Registers(system.database, SIGNER).publish(PACK.model_copy(update={"version": "0.4", "tiers": tiers}))
    await system.granted(*((name, "signatory", "business_unit_head") for name in (*OTHER_HEADS, "fu.head")))
    review = await system.opened(example(1))
    await system.reviewed(review)
    assert 200 == (await system.person(OTHER_HEADS[1]).signed(review)).status_code
    twice = await system.person(OTHER_HEADS[1]).signed(review)
    assert (409, "separation_of_duties") == (twice.status_code, twice.json()["reason"])
    unnamed = await system.person("fu.head").signed(review)
    assert (409, "not_entitled") == (unnamed.status_code, unnamed.json()["reason"])
    assert "(1 of 2 signed)" in (await system.at(review)).waits_for[0].what
    await system.person(OTHER_HEADS[0]).accepted(review, "claim", act="signature")
    assert [] == await waits_for(system, HEAD, review)
    assert 200 == (await system.person(OTHER_HEADS[0]).signed(review)).status_code
    certificate = await system.person(OWNER).certificate(review)
    assert [*reversed(OTHER_HEADS)] == [sealed.person for sealed in certificate.signatures]
    await holds(system, review)
