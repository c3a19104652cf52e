"""Mends what a verification found, where the records or the files tell how: nothing is guessed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from processor.records import ScanState
from processor.results.consistency import first_of
from processor.results.counts import recount
from processor.results.database import reading, writing
from processor.results.findings import Finding, Holdings, Kind
from processor.results.inventory import csv_digest, csv_name, place_of
from processor.results.originals import (
    PROCESSED,
    content_of,
    holds,
    is_kept_as_failed,
    lies_below,
    move_failed,
    move_processed,
    take_from_processed,
    write_report,
)
from processor.results.publish import file_name, move_original, write_whole
from processor.results.schema import outputs, pages, scans
from processor.results.tables import COLUMNS, EARLIER_COLUMNS, stored_csv, write_all_numbers

_AT_ONCE = 200


def mend(holdings: Holdings, finding: Finding, put_back: Callable[[], object]) -> bool:
    """Mends one finding; False where that is no longer needed, or would be a guess by now.

    What it was found by is looked at once more before anything is touched. `put_back` queues the scans of
    processes that ended. Raises Transient, BadDatabase where the disk or the database refuses.
    """
    if not finding.repairable:
        return False
    if finding.kind is Kind.LOST:
        put_back()
        scan = _scan(holdings, finding.scan_id)
        return scan is not None and scan.state != ScanState.RUNNING
    if finding.kind is Kind.NUMBERS:
        write_all_numbers(holdings.database, holdings.results / finding.file)
        return True
    if finding.kind in (Kind.STAGING, Kind.PART):
        return _remove(holdings.results / finding.file)
    scan = _scan(holdings, finding.scan_id)
    return scan is not None and _OF_SCANS[finding.kind](holdings, scan, finding)


def note_hashes(holdings: Holdings) -> int:
    """Notes the hashes of CSVs that an earlier version wrote, where they say what the records say; how many.

    Of its pictures nobody can tell whether they are as they were written. Raises as `mend`.
    """
    noted, last = 0, 0
    while some := _without_hash(holdings, last):
        for scan in some:
            with writing(holdings.database) as connection:
                _keep_to_oneself(connection, scan)
                digest = content_of(holdings.results / csv_name(scan))
                said = (csv_digest(connection, scan.id, columns) for columns in (COLUMNS, EARLIER_COLUMNS))
                if digest is not None and digest in said:
                    _note_csv(connection, holdings, scan, digest)
                    noted += 1
        last = some[-1].id
    return noted


def _without_hash(holdings: Holdings, last: int) -> list[Any]:
    """The next scans that were read and whose CSV has no row."""
    of_csv = and_(outputs.c.scan_id == scans.c.id, outputs.c.file.like("csv/%"))
    query = select(scans).outerjoin(outputs, of_csv).where(outputs.c.id.is_(None), scans.c.id > last)
    query = query.where(scans.c.state == ScanState.DONE).order_by(scans.c.id).limit(_AT_ONCE)
    with reading(holdings.database) as connection:
        return list(connection.execute(query).all())


def _scan(holdings: Holdings, scan_id: int | None) -> Any:
    with reading(holdings.database) as connection:
        return connection.execute(select(scans).where(scans.c.id == scan_id)).one_or_none()


def _point_at_first(holdings: Holdings, scan: Any, _: Finding) -> bool:
    with writing(holdings.database) as connection:
        first = connection.execute(first_of(scan.sha256)).scalars().all()
        if len(first) != 1:
            return False
        copy = (scans.c.id == scan.id, scans.c.state == ScanState.DUPLICATE)
        done = connection.execute(update(scans).where(*copy).values(duplicate_of=first[0]))
        return done.rowcount == 1


def _move(holdings: Holdings, scan: Any, _: Finding) -> bool:
    source, file = place_of(scan)
    if source != holdings.inbox or not lies_below(source, source / file):
        return False
    if scan.state == ScanState.FAILED and not os.path.lexists(source / file):
        take_from_processed(file, scan.sha256, holdings.results)
        return is_kept_as_failed(file, scan.sha256, holdings.results)
    if not holds(source / file, scan.sha256):
        return False
    move = move_failed if scan.state == ScanState.FAILED else move_processed
    move(source / file, file, scan.sha256, holdings.results)
    return True


def _write_csv(holdings: Holdings, scan: Any, _: Finding) -> bool:
    """Within the transaction: nobody may replace the rows, and their CSV, meanwhile."""
    with writing(holdings.database) as connection:
        _keep_to_oneself(connection, scan)
        write_whole(holdings.results / csv_name(scan), b"".join(stored_csv(connection, scan.id)))
        _note_csv(connection, holdings, scan, csv_digest(connection, scan.id))
    return True


def _keep_to_oneself(connection: Connection, scan: Any) -> None:
    """Nobody else replaces the rows of a scan until the transaction ends; on SQLite nobody can anyway."""
    connection.execute(select(scans.c.id).where(scans.c.id == scan.id).with_for_update()).all()


def _note_csv(connection: Connection, holdings: Holdings, scan: Any, digest: str) -> None:
    file = csv_name(scan)
    size = (holdings.results / file).stat().st_size
    connection.execute(delete(outputs).where(outputs.c.scan_id == scan.id, outputs.c.file == file))
    row = {"scan_id": scan.id, "file": file, "sha256": digest, "bytes": size}
    connection.execute(insert(outputs), row)


def _report_again(holdings: Holdings, scan: Any, _: Finding) -> bool:
    if scan.state != ScanState.FAILED:
        return False
    source, file = place_of(scan)
    write_report(
        source / file,
        file,
        scan.sha256,
        error=scan.error or "",
        message=scan.message or "",
        remedy="",
        when=scan.finished_at,
        results=holdings.results,
    )
    return True


def _take_out(holdings: Holdings, scan: Any, finding: Finding) -> bool:
    """What lies among the failed though its scan was read: the report goes, the original joins the others."""
    left = holdings.results / file_name(finding.file)
    if scan.state != ScanState.DONE or not _has_pages(holdings, scan):
        # Done, and without a page: the report may be the last to tell that it failed.
        return False
    if left.suffix == ".json":
        return _remove(left)
    if content_of(left) != scan.sha256:
        return False
    move_original(left, holdings.results / PROCESSED / left.name)
    return True


def _recount(holdings: Holdings, scan: Any, _: Finding) -> bool:
    with writing(holdings.database) as connection:
        _keep_to_oneself(connection, scan)
        of_scan = select(pages.c.id).where(pages.c.scan_id == scan.id)
        for page_id in connection.execute(of_scan).scalars().all():
            recount(connection, page_id)
    return True


def _has_pages(holdings: Holdings, scan: Any) -> bool:
    with reading(holdings.database) as connection:
        of_scan = select(pages.c.id).where(pages.c.scan_id == scan.id).limit(1)
        return connection.execute(of_scan).first() is not None


_OF_SCANS: dict[Kind, Callable[[Holdings, Any, Finding], bool]] = {
    Kind.DUPLICATE: _point_at_first,
    Kind.ORIGINAL_DUE: _move,
    Kind.COUNTS: _recount,
    Kind.CSV: _write_csv,
    Kind.REPORT_MISSING: _report_again,
    Kind.FAILED_LEFT: _take_out,
}


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True
