"""The registry: who may do what and whose key counts, as an append-only ledger of its own.

Decisions rest on it, so it is a record like theirs: each entry says what changed, when, and by whom; each is chained to
the one before and signed. Which grants, keys and delegations were in force at any entry can be told from it alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from domain.canonical import canonical_bytes, sha256
from domain.dsse import REGISTRY, KeyId, PublicKey, Signature, key_id, signed_by
from domain.facts import SigningKey, Standing
from domain.people import DELEGABLE, Delegation, Grant, Holder, Role, Seat
from domain.proof import IssuerKey, thumbprint
from domain.values import Digest, Instant, Line, MailAddress, PersonId, Prose, ReviewId, Slug, Value

BOOTSTRAP: PersonId = "ringi:bootstrap"
"""Who enters what a new system begins with: its first key and its first operator."""

SIGN_IN: PersonId = "ringi:sign-in"
"""Who puts on record what the identity provider was seen to publish."""

SERVICES_ARE = "ringi:"
"""What the ids of the services begin with; no person has such a one."""

MOST_AT_ONCE = 500
"""People or grants in one entry; more are several entries."""

UNIT_OF_THE_FIRST_OPERATOR = "operations"
"""Where the first operator belongs until it is known better."""

LONGEST_DELEGATION_DAYS = 366

LONGEST_INVITATION_DAYS = 60


class Registered(Value):
    """The base of every entry: when it was put on record, and by whom."""

    at: Instant
    by: PersonId


class KeyAdded(Registered):
    """From here on, what this key signs counts."""

    type: Literal["key_added"] = "key_added"
    key: KeyId
    public: PublicKey


class KeyRevoked(Registered):
    """What this key signs from here on counts no more; what it signed before stays valid: what is on record, and what was
    `pending`, by its digests.
    """

    type: Literal["key_revoked"] = "key_revoked"
    key: KeyId
    because: Prose
    pending: tuple[Digest, ...] = ()


class IssuerKeySeen(Registered):
    """The identity provider was seen to publish this key."""

    type: Literal["issuer_key_seen"] = "issuer_key_seen"
    key: IssuerKey


class Member(Value):
    """Somebody known here, and the unit that they belong to."""

    person: PersonId
    unit: Line


class PeopleEntered(Registered):
    """These people are known, and belong to these units, from here on."""

    type: Literal["people_entered"] = "people_entered"
    people: Annotated[tuple[Member, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Address(Value):
    """Where somebody is written to, as a digest: the record tells whether it is this one, and not which one it is."""

    person: PersonId
    email: Digest | None


class AddressesEntered(Registered):
    """These people are written to there from here on; one without an address, nowhere."""

    type: Literal["addresses_entered"] = "addresses_entered"
    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Granted(Registered):
    """These roles were granted."""

    type: Literal["granted"] = "granted"
    grants: Annotated[tuple[Grant, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]


class GrantRevoked(Registered):
    """A role was taken away."""

    type: Literal["grant_revoked"] = "grant_revoked"
    grant: str
    because: Prose


class Disabled(Registered):
    """This person can do nothing here any more."""

    type: Literal["disabled"] = "disabled"
    person: PersonId
    because: Prose


class Enabled(Registered):
    """A disabled person can act again."""

    type: Literal["enabled"] = "enabled"
    person: PersonId
    because: Prose


class Delegated(Registered):
    """Somebody left their roles to another for a time."""

    type: Literal["delegated"] = "delegated"
    delegation: Delegation


class DelegationEnded(Registered):
    """A delegation was ended before its time."""

    type: Literal["delegation_ended"] = "delegation_ended"
    delegation: str


class Invited(Registered):
    """A council member without an account was sent a link that signs them in, once, for these reviews only; `email` is
    the digest of the address that it went to.
    """

    type: Literal["invited"] = "invited"
    invitation: str
    person: PersonId
    email: Digest
    reviews: tuple[ReviewId, ...]
    expires_at: Instant


class InvitationUsed(Registered):
    """The link was used."""

    type: Literal["invitation_used"] = "invitation_used"
    invitation: str


class InvitationRevoked(Registered):
    """The link, and whatever sessions came of it, count no more."""

    type: Literal["invitation_revoked"] = "invitation_revoked"
    invitation: str
    because: Prose


class PackPublished(Registered):
    """Proposals can be reviewed under this policy pack from here on; new ones are, as long as none of its id is published
    after it.
    """

    type: Literal["pack_published"] = "pack_published"
    pack: Slug
    version: Line
    digest: Digest


RegistryEvent = Annotated[
    KeyAdded
    | KeyRevoked
    | IssuerKeySeen
    | PeopleEntered
    | AddressesEntered
    | Granted
    | GrantRevoked
    | Disabled
    | Enabled
    | Delegated
    | DelegationEnded
    | Invited
    | InvitationUsed
    | InvitationRevoked
    | PackPublished,
    Field(discriminator="type"),
]
"""What can be put on record in the registry, told apart by `type`."""

INVITERS = frozenset({Role.OFFICER, Role.OPERATOR})
"""The roles in which somebody invites, or takes an invitation back."""

SKEW = timedelta(minutes=5)
"""So far behind may be the clock of who says that an absence begins now."""

OperatorsDo = KeyAdded | KeyRevoked | PeopleEntered | AddressesEntered | Granted | GrantRevoked | Disabled | Enabled
"""What only operators do; and, until there is one, whoever sets the system up."""


Imported = PeopleEntered | AddressesEntered | Granted
"""What an import puts on record, all of it in one transaction."""


class RegistryEntry(Value):
    """One entry: what changed, its number, and the hash of the entry before."""

    seq: int
    previous: Digest
    event: RegistryEvent


class RecordedEntry(Value):
    """An entry as stored: its exact bytes, as text, what is stored as their hash, and the signatures on them as
    `domain.dsse.REGISTRY`.
    """

    seq: int
    data: str
    hash: str
    signatures: tuple[Signature, ...]


def entry_bytes(seq: int, previous: Digest, event: RegistryEvent) -> tuple[bytes, Digest]:
    """The bytes of an entry, which are stored and signed, and their hash."""
    data = canonical_bytes(RegistryEntry(seq=seq, previous=previous, event=event))
    return data, sha256(data)


def address_digest(email: MailAddress) -> Digest:
    """The digest of an address; of one that differs in upper and lower case alone, it is the same."""
    return sha256(email.casefold().encode())


Held = tuple[PersonId, Role, str | None]
"""Who holds which role, and its office."""


class InvitationState(Value):
    """What became of an invitation: whose it is, for what, until when it holds, and whether its link was used or taken
    back.
    """

    person: PersonId
    reviews: tuple[ReviewId, ...] = ()
    expires_at: Instant
    status: Literal["open", "used", "revoked"] = "open"


class Registry:
    """What the registry says after some entries: the fold of them, or as much of it as a rule needs.

    The tables that the application reads are the same fold; `apply` is what the auditor runs.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.at: datetime | None = None
        self.keys: dict[KeyId, SigningKey] = {}
        self.issuer_keys: dict[Digest, IssuerKey] = {}
        self.units: dict[PersonId, str] = {}
        self.addresses: dict[PersonId, tuple[Digest, PersonId | None]] = {}
        """Where people are written to, and who said so."""
        self.grants: dict[str, Grant] = {}
        self.granted: set[str] = set()
        self.held: set[Held] = set()
        self.operators: dict[str, PersonId] = {}
        self.disabled: set[PersonId] = set()
        self.delegations: dict[str, Delegation] = {}
        self.invitations: dict[str, InvitationState] = {}
        self.packs: dict[Digest, PackPublished] = {}
        """The published policy packs, the last one last."""

    def apply(self, event: RegistryEvent) -> None:
        """Fold one more entry in. Never refuses: what is on record happened."""
        self.seq += 1
        self.at = event.at
        match event:
            case KeyAdded():
                self.keys[event.key] = SigningKey(public=event.public, added_at=event.at)
            case KeyRevoked(key=key, pending=pending) if key in self.keys:
                gone = {"revoked_at": event.at, "pending": pending}
                self.keys[key] = self.keys[key].model_copy(update=gone)
            case IssuerKeySeen(key=issuer_key):
                self.issuer_keys[issuer_key.id] = issuer_key
            case PeopleEntered(people=people):
                self.units.update((member.person, member.unit) for member in people)
            case AddressesEntered(addresses=addresses, by=by):
                for address in addresses:
                    self.addresses.pop(address.person, None)
                    if address.email is not None:
                        self.addresses[address.person] = address.email, by
            case Granted(grants=grants):
                for grant in grants:
                    self.grant(grant)
            case GrantRevoked(grant=grant_id):
                self.revoke(grant_id)
            case Disabled(person=person):
                self.disabled.add(person)
            case Enabled(person=person):
                self.disabled.discard(person)
            case Delegated(delegation=delegation):
                self.delegations[delegation.id] = delegation
            case DelegationEnded(delegation=delegation_id):
                self.delegations.pop(delegation_id, None)
            case Invited(invitation=invitation):
                state = InvitationState(person=event.person, reviews=event.reviews, expires_at=event.expires_at)
                self.invitations[invitation] = state
            case InvitationUsed(invitation=invitation):
                self._invitation_is(invitation, "used")
            case InvitationRevoked(invitation=invitation):
                self._invitation_is(invitation, "revoked")
            case PackPublished(digest=digest):
                self.packs[digest] = event
            case _:
                pass

    def grant(self, grant: Grant) -> None:
        """Have this grant in force."""
        self.grants[grant.id] = grant
        self.granted.add(grant.id)
        self.held.add(held(grant))
        if grant.role is Role.OPERATOR:
            self.operators[grant.id] = grant.person

    def revoke(self, grant_id: str) -> None:
        """Have this grant in force no more."""
        grant = self.grants.pop(grant_id, None)
        if grant is not None:
            self.held.discard(held(grant))
            self.operators.pop(grant_id, None)

    def _invitation_is(self, invitation: str, status: Literal["used", "revoked"]) -> None:
        known = self.invitations.get(invitation)
        if known is not None:
            self.invitations[invitation] = known.model_copy(update={"status": status})

    def standing(self, person: PersonId) -> Standing:
        """What the registry says of a person."""
        delegations = tuple(d for d in self.delegations.values() if person in (d.giver, d.taker))
        givers = {d.giver for d in delegations if d.taker == person} - self.disabled
        return Standing(
            registry=self.seq,
            units={known: self.units[known] for known in sorted({person, *givers}) if known in self.units},
            disabled=person in self.disabled,
            grants=tuple(g for g in self.grants.values() if g.person == person or g.person in givers),
            delegations=delegations,
        )

    def holders(self, moment: datetime) -> tuple[Holder, ...]:
        """Everybody who holds a role and may act at this moment, themselves or by whom they left it to."""
        found: list[Holder] = []
        for grant in self.grants.values():
            between = (d for d in self.delegations.values() if d.giver == grant.person)
            away = next((d for d in between if d.covers(grant.role, moment)), None)
            taker = None if away is None else away.taker
            if {grant.person, taker} & self.disabled:
                continue
            found.append(
                Holder(
                    grant=grant,
                    unit=self.units.get(grant.person),
                    delegate=taker,
                    delegate_unit=None if taker is None else self.units.get(taker),
                    lent_by=None if away is None else away.lent_by,
                )
            )
        return tuple(found)


