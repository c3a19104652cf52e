"""Both programs end with words and an exit code, whatever their streams are: full, closed, or left."""

import os
import subprocess
from pathlib import Path

import pytest

from processor.errors import Exit
from processor.results.database import open_database
from tests.conftest import PROCESSOR

TRAINING = PROCESSOR.with_name("training")

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")


def shell(home: Path, line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs the line, in which `processor` and `training` are the real ones."""
    path = f"{PROCESSOR.parent}{os.pathsep}{os.environ['PATH']}"
    # Buffered as for everybody, unless the test says otherwise.
    known = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=home,
        env={**known, "PATH": path, **environment},
        capture_output=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "unbuffered"), [("processor --version", ""), ("processor config show --json", "1")]
)
def test_a_full_stdout_is_said(home: Path, command: str, unbuffered: str) -> None:
    done = shell(home, f"{command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == Exit.BAD_COMMAND
    assert done.stderr.decode().splitlines() == [
        "stdout cannot be written: No space left on device.",
        "What was to be printed is lost.",
    ]


def test_what_is_lost_is_bytes_too(home: Path) -> None:
    (home / "results").mkdir()
    open_database(f"sqlite:///{home / 'results' / 'results.db'}").dispose()
    done = shell(home, "processor results --format parquet > /dev/full")
    assert done.returncode == Exit.BAD_COMMAND
    assert b"stdout cannot be written" in done.stderr


def test_a_closed_stdout_is_said(home: Path) -> None:
    done = shell(home, "processor config show >&-")
    assert done.returncode == Exit.BAD_COMMAND
    assert done.stderr.startswith(b"stdout cannot be written: Bad file descriptor.")


def test_a_closed_stdout_is_not_given_to_the_next_file(home: Path) -> None:
    """A command that prints nothing needs no stdout; its file must not become it."""
    done = shell(home, "processor config init --force >&- 2>&- <&-")
    assert done.returncode == 0
    assert (home / "settings.toml").read_text().startswith("# Settings")


@pytest.mark.parametrize("stderr", ["2> /dev/full", "2>&-"])
def test_words_that_nobody_hears_change_no_exit_code(home: Path, stderr: str) -> None:
    done = shell(home, f"processor config show --json {stderr}")
    assert (done.returncode, done.stdout[:1], done.stderr) == (0, b"{", b"")
    assert shell(home, f"processor nonsense {stderr}").returncode == Exit.BAD_COMMAND


def test_a_run_goes_on_though_nobody_hears_it(home: Path) -> None:
    done = shell(home, "processor run --once 2> /dev/full")
    assert (done.returncode, done.stdout) == (0, b"")
    assert (home / "results" / "numbers.csv").is_file()


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    done = shell(home, "processor config show | head -n 1")
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_other_program_is_framed_the_same(home: Path) -> None:
    done = shell(home, "training --help > /dev/full")
    assert done.returncode == Exit.BAD_COMMAND
    assert b"stdout cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr
    assert shell(home, "training list --settings missing.toml").returncode == Exit.BAD_SETTINGS
