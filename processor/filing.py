"""The files around the records of a scan: its outputs before them, its original and the table after."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.backoff import Backoff
from processor.errors import Away, DigitInboxError, Transient
from processor.records import StagedFile
from processor.results.ledger import PublishedFile
from processor.results.originals import (
    lies_below,
    move_failed,
    move_processed,
    report_failure,
    take_from_processed,
)
from processor.results.publish import publish
from processor.results.tables import write_all_numbers

MOST_OWED = 1000
"""So many originals that cannot be moved are kept in mind; the next start finds the others where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A scan that was dealt with; with `error` it failed, `reported` once its report is written."""

    root: Path
    path: Path
    file: str
    sha256: str
    error: DigitInboxError | None = None
    reported: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def publish_outputs(staged: Sequence[StagedFile], results: Path) -> tuple[PublishedFile, ...]:
    """Gives the outputs of a scan their names, and tells what the records keep of them. Raises Transient."""
    noted = tuple(as_published(file, results) for file in staged)
    for file in staged:
        publish(file)
    return noted


class Table:
    """`numbers.csv`, all numbers of all scans: refreshed where anything was read since."""

    def __init__(self, database: Database, results: Path, warn: Callable[[str], None]) -> None:
        self.stale = True
        self._database = database
        self._target = results / "numbers.csv"
        self._warn = warn
        self._backoff = Backoff()

    def refresh(self, *, at_once: bool = False) -> None:
        """Writes it where that is due; what the disk refuses is said, and tried later. Raises Away."""
        if not self.stale or not (at_once or self._backoff.due):
            return
        try:
            write_all_numbers(self._database, self._target)
        except Away:
            raise
        except Transient as fault:
            self._warn(f"{fault} The numbers are in the database.")
            self._backoff.failed()
        else:
            self.stale = False
            self._backoff.succeeded()


class Filing:
    """Moves what lay in the inbox to the processed or the failed ones, and reports failures of any folder.

    The records are committed by then: a folder that cannot be written stops no scan. What is owed is tried
    again, with pauses that grow. `check` raises Away while the results are, and is asked right before each
    file: what is moved to a folder whose share was just unmounted lies hidden below it once it is back.
    """

    def __init__(
        self, inbox: Path, results: Path, *, check: Callable[[], None], warn: Callable[[str], None]
    ) -> None:
        self._inbox = inbox
        self._results = results
        self._check = check
        self._warn = warn
        self._owed: dict[tuple[Path, str], Ended] = {}
        self._backoff = Backoff()

    @property
    def owed(self) -> int:
        """How many scans have no report yet, or an original that does not lie where it belongs."""
        return len(self._owed)

    def report(self, scan: Ended) -> Ended:
        """Writes the report of a failure before the records tell of it, or leaves that for later."""
        try:
            self._report(scan)
        except Transient:
            return scan
        return replace(scan, reported=True)

    def file(self, scan: Ended) -> None:
        """Moves the original of a scan whose end is recorded."""
        try:
            self._settle(scan)
        except Transient as fault:
            self._owed[scan.path, scan.sha256] = scan
            if len(self._owed) == 1:
                self._backoff.failed()
                self._warn(f"{fault} The scan was dealt with; its original stays where it is until then.")
            elif len(self._owed) > MOST_OWED:
                del self._owed[next(iter(self._owed))]

    def catch_up(self, *, at_once: bool = False) -> None:
        """Tries again what is owed, where that is due."""
        if not self._owed or not (at_once or self._backoff.due):
            return
        for key, scan in list(self._owed.items()):
            try:
                self._settle(scan)
            except Transient:
                continue
            del self._owed[key]
        if self._owed:
            self._backoff.failed()
        else:
            self._backoff.succeeded()

    def _settle(self, scan: Ended) -> None:
        if scan.error is not None and not scan.reported:
            self._report(scan)
        # Somebody may have taken it away since it was read, or put a link in the place of its folder.
        if scan.root == self._inbox and os.path.lexists(scan.path) and lies_below(scan.root, scan.path):
            move = move_processed if scan.error is None else move_failed
            self._check()
            move(scan.path, scan.file, scan.sha256, self._results)
        if scan.error is not None:
            self.gather_failed(scan.root, scan.file, scan.sha256)

    def gather_failed(self, root: Path, file: str, sha256: str) -> None:
        """Moves what is left of a failed scan of the inbox to the failed ones, where it was moved as a copy.

        So it is where a scan is renamed while it is read: under its new name it is a copy. Raises Transient.
        """
        if root == self._inbox:
            self._check()
            take_from_processed(file, sha256, self._results)

    def _report(self, scan: Ended) -> None:
        if scan.error is not None:
            self._check()
            report_failure(scan.path, scan.file, scan.sha256, scan.error, scan.at, self._results)


def as_published(file: StagedFile, results: Path) -> PublishedFile:
    """What the records keep of an output, as long as it is staged. Raises Transient."""
    try:
        with file.staged.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Transient(f"{file.staged} cannot be read: {error.strerror}.", "It is tried again.") from error
    return PublishedFile(file=file.target.relative_to(results).as_posix(), sha256=sha256, bytes=size)
