"""What the tests of the policy share: the shipped pack, as a value and as data, and generated proposals that fit it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from domain.people import Assigned
from domain.policy import Choice, Choices, Number, PolicyPack, Question, YesNo, read_pack
from domain.proposal import Affected, Answer, Counterparty, DataKind, ProjectPhase, Proposal
from runtime.packs import SHIPPED, load_pack_data

_DATA = load_pack_data(SHIPPED / "nec-human-rights.yaml")


def pack_data() -> dict[str, Any]:
    """Read the shipped pack as plain data, a fresh copy each time, without YAML's sharing of parts."""
    data: dict[str, Any] = copied(_DATA)
    return data


def copied(value: Any) -> Any:
    """Copy plain data so deeply that no two places share a part."""
    match value:
        case dict():
            return {key: copied(inner) for key, inner in value.items()}
        case list():
            return [copied(inner) for inner in value]
        case _:
            return value


PACK: PolicyPack = read_pack(pack_data())

LEAST: dict[str, Answer] = {
    "output_use": "internal_aid",
    "people_per_year": 0,
    "origin_of_training_data": "documented",
    "explanation": "to_anybody",
    "makes_content": False,
    "harm_if_misused": "nuisance",
    "team_knows": True,
}
"""Answers to everything that is asked of a proposal about nothing personal, each with no points."""


def proposal(**changed: object) -> Proposal:
    """Make a proposal of the least risk, with some of its fields changed."""
    fields: dict[str, object] = {
        "title": "Forecast of the air in meeting rooms",
        "business_unit": "Example Facilities",
        "owner": "hana.owner",
        "author": "aki.author",
        "purpose": "To save energy.",
        "phase": "development",
        "use_of_ai": "A regression model.",
        "data": ["not_personal"],
        "affected": ["nobody"],
        "how_affected": "Nobody is.",
        "jurisdictions": ["JP"],
        "answers": LEAST,
    }
    return Proposal.model_validate(fields | changed)


def fitting(question: Question) -> st.SearchStrategy[Answer]:
    """Generate answers that fit the question."""
    match question:
        case YesNo():
            return st.booleans()
        case Choice(options=options):
            return st.sampled_from([option.id for option in options])
        case Choices(options=options):
            return st.lists(st.sampled_from([option.id for option in options]), unique=True).map(
                lambda chosen: tuple(sorted(chosen))
            )
        case Number(bands=bands):
            edges = [edge for band in bands for edge in (band.at_least - 1, band.at_least) if edge >= 0]
            return st.sampled_from(edges) | st.integers(0, 10**9)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    """Generate proposals with an answer to every question of the shipped pack, asked or not."""
    kinds = st.lists(st.sampled_from([k for k in DataKind if k is not DataKind.NOT_PERSONAL]), min_size=1, unique=True)
    groups = st.lists(st.sampled_from([g for g in Affected if g is not Affected.NOBODY]), min_size=1, unique=True)
    roles = st.sampled_from([role.id for role in PACK.roles])
    staff = st.lists(st.builds(Assigned, person=st.sampled_from(["p1", "p2", "p3"]), role=roles), unique=True)
    return proposal(
        phase=draw(st.sampled_from(ProjectPhase)),
        data=draw(st.just([DataKind.NOT_PERSONAL]) | kinds),
        affected=draw(st.just([Affected.NOBODY]) | groups),
        customers=draw(st.sampled_from([(), (Counterparty(name="Example Retailer", use="Runs it."),)])),
        jurisdictions=draw(st.lists(st.sampled_from(["JP", "US", "EU", "DE"]), min_size=1, unique=True)),
        staff=draw(staff),
        answers={question.id: draw(fitting(question)) for question in PACK.questions},
    )
