"""The reconciler's round, as Temporal runs it: a schedule starts it, one activity does it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.messages import Reconciled
    from activities.reconciler import Reconciler


@workflow.defn
class Reconciliation:
    """One comparison of the record with what Temporal has."""

    @workflow.run
    async def run(self) -> Reconciled:
        """Have the reconciler go round once. A round that fails is nobody's loss: the schedule starts the next."""
        return await workflow.execute_activity_method(
            Reconciler.reconcile,
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=15),
            retry_policy=RetryPolicy(maximum_attempts=2),
            summary="compare the record with Temporal",
        )
