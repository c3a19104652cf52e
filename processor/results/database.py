"""How the results database is opened, locked and checked; its tables stand in schema.py."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnClause, Connection, Engine, Table, TableClause, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError

from processor.errors import BadDatabase, DatabaseAway, Transient
from processor.results import journal, postgresql
from processor.results.address import engine_of, sqlite_file
from processor.results.schema import REVISIONS
from processor.results.snapshot import copy_database
from processor.results.upgrade import (
    bring_up_to_date,
    check_known,
    check_readable,
    create_tables,
    stored_revision,
)

BUSY_SECONDS = 30.0
_RIGHTS = "Check the permissions of the file and of its folder: SQLite writes two more files beside it."

log = logging.getLogger(__name__)


def open_database(url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """The engine of the results database; with `create`, tables are made, or brought up to date.

    A transaction that writes waits `busy_seconds` for another process's.

    Raises BadDatabase where it cannot be used: no folder, not writable, locked, no database, foreign tables,
    a newer program's, or, without `create`, an older one's.
    """
    engine = engine_of(url)
    path = sqlite_file(engine)
    if path is not None:
        _check_file(path, create=create)
        event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, busy_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    elif postgresql.is_server(engine):
        postgresql.set_up(engine, busy_seconds=busy_seconds)
    with _starting(engine):
        if create:
            _make_ready(engine, path, busy_seconds)
        else:
            with reading(engine) as connection:
                check_readable(connection, older=False)
    return engine


def open_read_only(url: str, *, copy_in: Path | None = None, older: bool = False) -> Engine:
    """An engine whose connections can only read, for queries that people type.

    With `copy_in`, a folder, they read a copy there of a SQLite database as it stands now: no file beside the
    database is made or changed then, not even SQLite's own. With `older`, the tables may be an earlier
    version's: the two views are the same in all of them, and `columns_of` tells what a table has.
    Raises BadDatabase where there is no database, or no tables in it yet.
    """
    engine = engine_of(url)
    path = sqlite_file(engine)
    if path is not None:
        _check_file(path, create=False)
        engine = _sqlite_reader(engine, path, copy_in)
    elif postgresql.is_server(engine):
        postgresql.set_up(engine, busy_seconds=BUSY_SECONDS, read_only=True)
    with _starting(engine), reading(engine) as connection:
        check_readable(connection, older=older)
    return engine


def journal_mode(engine: Engine) -> str:
    """How the database keeps what is not yet in it: `wal` or `delete` for SQLite; `server` for another.

    Raises as `reading`.
    """
    if engine.dialect.name != "sqlite":
        return "server"
    with reading(engine) as connection:
        return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


def size_in_bytes(engine: Engine) -> int | None:
    """What the database takes on its disk; `None` where nobody says. Raises as `reading`."""
    if postgresql.is_server(engine):
        with reading(engine) as connection:
            return postgresql.size_in_bytes(connection)
    file = sqlite_file(engine)
    try:
        return file.stat().st_size if file else None
    except OSError:
        return None


def database_file(url: str) -> Path | None:
    """The file that `url` names; `None` for a database on a server. Raises BadDatabase."""
    return sqlite_file(engine_of(url))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: on SQLite it takes the write lock at its start, and commits at its end.

    SQLite cannot upgrade a read transaction once another process wrote: without the lock taken first,
    a claim fails with "database is locked" at once, whatever the busy timeout. On PostgreSQL others may write
    meanwhile: rows that are read to be changed are locked by `with_for_update`, which SQLite passes over.
    Raises Transient where the database is locked or full, BadDatabase where it is damaged.
    """
    with _faults(engine), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database throughout. Raises as `writing` does."""
    with _faults(engine), engine.connect() as connection:
        if postgresql.is_server(engine):
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def _check_file(path: Path, *, create: bool) -> None:
    """Says plainly what SQLite only calls "unable to open database file"."""
    try:
        there, is_file, has_folder = path.exists(), path.is_file(), path.parent.is_dir()
    except OSError as error:
        raise BadDatabase(f"The database {path} cannot be reached: {error.strerror}.", _RIGHTS) from None
    if there and not is_file:
        raise BadDatabase(f"The database {path} is no file.", "Name another in [database] url.")
    if not there and not create:
        raise BadDatabase(f"There is no database {path} yet.", "`processor run --once` makes it.")
    if not has_folder:
        raise BadDatabase(f"The folder of the database {path} is missing.", f"Make the folder {path.parent}.")


def _set_up_sqlite(connection: sqlite3.Connection, busy_seconds: float) -> None:
    connection.isolation_level = None  # sqlite3 would open its own, deferred, transactions
    connection.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    # In WAL, NORMAL loses the last commits on a power cut (it syncs at checkpoints only); with a rollback
    # journal FULL loses the last one, for it syncs no folder. The original is moved out of the inbox right
    # after its rows are committed, so a lost commit would lose the reading.
    connection.execute("PRAGMA synchronous = EXTRA")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# What a query may do besides SELECT: look at the shape of the tables. VACUUM INTO and ATTACH would write
# files even over a connection opened read-only, so everything not named here is refused.
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
}
_READING_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"}
_READING_PRAGMAS.add("read_uncommitted")  # SQLAlchemy asks for it when it connects first


def _authorise(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    asks = first in _READING_PRAGMAS or (first == "journal_mode" and second is None)
    looks = action == sqlite3.SQLITE_PRAGMA and asks
    return sqlite3.SQLITE_OK if action in _READING or looks else sqlite3.SQLITE_DENY


def _connect_read_only(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(_authorise)
    return connection


def _make_ready(engine: Engine, path: Path | None, busy_seconds: float) -> None:
    """Today's tables, in the journal mode that the file system bears: one of before may be of another."""
    unfit = journal.unfit_for_wal(path) if path else None
    if path and unfit:
        with _faults(engine):
            journal.leave_wal(path, busy_seconds)
    with writing(engine) as connection:
        postgresql.wait_for_makers(connection)
        revision = stored_revision(connection)
        if revision is None:
            create_tables(connection)
        else:
            check_known(connection, revision)
    if revision not in {None, REVISIONS[-1]}:
        with _faults(engine):
            bring_up_to_date(engine, path)
    if path and not unfit:
        with _faults(engine):
            unfit = journal.enter_wal(path, busy_seconds)
        # A connection from before that answers by the mode that it knew.
        engine.dispose()
    if unfit:
        log.warning(
            "%s %s: it has a rollback journal, so that readers and the writer wait for each other. "
            "Name a database on a local disk in [database] url.",
            path,
            unfit,
        )


