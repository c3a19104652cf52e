"""A scan that was read before gets a new reading: its rows are replaced, and what a person said stays."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, or_, select, update

from processor.errors import BadScan, Transient
from processor.records import (
    Box,
    DigitReading,
    NumberReading,
    PageReading,
    ScanResult,
    ScanState,
    StagedFile,
    Status,
    TwoReadings,
    Winner,
)
from processor.results.database import reading, writing
from processor.results.ledger import PublishedFile, UsedModel, store_model, store_outputs, store_result
from processor.results.publish import file_name, publish
from processor.results.queries import Fields, NumberReport, page_reports, scans_done
from processor.results.schema import corrections, digits, numbers, outputs, pages, scans

Corrected = tuple[tuple[int, NumberReading], ...]
"""Numbers that a person had a hand in, each with its page."""

_Place = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredScan:
    """A scan that was read; `finished_at` tells whether this is still its last reading."""

    id: int
    source: Path
    file: str
    sha256: str
    finished_at: datetime
    settings_digest: str | None


def stored_scans(engine: Engine, wanted: Sequence[str]) -> list[StoredScan]:
    """The scans that were read, all or those that `wanted` names. Raises BadCommand, BadDatabase."""
    return [
        StoredScan(
            id=row["id"],
            source=Path(file_name(row["source"])),
            file=file_name(row["file"]),
            sha256=row["sha256"],
            finished_at=row["finished_at"],
            settings_digest=row["settings_digest"],
        )
        for row in scans_done(engine, wanted)
    ]


def stored_reading(engine: Engine, scan: StoredScan) -> list[PageReading]:
    """What is stored of a scan, as it was once read; boxes of what was rejected are left out."""
    with reading(engine) as connection:
        return [
            PageReading(
                **{
                    name: report.page[name]
                    for name in ("page", "width", "height", "dpi", "skew_degrees", "form")
                },
                numbers=tuple(_number(number) for number in report.numbers),
                rejected=(),
            )
            for report in page_reports(connection, scan.id)
        ]


def corrected_numbers(engine: Engine, scan: StoredScan) -> Corrected:
    """The numbers of a scan that a person corrected, as they stand now.

    Raises BadScan where a correction could not be kept through another reading.
    """
    with reading(engine) as connection:
        return _corrected(connection, scan)


def replace_reading(
    engine: Engine,
    scan: StoredScan,
    result: ScanResult,
    *,
    published: Sequence[PublishedFile],
    corrected: Corrected,
    model: UsedModel,
    results: Path,
    now: datetime,
) -> None:
    """Replaces what is stored of `scan` by `result`, which holds the numbers `corrected` as they are.

    One transaction: the stamps, the rows, the hashes of the `published` files, and the corrections, which
    move to the new rows. The files that `result` staged are published inside it: only once the database is
    locked and took every row, and where one of them, or the commit, fails, those of before are back. After a
    kill between the last file and the commit, the scan read once more overwrites both, for the same scan
    always gives the same names. Files of before that the new reading has not (the pictures had another
    format) go last, once nothing names them.

    Raises Transient where the scan was read anew or corrected since `scan` and `corrected` were read, or
    the database or the disk refuses; BadDatabase. Rows and files are as before then.
    """
    stamps = {
        "model": result.model,
        "settings_digest": result.settings_digest,
        "program_version": result.program_version,
        "seconds": float(result.seconds),
        "finished_at": now,
    }
    with ExitStack() as undo:
        with writing(engine) as connection:
            _check_unchanged(connection, scan, corrected)
            before = _output_files(connection, scan.id)
            links = _correction_links(connection, scan.id)
            store_model(connection, result.model, model, now)
            connection.execute(update(scans).where(scans.c.id == scan.id).values(stamps))
            store_result(connection, scan.id, result)
            store_outputs(connection, scan.id, published)
            _link_again(connection, scan.id, links)
            for staged in result.staged:
                _publish(staged, undo)
        undo.pop_all()
    for file in before - {new.file for new in published}:
        _withdraw(results / file)


def _output_files(connection: Connection, scan_id: int) -> set[str]:
    """The files that the records name as a scan's, below the results folder."""
    noted = connection.execute(select(outputs.c.file).where(outputs.c.scan_id == scan_id)).scalars()
    pictures = select(pages.c.annotated).where(pages.c.scan_id == scan_id, pages.c.annotated.is_not(None))
    named = {*noted, *connection.execute(pictures).scalars()}
    return {file for file in named if PurePosixPath(file).parts[:-1] in (("annotated",), ("csv",))}


def _publish(staged: StagedFile, undo: ExitStack) -> None:
    """Publishes a file; what `undo` is then told to do brings back what stood there. Raises Transient."""
    before = staged.staged.with_name(f"{staged.staged.name}.before")
    try:
        shutil.copy2(staged.target, before)
    except (FileNotFoundError, NotADirectoryError):
        undo.callback(_withdraw, staged.target)
    except OSError as error:
        raise Transient(
            f"{staged.target} cannot be kept while it is replaced: {error.strerror or error}.",
            "Make room, or mend the permissions of the file; then reprocess it once more.",
        ) from error
    else:
        undo.callback(publish, StagedFile(staged=before, target=staged.target))
    publish(staged)


def _withdraw(target: Path) -> None:
    with suppress(OSError):
        target.unlink()


def _check_unchanged(connection: Connection, scan: StoredScan, corrected: Corrected) -> None:
    stamps = select(scans.c.state, scans.c.finished_at).where(scans.c.id == scan.id)
    # Until the end, nobody else replaces its rows, where writers do not wait for each other (PostgreSQL).
    row = connection.execute(stamps.with_for_update()).first()
    is_last = row is not None and row.state == ScanState.DONE and row.finished_at == scan.finished_at
    if not is_last or _corrected(connection, scan) != corrected:
        raise Transient(
            f"{scan.file} was read or corrected by somebody else meanwhile.", "Reprocess it once more."
        )


