"""Questions to the results database: counts, readings, one scan in full, and SQL that people type."""

import difflib
import fnmatch
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from glob import escape
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, func, null, or_, select
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from processor.errors import BadCommand, BadDatabase
from processor.results import postgresql
from processor.results.counts import total_counts
from processor.results.database import columns_of, reading
from processor.results.publish import stored_name
from processor.results.schema import digits, numbers, pages, refused_models, scans, two_readings
from processor.results.schema import readings as readings_view
from processor.states import DISMISSED, ScanState, Status

if TYPE_CHECKING:
    import pandas as pd

NUMBER_STATES = (Status.ACCEPTED, Status.REVIEW, Status.CORRECTED)
_CANDIDATES = 10
_COMPARED = 10_000
_FRAME_TYPES = {int: "int64", float: "float64"}

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of scans by outcome (`seen` is their sum) and of what was read.

    `digits` counts digits, `review` those of them that wait for a person, `rejected` the blobs that are none;
    `accepted` counts numbers, `expected_wrong` how many of them will be wrong if their confidences are right.
    """

    seen: int
    done: int
    failed: int
    duplicate: int
    ignored: int
    pending: int
    pages: int
    numbers: int
    digits: int
    review: int
    rejected: int
    accepted: int = 0
    expected_wrong: float = 0.0

    def trust(self) -> dict[str, float]:
        """The share of the numbers that was accepted, and the share expected to be wrong among those."""
        return {
            "accepted_share": round(self.accepted / self.numbers, 4) if self.numbers else 0.0,
            "expected_error": round(self.expected_wrong / self.accepted, 4) if self.accepted else 0.0,
        }

    def check(self) -> None:
        """Raises BadDatabase where seen = done + failed + duplicate + ignored + pending does not hold."""
        parts = {name: getattr(self, name) for name in ("done", "failed", "duplicate", "ignored", "pending")}
        if self.seen != sum(parts.values()):
            named = " + ".join(f"{count} {name}" for name, count in parts.items())
            raise BadDatabase(
                f"The counts contradict each other: {self.seen} scans seen, but {named}.",
                'Look: processor query "SELECT state, COUNT(*) FROM scans GROUP BY state"',
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReport:
    """A number, its digits, and what each of two readings made of it (None where it was read once)."""

    number: Fields
    digits: tuple[Fields, ...]
    twice: Fields | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReport:
    page: Fields
    numbers: tuple[NumberReport, ...]
    rejected: tuple[Fields, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """One scan with all that was read from it; the fields are the columns of the tables."""

    scan: Fields
    pages: tuple[PageReport, ...]


def summary(engine: Engine) -> Summary:
    """Counts over the whole database; `ignored` are failed scans that a person dismissed.

    Raises BadDatabase where they contradict each other.
    """
    with reading(engine) as connection:
        states = _scans_by_state(connection)
        put_aside = select(func.count()).where(scans.c.state == ScanState.FAILED, scans.c.error == DISMISSED)
        dismissed = connection.execute(put_aside).scalar_one()
        found = total_counts(connection)
    counts = Summary(
        seen=sum(states.values()),
        done=states.get(ScanState.DONE, 0),
        failed=states.get(ScanState.FAILED, 0) - dismissed,
        duplicate=states.get(ScanState.DUPLICATE, 0),
        ignored=dismissed,
        pending=states.get(ScanState.QUEUED, 0) + states.get(ScanState.RUNNING, 0),
        pages=found.pages,
        numbers=found.numbers,
        digits=found.digits,
        review=found.digits_in_review,
        rejected=found.rejected,
        accepted=found.accepted,
        expected_wrong=round(found.expected_wrong, 4),
    )
    counts.check()
    return counts


def in_review(engine: Engine) -> int:
    """How many numbers wait for a person. Raises BadDatabase."""
    with reading(engine) as connection:
        waiting = select(func.count()).where(numbers.c.status == Status.REVIEW)
        return int(connection.execute(waiting).scalar_one())


def refusal(engine: Engine) -> Fields | None:
    """The model that the last run could not use: `name`, `reason`, `in_use` instead, `at`; else `None`."""
    with reading(engine) as connection:
        # `status` looks at databases of earlier versions, too.
        if not columns_of(connection, refused_models):
            return None
        kept = refused_models.c
        found = connection.execute(select(kept.name, kept.reason, kept.in_use, kept.at)).mappings().first()
        return dict(found) if found else None


def readings(
    engine: Engine, file_glob: str | None = None, status: str | None = None, since: datetime | None = None
) -> "pd.DataFrame":
    """The view `readings`, ordered by file, page and position.

    `file_glob` is matched against the whole path or the bare name, upper and lower case told apart; `since`
    (aware) keeps scans finished at or after it. Raises BadCommand for an unknown status.
    """
    # pandas takes longer to import than `processor status` may take in all.
    import pandas as pd

    if status is not None and status not in NUMBER_STATES:
        raise BadCommand(f"There is no status {status!r}.", f"It is one of {', '.join(NUMBER_STATES)}.")
    view = readings_view.c
    query = select(readings_view).order_by(view.file, view.scan_id, view.page, view.position)
    if status is not None:
        query = query.where(view.status == status)
    if file_glob is not None:
        query = query.where(view.scan_id.in_(select(scans.c.id).where(_matches(file_glob, engine))))
    if since is not None:
        # The index of moments is one by states first.
        ended = (scans.c.state.in_(list(ScanState)), scans.c.finished_at >= since)
        query = query.where(view.scan_id.in_(select(scans.c.id).where(*ended)))
    with reading(engine) as connection:
        known = {c.name for c in columns_of(connection, readings_view)}
        # An older database is asked as it is: it says of no number why a person must look.
        asked = [c if c.name in known else null().label(c.name) for c in view]
        rows = connection.execute(query.with_only_columns(*asked)).all()
    frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(view.keys()))
    return frame.astype({name: _FRAME_TYPES.get(c.type.python_type, "string") for name, c in view.items()})


def copies(engine: Engine, file_glob: str) -> list[tuple[str, str]]:
    """Scans that hold what another one does, each with the one whose numbers stand for both.

    Two of one name are told by their paths.
    """
    first = scans.alias()
    query = select(scans.c.file, first.c.file, scans.c.source, first.c.source)
    query = query.join(first, scans.c.duplicate_of == first.c.id)
    query = query.where(_matches(file_glob, engine)).order_by(scans.c.file, scans.c.id)
    with reading(engine) as connection:
        return [
            (copy, original) if copy != original else (f"{place}/{copy}", f"{of_original}/{original}")
            for copy, original, place, of_original in connection.execute(query)
        ]


def run_select(engine: Engine, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Runs one query on an engine from `open_read_only`; gives column names and rows.

    Raises BadCommand where it is no query, or is wrong; BadDatabase where the database is.
    """
    with reading(engine) as connection:
        if postgresql.is_server(connection):
            connection = postgresql.only_selecting(connection)
        try:
            with closing(connection.exec_driver_sql(sql)) as result:
                return list(result.keys()), [tuple(map(_plain, row)) for row in result]
        except ResourceClosedError:
            raise BadCommand("The statement gives no rows.", "Write a SELECT.") from None
        except DBAPIError as error:
            refused = postgresql.refusal_of(error) if postgresql.is_server(engine) else _refusal(error)
            if refused is None:
                raise
            raise refused from None


