"""One daemon reads twenty thousand scans, and holds no more memory and no more open files than at first.

The real command, the real reader; small scans arrive in batches, so that the inbox never holds more than a
few hundred. Every half second the memory of the parent and of its workers is looked at; what is compared are
the medians of a thousand scans each, since a single look depends on the scan that is being read.

    pytest -m slow -s tests/proofs/test_soak.py --basetemp /dev/shm/soak

`PROOF_SOAK` chooses how many (20000), `PROOF_SOAK_STEP` how many a line of the table stands for (1000).
"""

import os
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.proofs.accounts import states
from tests.proofs.piles import document
from tests.proofs.products import command, left
from tests.proofs.programs import Program, wait_until

SCANS = int(os.environ.get("PROOF_SOAK", "20000"))
STEP = int(os.environ.get("PROOF_SOAK_STEP", "1000"))
WORKERS = 2

FEW, BATCH = 100, 200
"""Once fewer than FEW files lie in the inbox, BATCH more are put there."""

FIRST = 2
"""The line that the last one is compared with: before it, everything is met for the first time."""

LIMIT = 1.05

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


@dataclass(frozen=True, slots=True)
class Look:
    """Memory that only this process holds, in 10^6 bytes, and its open files."""

    parent: float
    workers: float
    parent_files: int
    worker_files: int


def test_memory_and_open_files_stay_as_they_are(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "settings.toml").write_text("[intake]\nsettle_seconds = 0.1\n")
    with Program(home, "--quiet", "--workers", str(WORKERS)) as daemon:
        lines = soak(home, daemon)
        assert daemon.stop() == 0, daemon.said
    assert "Traceback" not in daemon.said
    ended = states(home / "results" / "results.db")
    assert ended.keys() <= {"done", "duplicate"}, ended
    assert sum(ended.values()) == SCANS
    verified = command(home, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    first, last = lines[FIRST - 1], lines[-1]
    assert last.parent < LIMIT * first.parent
    assert last.workers < LIMIT * first.workers
    assert (last.parent_files, last.worker_files) == (first.parent_files, first.worker_files)


def soak(home: Path, daemon: Program) -> list[Look]:
    """A line for every STEP scans that were read: the medians of what was seen meanwhile."""
    chance = random.Random(11)
    database = home / "results" / "results.db"
    wait_until(database.exists, f"it starts; {daemon.said}")
    lines: list[Look] = []
    looks: list[Look] = []
    written, began = 0, time.monotonic()
    print(f"\n{'scans':>7}{'parent MB':>11}{'workers MB':>12}{'files':>7}{'scans/s':>9}")
    while len(lines) < SCANS // STEP:
        assert not daemon.ended, daemon.said
        if written < SCANS and left(home) < FEW:
            for number in range(written, min(SCANS, written + BATCH)):
                arrive(home, number, chance)
            written = min(SCANS, written + BATCH)
        time.sleep(0.5)
        looks += look(daemon)
        if (
            sum(count for state, count in states(database).items() if state in ("done", "duplicate"))
            >= (len(lines) + 1) * STEP
        ):
            lines.append(median(looks))
            looks.clear()
            now, line = time.monotonic(), lines[-1]
            print(
                f"{len(lines) * STEP:7}{line.parent:11.1f}{line.workers:12.1f}"
                f"{line.parent_files + line.worker_files:7}{STEP / (now - began):9.1f}",
                flush=True,
            )
            began = now
    return lines


def arrive(home: Path, number: int, chance: random.Random) -> None:
    """A small scan of any kind, with a few handwritten digits."""
    kind = chance.choice(("png", "jpg", "jpg", "tif", "pdf", "bmp", "webp", "gif"))
    part = home / "inbox" / f"{number}.part"
    part.write_bytes(document(kind, chance))
    part.rename(part.with_suffix(f".{kind}"))


def look(daemon: Program) -> list[Look]:
    """What the processes hold now; nothing while not all workers have started."""
    workers = daemon.workers()
    if len(workers) < WORKERS:
        return []
    try:
        memory = [worker.memory_full_info().uss / 1e6 for worker in workers]
        files = sum(worker.num_fds() for worker in workers)
        parent = psutil.Process(daemon.session)
        return [Look(parent.memory_full_info().uss / 1e6, sum(memory), parent.num_fds(), files)]
    except psutil.NoSuchProcess:
        return []


def median(looks: list[Look]) -> Look:
    """Of each figure by itself; of the files the fewest, since a scan that is being read is one of them."""
    return Look(
        statistics.median(one.parent for one in looks),
        statistics.median(one.workers for one in looks),
        min(one.parent_files for one in looks),
        min(one.worker_files for one in looks),
    )
