"""How the results database is opened, locked and checked; its tables stand in schema.py."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import (
    URL,
    ColumnClause,
    Connection,
    Engine,
    Table,
    TableClause,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.schema import CreateColumn

from processor.errors import BadDatabase, DatabaseAway, Transient
from processor.results.schema import VIEWS, metadata
from processor.results.snapshot import copy_database

BUSY_SECONDS = 30.0
_RIGHTS = "Check the permissions of the file and of its folder: SQLite writes two more files beside it."


def open_database(url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """The engine of the results database; with `create`, missing tables and views are made.

    A transaction that writes waits `busy_seconds` for another process's.

    Raises BadDatabase where it cannot be used: no folder, not writable, locked, no database, foreign tables.
    """
    engine = _engine(url)
    path = _sqlite_file(engine)
    if path is not None:
        _check_file(path, create=create)
        event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, busy_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    with _start(engine, writes=create) as connection:
        if create:
            _create_missing(connection)
        _check_tables(connection)
    return engine


def open_read_only(url: str, *, copy_in: Path | None = None) -> Engine:
    """An engine whose connections can only read, for queries that people type.

    With `copy_in`, a folder, they read a copy there of a SQLite database as it stands now: no file beside the
    database is made or changed then, not even SQLite's own.
    Raises BadDatabase where there is no database, or no tables in it yet.
    """
    engine = _engine(url)
    path = _sqlite_file(engine)
    if path is not None:
        _check_file(path, create=False)
        read = f"{path.as_uri()}?mode=ro"
        if copy_in is not None:
            # What a crash left unfinished in the copy, SQLite mends first: for that it has to write.
            read = f"{copy_database(path, copy_in).as_uri()}?mode=rw"
        engine = create_engine(engine.url, creator=lambda: _connect_read_only(read))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    else:
        engine = engine.execution_options(postgresql_readonly=True)
    with _start(engine, writes=False) as connection:
        _check_tables(connection)
    return engine


def database_file(url: str) -> Path | None:
    """The file that `url` names; `None` for a database on a server. Raises BadDatabase."""
    return _sqlite_file(_engine(url))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: it takes the write lock at its start and commits at its end.

    SQLite cannot upgrade a read transaction once another process wrote: without the lock taken first,
    a claim fails with "database is locked" at once, whatever the busy timeout.
    Raises Transient where the database is locked or full, BadDatabase where it is damaged.
    """
    with _faults(engine), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database throughout. Raises as `writing` does."""
    with _faults(engine), engine.connect() as connection, connection.begin():
        yield connection


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(_address(url))
    except ArgumentError:
        raise BadDatabase(
            f"database.url = {url!r} is no database address.",
            "Write sqlite:///results/results.db, or leave it out.",
        ) from None
    except ModuleNotFoundError as error:
        raise BadDatabase(
            f"database.url = {url!r} needs the Python package {error.name}.", f"pip install {error.name}"
        ) from None
    return engine


def _address(url: str) -> URL:
    """SQLAlchemy takes every `?` for the start of options, and would open another file without a word."""
    file = url.removeprefix("sqlite:///")
    if file == url:
        return make_url(url)
    name, _, last = file.rpartition("?")
    options = dict(parse_qsl(last, keep_blank_values=True))
    if name and "=" in last and options.keys() <= _OPTIONS:
        return URL.create("sqlite", database=name, query=options)
    return URL.create("sqlite", database=file)


_OPTIONS = frozenset(
    [
        "cache",
        "cached_statements",
        "check_same_thread",
        "detect_types",
        "immutable",
        "isolation_level",
        "mode",
        "nolock",
        "timeout",
        "uri",
        "vfs",
    ]
)
"""What sqlite3 and SQLite's own addresses can be told; any other `?...=` is a part of the file's name."""


def _sqlite_file(engine: Engine) -> Path | None:
    if engine.dialect.name != "sqlite":
        return None
    name = engine.url.database
    if not name or name == ":memory:":
        raise BadDatabase(
            f"The database {engine.url} lives in memory and would be lost.",
            "Name a file: sqlite:///results.db",
        )
    return Path(name).absolute()


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
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # In WAL, NORMAL loses the last commits on a power cut (it syncs at checkpoints only). The original is
    # moved out of the inbox right after its rows are committed, so a lost commit would lose the reading.
    connection.execute("PRAGMA synchronous = FULL")


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


def _authorise(action: int, first: str | None, *_: str | None) -> int:
    looks = action == sqlite3.SQLITE_PRAGMA and first in _READING_PRAGMAS
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


@contextmanager
def _start(engine: Engine, *, writes: bool) -> Iterator[Connection]:
    """The first transaction of an engine: a database that is locked this long will not pass by itself."""
    try:
        with (writing if writes else reading)(engine) as connection:
            yield connection
    except Transient as error:
        engine.dispose()
        raise BadDatabase(error.message, error.remedy) from error
    except BadDatabase:
        engine.dispose()
        raise


def _create_missing(connection: Connection) -> None:
    metadata.create_all(connection)
    _add_columns(connection)
    present = set(inspect(connection).get_view_names())
    for view, query in VIEWS.items():
        if view.name not in present:
            sql = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
            connection.execute(text(f"CREATE VIEW {view.name} AS {sql}"))


def _add_columns(connection: Connection) -> None:
    """Adds the columns that a database of an earlier version may lack; its rows have null there."""
    for known in metadata.sorted_tables:
        later = [c for c in known.columns if c.info.get("may_lack")]
        have = {c["name"] for c in inspect(connection).get_columns(known.name)} if later else set()
        for column in later:
            if column.name not in have:
                defined = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {known.name} ADD COLUMN {defined}"))


def columns_of(connection: Connection, known: Table | TableClause) -> list[ColumnClause[Any]]:
    """The columns of a table or view that this database has; none where it lacks the whole table."""
    inspector = inspect(connection)
    if not inspector.has_table(known.name):
        return []
    have = {c["name"] for c in inspector.get_columns(known.name)}
    return [c for c in known.columns if c.name in have]


def _check_tables(connection: Connection) -> None:
    inspector = inspect(connection)
    present = {*inspector.get_table_names(), *inspector.get_view_names()}
    wanted: list[Table | TableClause] = [*metadata.tables.values(), *VIEWS]
    where = connection.engine.url.render_as_string(hide_password=True)
    wanted = [t for t in wanted if t.name in present or not (isinstance(t, Table) and t.info.get("may_lack"))]
    if missing := [t.name for t in wanted if t.name not in present]:
        raise BadDatabase(f"{where} holds no {', '.join(missing)} yet.", "`processor run --once` makes them.")
    for known in wanted:
        have = {c["name"] for c in inspector.get_columns(known.name)}
        if lacking := [c.name for c in known.columns if c.name not in have and not c.info.get("may_lack")]:
            raise BadDatabase(
                f"{where}: {known.name} lacks {', '.join(lacking)}: another version made it.",
                "Name another database in [database] url, or move this one away.",
            )


@contextmanager
def _faults(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        where = engine.url.render_as_string(hide_password=True)
        code = getattr(error.orig, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise DatabaseAway(
                f"The database {where} is locked by another program.", "Close what holds it open for writing."
            ) from error
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise DatabaseAway(
                f"The database {where} cannot be written: {error.orig}.", "Make room."
            ) from error
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise BadDatabase(
                f"{where} is damaged, or no database: {error.orig}.", "Move it away, or restore a copy of it."
            ) from error
        if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or error.connection_invalidated:
            # Its folder may be a share that is away for a while; who starts with such a database is refused.
            raise DatabaseAway(f"The database {where} cannot be used: {error.orig}.", _RIGHTS) from error
        raise
