"""Step-up: for the decisions that the policy names, the person signs in anew at the identity provider, over the decision.

The ID token's `nonce` is the digest of the act (OpenID Connect Core 1.0, 3.1.2.1), so that the token is the provider's
signature on "this person, now, this decision". The act is all that is frozen in the envelope, what it means and in which
role among it, but for the moment, which nobody knows beforehand: the service can add nothing to what was signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from domain.canonical import digest_of
from domain.decisions import Envelope, Reason
from domain.proof import IssuerKey, SignedIn, StepUp
from domain.refusal import Refusal
from domain.route import Route
from domain.values import Digest, PersonId

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA", "Ed25519")
"""What an ID token may be signed with: asymmetric only."""

MAX_AGE = timedelta(minutes=5)
"""For so long a renewed sign-in counts: from the provider's `auth_time` to the moment at which the decision was stored."""

SKEW = timedelta(seconds=30)

_KEYS: dict[str, type[ECKey | RSAKey | OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}


@dataclass(frozen=True)
class Renewed:
    """A renewed sign-in, and the digest of the act that it was found to be over."""

    signed_in: SignedIn
    act: Digest


def act_digest(envelope: Envelope) -> Digest:
    """The digest of an act: the same whenever the decision is put into its envelope, as long as it means the same."""
    return digest_of(envelope.model_dump(mode="json", exclude={"received_at"}))


def is_required(route: Route | None, kind: str) -> bool:
    """Whether a decision of this kind needs a renewed sign-in on this route."""
    return route is not None and kind in route.step_up


def refuse_step_up(
    route: Route | None, envelope: Envelope, step_up: StepUp | None, keys: Iterable[IssuerKey]
) -> Refusal | None:
    """Why the person's own part is missing or does not hold, if it does not."""
    if not is_required(route, envelope.kind):
        return None
    if step_up is None:
        return _refusal("This decision needs you to sign in again, over the decision itself.")
    problem = problem_with(step_up, act_digest(envelope), envelope.person, envelope.received_at, keys)
    return None if problem is None else _refusal(f"The renewed sign-in does not hold: {problem}.")


def problem_with(
    step_up: StepUp, nonce: Digest, person: PersonId, moment: datetime, keys: Iterable[IssuerKey]
) -> str | None:
    """What is wrong with this renewed sign-in of `person` over the act `nonce` at `moment`, if anything is."""
    issuer = next((key for key in keys if key.id == step_up.key), None)
    if issuer is None:
        return "its key is not on record as the identity provider's"
    try:
        key = _KEYS[str(issuer.jwk.get("kty"))].import_key(dict(issuer.jwk))  # type: ignore[arg-type]  # it checks what is in there itself
        claims = jwt.decode(step_up.token, key, algorithms=list(ALGORITHMS)).claims
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return "its signature is not the identity provider's"
    audience = claims.get("aud")
    signed_in, expires = _moment(claims.get("auth_time")), _moment(claims.get("exp"))
    if claims.get("iss") != issuer.issuer:
        return "it is another issuer's"
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        return "it is meant for somebody else than this service"
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != issuer.audience:
        return "it was made out to somebody else than this service"
    if claims.get("sub") != person:
        return "it is another person's"
    if claims.get("nonce") != nonce:
        return "it is over another decision"
    if signed_in is None or not moment - MAX_AGE - SKEW <= signed_in <= moment + SKEW:
        return "the sign-in is not from the last few minutes"
    if expires is None or moment > expires + SKEW:
        return "it had expired"
    return None


def _refusal(sentence: str) -> Refusal:
    return Refusal(Reason.STEP_UP_REQUIRED, sentence)


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return None
