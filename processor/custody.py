"""The way of one scan: found, hashed, queued, claimed, read, published, committed, and only then moved."""

import hashlib
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine as Database

from processor.engines.tasks import Outcome, ScanTask
from processor.errors import BadScan, DigitInboxError, Transient
from processor.intake import queue
from processor.intake.queue import Enqueued, Job
from processor.intake.sweep import Found, fingerprint
from processor.log_lines import about
from processor.prediction.archive import ModelFolder
from processor.records import ScanResult
from processor.results.ledger import UsedModel
from processor.results.originals import move_failed, move_processed, report_failure, withdraw_failure
from processor.results.publish import publish
from processor.results.tables import write_all_numbers
from processor.results.tally import Tally

ATTEMPTS = 3
"""A fault that may pass (a killed worker, a full disk) gets this many tries before the scan fails."""

LEASE_SECONDS = 60.0
"""How long a claimed scan belongs to a process that shows no sign of life."""


class Listener(Protocol):
    """Hears what happens, to show it."""

    def listed(self, count: int) -> None:
        """So many more scans are to be dealt with."""

    def ended(self, file: str, state: str, detail: str) -> None:
        """A scan ended as done, failed, duplicate or ignored."""

    def say(self, text: str) -> None:
        """Something a person may want to know."""

    def warn(self, text: str) -> None:
        """Something a person should know."""


