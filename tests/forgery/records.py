"""Forgeries by whoever holds a record: on the disk of the database, or in the bundle that an auditor is handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from joserfc.jwk import ECKey

from domain import dsse
from domain.canonical import sha256
from domain.decisions import Envelope
from domain.events import Accepted, Assessed, Closed, Event, Lapsed, Refused, Returned, Struck
from domain.ledger import GENESIS, Recorded, append
from domain.people import Role
from domain.proof import IssuerKey, itself, thumbprint
from domain.registry import BOOTSTRAP, SIGN_IN, GrantRevoked, IssuerKeySeen, RecordedEntry, RegistryEntry, entry_bytes
from domain.review import fold, state_digest
from domain.stages import Outcome, Stage
from domain.verification import WorkflowState, verify
from tests.forgery.families import family
from tests.forgery.stand import IN_BULK, OTHER, Auditor, Stand, sheet, signed
from tests.forgery.stored import proved, token_of
from tests.support.harness import SIGNER
from tests.support.system import OPERATOR


async def _auditor(stand: Stand) -> Auditor:
    """Of a review with questions and a refusal; and the control: as it is, its record holds."""
    review = await stand.opened()
    for _ in range(3):
        await stand.genuine(review, signed(await stand.envelope(review)))
    await stand.forged(review, signed(await stand.envelope(review), stand.thief))
    stand.tried = 0
    auditor = await stand.auditor(review)
    assert auditor.says(auditor.evidence.entries).holds
    return auditor


def _found(
    auditor: Auditor, entries: Sequence[Recorded], says: str | tuple[str, ...], events: Sequence[Event] | None = None
) -> None:
    """This record, which is none, is found, and what is said of it begins so."""
    auditor.stand.tried += 1
    said = auditor.says(entries, events).difference or ""
    auditor.stand.accepted += not said
    assert said.startswith(says), (said, says)


@family
async def an_entry_edited(stand: Stand) -> None:
    """A character of it, with or without its hash."""
    auditor = await _auditor(stand)
    entries = auditor.evidence.entries
    for _ in range(IN_BULK):
        place = stand.rng.randrange(len(entries))
        data = entries[place].data
        where = stand.rng.randrange(len(data))
        data = data[:where] + chr(ord(data[where]) ^ 1) + data[where + 1 :]
        edited = entries[place].model_copy(update={"data": data})
        _found(auditor, (*entries[:place], edited, *entries[place + 1 :]), f"entry {place + 1}: ")
        # Then what nobody signed shows at the next entry, which is chained to another; the last one's in the read model.
        fitting = edited.model_copy(update={"hash": sha256(data.encode())})
        shows = "read model: " if place + 1 == len(entries) else f"entry {place + 2}: "
        _found(auditor, (*entries[:place], fitting, *entries[place + 1 :]), (f"entry {place + 1}: ", shows))


@family
async def entries_swapped_removed_or_inserted(stand: Stand) -> None:
    """Two in each other's place, one that is gone, one that is there twice."""
    auditor = await _auditor(stand)
    entries = auditor.evidence.entries
    for _ in range(IN_BULK):
        one, other = sorted(stand.rng.sample(range(len(entries) - 1), 2))
        swapped = list(entries)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        _found(auditor, swapped, f"entry {one + 1}: ")
        _found(auditor, (*entries[:one], *entries[one + 1 :]), f"entry {one + 1}: ")
        _found(auditor, (*entries[:other], entries[one], *entries[other:]), f"entry {other + 1}: ")


@family
async def a_record_cut_short(stand: Stand) -> None:
    """The last entries are gone; the read model knows of them. Where that was cut too, the workflow does."""
    auditor = await _auditor(stand)
    entries, whole = auditor.evidence.entries, fold(auditor.review, auditor.events)
    workflow = WorkflowState(status="answered", seq=whole.seq, state_digest=state_digest(whole))
    asked = replace(auditor, evidence=auditor.evidence.model_copy(update={"workflow": workflow}))
    assert asked.says(entries).holds
    for kept in range(1, len(entries)):
        _found(auditor, entries[:kept], "read model: seq ")
        _found(asked, entries[:kept], "workflow: it has seen ", auditor.events[:kept])


