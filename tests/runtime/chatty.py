"""A workflow that logs; in a module of its own, because the sandbox imports all that stands beside it."""

from __future__ import annotations

from temporalio import workflow


@workflow.defn
class Chatty:
    """Logs once at each of two tasks."""

    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self) -> None:
        """Log, wait, log."""
        workflow.logger.info("first", extra={"stage": "council"})
        await workflow.wait_condition(lambda: self._told)
        workflow.logger.info("second")

    @workflow.signal
    def tell(self) -> None:
        """End the wait."""
        self._told = True
