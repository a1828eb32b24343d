"""The paths through a review that the replay gate keeps a history of, played on real servers.

Each scenario is named after what happens in it. Its ids are made from its name, so that recording it again changes
little. Deadlines are real ones: a pack in which one wait is allowed two seconds stands for a pack that allows months.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_OID, UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.worker import Worker

from activities.commits import Commits
from activities.dispatcher import Dispatcher
from activities.messages import Arrived, Commit
from activities.naming import workflow_id_for
from activities.ports import Delivery
from activities.reconciler import Reconciler
from domain import sign_off
from domain.canonical import canonical_bytes, sha256
from domain.completions import Completion
from domain.decisions import (
    AdviceAnswer,
    AdviceResponse,
    Answer,
    AnyContent,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Escalation,
    Extension,
    Finding,
    NoOpinion,
    Opinion,
    Question,
    QuestionAnswer,
    Reassignment,
    Receipt,
    Recusal,
    Release,
    Reopening,
    Revision,
    Ruling,
    Signature,
    Stance,
    Submission,
    Verdict,
    VerdictSheet,
    Withdrawal,
)
from domain.drafts import Draft
from domain.dsse import Ed25519Signer
from domain.people import Grant, Role
from domain.policy import PolicyPack
from domain.proposal import Proposal, content_digest
from domain.registry import BOOTSTRAP, Granted, Member, PeopleEntered
from domain.route import Allowance, Phase, SignatoryStep
from domain.stages import Outcome, Stage
from domain.state import Review
from runtime.courier import TemporalCourier
from runtime.packs import load_proposal, shipped_packs
from runtime.witness import TemporalWitness
from store.database import Database
from store.decisions import Decisions
from store.ledgers import Ledgers, LockedHead
from store.receipts import Receipts
from store.reconciliations import Reconciliations
from store.registers import Registers
from store.reviews import Reviews
from tests.replay.recorder import Recorder
from tests.support.harness import store_signed_in
from workflows.messages import StartReview
from workflows.proposal_review import ProposalReview
from workflows.reconciliation import Reconciliation

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

REVIEWERS = ("rin.reviewer", "jun.reviewer", "kei.reviewer")
COUNCIL = ("lea.lawyer", "noa.npo", "ada.academic", "cai.consumer")
OFFICER = "omi.officer"
OWNER = "hana.owner"
OPERATOR = "ops.operator"
HEADS = ("bo.head", "cy.head")
SIGNATORIES = {"business_unit_head": "bo.head", "digital_trust_head": "di.head"}


@dataclass(frozen=True)
class World:
    """Where a scenario is played: a database that holds the people of the examples, and Temporal."""

    client: Client
    database: Database
    registers: Registers
    decisions: Decisions
    reviews: Reviews
    receipts: Receipts


async def populated(database: Database, url: str, client: Client) -> World:
    """The world, with the people of the examples and their roles on record."""
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    decisions = Decisions(database, signer)
    registers = Registers(database, signer)
    await registers.registry.enrol()
    with (EXAMPLES / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    members = tuple(Member(person=r["person"], unit=r["unit"]) for r in rows)
    grants = tuple(
        Grant(
            id=f"grant-of-{r['person']}",
            person=r["person"],
            role=Role(r["role"]),
            office=r["office"] or None,
            by=BOOTSTRAP,
        )
        for r in rows
        if r["role"]
    )
    async with registers.registry.head() as head:
        await head.append(
            PeopleEntered(at=head.now, by=BOOTSTRAP, people=members),
            Granted(at=head.now, by=BOOTSTRAP, grants=grants),
        )
    return World(client, database, registers, decisions, Reviews(database), Receipts(url, decisions))


class Heedless:
    """An overseer who looks into nothing: the dispatcher also comes upon what other scenarios left."""

    def suspect(self, review: str) -> None:
        """Let it be."""


class Case:
    """One scenario being played: a review of its own, with a task queue and workers of its own."""

    def __init__(self, world: World, name: str, recorder: Recorder, identity: str) -> None:
        self.world = world
        self.review = name.replace("_", "-")
        self.ledger = SometimesAway(world.database)
        self.commits = Commits(self.ledger)
        self.reconciler = Reconciler(
            Reconciliations(world.database, world.decisions),
            TemporalWitness(world.client, self.review),
            TemporalCourier(world.client, self.review),
            self.commits,
        )
        self.proposal = _example(3)
        self._recorder = recorder
        self._identity = identity
        self._said = 0
        self._courier = TemporalCourier(world.client, self.review)
        self._working = AsyncExitStack()
        self.workflow_id = workflow_id_for(self.review)

    @property
    def handle(self) -> WorkflowHandle[ProposalReview, object]:
        """Its workflow."""
        return self.world.client.get_workflow_handle_for(ProposalReview.run, self.workflow_id)

    async def state(self) -> Review:
        """The review as it stands on record."""
        state = await self.world.reviews.state(self.review)
        assert state is not None
        return state

    async def work(self) -> None:
        """Start a worker; it runs until `stop_work`, or the end of the scenario."""
        await self._working.enter_async_context(
            Worker(
                self.world.client,
                task_queue=self.review,
                activities=[self.commits.commit, self.reconciler.reconcile],
                plugins=[self._recorder],
                identity=self._identity,
            )
        )

    async def stop_work(self) -> None:
        """Stop the worker."""
        await self._working.aclose()

    async def begin(
        self, tier: int = 3, pack: PolicyPack | None = None, *, trained: bool = True, per_run: int | None = None
    ) -> Review:
        """Submit the example of a tier, have it opened by a worker, and say how it stands then."""
        await self.submit(tier, pack, trained=trained, per_run=per_run)
        await self.work()
        return await self.until(lambda review: review.stage is not None)

    async def submit(
        self, tier: int = 3, pack: PolicyPack | None = None, *, trained: bool = True, per_run: int | None = None
    ) -> None:
        """Submit the example of a tier, by staff of this review's own who are trained or are not."""
        self._courier = TemporalCourier(self.world.client, self.review, per_run)
        proposal = _example(tier)
        staff = tuple(m.model_copy(update={"person": f"{m.person}.{self.review}"}) for m in proposal.staff)
        self.proposal = proposal.model_copy(update={"staff": staff})
        if trained:
            await self.train(datetime.now(UTC) - timedelta(days=30))
        digest = await self.world.registers.publish(pack or shipped_packs()[0])
        draft = self._draft(self.proposal.author, Submission(), None, content_digest(self.proposal))
        await self._courier.deliver(await self.world.decisions.submit(draft, self.proposal, digest))

    async def train(self, at: datetime, expires_at: datetime | None = None) -> None:
        """Put every completion on record that any role on the staff can need."""
        courses = [course.id for course in shipped_packs()[0].courses]
        await self.world.registers.enter_completions(
            [
                Completion(person=member.person, course=course, completed_at=at, expires_at=expires_at)
                for member in self.proposal.staff
                for course in courses
            ]
        )

    async def store(
        self,
        person: str,
        content: AnyContent,
        reason: str | None = None,
        *,
        digest: str | None = None,
        proposal: Proposal | None = None,
    ) -> Delivery:
        """Store a decision, and tell nobody."""
        shown = digest or (await self.state()).content_digest
        draft = self._draft(person, content, reason, content_digest(self.proposal) if shown == "0" * 64 else shown)
        world = self.world
        return await store_signed_in(world.database, world.registers, world.decisions, draft, proposal)

    async def send(self, person: str, content: AnyContent, reason: str | None = None) -> Delivery:
        """Store a decision and hand it on, without waiting for what becomes of it."""
        delivery = await self.store(person, content, reason)
        await self._courier.deliver(delivery)
        return delivery

    async def deliver(self, delivery: Delivery) -> None:
        """Hand on what was stored."""
        await self._courier.deliver(delivery)

    async def say(
        self,
        person: str,
        content: AnyContent,
        reason: str | None = None,
        *,
        digest: str | None = None,
        proposal: Proposal | None = None,
    ) -> Receipt:
        """Store a decision, hand it on, and wait for its receipt."""
        delivery = await self.store(person, content, reason, digest=digest, proposal=proposal)
        await self._courier.deliver(delivery)
        return await self.receipt(delivery)

    async def receipt(self, delivery: Delivery) -> Receipt:
        """What became of a decision."""
        receipt = await self.world.receipts.wait(delivery.decision, 30)
        assert receipt is not None
        return receipt

    async def accepted(self, person: str, content: AnyContent, reason: str | None = None) -> None:
        """As `say`; it is accepted."""
        receipt = await self.say(person, content, reason)
        assert receipt.status == "accepted", receipt

    async def refused(self, reason: str, person: str, content: AnyContent, because: str | None = None) -> None:
        """As `say`; it is refused for this reason."""
        receipt = await self.say(person, content, because)
        assert (receipt.status, receipt.reason) == ("refused", reason), receipt

    async def until(self, holds: Callable[[Review], bool]) -> Review:
        """The review, when it has come to stand like this."""
        while not holds(review := await self.state()):  # noqa: ASYNC110 - nothing tells of every change
            await asyncio.sleep(0.05)
        return review

    async def overdue(self) -> None:
        """Wait until the present wait is overdue."""
        await self.until(lambda review: review.overdue)

    async def settled(self) -> None:
        """Wait until the workflow has ended, or has seen all that is on record and waits."""
        review = await self.world.reviews.state(self.review)
        if review is None or review.closed:
            with contextlib.suppress(WorkflowFailureError):
                await self.world.client.get_workflow_handle(self.workflow_id).result()
            return
        while (await self.handle.query(ProposalReview.where_it_stands)).seq < review.seq:  # noqa: ASYNC110 - Temporal tells nobody when
            await asyncio.sleep(0.05)

    async def go_round(self) -> None:
        """Start a round of the reconciler; its workflow is the one that this case is about."""
        self.workflow_id = f"{self.review}-round"
        await self.world.client.start_workflow(Reconciliation.run, id=self.workflow_id, task_queue=self.review)
        await self.work()
        await self.world.client.get_workflow_handle(self.workflow_id).result()

    async def start_by_hand(self, workflow_id: str) -> None:
        """Start a workflow for this review under any id, as whoever reaches Temporal could."""
        self.workflow_id = workflow_id
        await self.world.client.start_workflow(
            ProposalReview.run, StartReview(review=self.review), id=workflow_id, task_queue=self.review
        )
        await self.work()

    async def reviewed(self) -> None:
        """Have as many reviewers agree as are needed."""
        review = await self.state()
        assert review.route is not None
        for person in REVIEWERS[: review.route.reviewers.needed]:
            await self.accepted(person, sheet(review))

    async def advised(self, members: Iterable[str] = COUNCIL) -> None:
        """Have these members support it with one piece of advice each, and the officer answer each differently."""
        for person in members:
            opinion = Opinion(stance=Stance.SUPPORTS_WITH_ADVICE, advice=("Publish the error rates.",))
            await self.accepted(person, opinion, "The measures are sound.")
        await self.answered()

    async def answered(self, officer: str = OFFICER) -> None:
        """Have the officer answer all advice."""
        advice = [a for a in (await self.state()).council.advice if a.answer is None]
        answers = tuple(AdviceAnswer(advice=a.id, answer=Answer.ACCEPTED, reason="It will be done.") for a in advice)
        await self.accepted(officer, AdviceResponse(answers=answers))

    async def signed(self, people: dict[str, str] | None = None) -> None:
        """Have every signatory whose signature is still due sign."""
        review = await self.until(lambda review: review.stage is Stage.SIGN_OFF)
        assert review.route is not None
        for step in review.route.signatories[len(review.signatures) :]:
            await self.accepted((people or SIGNATORIES)[step.office], await self.signature())
        assert (await self.state()).outcome is Outcome.APPROVED

    async def signature(self) -> Signature:
        """A signature on all that stands now."""
        return Signature(basis=sign_off.basis(await self.state()))

    async def word_from_the_register(self) -> None:
        """Let the dispatcher find that the gap in training has closed, and wake the review."""
        dispatcher = Dispatcher(self.world.decisions, self._courier, self.commits, Heedless())
        while (await self.state()).phase is Phase.TRAINING:
            await dispatcher.round()
            await asyncio.sleep(0.05)

    async def word_from_the_registry(self) -> None:
        """Let the dispatcher find that roles or units changed, and the review take note of it."""
        dispatcher = Dispatcher(self.world.decisions, self._courier, self.commits, Heedless())
        before = await self.state()
        while (await self.state()).seq == before.seq:
            await dispatcher.round()
            await asyncio.sleep(0.05)

    def _draft(self, person: str, content: AnyContent, reason: str | None, digest: str) -> Draft:
        self._said += 1
        return Draft(
            decision_id=self.id(str(self._said)),
            review=self.review,
            person=person,
            digest=digest,
            content=content,
            reason=reason,
        )

    def id(self, name: str) -> UUID:
        """An id of this scenario's own, the same each time."""
        return uuid5(NAMESPACE_OID, f"{self.review}/{name}")