def held(grant: Grant) -> Held:
    """Who holds what by this grant."""
    return grant.person, grant.role, grant.office


class NotThere(str):
    """Why what is about something that is not there, or not any more, can't be put on record."""

    __slots__ = ()


def refuse(registry: Registry, event: RegistryEvent) -> str | None:
    """Why this can't be put on record after what the registry says, in a sentence for whoever asked for it, if it can't.

    `registry` need only hold what the event speaks of, who the operators are, and which of these are disabled.
    """
    said = _refuse_anybody_else(registry, event) or _refuse_it(registry, event)
    return said or ("Your account is disabled here." if event.by in registry.disabled else None)


def _refuse_anybody_else(registry: Registry, event: RegistryEvent) -> str | None:
    if not isinstance(event, OperatorsDo):
        return None
    if event.by == BOOTSTRAP:
        return "There is an operator, so this is theirs to do." if registry.operators else None
    if event.by in registry.disabled or event.by not in registry.operators.values():
        return "This is for operators."
    return None


def _refuse_it(registry: Registry, event: RegistryEvent) -> str | None:
    match event:
        case KeyAdded(key=key, public=public):
            if key in registry.keys:
                return "This key was registered before; a revoked key stays revoked."
            return None if key_id(public) == key else "The key's id is not that of the key."
        case KeyRevoked(key=key):
            return _refuse_revoking(registry, key)
        case Granted(grants=grants, by=by):
            if len({grant.id for grant in grants}) < len(grants) or len(set(map(held, grants))) < len(grants):
                return "One of these grants is there twice."
            return next((said for grant in grants if (said := _refuse_grant(registry, grant, by)) is not None), None)
        case GrantRevoked(grant=grant):
            if grant not in registry.grants:
                return NotThere("No grant with this id is in force.")
            # Nobody disables themselves, so by their being disabled the operators do not end.
            rest = {person for held_by, person in registry.operators.items() if held_by != grant}
            last = grant in registry.operators and rest <= registry.disabled
            return "This is the only operator; grant the role to somebody else first." if last else None
        case Disabled(person=person, by=by):
            if person == by:
                return "Nobody disables themselves."
            if person not in registry.units:
                return NotThere(_nobody(person))
            return "This person is disabled already." if person in registry.disabled else None
        case Enabled(person=person):
            if person not in registry.units:
                return NotThere(_nobody(person))
            return None if person in registry.disabled else "This person is not disabled."
        case Delegated(delegation=delegation):
            return _refuse_delegation(registry, delegation, event)
        case DelegationEnded(delegation=delegation_id):
            ended = registry.delegations.get(delegation_id)
            if ended is not None and event.by in (ended.giver, ended.taker, *registry.operators.values()):
                return None
            return NotThere("No delegation with this id is in force that is yours to end.")
        case Invited():
            return _refuse_invitation(registry, event)
        case InvitationUsed():
            return _refuse_using(registry, event)
        case InvitationRevoked(invitation=invitation):
            if not _invites(registry, event):
                return "Invitations are for officers and operators to take back."
            known = registry.invitations.get(invitation)
            in_force = known is not None and known.status != "revoked" and event.at < known.expires_at
            return None if in_force else NotThere("No invitation with this id is in force.")
        case PeopleEntered(people=people, by=by):
            # Whoever is entered can be disabled, and what a service says would be refused from then on.
            service = next((member.person for member in people if member.person.startswith(SERVICES_ARE)), None)
            if service is not None:
                return f"{service} is the name of a service, and nobody's here."
            own = registry.units.get(by, UNIT_OF_THE_FIRST_OPERATOR)
            moves = own != UNIT_OF_THE_FIRST_OPERATOR and any(m.person == by and m.unit != own for m in people)
            return "Nobody moves themselves to another unit; another operator does." if moves else None
        case AddressesEntered(addresses=addresses):
            return next((said for each in addresses if (said := _refuse_entering(registry, each)) is not None), None)
        case PackPublished():
            return _refuse_publishing(registry, event)
        case IssuerKeySeen():
            return _refuse_seeing(registry, event)


