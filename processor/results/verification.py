"""Whether every record, file and hash agree: all checks, in their order, and a second look at what is off."""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from processor.records import ScanState
from processor.results.consistency import (
    check_counts,
    check_database,
    check_duplicates,
    check_pages,
    check_positions,
    check_queue,
    check_spelling,
)
from processor.results.database import reading
from processor.results.findings import Finding, Holdings, Kind, Looked
from processor.results.inventory import check_scans
from processor.results.originals import content_of
from processor.results.schema import scans
from processor.results.strays import check_files, check_leftovers
from processor.results.tables import all_numbers

MOST_FINDINGS = 10_000
"""More are not listed at once: when a whole folder is gone, a hundred thousand lines tell no more."""

SECOND_LOOK_SECONDS = 2.0
"""Between a row's commit and the moving of its original lies less than this."""

NUMBERS = "numbers.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at, and what is off; `complete` is false where it stopped for sheer number."""

    looked: Looked
    findings: tuple[Finding, ...]
    complete: bool = True


class Verification:
    """Looks at all that was read, twice where something is off: what others change meanwhile is no finding.

    `advance` hears of every lot of scans that was held against its files.
    """

    def __init__(
        self,
        holdings: Holdings,
        *,
        staging: Path,
        stale: timedelta,
        advance: Callable[[int], None] = lambda _: None,
        pause_seconds: float = SECOND_LOOK_SECONDS,
        most_findings: int = MOST_FINDINGS,
    ) -> None:
        self._holdings = holdings
        self._staging = staging
        self._stale = stale
        self._advance = advance
        self._pause_seconds = pause_seconds
        self._most = most_findings

    def look(self) -> Report:
        """Everything that is off. Raises Transient, BadDatabase where it cannot be looked at."""
        looked = Looked()
        first = list(_at_most(self._findings(looked, self._advance), self._most + 1))
        complete = len(first) <= self._most
        if not first or first[0].kind is Kind.DAMAGED:
            return Report(looked=looked, findings=tuple(first), complete=complete)
        time.sleep(self._pause_seconds)
        ids = {finding.scan_id for finding in first if finding.scan_id is not None}
        again = {_told(finding) for finding in self._findings(Looked(), lambda _: None, ids)}
        still = tuple(finding for finding in first[: self._most] if _told(finding) in again)
        return Report(looked=looked, findings=still, complete=complete)

    def _findings(
        self, looked: Looked, advance: Callable[[int], None], only: Collection[int] | None = None
    ) -> Iterator[Finding]:
        database = self._holdings.database
        damage = list(check_database(database))
        yield from damage
        if any(finding.kind is Kind.DAMAGED for finding in damage):
            return  # whatever else would be found is told by the damage
        yield from check_queue(database, datetime.now(UTC))
        yield from check_duplicates(database)
        yield from check_pages(database)
        yield from check_positions(database)
        yield from check_spelling(database, looked)
        yield from check_counts(database)
        yield from check_scans(self._holdings, looked, advance, only)
        yield from check_files(self._holdings)
        yield from check_leftovers(self._holdings.results, self._staging, self._stale.total_seconds())
        yield from _check_numbers(self._holdings)


def count_scans(holdings: Holdings) -> int:
    """How many scans a look goes through."""
    with reading(holdings.database) as connection:
        return int(connection.execute(select(func.count()).select_from(scans)).scalar_one())


def _check_numbers(holdings: Holdings) -> Iterator[Finding]:
    """`numbers.csv` says what the database says, once nothing waits: until then a run may yet write it."""
    waits = scans.c.state.in_([ScanState.QUEUED, ScanState.RUNNING])
    with reading(holdings.database) as connection:
        if connection.execute(select(scans.c.id).where(waits).limit(1)).first() is not None:
            return
        done = scans.c.state == ScanState.DONE
        if connection.execute(select(scans.c.id).where(done).limit(1)).first() is None:
            return
    found = content_of(holdings.results / NUMBERS)
    digest = hashlib.sha256()
    for line in all_numbers(holdings.database):
        digest.update(line)
    if found != digest.hexdigest():
        yield Finding(
            kind=Kind.NUMBERS,
            file=NUMBERS,
            found=found or "none",
            expected=digest.hexdigest(),
            repairable=True,
        )


def _told(finding: Finding) -> Finding:
    """A finding without what goes on changing while it stays the same: the age of a leftover."""
    return replace(finding, found="") if finding.kind in (Kind.STAGING, Kind.PART) else finding


def _at_most(findings: Iterator[Finding], most: int) -> Iterator[Finding]:
    for count, finding in enumerate(findings, 1):
        yield finding
        if count == most:
            return
