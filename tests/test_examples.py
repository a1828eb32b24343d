"""The examples: one proposal per tier, and the people and completions that they are played with."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest

from domain.assessment import Assessment, assess
from domain.people import Grant, Person, Role, Seat
from domain.policy import PolicyPack
from domain.proposal import Proposal
from runtime.packs import load_proposal, shipped_packs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROPOSALS = sorted(EXAMPLES.glob("*.yaml"))


@pytest.fixture(scope="module")
def pack() -> PolicyPack:
    """Give the one shipped pack."""
    (pack,) = shipped_packs()
    return pack


def rows(name: str) -> list[dict[str, str]]:
    """Read a CSV file of the examples."""
    with (EXAMPLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_one_for_each_tier() -> None:
    """Their names begin with it."""
    assert ["tier-1", "tier-2", "tier-3", "tier-4"] == [path.name[:6] for path in PROPOSALS]


@pytest.mark.parametrize("path", PROPOSALS, ids=lambda path: path.stem)
def test_each_is_of_the_tier_that_it_names(path: Path, pack: PolicyPack) -> None:
    """And answers exactly what is asked of it."""
    assessment = assess(pack, load_proposal(path))
    assert path.name.startswith(f"tier-{assessment.tier}-")
    assert () == assessment.ignored


@pytest.mark.parametrize("path", PROPOSALS, ids=lambda path: path.stem)
def test_everybody_named_is_known(path: Path) -> None:
    """Owner, author and staff; the first two may propose."""
    proposal = load_proposal(path)
    people = {row["person"]: row["role"] for row in rows("people.csv")}
    assert {proposal.owner, proposal.author, *(member.person for member in proposal.staff)} <= people.keys()
    assert {"owner"} == {people[proposal.owner], people[proposal.author]}
    assert all(not people[member.person] for member in proposal.staff)


def test_the_people_are_valid_and_plainly_examples() -> None:
    """Every row is a person and, where it has a role, a grant."""
    for row in rows("people.csv"):
        assert ["person", "name", "unit", "role", "office"] == list(row)
        Person(id=row["person"], name=row["name"], unit=row["unit"])
        assert row["name"].startswith("Example ")
        assert row["unit"].startswith("Example ")
        if row["role"]:
            Grant(id=row["person"], person=row["person"], role=Role(row["role"]), office=row["office"] or None)
        else:
            assert not row["office"]


def test_every_office_and_seat_is_held(pack: PolicyPack) -> None:
    """So that every example can be taken to its outcome, by a deputy too, and with a full panel."""
    people = rows("people.csv")
    assert {office.id for office in pack.offices} == {
        row["office"] for row in people if row["role"] in {"officer", "signatory"}
    }
    assert sorted(Seat) == sorted(row["office"] for row in people if row["role"] == "council_member")
    assert set(Role) - {Role.SERVICE} == {row["role"] for row in people if row["role"]}
    reviewers = [row for row in people if row["role"] == "reviewer"]
    assert len(reviewers) >= max(tier.reviewers.panel for tier in pack.tiers)


def gaps(assessment: Assessment, proposal: Proposal, completed: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Find who lacks which course, whatever the dates."""
    return {
        (member.person, course.id)
        for member in proposal.staff
        for requirement in assessment.route.requirements
        if requirement.role in {None, member.role}
        for course in requirement.courses
    } - completed


def test_one_gap_is_left_for_the_highest_tier(pack: PolicyPack) -> None:
    """The lecture of one operator; and no other example waits for training."""
    training = rows("training.csv")
    known = {row["person"] for row in rows("people.csv")}
    assert {row["person"] for row in training} <= known
    assert {row["course"] for row in training} <= {course.id for course in pack.courses}
    assert all(datetime.fromisoformat(row["completed_at"]).utcoffset() is not None for row in training)
    completed = {(row["person"], row["course"]) for row in training}
    left = {}
    for path in PROPOSALS:
        proposal = load_proposal(path)
        left[path.name[:6]] = gaps(assess(pack, proposal), proposal, completed)
    assert {("ren.operator", "biometrics-human-rights-lecture")} == left.pop("tier-4")
    assert not any(left.values())
