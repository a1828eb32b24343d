"""A real identity provider for tests: another process, found over HTTP by its discovery document."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from runtime.embedded import free_port

CLIENT_ID = "ringi-web"


SECRET = "a secret: with %, & and ü"


@dataclass(frozen=True)
class ProviderProcess:
    """The provider that listens at `url`, which is its issuer too. Another site than 127.0.0.1, to a browser."""

    url: str
    http: httpx2.AsyncClient

    async def says(self, person: str, **claims: Any) -> None:
        """Have the provider put these claims into the ID tokens of a person, whatever it would have put there."""
        response = await self.http.put(f"{self.url}/users/{person}", json=claims)
        assert 204 == response.status_code, response.text

    async def rotate(self) -> None:
        """Have the provider take another key, and forget the one that it had."""
        response = await self.http.post(f"{self.url}/test/rotate")
        assert 204 == response.status_code, response.text

    async def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """A token with this in it, signed by the provider's key; what is None is left out."""
        kept = {name: value for name, value in claims.items() if value is not None}
        response = await self.http.post(f"{self.url}/test/sign", json={"header": header, "claims": kept})
        assert 200 == response.status_code, response.text
        return response.text

    async def access_token(self, person: str, **claims: Any) -> str:
        """An RFC 9068 access token that says `person`."""
        now = int(time.time())
        good = {"iss": self.url, "aud": "ringi", "sub": person, "client_id": "a-program", "iat": now, "exp": now + 600}
        return await self.sign({"typ": "at+jwt"}, good | claims)

    async def id_token(self, person: str, nonce: str, **claims: Any) -> str:
        """An ID token as the provider gives it to a person who just signed in with this nonce."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": person,
            "iat": now,
            "exp": now + 600,
            "auth_time": now,
            "nonce": nonce,
        }
        return await self.sign({}, good | claims)


def client_of(provider: ProviderProcess) -> dict[str, Any]:
    """The settings of an API whose people sign in with this provider."""
    return {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": SECRET}


@asynccontextmanager
async def provider_process() -> AsyncIterator[ProviderProcess]:
    """A provider for the length of the block."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "tests.support.provider_process", str(port)),
        cwd=Path(__file__).resolve().parents[2],
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
            provider = ProviderProcess(f"http://localhost:{port}", http)
            async with asyncio.timeout(30):
                while not await _answers(provider):
                    assert process.returncode is None, "the provider did not start"
                    await asyncio.sleep(0.05)
            yield provider
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answers(provider: ProviderProcess) -> bool:
    try:
        return (await provider.http.get(f"{provider.url}/jwks")).status_code == 200
    except httpx2.TransportError:
        return False
