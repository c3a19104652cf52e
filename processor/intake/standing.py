"""How far the contents that a run waits for have come in the queue; nothing is changed here."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from processor.intake.queue import Job, waiting_in
from processor.records import ScanState
from processor.results.database import reading
from processor.results.publish import file_name, stored_name
from processor.results.schema import scans

_HASHES_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a content has come; `due` is when it may be tried again after `fault`."""

    state: ScanState
    due: datetime | None
    fault: str | None

    def due_in(self, now: datetime) -> float:
        """Seconds until it may be tried again: 0 where it may be at once."""
        return max(0.0, (self.due - now).total_seconds()) if self.due is not None else 0.0


def next_due(engine: Engine, sources: Collection[Path] | None = None) -> datetime | None:
    """When the first scan that was put back may be claimed; `None` where none was.

    Raises DatabaseAway, BadDatabase.
    """
    with reading(engine) as connection:
        first: datetime | None = connection.scalar(
            select(func.min(scans.c.not_before)).where(*waiting_in(sources))
        )
    return first


def standings(engine: Engine, hashes: Collection[str]) -> dict[str, Standing]:
    """How far these contents have come; what the queue no longer holds is left out. Raises as `next_due`."""
    wanted, found = list(hashes), {}
    columns = (scans.c.sha256, scans.c.state, scans.c.not_before, scans.c.message)
    with reading(engine) as connection:
        for begin in range(0, len(wanted), _HASHES_A_QUERY):
            some = scans.c.sha256.in_(wanted[begin : begin + _HASHES_A_QUERY])
            read = select(*columns).where(some, scans.c.state != ScanState.DUPLICATE)
            for sha256, state, due, message in connection.execute(read):
                found[sha256] = Standing(ScanState(state), due, message)
    return found


@dataclass(frozen=True, slots=True)
class First:
    """The scan that the copies of its content point to: `file` below `source`, as on the file system."""

    source: Path
    file: str
    state: ScanState

    def told(self, source: Path) -> str:
        """As text: the file where it is one of `source`, else its path."""
        return stored_name(self.file if self.source == source else str(self.source / self.file))


def first_of(engine: Engine, sha256: str) -> First | None:
    """Where a content was seen first; `None` where it was forgotten meanwhile. Raises as `next_due`."""
    columns = (scans.c.source, scans.c.file, scans.c.state)
    first = select(*columns).where(scans.c.sha256 == sha256, scans.c.state != ScanState.DUPLICATE)
    with reading(engine) as connection:
        row = connection.execute(first).first()
    if row is None:
        return None
    return First(Path(file_name(row.source)), file_name(row.file), ScanState(row.state))


def has_copy(engine: Engine, job: Job) -> bool:
    """Whether its content was seen in another place of the same inbox, too. Raises as `next_due`."""
    copies = (scans.c.duplicate_of == job.id, scans.c.source == str(job.source))
    with reading(engine) as connection:
        return connection.execute(select(scans.c.id).where(*copies).limit(1)).first() is not None
