"""The operator's two doors: the doctor, and the repair of a lost review."""

from __future__ import annotations

import pytest
from temporalio.client import Client

from activities import reconciler
from activities.naming import workflow_id_for
from tests.support.harness import until
from tests.support.system import AUDITOR, OPERATOR, OWNER, REVIEWERS, System, example, new_id


async def test_a_review_is_lost_told_and_brought_back(
    system: System, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the doctor, who says where; and by the operator alone."""
    monkeypatch.setattr(reconciler, "PAUSE", 1.0)
    operator = system.person(OPERATOR)
    review = await system.opened(example(1), new_id())
    for name in (OWNER, AUDITOR, REVIEWERS[0]):
        assert 403 == (await system.person(name).get("/doctor")).status_code
        assert 403 == (await system.person(name).post(f"/reviews/{review}/repair", {})).status_code
    assert 404 == (await operator.post("/reviews/no-such-review/repair", {})).status_code
    runs_well = await operator.post(f"/reviews/{review}/repair", {"terminate": True})
    assert (409, "runs_well") == (runs_well.status_code, runs_well.json()["reason"])

    await temporal_client.get_workflow_handle(workflow_id_for(review)).terminate("by hand")
    asked = await system.person(REVIEWERS[0]).say(
        review, "question", reason="Is anybody there?", headers={"Prefer": "wait=0"}
    )
    assert 202 == asked.status_code

    async def told() -> bool:
        said = (await operator.get("/doctor")).json()
        return not said["well"] and ("lost", review) in {(d["what"], d["review_id"]) for d in said["discrepancies"]}

    await until(told, seconds=30)
    findings = {f["name"]: f["status"] for f in (await operator.get("/doctor")).json()["findings"]}
    for name in ("database", "migrations", "temporal", "workers", "identity provider", "signing key", "registry"):
        assert "well" == findings[name], findings
    assert "ill" == findings["schedule"]

    repaired = await operator.post(f"/reviews/{review}/repair", {})
    assert (200, "accepted") == (repaired.status_code, repaired.json()["status"]), repaired.text

    async def taken() -> bool:
        return any(said.startswith("Asked the owner the question") for said in await system.told(review))

    await until(taken, seconds=30)
    assert "Had the workflow started anew from this record." in await system.told(review)
    assert (await system.person(AUDITOR).evidence(review)).workflow.status == "answered"
