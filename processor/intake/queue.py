"""The queue is the table `scans`: a row is one content at one place; a claim leases it."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Update,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from processor.errors import LeaseLost, Vanished
from processor.processes import had_number_of_this, is_dead, own_name
from processor.records import ScanResult, ScanState
from processor.results.database import reading, writing
from processor.results.ledger import PublishedFile, UsedModel, store_model, store_outputs, store_result
from processor.results.publish import file_name, stored_name
from processor.results.schema import scans
from processor.states import DISMISSED

_UNLEASED: dict[str, Any] = {"leased_until": None, "worker": None}
_FRESH: dict[str, Any] = {
    "state": ScanState.QUEUED.value,
    "attempts": 0,
    "error": None,
    "message": None,
    "started_at": None,
    "finished_at": None,
    "duplicate_of": None,
    "not_before": None,
    "faults": 0,
    "kills": 0,
    **_UNLEASED,
}


_OF_JOB = (
    *(scans.c.id, scans.c.file, scans.c.sha256, scans.c.attempts, scans.c.source, scans.c.faults),
    scans.c.kills,
)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed scan, `file` below `source`; `attempts` counts this try, and is the token of its lease.

    `faults` and `kills` count the tries that its surroundings and the death of its worker ended before.
    """

    id: int
    file: str
    sha256: str
    attempts: int
    source: Path
    faults: int = 0
    kills: int = 0

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
    FAILED = "failed"
    """The same content failed at the same place since it was listed: by another run, which moves it."""
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
    quicker, the reading of the first or the showing of the second. A copy of what vanished before it was
    read is always tried.
    Raises DatabaseAway, BadDatabase.
    """
    place = {"source": str(source), "file": file, "sha256": sha256, "bytes": bytes, "queued_at": now}
    try:
        return _show(engine, place, failed_before)
    except IntegrityError:
        # Where writers do not wait for each other (PostgreSQL), another process showed the content just now.
        return _show(engine, place, failed_before)


def claim(
    engine: Engine, now: datetime, lease_seconds: float, *, sources: Collection[Path] | None = None
) -> Job | None:
    """Leases one waiting scan to this process, the least tried and then the oldest first.

    One that waits for its surroundings to mend is passed over until it is due. `sources` restricts it to
    scans from these folders. Raises DatabaseAway, BadDatabase.
    """
    due = or_(scans.c.not_before.is_(None), scans.c.not_before <= now)
    waiting = select(scans.c.id).where(*waiting_in(sources), due)
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
            "worker": own_name(),
        }
        lease = update(scans).where(scans.c.id == scan_id).values(leased).returning(*_OF_JOB)
        row = connection.execute(lease).one()
    source = Path(file_name(row.source))
    return Job(row.id, file_name(row.file), row.sha256, row.attempts, source, row.faults, row.kills)


def heartbeat(engine: Engine, job: Job, now: datetime, lease_seconds: float) -> bool:
    """Prolongs the lease from `now`; False where it was lost to another process. Raises as `claim`."""
    try:
        hold(engine, job, now, lease_seconds)
    except LeaseLost:
        return False
    return True


def hold(engine: Engine, job: Job, now: datetime, lease_seconds: float) -> None:
    """The same for who may only go on while it holds the scan. Raises as `finish`."""
    with writing(engine) as connection:
        _end(connection, job, {"leased_until": now + timedelta(seconds=lease_seconds)})


def finish(
    engine: Engine,
    job: Job,
    result: ScanResult,
    finished_at: datetime,
    *,
    model: UsedModel | None = None,
    published: Sequence[PublishedFile] = (),
) -> None:
    """Stores what was read and marks the scan done, in one transaction; a replay replaces the rows.

    `model` tells what is known of the model, needed once a model; `published` are the files that carry the
    reading. Raises LeaseLost where the lease was lost (nothing is written), or as `claim`.
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
        "not_before": None,
        **_UNLEASED,
    }
    with writing(engine) as connection:
        store_model(connection, result.model, model, finished_at)
        _end(connection, job, outcome)
        store_result(connection, job.id, result)
        store_outputs(connection, job.id, published)


def was_finished(engine: Engine, job: Job) -> bool:
    """Whether this very try is done: the word of its commit was lost on the way from the server.

    Raises as `claim`.
    """
    this = (scans.c.id == job.id, scans.c.sha256 == job.sha256, scans.c.attempts == job.attempts)
    with reading(engine) as connection:
        done = select(scans.c.id).where(*this, scans.c.state == ScanState.DONE)
        return connection.execute(done).first() is not None


