"""A whole system to be broken: a database with the example people, workers, and an account of every signal."""

from __future__ import annotations

import asyncio
import base64
import csv
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer

import worker
from activities.naming import workflow_id_for
from activities.ports import Delivery, UndeliverableError
from domain import sign_off
from domain.completions import Completion
from domain.decisions import AnyContent, Finding, Receipt, Signature, Submission, Verdict, VerdictSheet
from domain.drafts import Draft
from domain.dsse import Ed25519Signer
from domain.events import Accepted, Event, Refused
from domain.people import Person, Role
from domain.proof import IssuerKey, SignedIn
from domain.proposal import Proposal, content_digest
from domain.state import Review
from domain.step_up import Renewed, act_digest
from domain.verification import Evidence, verify
from runtime.courier import TemporalCourier
from runtime.embedded import Child, DataFolder, python_process
from runtime.keys import pem
from runtime.packs import load_proposal, shipped_packs
from runtime.repairs import Repairs
from runtime.settings import Settings
from runtime.temporal import plugin
from runtime.witness import TemporalWitness, workflow_state
from store.database import Clock, Database, connect
from store.decisions import Decisions, StepUpNeededError
from store.receipts import Receipts
from store.reconciliations import Reconciliations
from store.registers import Registers
from store.reviews import Reviews
from workflows.proposal_review import ProposalReview

T = TypeVar("T")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRIVATE_KEY = Ed25519PrivateKey.generate()
SIGNING_KEY = pem(PRIVATE_KEY).decode()
SIGNER = Ed25519Signer(PRIVATE_KEY)
"""The key that every process of a test signs with."""

_PROVIDER = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"p"))
PROVIDER = IssuerKey(
    id=base64.urlsafe_b64decode(_PROVIDER.thumbprint() + "=").hex(),
    issuer="https://login.example",
    audience="ringi-local",
    jwk={name: str(value) for name, value in _PROVIDER.as_dict(private=False).items()},
)
"""The key of an identity provider that people sign in with again where no API asks them to."""


async def store_signed_in(
    database: Database, registers: Registers, decisions: Decisions, draft: Draft, proposal: Proposal | None = None
) -> Delivery:
    """Store a decision; one that needs it, with the person's renewed sign-in."""
    try:
        return await decisions.store(draft, proposal)
    except StepUpNeededError as needed:
        act = act_digest(needed.envelope)
        await registers.see_issuer_key(PROVIDER)
        async with database.pool.acquire() as connection:
            now = int((await database.now(connection)).timestamp())
        said = {"iss": PROVIDER.issuer, "aud": PROVIDER.audience, "sub": draft.person, "nonce": act}
        claims = {**said, "iat": now, "auth_time": now, "exp": now + 300}
        token = jwt.encode({"alg": "Ed25519"}, claims, _PROVIDER, algorithms=["Ed25519"])
        return await decisions.store(draft, proposal, step_up=Renewed(SignedIn(token=token, key=PROVIDER.id), act))


TIER_1 = "tier-1-meeting-room-air"
TIER_4 = "tier-4-faces-at-the-station"

OPERATOR = "ops.operator"

WITHOUT_PAUSE = ["--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="0s"']
"""For Temporal's server: by itself it lets a second go by between two runs."""

HEADS = {"business_unit_head": "bo.head", "digital_trust_head": "di.head"}

# A signal that comes while a task is on its way makes the server fail that task: ordinary, and tried again at once.
ORDINARY = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}


async def until(what: Callable[[], Awaitable[T]], *, seconds: float = 60, every: float = 0.05) -> T:
    """The first true answer of `what`, asked again and again; its last one stands in the error if there is none."""
    end = time.monotonic() + seconds
    while not (answer := await what()):
        assert time.monotonic() < end, f"not within {seconds} s; the last answer was {answer!r}"
        await asyncio.sleep(every)
    return answer


@dataclass(frozen=True)
class Account:
    """What became of every signal that the server took, over all runs of a review's workflow."""

    signals: int
    stored: int
    repeats: int
    turned_away: int
    cancels: int
    runs: int
    events: int


@dataclass(frozen=True)
class Taken:
    """A signal as the server has it in history."""

    name: str
    data: bytes
    arguments: int


