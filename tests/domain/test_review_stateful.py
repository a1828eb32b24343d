"""Whatever people, clocks and registers do, in any order, the process keeps its promises."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

import pytest
from hypothesis import note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import council, principles, sign_off
from domain.canonical import canonical_bytes, digest_of, sha256
from domain.commands import FallDue, Take, TurnAway
from domain.completions import Completion
from domain.deadlines import ask
from domain.decisions import (
    Act,
    AdviceResponse,
    AnyContent,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Envelope,
    Escalation,
    Extension,
    Finding,
    NoOpinion,
    Opinion,
    Question,
    QuestionAnswer,
    Reason,
    Reassignment,
    Recusal,
    RegistryChanged,
    Release,
    Reopening,
    Revision,
    Ruling,
    Signature,
    Submission,
    TrainingRecorded,
    VerdictSheet,
    Withdrawal,
)
from domain.entitlement import REGISTER, REGISTRY, ROLES
from domain.events import Accepted, Assessed, Began, Closed, Event, Lapsed, Mandate, Refused
from domain.ledger import GENESIS, append
from domain.narrative import tell
from domain.people import DELEGABLE, Assigned, Grant, Role
from domain.review import concerned_by, decide, evolve, fold, state_digest, waits_for
from domain.separation import moved
from domain.stages import Outcome, Stage
from domain.state import Clock, Review
from domain.turns import Turn, falls_to
from domain.values import Digest
from domain.verification import Evidence, WorkflowState, read_model, verify
from tests.domain.builders import (
    AUTHOR,
    COUNCIL,
    DAY,
    DEPUTY,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    HOUR,
    LEA,
    LECTURE,
    OFFICER,
    ONLINE,
    OUTSIDER,
    OWNER,
    PRINCIPLES,
    REVIEWERS,
    SECOND,
    SECOND_DEPUTY,
    START,
    UNIT,
    Case,
    answers,
    completion,
    grant,
    opinion,
    route,
    sheet,
    taken,
    text_digest,
)
from tests.domain.sayings import contents
from tests.support import soak

SEED = soak.seed()

EVERYBODY = (
    OWNER,
    AUTHOR,
    ENGINEER,
    *REVIEWERS,
    *COUNCIL,
    OFFICER,
    DEPUTY,
    HEAD,
    HEAD_DEPUTY,
    SECOND,
    SECOND_DEPUTY,
    OUTSIDER,
)
# Who may hold a second role beside their first: what separation of duties is for. The deputies stay out of it, so that
# there is always somebody left.
SECOND_ROLES = (
    grant(OWNER, Role.OFFICER, "officer"),
    grant(AUTHOR, Role.REVIEWER),
    grant(ENGINEER, Role.REVIEWER),
    grant(OWNER, Role.SIGNATORY, "head"),
    grant(REVIEWERS[0], Role.SIGNATORY, "head"),
    grant(REVIEWERS[1], Role.COUNCIL_MEMBER, "consumer"),
    grant(OFFICER, Role.SIGNATORY, "second"),
    grant(HEAD, Role.SIGNATORY, "second"),
    grant("lea.lawyer", Role.REVIEWER),
    grant("cai.consumer", Role.SIGNATORY, "head"),
    grant(REVIEWERS[2], Role.OFFICER, "officer"),
    grant(REVIEWERS[3], Role.TRAINING_OFFICER),
)

STAFF = (ENGINEER, REVIEWERS[3], OFFICER, "noa.npo", HEAD)


CLAIMABLE: tuple[Act, ...] = get_args(Act)


def judged_by(text: Digest) -> dict[str, Digest]:
    """What the principles are judged by, where some texts have some of it in common."""
    return {"fairness": "ab"[int(text[0], 16) % 2] * 64, "privacy": "cd"[int(text[1], 16) % 2] * 64}


def answer_to(turn: Turn, kind: str, review: Review, now: datetime) -> AnyContent | None:
    """A sensible decision of this kind, for whoever's turn it is; None where it is not a decision that answers it."""
    match kind:
        case "verdict_sheet":
            return sheet(condition="test it first", on=turn.principles)
        case "opinion":
            return opinion("ask those concerned", "publish the results")
        case "advice_response":
            return answers(review)
        case "no_opinion":
            return NoOpinion()
        case "extension":
            late = [
                clock for clock in review.clocks if clock.overdue and clock.person and whose(clock, review) in turn.what
            ]
            clock = late[0] if late else review.clock
            assert clock is not None
            left = clock.due_left if isinstance(clock.due_left, timedelta) else 0 * DAY
            due = max(clock.due_at or now + left, now)
            until = min(due + 100 * DAY, now + 366 * DAY)
            return Extension(until=until, person=clock.person) if until > due else None
        case "ruling":
            overdue = "decline" in turn.what or (review.overdue and not principles.whole(review))
            return Ruling(ruling="decline" if overdue else "proceed")
        case "signature":
            return Signature(basis=sign_off.basis(review))
        case "revision":
            return Revision(proposal=text_digest(review.revision + 100))
        case "answer":
            (question,) = (a.by.decision for a in review.questions if str(a.by.decision) in turn.what)
            return QuestionAnswer(question=question)
        case "declining":
            return Declining(basis=sign_off.basis(review))
        case "recusal":
            return Recusal()
        case "change_request":
            return ChangeRequest()
        case "question":
            return Question()
        case "escalation" if not council.is_called(review):
            return Escalation()
        case _:
            return None


