"""Real use cases become proposals that the shipped pack can assess."""

from __future__ import annotations

from collections import Counter

import pytest

from domain.assessment import assess
from domain.proposal import content_digest
from runtime.packs import shipped_packs
from tests.support.inventory import PATH, proposals

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the inventory of AI use cases is not at hand")


def test_proposals_are_spread_over_the_tiers() -> None:
    """Each is valid, answers exactly what it is asked, and every tier has its share."""
    (pack,) = shipped_packs()
    chosen = proposals(seed=1, n=25)
    assessments = [assess(pack, proposal) for proposal in chosen]
    assert all(not assessment.ignored for assessment in assessments)
    assert {1: 7, 2: 6, 3: 6, 4: 6} == Counter(assessment.tier for assessment in assessments)


def test_a_seed_names_the_same_proposals() -> None:
    """For ever, and others than another seed."""
    one, again, other = ([content_digest(p) for p in proposals(seed, 8)] for seed in (7, 7, 8))
    assert one == again
    assert one != other
    assert 8 == len(set(one))


def test_every_row_is_a_proposal() -> None:
    """However dirty its labels are; and there is no more than all of them."""
    assert 2_133 == len(proposals(seed=0, n=2_133))
    with pytest.raises(ValueError, match="fewer than 2134"):
        proposals(seed=0, n=2_134)