class Custody:
    """Has the scans of one run in its keeping: it alone queues, commits and moves, in the parent process."""

    def __init__(
        self,
        database: Database,
        *,
        inbox: Path,
        results: Path,
        staging: Path,
        listener: Listener,
    ) -> None:
        self.tally = Tally()
        self._database = database
        self._inbox = inbox
        self._results = results
        self._staging = staging
        self._listener = listener
        self._faults: dict[str, str] = {}
        self._under_way: dict[int, Job] = {}
        self._read_with: dict[int, ModelFolder] = {}
        self._numbers_stale = True

    @property
    def under_way(self) -> int:
        """How many scans are claimed."""
        return len(self._under_way)

    @property
    def models_under_way(self) -> set[Path]:
        """The folders of the models that these scans are read with."""
        return {model.path for model in self._read_with.values()}

    def take(self, found: Found, listed_at: datetime) -> None:
        """Shows a scan to the queue; one that is known already ends here.

        What failed before it was listed is tried again: somebody put it back. Raises Transient, BadDatabase.
        """
        with about(file=found.file):
            self._take(found, listed_at)

    def _take(self, found: Found, listed_at: datetime) -> None:
        self.tally.see(found.path)
        try:
            sha256, fault = fingerprint(found)
        except FileNotFoundError:
            self.tally.forget(found.path)
            return
        if any(job.path == found.path and job.sha256 != sha256 for job in self._under_way.values()):
            self.tally.see_another(found.path)
        if fault is not None:
            self._faults[sha256] = fault
        state = queue.enqueue(
            self._database,
            source=found.root,
            file=found.file,
            sha256=sha256,
            bytes=found.size,
            now=_now(),
            failed_before=listed_at,
        )
        if state is Enqueued.KNOWN:
            self._end(found.root, found.path, found.file, sha256, "ignored", "read before")
        elif state is Enqueued.DUPLICATE:
            self._end(
                found.root, found.path, found.file, sha256, "duplicate", "its content was seen elsewhere"
            )

    def next_task(self, sources: set[Path], model: ModelFolder | None = None) -> ScanTask | None:
        """Claims the next scan of these inboxes that can be read, to be read with `model`.

        `None` where none waits. Raises Transient, BadDatabase.
        """
        while (job := queue.claim(self._database, _now(), LEASE_SECONDS, sources=sources)) is not None:
            # A scan that an earlier run left in the queue was not seen by this one yet.
            self.tally.see(job.path)
            fault = self._faults.get(job.sha256)
            if fault is None:
                self._under_way[job.id] = job
                if model is not None:
                    self._read_with[job.id] = model
                staging = self._staging / f"{job.id}-{job.attempts}"
                staging.mkdir()
                return ScanTask(
                    id=job.id,
                    source=job.path,
                    file=job.file,
                    sha256=job.sha256,
                    staging=staging,
                    model=model.path if model is not None else None,
                )
            with about(scan=job.id, file=job.file):
                error = BadScan(f"{job.file} {fault}.", "Make the file readable, then drop it in again.")
                self._fail(job, error)
        return None

    def commit(self, outcome: Outcome) -> None:
        """Publishes and commits what came of a task. Raises what makes going on useless (BadModel, …)."""
        job = self._under_way.pop(outcome.task.id)
        model = self._read_with.pop(job.id, None)
        with about(scan=job.id, file=job.file):
            try:
                self._settle(job, outcome.result, model)
            except Transient as fault:
                self._try_again(job, fault)
            finally:
                shutil.rmtree(outcome.task.staging, ignore_errors=True)

    def recover(self) -> None:
        """Puts the scans of processes that died back in the queue."""
        queue.recover(self._database, _now())
        with suppress(OSError):
            # Another run takes a folder that nobody touched for a day for one that was left behind.
            os.utime(self._staging)

    def keep_alive(self) -> None:
        """Prolongs the leases of everything under way."""
        for job in self._under_way.values():
            queue.heartbeat(self._database, job, _now(), LEASE_SECONDS)

    def write_numbers(self) -> None:
        """Refreshes `numbers.csv`, where anything was read since. Raises Transient."""
        if self._numbers_stale:
            write_all_numbers(self._database, self._results / "numbers.csv")
            self._numbers_stale = False

    def give_back(self) -> None:
        """Puts what is under way back in the queue, for a run that ends before it was read."""
        for job in self._under_way.values():
            queue.give_back(self._database, job)
        self._under_way.clear()
        self._read_with.clear()

    def _settle(self, job: Job, result: ScanResult | DigitInboxError, model: ModelFolder | None) -> None:
        if isinstance(result, BadScan):
            self._fail(job, result)
        elif isinstance(result, DigitInboxError):
            if not isinstance(result, Transient):
                queue.give_back(self._database, job)
            raise result
        else:
            self._store(job, result, model)

    def _store(self, job: Job, result: ScanResult, model: ModelFolder | None) -> None:
        """Files first, then the rows that name them, then the original: a crash in between is replayed."""
        for staged in result.staged:
            publish(staged)
        queue.finish(self._database, job, result, _now(), model=used(model) if model else None)
        self._numbers_stale = True
        self.tally.add(result.pages)
        withdraw_failure(job.file, job.sha256, self._results)
        numbers = sum(len(page.numbers) for page in result.pages)
        detail = f"{_counted(numbers, 'number')} on {_counted(len(result.pages), 'page')}"
        self._end(job.source, job.path, job.file, job.sha256, "done", detail)

    def _fail(self, job: Job, error: DigitInboxError) -> None:
        now = _now()
        report_failure(job.path, job.file, job.sha256, error, now, self._results)
        queue.fail(self._database, job, type(error).__name__, str(error), now)
        self._end(job.source, job.path, job.file, job.sha256, "failed", str(error))

    def _try_again(self, job: Job, fault: Transient) -> None:
        try:
            if job.attempts < ATTEMPTS:
                queue.give_back(self._database, job)
                self._listener.warn(f"{fault} It is tried again.")
            else:
                remedy = f"It was tried {ATTEMPTS} times. Once that is mended, drop the scan in again."
                self._fail(job, Transient(fault.message, remedy))
        except Transient as lost:
            # The lease ran out and another process has the scan, or the database is locked: it stays pending.
            self._listener.warn(str(lost))

    def _end(self, root: Path, path: Path, file: str, sha256: str, state: str, detail: str) -> None:
        self.tally.end(path, state)
        if root == self._inbox and not _was_replaced(path, sha256):
            move = move_failed if state == "failed" else move_processed
            try:
                move(path, file, sha256, self._results)
            except Transient as fault:
                self._listener.warn(f"{fault} The scan was dealt with; its original stays where it is.")
        self._listener.ended(file, state, detail)


def used(model: ModelFolder) -> UsedModel:
    """What the records keep of a model."""
    return UsedModel(name=model.name, sha256=model.manifest["weights"][0]["sha256"], manifest=model.manifest)


def _was_replaced(path: Path, sha256: str) -> bool:
    """Whether another scan has come under this name since: it was not read, so it must not be filed away."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() != sha256
    except OSError:
        return False


def _now() -> datetime:
    return datetime.now(UTC)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
