"""Logs: one line an event, the ids on it, nothing secret in it."""

from __future__ import annotations

import logging
from typing import Annotated
from uuid import UUID

import structlog
from pydantic import BaseModel, Field, SecretStr, ValidationError
from structlog.contextvars import bound_contextvars

from runtime.logging import configure_logging
from tests.conftest import Log

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
WRITTEN = "canary-11, which a person wrote"
REFUSED = "new row violates\nDETAIL:  Failing row contains (canary-12).\npassword=canary-13"


def test_an_event_is_a_line_with_its_fields(log: Log) -> None:
    structlog.get_logger("ringi.example").info("decision stored", kind="verdict_sheet", count=2, id=UUID(int=7))
    (line,) = log.lines()
    assert "decision stored" == line["event"]
    assert "info" == line["level"]
    assert "ringi.example" == line["logger"]
    assert ("verdict_sheet", 2, str(UUID(int=7))) == (line["kind"], line["count"], line["id"])
    assert str(line["timestamp"]).endswith("Z")


def test_the_libraries_lines_are_the_same(log: Log) -> None:
    logging.getLogger("some.library").warning("%d attempts", 3, extra={"attempt": 3})
    (line,) = log.lines()
    assert ("3 attempts", "warning", 3) == (line["event"], line["level"], line["attempt"])


def test_ids_stand_on_every_line_of_a_piece_of_work(log: Log) -> None:
    with bound_contextvars(request_id="r-1", review_id="p-1"), bound_contextvars(decision_id="d-1"):
        structlog.get_logger().info("ours")
        logging.getLogger("some.library").info("theirs")
    structlog.get_logger().info("after")
    ours, theirs, after = log.lines()
    for line in (ours, theirs):
        assert ("r-1", "p-1", "d-1") == (line["request_id"], line["review_id"], line["decision_id"])
    assert not {"request_id", "review_id", "decision_id"} & after.keys()


def test_what_temporal_adds_becomes_fields_and_replaces_none(log: Log) -> None:
    details = {"workflow_id": "review-1", "run_id": "run-1", "attempt": 1}
    logging.getLogger("temporalio.workflow").info("stage entered", extra={"temporal_workflow": details, "attempt": 9})
    activity = {"workflow_id": "review-1", "workflow_run_id": "run-1", "activity_type": "commit"}
    logging.getLogger("temporalio.activity").info("committed", extra={"temporal_activity": activity})
    stage, commit = log.lines()
    assert ("review-1", "run-1", 9) == (stage["workflow_id"], stage["run_id"], stage["attempt"])
    assert ("review-1", "run-1", "commit") == (commit["workflow_id"], commit["run_id"], commit["activity_type"])
    assert not {"temporal_workflow", "temporal_activity"} & (stage.keys() | commit.keys())


def test_levels_below_the_one_asked_for_are_not_written(log: Log) -> None:
    structlog.get_logger().debug("ours")
    logging.getLogger("some.library").debug("theirs")
    assert [] == log.lines()


def test_requests_are_not_logged_a_second_time(log: Log) -> None:
    logging.getLogger("uvicorn.access").info("GET /reviews?access_token=canary")
    logging.getLogger("httpx2").info("HTTP Request: GET https://example.org/?access_token=canary")
    assert [] == log.lines()


class Form(BaseModel):
    """Something that a person filled in."""

    title: Annotated[str, Field(max_length=3)]


def test_no_secret_is_written_whoever_logs_it(log: Log) -> None:
    logger = structlog.get_logger()
    logger.info(
        "canaries",
        authorization="Bearer canary-1",
        headers={"Authorization": "canary-2", "Cookie": "canary-3", "Accept": "text/html"},
        database_url="postgresql://app:canary-4@db/ringi",
        query="a=1&access_token=canary-5&b=2",
        words=["got Bearer canary-6 and", "signed with whsec_canary+14/=", f"the token {TOKEN} twice"],
        secret=SecretStr("canary-7"),
        wrapped=SecretStr("canary-8"),
        key="-----BEGIN PRIVATE KEY-----\ncanary-9\n-----END PRIVATE KEY-----",
    )
    logging.getLogger("some.library").error("failed for postgres://app:canary-10@db with %s", f"Bearer {TOKEN}")
    try:
        Form(title=WRITTEN)
    except ValidationError:
        logger.exception("not valid")
    try:
        raise ValueError(REFUSED)
    except ValueError:
        logging.getLogger("some.library").exception("the database refused")
    assert "canary" not in log.getvalue()
    assert TOKEN.split(".")[1] not in log.getvalue()
    first, _, third, fourth = log.lines()
    assert first["headers"] == {"Authorization": "***", "Cookie": "***", "Accept": "text/html"}
    assert first["query"] == "a=1&access_token=***&b=2"
    assert "Form" in str(third["exception"])
    assert "ValueError: new row violates" in str(fourth["exception"])


def test_an_event_of_many_lines_stays_one_line(log: Log) -> None:
    structlog.get_logger().info("a\nb", text="c\r\n{}")
    (line,) = log.lines()
    assert ("a\nb", "c\r\n{}") == (line["event"], line["text"])


def test_on_a_terminal_it_reads_as_text(log: Log) -> None:
    configure_logging("console", "INFO", stream=log)
    with bound_contextvars(review_id="p-1"):
        structlog.get_logger().info("decision stored", token="canary")  # that it is masked is the test
    assert "decision stored" in log.getvalue()
    assert "review_id=p-1" in log.getvalue()
    assert "canary" not in log.getvalue()
    assert not log.getvalue().startswith("{")
