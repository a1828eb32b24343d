"""Routes that nobody can fulfil, over HTTP: noticed when it becomes so, told to whoever can mend it, and mended."""

from __future__ import annotations

from datetime import timedelta

from domain.events import Blocked, Unblocked
from domain.ledger import Entry
from domain.people import Assigned
from domain.verification import verify
from store.registers import Registers
from tests.support.harness import SIGNER, until
from tests.support.mail import MailServer, mail_server
from tests.support.system import (
    AUDITOR,
    OFFICER,
    OPERATOR,
    REVIEWERS,
    SIGNATORIES,
    TRAINING_OFFICER,
    System,
    example,
    sheet,
)

HEAD, DEPUTY = SIGNATORIES["business_unit_head"], "be.deputy"


async def asked(system: System, person: str, review: str) -> list[str]:
    """What this person is to see to, of what is lacking for a review."""
    items = (await system.person(person).get("/inbox")).json()["items"]
    return [i["turn"]["what"] for i in items if i["review"] == review and i["turn"]["kinds"] == ["grant"]]


async def entries(system: System, review: str) -> list[str]:
    """The types of the entries of its ledger that tell of what is lacking, in order."""
    recorded = (await system.person(AUDITOR).evidence(review)).entries
    events = (Entry.model_validate_json(each.data).event for each in recorded)
    return [event.type for event in events if isinstance(event, Blocked | Unblocked)]


async def revoke(system: System, person: str) -> None:
    """Take every role from somebody."""
    registers = Registers(system.database, SIGNER)
    for grant in await registers.grants(person):
        await registers.revoke(grant.id, "They left.", by=OPERATOR)


async def test_a_signatory_lost_in_principle_review_is_missed_within_seconds(without_worker: System) -> None:
    """Operators and officer are told and written to; with a new one the review goes on to its certificate."""
    system = without_worker
    address = f"person,name,unit,role,office,email\n{OPERATOR},Root,Example,,,root@example.org\n"
    assert 200 == (await system.person(OPERATOR).put_in("/people/import", address, "text/csv")).status_code
    async with mail_server() as mail, system.worker(smtp_url=mail.url, mail_from="ringi@example.org"):
        review, other = [await system.opened(example(1, title=title)) for title in ("To be stuck", "Beside it")]
        await system.person(REVIEWERS[0]).accepted(other, "verdict_sheet", verdicts=sheet())
        assert 200 == (await system.person(HEAD).signed(other)).status_code
        gone = await system.person(OPERATOR).post(f"/people/{DEPUTY}/disabled", {"because": "On leave."})
        assert 204 == gone.status_code
        await revoke(system, HEAD)
        await until(lambda: asked(system, OPERATOR, review), seconds=30)
        (what,) = await asked(system, OPERATOR, review)
        assert what.startswith("Nobody can sign as ")
        assert [what] == await asked(system, OFFICER, review)
        assert what in [turn.what for turn in (await system.person(OFFICER).status(review)).waits_for]
        assert 404 == (await system.person(OPERATOR).get(f"/reviews/{review}")).status_code
        assert ["blocked"] == await entries(system, review)
        assert [] == await entries(system, other)

        await until(lambda: told(system), seconds=30)
        system.clock.ahead += timedelta(minutes=2)
        await until(lambda: arrived(mail), seconds=30)

        await system.granted(("new.head", "signatory", "business_unit_head"))
        await until(lambda: unblocked(system, review), seconds=30)
        assert [] == await asked(system, OPERATOR, review) == await asked(system, OFFICER, review)
        await system.person(REVIEWERS[0]).accepted(review, "verdict_sheet", verdicts=sheet())
        assert 200 == (await system.person("new.head").signed(review)).status_code
        assert (await system.person(AUDITOR).certificate(review)).signatures[0].person == "new.head"
        assert ["blocked", "unblocked"] == await entries(system, review)
        assert verify(await system.person(AUDITOR).evidence(review)).holds


async def told(system: System) -> bool:
    """Whether the operator was told of something that is lacking."""
    notices = (await system.person(OPERATOR).get("/me/notices")).json()["notices"]
    return "blocked" in [notice["kind"] for notice in notices]


async def arrived(mail: MailServer) -> bool:
    """Whether the operator was written to of what is lacking."""
    return ["Blocked: To be stuck"] == [letter["Subject"] for letter in mail.to("root@example.org")]


async def unblocked(system: System, review: str) -> bool:
    """Whether the record says that nothing is lacking any more."""
    return "unblocked" in await entries(system, review)


async def test_an_absence_that_ends_by_itself_is_noticed(own_system: System) -> None:
    """Left to somebody who stands for the proposal, a role is held by nobody; until they are back."""
    system = own_system
    gone = await system.person(OPERATOR).post(f"/people/{DEPUTY}/disabled", {"because": "On leave."})
    assert 204 == gone.status_code
    proposal = example(1)
    review = await system.opened(proposal)
    starts, ends = (system.clock() + timedelta(days=days) for days in (1, 3))
    left = {
        "taker": proposal.owner,
        "roles": ["signatory"],
        "starts_at": starts.isoformat(),
        "ends_at": ends.isoformat(),
    }
    assert 201 == (await system.person(HEAD).post("/delegations", left)).status_code
    await own_system.person(REVIEWERS[0]).accepted(review, "question", reason="Who checks it?")
    assert [] == await entries(system, review)
    system.clock.ahead += timedelta(days=2)
    await until(lambda: asked(system, OPERATOR, review), seconds=30)
    assert "kept from this proposal" in (await asked(system, OPERATOR, review))[0]
    system.clock.ahead += timedelta(days=2)
    await until(lambda: unblocked(system, review), seconds=30)
    assert ["blocked", "unblocked"] == await entries(system, review)


async def test_a_training_officer_lost_is_missed_and_found_again(own_system: System) -> None:
    """While the staff have something to learn: nobody else could say that they learned it."""
    system = own_system
    review = await system.opened(example(3, staff=(Assigned(person="one.newcomer", role="engineer"),)))
    await revoke(system, TRAINING_OFFICER)
    await until(lambda: asked(system, OPERATOR, review), seconds=30)
    (what,) = await asked(system, OPERATOR, review)
    assert what.startswith("Nobody can enter what was completed in training")
    await system.granted(("new.trainer", "training_officer", ""))
    await until(lambda: unblocked(system, review), seconds=30)