class SometimesAway(Ledgers):
    """The record, as long as it is not `away`."""

    away = False

    @asynccontextmanager
    async def head(self, review_id: str) -> AsyncIterator[LockedHead]:
        """As the record's own; it can't be reached while it is away."""
        if self.away:
            raise ConnectionRefusedError("the database is away")
        async with super().head(review_id) as head:
            yield head


Scenario = Callable[[Case], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    """Keep a history of this."""
    SCENARIOS[getattr(play, "__name__", "")] = play
    return play


def sheet(review: Review, *on: str, **findings: Finding) -> VerdictSheet:
    """A verdict sheet on every principle of the route, or `on` these alone; respected, where nothing else is said."""
    assert review.route is not None
    return VerdictSheet(
        verdicts=tuple(
            Verdict(principle=p, finding=findings.get(p, Finding.RESPECTED), reason="As the documents show.")
            for p in on or review.route.principles
        )
    )


def hasty(phase: Phase, seconds: int = 1, due: int | None = None) -> PolicyPack:
    """The shipped pack, with a reminder after so many seconds of one kind of wait, and `due`, or twice as many, for all
    of it.
    """
    (pack,) = shipped_packs()
    allowance = Allowance(remind_after=timedelta(seconds=seconds), due_after=timedelta(seconds=due or 2 * seconds))
    tiers = tuple(tier.model_copy(update={"allowances": {**tier.allowances, phase: allowance}}) for tier in pack.tiers)
    version = f"{due or 0}.{seconds}.{list(Phase).index(phase)}"
    return pack.model_copy(update={"version": version, "tiers": tiers})


def _example(tier: int) -> Proposal:
    (path,) = EXAMPLES.glob(f"tier-{tier}-*.yaml")
    return load_proposal(path)


# The four tiers, to their approval.


@scenario
async def tier_1_approved(case: Case) -> None:
    """One reviewer, one signatory."""
    await case.begin(1)
    await case.reviewed()
    await case.signed()


@scenario
async def tier_2_approved(case: Case) -> None:
    """With training."""
    await case.begin(2)
    await case.reviewed()
    await case.signed()


@scenario
async def tier_3_approved(case: Case) -> None:
    """Two reviewers, two signatories."""
    await case.begin(3)
    await case.reviewed()
    await case.signed()


@scenario
async def tier_4_approved(case: Case) -> None:
    """With the Council, and a gap in training that closes."""
    await case.begin(4, trained=False)
    await case.reviewed()
    await case.advised()
    await case.until(lambda review: review.phase is Phase.TRAINING)
    await case.train(datetime.now(UTC) - timedelta(days=1))
    await case.word_from_the_register()
    await case.signed()


# Principle review.


@scenario
async def breaches_decline(case: Case) -> None:
    """Two reviewers find a breach of the same principle."""
    review = await case.begin()
    for person in REVIEWERS[:2]:
        await case.accepted(person, sheet(review, fairness=Finding.BREACH))
    assert (await case.state()).outcome is Outcome.DECLINED


async def _undecided(case: Case) -> None:
    review = await case.begin()
    await case.accepted(REVIEWERS[0], sheet(review))
    await case.accepted(REVIEWERS[1], sheet(review, fairness=Finding.BREACH))
    await case.accepted(REVIEWERS[2], sheet(review, privacy=Finding.BREACH))


@scenario
async def officer_lets_it_proceed(case: Case) -> None:
    """The panel is complete and undecided."""
    await _undecided(case)
    await case.accepted(OFFICER, Ruling(ruling="proceed"), "The concerns are met by the conditions.")
    await case.signed()


@scenario
async def officer_declines_it(case: Case) -> None:
    """The panel is complete and undecided."""
    await _undecided(case)
    await case.accepted(OFFICER, Ruling(ruling="decline"), "The breach of privacy can't be mended.")


@scenario
async def changes_and_revision(case: Case) -> None:
    """A new revision opens a second round."""
    review = await case.begin()
    await case.accepted(REVIEWERS[0], sheet(review))
    await case.accepted(REVIEWERS[1], ChangeRequest(), "Say how long the data is kept.")
    revised = case.proposal.model_copy(update={"purpose": f"{case.proposal.purpose} Data is kept for a month."})
    content = Revision(proposal=sha256(canonical_bytes(revised)))
    receipt = await case.say(OWNER, content, proposal=revised)
    assert receipt.status == "accepted"
    await case.reviewed()
    await case.signed()


@scenario
async def one_answer_revised(case: Case) -> None:
    """Verdicts are carried to the new revision; one principle is open by what changed, another is reopened."""
    review = await case.begin()
    await case.accepted(REVIEWERS[0], sheet(review))
    await case.accepted(REVIEWERS[1], ChangeRequest(), "It is kept too long.")
    revised = case.proposal.model_copy(update={"answers": case.proposal.answers | {"kept_for_months": 6}})
    receipt = await case.say(OWNER, Revision(proposal=content_digest(revised)), proposal=revised)
    assert receipt.status == "accepted"
    await case.accepted(REVIEWERS[0], sheet(review, "privacy"))
    await case.accepted(REVIEWERS[2], Reopening(principle="fairness"), "The shorter time leaves less to measure by.")
    await case.accepted(REVIEWERS[0], sheet(review, "fairness"))
    await case.accepted(REVIEWERS[1], sheet(review))
    await case.signed()


@scenario
async def claimed_and_run_out(case: Case) -> None:
    """Claimed, given back, assigned, and left until the time of it is over; then somebody else does it."""
    review = await case.begin(1, hasty(Phase.REVIEWING, seconds=3, due=3600))
    await case.accepted(REVIEWERS[0], Claim(act="verdict_sheet"))
    await case.accepted(REVIEWERS[0], Release())
    await case.accepted(OFFICER, Reassignment(act="verdict_sheet", person=REVIEWERS[1]), "They know the field.")
    await case.until(lambda review: not review.claims)
    await case.accepted(REVIEWERS[2], sheet(review))
    await case.signed()


@scenario
async def a_conflict_declared_late(case: Case) -> None:
    """A verdict is struck, a signature lapses, and the review goes back; somebody else judges."""
    review = await case.begin()
    await case.reviewed()
    await case.accepted("bo.head", await case.signature())
    await case.accepted(REVIEWERS[0], Conflict(), "My brother leads the customer's project.")
    await case.accepted(REVIEWERS[2], sheet(review))
    await case.signed()


@scenario
async def questions_and_answers(case: Case) -> None:
    """A reviewer's, which holds nothing up, and a signatory's, which does."""
    await case.begin()
    for person in (REVIEWERS[0], "bo.head"):
        await case.accepted(person, Question(), "Who checks the results?")
        (asked,) = (await case.state()).questions
        await case.accepted(OWNER, QuestionAnswer(question=asked.by.decision), "The team's lead does.")
        if person == REVIEWERS[0]:
            await case.reviewed()
    await case.signed()


@scenario
async def escalated_in_review(case: Case) -> None:
    """A reviewer asks for the Council though the tier does not."""
    await case.begin()
    await case.accepted(REVIEWERS[0], Escalation(), "Those concerned should be heard.")
    await case.reviewed()
    await case.advised()
    await case.signed()


@scenario
async def escalated_in_sign_off(case: Case) -> None:
    """A signature lapses for it."""
    await case.begin()
    await case.reviewed()
    await case.accepted("bo.head", await case.signature())
    await case.accepted(OFFICER, Escalation(), "Those concerned should be heard.")
    await case.advised()
    await case.signed()


# The Council.


@scenario
async def one_member_recused(case: Case) -> None:
    """The others make a quorum."""
    await case.begin(4)
    await case.reviewed()
    await case.accepted(COUNCIL[0], Recusal(), "I have advised the customer.")
    await case.advised(COUNCIL[1:])
    await case.signed()


@scenario
async def no_quorum_can_be_had(case: Case) -> None:
    """The consumer, without whom there is none, steps aside; the officer goes on without an opinion."""
    await case.begin(4)
    await case.reviewed()
    await case.accepted(COUNCIL[3], Recusal(), "I work for the customer.")
    await case.accepted(OFFICER, NoOpinion(), "The seat can't be filled in time.")
    await case.signed()


@scenario
async def council_is_late_and_gets_more_time(case: Case) -> None:
    """An opinion that is late is refused; after the extension there are enough."""
    await case.begin(4, hasty(Phase.CONSULTING))
    await case.reviewed()
    await case.overdue()
    await case.refused("late", COUNCIL[0], Opinion(stance=Stance.SUPPORTS), "The measures are sound.")
    await case.accepted(OFFICER, Extension(until=datetime.now(UTC) + timedelta(days=30)), "They meet next week.")
    await case.advised()
    await case.signed()


@scenario
async def council_is_late_and_not_waited_for(case: Case) -> None:
    """No opinion by the deadline."""
    await case.begin(4, hasty(Phase.CONSULTING))
    await case.reviewed()
    await case.overdue()
    await case.accepted(OFFICER, NoOpinion(), "They did not meet.")
    await case.signed()


@scenario
async def deputy_answers_the_council(case: Case) -> None:
    """The officer's time has run out."""
    await case.begin(4, hasty(Phase.ANSWERING_ADVICE))
    await case.reviewed()
    for person in COUNCIL:
        opinion = Opinion(stance=Stance.OPPOSES, advice=("Ask the families again.",))
        await case.accepted(person, opinion, "Nobody asked them.")
    await case.overdue()
    await case.answered("dai.deputy")
    await case.signed()


# Training.


@scenario
async def training_is_not_completed(case: Case) -> None:
    """The officer declines it when the time has run out."""
    await case.begin(3, hasty(Phase.TRAINING), trained=False)
    await case.reviewed()
    await case.overdue()
    await case.accepted(OFFICER, Ruling(ruling="decline"), "Nobody there was trained.")


@scenario
async def training_expires_between_two_signatures(case: Case) -> None:
    """The first signature lapses; both sign when the gap is closed."""
    await case.begin(3, trained=False)
    await case.reviewed()
    expires = datetime.now(UTC) + timedelta(seconds=10)
    await case.train(datetime.now(UTC) - timedelta(days=1), expires)
    await case.word_from_the_register()
    await case.accepted("bo.head", await case.signature())
    await asyncio.sleep((expires - datetime.now(UTC)).total_seconds())
    await case.refused("training_gap", "di.head", await case.signature())
    await case.train(datetime.now(UTC))
    await case.word_from_the_register()
    await case.signed()


# Deadlines.


@scenario
async def reviewers_are_late_and_get_more_time(case: Case) -> None:
    """A reminder, the deadline, the extension."""
    await case.begin(3, hasty(Phase.REVIEWING))
    await case.overdue()
    await case.accepted(OFFICER, Extension(until=datetime.now(UTC) + timedelta(days=30)), "A holiday.")
    await case.reviewed()
    await case.signed()


@scenario
async def reviewers_are_late_and_it_is_declined(case: Case) -> None:
    """A reminder, the deadline, the ruling."""
    await case.begin(3, hasty(Phase.REVIEWING))
    await case.overdue()
    await case.refused("out_of_stage", OFFICER, Ruling(ruling="proceed"), "It will do.")
    await case.accepted(OFFICER, Ruling(ruling="decline"), "Nobody would review it.")


@scenario
async def owner_does_not_answer(case: Case) -> None:
    """A change request, a reminder, the deadline, the ruling."""
    await case.begin(3, hasty(Phase.WITH_OWNER))
    await case.accepted(REVIEWERS[0], ChangeRequest(), "Say how long the data is kept.")
    await case.overdue()
    await case.accepted(OFFICER, Ruling(ruling="decline"), "The owner does not answer.")


@scenario
async def clock_stands_still_for_an_answer(case: Case) -> None:
    """A question, the owner's own reminder and deadline, and the answer after all."""
    await case.begin(3, hasty(Phase.WITH_OWNER))
    await case.accepted(REVIEWERS[0], Question(), "How long is the data kept?")
    await case.until(lambda review: review.owner_overdue)
    (asked,) = (await case.state()).questions
    await case.accepted(OWNER, QuestionAnswer(question=asked.by.decision), "A year.")
    await case.reviewed()
    await case.signed()


@scenario
async def a_delegate_signs(case: Case) -> None:
    """In place of somebody who left the office to them; a signatory who is away."""
    await case.begin(1)
    await case.reviewed()
    window = (None, datetime.now(UTC) + timedelta(days=7))
    await case.world.registers.delegate("bo.head", "be.deputy", [Role.SIGNATORY], window, by="bo.head")
    await case.refused("absent", "bo.head", await case.signature())
    await case.signed({"business_unit_head": "be.deputy"})


@scenario
async def two_of_an_office_sign(case: Case) -> None:
    """Anybody of those named, until as many have as are needed."""
    (pack,) = shipped_packs()
    step = SignatoryStep.model_validate(
        {"office": "business_unit_head", "title": "Heads", "meaning": "approves", "people": HEADS, "needed": 2}
    )
    tiers = tuple(tier.model_copy(update={"signatories": (step,)}) for tier in pack.tiers)
    head = Grant(id="grant-of-cy.head", person=HEADS[1], role=Role.SIGNATORY, office=step.office, by=OPERATOR)
    async with case.world.registers.registry.head() as registry:
        cy = Member(person=HEADS[1], unit="Example Sales")
        await registry.append(
            PeopleEntered(at=registry.now, by=OPERATOR, people=(cy,)),
            Granted(at=registry.now, by=OPERATOR, grants=(head,)),
        )
    await case.begin(1, pack.model_copy(update={"version": "0.0.1", "tiers": tiers}))
    await case.reviewed()
    for person in reversed(HEADS):
        await case.accepted(person, await case.signature())
    assert (await case.state()).outcome is Outcome.APPROVED


@scenario
async def deputy_signs(case: Case) -> None:
    """The signatory's time has run out."""
    await case.begin(1, hasty(Phase.SIGNING))
    await case.reviewed()
    await case.overdue()
    await case.signed({"business_unit_head": "be.deputy"})


@scenario
async def waits_on(case: Case) -> None:
    """Open, with nothing but a timer running."""
    await case.begin()


@scenario
async def received_in_time_and_delivered_late(case: Case) -> None:
    """The commit of a deadline first takes what was stored before it."""
    review = await case.begin(3, hasty(Phase.REVIEWING))
    stored = await case.store(REVIEWERS[0], sheet(review))
    await case.overdue()
    await case.receipt(stored)


# Ends.


@scenario
async def a_signatory_declines(case: Case) -> None:
    """At sign-off."""
    await case.begin()
    await case.reviewed()
    basis = sign_off.basis(await case.state())
    await case.accepted("bo.head", Declining(basis=basis), "We can't answer for it.")


@scenario
async def the_owner_withdraws(case: Case) -> None:
    """In the middle of principle review."""
    review = await case.begin()
    await case.accepted(REVIEWERS[0], sheet(review))
    await case.accepted(OWNER, Withdrawal(), "The customer has left.")


@scenario
async def decisions_after_the_end(case: Case) -> None:
    """They come in the same task as the withdrawal, and are answered before the workflow ends."""
    review = await case.begin()
    await case.stop_work()
    await case.send(OWNER, Withdrawal(), "The customer has left.")
    late = [await case.send(person, sheet(review)) for person in REVIEWERS]
    await case.work()
    assert {"late"} == {(await case.receipt(delivery)).reason for delivery in late}


# Refusals and poison.


@scenario
async def refused_decisions(case: Case) -> None:
    """Stale, out of stage, not entitled, incomplete, given twice, about nothing."""
    review = await case.begin()
    full = sheet(review)
    receipt = await case.say(REVIEWERS[0], full, digest="1" * 64)
    assert receipt.reason == "stale"
    await case.refused("out_of_stage", OFFICER, NoOpinion(), "They did not meet.")
    await case.refused("not_entitled", "dai.deputy", Question(), "Who checks the results?")
    await case.refused("incomplete", REVIEWERS[0], VerdictSheet(verdicts=full.verdicts[:1]))
    await case.accepted(REVIEWERS[0], full)
    await case.refused("already_given", REVIEWERS[0], full)
    await case.refused("unknown_reference", OWNER, QuestionAnswer(question=case.id("none")), "Yes.")


def _bytes(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


@scenario
async def poison(case: Case) -> None:
    """Straight to Temporal: all of it is refused on record, and the review goes on."""
    review = await case.begin()
    settled = await case.store(REVIEWERS[0], sheet(review))
    signals: list[tuple[str, list[object]]] = [
        ("verdict_sheet", []),
        ("verdict_sheet", [{}, {}]),
        ("verdict_sheet", [None]),
        ("verdict_sheet", [_bytes(b"\x00\xff{", b"binary/plain")]),
        ("verdict_sheet", [_bytes(b"{" * 2000)]),
        ("verdict_sheet", [_bytes(b"")]),
        ("verdict_sheet", [{"decision_id": str(case.id("never stored"))}]),
        ("verdict_sheet", [{"decision_id": str(settled.decision), "verdicts": []}]),
        ("verdict_sheet", [{"decision_id": 7}]),
        ("no such name", ["?"]),
        ("a\x00b", ["NUL"]),
        ("稟議", ["承認"]),
    ]
    for name, args in signals:
        await case.handle.signal(name, args=args)
    await case.until(lambda review: review.refused == len(signals))
    await case.deliver(settled)
    assert (await case.receipt(settled)).status == "accepted"
    await case.accepted(REVIEWERS[1], sheet(review))


@scenario
async def a_client_asks_to_cancel(case: Case) -> None:
    """It is refused, on record, and the review goes on."""
    await case.begin()
    await case.handle.cancel()
    await case.until(lambda review: review.refused == 1)
    await case.reviewed()
    await case.signed()


@scenario
async def started_around_the_api(case: Case) -> None:
    """Nothing was ever submitted under its id: the workflow fails."""
    await case.start_by_hand(case.workflow_id)


@scenario
async def started_under_another_id(case: Case) -> None:
    """Only the workflow that is named after a review may have it: the workflow fails."""
    await case.start_by_hand(f"not-{case.workflow_id}")


# Faults.


@scenario
async def database_away_for_a_while(case: Case) -> None:
    """The local activity gives up, and a regular one waits until it is back."""
    review = await case.begin()
    case.ledger.away = True
    first = await case.send(REVIEWERS[0], sheet(review))
    await asyncio.sleep(3)
    case.ledger.away = False
    assert (await case.receipt(first)).status == "accepted"
    await case.accepted(REVIEWERS[1], sheet(review))


@scenario
async def somebody_was_faster(case: Case) -> None:
    """A commit whose reply was lost: the workflow learns what is on record, and goes on from there."""
    review = await case.begin()
    await case.stop_work()
    for number, person in enumerate(REVIEWERS[:2], start=1):
        delivery = await case.send(person, sheet(review))
        message = Arrived(
            ordinal=number,
            name=delivery.kind,
            decision=delivery.decision,
            digest=delivery.digest,
            length=len(delivery.data),
            shown="",
        )
        await case.commits.apply(Commit(review=case.review, seen=(await case.state()).seq, message=message))
    await case.work()
    await case.settled()
    await case.signed()


@scenario
async def nobody_can_sign_for_a_while(case: Case) -> None:
    """The registry's word that the only signatory may not act, and that they may again."""
    await case.begin(1)
    people = (SIGNATORIES["business_unit_head"], "be.deputy")
    for person in people:
        await case.world.registers.disable(person, OPERATOR, "On leave.")
    await case.word_from_the_registry()
    await case.reviewed()
    for person in people:
        await case.world.registers.enable(person, OPERATOR, "Back.")
    await case.word_from_the_registry()
    await case.signed()


@scenario
async def the_owner_moves_to_another_unit(case: Case) -> None:
    """The registry's word that there is one more unit whose people don't judge it."""
    await case.begin(1)
    async with case.world.registers.registry.head() as head:
        await head.append(PeopleEntered(at=head.now, by=OPERATOR, people=(Member(person=OWNER, unit="Sales"),)))
    await case.word_from_the_registry()
    await case.reviewed()
    await case.signed()


# Long reviews.


@scenario
async def continued_with_what_waits(case: Case) -> None:
    """Messages that a run did not get to are carried to the next."""
    review = await case.begin(per_run=2)
    await case.stop_work()
    for number in range(3):
        await case.handle.signal("no such name", number)
    sent = [await case.send(person, sheet(review)) for person in REVIEWERS[:2]]
    await case.work()
    for delivery in sent:
        assert (await case.receipt(delivery)).status == "accepted"
    await case.signed()


@scenario
async def continued_with_deadlines(case: Case) -> None:
    """The next run follows the same deadlines."""
    review = await case.begin(pack=hasty(Phase.REVIEWING, seconds=2), per_run=1)
    await case.accepted(REVIEWERS[0], sheet(review))
    await case.overdue()
    await case.accepted(OFFICER, Ruling(ruling="decline"), "Nobody else would review it.")


# Beside the reviews.


@scenario
async def reconciliation(case: Case) -> None:
    """A round of the reconciler, where there is no review yet."""
    await case.go_round()
