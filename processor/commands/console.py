"""Where words go: data to stdout, all else to stderr; no control character of a file name to the terminal."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.characters import visible, visible_in_json
from processor.errors import DigitInboxError

_UNBOUNDED = 100_000
"""Columns of a table that is piped into a file or another program: nothing may be cut there."""


_NARROWEST = 30
"""Columns that a text has at least, however narrow the terminal is."""


class Words:
    """Notices, progress and errors, on stderr; `quiet` keeps the errors only."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)

    @property
    def shows_progress(self) -> bool:
        return self.console.is_terminal and not self.quiet

    def say(self, text: str, event: str = "notice") -> None:
        """A notice; `event` is its short name in a log."""
        if not self.quiet:
            self.console.print(visible(text))

    def warn(self, text: str, event: str = "warning") -> None:
        """A fault that does not stop the command; `--quiet` does not hide it."""
        self.console.print(Text(visible(text), style="yellow"))

    def note(self, text: str, event: str) -> None:
        """What a log keeps, and a person need not be told."""

    def fail(self, error: DigitInboxError) -> None:
        for line in error.message.splitlines():
            self.console.print(Text(visible(line), style="bold red"))
        if error.remedy:
            self.console.print(visible(error.remedy))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        if not self.quiet:
            self.console.print(_table(columns, rows, plain=not self.console.is_terminal))


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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout: as wide as the terminal, or as wide as its content where stdout is no terminal."""
    console = Console(markup=False, highlight=False, emoji=False)
    plain = not console.is_terminal
    if plain:
        console = Console(markup=False, highlight=False, emoji=False, width=_UNBOUNDED)
    console.print(_table(columns, rows, plain=plain))


def print_entries(entries: Iterable[tuple[Sequence[object], Sequence[object]]]) -> None:
    """Sentences on stdout, wrapped to the terminal, or to 80 columns where stdout is none.

    Each entry begins with its marks, in columns; its texts stand beside them, each on lines of its own, and
    an empty one is left out. No path is broken.
    """
    rows = [([_cell(mark) for mark in marks], [_cell(text) for text in texts]) for marks, texts in entries]
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


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, plain: bool) -> Table:
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    cells = [[_cell(value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[index], _Figure) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=plain, overflow="fold")
    for row in cells:
        # Text, not str: a name such as "[red]form.png" is not markup.
        table.add_row(*(Text(value) for value in row))
    return table


class _Figure(str):
    """A number as text: its column is aligned to the right."""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return _Figure(f"{value:.4f}")
    return _Figure(value) if isinstance(value, int) else visible(value)
