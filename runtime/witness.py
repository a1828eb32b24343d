"""What the workflow itself says of its review."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain.ledger import WorkflowState
from workflows.messages import workflow_id_for
from workflows.proposal_review import ProposalReview

_PATIENCE = timedelta(seconds=5)


async def workflow_state(client: Client, review: str) -> WorkflowState:
    """Ask the workflow of a review what it has seen. Needs a running worker."""
    handle = client.get_workflow_handle_for(ProposalReview.run, workflow_id_for(review))
    try:
        description = await handle.describe(rpc_timeout=_PATIENCE)
        stands = await handle.query(ProposalReview.where_it_stands, rpc_timeout=_PATIENCE)
    except RPCError as error:
        gone = error.status is RPCStatusCode.NOT_FOUND
        return WorkflowState(status="gone" if gone else "unreachable", detail=error.status.name)
    except (RuntimeError, WorkflowQueryFailedError) as error:
        return WorkflowState(status="unreachable", detail=type(error).__name__)
    running = description.status is WorkflowExecutionStatus.RUNNING
    return WorkflowState(status="answered" if running else "finished", seq=stands.seq, state_digest=stands.state_digest)
