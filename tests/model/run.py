"""Generated people do generated things to several reviews at once, over HTTP; then all of it is held against the model.

Everything is drawn from one seed. Days alternate with nights, in which no worker runs: what is decided then is stored, and
applied in whatever order it comes to Temporal.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2

from cli.setup import OPERATOR
from domain.decisions import Receipt
from domain.entitlement import ROLES
from domain.events import Event
from domain.people import DELEGABLE, Holder, Role
from domain.policy import read_pack
from domain.registry import Registry, RegistryEntry
from domain.review import waits_for
from domain.state import Review
from domain.turns import Turn, falls_to
from tests.domain.packs import pack_data
from tests.model import people, sayings
from tests.model.answers import Answers, Asked, decision_of
from tests.model.people import OFFICES, UNITS, Member
from tests.model.sayings import Body, Speech
from tests.support.fleet import Fleet
from tests.support.harness import Harness
from tests.support.invariants import Told, kept
from tests.support.oracle import holders, past_of
from tests.support.system import COUNCIL, ONLINE, OWNER, PACK, REVIEWERS, SIGNATORIES, TRAINING_OFFICER, example

QUICK = "quick"
"""A pack whose deadlines come within seconds, and whose reviewers sign in again over their sheets."""

PATIENCE = 60.0
"""Seconds until a receipt must be there."""


@dataclass(frozen=True)
class Report:
    """What a run came to: what was answered how often, what became of decisions, and whatever no model explains.

    `happened` says how many decisions came late, were doubled (said again, and answered with the receipt that there was),
    and reordered (on the ledger after one that was received later).
    """

    problems: list[str]
    answered: Counter[str]
    became: Counter[str]
    happened: Counter[str]
    outcomes: Counter[str]
    runs: int


@dataclass
class Case:
    """One review: who draws for it, and what has been said about it."""

    review: str
    rng: random.Random
    speech: Speech
    sent: list[tuple[str, Body]] = field(default_factory=list)


class Model:
    """The people of one seed, at a running fleet."""

    def __init__(self, seed: int, fleet: Fleet, system: Harness) -> None:
        self._seed = seed
        self._fleet = fleet
        self._system = system
        self._rng = random.Random(seed)
        self._members: tuple[Member, ...] = ()
        self._everybody: list[str] = [*COUNCIL, *REVIEWERS, OWNER, *SIGNATORIES.values(), "ava.auditor"]
        self._registry = Registry()
        self._clients: list[httpx2.AsyncClient] = []
        self._told = Told()
        self._asked: list[Asked] = []
        self._taken: dict[UUID, list[str]] = defaultdict(list)  # what was, or may have been, stored with which id
        self._seen: Counter[str] = Counter()
        self._cases: list[Case] = []
        self._problems: list[str] = []
        self._doubled = 0
        self._gone = 0

    async def run(self, *, cases: int, days: int, acts: int) -> Report:
        """So many reviews for so many days, each with so many acts a day and a quarter of that in each night but the last."""
        async with AsyncExitStack() as stack:
            for api in self._fleet.apis:
                client = httpx2.AsyncClient(base_url=api.ready_url or "", timeout=PATIENCE, trust_env=False)
                self._clients.append(await stack.enter_async_context(client))
            await self._enter()
            await asyncio.gather(*(self._submit(number) for number in range(cases)))
            await self._each(self._err)
            for day in range(days):
                await self._each(lambda case: self._day(case, acts))
                if day < days - 1:
                    late: list[Asked] = []
                    self._gone += len(self._fleet.workers)
                    async with self._fleet.without(self._fleet.workers):
                        await self._each(lambda case: self._night(case, acts // 4, late))  # noqa: B023 - awaited here
                    await self._fleet.ready()
                    await asyncio.gather(*map(self._settle, late))
            await self._give_everything_back()
            await self._each(self._finish)
            return await self._report()

    async def _each(self, what: Callable[[Case], Awaitable[None]]) -> None:
        await asyncio.gather(*map(what, self._cases))

    # People, and what they may do.

    async def _enter(self) -> None:
        self._members = people.draw(self._rng)
        self._everybody += [member.person for member in self._members]
        quick = pack_data() | {"id": QUICK}
        for tier in quick["tiers"]:
            tier["step_up"] = ["verdict_sheet"]
            for phase in tier["allowances"]:
                tier["allowances"][phase] = {"remind_after": "PT2S", "due_after": "PT4S"}
        await self._system.registers.publish(read_pack(quick))
        await self._operate("POST", "/people/import", content=people.as_csv(self._members))

    async def _operate(self, method: str, path: str, *, by: str = OPERATOR, **content: Any) -> httpx2.Response:
        """Change the registers. That a rule forbids it is an answer too."""
        headers = self._headers(by) | ({"Content-Type": "text/csv"} if "content" in content else {})
        response = await self._clients[0].request(method, path, headers=headers, **content)
        if response.status_code >= 500 or response.status_code in (400, 401, 422):
            self._problems.append(f"{method} {path}: {response.status_code} {response.text[:300]}")
        for entry in await self._system.registers.registry.entries(self._registry.seq, 1000):
            if entry.seq == self._registry.seq + 1:  # another case may have read on in the meantime
                self._registry.apply(RegistryEntry.model_validate_json(entry.data).event)
        return response

    def _holders(self) -> list[Holder]:
        return list(holders(self._registry, datetime.now(UTC)))

    async def _change_something(self, rng: random.Random, person: str) -> None:
        """Take something from a person, or from anybody, or give it back."""
        grants = [grant for grant in self._registry.grants.values() if grant.person == person]
        match rng.choice(("revoke", "grant", "delegate", "delegate", "end", "disable", "enable", "train")):
            case "revoke" if grants and person != OPERATOR:
                await self._operate("DELETE", f"/grants/{rng.choice(grants).id}?because=For%20the%20test.")
            case "grant":
                role = rng.choice(list(OFFICES))
                member = Member(person, rng.choice(UNITS), ((role, rng.choice(OFFICES[role])),))
                await self._operate("POST", "/people/import", content=people.as_csv([member]))
            case "delegate":
                roles = sorted({grant.role for grant in grants} & DELEGABLE) or [Role.OWNER]
                ends_at = datetime.now(UTC) + rng.choice((timedelta(seconds=2), timedelta(days=3)))
                left = {"taker": rng.choice(self._everybody), "roles": roles, "ends_at": ends_at.isoformat()}
                await self._operate("POST", "/delegations", by=person, json=left)
            case "end":
                mine = [d for d in self._registry.delegations.values() if person in (d.giver, d.taker)]
                for delegation in mine or list(self._registry.delegations.values())[:1]:
                    await self._operate("DELETE", f"/delegations/{delegation.id}")
            case "disable" if len(self._registry.disabled) < 3:
                await self._operate("POST", f"/people/{person}/disabled", json={"because": "For the test."})
            case "disable" | "enable":
                for disabled in sorted(self._registry.disabled)[:1]:
                    await self._operate("DELETE", f"/people/{disabled}/disabled?because=It%20is%20over.")
            case _:
                await self._train([(person, ONLINE)])

    async def _give_everything_back(self) -> None:
        for person in sorted(self._registry.disabled):
            await self._operate("DELETE", f"/people/{person}/disabled?because=It%20is%20over.")
        for delegation in list(self._registry.delegations):
            await self._operate("DELETE", f"/delegations/{delegation}")
        await self._operate("POST", "/people/import", content=people.as_csv(self._members))

    async def _train(self, done: list[tuple[str, str]]) -> None:
        at = datetime.now(UTC) - timedelta(days=1)
        lines = ["person,course,completed_at", *(f"{person},{course},{at.isoformat()}" for person, course in done)]
        await self._operate("POST", "/training/import", by=TRAINING_OFFICER, content="\n".join(lines))

    # Reviews.

    async def _submit(self, number: int) -> None:
        rng = random.Random(f"{self._seed} {number}")
        owners = [member.person for member in self._members if any(role is Role.OWNER for role, _ in member.roles)]
        staff = example(tier := 1 + number % 4).staff
        some = tuple(member.model_copy(update={"person": rng.choice(self._everybody)}) for member in staff[:1])
        proposal = example(
            tier,
            title=f"model {self._seed} {number}",
            owner=(owner := rng.choice(owners)),
            author=rng.choice(owners),
            business_unit=rng.choice(UNITS[:2]),
            staff=tuple({(m.person, m.role): m for m in (*some, *staff[1:])}.values()) if rng.random() < 0.5 else staff,
        )
        pack = PACK.id if number % 2 == 0 else QUICK
        case = Case(f"model-{self._seed}-{number}", rng, Speech(rng, proposal, self._everybody))
        body = {"proposal": proposal.model_dump(mode="json"), "review": case.review, "pack": pack}
        decision = _uuid(rng)
        response = await self._clients[0].post(
            "/reviews",
            json={**body, "decision_id": str(decision)},
            headers=self._headers(owner) | {"Prefer": f"wait={PATIENCE:.0f}"},
        )
        if response.status_code != httpx2.codes.OK:
            self._problems.append(f"{case.review}: {response.status_code} {response.text[:300]}")
            return
        self._keep(Receipt.model_validate_json(response.content))
        self._cases.append(case)

    async def _err(self, case: Case) -> None:
        """What chance may leave out: something on a text that nobody was shown, and what somebody else is to say."""
        await self._surely(case, "withdrawal", digest=sayings.GARBAGE)
        await self._surely(case, "verdict_sheet")

    async def _surely(self, case: Case, kind: str, **content: Any) -> None:
        """The owner says it: they can read it, whatever was taken from them."""
        person = case.speech.proposal.owner
        review = await self._system.state(case.review)
        said = case.speech.say(review, kind, datetime.now(UTC))
        await self._say(case, person, {**said, "digest": review.content_digest, **content, "id": str(_uuid(case.rng))})

    async def _day(self, case: Case, acts: int) -> None:
        for _ in range(acts):
            review = await self._system.state(case.review)
            await self._act(case, review)
            if review.closed and case.rng.random() < 0.7:
                return

    async def _act(self, case: Case, review: Review) -> None:
        rng = case.rng
        person, body = await self._something(case, review, right=0.7)
        match rng.choices(
            ("once", "twice", "race", "again", "other", "malformed", "around", "late"), (50, 12, 12, 4, 5, 4, 10, 6)
        )[0]:
            case "twice":
                await asyncio.gather(*(self._say(case, person, body, api=api) for api in (0, 1)))
            case "race":
                others = [await self._something(case, review, right=0.9) for _ in range(2)]
                others += [(person, {**body, "id": str(_uuid(rng)), "reason": "A second voice."})]
                said = [(person, body), *rng.sample(others, rng.randint(1, 3))]
                await asyncio.gather(*(self._say(case, *who, api=n % 2) for n, who in enumerate(said)))
            case "again" if case.sent:
                await self._say(case, *rng.choice(case.sent))
            case "other" if case.sent:
                sender, sent = rng.choice(case.sent)
                await self._say(case, rng.choice((sender, person)), {**body, "id": sent["id"]})
            case "malformed":
                await self._say(case, person, sayings.malformed(rng, body), malformed=True)
            case "around":
                change = self._change_something(rng, rng.choice((person, rng.choice(self._everybody))))
                await asyncio.gather(*rng.sample([change, self._say(case, person, body)], 2))
            case "late":
                asked = await self._say(case, person, body, wait=0)
                await self._say(case, *await self._something(case, review, right=0.9))
                await self._settle(asked)
            case _:
                await self._say(case, person, body)

    async def _night(self, case: Case, acts: int, late: list[Asked]) -> None:
        review = await self._system.state(case.review)
        said = [await self._something(case, review, right=0.8) for _ in range(acts)]
        said += [case.rng.choice(said)] if said else []
        late += await asyncio.gather(
            *(self._say(case, *who, wait=0, api=number % 2) for number, who in enumerate(said))
        )

    async def _finish(self, case: Case) -> None:
        """Go on sensibly until it has its outcome, or nobody is left who could."""
        for _ in range(40):
            review = await self._system.state(case.review)
            turns = [turn for turn in waits_for(review) if turn.blocking]
            if review.closed or not turns:
                break
            gaps = [] if review.training is None else [(gap.person, gap.course) for gap in review.training.gaps]
            if gaps:
                await self._train(gaps)
            person, body = await self._something(case, review, right=1)
            await self._say(case, person, body)
        if (await self._system.state(case.review)).closed:
            await self._surely(case, "withdrawal")

    # What is said, and what becomes of it.

    async def _something(self, case: Case, review: Review, *, right: float) -> tuple[str, Body]:
        """Something that is waited for, of somebody from whom it is; or anything, of anybody."""
        rng, now = case.rng, datetime.now(UTC)
        turns: list[tuple[Turn, str, str]] = []
        if rng.random() < right:
            everybody = self._holders()
            for turn in waits_for(review):
                able = [holder.actor for holder in everybody if falls_to(turn, holder)]
                kind = sayings.one_of(rng, turn)
                turns += [(turn, rng.choice(able), kind)] if able and kind is not None else []
        if turns:
            blocking = [each for each in turns if each[0].blocking]
            turn, person, kind = rng.choice(blocking if blocking and rng.random() < 0.8 else turns)
            body = case.speech.say(review, kind, now, turn)
        else:
            kind = sayings.any_kind(rng)
            able = [grant.person for grant in self._registry.grants.values() if grant.role in ROLES[kind]]
            person = rng.choice(able if able and rng.random() < 0.6 else self._everybody)
            body = case.speech.say(review, kind, now)
        return person, {**body, "id": str(_uuid(rng))}

    async def _say(
        self, case: Case, person: str, body: Body, *, wait: float = PATIENCE, api: int = 0, malformed: bool = False
    ) -> Asked:
        asked = await self._send(case, person, body, wait, api, malformed=malformed)
        if (asked.status, asked.reason) == (403, "step_up_required") and case.rng.random() < 0.9:
            signs_in = person if case.rng.random() < 0.9 else case.rng.choice(self._everybody)
            id_token = self._fleet.issuer.mint_id_token(signs_in, asked.said["nonce"])
            asked = await self._send(case, person, {**body, "step_up": {"id_token": id_token}}, wait, api)
        if wait:
            await self._settle(asked)
        return asked

    async def _send(
        self, case: Case, person: str, body: Body, wait: float, api: int, *, malformed: bool = False
    ) -> Asked:
        decision, seen, registry = UUID(body["id"]), self._seen[case.review], self._registry.seq
        says = repr((person, case.review, {name: value for name, value in body.items() if name != "step_up"}))
        before = list(self._taken[decision])
        if not malformed:
            self._taken[decision].append(says)
            case.sent.append((person, body))
        start = datetime.now(UTC)
        response = await self._clients[api].post(
            f"/reviews/{case.review}/decisions",
            json=body,
            headers=self._headers(person) | {"Prefer": f"wait={wait:.0f}"},
        )
        asked = Asked(
            id=decision,
            review=case.review,
            person=person,
            body=body,
            start=start,
            end=datetime.now(UTC),
            seen=seen,
            registry=registry,
            status=response.status_code,
            said=response.json(),
            first=not before,
            other=any(other != says for other in self._taken[decision]),
            malformed=malformed,
        )
        self._asked.append(asked)
        if asked.status in (200, 202):
            self._told.acknowledged[decision] = case.review
        elif "receipt" not in asked.said and not malformed:
            self._taken[decision].remove(says)
        if asked.status == 200 or "receipt" in asked.said:
            self._keep(Receipt.model_validate(asked.said.get("receipt", asked.said), strict=False))
        return asked

    async def _settle(self, asked: Asked) -> None:
        """Where there was no receipt yet, ask for it until there is."""
        if asked.status != 202:
            return
        receipt = await self._system.receipts.wait(asked.id, PATIENCE)
        if receipt is None:
            self._problems.append(f"{asked.review}: {asked.id} has no receipt within {PATIENCE} s")
        else:
            self._keep(receipt)

    def _keep(self, receipt: Receipt) -> None:
        self._told.acknowledged[receipt.decision_id] = receipt.review
        self._doubled += receipt in self._told.receipts[receipt.decision_id]
        self._told.receipts[receipt.decision_id].add(receipt)
        self._seen[receipt.review] = max(self._seen[receipt.review], receipt.seq)

    def _headers(self, person: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._fleet.issuer.mint(person)}"}

    # The reckoning.

    async def _report(self) -> Report:
        reviews = [case.review for case in self._cases]
        promises = await kept(self._system, reviews, self._told, gone=self._gone)
        ledgers = {review: await self._system.ledger(review) for review in reviews}
        past = await past_of(self._system)
        wrong = Answers(ledgers, past, self._asked).wrong()
        receipts = [receipt for given in self._told.receipts.values() for receipt in given]
        became = Counter(str(receipt.reason or receipt.status) for receipt in receipts)
        happened = {"late": became["late"], "doubled": self._doubled}
        received_at = {decision: stored.envelope.received_at for decision, stored in past.decisions.items()}
        happened["reordered"] = sum(reordered(ledger, received_at) for ledger in ledgers.values())
        return Report(
            problems=[*self._problems, *promises.lost, *promises.doubled, *promises.problems, *wrong],
            answered=Counter(f"{asked.status} {asked.reason or ''}".strip() for asked in self._asked),
            became=became,
            happened=Counter(happened),
            outcomes=Counter([str((await self._system.state(review)).outcome) for review in reviews]),
            runs=sum(account.runs for account in promises.accounts),
        )


def reordered(ledger: Sequence[Event], received_at: Mapping[UUID, datetime]) -> int:
    """How many decisions stand on this ledger after one that was received later."""
    settled = [decision_of(event) for event in ledger if getattr(event, "ordinal", None) is None]
    received = [received_at[decision] for decision in settled if decision is not None and decision in received_at]
    return sum(max(received[:number]) > moment for number, moment in enumerate(received) if number)


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)