def _plain(value: Any) -> Any:
    """As SQLite gives it: PostgreSQL sums integers up to decimal fractions, and takes JSON apart."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def scan_report(engine: Engine, file: str) -> ScanReport:
    """All that is known of the scan with this path or, where no path is so, this name: its newest content.

    A number that is no name is a scan's id.

    Raises BadCommand, naming candidates, where there is none or several places have it.
    """
    with reading(engine) as connection:
        scan = _find(connection, file)
        return ScanReport(scan=scan, pages=page_reports(connection, scan["id"]))


def page_reports(connection: Connection, scan_id: int) -> tuple[PageReport, ...]:
    """All that was read from the pages of a scan."""
    found = connection.execute(select(pages).where(pages.c.scan_id == scan_id).order_by(pages.c.page))
    return tuple(_page_report(connection, page) for page in _fields(found))


def scans_done(engine: Engine, wanted: Sequence[str]) -> list[Fields]:
    """The rows of scans that were read, in the order of their ids; `wanted` none: all of them.

    Each of `wanted` is a scan's id, its path as recorded or on the disk, its bare name, or a pattern for
    either. Raises BadCommand where one of them names no scan that was read.
    """
    done = select(scans).where(scans.c.state == ScanState.DONE).order_by(scans.c.id)
    with reading(engine) as connection:
        if not wanted:
            return _fields(connection.execute(done))
        found: dict[int, Fields] = {}
        for name in wanted:
            path = stored_name(str(Path(name).absolute()))
            on_disk = scans.c.source + "/" + scans.c.file == path
            matches = [_matches(name, engine), scans.c.file == stored_name(name), on_disk]
            rows = _fields(connection.execute(done.where(or_(*matches))))
            if not rows:
                rows = _fields(connection.execute(done.where(scans.c.id == id_of(name))))
            if not rows:
                raise BadCommand(f"No scan {name} was read.", _nearest(connection, stored_name(name)))
            found |= {row["id"]: row for row in rows}
    return [found[number] for number in sorted(found)]


def id_of(text: str) -> int:
    """The id that a person typed; -1, which no scan has, where it is none, or too large to be one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1


