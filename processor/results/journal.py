"""Which journal the SQLite database has: WAL where its file system bears it, else the older rollback journal.

In WAL mode readers and the writer do not wait for each other, but all of them share a piece of memory through
the file `-shm`: machines that share a network drive do not share that, and some file systems cannot do it at
all. SQLite itself finds out too late, or never (https://sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode).
"""

import os
import sqlite3
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from processor.mounts import NETWORK_FILE_SYSTEMS, file_system

WAL = "wal"

AGAIN_SECONDS = 0.02

_VERSION_BYTES = slice(18, 20)
_OF_SHARED_MEMORY = ("SQLITE_IOERR_SHM", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PROTOCOL")


def unfit_for_wal(path: Path) -> str | None:
    """Why the database `path` cannot be in WAL mode: the end of a sentence about it; `None` where it can.

    The mount table tells of network drives. Elsewhere two connections to a scratch database beside it write
    and read by turns. What fails without WAL, too, is no reason, nor is a fault that may pass.
    """
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        return f"lies on a network drive ({kind})"
    # An unfinished file by its name, should the process be killed here.
    scratch = path.with_name(f".{os.getpid():016x}.part")
    try:
        return _try_wal(scratch) if _can_be_written(scratch) else None
    except sqlite3.Error as error:
        tells = getattr(error, "sqlite_errorname", "").startswith(_OF_SHARED_MEMORY)
        return f"lies where SQLite's WAL mode fails ({error})" if tells else None
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                scratch.with_name(scratch.name + suffix).unlink(missing_ok=True)


def enter_wal(path: Path, busy_seconds: float) -> str | None:
    """Puts the database into WAL mode; gives why not, as `unfit_for_wal`, where SQLite answers otherwise.

    It waits `busy_seconds` for other connections. Raises sqlite3.Error.
    """
    until = time.monotonic() + busy_seconds
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        while (answer := _enter_wal(connection)) is None and time.monotonic() < until:
            time.sleep(AGAIN_SECONDS)
        answer = answer or connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    return None if answer == WAL else f"lies where SQLite keeps to its {answer} journal"


def _enter_wal(connection: sqlite3.Connection) -> str | None:
    """What SQLite answers; `None` where another connection is in its way.

    For that it does not wait by itself: of two processes that start at once on a new database, each could be
    waiting for the other.
    """
    try:
        return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise
        return None


def leave_wal(path: Path, busy_seconds: float) -> None:
    """Takes the database out of WAL mode, where it is in it. Raises sqlite3.Error, and OSError."""
    if not path.exists() or not _says_wal(path):
        return
    with closing(sqlite3.connect(path, timeout=busy_seconds)) as connection:
        # Without shared memory a WAL can be read by who has the database for himself alone.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE")


def _says_wal(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(_VERSION_BYTES.stop)[_VERSION_BYTES] == b"\x02\x02"


def _can_be_written(scratch: Path) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE turns (turn INTEGER)")
        return True
    return False


def _try_wal(scratch: Path) -> str | None:
    with ExitStack() as left:
        one, two = (
            left.enter_context(closing(sqlite3.connect(scratch, timeout=1, isolation_level=None)))
            for _ in range(2)
        )
        for connection in (one, two):
            # Whether it works, not whether it outlives a power cut.
            connection.execute("PRAGMA synchronous = OFF")
        answer = one.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if answer != WAL:
            return f"lies where SQLite keeps to its {answer} journal"
        for turn, connection in enumerate((two, one, two)):
            seen = connection.execute("SELECT COUNT(*) FROM turns").fetchone()[0]
            if seen != turn:
                return "lies where one connection does not see what another wrote"
            connection.execute("INSERT INTO turns VALUES (?)", (turn,))
    return None
