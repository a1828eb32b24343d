"""The cookies that we set. Each is bound to our host alone (`__Host-`: Secure, Path=/, no Domain), out of reach of
scripts, and not sent along when another site makes a request.
"""

from __future__ import annotations

from fastapi import Response

SESSION_COOKIE = "__Host-ringi"
SIGN_IN_COOKIE = "__Host-ringi-sign-in"

_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


def keep(response: Response, name: str, value: str, seconds: int) -> None:
    """Have the browser keep this cookie for so long."""
    response.headers.append("Set-Cookie", f"{name}={value}; Max-Age={max(seconds, 0)}; {_ATTRIBUTES}")


def drop(response: Response, name: str) -> None:
    """Have the browser forget this cookie."""
    keep(response, name, "", 0)


def expired(name: str = SESSION_COOKIE) -> dict[str, str]:
    """The header that has the browser forget a cookie, for an answer that is made of headers."""
    return {"Set-Cookie": f"{name}=; Max-Age=0; {_ATTRIBUTES}"}