def _refuse_seeing(registry: Registry, event: IssuerKeySeen) -> str | None:
    if event.by != SIGN_IN:
        return "Which keys the identity provider publishes, the sign-in alone says."
    if thumbprint(event.key.jwk) != event.key.id:
        return "The id of the identity provider's key is not its thumbprint."
    if registry.issuer_keys.get(event.key.id, event.key) != event.key:
        return "This key is on record as the identity provider's already, for another issuer or client."
    return None


def _refuse_revoking(registry: Registry, key: KeyId) -> str | None:
    in_force = [known for known, at in registry.keys.items() if at.revoked_at is None]
    if key not in in_force:
        return NotThere("No key with this id is in force.")
    if in_force == [key]:
        return "This is the only key in force; register the next one first."
    return None


def _refuse_publishing(registry: Registry, event: PackPublished) -> str | None:
    # Those that come with a release are published with it, whoever operates the system.
    if event.by != BOOTSTRAP and (event.by in registry.disabled or event.by not in registry.operators.values()):
        return "This is for operators."
    if event.digest in registry.packs:
        return "This policy pack is published already."
    if any((pack.pack, pack.version) == (event.pack, event.version) for pack in registry.packs.values()):
        return (
            f"Version {event.version} of {event.pack} is published with another content; a change needs a new version."
        )
    return None


