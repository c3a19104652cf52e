"""What the intake costs while nothing happens and while much does, and how soon a scan is in the database.

python -m benchmarks.idle                    # everything: about eight minutes
python -m benchmarks.idle --only burst
"""

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from PIL import Image, ImageDraw

from benchmarks.product import Row, home
from processor.intake.arrivals import Arrivals
from processor.intake.places import Place
from processor.settings import Intake

WARM_UP_SECONDS = Intake().rescan_seconds + 15.0
"""The first rescan looks at all folders once more: those made just before the start are not known yet."""

# In another process, so that what it costs to write is not counted.
WRITER = """
import sys, time
from pathlib import Path
folder, count, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
start = time.monotonic()
for number in range(count):
    (folder / f"{number}.png").write_bytes(b"%d" % number * 200)
    time.sleep(max(0.0, start + number * seconds / count - time.monotonic()))
"""


def idle(watch: str, seconds: float, read: int, folders: int) -> list[Row]:
    """Percent of a core that the whole daemon takes, with a large inbox and many originals already read."""
    with home() as place:
        for number in range(read):
            original = place / "results" / "processed" / f"{number % 100}" / f"{number}.png"
            original.parent.mkdir(parents=True, exist_ok=True)
            original.touch()
        for number in range(folders):
            (place / "inbox" / f"{number % 100}" / f"{number}").mkdir(parents=True)
        with running(place, watch) as daemon:
            time.sleep(WARM_UP_SECONDS)
            before = spent(daemon)
            time.sleep(seconds)
            share = 100 * (spent(daemon) - before) / seconds
    return [Row(f"{folders} folders, {read} read", f"idle, {watch}: % of a core", share, "< 1")]


def burst(count: int, seconds: float) -> list[Row]:
    """Seconds of CPU that noticing `count` files takes, which arrive over `seconds`; nothing is read."""
    told: set[Path] = set()
    twice = 0
    with tempfile.TemporaryDirectory() as name:
        inbox = Path(name)
        with Arrivals([Place(inbox, inbox)], Intake(), warn=print) as arrivals:
            arrivals.wait(0)
            writer = subprocess.Popen([sys.executable, "-c", WRITER, name, str(count), str(seconds)])
            began, before = time.monotonic(), time.process_time()
            while len(told) < count and time.monotonic() < began + seconds + 120:
                new = {found.path for found in arrivals.wait(1.0) or ()}
                twice += len(told & new)
                told |= new
            took, cpu = time.monotonic() - began, time.process_time() - before
            writer.wait()
    kind = f"{count} files in {seconds:g} s"
    return [
        Row(kind, "missed", count - len(told), "0"),
        Row(kind, "told twice", twice, "0"),
        Row(kind, "CPU of the intake, s", cpu),
        Row(kind, "all told after, s", took, f"< {seconds + 5:g}"),
    ]


def latency(scans: int) -> list[Row]:
    """Seconds from the last write to a scan until its rows are stored, when it comes alone."""
    settle = Intake().settle_seconds
    with home() as place, running(place, "auto"):
        for number in range(scans + 1):
            written(place / "inbox" / f"{number}.png", str(1000 + number))
            time.sleep(settle + 1.5 + number % 7 / 10)
        wait_for(lambda: len(finished(place)) == scans + 1)
        # The first one waits for a worker to start.
        took = [ended - begun[name] for name, ended in finished(place).items() if name != "0.png"]
    return [
        Row(
            f"{scans} scans, one by one",
            "from written to stored, s, median",
            statistics.median(took),
            f"<= {settle + 0.5:g}",
        )
    ]


begun: dict[str, float] = {}


def written(path: Path, digits: str) -> None:
    """A small page with printed digits; notes when it was finished."""
    page = Image.new("L", (160, 60), 255)
    ImageDraw.Draw(page).text((40, 12), digits, fill=0, font_size=32)
    page.save(path, dpi=(300, 300))
    begun[path.name] = time.time()


def finished(place: Path) -> dict[str, float]:
    """When each scan was stored, in seconds since the epoch."""
    with sqlite3.connect(place / "results" / "results.db") as connection:
        rows = connection.execute("SELECT file, finished_at FROM scans WHERE state = 'done'").fetchall()
    return {file: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for file, at in rows}


def wait_for(what: Callable[[], bool], timeout_seconds: float = 60.0) -> None:
    until = time.monotonic() + timeout_seconds
    while not what():
        if time.monotonic() > until:
            raise SystemExit("The daemon did not read what was given to it.")
        time.sleep(0.2)


@contextmanager
def running(place: Path, watch: str) -> Iterator[psutil.Process]:
    """The daemon in `place`, from its first listing on; ended with SIGTERM."""
    with (place / "settings.toml").open("a") as settings:
        settings.write(f"[intake]\nwatch = {json.dumps(watch)}\n")
    daemon = psutil.Popen([sys.executable, "-m", "processor", "run", "--quiet"], cwd=place)
    try:
        wait_for((place / "results" / "numbers.csv").exists)
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(60)


def spent(daemon: psutil.Process) -> float:
    """Seconds of CPU of the daemon and its workers."""
    processes = [daemon, *daemon.children(recursive=True)]
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=["native", "polling", "burst", "latency"])
    parser.add_argument("--seconds", type=float, default=120.0, help="of idling")
    parser.add_argument("--read", type=int, default=50_000, help="originals that were read before")
    parser.add_argument("--folders", type=int, default=10_000, help="below the inbox")
    parser.add_argument("--files", type=int, default=10_000, help="of the burst, over ten seconds")
    parser.add_argument("--scans", type=int, default=15, help="that come one by one")
    options = parser.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "native": lambda: idle("native", options.seconds, options.read, options.folders),
        "polling": lambda: idle("polling", options.seconds, options.read, options.folders),
        "burst": lambda: burst(options.files, 10.0),
        "latency": lambda: latency(options.scans),
    }
    for name, measure in parts.items():
        if options.only in (None, name):
            for row in measure():
                print(f"{row.set:32} {row.measure:36} {row.figure:10.3f}  {row.goal}")


if __name__ == "__main__":
    main()
