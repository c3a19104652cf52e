"""Where the content of a scan lies once it is its turn: it may have been moved, mended or taken away."""

import os
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.errors import BadScan, ContentChanged, Transient, Vanished
from processor.intake.legibility import try_reading
from processor.intake.queue import Job
from processor.intake.standing import has_copy
from processor.mounts import Shares
from processor.results.originals import find_original


class Whereabouts:
    """Looks for it in its place, then among the originals that are kept in `results`."""

    def __init__(self, database: Database, results: Path) -> None:
        self._database = database
        self._results = results
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
        if os.path.lexists(job.path):
            return job.path
        if not self._shares.reaches(job.source):
            raise Transient(f"{job.source} is away.", "Bring the folder back.")
        # Its content may lie among the processed ones, as a copy that was a duplicate until this one changed.
        try:
            return find_original(job.source, job.file, job.sha256, self._results)
        except BadScan as missing:
            if has_copy(self._database, job):
                # It was renamed while it waited, for one: under its new name it counts as a copy by now.
                raise ContentChanged(missing.message, "A copy of it is read.") from None
            raise Vanished(missing.message, missing.remedy) from None
