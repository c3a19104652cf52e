"""How a line of a log is written, and what it is about: the scan, the page and the file at hand."""

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from processor.characters import visible

_WHERE = ("scan", "page", "file")


class LogFormat(StrEnum):
    """How a log's lines are written: to be read by people, or a JSON object each."""

    TEXT = "text"
    JSON = "json"


_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(**where: object) -> Iterator[None]:
    """Within it, every line is about this `scan`, `page` or `file`."""
    token = _about.set({**_about.get(), **where})
    try:
        yield
    finally:
        _about.reset(token)


def now_at(**where: object) -> None:
    """From here to the end of the `about` around it, lines are about this, too; `None`: no longer.

    A fault is logged where it is caught, outside the page on which it came up.
    """
    _about.set({**_about.get(), **where})


class LineFormatter(logging.Formatter):
    """One line a record; the lines of a traceback are lines of their own."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        known = _known(record)
        if self._form is LogFormat.JSON:
            # In ASCII: the same bytes in every locale, and no control character but the line's end.
            return json.dumps(known, default=str).replace("\x7f", "\\u007f")
        trace = known.pop("exception", "")
        time, level, event, message = (known.pop(name) for name in ("time", "level", "event", "message"))
        where = [f"{name}={_quoted(known[name])}" for name in _WHERE if name in known]
        head = " ".join([time, f"{level.upper():<8}", event, *where])
        return "\n".join(f"{head}: {visible(line)}" for line in [message, *trace.splitlines()])


def _known(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says, in the order in which it is said."""
    about_it = {**_about.get(), **{k: v for k in _WHERE if (v := getattr(record, k, None)) is not None}}
    moment = datetime.fromtimestamp(record.created, UTC)
    known: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": getattr(record, "event", record.name),
        **{name: about_it[name] for name in _WHERE if about_it.get(name) is not None},
        "message": record.getMessage(),
        "process": record.process,
    }
    if record.exc_info:
        known["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return known


def _quoted(value: object) -> str:
    """A name with spaces is one word of the line."""
    text = visible(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(' "=') else text


class PlainFormatter(logging.Formatter):
    """For people: what libraries and workers warn of, as it is."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(visible(line) for line in super().format(record).splitlines())
