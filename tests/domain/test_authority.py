"""Authority: a decision counts if the service signed it, under a role in force, held or lent,
and with what the route asks.
"""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import ECKey

from domain import dsse, sign_off
from domain.commands import Take
from domain.decisions import Envelope, Question, Reason, Signature, Withdrawal
from domain.drafts import stored_bytes
from domain.dsse import DECISION, REGISTRY, Ed25519Signer
from domain.dsse import Signature as ServicesSignature
from domain.events import Accepted, Refused
from domain.facts import Facts, SigningKey
from domain.people import Delegation, Role
from domain.proof import IssuerKey, Proof, SignedIn
from domain.step_up import MAX_AGE, SKEW, act_digest, problem_with
from tests.domain.builders import (
    AUTHOR,
    DAY,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    OUTSIDER,
    OWNER,
    REVIEWERS,
    SECOND,
    SECOND_DEPUTY,
    SIGNER,
    START,
    Case,
    grant,
    route,
    sheet,
    taken,
)

OTHER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"x" * 32))
PROVIDER = ECKey.generate_key("P-256")
ISSUER_KEY = IssuerKey(
    id=base64.urlsafe_b64decode(PROVIDER.thumbprint() + "=").hex(),
    issuer="https://issuer.example",
    audience="ringi-web",
    jwk=dict(PROVIDER.as_dict(private=False)),  # type: ignore[arg-type]  # a dict of strings is one of JSON
)


def answer(case: Case, command: Take, facts: Facts | None = None) -> Accepted | Refused:
    """What the commit answers to this command."""
    happened = case.apply(command, facts or case.facts(command.envelope))
    (found,) = (event for event in happened if isinstance(event, Accepted | Refused))
    return found


def reason(case: Case, command: Take, facts: Facts | None = None) -> Reason | None:
    """Why the commit refuses this command, if it does."""
    found = answer(case, command, facts)
    return found.reason if isinstance(found, Refused) else None


def test_a_signed_decision_is_applied_and_says_under_what() -> None:
    """Grant, registry entry and proof stand on the record."""
    case = Case()
    accepted = answer(case, taken(case.envelope(REVIEWERS[0], sheet())))
    assert isinstance(accepted, Accepted)
    assert accepted.mandate is not None
    assert accepted.mandate.grant == grant(REVIEWERS[0], Role.REVIEWER)
    assert accepted.proof.signatures[0].keyid == SIGNER.keyid


@pytest.mark.parametrize("forgery", ["none", "other key", "other type", "other bytes", "swapped id", "not base64"])
def test_a_decision_without_a_signature_that_holds_is_refused(forgery: str) -> None:
    """Whatever is wrong with it, and whoever it says that it is by."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet())
    data = stored_bytes(said)
    good = SIGNER.signature(DECISION, data)
    signatures = {
        "none": (),
        "other key": (OTHER.signature(DECISION, data),),
        "other type": (SIGNER.signature(REGISTRY, data),),
        "other bytes": (SIGNER.signature(DECISION, data + b" "),),
        "swapped id": (ServicesSignature(keyid=SIGNER.keyid, sig=OTHER.signature(DECISION, data).sig),),
        "not base64": (good.model_copy(update={"sig": "§"}),),
    }[forgery]
    command = taken(said).model_copy(update={"proof": Proof(signatures=signatures)})
    assert reason(case, command) is Reason.BAD_SIGNATURE


def test_a_revoked_key_counts_on_what_was_there_before_and_on_nothing_else() -> None:
    """Whatever the date says."""
    case = Case()
    command = taken(case.envelope(REVIEWERS[0], sheet()))
    facts = case.facts(command.envelope)

    def with_key(**changed: object) -> Facts:
        key = SigningKey(public=SIGNER.public, added_at=START - DAY).model_copy(update=changed)
        return facts.model_copy(update={"keys": (key,)})

    assert reason(case, command, with_key(added_at=case.now + DAY)) is Reason.BAD_SIGNATURE
    for revoked_at in (case.now, case.now + timedelta(seconds=1)):
        assert reason(case, command, with_key(revoked_at=revoked_at)) is Reason.BAD_SIGNATURE
        assert reason(case, command, with_key(revoked_at=revoked_at, pending=("0" * 64,))) is Reason.BAD_SIGNATURE
    listed = {"revoked_at": case.now, "pending": (command.digest,)}
    assert reason(case, command, with_key(**listed)) is None


def test_a_decision_counts_for_the_review_that_it_names() -> None:
    """Not for another of the same text, however well it is signed."""
    case = Case()
    elsewhere = case.envelope(REVIEWERS[0], sheet()).model_copy(update={"review": "R-2"})
    assert reason(case, taken(elsewhere)) is Reason.INVALID


def test_one_key_counts_once_however_often_it_signed() -> None:
    """DSSE: several signatures of one key are one voice."""
    data = b"data"
    twice = (SIGNER.signature(DECISION, data), SIGNER.signature(DECISION, data))
    assert dsse.signed_by(DECISION, data, twice, [SIGNER.public, OTHER.public]) == {SIGNER.keyid}


def test_the_encoding_is_that_of_the_protocol() -> None:
    """The example of the DSSE protocol's own text."""
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def lent(case: Case, giver: str, taker: str, /, **changed: object) -> Delegation:
    """A delegation that holds now, changed."""
    whole = Delegation(
        id="d-1", giver=giver, taker=taker, roles=(Role.REVIEWER,), starts_at=case.now - DAY, ends_at=case.now + DAY
    )
    return whole.model_copy(update=changed)