def whose(clock: Clock, review: Review) -> str:
    """How a turn of the officer tells whose time ran out."""
    return "The owner has not answered" if clock.question is not None else f"The time of {clock.person}"


class Process(RuleBasedStateMachine):
    """One review, and everybody who could have to do with it."""

    @initialize(
        panel=st.sampled_from([(1, 1), (1, 3), (2, 3)]),
        council_required=st.booleans(),
        training_required=st.booleans(),
        signatories=st.integers(1, 2),
        more=st.lists(st.sampled_from(SECOND_ROLES), max_size=3, unique=True),
        staff=st.lists(st.sampled_from(STAFF), max_size=2, unique=True),
    )
    def open(
        self,
        panel: tuple[int, int],
        council_required: bool,
        training_required: bool,
        signatories: int,
        more: list[Grant],
        staff: list[str],
    ) -> None:
        note(f"SOAK_SEED={SEED}")
        self.case = Case(
            route(
                needed=panel[0],
                panel=panel[1],
                council=council_required,
                training=training_required,
                signatories=signatories,
            ),
            staff=self._staff(staff, needed=training_required),
            grants=(*GRANTS, *more),
            inputs=judged_by,
        )
        self.unsent: list[Envelope] = []
        self.moved = False

    @rule(data=st.data(), stale=st.sampled_from([False] * 5 + [True]), delayed=st.sampled_from([False] * 3 + [True]))
    def somebody_says_something(self, data: st.DataObject, stale: bool, delayed: bool) -> None:
        content = data.draw(contents(self.case.review))
        fitting = [g.person for g in self.case.grants if g.role in ROLES[content.kind]]
        person = data.draw(st.sampled_from([*EVERYBODY, *fitting * 4]))
        envelope = self.case.envelope(person, content, digest="2" * 64 if stale else None)
        if delayed:
            self.unsent.append(envelope)
        else:
            self.case.take(envelope)

    @precondition(lambda self: self.unsent)
    @rule(data=st.data())
    def a_delayed_decision_arrives(self, data: st.DataObject) -> None:
        envelope = data.draw(st.sampled_from(self.unsent))
        self.unsent.remove(envelope)
        self.case.take(envelope)

    def _take_turn(self, data: st.DataObject, kinds: slice) -> None:
        turn = data.draw(st.sampled_from(waits_for(self.case.review)))
        content = answer_to(turn, data.draw(st.sampled_from(turn.kinds[kinds])), self.case.review, self.case.now)
        able = self.able(turn)
        if content is not None and able:
            self.case.say(data.draw(st.sampled_from(able)), content)

    @precondition(lambda self: not self.case.review.closed)
    @rule(data=st.data(), times=st.integers(1, 5))
    def those_whose_turn_it_is_go_on(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            if not self.case.review.closed:
                self._take_turn(data, slice(1))

    @precondition(lambda self: not self.case.review.closed)
    @rule(data=st.data())
    def somebody_whose_turn_it_is_does_something_else(self, data: st.DataObject) -> None:
        self._take_turn(data, slice(None))

    @precondition(lambda self: any(turn.kinds[0] in CLAIMABLE for turn in waits_for(self.case.review)))
    @rule(data=st.data(), how=st.sampled_from(["claimed", "claimed", "claimed", "assigned", "given back", "freed"]))
    def a_turn_is_claimed(self, data: st.DataObject, how: str) -> None:
        """By one of those to whom it falls, or for them; or no more."""
        turn = data.draw(st.sampled_from([t for t in waits_for(self.case.review) if t.kinds[0] in CLAIMABLE]))
        able, act = self.able(turn), next(act for act in CLAIMABLE if act == turn.kinds[0])
        held = [claim.person for claim in self.case.review.claims]
        match how:
            case "claimed" if able:
                self.case.say(data.draw(st.sampled_from(able)), Claim(act=act))
            case "assigned" if able:
                instead_of = data.draw(st.sampled_from([None, *held]))
                person = data.draw(st.sampled_from(able))
                self.case.say(OFFICER, Reassignment(act=act, person=person, instead_of=instead_of))
            case "given back" if held:
                self.case.say(data.draw(st.sampled_from(held)), Release())
            case "freed" if held:
                self.case.say(OFFICER, Reassignment(act=act, instead_of=data.draw(st.sampled_from(held))))
            case _:
                pass

    @rule(data=st.data())
    def a_deadline_falls_due(self, data: st.DataObject) -> None:
        """Any of them, in any order; or one that does not stand."""
        standing = {deadline.id: deadline.at for deadline in self.case.review.deadlines}
        name = data.draw(st.sampled_from([*standing, "signing-9-due"]))
        self.case.now = max(self.case.now, standing.get(name, START)) + HOUR
        happened = self.case.apply(FallDue(deadline=name), self.case.facts())
        assert bool(happened) is (name in standing)

    @precondition(lambda self: self.case.review.open)
    @rule(person=st.sampled_from(EVERYBODY))
    def somebody_is_asked_by_name(self, person: str) -> None:
        """With a time of their own; whoever claimed an act has that claim's."""
        if self.case.review.claim_of(person) is not None:
            return
        began = ask(self.case.review, person, self.case.now, self.case.facts())
        assert began is not None
        self.case.review = evolve(self.case.review, began)
        self.case.events.append(began)

    @rule(days=st.sampled_from([0.1, 3, 30]))
    def time_passes(self, days: float) -> None:
        self.case.now += days * DAY

    @precondition(lambda self: self.case.route.training_required)
    @rule(person=st.sampled_from(STAFF), told=st.booleans())
    def training_is_completed(self, person: str, told: bool) -> None:
        self.case.completions += [completion(person, course, self.case.now) for course in (ONLINE, LECTURE)]
        if told:
            self.case.say(REGISTER.person, TrainingRecorded())

    @rule(data=st.data())
    def the_registers_change(self, data: st.DataObject) -> None:
        """A grant is withdrawn or given back, or, as long as nothing rests on it for good,
        a record of training struck off.
        """
        grants = st.sampled_from(GRANTS)
        some = data.draw(grants if self.case.review.closed else st.none() | grants)
        if some is None:
            self.case.completions = self.case.completions[2:]
        elif some in self.case.grants:
            self.case.grants.remove(some)
        else:
            self.case.grants.append(some)

    @precondition(lambda self: self.case.review.open)
    @rule()
    def the_registry_speaks(self) -> None:
        """As the sweep has it do; afterwards the record says what is so."""
        self.case.accepts(REGISTRY.person, RegistryChanged())
        assert not concerned_by(self.case.review, self.case.holders(), self.case.facts().units)

    @precondition(lambda self: not self.case.review.closed)
    @rule(text=st.integers(1, 6), principle=st.none() | st.sampled_from(PRINCIPLES))
    def it_is_revised(self, text: int, principle: str | None) -> None:
        """At the officer's wish; a reviewer may reopen a principle then."""
        self.case.say(OFFICER, ChangeRequest())
        self.case.say(OWNER, Revision(proposal=text_digest(text)))
        if principle is not None and not self.case.review.closed:
            self.case.say(REVIEWERS[1], Reopening(principle=principle))

    @rule(staff=st.lists(st.sampled_from(STAFF), max_size=2, unique=True))
    def the_next_text_has_other_staff(self, staff: list[str]) -> None:
        self.case.staff = self._staff(staff, needed=self.case.route.training_required)

    def _staff(self, people: list[str], *, needed: bool) -> tuple[Assigned, ...]:
        if needed and not people:
            people = [ENGINEER]
        return tuple(Assigned(person=person, role="engineer") for person in people)

    @rule(giver=st.sampled_from(GRANTS), taker=st.sampled_from(EVERYBODY), days=st.integers(1, 30))
    def somebody_leaves_their_role_to_another(self, giver: Grant, taker: str, days: int) -> None:
        """As the registry lets them: in a role that can be lent, to one person at a time, and in no chain."""
        overlapping = [d for d in self.case.delegations if d.ends_at > self.case.now]
        chained = any(giver.person in (d.giver, d.taker) or taker == d.giver for d in overlapping)
        if giver.role in DELEGABLE and giver.person != taker and not chained:
            self.case.delegates(giver.person, taker, giver.role, days=days)

    @rule(person=st.sampled_from((OWNER, AUTHOR)), to=st.sampled_from((*REVIEWERS, HEAD)))
    def the_owner_or_author_moves(self, person: str, to: str) -> None:
        self.case.units[person] = self.case.unit_of(to)
        self.moved = True

    @rule(person=st.sampled_from((*REVIEWERS, OFFICER, HEAD, LEA)))
    def somebody_comes_to_the_unit_or_leaves_it(self, person: str) -> None:
        if self.case.units.pop(person, None) is None:
            self.case.units[person] = UNIT
        self.moved = True

    @rule(reason=st.sampled_from([Reason.UNREADABLE, Reason.NOT_STORED, Reason.ID_REUSED]))
    def garbage_arrives(self, reason: Reason) -> None:
        before = self.case.review
        garbage = TurnAway(ordinal=1, reason=reason, detail="?", digest=sha256(b"?"), length=1, shown="?")
        self.case.apply(garbage, self.case.facts())
        changed = before.model_copy(update={"seq": before.seq + 1, "refused": before.refused + 1})
        assert changed == self.case.review

    @precondition(lambda self: any(isinstance(event, Accepted) for event in self.case.events))
    @rule(data=st.data())
    def a_decision_is_tried_again(self, data: st.DataObject) -> None:
        """The commit keeps a settled decision away from the rules; they would stand it."""
        old = data.draw(st.sampled_from([event for event in self.case.events if isinstance(event, Accepted)]))
        command = taken(old.envelope)
        happened = decide(self.case.review, command, self.case.facts(old.envelope), self.case.now)
        assert 1 == sum(isinstance(event, Accepted | Refused) for event in happened)

    @invariant()
    def the_record_tells_the_whole_state(self) -> None:
        case = self.case
        if not self.news:
            return
        assert len(case.events) == case.review.seq
        data = canonical_bytes(case.review)
        assert data == canonical_bytes(Review.model_validate_json(data))
        for event in self.news:
            assert tell(event).what

    @invariant()
    def every_decision_has_one_answer(self) -> None:
        command, happened = self.case.commands[-1]
        answers_given = [event for event in happened if isinstance(event, Accepted | Refused)]
        assert len(answers_given) == (0 if isinstance(command, FallDue) else 1)

    @invariant()
    def a_closed_review_waits_for_nothing(self) -> None:
        review = self.case.review
        if review.closed:
            assert not waits_for(review)
            assert not review.deadlines
            assert review.phase is None
        else:
            assert waits_for(review)
            assert review.phase is not None
            assert review.deadlines

    @invariant()
    def deadlines_come_after_their_wait_began(self) -> None:
        for event in self.case.events:
            if isinstance(event, Began):
                assert event.remind_at is None or event.at < event.remind_at < event.due_at
        for deadline in self.case.review.deadlines:
            assert self.case.review.phase_since is not None
            assert self.case.review.phase_since < deadline.at or deadline.person is not None

    @invariant()
    def no_two_deadlines_have_a_name_in_common(self) -> None:
        names = [deadline.id for deadline in self.case.review.deadlines]
        assert len(names) == len(set(names))

    @invariant()
    def a_clock_stands_still_for_a_question_and_for_nothing_else(self) -> None:
        review = self.case.review
        stopped = [clock for clock in review.clocks if clock.stopped_at is not None]
        asked = [question for question in review.questions if question.wait == review.wait or question.holds_sign_off]
        assert not stopped or asked
        if asked and self.news and review.open and review.changes is None:
            assert review.paused
        for clock in stopped:
            assert not clock.deadlines
            assert clock.overdue or clock.due_left

    @invariant()
    def time_alone_ends_nothing(self) -> None:
        command, happened = self.case.commands[-1]
        if any(isinstance(event, Closed) for event in happened):
            assert isinstance(command, Take)

    @invariant()
    def somebody_can_move_it(self) -> None:
        """Somebody whose turn it is can take it, or a deadline is coming after which the next in line can."""
        review = self.case.review
        if review.closed:
            return
        turns = [turn for turn in waits_for(review) if turn.blocking and turn.kinds != ("grant",)]
        assert turns
        coming = any(deadline.kind == "due" for deadline in review.deadlines)
        absent = [g for g in GRANTS if g not in self.case.grants]
        elsewhere = absent or review.aside or self.case.delegations or self.moved
        assert coming or any(self.able(turn) for turn in turns) or elsewhere, turns

    @invariant()
    def whose_turn_it_is_is_let_through(self) -> None:
        """What the process says that it waits for, it takes, unless it has not been told yet who is too close by now."""
        if not self.news or moved(self.case.review, self.case.facts().units):
            return
        for turn in waits_for(self.case.review):
            able = self.able(turn)
            for kind in turn.kinds if able else ():
                content = answer_to(turn, kind, self.case.review, self.case.now)
                if content is None:
                    continue
                envelope = self.case.envelope(able[0], content)
                command = taken(envelope)
                first, *_ = decide(self.case.review, command, self.case.facts(envelope), self.case.now)
                untrained = isinstance(first, Refused) and first.reason is Reason.TRAINING_GAP
                assert isinstance(first, Accepted) or untrained, first

    @invariant()
    def what_is_claimed_is_refused_to_others(self) -> None:
        """Where whoever claimed it can still do it."""
        told = not moved(self.case.review, self.case.facts().units)
        for turn in waits_for(self.case.review) if self.news and told else ():
            free = turn.model_copy(update={"taken": False})
            holders = [holder for holder in self.case.holders() if falls_to(free, holder)]
            able = [holder for holder in holders if holder.grant.person in turn.claimed_by]
            mine = {person for holder in able for person in (holder.actor, holder.grant.person)}
            others = sorted({holder.actor for holder in holders} - mine)
            content = answer_to(turn, turn.kinds[0], self.case.review, self.case.now)
            if (
                turn.taken
                and others
                and content
                and len({holder.grant.person for holder in able}) == len(turn.claimed_by)
            ):
                envelope = self.case.envelope(others[0], content)
                first, *_ = decide(self.case.review, taken(envelope), self.case.facts(envelope), self.case.now)
                assert isinstance(first, Refused), first
                assert Reason.CLAIMED is first.reason, first

    @invariant()
    def a_claim_has_its_time_and_no_more_than_the_wait_has(self) -> None:
        review = self.case.review
        for claim in review.claims:
            clock, wait = review.clock_of(claim.person), review.clock
            assert clock is not None
            assert wait is not None
            assert not clock.overdue
            if clock.due_at is not None and wait.due_at is not None:
                assert clock.due_at <= wait.due_at

    @invariant()
    def who_stepped_aside_is_counted_and_told_nothing(self) -> None:
        case, review = self.case, self.case.review
        aside: set[str] = set()
        for event in case.events:
            match event:
                case Accepted(envelope=Envelope(content=Recusal() | Conflict(), person=person)):
                    aside.add(person)
                case Accepted(
                    envelope=Envelope(
                        content=Submission() | Revision() | QuestionAnswer() | Withdrawal(), person=person
                    ),
                    mandate=Mandate(for_person=place),
                ):
                    # a conflict keeps nobody from standing for what is their own
                    assert place is None or person not in aside
                case Accepted(envelope=Envelope(person=person)):
                    assert person not in aside
                case _:
                    pass
        assert not aside & {opinion.by.person for opinion in review.council.opinions}
        assert not aside & {member.person for member in council.waiting_members(review)}
        assert not any(case.may_read(person) for person in aside - {case.owner, case.author}), (
            "but what they wrote themselves"
        )

    @invariant()
    def whose_turn_it_is_may_read_the_review(self) -> None:
        """But for the operators, who are asked for roles: that tells them nothing of it."""
        case = self.case
        for turn in waits_for(case.review):
            if turn.role is not Role.OPERATOR:
                assert all(case.may_read(person) for person in self.able(turn)), turn

    @invariant()
    def an_approval_has_all_that_it_needs(self) -> None:
        if self.case.review.outcome is Outcome.APPROVED:
            check_approval(self.case)

    @property
    def news(self) -> tuple[Event, ...]:
        """What the last command did to the review."""
        return self.case.commands[-1][1]

    def able(self, turn: Turn) -> list[str]:
        """Those to whom the turn falls now: holders of the role, or whoever acts in their place."""
        return [
            holder.delegate or holder.grant.person
            for holder in sorted(self.case.holders(), key=lambda holder: holder.grant.id)
            if falls_to(turn, holder)
        ]

    def teardown(self) -> None:
        """The record, as it would be stored, is verified."""
        if not hasattr(self, "case"):
            return
        entries = append("R-1", 0, GENESIS, self.case.events)
        review = self.case.review
        assert fold("R-1", self.case.events) == review
        workflow = WorkflowState(
            status="finished" if review.closed else "answered", seq=review.seq, state_digest=state_digest(review)
        )
        model = read_model(review, entries[-1].hash)
        result = verify(Evidence(review="R-1", entries=entries, read_model=model, workflow=workflow))
        assert result.holds, result.difference


def waiting_advice(review: Review) -> bool:
    """Whether there is advice without an answer."""
    return any(piece.answer is None for piece in review.council.advice)


def check_approval(case: Case) -> None:
    """An approval rests on everything that it needs; told from the record alone, not from the rules' own words."""
    review, events = case.review, case.events
    subject, certificate = review.subject, review.certificate
    assert subject is not None
    assert certificate is not None
    assert set(Stage) == set(review.passed)
    last_text = max(n for n, event in enumerate(events) if isinstance(event, Assessed))
    said = [(n, event.envelope) for n, event in enumerate(events) if isinstance(event, Accepted)]
    in_round = [envelope for n, envelope in said if n > last_text]

    voices = standing_verdicts(events)
    agreeing = [
        voice for voice in voices.values() if set(voice) == set(PRINCIPLES) and Finding.BREACH not in voice.values()
    ]
    ruled = [e for e in in_round if e.content == Ruling(ruling="proceed")]
    assert len(agreeing) >= case.route.reviewers.needed or ruled

    called = case.route.council_required or any(isinstance(e.content, Escalation) for _, e in said)
    assert called is (review.passed[Stage.COUNCIL].result != "not_required")
    if called:
        seats = [e.meaning for e in in_round if isinstance(e.content, Opinion)]
        went_on = any(isinstance(e.content, NoOpinion) for e in in_round)
        assert went_on is (certificate.no_opinion_because is not None)
        assert went_on or (len(seats) >= 3 and any("consumer" in seat for seat in seats))
        assert not waiting_advice(review)

    lapsed = max((n for n, event in enumerate(events) if isinstance(event, Lapsed)), default=last_text)
    seals = [e for n, e in said if n > max(lapsed, last_text) and isinstance(e.content, Signature)]
    grants = {g.id: g for g in (*GRANTS, *SECOND_ROLES)}
    allowed = [{step.office, step.deputy} for step in case.route.signatories]
    assert len(allowed) == len(seals)
    assert all(grants[seal.grant].office in offices for seal, offices in zip(seals, allowed, strict=True))
    kept_away = {subject.owner, subject.author, *(member.person for member in subject.staff)}
    kept_away |= {e.person for _, e in said if e.role is Role.REVIEWER and not isinstance(e.content, Claim | Release)}
    kept_away |= {e.person for _, e in said if isinstance(e.content, Opinion)}
    kept_away |= {e.person for _, e in said if isinstance(e.content, AdviceResponse | NoOpinion | Ruling)}
    signers = [seal.person for seal in seals]
    assert len(set(signers)) == len(signers)
    assert not kept_away & set(signers)

    if case.route.training_required:
        needed = {(member.person, course.id) for member in subject.staff for course in (ONLINE, LECTURE)}
        assert needed <= {(c.person, c.course) for c in case.completions if within_validity(c.course, c, review)}

    parts = certificate.rests_on
    for sealed in certificate.signatures:
        digest = next(e for e in events if isinstance(e, Accepted) and e.envelope.decision_id == sealed.decision).digest
        before = parts[: next(n for n, part in enumerate(parts) if part.digest == digest)]
        assert sealed.basis == digest_of([part.model_dump(mode="json") for part in before])


def standing_verdicts(events: list[Event]) -> dict[str, dict[str, Finding]]:
    """The verdicts that stand at the end, per voice and principle, told from the record alone: each on a text in which
    what it judges by is as it was, never reopened since, and of nobody who became a proposer or staff or stepped aside.
    A voice is that of whoever holds the role, whether they or somebody in their place spoke.
    """
    said_by: dict[str, dict[str, tuple[Finding, int, str]]] = {}
    voice_of = {grant.id: grant.person for grant in (*GRANTS, *SECOND_ROLES)}
    inputs: dict[str, Digest] = {}
    aside: set[str] = set()
    revision = 0
    for event in events:
        match event:
            case Assessed(assessment=assessment, subject=subject):
                revision = event.revision
                aside |= {subject.owner, subject.author, *(member.person for member in subject.staff)}
                same = {p for p, digest in assessment.inputs.items() if inputs.get(p) == digest}
                inputs = assessment.inputs
                said_by = {
                    voice: {p: said for p, said in verdicts.items() if p in same and said[2] not in aside}
                    for voice, verdicts in said_by.items()
                    if voice not in aside
                }
            case Accepted(envelope=Envelope(content=VerdictSheet(verdicts=verdicts), person=person, grant=grant)):
                given = {verdict.principle: (verdict.finding, revision, person) for verdict in verdicts}
                voice = voice_of[grant]
                said_by[voice] = said_by.get(voice, {}) | given
            case Accepted(envelope=Envelope(content=Reopening(principle=principle))):
                said_by = {
                    voice: {p: said for p, said in verdicts.items() if p != principle or said[1] == revision}
                    for voice, verdicts in said_by.items()
                }
            case Accepted(envelope=Envelope(content=Recusal(), person=person)):
                aside.add(person)
            case _:
                pass
    return {voice: {p: finding for p, (finding, *_) in verdicts.items()} for voice, verdicts in said_by.items()}


def within_validity(course: str, done: Completion, review: Review) -> bool:
    """Whether the completion held when the review was approved."""
    assert review.closed_at is not None
    return course != ONLINE.id or done.completed_at + timedelta(days=365) > review.closed_at


if soak.soaks():
    seed(SEED)(Process)
TestProcess = pytest.mark.soak(pytest.mark.timeout(300 + 2 * 60 * soak.MINUTES)(Process.TestCase))
TestProcess.settings = settings(max_examples=round(max(40, 400 * soak.MINUTES)), stateful_step_count=40)
