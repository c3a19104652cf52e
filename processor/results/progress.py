"""How far the queue is: what waits, since when, how fast it goes, and what failed last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select, true

from processor.results.database import columns_of, reading
from processor.results.schema import scans
from processor.states import DISMISSED, ScanState

RATE_OVER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The scans by state; of those that are queued, `due_later` wait for a time that has not come yet.

    `oldest_waiting` has `id`, `file`, `queued_at`; `last_failure` has `id`, `file`, `error`, `message`, `at`.
    """

    scans: Mapping[str, int]
    due_later: int
    next_due: datetime | None
    oldest_waiting: Mapping[str, Any] | None
    finished_last_hour: int
    last_failure: Mapping[str, Any] | None


def progress(engine: Engine, now: datetime) -> Progress:
    """The state of the queue, in a database of this version or of an earlier one.

    Raises Transient, BadDatabase.
    """
    with reading(engine) as connection:
        counted = select(scans.c.state, func.count()).group_by(scans.c.state)
        states = {row[0]: row[1] for row in connection.execute(counted)}
        due_later, next_due = 0, None
        parts: list[ColumnElement[bool]] = [true()]
        if _may_wait(connection):
            due_later, next_due = _due(connection, now)
            parts = [scans.c.not_before.is_(None), scans.c.not_before.is_not(None)]
        finished = select(func.count()).where(
            scans.c.finished_at > now - RATE_OVER, scans.c.state.in_([ScanState.DONE, ScanState.FAILED])
        )
        return Progress(
            scans={state.value: states.get(state.value, 0) for state in ScanState},
            due_later=due_later,
            next_due=next_due,
            oldest_waiting=_oldest(connection, *parts),
            finished_last_hour=connection.execute(finished).scalar_one(),
            last_failure=_last_failure(connection),
        )


def _may_wait(connection: Connection) -> bool:
    """Whether scans can be due later; in the first tables they could not."""
    return scans.c.not_before.name in {known.name for known in columns_of(connection, scans)}


def _due(connection: Connection, now: datetime) -> tuple[int, datetime | None]:
    """How many queued scans may not be claimed yet, and when the first of them may."""
    later = (scans.c.state == ScanState.QUEUED, scans.c.not_before > now)
    found = connection.execute(select(func.count(), func.min(scans.c.not_before)).where(*later)).one()
    return found[0], found[1]


def _oldest(connection: Connection, *parts: ColumnElement[bool]) -> Mapping[str, Any] | None:
    """The queued scan that waits longest, over some parts of the queue: each is sorted by an index."""
    kept = (scans.c.id, scans.c.file, scans.c.queued_at)
    waiting = select(*kept).where(scans.c.state == ScanState.QUEUED).order_by(scans.c.queued_at, scans.c.id)
    first = [connection.execute(waiting.where(part).limit(1)).mappings().first() for part in parts]
    found = [dict(row) for row in first if row is not None]
    return min(found, key=lambda row: (row["queued_at"], row["id"]), default=None)


def _last_failure(connection: Connection) -> Mapping[str, Any] | None:
    kept = (scans.c.id, scans.c.file, scans.c.error, scans.c.message, scans.c.finished_at.label("at"))
    failed = select(*kept).where(scans.c.state == ScanState.FAILED, scans.c.error.is_distinct_from(DISMISSED))
    failed = failed.order_by(scans.c.finished_at.desc())
    found = connection.execute(failed.limit(1)).mappings().first()
    return dict(found) if found else None
