"""Which database `database.url` names."""

import re
from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from processor.errors import BadDatabase
from processor.results import postgresql


def engine_of(url: str) -> Engine:
    """The engine of the database that `url` names, as yet without a connection. Raises BadDatabase."""
    try:
        address = _address(url)
        return postgresql.engine_of(address) if postgresql.is_address(address) else create_engine(address)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise BadDatabase(
            f"database.url = {without_password(url)!r} is no database address.",
            "Write sqlite:///results/results.db, postgresql://user@host/database, or leave it out.",
        ) from None
    except ModuleNotFoundError as error:
        package = "digit-inbox[postgres]" if error.name == "psycopg" else error.name
        raise BadDatabase(
            f"database.url = {without_password(url)!r} needs the Python package {error.name}.",
            f"pip install {package}",
        ) from None


def without_password(url: str) -> str:
    """The address as it may be shown, whether or not it is a right one."""
    return _IN_QUERY.sub(r"\1***", _BEFORE_HOST.sub(r"\1***\2", url))


_BEFORE_HOST = re.compile(r"(^(?:[^:/]+://)?[^:/@?]*:)(?!//).*(@[^@]*$)")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*")


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


def sqlite_file(engine: Engine) -> Path | None:
    """The file of a SQLite database; `None` for one on a server. Raises BadDatabase where it has none."""
    if engine.dialect.name != "sqlite":
        return None
    name = engine.url.database
    if not name or name == ":memory:":
        raise BadDatabase(
            f"The database {engine.url} lives in memory and would be lost.",
            "Name a file: sqlite:///results.db",
        )
    return Path(name).absolute()
