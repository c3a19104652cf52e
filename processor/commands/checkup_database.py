"""The checks of the database: it opens, is whole, is of this version, and what it tells of scans and runs."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from processor.commands.checkup import CLOCK_SECONDS, Check, fault, warning
from processor.errors import Exit
from processor.pulse import Sign, signs
from processor.records import ScanState
from processor.results.database import database_file, journal_mode, open_read_only, reading
from processor.results.journal import unfit_for_wal
from processor.results.schema import scans
from processor.results.upgrade import TODAY, stored_revision
from processor.settings import LoadedSettings
from processor.states import DISMISSED


def database(settings: LoadedSettings) -> Iterator[Check]:
    """The database opens, is whole, and has the journal that its file system bears."""
    file = database_file(settings.database_url)
    if file is not None and not file.exists():
        yield Check(name="database", found=f"{file} is not there yet: the first run makes it")
        return
    engine = open_read_only(settings.database_url, older=True)
    try:
        where = engine.url.render_as_string(hide_password=True)
        if file is not None and (damage := _damage(file)) is not None:
            remedy = "`processor verify` says more. Restore a copy."
            yield fault("database", f"{file} is damaged: {damage}", remedy, Exit.BAD_DATABASE)
            return
        yield _tables(engine, where)
        mode = journal_mode(engine)
        unfit = unfit_for_wal(file) if file is not None and mode != "wal" else None
        if unfit is None:
            yield Check(name="journal", found=mode)
        else:
            said = f"{mode}, since the database {unfit}"
            yield warning("journal", said, "Lay it on a disk of this machine: readers and writer wait less.")
        yield from _of_scans(engine)
        yield from _runs(engine)
    finally:
        engine.dispose()


def _tables(engine: Engine, where: str) -> Check:
    with reading(engine) as connection:
        revision = stored_revision(connection)
    if revision == TODAY:
        return Check(name="database", found=f"{where}, tables of revision {revision}")
    said = f"{where} has the tables of an earlier version, of revision {revision}"
    return warning("database", said, "The next run copies it, and brings it up to date.")


def _damage(file: Path) -> str | None:
    """What SQLite's quick check says, but for "ok"; a query that people type may not ask it."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10.0)
    try:
        (line,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return None if line == "ok" else str(line)


def _of_scans(engine: Engine) -> Iterator[Check]:
    """How many scans failed; whether the last of all was read in the future."""
    with reading(engine) as connection:
        listed = (scans.c.state == ScanState.FAILED, scans.c.error.is_distinct_from(DISMISSED))
        failed = connection.execute(select(func.count()).where(*listed)).scalar_one()
        last = connection.execute(select(func.max(scans.c.finished_at))).scalar_one()
    if failed:
        yield warning("failed scans", str(failed), "`processor retry` lists them with their reasons.")
    else:
        yield Check(name="failed scans", found="none")
    if last is not None and (last - datetime.now(UTC)).total_seconds() > CLOCK_SECONDS:
        said = f"the last scan was read at {last:%Y-%m-%d %H:%M:%S} UTC, which is yet to come"
        yield warning("clock", said, "Set the clock right.")


def _runs(engine: Engine) -> Iterator[Check]:
    found = signs(engine)
    now = datetime.now(UTC)
    for sign in found:
        said = f"process {sign.pid} on {sign.host}, {sign.state}, since {sign.started_at:%Y-%m-%d %H:%M} UTC"
        yield _run(sign, said, silent=sign.silent(now))
    if not found:
        yield Check(name="daemon", found="none runs now")


def _run(sign: Sign, said: str, *, silent: bool) -> Check:
    if sign.end is not None:
        remedy = "Its scans are put back by the next run: start it again."
        return warning("daemon", f"{said}, {sign.end}", remedy)
    if silent:
        said = f"{said}, has shown no sign of life since {sign.beat_at:%H:%M:%S} UTC"
        return warning("daemon", said, "Look at its log; stop it, and start it again.")
    return Check(name="daemon", found=said)
