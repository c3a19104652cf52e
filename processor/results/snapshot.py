"""A copy of the database as it stands at one moment, taken without a trace beside it.

A connection of SQLite that only reads makes `-wal` and `-shm` files all the same, where a database in WAL
mode has none, and leaves them behind; one that may write folds a left-over WAL into the database.
"""

import shutil
import time
from pathlib import Path

from processor.errors import BadDatabase

TRIES = 20
WAIT_SECONDS = 0.1
_WAL_HEADER_BYTES = 32
_State = tuple[tuple[int, int] | None, bytes, tuple[int, int] | None]


def copy_database(path: Path, folder: Path) -> Path:
    """Copies the SQLite database `path`, with what it has not yet taken over from its journals, to `folder`.

    Others may write meanwhile. Raises BadDatabase where it cannot be read, the folder has no room, or
    somebody writes all the while.
    """
    copy = folder / "snapshot.db"
    try:
        for _ in range(TRIES):
            if _copy(path, copy):
                return copy
            time.sleep(WAIT_SECONDS)
    except OSError as error:
        raise BadDatabase(
            f"The database {path} cannot be copied to {folder} to be read: {error.strerror or error}.",
            f"Make room in {folder}, or check the permissions of the database.",
        ) from error
    raise BadDatabase(
        f"The database {path} was written to all the while.", "Try again once the programs that write rest."
    )


def _copy(path: Path, copy: Path) -> bool:
    """Whether the copy holds one state: the database first, then the journals that mend what it missed.

    A checkpoint that runs meanwhile takes its pages from the WAL, which holds them until it begins anew with
    another header; so a WAL that is still the same one brings the copy up to its last commit.
    """
    before = _state(path)
    shutil.copyfile(path, copy)
    for suffix in ("-wal", "-journal"):
        target = _beside(copy, suffix)
        try:
            shutil.copyfile(_beside(path, suffix), target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
    return _state(path) == before


def _state(path: Path) -> _State:
    """What changes when the database is written to, other than by an addition to its WAL."""
    try:
        with _beside(path, "-wal").open("rb") as wal:
            header = wal.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        header = b""
    return _stamp(path), header, _stamp(_beside(path, "-journal"))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
