"""Structured logs: lines for a person on a terminal, JSON for machines."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET = re.compile(
    r"(?i)\b(authorization|token|sig|secret|password|oauth|api_key|key)([=:]\s*)([^\s&\"']+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe level that is written."""
    style: Literal["auto", "console", "json"] = "auto"
    """`auto` writes lines for a person on a terminal and JSON elsewhere."""


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what looks like a secret in every text of a log line."""
    event.pop("color_message", None)  # uvicorn's second copy of its message, with escape codes
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _SECRET.sub(r"\1\2***", value)
    return event


def configure_logs(settings: LogSettings, stream: TextIO | None = None, *, role: str = "") -> None:
    """Send every library's log through one formatter to `stream` (standard error).

    `role` stands in each line, where a process does a part of the work only.
    """

    def told_role(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**event, "role": role} if role else event

    out = stream or sys.stderr
    as_json = settings.style == "json" or (settings.style == "auto" and not out.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        told_role,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    for chatty in (
        "aiosqlite",
        "alembic",
        "httpx",
        "libav",
        "sqlalchemy.engine",
        "uvicorn.access",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
