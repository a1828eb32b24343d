"""Forgeries by whoever has the password of the application's role, but not the signing key: rows, handed to Temporal as
right signals; and the same, written on the ledger for an auditor to find.
"""

from __future__ import annotations

import base64
import hmac
import json
from asyncio import gather
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import ECKey

from activities.commits import Commits
from activities.ports import Delivery
from domain.canonical import canonical_bytes, digest_of, sha256
from domain.decisions import Discrepancy, Envelope, Reason, Repair, Submission, TrainingRecorded
from domain.discrepancies import Differs
from domain.drafts import Draft, stored_bytes
from domain.dsse import DECISION, REGISTRY, Ed25519Signer, Signature, pae
from domain.events import Accepted, Refused
from domain.people import Role
from domain.proof import Proof, SignedIn
from domain.proposal import content_digest
from domain.registry import Disabled, RegistryEntry
from domain.stages import Stage
from domain.step_up import act_digest
from runtime.courier import TemporalCourier
from store.decisions import Decisions
from store.ledgers import Ledgers
from tests.forgery.families import FAMILIES, Family, family
from tests.forgery.stand import EACH, IN_BULK, OTHER, STRICT, Forged, Stand, sheet, signed
from tests.support.harness import SIGNER
from tests.support.system import OPERATOR, example, new_id

_PACK = "insert into policy_packs (digest, id, version, content) values ($1, $2, $3, $4)"

HIDDEN = ("digest = repeat('0', 64)", "received_at = '9999-01-01'", "received_at = 'infinity'", "status = 'pending'")

Make = Callable[[Stand, Envelope], Forged]


def _good(envelope: Envelope) -> Proof:
    return signed(envelope).proof


def _by(keyid: str, signer: Ed25519Signer, data: bytes) -> Signature:
    return signer.signature(DECISION, data).model_copy(update={"keyid": keyid})


def _changed(stand: Stand, envelope: Envelope, **update: Any) -> Forged:
    """Another field, its digest made to fit, and the signature of the old one."""
    return Forged.of(envelope.model_copy(update=update), _good(envelope))


def digest_made_to_fit(stand: Stand, envelope: Envelope) -> Forged:
    """Other words, with their own digest and the signature of the old ones."""
    return _changed(stand, envelope, reason=f"Approve it, {stand.rng.random()}.")


def digest_of_the_old_words(stand: Stand, envelope: Envelope) -> Forged:
    """Other words, with digest and signature of the old ones."""
    old = signed(envelope)
    return Forged.of(envelope.model_copy(update={"reason": f"Yes, {stand.rng.random()}."}), old.proof, old.digest)


def signature_stripped(stand: Stand, envelope: Envelope) -> Forged:
    """No signature, an empty one, or one that is hardly any."""
    signatures = stand.rng.choice(((), *((Signature(keyid=SIGNER.keyid, sig=s),) for s in ("", "AAAA", "§", "A" * 88))))
    return Forged.of(envelope, Proof(signatures=signatures))


def signature_bit_flipped(stand: Stand, envelope: Envelope) -> Forged:
    """One bit of the signature."""
    good = SIGNER.signature(DECISION, stored_bytes(envelope))
    sig = bytearray(base64.b64decode(good.sig))
    sig[stand.rng.randrange(len(sig))] ^= 1 << stand.rng.randrange(8)
    return Forged.of(envelope, Proof(signatures=(Signature(keyid=good.keyid, sig=base64.b64encode(sig).decode()),)))


def signed_by_an_unknown_key(stand: Stand, envelope: Envelope) -> Forged:
    """A key of the thief's own, under its own id."""
    return signed(envelope, stand.thief)


def signed_under_the_id_of_another_key(stand: Stand, envelope: Envelope) -> Forged:
    """A key of the thief's own, under the id of the service's; and the service's, under another's."""
    data = stored_bytes(envelope)
    signature = stand.rng.choice(
        (_by(SIGNER.keyid, stand.thief, data), _by(stand.late.keyid, SIGNER, data), _by("", SIGNER, data))
    )
    return Forged.of(envelope, Proof(signatures=(signature,)))


