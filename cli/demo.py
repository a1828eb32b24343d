"""The demo: a proposal of the highest tier, played by the example people through the whole process, over HTTP only."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID, uuid4

import httpx2

from cli import show
from cli.client import problem_text, review_path
from cli.exits import CliError, Exit
from cli.local import mint, mint_id_token
from cli.setup import EXAMPLES
from cli.up import Ports, System, running, until_told
from domain.canonical import sha256
from domain.certificate import Certificate
from domain.drafts import stored_bytes
from domain.events import Accepted, Event
from domain.ledger import Entry, Recorded, append
from domain.proposal import Proposal, content_digest
from domain.registry import RecordedEntry
from domain.verification import Evidence, verify
from runtime.embedded import DataFolder, EmbeddedError, free_port
from runtime.packs import load_proposal

FOLDER = Path("build/demo")
PROPOSAL = EXAMPLES / "tier-4-faces-at-the-station.yaml"

REVIEW = "faces-at-the-station"
PATIENCE = 20
"""For how many seconds the demo waits for what the engine does by itself."""

KEPT = frozenset({"lock", "run"})
"""What a fresh start leaves in the folder: by these it knows what an earlier one left running."""


class NotAsToldError(CliError):
    """Something went otherwise than the story has it."""

    def __init__(self, message: str) -> None:
        super().__init__(Exit.REFUSED, f"Not as told: {message}")


def demo() -> None:
    """Play it, from nothing to a verified record, and leave nothing running.

    Raises:
        CliError: the system does not start, or something went otherwise than told.
    """
    began = time.monotonic()
    try:
        cut_short = asyncio.run(until_told(_demo()))
    except EmbeddedError as error:
        raise CliError(Exit.SERVER, str(error)) from error
    if cut_short:
        raise CliError(Exit.REFUSED, "Cut short; nothing is left running.")
    show.line(f"Everything is stopped. It took {time.monotonic() - began:.0f} s.", "dim")


async def _demo() -> None:
    with DataFolder(FOLDER) as folder:
        for path in folder.path.iterdir():
            if path.is_dir() and path.name not in KEPT:
                shutil.rmtree(path)
            elif path.name not in KEPT:
                path.unlink()
        ports = Ports(api=free_port(), issuer=free_port(), temporal=free_port(), temporal_ui=free_port())
        show.line("A Ringi of its own", "bold magenta")
        async with running(folder, ports, lambda what: show.line(f"starts {what}", "dim", indent=2)) as system:
            show.line(f"The API answers at {system.addresses.api}, each part is a process of its own.", indent=2)
            await _watched(system)
        show.line()
        show.line("Stopped: the worker first, then the API, the issuer, Temporal and PostgreSQL.", "dim")


async def _watched(system: System) -> None:
    """Tell the story; where a part of the system ends meanwhile, say that instead of what came of it."""
    async with httpx2.AsyncClient(base_url=system.addresses.api, timeout=30, trust_env=False) as client:
        story = asyncio.create_task(_Story(client, system.folder.path).tell())
        watch: asyncio.Task[NoReturn] = asyncio.create_task(system.watch())
        try:
            await asyncio.wait((story, watch), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch
            await story
        finally:
            for task in (story, watch):
                task.cancel()
            await asyncio.gather(story, watch, return_exceptions=True)


class _Story:
    """Who does what, in which order, and what has to come of it."""

    def __init__(self, client: httpx2.AsyncClient, data: Path) -> None:
        self._client = client
        self._data = data
        self._tokens: dict[str, str] = {}
        self._digest = ""

    async def tell(self) -> None:
        proposal = load_proposal(PROPOSAL)
        await self._intake(proposal)
        await self._principle_review(proposal)
        await self._council()
        await self._training()
        await self._sign_off()
        await self._record()

    # The chapters.

    async def _intake(self, proposal: Proposal) -> None:
        _chapter("Intake")
        said = proposal.model_dump(mode="json")
        assessment = await self._post("aki.author", "/assessments", {"proposal": said})
        _check(assessment["tier"] == 4, f"the assessment says tier {assessment['tier']}")
        _tells("aki.author", f"asks which route it would take: “{proposal.title}”")
        _engine(f"{assessment['score']} of {assessment['max_score']} points, tier {assessment['tier']}, because:")
        for trigger in assessment["triggers"]:
            _engine(f"  {trigger['reason']}")

        decision = str(uuid4())
        body = {"review": REVIEW, "decision_id": decision, "proposal": said}
        receipt = await self._post("aki.author", "/reviews", body)
        self._accepted(receipt, decision)
        self._digest = content_digest(proposal)
        _tells("aki.author", f"submits it; content digest {self._digest[:12]}")
        _outcome(receipt)
        again = await self._post("aki.author", "/reviews", body)
        _check(again == receipt, "a repeated submission got another receipt")
        _tells("aki.author", "sends it again, as a client does that lost the answer")
        _engine("the same receipt; nothing was started twice")
        await self._waits_for("reviewer")

    async def _principle_review(self, proposal: Proposal) -> None:
        _chapter("Principle review")
        inbox = await self._get("rin.reviewer", "/inbox")
        _check([item["review"] for item in inbox["items"]] == [REVIEW], "the reviewer's inbox does not hold the review")
        _tells("rin.reviewer", "finds it in the inbox, and asks for changes")
        await self._decide(
            "rin.reviewer",
            "change_request",
            reason="Say what happens to somebody who is taken for a missing person and is not.",
        )
        await self._waits_for("owner")

        old = self._digest
        revised = proposal.model_copy(
            update={
                "how_affected": f"{proposal.how_affected} Nobody is held: staff ask once, apologise, and the hit is "
                "deleted at once and counted, so that the rate of mistakes is known."
            }
        )
        _tells("hana.owner", "answers with a revision")
        await self._decide("hana.owner", "revision", proposal=revised.model_dump(mode="json"))
        self._digest = content_digest(revised)
        _engine(f"assessed anew, round 2 begins; content digest {self._digest[:12]}")

        principles = (await self._get("rin.reviewer", review_path(REVIEW, "assessment")))["route"]["principles"]
        _tells("jun.reviewer", "still has the old text open, and gives a verdict on it")
        await self._refused("stale", "jun.reviewer", "verdict_sheet", digest=old, verdicts=_sheet(principles))
        _tells("jun.reviewer", "reads the revision, and agrees with a concern and a condition")
        await self._decide(
            "jun.reviewer",
            "verdict_sheet",
            verdicts=_sheet(
                principles,
                fairness={
                    "finding": "concern",
                    "reason": "The differences between groups are written down and not small.",
                    "condition": "Mistakes are counted by age group every month, and published.",
                },
            ),
        )
        _tells("rin.reviewer", "asks the owner: who removes the picture of somebody who was found?")
        question = await self._decide(
            "rin.reviewer", "question", reason="Who removes the picture of somebody who was found, and when?"
        )
        _tells("hana.owner", "answers: the families' association, within a day")
        await self._decide(
            "hana.owner",
            "answer",
            question=question["decision_id"],
            reason="The families' association removes it, within a day; the railway sees to it every week.",
        )
        _tells("rin.reviewer", "finds every principle respected")
        await self._decide("rin.reviewer", "verdict_sheet", verdicts=_sheet(principles))
        await self._passed("principle_review")

    async def _council(self) -> None:
        _chapter("The Advisory Council")
        await self._waits_for("council_member")
        _tells("ada.academic", "declares a conflict and steps aside")
        await self._decide("ada.academic", "recusal", reason="My institute has built the model that is to be used.")
        _tells("lea.lawyer", "supports it, with advice: a year and not longer")
        await self._decide(
            "lea.lawyer",
            "opinion",
            stance="supports_with_advice",
            reason="The purpose carries the intrusion if it stays short and narrow.",
            advice=["It ends after one year, unless it has been assessed anew before."],
        )
        _tells("noa.npo", "opposes it, with advice: ask passers-by for their consent")
        await self._decide(
            "noa.npo",
            "opinion",
            stance="opposes",
            reason="Millions are compared to find a few, and nobody who passes the gates has a say in it.",
            advice=["Only those who agreed beforehand are compared."],
        )
        _tells("cai.consumer", "supports it")
        await self._decide(
            "cai.consumer", "opinion", stance="supports", reason="Families ask for it, and there are other gates."
        )
        _engine("three of four seats were heard, the consumer's among them: a quorum, and the Council only advises")
        await self._waits_for("officer")

        review = await self._get("omi.officer", review_path(REVIEW))
        by_giver = {advice["given_by"]: advice["id"] for advice in review["council"]["advice"]}
        _check({"lea.lawyer", "noa.npo"} == by_giver.keys(), f"the advice is that of {', '.join(by_giver)}")
        _tells(
            "omi.officer", "accepts the lawyer's advice, which becomes a condition; declines the NPO's, with a reason"
        )
        await self._decide(
            "omi.officer",
            "advice_response",
            answers=[
                {"advice": by_giver["lea.lawyer"], "answer": "accepted", "reason": "A year shows whether it helps."},
                {
                    "advice": by_giver["noa.npo"],
                    "answer": "declined",
                    "reason": "A missing person can't be asked beforehand; gates without a camera stay open instead.",
                },
            ],
        )
        await self._passed("council")

    async def _training(self) -> None:
        _chapter("Training")
        gaps = (await self._get("hana.owner", review_path(REVIEW)))["gaps"]
        _check(bool(gaps), "no training is missing, and nothing of it is on record")
        _engine(f"{len(gaps)} courses of the staff are not on record")
        answer = await self._import((EXAMPLES / "training.csv").read_bytes())
        _tells("tao.training", f"imports {answer['completions']} completions")
        await self._settled(lambda review: len(review["gaps"]) < len(gaps), "the import closed no gap")
        gaps = (await self._get("hana.owner", review_path(REVIEW)))["gaps"]
        _check(any(gap["person"] == "ren.operator" for gap in gaps), "the operator's lecture is not missing")
        for gap in gaps:
            _engine(f"still missing: {gap['person']} ({show.words(gap['role'])}), {gap['title']}")
        await self._waits_for("training_officer")

        now = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
        rows = ["person,course,completed_at", *(f"{gap['person']},{gap['course']},{now}" for gap in gaps)]
        _tells("tao.training", "imports what was completed today")
        await self._import("\n".join(rows).encode())
        await self._settled(lambda review: review["stage"] == "sign_off", "the review still waits for training")
        await self._passed("training")

    async def _sign_off(self) -> None:
        _chapter("Sign-off")
        await self._waits_for("signatory")
        basis = await self._basis("bo.head")
        _tells("hana.owner", "tries to sign what is the owner's own")
        refusal = await self._send("hana.owner", "signature", basis=basis)
        _check(refusal.status_code == 403, f"the owner's signature was answered {refusal.status_code}")
        _turned_away(refusal.json())
        _tells("di.head", "tries to sign before it is the office's turn")
        await self._refused("out_of_stage", "di.head", "signature", basis=basis)
        _tells("bo.head", f"signs everything before it, basis {basis[:12]}, with a condition")
        await self._decide(
            "bo.head", "signature", basis=basis, conditions=["The gate in the east stays without a camera."]
        )
        _tells("di.head", "signs what was shown earlier; a signature has come since")
        await self._refused("stale", "di.head", "signature", basis=basis)
        basis = await self._basis("di.head")
        _tells("di.head", f"looks again and signs, basis {basis[:12]}")
        await self._decide("di.head", "signature", basis=basis)
        review = await self._get("hana.owner", review_path(REVIEW))
        _check(review["outcome"] == "approved", f"the outcome is {review['outcome']}")
        _check(len(review["passed"]) == 4, "a stage was not passed")
        _engine(f"{review['outcome']}: {review['outcome_because']}")

    async def _record(self) -> None:
        _chapter("The timeline, as the auditor reads it")
        after: int | None = 0
        entries: list[dict[str, Any]] = []
        while after is not None:
            page = await self._get("ava.auditor", f"{review_path(REVIEW, 'timeline')}?after={after}")
            show.timeline(page)
            entries += page["entries"]
            after = page["next"]

        _chapter("The certificate")
        given = Certificate.model_validate(await self._get("hana.owner", review_path(REVIEW, "certificate")))
        show.certificate(given)
        _check({c.source for c in given.conditions} == {"verdict", "advice", "signature"}, "conditions are missing")
        _check([voice.person for voice in given.dissent] == ["noa.npo"], "the dissent is not on the certificate")
        _check(len(given.declined_advice) == 1, "the declined advice is not on the certificate")

        _chapter("The record, checked without trusting who keeps it")
        response = await self._client.get(review_path(REVIEW, "evidence"), headers=self._headers("ava.auditor"))
        evidence = Evidence.model_validate_json(self._success(response))
        evidence = evidence.model_copy(update={"registry": await self._registry()})
        result = verify(evidence, evidence.registry)
        show.verification(evidence, result, pinned=False)
        _check(result.holds, f"the record does not hold: {result.difference}")
        _check(result.entries == len(entries), f"{result.entries} entries are verified, {len(entries)} were told")
        word = evidence.workflow.status
        _check(word in ("answered", "finished"), f"the workflow is {word}: {evidence.workflow.detail}")
        _tamper(evidence)

    async def _registry(self) -> tuple[RecordedEntry, ...]:
        entries: list[RecordedEntry] = []
        after: int | None = 0
        while after is not None:
            page = await self._get("ava.auditor", f"/registry/ledger?after={after}")
            entries += (RecordedEntry.model_validate_json(json.dumps(entry)) for entry in page["entries"])
            after = page["next"]
        return tuple(entries)

    # What the chapters are told with.

    async def _decide(self, person: str, kind: str, **content: object) -> dict[str, Any]:
        """A decision that must be accepted; its receipt."""
        decision = str(uuid4())
        response = await self._send(person, kind, id=decision, **content)
        if response.status_code != httpx2.codes.OK:
            raise NotAsToldError(f"{kind} of {person}: {response.status_code} {response.text}")
        receipt: dict[str, Any] = response.json()
        self._accepted(receipt, decision)
        _outcome(receipt)
        return receipt

    async def _refused(self, because: str, person: str, kind: str, **content: object) -> None:
        """A decision that the process must refuse for this reason, on record."""
        response = await self._send(person, kind, **content)
        problem = response.json()
        _check(response.status_code == httpx2.codes.CONFLICT, f"{kind} of {person} was answered {response.text}")
        _check(problem["reason"] == because, f"{kind} of {person} was refused as {problem['reason']}")
        _check(problem["receipt"]["status"] == "refused", "a refusal has no receipt")
        _turned_away(problem)

    async def _send(self, person: str, kind: str, **content: object) -> httpx2.Response:
        body = {"kind": kind, "digest": self._digest, **content}
        path, headers = review_path(REVIEW, "decisions"), self._headers(person)
        response = await self._client.post(path, json=body, headers=headers)
        problem = response.json()
        if problem.get("reason") != "step_up_required":
            return response
        _engine(f"must sign in again, over this very act ({problem['nonce'][:12]}), and does")
        id_token = mint_id_token(self._data, person, problem["nonce"])
        body |= {"id": problem["decision_id"], "step_up": {"id_token": id_token}}
        return await self._client.post(path, json=body, headers=headers)

    def _accepted(self, receipt: Mapping[str, Any], decision: str) -> None:
        _check(receipt["status"] == "accepted", f"the receipt says {receipt}")
        _check(UUID(receipt["decision_id"]) == UUID(decision), "the receipt is another decision's")
        _check(receipt["review"] == REVIEW, "the receipt is another review's")

    async def _import(self, table: bytes) -> dict[str, Any]:
        headers = {**self._headers("tao.training"), "Content-Type": "text/csv"}
        response = await self._client.post("/training/import", content=table, headers=headers)
        self._success(response)
        answer: dict[str, Any] = response.json()
        _check(answer["new"] == answer["completions"], f"the import says {answer}")
        return answer

    async def _basis(self, person: str) -> str:
        basis = (await self._get(person, review_path(REVIEW)))["basis"]
        if not isinstance(basis, str):
            raise NotAsToldError("the review shows nothing to sign")
        return basis

    async def _waits_for(self, role: str) -> None:
        turns = (await self._get("hana.owner", review_path(REVIEW)))["waits_for"]
        _check(bool(turns) and all(turn["role"] == role for turn in turns), f"the review waits for {turns}")
        for turn in turns:
            who = turn["person"] or f"any {show.words(role)}"
            office = f" ({show.words(turn['office'])})" if turn["office"] else ""
            _engine(f"waits for {who}{office} until {show.moment(turn['due_at'])[:10]}: {turn['what']}")

    async def _passed(self, stage: str) -> None:
        passed = (await self._get("hana.owner", review_path(REVIEW)))["passed"]
        _check(stage in passed, f"the stage {stage} is not passed")
        _engine(f"{show.words(stage)} {passed[stage]['result']}: {passed[stage]['because']}")

    async def _settled(self, holds: Any, otherwise: str) -> None:  # noqa: ANN401 - a test on the API's JSON
        deadline = time.monotonic() + PATIENCE
        while not holds(await self._get("hana.owner", review_path(REVIEW))):
            _check(time.monotonic() < deadline, otherwise)
            await asyncio.sleep(0.1)

    async def _get(self, person: str, path: str) -> dict[str, Any]:
        response = await self._client.get(path, headers=self._headers(person))
        self._success(response)
        answer: dict[str, Any] = response.json()
        return answer

    async def _post(self, person: str, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        response = await self._client.post(path, json=body, headers=self._headers(person))
        self._success(response)
        answer: dict[str, Any] = response.json()
        return answer

    def _success(self, response: httpx2.Response) -> str:
        """The text of an answer that must be a success."""
        if response.status_code != httpx2.codes.OK:
            raise NotAsToldError(
                f"{response.request.method} {response.url.path}: {response.status_code} {response.text}"
            )
        return response.text

    def _headers(self, person: str) -> dict[str, str]:
        token = self._tokens.get(person)
        if token is None:
            token = self._tokens[person] = mint(self._data, person)
        return {"Authorization": f"Bearer {token}"}


def _tamper(evidence: Evidence) -> None:
    """Change a copy of the record in three ways, and show that each is caught, where it was made."""
    at = next(n for n, entry in enumerate(evidence.entries) if '"stance":"opposes"' in entry.data)
    entry = evidence.entries[at]
    one_byte = entry.model_copy(update={"data": entry.data.replace('"stance":"opposes"', '"stance":"opposed"', 1)})
    _tells("somebody", f"changes one byte in a copy of entry {entry.seq}, the NPO's opinion")
    _caught(_with(evidence, at, one_byte), f"entry {entry.seq}:")

    data = entry.data.replace('"stance":"opposes"', '"stance":"supports"', 1)
    rehashed = Recorded(seq=entry.seq, data=data, hash=sha256(data.encode()))
    _tells("somebody", "makes a supporting voice of it, and stores the right hash with it")
    _caught(_with(evidence, at, rehashed), f"entry {entry.seq}:")

    _tells("somebody", "gives that voice its own digest too, and writes every hash anew from there to the end")
    _caught(_written_anew(evidence, at, Entry.model_validate_json(data).event), f"entry {entry.seq}:")


def _written_anew(evidence: Evidence, at: int, forged: Event) -> Evidence:
    """With this decision in the place of the one there, and a chain that closes."""
    assert isinstance(forged, Accepted)
    forged = forged.model_copy(update={"digest": sha256(stored_bytes(forged.envelope))})
    later = (Entry.model_validate_json(entry.data).event for entry in evidence.entries[at + 1 :])
    before = evidence.entries[:at]
    entries = before + append(evidence.review, at, before[-1].hash, (forged, *later))
    return evidence.model_copy(update={"entries": entries})


def _with(evidence: Evidence, at: int, entry: Recorded) -> Evidence:
    entries = (*evidence.entries[:at], entry, *evidence.entries[at + 1 :])
    return evidence.model_copy(update={"entries": entries})


def _caught(evidence: Evidence, where: str) -> None:
    result = verify(evidence, evidence.registry)
    if result.difference is None or not result.difference.startswith(where):
        raise NotAsToldError(f"what was tampered with shows as {result.difference}, not at {where}")
    show.line(f"caught: {result.difference}", "red", indent=4)


def _sheet(principles: Sequence[str], **others: Mapping[str, str]) -> list[dict[str, str]]:
    """A verdict on each principle: respected, but for `others`."""
    respected = {"finding": "respected", "reason": "The proposal says how, and who answers for it."}
    return [{"principle": principle, **others.get(principle, respected)} for principle in principles]


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotAsToldError(otherwise)


def _chapter(title: str) -> None:
    show.line()
    show.line(title, "bold magenta")


def _tells(who: str, what: str) -> None:
    show.line(f"{who} {what}", "cyan", indent=2)


def _engine(what: str) -> None:
    show.line(what, indent=4)


def _outcome(receipt: Mapping[str, Any]) -> None:
    show.line(f"accepted, entry {receipt['seq']} of the ledger", "green", indent=4)


def _turned_away(problem: Mapping[str, Any]) -> None:
    show.line(f"refused. {problem_text(problem)}", "yellow", indent=4)
