"""Policy packs: data that holds together, or is refused with the place where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.people import Seat
from domain.policy import Limb, PolicyPack, read_pack
from domain.problems import ProblemsError, pointer_to
from domain.route import Allowance, Phase, Route
from tests.domain.packs import PACK, pack_data

Path = tuple[str | int, ...]

REFERENCES = ("answer", "any_of", "intake", "officer", "deputy_officer", "office", "deputy", "role", "course")


def references(value: Any, path: Path = ()) -> Iterator[Path]:
    """Find every place in a pack's data where something else is named."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from references(inner, (*path, key))
        case list():
            for at, inner in enumerate(value):
                yield from references(inner, (*path, at))
        case str() if path[-1] in REFERENCES or path[-2:-1] == ("any_of",):
            yield path
        case str() if path[0] == "questions" and path[-2:-1] == ("principles",):
            yield path


def put(data: Any, path: Path, value: object) -> None:
    """Write `value` at a path of plain data."""
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def take(data: Any, path: Path) -> Any:
    """Read what stands at a path of plain data."""
    for part in path:
        data = data[part]
    return data


def refusal(data: object) -> list[str]:
    """Read a pack that must be refused; the pointers of what is wrong with it."""
    with pytest.raises(ProblemsError) as refused:
        read_pack(data)
    return [problem.pointer for problem in refused.value.problems]


def test_there_are_references_to_break() -> None:
    """The search for them finds every kind."""
    found = set(references(pack_data()))
    assert len(found) > 100
    assert set(REFERENCES) - {"any_of"} <= {path[-1] for path in found}


@pytest.mark.parametrize("path", list(references(pack_data())), ids=lambda path: pointer_to(*path))
def test_a_broken_reference_is_refused(path: Path) -> None:
    """A pack with any one name that refers to nothing is refused, and the place is told."""
    data = pack_data()
    put(data, path, "nowhere")
    assert pointer_to(*path) in refusal(data)


def test_working_days_need_a_calendar() -> None:
    """Every allowance that counts them is named."""
    data = pack_data()
    del data["calendar"]
    assert 16 == len(refusal(data))
    assert "/tiers/0/allowances/reviewing" in refusal(data)


def test_a_pack_without_a_calendar_keeps_its_digest() -> None:
    """It is written as before there were calendars, so that reviews pinned to it find it."""
    data = pack_data()
    del data["calendar"]
    for tier in data["tiers"]:
        tier["allowances"] = {key: {"remind_after": "P5D", "due_after": "P10D"} for key in Phase}
    written = read_pack(data).model_dump(mode="json")
    assert "calendar" not in written
    assert {"remind_after": "P5D", "due_after": "P10D"} == written["tiers"][0]["allowances"]["signing"]


@given(st.data())
def test_a_key_that_means_nothing_is_refused(draws: st.DataObject) -> None:
    """Wherever it stands: a mistyped key must not be a rule that silently does not hold."""
    data = pack_data()
    place: Path = ()
    while True:
        here = take(data, place)
        inner = [
            k for k, v in (here.items() if isinstance(here, dict) else enumerate(here)) if isinstance(v, dict | list)
        ]
        if isinstance(here, dict) and (not inner or draws.draw(st.booleans())):
            break
        if not inner:
            place = ()
            continue
        place = (*place, draws.draw(st.sampled_from(inner)))
    take(data, place)["surplus"] = 1
    pointers = refusal(data)
    # In a condition, the keys tell the form: there the whole is not one. A phase that does not exist is told as its key.
    assert any(pointer in {pointer_to(*place), pointer_to(*place, "surplus")} for pointer in pointers), pointers


def test_a_pack_is_only_what_is_in_it() -> None:
    """The way through JSON leaves the pack and its digest as they were."""
    again = PolicyPack.model_validate_json(PACK.model_dump_json())
    assert again == PACK
    assert PACK.digest == again.digest
    assert PACK.digest == read_pack(pack_data()).digest


def test_any_change_changes_the_digest() -> None:
    """A review that is pinned to a digest is pinned to every point."""
    data = pack_data()
    data["questions"][0]["options"][1]["points"] += 1
    assert PACK.digest != read_pack(data).digest


def test_durations_have_one_way_to_be_written() -> None:
    """A year is 365 days, and the digest does not depend on how the duration was written."""
    data = pack_data()
    data["tiers"][3]["valid_for"] = "P365D"
    assert PACK.digest == read_pack(data).digest
    route = PACK.route(4, council_required=False)
    assert timedelta(days=365) == route.valid_for
    assert "P365D" == route.model_dump(mode="json")["valid_for"]
    assert Route.model_validate_json(route.model_dump_json()) == route


