"""Whether every file below the results belongs to a row, from the files to the rows."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, String, and_, column, select, values

from processor.records import ScanState
from processor.results.database import reading
from processor.results.findings import Finding, Holdings, Kind
from processor.results.inventory import csv_name
from processor.results.originals import FAILED, PROCESSED, kept_name
from processor.results.publish import HASH_DIGITS, UNFINISHED, file_name, output_name, stored_name
from processor.results.schema import outputs, pages, scans

ANNOTATED, CSV = "annotated", "csv"
PART_SECONDS = 3600.0
"""An unfinished file that nobody wrote to for so long is nobody's any more."""

_AT_ONCE = 100
_HASH = re.compile(rf"-([0-9a-f]{{{HASH_DIGITS}}})(?:-p\d+)?(?:\.[^.]*)?(?:\.json)?$")
_SYSTEMS_OWN = frozenset({"thumbs.db", "desktop.ini"})
_UNDER_WAY = frozenset({ScanState.QUEUED, ScanState.RUNNING})


def check_files(holdings: Holdings) -> Iterator[Finding]:
    """Files below the results that belong to no scan, or lie in the wrong place."""
    for folder in (ANNOTATED, CSV, PROCESSED, FAILED):
        names = _names(holdings.results / folder)
        while some := list(islice(names, _AT_ONCE)):
            with reading(holdings.database) as connection:
                yield from _judged(connection, folder, some)


def check_leftovers(results: Path, staging: Path, stale_seconds: float) -> Iterator[Finding]:
    """What killed processes left: staging folders of long ago, and files that were never finished."""
    for path in _entries(staging):
        age = _age_seconds(path)
        if age > stale_seconds:
            yield _leftover(Kind.STAGING, path.relative_to(results).as_posix(), age)
    for folder in ("", ANNOTATED, CSV, PROCESSED, FAILED):
        for path in _entries(results / folder):
            if UNFINISHED.fullmatch(path.name) and (age := _age_seconds(path)) > PART_SECONDS:
                yield _leftover(Kind.PART, path.relative_to(results).as_posix(), age)


def _judged(connection: Connection, folder: str, names: Sequence[str]) -> Iterator[Finding]:
    """What is off with some files of one folder; those of a scan that is being read belong to it."""
    owners = _owners(connection, names)
    for name in names:
        rows = owners.get(_prefix(name), [])
        owner = next((row for row in rows if row.state != ScanState.DUPLICATE), None)
        file = f"{folder}/{stored_name(name)}"
        if owner is None:
            yield _orphan(file, "no scan of this content is known")
        elif folder in (PROCESSED, FAILED):
            yield from _judged_original(folder, file, name, rows, owner)
        elif not _is_output(connection, owner, file):
            yield _orphan(file, f"scan {owner.id}, of this content, names another file", owner.id)


def _judged_original(folder: str, file: str, name: str, rows: Sequence[Any], owner: Any) -> Iterator[Finding]:
    kept = {kept_name(file_name(row.file), row.sha256) for row in rows}
    if name not in kept and (folder == PROCESSED or name.removesuffix(".json") not in kept):
        yield _orphan(file, f"scan {owner.id}, of this content, has another name", owner.id)
    elif folder == FAILED and owner.state == ScanState.DONE:
        yield Finding(
            kind=Kind.FAILED_LEFT,
            file=file,
            found=f"scan {owner.id} was read",
            expected="only what failed",
            scan_id=owner.id,
            repairable=True,
        )


def _is_output(connection: Connection, owner: Any, file: str) -> bool:
    """Whether this is the scan's CSV or a picture of it; of one under way, that the records will name it."""
    if owner.state in _UNDER_WAY:
        return Path(file).name.startswith(output_name(file_name(owner.file), owner.sha256))
    named = select(pages.c.id).where(pages.c.scan_id == owner.id, pages.c.annotated == file)
    if owner.state == ScanState.DONE and file == csv_name(owner):
        return True
    if connection.execute(named).first() is not None:
        return True
    noted = select(outputs.c.id).where(outputs.c.scan_id == owner.id, outputs.c.file == file)
    return connection.execute(noted).first() is not None


def _owners(connection: Connection, names: Sequence[str]) -> dict[str | None, list[Any]]:
    """All rows of the contents that the hashes in these names tell, by the part of the hash in the name."""
    prefixes = sorted({prefix for name in names if (prefix := _prefix(name)) is not None})
    if not prefixes:
        return {}
    # One range a prefix, joined: of a hundred ranges with OR between them SQLite makes a scan of all rows.
    ranges = values(column("low", String), column("high", String), name="ranges")
    ranges_of = ranges.data([(prefix, f"{prefix}g") for prefix in prefixes]).cte("ranges")
    of_prefix = and_(scans.c.sha256 >= ranges_of.c.low, scans.c.sha256 < ranges_of.c.high)
    read = select(scans).join(ranges_of, of_prefix).where(scans.c.state != ScanState.DUPLICATE)
    first = connection.execute(read).all()
    copies = select(scans).where(scans.c.duplicate_of.in_([row.id for row in first]))
    found: dict[str | None, list[Any]] = {}
    for row in (*first, *connection.execute(copies)):
        found.setdefault(row.sha256[:HASH_DIGITS], []).append(row)
    return found


def _prefix(name: str) -> str | None:
    found = _HASH.search(name)
    return found[1] if found else None


def _names(folder: Path) -> Iterator[str]:
    """The names of the files of a folder, without the hidden ones and those of the system."""
    for path in _entries(folder):
        hidden = path.name.startswith(".") or path.name.lower() in _SYSTEMS_OWN
        if not hidden and (path.is_symlink() or not path.is_dir()):
            yield path.name


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                yield Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _orphan(file: str, found: str, scan_id: int | None = None) -> Finding:
    return Finding(kind=Kind.ORPHAN, file=file, found=found, expected="a scan it belongs to", scan_id=scan_id)


def _leftover(kind: Kind, file: str, age: float) -> Finding:
    found = f"untouched for {age / 3600:.0f} h"
    return Finding(kind=kind, file=file, found=found, expected="nothing", repairable=True)