def fail(engine: Engine, job: Job, error: str, message: str, now: datetime) -> None:
    """Marks the scan failed for good: `error` is the error's class, `message` what the person reads.

    Raises as `finish`.
    """
    # The message names the file, whose name may be no UTF-8.
    said = {"error": error, "message": stored_name(message)}
    outcome = {"state": ScanState.FAILED.value, "finished_at": now, "not_before": None, **said}
    with writing(engine) as connection:
        _end(connection, job, {**outcome, **_UNLEASED})


def give_back(engine: Engine, job: Job) -> None:
    """Puts the scan back in the queue at once, as after a stop: nothing speaks against it.

    Raises as `finish`.
    """
    with writing(engine) as connection:
        _end(connection, job, {"state": ScanState.QUEUED.value, **_UNLEASED})


def put_back(engine: Engine, job: Job, *, fault: str, due: datetime, killed: bool) -> None:
    """Puts the scan back in the queue after a fault that may pass, to be tried again when it is `due`.

    `killed`: its worker died; that and the faults of its surroundings are counted apart. Raises as `finish`.
    """
    counted = {"kills": scans.c.kills + 1} if killed else {"faults": scans.c.faults + 1}
    said = {"error": "WorkerKilled" if killed else "Transient", "message": stored_name(fault)}
    waits = {"state": ScanState.QUEUED.value, "not_before": due, **counted, **said}
    with writing(engine) as connection:
        _end(connection, job, {**waits, **_UNLEASED})


def drop(engine: Engine, job: Job, *, failed_before: bool = False) -> None:
    """Forgets a scan whose file holds other content by now; a copy of what it held takes its part.

    One that `failed_before`, and is kept since, is not forgotten: it is one more copy, or has failed again.
    Raises as `finish`.
    """
    with writing(engine) as connection:
        connection.execute(_of_content(job.sha256).with_for_update()).all()
        # It leaves the readings first: at most one row of a content may be no duplicate.
        _end(connection, job, {"state": ScanState.DUPLICATE.value, **_UNLEASED})
        # One of another inbox may wait for long: nobody may be looking into that.
        order = (scans.c.source != str(job.source), scans.c.id)
        copies = select(scans.c.id).where(scans.c.duplicate_of == job.id).order_by(*order)
        heir = connection.execute(copies.limit(1)).scalar_one_or_none()
        if heir is not None:
            connection.execute(update(scans).where(scans.c.id == heir).values(_FRESH))
            others = update(scans).where(scans.c.duplicate_of == job.id)
            connection.execute(others.values(duplicate_of=heir))
        if not failed_before:
            connection.execute(delete(scans).where(scans.c.id == job.id))
        else:
            kept = {"duplicate_of": heir} if heir is not None else _replaced(job)
            kept["finished_at"] = scans.c.started_at
            connection.execute(update(scans).where(scans.c.id == job.id).values(kept))


def retry(engine: Engine, ids: Collection[int], now: datetime) -> list[int]:
    """Queues those of the scans that failed as if they were new, and tells which. Raises as `claim`."""
    failed = (scans.c.id.in_(ids), scans.c.state == ScanState.FAILED)
    with writing(engine) as connection:
        again = update(scans).where(*failed).values(queued_at=now, **_FRESH).returning(scans.c.id)
        return sorted(connection.execute(again).scalars())


def dismiss(engine: Engine, ids: Collection[int]) -> list[int]:
    """Takes scans that failed off the list, and tells which; each may still be retried. Raises as `claim`."""
    failed = (scans.c.id.in_(ids), scans.c.state == ScanState.FAILED)
    with writing(engine) as connection:
        put_aside = update(scans).where(*failed).values(error=DISMISSED).returning(scans.c.id)
        return sorted(connection.execute(put_aside).scalars())


