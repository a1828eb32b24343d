"""Logs: one line an event, JSON or for a terminal, everybody's (ours, the libraries', the workflows') through one chain.

What is bound around a piece of work by structlog's context variables (the ids) stands on every line within it. What
must not be read in a log is masked at the end of the chain, whoever logged it: tokens, passwords, keys, and what a
person wrote, where a library quotes it in an error.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
import temporalio.activity
import temporalio.workflow
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"

_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|credential|private_?key|api_?key|signature|token", re.IGNORECASE
)

_SECRET_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    # A token after its scheme, and any JSON Web Token by its looks.
    (re.compile(r"\b(Bearer|Basic|DPoP)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*"), MASK),
    # The password of a URL, and one in a query or a connection string.
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), rf"\1:{MASK}@"),
    (re.compile(r"\b(password|passwd|secret|access_token|token|api_?key)=[^\s&]+", re.IGNORECASE), rf"\1={MASK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), MASK),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # What a person wrote: pydantic quotes the input, PostgreSQL the row.
    (re.compile(r"input_value=.*?(?=, input_type=)", re.DOTALL), f"input_value={MASK}"),
    (re.compile(r"^(\s*DETAIL:).*$", re.MULTILINE), rf"\1 {MASK}"),
)


def configure_logging(
    log_format: Literal["json", "console"] = "json", log_level: str = "INFO", *, stream: TextIO | None = None
) -> None:
    """Send everything that this process logs to one stream. To be called once, first; a second call replaces the first.

    Args:
        log_format: `json`, one object a line, or `console`, for people.
        log_level: the least level that is written.
        stream: standard output, if it is not given.
    """
    output = sys.stdout if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), flatten_temporal],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                mask_secrets,
                _renderer(log_format, output),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(log_level)

    # The ids stand in fields of their own, so the text needn't repeat them.
    temporalio.workflow.logger.workflow_info_on_message = False
    temporalio.activity.logger.activity_info_on_message = False

    # The API writes one line of its own a request; a client's line would show whole URLs.
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.disabled = True
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def flatten_temporal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make fields of what the SDK adds as one object: `workflow_id`, `run_id`, `workflow_type`, …; none is replaced."""
    for name in ("temporal_workflow", "temporal_activity"):
        details = event.pop(name, None)
        if isinstance(details, Mapping):
            for key, value in details.items():
                event.setdefault(_FLAT.get(str(key), str(key)), value)
        elif details is not None:
            event[name] = details
    return event


# An activity's names for what a workflow's line calls otherwise.
_FLAT = {"workflow_run_id": "run_id"}


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what must not be read in a log, at any depth; drop nothing."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case _ if _SECRET_NAME.search(key):
            return MASK
        case str():
            return _masked_text(value)
        case Mapping():
            return {str(name): _masked(str(name), item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(key, item) for item in value]
        case _:
            # As the renderer would write it, so that it is masked as it will be read.
            return _masked_text(str(value))


def _masked_text(text: str) -> str:
    for pattern, mask in _SECRET_TEXT:
        text = pattern.sub(mask, text)
    return text


def _renderer(log_format: Literal["json", "console"], output: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback)
