"""Logging set-up: JSON lines in a service, coloured lines on a terminal. Owns no event.

Also how often a line is written that others can cause: who repeats what it says fills no disk.
"""

from __future__ import annotations

import logging
import os
from typing import Literal, TextIO, cast

import structlog

from node.system.clock import Clock
from node.system.log_output import LogOutput

Level = Literal["debug", "info", "warning", "error"]
SELDOM_MS = 10_000
_STANDARD_ERROR = 2


class Seldom:
    """Lets a line that a peer can cause again and again into the log once in ten seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_ms: dict[object, int] = {}

    def due(self, about: object = None) -> bool:
        """Whether a line may be written now; of each that is spoken about, and they are few."""
        now_ms = self._clock.monotonic_ms()
        told_ms = self._told_ms.get(about)
        if told_ms is not None and now_ms - told_ms < SELDOM_MS:
            return False
        self._told_ms[about] = now_ms
        return True


class _Threshold:
    """Drops events below a level that may change while the process runs."""

    def __init__(self) -> None:
        self.level = logging.INFO

    def __call__(
        self, _: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        name = "ERROR" if method == "exception" else method.upper()
        if logging.getLevelNamesMapping().get(name, logging.CRITICAL) < self.level:
            raise structlog.DropEvent
        return event


_threshold = _Threshold()


def set_log_level(level: Level) -> None:
    """Let through events from `level` on, from now on."""
    _threshold.level = logging.getLevelNamesMapping()[level.upper()]


def set_up_logging(form: Literal["auto", "json", "console"], level: Level) -> None:
    """Configure structlog and the standard library's loggers to write to standard error."""
    set_log_level(level)
    console = form == "console" or (form == "auto" and os.isatty(_STANDARD_ERROR))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    # Without local variables: they may hold keys and details.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    failure: list[structlog.typing.Processor] = (
        [] if console else [structlog.processors.ExceptionRenderer(tracebacks)]
    )
    structlog.configure(
        processors=[_threshold, *shared, *failure, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(_output(renderer)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_output(renderer))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *failure,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _output(renderer: structlog.typing.Processor) -> TextIO:
    """Standard error, for one logger."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def lost(count: int) -> str:
        told = {"event": "lines of the log were lost", "count": count, "level": "warning"}
        return str(renderer(None, "warning", stamp(None, "warning", told)))

    return cast("TextIO", LogOutput(_STANDARD_ERROR, lost))
