"""The check of a whole record: chain, fold, read model and workflow against each other, and whose every decision was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import ValidationError

from domain.assessment import AnswersError
from domain.authority import mandate, misstated, unpublished, unsigned
from domain.canonical import sha256
from domain.decisions import Discrepancy, Envelope, Revision
from domain.dsse import KeyId
from domain.events import Accepted, Assessed, Event, Mandate, Moved, Refused
from domain.facts import Facts, Proposed, propose
from domain.ledger import GENESIS, Entry, Recorded, Settlement, settlement
from domain.people import Role
from domain.policy import PolicyPack
from domain.proof import IssuerKey
from domain.proposal import Proposal
from domain.refusal import Refusal
from domain.registry import Imported, IssuerKeySeen, RecordedEntry, RegistryAudit, RegistryEntry, RegistryEvent
from domain.review import evolve, holds, puts_forward, state_digest, text_of, waits_for
from domain.separation import moved
from domain.state import Review
from domain.step_up import is_required
from domain.turns import Turn
from domain.values import DecisionId, Digest, Line, PersonId, ReviewId, Value

UNDER_WAY = timedelta(minutes=1)
"""How long a transaction may take that reads the registry, or that adds to it: what it adds is dated at its beginning, and
seen by others at its end. The database ends it long before.
"""

IMPORT_UNDER_WAY = timedelta(minutes=11)
"""The same of an import, which may take longer."""


class Heading(Value):
    """What lists show of a review."""

    title: str
    business_unit: str
    owner: str
    author: str
    tier: int | None


class ReadModel(Value):
    """What the read model says of a review, in the form in which it can be compared with the fold.

    The `heading` of a review that was not opened comes from its submission, which no entry tells of yet. `receipts` are
    what its people are told became of their decisions; None where nobody looked.
    """

    seq: int
    head: Digest
    state_digest: Digest
    stage: str | None
    phase: str | None
    outcome: str | None
    closed_at: datetime | None
    aside: tuple[PersonId, ...] = ()
    assigned: tuple[PersonId, ...] = ()
    units: tuple[Line, ...] = ()
    heading: Heading | None
    turns: tuple[Turn, ...]
    receipts: tuple[Settlement, ...] | None = None


class WorkflowState(Value):
    """What the running, or finished, workflow says of a review, if it could be asked.

    One that `answered` runs and has seen every entry; one that `finished` had by the review's outcome, and what was
    refused after that went past it. One that `ended` did so otherwise: somebody terminated it, or it failed.
    """

    status: Literal["answered", "finished", "ended", "gone", "unreachable"]
    seq: int | None = None
    state_digest: Digest | None = None
    detail: str | None = None


class Evidence(Value):
    """One review's record, its read model, and its workflow's word, to be checked against each other; with the very texts
    of the `proposals` and policy `packs` that its decisions name by their digests, and, where it was put with them, the
    `registry` that says whose decisions and keys counted.
    """

    review: ReviewId
    entries: tuple[Recorded, ...]
    read_model: ReadModel
    workflow: WorkflowState
    proposals: tuple[str, ...] | None = None
    packs: tuple[str, ...] | None = None
    registry: tuple[RecordedEntry, ...] | None = None


@dataclass(frozen=True)
class SeenKey:
    """A key of the identity provider's, and the entry of the registry that says so: it is the service's word, as every other
    there.
    """

    key: IssuerKey
    entry: int


@dataclass(frozen=True)
class Verification:
    """The result of a check: the number of entries that hold, and the first place where something differs, if any.

    Where the registry was checked too, `registry` is how many of its entries hold, and `founder` the key that its first
    entry is signed with: all its other entries rest on that one. `issuers` are the keys of the identity provider that the
    renewed sign-ins rest on, and `pinned` says whether whoever checked named those that may be. Of people's decisions
    `spoken` are applied, all on the service's word for whose they are, and `signed_in` of them on the identity provider's
    too, by an ID token over the decision.
    """

    entries: int
    difference: str | None
    head: Digest
    review: Review
    registry: int = 0
    founder: KeyId | None = None
    issuers: tuple[SeenKey, ...] = ()
    pinned: bool = False
    spoken: int = 0
    signed_in: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None


def verify(
    evidence: Evidence,
    registry: Sequence[RecordedEntry] | None = None,
    founder: KeyId | None = None,
    issuers: Collection[Digest] | None = None,
) -> Verification:
    """Recompute the chain and the fold, and name the first place where record, read model and workflow differ; and, where
    the proposals and policy packs are there, what came of each: who stands for it and works on it, tier and route.

    With the entries of the `registry`, also check these, and that every applied decision was signed by a key in force
    and made by somebody who might, by the same rules that the commit applied. A registry can be written anew with keys of
    the writer's own; it can't by who does not have the key `founder`, if it is known. Who does have it can still say there
    that a key of their own is the identity provider's: where the thumbprints of its true keys are known, name them as
    `issuers`.

    A workflow that cannot be asked is not a difference; one that answers otherwise is.
    """
    if registry is None:
        return _verify(evidence, None)
    authority = _Authority(registry, founder, issuers)
    result = _verify(evidence, authority)
    return replace(
        result,
        registry=authority.checked,
        founder=authority.founder,
        issuers=authority.issuers,
        pinned=issuers is not None,
        spoken=authority.spoken,
        signed_in=authority.signed_in,
    )


def _verify(evidence: Evidence, authority: _Authority | None) -> Verification:
    review = Review(id=evidence.review)
    previous = GENESIS
    seen: _Seen | None = None
    before: Event | None = None
    earlier = review
    texts = _Texts(evidence)
    settled: dict[DecisionId, Settlement] = {}
    for number, recorded in enumerate(evidence.entries, start=1):
        problem, entry = _check_entry(evidence.review, number, previous, recorded)
        if entry is None:
            return Verification(number - 1, f"entry {number}: {problem}", previous, review)
        told = settlement(number, entry.event)
        if before is not None and entry.event.at < before.at:
            return Verification(number - 1, f"entry {number}: it is dated before the entry before", previous, review)
        if told is not None and settled.setdefault(told.decision, told) != told:
            again = f"entry {number}: the decision {told.decision} was settled by entry {settled[told.decision].seq}"
            return Verification(number - 1, again, previous, review)
        if authority is not None:
            wrong = authority.problem_with(review, entry.event)
            if wrong is not None:
                return Verification(number - 1, f"entry {number}: {wrong}", previous, review)
        if isinstance(before, Accepted) and isinstance(entry.event, Assessed):
            wrong = texts.problem_with(earlier, review, before, entry.event, authority)
            if wrong is not None:
                return Verification(number - 1, f"entry {number}: {wrong}", previous, review)
        try:
            possible = holds(review, before, entry.event)
            earlier, review = review, evolve(review, entry.event) if possible else review
        except (ValueError, LookupError, StopIteration):
            possible = False
        if not possible:
            return Verification(number - 1, f"entry {number}: it cannot have happened here", previous, review)
        previous, before = recorded.hash, entry.event
        if number == evidence.workflow.seq:
            seen = _Seen(review)
        elif seen is not None and not _past_a_finished_workflow(entry.event):
            seen = _Seen(seen.review, complete=False)
    difference = _first_difference(evidence, review, previous, seen) or _receipt_that_differs(evidence, settled)
    if difference is None and authority is not None:
        difference = authority.rest()
    return Verification(len(evidence.entries), difference, previous, review)


def named_by(entries: Iterable[Recorded]) -> tuple[frozenset[Digest], frozenset[Digest]]:
    """The proposals, and the policy packs, that the decisions among these entries name by their digests."""
    proposals: set[Digest] = set()
    packs: set[Digest] = set()
    for recorded in entries:
        try:
            event = Entry.model_validate_json(recorded.data.encode(errors="surrogatepass")).event
        except ValidationError:  # whoever checks it says so
            continue
        text = text_of(event.envelope) if isinstance(event, Accepted) else None
        if isinstance(event, Accepted) and text is not None:
            proposals.add(text)
            packs.add(event.envelope.pack_digest)
    return frozenset(proposals), frozenset(packs)


class _Texts:
    """Checks what came of a proposal by its text and the text of the policy pack, which are what they are by their digest."""

    def __init__(self, evidence: Evidence) -> None:
        self._given = evidence.proposals is not None and evidence.packs is not None
        self._proposals = _by_digest(evidence.proposals or ())
        self._packs = _by_digest(evidence.packs or ())

    def problem_with(
        self, before: Review, after: Review, taken: Accepted, event: Assessed, authority: _Authority | None
    ) -> str | None:
        """What does not come of this submission or revision, taken of the review `before`, if anything does not."""
        if not self._given:
            return None
        try:
            proposed = self._proposed(before, taken.envelope)
        except _MissingError as missing:
            return f"the text of {missing} is not with the evidence"
        except (ValidationError, AnswersError):
            return "nothing can come of the proposal by this policy pack"
        facts = Facts(proposed=proposed) if authority is None else authority.facts(proposed, event.at)
        found = puts_forward(before, after, taken, facts, event.at)
        if isinstance(found, Refusal):
            return f"the proposal was not to be taken: {found.detail}"
        # Whom the words keep away is told for people to read, and entitles nobody; the rest needs the registry.
        as_told = ("kept_away",) if authority is not None else ("kept_away", "units", "carried")
        found = found.model_copy(update={name: getattr(event, name) for name in as_told})
        differs = [name for name in Assessed.model_fields if getattr(found, name) != getattr(event, name)]
        return f"its {differs[0]} is not what comes of the proposal and the policy pack" if differs else None

    def _proposed(self, before: Review, envelope: Envelope) -> Proposed:
        pack = self._packs.get(envelope.pack_digest)
        if pack is None:
            raise _MissingError(f"the policy pack {envelope.pack_digest}")
        replaced = self._proposal(before.content_digest) if isinstance(envelope.content, Revision) else None
        proposal = self._proposal(text_of(envelope) or "")
        return propose(PolicyPack.model_validate_json(pack, extra="ignore"), proposal, replaced)

    def _proposal(self, digest: Digest) -> Proposal:
        text = self._proposals.get(digest)
        if text is None:
            raise _MissingError(f"the proposal {digest}")
        return Proposal.model_validate_json(text, extra="ignore")


class _MissingError(Exception):
    """A text is not there that is needed; the message names it."""


def _by_digest(texts: Iterable[str]) -> dict[Digest, bytes]:
    data = (text.encode(errors="surrogatepass") for text in texts)
    return {sha256(each): each for each in data}


class _Authority:
    """Checks, decision after decision, that its maker might make it, by what the registry said then."""

    def __init__(
        self, entries: Sequence[RecordedEntry], founder: KeyId | None, issuers: Collection[Digest] | None
    ) -> None:
        self._entries = entries
        self._audit = RegistryAudit(founder)
        self._may_sign_in = issuers
        self._keys: dict[Digest, IssuerKey] = {}
        self.spoken = self.signed_in = 0

    @property
    def checked(self) -> int:
        """How many entries of the registry hold."""
        return self._audit.registry.seq

    @property
    def issuers(self) -> tuple[SeenKey, ...]:
        """The identity provider's keys that the renewed sign-ins rest on which were checked."""
        seen: dict[Digest, int] = {}
        for number, recorded in enumerate(self._entries[: self.checked], start=1):
            event = _event(recorded) if self._keys else None
            if isinstance(event, IssuerKeySeen):
                seen.setdefault(event.key.id, number)
        return tuple(SeenKey(key, seen[id_]) for id_, key in self._keys.items())

    def facts(self, proposed: Proposed, moment: datetime) -> Facts:
        """What the registry said of people when the last decision was applied that was checked, which was at this moment."""
        registry = self._audit.registry
        return Facts(proposed=proposed, units=dict(registry.units), holders=registry.holders(moment))

    @property
    def founder(self) -> KeyId | None:
        """The key that founded the registry."""
        return self._audit.founder

    def problem_with(self, review: Review, event: Event) -> str | None:
        """Why this should not have happened to the review as it stood, by what the registry says, if it should not."""
        match event:
            case Accepted(mandate=None):
                return "the decision does not say under what it was made"
            case Accepted(mandate=Mandate() as under):
                return self._not_as_of(under.registry, event.at) or self._not_theirs(review, event, under)
            case Moved(registry=seq, units=units):
                differs = "its units are not those of whoever stands for the proposal"
                known = self._audit.registry.units
                return self._not_as_of(seq, event.at) or (differs if units != moved(review, known) else None)
            case _:
                return None

    def _not_as_of(self, seq: int, at: datetime) -> str | None:
        """Why a commit at this moment can't have read the registry up to this entry, and no farther, if it can't."""
        problem = self._read_to(seq)
        if problem is not None:
            return problem
        read = self._audit.registry.seq
        if read != seq:
            return f"it was applied as of entry {seq} of the registry, which is at {read} there"
        return self._not_then(at)

    def _not_theirs(self, review: Review, event: Accepted, under: Mandate) -> str | None:
        """Why this decision should not have been applied, made under this, if it should not."""
        envelope, registry = event.envelope, self._audit.registry
        refused = unsigned(envelope, event.digest, event.proof, registry.keys.values())
        refused = refused or unpublished(envelope, registry.packs)
        if refused is not None:
            return f"the decision {envelope.decision_id}: {refused.detail}"
        facts = Facts(
            standing=registry.standing(envelope.person),
            issuer_keys=tuple(registry.issuer_keys.values()),
        )
        if moved(review, registry.units):
            return "somebody who stands for the proposal had moved to another unit, and the record does not tell of it"
        found = mandate(review, envelope, event.proof, facts)
        if isinstance(found, Refusal):
            return f"the decision {envelope.decision_id} of {envelope.person} was not theirs to make: {found.detail}"
        if found != under:
            return f"the decision {envelope.decision_id} was made under something else than the entry says"
        refused = misstated(review, envelope, under.grant)
        if refused is not None:
            return f"the decision {envelope.decision_id}: {refused.detail}"
        return self._not_pinned(review, event)

    def _not_pinned(self, review: Review, event: Accepted) -> str | None:
        """Why the renewed sign-in over this decision, which was found to hold, does not do, if it does not."""
        self.spoken += event.envelope.role is not Role.SERVICE
        step_up = event.proof.step_up
        if step_up is None or not is_required(review.route, event.envelope.kind):
            return None
        self.signed_in += 1
        self._keys[step_up.key] = self._audit.registry.issuer_keys[step_up.key]
        if self._may_sign_in is None or step_up.key in self._may_sign_in:
            return None
        what = f"the renewed sign-in over the decision {event.envelope.decision_id} rests on the key {step_up.key}"
        return f"{what}, which is none of those that were named as the identity provider's"

    def _not_then(self, at: datetime) -> str | None:
        """Why a commit at this moment can't have read the registry as far as it is read here, and no farther, if it can't."""
        read = self._audit.registry
        if read.at is not None and read.at > at + UNDER_WAY:
            return f"it was applied as of entry {read.seq} of the registry, which is of a later time"
        for number, recorded in enumerate(self._entries[read.seq :], start=read.seq + 1):
            later = _event(recorded)
            if later is None or later.at > at - UNDER_WAY:
                break
            if not isinstance(later, Imported) or later.at <= at - IMPORT_UNDER_WAY:
                return f"it was applied as of entry {read.seq} of the registry, when entry {number} was there already"
        return None

    def rest(self) -> str | None:
        """What is wrong with the entries of the registry that no decision needed, if anything is."""
        return self._read_to(len(self._entries))

    def _read_to(self, seq: int) -> str | None:
        for entry in self._entries[self._audit.registry.seq : seq]:
            problem = self._audit.check(entry)
            if problem is not None:
                return problem
        return None


def _event(recorded: RecordedEntry) -> RegistryEvent | None:
    """What this entry of the registry says, whether it holds or not; None where it says nothing."""
    try:
        return RegistryEntry.model_validate_json(recorded.data.encode(errors="surrogatepass")).event
    except ValidationError:
        return None


@dataclass(frozen=True)
class _Seen:
    """The fold of what the workflow has seen, and whether all that came after it goes past a finished one."""

    review: Review
    complete: bool = True


def _past_a_finished_workflow(event: Event) -> bool:
    """Whether it can be put on record when the review has its outcome: a refusal, or a word about the workflow."""
    return isinstance(event, Refused) or (
        isinstance(event, Accepted) and isinstance(event.envelope.content, Discrepancy)
    )


def _check_entry(review_id: ReviewId, number: int, previous: Digest, recorded: Recorded) -> tuple[str, Entry | None]:
    data = recorded.data.encode(errors="surrogatepass")
    if sha256(data) != recorded.hash:
        return "its bytes do not have the hash that is stored with them", None
    try:
        entry = Entry.model_validate_json(data)
    except ValidationError as error:
        where = "/".join(str(part) for part in error.errors()[0]["loc"])
        return f"its bytes are not an entry (at {where or 'the root'})", None
    if entry.seq != number or recorded.seq != number:
        return f"it is numbered {entry.seq}, so an entry is missing or out of place", None
    if entry.review != review_id:
        return f"it belongs to the review {entry.review}", None
    if entry.previous != previous:
        return "it does not follow from the entry before: the chain is broken", None
    return "", entry


