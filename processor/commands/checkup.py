"""The single checks of `processor doctor`: each looks at one thing a run needs, and changes nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil
from sqlalchemy import Engine, func, select

from processor.commands import start
from processor.engines.local import LocalEngine
from processor.errors import BadModel, Exit
from processor.intake.watcher import Watcher
from processor.prediction.archive import CURRENT, find_model
from processor.pulse import Sign, signs
from processor.records import ScanState
from processor.results.database import database_file, journal_mode, open_read_only, reading
from processor.results.journal import unfit_for_wal
from processor.results.schema import scans
from processor.results.upgrade import TODAY, stored_revision
from processor.settings import ENV_PREFIX, LoadedSettings
from processor.trust import doubt

WORKER_MB = 1000.0
"""What a worker takes with its model and an A4 page of 300 dpi, and room for a larger one."""

CLOCK_SECONDS = 5.0

_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "pillow", "pypdfium2", "SQLAlchemy", "watchdog")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Level(StrEnum):
    """How grave it is: a fault stops a run, a warning does not."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what was found, and, where it is not in order, what to do."""

    name: str
    found: str
    level: Level = Level.OK
    remedy: str = ""
    exit_code: Exit = Exit.DONE


def settings_found(settings: LoadedSettings) -> Iterator[Check]:
    """Which file the settings are from, and what of them the environment says otherwise."""
    start.check_settings(settings)
    if settings.file is None:
        where = f"no settings.toml from {settings.base} upward: every setting has its default"
        yield _warning("settings", where, "Write one with `processor config init`, or name one.")
    else:
        yield Check(name="settings", found=str(settings.file))
    named = sorted(name for name, origin in settings.origins.items() if origin.startswith(ENV_PREFIX))
    if named:
        yield Check(name="environment", found=f"sets {', '.join(named)}")


def folders(settings: LoadedSettings) -> Iterator[Check]:
    """The inbox and the results: there, apart, writable, with room, on one file system."""
    inbox, results = settings.inbox.resolve(), settings.results.resolve()
    there = []
    for name, folder in (("inbox", inbox), ("results", results)):
        if not folder.exists():
            yield _warning(name, f"{folder} is not there yet", "`processor run` makes it; is the name right?")
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            said = f"{folder} may not be read and written by this user"
            yield _fault(name, said, "Mend its permissions.", Exit.BAD_SETTINGS)
        else:
            there.append(folder)
            yield Check(name=name, found=str(folder))
    if results in there:
        start.check_folders(settings)
        free = shutil.disk_usage(results).free / 1e6
        least = settings.values.limits.min_free_mb
        yield Check(name="disk space", found=f"{free:.0f} MB are free, {least:g} MB must be")
    if there == [inbox, results]:
        yield _file_systems(inbox, results)


def _file_systems(inbox: Path, results: Path) -> Check:
    if inbox.stat().st_dev == results.stat().st_dev:
        return Check(name="file system", found="originals are moved by renaming them")
    said = "the inbox and the results lie on two file systems: each original is copied"
    return _warning("file system", said, "Lay both on one, if moving takes long.")


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
            yield _fault("database", f"{file} is damaged: {damage}", remedy, Exit.BAD_DATABASE)
            return
        yield _tables(engine, where)
        mode = journal_mode(engine)
        unfit = unfit_for_wal(file) if file is not None and mode != "wal" else None
        if unfit is None:
            yield Check(name="journal", found=mode)
        else:
            said = f"{mode}, since the database {unfit}"
            yield _warning("journal", said, "Lay it on a disk of this machine: readers and writer wait less.")
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
    return _warning("database", said, "The next run copies it, and brings it up to date.")


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
        failed = connection.execute(
            select(func.count()).select_from(scans).where(scans.c.state == ScanState.FAILED)
        ).scalar_one()
        last = connection.execute(select(func.max(scans.c.finished_at))).scalar_one()
    if failed:
        yield _warning("failed scans", str(failed), "`processor retry` lists them with their reasons.")
    else:
        yield Check(name="failed scans", found="none")
    if last is not None and (last - datetime.now(UTC)).total_seconds() > CLOCK_SECONDS:
        said = f"the last scan was read at {last:%Y-%m-%d %H:%M:%S} UTC, which is yet to come"
        yield _warning("clock", said, "Set the clock right.")


def _runs(engine: Engine) -> Iterator[Check]:
    found = signs(engine)
    now = datetime.now(UTC)
    for sign in found:
        said = f"process {sign.pid} on {sign.host}, {sign.state}, since {sign.started_at:%Y-%m-%d %H:%M} UTC"
        yield _run(sign, said, silent=sign.silent(now))
    if not found:
        yield Check(name="daemon", found="none runs now")


def _run(sign: Sign, said: str, *, silent: bool) -> Check:
    if sign.lives is False:
        remedy = "Its scans are put back by the next run: start it again."
        return _warning("daemon", f"{said}, has ended without a word", remedy)
    if silent:
        said = f"{said}, has shown no sign of life since {sign.beat_at:%H:%M:%S} UTC"
        return _warning("daemon", said, "Look at its log; stop it, and start it again.")
    return Check(name="daemon", found=said)


