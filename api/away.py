"""What is answered while the database can't be reached: that nothing was taken only where that is certain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.problems import Unavailable, problem_response
from api.same_origin import SAFE_METHODS
from store.database import AWAY, InDoubtError

_NOTHING_TAKEN = "The database can't be reached now; nothing was taken this time."

_MAY_BE_STORED = (
    "The database did not confirm it: your decision may have been stored. Send it again with the same id (here as "
    "`decision_id`); it counts once."
)

_MAY_BE_DONE = (
    "The database can't be reached now. What you asked for may have been done; look before you send it again."
)


@contextmanager
def nothing_taken() -> Iterator[None]:
    """A block in which nothing is taken yet.

    Raises:
        Unavailable: the database can't be reached.
    """
    try:
        yield
    except AWAY as error:
        raise Unavailable(_NOTHING_TAKEN) from error


@contextmanager
def taking(decision: UUID) -> Iterator[None]:
    """A block that stores this decision in its one transaction, or does not.

    Raises:
        Unavailable: the database can't be reached; it says whether the decision may be stored, and under which id.
    """
    with nothing_taken():
        try:
            yield
        except InDoubtError as error:
            raise Unavailable(_MAY_BE_STORED, decision_id=str(decision)) from error


async def away(request: Request, error: Exception) -> Response:
    """The answer where nobody said more of what was under way."""
    certain = request.method in SAFE_METHODS and not isinstance(error, InDoubtError)
    problem = Unavailable(_NOTHING_TAKEN if certain else _MAY_BE_DONE)
    return problem_response(problem, getattr(request.state, "request_id", None))
