"""Absences: what waits for somebody waits for their delegate, for a time, and both names stand on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.system import REVIEWERS, System, example, sheet

REVIEWER, TAKER = REVIEWERS[0], "olga.owner"
OPERATOR = "ops.operator"


def days(number: float) -> str:
    """So many days from now."""
    return (datetime.now(UTC) + timedelta(days=number)).isoformat()


async def inbox(system: System, person: str) -> set[str]:
    """The reviews that wait for this person."""
    items = (await system.person(person).get("/inbox")).json()["items"]
    return {item["review"] for item in items}


async def test_a_delegation_that_starts_while_a_decision_waits_moves_it(own_system: System) -> None:
    """To the taker and back; the record names who acted, and for whom."""
    system = own_system
    await system.granted((TAKER, "owner", ""))
    review = await system.opened(example(1))
    reviewer, taker = system.person(REVIEWER), system.person(TAKER)
    assert (await inbox(system, REVIEWER), await inbox(system, TAKER)) == ({review}, set())
    assert 404 == (await taker.get(f"/reviews/{review}")).status_code

    left = await reviewer.post("/delegations", {"taker": TAKER, "roles": ["reviewer"], "ends_at": days(7)})
    assert 201 == left.status_code, left.text
    delegation = left.json()
    assert (REVIEWER, TAKER, ["reviewer"]) == (delegation["giver"], delegation["taker"], delegation["roles"])
    assert [delegation] == (await taker.get("/delegations")).json()["delegations"]
    assert (await inbox(system, REVIEWER), await inbox(system, TAKER)) == (set(), {review})

    assert 409 == (await reviewer.say(review, "verdict_sheet", verdicts=sheet())).status_code
    await taker.accepted(review, "verdict_sheet", verdicts=sheet())
    told = (await system.person("ava.auditor").get(f"/reviews/{review}/timeline")).json()["entries"]
    assert any(TAKER in str(entry) and REVIEWER in str(entry) for entry in told)

    assert 204 == (await taker.delete(f"/delegations/{delegation['id']}")).status_code
    assert [] == (await reviewer.get("/delegations")).json()["delegations"]
    assert 404 == (await reviewer.delete(f"/delegations/{delegation['id']}")).status_code
    assert 404 == (await taker.get(f"/reviews/{review}")).status_code


@pytest.mark.parametrize(
    ("by", "said", "sentence"),
    [
        (REVIEWER, {"taker": REVIEWER}, "own delegate"),
        (REVIEWERS[1], {"giver": REVIEWER}, "Only whoever holds roles"),
        (OPERATOR, {"giver": REVIEWER, "taker": OPERATOR}, "Nobody makes themselves"),
        (REVIEWER, {"roles": ["auditor"]}, "What can be left"),
        (REVIEWER, {"taker": "nobody.known"}, "nobody with the id"),
        (REVIEWER, {"ends_at": days(-1)}, "ends after it starts"),
        (REVIEWER, {"ends_at": days(1000)}, "at most"),
    ],
)
async def test_a_delegation_against_the_rules_is_refused(
    own_system: System, by: str, said: dict[str, object], sentence: str
) -> None:
    """With the rule, in a sentence."""
    await own_system.granted((TAKER, "owner", ""))
    body = {"taker": TAKER, "roles": ["reviewer"], "ends_at": days(7), **said}
    response = await own_system.person(by).post("/delegations", body)
    assert 409 == response.status_code, response.text
    assert sentence in response.json()["detail"]


async def test_delegations_make_no_chains(own_system: System) -> None:
    """What somebody took they can't pass on; an operator leaves roles for somebody who can't, and ends it again."""
    system = own_system
    await system.granted((TAKER, "owner", ""))
    body = {"giver": REVIEWER, "taker": REVIEWERS[1], "roles": ["reviewer"], "ends_at": days(7)}
    operator = system.person(OPERATOR)
    left = await operator.post("/delegations", body)
    assert 201 == left.status_code, left.text
    chained = {"taker": TAKER, "roles": ["reviewer"], "ends_at": days(3)}
    assert 409 == (await system.person(REVIEWERS[1]).post("/delegations", chained)).status_code
    assert 404 == (await system.person(TAKER).delete(f"/delegations/{left.json()['id']}")).status_code
    assert 403 == (await system.person(REVIEWERS[1]).get("/delegations", person=TAKER)).status_code
    (listed,) = (await operator.get("/delegations", person=REVIEWER)).json()["delegations"]
    assert 204 == (await operator.delete(f"/delegations/{listed['id']}")).status_code
    assert 201 == (await system.person(REVIEWERS[1]).post("/delegations", chained)).status_code
