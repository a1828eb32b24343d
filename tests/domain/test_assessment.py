"""The assessment: what counts, what it adds up to, and why."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.assessment import AnswersError, Assessment, assess
from domain.policy import Choice, IntakeIncludes, PolicyPack, read_pack
from domain.proposal import Answer, DataKind, Proposal, content_digest
from tests.domain.packs import LEAST, PACK, fitting, pack_data, proposal, proposals

FACES: dict[str, Answer] = LEAST | {
    "consent": "asked",
    "kept_for_months": 0,
    "collected_for_something_else": False,
    "biometric_use": "identify",
    "identifies_in_public": True,
    "watch_list": False,
}


def answered(given_proposal: Proposal, **changed: Answer) -> Proposal:
    """Change some answers."""
    return given_proposal.model_copy(update={"answers": given_proposal.answers | changed})


def in_order(assessment: Assessment) -> list[str]:
    """List the questions that counted."""
    return [contribution.question for contribution in assessment.contributions]


@given(proposals())
def test_every_fitting_answer_set_has_exactly_one_tier(given_proposal: Proposal) -> None:
    """The tier is where the score falls or what a trigger demands; route and reasons belong to it."""
    assessment = assess(PACK, given_proposal)
    reached = max(r.tier for r in PACK.tiers if assessment.score * 100 >= r.from_percent * assessment.max_score)
    assert max([reached, *(trigger.minimum_tier or 1 for trigger in assessment.triggers)]) == assessment.tier
    assert assessment.tier == assessment.route.tier
    assert 0 <= assessment.score == sum(each.points for each in assessment.contributions) <= assessment.max_score
    assert all(0 <= each.points <= each.most for each in assessment.contributions)
    assert assessment.route.council_required == (assessment.council_because is not None)
    assert assessment.route.council_required == (
        PACK.tiers[assessment.tier - 1].council_required or any(trigger.council for trigger in assessment.triggers)
    )
    assert all(trigger.because for trigger in assessment.triggers)
    assert in_order(assessment) == [q.id for q in PACK.questions if q.id not in assessment.ignored]
    assert (PACK.digest, content_digest(given_proposal)) == (assessment.pack_digest, assessment.content_digest)


@given(proposals())
def test_an_assessment_depends_on_nothing_else(given_proposal: Proposal) -> None:
    """The same again, and from what was stored of both."""
    again = assess(
        PolicyPack.model_validate_json(PACK.model_dump_json()),
        Proposal.model_validate_json(given_proposal.model_dump_json()),
    )
    assert assess(PACK, given_proposal) == again
    assert Assessment.model_validate_json(again.model_dump_json()) == again


@given(proposals(), st.data())
def test_hidden_answers_never_count(given_proposal: Proposal, draws: st.DataObject) -> None:
    """Whether the answer to a question that is not asked is there, changed, or gone:
    nothing but `ignored` tells of it.
    """
    before = assess(PACK, given_proposal)
    shown = set(in_order(before))
    hidden = [question for question in PACK.questions if question.id not in shown]
    assert {question.id for question in hidden} == set(before.ignored)

    kept = {name: answer for name, answer in given_proposal.answers.items() if name in shown}
    others = {question.id: draws.draw(fitting(question) | st.just("nonsense")) for question in hidden}
    for answers, ignored in ((kept, set()), (kept | others, set(others))):
        after = assess(PACK, given_proposal.model_copy(update={"answers": answers}))
        assert set(after.ignored) == ignored
        same = {"ignored": (), "content_digest": ""}
        assert before.model_copy(update=same) == after.model_copy(update=same)


def judged_by(given_proposal: Proposal, principle: str) -> tuple[object, ...]:
    """What a reviewer of this principle has before them, told from the assessment's own account of what counted."""
    assessment = assess(PACK, given_proposal)
    answers = {
        c.question: given_proposal.answers[c.question] for c in assessment.contributions if principle in c.principles
    }
    people = {"owner", "author", "business_unit", "staff", "answers"}
    return assessment.tier, assessment.route.council_required, answers, given_proposal.model_dump(exclude=people)