def signed_by_a_revoked_key(stand: Stand, envelope: Envelope) -> Forged:
    """Dated now, or back to when the key still counted."""
    since, long = stand.in_force
    moment = stand.rng.choice((envelope.received_at, since + long * stand.rng.random()))
    return signed(envelope.model_copy(update={"received_at": moment}), stand.revoked)


def signed_by_a_key_not_yet_in_force(stand: Stand, envelope: Envelope) -> Forged:
    """Dated before the key was registered."""
    back = timedelta(seconds=stand.rng.randint(3600, 10_000_000))
    return signed(envelope.model_copy(update={"received_at": envelope.received_at - back}), stand.late)


def signed_as_another_type(stand: Stand, envelope: Envelope) -> Forged:
    """Rightly signed, but as something else than a decision."""
    kind = stand.rng.choice((REGISTRY, "", DECISION + " ", DECISION.upper(), "application/json"))
    return Forged.of(envelope, Proof(signatures=(SIGNER.signature(kind, stored_bytes(envelope)),)))


def the_boundary_of_type_and_payload_moved(stand: Stand, envelope: Envelope) -> Forged:
    """A signature over bytes that are the same once type and payload are put together another way."""
    data, cut = stored_bytes(envelope), stand.rng.randint(1, 40)
    moved = stand.rng.choice(
        (
            SIGNER.signature(DECISION + data[:cut].decode(errors="ignore"), data[cut:]),
            SIGNER.signature(DECISION[:-cut], DECISION[-cut:].encode() + data),
            SIGNER.signature("", pae(DECISION, data)),
        )
    )
    return Forged.of(envelope, Proof(signatures=(moved,)))


def signature_of_another_decision(stand: Stand, envelope: Envelope) -> Forged:
    """One that the service really gave, to another decision of the same person."""
    other = envelope.model_copy(update={"decision_id": UUID(int=stand.rng.getrandbits(128), version=4)})
    return Forged.of(envelope, _good(other))


def moved_to_another_id(stand: Stand, envelope: Envelope) -> Forged:
    """The same words, as if they had been said again."""
    return _changed(stand, envelope, decision_id=UUID(int=stand.rng.getrandbits(128), version=4))


def moved_to_another_revision_or_round(stand: Stand, envelope: Envelope) -> Forged:
    """Said about the text before, or in the round before."""
    where = stand.rng.choice(("revision", "round"))
    return _changed(stand, envelope, **{where: getattr(envelope, where) + stand.rng.choice((-1, 1, 7))})


def moved_to_another_text_or_policy(stand: Stand, envelope: Envelope) -> Forged:
    """Said by who was shown something else."""
    where = stand.rng.choice(("content_digest", "pack_digest"))
    return _changed(stand, envelope, **{where: f"{stand.rng.getrandbits(256):064x}"})


def moved_to_another_stage(stand: Stand, envelope: Envelope) -> Forged:
    """Said in another stage, or in none."""
    return _changed(stand, envelope, stage=stand.rng.choice((None, *(s for s in Stage if s is not envelope.stage))))


def moved_to_another_person(stand: Stand, envelope: Envelope) -> Forged:
    """Said by somebody else, who may say such things."""
    return _changed(stand, envelope, person=stand.rng.choice((OTHER, "omi.officer", "bo.head")))


def moved_to_another_role_or_grant(stand: Stand, envelope: Envelope) -> Forged:
    """Said as something else."""
    change = stand.rng.choice(({"role": Role.OFFICER}, {"grant": str(UUID(int=stand.rng.getrandbits(128)))}))
    return _changed(stand, envelope, **change)


def moved_to_another_meaning(stand: Stand, envelope: Envelope) -> Forged:
    """What the act means, in other words."""
    return _changed(stand, envelope, meaning=f"approves as signatory, {stand.rng.random()}")


def moved_to_another_moment(stand: Stand, envelope: Envelope) -> Forged:
    """Dated back before a deadline or a revocation, or ahead."""
    by = timedelta(microseconds=stand.rng.choice((-1, 1)) * stand.rng.randint(1, 10**13))
    return _changed(stand, envelope, received_at=envelope.received_at + by)


