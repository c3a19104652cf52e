"""Whatever the bytes are, a scan ends as done or as failed with a reason, and harms nothing else.

The real command reads thousands of scans of every kind whose bytes were changed: by bits, sectors and ends,
by extreme sizes in their heads, by references that lead in a circle, by one file inside another.

    pytest -m slow -s tests/proofs/test_mutated_scans.py

`PROOF_MUTANTS` chooses how many (5000), `PROOF_SEED` others.
"""

import json
import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from processor.settings import Limits
from tests.mutations import mutant
from tests.proofs.accounts import states
from tests.proofs.products import command
from tests.proofs.programs import Program

MUTANTS = int(os.environ.get("PROOF_MUTANTS", "5000"))
SEED = int(os.environ.get("PROOF_SEED", "5"))

SECONDS = 120.0
"""Of which no scan of a few kilobytes may need more, however many pixels it claims to hold."""

SUFFIXES = {"JPEG": "jpg", "TIFF": "tif", "BigTIFF": "tif"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


def test_thousands_of_mutated_scans_harm_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "settings.toml").write_text(f"[limits]\nseconds_per_scan = {SECONDS}\n")
    for number in range(MUTANTS):
        kind, data = mutant(SEED * 1_000_000 + number)
        (
            home / "inbox" / f"{number} {kind}.{SUFFIXES.get(kind.split()[0], kind.split()[0].lower())}"
        ).write_bytes(data)
    started = time.monotonic()
    with Program(home, "--once", "--json", "--workers", "2") as program:
        megabytes, workers = watched(program)
        assert program.wait() == 1, program.said
    seconds = time.monotonic() - started

    ended = states(home / "results" / "results.db")
    assert ended.keys() <= {"done", "failed", "duplicate"}, ended
    assert sum(ended.values()) == MUTANTS
    assert len(workers) == 2, f"a worker died: {len(workers)} were at work"
    assert megabytes < Limits().worker_memory_mb
    assert "Traceback" not in program.said
    reasons = failures(home)
    assert not [text for text in reasons if "fault of the program" in text]
    assert not [text for text in reasons if f"not read within {SECONDS:g}" in text]
    assert strange_lines(program.said) == []
    verified = command(home, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    print(f"\n{MUTANTS} mutants in {seconds:.0f} s: {ended}; a worker took at most {megabytes:.0f} MB")
    for text, count in Counter(map(gist, reasons)).most_common(12):
        print(f"{count:6} {text}")


def watched(program: Program) -> tuple[float, set[int]]:
    """The most memory that a worker held until the run ended, in 10^6 bytes, and who worked."""
    most, seen = 0.0, set()
    while not program.ended:
        for worker in program.workers():
            try:
                most = max(most, worker.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
            seen.add(worker.pid)
        time.sleep(0.2)
    return most, seen


def failures(home: Path) -> list[str]:
    """What the person reads of each scan that failed; none without a reason that names the file."""
    with closing(sqlite3.connect(home / "results" / "results.db")) as connection:
        rows = connection.execute("SELECT file, error, message FROM scans WHERE state = 'failed'").fetchall()
    for file, error, message in rows:
        assert error == "BadScan", (file, error, message)
        assert message.startswith(file), (file, message)
    return [message.removeprefix(file) for file, _, message in rows]


def strange_lines(said: str) -> list[str]:
    """What is on stderr besides the lines of scans that failed: a library's own words, for instance."""
    words, _, counts = said.partition("\n{")
    assert json.loads("{" + counts)["failed"] > 0
    return [line for line in words.splitlines() if not line.startswith("failed: ")]


def gist(reason: str) -> str:
    """A reason without the page and what comes after the colon."""
    return reason.split(":")[0].split(" is ")[-1][:60]
