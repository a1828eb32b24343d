"""Browsers: on their way to the identity provider, signed in, and signed in again over a decision.

Of what a browser holds only the digest is kept: whoever reads the database can't be anybody by it. A session bears the
service's signature over whose it is and what for: whoever writes rows can't be anybody either.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
from pydantic import TypeAdapter, ValidationError

from domain.canonical import canonical_bytes, sha256
from domain.decisions import Envelope
from domain.dsse import SESSION, Signature, Signer, key_id
from domain.proof import IssuerKey, SignedIn
from domain.sessions import Terms, is_signed
from domain.step_up import act_digest
from domain.values import Digest, PersonId, ReviewId
from store.database import Connection, Database
from store.registry import KeyNotInForceError, keys_in_force

SIGN_IN_SECONDS = 10 * 60
"""How long somebody may take at the identity provider."""

MOST_UNDER_WAY = 20_000
"""So many may be on their way to the identity provider at once."""

_SEEN_EVERY = timedelta(minutes=1)
"""A session's last use is noted no more often than this: most requests write nothing."""

_KEPT = timedelta(days=30)
"""How long it can be seen that a session was, after its end."""

_DEPART = """
insert into sign_ins (id, browser, nonce, verifier, return_to, session, expires_at)
values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7)
"""

_KNOWN_BROWSER = "select true from sign_ins where browser = $1 and expires_at > clock_timestamp() limit 1"

_ARRIVE = """
delete from sign_ins where id = $1 and browser = $2 and expires_at > clock_timestamp()
returning nonce, verifier, return_to, session, (select person from sessions s where s.id = session) as person, started_at
"""

_BEGIN = """
insert into sessions (id, person, expires_at, auth_time, invitation, signatures) values ($1, $2, $3, $4, $5, $6)
returning started_at, expires_at
"""

_HOLDS = """s.ended_at is null and s.expires_at > clock_timestamp() and i.revoked_at is null
    and (s.invitation is not null or s.last_seen_at > clock_timestamp() - $2::interval)"""

_SESSION = f"""
select s.id, s.person, s.started_at, s.expires_at, s.auth_time, s.invitation, i.reviews, s.signatures,
    p.disabled_at is not null as disabled,
    s.last_seen_at < clock_timestamp() - $3::interval as unseen, {_HOLDS} as holds
from sessions s left join people p on p.id = s.person left join invitations i on i.id = s.invitation
where s.id = $1
"""  # noqa: S608 - put together of constants

_HOLDING = f"""
select s.id from sessions s left join invitations i on i.id = s.invitation where s.id = any($1::text[]) and {_HOLDS}
"""  # noqa: S608 - put together of constants

_SEEN = "update sessions set last_seen_at = clock_timestamp() where id = $1 and ended_at is null"

_END = "update sessions set ended_at = clock_timestamp() where id = $1 and ended_at is null"

_END_ALL = "update sessions set ended_at = clock_timestamp() where person = $1 and ended_at is null"

_END_INVITED = "update sessions set ended_at = clock_timestamp() where invitation = $1 and ended_at is null"

_IS_DISABLED = "select disabled_at is not null from people where id = $1"

_ASK = """
insert into step_ups (nonce, person, review_id, decision_id, kind, envelope) values ($1, $2, $3, $4, $5, $6)
on conflict (nonce) do update set asked_at = clock_timestamp(), envelope = excluded.envelope
"""

_ASKED = "select envelope from step_ups where nonce = $1 and person = $2"

_PROVE = "update step_ups set token = $3, key = $4 where nonce = $1 and person = $2"

_PROVEN = "select token, key from step_ups where nonce = $1 and person = $2 and token is not null"

_OLD_SIGN_INS = "delete from sign_ins where expires_at < clock_timestamp()"

_OLD_STEP_UPS = "delete from step_ups where asked_at < clock_timestamp() - interval '1 day'"

# Nobody need be known to leave: those who are too many push out the oldest, and don't fill the disk.
_TOO_MANY = """
delete from sign_ins where expires_at <= (select expires_at from sign_ins order by expires_at desc offset $1 limit 1)
"""

_OLD_SESSIONS = "delete from sessions where expires_at < clock_timestamp() - $1::interval"

_signatures: TypeAdapter[tuple[Signature, ...]] = TypeAdapter(tuple[Signature, ...])


