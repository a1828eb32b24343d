"""The proposal: bounded in every part, and named by a digest that depends on what it says and on nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.problems import problems_of
from domain.proposal import COUNTRIES, Proposal, content_digest
from tests.domain.packs import proposal, proposals


def shuffled(value: Any, chance: random.Random) -> Any:
    """Shuffle the keys of every object in plain data."""
    match value:
        case dict():
            keys = list(value)
            chance.shuffle(keys)
            return {key: shuffled(value[key], chance) for key in keys}
        case list():
            return [shuffled(inner, chance) for inner in value]
        case _:
            return value


@given(proposals(), st.randoms(use_true_random=False))
def test_digest_does_not_depend_on_order(given_proposal: Proposal, chance: random.Random) -> None:
    """Neither the order of keys nor the order of what is a set changes the digest; nor does a way through JSON."""
    data = shuffled(json.loads(given_proposal.model_dump_json()), chance)
    for name in ("data", "affected", "jurisdictions"):
        chance.shuffle(data[name])
    for answer in data["answers"].values():
        if isinstance(answer, list):
            chance.shuffle(answer)
    again = Proposal.model_validate(data)
    assert given_proposal == again
    assert content_digest(given_proposal) == content_digest(again)


@given(proposals(), proposals())
def test_digest_tells_proposals_apart(one: Proposal, other: Proposal) -> None:
    """Two proposals have one digest only if they say the same."""
    assert (one == other) == (content_digest(one) == content_digest(other))


def test_digest_tells_yes_from_one() -> None:
    """Python holds 1 and True for equal; the digest must not."""
    assert content_digest(proposal(answers={"q": True})) != content_digest(proposal(answers={"q": 1}))


DOCUMENT = {"digest": "0" * 64, "name": "impact.pdf", "media_type": "application/pdf"}


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"purpose": "x" * 10_001}, "/purpose"),
        ({"purpose": "NUL \0"}, "/purpose"),
        ({"owner": "hana owner"}, "/owner"),
        ({"phase": "dreaming"}, "/phase"),
        ({"data": []}, "/data"),
        ({"data": ["face", "tail"]}, "/data/1"),
        ({"data": ["face", "face"]}, "/data"),
        ({"data": ["face", "not_personal"]}, "/data"),
        ({"affected": ["nobody", "children"]}, "/affected"),
        ({"jurisdictions": []}, "/jurisdictions"),
        ({"jurisdictions": ["JP", "UK"]}, "/jurisdictions/1"),
        ({"jurisdictions": ["jp"]}, "/jurisdictions/0"),
        ({"jurisdictions": [False]}, "/jurisdictions/0"),
        ({"customers": [{"name": "Example Retailer"}]}, "/customers/0/use"),
        ({"customers": [{"name": "Example Retailer", "use": "x", "price": 3}]}, "/customers/0/price"),
        ({"customers": [{"name": "Example Retailer", "use": "x"}] * 51}, "/customers"),
        ({"staff": [{"person": "sota.engineer", "role": "engineer"}] * 2}, "/staff"),
        ({"staff": [{"person": "sota.engineer", "role": "Engineer"}]}, "/staff/0/role"),
        ({"answers": {"q": 0.5}}, "/answers/q"),
        ({"answers": {"q": 1.0}}, "/answers/q"),
        ({"answers": {"q": -1}}, "/answers/q"),
        ({"answers": {"q": 10**12 + 1}}, "/answers/q"),
        ({"answers": {"q": None}}, "/answers/q"),
        ({"answers": {"q": "Some Text"}}, "/answers/q"),
        ({"answers": {"q": ["a", "a"]}}, "/answers/q"),
        ({"answers": {"q": ["a", 1]}}, "/answers/q"),
        ({"answers": {"q": {"a": 1}}}, "/answers/q"),
        ({"answers": {"Q/1": True}}, "/answers/Q~11"),
        ({"answers": {f"q{number}": True for number in range(201)}}, "/answers"),
        ({"documents": [DOCUMENT, {**DOCUMENT, "name": "the-same.pdf"}]}, "/documents"),
        ({"documents": [{**DOCUMENT, "name": "../impact.pdf"}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "name": ".."}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "name": "...."}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "name": ". ."}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "name": "\u200b"}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "name": "impact\u202efdp.exe"}]}, "/documents/0/name"),
        ({"documents": [{**DOCUMENT, "digest": "A" * 64}]}, "/documents/0/digest"),
        ({"documents": [{**DOCUMENT, "media_type": "pdf"}]}, "/documents/0/media_type"),
        ({"colour": "blue"}, "/colour"),
    ],
)
def test_refused_with_its_place(changed: dict[str, object], pointer: str) -> None:
    """What does not fit is refused, and one problem points to it."""
    data = json.loads(proposal().model_dump_json()) | changed
    with pytest.raises(ValidationError) as refused:
        Proposal.model_validate(data)
    assert [pointer] == [problem.pointer for problem in problems_of(refused.value, data)]


def test_missing_field_is_named() -> None:
    """The place of what is missing is the place where it should stand."""
    data = json.loads(proposal().model_dump_json())
    del data["owner"]
    with pytest.raises(ValidationError) as refused:
        Proposal.model_validate(data)
    assert ["/owner"] == [problem.pointer for problem in problems_of(refused.value, data)]


def test_one_person_can_have_several_roles() -> None:
    """Only the pair of person and role is unique."""
    staff = [{"person": "sota.engineer", "role": role} for role in ("engineer", "operator")]
    assert len(proposal(staff=staff).staff) == 2


def test_every_country_is_two_capitals() -> None:
    """ISO 3166-1 assigns 249 codes; EU is reserved there, and allowed beside them."""
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in COUNTRIES)
    assert ("EU", "JP") == proposal(jurisdictions=["JP", "EU"]).jurisdictions