def under_delegation(case: Case, said: Envelope, delegation: Delegation | None) -> Facts:
    """The facts of a delegate who holds nothing of their own."""
    facts = case.facts(said)
    standing = facts.standing.model_copy(
        update={
            "grants": (grant(REVIEWERS[0], Role.REVIEWER),),
            "delegations": () if delegation is None else (delegation,),
        }
    )
    return facts.model_copy(update={"standing": standing})


def test_a_delegate_acts_under_the_givers_grant_and_both_names_stand_on_record() -> None:
    """Who acted, and for whom."""
    case = Case()
    own = case.envelope(REVIEWERS[0], sheet())
    said = own.model_copy(update={"person": OUTSIDER, "meaning": f"for {REVIEWERS[0]}: {own.meaning}"})
    delegation = lent(case, REVIEWERS[0], OUTSIDER)
    accepted = answer(case, taken(said), under_delegation(case, said, delegation))
    assert isinstance(accepted, Accepted)
    assert accepted.mandate is not None
    assert (accepted.envelope.person, accepted.mandate.grant.person) == (OUTSIDER, REVIEWERS[0])
    assert accepted.mandate.delegation == "d-1"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"taker": "somebody.else"},
        {"giver": REVIEWERS[1]},
        {"roles": (Role.SIGNATORY,)},
        {"starts_at": START + 300 * DAY, "ends_at": START + 301 * DAY},
        {"ends_at": START - DAY, "starts_at": START - 2 * DAY},
    ],
)
def test_without_a_delegation_that_covers_it_nobody_acts_for_another(wrong: dict[str, object] | None) -> None:
    """Not before it, not after it, not in another role, not for or as somebody else."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet()).model_copy(update={"person": OUTSIDER})
    delegation = None if wrong is None else lent(case, REVIEWERS[0], OUTSIDER, **wrong)
    assert reason(case, taken(said), under_delegation(case, said, delegation)) is Reason.NOT_ENTITLED


@pytest.mark.parametrize("excluded", [OWNER, AUTHOR])
def test_nobody_whom_a_rule_excludes_acts_as_a_delegate(excluded: str) -> None:
    """The proposal's own people least of all."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet()).model_copy(update={"person": excluded})
    facts = under_delegation(case, said, lent(case, REVIEWERS[0], excluded))
    assert reason(case, taken(said), facts) is Reason.SEPARATION_OF_DUTIES


def test_nobody_acts_through_a_delegate_where_a_rule_excludes_them() -> None:
    """An owner's reviewer's hat, lent to a friend, is still the owner's."""
    case = Case(grants=(*GRANTS, grant(OWNER, Role.REVIEWER)))
    said = case.envelope(OWNER, sheet()).model_copy(update={"person": OUTSIDER})
    facts = case.facts(said)
    standing = facts.standing.model_copy(
        update={"grants": (grant(OWNER, Role.REVIEWER),), "delegations": (lent(case, OWNER, OUTSIDER),)}
    )
    assert reason(case, taken(said), facts.model_copy(update={"standing": standing})) is Reason.SEPARATION_OF_DUTIES


