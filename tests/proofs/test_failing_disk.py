"""A disk that fails, is full or read-only: nothing is lost, it is said, and reading goes on by itself after.

Each time a daemon reads a pile of scans while the fault lasts. At the end the folder holds what it would hold
without it: the same files with the same bytes, the same rows, nothing failed that can be read.

    pytest -m slow tests/proofs/test_failing_disk.py

The disk that fails now and then is made by a C compiler, for Linux. Full and read-only disks are mounted,
which takes root's rights; elsewhere those tests are skipped.
"""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.proofs.accounts import Account
from tests.proofs.conftest import SCANS
from tests.proofs.faulty_disk import READS, WRITES, FaultyDisk
from tests.proofs.mounts import mount_memory, unmount, write_protect
from tests.proofs.products import check, command, drop_in, finish, product, says_so, settled, status_says
from tests.proofs.programs import Program, wait_until

MET = ("create", "write", "sync", "rename")
"""What every scan needs; links, folders and removals are few."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_any_call_that_writes_may_fail(place: Path, in_peace: Account, number: int) -> None:
    """One in 25 of all calls that write in the results folder fails: the database's, the workers', all."""
    home = product(place / "home", SCANS)
    with (
        FaultyDisk(place, home / "results") as disk,
        Program(home, "--workers", "2", environment=disk.environment) as daemon,
    ):
        says_so(daemon, "Watching")
        failed = read_with_faults(home, disk, daemon, number, 25, WRITES, MET)
    assert os.strerror(number) in daemon.said
    check(home, in_peace, parts=failed["unlink"] > 0)


def test_any_call_that_reads_a_scan_may_fail(place: Path, in_peace: Account) -> None:
    """As with a share that hiccups: what cannot be read for the moment is read later, and has not failed."""
    home = product(place / "home", SCANS)
    with (
        FaultyDisk(place, home / "inbox") as disk,
        Program(home, "--workers", "2", environment=disk.environment) as daemon,
    ):
        says_so(daemon, "Watching")
        read_with_faults(home, disk, daemon, errno.EIO, 10, READS, READS)
    assert os.strerror(errno.EIO) in daemon.said
    check(home, in_peace)


def read_with_faults(
    home: Path,
    disk: FaultyDisk,
    daemon: Program,
    number: int,
    one_in: int,
    kinds: Sequence[str],
    met: Sequence[str],
) -> dict[str, int]:
    """Reads the pile while calls fail, and then what is left in peace; how many calls failed of each kind.

    A scan meets a few of the faults, and far fewer than would set it aside. Most befall the database, which
    is written to all the time, so the faults go on until there was one of each kind that must be `met`.
    """
    disk.begin(number, one_in, *kinds)
    drop_in(home)

    def enough() -> bool:
        failed = disk.failed
        return sum(failed.values()) >= 2 * SCANS and all(failed[kind] for kind in met)

    wait_until(lambda: enough() or settled(home) or daemon.ended, f"calls fail; {daemon.said}")
    disk.mend()
    failed = disk.failed
    finish(home, daemon)
    for kind in met:
        assert failed[kind], f"no {kind} failed in this run: {failed}"
    return failed


def test_a_full_disk(place: Path, in_peace: Account) -> None:
    """Without a limit for free space, writing fails wherever it comes to."""
    home = product(place / "home", SCANS)
    mount_memory(home / "results", 24)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        ballast = fill(home / "results", keep=100_000)
        drop_in(home)
        says_so(daemon, "disk is full")
        # The daemon has no room to note why it waits; what status knows by itself shows it.
        assert json.loads(command(home, "status", "--json").stdout)["free_mb"] < 1
        ballast.unlink()
        finish(home, daemon)
    check(home, in_peace)


def test_a_disk_that_is_nearly_full(place: Path, in_peace: Account) -> None:
    """Below `limits.min_free_mb` nothing more is read until there is room."""
    home = product(place / "home", SCANS, min_free_mb=2)
    mount_memory(home / "results", 24)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        ballast = fill(home / "results", keep=1_500_000)
        drop_in(home)
        says_so(daemon, "Less than 2 MB are free")
        status_says(home, "Less than 2 MB are free")
        ballast.unlink()
        finish(home, daemon)
    assert "No space left" not in daemon.said
    check(home, in_peace)


def fill(folder: Path, keep: int) -> Path:
    """Leaves `keep` bytes of the disk; gives the file that takes the others."""
    facts = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(facts.f_bavail * facts.f_frsize - keep))
    return ballast


def test_folders_that_cannot_be_written_for_a_while(place: Path, in_peace: Account) -> None:
    """Each folder of the results is read-only at first; one after the other is mended."""
    home = product(place / "home", SCANS)
    folders = [home / "results" / name for name in ("annotated", "csv", "processed", "failed", ".staging")]
    for folder in folders:
        folder.mkdir(parents=True)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        for folder in folders:
            write_protect(folder)
        drop_in(home)
        for folder in reversed(folders):
            said = len(daemon.said)
            says_so(daemon, "Read-only file system", said)
            status_says(home, "Read-only file system")
            unmount(folder)
        finish(home, daemon)
    check(home, in_peace)