@dataclass(frozen=True)
class Session:
    """A browser's session. `reviews` are those that an invitation is for; None where it is not one's.

    `auth_time` is when the identity provider says that the person signed in there.
    """

    id: str
    person: PersonId
    started_at: datetime
    expires_at: datetime
    auth_time: datetime | None
    invitation: str | None
    reviews: tuple[ReviewId, ...] | None
    disabled: bool


@dataclass(frozen=True)
class Departure:
    """What goes along to the identity provider (`state`, `nonce`, the digest of `verifier`), and the cookie that waits
    for it.
    """

    state: str
    nonce: str
    verifier: str
    browser: str


@dataclass(frozen=True)
class Arrival:
    """What came back belongs to this; `session` is the one whose step-up it is, and `person` whose session that is or
    was. Both are None where somebody signs in.
    """

    nonce: str
    verifier: str
    return_to: str
    session: str | None
    person: PersonId | None
    started_at: datetime


@dataclass(frozen=True)
class Proven:
    """A renewed sign-in, and the identity provider's key that it verifies by."""

    signed_in: SignedIn
    key: IssuerKey


class Sessions:
    """The browsers' sessions, in `database`.

    Args:
        database: where they are kept.
        signer: who signs those that are begun; what any key in force signed counts.
        idle: how long one lasts without a request.
        longest: how long one lasts at most.
    """

    def __init__(self, database: Database, signer: Signer, *, idle: timedelta, longest: timedelta) -> None:
        self._pool = database.pool
        self._database = database
        self._signer = signer
        self._idle = idle
        self._longest = longest

    # On the way to the identity provider.

    async def depart(
        self, return_to: str, browser: str | None, *, session: str | None = None, nonce: str | None = None
    ) -> Departure:
        """Note that a browser leaves for the identity provider.

        Args:
            return_to: where it is led when it is back.
            browser: the cookie that it has from another departure: a second tab must not spoil the first.
            session: whose step-up it is; `nonce` is then the digest of the decision.
            nonce: what the ID token must name; without one, something new.
        """
        await self._pool.execute(_OLD_SIGN_INS)
        await self._pool.execute(_TOO_MANY, MOST_UNDER_WAY)
        # A cookie that we didn't make ourselves is not taken up.
        if browser is None or not await self._pool.fetchval(_KNOWN_BROWSER, digest_of_token(browser)):
            browser = secrets.token_urlsafe(32)
        departure = Departure(
            state=secrets.token_urlsafe(32),
            nonce=nonce or secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(32),
            browser=browser,
        )
        await self._pool.execute(
            _DEPART,
            digest_of_token(departure.state),
            digest_of_token(browser),
            departure.nonce,
            departure.verifier,
            return_to,
            session,
            timedelta(seconds=SIGN_IN_SECONDS),
        )
        return departure

    async def arrive(self, state: str, browser: str) -> Arrival | None:
        """What the browser left for, once; None if it didn't leave from here, is back already, or took too long."""
        row = await self._pool.fetchrow(_ARRIVE, digest_of_token(state), digest_of_token(browser))
        return None if row is None else Arrival(**row)

    # Signed in.

    async def begin(
        self, person: PersonId, auth_time: datetime | None, *, instead_of: str | None
    ) -> tuple[str, Session]:
        """Begin a session, and end the one that the browser had.

        Returns:
            The cookie, which is kept nowhere else, and the session.

        Raises:
            KeyNotInForceError: nothing that this process signs counts.
        """
        async with self._database.transaction() as connection:
            await connection.execute(_OLD_SESSIONS, _KEPT)
            if instead_of is not None:
                await end_session(connection, instead_of)
            now: datetime = await connection.fetchval("select clock_timestamp()")
            return await open_session(connection, self._signer, person, now + self._longest, auth_time=auth_time)

    async def of(self, token: str) -> Session | None:
        """The session of this cookie; None if there is none that holds, as none does that is not signed. A disabled
        person's is given whatever became of it, so that they are told.
        """
        row = await self._pool.fetchrow(_SESSION, digest_of_token(token), self._idle, _SEEN_EVERY)
        if row is None or not (row["holds"] or row["disabled"]):
            return None
        reviews = None if row["invitation"] is None else tuple(row["reviews"])
        if not await self._is_ours(row, reviews):
            return None
        if row["holds"] and row["unseen"]:
            await self._pool.execute(_SEEN, row["id"])
        names = ("id", "person", "started_at", "expires_at", "auth_time", "invitation", "disabled")
        return Session(**{name: row[name] for name in names}, reviews=reviews)

    async def _is_ours(self, row: asyncpg.Record, reviews: tuple[ReviewId, ...] | None) -> bool:
        """Whether a key in force signed what the row says; one of before they were signed is nobody's."""
        try:
            terms = Terms.model_validate({**row, "reviews": reviews})
            signatures = _signatures.validate_json(row["signatures"] or b"[]")
        except ValidationError:
            return False
        return is_signed(terms.stored(), signatures, await keys_in_force(self._pool))

    async def holding(self, connection: Connection, sessions: Collection[str]) -> frozenset[str]:
        """Those of these sessions, by their ids, that hold. To ask is no use of them."""
        rows = await connection.fetch(_HOLDING, sessions, self._idle)
        return frozenset(row["id"] for row in rows)

    async def end(self, session: str) -> None:
        """End a session, by its id."""
        await self._pool.execute(_END, session)

    async def is_disabled(self, person: PersonId) -> bool:
        """Whether this person can do nothing here any more."""
        return bool(await self._pool.fetchval(_IS_DISABLED, person))

    # Signed in again, over a decision.

    async def ask_step_up(self, envelope: Envelope, nonce: Digest) -> None:
        """Note that a person was asked to sign in again over this decision, whose digest is `nonce`. It is kept for a
        day.
        """
        await self._pool.execute(_OLD_STEP_UPS)
        about = (envelope.person, envelope.review, envelope.decision_id, envelope.kind)
        await self._pool.execute(_ASK, nonce, *about, canonical_bytes(envelope))

    async def asked_step_up(self, person: PersonId, nonce: Digest) -> Envelope | None:
        """The decision with this digest, as we last asked this person to sign in again over it; None if we did not."""
        data = await self._pool.fetchval(_ASKED, nonce, person)
        envelope = None if data is None else Envelope.model_validate_json(data)
        # What is shown is what is signed in over, whatever became of the row.
        return envelope if envelope is not None and act_digest(envelope) == nonce else None

    async def prove(self, person: PersonId, nonce: str, proven: Proven) -> None:
        """Keep the renewed sign-in for the decision, which comes next."""
        await self._pool.execute(_PROVE, nonce, person, proven.signed_in.token, proven.key.model_dump_json())

    async def proven(self, person: PersonId, nonce: str) -> Proven | None:
        """The renewed sign-in of this person over the decision with this digest, if there was one."""
        row = await self._pool.fetchrow(_PROVEN, nonce, person)
        if row is None:
            return None
        key = IssuerKey.model_validate_json(row["key"])
        return Proven(SignedIn(token=row["token"], key=key.id), key)


