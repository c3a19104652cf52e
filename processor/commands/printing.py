"""What goes to stdout: data alone, line by line or as JSON; no control character of a file name with it."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from processor.characters import visible, visible_in_json

_NARROWEST = 30
"""Columns that a text has at least, however narrow the terminal is."""


def print_json(document: Any) -> None:
    """The one JSON document of a command, on stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=jsonable)
    sys.stdout.write(visible_in_json(text) + "\n")


def jsonable(value: Any) -> Any:
    """Moments as ISO 8601 in UTC, paths as text; everything else as it is."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def print_entries(entries: Iterable[tuple[Sequence[object], Sequence[object]]]) -> None:
    """Sentences on stdout, wrapped to the terminal, or to 80 columns where stdout is none.

    Each entry begins with its marks, in columns; its texts stand beside them, each on lines of its own, and
    an empty one is left out. No path is broken.
    """
    rows = [([cell(mark) for mark in marks], [cell(text) for text in texts]) for marks, texts in entries]
    widths = [max(map(len, column)) for column in zip(*(marks for marks, _ in rows), strict=True)]
    for marks, texts in rows:
        head = "".join(f"{mark:<{width}}  " for mark, width in zip(marks, widths, strict=True))
        wrapper = textwrap.TextWrapper(
            width=max(shutil.get_terminal_size().columns, len(head) + _NARROWEST),
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text in filter(None, texts):
            wrapper.initial_indent = head
            for line in wrapper.wrap(text):
                print_line(line)
            head = wrapper.subsequent_indent


def print_line(text: str = "") -> None:
    sys.stdout.write(visible(text) + "\n")


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Names and values, one a line, on stdout."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print_line(f"{name:<{width}}  {value}")


class Figure(str):
    """A number as text: its column is aligned to the right."""


def cell(value: object) -> str:
    """A value as a table shows it: no more of a number than anybody reads, and nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return Figure(f"{value:.4f}")
    return Figure(value) if isinstance(value, int) else visible(value)
