"""Numbers as CSV, JSON and Parquet: the same readings give the same bytes, and text stays text."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from processor.errors import BadCommand
from processor.records import PageReading
from processor.results.publish import stored_name, whole, write_whole

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Engine

COLUMNS = (
    *("file", "page", "position", "text", "digits", "confidence", "status", "field"),
    *("x", "y", "width", "height", "model"),
)
Format = Literal["csv", "json", "parquet"]
Cell = str | int | float | None

_ROWS_A_FETCH = 10_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*")


def scan_csv(file: str, pages: Sequence[PageReading], model: str) -> str:
    """One scan's numbers, a row each, as CSV with a head line; lines end in a bare line feed."""
    return "".join(_csv([COLUMNS, *_rows(stored_name(file), pages, model)]))


def write_all_numbers(engine: "Engine", target: Path) -> None:
    """Replaces `target` by a CSV of all numbers of all scans, ordered by file, page and position.

    The rows are streamed, so that their count does not show in memory. Raises Transient, BadDatabase.
    """
    # Workers import this module for scan_csv and never open the database.
    from sqlalchemy import select

    from processor.results.database import reading
    from processor.results.schema import readings

    view = readings.c
    query = select(*(view[name] for name in COLUMNS)).order_by(
        view.file, view.scan_id, view.page, view.position
    )
    with whole(target) as stream, reading(engine) as connection:
        rows = connection.execution_options(yield_per=_ROWS_A_FETCH).execute(query)
        stream.writelines(line.encode() for line in _csv([COLUMNS]))
        for batch in rows.partitions():
            stream.writelines(line.encode() for line in _csv(tuple(row) for row in batch))


def rendered(frame: "pd.DataFrame", format: Format) -> bytes:
    """A table of readings as the bytes of a file. Raises BadCommand for an unknown format."""
    if format == "csv":
        rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
        return "".join(_csv([tuple(map(str, frame.columns)), *rows])).encode()
    if format == "json":
        text: str = frame.to_json(orient="records", force_ascii=False, indent=1)
        return text.encode() + b"\n"
    if format == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise BadCommand(f"There is no format {format!r}.", "It is one of csv, json, parquet.")


def export(frame: "pd.DataFrame", format: Format, target: Path) -> None:
    """Writes a table of readings to `target`, whole or not at all. Raises BadCommand, Transient."""
    write_whole(target, rendered(frame, format))


def _rows(file: str, pages: Sequence[PageReading], model: str) -> Iterator[tuple[Cell, ...]]:
    for page in pages:
        for position, number in enumerate(page.numbers, 1):
            box = number.box
            what = (number.text, number.digits_only, float(number.confidence), number.status.value)
            where = (int(box.x), int(box.y), int(box.width), int(box.height))
            yield (file, page.page, position, *what, number.field, *where, model)


def _csv(rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    """CSV lines, one or more a row. The csv module quotes line ends and delimiters; None is an empty cell."""
    lines: list[str] = []
    writer = csv.writer(_Sink(lines), lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield lines.pop()


class _Sink:
    """What csv.writer needs of a file."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def write(self, line: str) -> None:
        self._lines.append(line)


def _cell(value: Cell) -> Cell:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, str):
        return _defused(value)
    return value


def _defused(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe makes it text."""
    # https://owasp.org/www-community/attacks/CSV_Injection
    if text.startswith(_FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text
