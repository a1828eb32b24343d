"""Starting the lost workflow of a review anew, from its record."""

from __future__ import annotations

from uuid import UUID

from temporalio.client import Client

from activities.naming import workflow_id_for
from activities.ports import Book, Delivery, Witness
from activities.reconciler import look_at
from domain.decisions import Repair
from domain.discrepancies import LOSSES, Difference
from domain.drafts import Draft
from domain.reconciliation import differences
from domain.values import PersonId, ReviewId
from runtime.courier import TemporalCourier
from store.decisions import Decisions, NotFoundError


class ClosedError(Exception):
    """The review has its outcome; no workflow is needed any more."""


class RunsWellError(Exception):
    """The review's workflow runs, and agrees with the record."""


class InTheWayError(Exception):
    """Something runs that has to be terminated first; `difference` says what is wrong with it."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.detail)
        self.difference = difference


class Repairs:
    """Restarts reviews whose workflows are lost. Nothing is read from what was lost: the record is all it takes."""

    def __init__(
        self, client: Client, courier: TemporalCourier, book: Book, witness: Witness, decisions: Decisions
    ) -> None:
        self._client = client
        self._courier = courier
        self._book = book
        self._witness = witness
        self._decisions = decisions

    async def repair(self, review: ReviewId, decision_id: UUID, person: PersonId, *, terminate: bool) -> Delivery:
        """Start the workflow of a review anew, on record. It folds the ledger from its first entry and goes on there;
        what is pending reaches it after that. Where it came to nothing, it is asked for again, under another id.

        Args:
            review: whose workflow is lost.
            decision_id: of the decision by which the repair stands on record.
            person: the operator who wants it.
            terminate: whether what runs is terminated before, where it does not answer, holds something else than the
                record does, or is none of ours.

        Raises:
            NotFoundError: there is no such review.
            ClosedError: it has its outcome.
            RunsWellError: there is nothing to repair.
            InTheWayError: what runs would have to be terminated.
            NoRoleError: they are no operator.
            RPCError: Temporal can't be asked.
        """
        look = await look_at(review, self._book, self._witness)
        if look.record is None:
            raise NotFoundError
        if look.record.review.closed:
            raise ClosedError
        found = differences(look.expecting(), await self._book.known(review))
        loss = next((difference for difference in found if difference.what in LOSSES), None)
        if loss is None:
            raise RunsWellError
        runs = look.sighting.status == "running"
        if runs and not terminate:
            raise InTheWayError(loss)
        draft = Draft(
            decision_id=decision_id,
            review=review,
            person=person,
            digest=look.record.review.content_digest,
            content=Repair(),
            reason=loss.detail,
        )
        delivery = await self._decisions.store(draft, sees=lambda *_: True)
        if runs:
            handle = self._client.get_workflow_handle(workflow_id_for(review), run_id=look.sighting.run)
            await handle.terminate(reason=f"repair {decision_id}")
        await self._courier.restart(review)
        await self._decisions.hasten(review)
        return delivery
