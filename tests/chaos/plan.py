"""What happens in a storm, all of it drawn from one seed: who decides what, how often it is sent,
and what breaks when.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from domain.proposal import Proposal, content_digest
from tests.support.system import AUTHOR, COUNCIL, OFFICER, OWNER, REVIEWERS, SIGNATORIES, example, sheet

APIS = 2

WORKER_KILLED = "worker killed"
WORKERS_KILLED = "all workers killed"
API_KILLED = "API killed"
TEMPORAL_KILLED = "Temporal killed"
POSTGRES_KILLED = "PostgreSQL killed"
COMMIT_SWALLOWED = "answer to COMMIT swallowed"
POSTGRES_CUT = "PostgreSQL cut"
POSTGRES_SLOW = "PostgreSQL slow"
POSTGRES_HALF_CLOSED = "PostgreSQL half closed"
POSTGRES_SHUT = "PostgreSQL unreachable"
TEMPORAL_SWALLOWED = "Temporal's answers swallowed"
TEMPORAL_CUT = "Temporal cut"
TEMPORAL_SLOW = "Temporal slow"
TEMPORAL_HALF_CLOSED = "Temporal half closed"
TEMPORAL_SHUT = "Temporal unreachable"

KINDS = (
    WORKER_KILLED,
    API_KILLED,
    TEMPORAL_KILLED,
    POSTGRES_KILLED,
    COMMIT_SWALLOWED,
    TEMPORAL_SWALLOWED,
    POSTGRES_CUT,
    TEMPORAL_SLOW,
    POSTGRES_SLOW,
    TEMPORAL_CUT,
    POSTGRES_HALF_CLOSED,
    TEMPORAL_HALF_CLOSED,
    WORKERS_KILLED,
    POSTGRES_SHUT,
    TEMPORAL_SHUT,
)
"""What can break; a small storm has the first ones."""


@dataclass(frozen=True)
class Fault:
    """Something breaks as soon as `after` decisions have their receipts: number `which` of its like, for `seconds`."""

    kind: str
    after: int
    which: int
    seconds: float


@dataclass(frozen=True)
class Sending:
    """One of the times that a decision is sent: to which API, and how long after the first."""

    api: int
    after: float


@dataclass(frozen=True)
class Act:
    """A decision, how often it is sent, and what may become of it: accepted, or refused for one of these reasons."""

    id: UUID
    person: str
    body: dict[str, Any] = field(hash=False)
    sent: tuple[Sending, ...]
    expected: tuple[str, ...]

    def expecting(self, *expected: str) -> Act:
        """The same, of which something else may become."""
        return replace(self, expected=expected)


@dataclass(frozen=True)
class Step:
    """Decisions made at once. `accepted` is how many of them have to be; all others are refused."""

    acts: tuple[Act, ...]
    accepted: int


@dataclass(frozen=True)
class Case:
    """One review, from its submission to its outcome. From step number `rests` on, it goes on only after the storm."""

    review: str
    outcome: str
    steps: tuple[Step, ...]
    rests: int


@dataclass(frozen=True)
class Plan:
    """Everything that happens in a storm."""

    seed: int
    cases: tuple[Case, ...]
    faults: tuple[Fault, ...]

    @property
    def decisions(self) -> int:
        """How many decisions there are."""
        return sum(len(step.acts) for case in self.cases for step in case.steps)

    @property
    def sendings(self) -> int:
        """How many times they are sent."""
        return sum(len(act.sent) for case in self.cases for step in case.steps for act in step.acts)

    @property
    def digest(self) -> str:
        """The same for the same plan."""
        return sha256(json.dumps(asdict(self), default=str, sort_keys=True).encode()).hexdigest()


def draw(seed: int, *, decisions: int, faults: int) -> Plan:
    """The storm of this seed."""
    rng = random.Random(seed)
    cases: list[Case] = []
    left = decisions
    while left >= _LONGEST + _SHORTEST:
        case = _Writer(rng, len(cases)).case(rng.choices(_SHAPES, _WEIGHTS)[0])
        left -= sum(len(step.acts) for step in case.steps)
        cases.append(case)
    cases.append(_Writer(rng, len(cases)).padded(left))
    return Plan(seed, tuple(cases), _faults(rng, decisions, faults))


def _faults(rng: random.Random, decisions: int, count: int) -> tuple[Fault, ...]:
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    rng.shuffle(kinds)
    # The last quarter comes to rest, and what rested comes after it.
    moments = sorted(rng.randrange(decisions // 50, decisions * 3 // 4) for _ in kinds)
    return tuple(
        Fault(kind, after, rng.randrange(2), round(rng.uniform(0.2, 2), 2))
        for kind, after in zip(kinds, moments, strict=True)
    )


_SHAPES = ("plain", "revised", "withdrawn", "declined", "two of three", "council")
_WEIGHTS = (8, 3, 2, 2, 4, 2)
_LONGEST = 32
_SHORTEST = 3
_STALE = "5" * 64


class _Writer:
    """Writes one case, step by step."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self._rng = rng
        self._number = number
        self._steps: list[Step] = []
        self._digest = ""
        self._shown = ""

    def case(self, shape: str) -> Case:
        """A case of this shape, with everything that people do beside it."""
        tier = {"two of three": 3, "council": 4}.get(shape, self._rng.choice((1, 2)))
        self._submit(tier)
        self._talk()
        if shape == "withdrawn":
            self._one(OWNER, "withdrawal", reason="Not this year.")
            return self._end("withdrawn")
        if shape == "revised":
            self._one(self._rng.choice(REVIEWERS), "change_request", reason="Say who checks it.")
            self._shown = self._digest
            proposal = self._proposal(tier, "revised ")
            self._one(AUTHOR, "revision", proposal=proposal.model_dump(mode="json"))
            self._digest = content_digest(proposal)
            self._one(self._rng.choice(REVIEWERS), "question", reason="On which text?", shown=self._shown, to="stale")
        self._reviewed(needed=2 if tier > 2 else 1)
        if shape == "council":
            self._advised()
        if shape == "declined":
            self._one(SIGNATORIES["business_unit_head"], "declining", reason="Not by us.", basis=None)
            return self._end("declined")
        for office in list(SIGNATORIES)[: 2 if tier > 2 else 1]:
            self._one(SIGNATORIES[office], "signature", basis=None)
        return self._end("approved")

    def padded(self, count: int) -> Case:
        """A case of so many decisions."""
        self._submit(1)
        for number in range(count - 3):
            self._one(self._rng.choice(REVIEWERS), "question", reason=f"Question {number}?", shown=_STALE, to="stale")
        self._one(REVIEWERS[0], "verdict_sheet", verdicts=sheet())
        self._one(SIGNATORIES["business_unit_head"], "signature", basis=None)
        # It rests in any case: whoever has recovered from the last fault as well takes a decision after it.
        return replace(self._case("approved"), rests=len(self._steps) - 2)

    def _submit(self, tier: int) -> None:
        proposal = self._proposal(tier)
        self._digest = content_digest(proposal)
        body = {"proposal": proposal.model_dump(mode="json"), "review": self._review}
        self._steps.append(Step((self._act(AUTHOR, body, ("accepted",), key="decision_id"),), 1))

    def _talk(self) -> None:
        """Questions, some of several people at once, each answered; and some that name another text than was shown."""
        for _ in range(self._rng.randrange(4)):
            askers = self._rng.sample(REVIEWERS, self._rng.randint(1, 3))
            asked = [self._says(person, "question", reason="Who checks it?") for person in askers]
            self._steps.append(Step(tuple(asked), len(asked)))
            for question in asked:
                self._one(self._rng.choice((OWNER, AUTHOR)), "answer", reason="We do.", question=str(question.id))
        if self._rng.random() < 0.3:
            self._one(self._rng.choice(REVIEWERS), "question", reason="On which text?", shown=_STALE, to="stale")

    def _reviewed(self, needed: int) -> None:
        """The sheets: one after the other, or by more people at once than are needed."""
        sheets = [self._says(person, "verdict_sheet", verdicts=sheet()) for person in REVIEWERS]
        if self._rng.random() < 0.5:
            crowd = tuple(act.expecting("accepted", "out_of_stage") for act in sheets)
            self._steps.append(Step(crowd, needed))
        else:
            self._steps += [Step((act,), 1) for act in sheets[:needed]]

    def _advised(self) -> None:
        found = {"stance": "supports_with_advice", "reason": "The measures are sound."}
        opinions = [self._says(person, "opinion", advice=["Publish the error rates."], **found) for person in COUNCIL]
        self._steps.append(Step(tuple(opinions), len(opinions)))
        answers = [
            {"advice": f"{opinion.id}.1", "answer": "accepted", "reason": "It is known by now."} for opinion in opinions
        ]
        self._one(OFFICER, "advice_response", answers=answers)

    def _end(self, outcome: str) -> Case:
        for _ in range(self._rng.choice((0, 0, 1, 2))):
            self._one(self._rng.choice(REVIEWERS), "question", reason="Is it too late?", to="late")
        return self._case(outcome)

    def _case(self, outcome: str) -> Case:
        count = len(self._steps)
        rests = self._rng.randrange(1, count) if self._rng.random() < 0.15 else count
        return Case(self._review, outcome, tuple(self._steps), rests)

    @property
    def _review(self) -> str:
        return f"storm-{self._number:04}"

    def _proposal(self, tier: int, prefix: str = "") -> Proposal:
        return example(tier, title=f"{prefix}{self._review}")

    def _one(self, person: str, kind: str, *, to: str = "accepted", **content: Any) -> None:
        act = self._says(person, kind, **content).expecting(to)
        self._steps.append(Step((act,), 1 if to == "accepted" else 0))

    def _says(self, person: str, kind: str, *, shown: str | None = None, **content: Any) -> Act:
        body = {"kind": kind, "digest": shown or self._digest, **content}
        return self._act(person, body, ("accepted",), key="id")

    def _act(self, person: str, body: dict[str, Any], expected: Sequence[str], *, key: str) -> Act:
        decision = UUID(int=self._rng.getrandbits(128), version=4)
        times = self._rng.randint(1, 5)
        first = self._rng.randrange(APIS)
        sent = tuple(
            # Most of them at the same moment, from one API after the other; some a while later.
            Sending((first + n) % APIS, round(self._rng.choice((0, 0, 0, self._rng.uniform(0, 1.5))), 3))
            for n in range(times)
        )
        return Act(decision, person, {**body, key: str(decision)}, sent, tuple(expected))