@family
async def a_chain_made_anew_over_a_forged_entry(stand: Stand) -> None:
    """Every hash recomputed, the read model too: what nobody signed is found at its entry."""
    auditor = await _auditor(stand)
    said = [n for n, event in enumerate(auditor.events) if isinstance(event, Accepted)]
    for _ in range(IN_BULK):
        place = stand.rng.choice(said[1:])
        there = auditor.events[place]
        assert isinstance(there, Accepted)
        change: dict[str, str] = stand.rng.choice(
            ({"person": OTHER}, {"reason": "Approve it."}, {"meaning": "approves it"})
        )
        envelope = there.envelope.model_copy(update=change)
        forged = there.model_copy(update={"envelope": envelope, "digest": signed(envelope).digest})
        events = (*auditor.events[:place], forged, *auditor.events[place + 1 :])
        _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {place + 1}: ", events)


@family
async def a_mandate_made_up(stand: Stand) -> None:
    """The decision is true, and the entry says that it was made under something else."""
    auditor = await _auditor(stand)
    said = [n for n, event in enumerate(auditor.events) if isinstance(event, Accepted)]
    for _ in range(IN_BULK):
        place = stand.rng.choice(said)
        there = auditor.events[place]
        assert isinstance(there, Accepted)
        assert there.mandate is not None
        under = there.mandate
        changes: tuple[dict[str, object], ...] = (
            {"unit": "Another"},
            {"delegation": "d-1"},
            {"registry": 1},
            {"grant": under.grant.model_copy(update={"role": Role.OFFICER})},
            {"grant": under.grant.model_copy(update={"by": OTHER})},
        )
        forged = there.model_copy(
            update={"mandate": stand.rng.choice((None, under.model_copy(update=stand.rng.choice(changes))))}
        )
        events = (*auditor.events[:place], forged, *auditor.events[place + 1 :])
        _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {place + 1}: ", events)


@family
async def under_what_the_registry_said_before(stand: Stand) -> None:
    """A decision is told as applied days after its maker lost their role, as of the registry's entry before that; or at an
    earlier time than what came before it, or than it was received.
    """
    auditor = await _auditor(stand)
    said = [n for n, event in enumerate(auditor.events) if isinstance(event, Accepted)]
    lost, event = auditor.registry[-1], RegistryEntry.model_validate_json(auditor.registry[-1].data).event
    for _ in range(IN_BULK):
        place = stand.rng.choice(said[1:])
        there = auditor.events[place]
        assert isinstance(there, Accepted)
        days = timedelta(days=stand.rng.randint(1, 300), microseconds=stand.rng.randrange(10**9))
        revoked = GrantRevoked(
            at=max(event.at, there.at) + days / 2, by=OPERATOR, grant=there.envelope.grant, because="They left."
        )
        raw, hashed = entry_bytes(lost.seq + 1, lost.hash, revoked)
        signature = SIGNER.signature(dsse.REGISTRY, raw)
        entry = RecordedEntry(seq=lost.seq + 1, data=raw.decode(), hash=hashed, signatures=(signature,))
        later = replace(auditor, registry=(*auditor.registry, entry))
        assert later.of(auditor.events).holds
        events = (
            *auditor.events[:place],
            *(e.model_copy(update={"at": e.at + days}) for e in auditor.events[place:]),
        )
        _found(later, append(auditor.review, 0, GENESIS, events), f"entry {place + 1}: it was applied as of", events)
        back = (*auditor.events[:place], there.model_copy(update={"at": there.at - days}), *auditor.events[place + 1 :])
        _found(auditor, append(auditor.review, 0, GENESIS, back), f"entry {place + 1}: it is dated before", back)
        ahead = signed(there.envelope.model_copy(update={"received_at": there.at + days}))
        envelope = Envelope.model_validate_json(ahead.data)
        forged = there.model_copy(update={"envelope": envelope, "digest": ahead.digest, "proof": ahead.proof})
        events = (*auditor.events[:place], forged, *auditor.events[place + 1 :])
        _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {place + 1}: ", events)


