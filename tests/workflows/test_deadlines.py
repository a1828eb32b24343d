"""Deadlines of half a year, on the real server, in seconds: its own time skipping moves the workflow's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from activities.naming import workflow_id_for
from domain.deadlines import next_deadline
from domain.decisions import Extension, NoOpinion, Opinion, Question, QuestionAnswer, Stance, Withdrawal
from domain.events import Accepted, Began, Event, FellDue, Passed, Paused, Refused, Reminded, Resumed
from domain.route import Phase
from domain.stages import Stage
from domain.state import Deadline, Review
from tests.conftest import DatabaseUrls, Servers
from tests.support.harness import TIER_4, Harness, harness, until

SUPPORTS = Opinion(stance=Stance.SUPPORTS)


class Clock:
    """The database's clock, as far ahead as the workflow's."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Half:
    """A review before the Council, and the time that passes."""

    def __init__(self, system: Harness, skipper: TimeSkipper, clock: Clock) -> None:
        self.system = system
        self._skipper = skipper
        self._clock = clock
        self.review = ""
        self.rung: list[datetime] = []

    async def before_the_council(self) -> None:
        with self._skipper.with_time_skipping_disabled():
            self.review = await self.system.submit(TIER_4)
        sheet = await self.system.sheet(self.review)
        for person in ("rin.reviewer", "jun.reviewer"):
            assert (await self.system.decide(self.review, person, sheet)).status == "accepted"
        state = await self.system.state(self.review)
        assert state.phase is Phase.CONSULTING
        assert state.phase_since is not None
        assert state.due_at == state.phase_since + timedelta(days=180)

    async def pass_time(self, days: float) -> None:
        """Let so many days go by for the workflow and, as measured by it, for the database."""
        handle = self.system.handle(self.review)
        self._clock.ahead += timedelta(days=days)
        assert await self._skipper.fast_forward(handle, timedelta(days=days))
        moment = await self._skipper.get_current_time(handle)
        self._clock.ahead = moment - datetime.now(UTC)

    async def follow(self, *, till: Callable[[Review], bool]) -> None:
        """Let the time pass from one deadline to the next, a minute past each, until this holds; `rung` has them all."""
        while not till(state := await self.system.state(self.review)):
            deadline = next_deadline(state)
            assert deadline is not None
            moment = await self._skipper.get_current_time(self.system.handle(self.review))
            await self.pass_time((deadline.at - moment + timedelta(minutes=1)) / timedelta(days=1))
            await self._past(deadline)
            self.rung.append(deadline.at)

    async def _past(self, deadline: Deadline) -> None:
        async def gone() -> bool:
            return all(standing.id != deadline.id for standing in (await self.system.state(self.review)).deadlines)

        await until(gone)

    async def each_rang_once(self) -> None:
        """Every deadline on record had its timer, on its day; each timer was set once, and let go by only where the wait
        that it was set for had changed.
        """
        (history,) = await self.system.histories(self.review)
        started = [event for event in history if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED]
        fired = [
            event.event_time.ToDatetime(UTC)
            for event in history
            if event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
        ]
        for moment in self.rung:
            assert sum(abs(at - moment) < timedelta(minutes=1) for at in fired) == 1, (moment, fired)
        names = [event.user_metadata.summary.data for event in started]
        assert len(set(names)) == len(names)
        ledger = await self.system.ledger(self.review)
        rung = sum(isinstance(event, Reminded | FellDue) for event in ledger)
        changes = sum(isinstance(event, Began | Paused | Resumed) for event in ledger)
        assert len(fired) <= rung + changes

    async def says(self, event: type[Event]) -> Event:
        """Wait until the record holds such an event."""

        async def found() -> Event | None:
            return next((e for e in await self.system.ledger(self.review) if isinstance(e, event)), None)

        answer = await until(found)
        assert answer is not None
        return answer

    async def opinion(self, person: str, content: Opinion = SUPPORTS) -> str | None:
        """A member's opinion: None if it was accepted, else why it was refused."""
        receipt = await self.system.decide(self.review, person, content, "It was weighed.")
        return receipt.reason


