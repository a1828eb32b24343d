"""Requests that another site makes a browser send are refused where they would change something.

Fetch Metadata says where a request comes from, in a header that no page can set; browsers that don't send it yet send
`Origin`. A request under a session that has neither is nobody's browser. Access tokens need none of this: no browser
sends one along by itself.
"""

from __future__ import annotations

from starlette.requests import Request

from api.problems import CrossSite

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def must_come_from(origin: str | None, request: Request, *, even_safe: bool = False) -> None:
    """Refuse a request that would change something unless a page of ours made it, found at `origin`.

    Args:
        origin: ours, as a browser writes it.
        request: the request.
        even_safe: refuse a GET as well that another site led to; one that a person typed in is all right.

    Raises:
        CrossSite: it comes from somewhere else, or doesn't say.
    """
    safe = request.method in SAFE_METHODS
    if safe and not even_safe:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site == "same-origin" or (safe and site == "none"):
            return
    elif safe or (origin is not None and request.headers.getlist("origin") == [origin]):
        return
    raise CrossSite
