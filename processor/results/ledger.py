"""Writes what was read from a scan as rows, in the caller's transaction; rows of an earlier reading go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, delete, func, insert, select, update

from processor.records import Box, DigitReading, NumberReading, PageReading, ScanResult, TwoReadings
from processor.results import postgresql
from processor.results.counts import counts_of
from processor.results.database import writing
from processor.results.publish import stored_name
from processor.results.schema import digits, models, numbers, outputs, pages, refused_models, two_readings

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedModel:
    """What is kept of a model beside its name: the hash and the manifest it was verified by."""

    name: str
    sha256: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file published for a scan: `file` relative to the results folder, POSIX; size and hash."""

    file: str
    sha256: str
    bytes: int


def store_result(connection: Connection, scan_id: int, result: ScanResult) -> None:
    """Replaces all rows of a scan's pages, numbers and digits by `result`.

    `pages.annotated` is kept relative to the results folder, which may be moved as a whole.
    """
    connection.execute(delete(pages).where(pages.c.scan_id == scan_id))
    for reading, annotated in zip(result.pages, result.annotated, strict=True):
        row = _page_row(scan_id, reading, annotated)
        page_id = connection.execute(insert(pages).returning(pages.c.id), row).scalar_one()
        number_ids = _store_numbers(connection, page_id, reading.numbers)
        rows = [
            _digit_row(page_id, number_id, position, digit)
            for number_id, number in zip(number_ids, reading.numbers, strict=True)
            for position, digit in enumerate(number.digits, 1)
        ]
        rows += [_digit_row(page_id, None, n, blob) for n, blob in enumerate(reading.rejected, 1)]
        _insert_all(connection, digits, rows)
        twice = [
            _twice_row(number_id, number.twice)
            for number_id, number in zip(number_ids, reading.numbers, strict=True)
            if number.twice is not None
        ]
        _insert_all(connection, two_readings, twice)


def store_outputs(connection: Connection, scan_id: int, published: Sequence[PublishedFile]) -> None:
    """Replaces what is noted of a scan's published files."""
    connection.execute(delete(outputs).where(outputs.c.scan_id == scan_id))
    rows = [{"scan_id": scan_id, **asdict(file)} for file in published]
    if rows:
        connection.execute(insert(outputs), rows)


def store_model(connection: Connection, name: str, known: UsedModel | None, now: datetime) -> None:
    """Notes the first use of a model, and what is known of it once that is told."""
    seen = connection.execute(select(models.c.sha256).where(models.c.name == name)).one_or_none()
    facts: Row = {"sha256": known.sha256, "manifest": dict(known.manifest)} if known else {}
    if seen is None:
        connection.execute(_insert_once(connection), {"name": name, "first_used_at": now, **facts})
    elif seen.sha256 is None and facts:
        connection.execute(update(models).where(models.c.name == name).values(**facts))


def _insert_once(connection: Connection) -> Insert:
    """Where writers do not wait for each other, another may note the model just now."""
    if not postgresql.is_server(connection):
        return insert(models)
    # Its import takes all drivers of PostgreSQL along.
    from sqlalchemy.dialects.postgresql import insert as insert_unless_there

    return insert_unless_there(models).on_conflict_do_nothing()


def note_refusal(engine: Engine, *, name: str | None, reason: str, in_use: str, now: datetime) -> None:
    """Notes what CURRENT names and why it is not used, in the place of an earlier note.

    Raises Transient, BadDatabase.
    """
    said = {"name": name and stored_name(name)[:200], "reason": stored_name(reason), "in_use": in_use}
    with writing(engine) as connection:
        connection.execute(delete(refused_models))
        connection.execute(insert(refused_models), {**said, "at": now})


def withdraw_refusal(engine: Engine) -> None:
    """Removes the note: the model that CURRENT names reads. Raises as `note_refusal`."""
    with writing(engine) as connection:
        connection.execute(delete(refused_models))


def _insert_all(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows that name the same columns, without a look of SQLAlchemy's at each of their values."""
    if rows and postgresql.is_server(connection):
        postgresql.insert_all(connection, table, rows)
    elif rows:
        named, places = ", ".join(f'"{name}"' for name in rows[0]), ", ".join("?" * len(rows[0]))
        sql = f"INSERT INTO {table.name} ({named}) VALUES ({places})"
        connection.exec_driver_sql(sql, [tuple(row.values()) for row in rows])


def _store_numbers(connection: Connection, page_id: int, found: Iterable[NumberReading]) -> list[int]:
    rows = [_number_row(page_id, position, number) for position, number in enumerate(found, 1)]
    if not rows:
        return []
    if postgresql.is_server(connection):
        stored = postgresql.insert_all(connection, numbers, rows, "id", "position").all()
        ids = {row.position: int(row.id) for row in stored}
        return [ids[row["position"]] for row in rows]
    # The ids that SQLite would give: nobody else writes until this transaction ends.
    last = connection.execute(select(func.coalesce(func.max(numbers.c.id), 0))).scalar_one()
    _insert_all(connection, numbers, [{"id": last + row["position"], **row} for row in rows])
    return [last + row["position"] for row in rows]


def _page_row(scan_id: int, reading: PageReading, annotated: Path | None) -> Row:
    return {
        "scan_id": scan_id,
        "page": reading.page,
        "width": int(reading.width),
        "height": int(reading.height),
        "dpi": None if reading.dpi is None else float(reading.dpi),
        "skew_degrees": float(reading.skew_degrees),
        "form": reading.form,
        "annotated": None if annotated is None else Path(*annotated.parts[-2:]).as_posix(),
        **counts_of(reading),
    }


def _number_row(page_id: int, position: int, number: NumberReading) -> Row:
    return {
        "page_id": page_id,
        "position": position,
        "text": number.text,
        "digits": number.digits_only,
        "confidence": float(number.confidence),
        "status": number.status.value,
        "field": number.field,
        "reason": number.reason,
        **_box_row(number.box),
    }


def _twice_row(number_id: int, twice: TwoReadings) -> Row:
    first = twice.first_confidence
    return {
        "number_id": number_id,
        "first": twice.first,
        "first_confidence": None if first is None else float(first),
        "second": twice.second,
        "second_confidence": float(twice.second_confidence),
        "winner": twice.winner.value,
    }


def _digit_row(page_id: int, number_id: int | None, position: int, digit: DigitReading) -> Row:
    second, third = (*digit.top[1:3], (None, None), (None, None))[:2]
    return {
        "page_id": page_id,
        "number_id": number_id,
        "position": position,
        "digit": digit.digit,
        "confidence": float(digit.confidence),
        "second": second[0],
        "second_confidence": None if second[1] is None else float(second[1]),
        "third": third[0],
        "third_confidence": None if third[1] is None else float(third[1]),
        "status": digit.status.value,
        "reason": digit.reason,
        "looks_like": digit.top[0][0] if digit.top else None,
        **_box_row(digit.box),
    }


def _box_row(box: Box) -> Row:
    # numpy's integers and float32 are no numbers to sqlite3: it stores their bytes, or refuses them.
    return {"x": int(box.x), "y": int(box.y), "width": int(box.width), "height": int(box.height)}