def _sqlite_reader(engine: Engine, path: Path, copy_in: Path | None) -> Engine:
    address = f"{path.as_uri()}?mode=ro"
    if copy_in is not None:
        # What a crash left unfinished in the copy, SQLite mends first: for that it has to write.
        address = f"{copy_database(path, copy_in).as_uri()}?mode=rw"
    reader = create_engine(engine.url, creator=lambda: _connect_read_only(address))
    event.listen(reader, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    if copy_in is None and not path.with_name(f"{path.name}-wal").exists():
        event.listen(reader, "engine_disposed", lambda _: _remove_journal(path))
    return reader


def _remove_journal(path: Path) -> None:
    """SQLite makes `-wal` and `-shm` for a connection that only reads, which then may not remove them.

    One that may write does, when it is closed as the last one of all processes.
    """
    address = f"{path.as_uri()}?mode=rw"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()


def columns_of(connection: Connection, known: Table | TableClause) -> list[ColumnClause[Any]]:
    """The columns that a table or view has in a database that may be older; none where it is not there."""
    inspector = inspect(connection)
    if not inspector.has_table(known.name):
        return []
    have = {c["name"] for c in inspector.get_columns(known.name)}
    return [c for c in known.columns if c.name in have]


@contextmanager
def _starting(engine: Engine) -> Iterator[None]:
    """The first use of an engine: a database that is locked this long will not pass by itself."""
    try:
        yield
    except Transient as error:
        engine.dispose()
        raise BadDatabase(error.message, error.remedy) from error
    except BadDatabase:
        engine.dispose()
        raise


@contextmanager
def _faults(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        where = engine.url.render_as_string(hide_password=True)
        if isinstance(error, DBAPIError) and postgresql.is_server(engine):
            fault = postgresql.fault_of(error, where)
            if fault is None:
                raise
            raise fault from error
        cause = error.orig if isinstance(error, DBAPIError) else error
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        code = getattr(cause, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise DatabaseAway(
                f"The database {where} is locked by another program.", "Close what holds it open for writing."
            ) from error
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            remedy = "Make room, or look at the disk that it is on."
            raise DatabaseAway(f"The database {where} cannot be written: {cause}.", remedy) from error
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise BadDatabase(
                f"{where} is damaged, or no database: {cause}.", "Move it away, or restore a copy of it."
            ) from error
        if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or lost:
            # Its folder may be a share that is away for a while; who starts with such a database is refused.
            raise DatabaseAway(f"The database {where} cannot be used: {cause}.", _RIGHTS) from error
        if str(cause).startswith(("no such table", "no such column")):
            raise BadDatabase(
                f"{where} is not as this program made it: {cause}.", "Restore a copy of it."
            ) from error
        raise
