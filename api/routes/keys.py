"""The keys that decisions are signed with, and the registry that says since when, and until when, each counts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.description import links
from api.identity import KnownRoute
from api.problems import FieldError, Forbidden, Invalid, problems
from api.schemas import Because, In
from api.services import TheCaller, TheServices
from domain.access import may_audit
from domain.dsse import KeyId, PublicKey, key_id, public_key
from domain.facts import SigningKey
from domain.people import Role
from domain.registry import RecordedEntry

router = APIRouter(route_class=KnownRoute, tags=["keys"])

After = Annotated[int, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]


class KeyIn(In):
    """A key to be registered: its public half, as PEM, or its 32 bytes in base64."""

    public: Annotated[str, Field(max_length=1_000)]

    def key(self) -> PublicKey:
        """The key, in base64.

        Raises:
            ValueError: it is no Ed25519 public key.
        """
        return public_key(self.public)


class KeyOut(SigningKey):
    """A key that decisions are, or were, signed with; `key` is its id, the SHA-256 of the 32 bytes of `public`."""

    key: KeyId


class KeyList(BaseModel):
    """Every key that was ever registered, the oldest first."""

    keys: list[KeyOut]


class RegistryPage(BaseModel):
    """A page of the registry's ledger; `next` is what to give as `after` for the page after it."""

    entries: tuple[RecordedEntry, ...]
    next: int | None


@router.get("/keys", summary="List the keys that decisions are signed with", responses=problems(401, 503))
async def list_keys(_caller: TheCaller, services: TheServices) -> KeyList:
    """Every key that was ever registered: since when what it signs counts, and until when."""
    keys = await services.registers.registry.keys()
    return KeyList(keys=[KeyOut(key=name, **key.model_dump()) for name, key in keys.items()])


@router.post(
    "/keys",
    status_code=201,
    summary="Register a key",
    responses={
        201: links(("revoke it", "DELETE /keys/{key}", {"key": "$response.body#/key"})),
        **problems(400, 401, 403, 409, 413, 415, 422, 503),
    },
)
async def add_key(body: KeyIn, response: Response, caller: TheCaller, services: TheServices) -> KeyOut:
    """Have what a key signs count from now on. Only its public half is given; registering it again changes nothing."""
    caller.must_hold(Role.OPERATOR)
    try:
        public = body.key()
    except ValueError as error:
        raise Invalid.at(FieldError(pointer="/public", detail=str(error), type="public_key")) from error
    registry = services.registers.registry
    await registry.add_key(public, by=caller.person)
    name = key_id(public)
    response.headers["Location"] = f"/keys/{name}"
    return KeyOut(key=name, **(await registry.keys())[name].model_dump())


@router.delete("/keys/{key}", status_code=204, summary="Revoke a key", responses=problems(401, 403, 404, 409, 422, 503))
async def revoke_key(key: KeyId, because: Because, caller: TheCaller, services: TheServices) -> None:
    """Have what a key signs count no more. What it signed before stays valid."""
    caller.must_hold(Role.OPERATOR)
    await services.registers.registry.revoke_key(key, because, by=caller.person)


@router.get(
    "/registry/ledger",
    summary="Read the registry's ledger as it is stored",
    responses=problems(401, 403, 422, 503),
)
async def registry_ledger(
    caller: TheCaller, services: TheServices, after: After = 0, limit: Limit = 100
) -> RegistryPage:
    """The exact bytes of every change to people, roles, keys and delegations, with their signatures."""
    if not may_audit(caller.person, caller.grants):
        raise Forbidden("The registry's bytes are for auditors and officers.")
    entries = await services.registers.registry.entries(after, limit)
    return RegistryPage(entries=entries, next=entries[-1].seq if len(entries) == limit else None)
