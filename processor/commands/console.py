"""What a terminal shows: words on stderr, tables; no control character of a file name gets there."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.characters import visible
from processor.commands.printing import Figure, cell
from processor.errors import DigitInboxError

_UNBOUNDED = 100_000
"""Columns of a table that is piped into a file or another program: nothing may be cut there."""


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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout: as wide as the terminal, or as wide as its content where stdout is no terminal."""
    console = Console(markup=False, highlight=False, emoji=False)
    plain = not console.is_terminal
    if plain:
        console = Console(markup=False, highlight=False, emoji=False, width=_UNBOUNDED)
    console.print(_table(columns, rows, plain=plain))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, plain: bool) -> Table:
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    cells = [[cell(value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[index], Figure) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=plain, overflow="fold")
    for row in cells:
        # Text, not str: a name such as "[red]form.png" is not markup.
        table.add_row(*(Text(value) for value in row))
    return table
