"""The operator's view: whether the system is well, and bringing back a review whose workflow is lost."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from structlog.contextvars import bind_contextvars
from temporalio.service import RPCError

from api.answers import answer
from api.identity import KnownRoute
from api.prefer import Prefer
from api.problems import Conflict, Forbidden, NotFound, Unavailable, problems
from api.schemas import In, Pending
from api.services import NamedReview, TheCaller, TheServices
from domain.decisions import Receipt
from domain.discrepancies import DIFFERENCES, Differs
from domain.people import Role
from domain.values import ReviewId
from runtime.repairs import ClosedError, InTheWayError, RunsWellError
from store.decisions import NoRoleError, NotFoundError

router = APIRouter(route_class=KnownRoute, tags=["operations"])


class Checked(BaseModel):
    """One thing that the system consists of: well, ill, or away where it can't be looked at."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    status: Literal["well", "ill", "away"]
    detail: str


class PendingLong(BaseModel):
    """A decision that has had no receipt for more than a minute, or whose row somebody changed: `amiss` says what is
    wrong with it, if anything is.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    review_id: ReviewId
    kind: str
    received_at: datetime
    amiss: str | None


class DiscrepancyOut(BaseModel):
    """Something that differs between the record and Temporal. Without a review it concerns them all."""

    model_config = ConfigDict(from_attributes=True)

    review_id: str | None
    what: Differs
    run: str | None
    detail: str
    noticed_at: datetime
    on_record: bool


class Doctor(BaseModel):
    """Whether everything is well, and what is not. Of what is pending and what differs, a thousand each at most."""

    model_config = ConfigDict(from_attributes=True)

    well: bool
    findings: tuple[Checked, ...]
    pending: tuple[PendingLong, ...]
    discrepancies: tuple[DiscrepancyOut, ...]


class RepairIn(In):
    """Restart a lost review from its ledger. With `terminate`, a workflow that still runs, but does not answer, contradicts the
    record, or is none of ours, is terminated first.
    """

    terminate: Annotated[bool, Field(strict=True)] = False


@router.get("/doctor", summary="See whether everything is well", responses=problems(401, 403, 503))
async def doctor(caller: TheCaller, services: TheServices) -> Doctor:
    """What the system consists of, what has been pending for more than a minute, and where record and Temporal differ."""
    caller.must_hold(Role.OPERATOR)
    return Doctor.model_validate(await services.doctor.examine())


@router.post(
    "/reviews/{review_id}/repair",
    summary="Start a lost review anew from its record",
    response_model=Receipt,
    responses={202: {"model": Pending}, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
)
async def repair(
    review_id: NamedReview, body: RepairIn, caller: TheCaller, services: TheServices, prefer: Prefer
) -> Response:
    """Start the workflow of a review anew, from its ledger, where it was terminated, deleted or lost. It goes on where
    the record ends, and nothing else changes; an entry says who had it done.
    """
    caller.must_hold(Role.OPERATOR)
    decision_id = uuid4()
    bind_contextvars(decision_id=str(decision_id))
    try:
        delivery = await services.repairs.repair(review_id, decision_id, caller.person, terminate=body.terminate)
    except NotFoundError as error:
        raise NotFound("There is no such review.") from error
    except ClosedError as error:
        raise Conflict("The review is closed; it needs no workflow any more.", reason="closed") from error
    except RunsWellError as error:
        raise Conflict("Its workflow runs and agrees with the record.", reason="runs_well") from error
    except InTheWayError as error:
        said = f"{DIFFERENCES[error.difference.what].capitalize()}. {error.difference.detail} It would be terminated."
        raise Conflict(said, reason=error.difference.what) from error
    except NoRoleError as error:
        raise Forbidden("This is for people with the role operator.") from error
    except (RPCError, RuntimeError) as error:
        raise Unavailable("Temporal can't be asked now.") from error
    receipt = await services.settle(delivery, prefer.wait)
    return answer(receipt, delivery.decision, review_id, prefer.applied)