def under_a_grant_of_somebody_else(stand: Stand, envelope: Envelope) -> Forged:
    """Signed by the service itself, had it been deceived: another's grant, or one that nobody has."""
    grants = stand.grants[OTHER] + [str(UUID(int=stand.rng.getrandbits(128)))]
    return signed(envelope.model_copy(update={"grant": stand.rng.choice(grants)}))


def under_a_role_that_is_not_held(stand: Stand, envelope: Envelope) -> Forged:
    """Signed by the service: as an officer or a signatory, by who is neither."""
    roles = [role for role in Role if role is not envelope.role]
    return signed(envelope.model_copy(update={"role": stand.rng.choice(roles)}))


def with_another_meaning(stand: Stand, envelope: Envelope) -> Forged:
    """Signed by the service: what the act means, in words that it does not mean."""
    others = (
        "merely takes note",
        "as deputy, asks the owner",
        f"for {OTHER}: {envelope.meaning}",
        envelope.meaning.upper(),
    )
    return signed(envelope.model_copy(update={"meaning": stand.rng.choice(others)}))


def by_who_has_no_role(stand: Stand, envelope: Envelope) -> Forged:
    """Signed by the service: by an engineer, by nobody known, by the owner about their own proposal."""
    person = stand.rng.choice(("hana.owner", "aki.author", "eve.evil", "ringi:reconciler", "ringi:bootstrap"))
    return signed(envelope.model_copy(update={"person": person}))


def as_the_service_itself(stand: Stand, envelope: Envelope) -> Forged:
    """Signed by the service: a person says what only the register, the reconciler, or an operator says."""
    content = stand.rng.choice((TrainingRecorded(), Discrepancy(what=stand.rng.choice(tuple(Differs))), Repair()))
    role = stand.rng.choice((envelope.role, Role.SERVICE, Role.OPERATOR))
    grant = stand.rng.choice((envelope.grant, "ringi"))
    update = {"content": content, "kind": content.kind, "role": role, "grant": grant}
    return signed(envelope.model_copy(update=update))


QUESTIONS: tuple[Make, ...] = (
    digest_made_to_fit,
    digest_of_the_old_words,
    signature_stripped,
    signature_bit_flipped,
    signed_by_an_unknown_key,
    signed_under_the_id_of_another_key,
    signed_by_a_revoked_key,
    signed_by_a_key_not_yet_in_force,
    signed_as_another_type,
    the_boundary_of_type_and_payload_moved,
    signature_of_another_decision,
    moved_to_another_id,
    moved_to_another_revision_or_round,
    moved_to_another_text_or_policy,
    moved_to_another_stage,
    moved_to_another_person,
    moved_to_another_role_or_grant,
    moved_to_another_meaning,
    moved_to_another_moment,
    under_a_grant_of_somebody_else,
    under_a_role_that_is_not_held,
    with_another_meaning,
    by_who_has_no_role,
    as_the_service_itself,
)


async def _questions(stand: Stand, make: Make) -> None:
    review = await stand.opened()
    for _ in range(EACH):
        await stand.forged(review, make(stand, await stand.envelope(review)))
    good = signed(await stand.envelope(review))
    auditor = await stand.auditor(review)
    genuine = await auditor.applied(good)
    assert auditor.of(genuine).holds
    for _ in range(IN_BULK):
        envelope = Envelope.model_validate_json(good.data)
        auditor.finds(genuine, make(stand, envelope))
    await stand.genuine(review, good)


# The person's own part.


def token_of(stand: Stand, envelope: Envelope, by: ECKey | None = None, **claims: Any) -> str:
    """The ID token of a renewed sign-in over this decision, with other claims, or by another key than the provider's."""
    at = int(envelope.received_at.timestamp())
    good = {
        "iss": stand.idp_key.issuer,
        "aud": stand.idp_key.audience,
        "sub": envelope.person,
        "nonce": act_digest(envelope),
        "iat": at,
        "auth_time": at,
        "exp": at + 300,
    }
    kept = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode({"alg": "ES256"}, kept, by or stand.idp, algorithms=["ES256"])


