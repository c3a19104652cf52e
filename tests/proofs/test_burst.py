"""Ten thousand files at once, more than the system announces: every one is read, none twice.

The real command watches an inbox by events alone (the next regular listing is an hour away), with a queue of
events that holds a few dozen. Another process copies small scans in as fast as the disk allows; events are
lost, and the daemon says so, and lists.

    pytest -m slow -s tests/proofs/test_burst.py

`PROOF_BURST` chooses how many (10000). What noticing alone costs, without hashing, queueing and moving:
`python -m benchmarks.idle --only burst`.
"""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.proofs.products import command, says_so, settled
from tests.proofs.programs import Program, wait_until

FILES = int(os.environ.get("PROOF_BURST", "10000"))

QUEUED_EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")
FEW = 32

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600)]


def test_a_burst_that_overflows_the_queue_of_events_loses_nothing(tmp_path: Path) -> None:
    home, pile = tmp_path / "home", tmp_path / "pile"
    (home / "inbox").mkdir(parents=True)
    (home / "settings.toml").write_text(
        '[intake]\nwatch = "native"\nrescan_seconds = 3600\n[outputs]\nannotated = "none"\n'
    )
    names = write_blank_pages(pile)
    with watching(home) as daemon:
        began, before = time.monotonic(), cpu(daemon)
        subprocess.run(["cp", "-r", f"{pile}/.", str(home / "inbox")], check=True)
        copied = time.monotonic() - began
        wait_until(lambda: daemon.ended or settled(home), "everything is read", 7200)
        took, spent = time.monotonic() - began, cpu(daemon) - before
        assert daemon.stop() == 0, daemon.said
    assert "More happened at once than the system announces" in daemon.said
    assert "Traceback" not in daemon.said

    with closing(sqlite3.connect(home / "results" / "results.db")) as connection:
        rows = connection.execute("SELECT file, state, attempts FROM scans").fetchall()
    assert sorted(file for file, _, _ in rows) == sorted(names), "missed, or doubled"
    assert {(state, attempts) for _, state, attempts in rows} == {("done", 1)}
    for kind in ("processed", "csv"):
        assert len(list((home / "results" / kind).iterdir())) == FILES
    verified = command(home, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(
        f"\n{FILES} files, copied in {copied:.1f} s: 0 missed, 0 doubled, all read after {took:.0f} s;"
        f"\nnoticing, hashing, queueing, committing and moving took {spent:.1f} s of CPU,"
        f" {spent / FILES * 1e3:.2f} ms a file"
    )


def write_blank_pages(folder: Path) -> list[str]:
    """Small white pages, none like another, which take no time to read; half of them in subfolders."""
    names = []
    for number in range(FILES):
        name = f"{number}.png" if number % 2 else f"station {number % 7}/{number}.png"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        bits = np.unpackbits(np.array([number], ">u4").view(np.uint8))
        Image.fromarray(255 - np.tile(bits, (8, 1))).save(path)
        names.append(name)
    return names


@contextmanager
def watching(home: Path) -> Iterator[Program]:
    """A daemon whose queue of events overflows soon; the system's limit is put back once it has taken it."""
    usual = QUEUED_EVENTS.read_text()
    try:
        QUEUED_EVENTS.write_text(str(FEW))
    except OSError as error:
        pytest.skip(f"the system's queue of events cannot be made smaller: {error.strerror}")
    try:
        program = Program(home, "--workers", "2")
        says_so(program, "Watching")
        wait_until((home / "results" / "numbers.csv").exists, f"it is idle; {program.said}")
    finally:
        QUEUED_EVENTS.write_text(usual)
    with program:
        yield program


def cpu(program: Program) -> float:
    """Seconds of CPU of the process that takes in, queues, commits and moves; its workers read."""
    times = psutil.Process(program.session).cpu_times()
    return times.user + times.system
