"""What our OpenAPI description says beyond what FastAPI reads from the code."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import FastAPI


def links(*named: tuple[str, str, dict[str, str]]) -> dict[str, Any]:
    """Where an answer leads: what `responses=` of an endpoint takes beside a description.

    Args:
        named: what one can do next, the route that does it ("GET /reviews/{review_id}"), and where in the answer or the
            request its parameters stand (OpenAPI's runtime expressions).
    """
    return {"links": {name: {"operationRef": _reference(route), "parameters": found} for name, route, found in named}}


def install_description(app: FastAPI) -> None:
    """Say of parameters that may be left out that they may be left out, not that they may be null: no header and no
    query can be.
    """
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        for operation in (operation for path in schema.get("paths", {}).values() for operation in path.values()):
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to change it


def _reference(route: str) -> str:
    method, path = route.split()
    return f"#/paths/{quote(path.replace('/', '~1'), safe='~')}/{method.lower()}"


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    return (
        {**kinds[0], **{name: said for name, said in schema.items() if name != "anyOf"}} if len(kinds) == 1 else schema
    )
