"""What the queue and the questions to the database cost, on SQLite and on a PostgreSQL server.

python -m benchmarks.queue                               # everything, with 10 million digits: half an hour
python -m benchmarks.queue --only claims --rows 2000
python -m benchmarks.queue --only questions --digits 1000000 --databases sqlite

The server is Debian's, started for this in a temporary folder; it waits for the disk at every commit, as
SQLite does. `--postgresql URL` takes an empty database of another one instead.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.made_up import DIGITS_A_SCAN, fill, page_of_digits, waiting
from benchmarks.postgres_server import running_server
from benchmarks.product import Row
from processor.intake.queue import Job, claim, enqueue, finish
from processor.intake.standing import standings
from processor.pulse import signs
from processor.results.database import open_database, open_read_only
from processor.results.progress import progress
from processor.results.queries import in_review, readings, run_select, scan_report, summary

KINDS = ["sqlite", "postgresql"]

LEASE_SECONDS = 600.0
SHOWN = 2000
"""So many names of a large inbox are shown to the queue, to tell what each costs."""

INBOX = Path("/inbox")

_ONE_FILE = "SELECT * FROM readings WHERE file"


def claims(database: str, url: str, processes: int, rows: int) -> list[Row]:
    """Claims a second of several processes that empty one queue; ends the program where two get one scan."""
    engine = open_database(url)
    waiting(engine, rows)
    engine.dispose()
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(processes + 1), context.Queue()
    claimants = [context.Process(target=_claim_all, args=(url, start, told)) for _ in range(processes)]
    for one in claimants:
        one.start()
    start.wait()
    began = time.perf_counter()
    held = Counter(scan for _ in claimants for scan in told.get())
    seconds = time.perf_counter() - began
    for one in claimants:
        one.join()
    if len(held) != rows or set(held.values()) != {1}:
        twice = sum(count > 1 for count in held.values())
        raise SystemExit(f"{database}: of {rows} scans {len(held)} were claimed, {twice} of them twice.")
    return [Row(database, f"claims a second, {processes} processes, {rows} rows", rows / seconds)]


def _claim_all(url: str, start: Any, told: Any) -> None:
    engine = open_database(url)
    start.wait()
    mine, now = [], datetime.now(UTC)
    while (job := claim(engine, now, LEASE_SECONDS, sources=[INBOX])) is not None:
        mine.append(job.id)
    told.put(mine)
    engine.dispose()


def questions(database: str, url: str, digits: int, times: int) -> list[Row]:
    """Seconds that each question of `status`, `results` and `show` takes, and one that a person types."""
    engine = open_database(url)
    rows = [Row(database, f"fill with {digits} digits: s", _seconds(lambda: fill(engine, digits)))]
    engine.dispose()
    only, now = open_read_only(url), datetime.now(UTC)
    scans = digits // DIGITS_A_SCAN
    asked: dict[str, Callable[[], object]] = {
        "status: counts": lambda: summary(only),
        "status: to look at": lambda: in_review(only),
        "status: queue": lambda: progress(only, now),
        "status: runs": lambda: signs(only),
        "results --file NAME": lambda: readings(only, f"{scans // 2}.png"),
        "results --file 'sub/*7.png'": lambda: readings(only, "sub/*77.png"),
        "results --since": lambda: readings(only, since=now - timedelta(minutes=1)),
        "results --status corrected": lambda: readings(only, status="corrected"),
        "show NAME": lambda: scan_report(only, f"{scans // 2}.png"),
        "query: one file": lambda: run_select(
            only, f"SELECT * FROM readings WHERE file = '{scans // 3}.png'"
        ),
        "query: count a status": lambda: run_select(
            only, "SELECT status, COUNT(*) FROM digit_readings GROUP BY status"
        ),
    }
    for name, ask in asked.items():
        taken = statistics.median(_seconds(ask) for _ in range(times))
        rows.append(Row(database, f"{name}: s", taken, "< 1"))
    only.dispose()
    return rows


def sweep(database: str, url: str, names: int) -> list[Row]:
    """What it costs to hold an inbox against a table that knows all of it, and then one that knows none."""
    engine = open_database(url)
    waiting(engine, names)
    known = [f"{number * (names // SHOWN):064}" for number in range(1, SHOWN + 1)]
    new = [f"{number:064x}" for number in range(16**20, 16**20 + SHOWN)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = [
        Row(database, f"known names a second, of {names}", SHOWN / _seconds(lambda: _show(engine, known))),
        Row(database, f"new names a second, beside {names}", SHOWN / _seconds(lambda: _show(engine, new))),
        Row(database, f"how {SHOWN} of them stand: s", _seconds(lambda: standings(engine, known)), "< 1"),
        Row(database, "claim of the next one: s", _seconds(lambda: _claim(engine)), "< 0.1"),
    ]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    engine.dispose()
    return [*rows, Row(database, "memory for all that: MB", grown / 1000, "< 50")]


def commits(database: str, url: str, scans: int) -> list[Row]:
    """How many scans of one page with 310 digits one process claims and commits in a second."""
    engine = open_database(url)
    waiting(engine, scans)
    result = page_of_digits()

    def commit_all() -> None:
        for _ in range(scans):
            finish(engine, _claim(engine), result, _now())

    rows = [
        Row(database, f"scans of 310 digits committed a second, of {scans}", scans / _seconds(commit_all))
    ]
    engine.dispose()
    return rows


def _claim(engine: Engine) -> Job:
    job = claim(engine, _now(), LEASE_SECONDS, sources=[INBOX])
    assert job is not None
    return job


def _show(engine: Engine, hashes: list[str]) -> None:
    for sha256 in hashes:
        file = f"{sha256.lstrip('0')}.png"
        enqueue(engine, source=INBOX, file=file, sha256=sha256, bytes=9, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


@contextmanager
def databases(kinds: list[str], given: str | None) -> Iterator[dict[str, Callable[[], str]]]:
    """By its name, what gives the address of a new database, which is gone at the end."""
    with ExitStack() as ends:
        found: dict[str, Callable[[], str]] = {}
        if "sqlite" in kinds:
            folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
            found["sqlite"] = lambda: f"sqlite:///{folder / f'{time.monotonic_ns()}.db'}"
        if "postgresql" in kinds:
            if given:
                found["postgresql"] = lambda: _emptied(given)
            else:
                found["postgresql"] = ends.enter_context(running_server(durable=True)).new
        yield found


def _emptied(url: str) -> str:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE scans, models, daemons, refused_models RESTART IDENTITY CASCADE"))
    engine.dispose()
    return url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=["claims", "commits", "questions", "sweep"])
    parser.add_argument(
        "--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"]
    )
    parser.add_argument("--postgresql", metavar="URL", help="an empty database of another server")
    parser.add_argument("--processes", type=int, default=8, help="that claim")
    parser.add_argument("--rows", type=int, default=20_000, help="that are claimed")
    parser.add_argument("--scans", type=int, default=500, help="that are committed")
    parser.add_argument("--digits", type=int, default=10_000_000, help="in the made-up database")
    parser.add_argument("--names", type=int, default=1_000_000, help="in the inbox")
    parser.add_argument("--times", type=int, default=3, help="that a question is asked; the median counts")
    options = parser.parse_args()
    parts: dict[str, Callable[[str, str], list[Row]]] = {
        "claims": lambda name, url: claims(name, url, options.processes, options.rows),
        "commits": lambda name, url: commits(name, url, options.scans),
        "questions": lambda name, url: questions(name, url, options.digits, options.times),
        "sweep": lambda name, url: sweep(name, url, options.names),
    }
    with databases(options.databases, options.postgresql) as found:
        for part, measure in parts.items():
            if options.only in (None, part):
                for name, new in found.items():
                    for row in measure(name, new()):
                        print(f"{row.set:12} {row.measure:52} {row.figure:12.3f}  {row.goal}", flush=True)


if __name__ == "__main__":
    main()
