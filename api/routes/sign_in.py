"""Signing in with a browser, and out; and signing in again over a decision."""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, RedirectResponse

from api import pages
from api.bodies import BoundedRoute
from api.cookies import SESSION_COOKIE, SIGN_IN_COOKIE, drop, keep
from api.identity import KnownRoute, TheSession
from api.problems import problems
from api.same_origin import must_come_from
from api.services import TheCaller, TheServices
from api.sign_in import CALLBACK, Left
from domain.values import Digest, PersonId, ReviewId
from store.sessions import SIGN_IN_SECONDS, Session

router = APIRouter(route_class=KnownRoute, tags=["sign-in"])
doors = APIRouter(route_class=BoundedRoute, tags=["sign-in"])
"""What needs no session, because it leads to one."""

HOME = "/inbox"
"""Where somebody is led who named no other place."""

LocalPath = Annotated[
    str,
    Query(
        # No second slash or backslash: to a browser, that is another host.
        pattern=r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$",
        max_length=500,
        description="Where to be led afterwards: a path here.",
    ),
]
Brought = Annotated[str | None, Query(max_length=4_096)]
SignInCookie = Annotated[str | None, Cookie(alias=SIGN_IN_COOKIE, include_in_schema=False)]
SessionCookie = Annotated[str | None, Cookie(alias=SESSION_COOKIE, include_in_schema=False)]

_AWAY: dict[int | str, dict[str, Any]] = {303: {"description": "Leads on; `Location` says where to"}}


class SessionOut(BaseModel):
    """A browser's session. `auth_time` is when the identity provider says that the person signed in there; `reviews` are
    those that an invitation is for.
    """

    model_config = ConfigDict(from_attributes=True)

    person: PersonId
    started_at: datetime
    expires_at: datetime
    auth_time: datetime | None
    invitation: str | None
    reviews: tuple[ReviewId, ...] | None


class SignedOut(BaseModel):
    """The session has ended; `end_session` is where the browser can end that with the identity provider,
    if it offers it.
    """

    end_session: str | None


@doors.get(
    "/sign-in",
    summary="Sign in",
    status_code=303,
    response_class=RedirectResponse,
    responses={**_AWAY, **problems(404, 422, 503)},
)
async def sign_in(services: TheServices, return_to: LocalPath = HOME, waiting: SignInCookie = None) -> Response:
    """Lead a browser to the identity provider, and afterwards to `return_to`."""
    return _leave(await services.sign_in.leave(return_to, waiting))


@doors.get(
    CALLBACK,
    summary="Come back from the identity provider",
    status_code=303,
    response_class=RedirectResponse,
    responses={**_AWAY, **problems(403, 404, 422, 503)},
)
async def callback(
    services: TheServices,
    state: Annotated[str, Query(max_length=200)],
    code: Brought = None,
    iss: Brought = None,
    waiting: SignInCookie = None,
    session: SessionCookie = None,
) -> Response:
    """Where the identity provider leads a browser back to. It begins a session, in place of the one that there was; or,
    for a step-up, keeps the renewed sign-in for the decision that it is over.
    """
    returned = await services.sign_in.came_back(
        state=state, code=code, issuer=iss, browser=waiting, session_cookie=session
    )
    response = RedirectResponse(returned.return_to, 303)
    if returned.began is not None:
        keep_session(response, *returned.began)
    return response


@router.get("/session", summary="See which session this is", responses=problems(400, 401, 403, 503))
async def session(session: TheSession) -> SessionOut:
    """Whose session it is, since when, until when, and what it is for."""
    return SessionOut.model_validate(session)


@router.post("/sign-out", summary="Sign out", responses=problems(400, 401, 403, 503))
async def sign_out(response: Response, session: TheSession, services: TheServices) -> SignedOut:
    """End the session. `end_session` is where the browser can end the one with the identity provider as well."""
    await services.sessions.end(session.id)
    drop(response, SESSION_COOKIE)
    return SignedOut(end_session=None if session.invitation else await services.sign_in.farewell())


@router.get(
    "/step-up",
    summary="See what to sign in again over",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {}}}, **problems(400, 401, 403, 404, 422, 503)},
)
async def look_at_step_up(
    request: Request,
    session: TheSession,
    caller: TheCaller,
    services: TheServices,
    nonce: Digest,
    return_to: LocalPath = HOME,  # noqa: ARG001 - the page's form sends it where it was sent itself
) -> Response:
    """The page that shows a decision before its maker signs in again over it: the one that `nonce` is the digest of, one of
    the caller's, which was just answered with `step_up_required`. Its button does `POST /step-up`; looking does nothing.
    """
    must_come_from(services.settings.public_url, request, even_safe=True)
    envelope = await services.sign_in.asked(session, nonce)
    review = await services.reviews.state(envelope.review)
    subject = None if review is None or not caller.may_read(review) else review.subject
    page = pages.step_up(envelope, None if subject is None else subject.title)
    return HTMLResponse(page, headers=pages.LEADING_ON)


@router.post(
    "/step-up",
    summary="Sign in again over a decision",
    status_code=303,
    response_class=RedirectResponse,
    responses={**_AWAY, **problems(400, 401, 403, 404, 422, 503)},
)
async def step_up(
    session: TheSession,
    services: TheServices,
    nonce: Digest,
    return_to: LocalPath = HOME,
    waiting: SignInCookie = None,
) -> Response:
    """Lead the browser to the identity provider, to sign in over the decision that the page showed. Send the decision again
    afterwards: then it is taken.
    """
    return _leave(await services.sign_in.leave_again(session, nonce, return_to, waiting))


def keep_session(response: Response, cookie: str, session: Session) -> None:
    """Have the browser keep the cookie of a session for as long as that lasts."""
    keep(response, SESSION_COOKIE, cookie, ceil((session.expires_at - session.started_at).total_seconds()))


def _leave(left: Left) -> Response:
    response = RedirectResponse(left.url, 303)
    keep(response, SIGN_IN_COOKIE, left.cookie, SIGN_IN_SECONDS)
    return response
