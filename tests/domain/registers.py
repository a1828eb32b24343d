"""A review whose decisions are made under a registry that is on record too: what an auditor checks both by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.canonical import canonical_bytes
from domain.decisions import Envelope, Submission
from domain.dsse import REGISTRY
from domain.events import Event
from domain.facts import Facts, Proposed, Standing, propose
from domain.ledger import GENESIS, append
from domain.people import Grant, Role
from domain.proposal import Proposal, content_digest
from domain.registry import (
    BOOTSTRAP,
    Granted,
    KeyAdded,
    Member,
    PeopleEntered,
    RecordedEntry,
    Registry,
    RegistryEvent,
    entry_bytes,
)
from domain.review import fold
from domain.route import Route
from domain.values import Digest
from domain.verification import Evidence, Verification, WorkflowState, read_model, verify
from tests.domain.builders import AUTHOR, DAY, GRANTS, HEAD, OWNER, SIGNER, START, UNIT, Case, grant
from tests.domain.packs import PACK, proposal


def recorded(events: Iterable[RegistryEvent]) -> tuple[RecordedEntry, ...]:
    """The registry that has these events on record, signed with the service's key."""
    entries: list[RecordedEntry] = []
    previous = GENESIS
    for number, event in enumerate(events, start=1):
        data, previous = entry_bytes(number, previous, event)
        signatures = (SIGNER.signature(REGISTRY, data),)
        entries.append(RecordedEntry(seq=number, data=data.decode(), hash=previous, signatures=signatures))
    return tuple(entries)


class AuditedCase(Case):
    """A review and its registry. `registry` is what has been put on record there, `read` how much of it a commit sees now,
    where that is not all.
    """

    def __init__(
        self, its_route: Route | None = None, *, grants: Iterable[Grant] = GRANTS, opened: bool = True
    ) -> None:
        given = tuple(grant.model_copy(update={"by": BOOTSTRAP}) for grant in grants)
        people = dict.fromkeys(grant.person for grant in given)
        units = {person: UNIT if person in (OWNER, AUTHOR) else f"Unit of {person}" for person in people}
        self.registry: list[RegistryEvent] = [
            KeyAdded(at=START - DAY, by=BOOTSTRAP, key=SIGNER.keyid, public=SIGNER.public),
            PeopleEntered(
                at=START - DAY,
                by=BOOTSTRAP,
                people=tuple(Member(person=person, unit=unit) for person, unit in units.items()),
            ),
            Granted(at=START - DAY, by=BOOTSTRAP, grants=given),
        ]
        self.read: int | None = None
        super().__init__(its_route, grants=given, opened=opened)

    def known(self) -> Registry:
        """What the registry says to a commit now."""
        registry = Registry()
        for event in self.registry[: self.read]:
            registry.apply(event)
        return registry

    def standing(self, person: str | None) -> Standing:
        """What it says of this person."""
        return self.known().standing(person or "")

    def facts(self, envelope: Envelope | None = None) -> Facts:
        """The registers, as the store would read them for this decision."""
        registry = self.known()
        update = {
            "keys": tuple(registry.keys.values()),
            "issuer_keys": tuple(registry.issuer_keys.values()),
            "units": dict(registry.units),
        }
        return super().facts(envelope).model_copy(update=update)

    def evidence(self, events: Sequence[Event] | None = None) -> Evidence:
        """The evidence of what happened, or of another story, told so that chain and read model hold together."""
        told = self.events if events is None else events
        entries = append("R-1", 0, GENESIS, told)
        model = read_model(fold("R-1", told), entries[-1].hash)
        return Evidence(review="R-1", entries=entries, read_model=model, workflow=WorkflowState(status="gone"))

    def audit(self, events: Sequence[Event] | None = None) -> Verification:
        """What an auditor says of it who knows the key that founded the registry."""
        return verify(self.evidence(events), recorded(self.registry), SIGNER.keyid)


class WrittenCase(AuditedCase):
    """The same of a proposal that is really written, and assessed by the shipped pack; `its` are its fields."""

    pack_digest = PACK.digest

    def __init__(self, *, grants: Iterable[Grant] = (), by: str = AUTHOR, **its: object) -> None:
        self.texts: dict[Digest, Proposal] = {}
        signs = grant(HEAD, Role.SIGNATORY, PACK.tiers[0].signatories[0].office)
        super().__init__(grants=(*GRANTS, signs, *grants), opened=False)
        self.accepts(by, Submission(), digest=self.written(**its))

    def written(self, **its: object) -> Digest:
        """Write a text with these fields."""
        text = proposal(**its)
        self.texts[content_digest(text)] = text
        return content_digest(text)

    def proposed(self, digest: Digest) -> Proposed:
        """What the pack makes of this text, in place of the present one."""
        return propose(PACK, self.texts[digest], self.texts.get(self.review.content_digest))

    def evidence(self, events: Sequence[Event] | None = None) -> Evidence:
        """The evidence, with the texts."""
        update = {
            "proposals": tuple(canonical_bytes(text).decode() for text in self.texts.values()),
            "packs": (canonical_bytes(PACK).decode(),),
        }
        return super().evidence(events).model_copy(update=update)
