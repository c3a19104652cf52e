"""The queue is the table `scans`: a row is one content at one place; a claim leases it."""

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Update, insert, or_, select, update

from processor.errors import Transient
from processor.records import ScanResult, ScanState
from processor.results.database import writing
from processor.results.ledger import UsedModel, store_model, store_result
from processor.results.publish import file_name, stored_name
from processor.results.schema import scans

_UNLEASED: dict[str, Any] = {"leased_until": None, "worker": None}
_FRESH: dict[str, Any] = {
    "state": ScanState.QUEUED.value,
    "attempts": 0,
    "error": None,
    "message": None,
    "started_at": None,
    "finished_at": None,
    "duplicate_of": None,
    **_UNLEASED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed scan, `file` below `source`; `attempts` counts this try, and is the token of its lease."""

    id: int
    file: str
    sha256: str
    attempts: int
    source: Path

    @property
    def path(self) -> Path:
        return self.source / self.file


class Enqueued(StrEnum):
    """What became of a scan that was shown to the queue."""

    QUEUED = "queued"
    """New, or failed before and now tried again."""
    KNOWN = "known"
    """The same content was dealt with at the same place: it counts as ignored."""
    DUPLICATE = "duplicate"
    """The same content stands at another place already."""
    PENDING = "pending"
    """It waits, or is being read."""


def enqueue(
    engine: Engine,
    *,
    source: Path,
    file: str,
    sha256: str,
    bytes: int,
    now: datetime,
    failed_before: datetime | None = None,
) -> Enqueued:
    """Shows the scan `file` below `source` to the queue; other content at a known place is a new scan.

    A scan that failed is tried again. A copy of it takes its part: whoever puts a scan back from the failed
    ones, under the name it has there, wants another try. With `failed_before`, the start of a run, this
    holds for earlier failures only: of two bad copies one fails and one is its duplicate, whichever is
    quicker, the reading of the first or the showing of the second.
    Raises Transient, BadDatabase.
    """
    place = {"source": str(source), "file": file, "sha256": sha256, "bytes": bytes, "queued_at": now}
    with writing(engine) as connection:
        same = connection.execute(select(scans).where(scans.c.sha256 == sha256)).all()
        first = next((row for row in same if row.state != ScanState.DUPLICATE), None)
        here_now = _place(stored_name(str(source)), stored_name(file))
        here = next((row for row in same if _place(row.source, row.file) == here_now), None)
        if first is None or _tried_again(first, failed_before):
            _queue(connection, place, here=here.id if here else None, first=first.id if first else None)
            return Enqueued.QUEUED
        if here is None:
            duplicate = {"state": ScanState.DUPLICATE.value, "duplicate_of": first.id, "finished_at": now}
            connection.execute(insert(scans), {**place, **duplicate})
            return Enqueued.DUPLICATE
        waits = here.state in {ScanState.QUEUED, ScanState.RUNNING}
        return Enqueued.PENDING if waits else Enqueued.KNOWN


def claim(
    engine: Engine, now: datetime, lease_seconds: float, *, sources: Collection[Path] | None = None
) -> Job | None:
    """Leases one waiting scan to this process, the least tried and then the oldest first.

    `sources` restricts it to scans from these folders. Raises Transient, BadDatabase.
    """
    waiting = select(scans.c.id).where(scans.c.state == ScanState.QUEUED)
    if sources is not None:
        waiting = waiting.where(scans.c.source.in_([str(source) for source in sources]))
    # SQLite holds the write lock from BEGIN IMMEDIATE on; PostgreSQL needs the row lock.
    waiting = waiting.order_by(scans.c.attempts, scans.c.id).limit(1).with_for_update(skip_locked=True)
    with writing(engine) as connection:
        scan_id = connection.execute(waiting).scalar_one_or_none()
        if scan_id is None:
            return None
        leased = {
            "state": ScanState.RUNNING.value,
            "attempts": scans.c.attempts + 1,
            "started_at": now,
            "leased_until": now + timedelta(seconds=lease_seconds),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
        }
        connection.execute(update(scans).where(scans.c.id == scan_id).values(leased))
        row = connection.execute(select(scans).where(scans.c.id == scan_id)).one()
    return Job(row.id, file_name(row.file), row.sha256, row.attempts, Path(file_name(row.source)))


def heartbeat(engine: Engine, job: Job, now: datetime, lease_seconds: float) -> bool:
    """Prolongs the lease from `now`; False where it was lost to another process. Raises as `claim`."""
    with writing(engine) as connection:
        until = now + timedelta(seconds=lease_seconds)
        return connection.execute(_held(job).values(leased_until=until)).rowcount == 1


def finish(
    engine: Engine,
    job: Job,
    result: ScanResult,
    finished_at: datetime,
    *,
    model: UsedModel | None = None,
) -> None:
    """Stores what was read and marks the scan done, in one transaction; a replay replaces the rows.

    `model` tells what is known of the model, needed once a model. Raises Transient where the lease was lost
    (nothing is written), or as `claim`.
    """
    outcome = {
        "state": ScanState.DONE.value,
        "error": None,
        "message": None,
        "finished_at": finished_at,
        "seconds": float(result.seconds),
        "model": result.model,
        "settings_digest": result.settings_digest,
        "program_version": result.program_version,
        **_UNLEASED,
    }
    with writing(engine) as connection:
        store_model(connection, result.model, model, finished_at)
        _end(connection, job, outcome)
        store_result(connection, job.id, result)


def fail(engine: Engine, job: Job, error: str, message: str, now: datetime) -> None:
    """Marks the scan failed for good: `error` is the error's class, `message` what the person reads.

    Raises as `finish`.
    """
    # The message names the file, whose name may be no UTF-8.
    said = {"error": error, "message": stored_name(message)}
    outcome = {"state": ScanState.FAILED.value, "finished_at": now, **said}
    with writing(engine) as connection:
        _end(connection, job, {**outcome, **_UNLEASED})


def give_back(engine: Engine, job: Job) -> None:
    """Puts the scan back in the queue after a fault that may pass; its attempts stay counted.

    Raises as `finish`.
    """
    with writing(engine) as connection:
        _end(connection, job, {"state": ScanState.QUEUED.value, **_UNLEASED})


def recover(engine: Engine, now: datetime) -> int:
    """Puts scans back whose process died, and tells how many. Raises as `claim`.

    On this machine a dead process is known by its number; of one elsewhere the lease must run out first.
    """
    running = scans.c.state == ScanState.RUNNING
    with writing(engine) as connection:
        holders = connection.execute(select(scans.c.worker).where(running).distinct()).scalars()
        dead = scans.c.worker.in_([worker for worker in holders if worker and is_dead(worker)])
        expired = or_(scans.c.leased_until.is_(None), scans.c.leased_until < now)
        lost = update(scans).where(running, or_(expired, dead))
        return connection.execute(lost.values(state=ScanState.QUEUED.value, **_UNLEASED)).rowcount


def _tried_again(first: Row[Any], failed_before: datetime | None) -> bool:
    failed: bool = first.state == ScanState.FAILED
    return failed and (failed_before is None or first.finished_at < failed_before)


def _queue(connection: Connection, place: dict[str, Any], *, here: int | None, first: int | None) -> None:
    """Queues the row `here`, or a new one; `first`, if another row, becomes its duplicate."""
    succeeds = first is not None and first != here
    if succeeds:
        # Before the other row is queued: at most one row of a content may be no duplicate.
        connection.execute(update(scans).where(scans.c.id == first).values(state=ScanState.DUPLICATE.value))
    if here is None:
        here = connection.execute(insert(scans).returning(scans.c.id), {**place, **_FRESH}).scalar_one()
    else:
        connection.execute(update(scans).where(scans.c.id == here).values({**place, **_FRESH}))
    if succeeds:
        copies = or_(scans.c.id == first, scans.c.duplicate_of == first)
        connection.execute(update(scans).where(copies, scans.c.id != here).values(duplicate_of=here))


def _place(source: str, file: str) -> str:
    """One file is one place, whether its folder was named, or the file itself, from here or from there."""
    return os.path.normpath(os.path.join(source, file))  # noqa: PTH118  (no Path has "..": it may be a link)


def is_dead(worker: str) -> bool:
    """Whether a process of this machine, `host:number`, has ended for sure."""
    host, _, number = worker.rpartition(":")
    if os.name != "posix" or host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _held(job: Job) -> Update:
    running = (scans.c.state == ScanState.RUNNING, scans.c.attempts == job.attempts)
    return update(scans).where(scans.c.id == job.id, *running)


def _end(connection: Connection, job: Job, outcome: dict[str, Any]) -> None:
    """Ends the lease; the attempts are its token, since every claim counts one up."""
    if connection.execute(_held(job).values(outcome)).rowcount != 1:
        raise Transient(
            f"{job.file} was taken over by another process: the lease ran out.",
            "Nothing is lost: the other process stores it.",
        )
