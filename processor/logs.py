"""What a run logs: one line an event, with its time, level and, where there is one, its scan and page."""

import logging
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from processor.characters import visible
from processor.errors import BadCommand, DigitInboxError
from processor.log_lines import LineFormatter, LogFormat, PlainFormatter

MAX_BYTES = 10_000_000
KEPT_FILES = 5

SPOKEN = "spoken"
"""A record with this mark was shown to the person already, in other words than a log's."""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """Where a process of a run logs, workers too; without `form`, stderr gets bare warnings, for people."""

    form: LogFormat | None = None
    file: Path | None = None
    quiet: bool = False


class Logs:
    """The logs of one process, within a `with` block; what ends it without being an answer is logged, too.

    Raises BadCommand where the log file cannot be written.
    """

    def __init__(self, plan: LogPlan, *, worker: bool = False) -> None:
        self.plan = plan
        self._handlers = [_on_stderr(plan)]
        if plan.file is not None:
            self._handlers.append(_in_file(plan.file, plan.form or LogFormat.TEXT, worker=worker))
        self._level = logging.root.level
        self._hook = threading.excepthook

    def __enter__(self) -> Self:
        for handler in self._handlers:
            logging.root.addHandler(handler)
        logging.root.setLevel(logging.WARNING)
        logging.getLogger("processor").setLevel(logging.INFO)
        logging.captureWarnings(True)
        threading.excepthook = _log_dead_thread
        _plans.append(self.plan)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DigitInboxError):
            log.error("%s", error, extra={"event": f"refused.{type(error).__name__}", SPOKEN: True})
        elif isinstance(error, Exception) and not hasattr(error, "exit_code"):
            # Not the exits of the command line, which are exceptions, too.
            log.critical("The program ends on a fault of its own: %s", error, exc_info=error)
        _plans.pop()
        threading.excepthook = self._hook
        logging.captureWarnings(False)
        logging.getLogger("processor").setLevel(logging.NOTSET)
        logging.root.setLevel(self._level)
        for handler in self._handlers:
            logging.root.removeHandler(handler)
            with suppress(OSError):
                handler.close()


log = logging.getLogger(__name__)
_plans: list[LogPlan] = [LogPlan()]


def plan_for_workers() -> LogPlan:
    """How a worker that this process starts now is to log."""
    return _plans[-1]


def start_in_worker(plan: LogPlan) -> None:
    """For a worker process, for as long as it lives."""
    Logs(plan, worker=True).__enter__()


class _Forgiving(logging.Handler):
    """A log that cannot be written stops nothing: it is said once, and tried again with the next line."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | ValueError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            self._say(error)

    def _say(self, error: Exception) -> None:
        """Says it elsewhere, where there is an elsewhere."""


class _Stderr(_Forgiving, logging.StreamHandler[Any]):
    """stderr, whose reader may be gone."""


class _File(_Forgiving):
    """Says on stderr what became of the file."""

    baseFilename: str  # noqa: N815  (logging's own name)

    def _say(self, error: Exception) -> None:
        with suppress(OSError, ValueError):
            print(
                f"The log file {visible(self.baseFilename)} cannot be written: {error}. The run goes on; "
                "lines are missing there until it can.",
                file=sys.stderr,
            )


class _RotatingFile(_File, RotatingFileHandler):
    """The parent's: it alone turns the file over."""

    def doRollover(self) -> None:  # noqa: N802  (logging's own name)
        # Where it cannot be renamed (Windows, while a worker has it open), the file grows on.
        with suppress(OSError):
            super().doRollover()


class _WatchedFile(_File, WatchedFileHandler):
    """A worker's: follows the name when the parent has turned the file over.

    Lines come whole: each is one write at the end of the file. A queue to the parent instead would be closed
    for good by a worker that is killed while it holds the queue's lock.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            # It looks for the file outside the care that it takes of the writing.
            self.handleError(record)


def _on_stderr(plan: LogPlan) -> logging.Handler:
    handler = _Stderr(sys.stderr)
    if plan.form is None:
        handler.setLevel(logging.WARNING)
        handler.addFilter(lambda record: not hasattr(record, SPOKEN))
        handler.setFormatter(PlainFormatter())
    else:
        handler.setLevel(logging.WARNING if plan.quiet else logging.INFO)
        handler.setFormatter(LineFormatter(plan.form))
    return handler


def _in_file(file: Path, form: LogFormat, *, worker: bool) -> logging.Handler:
    handler: logging.Handler
    try:
        if worker:
            handler = _WatchedFile(file, delay=True, encoding="utf-8", errors="backslashreplace")
        else:
            handler = _RotatingFile(
                file,
                maxBytes=MAX_BYTES,
                backupCount=KEPT_FILES,
                encoding="utf-8",
                errors="backslashreplace",
            )
    except OSError as error:
        raise BadCommand(
            f"--log-file {file} cannot be written: {error.strerror}.",
            "Name a file in a folder that is there and may be written.",
        ) from None
    handler.setFormatter(LineFormatter(form))
    return handler


def _log_dead_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "?"
    trace = (ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)
    log.error("The thread %s ended on a fault of its own: %s", name, ended.exc_value, exc_info=trace)