@pytest.fixture
async def half(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Half]:
    clock, skipper = Clock(), TimeSkipper(temporal_client)
    async with harness(database.app_url, skipper.client, servers.temporal.address, clock=clock) as system:
        yield Half(system, skipper, clock)


async def test_reminder_then_due_then_without_an_opinion(half: Half) -> None:
    async with half.system.worker():
        await half.before_the_council()
        due_at = (await half.system.state(half.review)).due_at
        await half.pass_time(91)
        await half.says(Reminded)
        assert not (await half.system.state(half.review)).overdue
        assert await half.opinion("lea.lawyer") is None
        assert await _no_opinion(half) == "out_of_stage"

        await half.pass_time(90)
        await half.says(FellDue)
        state = await half.system.state(half.review)
        assert state.overdue
        assert state.due_at == due_at
        assert await half.opinion("noa.npo") == "late"
        assert await _no_opinion(half) is None

        passed = [e for e in await half.system.ledger(half.review) if isinstance(e, Passed)]
        assert (passed[-1].stage, passed[-1].result) == (Stage.COUNCIL, "no_opinion")
        await half.system.agrees(half.review)
        history = (await half.system.histories(half.review))[0]
        fired = sum(event.event_type == EventType.EVENT_TYPE_TIMER_FIRED for event in history)
        rung = await _count_of(half, Reminded) + await _count_of(half, FellDue)
        assert fired <= rung + 1, "a timer for each deadline, one let go by, and none for each message"


async def test_the_officer_gives_more_time(half: Half) -> None:
    async with half.system.worker():
        await half.before_the_council()
        await half.pass_time(181)
        await half.says(FellDue)
        until_then = (await half.system.database.now(None)) + timedelta(days=60)  # type: ignore[arg-type]  # the injected clock needs no connection
        extended = await half.system.decide(
            half.review, "omi.officer", Extension(until=until_then), "They meet next month."
        )
        assert extended.status == "accepted"
        state = await half.system.state(half.review)
        assert not state.overdue
        assert state.due_at == until_then
        assert await half.opinion("lea.lawyer") is None

        await half.pass_time(61)
        await until(lambda: _count(half, FellDue, 2))
        assert await half.opinion("noa.npo") == "late"
        again = (await half.system.database.now(None)) + timedelta(days=30)  # type: ignore[arg-type]  # as above
        assert (
            await half.system.decide(half.review, "omi.officer", Extension(until=again), "Once more.")
        ).status == "accepted"
        assert await half.opinion("ada.academic") is None
        assert await half.opinion("cai.consumer") is None
        began = [e for e in await half.system.ledger(half.review) if isinstance(e, Began)]
        assert sum(event.phase is Phase.CONSULTING for event in began) == 3
        await half.system.agrees(half.review)


async def test_what_was_received_in_time_is_decided_first(half: Half) -> None:
    """Every worker is down when the deadline's timer fires; an opinion was stored the day before."""
    async with half.system.worker():
        await half.before_the_council()
        await half.pass_time(100)
        await half.says(Reminded)
        await half.pass_time(79)
    in_time = await half.system.store(half.review, "lea.lawyer", SUPPORTS, "It was weighed.")
    passing = asyncio.create_task(half.pass_time(2))

    async def fired() -> bool:
        events = await half.system.events(workflow_id_for(half.review))
        return events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED

    await until(fired)
    late = await half.system.store(half.review, "noa.npo", SUPPORTS, "It was weighed too long.")
    async with half.system.worker():
        await passing
        assert (await half.system.receipt(in_time)).status == "accepted"
        answer = await half.system.receipt(late)
        assert (answer.status, answer.reason) == ("refused", "late")
        await half.says(FellDue)
        ledger = await half.system.ledger(half.review)
        order = [
            event.envelope.person if isinstance(event, Accepted) else type(event).__name__
            for event in ledger
            if isinstance(event, Accepted | FellDue | Refused)
        ]
        assert order[-3:] == ["lea.lawyer", "FellDue", "Refused"]
        await half.system.agrees(half.review)
        await half.system.account(half.review, gone=1)


