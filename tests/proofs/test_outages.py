"""A database that another program holds, results or an inbox that go away: it is said, and goes on after.

Each time a daemon reads a pile of scans and loses what it needs in the middle of it. Nothing is lost, nothing
fails, nothing is made in the place of what is away, and once it is back, the rest is read without any help.

    pytest -m slow tests/proofs/test_outages.py

Folders are taken away by another name, and as a share is: unmounted while files are open. The latter takes
root's rights on Linux; elsewhere those tests are skipped.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.proofs.accounts import Account
from tests.proofs.conftest import SCANS
from tests.proofs.mounts import mount_memory, mount_share, unmount
from tests.proofs.products import check, command, drop_in, finish, left, product, says_so, status_says
from tests.proofs.programs import Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Back = Callable[[], object]


def renamed(folder: Path) -> Back:
    away = folder.with_name(f"{folder.name} away")
    folder.rename(away)
    return lambda: away.rename(folder)


def unmounted(folder: Path) -> Back:
    unmount(folder)
    return lambda: mount_share(share_of(folder), folder)


def share(folder: Path) -> None:
    """Makes the folder a share: another file system, whose content outlasts its being mounted there."""
    mount_memory(share_of(folder), 64)
    mount_share(share_of(folder), folder)


def share_of(folder: Path) -> Path:
    """Where the content of a share lies."""
    return folder.with_name(f"{folder.name} share")


def test_a_database_locked_for_more_than_thirty_seconds(place: Path, in_peace: Account) -> None:
    """It is held until the daemon has come to the end of a transaction's patience, which is 30 s."""
    home = product(place / "home", SCANS)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        with closing(sqlite3.connect(home / "results" / "results.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            drop_in(home)
            says_so(daemon, "is locked by another")
            assert left(home) == SCANS, "an original was moved whose row could not be written"
            # The daemon cannot note why it waits; what waits can be read all the same.
            assert command(home, "status").returncode == 0
            other.execute("ROLLBACK")
        finish(home, daemon)
    check(home, in_peace)


@pytest.mark.parametrize("take_away", [renamed, unmounted])
def test_results_that_go_away_and_come_back(
    place: Path, in_peace: Account, take_away: Callable[[Path], Back]
) -> None:
    home = product(place / "home", SCANS)
    results = home / "results"
    if take_away is unmounted:
        share(results)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        (home / "pile" / "monday").rename(home / "inbox" / "monday")
        says_so(daemon, "done: monday")
        said = len(daemon.said)
        back = take_away(results)
        drop_in(home)
        says_so(daemon, "is away", said)
        assert command(home, "status").returncode == 5, "the database is away with the results"
        assert not results.exists() or not any(results.iterdir()), "made anew in the place of what is away"
        back()
        finish(home, daemon)
    check(home, in_peace)


@pytest.mark.parametrize(
    ("take_away", "words"), [(renamed, "is not there"), (unmounted, "is no longer mounted")]
)
def test_an_inbox_that_goes_away_and_comes_back(
    place: Path, in_peace: Account, take_away: Callable[[Path], Back], words: str
) -> None:
    home = product(place / "home", SCANS)
    inbox = home / "inbox"
    if take_away is unmounted:
        share(inbox)
    with Program(home, "--workers", "2") as daemon:
        says_so(daemon, "Watching")
        drop_in(home)
        says_so(daemon, "done: ")
        said = len(daemon.said)
        back = take_away(inbox)
        says_so(daemon, words, said)
        status_says(home, words)
        assert left(home) == 0, "something is made where the inbox is to be"
        back()
        finish(home, daemon)
    check(home, in_peace)