def _scans_by_state(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(scans.c.state, func.count()).group_by(scans.c.state))
    return {row[0]: row[1] for row in rows}


def _matches(glob: str, engine: Engine) -> ColumnElement[bool]:
    """Shell patterns are no SQL; both databases know regular expressions (SQLite through Python's)."""
    name = stored_name(glob)
    wanted: list[tuple[ColumnElement[str], str]] = [(scans.c.file, name), (scans.c.file, f"*/{name}")]
    if "/" in name:
        # As a shell has it, from the folder one stands in: that of a scan is no part of its file.
        path = name if name[0] == "/" else f"{escape(stored_name(str(Path.cwd())))}/{name}"
        wanted.append((scans.c.source + "/" + scans.c.file, normpath(path)))
    if postgresql.is_server(engine):
        return or_(*(text.regexp_match(postgresql.pattern_of(p)) for text, p in wanted))
    # The match is a search: fnmatch gives an end to the pattern, but no start.
    return or_(*(text.regexp_match("^" + fnmatch.translate(p)) for text, p in wanted))


def _refusal(error: DBAPIError) -> BadCommand:
    writes = getattr(error.orig, "sqlite_errorname", "") in {"SQLITE_AUTH", "SQLITE_READONLY"}
    if writes:
        return BadCommand("A query may only read; this statement would do more.", "Write a SELECT.")
    said = str(error.orig).rstrip(".")
    return BadCommand(f"The query is refused: {said}.", "The tables are in the documentation.")


def _fields(rows: Any) -> list[Fields]:
    return [dict(row) for row in rows.mappings()]


def _find(connection: Connection, file: str) -> Fields:
    """The newest row of the one place that `file` names: by its path, wholly or in part, or by its id."""
    name, path = stored_name(file), stored_name(str(Path(file).absolute()))
    ends_so = scans.c.file.endswith("/" + name, autoescape=True)
    on_disk = scans.c.source + "/" + scans.c.file == path
    query = select(scans).where(or_(scans.c.file == name, ends_so, on_disk)).order_by(scans.c.id.desc())
    found = _fields(connection.execute(query))
    for at_place in (
        [scan for scan in found if f"{scan['source']}/{scan['file']}" == path],
        [scan for scan in found if scan["file"] == name],
        # LIKE does not tell upper case from lower in SQLite.
        [scan for scan in found if scan["file"].endswith("/" + name)],
    ):
        # A copy was not read; what a person wants to see is the scan that it is a copy of.
        at_place = [scan for scan in at_place if scan["state"] != "duplicate"] or at_place
        places = sorted({f"{scan['source']}/{scan['file']}" for scan in at_place})
        if len(places) > 1:
            raise BadCommand(f"{len(places)} scans are named {name}.", f"Name one: {_listed(places)}.")
        if places:
            return at_place[0]
    by_id = _fields(connection.execute(select(scans).where(scans.c.id == id_of(name))))
    if by_id:
        return by_id[0]
    raise BadCommand(f"No scan {name} was seen.", _nearest(connection, name))


def _nearest(connection: Connection, name: str) -> str:
    recent = select(scans.c.file).distinct().order_by(scans.c.file).limit(_COMPARED)
    known = list(connection.execute(recent).scalars())
    close = difflib.get_close_matches(name, known, n=_CANDIDATES, cutoff=0.5) or known
    return f"There is {_listed(close)}." if known else "Nothing was read yet: `processor run --once`."


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _CANDIDATES
    return ", ".join(names[:_CANDIDATES]) + (f" and {more} more" if more > 0 else "")


def _page_report(connection: Connection, page: Fields) -> PageReport:
    of_page = numbers.c.page_id == page["id"]
    found = _fields(connection.execute(select(numbers).where(of_page).order_by(numbers.c.position)))
    query = select(digits).where(digits.c.page_id == page["id"]).order_by(digits.c.position)
    by_number: dict[int | None, list[Fields]] = {}
    for digit in _fields(connection.execute(query)):
        by_number.setdefault(digit["number_id"], []).append(digit)
    of_numbers = select(two_readings).join(numbers).where(of_page)
    twice = {row["number_id"]: row for row in _fields(connection.execute(of_numbers))}
    reports = (
        NumberReport(number=n, digits=tuple(by_number.get(n["id"], ())), twice=twice.get(n["id"]))
        for n in found
    )
    return PageReport(page=page, numbers=tuple(reports), rejected=tuple(by_number.get(None, ())))