def test_whoever_left_a_role_to_another_does_not_act_in_it_meanwhile() -> None:
    """The decision has moved to the delegate."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet())
    facts = case.facts(said)
    standing = facts.standing.model_copy(update={"delegations": (lent(case, REVIEWERS[0], OUTSIDER),)})
    assert reason(case, taken(said), facts.model_copy(update={"standing": standing})) is Reason.ABSENT


def test_the_disabled_decide_nothing() -> None:
    """Whatever roles they still hold."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet())
    facts = case.facts(said)
    standing = facts.standing.model_copy(update={"disabled": True})
    assert reason(case, taken(said), facts.model_copy(update={"standing": standing})) is Reason.DISABLED


def token(said: Envelope, key: ECKey = PROVIDER, **changed: object) -> SignedIn:
    """The provider's ID token for a renewed sign-in over this decision, changed."""
    signed_in = int(said.received_at.timestamp()) - 20
    claims = {
        "iss": ISSUER_KEY.issuer,
        "aud": ISSUER_KEY.audience,
        "sub": said.person,
        "nonce": act_digest(said),
        "auth_time": signed_in,
        "iat": signed_in,
        "exp": signed_in + 3600,
    }
    return SignedIn(token=jwt.encode({"alg": "ES256"}, {**claims, **changed}, key), key=ISSUER_KEY.id)


def stepping_up(case: Case, step_up: SignedIn | None, said: Envelope) -> Reason | None:
    """What comes of it where the route asks for a renewed sign-in."""
    command = taken(said)
    proof = command.proof.model_copy(update={"step_up": step_up})
    facts = case.facts(said).model_copy(update={"issuer_keys": (ISSUER_KEY,)})
    return reason(case, command.model_copy(update={"proof": proof}), facts)


def test_where_the_route_asks_for_it_the_person_signs_in_over_the_decision() -> None:
    """And nothing else will do."""
    case = Case(route().model_copy(update={"step_up": ("verdict_sheet",)}))
    said = case.envelope(REVIEWERS[0], sheet())
    assert stepping_up(case, None, said) is Reason.STEP_UP_REQUIRED
    assert stepping_up(case, token(said), said) is None


def test_what_the_policy_does_not_name_needs_no_renewed_sign_in() -> None:
    """The ordinary decision is not in the way of itself."""
    case = Case(route().model_copy(update={"step_up": ("signature",)}))
    assert stepping_up(case, None, case.envelope(REVIEWERS[0], sheet())) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "0" * 64},
        {"nonce": None},
        {"sub": OWNER},
        {"iss": "https://other.example"},
        {"aud": "somebody-else"},
        {"aud": ["ringi-web", "other"]},
        {"auth_time": None},
        {"auth_time": True},
        {"auth_time": int((START - DAY).timestamp())},
        {"auth_time": int(time.time()) + 10**9},
        {"auth_time": 10**300},
        {"exp": None},
        {"exp": int((START - DAY).timestamp())},
    ],
)
def test_a_renewed_sign_in_of_another_kind_is_refused(wrong: dict[str, Any]) -> None:
    """Over another decision, of another person, from elsewhere, or too old."""
    case = Case(route().model_copy(update={"step_up": ("verdict_sheet",)}))
    said = case.envelope(REVIEWERS[0], sheet())
    assert stepping_up(case, token(said, **wrong), said) is Reason.STEP_UP_REQUIRED


def test_only_the_providers_own_key_speaks_for_it() -> None:
    """Not another key, and not the public one used as a secret."""
    case = Case(route().model_copy(update={"step_up": ("verdict_sheet",)}))
    said = case.envelope(REVIEWERS[0], sheet())
    assert stepping_up(case, token(said, ECKey.generate_key("P-256")), said) is Reason.STEP_UP_REQUIRED
    head, body, _ = token(said).token.split(".")
    unsigned = SignedIn(token=f"{jwt_head('none')}.{body}.", key=ISSUER_KEY.id)
    assert stepping_up(case, unsigned, said) is Reason.STEP_UP_REQUIRED
    assert stepping_up(case, SignedIn(token=f"{head}.{body}.", key=ISSUER_KEY.id), said) is Reason.STEP_UP_REQUIRED
    assert stepping_up(case, token(said).model_copy(update={"key": "0" * 64}), said) is Reason.STEP_UP_REQUIRED


def jwt_head(algorithm: str) -> str:
    """A token's header that names this algorithm."""
    return base64.urlsafe_b64encode(f'{{"alg":"{algorithm}"}}'.encode()).decode().rstrip("=")


