"""The assessment: a policy pack applied to a proposal. Which tier, which route, and what caused it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, JsonValue

from domain.canonical import digest_of
from domain.policy import (
    AllOf,
    AnswerAtLeast,
    AnswerIncludes,
    AnswerIs,
    AnyOf,
    Choice,
    Choices,
    Condition,
    IntakeField,
    IntakeIncludes,
    NoneOf,
    Number,
    PolicyPack,
    Question,
    Trigger,
    YesNo,
)
from domain.problems import Problem, ProblemsError, pointer_to
from domain.proposal import Answer, Proposal, content_digest
from domain.route import Route
from domain.values import Digest, Slug, Value


class AnswersError(ProblemsError):
    """The answers are not answers to this pack's questions; each problem points into the proposal."""


class Cause(Value):
    """Something in the proposal that a result rests on: where it stands, and what it says."""

    pointer: str
    says: str


class Contribution(Value):
    """What one answer adds to the score, of the most that an answer to that question can add."""

    question: Slug
    text: str
    answer: str
    points: int
    most: int
    principles: tuple[Slug, ...]


class Triggered(Value):
    """A trigger that holds, with its reason and what in the proposal caused it."""

    id: Slug
    reason: str
    because: tuple[Cause, ...]
    minimum_tier: int | None
    council: bool


class Assessment(Value):
    """What the pack makes of the proposal. The same two always give the same assessment."""

    pack_id: Slug
    pack_version: str
    pack_digest: Digest
    content_digest: Digest
    score: int
    max_score: int
    contributions: tuple[Contribution, ...]
    ignored: tuple[Slug, ...]
    """The questions that are answered although nothing asks them: kept with the proposal, and never counted."""
    tier: int
    tier_because: str
    triggers: tuple[Triggered, ...]
    council_because: str | None
    """Why the Council is asked; None where only an escalation can bring it in."""
    training_because: str
    route: Route
    inputs: dict[Slug, Digest] = Field(default_factory=dict)
    """Per principle that reviewers judge, the digest of all that it is judged by: see `_inputs`."""


def assess(pack: PolicyPack, proposal: Proposal) -> Assessment:
    """Apply `pack` to `proposal`.

    An answer counts if its question is asked, which is decided by the answers before it and by the intake. The score
    is the sum of the points of the answers that count; the tier is the highest that the score reaches as a percentage
    of `pack.max_score`, or the highest that a trigger demands if that is higher.

    Raises:
        AnswersError: a question that is asked has no answer, or none that fits it; an answer belongs to no question;
            or a member of staff has a role that the pack does not know.
    """
    visible, counted, problems = _walk(pack, proposal)
    unknown = proposal.answers.keys() - {question.id for question in pack.questions}
    problems += [_problem("answers", name, says="there is no such question") for name in sorted(unknown)]
    roles = {role.id for role in pack.roles}
    problems += [
        _problem(
            "staff", at, "role", says=f"the policy knows no role {member.role!r}; it has {', '.join(sorted(roles))}"
        )
        for at, member in enumerate(proposal.staff)
        if member.role not in roles
    ]
    if problems:
        raise AnswersError(problems)

    contributions = tuple(_contribution(question, counted[question.id]) for question in visible)
    score = sum(contribution.points for contribution in contributions)
    triggers = tuple(
        _triggered(trigger, proposal, counted) for trigger in pack.triggers if _holds(trigger.when, proposal, counted)
    )
    tier, tier_because = _tier(pack, score, triggers)
    rule = pack.tiers[tier - 1]
    calling = [trigger.reason for trigger in triggers if trigger.council]
    route = pack.route(tier, council_required=bool(calling))
    if rule.council_required:
        calling.insert(0, f"Every proposal of tier {tier} ({rule.name}) goes to the Council.")
    return Assessment(
        pack_id=pack.id,
        pack_version=pack.version,
        pack_digest=pack.digest,
        content_digest=content_digest(proposal),
        score=score,
        max_score=pack.max_score,
        contributions=contributions,
        ignored=tuple(sorted(proposal.answers.keys() - counted.keys())),
        tier=tier,
        tier_because=tier_because,
        triggers=triggers,
        council_because=" ".join(calling) or None,
        training_because=_training_because(pack, route),
        route=route,
        inputs=_inputs(pack, proposal, route, {question.id: question for question in visible}),
    )


