"""Signing in with a browser: OpenID Connect's authorization code with PKCE, state and nonce; and again, over a decision.

What travels is bound to the browser by a cookie, to us by the verifier, and to the ID token by the nonce; each is used
once. The provider's access token is not asked for anything and not kept.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import httpx2
import structlog
from joserfc.jwk import Key
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, ConfigDict, SecretStr

from api.problems import Disabled, Forbidden, NotFound, Problem, SignInRefused, Unavailable
from api.provider import FETCH_SECONDS, LEEWAY_SECONDS, PLAIN, BadTokenError, Provider, Verified, bounded
from domain.decisions import Envelope
from domain.proof import IssuerKey, SignedIn, itself, thumbprint
from domain.step_up import SKEW, problem_with
from domain.values import Digest, PersonId
from store.sessions import Arrival, Departure, Proven, Session, Sessions

CALLBACK = "/sign-in/callback"

TOKEN_TYPES = frozenset({None, "jwt"})
"""What the `typ` of an ID token says, if anything."""

_NOT_BEGUN = "This sign-in was not begun in this browser, has been used, or took too long. Begin again at /sign-in."
_NOT_OFFERED = "The identity provider offers no sign-in with a browser."
_NOT_SIGNED_IN = "The identity provider did not sign you in."

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class IdToken:
    """What a verified ID token says, and the key that it verifies by."""

    text: str
    person: PersonId
    nonce: str | None
    auth_time: datetime | None
    key: IssuerKey


@dataclass(frozen=True)
class Left:
    """Where the browser is sent, and the cookie that waits for it."""

    url: str
    cookie: str


@dataclass(frozen=True)
class Returned:
    """Where the browser is led; with a new session's cookie where it signed in."""

    return_to: str
    began: tuple[str, Session] | None = None


