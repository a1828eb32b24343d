"""Who asks: an access token (RFC 9068), verified against the issuer's published keys, or a browser's session.

Either says who a person is and nothing more; which roles they have, our tables say, and whether they are disabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Protocol

import structlog
from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from joserfc.jwt import JWTClaimsRegistry
from pydantic import TypeAdapter

from api.away import nothing_taken
from api.bodies import BoundedRoute
from api.cookies import SESSION_COOKIE, expired
from api.middleware import route_of
from api.problems import Disabled, MalformedRequest, NotFound, Unauthenticated
from api.provider import LEEWAY_SECONDS, BadTokenError, Provider
from api.same_origin import must_come_from
from domain.values import PersonId
from store.sessions import Session

TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})

OPEN_TO_INVITED = frozenset(
    {
        "/me",
        "/me/notices",
        "/session",
        "/sign-out",
        "/step-up",
        "/inbox",
        "/events",
        "/documents/{digest}",
        "/packs/{pack}",
    }
)
"""The routes, beside those of the reviews that they were invited to, that are there for who came by an invitation. A
route that is not named here is not there for them, so that a new one can't be forgotten.
"""

_LAST_MOMENT = datetime(9999, 12, 31, tzinfo=UTC).timestamp()

_person_id: TypeAdapter[str] = TypeAdapter(PersonId)
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TokenVerifier:
    """Tells who an access token speaks of, by the keys that `provider` publishes.

    Args:
        provider: whose tokens are believed.
        audience: what tokens for us name as their audience.
    """

    def __init__(self, provider: Provider, audience: str) -> None:
        self._provider = provider
        self._claims = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def read(self, token: str) -> tuple[PersonId, datetime]:
        """The person whom `token` speaks of, and until when it is good.

        Raises:
            Unauthenticated: the token is not one that we accept.
            Unavailable: the issuer can't be reached, and none of its keys is known.
        """
        try:
            verified = await self._provider.verify(token, TOKEN_TYPES, self._claims)
            until = datetime.fromtimestamp(min(verified.claims["exp"], _LAST_MOMENT), UTC)
            return _person_id.validate_python(verified.claims["sub"]), until
        except BadTokenError as error:
            raise _invalid(error.__cause__ or error) from None
        except (ValueError, OverflowError) as error:
            raise _invalid(error) from None


class KnowsSessions(Protocol):
    """What identity asks the store."""

    async def of(self, token: str) -> Session | None:
        """The session of this cookie; None if there is none that holds."""

    async def is_disabled(self, person: PersonId) -> bool:
        """Whether this person can do nothing here any more."""


@dataclass(frozen=True)
class Authenticated:
    """Who asks, and until when that holds; `session` is None where an access token says so."""

    person: PersonId
    until: datetime
    session: Session | None = None


class Identity:
    """Tells who asks.

    Args:
        tokens: verifies access tokens.
        sessions: knows the browsers' sessions, and who is disabled.
        origin: where browsers find us; requests that change something under a session must come from there.
    """

    def __init__(self, tokens: TokenVerifier, sessions: KnowsSessions, origin: str | None) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._origin = origin

    async def by_token(self, token: str) -> Authenticated:
        """Whom an access token speaks of.

        Raises:
            Unauthenticated: the token is not one that we accept.
            Disabled: they can do nothing here any more.
            Unavailable: the issuer's keys are not to be had.
        """
        person, until = await self._tokens.read(token)
        if await self._sessions.is_disabled(person):
            raise Disabled(person)
        return Authenticated(person, until)

    async def by_session(self, request: Request, token: str) -> Authenticated:
        """Whose session a browser's cookie stands for.

        Raises:
            Unauthenticated: it stands for none that holds.
            Disabled: they can do nothing here any more.
            Forbidden: the request would change something, and comes from another site.
            NotFound: the session is an invitation's, and the request is not about what it is for.
        """
        session = await self._sessions.of(token)
        if session is None:
            raise Unauthenticated(
                "The session has ended; sign in again.", headers={"WWW-Authenticate": "Bearer"} | expired()
            )
        request.state.person = session.person
        if session.disabled:
            raise Disabled(session.person)
        must_come_from(self._origin, request)
        if session.reviews is not None:
            review = request.path_params.get("review_id")
            if not (route_of(request.scope) in OPEN_TO_INVITED if review is None else review in session.reviews):
                raise NotFound("There is nothing here that you were invited to.")
        return Authenticated(session.person, session.expires_at, session)


_bearer = HTTPBearer(
    bearerFormat="JWT", description="An OIDC access token (RFC 9068) of the configured issuer.", auto_error=False
)
_cookie = APIKeyCookie(
    name=SESSION_COOKIE, description="A browser's session: begun at `/sign-in`, or by an invitation.", auto_error=False
)


async def authenticated(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Authenticated:
    """Who asks, by an access token or by a session; `app.state.identity` tells. From here on, `request.state.person`
    does.

    Raises:
        MalformedRequest: there are both.
        Unauthenticated: there is neither, more than one token, or none that we accept.
        Disabled: they can do nothing here any more.
        Forbidden: the request would change something, and comes from another site.
        NotFound: the session is an invitation's, and the request is not about what it is for.
        Unavailable: the issuer's keys are not to be had, or the database can't be reached.
    """
    known: Authenticated | None = getattr(request.state, "who", None)
    if known is not None:
        return known
    identity: Identity = request.app.state.identity
    with nothing_taken():
        request.state.who = who = await _who(identity, request, bearer, cookie)
    return who


class KnownRoute(BoundedRoute):
    """A route for whoever says who they are: nobody else's body is read. The dependency alone would come too late."""

    async def admit(self, request: Request) -> None:
        """As `authenticated`."""
        await authenticated(request, await _bearer(request), await _cookie(request))


async def _who(
    identity: Identity, request: Request, bearer: HTTPAuthorizationCredentials | None, cookie: str | None
) -> Authenticated:
    given = len(request.headers.getlist("authorization"))
    if cookie is not None and given:
        raise MalformedRequest("Say who you are by an access token or by the session's cookie, not by both.")
    if cookie is not None:
        return await identity.by_session(request, cookie)
    if bearer is None or given > 1:
        raise Unauthenticated("An access token is needed, or a session.", headers={"WWW-Authenticate": "Bearer"})
    who = await identity.by_token(bearer.credentials)
    request.state.person = who.person
    return who


Who = Annotated[Authenticated, Depends(authenticated)]
"""Who asks and how that is known, as a FastAPI dependency."""


async def _browser_session(who: Who) -> Session:
    if who.session is None:
        raise Unauthenticated(
            "This is for a browser's session; an access token has none.", headers={"WWW-Authenticate": "Bearer"}
        )
    return who.session


TheSession = Annotated[Session, Depends(_browser_session)]
"""The session by which somebody asks; an access token is none."""


def _invalid(cause: BaseException) -> Unauthenticated:
    _log.info("token refused", error=type(cause).__name__)
    # RFC 6750, 3.1. Which part of it we didn't like helps only those who try tokens out.
    return Unauthenticated(
        "The access token is not valid.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )
