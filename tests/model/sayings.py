"""What people say, as the API takes it: sensible or not, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from domain import sign_off
from domain.decisions import Act, Answer, Stance
from domain.entitlement import ROLES
from domain.people import Role
from domain.proposal import Proposal
from domain.stages import Stage
from domain.state import Review
from domain.turns import Turn
from tests.support.system import PRINCIPLES

Body = dict[str, Any]

ACTS = get_args(Act)

KINDS = tuple(kind for kind, roles in ROLES.items() if not {Role.SERVICE, Role.OPERATOR} & set(roles))
"""What people decide; a submission is sent elsewhere."""

RARE = {
    "withdrawal": 1,
    "declining": 1,
    "ruling": 2,
    "conflict": 2,
    "recusal": 2,
    "no_opinion": 2,
    "change_request": 2,
    "escalation": 3,
    "reassignment": 3,
    "submission": 0,
}
"""What ends a review, sends it back, or keeps somebody from it, is not said at every turn."""

GARBAGE = "5" * 64


def any_kind(rng: random.Random) -> str:
    """A kind of decision, whether it is the time for it or not."""
    return rng.choices(KINDS, [RARE.get(kind, 8) for kind in KINDS])[0]


def one_of(rng: random.Random, turn: Turn) -> str | None:
    """A kind of decision that answers this turn; None where the training register answers it."""
    kinds = [kind for kind in turn.kinds if kind in KINDS]
    kinds += ["claim"] if turn.kinds[0] in ACTS and turn.person is None else []
    return rng.choices(kinds, [RARE.get(kind, 8) for kind in kinds])[0] if kinds else None


@dataclass(frozen=True)
class Speech:
    """What is said of one proposal, among `everybody`."""

    rng: random.Random
    proposal: Proposal
    everybody: Sequence[str]

    def say(self, review: Review, kind: str, now: datetime, turn: Turn | None = None) -> Body:
        """A decision of this kind about the review as it stands: one that answers the turn, or anything."""
        return {"kind": kind, **self._content(review, kind, now, turn), "digest": _digest(self.rng, review, turn)}

    def _content(self, review: Review, kind: str, now: datetime, turn: Turn | None) -> Body:
        rng = self.rng
        reason = rng.choice(("Because of those concerned.", "As the documents show.", "二度とない。", "' or 1=1 --"))
        match kind:
            case "verdict_sheet":
                return {"verdicts": _verdicts(rng, turn)}
            case "reopening":
                return {"principle": rng.choice((*PRINCIPLES, "other")), "reason": reason}
            case "answer":
                questions: Sequence[UUID] = [asked.by.decision for asked in review.questions]
                named = [q for q in questions if turn is not None and str(q) in turn.what]
                return {"question": str(rng.choice(named or [UUID(int=1), *questions])), "reason": reason}
            case "opinion":
                advice = [f"Publish the error rates, {n}." for n in range(rng.randrange(3))]
                return {"stance": rng.choice(list(Stance)), "advice": advice, "reason": reason}
            case "advice_response":
                waiting = [piece.id for piece in review.council.advice if piece.answer is None] or ["nothing"]
                answers = [
                    {"advice": piece, "answer": rng.choice((Answer.ACCEPTED, Answer.DECLINED)), "reason": reason}
                    for piece in waiting[: 20 if turn is not None else 1]
                ]
                return {"answers": answers}
            case "extension":
                more = (
                    timedelta(days=90) if turn is not None else timedelta(days=rng.choice((-1, 0, 1, 400)), seconds=3)
                )
                until = min(
                    max(review.due_at or now, now) + more, now + timedelta(days=365 if turn is not None else 500)
                )
                late = [clock.person for clock in review.clocks if clock.overdue and clock.person]
                whose = {"person": late[0]} if late and rng.random() < 0.7 else {}
                return {"until": until.isoformat(), "reason": reason, **whose}
            case "claim":
                return {"act": _act(rng, review, turn)}
            case "reassignment":
                claims = [claim.person for claim in review.claims]
                both = {"person": rng.choice(self.everybody), "instead_of": rng.choice(claims or self.everybody)}
                fields = rng.choice((("person",), ("instead_of",), ("person", "instead_of")))
                return {"act": _act(rng, review, turn), "reason": reason, **{name: both[name] for name in fields}}
            case "ruling":
                return {"ruling": rng.choice(("proceed", "proceed", "proceed", "decline")), "reason": reason}
            case "signature":
                stale = turn is None and rng.random() < 0.3
                return {"basis": GARBAGE if stale else sign_off.basis(review)}
            case "declining":
                return {"basis": sign_off.basis(review), "reason": reason}
            case "revision":
                changed = {"purpose": f"{self.proposal.purpose} Revised: {rng.randrange(10**6)}."}
                if rng.random() < 0.2:
                    changed = {"title": f"{self.proposal.title} (revised)"}
                return {"proposal": self.proposal.model_copy(update=changed).model_dump(mode="json")}
            case _:
                return {"reason": reason}


def malformed(rng: random.Random, body: Body) -> Body:
    """The same, as no client of ours sends it: something missing, too much, or of another type."""
    broken = dict(body)
    match rng.randrange(4):
        case 0:
            del broken[rng.choice(("kind", "digest"))]
        case 1:
            broken["approved"] = True
        case 2:
            broken["digest"] = rng.choice((None, 7, "", "x" * 64, ["5" * 64]))
        case _:
            broken["reason"] = rng.choice((7, "", "x" * 10_000, "NUL \0", {"text": "?"}))
    return broken


def _digest(rng: random.Random, review: Review, turn: Turn | None) -> str:
    earlier = [revised.digest for revised in review.revisions] or [GARBAGE]
    if turn is None and rng.random() < 0.25:
        return rng.choice([GARBAGE, *earlier])
    return review.content_digest


def _act(rng: random.Random, review: Review, turn: Turn | None) -> str:
    """What somebody says that they will do, or is to do: what the turn asks for, or mostly what the stage does."""
    act = "signature" if review.stage is Stage.SIGN_OFF else "verdict_sheet"
    return turn.kinds[0] if turn is not None and turn.kinds[0] in ACTS else rng.choice((act, act, act, *ACTS))


def _verdicts(rng: random.Random, turn: Turn | None) -> list[Body]:
    principles = list(turn.principles) if turn is not None and turn.principles else list(PRINCIPLES)
    if turn is None and rng.random() < 0.3:
        principles = [*rng.sample(principles, 2), *rng.sample(["other"], rng.randint(0, 1))]
    findings = rng.choices(("respected", "concern", "breach"), (30, 4, 0.3), k=len(principles))
    return [
        {"principle": principle, "finding": finding, "reason": "As the documents show."}
        | ({"condition": "Test it first."} if finding == "concern" else {})
        for principle, finding in zip(principles, findings, strict=True)
    ]