class SignIn:
    """Leads browsers to the identity provider and takes what they bring back.

    Args:
        provider: the identity provider.
        client: talks to it.
        sessions: keeps what is on its way, and the sessions.
        client_id: as whom the provider knows us; None where we are not known.
        client_secret: what proves that, if anything does.
        origin: where browsers find us; None where they don't.
    """

    def __init__(
        self,
        provider: Provider,
        client: httpx2.AsyncClient,
        sessions: Sessions,
        *,
        client_id: str | None,
        client_secret: SecretStr | None,
        origin: str | None,
    ) -> None:
        self._provider = provider
        self._client = client
        self._sessions = sessions
        self._client_id = client_id
        self._secret = client_secret
        self._origin = origin

    async def leave(self, return_to: str, browser: str | None) -> Left:
        """Send a browser to the provider, to sign in.

        Raises:
            NotFound: signing in with a browser is not set up, here or there.
            Unavailable: the provider can't be reached.
        """
        endpoint = await self._endpoint()
        return self._left(endpoint, await self._sessions.depart(return_to, browser))

    async def asked(self, session: Session, nonce: Digest) -> Envelope:
        """The decision with this digest, which a signed-in person was asked to sign in again over; its `received_at` is
        when.

        Raises:
            Forbidden: we did not ask this person for that, or they have no account with the provider.
        """
        if session.invitation is not None:
            raise Forbidden("Who was invited has no account to sign in with again.")
        # Only what we asked for: a link must not lead somebody to sign in over an act of a stranger's making.
        envelope = await self._sessions.asked_step_up(session.person, nonce)
        if envelope is None:
            raise Forbidden("You were not asked to sign in over this decision.")
        return envelope

    async def leave_again(self, session: Session, nonce: Digest, return_to: str, browser: str | None) -> Left:
        """Send a signed-in browser to the provider again, to sign in over the decision with this digest.

        Raises:
            Forbidden: we did not ask this person for that, or they have no account with the provider.
            NotFound: signing in with a browser is not set up, here or there.
            Unavailable: the provider can't be reached.
        """
        await self.asked(session, nonce)
        endpoint = await self._endpoint()
        departure = await self._sessions.depart(return_to, browser, session=session.id, nonce=nonce)
        return self._left(endpoint, departure, prompt="login", max_age="0")

    async def came_back(
        self, *, state: str, code: str | None, issuer: str | None, browser: str | None, session_cookie: str | None
    ) -> Returned:
        """Take what a browser brings back from the provider.

        Args:
            state: what travelled along.
            code: what the ID token is had for; None where the provider tells an error instead.
            issuer: who says so (RFC 9207), if the provider tells.
            browser: the cookie that waited.
            session_cookie: that of the session which the browser has, if it has one.

        Raises:
            SignInRefused: it was not begun here, or the provider's word does not hold.
            Disabled: who signed in can do nothing here any more.
            Unavailable: the provider can't be reached.
        """
        arrival = None if browser is None else await self._sessions.arrive(state, browser)
        if arrival is None:
            raise SignInRefused(_NOT_BEGUN)
        try:
            return await self._taken(arrival, code, issuer, session_cookie)
        except Problem as refused:
            # Whoever was asked to sign in again is known, whoever the provider says it was.
            refused.person = arrival.person or refused.person
            raise

    async def _taken(
        self, arrival: Arrival, code: str | None, issuer: str | None, session_cookie: str | None
    ) -> Returned:
        discovery = await self._provider.discovery()
        if issuer != self._provider.issuer and (
            issuer is not None or discovery.authorization_response_iss_parameter_supported
        ):
            raise SignInRefused("The answer came from another identity provider.")
        if code is None:
            raise SignInRefused(_NOT_SIGNED_IN)
        id_token = await self._id_token(await self._redeemed(code, arrival))
        if id_token.nonce != arrival.nonce:
            _log.warning("id token refused", error="another nonce")
            raise SignInRefused(_NOT_SIGNED_IN)
        if arrival.session is None:
            if await self._sessions.is_disabled(id_token.person):
                raise Disabled(id_token.person)
            began = await self._sessions.begin(id_token.person, id_token.auth_time, instead_of=session_cookie)
            return Returned(arrival.return_to, began)
        await self._signed_in_again(id_token, arrival, session_cookie)
        return Returned(arrival.return_to)

    async def over_act(self, token: str, person: PersonId, nonce: Digest) -> Proven:
        """The person's renewed sign-in over an act, as a client of theirs brought it.

        Raises:
            SignInRefused: it does not hold; the detail says why.
            Unavailable: the provider can't be reached.
        """
        return _proven(await self._id_token(token), person, nonce)

    async def farewell(self) -> str | None:
        """Where the browser can end its session with the provider too, if the provider offers that."""
        try:
            endpoint = (await self._provider.discovery()).end_session_endpoint
        except Unavailable:
            return None
        if endpoint is None or self._client_id is None or self._origin is None:
            return None
        return _with(endpoint, {"client_id": self._client_id, "post_logout_redirect_uri": f"{self._origin}/"})

    async def _endpoint(self) -> str:
        self._set_up()
        endpoint = (await self._provider.discovery()).authorization_endpoint
        if endpoint is None:
            raise NotFound(_NOT_OFFERED)
        return endpoint

    def _left(self, endpoint: str, departure: Departure, **more: str) -> Left:
        client_id, origin = self._set_up()
        challenge = hashlib.sha256(departure.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": origin + CALLBACK,
            "scope": "openid",
            "state": departure.state,
            "nonce": departure.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return Left(_with(endpoint, asked | more), departure.browser)

    def _set_up(self) -> tuple[str, str]:
        if self._client_id is None or self._origin is None:
            raise NotFound("Signing in with a browser is not set up here; an access token is needed.")
        return self._client_id, self._origin

    async def _redeemed(self, code: str, arrival: Arrival) -> str:
        """The ID token that the provider gives for a code."""
        client_id, origin = self._set_up()
        discovery = await self._provider.discovery()
        if discovery.token_endpoint is None:
            raise NotFound(_NOT_OFFERED)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": origin + CALLBACK,
            "code_verifier": arrival.verifier,
        }
        headers = {"Accept": "application/json"} | PLAIN
        if self._secret is None:
            form["client_id"] = client_id
        elif "client_secret_basic" in discovery.token_endpoint_auth_methods_supported:
            # RFC 6749, 2.3.1: form-encoded first.
            pair = f"{quote(client_id, safe='')}:{quote(self._secret.get_secret_value(), safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": client_id, "client_secret": self._secret.get_secret_value()}
        request = self._client.build_request("POST", discovery.token_endpoint, data=form, headers=headers)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    body = await bounded(response)
                finally:
                    await response.aclose()
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            _log.warning("code not redeemed", error=type(error).__name__)
            raise Unavailable("The identity provider can't be reached.") from error
        if response.status_code >= 500:
            raise Unavailable("The identity provider can't answer now.")
        if response.status_code != 200:
            _log.warning("code not redeemed", status=response.status_code)
            raise SignInRefused(_NOT_SIGNED_IN)
        try:
            return _TokenAnswer.model_validate_json(body).id_token
        except ValueError as error:
            _log.warning("code not redeemed", error=type(error).__name__)
            raise SignInRefused(_NOT_SIGNED_IN) from error

    async def _id_token(self, text: str) -> IdToken:
        client_id = self._client_id
        if client_id is None:
            raise NotFound("Signing in again is not set up here.")
        claims = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            verified = await self._provider.verify(text, TOKEN_TYPES, claims)
            return _read(text, verified, self._provider.issuer, client_id)
        except (BadTokenError, ValueError, OverflowError, OSError) as error:
            _log.warning("id token refused", error=type(error.__cause__ or error).__name__)
            raise SignInRefused(_NOT_SIGNED_IN) from error

    async def _signed_in_again(self, id_token: IdToken, arrival: Arrival, session_cookie: str | None) -> None:
        session = None if session_cookie is None else await self._sessions.of(session_cookie)
        if session is None or session.id != arrival.session or session.disabled:
            raise SignInRefused("The session in which you were asked to sign in again has ended.")
        proven = _proven(id_token, session.person, arrival.nonce)
        # A provider that only repeats an earlier sign-in has asked nobody.
        if id_token.auth_time is None or id_token.auth_time < arrival.started_at - SKEW:
            raise SignInRefused("The identity provider did not ask you to sign in again.")
        await self._sessions.prove(session.person, arrival.nonce, proven)


