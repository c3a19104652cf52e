"""How a scan ends: its files published, its rows committed, its original moved; or it is put back."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine as Database

from processor.accounts import Accounts, Listener
from processor.backoff import pause_after
from processor.claims import Claim
from processor.errors import BadScan, ContentChanged, DigitInboxError, LeaseLost, Transient, WorkerKilled
from processor.filing import Ended, Filing, Table, publish_outputs
from processor.intake import queue
from processor.intake.queue import Job
from processor.prediction.archive import ModelFolder
from processor.records import ScanResult
from processor.results.ledger import UsedModel
from processor.results.originals import is_kept_as_failed, withdraw_failure
from processor.whereabouts import Whereabouts

ATTEMPTS = 3
"""So many workers may die of one scan until it is set aside; a model that does not load has as many tries."""

FAULTS = 12
"""So often a scan comes back after a fault of its surroundings (a full disk, a share away) until it fails."""


class Endings:
    """Ends scans, each once: its files, its rows, its original, in this order, and the word of it.

    `check` raises Away while the results are: nothing is moved then.
    """

    def __init__(
        self,
        database: Database,
        *,
        inbox: Path,
        results: Path,
        accounts: Accounts,
        listener: Listener,
        whereabouts: Whereabouts,
        check: Callable[[], None],
    ) -> None:
        self._database = database
        self._results = results
        self._accounts = accounts
        self._listener = listener
        self._whereabouts = whereabouts
        self._filing = Filing(inbox, results, check=check, warn=accounts.complain)
        self._table = Table(database, results, accounts.complain)

    @property
    def owes(self) -> bool:
        """Whether an original, a report or `numbers.csv` is not where it belongs, though the records are."""
        return self._table.stale or self._filing.owed > 0

    def catch_up(self, *, at_once: bool = False) -> None:
        """Moves what could not be moved before, and refreshes `numbers.csv`, where anything was read since.

        What the disk refuses is said, and tried again later. Raises Away.
        """
        self._filing.catch_up(at_once=at_once)
        self._table.refresh(at_once=at_once)

    def settle(self, claim: Claim, result: ScanResult | DigitInboxError) -> None:
        """Ends a claimed scan by what came of it.

        Raises Transient where it has to be tried again, and what makes going on useless (BadModel, …).
        """
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

    def was_stored(self, claim: Claim, result: ScanResult | DigitInboxError) -> bool:
        """Whether it was lost because it is done: its commit reached the database, and no answer came back.

        Then it ends here as it would have ended. Raises Away, BadDatabase.
        """
        # Its files have their names before its rows are sent.
        if not isinstance(result, ScanResult) or claim.published is None:
            return False
        if not queue.was_finished(self._database, claim.job):
            return False
        self._conclude(claim.job, result)
        return True

    def try_again(self, job: Job, fault: Transient) -> None:
        """Later, or never again where it was tried often enough. Raises Away."""
        try:
            if (last := _too_often(job, fault)) is not None:
                self._fail(job, last)
            else:
                self._put_back(job, fault)
        except LeaseLost as lost:
            self._listener.say(str(lost))

    def end(self, scan: Ended, state: str, detail: str) -> None:
        """Moves the original of a scan whose end is recorded, and tells of it."""
        self._whereabouts.forget(scan.sha256)
        self._filing.file(scan)
        self._accounts.end(scan.path, scan.file, scan.sha256, state, detail)

    def keep_copy_of_failed(self, root: Path, file: str, sha256: str) -> None:
        """A copy was moved of the scan `file` below `root`, which failed: it may be all that is left."""
        with suppress(Transient):
            self._filing.gather_failed(root, file, sha256)

    def _store(self, claim: Claim, result: ScanResult) -> None:
        """Files first, then the rows that name them, then the original: a crash in between is replayed."""
        job = claim.job
        if claim.published is None:
            claim.published = publish_outputs(result.staged, self._results)
        model = used(claim.model) if claim.model else None
        queue.finish(self._database, job, result, _now(), model=model, published=claim.published)
        self._conclude(job, result)

    def _conclude(self, job: Job, result: ScanResult) -> None:
        self._table.stale = True
        self._accounts.tally.add(result.pages)
        withdraw_failure(job.file, job.sha256, self._results)
        numbers = sum(len(page.numbers) for page in result.pages)
        detail = f"{_counted(numbers, 'number')} on {_counted(len(result.pages), 'page')}"
        self.end(_ended(job), "done", detail)
        # Once more: another run, which saw it fail before, may have moved it only now.
        withdraw_failure(job.file, job.sha256, self._results)

    def _fail(self, job: Job, error: DigitInboxError) -> None:
        """The report first, then the row, then the original, which lies beside the report."""
        scan = self._filing.report(_ended(job, error))
        queue.fail(self._database, job, type(error).__name__, str(error), scan.at)
        self._accounts.note(str(error))
        self.end(scan, "failed", str(error))

    def _forget(self, job: Job) -> None:
        """Takes a scan out of the queue whose file holds something else by now."""
        queue.drop(self._database, job, failed_before=is_kept_as_failed(job.file, job.sha256, self._results))
        self._whereabouts.forget(job.sha256)
        self._accounts.put_off(job.path, job.sha256)

    def _put_back(self, job: Job, fault: Transient) -> None:
        killed = isinstance(fault, WorkerKilled)
        seconds = pause_after(job.kills if killed else job.faults)
        due = _now() + timedelta(seconds=seconds)
        queue.put_back(self._database, job, fault=str(fault), due=due, killed=killed)
        self._accounts.complain(f"{fault} {job.file} is tried again in {seconds:g} s.")


def used(model: ModelFolder) -> UsedModel:
    """What the records keep of a model."""
    return UsedModel(name=model.name, sha256=model.manifest["weights"][0]["sha256"], manifest=model.manifest)


def _too_often(job: Job, fault: Transient) -> Transient | None:
    """What a scan fails of that met `fault` once more, where it was tried often enough."""
    if isinstance(fault, WorkerKilled):
        if job.kills + 1 < ATTEMPTS:
            return None
        remedy = "It was set aside. Look at the scan; if the memory is short, use fewer workers."
        return WorkerKilled(f"{job.file} killed its worker three times: {fault.message}", remedy)
    if job.faults < FAULTS:
        return None
    remedy = f"It was tried {FAULTS + 1} times. Once that is mended, drop the scan in again."
    return Transient(fault.message, remedy)


def _ended(job: Job, error: DigitInboxError | None = None) -> Ended:
    return Ended(root=job.source, path=job.path, file=job.file, sha256=job.sha256, error=error)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _now() -> datetime:
    return datetime.now(UTC)
