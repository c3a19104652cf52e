"""Whether the rows of the database agree with each other, and the database with itself."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, distinct, func, or_, select

from processor.errors import BadDatabase
from processor.processes import is_dead
from processor.records import ScanState, Status
from processor.results import postgresql
from processor.results.counts import NO_COUNTS, counted_anew, differing
from processor.results.database import reading
from processor.results.findings import Finding, Kind, Looked
from processor.results.schema import COUNTS, corrections, digits, numbers, pages, scans

_AT_ONCE = 2000
_COUNTED_AT_ONCE = 500
_MOST_LINES = 100
"""Of a database that is damaged throughout, so many faults are listed."""


def check_database(engine: Engine) -> Iterator[Finding]:
    """SQLite's own checks of its pages, indexes and references.

    PostgreSQL checks a reference with every change, and a page when it is read, as the other checks do with
    all of them; but it may be told to leave out an index or a constraint.
    """
    where = engine.url.render_as_string(hide_password=True)
    if postgresql.is_server(engine):
        with reading(engine) as connection:
            for left_out in postgresql.left_out(connection):
                yield _of_rows(Kind.REFERENCE, where, f"{left_out} is not in force", "one that is")
        return
    where = str(engine.url.database)
    try:
        with reading(engine) as connection:
            for (line,) in connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST_LINES})"):
                if line != "ok":
                    yield _of_rows(Kind.DAMAGED, where, line, "a whole database")
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_MOST_LINES):
                found = f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there"
                yield _of_rows(Kind.REFERENCE, where, found, "a row that is there")
    except BadDatabase as damage:
        yield _of_rows(Kind.DAMAGED, where, damage.message, "a whole database")


def check_queue(engine: Engine, now: datetime) -> Iterator[Finding]:
    """Scans that a process claimed and will never finish: it ended, or its lease ran out."""
    running = select(scans).where(scans.c.state == ScanState.RUNNING)
    with reading(engine) as connection:
        for row in connection.execute(running):
            expired = row.leased_until is None or row.leased_until < now
            if expired or (row.worker and is_dead(row.worker)):
                why = f"its lease ran out at {row.leased_until}" if expired else "that process has ended"
                found = f"running in {row.worker}, and {why}"
                yield _of_scan(Kind.LOST, row, found, "queued, done or failed", repairable=True)


def check_duplicates(engine: Engine) -> Iterator[Finding]:
    """Each content is read once, and every other row of it names the one that is."""
    first, copy = scans.alias("first"), scans.alias("copy")
    odd = or_(first.c.id.is_(None), first.c.state == ScanState.DUPLICATE, first.c.sha256 != copy.c.sha256)
    wrong = (
        select(copy, first.c.state.label("first_state"), first.c.sha256.label("first_sha256"))
        .select_from(copy.outerjoin(first, first.c.id == copy.c.duplicate_of))
        .where(copy.c.state == ScanState.DUPLICATE, odd)
    )
    with reading(engine) as connection:
        for row in connection.execute(wrong):
            mendable = len(connection.execute(first_of(row.sha256)).all()) == 1
            remedy = "" if mendable else "No row of this content was read: drop the scan in again."
            yield _of_scan(
                Kind.DUPLICATE,
                row,
                _pointing(row),
                "points at the scan of the same content that was read",
                repairable=mendable,
                remedy=remedy,
            )
        read = scans.c.state != ScanState.DUPLICATE
        twice = select(scans.c.sha256, func.count().label("rows"), func.min(scans.c.id).label("id"))
        twice = twice.where(read).group_by(scans.c.sha256).having(func.count() > 1)
        for row in connection.execute(twice):
            yield _of_rows(Kind.TWICE, row.sha256, f"{row.rows} rows that are no duplicate", "one", row.id)


def first_of(sha256: str) -> Select[Any]:
    """The ids of rows of this content that are no duplicate: one, in a database that is in order."""
    return select(scans.c.id).where(scans.c.sha256 == sha256, scans.c.state != ScanState.DUPLICATE)


def check_pages(engine: Engine) -> Iterator[Finding]:
    """A scan that was read has its pages from 1 on, without a gap; any other has none."""
    last, count = func.max(pages.c.page), func.count(pages.c.id)
    of_scan = select(scans.c.id, scans.c.file, scans.c.state, last.label("last"), count.label("total"))
    of_scan = of_scan.select_from(scans.outerjoin(pages, pages.c.scan_id == scans.c.id)).group_by(scans.c.id)
    is_done = scans.c.state == ScanState.DONE
    gap = or_(count == 0, last != count, func.min(pages.c.page) != 1)
    with reading(engine) as connection:
        for row in connection.execute(of_scan.having(or_(and_(is_done, gap), and_(~is_done, count > 0)))):
            if row.state == ScanState.DONE:
                found = f"{row.total} pages, the last of them {row.last}"
                yield _of_scan(Kind.PAGES, row, found, "every page from 1 on")
            else:
                found = f"{row.total} pages of a scan that is {row.state}"
                yield _of_scan(Kind.UNREAD, row, found, "none until it is done")


def check_positions(engine: Engine) -> Iterator[Finding]:
    """Numbers of a page, and marks that it left out, are counted from 1 without a gap."""
    for table, what in ((numbers, "numbers"), (digits, "rejected marks")):
        count, last = func.count(), func.max(table.c.position)
        odd = or_(
            func.min(table.c.position) != 1, last != count, func.count(distinct(table.c.position)) != count
        )
        query = select(table.c.page_id, last.label("last"), count.label("total"))
        if table is digits:
            query = query.where(digits.c.number_id.is_(None))
        query = query.group_by(table.c.page_id).having(odd)
        with reading(engine) as connection:
            for row in connection.execute(query):
                found = f"{row.total} {what}, the last at position {row.last}"
                yield from _of_page(
                    connection, Kind.POSITIONS, row.page_id, found, f"positions 1 to {row.total}"
                )


def check_spelling(engine: Engine, looked: Looked) -> Iterator[Finding]:
    """The digits of each number, in their order, spell what the number says.

    A number that a person corrected as a whole may say something else: there is no digit to change then.
    """
    last = 0
    while True:
        with reading(engine) as connection:
            some = _numbers_after(connection, last)
            looked.numbers += len(some)
            for number, spelt, in_order in some:
                if (spelt != number.digits and not _is_corrected(connection, number)) or not in_order:
                    found = f"digits {spelt}" if in_order else "digits with gaps in their positions"
                    where = f"number {number.position}: {found}"
                    yield from _of_page(connection, Kind.SPELLING, number.page_id, where, number.digits)
        if not some:
            return
        last = some[-1][0].id


def check_counts(engine: Engine) -> Iterator[Finding]:
    """What a page says of its numbers and digits, where it does, is what its rows say."""
    last = 0
    while True:
        with reading(engine) as connection:
            query = select(pages).where(pages.c.id > last, pages.c.number_count.is_not(None))
            some = connection.execute(query.order_by(pages.c.id).limit(_COUNTED_AT_ONCE)).all()
            counted = counted_anew(connection, [page.id for page in some])
            for page in some:
                yield from _miscounted(connection, page, counted.get(page.id, NO_COUNTS))
        if not some:
            return
        last = some[-1].id


def _miscounted(connection: Connection, page: Any, counted: Mapping[str, float]) -> Iterator[Finding]:
    told = {name: getattr(page, name) for name in COUNTS}
    if names := differing(told, counted):
        found, expected = (", ".join(f"{name} {of[name]}" for name in names) for of in (told, counted))
        yield from _of_page(connection, Kind.COUNTS, page.id, found, expected, repairable=True)


def _numbers_after(connection: Connection, last: int) -> list[tuple[Any, str, bool]]:
    """The next numbers, each with what its digits spell and whether those are counted from 1 on."""
    some = select(numbers).where(numbers.c.id > last).order_by(numbers.c.id).limit(_AT_ONCE).subquery()
    query = (
        select(*some.c, digits.c.position.label("place"), digits.c.digit)
        .select_from(some.outerjoin(digits, digits.c.number_id == some.c.id))
        .order_by(some.c.id, digits.c.position, digits.c.id)
    )
    found = []
    for _, group in groupby(connection.execute(query), key=lambda row: row.id):
        rows = list(group)
        places = [row.place for row in rows if row.place is not None]
        spelt = "".join(row.digit or "" for row in rows)
        found.append((rows[0], spelt, places == list(range(1, len(places) + 1))))
    return found


def _is_corrected(connection: Connection, number: Any) -> bool:
    told = select(corrections.c.id).where(corrections.c.number_id == number.id).limit(1)
    return number.status == Status.CORRECTED or connection.execute(told).first() is not None


def _pointing(row: Any) -> str:
    if row.duplicate_of is None:
        return "points at no scan"
    if row.first_state is None:
        return f"points at scan {row.duplicate_of}, which is not there"
    if row.first_sha256 != row.sha256:
        return f"points at scan {row.duplicate_of}, which has another content"
    return f"points at scan {row.duplicate_of}, which is a duplicate itself"


def _of_page(
    connection: Connection, kind: Kind, page_id: int, found: str, expected: str, *, repairable: bool = False
) -> Iterator[Finding]:
    query = select(scans.c.id, scans.c.file, pages.c.page).select_from(pages).join(scans)
    for row in connection.execute(query.where(pages.c.id == page_id)):
        yield _of_scan(kind, row, f"page {row.page}, {found}", expected, repairable=repairable)


def _of_scan(
    kind: Kind, row: Any, found: str, expected: str, *, repairable: bool = False, remedy: str = ""
) -> Finding:
    return Finding(
        kind=kind,
        file=row.file,
        found=found,
        expected=expected,
        scan_id=row.id,
        repairable=repairable,
        remedy=remedy,
    )


def _of_rows(kind: Kind, file: str, found: str, expected: str, scan_id: int | None = None) -> Finding:
    return Finding(kind=kind, file=file, found=found, expected=expected, scan_id=scan_id)
