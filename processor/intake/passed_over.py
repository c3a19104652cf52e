"""What lies in an inbox and stands in no record: files that are no scans, and scans that no run has seen."""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine as Database
from sqlalchemy import select

from processor.intake.folders import Folders
from processor.intake.names import Ignored, is_no_scan_name, is_scan_name
from processor.intake.places import Place
from processor.intake.sweep import walk
from processor.results.database import reading
from processor.results.publish import stored_name
from processor.results.schema import scans
from processor.settings import Intake

LOOK_SECONDS = 2.0
"""A look takes no longer: who asks how it goes would rather know of some of a million files than wait."""

_AT_ONCE = 500


@dataclass(slots=True)
class PassedOver:
    """How many files there are of a kind, and one of them; `complete` is false where there may be more."""

    no_scans: int = 0
    first_no_scan: str | None = None
    unseen: int = 0
    first_unseen: str | None = None
    complete: bool = True

    def add_no_scan(self, file: str) -> None:
        self.first_no_scan = self.first_no_scan or file
        self.no_scans += 1

    def add_unseen(self, file: str) -> None:
        self.first_unseen = self.first_unseen or file
        self.unseen += 1


def no_scans(count: int, first: str | None) -> str:
    """How many files are no scans, with one of them."""
    return f"{first} is no scan" if count == 1 else f"{count} files are no scans (first: {first})"


def passed_over(
    places: Sequence[Place],
    intake: Intake,
    *,
    own: Iterable[Path] = (),
    database: Database | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> PassedOver:
    """What lies at the folders of `places`, without those in `own`; without a `database`, of no scans alone.

    A scan was seen where a row tells of a file of its place and size: nothing is opened.
    Raises Transient, BadDatabase.
    """
    found = PassedOver()
    end = clock() + LOOK_SECONDS
    ignored, skip = Ignored(intake.ignore), frozenset(map(str, own))
    for place in places:
        if place.named is not None:
            continue
        below = len(os.path.join(place.root, ""))  # noqa: PTH118  (the root with its slash, "/" too)
        waiting: list[tuple[str, int]] = []
        for path in _until(end, clock, found, _files(place.path, intake.recursive, skip)):
            name, file = path.rpartition(os.sep)[2], path[below:].replace(os.sep, "/")
            if file in ignored:
                continue
            if is_no_scan_name(name):
                found.add_no_scan(file)
            elif database is not None and is_scan_name(name) and (size := _size(path)) is not None:
                waiting.append((file, size))
                if len(waiting) == _AT_ONCE:
                    _note_unseen(database, place.root, waiting, found)
                    waiting.clear()
        if database is not None and waiting:
            _note_unseen(database, place.root, waiting, found)
    return found


def _files(folder: Path, recursive: bool, skip: Collection[str]) -> Iterator[str]:
    def leave(_: str) -> None:
        """What cannot be listed is said by the run that meets it."""

    return walk(str(folder), recursive, frozenset(skip), Folders(), leave, leave)


def _until(end: float, clock: Callable[[], float], found: PassedOver, paths: Iterator[str]) -> Iterator[str]:
    for path in paths:
        if clock() > end:
            found.complete = False
            return
        yield path


def _size(path: str) -> int | None:
    """Bytes of a file; `None` for a link, a pipe or a device, which no run reads."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _note_unseen(
    database: Database, root: Path, waiting: Sequence[tuple[str, int]], found: PassedOver
) -> None:
    stored = {stored_name(file) for file, _ in waiting}
    of_place = (scans.c.source == str(root), scans.c.file.in_(stored))
    with reading(database) as connection:
        known = {
            (row.file, row.bytes)
            for row in connection.execute(select(scans.c.file, scans.c.bytes).where(*of_place))
        }
    for file, size in waiting:
        if (stored_name(file), size) not in known:
            found.add_unseen(file)
