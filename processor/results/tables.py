"""Numbers as CSV, JSON and Parquet: the same readings give the same bytes, and text stays text."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from processor.errors import BadCommand
from processor.records import PageReading, Status
from processor.results.publish import HASH_DIGITS, stored_name, whole, write_whole

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection, Engine

EARLIER_COLUMNS = (
    *("file", "page", "position", "text", "digits", "confidence", "status", "field"),
    *("x", "y", "width", "height", "model"),
)
"""Those that a scan's CSV had before it told the reason."""

COLUMNS = (*EARLIER_COLUMNS, "reason", "hash")
"""The `hash` tells scans of one name apart. Their numbers in the database would as well, but those depend on
the order in which scans were found, and the bytes of a table must not."""

Format = Literal["csv", "json", "parquet"]
Cell = str | int | float | None

_SCANS_A_QUERY = 200
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = re.compile(r'[",\r\n]')
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*")


def scan_csv(file: str, sha256: str, pages: Sequence[PageReading], model: str) -> str:
    """One scan's numbers, a row each, as CSV with a head line; lines end in a bare line feed."""
    return b"".join(_csv([COLUMNS, *_rows(stored_name(file), sha256, pages, model)])).decode()


def write_all_numbers(engine: "Engine", target: Path) -> None:
    """Replaces `target` by a CSV of all numbers of all scans, ordered by file, page and position.

    The rows are streamed, so that their count does not show in memory. Raises Transient, BadDatabase.
    """
    with whole(target) as stream:
        stream.writelines(all_numbers(engine))


def all_numbers(engine: "Engine") -> Iterator[bytes]:
    """The lines of `numbers.csv`, as the database is now. Raises Transient, BadDatabase."""
    # Workers import this module for scan_csv and never open the database.
    from sqlalchemy import select

    from processor.results.database import reading
    from processor.results.schema import scans

    yield from _csv([COLUMNS])
    with reading(engine) as connection:
        connection = connection.execution_options(yield_per=_SCANS_A_QUERY)
        ids = connection.execute(select(scans.c.id).order_by(scans.c.file, scans.c.id)).scalars()
        # Sorting all numbers in one query would copy the whole database into the temporary folder first.
        for some in ids.partitions():
            yield from _stored_rows(connection, some)


def stored_csv(connection: "Connection", scan_id: int, columns: Sequence[str] = COLUMNS) -> Iterator[bytes]:
    """The lines of one scan's CSV as the database is now: those of `scan_csv`, while nobody changed a row."""
    yield from _csv([columns])
    yield from _stored_rows(connection, [scan_id], columns)


def _stored_rows(
    connection: "Connection", scan_ids: Sequence[int], columns: Sequence[str] = COLUMNS
) -> Iterator[bytes]:
    from sqlalchemy import func, select

    from processor.results.schema import readings, scans

    view = readings.c
    told = {"hash": func.substr(scans.c.sha256, 1, HASH_DIGITS)}
    numbers = select(*(told[name] if name in told else view[name] for name in columns))
    numbers = numbers.join_from(readings, scans, scans.c.id == view.scan_id).where(view.scan_id.in_(scan_ids))
    numbers = numbers.order_by(view.file, view.scan_id, view.page, view.position)
    yield from _csv(tuple(row) for row in connection.execute(numbers))


def rendered(frame: "pd.DataFrame", format: Format) -> bytes:
    """A table of readings as the bytes of a file. Raises BadCommand for an unknown format."""
    names = [str(name) for name in frame.columns]
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    if format == "csv":
        return b"".join(_csv([names, *rows]))
    if format == "json":
        # pandas would write `\/` for every slash in a path, and fewer digits than a float has.
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return json.dumps(records, ensure_ascii=False, indent=1, default=str).encode() + b"\n"
    if format == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise BadCommand(f"There is no format {format!r}.", "It is one of csv, json, parquet.")


def export(frame: "pd.DataFrame", format: Format, target: Path) -> None:
    """Writes a table of readings to `target`, whole or not at all. Raises BadCommand, Transient."""
    write_whole(target, rendered(frame, format))


def _rows(file: str, sha256: str, pages: Sequence[PageReading], model: str) -> Iterator[tuple[Cell, ...]]:
    for page in pages:
        for position, number in enumerate(page.numbers, 1):
            box = number.box
            what = (number.text, number.digits_only, float(number.confidence), number.status.value)
            where = (int(box.x), int(box.y), int(box.width), int(box.height))
            # As the view tells it: a corrected number has no reason any more.
            reason = number.reason if number.status is Status.REVIEW else None
            yield (
                *(file, page.page, position, *what, number.field, *where, model),
                *(reason, sha256[:HASH_DIGITS]),
            )


def _csv(rows: Iterable[Iterable[Cell]]) -> Iterator[bytes]:
    """Each row as a line of UTF-8, quoted after RFC 4180, but with a bare line feed at its end."""
    for row in rows:
        yield (",".join(map(_cell, row)) + "\n").encode()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    text = _defused(value) if isinstance(value, str) else str(value)
    # The csv module leaves a lone carriage return unquoted, and its own reader then ends the line there.
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def _defused(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe makes it text."""
    # https://owasp.org/www-community/attacks/CSV_Injection
    if text.startswith(_FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text