def test_a_renewed_sign_in_counts_for_some_minutes() -> None:
    """To the second."""
    case = Case()
    said = case.envelope(REVIEWERS[0], sheet())
    step_up = token(said, auth_time=int(said.received_at.timestamp()))
    nonce = act_digest(said)

    def problem(later: timedelta) -> str | None:
        return problem_with(step_up, nonce, said.person, said.received_at + later, [ISSUER_KEY])

    assert problem(MAX_AGE + SKEW) is None
    assert problem(MAX_AGE + SKEW + timedelta(seconds=1)) is not None
    assert problem(-SKEW) is None
    assert problem(-SKEW - timedelta(seconds=1)) is not None


def test_the_act_is_everything_in_the_envelope_but_the_moment() -> None:
    """So that the person can sign in over it before it is stored, and nobody puts other words, another role or another
    policy around what they signed.
    """
    case = Case()
    said = case.envelope(OWNER, Withdrawal())
    others = {
        "decision_id": uuid4(),
        "review": "R-2",
        "revision": 0,
        "content_digest": "1" * 64,
        "pack_digest": "1" * 64,
        "stage": None,
        "round": 7,
        "kind": "question",
        "content": Question(),
        "meaning": "approves as the head of all",
        "reason": "Another.",
        "person": AUTHOR,
        "role": Role.OFFICER,
        "grant": "another",
    }
    assert {*others, "received_at"} == set(Envelope.model_fields)
    for field, other in others.items():
        assert act_digest(said.model_copy(update={field: other})) != act_digest(said), field
    assert act_digest(said.model_copy(update={"received_at": said.received_at + DAY})) == act_digest(said)


@pytest.mark.parametrize(
    "changed", [{"meaning": "approves as the head of all"}, {"pack_digest": "1" * 64}, {"round": 7}]
)
def test_what_the_service_says_of_a_decision_is_signed_in_over_too(changed: dict[str, Any]) -> None:
    """Its own signature over it is not enough."""
    case = Case(route().model_copy(update={"step_up": ("verdict_sheet",)}))
    said = case.envelope(REVIEWERS[0], sheet())
    other = said.model_copy(update=changed)
    assert stepping_up(case, token(said), other) is Reason.STEP_UP_REQUIRED
    assert stepping_up(case, token(other), other) is not Reason.STEP_UP_REQUIRED


def test_a_decision_means_what_it_says() -> None:
    """Whatever the service signed: the words beside a name are those of the act, the role and the office."""
    case = Case()
    case.agree()
    said = case.envelope(HEAD, Signature(basis=sign_off.basis(case.review)))
    assert "approves" == said.meaning
    for other in ("merely takes note", "as deputy, approves", f"for {OWNER}: approves", "Approves"):
        forged = taken(said.model_copy(update={"meaning": other}))
        refused = answer(case, forged)
        assert isinstance(refused, Refused)
        assert (Reason.INVALID, "It says that it means something else than it does.") == (
            refused.reason,
            refused.detail,
        )
    assert isinstance(answer(case, taken(said)), Accepted)


def test_what_the_review_became_is_told_before_what_a_decision_says() -> None:
    """Two signatures that are on their way at once: the second was signed before its turn, and is stale."""
    case = Case(route(signatories=2))
    case.agree()
    basis = sign_off.basis(case.review)
    first, second = (case.envelope(person, Signature(basis=basis)) for person in (HEAD, SECOND))
    assert ("approves", "signs, out of turn") == (first.meaning, second.meaning)
    assert isinstance(answer(case, taken(first)), Accepted)
    assert reason(case, taken(second)) is Reason.STALE
    assert reason(case, taken(first.model_copy(update={"decision_id": uuid4()}))) is Reason.SEPARATION_OF_DUTIES
    assert isinstance(case.sign(SECOND), Accepted)
    assert case.review.certificate is not None
    assert ["approves", "agrees"] == [sealed.meaning for sealed in case.review.certificate.signatures]


def test_only_a_deputy_signs_as_deputy() -> None:
    """Nobody else whose turn it is not."""
    case = Case(route(signatories=2))
    case.agree()
    said = {
        person: case.envelope(person, Signature(basis=sign_off.basis(case.review))).meaning
        for person in (HEAD, HEAD_DEPUTY, SECOND, SECOND_DEPUTY)
    }
    assert {
        HEAD: "approves",
        HEAD_DEPUTY: "as deputy, approves",
        SECOND: "signs, out of turn",
        SECOND_DEPUTY: "signs, out of turn",
    } == said
