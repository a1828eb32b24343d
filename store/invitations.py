"""Invitations: a link that signs a council member in, once, for some reviews only, until it expires or is revoked.

Of the link only the digest is kept; its text is with the mail, until that is gone. Each step is on the registry's record.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

import asyncpg

from domain.dsse import Signer
from domain.registry import InvitationRevoked, InvitationUsed, Invited, address_digest
from domain.values import MailAddress, PersonId, ReviewId
from store.database import Database
from store.notices import queue_mail
from store.registry import Registrar, RegistryRefusedError
from store.sessions import Session, digest_of_token, end_session, end_sessions_by, open_session

_INVITE = """
insert into invitations (id, person, email, reviews, link, invited_by, invited_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning id, person, email, reviews, invited_by, invited_at, expires_at, used_at, revoked_at, 'waiting' as mail,
    null as mail_error
"""

_LIST = """
select i.id, i.person, i.email, i.reviews, i.invited_by, i.invited_at, i.expires_at, i.used_at, i.revoked_at,
    m.state as mail, m.error as mail_error
from invitations i join mails m on m.event_id = i.id
order by i.invited_at desc, i.id limit $1
"""

# A look, for a person's sake: whether it may be used, or taken back, the registry's rules say.
_OPEN = """
select i.id, i.person, i.reviews, i.expires_at from invitations i join people p on p.id = i.person
where i.link = $1 and i.used_at is null and i.revoked_at is null and i.expires_at > clock_timestamp()
    and p.disabled_at is null
"""

_WHY_NOT = """
select case when i.revoked_at is not null then 'revoked' when i.used_at is not null then 'used'
    when i.expires_at <= clock_timestamp() then 'expired' when p.disabled_at is not null then 'disabled' else 'refused' end
from invitations i join people p on p.id = i.person where i.link = $1
"""

_USED = "update invitations set used_at = $2 where id = $1"

_REVOKED = "update invitations set revoked_at = $2, revoked_by = $3 where id = $1"

Posted = Literal["waiting", "sent", "failed", "dropped"]
"""What becomes of a letter; without a mail server it waits."""

Letter = Callable[[str], tuple[str, str]]
"""Makes the mail that carries a token: its subject and its text."""


@dataclass(frozen=True)
class Invitation:
    """An invitation, and what became of it; `mail` is what became of its letter, `mail_error` what hindered that last."""

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


class Invitations:
    """The invitations, in `database`, put on record by `registrar`; `signer` signs the sessions that come of them."""

    def __init__(self, database: Database, registrar: Registrar, signer: Signer) -> None:
        self._pool = database.pool
        self._database = database
        self._registrar = registrar
        self._signer = signer

    async def invite(
        self,
        person: PersonId,
        email: MailAddress,
        reviews: Sequence[ReviewId],
        expires_at: datetime,
        letter: Letter,
        *,
        by: PersonId,
    ) -> Invitation:
        """Invite somebody, and have the mail sent that `letter` makes of the link's token.

        Raises:
            RegistryRefusedError: a rule forbids it.
            ValueError: the address is none.
        """
        token, invitation = secrets.token_urlsafe(32), f"invitation-{uuid4()}"
        named = tuple(dict.fromkeys(reviews))
        async with self._database.transaction() as connection, self._registrar.head(connection) as head:
            invited = Invited(
                at=head.now,
                by=by,
                invitation=invitation,
                person=person,
                email=address_digest(email),
                reviews=named,
                expires_at=expires_at,
            )
            await head.append(invited)
            row = await connection.fetchrow(
                _INVITE, invitation, person, email, named, digest_of_token(token), by, head.now, expires_at
            )
            await queue_mail(connection, invitation, email, *letter(token))
            assert row is not None
            return _invitation(row)

    async def all(self, limit: int) -> list[Invitation]:
        """The invitations, the newest first."""
        return [_invitation(row) for row in await self._pool.fetch(_LIST, limit)]

    async def look_at(self, token: str) -> datetime | None:
        """Until when the invitation of this link is good; None if it isn't. Uses nothing up."""
        row = await self._pool.fetchrow(_OPEN, digest_of_token(token))
        return None if row is None else row["expires_at"]

    async def why_not(self, token: str) -> str:
        """In a word, why the link is not good: `unknown`, `used`, `revoked`, `expired`, `disabled` if its person is, or
        `refused`, by the registry.
        """
        why: str | None = await self._pool.fetchval(_WHY_NOT, digest_of_token(token))
        return why or "unknown"

    async def use(self, token: str, *, instead_of: str | None) -> tuple[str, Session] | None:
        """Use a link, once: of several at the same time one succeeds.

        Returns:
            The session's cookie, and the session, which is in place of the one that the browser had; None if the link is
            no longer good.
        """
        # Looked for first: what was never a link must not wait for the registry, nor have it wait.
        if await self.look_at(token) is None:
            return None
        try:
            async with self._database.transaction() as connection, self._registrar.head(connection) as head:
                row = await connection.fetchrow(_OPEN, digest_of_token(token))
                if row is None:
                    return None
                await head.append(InvitationUsed(at=head.now, by=row["person"], invitation=row["id"]))
                await connection.execute(_USED, row["id"], head.now)
                if instead_of is not None:
                    await end_session(connection, instead_of)
                return await open_session(
                    connection,
                    self._signer,
                    row["person"],
                    row["expires_at"],
                    invitation=row["id"],
                    reviews=tuple(row["reviews"]),
                )
        except RegistryRefusedError:
            return None

    async def revoke(self, invitation: str, because: str, *, by: PersonId) -> None:
        """Revoke an invitation, used or not: what came of it ends at once.

        Raises:
            NotThereError: it is not in force.
        """
        async with self._database.transaction() as connection, self._registrar.head(connection) as head:
            await head.append(InvitationRevoked(at=head.now, by=by, invitation=invitation, because=because))
            await connection.execute(_REVOKED, invitation, head.now, by)
            await end_sessions_by(connection, invitation)


def _invitation(row: asyncpg.Record) -> Invitation:
    return Invitation(**{**row, "reviews": tuple(row["reviews"])})
