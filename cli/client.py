"""The command line's way to the API: one request, its answer, and what a refusal means for the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from cli import show
from cli.exits import CliError, Exit
from cli.local import addresses, mint
from runtime.loopback import is_loopback

SECONDS = 30.0
"""How long an answer may take, beyond what the API was asked to wait."""

IMPORT_SECONDS = 600.0


@dataclass(frozen=True)
class Answer:
    """A success: its exact text, and what the text says."""

    status: int
    text: str
    data: dict[str, Any]

    @property
    def exit_code(self) -> Exit:
        """Pending for 202, done for every other success."""
        return Exit.PENDING if self.status == httpx2.codes.ACCEPTED else Exit.DONE


class UnreachableError(CliError):
    """No answer came; whether the request was taken is not known."""

    def __init__(self, message: str) -> None:
        super().__init__(Exit.SERVER, message)


class StepUpNeededError(CliError):
    """The decision was not taken: the person must sign in again, over the decision with this digest."""

    def __init__(self, problem: Mapping[str, Any], text: str) -> None:
        super().__init__(Exit.NOT_ALLOWED, problem_text(problem))
        self.text = text
        self.nonce = str(problem.get("nonce"))
        self.meaning = str(problem.get("meaning"))
        self.decision_id = str(problem.get("decision_id"))


class Session:
    """Requests to one API in one person's name."""

    def __init__(self, url: str, token: str, *, as_json: bool = False, unreached: str = "") -> None:
        """Args:
        url: of the API.
        token: the access token that says who asks.
        as_json: whether answers, refusals among them, go to standard output as they are.
        unreached: what to say to somebody to whom the API gave no answer.
        """
        self._unreached = unreached
        self._url = url.rstrip("/")
        self._as_json = as_json
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, application/problem+json"}

    def get(self, path: str, **parameters: str | int) -> Answer:
        """As `request`."""
        return self.request("GET", path, params=parameters)

    def post(self, path: str, body: Mapping[str, object], *, wait: int | None = None) -> Answer:
        """As `request`; `wait` is how many seconds the API is asked to wait for a receipt."""
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self.request("POST", path, json=body, headers=headers, seconds=SECONDS + (wait or 0))

    def post_csv(self, path: str, content: bytes) -> Answer:
        """As `request`, with a table."""
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        return self.request("POST", path, content=content, headers=headers, seconds=IMPORT_SECONDS)

    def delete(self, path: str, **parameters: str) -> None:
        """As `request`; there is nothing to answer."""
        self.request("DELETE", path, params=parameters)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, object] | None = None,  # as httpx2 calls it
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> Answer:
        """One request and its answer.

        Raises:
            UnreachableError: no answer came.
            StepUpNeededError: the answer is that the person must sign in again; it is shown by whoever can't.
            CliError: the answer is a refusal; the message tells it, with the pointers to what is at fault.
        """
        try:
            # A proxy is for what is outside; nothing on this machine is reached through one.
            outside = not is_loopback(urlsplit(self._url).hostname or "")
            with httpx2.Client(timeout=seconds, trust_env=outside) as client:
                response = client.request(
                    method,
                    self._url + path,
                    params=params,
                    json=json,
                    content=content,
                    headers={**self._headers, **(headers or {})},
                )
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise CliError(Exit.USAGE, f"{self._url} is no URL of an API: {error}.") from error
        except httpx2.TransportError as error:
            said = f"{self._url} gave no answer: {str(error) or type(error).__name__}.{self._unreached}"
            raise UnreachableError(said) from error
        return self._answer(response)

    def show(self, answer: Answer, render: Callable[[dict[str, Any]], None]) -> None:
        """Put an answer on standard output: as it came, if that was asked for, or else rendered."""
        if self._as_json:
            show.raw(answer.text)
        else:
            render(answer.data)

    def refuse(self, text: str) -> None:
        """Put a refusal on standard output as it came, if that was asked for."""
        if self._as_json:
            show.raw(text)

    def _answer(self, response: httpx2.Response) -> Answer:
        if response.status_code == httpx2.codes.NO_CONTENT:
            return Answer(response.status_code, "", {})
        data = _parsed(response)
        if response.is_success and data is not None:
            return Answer(response.status_code, response.text, data)
        if data is None:
            raise CliError(Exit.SERVER, f"{self._url} answered {response.status_code}, and not as Ringi does.")
        if data.get("reason") == "step_up_required":
            raise StepUpNeededError(data, response.text)
        self.refuse(response.text)
        raise CliError(exit_code_of(response.status_code), problem_text(data))


def open_session(url: str | None, token: str | None, person: str | None, data: Path, *, as_json: bool) -> Session:
    """A session as the options of a command say.

    Args:
        url: of the API; without one, what the data folder says.
        token: an access token, from the environment.
        person: whom to mint a token for by the data folder's key; goes before `token`.
        data: the data folder.
        as_json: as in `Session`.

    Raises:
        CliError: nothing says who asks, or no token can be minted.
    """
    if person is not None:
        token = mint(data, person)
    if not token:
        raise CliError(
            Exit.USAGE, "Say who you are: with --as PERSON on the machine of `ringi up`, or by a token in RINGI_TOKEN."
        )
    hint = "" if url else " Does it run? `ringi up` starts it."
    return Session(url or addresses(data).api, token, as_json=as_json, unreached=hint)


def review_path(review: str, *parts: str) -> str:
    """The path of something about a review."""
    return "/".join(("/reviews", quote(review, safe=""), *parts))


def exit_code_of(status: int) -> Exit:
    """What a refusal's HTTP status means for the exit code."""
    match status:
        case 401 | 403 | 404:
            return Exit.NOT_ALLOWED
        case 409:
            return Exit.REFUSED
        case _ if 400 <= status < 500 and status not in {408, 429}:
            return Exit.USAGE
        case _:
            return Exit.SERVER


def problem_text(problem: Mapping[str, Any]) -> str:
    """A problem document (RFC 9457) as text: what it is, why, and on a line each where."""
    title, detail, reason = (problem.get(name) for name in ("title", "detail", "reason"))
    first = f"{title or 'Refused'}{f' ({reason})' if reason else ''}"
    lines = [f"{first}: {detail}" if detail else f"{first}."]
    for error in problem.get("errors") or ():
        place = error.get("pointer") or error.get("parameter")
        lines.append(f"  {f'{place}: ' if place else ''}{error.get('detail')}")
    return "\n".join(lines)


def _parsed(response: httpx2.Response) -> dict[str, Any] | None:
    try:
        data = json.loads(response.content)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