def model(settings: LoadedSettings) -> Iterator[Check]:
    """The model is there, its hashes are right, and a worker that loads it computes what its maker did."""
    folder = find_model(settings.models_archive, settings.values.recognition.model)
    engine = LocalEngine(settings, 1)
    try:
        engine.examine(folder.path)
        while (verdict := engine.verdict()) is None:
            engine.wait(0.5)
    finally:
        engine.close()
    if verdict.fault is not None:
        raise verdict.fault
    yield Check(name="model", found=f"{folder.name}: hashes right, loaded by a worker, probe computed right")


def rights(settings: LoadedSettings) -> Iterator[Check]:
    """Whether others than this user could change what decides what is read."""
    archive, name = settings.models_archive, settings.values.recognition.model
    found = []
    if settings.file is not None:
        found.append(doubt("settings", [settings.file.parent, settings.file]))
    with suppress(BadModel):  # the look at the model says so
        folder = find_model(archive, name).path
        found.append(doubt("model", [archive, archive / CURRENT, folder, *folder.iterdir()]))
    said = [text for text in found if text is not None]
    for text in said:
        yield _warning("rights", text, "chmod go-w")
    if not said:
        yield Check(name="rights", found="nobody else can change the settings or the model")


def events(settings: LoadedSettings) -> Iterator[Check]:
    """Whether the file system announces a file that is made in the inbox."""
    inbox, intake = settings.inbox.resolve(), settings.values.intake
    if not inbox.is_dir():
        return
    with Watcher([inbox], intake.recursive, intake.watch) as watcher:
        (watch,) = watcher.watches
    if watch.mode == "native" and watch.canary != "lost":
        yield Check(name="events", found=f"{inbox} announces new files")
    elif watch.why is None and intake.watch == "polling":
        yield Check(name="events", found=f"{inbox} is listed regularly, as intake.watch says")
    else:
        said = watch.why or f"no event came of a file made in {inbox}"
        remedy = f"New files are found by listing, within {intake.rescan_seconds:g} s."
        yield _warning("events", said, remedy)


def libraries(_: LoadedSettings) -> Iterator[Check]:
    """The versions that a report of a fault needs, and what is read only with an extra."""
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    yield Check(name="libraries", found=", ".join(versions))
    if importlib.util.find_spec("pillow_heif") is None:
        yield _warning("HEIC", "photos of phones (.heic) cannot be read", "pip install digit-inbox[heic]")
    else:
        yield Check(name="HEIC", found="can be read")


def machine(settings: LoadedSettings) -> Iterator[Check]:
    """Cores and memory, against the workers that are to run."""
    count = settings.values.workers.resolved_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{count} workers of one thread each, {cores} cores"
    if count > cores:
        yield _warning(
            "cores", said, f"Set workers.count to {cores}, or auto: more only wait for each other."
        )
    else:
        yield Check(name="cores", found=said)
    memory = _memory_mb()
    said = f"{memory:.0f} MB for {count} workers"
    if memory < count * WORKER_MB:
        fewer = max(1, int(memory // WORKER_MB))
        yield _warning(
            "memory", said, f"A worker takes up to {WORKER_MB:g} MB: set workers.count to {fewer}."
        )
    else:
        yield Check(name="memory", found=said)


def _memory_mb() -> float:
    """The memory of this machine, or what the container may take of it."""
    total = float(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        limit = "max"
    return (min(total, float(limit)) if limit.isdecimal() else total) / 1e6


def clock(settings: LoadedSettings) -> Iterator[Check]:
    """Whether the results' file system and this machine have the same time, as a share's server may not."""
    if not settings.results.is_dir():
        return
    with tempfile.TemporaryFile(dir=settings.results) as file:
        file.write(b"?")
        file.flush()
        apart = os.fstat(file.fileno()).st_mtime - time.time()
    if abs(apart) > CLOCK_SECONDS:
        said = f"the file system of {settings.results} is {apart:+.0f} s from this machine"
        yield _warning("clock", said, "Set both by one time server.")
    else:
        yield Check(name="clock", found=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")


def terminal(_: LoadedSettings) -> Iterator[Check]:
    """Whether the terminal can show any name of a file."""
    encoding = (sys.stdout.encoding or "").lower()
    if encoding.replace("-", "") == "utf8":
        yield Check(name="terminal", found=encoding)
    else:
        said = f"{encoding or 'of no known encoding'}: some letters of file names are shown as \\u…"
        yield _warning("terminal", said, "Set LC_ALL=C.UTF-8, or PYTHONUTF8=1.")


def _warning(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, found=found, level=Level.WARNING, remedy=remedy)


def _fault(name: str, found: str, remedy: str, exit_code: Exit) -> Check:
    return Check(name=name, found=found, level=Level.FAULT, remedy=remedy, exit_code=exit_code)
