"""What the OpenAPI description promises has to be so, and enough for somebody who reads nothing else."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from api.app import create_app
from api.routes.notices import PreferencesIn
from api.routes.operations import RepairIn
from api.schemas import Moment
from domain.values import Line, Prose
from runtime.settings import Settings
from tests.support.harness import SIGNING_KEY

DESCRIBED = create_app(
    Settings(
        database_url=SecretStr("postgresql://none@/none"),
        signing_key=SecretStr(SIGNING_KEY),
        oidc_issuer="http://127.0.0.1:1",
    )
).openapi()
OPERATIONS: dict[str, Any] = {
    f"{method.upper()} {path}": operation
    for path, operations in DESCRIBED["paths"].items()
    for method, operation in operations.items()
}


def test_no_two_paths_are_the_same_but_for_the_names_of_their_parameters() -> None:
    """OpenAPI forbids it: nobody could say which of the two an address belongs to."""
    shapes = Counter(re.sub(r"\{\w+\}", "{}", path) for path in DESCRIBED["paths"])
    assert [] == [shape for shape, count in shapes.items() if count > 1]


def test_links_lead_to_operations_and_fill_their_paths() -> None:
    """Each names an operation that there is, and whatever parameter its path has."""
    found = 0
    for route, operation in OPERATIONS.items():
        for status, response in operation["responses"].items():
            for name, link in response.get("links", {}).items():
                found += 1
                _, paths, path, method = link["operationRef"].split("/")
                path = unquote(path).replace("~1", "/")
                assert "paths" == paths
                assert method in DESCRIBED["paths"][path], (route, status, name)
                assert set(re.findall(r"\{(\w+)\}", path)) == link["parameters"].keys(), (route, status, name)
    assert found > 10


def test_no_parameter_is_said_to_be_null() -> None:
    """None outside a body can be; those that are not required are left out."""
    parameters = [p for operation in OPERATIONS.values() for p in operation.get("parameters", ())]
    assert "Idempotency-Key" in {p["name"] for p in parameters}
    assert [] == [p for p in parameters if {"type": "null"} in p["schema"].get("anyOf", ())]


def test_what_takes_json_says_how_a_body_is_refused() -> None:
    """As it is wherever JSON is taken: malformed, too large, of another type."""
    taking = [o for o in OPERATIONS.values() if "application/json" in o.get("requestBody", {}).get("content", {})]
    assert OPERATIONS["POST /delegations"] in taking
    assert [] == [o["summary"] for o in taking if not {"400", "413", "415"} <= o["responses"].keys()]


def test_a_decision_says_its_kind() -> None:
    """Without it, it is none; and so the description requires it."""
    mapping = OPERATIONS["POST /reviews/{review_id}/decisions"]["requestBody"]["content"]["application/json"]["schema"]
    schemas = DESCRIBED["components"]["schemas"]
    names = [reference.rpartition("/")[2] for reference in mapping["discriminator"]["mapping"].values()]
    assert "QuestionIn" in names
    assert [] == [name for name in names if "kind" not in schemas[name]["required"]]


@pytest.mark.parametrize("moment", [0, 0.5, "1", "1780000000", "20260601", "2026-06-01", True, None])
def test_a_moment_is_written_out(moment: object) -> None:
    """Seconds since 1970 are nobody's way to say when something ends."""
    with pytest.raises(ValidationError, match="RFC 3339"):
        TypeAdapter(Moment).validate_python(moment)


@pytest.mark.parametrize("hour", [False, True, "8", 8.5])
def test_an_hour_is_a_number(hour: object) -> None:
    """False is not midnight."""
    with pytest.raises(ValidationError):
        PreferencesIn.model_validate({"pace": "daily", "hour": hour})


@pytest.mark.parametrize("terminate", [1, 0, "yes", "true"])
def test_only_true_terminates(terminate: object) -> None:
    """Nothing that merely reads like it."""
    with pytest.raises(ValidationError):
        RepairIn.model_validate({"terminate": terminate})


@pytest.mark.parametrize("kind", [Line, Prose], ids=["line", "prose"])
def test_the_pattern_of_text_says_what_is_taken(kind: Any) -> None:
    """Of single characters, alone and in the middle of a text."""
    adapter = TypeAdapter(kind)
    pattern = re.compile(adapter.json_schema()["pattern"])
    hidden = [*range(0x2000, 0x2070), 0x61C, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0]
    for character in map(chr, [*range(0x370), *hidden, 0x3000, 0x1F600]):
        for text in (character, f"a{character}b"):
            try:
                adapter.validate_python(text)
                taken = True
            except ValidationError:
                taken = False
            assert taken is (pattern.search(text) is not None), repr(text)