@given(proposals(), proposals(), st.sets(st.sampled_from(sorted(Proposal.model_fields)), max_size=2), st.data())
def test_a_principle_is_judged_by_something_else_exactly_where_that_changed(
    old: Proposal, other: Proposal, fields: set[str], draws: st.DataObject
) -> None:
    """Whatever a revision changes, and however little: the answers that bear on it, the intake, the route."""
    answers = draws.draw(st.sets(st.sampled_from(sorted(old.answers)), max_size=2))
    new = answered(
        old.model_copy(update={name: getattr(other, name) for name in fields if name != "answers"}),
        **{name: other.answers[name] for name in answers},
    )
    before, after = assess(PACK, old), assess(PACK, new)
    judged = [principle.id for principle in PACK.principles if principle.limb == "judged"]
    assert judged == list(before.inputs)
    for principle in judged:
        same = judged_by(old, principle) == judged_by(new, principle)
        assert same is (before.inputs[principle] == after.inputs[principle])


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({"answers": LEAST | {"explanation": "to_specialists"}}, {"transparency", "responsibility_to_explain"}),
        ({"answers": LEAST | {"team_knows": False}}, set()),
        ({"answers": LEAST | {"watch_list": True}}, set()),
        ({"author": "hana.owner", "business_unit": "Other", "staff": [{"person": "p1", "role": "sales"}]}, set()),
        ({"title": "Forecast of who is in meeting rooms"}, None),
        ({"how_affected": "Somebody is."}, None),
        ({"documents": [{"digest": "a" * 64, "name": "a.pdf", "media_type": "application/pdf"}]}, None),
    ],
    ids=["an answer", "an answer on training", "an answer that nobody asked", "people", "title", "text", "document"],
)
def test_what_bears_on_which_principle(changed: dict[str, object], anew: set[str] | None) -> None:
    """An answer on those that its question names; who works on it on none; everything else on all of them (None)."""
    before, after = assess(PACK, proposal()), assess(PACK, proposal(**changed))
    differing = {principle for principle, digest in before.inputs.items() if after.inputs[principle] != digest}
    assert differing == (set(before.inputs) if anew is None else anew)


@pytest.mark.parametrize(
    ("changed", "route"),
    [({"identifies_in_public": False}, (3, False)), ({"biometric_use": "categorise"}, (3, True))],
    ids=["tier", "council"],
)
def test_another_route_bears_on_every_principle(changed: dict[str, Answer], route: tuple[int, bool]) -> None:
    """A verdict is given in the knowledge of who else will look: with another tier, or the Council,
    all are given anew.
    """
    first = answered(proposal(data=["face"]), **FACES)
    if route == (3, True):
        first = answered(first, identifies_in_public=False)
    before, after = assess(PACK, first), assess(PACK, answered(first, **changed))
    assert (before.route.tier, before.route.council_required) != route
    assert (after.route.tier, after.route.council_required) == route
    assert not set(before.inputs.items()) & set(after.inputs.items())


FREE = {
    question.id: question
    for question in PACK.questions
    if isinstance(question, Choice) and f"'answer': '{question.id}'" not in str(pack_data())
}


@given(proposals(), st.data())
def test_more_at_stake_never_lowers_the_tier(given_proposal: Proposal, draws: st.DataObject) -> None:
    """Where no condition asks for an answer, one with more points gives as many more, and at least the same tier."""
    before = assess(PACK, given_proposal)
    counted = [name for name in in_order(before) if name in FREE]
    assume(counted)
    question = FREE[draws.draw(st.sampled_from(counted))]
    points = {option.id: option.points for option in question.options}
    now = str(given_proposal.answers[question.id])
    other = draws.draw(st.sampled_from([option for option in points if points[option] >= points[now]]))
    after = assess(PACK, answered(given_proposal, **{question.id: other}))
    assert before.score + points[other] - points[now] == after.score
    assert before.tier <= after.tier