def _first_difference(evidence: Evidence, review: Review, head: Digest, seen: _Seen | None) -> str | None:
    rows = evidence.read_model
    expected = read_model(review, head)
    for name in ReadModel.model_fields:
        stored, folded = getattr(rows, name), getattr(expected, name)
        if name == "receipts" or (name == "heading" and folded is None):
            continue
        if stored != folded:
            return f"read model: {name} is {_brief(stored)}, and the ledger's fold says {_brief(folded)}"
    workflow = evidence.workflow
    if workflow.status == "ended" and not review.closed:
        return f"workflow: it is {workflow.detail}, and the review has no outcome yet"
    if workflow.status not in ("answered", "finished"):
        return None
    finished = workflow.status == "finished" and seen is not None and seen.complete
    if seen is None or not (finished or workflow.seq == review.seq):
        return f"workflow: it has seen {workflow.seq} entries of {review.seq}"
    if workflow.status == "finished" and not seen.review.closed:
        return f"workflow: it finished after {workflow.seq} entries, when the review had no outcome yet"
    if workflow.state_digest != state_digest(seen.review):
        return f"workflow: it has seen {workflow.seq} entries, and its state is another than the ledger's fold of them"
    return None


def _receipt_that_differs(evidence: Evidence, settled: dict[DecisionId, Settlement]) -> str | None:
    if evidence.read_model.receipts is None:
        return None
    receipts = {receipt.decision: receipt for receipt in evidence.read_model.receipts}
    for decision in (*settled, *receipts):
        given, entered = receipts.get(decision), settled.get(decision)
        if given == entered:
            continue
        if given is None or entered is None:
            says = "has no receipt" if given is None else "has a receipt"
            by = "no entry settles it" if entered is None else f"entry {entered.seq} settles it"
            return f"read model: the decision {decision} {says}, and {by}"
        return f"read model: the receipt of the decision {decision} says something else than entry {entered.seq}"
    return None


def read_model(review: Review, head: Digest) -> ReadModel:
    """What the read model must say of this review, whose last entry has the hash `head`; of receipts, nothing."""
    subject = review.subject
    return ReadModel(
        seq=review.seq,
        head=head,
        state_digest=state_digest(review),
        stage=review.stage,
        phase=review.phase,
        outcome=review.outcome,
        closed_at=review.closed_at,
        aside=review.aside,
        assigned=review.assigned,
        units=review.units,
        heading=None
        if subject is None
        else Heading(
            title=subject.title,
            business_unit=subject.business_unit,
            owner=subject.owner,
            author=subject.author,
            tier=None if review.route is None else review.route.tier,
        ),
        turns=waits_for(review),
    )


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
