"""A copy of the database as it stands at one moment.

`copy_database` takes it without a trace beside the database: a connection of SQLite that only reads makes
`-wal` and `-shm` files, where a database in WAL mode has none; one that may write folds a left-over WAL into
the database. `keep_copy` leaves one beside it, for the case that what comes next goes wrong.
"""

import filecmp
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from processor.errors import BadDatabase
from processor.results.publish import sync_folder

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


def keep_copy(path: Path, occasion: str) -> Path:
    """Copies what is committed in the SQLite database `path` to `<path>.<occasion>.bak`, whole or not at all.

    A copy of before that holds the same is taken for it; one that holds something else stays, and the new
    one is numbered. Others may write meanwhile. Raises BadDatabase where it cannot be copied.
    """
    part = path.with_name(f".{path.name}.{occasion}.part")
    try:
        part.unlink(missing_ok=True)
        _back_up(path, part)
        for number in count(1):
            kept = path.with_name(f"{path.name}.{occasion}{f'-{number}' if number > 1 else ''}.bak")
            if not kept.exists():
                part.rename(kept)
                sync_folder(kept.parent)
                break
            if filecmp.cmp(part, kept, shallow=False):
                break
    except (OSError, sqlite3.Error) as error:
        raise BadDatabase(
            f"The database {path} was not changed, for no copy of it could be made before: {error}.",
            f"Make room in {path.parent}, or check its permissions.",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return kept


def _back_up(path: Path, target: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        # Nobody reads it before it is whole: a journal of its own would only cost time.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy)
    shutil.copymode(path, target)
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())


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
