"""Whether originals and published files are what the records say, from the rows to the files."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, or_, select

from processor.fingerprints import stands_for
from processor.records import ScanState, Status
from processor.results.database import reading
from processor.results.findings import Finding, Holdings, Kind, Looked
from processor.results.originals import FAILED, PROCESSED, content_of, find_copy, kept_copies, kept_name
from processor.results.publish import file_name, output_name
from processor.results.schema import corrections, digits, numbers, outputs, pages, scans
from processor.results.tables import COLUMNS, EARLIER_COLUMNS, stored_csv
from processor.states import DISMISSED

_AT_ONCE = 200
# What could not even be opened has no content to compare, and a link that led nowhere no original.
_NOT_READ = "cannot be read: "
_LED_NOWHERE = "which cannot be reached"


def check_scans(
    holdings: Holdings, looked: Looked, advance: Callable[[int], None], only: Collection[int] | None = None
) -> Iterator[Finding]:
    """Holds every scan, or `only` those with these ids, against the files: original, outputs, report.

    The rows come in small lots, each as of one moment, so that a long look holds back no one who writes.
    """
    last = 0
    while lot := _lot(holdings, last, only):
        for scan, files in lot:
            looked.scans += 1
            yield from _CHECKS.get(scan.state, _check_waiting)(holdings, scan, looked)
            yield from _check_outputs(holdings, scan, files, looked)
        last = lot[-1][0].id
        advance(len(lot))


class _Files:
    """What the records say of a scan's outputs: hashes by file, pictures that pages name, and its CSV."""

    def __init__(self, hashes: dict[str, str], pictures: Sequence[str], csv_sha256: str) -> None:
        self.hashes = hashes
        self.pictures = pictures
        self.csv_sha256 = csv_sha256


def _lot(holdings: Holdings, last: int, only: Collection[int] | None) -> list[tuple[Any, _Files | None]]:
    query = select(scans).where(scans.c.id > last).order_by(scans.c.id).limit(_AT_ONCE)
    if only is not None:
        query = query.where(scans.c.id.in_(sorted(i for i in only if i > last)[:_AT_ONCE]))
    with reading(holdings.database) as connection:
        rows = connection.execute(query).all()
        done = [row.id for row in rows if row.state == ScanState.DONE]
        hashes, pictures = _hashes(connection, done), _pictures(connection, done)
        return [
            (row, _Files(hashes.get(row.id, {}), pictures.get(row.id, []), csv_digest(connection, row.id)))
            if row.state == ScanState.DONE
            else (row, None)
            for row in rows
        ]


def csv_digest(connection: Connection, scan_id: int, columns: Sequence[str] = COLUMNS) -> str:
    """The hash that a scan's CSV has while it says what the records say."""
    digest = hashlib.sha256()
    for line in stored_csv(connection, scan_id, columns):
        digest.update(line)
    return digest.hexdigest()