@given(st.integers(1, 3660 * 86400 - 1))
def test_a_duration_survives_being_written(seconds: int) -> None:
    """Whole seconds come back as they were."""
    allowance = Allowance(remind_after=timedelta(seconds=seconds), due_after=timedelta(seconds=seconds + 1))
    assert Allowance.model_validate_json(allowance.model_dump_json()) == allowance


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("version",), 1.0, "/version"),
        (("tiers", 0, "from_percent"), 1, "/tiers/0/from_percent"),
        (("tiers", 2, "from_percent"), 15, "/tiers/2/from_percent"),
        (("tiers", 3, "from_percent"), 101, "/tiers/3/from_percent"),
        (("tiers", 1, "tier"), 3, "/tiers/1/tier"),
        (("tiers", 3, "reviewers"), {"needed": 3, "panel": 2}, "/tiers/3/reviewers"),
        (("tiers", 3, "council", "quorum"), 5, "/tiers/3/council/quorum"),
        (("tiers", 3, "council", "quorum"), 0, "/tiers/3/council/quorum"),
        (("tiers", 3, "council", "seats"), ["lawyer", "lawyer", "consumer"], "/tiers/3/council"),
        (("tiers", 3, "council", "must_include"), ["lawyer", "npo", "academic", "consumer"], "/tiers/3/council"),
        (("tiers", 3, "council"), {"seats": ["lawyer"], "quorum": 1, "must_include": ["npo"]}, "/tiers/3/council"),
        (("tiers", 3, "allowances", "signing", "remind_after"), "P21D", "/tiers/3/allowances/signing"),
        (("tiers", 3, "allowances", "signing", "due_after"), "-P1D", "/tiers/3/allowances/signing/due_after"),
        (("tiers", 3, "allowances", "signing", "due_after"), 30, "/tiers/3/allowances/signing/due_after"),
        (("tiers", 3, "allowances", "consulting", "remind_after"), "P180D", "/tiers/3/allowances/consulting"),
        (("tiers", 3, "allowances", "signing", "remind_after"), {"working_days": 15}, "/tiers/3/allowances/signing"),
        (("tiers", 3, "allowances", "signing", "remind_after"), {"working_days": 0}, "/tiers/3/allowances/signing"),
        (
            ("tiers", 3, "allowances", "signing", "due_after"),
            {"working_days": "5"},
            "/tiers/3/allowances/signing/due_after/working_days",
        ),
        (
            ("tiers", 3, "allowances", "signing", "due_after"),
            {"working_days": 5, "hours": 3},
            "/tiers/3/allowances/signing/due_after/hours",
        ),
        (("calendar", "holidays", 0, "day"), "2026-13-01", "/calendar/holidays/0/day"),
        (("tiers", 3, "valid_for"), "P1.5S", "/tiers/3/valid_for"),
        (("tiers", 3, "signatories", 1, "office"), "business_unit_head", "/tiers/3"),
        (("tiers", 3, "signatories", 1, "office"), "ai_governance_officer", "/tiers/3"),
        (("tiers", 3, "signatories"), [], "/tiers/3/signatories"),
        (("questions", 0, "options", 0, "points"), -1, "/questions/0/options/0/points"),
        (("questions", 0, "options", 0, "points"), 0.5, "/questions/0/options/0/points"),
        (("questions", 0, "options", 1, "id"), "internal_aid", "/questions/0/options"),
        (("questions", 0, "kind"), "poem", "/questions/0"),
        (("questions", 0, "when"), {"answer": "output_use", "equals": True}, "/questions/0/when/answer"),
        (("questions", 1, "id"), "output_use", "/questions"),
        (("questions", 4, "bands", 2, "at_least"), 1000, "/questions/4/bands"),
        (("questions", 1, "when"), {"answer": "output_use", "equals": True}, "/questions/1/when"),
        (("questions", 1, "when"), {"answer": "output_use", "at_least": 3}, "/questions/1/when"),
        (("questions", 1, "when"), {"output_use": True}, "/questions/1/when"),
        (("questions", 1, "when"), {"all": []}, "/questions/1/when/all"),
        (("questions", 1, "when"), {"none": [{"any": [{"intake": "phase", "any_of": ["dreaming"]}]}]},
         "/questions/1/when/none/0/any/0/any_of/0"),
        (("triggers", 0), {"id": "idle", "when": {"intake": "phase", "any_of": ["research"]}, "reason": "None."},
         "/triggers/0"),
        (("triggers", 0, "minimum_tier"), 5, "/triggers/0/minimum_tier"),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_refused(path: Path, value: object, pointer: str) -> None:
    """Each fault is told with its place."""
    data = pack_data()
    put(data, path, value)
    assert pointer in refusal(data)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("tier", range(4))
