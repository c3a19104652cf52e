"""The way of one scan: found, hashed, queued, claimed, read, published, committed, and only then moved."""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.accounts import Accounts, Listener
from processor.backoff import pause_after
from processor.claims import Claim, Claims
from processor.engines.tasks import Outcome, ScanTask
from processor.errors import (
    Away,
    BadDatabase,
    BadScan,
    ContentChanged,
    DigitInboxError,
    LeaseLost,
    Transient,
    WorkerKilled,
)
from processor.filing import Ended, Filing, Table, publish_outputs
from processor.intake import queue
from processor.intake.legibility import is_as_listed
from processor.intake.queue import Enqueued, Job
from processor.intake.standing import Standing, first_place, next_due
from processor.intake.sweep import Found, fingerprint
from processor.log_lines import about
from processor.prediction.archive import ModelFolder
from processor.records import ScanResult
from processor.results.ledger import UsedModel
from processor.results.originals import withdraw_failure
from processor.surroundings import Surroundings
from processor.whereabouts import Whereabouts

ATTEMPTS = 3
"""So many workers may die of one scan until it is set aside; a model that does not load has as many tries."""

FAULTS = 12
"""So often a scan comes back after a fault of its surroundings (a full disk, a share away) until it fails."""

RECOVER_SECONDS = 5.0
"""Scans of processes that died are looked for this often."""