def test_a_question_that_opens_others_cannot_dilute_the_score() -> None:
    """The percentage is of all questions, so harmless answers to further ones don't pull a proposal down."""
    few = assess(PACK, proposal(answers=LEAST | {"harm_if_misused": "liberty_or_life"}))
    many = assess(
        PACK,
        proposal(
            customers=[{"name": "Example Retailer", "use": "Runs it."}],
            answers=LEAST | {"harm_if_misused": "liberty_or_life", "use_is_agreed": True, "use_is_watched": True},
        ),
    )
    assert len(many.contributions) == len(few.contributions) + 2
    assert (few.score, few.max_score, few.tier) == (many.score, many.max_score, many.tier)


def test_the_least_proposal_is_of_the_lowest_tier() -> None:
    """No points, no triggers, no Council, no training; and each of these is said."""
    assessment = assess(PACK, proposal())
    assert (0, 1, (), None) == (assessment.score, assessment.tier, assessment.triggers, assessment.council_because)
    assert "0 of 162 points reach tier 1 (light), which begins at 0 percent." == assessment.tier_because
    assert "Tier 1 (light) requires no training." == assessment.training_because
    assert not assessment.route.training_required


def test_identifying_people_in_public_goes_to_the_council() -> None:
    """Whatever the points: the tier, the Council and the sentence name the reason, the trigger what caused it."""
    assessment = assess(PACK, proposal(data=["face"], answers=FACES))
    by_points = max(r.tier for r in PACK.tiers if assessment.score * 100 >= r.from_percent * assessment.max_score)
    assert (by_points, assessment.tier) == (1, 4)
    (trigger,) = (each for each in assessment.triggers if each.id == "biometric_identification_in_public")
    assert [("/answers/identifies_in_public", "yes")] == [(cause.pointer, cause.says) for cause in trigger.because]
    assert trigger.reason in assessment.tier_because
    assert trigger.reason in (assessment.council_because or "")
    assert "each Biometric operator: Biometrics and human rights, lecture" in assessment.training_because


def test_a_trigger_alone_brings_in_the_council() -> None:
    """At a tier that would not ask it by itself, with the trigger's reason."""
    work = {"output_use": "recommendation", "decision_area": ["policing"], "contestable": True}
    assessment = assess(PACK, proposal(answers=LEAST | work))
    assert 3 == assessment.tier
    assert assessment.route.council_required
    assert assessment.council_because == next(t.reason for t in PACK.triggers if t.id == "policing")
    (trigger,) = assessment.triggers
    assert [("/answers/decision_area", "policing")] == [(cause.pointer, cause.says) for cause in trigger.because]


def test_a_cause_in_the_intake_points_to_it() -> None:
    """Not to the whole field: to the entry."""
    answers = LEAST | {"consent": "asked", "kept_for_months": 0, "collected_for_something_else": False}
    assessment = assess(PACK, proposal(data=["personal", "location"], answers=answers))
    (trigger,) = assessment.triggers
    assert [("/data/0", "location"), ("/data/1", "personal")] == [(c.pointer, c.says) for c in trigger.because]


def test_contributions_tell_the_answers_in_words() -> None:
    """As the person saw them, with the points of each."""
    answers = LEAST | {"people_per_year": 1000, "team_knows": False} | {
        "compared_across_groups": "even", "people_told": "before", "voices_heard": "heard",
    }  # fmt: skip
    told = {each.question: each for each in assess(PACK, proposal(answers=answers)).contributions}
    assert ("1,000 people a year", 3, 8) == (
        told["people_per_year"].answer,
        told["people_per_year"].points,
        told["people_per_year"].most,
    )
    assert ("no", 2) == (told["team_knows"].answer, told["team_knows"].points)
    assert "Yes, and the differences are small" == told["compared_across_groups"].answer


@pytest.mark.parametrize(("people", "points"), [(0, 0), (1, 1), (999, 1), (1000, 3), (99_999, 3), (10**12, 8)])
def test_bands_begin_where_they_say(people: int, points: int) -> None:
    """A number has the points of the last band that it reaches."""
    more: dict[str, Answer] = {"compared_across_groups": "even", "people_told": "before", "voices_heard": "heard"}
    assert points == assess(PACK, proposal(answers=LEAST | more | {"people_per_year": people})).score