def proved(stand: Stand, envelope: Envelope, token: str | None = None, key: str | None = None) -> Forged:
    """Rightly signed, and with the person's renewed sign-in; or with another token, or key."""
    return signed(envelope, step_up=SignedIn(token=token or token_of(stand, envelope), key=key or stand.idp_key.id))


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_hmac(alg: str, body: str, secret: bytes, **header: str) -> str:
    """A token that is signed with a secret; made by hand, since a library that means well makes none of a public key."""
    said = f"{_b64({'alg': alg, **header})}.{body}"
    mac = hmac.digest(secret, said.encode(), {"HS256": "sha256", "HS512": "sha512"}[alg])
    return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def step_up_missing(stand: Stand, envelope: Envelope) -> Forged:
    """The service signed, and the person did not sign in again."""
    return signed(envelope)


def step_up_over_another_decision(stand: Stand, envelope: Envelope) -> Forged:
    """The same person's, a moment ago, over something else; or over nothing."""
    other = envelope.model_copy(update={"reason": f"Something else, {stand.rng.random()}."})
    nonce = stand.rng.choice((act_digest(other), None, "", "0" * 64, [act_digest(envelope)]))
    return proved(stand, envelope, token_of(stand, envelope, nonce=nonce))


def step_up_over_another_meaning(stand: Stand, envelope: Envelope) -> Forged:
    """The same person's, a moment ago, over this act, and the service put something else around it, and signed it."""
    others = {
        "meaning": "approves the proposal for everybody",
        "pack_digest": "0" * 64,
        "revision": envelope.revision + 1,
        "round": envelope.round + 1,
        "stage": None,
        "grant": f"{envelope.grant}0",
    }
    name = stand.rng.choice(("meaning", *others))
    return proved(stand, envelope.model_copy(update={name: others[name]}), token_of(stand, envelope))


def step_up_of_another_person(stand: Stand, envelope: Envelope) -> Forged:
    """Somebody else signed in, over this very act."""
    who = stand.rng.choice((OTHER, None, "", envelope.person.upper(), [envelope.person]))
    return proved(stand, envelope, token_of(stand, envelope, sub=who))


def step_up_expired_or_stale(stand: Stand, envelope: Envelope) -> Forged:
    """A sign-in of an hour ago, of tomorrow, at no time, or one that had expired."""
    at = int(envelope.received_at.timestamp())
    claims: dict[str, Any] = stand.rng.choice(
        [{"auth_time": moment} for moment in (at - 3600, at + 86400, None, "now", True)]
        + [{"exp": moment} for moment in (at - 600, None, "never")]
    )
    return proved(stand, envelope, token_of(stand, envelope, **claims))


def step_up_for_another_audience_or_issuer(stand: Stand, envelope: Envelope) -> Forged:
    """For another service, or in the name of another issuer."""
    ours = stand.idp_key.audience
    claims = stand.rng.choice(
        [{"iss": issuer} for issuer in ("https://evil.example", None, "")]
        + [{"aud": audience, "azp": "x"} for audience in ("ringi-other", None, [], [ours, "x"])]
    )
    return proved(stand, envelope, token_of(stand, envelope, **claims))


def step_up_without_or_with_another_algorithm(stand: Stand, envelope: Envelope) -> Forged:
    """`none`, in several spellings; HMAC with the issuer's public key for a secret; the algorithm's name changed."""
    head, body, sig = token_of(stand, envelope).split(".")
    kind = stand.rng.choice(("none", "None", "NONE", "HS256", "HS512", "RS256", "stripped"))
    if kind.startswith("HS"):
        secret = stand.rng.choice((stand.idp.as_pem(private=False), json.dumps(stand.idp_key.jwk).encode()))
        token = with_hmac(kind, body, secret)
    else:
        token = f"{head if kind == 'stripped' else _b64({'alg': kind})}.{body}.{sig if kind == 'RS256' else ''}"
    return proved(stand, envelope, token)


