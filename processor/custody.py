"""The way of one scan: found, hashed, queued, claimed, read, published, committed, and only then moved."""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.accounts import Accounts, Listener
from processor.admission import Admission
from processor.claims import LEASE_SECONDS, RENEWED_SECONDS, Claim, Claims
from processor.endings import Endings
from processor.engines.tasks import Outcome, ScanTask
from processor.errors import (
    Away,
    BadDatabase,
    BadScan,
    ContentChanged,
    DigitInboxError,
    LeaseLost,
    Transient,
    to_write_again,
)
from processor.intake import queue
from processor.intake.standing import Standing, next_due
from processor.intake.sweep import Found
from processor.log_lines import about
from processor.prediction.archive import ModelFolder
from processor.settings import Limits
from processor.surroundings import Surroundings
from processor.whereabouts import Whereabouts

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
        limits: Limits,
        listener: Listener,
    ) -> None:
        self.accounts = Accounts(database, listener)
        self.tally = self.accounts.tally
        self._database = database
        self._staging = staging
        self._listener = listener
        self._surroundings = Surroundings(database, staging=staging)
        self._whereabouts = Whereabouts(database, results, limits)
        self._endings = Endings(
            database,
            inbox=inbox,
            results=results,
            accounts=self.accounts,
            listener=listener,
            whereabouts=self._whereabouts,
            check=self._surroundings.check,
        )
        self._admission = Admission(
            database,
            limits=limits,
            accounts=self.accounts,
            whereabouts=self._whereabouts,
            endings=self._endings,
        )
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
        return self._endings.owes

    def check(self) -> None:
        """Raises Away while the results or the database are, BadDatabase where it is another one."""
        self._surroundings.check()

    def take(self, found: Found, listed_at: datetime) -> None:
        """Shows a scan to the queue; one that is known already ends here, one that still changes is put off.

        What failed before it was listed is tried again: somebody put it back.
        Raises Away, BadDatabase.
        """
        self._admission.take(found, listed_at, [claim.job for claim in self._claims])

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
                self._endings.settle(claim, claim.fault or outcome.result)
            except (BadDatabase, Away):
                raise
            except LeaseLost as lost:
                if not self._endings.was_stored(claim, outcome.result):
                    self._listener.say(str(lost))
            except Transient as fault:
                # Where that cannot be noted now: half of its files have left the staging folder by then.
                claim.fault = fault
                self._endings.try_again(claim.job, fault)
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
        now = datetime.now(UTC)
        # Twice as long as a run that lives takes to prolong its leases.
        queue.recover(
            self._database, now, renewed_to=now + timedelta(seconds=LEASE_SECONDS - 2 * RENEWED_SECONDS)
        )
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
        return None if due is None else max(0.0, (due - datetime.now(UTC)).total_seconds())

    def catch_up(self, *, at_once: bool = False) -> None:
        """Moves what could not be moved before, and refreshes `numbers.csv`, where anything was read since.

        What the disk refuses is said, and tried again later. Raises Away.
        """
        self._surroundings.check()
        self._endings.catch_up(at_once=at_once)

    def give_back(self) -> None:
        """Puts what is under way back in the queue, for a run that ends before it was read.

        What cannot be put back now, the next run takes from a process that is gone.
        """
        self._claims.give_back()

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
            self._endings.try_again(claim.job, fault)
        finally:
            if task is None:
                self._claims.let_go(claim)
        return task

    def _task(self, claim: Claim) -> ScanTask | None:
        """What a worker is to do; `None` where there is nothing to read. Raises Transient."""
        job = claim.job
        try:
            source = self._whereabouts.find(job)
            _make(claim.staging)
        except (BadScan, ContentChanged) as fault:
            self._endings.settle(claim, fault)
            return None
        return ScanTask(
            id=job.id,
            source=source,
            file=job.file,
            sha256=job.sha256,
            staging=claim.staging,
            model=claim.model.path if claim.model is not None else None,
        )


def _make(staging: Path) -> None:
    try:
        staging.mkdir()
    except OSError as error:
        raise Away(f"{staging} cannot be made: {error.strerror}.", to_write_again(error)) from None