@pytest.mark.parametrize(("points", "tier"), [(14, 1), (15, 2), (29, 2), (30, 3), (44, 3), (45, 4), (100, 4)])
def test_a_tier_begins_exactly_at_its_percentage(points: int, tier: int) -> None:
    """A pack of one question with a hundred points: not one point sooner or later."""
    data = pack_data()
    options = [{"id": "most", "text": "Most", "points": 100}, {"id": "some", "text": "Some", "points": points}]
    principles = ["fairness"]
    data["questions"] = [{"id": "only", "kind": "choice", "text": "?", "principles": principles, "options": options}]
    data["triggers"] = []
    assert tier == assess(read_pack(data), proposal(answers={"only": "some"})).tier


@pytest.mark.parametrize("question", PACK.questions, ids=lambda question: question.id)
def test_an_answer_that_does_not_fit_is_refused(question: object) -> None:
    """For every question: a missing answer and one of each wrong kind, each with its place."""
    name = getattr(question, "id", "")
    everything = proposal(
        data=["face"],
        customers=[{"name": "Example Retailer", "use": "Runs it."}],
        answers={
            **FACES,
            "output_use": "automatic_decision",
            "decision_area": ["work"],
            "contestable": True,
            "can_be_stopped": True,
            "people_per_year": 5,
            "compared_across_groups": "even",
            "people_told": "before",
            "voices_heard": "heard",
            "makes_content": True,
            "content_is_marked": True,
            "use_is_agreed": True,
            "use_is_watched": True,
        },
    )
    assert not assess(PACK, everything).ignored
    right = everything.answers[name]
    wrong: list[Answer] = [value for value in (True, 7, "nowhere", ("nowhere",)) if type(value) is not type(right)]
    if isinstance(right, str | tuple):
        wrong.append("nowhere" if isinstance(right, str) else ("nowhere",))
    for answer in wrong:
        with pytest.raises(AnswersError) as refused:
            assess(PACK, answered(everything, **{name: answer}))
        assert f"/answers/{name}" == refused.value.problems[0].pointer
    missing = {key: value for key, value in everything.answers.items() if key != name}
    with pytest.raises(AnswersError) as refused:
        assess(PACK, everything.model_copy(update={"answers": missing}))
    assert [f"/answers/{name}"] == [problem.pointer for problem in refused.value.problems]
    assert refused.value.problems[0].detail.startswith("not answered: ")


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Questions without answers, answers without questions, and a role that nobody can be trained for."""
    answers = {name: answer for name, answer in LEAST.items() if name not in {"team_knows", "explanation"}}
    faulty = proposal(answers=answers | {"weather": True}, staff=[{"person": "p1", "role": "biometric_enginer"}])
    with pytest.raises(AnswersError) as refused:
        assess(PACK, faulty)
    assert ["/answers/explanation", "/answers/team_knows", "/answers/weather", "/staff/0/role"] == [
        problem.pointer for problem in refused.value.problems
    ]


def test_what_is_not_answered_opens_nothing() -> None:
    """Only the question itself is missing, not those that its answer would open."""
    with pytest.raises(AnswersError) as refused:
        assess(PACK, proposal(answers={name: LEAST[name] for name in LEAST if name != "makes_content"}))
    assert ["/answers/makes_content"] == [problem.pointer for problem in refused.value.problems]


def test_every_biometric_kind_opens_the_biometric_questions() -> None:
    """A kind of data that is added to the intake cannot be forgotten in the pack."""
    (question,) = (question for question in PACK.questions if question.id == "biometric_use")
    (trigger,) = (trigger for trigger in PACK.triggers if trigger.id == "biometric_data")
    (personal,) = (trigger for trigger in PACK.triggers if trigger.id == "personal_data")
    assert isinstance(question.when, IntakeIncludes)
    assert isinstance(trigger.when, IntakeIncludes)
    assert isinstance(personal.when, IntakeIncludes)
    assert question.when.any_of == trigger.when.any_of
    covered = {*trigger.when.any_of, *personal.when.any_of, "not_personal"}
    assert set(DataKind) == covered
