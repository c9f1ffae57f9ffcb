"""The log: structlog, set up in one place; JSON lines in a file, and sentences on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import anyio

from engine.api import Engine
from engine.calls.gate import Change
from engine.cli.listing import plain
from engine.errors import StorageError
from engine.events import BuysAgain, Event, RunEnded, RunStarted, Stalled, StoreTrouble, TaskEnded
from engine.providers import Adapted, Uncounted
from engine.records import Outcome

if TYPE_CHECKING:
    from pathlib import Path

MOST_TOLD = 5
"""Errored tasks of one kind, and changes of one limit for one reason, that stderr hears of; the file has them all."""


def open_log(*, verbose: bool, quiet: bool, folder: Path | None = None, hint: str = "") -> Any:
    """A structlog logger that writes to stderr (warnings; more with -v) and, once a folder is known, to a file.

    Raises:
        StorageError: the folder cannot be made; `hint` says what to do then.
    """
    import structlog

    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    root = logging.Logger("engine")  # noqa: LOG001 - our own, so that nobody's root logger is touched
    screen = _Screen()
    screen.setLevel(level)
    screen.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _sentence], foreign_pre_chain=shared
        )
    )
    root.addHandler(screen)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be made: {error.strerror}", hint=hint) from error
        written = _Written(folder / f"{datetime.now(UTC):%Y-%m-%d}.jsonl", encoding="utf-8", delay=True)
        written.setFormatter(
            structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
        )
        root.addHandler(written)
    return structlog.wrap_logger(
        root,
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _sentence(_logger: Any, _name: str, event: Any) -> str:
    """What is logged as a person reads it: `warning: task errored, task 9: the endpoint failed ... (call/server)`."""
    told = {name: value for name, value in event.items() if name not in ("event", "level", "timestamp")}
    why = [str(told.pop(name)) for name in ("message", "says", "why", "waits_for") if name in told]
    kind = told.pop("kind", "")
    parts = [
        f"{name.replace('_', ' ')} {value:.1f}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in told.items()
        if value is not None
    ]
    what = ", ".join([str(event["event"]), *parts])
    said = f"{event['level']}: {what}" + "".join(f": {each}" for each in why) + (f" ({kind})" if kind else "")
    return plain(said)  # a solver's error may hold what a model wrote


class _Screen(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment: while bars are shown, what passes through it comes out above them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute there: it never changes
        return sys.stderr


class _Written(logging.FileHandler):
    """The log's file; where the disk is full it has gaps, and the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        """Pass over what cannot be written: the store tells of a full disk, once and in a sentence."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


@asynccontextmanager
async def log_events(engine: Engine, log: Any) -> AsyncIterator[None]:
    """Log what happens in the engine while the body runs: runs, and tasks that end without a score."""
    told: dict[str, int] = {}
    async with anyio.create_task_group() as group, engine.events(of={Outcome.ERRORED}) as events:

        async def listen() -> None:
            async for event in events:
                _log(event, log, told)

        group.start_soon(listen)
        try:
            yield
        finally:
            while events.statistics().current_buffer_used:
                _log(events.receive_nowait(), log, told)
            for kind, often in told.items():
                if often > MOST_TOLD and "/" in kind:
                    log.warning("more tasks errored", tasks=often - MOST_TOLD, kind=kind)
            group.cancel_scope.cancel()


def _log(event: Event, log: Any, told: dict[str, int]) -> None:
    if isinstance(event, RunStarted):
        run = event.record
        log.info(
            "run started",
            run=run.run_id,
            benchmark=run.benchmark,
            model=run.model,
            tasks=event.tasks,
            reused=event.reused,
        )
    elif isinstance(event, BuysAgain):
        name = f"{event.record.benchmark} × {event.record.model}"
        log.warning(event.earlier.sentence(name))
    elif isinstance(event, RunEnded):
        report = event.report
        log.info(
            "run ended",
            run=report.run_id,
            benchmark=report.benchmark,
            n=report.n,
            score=report.score,
            unscored=report.unscored,
        )
    elif isinstance(event, Change):
        about = event.why.partition(":")[0].partition(";")[0].rstrip("0123456789. s")
        say, _ = _loudness(f"limit of {event.provider} {about}", log, told)
        say("limit changed", provider=event.provider, in_flight=event.limit, pace=event.pace, why=event.why)
    elif isinstance(event, Adapted):
        log.warning("request adapted", provider=event.provider, model=event.model, says=event.says)
    elif isinstance(event, Uncounted):
        says = "its replies do not tell their tokens: cost is unknown, and the budget counts a token for each byte"
        log.warning("tokens not told", provider=event.provider, model=event.model, says=says)
    elif isinstance(event, Stalled):
        log.warning("nothing moves", seconds=round(event.seconds), waits_for=event.waits_for)
    elif isinstance(event, StoreTrouble):
        log.warning("the store waits", message=event.message)
    elif isinstance(event, TaskEnded):
        error = event.result.error or {}
        kind = f"{error.get('code')}/{error.get('class')}"
        say, _ = _loudness(kind, log, told)
        key = event.result.key
        say("task errored", task=event.result.datum_id or key.datum_index, kind=kind, message=_told(error))


def _told(error: Mapping[str, Any]) -> Any:
    """What a task's error says; an exception of a solver with its type, as `KeyError 'capital' at capitals.py:21`."""
    message = error.get("message")
    if "traceback" not in error:
        return message
    said = str(error["class"]) if message == error["class"] else f"{error['class']} {message}"
    return f"{said} at {error['at']}" if error.get("at") else said


def _loudness(kind: str, log: Any, told: dict[str, int]) -> tuple[Callable[..., Any], int]:
    """How to say something of this kind, and how often it was said; what comes again and again is only written down."""
    told[kind] = told.get(kind, 0) + 1
    return (log.warning if told[kind] <= MOST_TOLD else log.info), told[kind]
