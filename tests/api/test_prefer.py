"""`Prefer: wait=N` as RFC 7240 has it."""

from __future__ import annotations

import time

import httpx2
import pytest
from fastapi import FastAPI, Response
from hypothesis import given
from hypothesis import strategies as st

from api.prefer import DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS, Prefer, Preferred, parse_prefer


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (["wait=10"], 10),
        (["wait=0"], 0),
        (["WAIT=10"], 10),
        (['wait="10"'], 10),
        (['wait="1\\0"'], 10),
        (["wait = 10"], 10),
        (["wait=10; because=slow"], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async,wait=10;;"], 10),
        (['handling=lenient; note="a, wait=3", wait=7'], 7),
        (["return=minimal", "wait=12"], 12),
        (["wait=10, wait=20"], 10),
        (["wait=10", "wait=20"], 10),
        (["wait=31"], MAX_WAIT_SECONDS),
        (["wait=" + "9" * 900], MAX_WAIT_SECONDS),
        (["wait=" + "0" * 900 + "7"], 7),
        (["@@@, wait=4"], 4),
        (["x" * 100_000, "wait=4"], 4),
    ],
)
def test_a_wait_that_is_understood(headers: list[str], wait: int) -> None:
    """The first well-formed `wait` counts, bounded, whatever stands beside it."""
    assert parse_prefer(headers) == Preferred(wait=wait, asked=True)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["wait"],
        ["wait="],
        ['wait=""'],
        ["wait=-1"],
        ["wait=1.5"],
        ["wait=ten"],
        ["wait=١٢"],
        ["wait=10 20"],
        ["wait=ten, wait=10"],
        ["waiting=10"],
        ['note="wait=10"'],
        ["wait=10" + " " * 2_000],
    ],
)
def test_garbage_is_ignored(headers: list[str]) -> None:
    """What is not a wait leaves the default, and is not said to have been applied."""
    preferences = parse_prefer(headers)
    assert preferences == Preferred(wait=DEFAULT_WAIT_SECONDS, asked=False)
    assert preferences.applied == {}


@given(st.lists(st.text(alphabet=st.sampled_from('wait=0123456789,;"\\ \tx'), max_size=60), max_size=4))
def test_any_header_gives_a_bounded_wait(headers: list[str]) -> None:
    """No header raises, and none makes us wait longer than we would."""
    assert 0 <= parse_prefer(headers).wait <= MAX_WAIT_SECONDS


async def test_as_a_dependency() -> None:
    """Several headers reach the endpoint, and the answer says what was applied."""
    app = FastAPI()

    @app.get("/")
    async def wait(prefer: Prefer, response: Response) -> int:
        response.headers.update(prefer.applied)
        return prefer.wait

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api.test") as client:
        answer = await client.get("/", headers=[("Prefer", "respond-async"), ("prefer", "wait=99")])
        assert answer.json() == MAX_WAIT_SECONDS
        assert answer.headers["preference-applied"] == "wait=30"
        silent = await client.get("/")
        assert silent.json() == DEFAULT_WAIT_SECONDS
        assert "preference-applied" not in silent.headers


@pytest.mark.parametrize("part", [";  ", " ;", "=  ", '"', '"\\', "; a= ", "  "])
def test_no_header_takes_long(part: str) -> None:
    """However often it could be read in another way."""
    header = ("wait=1" + part * 1000)[:999] + "@"
    began = time.perf_counter()
    parse_prefer([header] * 10)
    assert time.perf_counter() - began < 1