@family
async def what_the_proposal_does_not_say(stand: Stand) -> None:
    """Nobody on its staff, another owner, unit or tier than comes of its text: so that somebody who is too close to it
    judges, or by another route. Or the text itself, told otherwise.
    """
    auditor = await _auditor(stand)
    place, there = next((n, event) for n, event in enumerate(auditor.events) if isinstance(event, Assessed))
    subject, assessment = there.subject, there.assessment
    assert subject.staff
    subjects: tuple[dict[str, object], ...] = (
        {"staff": ()},
        {"staff": subject.staff[1:]},
        {"owner": OTHER},
        {"author": OTHER},
        {"business_unit": "Another"},
        {"title": "Another"},
    )
    assessments: tuple[dict[str, object], ...] = (
        {"tier": 1},
        {"score": 0},
        {"inputs": {}},
        {"route": assessment.route.model_copy(update={"step_up": ()})},
        {"route": assessment.route.model_copy(update={"training_required": False})},
    )
    for _ in range(IN_BULK):
        changes = (
            {"subject": subject.model_copy(update=stand.rng.choice(subjects))},
            {"assessment": assessment.model_copy(update=stand.rng.choice(assessments))},
            {"units": ()},
            {"carried": {OTHER: tuple(assessment.inputs)}},
        )
        forged = there.model_copy(update=stand.rng.choice(changes))
        events = (*auditor.events[:place], forged, *auditor.events[place + 1 :])
        _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {place + 1}: its ", events)
        texts = stand.rng.choice(("proposals", "packs"))
        (text,) = getattr(auditor.evidence, texts)
        where = stand.rng.randrange(len(text))
        other = text[:where] + chr(ord(text[where]) ^ 1) + text[where + 1 :]
        evidence = auditor.evidence.model_copy(update={texts: stand.rng.choice(((), (other,)))})
        said = f"entry {place + 1}: the text of "
        _found(replace(auditor, evidence=evidence), auditor.evidence.entries, said)


@family
async def signed_in_with_a_key_that_the_thief_calls_the_providers(stand: Stand) -> None:
    """Who has the service's key enters one of their own in the registry as the provider's, and signs in with it as the
    reviewer. Where it is entered as it should be, whoever knows the provider's keys finds it, and nobody else.
    """
    auditor = await _auditor(stand)
    envelope = await stand.envelope(auditor.review, content=sheet())
    genuine = await auditor.applied(proved(stand, envelope))
    knows = replace(auditor, issuers=(stand.idp_key.id,))
    assert knows.of(genuine).holds
    number = len(auditor.events) + 1
    there = genuine[number - 1]
    assert isinstance(there, Accepted)
    assert there.mandate is not None
    last = auditor.registry[-1]
    for _ in range(IN_BULK):
        thiefs = ECKey.generate_key("P-256")
        jwk = itself(dict(thiefs.as_dict(private=False)))  # type: ignore[arg-type]  # a dict of strings is one of JSON
        key = stand.idp_key.model_copy(update={"id": thumbprint(jwk), "jwk": jwk})
        forged = proved(stand, envelope, token_of(stand, envelope, thiefs), key.id)
        under = there.mandate.model_copy(update={"registry": last.seq + 1})
        event = there.model_copy(update={"proof": forged.proof, "mandate": under})
        events = (*auditor.events, event, *genuine[number:])
        broken, unknown = f"registry entry {last.seq + 1}: it breaks a rule", "the renewed sign-in over the decision"
        entries: tuple[tuple[str, IssuerKey, str], ...] = (
            (stand.rng.choice((OPERATOR, "eve.evil", BOOTSTRAP)), key, broken),
            (SIGN_IN, key.model_copy(update={"id": f"{stand.rng.getrandbits(256):064x}"}), broken),
            (SIGN_IN, key.model_copy(update={"id": stand.idp_key.id}), broken),
            (SIGN_IN, stand.idp_key.model_copy(update={"audience": "the-thiefs"}), broken),
            (SIGN_IN, key, unknown),
        )
        for by, seen, says in entries:
            entered = IssuerKeySeen(at=there.at, by=by, key=seen)
            raw, hashed = entry_bytes(last.seq + 1, last.hash, entered)
            signature = SIGNER.signature(dsse.REGISTRY, raw)
            entry = RecordedEntry(seq=last.seq + 1, data=raw.decode(), hash=hashed, signatures=(signature,))
            with_it = replace(knows, registry=(*auditor.registry, entry))
            _found(with_it, append(auditor.review, 0, GENESIS, events), f"entry {number}: {says}", events)
        assert replace(with_it, issuers=None).of(events).holds