def test_every_phase_of_every_tier_needs_an_allowance(tier: int, phase: Phase) -> None:
    """Nothing waits without a deadline."""
    data = pack_data()
    del data["tiers"][tier]["allowances"][phase]
    assert [f"/tiers/{tier}/allowances"] == refusal(data)


def test_there_are_four_tiers() -> None:
    """Not three."""
    data = pack_data()
    del data["tiers"][3]
    assert ["/tiers"] == refusal(data)


def test_conditions_cannot_go_in_a_circle() -> None:
    """Two questions that wait for each other: the first refers to what is not asked before it."""
    data = pack_data()
    questions = [question["id"] for question in data["questions"]]
    first, second = questions.index("makes_content"), questions.index("content_is_marked")
    data["questions"][first]["when"] = {"answer": "content_is_marked", "equals": True}
    assert [f"/questions/{first}/when/answer"] == refusal(data)
    assert second > first


def test_all_faults_are_told_at_once() -> None:
    """Whoever writes a pack need not try again for every fault."""
    data = pack_data()
    data["tiers"][0]["officer"] = "nobody"
    data["questions"][0]["principles"] = ["beauty"]
    assert {"/tiers/0/officer", "/questions/0/principles/0"} == set(refusal(data))


@pytest.mark.parametrize("nothing", [None, [], "pack", {}])
def test_what_is_no_pack_at_all_is_refused(nothing: object) -> None:
    """An empty file too."""
    assert refusal(nothing)


def test_deep_nesting_is_refused() -> None:
    """A condition within conditions without end is a refusal, not a crash."""
    condition: dict[str, object] = {"intake": "phase", "any_of": ["research"]}
    for _ in range(5_000):
        condition = {"all": [condition]}
    data = pack_data()
    data["questions"][1]["when"] = condition
    assert refusal(data)


def test_the_shipped_pack_has_the_seven_principles() -> None:
    """Five are judged by the reviewers, the sixth is the training gate, the seventh the Council."""
    assert [
        ("fairness", Limb.JUDGED),
        ("privacy", Limb.JUDGED),
        ("transparency", Limb.JUDGED),
        ("responsibility_to_explain", Limb.JUDGED),
        ("proper_utilization", Limb.JUDGED),
        ("talent_development", Limb.TRAINING),
        ("stakeholder_dialogue", Limb.COUNCIL),
    ] == [(principle.id, principle.limb) for principle in PACK.principles]
    asked_about = {name for question in PACK.questions for name in question.principles}
    assert {principle.id for principle in PACK.principles} == asked_about
    assert len(PACK.questions) >= 12


def test_the_shipped_tiers_differ() -> None:
    """The lowest needs one reviewer and one signatory; the highest two of three, Council,
    recurring training, two in order.
    """
    lowest, second, third, highest = (PACK.route(tier, council_required=False) for tier in (1, 2, 3, 4))
    assert (1, 1) == (lowest.reviewers.needed, lowest.reviewers.panel)
    assert (2, 3) == (highest.reviewers.needed, highest.reviewers.panel)
    assert ["business_unit_head"] == [step.office for step in lowest.signatories]
    assert ["business_unit_head", "digital_trust_head"] == [step.office for step in highest.signatories]
    assert [False, False, False, True] == [r.council_required for r in (lowest, second, third, highest)]
    assert [False, True, True, True] == [r.training_required for r in (lowest, second, third, highest)]
    assert second.requirements[0].courses[0].valid_for is None
    assert timedelta(days=365) == third.requirements[0].courses[0].valid_for
    lecture = {each.role: [course.id for course in each.courses] for each in highest.requirements}
    assert {
        None: ["ai-human-rights-online"],
        "biometric_engineer": ["biometrics-human-rights-lecture"],
        "biometric_product_manager": ["biometrics-human-rights-lecture"],
        "biometric_operator": ["biometrics-human-rights-lecture"],
    } == lecture
    assert all(course.valid_for for each in highest.requirements for course in each.courses)
    assert timedelta(days=180) == highest.allowances[Phase.CONSULTING].due_after
    assert set(Seat) == set(highest.council.seats)
    assert [(), (), (), ("signature",)] == [r.step_up for r in (lowest, second, third, highest)]


def test_a_route_can_be_sent_to_the_council() -> None:
    """A trigger brings the Council into any tier; the tier's own demand stands without one."""
    assert PACK.route(1, council_required=True).council_required
    assert PACK.route(4, council_required=False).council_required