class Harness:
    """Everything that the API does, without HTTP, and what a test has to know of what became of it."""

    def __init__(
        self,
        database: Database,
        client: Client,
        address: str,
        url: str,
        receipts: Receipts,
        task_queue: str | None = None,
    ) -> None:
        self.task_queue = task_queue or f"ringi-{uuid4().hex[:12]}"
        self.database = database
        self.client = client
        self.address = address
        self.url = url
        self.receipts = receipts
        self.replayer = Replayer(workflows=[], plugins=[plugin()])
        self.decisions = Decisions(database, SIGNER)
        self.registers = Registers(database, SIGNER)
        self.reviews = Reviews(database)
        self.courier = TemporalCourier(client, self.task_queue)
        self.book = Reconciliations(database, self.decisions)
        self.witness = TemporalWitness(client, self.task_queue)
        self.repairs = Repairs(client, self.courier, self.book, self.witness, self.decisions)

    # Workers.

    @asynccontextmanager
    async def worker(self, *, messages_per_run: int = 100, reconcile_seconds: int = 0) -> AsyncIterator[None]:
        """A worker in this process, composed as ever; without a reconciler, unless it is asked for."""
        settings = Settings(
            database_url=SecretStr(self.url),
            signing_key=SecretStr(SIGNING_KEY),
            task_queue=self.task_queue,
            messages_per_run=messages_per_run,
            reconcile_seconds=reconcile_seconds,
        )
        self.courier = TemporalCourier(self.client, self.task_queue, messages_per_run)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEMPORAL_ADDRESS", self.address)
            async with worker.running(settings, self.database):
                yield

    def process(self, folder: DataFolder, name: str, module: str = "worker", **env: str) -> Child:
        """A worker process."""
        ours = {
            "RINGI_DATABASE_URL": self.url,
            "RINGI_SIGNING_KEY": SIGNING_KEY,
            "RINGI_TASK_QUEUE": self.task_queue,
            "TEMPORAL_ADDRESS": self.address,
            "PYTHONPATH": str(EXAMPLES.parent),
        }
        return python_process(folder, name, ["-m", module], env={**ours, **env})

    # People.

    async def store_submission(self, example: str = TIER_1, review: str | None = None) -> Delivery:
        """Store a submission, and tell nobody."""
        proposal = load_proposal(EXAMPLES / f"{example}.yaml")
        pack = await self.registers.publish(shipped_packs()[0])
        draft = Draft(
            decision_id=uuid4(),
            review=review or f"r-{uuid4().hex[:12]}",
            person=proposal.author,
            digest=content_digest(proposal),
            content=Submission(),
        )
        return await self.decisions.submit(draft, proposal, pack)

    async def submit(self, example: str = TIER_1) -> str:
        """Submit a proposal, and wait until its review is open."""
        delivery = await self.store_submission(example)
        await self.courier.deliver(delivery)
        assert (await self.receipt(delivery)).status == "accepted"
        return delivery.review

    async def draft(self, review: str, person: str, content: AnyContent, reason: str | None = None) -> Draft:
        """What a person says, on the digest that stands now."""
        digest = (await self.state(review)).content_digest
        return Draft(decision_id=uuid4(), review=review, person=person, digest=digest, content=content, reason=reason)

    async def store(self, review: str, person: str, content: AnyContent, reason: str | None = None) -> Delivery:
        """Store a decision, and tell nobody."""
        draft = await self.draft(review, person, content, reason)
        return await store_signed_in(self.database, self.registers, self.decisions, draft)

    async def send(self, review: str, person: str, content: AnyContent, reason: str | None = None) -> Delivery:
        """Store a decision and hand it on if that is possible, as the API does."""
        delivery = await self.store(review, person, content, reason)
        with suppress(UndeliverableError):
            await self.courier.deliver(delivery)
        return delivery

    async def decide(self, review: str, person: str, content: AnyContent, reason: str | None = None) -> Receipt:
        """As `send`; and wait for the receipt."""
        return await self.receipt(await self.send(review, person, content, reason))

    async def receipt(self, delivery: Delivery, seconds: float = 60) -> Receipt:
        """The receipt of a stored decision, when there is one."""
        receipt = await self.receipts.wait(delivery.decision, seconds)
        assert receipt is not None, f"no receipt within {seconds} s"
        return receipt

    async def sheet(self, review: str) -> VerdictSheet:
        """A full sheet that finds every principle respected."""
        route = (await self.state(review)).route
        assert route is not None
        return VerdictSheet(
            verdicts=tuple(
                Verdict(principle=principle, finding=Finding.RESPECTED, reason="Nothing speaks against it.")
                for principle in route.principles
            )
        )

    async def approve(self, review: str) -> None:
        """Good decisions, one after the other, until this review of the lowest tier has its certificate."""
        if (await self.state(review)).stage == "principle_review":
            sheet = await self.decide(review, "rin.reviewer", await self.sheet(review))
            assert sheet.status == "accepted", sheet
        state = await self.state(review)
        signature = await self.decide(review, "bo.head", Signature(basis=sign_off.basis(state)))
        assert signature.status == "accepted", signature
        assert (await self.state(review)).outcome == "approved"

    # What is known of a review.

    def handle(self, review: str) -> WorkflowHandle[ProposalReview, object]:
        """Its workflow, whichever run."""
        return self.client.get_workflow_handle_for(ProposalReview.run, workflow_id_for(review))

    async def state(self, review: str) -> Review:
        """It, as the read model has it."""
        state = await self.reviews.state(review)
        assert state is not None
        return state

    async def ledger(self, review: str) -> tuple[Event, ...]:
        """Its record."""
        return tuple(entry.event for entry in await self.reviews.events(review))

    async def agrees(self, review: str, *, seconds: float = 60) -> None:
        """Wait until nothing is pending, and record, read model and workflow say the same."""
        said = ""

        async def same() -> bool:
            nonlocal said
            pending = await self.database.pool.fetchval(
                "select count(*) from decisions where review_id = $1 and status = 'pending'", review
            )
            record = await self.reviews.record(review)
            assert record is not None
            workflow = await workflow_state(self.client, review)
            if workflow.seq is None:  # its task was lost with a worker, and waits to be tried again
                said = f"{workflow.status}: {workflow.detail}"
                return False
            proposals, packs = await self.reviews.texts(record[0])
            check = verify(
                Evidence(
                    review=review,
                    entries=record[0],
                    read_model=record[1],
                    workflow=workflow,
                    proposals=proposals,
                    packs=packs,
                ),
                await self.registers.registry.entries(),
            )
            said = check.difference or f"{pending} pending"
            return check.holds and not pending

        try:
            await until(same, seconds=seconds, every=0.2)
        except AssertionError as error:
            raise AssertionError(said) from error

    async def histories(self, review: str) -> list[list[HistoryEvent]]:
        """The history of each run of its workflow, the first run first."""
        described = await self.handle(review).describe()
        histories: list[list[HistoryEvent]] = []
        run: str | None = described.run_id
        while run:
            events = await self.events(workflow_id_for(review), run)
            histories.insert(0, events)
            run = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        return histories

    async def events(self, workflow_id: str, run: str = "") -> list[HistoryEvent]:
        """The history of one run; the last one, if it is not named."""
        request = GetWorkflowExecutionHistoryRequest(namespace=self.client.namespace)
        request.execution.workflow_id, request.execution.run_id = workflow_id, run
        events: list[HistoryEvent] = []
        while True:
            answer = await self.client.workflow_service.get_workflow_execution_history(request)
            events += answer.history.events
            if not answer.next_page_token:
                return events
            request.next_page_token = answer.next_page_token

    async def replays(self, review: str, runs: Sequence[Sequence[HistoryEvent]], *, gone: int = 0) -> None:
        """No task of these runs failed for good, or was given up more often than a worker was `gone`; and every run can
        be replayed, but for one that has done nothing yet: the SDK waits for ever for its first task.
        """
        assert_no_task_failed_for_good([event for history in runs for event in history], gone=gone)
        begun = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        for history in (run for run in runs if any(event.event_type == begun for event in run)):
            await self.replayer.replay_workflow(WorkflowHistory(workflow_id_for(review), history))

    async def account(self, review: str, *, gone: int = 0) -> Account:
        """Replay every run, hold every signal in history against the record, and give their numbers; as often as a
        worker was `gone`, a task may have been given up.
        """
        runs = await self.histories(review)
        await self.replays(review, runs, gone=gone)
        return await self.account_of(review, runs)

    async def account_of(self, review: str, runs: Sequence[Sequence[HistoryEvent]]) -> Account:
        """Hold every signal in these runs against the record, and give their numbers.

        A signal with the very bytes of a stored decision settles it the first time and repeats it after that. Every
        other one stands on the ledger as refused, under its number among all signals of this review, with its digest,
        its length and an escaped beginning; and nothing stands there that nobody sent.
        """
        signals = [taken(event) for history in runs for event in history if event.event_type == SIGNALED]
        cancels = sum(event.event_type == CANCEL_REQUESTED for history in runs for event in history)
        rows = await self.database.pool.fetch("select id, digest, status from decisions where review_id = $1", review)
        stored = {row["digest"]: row["id"] for row in rows}
        assert all(row["status"] != "pending" for row in rows)

        ledger = await self.ledger(review)
        settled = [event.envelope.decision_id for event in ledger if isinstance(event, Accepted)]
        settled += [e.decision for e in ledger if isinstance(e, Refused) and e.ordinal is None and e.decision]
        assert sorted(map(str, settled)) == sorted(str(row["id"]) for row in rows), "each decision has one entry"

        away = [event for event in ledger if isinstance(event, Refused) and event.ordinal is not None]
        cancelled = [event for event in away if event.reason == "cancel_refused"]
        assert [event.ordinal for event in cancelled] == list(range(1, cancels + 1))

        seen: set[UUID] = set()
        repeats = 0
        expected = []
        for number, signal in enumerate(signals, start=1):
            digest = sha256(signal.data).hexdigest()
            decision = stored.get(digest) if signal.arguments == 1 else None
            if decision is None:
                expected.append((number, digest, len(signal.data)))
            elif decision in seen:
                repeats += 1
            else:
                seen.add(decision)
        turned_away = [event for event in away if event not in cancelled]
        assert [(event.ordinal, event.digest, event.length) for event in turned_away] == expected
        for event in turned_away:
            assert event.detail
            assert event.shown is not None
            assert event.shown.removesuffix("…").isascii()
            assert event.shown.isprintable()
        assert len(signals) == len(seen) + repeats + len(turned_away)
        tally = (await self.handle(review).query(ProposalReview.where_it_stands)).tally
        assert (tally.signals, tally.accepted + tally.refused + tally.repeated) == (len(signals), len(signals))
        return Account(
            signals=len(signals),
            stored=len(seen),
            repeats=repeats,
            turned_away=len(turned_away),
            cancels=cancels,
            runs=len(runs),
            events=sum(len(history) for history in runs),
        )


SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


def taken(event: HistoryEvent) -> Taken:
    """A signal, from its event."""
    attributes = event.workflow_execution_signaled_event_attributes
    payloads = attributes.input.payloads
    return Taken(attributes.signal_name, b"".join(payload.data for payload in payloads), len(payloads))


def assert_no_task_failed_for_good(history: Sequence[HistoryEvent], *, gone: int = 0) -> None:
    """A workflow task may fail because another signal came in, and for no other reason; and be given up for a worker
    that is gone (it was killed, it ended, it stood still, or it was cut off): one for each, and otherwise none.
    """
    given_up = [event for event in history if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT]
    assert len(given_up) <= gone, given_up
    for event in history:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            attributes = event.workflow_task_failed_event_attributes
            assert attributes.cause in ORDINARY, attributes


@asynccontextmanager
async def harness(url: str, client: Client, address: str, *, clock: Clock | None = None) -> AsyncIterator[Harness]:
    """A system on a migrated, empty database and a running Temporal server, with the example people in it."""
    async with connect(url, clock=clock) as database:
        receipts = Receipts(url, Decisions(database, SIGNER))
        system = Harness(database, client, address, url, receipts)
        await system.registers.registry.enrol()
        await system.registers.ensure_operator(OPERATOR)
        await system.registers.publish(shipped_packs()[0])
        with (EXAMPLES / "people.csv").open() as file:
            rows = list(csv.DictReader(file))
        people = {row["person"]: Person(id=row["person"], name=row["name"], unit=row["unit"]) for row in rows}
        roles = [(row["person"], Role(row["role"]), row["office"] or None) for row in rows if row["role"]]
        await system.registers.enter_people(list(people.values()), roles, by=OPERATOR)
        with (EXAMPLES / "training.csv").open() as file:
            await system.registers.enter_completions(
                [Completion.model_validate(dict(row)) for row in csv.DictReader(file)]
            )
        async with receipts.listening():
            yield system