async def test_the_clock_stands_still_while_the_owner_answers(half: Half) -> None:
    """Nobody but the owner is reminded; afterwards the wait takes as long as was left, and its deadline comes once."""
    async with half.system.worker():
        await half.before_the_council()
        due_at = (await half.system.state(half.review)).due_at
        assert due_at is not None
        await half.pass_time(60)
        asked = await half.system.decide(half.review, "lea.lawyer", Question(), "Who may look at the pictures?")
        assert asked.status == "accepted"
        state = await half.system.state(half.review)
        assert (state.paused, state.due_at) == (True, None)
        told = await half.system.handle(half.review).query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        assert "The clock stands still until the owner has answered." in told.current_details

        await half.pass_time(30)
        answer = QuestionAnswer(question=asked.decision_id)
        assert (await half.system.decide(half.review, "hana.owner", answer, "The staff.")).status == "accepted"
        reminded = [e for e in await half.system.ledger(half.review) if isinstance(e, Reminded)]
        assert {event.person for event in reminded} == {"hana.owner"}
        state = await half.system.state(half.review)
        assert not state.paused
        assert state.due_at is not None
        assert abs(state.due_at - due_at - timedelta(days=30)) < timedelta(hours=1)

        await half.follow(till=lambda review: review.overdue)
        assert half.rung[-1] == state.due_at
        assert await half.opinion("noa.npo") == "late"
        await half.system.agrees(half.review)
        await half.each_rang_once()


async def test_a_year_of_waiting_is_reminded_of_less_and_less_and_never_forgotten(half: Half) -> None:
    """The Council takes half a year, and nobody does anything for the other half."""
    async with half.system.worker():
        await half.before_the_council()
        began = (await half.system.state(half.review)).phase_since
        assert began is not None
        year = began + timedelta(days=365)
        await half.follow(till=lambda review: all(deadline.at > year for deadline in review.deadlines))
        days = [(moment - began) / timedelta(days=1) for moment in half.rung]
        assert days == [90, 112.5, 157.5, 180, 202.5, 230.5, 258.5, 286.5, 314.5, 342.5]
        assert (
            await half.system.decide(half.review, "hana.owner", Withdrawal(), "It took a year.")
        ).status == "accepted"
        await half.system.agrees(half.review)
        await half.each_rang_once()


async def test_one_member_is_given_more_time_than_the_others(half: Half) -> None:
    """Their part goes on when the others' time is over, until it is over too."""
    async with half.system.worker():
        await half.before_the_council()
        due_at = (await half.system.state(half.review)).due_at
        assert due_at is not None
        until_then = due_at + timedelta(days=20)
        more = Extension(until=until_then, person="lea.lawyer")
        assert (await half.system.decide(half.review, "omi.officer", more, "She was ill.")).status == "accepted"
        await half.follow(till=lambda review: review.overdue)
        assert half.rung[-1] == due_at
        assert await half.opinion("noa.npo") == "late"
        assert await _no_opinion(half) == "out_of_stage"
        assert await half.opinion("lea.lawyer") is None
        assert await _no_opinion(half) is None
        await half.system.agrees(half.review)


async def _no_opinion(half: Half) -> str | None:
    receipt = await half.system.decide(half.review, "omi.officer", NoOpinion(), "Nobody could come to the session.")
    return receipt.reason


async def _count(half: Half, event: type[Event], number: int) -> bool:
    return await _count_of(half, event) >= number


async def _count_of(half: Half, event: type[Event]) -> int:
    return sum(isinstance(e, event) for e in await half.system.ledger(half.review))