def recover(engine: Engine, now: datetime, *, renewed_to: datetime | None = None) -> int:
    """Puts scans back whose process died, and tells how many; no fault is counted. Raises as `claim`.

    On this machine a dead process is known by its number; of one elsewhere the lease must run out first.
    What had the number of this process, as a container's run of before, lives only where its lease was
    `renewed_to` this moment, or a later one.
    """
    running = scans.c.state == ScanState.RUNNING
    with reading(engine) as connection:
        # Nearly always there is none: the lock for writing is not asked for to find that out.
        held = connection.execute(select(scans.c.worker, scans.c.leased_until).where(running)).all()
    workers = {row.worker for row in held if row.worker}
    dead = [worker for worker in workers if is_dead(worker)]
    if renewed_to is not None:
        former = {worker for worker in workers if had_number_of_this(worker)}
        living = {row.worker for row in held if row.leased_until and row.leased_until >= renewed_to}
        dead += former - living
    if not dead and all(row.leased_until and row.leased_until >= now for row in held):
        return 0
    with writing(engine) as connection:
        expired = or_(scans.c.leased_until.is_(None), scans.c.leased_until < now)
        lost = update(scans).where(running, or_(expired, scans.c.worker.in_(dead)))
        return connection.execute(lost.values(state=ScanState.QUEUED.value, **_UNLEASED)).rowcount


def _show(engine: Engine, place: dict[str, Any], failed_before: datetime | None) -> Enqueued:
    of_content = _of_content(place["sha256"])
    with writing(engine) as connection:
        first, here = _standing(connection.execute(of_content).all(), place)
        if first is not None and here is not None and not _tried_again(first, failed_before):
            # So stands nearly every scan of a large inbox: no row is locked to find that out.
            return _known(here)
        first, here = _standing(connection.execute(of_content.with_for_update()).all(), place)
        if first is None or _tried_again(first, failed_before):
            _queue(connection, place, here=here.id if here else None, first=first.id if first else None)
            return Enqueued.QUEUED
        if here is None:
            now = place["queued_at"]
            duplicate = {"state": ScanState.DUPLICATE.value, "duplicate_of": first.id, "finished_at": now}
            connection.execute(insert(scans), {**place, **duplicate})
            return Enqueued.DUPLICATE
        # Another process showed it the moment before.
        return _known(here)


def _replaced(job: Job) -> dict[str, Any]:
    said = f"{job.file} was replaced before it was read once more; what failed before is kept."
    return {"state": ScanState.FAILED.value, "error": Vanished.__name__, "message": stored_name(said)}


def _known(here: Row[Any]) -> Enqueued:
    if here.state == ScanState.FAILED:
        return Enqueued.FAILED
    return Enqueued.PENDING if here.state in {ScanState.QUEUED, ScanState.RUNNING} else Enqueued.KNOWN


def _of_content(sha256: str) -> Select[Any]:
    """All rows of a content; always locked in one order, since two who differ would wait for each other."""
    return select(scans).where(scans.c.sha256 == sha256).order_by(scans.c.id)


def _standing(same: Sequence[Row[Any]], place: dict[str, Any]) -> tuple[Row[Any] | None, Row[Any] | None]:
    """Of the rows of a content: the one that is no duplicate, and the one of this place."""
    here_now = _place(stored_name(place["source"]), stored_name(place["file"]))
    first = next((row for row in same if row.state != ScanState.DUPLICATE), None)
    return first, next((row for row in same if _place(row.source, row.file) == here_now), None)


def waiting_in(sources: Collection[Path] | None) -> list[ColumnElement[bool]]:
    """What is true of scans that wait, in these folders or in any."""
    waits: list[ColumnElement[bool]] = [scans.c.state == ScanState.QUEUED]
    if sources is not None:
        waits.append(scans.c.source.in_([str(source) for source in sources]))
    return waits


def _tried_again(first: Row[Any], failed_before: datetime | None) -> bool:
    if first.state != ScanState.FAILED:
        return False
    # What vanished was never read: its content may lie here under another name by now.
    vanished: bool = first.error == Vanished.__name__
    return vanished or failed_before is None or first.finished_at < failed_before


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


def _held(job: Job) -> Update:
    running = (scans.c.state == ScanState.RUNNING, scans.c.attempts == job.attempts)
    # The number of a row that was dropped is given out again.
    return update(scans).where(scans.c.id == job.id, scans.c.sha256 == job.sha256, *running)


def _end(connection: Connection, job: Job, outcome: dict[str, Any]) -> None:
    """Changes a row that is held; the attempts are the lease's token, since every claim counts one up."""
    if connection.execute(_held(job).values(outcome)).rowcount != 1:
        raise LeaseLost(
            f"{job.file} was taken over by another process: the lease ran out.",
            "Nothing is lost: the other process stores it.",
        )
