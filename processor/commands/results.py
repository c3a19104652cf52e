"""`processor results`, `query` and `export`: what was read, out of the database."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select

from processor.characters import visible
from processor.commands.console import Words, print_table
from processor.commands.printing import jsonable
from processor.errors import BadCommand
from processor.results.database import open_read_only, reading
from processor.results.queries import copies, readings, run_select
from processor.results.schema import VIEWS, metadata
from processor.settings import LoadedSettings

if TYPE_CHECKING:
    import pandas as pd

_AGO = re.compile(r"(\d+)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FILE_FORMATS = ("csv", "json", "parquet")
_WORKBOOKS = (".xlsx", ".xls", ".ods")
_FRAME_TYPES = {int: "Int64", float: "Float64", bool: "boolean", datetime: "datetime64[us, UTC]"}

COPIES = 5
"""So many scans that hold the same as others are named."""


def results(
    settings: LoadedSettings,
    file: str | None,
    status: str | None,
    since: str | None,
    *,
    form: str | None,
    output: Path | None,
    words: Words,
) -> None:
    """Prints the numbers that match, a row each. Raises BadDatabase, BadCommand."""
    moment = None if since is None else parse_since(since, datetime.now(UTC))
    form = _format(form, output, "table")
    with _closing(open_read_only(settings.database_url, older=True)) as database:
        frame = readings(database, file, status, moment)
        same = copies(database, file) if file is not None else []
    if frame.empty and (file, status, since) != (None, None, None):
        words.say("No number of the database is like that.")
    for copy, original in same[:COPIES]:
        words.say(f"{visible(copy)} holds the same as {visible(original)}, where its numbers are.")
    if len(same) > COPIES:
        words.say(f"So do {len(same) - COPIES} more.")
    if form == "table":
        hidden = ["x", "y", "width", "height", "model", "scan_id", "reason"]
        if frame["field"].isna().all():
            hidden.append("field")
        shown = [name for name in frame.columns if name not in hidden]
        cells = frame[shown].astype(object).where(frame[shown].notna(), None)
        _write_table(shown, cells.itertuples(index=False, name=None), output)
    else:
        _write(frame, form, output, words)


def query(settings: LoadedSettings, sql: str, *, form: str | None, output: Path | None, words: Words) -> None:
    """Prints the rows of one SELECT. Raises BadDatabase, BadCommand."""
    form = _format(form, output, "table")
    with _closing(open_read_only(settings.database_url, older=True)) as database:
        columns, rows = run_select(database, sql)
    if form == "table":
        _write_table(columns, rows, output)
    else:
        _write(_frame(columns, rows), form, output, words)


def export(
    settings: LoadedSettings, name: str, *, form: str | None, output: Path | None, words: Words
) -> None:
    """Writes a whole table or view, in the order of its rows. Raises BadDatabase, BadCommand."""
    form = _format(form, output, "csv")
    if output is not None and output.suffix.lower() in _WORKBOOKS and form == "csv":
        raise BadCommand(
            f"{output} would be CSV under another name.",
            "Name it .csv, which spreadsheets open, or .json or .parquet.",
        )
    known = {table.name: table for table in (*VIEWS, *metadata.sorted_tables)}
    if name not in known:
        raise BadCommand(f"There is no table {name!r}.", f"Export one of {', '.join(known)}.")
    with _closing(open_read_only(settings.database_url)) as database, reading(database) as connection:
        columns = [column.name for column in known[name].columns]
        types = [_FRAME_TYPES.get(_python_type(column), "string") for column in known[name].columns]
        rows = [tuple(row) for row in connection.execute(select(known[name]).order_by(*_order(columns)))]
    if form != "json":
        rows = [tuple(_as_text(value) for value in row) for row in rows]
    # Parquet has a type for moments; the others write them as everybody reads them.
    if form != "parquet":
        rows, types = [tuple(jsonable(value) for value in row) for row in rows], []
    _write(_frame(columns, rows, types), form, output, words)


def parse_since(text: str, now: datetime) -> datetime:
    """`90m`, `12h`, `7d`, `2w` before `now`, or a date or time of ISO 8601, UTC where it names no zone.

    Raises BadCommand.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise BadCommand(
            f"--since {text!r} is no time.", "Write 2026-11-22, 2026-11-22T08:30 (UTC), 90m, 12h, 7d or 2w."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _closing(database: Engine) -> Iterator[Engine]:
    try:
        yield database
    finally:
        database.dispose()


def _format(form: str | None, output: Path | None, otherwise: str) -> str:
    """The format asked for, or the one that the suffix of the output says."""
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    return form or (suffix if suffix in _FILE_FORMATS else otherwise)


def _order(columns: Sequence[str]) -> list[Any]:
    from sqlalchemy import column

    wanted = ("id",) if "id" in columns else ("file", "scan_id", "page", "number_id", "position", "name")
    return [column(name) for name in wanted if name in columns]


def _as_text(value: Any) -> Any:
    """JSON as text, where a cell can hold nothing else."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _python_type(column: Any) -> type:
    """What a column holds in Python; JSON, which has no one type there, is text."""
    kind = column.type
    try:
        return getattr(kind, "impl_instance", kind).python_type  # type: ignore[no-any-return]
    except NotImplementedError:
        return str


def _frame(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], types: Sequence[str] = ()
) -> "pd.DataFrame":
    """Rows as a frame whose columns keep their types where values are missing: 7 stays 7, not 7.0.

    Without `types` they are those of the values; a column that has none is of no type.
    """
    import pandas as pd

    if len(set(columns)) < len(columns):
        raise BadCommand("Two columns have the same name.", "Name them apart with AS.")
    known: Sequence[Any] = types or [
        None if any(row[i] is not None for row in rows) else "object" for i in range(len(columns))
    ]
    values = ([row[index] for row in rows] for index in range(len(columns)))
    told = zip(columns, values, known, strict=True)
    return pd.DataFrame({name: pd.array(held, dtype=dtype) for name, held, dtype in told})


def _write(frame: "pd.DataFrame", form: str, output: Path | None, words: Words) -> None:
    from processor.results.tables import rendered

    if output is None and form == "parquet" and sys.stdout.isatty():
        raise BadCommand("Parquet is no text for a terminal.", "Add -o FILE.")
    data = rendered(frame, form)  # type: ignore[arg-type]
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        _write_file(data, output)
        words.say(f"Wrote {len(frame)} rows to {output}.")


def _write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: Path | None) -> None:
    if output is not None:
        raise BadCommand(
            f"A table is made for the screen, not for {output}.", "Add --format csv, json or parquet."
        )
    print_table(columns, rows)


def _write_file(data: bytes, output: Path) -> None:
    from processor.results.publish import write_whole

    if output.is_dir() or not output.resolve().parent.is_dir():
        raise BadCommand(f"{output} is a folder, or its folder does not exist.", "Name a file with -o.")
    write_whole(output, data)