def _hashes(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    query = select(outputs).where(outputs.c.scan_id.in_(ids)).order_by(outputs.c.scan_id)
    grouped = groupby(connection.execute(query), key=lambda row: int(row.scan_id))
    return {scan_id: {row.file: row.sha256 for row in rows} for scan_id, rows in grouped}


def _pictures(connection: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    query = select(pages.c.scan_id, pages.c.annotated).where(pages.c.annotated.is_not(None))
    query = query.where(pages.c.scan_id.in_(ids)).order_by(pages.c.scan_id, pages.c.page)
    grouped = groupby(connection.execute(query), key=lambda row: int(row.scan_id))
    return {scan_id: [row.annotated for row in rows] for scan_id, rows in grouped}


def _counted(path: Path, looked: Looked) -> str | None:
    """As `content_of`, and counted among what was looked at."""
    sha256 = content_of(path)
    if sha256 is not None:
        with suppress(OSError):
            looked.bytes += path.stat().st_size
        looked.files += 1
    return sha256


def place_of(scan: Any) -> tuple[Path, str]:
    """The folder that a scan was found in, and its file below it, as the file system has them."""
    return Path(file_name(scan.source)), file_name(scan.file)


def is_away(source: Path, path: Path) -> bool:
    """Whether the folder of a scan cannot be reached, as when a share is not mounted: it is no fault then."""
    try:
        with os.scandir(source) as listing:
            return next(listing, None) is None or not path.parent.is_dir()
    except OSError:
        return True


def _check_done(holdings: Holdings, scan: Any, looked: Looked) -> Iterator[Finding]:
    source, file = place_of(scan)
    kept, here = holdings.results / PROCESSED / kept_name(file, scan.sha256), source / file
    if _counted(kept, looked) == scan.sha256:
        return
    due = kept.relative_to(holdings.results).as_posix()
    if _counted(here, looked) == scan.sha256:
        if source == holdings.inbox:
            yield _finding(Kind.ORIGINAL_DUE, scan, f"still at {here}", due, repairable=True)
    elif os.path.lexists(kept):
        yield _finding(Kind.ORIGINAL_CHANGED, scan, _content(kept), scan.sha256, file=due)
    elif source == holdings.inbox:
        copies = kept_copies(scan.sha256, holdings.results)
        if not any(_counted(copy, looked) == scan.sha256 for copy in copies):
            yield _finding(Kind.ORIGINAL_MISSING, scan, "neither there nor in the inbox", due)
    elif is_away(source, here):
        looked.away[str(source)] += 1
    elif os.path.lexists(here):
        yield _finding(Kind.ORIGINAL_CHANGED, scan, _content(here), scan.sha256)
    else:
        yield _finding(Kind.ORIGINAL_MISSING, scan, f"nothing at {here}", "the scan, where it was read")


def _check_duplicate(holdings: Holdings, scan: Any, looked: Looked) -> Iterator[Finding]:
    """A copy may be gone: its content is kept with the scan that was read. But it may not be left behind."""
    source, file = place_of(scan)
    kept, here = holdings.results / PROCESSED / kept_name(file, scan.sha256), source / file
    if source == holdings.inbox and not kept.exists() and _counted(here, looked) == scan.sha256:
        due = kept.relative_to(holdings.results).as_posix()
        yield _finding(Kind.ORIGINAL_DUE, scan, f"still at {here}", due, repairable=True)


def _check_failed(holdings: Holdings, scan: Any, looked: Looked) -> Iterator[Finding]:
    if scan.error == DISMISSED:
        return  # What was kept of it may be there or not: a person decided that nobody needs it.
    source, file = place_of(scan)
    kept, here = holdings.results / FAILED / kept_name(file, scan.sha256), source / file
    due = kept.relative_to(holdings.results).as_posix()
    if not kept.with_name(f"{kept.name}.json").is_file():
        yield _finding(Kind.REPORT_MISSING, scan, "none", f"{due}.json", repairable=True)
    # Only what came from the inbox was moved; the inbox itself may have been moved since.
    was_moved = source == holdings.inbox or os.path.lexists(kept)
    if not was_moved or _LED_NOWHERE in (scan.message or ""):
        return
    if stands_for(kept, scan.sha256, was=here):
        return
    found = _counted(kept, looked)
    never_opened = (scan.message or "").startswith(f"{scan.file} {_NOT_READ}")
    if found == scan.sha256 or (never_opened and os.path.lexists(kept)):
        return
    if os.path.lexists(kept):
        yield _finding(Kind.ORIGINAL_CHANGED, scan, _content(kept), scan.sha256, file=due)
    elif stands_for(here, scan.sha256) or _counted(here, looked) == scan.sha256:
        yield _finding(Kind.ORIGINAL_DUE, scan, f"still at {here}", due, repairable=True)
    elif (copy := find_copy(scan.sha256, holdings.results)) is not None:
        told = f"kept as {copy.relative_to(holdings.results).as_posix()}"
        yield _finding(Kind.ORIGINAL_DUE, scan, told, due, repairable=True)
    elif not _was_succeeded(holdings, scan):
        yield _finding(Kind.ORIGINAL_MISSING, scan, "neither there nor in the inbox", due)


def _was_succeeded(holdings: Holdings, scan: Any) -> bool:
    """Whether a later content came under the same name: somebody took the original back, and mended it."""
    here = (scans.c.source == scan.source, scans.c.file == scan.file, scans.c.id > scan.id)
    with reading(holdings.database) as connection:
        return connection.execute(select(scans.c.id).where(*here).limit(1)).first() is not None


def _check_waiting(holdings: Holdings, scan: Any, looked: Looked) -> Iterator[Finding]:
    source, file = place_of(scan)
    here = source / file
    kept = holdings.results / PROCESSED / kept_name(file, scan.sha256)
    if os.path.lexists(here) or _counted(kept, looked) == scan.sha256:
        return
    if is_away(source, here) and source != holdings.inbox:
        looked.away[str(source)] += 1
    else:
        yield _finding(Kind.GONE, scan, f"nothing at {here}", f"the scan, which is {scan.state}")


_CHECKS = {
    ScanState.DONE.value: _check_done,
    ScanState.FAILED.value: _check_failed,
    ScanState.DUPLICATE.value: _check_duplicate,
}


def _check_outputs(holdings: Holdings, scan: Any, files: _Files | None, looked: Looked) -> Iterator[Finding]:
    if files is None:
        return
    table = csv_name(scan)
    found = _counted(holdings.results / table, looked)
    if found != files.csv_sha256 and not _is_of_earlier_version(holdings, scan, found):
        if found is not None and found == files.hashes.get(table) and not _is_corrected(holdings, scan):
            yield _records_changed(scan, table, found, files.csv_sha256)
        else:
            told = "none" if found is None else found
            yield _finding(Kind.CSV, scan, told, files.csv_sha256, file=table, repairable=True)
    elif files.hashes.get(table, found) != found:
        told = f"the records give it the hash {files.hashes[table]}"
        yield _finding(Kind.CSV, scan, told, str(found), file=table, repairable=True)
    named = set(files.pictures)
    for picture in sorted(named | files.hashes.keys() - {table}):
        if picture not in named:
            told = "in the records of published files, but of no page"
            yield _finding(Kind.PICTURE_UNNAMED, scan, told, "a page that names it", file=picture)
        found = _counted(holdings.results / picture, looked) if _lies_below(picture) else None
        expected = files.hashes.get(picture, found)
        if found is None:
            yield _finding(Kind.PICTURE_MISSING, scan, "none", expected or "a picture", file=picture)
        elif found != expected:
            yield _finding(Kind.PICTURE_CHANGED, scan, found, str(expected), file=picture)
    looked.unhashed += sum(name not in files.hashes for name in (*named, table))


def _is_of_earlier_version(holdings: Holdings, scan: Any, found: str | None) -> bool:
    """Whether a CSV says what the records say, in the columns that were all of them once."""
    with reading(holdings.database) as connection:
        return found == csv_digest(connection, scan.id, EARLIER_COLUMNS)


def _is_corrected(holdings: Holdings, scan: Any) -> bool:
    """Whether a person corrected a number of the scan: its records say something else than was read."""
    told = or_(corrections.c.number_id == numbers.c.id, corrections.c.digit_id == digits.c.id)
    touched = or_(
        numbers.c.status == Status.CORRECTED,
        digits.c.status == Status.CORRECTED,
        select(corrections.c.id).where(told).exists(),
    )
    of_scan = numbers.join(pages).outerjoin(digits, digits.c.number_id == numbers.c.id)
    query = select(numbers.c.id).select_from(of_scan).where(pages.c.scan_id == scan.id, touched)
    with reading(holdings.database) as connection:
        return connection.execute(query.limit(1)).first() is not None


def _records_changed(scan: Any, table: str, found: str, expected: str) -> Finding:
    """The CSV is as it was published: written anew, it would be the last to know what was read."""
    return Finding(
        kind=Kind.CSV,
        file=table,
        found=f"{found}, as it was published",
        expected=f"what the records say by now: {expected}",
        scan_id=scan.id,
        remedy=f"The records changed: restore a copy, or read it again: `processor reprocess {scan.id}`.",
    )


def _lies_below(file: str) -> bool:
    """Whether a name of the records stays below the results folder: nothing else is looked at."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def csv_name(scan: Any) -> str:
    """Where a scan's CSV lies below the results folder."""
    return f"csv/{output_name(file_name(scan.file), scan.sha256)}.csv"


def _content(path: Path) -> str:
    return content_of(path) or "cannot be read"


def _finding(
    kind: Kind, scan: Any, found: str, expected: str, *, file: str | None = None, repairable: bool = False
) -> Finding:
    return Finding(
        kind=kind,
        file=file or scan.file,
        found=found,
        expected=expected,
        scan_id=scan.id,
        repairable=repairable,
    )