def _walk(pack: PolicyPack, proposal: Proposal) -> tuple[list[Question], dict[str, Answer], list[Problem]]:
    """Go through the questions from the top: which are asked, which answers count, what is wrong with the others."""
    visible: list[Question] = []
    counted: dict[str, Answer] = {}
    problems: list[Problem] = []
    for question in pack.questions:
        if question.when is not None and not _holds(question.when, proposal, counted):
            continue
        visible.append(question)
        answer = proposal.answers.get(question.id)
        fault = "not answered" if answer is None else _fault(question, answer)
        if answer is None or fault is not None:
            problems.append(_problem("answers", question.id, says=f"{fault}: {question.text}"))
        else:
            counted[question.id] = answer
    return visible, counted, problems


def _problem(*path: str | int, says: str) -> Problem:
    return Problem(pointer=pointer_to(*path), detail=says)


def _fault(question: Question, answer: Answer) -> str | None:
    """Say why the answer does not fit the question; None if it does."""
    match question:
        case YesNo():
            return None if isinstance(answer, bool) else "must be true or false"
        case Number():
            return None if isinstance(answer, int) and not isinstance(answer, bool) else "must be a whole number"
        case Choice(options=options):
            choices = [option.id for option in options]
            return None if isinstance(answer, str) and answer in choices else f"must be one of {', '.join(choices)}"
        case Choices(options=options):
            choices = [option.id for option in options]
            fits = isinstance(answer, tuple) and set(answer) <= set(choices)
            return None if fits else f"must be a list of some of {', '.join(choices)}"


def _contribution(question: Question, answer: Answer) -> Contribution:
    return Contribution(
        question=question.id,
        text=question.text,
        answer=_words(question, answer),
        points=_points(question, answer),
        most=question.most,
        principles=question.principles,
    )


def _points(question: Question, answer: Answer) -> int:
    match question:
        case YesNo():
            return question.points_if_yes if answer is True else question.points_if_no
        case Choice() | Choices():
            chosen = _chosen(answer)
            return sum(option.points for option in question.options if option.id in chosen)
        case Number():
            assert isinstance(answer, int)
            reached = [band.points for band in question.bands if band.at_least <= answer]
            return reached[-1] if reached else 0


def _words(question: Question, answer: Answer) -> str:
    match question:
        case YesNo():
            return "yes" if answer is True else "no"
        case Choice() | Choices():
            chosen = _chosen(answer)
            return "; ".join(option.text for option in question.options if option.id in chosen) or "none of them"
        case Number():
            return f"{answer:,} {question.unit}"


def _chosen(answer: Answer) -> tuple[str, ...]:
    match answer:
        case str():
            return (answer,)
        case tuple():
            return answer
        case _:
            return ()


def _intake(field: IntakeField, proposal: Proposal) -> list[tuple[str, str]]:
    """List what the field names, each with the pointer to where the proposal says so."""
    match field:
        case IntakeField.PHASE:
            return [("/phase", proposal.phase)]
        case IntakeField.DATA:
            return [(pointer_to("data", at), kind) for at, kind in enumerate(proposal.data)]
        case IntakeField.AFFECTED:
            return [(pointer_to("affected", at), group) for at, group in enumerate(proposal.affected)]
        case IntakeField.JURISDICTIONS:
            return [(pointer_to("jurisdictions", at), code) for at, code in enumerate(proposal.jurisdictions)]
        case IntakeField.ROLES:
            return [(pointer_to("staff", at, "role"), member.role) for at, member in enumerate(proposal.staff)]
        case IntakeField.PASSED_ON_TO:
            customers = [("/customers", "customers")] if proposal.customers else []
            return customers + ([("/partners", "partners")] if proposal.partners else [])


def _holds(when: Condition, proposal: Proposal, counted: Mapping[str, Answer]) -> bool:
    """Say whether the condition holds, over the intake and the answers that count."""
    match when:
        case AnswerIs():
            return counted.get(when.answer) is when.equals
        case AnswerIncludes():
            return when.answer in counted and not set(_chosen(counted[when.answer])).isdisjoint(when.any_of)
        case AnswerAtLeast():
            answer = counted.get(when.answer)
            return isinstance(answer, int) and answer >= when.at_least
        case IntakeIncludes():
            return any(name in when.any_of for _, name in _intake(when.intake, proposal))
        case AllOf():
            return all(_holds(inner, proposal, counted) for inner in when.all)
        case AnyOf():
            return any(_holds(inner, proposal, counted) for inner in when.any)
        case NoneOf():
            return not any(_holds(inner, proposal, counted) for inner in when.none)


