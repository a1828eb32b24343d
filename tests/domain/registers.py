"""A review whose decisions are made under a registry that is on record too: what an auditor checks both by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import JsonValue

from domain import sign_off
from domain.canonical import canonical_bytes
from domain.decisions import Envelope, Signature, Submission
from domain.dsse import REGISTRY
from domain.events import Accepted, Event, Refused
from domain.facts import Facts, Proposed, Standing, propose
from domain.ledger import GENESIS, append
from domain.people import Grant, Holder, Role
from domain.proof import IssuerKey, SignedIn, itself, thumbprint
from domain.proposal import Proposal, content_digest
from domain.registry import (
    BOOTSTRAP,
    SIGN_IN,
    Granted,
    IssuerKeySeen,
    KeyAdded,
    Member,
    PackPublished,
    PeopleEntered,
    RecordedEntry,
    Registry,
    RegistryEvent,
    entry_bytes,
)
from domain.review import fold
from domain.route import Route
from domain.step_up import act_digest
from domain.values import Digest
from domain.verification import Evidence, Verification, WorkflowState, read_model, verify
from tests.domain.builders import AUTHOR, DAY, GRANTS, HEAD, HOUR, OWNER, SIGNER, START, UNIT, Case, grant, route, taken
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
            PackPublished(at=START - DAY, by=BOOTSTRAP, pack="a-pack", version="1", digest=self.pack_digest),
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

    def holders(self) -> tuple[Holder, ...]:
        """Who may act by what it says."""
        return self.known().holders(self.now)

    def facts(self, envelope: Envelope | None = None) -> Facts:
        """The registers, as the store would read them for this decision."""
        registry = self.known()
        update = {
            "keys": tuple(registry.keys.values()),
            "issuer_keys": tuple(registry.issuer_keys.values()),
            "units": dict(registry.units),
            "packs": tuple(registry.packs),
        }
        return super().facts(envelope).model_copy(update=update)

    def evidence(self, events: Sequence[Event] | None = None) -> Evidence:
        """The evidence of what happened, or of another story, told so that chain and read model hold together."""
        told = self.events if events is None else events
        entries = append("R-1", 0, GENESIS, told)
        model = read_model(fold("R-1", told), entries[-1].hash)
        return Evidence(review="R-1", entries=entries, read_model=model, workflow=WorkflowState(status="gone"))

    def audit(
        self, events: Sequence[Event] | None = None, *, issuers: Collection[Digest] | None = None
    ) -> Verification:
        """What an auditor says of it who knows the key that founded the registry, and perhaps those of the provider."""
        return verify(self.evidence(events), recorded(self.registry), SIGNER.keyid, issuers)


_LOWEST = PACK.tiers[0]
PANELS = PACK.model_copy(
    update={
        "tiers": (
            _LOWEST.model_copy(update={"reviewers": _LOWEST.reviewers.model_copy(update={"needed": 2, "panel": 3})}),
            *PACK.tiers[1:],
        )
    }
)
"""The shipped pack, but for the panel that the lowest tier has."""


class WrittenCase(AuditedCase):
    """The same of a proposal that is really written, and assessed by a real pack; `its` are its fields."""

    pack_digest = PANELS.digest

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
        return propose(PANELS, self.texts[digest], self.texts.get(self.review.content_digest))

    def evidence(self, events: Sequence[Event] | None = None) -> Evidence:
        """The evidence, with the texts."""
        update = {
            "proposals": tuple(canonical_bytes(text).decode() for text in self.texts.values()),
            "packs": (canonical_bytes(PANELS).decode(),),
        }
        return super().evidence(events).model_copy(update=update)


PROVIDER, THIEF = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")


def published(key: ECKey) -> IssuerKey:
    """This key, as the registry has it of the identity provider."""
    jwk: dict[str, JsonValue] = {name: str(value) for name, value in key.as_dict(private=False).items()}
    return IssuerKey(id=thumbprint(jwk), issuer="https://login.example", audience="ringi-web", jwk=itself(jwk))


def seen(key: ECKey, by: str = SIGN_IN, **changed: object) -> IssuerKeySeen:
    """The registry's entry about it, changed."""
    return IssuerKeySeen(at=START + HOUR, by=by, key=published(key).model_copy(update=changed))


def signed_in(case: AuditedCase, key: ECKey) -> Accepted | Refused:
    """What comes of the head's signature, with a renewed sign-in that this key signed."""
    said = case.envelope(HEAD, Signature(basis=sign_off.basis(case.review)))
    at = int(said.received_at.timestamp())
    claims = {
        "iss": "https://login.example",
        "aud": "ringi-web",
        "sub": said.person,
        "nonce": act_digest(said),
        "iat": at,
        "auth_time": at,
        "exp": at + 300,
    }
    token = jwt.encode({"alg": "ES256"}, claims, key, algorithms=["ES256"])
    command = taken(said)
    proof = command.proof.model_copy(update={"step_up": SignedIn(token=token, key=published(key).id)})
    happened = case.apply(command.model_copy(update={"proof": proof}), case.facts(said))
    return next(event for event in happened if isinstance(event, Accepted | Refused))


def stepping_up(*entries: IssuerKeySeen) -> AuditedCase:
    """A review up to its signature, over which the head has to sign in again."""
    case = AuditedCase(route().model_copy(update={"step_up": ("signature",)}))
    case.registry += entries
    case.now += DAY
    case.agree()
    return case
