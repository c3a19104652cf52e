"""How many scans a second a driver keeps up with, by workers that only sleep as long as a page takes.

python -m benchmarks.scaling                                     # 1 to 1,000 workers, on both databases
python -m benchmarks.scaling --workers 100 --seconds 0.5 --databases sqlite
python -m benchmarks.scaling --drivers 2 4 --workers 1000 --databases postgresql

All else is the product: the inbox is swept and hashed, scans are claimed, their files published, their rows
committed, their originals moved. Folders and databases lie in the temporary folder: `TMPDIR` says on which
disk.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.queue import databases
from benchmarks.sleepers import SleepingEngine
from processor.commands.assembly import assembled
from processor.patience import Stop
from processor.results.database import open_database, reading
from processor.results.schema import scans as scans_table
from processor.settings import LoadedSettings, load
from processor.states import ScanState

SCAN_BYTES = 500_000
"""So much is hashed of each scan: a grey A4 page at 300 dpi as JPEG takes about as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many drivers share so many workers, each of which takes `seconds` a scan."""

    drivers: int
    workers: int
    seconds: float
    scans: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What one driver took, in seconds, from its first look at the inbox to its last commit."""

    wall: float
    cpu: float
    idle: float
    done: int


class Silence:
    """A listener that shows nothing."""

    def listed(self, count: int) -> None: ...

    def ended(self, file: str, state: str, detail: str) -> None: ...

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        print(text, flush=True)


def simulate(url: str, folder: Path, load_: Load) -> list[Driver]:
    """What each driver took to have all scans of an inbox read; ends the program where one was not, once."""
    _fill(folder, load_.scans)
    open_database(url).dispose()
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(load_.drivers, timeout=60), context.Queue()
    drivers = [
        context.Process(target=_drive, args=(url, folder, load_, start, told)) for _ in range(load_.drivers)
    ]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    if any(driver.exitcode for driver in drivers):
        raise SystemExit("A driver failed.")
    found = [told.get() for _ in drivers]
    _check(url, folder, load_.scans)
    return found


def _fill(folder: Path, scans: int) -> None:
    (folder / "inbox").mkdir(parents=True)
    (folder / "settings.toml").touch()
    for number in range(scans):
        with (folder / "inbox" / f"{number:06}.jpg").open("wb") as stream:
            stream.write(f"{number}".encode())
            stream.truncate(SCAN_BYTES)


def _drive(url: str, folder: Path, load_: Load, start: Any, told: Any) -> None:
    archive = load().models_archive.resolve()
    os.chdir(folder)
    settings = load(
        None, {"database.url": url, "paths.models_archive": str(archive), "limits.min_free_mb": 0}
    )
    engine = SleepingEngine(load_.workers // load_.drivers, load_.seconds, settings.results)
    with _run(settings, engine) as done:
        start.wait()
        wall, cpu = time.perf_counter(), time.process_time()
        done.daemon.once()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    told.put(Driver(wall=wall, cpu=cpu, idle=engine.idle, done=done.custody.tally.summary().done))


@contextmanager
def _run(settings: LoadedSettings, engine: SleepingEngine) -> Iterator[Any]:
    with assembled(
        settings, [], once=True, listener=Silence(), stop=Stop(), metrics_port=None, engine=engine
    ) as run:
        yield run


def _check(url: str, folder: Path, scans: int) -> None:
    engine = open_database(url)
    with reading(engine) as connection:
        done = select(func.count()).where(scans_table.c.state == ScanState.DONE)
        rows = connection.execute(done).scalar_one()
    engine.dispose()
    results = folder / "results"
    files = {name: _count(results / name) for name in ("annotated", "csv", "processed")}
    left = _count(folder / "inbox")
    if rows != scans or left or set(files.values()) != {scans}:
        raise SystemExit(
            f"Of {scans} scans {rows} are done, {files} lie in the results, {left} in the inbox."
        )


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def told(database: str, load_: Load, found: Sequence[Driver]) -> str:
    """One line of the table."""
    wall = max(driver.wall for driver in found)
    cpu, idle = (sum(getattr(driver, name) for driver in found) for name in ("cpu", "idle"))
    whole = sum(driver.wall for driver in found)
    # The first page is waited for by every worker, and no driver.
    rate = load_.scans / (wall - load_.seconds)
    ideal = load_.workers / load_.seconds
    return (
        f"{database:11} {load_.drivers:7} {load_.workers:8} {load_.scans:7} {rate:9.1f} {rate / ideal:9.0%} "
        f"{1000 * cpu / load_.scans:9.1f} {cpu / whole:9.0%} {(whole - cpu - idle) / whole:9.0%} "
        f"{idle / whole:9.0%}"
    )


HEAD = (
    f"{'database':11} {'drivers':>7} {'workers':>8} {'scans':>7} {'scans/s':>9} {'of ideal':>9} "
    f"{'CPU ms':>9} {'computes':>9} {'disk':>9} {'waits':>9}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--drivers", type=int, nargs="+", default=[1], help="that share the workers")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a worker takes a scan")
    parser.add_argument("--rounds", type=int, default=12, help="scans a worker")
    parser.add_argument("--scans", type=int, default=2000, help="at most")
    parser.add_argument(
        "--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"]
    )
    options = parser.parse_args()
    print(HEAD, flush=True)
    with databases(options.databases, None) as found:
        for workers in options.workers:
            for drivers in options.drivers:
                for name, new in found.items():
                    scans = min(options.scans, options.rounds * workers)
                    load_ = Load(drivers=drivers, workers=workers, seconds=options.seconds, scans=scans)
                    with tempfile.TemporaryDirectory() as folder:
                        print(told(name, load_, simulate(new(), Path(folder) / "home", load_)), flush=True)


if __name__ == "__main__":
    main()
