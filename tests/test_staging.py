"""The folder of a run for what is unfinished: gone after it, however it ended."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from processor.commands.start import STAGING, STALE_STAGING, staging

HELD = """
import sys
from pathlib import Path
from processor.commands.start import staging
with staging(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("h")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def test_a_run_leaves_nothing(results: Path) -> None:
    with staging(results) as folder:
        (folder / "1-1").mkdir()
        assert folder.parent == results / STAGING
    assert list((results / STAGING).iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_that_of_a_running_one_stays(results: Path) -> None:
    command = [sys.executable, "-c", HELD, str(results)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        with staging(results):
            assert (left / "half").exists()
        other.kill()
    assert (left / "half").exists()
    with staging(results) as own, staging(results) as beside:
        assert set((results / STAGING).iterdir()) == {own, beside}


def test_a_number_that_is_another_process_by_now_says_nothing_for_the_folder(results: Path) -> None:
    """In a container, each run has the number of the one before."""
    left = results / STAGING / f"{socket.gethostname()}-{os.getpid()}-abcdefgh"
    left.mkdir(parents=True)
    before = psutil.Process().create_time() - 60
    os.utime(left, (before, before))
    with staging(results):
        assert not left.exists()


@pytest.mark.parametrize(
    "name", ["another.host-1-abcdefgh", "tmpabcdefgh", "a-b-c", f"{socket.gethostname()}-x-y"]
)
def test_elsewhere_the_age_decides(results: Path, name: str) -> None:
    left = results / STAGING / name
    left.mkdir(parents=True)
    with staging(results):
        assert left.exists()
    old = left.stat().st_mtime - STALE_STAGING.total_seconds() - 1
    os.utime(left, (old, old))
    with staging(results):
        assert not left.exists()


def test_a_folder_that_went_away_meanwhile_is_no_fault(results: Path) -> None:
    with staging(results) as folder:
        shutil.rmtree(folder)