def step_up_signed_by_a_key_never_seen(stand: Stand, envelope: Envelope) -> Forged:
    """Another key: named as itself, as the issuer's, or brought along in the header."""
    claims = json.loads(base64.urlsafe_b64decode(token_of(stand, envelope).split(".")[1] + "=="))
    header = stand.rng.choice(({}, {"jwk": stand.unseen.as_dict(private=False)}, {"kid": stand.idp_key.id}))
    token = jwt.encode({"alg": "ES256", **header}, claims, stand.unseen, algorithms=["ES256"])
    own = base64.urlsafe_b64decode(stand.unseen.thumbprint() + "=").hex()
    return proved(stand, envelope, token, stand.rng.choice((None, own, "0" * 64)))


def step_up_edited(stand: Stand, envelope: Envelope) -> Forged:
    """A true token, with a claim or a character changed."""
    head, body, sig = token_of(stand, envelope, nonce="x").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"nonce": act_digest(envelope)}
    *true, last = token_of(stand, envelope).split(".")
    flipped = bytearray(base64.urlsafe_b64decode(last + "=="))
    flipped[stand.rng.randrange(len(flipped))] ^= 1
    bad = base64.urlsafe_b64encode(flipped).rstrip(b"=").decode()
    return proved(stand, envelope, stand.rng.choice((f"{head}.{_b64(claims)}.{sig}", ".".join((*true, bad)))))


STEP_UPS: tuple[Make, ...] = (
    step_up_missing,
    step_up_over_another_decision,
    step_up_over_another_meaning,
    step_up_of_another_person,
    step_up_expired_or_stale,
    step_up_for_another_audience_or_issuer,
    step_up_without_or_with_another_algorithm,
    step_up_signed_by_a_key_never_seen,
    step_up_edited,
)


async def _step_ups(stand: Stand, make: Make) -> None:
    review = await stand.opened()
    for _ in range(EACH):
        await stand.forged(review, make(stand, await stand.envelope(review, content=sheet())))
    envelope = await stand.envelope(review, content=sheet())
    good = proved(stand, envelope)
    auditor = await stand.auditor(review)
    genuine = await auditor.applied(good)
    assert auditor.of(genuine).holds
    for _ in range(IN_BULK):
        auditor.finds(genuine, make(stand, envelope))
    await stand.genuine(review, good)


def _family_of(make: Make, way: Callable[[Stand, Make], Awaitable[None]]) -> Family:
    return lambda stand: way(stand, make)


for ways, makers in ((_questions, QUESTIONS), (_step_ups, STEP_UPS)):
    for maker in makers:
        assert maker.__name__ not in FAMILIES
        FAMILIES[maker.__name__] = _family_of(maker, ways)


@family
async def of_a_revoked_key_and_not_on_its_list(stand: Stand) -> None:
    """Signed by a key that was revoked since, and dated when it still counted, beside one that really waited then: of
    that one the list is, and it is taken.
    """
    review, operator = await stand.opened(), await stand.person(OPERATOR)
    key = Ed25519Signer(Ed25519PrivateKey.generate())
    assert 201 == (await operator.post("/keys", {"public": key.public})).status_code
    good, *others = [signed(await stand.envelope(review), key) for _ in range(EACH + 1)]
    await stand.plant(review, good)
    assert 204 == (await operator.delete(f"/keys/{key.keyid}?because=Stolen.")).status_code
    for other in others:
        await stand.forged(review, stand.rng.choice((other, replace(other, digest=good.digest))))
    auditor = await stand.auditor(review)
    genuine = await auditor.applied(good)
    assert auditor.of(genuine).holds
    for _ in range(IN_BULK):
        auditor.finds(genuine, stand.rng.choice(others))
    await stand.genuine(review, good, planted=True)