def _refuse_entering(registry: Registry, address: Address) -> str | None:
    if address.person not in registry.units:
        return _nobody(address.person)
    on_record, _ = registry.addresses.get(address.person, (None, None))
    # Whose doing it is that somebody is written to there does not change by being said again.
    return f"This is on record of {address.person} already." if on_record == address.email else None


def _refuse_grant(registry: Registry, grant: Grant, by: PersonId) -> str | None:
    if grant.by != by:
        return "The grant does not name who gives it."
    said = refuse_role(grant, by)
    if said is not None:
        return said
    if grant.id in registry.granted:
        return f"A grant with the id {grant.id} was given before."
    if grant.person not in registry.units:
        return _nobody(grant.person)
    if held(grant) in registry.held:
        return f"{grant.person} holds this role already."
    return refuse_office(grant)


def refuse_role(grant: Grant, by: PersonId) -> str | None:
    """Why `by` can't grant this role to this person, whatever the registry says, if they can't."""
    if grant.person == by:
        return "Nobody grants a role to themselves."
    return "The role `service` is not granted to anybody." if grant.role is Role.SERVICE else None


def refuse_office(grant: Grant) -> str | None:
    """Why the grant can't be of this office, if it can't."""
    if grant.role is Role.COUNCIL_MEMBER and grant.office not in tuple(Seat):
        return f"A council member holds one of the seats {', '.join(Seat)}."
    if grant.role in (Role.OFFICER, Role.SIGNATORY) and grant.office is None:
        return f"A grant as {grant.role} names its office."
    if grant.office is not None and grant.role not in (Role.OFFICER, Role.SIGNATORY, Role.COUNCIL_MEMBER):
        return f"A grant as {grant.role} has no office."
    return None


