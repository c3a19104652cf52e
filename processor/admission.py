"""How a scan comes in: hashed, shown to the queue, and ended at once where its content is known already."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine as Database

from processor.accounts import Accounts
from processor.endings import Endings
from processor.errors import BadScan, Transient
from processor.filing import Ended
from processor.intake import queue
from processor.intake.legibility import is_as_listed
from processor.intake.queue import Enqueued, Job
from processor.intake.standing import First, first_of
from processor.intake.sweep import Found, fingerprint
from processor.log_lines import about
from processor.records import ScanState
from processor.settings import Limits
from processor.whereabouts import Whereabouts


class Admission:
    """Lets scans in, each content once."""

    def __init__(
        self,
        database: Database,
        *,
        limits: Limits,
        accounts: Accounts,
        whereabouts: Whereabouts,
        endings: Endings,
    ) -> None:
        self._database = database
        self._most_bytes = limits.max_megabytes * 1e6
        self._accounts = accounts
        self._whereabouts = whereabouts
        self._endings = endings

    def take(self, found: Found, listed_at: datetime, under_way: Collection[Job]) -> None:
        """Shows a scan to the queue; one that is known already ends here, one that still changes is put off.

        What failed before it was listed is tried again: somebody put it back. One that came under the name of
        another that is `under_way` is counted beside it. Raises Away, BadDatabase.
        """
        tally = self._accounts.tally
        with about(file=found.file):
            tally.see(found.path)
            try:
                sha256, fault = fingerprint(found, self._most_bytes)
                # What was hashed may be half of a file that is being written.
                changed = fault is None and not is_as_listed(found)
            except FileNotFoundError:
                tally.forget(found.path)
                return
            self._whereabouts.note(found.root)
            if changed:
                self._accounts.put_off(found.path)
                return
            state = self._enqueue(found, sha256, listed_at)
            if any(job.path == found.path and job.sha256 != sha256 for job in under_way):
                tally.see_another(found.path)
            self._admit(found, sha256, fault, state)

    def _enqueue(self, found: Found, sha256: str, listed_at: datetime) -> Enqueued:
        return queue.enqueue(
            self._database,
            source=found.root,
            file=found.file,
            sha256=sha256,
            bytes=found.size,
            now=datetime.now(UTC),
            failed_before=listed_at,
        )

    def _admit(self, found: Found, sha256: str, fault: str | None, state: Enqueued) -> None:
        scan = Ended(root=found.root, path=found.path, file=found.file, sha256=sha256)
        if state is Enqueued.KNOWN:
            self._endings.end(scan, "ignored", "read before")
        elif state is Enqueued.FAILED:
            # The run that saw it fail reported it. Where that was killed before it moved it, this one does.
            failed = replace(scan, error=BadScan(f"{scan.file} failed in another run."), reported=True)
            self._endings.end(failed, "ignored", "failed in another run")
        elif state is Enqueued.DUPLICATE:
            first = self._first(scan)
            told = first.told(scan.root) if first is not None else "another file"
            self._endings.end(scan, "duplicate", f"the same content as {told}")
            if first is not None and first.state is ScanState.FAILED:
                self._endings.keep_copy_of_failed(first.source, first.file, scan.sha256)
        else:
            self._accounts.queue(found.path, found.file, sha256)
            if fault is not None:
                self._whereabouts.note_fault(sha256, fault)

    def _first(self, scan: Ended) -> First | None:
        """What a duplicate is the duplicate of."""
        # Its row is written: where the database goes away now, the scan is a duplicate all the same.
        with suppress(Transient):
            return first_of(self._database, scan.sha256)
        return None
