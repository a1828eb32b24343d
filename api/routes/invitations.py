"""Council members without an account: invited by mail, signed in by a link, for their cases only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, RedirectResponse

from api import pages
from api.bodies import BoundedRoute
from api.cookies import SESSION_COOKIE
from api.description import links
from api.identity import KnownRoute
from api.problems import Conflict, FieldError, Invalid, problems, refused_with
from api.routes.sign_in import HOME, keep_session
from api.same_origin import must_come_from
from api.schemas import NO_REASON, Because, In, Moment
from api.services import TheCaller, TheServices
from domain.access import may_be_invited
from domain.registry import INVITERS
from domain.values import MailAddress, PersonId, ReviewId
from store.invitations import Posted

router = APIRouter(route_class=KnownRoute, tags=["invitations"])
doors = APIRouter(route_class=BoundedRoute, tags=["invitations"])
"""What needs no session, because it leads to one."""

LINK = "/invited"
"""Where the links in letters lead; not under `/invitations`, where a token would stand in the place of an id."""

InvitationId = Annotated[str, Path(pattern=r"^invitation-[0-9a-f-]{36}$")]
Token = Annotated[str, Path(max_length=100)]

_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}}},
    410: {"content": {"text/html": {}}, "description": "No longer good"},
}


class InvitationIn(In):
    """An invitation of a council member without an account: by mail, to these reviews."""

    person: PersonId
    email: MailAddress
    reviews: Annotated[tuple[ReviewId, ...], Field(min_length=1, max_length=20)]
    expires_at: Moment


class InvitationOut(BaseModel):
    """An invitation, and what became of it. `mail` is what became of its letter: it waits until a mail server has taken
    it, and `mail_error` says what hindered that last.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    person: PersonId
    email: str
    reviews: tuple[ReviewId, ...]
    invited_by: PersonId
    invited_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    mail: Posted
    mail_error: str | None


class InvitationList(BaseModel):
    """The invitations, the newest first."""

    invitations: list[InvitationOut]


@router.post(
    "/invitations",
    status_code=201,
    summary="Invite a council member",
    responses={
        201: links(("revoke it", "DELETE /invitations/{invitation}", {"invitation": "$response.body#/id"})),
        **problems(400, 401, 403, 409, 413, 422, 503),
    },
)
async def invite(body: InvitationIn, caller: TheCaller, services: TheServices) -> InvitationOut:
    """Send a link by mail that signs a council member in, once, for these reviews only."""
    caller.must_hold(*INVITERS)
    origin = services.settings.public_url
    if origin is None:
        raise Conflict("Without RINGI_PUBLIC_URL there is no address that a link could lead to.")
    await _check_reviews(services, body)

    def letter(token: str) -> tuple[str, str]:
        return pages.letter(f"{origin}{LINK}/{token}", len(set(body.reviews)), body.expires_at)

    invitation = await services.invitations.invite(
        body.person, body.email, body.reviews, body.expires_at, letter, by=caller.person
    )
    return InvitationOut.model_validate(invitation)


@router.get("/invitations", summary="List the invitations", responses=problems(401, 403, 422, 503))
async def list_invitations(
    caller: TheCaller, services: TheServices, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> InvitationList:
    """The invitations, and what became of each."""
    caller.must_hold(*INVITERS)
    found = await services.invitations.all(limit)
    return InvitationList(invitations=[InvitationOut.model_validate(one) for one in found])


@router.delete(
    "/invitations/{invitation}",
    status_code=204,
    summary="Revoke an invitation",
    responses=problems(400, 401, 403, 404, 422, 503),
)
async def revoke(
    invitation: InvitationId, caller: TheCaller, services: TheServices, because: Because = NO_REASON
) -> None:
    """Revoke an invitation, used or not: its link and the session that came of it are no longer good, at once."""
    caller.must_hold(*INVITERS)
    await services.invitations.revoke(invitation, because, by=caller.person)


@doors.get(
    LINK + "/{token}",
    summary="Look at an invitation",
    response_class=HTMLResponse,
    responses={**_PAGE, **problems(422, 503)},
)
async def look(token: Token, request: Request, services: TheServices) -> Response:
    """The page behind the link that was sent. Looking at it uses nothing up: programs that read mail do it."""
    until = await services.invitations.look_at(token)
    if until is None:
        return await _no_longer_good(token, request, services)
    return HTMLResponse(pages.invited(until), headers=pages.HEADERS)


@doors.post(
    LINK + "/{token}",
    summary="Sign in by an invitation",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "Signed in"}, 410: _PAGE[410], **problems(403, 422, 503)},
)
async def use(
    token: Token,
    request: Request,
    services: TheServices,
    session: Annotated[str | None, Cookie(alias=SESSION_COOKIE, include_in_schema=False)] = None,
) -> Response:
    """Use the link: once, whoever is first. It begins a session for the cases of the invitation, until it expires."""
    must_come_from(services.settings.public_url, request)
    begun = await services.invitations.use(token, instead_of=session)
    if begun is None:
        return await _no_longer_good(token, request, services)
    response = RedirectResponse(HOME, 303)
    keep_session(response, *begun)
    return response


async def _no_longer_good(token: str, request: Request, services: TheServices) -> Response:
    # Why is for the record alone: the page tells nobody which links there ever were.
    reason = await services.invitations.why_not(token)
    refused_with(request, "gone", reason=reason, detail="The link of an invitation that is not good.")
    return HTMLResponse(pages.no_longer_good(), 410, headers=pages.HEADERS)


async def _check_reviews(services: TheServices, body: InvitationIn) -> None:
    wrong = []
    for n, review_id in enumerate(body.reviews):
        review = await services.reviews.state(review_id)
        if review is None or not may_be_invited(review, body.person):
            detail = "there is no such review, or it is closed"
            wrong.append(FieldError(pointer=f"/reviews/{n}", detail=detail, type="not_open"))
    if wrong:
        raise Invalid.at(*wrong)
