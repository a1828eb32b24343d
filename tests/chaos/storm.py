"""A storm: people decide about many reviews while everything breaks, and afterwards every promise is checked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any
from uuid import UUID

import httpx2
from pydantic import BaseModel, ConfigDict

from domain.decisions import Receipt
from tests.chaos import plan as planned
from tests.chaos.plan import Act, Case, Fault, Plan, Sending, Step
from tests.support.fleet import Fleet
from tests.support.invariants import Kept, Told, kept

AT_ONCE = 20
"""Reviews that people work on at the same time."""

PATIENCE = 15.0
"""Seconds until a client takes a connection for lost."""

LONGEST = 600.0
"""Seconds that a storm may take, with all that is checked afterwards."""

WEATHER = 0.6
"""The part of its time after which nothing more breaks, whatever was planned."""

AFTERMATH = 0.2
"""The part of its time, after the last fault, in which every review has to come to its outcome; and again for those that
rested. What is then left is for the reckoning.
"""

READY = 90.0
"""Seconds in which every process has to be ready again, once nothing breaks any more."""

FEWEST_FAULTS = 60
"""To 2,000 decisions, and to fewer in proportion: with less than that it is no storm."""

RECOVERY = {
    **dict.fromkeys((planned.WORKER_KILLED, planned.API_KILLED), 30.0),
    planned.WORKERS_KILLED: 60.0,
    **dict.fromkeys((planned.POSTGRES_KILLED, planned.COMMIT_SWALLOWED, planned.POSTGRES_CUT), 20.0),
    **dict.fromkeys((planned.POSTGRES_SLOW, planned.POSTGRES_HALF_CLOSED, planned.POSTGRES_SHUT), 20.0),
    **dict.fromkeys((planned.TEMPORAL_KILLED, planned.TEMPORAL_SWALLOWED, planned.TEMPORAL_CUT), 60.0),
    **dict.fromkeys((planned.TEMPORAL_SLOW, planned.TEMPORAL_HALF_CLOSED, planned.TEMPORAL_SHUT), 60.0),
}
"""Seconds from the end of a fault within which a decision is accepted again, on two processors that have other work, too,
and whatever else breaks in the meantime. Twice what is wanted after a fault that comes alone; and where no worker is left, what
they had begun is given up only after ten seconds.
"""

_COMMIT = b"COMMIT"

_STORED_BY = "select true from decisions where id = $1 and received_at <= $2"


class Report(BaseModel):
    """What a storm came to."""

    model_config = ConfigDict(frozen=True)

    seed: int
    plan: str
    planned: int
    """How many decisions were to be sent; `decisions` is how many were, and settled."""
    decisions: int
    sent: int
    requests: int
    reviews: int
    runs: int
    signals: int
    faults: int
    """How many took effect: a process ended, connections were cut, an answer was lost. `kinds` says of which kind."""
    kinds: dict[str, int]
    lost: int
    doubled: int
    stuck: int
    problems: list[str]
    never: dict[str, int]
    """The faults that were planned and never came, by kind."""
    idle: dict[str, int]
    """Those that came and found nothing to break, by kind."""
    ended: dict[str, int]
    """The processes that ended without having been killed, by name; `gave_up` those that did while they began."""
    gave_up: dict[str, int]
    recovery: dict[str, float]
    """Seconds from the end of a fault until a decision was accepted, by kind: of the fault for which it took longest."""
    unrecovered: dict[str, int]
    """The faults after which none was, by kind; among the quantiles they are with the time until people ended."""
    recovery_p50: float
    recovery_p99: float
    caught_up_p50: float
    caught_up_p99: float
    decision_p50: float
    decision_p99: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it was the storm that was planned, with its faults, a COMMIT among them of which nobody was told, in
        time; no process ended by itself, but one that could not begin; all recovered from every fault; and every promise
        was kept.
        """
        whole = self.decisions == self.planned and 2000 * self.faults >= FEWEST_FAULTS * self.planned
        whole = whole and self.kinds.get(planned.COMMIT_SWALLOWED, 0) >= 1
        if self.ended or self.unrecovered or any(seconds > RECOVERY[kind] for kind, seconds in self.recovery.items()):
            return False
        return whole and self.seconds <= LONGEST and not (self.lost or self.doubled or self.stuck or self.problems)


@dataclass(eq=False)
class _Strike:
    """A fault that took effect: when it ended, and which decisions were on their way then."""

    fault: Fault
    at: datetime
    waiting: set[UUID]
    recovered: float | None = None
    caught_up: float | None = None

    def until(self, what: float | None, end: datetime) -> float:
        """How long that took; as long as there was, if it did not happen."""
        return (end - self.at).total_seconds() if what is None else what


class UnexpectedError(Exception):
    """Something that no fault excuses."""


@dataclass
class Storm:
    """One storm over one fleet, with its report after `longest` seconds at the latest."""

    plan: Plan
    fleet: Fleet
    tell: Callable[[str], None] = lambda _: None
    longest: float = LONGEST
    never: list[Fault] = field(default_factory=list)
    """What was planned and did not come, for people were done, or the time was over, before."""
    idle: list[Fault] = field(default_factory=list)
    """What came and found nothing to break."""
    _start: float = field(default_factory=time.monotonic)
    _told: Told = field(default_factory=Told)
    _waiting: dict[UUID, float] = field(default_factory=dict)
    _took: list[float] = field(default_factory=list)
    _strikes: list[_Strike] = field(default_factory=list)
    _problems: list[str] = field(default_factory=list)
    _requests: int = 0
    _tokens: dict[str, str] = field(default_factory=dict)
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)
    _calm: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _clients: list[httpx2.AsyncClient] = field(default_factory=list)
    _sent: list[asyncio.Task[Receipt]] = field(default_factory=list)
    _undenied: Counter[UUID] = field(default_factory=Counter)
    """How often a decision was sent without the answer that nothing was taken."""
    _denied: dict[UUID, datetime] = field(default_factory=dict)
    """Until when each had no other answer."""

    async def run(self) -> Report:
        """Let it rage, let people go on until every review has its outcome, and check everything."""
        self._start = time.monotonic()
        limits = httpx2.Limits(max_connections=200)
        self._clients = [
            httpx2.AsyncClient(base_url=api.ready_url or "", timeout=PATIENCE, trust_env=False, limits=limits)
            for api in self.fleet.apis
        ]
        try:
            stuck = await self._rage()
        finally:
            await asyncio.gather(*(client.aclose() for client in self._clients))
        return await self._report(stuck)

    def _left(self, part: float = 1.0) -> float:
        """How many seconds are left of this part of its time."""
        return max(0.0, self._start + part * self.longest - time.monotonic())

    async def _rage(self) -> list[str]:
        """The reviews that did not come to an outcome."""
        left = iter(self.plan.cases)
        done: set[str] = set()
        resting: list[asyncio.Task[None]] = []

        async def some() -> None:
            for case in left:
                await self._play(case, slice(None, case.rests))
                if case.rests < len(case.steps):
                    resting.append(asyncio.create_task(rest(case)))
                else:
                    done.add(case.review)

        async def rest(case: Case) -> None:
            await self._over.wait()
            await self._play(case, slice(case.rests, None))
            done.add(case.review)

        people = [asyncio.create_task(some()) for _ in range(AT_ONCE)]
        weather, everybody = asyncio.create_task(self._weather()), asyncio.create_task(asyncio.wait(people))
        await asyncio.wait([weather, everybody], timeout=self._left(WEATHER), return_when=asyncio.FIRST_COMPLETED)
        await self._calm_down()
        await asyncio.wait([weather])
        await self._come_to_an_end(people)
        self._over.set()
        await self._come_to_an_end([*people, *resting])
        await self._come_to_an_end(self._sent)
        for task in (*people, *resting, *self._sent):
            task.cancel()
        for end in await asyncio.gather(weather, everybody, *people, *resting, *self._sent, return_exceptions=True):
            if isinstance(end, Exception):
                self._problems.append(str(end) if isinstance(end, UnexpectedError) else repr(end))
        return [case.review for case in self.plan.cases if case.review not in done]

    async def _calm_down(self) -> None:
        """Nothing more is to break."""
        self._calm.set()
        async with self._settled:
            self._settled.notify_all()

    async def _come_to_an_end(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=min(AFTERMATH * self.longest, self._left(WEATHER + AFTERMATH)))

    # People.

    async def _play(self, case: Case, steps: slice) -> None:
        try:
            for step in case.steps[steps]:
                await self._step(case, step)
        except UnexpectedError as error:
            self._problems.append(f"{case.review}: {error}")

    async def _step(self, case: Case, step: Step) -> None:
        receipts = await asyncio.gather(*(self._decide(case, act) for act in step.acts))
        accepted = sum(receipt.status == "accepted" for receipt in receipts)
        for act, receipt in zip(step.acts, receipts, strict=True):
            became = receipt.reason or receipt.status
            if became not in act.expected:
                raise UnexpectedError(f"{act.body.get('kind')} of {act.person}: {became}, {receipt.detail}")
        if accepted != step.accepted:
            raise UnexpectedError(f"{accepted} of {len(receipts)} decisions at once were accepted, not {step.accepted}")

    async def _decide(self, case: Case, act: Act) -> Receipt:
        body = dict(act.body)
        if "basis" in body:
            body["basis"] = (await self._asked(f"/reviews/{case.review}", act.person)).json()["basis"]
        self._waiting[act.id] = time.monotonic()
        # They go on as soon as one has its answer; what was sent later arrives while they do.
        sent = [asyncio.create_task(self._send(case.review, act, body, sending)) for sending in act.sent]
        self._sent += sent
        first, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        return first.pop().result()

    async def _send(self, review: str, act: Act, body: dict[str, Any], sending: Sending) -> Receipt:
        """Send it, and again and again, to the next API each time, until there is a receipt."""
        await asyncio.sleep(sending.after)
        api = sending.api
        path = f"/reviews/{review}/decisions" if "kind" in body else "/reviews"
        while True:
            self._requests += 1
            response = await self._try("POST", path, act.person, api, body)
            if response is not None and response.status_code in (200, 202):
                self._told.acknowledged[act.id] = review
            if response is not None and response.status_code == 202:
                response = await self._asked(response.headers["Location"], act.person, api, unless=202)
            if response is not None and (receipt := _receipt(response)) is not None:
                await self._keep(act, receipt)
                return receipt
            await asyncio.sleep(0.2)
            api = (api + 1) % len(self._clients)

    async def _asked(self, path: str, person: str, api: int = 0, *, unless: int | None = None) -> httpx2.Response:
        while True:
            response = await self._try("GET", path, person, api)
            if response is not None and response.status_code != unless:
                return response
            await asyncio.sleep(0.2)
            api = (api + 1) % len(self._clients)

    async def _try(self, method: str, path: str, person: str, api: int, body: Any = None) -> httpx2.Response | None:
        """An answer, or None where a client has to try again.

        Raises:
            UnexpectedError: an answer that no client can expect.
        """
        sent = None if body is None else UUID(body.get("id") or body["decision_id"])
        if sent is not None:
            self._undenied[sent] += 1
        token = self._tokens.setdefault(person, self.fleet.issuer.mint(person, minutes=120))
        headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=8"}
        try:
            response = await self._clients[api].request(method, path, json=body, headers=headers)
        except httpx2.TransportError:
            return None
        if sent is not None and response.status_code == 503 and "nothing was taken" in response.text:
            self._undenied[sent] -= 1
            if not self._undenied[sent]:
                self._denied[sent] = datetime.now(UTC)
        if response.status_code == 503 or (response.status_code == 409 and response.json()["reason"] == "pending"):
            return None
        if response.status_code in (200, 202, 409):
            return response
        if response.status_code == 403 and response.json().get("reason") == "step_up_required":
            id_token = self.fleet.issuer.mint_id_token(person, response.json()["nonce"])
            return await self._try(method, path, person, api, {**body, "step_up": {"id_token": id_token}})
        raise UnexpectedError(f"{method} {path}: {response.status_code} {response.text[:300]}")

    async def _keep(self, act: Act, receipt: Receipt) -> None:
        self._told.receipts[act.id].add(receipt)
        since = self._waiting.pop(act.id, None)
        if since is None:
            return
        self._took.append(time.monotonic() - since)
        if len(self._took) % 100 == 0:
            self.tell(f"{len(self._took)} of {self.plan.decisions} decisions settled, {len(self._strikes)} faults")
        for strike in self._strikes:
            passed = (datetime.now(UTC) - strike.at).total_seconds()
            if strike.recovered is None and receipt.status == "accepted" and receipt.at > strike.at:
                strike.recovered = passed
            strike.waiting.discard(act.id)
            if strike.caught_up is None and not strike.waiting:
                strike.caught_up = passed
        async with self._settled:
            self._settled.notify_all()

    # The weather.

    async def _weather(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, fault in enumerate(self.plan.faults):
                if not await self._comes(fault):
                    self.never += self.plan.faults[number:]
                    break
                group.create_task(self._strike(fault))
        for proxy in (self.fleet.before_postgres, self.fleet.before_temporal):
            proxy.calm()
        try:
            await self.fleet.ready(seconds=min(READY, self._left(WEATHER + AFTERMATH)))
        except AssertionError as error:
            self._problems.append(f"not everything is ready again: {error}")

    async def _comes(self, fault: Fault) -> bool:
        """Whether it comes to it: with everybody done, or stuck, there would be no more receipts to wait for."""
        async with self._settled:
            await self._settled.wait_for(lambda: self._calm.is_set() or len(self._took) >= fault.after)
        return len(self._took) >= fault.after

    async def _strike(self, fault: Fault) -> None:
        if await self._break(fault):
            self._strikes.append(_Strike(fault, datetime.now(UTC), set(self._waiting)))
        else:
            self.idle.append(fault)

    async def _break(self, fault: Fault) -> bool:
        """Let it happen, to its end. Whether it took effect."""
        fleet = self.fleet
        proxy = fleet.before_postgres if fault.kind in _AT_POSTGRES else fleet.before_temporal
        match fault.kind:
            case planned.WORKER_KILLED:
                return await fleet.kill([fleet.workers[fault.which % len(fleet.workers)]], down=fault.seconds) > 0
            case planned.WORKERS_KILLED:
                return await fleet.kill(fleet.workers, down=fault.seconds) > 0
            case planned.API_KILLED:
                return await fleet.kill([fleet.apis[fault.which % len(fleet.apis)]], down=fault.seconds) > 0
            case planned.TEMPORAL_KILLED:
                return await fleet.kill([fleet.servers["Temporal"]], down=fault.seconds) > 0
            case planned.POSTGRES_KILLED:
                return await fleet.kill([fleet.servers["PostgreSQL"]], down=fault.seconds) > 0
            case planned.COMMIT_SWALLOWED:
                return await self._happens(proxy.swallow(after=_COMMIT))
            case planned.TEMPORAL_SWALLOWED:
                return await self._happens(proxy.swallow())
            case planned.POSTGRES_CUT | planned.TEMPORAL_CUT:
                return proxy.cut() > 0
            case planned.POSTGRES_HALF_CLOSED | planned.TEMPORAL_HALF_CLOSED:
                return proxy.half_close() > 0
            case planned.POSTGRES_SLOW | planned.TEMPORAL_SLOW:
                before, proxy.delay = proxy.delayed, fault.seconds / 4
                await asyncio.sleep(fault.seconds)
                proxy.delay = 0.0
                return proxy.delayed > before
            case planned.POSTGRES_SHUT | planned.TEMPORAL_SHUT:
                before, proxy.shut = proxy.turned_away, True
                cut = proxy.cut()
                await asyncio.sleep(fault.seconds)
                proxy.shut = False
                return cut + proxy.turned_away > before
            case _:
                raise ValueError(f"{fault.kind} is no fault")

    async def _happens(self, event: asyncio.Event) -> bool:
        """Whether it does, before nothing more is to break."""
        waits = [asyncio.create_task(each.wait()) for each in (event, self._calm)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return event.is_set()

    # The reckoning.

    async def _report(self, stuck: Sequence[str]) -> Report:
        fleet, ended = self.fleet, datetime.now(UTC)
        try:
            async with asyncio.timeout(self._left()):
                promises = await self._reckoning(stuck)
        except Exception as error:  # of a system that is not there any more there is a report, too
            promises = Kept([], [], [f"the reckoning came to no end: {error!r}"], [])
        recovery: dict[str, float] = {}
        unrecovered = Counter(strike.fault.kind for strike in self._strikes if strike.recovered is None)
        for strike in self._strikes:
            if strike.recovered is not None:
                kind = strike.fault.kind
                recovery[kind] = max(recovery.get(kind, 0.0), round(strike.recovered, 3))
        return Report(
            seed=self.plan.seed,
            plan=self.plan.digest,
            planned=self.plan.decisions,
            decisions=len(self._took),
            sent=self.plan.sendings,
            requests=self._requests,
            reviews=len(self.plan.cases),
            runs=sum(account.runs for account in promises.accounts),
            signals=sum(account.signals for account in promises.accounts),
            faults=len(self._strikes),
            kinds=dict(Counter(strike.fault.kind for strike in self._strikes)),
            lost=len(promises.lost),
            doubled=len(promises.doubled),
            stuck=len(stuck),
            problems=[
                *promises.lost,
                *promises.doubled,
                *(f"{review}: stuck" for review in stuck),
                *self._problems,
                *promises.problems,
            ],
            never=dict(Counter(fault.kind for fault in self.never)),
            idle=dict(Counter(fault.kind for fault in self.idle)),
            ended=dict(fleet.ended),
            gave_up=dict(fleet.gave_up),
            recovery=recovery,
            unrecovered=dict(unrecovered),
            **_percentiles("recovery", [strike.until(strike.recovered, ended) for strike in self._strikes]),
            **_percentiles("caught_up", [strike.until(strike.caught_up, ended) for strike in self._strikes]),
            **_percentiles("decision", self._took),
            seconds=round(time.monotonic() - self._start, 1),
        )

    async def _reckoning(self, stuck: Sequence[str]) -> Kept:
        async with self.fleet.inside() as system:
            for case in self.plan.cases:
                state = await system.reviews.state(case.review)
                outcome = None if state is None else state.outcome
                if case.review not in stuck and outcome != case.outcome:
                    self._problems.append(f"{case.review}: its outcome is {outcome}, not {case.outcome}")
            for decision, at in self._denied.items():
                if await system.database.pool.fetchval(_STORED_BY, decision, at):
                    self._problems.append(f"{decision}: stored, and whoever sent it was told that nothing was taken")
            reviews = [case.review for case in self.plan.cases]
            faults = len(self._strikes) + len(self.idle)  # each keeps a worker at most from a task of one review
            return await kept(system, reviews, self._told, stuck=stuck, gone=faults)


_AT_POSTGRES = frozenset(
    {
        planned.COMMIT_SWALLOWED,
        planned.POSTGRES_CUT,
        planned.POSTGRES_SLOW,
        planned.POSTGRES_HALF_CLOSED,
        planned.POSTGRES_SHUT,
    }
)


def _receipt(response: httpx2.Response) -> Receipt | None:
    said = response.json()
    found = said.get("receipt") if response.status_code == 409 else said
    if found is None:
        raise UnexpectedError(f"409 without a receipt: {said}")
    return Receipt.model_validate(found, strict=False)


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {f"{name}_p50": round(sum(values), 3), f"{name}_p99": round(sum(values), 3)}
    cuts = quantiles(values, n=100, method="inclusive")
    return {f"{name}_p50": round(cuts[49], 3), f"{name}_p99": round(cuts[98], 3)}