@family
async def an_outcome_of_nowhere(stand: Stand) -> None:
    """Approved, declined or withdrawn by nobody, chained and folded so that all fits."""
    auditor = await _auditor(stand)
    for outcome in Outcome:
        for end in range(2, len(auditor.events)):
            closed = Closed(at=auditor.events[end].at, outcome=outcome, because="It is said so.")
            if (
                isinstance(auditor.events[end - 1], Refused)
                and fold(auditor.review, auditor.events[:end]).stage is None
            ):
                continue
            events = (*auditor.events[:end], closed)
            _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {end + 1}: ", events)


@family
async def voices_and_signatures_made_to_count_no_more(stand: Stand) -> None:
    """What a reviewer said is struck out, the review sent back and its signatures let go, and nobody did anything."""
    auditor = await _auditor(stand)
    said = [event.envelope for event in auditor.events if isinstance(event, Accepted)]
    for end in range(2, len(auditor.events)):
        at, one = auditor.events[end].at, stand.rng.choice(said)
        undone: tuple[Event, ...] = (
            Struck(at=at, person=one.person, decisions=(one.decision_id,)),
            Struck(at=at, person=one.person, decisions=()),
            Lapsed(at=at, decisions=(one.decision_id,), because="It is said so."),
            Lapsed(at=at, decisions=(), because="It is said so."),
            *(Returned(at=at, stage=stage, because="It is said so.") for stage in Stage),
        )
        for event in undone:
            events = (*auditor.events[:end], event)
            _found(auditor, append(auditor.review, 0, GENESIS, events), f"entry {end + 1}: ", events)


@family
async def a_read_model_written_by_hand(stand: Stand) -> None:
    """The record is left alone, and what lists show of it is not."""
    auditor = await _auditor(stand)
    lies = {"stage": "sign_off", "outcome": "approved", "aside": (OTHER,), "seq": 1, "head": GENESIS, "turns": ()}
    for name, lie in lies.items():
        model = auditor.evidence.read_model.model_copy(update={name: lie})
        stand.tried += 1
        said = verify(auditor.evidence.model_copy(update={"read_model": model}), auditor.registry).difference or ""
        stand.accepted += not said
        assert said.startswith(f"read model: {name} is "), said
    receipts = auditor.evidence.read_model.receipts or ()
    for number, receipt in enumerate(receipts):
        other = "accepted" if receipt.status == "refused" else "refused"
        told = (*receipts[:number], receipt.model_copy(update={"status": other}), *receipts[number + 1 :])
        model = auditor.evidence.read_model.model_copy(update={"receipts": told})
        stand.tried += 1
        said = verify(auditor.evidence.model_copy(update={"read_model": model}), auditor.registry).difference or ""
        stand.accepted += not said
        assert said.startswith(f"read model: the receipt of the decision {receipt.decision} says something else"), said