def _corrected(connection: Connection, scan: StoredScan) -> Corrected:
    told = select(corrections.c.digit_id).where(corrections.c.digit_id.is_not(None))
    of_scan = digits.join(pages, digits.c.page_id == pages.c.id)
    by_hand = or_(digits.c.status == Status.CORRECTED, digits.c.id.in_(told))
    touched = select(digits.c.number_id, pages.c.page).select_from(of_scan)
    touched = touched.where(pages.c.scan_id == scan.id, by_hand)
    wanted = set()
    for row in connection.execute(touched):
        if row.number_id is None:
            raise BadScan(
                f"{scan.file}, page {row.page}: a person corrected a mark that belongs to no number, and its "
                "place in another reading is not known.",
                "The scan keeps the records it has.",
            )
        wanted.add(row.number_id)
    return tuple(
        (report.page["page"], _spoken(scan.file, number))
        for report in page_reports(connection, scan.id)
        for number in report.numbers
        if number.number["id"] in wanted or _is_corrected(connection, number)
    )


def _is_corrected(connection: Connection, report: NumberReport) -> bool:
    if report.number["status"] == Status.CORRECTED:
        return True
    told = select(corrections.c.id).where(corrections.c.number_id == report.number["id"]).limit(1)
    return connection.execute(told).first() is not None


def _spoken(file: str, report: NumberReport) -> NumberReading:
    """A corrected number; where it was corrected as a whole, its digits say the same. Raises BadScan."""
    number = _number(report)
    said = report.number["digits"]
    if number.digits_only == said:
        return number
    if len(number.digits) != len(said):
        raise BadScan(
            f"{file}: a person corrected {number.digits_only} to {said}; not each of its digits has a place.",
            "The scan keeps the records it has.",
        )
    spoken = (
        _digit({**digit, "digit": character, "status": Status.CORRECTED})
        for digit, character in zip(report.digits, said, strict=True)
    )
    return _number(report, tuple(spoken))


def _number(report: NumberReport, own: tuple[DigitReading, ...] | None = None) -> NumberReading:
    row = report.number
    return NumberReading(
        text=row["text"],
        confidence=row["confidence"],
        status=Status(row["status"]),
        box=_box(row),
        digits=own if own is not None else tuple(_digit(digit) for digit in report.digits),
        field=row["field"],
        # Who corrects a number with a program of before leaves the reason for looking at it.
        reason=row["reason"] if row["status"] == Status.REVIEW else None,
        twice=_twice(report.twice) if report.twice else None,
    )


def _twice(row: Fields) -> TwoReadings:
    return TwoReadings(
        first=row["first"],
        first_confidence=row["first_confidence"],
        second=row["second"],
        second_confidence=row["second_confidence"],
        winner=Winner(row["winner"]),
    )


def _digit(row: Fields) -> DigitReading:
    guesses = (
        (row.get("looks_like") or row["digit"], row["confidence"]),
        (row["second"], row["second_confidence"]),
        (row["third"], row["third_confidence"]),
    )
    return DigitReading(
        digit=row["digit"],
        confidence=row["confidence"],
        status=Status(row["status"]),
        box=_box(row),
        reason=row["reason"],
        top=tuple((name, share) for name, share in guesses if name is not None and share is not None),
    )


def _box(row: Fields) -> Box:
    return Box(row["x"], row["y"], row["width"], row["height"])


def _correction_links(connection: Connection, scan_id: int) -> list[tuple[int, _Place, int | None]]:
    """Each correction of a scan: its id, the place of its number, and the digit's position in it, if any."""
    by_digit = _link_query(scan_id, digits.c.position, corrections.c.digit_id == digits.c.id)
    by_number = _link_query(scan_id, None, corrections.c.number_id == numbers.c.id)
    found: dict[int, tuple[int, _Place, int | None]] = {}
    # One that names both is found twice; the digit tells more.
    for query in (by_number, by_digit):
        for row in connection.execute(query):
            found[row[0]] = (row[0], tuple(row[1:6]), row[6] if len(row) > 6 else None)
    return list(found.values())


def _link_query(scan_id: int, position: ColumnElement[int] | None, joined: ColumnElement[bool]) -> Any:
    place = (pages.c.page, numbers.c.x, numbers.c.y, numbers.c.width, numbers.c.height)
    more = () if position is None else (position,)
    query = select(corrections.c.id, *place, *more).select_from(numbers).join(pages)
    if position is not None:
        query = query.join(digits, digits.c.number_id == numbers.c.id)
    return query.join(corrections, joined).where(pages.c.scan_id == scan_id)


def _link_again(connection: Connection, scan_id: int, links: list[tuple[int, _Place, int | None]]) -> None:
    place = (pages.c.page, numbers.c.x, numbers.c.y, numbers.c.width, numbers.c.height)
    query = select(*place, numbers.c.id).select_from(numbers).join(pages).where(pages.c.scan_id == scan_id)
    ids: dict[_Place, int] = {tuple(row[:5]): row[5] for row in connection.execute(query)} if links else {}
    for correction, where, position in links:
        number_id = ids[where]
        this = (digits.c.number_id == number_id, digits.c.position == position)
        digit_id = connection.execute(select(digits.c.id).where(*this)).scalar_one_or_none()
        values = {"number_id": number_id, "digit_id": digit_id if position is not None else None}
        connection.execute(update(corrections).where(corrections.c.id == correction).values(values))