def _nobody(person: PersonId) -> str:
    return f"There is nobody with the id {person} here."


def _refuse_delegation(registry: Registry, delegation: Delegation, event: Registered) -> str | None:
    if delegation.by != event.by:
        return "The delegation does not name who sees to it."
    if delegation.giver == delegation.taker:
        return "Nobody is their own delegate."
    if event.by != delegation.giver and event.by not in registry.operators.values():
        return "Only whoever holds roles, or an operator for them, can leave them to somebody else."
    if delegation.taker == event.by:
        return "Nobody makes themselves another's delegate."
    if not delegation.roles or not set(delegation.roles) <= DELEGABLE:
        return f"What can be left to another: {', '.join(sorted(DELEGABLE))}."
    skew = SKEW if event.by == delegation.giver else timedelta(0)  # nobody is made absent for what is past
    if delegation.starts_at < event.at - skew and delegation.ends_at > event.at:
        return "A delegation starts now or later."
    if delegation.ends_at <= max(delegation.starts_at, event.at):
        return "A delegation ends after it starts, and not in the past."
    if (delegation.ends_at - max(delegation.starts_at, event.at)).days > LONGEST_DELEGATION_DAYS:
        return f"A delegation lasts at most {LONGEST_DELEGATION_DAYS} days."
    for person in (delegation.giver, delegation.taker):
        if person not in registry.units:
            return _nobody(person)
    if delegation.taker in registry.disabled:
        return "The delegate's account is disabled."
    overlapping = [
        known
        for known in registry.delegations.values()
        if known.starts_at < delegation.ends_at and delegation.starts_at < known.ends_at
    ]
    if any(known.giver == delegation.taker or known.taker == delegation.giver for known in overlapping):
        return "Delegations make no chains: one of the two gave, or took, another for the same days."
    if any(known.giver == delegation.giver and set(known.roles) & set(delegation.roles) for known in overlapping):
        return "One of these roles is left to somebody for some of these days already."
    return None


def _invites(registry: Registry, event: Registered) -> bool:
    standing = registry.standing(event.by)
    roles = {grant.role for grant in standing.at(event.by, event.at).grants}
    return not standing.disabled and not roles.isdisjoint(INVITERS)