@family
async def by_somebody_disabled_meanwhile(stand: Stand) -> None:
    """Stored when they might, and their account was closed before it was taken; or in the same moment, and then it was
    taken before, by the registry's own count.
    """
    review, operator = await stand.opened(), await stand.person(OPERATOR)
    because = {"because": "Left."}
    for _ in range(EACH):
        who, other = await stand.newcomer(("reviewer", "")), await stand.newcomer(("reviewer", ""))
        good = signed(await stand.envelope(review, who))
        await stand.plant(review, good)
        assert 204 == (await operator.post(f"/people/{who}/disabled", because)).status_code
        assert Reason.DISABLED == (await stand.forged(review, good, planted=True)).reason

        seq, good = (await stand.state(review)).seq, signed(await stand.envelope(review, other))
        await stand.plant(review, good)
        _, closed = await gather(stand.signal(review, good.data), operator.post(f"/people/{other}/disabled", because))
        assert 204 == closed.status_code
        became = await stand.became(review, seq)
        stand.tried += 1
        if isinstance(became, Accepted):
            closing = await _closing(stand, other)
            assert became.mandate is not None
            stand.accepted += became.mandate.registry >= closing
            assert became.mandate.registry < closing
    auditor = await stand.auditor(review)
    assert auditor.says(auditor.evidence.entries).holds
    await stand.genuine(review, signed(await stand.envelope(review)))


async def _closing(stand: Stand, person: str) -> int:
    """The number of the registry's entry that closed this account."""
    entries = await stand.registers.registry.entries()
    said = ((entry.seq, RegistryEntry.model_validate_json(entry.data).event) for entry in entries)
    return next(seq for seq, event in said if isinstance(event, Disabled) and event.person == person)


# What is truly signed, in another place than where it belongs.


@family
async def a_bit_flipped_in_the_row(stand: Stand) -> None:
    """One bit of the stored bytes, with or without a digest that fits: whatever that makes of them,
    the review goes on.
    """
    review = await stand.opened()
    for number in range(EACH * 2):
        good = signed(await stand.envelope(review))
        async with stand.nothing_comes_of_it(review):
            seq = (await stand.state(review)).seq
            data = bytearray(good.data)
            data[stand.rng.randrange(len(data))] ^= 1 << stand.rng.randrange(7)
            flipped = Forged(bytes(data), good.digest, good.proof, good.id)
            if number % 2:
                flipped = Forged.fitting(flipped)
            await stand.plant(review, flipped)
            await stand.signal(review, stand.rng.choice((flipped.data, good.data)) if number % 2 else flipped.data)
            await stand.dealt_with(review, seq)
    await stand.genuine(review, signed(await stand.envelope(review)))


@family
async def a_settled_decision_made_pending_again(stand: Stand) -> None:
    """Whoever can write rows takes a receipt away: what is on the ledger is not applied a second time."""
    review = await stand.opened()
    for _ in range(EACH):
        good = signed(await stand.envelope(review))
        await stand.genuine(review, good)
        await stand.pool.execute("update decisions set status = 'pending' where id = $1", good.id)
        async with stand.nothing_comes_of_it(review):
            await stand.signal(review, good.data)
            # What comes behind it shows that it was dealt with.
            seq = (await stand.state(review)).seq
            await stand.signal(review, b"{}")
            await stand.dealt_with(review, seq)
        auditor = await stand.auditor(review)
        once = next(e for e in auditor.events if getattr(e, "digest", None) == good.digest)
        twice = once.model_copy(update={"at": auditor.events[-1].at})
        stand.tried += 1
        said = auditor.of((*auditor.events, twice)).difference or ""
        assert said.startswith(f"entry {len(auditor.events) + 1}: the decision {good.id} was settled by entry"), said


@family
async def a_decision_hidden_among_those_that_wait(stand: Stand) -> None:
    """Dated ahead, put off for ever, and with another digest, by who may write rows: it is delivered, and taken as it was
    made.
    """
    review = await stand.opened()
    for change in stand.rng.sample(HIDDEN, len(HIDDEN)):
        good, seq = signed(await stand.envelope(review)), (await stand.state(review)).seq
        await stand.plant(review, good)
        await stand.pool.execute(f"update decisions set {change}, next_attempt_at = 'infinity' where id = $1", good.id)
        stand.tried += 1
        assert isinstance(await stand.became(review, seq), Accepted)
        stand.controls += 1