class Custody:
    """Has the scans of one run in its keeping: it alone queues, commits and moves, in the parent process.

    Away concerns no scan: whoever meets it waits, and calls again.
    """

    def __init__(
        self,
        database: Database,
        *,
        inbox: Path,
        results: Path,
        staging: Path,
        listener: Listener,
    ) -> None:
        self.accounts = Accounts(database, listener)
        self.tally = self.accounts.tally
        self._database = database
        self._results = results
        self._staging = staging
        self._listener = listener
        self._surroundings = Surroundings(database, staging=staging)
        self._filing = Filing(inbox, results, check=self._surroundings.check, warn=self.accounts.complain)
        self._table = Table(database, results, self.accounts.complain)
        self._unreadable: dict[str, str] = {}
        self._whereabouts = Whereabouts(database, results)
        self._claims = Claims(database, staging)
        self._next_recovery = 0.0

    @property
    def under_way(self) -> int:
        """How many scans are claimed."""
        return len(self._claims)

    @property
    def models_under_way(self) -> set[Path]:
        """The folders of the models that scans are read with."""
        return {claim.model.path for claim in self._claims if claim.model is not None}

    @property
    def owes(self) -> bool:
        """Whether an original, a report or `numbers.csv` is not where it belongs, though the records are."""
        return self._table.stale or self._filing.owed > 0

    def check(self) -> None:
        """Raises Away while the results or the database are, BadDatabase where it is another one."""
        self._surroundings.check()

    def take(self, found: Found, listed_at: datetime) -> None:
        """Shows a scan to the queue; one that is known already ends here, one that still changes is put off.

        What failed before it was listed is tried again: somebody put it back.
        Raises Away, BadDatabase.
        """
        with about(file=found.file):
            self.tally.see(found.path)
            try:
                sha256, fault = fingerprint(found)
                # What was hashed may be half of a file that is being written.
                changed = fault is None and not is_as_listed(found)
            except FileNotFoundError:
                self.tally.forget(found.path)
                return
            self._whereabouts.note(found.root)
            if changed:
                self.accounts.put_off(found.path)
            else:
                self._show(found, sha256, fault, listed_at)

    def next_task(self, sources: Collection[Path], model: ModelFolder | None = None) -> ScanTask | None:
        """Claims the next scan of these inboxes that can be read, to be read with `model`.

        `None` where none waits. Raises Transient, BadDatabase.
        """
        while (claim := self._claims.next(sources, model)) is not None:
            job = claim.job
            with about(scan=job.id, file=job.file):
                # A scan that an earlier run left in the queue was not seen by this one yet.
                self.tally.see(job.path)
                self.accounts.queue(job.path, job.file, job.sha256)
                task = self._prepare(claim)
                if task is not None:
                    return task
        return None

    def commit(self, outcome: Outcome) -> None:
        """Publishes and commits what came of a task; called again after Away, it goes on.

        Raises what makes going on useless (BadModel, …).
        """
        claim = self._claims.of(outcome.task)
        with about(scan=claim.job.id, file=claim.job.file):
            self._surroundings.check()
            try:
                # Before any file: whoever has it now gives its files the same names.
                self._claims.hold(claim)
                self._settle(claim, claim.fault or outcome.result)
            except (BadDatabase, Away):
                raise
            except LeaseLost as lost:
                self._listener.say(str(lost))
            except Transient as fault:
                # Where that cannot be noted now: half of its files have left the staging folder by then.
                claim.fault = fault
                self._try_again(claim.job, fault)
            except DigitInboxError:
                self._claims.let_go(claim)
                raise
            self._claims.let_go(claim)

    def take_back(self, task: ScanTask) -> None:
        """Puts a task back in the queue that no worker got. Raises Away."""
        claim = self._claims.of(task)
        queue.give_back(self._database, claim.job)
        self._claims.let_go(claim)

    def recover(self) -> None:
        """Puts the scans of processes that died back in the queue, every few seconds. Raises Away."""
        if time.monotonic() < self._next_recovery:
            return
        # Where the machine slept, or its clock jumped, the leases of this run have run out, too.
        self.keep_alive()
        queue.recover(self._database, _now())
        self._next_recovery = time.monotonic() + RECOVER_SECONDS
        with suppress(OSError):
            # Another run takes a folder that nobody touched for a day for one that was left behind.
            os.utime(self._staging)

    def keep_alive(self) -> None:
        """Prolongs the leases of everything under way. Raises Away."""
        self._claims.prolong()

    def reconcile(self) -> list[tuple[str, Standing]]:
        """Ends what another run has read meanwhile, and tells how the other files that wait stand.

        Raises Away.
        """
        return self.accounts.reconcile([claim.job.sha256 for claim in self._claims])

    def due_in(self, sources: Collection[Path]) -> float | None:
        """Seconds until a scan that was put back may be claimed, `None` if there is none.

        Raises Away.
        """
        due = next_due(self._database, sources)
        return None if due is None else max(0.0, (due - _now()).total_seconds())

    def catch_up(self, *, at_once: bool = False) -> None:
        """Moves what could not be moved before, and refreshes `numbers.csv`, where anything was read since.

        What the disk refuses is said, and tried again later. Raises Away.
        """
        self._surroundings.check()
        self._filing.catch_up(at_once=at_once)
        self._table.refresh(at_once=at_once)

    def give_back(self) -> None:
        """Puts what is under way back in the queue, for a run that ends before it was read.

        What cannot be put back now, the next run takes from a process that is gone.
        """
        self._claims.give_back()

    def _show(self, found: Found, sha256: str, fault: str | None, listed_at: datetime) -> None:
        state = queue.enqueue(
            self._database,
            source=found.root,
            file=found.file,
            sha256=sha256,
            bytes=found.size,
            now=_now(),
            failed_before=listed_at,
        )
        others = (claim.job for claim in self._claims if claim.job.path == found.path)
        if any(job.sha256 != sha256 for job in others):
            self.tally.see_another(found.path)
        scan = Ended(root=found.root, path=found.path, file=found.file, sha256=sha256)
        if state is Enqueued.KNOWN:
            self._end(scan, "ignored", "read before")
        elif state is Enqueued.DUPLICATE:
            self._end(scan, "duplicate", f"the same content as {self._first(scan)}")
        else:
            self.accounts.queue(found.path, found.file, sha256)
            if fault is not None:
                self._unreadable[sha256] = fault

    def _first(self, scan: Ended) -> str:
        """What a duplicate is the duplicate of."""
        first = None
        # Its row is written: where the database goes away now, the scan is a duplicate all the same.
        with suppress(Transient):
            first = first_place(self._database, scan.sha256, scan.root)
        return first or "another file"

    def _prepare(self, claim: Claim) -> ScanTask | None:
        """A task for a claimed scan; `None` where it ended here, or was put back. Raises Away."""
        task = None
        try:
            task = self._task(claim)
        except Away:
            # Where it cannot be put back now, its lease runs out, which nobody renews.
            with suppress(Transient):
                queue.give_back(self._database, claim.job)
            raise
        except Transient as fault:
            self._try_again(claim.job, fault)
        finally:
            if task is None:
                self._claims.let_go(claim)
        return task

    def _task(self, claim: Claim) -> ScanTask | None:
        """What a worker is to do; `None` where there is nothing to read. Raises Transient."""
        job = claim.job
        try:
            source = self._whereabouts.find(job, self._unreadable.get(job.sha256))
            _make(claim.staging)
        except (BadScan, ContentChanged) as fault:
            self._settle(claim, fault)
            return None
        return ScanTask(
            id=job.id,
            source=source,
            file=job.file,
            sha256=job.sha256,
            staging=claim.staging,
            model=claim.model.path if claim.model is not None else None,
        )

    def _settle(self, claim: Claim, result: ScanResult | DigitInboxError) -> None:
        if isinstance(result, BadScan):
            self._fail(claim.job, result)
        elif isinstance(result, ContentChanged):
            self._forget(claim.job)
        elif isinstance(result, Transient):
            raise result
        elif isinstance(result, DigitInboxError):
            queue.give_back(self._database, claim.job)
            raise result
        else:
            self._store(claim, result)

    def _store(self, claim: Claim, result: ScanResult) -> None:
        """Files first, then the rows that name them, then the original: a crash in between is replayed."""
        job = claim.job
        if claim.published is None:
            claim.published = publish_outputs(result.staged, self._results)
        model = used(claim.model) if claim.model else None
        queue.finish(self._database, job, result, _now(), model=model, published=claim.published)
        self._table.stale = True
        self.tally.add(result.pages)
        withdraw_failure(job.file, job.sha256, self._results)
        numbers = sum(len(page.numbers) for page in result.pages)
        detail = f"{_counted(numbers, 'number')} on {_counted(len(result.pages), 'page')}"
        self._end(_ended(job), "done", detail)

    def _fail(self, job: Job, error: DigitInboxError) -> None:
        """The report first, then the row, then the original, which lies beside the report."""
        scan = self._filing.report(_ended(job, error))
        queue.fail(self._database, job, type(error).__name__, str(error), scan.at)
        self.accounts.note(str(error))
        self._end(scan, "failed", str(error))

    def _forget(self, job: Job) -> None:
        """Takes a scan out of the queue whose file holds something else by now."""
        queue.drop(self._database, job)
        self._unreadable.pop(job.sha256, None)
        self.accounts.put_off(job.path, job.sha256)

    def _try_again(self, job: Job, fault: Transient) -> None:
        """Later, or never again where it was tried often enough. Raises Away."""
        killed = isinstance(fault, WorkerKilled)
        try:
            if killed and job.kills + 1 >= ATTEMPTS:
                remedy = "It was set aside. Look at the scan; if the memory is short, use fewer workers."
                said = f"{job.file} killed its worker three times: {fault.message}"
                self._fail(job, WorkerKilled(said, remedy))
            elif not killed and job.faults >= FAULTS:
                remedy = f"It was tried {FAULTS + 1} times. Once that is mended, drop the scan in again."
                self._fail(job, Transient(fault.message, remedy))
            else:
                seconds = pause_after(job.kills if killed else job.faults)
                due = _now() + timedelta(seconds=seconds)
                queue.put_back(self._database, job, fault=str(fault), due=due, killed=killed)
                self.accounts.complain(f"{fault} {job.file} is tried again in {seconds:g} s.")
        except LeaseLost as lost:
            self._listener.say(str(lost))

    def _end(self, scan: Ended, state: str, detail: str) -> None:
        self._unreadable.pop(scan.sha256, None)
        self._filing.file(scan)
        self.accounts.end(scan.path, scan.file, scan.sha256, state, detail)


def used(model: ModelFolder) -> UsedModel:
    """What the records keep of a model."""
    return UsedModel(name=model.name, sha256=model.manifest["weights"][0]["sha256"], manifest=model.manifest)


def _make(staging: Path) -> None:
    try:
        staging.mkdir()
    except OSError as error:
        raise Away(f"{staging} cannot be made: {error.strerror}.", "Make room.") from None


def _ended(job: Job, error: DigitInboxError | None = None) -> Ended:
    return Ended(root=job.source, path=job.path, file=job.file, sha256=job.sha256, error=error)


def _now() -> datetime:
    return datetime.now(UTC)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