def _of_registry(auditor: Auditor, entries: Sequence[RecordedEntry], says: str) -> None:
    auditor.stand.tried += 1
    result = verify(auditor.evidence, entries, SIGNER.keyid)
    auditor.stand.accepted += result.holds
    assert says in (result.difference or ""), result.difference


@family
async def a_registry_edited(stand: Stand) -> None:
    """A character of it changed, an entry gone, or in the name of somebody else: hashes, chain and all made anew from
    there on, and signed with a key of the thief's own.
    """
    auditor = await _auditor(stand)
    entries = auditor.registry
    for _ in range(IN_BULK // 2):
        place = stand.rng.randrange(1, len(entries))
        data = entries[place].data
        where = stand.rng.randrange(len(data))
        changed = data[:where] + chr(ord(data[where]) ^ 1) + data[where + 1 :]
        edited = entries[place].model_copy(update={"data": changed})
        _of_registry(auditor, (*entries[:place], edited, *entries[place + 1 :]), f"registry entry {place + 1}: ")
        _of_registry(auditor, (*entries[:place], *entries[place + 1 :]), "registry")
        forged = list(entries[:place])
        previous = entries[place - 1].hash
        for number, entry in enumerate(entries[place:], start=place + 1):
            event = RegistryEntry.model_validate_json(entry.data).event
            raw, hashed = entry_bytes(number, previous, event.model_copy(update={"by": "eve.evil"}))
            signature = stand.thief.signature(dsse.REGISTRY, raw)
            forged.append(RecordedEntry(seq=number, data=raw.decode(), hash=hashed, signatures=(signature,)))
            previous = hashed
        _of_registry(auditor, forged, f"registry entry {place + 1}: ")


@family
async def a_registry_founded_by_somebody_else(stand: Stand) -> None:
    """All of it written anew with another key: found by who knows the founder's key, which is the one thing to know."""
    auditor = await _auditor(stand)
    previous, forged = GENESIS, []
    for number, entry in enumerate(auditor.registry, start=1):
        event = RegistryEntry.model_validate_json(entry.data).event
        if number == 1:
            event = event.model_copy(update={"key": stand.thief.keyid, "public": stand.thief.public})
        raw, previous = entry_bytes(number, previous, event)
        signature = stand.thief.signature(dsse.REGISTRY, raw)
        forged.append(RecordedEntry(seq=number, data=raw.decode(), hash=previous, signatures=(signature,)))
    _of_registry(auditor, forged, "registry entry 1: the registry was founded with the key")


@family
async def a_grant_put_into_the_tables(stand: Stand) -> None:
    """Who may write rows gives themselves a role there: the registry's record does not have it, so the auditor finds each
    decision under it.
    """
    review = await stand.opened()
    await stand.genuine(review, signed(await stand.envelope(review)))
    auditor = await stand.auditor(review)
    good = signed(await stand.envelope(review))
    genuine = await auditor.applied(good)
    for _ in range(IN_BULK):
        there = genuine[len(auditor.events)]
        assert isinstance(there, Accepted)
        assert there.mandate is not None
        made_up = there.mandate.grant.model_copy(update={"id": f"g-{stand.rng.getrandbits(40)}", "person": "eve.evil"})
        envelope = there.envelope.model_copy(update={"person": "eve.evil", "grant": made_up.id})
        forged = signed(envelope)
        event = there.model_copy(
            update={
                "envelope": envelope,
                "digest": forged.digest,
                "proof": forged.proof,
                "mandate": there.mandate.model_copy(update={"grant": made_up}),
            }
        )
        events = (*auditor.events, event, *genuine[len(auditor.events) + 1 :])
        number = len(auditor.events) + 1
        _found(auditor, append(review, 0, GENESIS, events), f"entry {number}: ", events)
