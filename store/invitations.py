"""Invitations: a link that signs a council member in, once, for some reviews only, until it expires or is revoked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from domain.canonical import sha256
from domain.values import PersonId, ReviewId
from store.database import Database
from store.sessions import Session, open_session

_INVITE = """
insert into invitations (id, person, email, reviews, invited_by, expires_at) values ($1, $2, $3, $4, $5, $6)
returning id, person, email, reviews, invited_by, invited_at, expires_at, used_at, revoked_at
"""

_LIST = """
select id, person, email, reviews, invited_by, invited_at, expires_at, used_at, revoked_at from invitations
order by invited_at desc, id limit $1
"""

_LINK = """
insert into invitation_links (id, invitation)
select $1, id from invitations where id = $2 and used_at is null and revoked_at is null and expires_at > clock_timestamp()
returning invitation
"""

_OPEN = """
select i.expires_at from invitation_links l join invitations i on i.id = l.invitation
where l.id = $1 and i.used_at is null and i.revoked_at is null and i.expires_at > clock_timestamp()
"""

_USE = """
update invitations set used_at = clock_timestamp()
where id = (select invitation from invitation_links where id = $1)
    and used_at is null and revoked_at is null and expires_at > clock_timestamp()
    and not exists (select from people p where p.id = person and p.disabled_at is not null)
returning id, person, reviews, expires_at
"""

_REVOKE = """
update invitations set revoked_at = clock_timestamp(), revoked_by = $2
where id = $1 and revoked_at is null and expires_at > clock_timestamp() returning id
"""

_END_SESSIONS = "update sessions set ended_at = clock_timestamp() where invitation = $1 and ended_at is null"


@dataclass(frozen=True)
class Invitation:
    """An invitation, and what became of it."""

    id: str
    person: PersonId
    email: str
    reviews: tuple[ReviewId, ...]
    invited_by: PersonId
    invited_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["open", "used", "revoked", "expired"]:
        """What it is good for."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at <= now:
            return "expired"
        return "open" if self.used_at is None else "used"


class Invitations:
    """The invitations, in `database`."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._database = database

    async def invite(
        self, person: PersonId, email: str, reviews: Sequence[ReviewId], expires_at: datetime, by: PersonId
    ) -> Invitation:
        """Invite somebody. The link is made when the mail with it goes out (`link`), and kept nowhere."""
        row = await self._pool.fetchrow(_INVITE, f"invitation-{uuid4()}", person, email, list(reviews), by, expires_at)
        assert row is not None
        return Invitation(**{**row, "reviews": tuple(row["reviews"])})

    async def all(self, limit: int) -> list[Invitation]:
        """The invitations, the newest first."""
        rows = await self._pool.fetch(_LIST, limit)
        return [Invitation(**{**row, "reviews": tuple(row["reviews"])}) for row in rows]

    async def link(self, invitation: str) -> str | None:
        """A new token for the link of an invitation, which is kept nowhere else; None if the invitation is used, revoked
        or expired. A token that was made before stays good: the mail with it may have arrived all the same.
        """
        token = secrets.token_urlsafe(32)
        made = await self._pool.fetchval(_LINK, sha256(token.encode()), invitation)
        return None if made is None else token

    async def look_at(self, token: str) -> datetime | None:
        """Until when the invitation of this link is good; None if it isn't. Uses nothing up."""
        until: datetime | None = await self._pool.fetchval(_OPEN, _digest(token))
        return until

    async def use(self, token: str, *, instead_of: str | None) -> tuple[str, Session] | None:
        """Use the link, once: of several at the same time one succeeds. Gives the session's cookie, and the session;
        None if the link is no longer good.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_USE, _digest(token))
            if row is None:
                return None
            if instead_of is not None:
                await connection.execute(
                    "update sessions set ended_at = clock_timestamp() where id = $1", _digest(instead_of)
                )
            return await open_session(
                connection,
                row["person"],
                row["expires_at"],
                invitation=row["id"],
                reviews=tuple(row["reviews"]),
            )

    async def revoke(self, invitation: str, by: PersonId) -> bool:
        """Revoke an invitation, used or not: what came of it ends at once. Returns whether it was in force."""
        async with self._database.transaction() as connection:
            if await connection.fetchval(_REVOKE, invitation, by) is None:
                return False
            await connection.execute(_END_SESSIONS, invitation)
            return True


def _digest(token: str) -> str:
    return sha256(token.encode(errors="surrogatepass"))