async def open_session(
    connection: Connection,
    signer: Signer,
    person: PersonId,
    expires_at: datetime,
    *,
    auth_time: datetime | None = None,
    invitation: str | None = None,
    reviews: tuple[ReviewId, ...] | None = None,
) -> tuple[str, Session]:
    """Begin a session in a transaction of the caller's; gives its cookie, and it.

    Raises:
        KeyNotInForceError: nothing that `signer` signs counts.
    """
    if signer.public not in await keys_in_force(connection):
        raise KeyNotInForceError(key_id(signer.public))
    token = secrets.token_urlsafe(32)
    name = digest_of_token(token)
    terms = Terms(
        id=name, person=person, expires_at=expires_at, auth_time=auth_time, invitation=invitation, reviews=reviews
    )
    signatures = _signatures.dump_json((await signer.sign(SESSION, terms.stored()),))
    row = await connection.fetchrow(_BEGIN, name, person, expires_at, auth_time, invitation, signatures)
    assert row is not None
    return token, Session(
        id=name,
        person=person,
        started_at=row["started_at"],
        expires_at=row["expires_at"],
        auth_time=auth_time,
        invitation=invitation,
        reviews=reviews,
        disabled=False,
    )


async def end_session(connection: Connection, token: str) -> None:
    """End the session of this cookie, in a transaction of the caller's."""
    await connection.execute(_END, digest_of_token(token))


async def end_sessions_by(connection: Connection, invitation: str) -> None:
    """End every session that an invitation began, in a transaction of the caller's."""
    await connection.execute(_END_INVITED, invitation)


async def end_sessions_of(connection: Connection, person: PersonId) -> None:
    """End every session of a person, in a transaction of the caller's."""
    await connection.execute(_END_ALL, person)


def digest_of_token(token: str) -> str:
    """What is kept of a token that a browser holds."""
    return sha256(token.encode(errors="surrogatepass"))
