"""Which database `database.url` names."""

from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from processor.errors import BadDatabase


def engine_of(url: str) -> Engine:
    """The engine of the database that `url` names, as yet without a connection. Raises BadDatabase."""
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