class _TokenAnswer(BaseModel):
    id_token: str


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    sub: PersonId
    nonce: str | None = None
    auth_time: float | None = None


def _proven(id_token: IdToken, person: PersonId, nonce: Digest) -> Proven:
    """The sign-in over an act, judged as the commit will judge it."""
    signed_in = SignedIn(token=id_token.text, key=id_token.key.id)
    problem = problem_with(signed_in, nonce, person, datetime.now(UTC), [id_token.key])
    if problem is not None:
        raise SignInRefused(f"The renewed sign-in does not hold: {problem}.")
    return Proven(signed_in, id_token.key)


def issuer_key(key: Key, issuer: str, audience: str) -> IssuerKey:
    """A key of the provider's, as the record keeps it: public, and named by its thumbprint."""
    # What else its JWK says (a certificate, what it is for) may change, and it is the same key.
    jwk = itself(key.as_dict(private=False))  # type: ignore[arg-type]  # a dict of strings is one of JSON
    return IssuerKey(id=thumbprint(jwk), issuer=issuer, audience=audience, jwk=jwk)


def _read(text: str, verified: Verified, issuer: str, audience: str) -> IdToken:
    """Raises ValueError: what it says makes no sense, or is another client's (`azp`)."""
    claims = verified.claims
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else audience) != audience:
        raise ValueError("the token was made out to another client")
    said = _Claims.model_validate(claims)
    return IdToken(
        text=text,
        person=said.sub,
        nonce=said.nonce,
        auth_time=None if said.auth_time is None else datetime.fromtimestamp(said.auth_time, tz=UTC),
        key=issuer_key(verified.key, issuer, audience),
    )


def _with(url: str, parameters: dict[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(parameters, quote_via=quote)