def _causes(when: Condition, proposal: Proposal, counted: Mapping[str, Answer]) -> list[Cause]:
    """Find what in the proposal makes the condition hold, if it does."""
    match when:
        case AnswerIs() | AnswerIncludes() | AnswerAtLeast():
            return [Cause(pointer=pointer_to("answers", when.answer), says=_plain(counted.get(when.answer)))]
        case IntakeIncludes():
            given = _intake(when.intake, proposal)
            return [Cause(pointer=pointer, says=name) for pointer, name in given if name in when.any_of]
        case AllOf():
            return [cause for inner in when.all for cause in _causes(inner, proposal, counted)]
        case AnyOf():
            holding = (inner for inner in when.any if _holds(inner, proposal, counted))
            return [cause for inner in holding for cause in _causes(inner, proposal, counted)]
        case NoneOf():
            return [cause for inner in when.none for cause in _causes(inner, proposal, counted)]


def _plain(answer: Answer | None) -> str:
    match answer:
        case None:
            return "not asked"
        case bool():
            return "yes" if answer else "no"
        case tuple():
            return ", ".join(answer) or "none of them"
        case _:
            return str(answer)


def _triggered(trigger: Trigger, proposal: Proposal, counted: Mapping[str, Answer]) -> Triggered:
    return Triggered(
        id=trigger.id,
        reason=trigger.reason,
        because=tuple(dict.fromkeys(_causes(trigger.when, proposal, counted))),
        minimum_tier=trigger.minimum_tier,
        council=trigger.council,
    )


def _tier(pack: PolicyPack, score: int, triggers: tuple[Triggered, ...]) -> tuple[int, str]:
    """Find the tier, and say why. Whole numbers only: no rounding decides."""
    reached = [rule for rule in pack.tiers if score * 100 >= rule.from_percent * pack.max_score][-1]
    sentence = (
        f"{score} of {pack.max_score} points reach tier {reached.tier} ({reached.name}), "
        f"which begins at {reached.from_percent} percent."
    )
    demanded = max((trigger.minimum_tier or 1 for trigger in triggers), default=1)
    if demanded <= reached.tier:
        return reached.tier, sentence
    because = " ".join(trigger.reason for trigger in triggers if trigger.minimum_tier == demanded)
    return demanded, f"{sentence} It is tier {demanded} ({pack.tiers[demanded - 1].name}) all the same: {because}"


_NOT_JUDGED = frozenset({"owner", "author", "business_unit", "staff", "answers"})
"""Who stands for the proposal and who works on it is held by separation of duties and the training gate, and changes no
verdict; each answer bears on the principles that its question names. Every other part bears on every principle, and so
will each that is added, until somebody says here that it does not.
"""


def _inputs(pack: PolicyPack, proposal: Proposal, route: Route, asked: Mapping[str, Question]) -> dict[Slug, Digest]:
    """What each judged principle is judged by, as a digest: the pack; the route, because a verdict is given in the
    knowledge of who else will look at it; the intake; and the answers to the questions that name the principle, where
    a question that is not asked has none.
    """
    document = proposal.model_dump(mode="json")
    common: dict[str, JsonValue] = {
        "pack": pack.digest,
        "tier": route.tier,
        "council_required": route.council_required,
        "intake": digest_of({name: part for name, part in document.items() if name not in _NOT_JUDGED}),
    }
    answers = {name: answer for name, answer in document["answers"].items() if name in asked}
    return {
        principle: digest_of(
            {
                **common,
                "answers": {name: said for name, said in answers.items() if principle in asked[name].principles},
            }
        )
        for principle in route.principles
    }


def _training_because(pack: PolicyPack, route: Route) -> str:
    tier = f"Tier {route.tier} ({route.tier_name})"
    if not route.training_required:
        return f"{tier} requires no training."
    titles = {role.id: role.title for role in pack.roles}
    wanted = []
    for requirement in route.requirements:
        courses = ", ".join(
            f"{course.title}{'' if course.valid_for is None else f' (again after {course.valid_for.days} days)'}"
            for course in requirement.courses
        )
        who = "everybody assigned" if requirement.role is None else f"each {titles[requirement.role]}"
        wanted.append(f"of {who}: {courses}")
    return f"{tier} requires, {'; '.join(wanted)}."
