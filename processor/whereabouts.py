"""Where the content of a scan lies once it is its turn: it may have been moved, mended or taken away."""

import os
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.errors import BadScan, ContentChanged, TooLarge, Transient, Vanished
from processor.fingerprints import refuse_large, stand_in
from processor.intake.legibility import try_reading
from processor.intake.queue import Job
from processor.intake.standing import has_copy
from processor.mounts import Shares
from processor.results.originals import find_kept, find_original
from processor.settings import Limits


class Whereabouts:
    """Looks for it in its place, then among the originals that are kept in `results`."""

    def __init__(self, database: Database, results: Path, limits: Limits) -> None:
        self._database = database
        self._results = results
        self._limits = limits
        self._shares = Shares()
        self._unreadable: dict[str, str] = {}

    def note(self, root: Path) -> None:
        """Keeps in mind that scans were seen in this folder."""
        self._shares.note(root)

    def note_fault(self, sha256: str, fault: str) -> None:
        """Keeps in mind for what the scan of this fingerprint could not be read when it was listed."""
        self._unreadable[sha256] = fault

    def forget(self, sha256: str) -> None:
        """A scan was dealt with."""
        self._unreadable.pop(sha256, None)

    def find(self, job: Job) -> Path:
        """Where to read it; one that could not be read when it was listed is tried once more.

        Raises ContentChanged where something else is to be read, BadScan where it cannot be, and Transient
        where that may pass.
        """
        if (fault := self._unreadable.get(job.sha256)) is not None:
            try_reading(job.path, job.file, fault)
        if (kept := find_kept(job.file, job.sha256, self._results)) is not None:
            # It was moved as a copy, until what it was a copy of changed; another may lie in its place.
            return kept
        if os.path.lexists(job.path):
            self._refuse_unread(job)
            return job.path
        if not self._shares.reaches(job.source):
            raise Transient(f"{job.source} is away.", "Bring the folder back.")
        try:
            return find_original(job.source, job.file, job.sha256, self._results)
        except BadScan as missing:
            if has_copy(self._database, job):
                # It was renamed while it waited, for one: under its new name it counts as a copy by now.
                raise ContentChanged(missing.message, "A copy of it is read.") from None
            raise Vanished(missing.message, missing.remedy) from None

    def _refuse_unread(self, job: Job) -> None:
        """Raises TooLarge of a file that is, and ContentChanged where it is not what was queued."""
        try:
            facts = job.path.stat()
        except OSError:
            return  # whoever opens it tells why that cannot be
        unread = stand_in(job.path, facts.st_size, facts.st_mtime_ns) == job.sha256
        try:
            refuse_large(facts.st_size, job.file, self._limits)
        except TooLarge:
            if unread:
                raise
            raise ContentChanged(f"{job.path} holds something else by now.") from None
        if unread:
            # The limit was raised, or it was made readable, since an earlier run saw it.
            raise ContentChanged(f"{job.path} can be read by now.")
