"""The one way to Temporal: its client, and the plugin that worker, replayer and tests share."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.plugin import SimplePlugin
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from runtime.sandbox import OneContextRunner
from workflows.interceptors import CancelIsAMessage
from workflows.proposal_review import ProposalReview
from workflows.reconciliation import Reconciliation

WORKFLOWS = (ProposalReview, Reconciliation)


def plugin() -> SimplePlugin:
    """Converter, interceptors, sandbox and workflows, together, so that no two users of them can differ."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules("domain", "activities", "pydantic")
    return SimplePlugin(
        "ringi",
        data_converter=pydantic_data_converter,
        interceptors=[CancelIsAMessage()],
        workflow_runner=OneContextRunner(restrictions=restrictions),
        workflows=list(WORKFLOWS),
    )


async def connect(address: str | None = None, *, lazy: bool = False) -> Client:
    """A client by Temporal's own variables and profiles (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, …).

    Args:
        address: replaces the configured one, as host:port.
        lazy: connect at the first call instead of now, so that a process can start while Temporal is down.

    Raises:
        RuntimeError: Temporal can't be reached.
    """
    config = ClientConfig.load_client_connect_config()
    if address is not None:
        config["target_host"] = address
    return await Client.connect(**config, plugins=[plugin()], lazy=lazy)