def _refuse_invitation(registry: Registry, event: Invited) -> str | None:
    if not _invites(registry, event):
        return "Invitations are for officers and operators to send."
    if event.person == event.by:
        return "Nobody invites themselves."
    seats = [g for g in registry.grants.values() if g.person == event.person and g.role is Role.COUNCIL_MEMBER]
    if not seats:
        return "Only members of the Advisory Council are invited."
    if event.invitation in registry.invitations:
        return "An invitation with this id was sent before."
    if event.expires_at <= event.at or (event.expires_at - event.at).days > LONGEST_INVITATION_DAYS:
        return f"An invitation holds for at most {LONGEST_INVITATION_DAYS} days."
    if not event.reviews:
        return "An invitation is for at least one review."
    email, said_by = registry.addresses.get(event.person, (None, None))
    if email is None:
        return "No address is on record for them; an operator enters it by an import."
    if email != event.email:
        return "Another address is on record for them, and the link goes to that one; an operator can change it by an import."
    # Whoever reads the link is taken for the member: it takes two people to say where it goes.
    return "You entered their address, so somebody else invites them." if said_by == event.by else None


def _refuse_using(registry: Registry, event: InvitationUsed) -> str | None:
    known = registry.invitations.get(event.invitation)
    if known is None or known.status != "open" or known.expires_at <= event.at:
        return "This invitation can't be used any more."
    if known.person != event.by:
        return "This invitation is somebody else's."
    return "The account of whoever is invited is disabled." if event.by in registry.disabled else None


@lru_cache(maxsize=8)
def keys_and_packs(entries: tuple[RecordedEntry, ...]) -> Registry:
    """What the registry says of keys and policy packs, by those of its entries that speak of either, in order. What is
    returned is not to be changed.

    The first founds the registry, and each later one counts if a key signed it that was in force by then: what somebody
    put between them who has no such key says nothing. For who has to know now whose signature counts, or which pack is
    published, and can't read the whole registry for it, as `RegistryAudit` does.
    """
    registry = Registry()
    for recorded in entries:
        data = recorded.data.encode(errors="surrogatepass")
        try:
            entry = RegistryEntry.model_validate_json(data)
        except ValidationError:
            continue
        event = entry.event
        if not isinstance(event, KeyAdded | KeyRevoked | PackPublished) or entry.seq != recorded.seq:
            continue
        if registry.at is not None and event.at < registry.at:
            continue
        if entry.seq == 1 and isinstance(event, KeyAdded):
            keys = [event.public]
        else:
            keys = [key.public for key in registry.keys.values() if key.in_force(event.at)]
        if signed_by(REGISTRY, data, recorded.signatures, keys):
            registry.apply(event)
    return registry


class RegistryAudit:
    """Reads the registry's entries one after another, checks each, and folds it."""

    def __init__(self, founder: KeyId | None = None) -> None:
        """Args:
        founder: the key that must have founded the registry, where that is known.
        """
        self.registry = Registry()
        self.head: Digest = "0" * 64
        self.founder: KeyId | None = None
        self._must_found = founder

    def check(self, recorded: RecordedEntry) -> str | None:
        """What is wrong with the next entry, if anything is; where nothing is, it is folded in."""
        number = self.registry.seq + 1
        data = recorded.data.encode(errors="surrogatepass")
        if sha256(data) != recorded.hash:
            return f"registry entry {number}: its bytes do not have the hash that is stored with them"
        try:
            entry = RegistryEntry.model_validate_json(data)
        except ValidationError:
            return f"registry entry {number}: its bytes are not an entry"
        if (entry.seq, recorded.seq, entry.previous) != (number, number, self.head):
            return f"registry entry {number}: it does not follow from the entry before"
        event = entry.event
        if self.registry.at is not None and event.at < self.registry.at:
            return f"registry entry {number}: it is dated before the entry before"
        if number == 1:
            if not isinstance(event, KeyAdded):
                return "registry entry 1: a registry begins with the key that it is signed with"
            if self._must_found not in (None, event.key):
                return (
                    f"registry entry 1: the registry was founded with the key {event.key}, and not {self._must_found}"
                )
            keys = [event.public]
        else:
            keys = [key.public for key in self.registry.keys.values() if key.in_force(event.at)]
        if not signed_by(REGISTRY, data, recorded.signatures, keys):
            return f"registry entry {number}: no key that was in force has signed it"
        said = refuse(self.registry, event)
        if said is not None:
            return f"registry entry {number}: it breaks a rule: {said}"
        self.registry.apply(event)
        self.head = recorded.hash
        if number == 1 and isinstance(event, KeyAdded):
            self.founder = event.key
        return None