@family
async def a_decision_under_the_id_of_another_row(stand: Stand) -> None:
    """What was truly said once, filed once more under another id: with a signal that names that, and settled without the
    workflow, as what is late is.
    """
    review, commits = await stand.opened(), Commits(Ledgers(stand.place.system.database))
    good = signed(await stand.envelope(review))
    await stand.genuine(review, good)
    for _ in range(EACH):
        row, other = [UUID(int=stand.rng.getrandbits(128), version=4) for _ in range(2)]
        named = good.data.replace(str(good.id).encode(), str(row).encode())
        async with stand.nothing_comes_of_it(review):
            seq = (await stand.state(review)).seq
            digest = stand.rng.choice((good.digest, sha256(named)))
            await stand.plant(review, replace(good, digest=digest), row=row)
            await stand.signal(review, named)
            await stand.dealt_with(review, seq)
        async with stand.nothing_comes_of_it(review):
            await stand.plant(review, good, row=other)
            await commits.settle(Delivery(decision=other, review=review, kind=good.kind, data=good.data, digest=""))


@family
async def a_policy_pack_put_into_the_tables(stand: Stand) -> None:
    """By who may write rows, with tier 1's route for every tier: nothing new is reviewed under it, a submission under it
    that the service signed is refused, and one on the ledger is found by the auditor.
    """
    decisions = Decisions(stand.place.system.database, SIGNER)
    first = STRICT.tiers[0]
    for _ in range(EACH):
        rules = (first.model_copy(update={"tier": t.tier, "from_percent": t.from_percent}) for t in STRICT.tiers)
        lax = STRICT.model_copy(update={"version": f"9.{stand.rng.getrandbits(40)}", "tiers": tuple(rules)})
        data, digest = canonical_bytes(lax), digest_of(lax)
        await stand.pool.execute(_PACK, digest, lax.id, lax.version, data)
        opened = await stand.opened()
        stand.tried += 1
        assert digest_of(STRICT) == (await stand.state(opened)).pack_digest
        stand.controls += 1

        proposal, review = example(3), new_id()
        draft = Draft(
            decision_id=UUID(int=stand.rng.getrandbits(128), version=4),
            review=review,
            person=proposal.author,
            digest=content_digest(proposal),
            content=Submission(),
        )
        await TemporalCourier(stand.client, stand.place.system.task_queue).deliver(
            await decisions.submit(draft, proposal, digest)
        )
        refused = await stand.became(review, 0)
        stand.tried += 1
        stand.accepted += isinstance(refused, Accepted)
        assert isinstance(refused, Refused)
        assert "The policy pack that it names is not published." == refused.detail

        auditor = await stand.auditor(opened)
        there = auditor.events[0]
        assert isinstance(there, Accepted)
        moved = signed(there.envelope.model_copy(update={"pack_digest": digest}))
        envelope = Envelope.model_validate_json(moved.data)
        instead = there.model_copy(update={"envelope": envelope, "digest": moved.digest, "proof": moved.proof})
        stand.tried += 1
        said = auditor.of((instead, *auditor.events[1:])).difference or ""
        assert said == f"entry 1: the decision {envelope.decision_id}: The policy pack that it names is not published."


@family
async def moved_to_another_review(stand: Stand) -> None:
    """Truly said and signed about a proposal, and brought to another review of the very same text."""
    review, other = await stand.opened(), await stand.opened()
    for _ in range(EACH):
        good = signed(await stand.envelope(other))
        await stand.forged(review, good)
    moved = signed(await stand.envelope(other))
    auditor = await stand.auditor(review)
    own = signed(await stand.envelope(review))
    genuine = await auditor.applied(own)
    for _ in range(IN_BULK):
        auditor.finds(genuine, stand.rng.choice((moved, Forged.of(moved_back(moved, review), moved.proof))))
    await stand.genuine(review, own)


def moved_back(forged: Forged, review: str) -> Envelope:
    """The envelope of another review, with this one's name on it."""
    return Envelope.model_validate_json(forged.data).model_copy(update={"review": review})
