"""A product folder whose scans are text files: all of the loop is real, with its database and files."""

import csv
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database

from processor.commands.start import STAGING, STALE_STAGING, places, staging
from processor.custody import Custody
from processor.daemon import Daemon
from processor.engines.tasks import ScanTask
from processor.patience import Stop
from processor.pulse import Pulse
from processor.records import ScanResult
from processor.results.database import open_database, reading, writing
from processor.results.findings import Holdings, Kind
from processor.results.queries import Summary
from processor.results.repair import mend
from processor.results.verification import Verification
from processor.settings import LoadedSettings, load
from tests.stand_ins import Memory, SerialEngine, text_reader

BUSY_SECONDS = 0.2
"""A locked database is complained of soon."""

Read = Callable[[ScanTask], ScanResult]


class House:
    """A product folder whose scans are text files; each call of `once` is one run."""

    def __init__(self, home: Path) -> None:
        self.inbox = home / "inbox"
        self.results = home / "results"
        self.results.mkdir(exist_ok=True)
        self.flags: dict[str, Any] = {"intake.settle_seconds": 0, "intake.rescan_seconds": 0.05}
        self.database: Database = open_database(self.settings.database_url, busy_seconds=BUSY_SECONDS)
        self.stop = Stop()
        self.heard = Memory()
        self.read: Read = text_reader(self.settings)
        self.slots = 2
        self.engine: Callable[[Read, int], SerialEngine] = SerialEngine
        self.pulse: Pulse | None = None
        self.patience = 0.0
        """So long a run waits for what is due soon, in seconds."""

    @property
    def settings(self) -> LoadedSettings:
        return load(None, self.flags)

    def once(self, *paths: Path) -> Summary:
        return self._run(paths, Daemon.once)

    def watch(self, *paths: Path) -> Summary:
        return self._run(paths, Daemon.watch)

    def _run(self, paths: tuple[Path, ...], how: Callable[[Daemon], None]) -> Summary:
        self.heard = Memory()
        self.stop.asked = self.stop.asked and how is Daemon.once
        with staging(self.results) as folder:
            custody = Custody(
                self.database,
                inbox=self.inbox,
                results=self.results,
                staging=folder,
                limits=self.settings.values.limits,
                listener=self.heard,
            )
            daemon = Daemon(
                self.settings,
                places(self.settings, paths),
                custody=custody,
                engine=self.engine(self.read, self.slots),
                listener=self.heard,
                stop=self.stop,
                pulse=self.pulse,
                patience_seconds=self.patience,
            )
            self.daemon, self.custody, self.tally = daemon, custody, custody.tally
            try:
                how(daemon)
            finally:
                custody.give_back()
            # What could not be committed goes with the folder.
            assert list(folder.iterdir()) == [] or custody.tally.waiting
        return custody.tally.summary()

    def let_it_be_due(self) -> None:
        """As if the pause after a fault were over."""
        with writing(self.database) as connection:
            connection.exec_driver_sql("UPDATE scans SET not_before = NULL")

    def let_it_be_another_process(self) -> None:
        """As if a process that is gone held what the run before held; a lease lasts a minute."""
        with writing(self.database) as connection:
            connection.exec_driver_sql("UPDATE scans SET leased_until = '2000-01-01 00:00:00.000000'")

    def states(self) -> dict[str, str]:
        with reading(self.database) as connection:
            rows = connection.exec_driver_sql("SELECT file, state FROM scans ORDER BY id")
            return {row.file: row.state for row in rows}

    def numbers(self) -> list[tuple[str, str]]:
        with (self.results / "numbers.csv").open(newline="") as stream:
            return [(row["file"], row["digits"]) for row in csv.DictReader(stream)]

    def files(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.results / folder).glob("*"))


def outcome(counts: Summary) -> dict[str, int]:
    """What became of the scans, without the zeros."""
    names = ("seen", "done", "failed", "duplicate", "ignored", "pending")
    return {name: getattr(counts, name) for name in names if getattr(counts, name)}


def originals_off(house: House, *, repair: bool = False) -> list[Kind]:
    """What is off with originals, and, with `repair`, mended; the tables are not those of the product."""
    holdings = Holdings(database=house.database, inbox=house.inbox, results=house.results)
    staging = house.results / STAGING
    look = Verification(holdings, staging=staging, stale=STALE_STAGING, pause_seconds=0).look()
    found = [finding for finding in look.findings if finding.kind not in {Kind.CSV, Kind.NUMBERS}]
    if repair:
        assert all(mend(holdings, finding, lambda: None) for finding in found)
    return [finding.kind for finding in found]


class Visitor:
    """Does things to the inbox while the daemon watches, and stops it at the end or after 20 seconds."""

    def __init__(self, house: House, *steps: Callable[[], object]) -> None:
        self.house = house
        self.thread = threading.Thread(target=self._visit, args=steps)
        self.late = False

    def _visit(self, *steps: Callable[[], object]) -> None:
        for step in steps:
            step()
        self.house.stop.ask()

    def wait_for(self, what: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                self.late = True
                return
            time.sleep(0.01)

    def watch(self, *paths: Path) -> Summary:
        self.thread.start()
        try:
            return self.house.watch(*paths)
        finally:
            self.thread.join()
            assert not self.late
