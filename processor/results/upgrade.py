"""The tables are made, numbered, and brought from an earlier version's to today's, after a copy was kept."""

import logging
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    RootTransaction,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from processor import __version__
from processor.errors import BadDatabase
from processor.results.postgresql import wait_for_makers
from processor.results.schema import REVISIONS, VIEWS, metadata, scans
from processor.results.snapshot import keep_copy
from processor.results.triggers import recounting

FIRST, TODAY = REVISIONS[0], REVISIONS[-1]

log = logging.getLogger(__name__)

_stamp = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table, so that its tool knows the database too; one that is made new needs no Alembic."""

_OURS = frozenset({"source", "sha256", "attempts", "leased_until", "duplicate_of"})
"""By these columns of `scans` a database that bears no number is known for one of an earlier version."""


def stored_revision(connection: Connection) -> str | None:
    """The number of the tables in the database, `None` where there are none.

    What versions before the first numbered one made counts as the first. Raises BadDatabase where the
    tables are another program's.
    """
    found = inspect(connection)
    if found.has_table(_stamp.name):
        stamped = connection.execute(select(_stamp.c.version_num)).scalars().first()
        if stamped is not None:
            return str(stamped)
    if not found.has_table(scans.name):
        return None
    if lacking := _OURS - {column["name"] for column in found.get_columns(scans.name)}:
        raise _foreign(connection, scans.name, lacking)
    return FIRST


def check_known(connection: Connection, revision: str) -> None:
    """Raises BadDatabase where a newer program made the tables."""
    if revision not in REVISIONS:
        raise BadDatabase(
            f"{_where(connection)} was made by a newer version of this program: its tables are of revision "
            f"{revision}, and digit-inbox {__version__} knows them up to {TODAY}.",
            "Install that version, or name another database in [database] url.",
        )


def check_readable(connection: Connection, *, older: bool) -> None:
    """Raises BadDatabase where there are no tables yet, or not today's; with `older`, earlier ones do."""
    revision = stored_revision(connection)
    if revision is None:
        raise BadDatabase(
            f"{_where(connection)} holds no {scans.name} yet.", "`processor run --once` makes the tables."
        )
    check_known(connection, revision)
    if revision != TODAY and not older:
        raise BadDatabase(
            f"{_where(connection)} is of an earlier version: its tables are of revision {revision}, "
            f"and digit-inbox {__version__} reads {TODAY}.",
            "`processor run --once` brings it up to date, and keeps a copy of it as it is.",
        )


def create_tables(connection: Connection) -> None:
    """Makes today's tables, views and triggers. Raises BadDatabase where another program's are in the way."""
    metadata.create_all(connection)
    present = set(inspect(connection).get_view_names())
    for view, query in VIEWS.items():
        if view.name not in present:
            sql = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
            connection.execute(text(f"CREATE VIEW {view.name} AS {sql}"))
    for statement in recounting(connection.dialect.name):
        connection.exec_driver_sql(statement)
    check_tables(connection)
    _stamp.create(connection, checkfirst=True)
    connection.execute(insert(_stamp), {"version_num": TODAY})


def check_tables(connection: Connection) -> None:
    """Raises BadDatabase where a table or view lacks a column of today's."""
    found = inspect(connection)
    for known in (*metadata.sorted_tables, *VIEWS):
        have = {column["name"] for column in found.get_columns(known.name)}
        if lacking := [column.name for column in known.columns if column.name not in have]:
            raise _foreign(connection, known.name, lacking)


def bring_up_to_date(engine: Engine, file: Path | None) -> None:
    """Runs the steps between the tables that are there and today's, all or none, after a copy of `file`.

    It does nothing where another process was quicker. Raises BadDatabase where a step fails: the database
    is as it was then.
    """
    with engine.connect().execution_options(writes=True) as connection:
        if file is not None:
            # A step that makes a table anew drops the one of before, and with foreign keys on every row
            # that names one of its rows would go with it. Inside a transaction the switch does nothing.
            connection.detach()
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        with connection.begin() as transaction:
            wait_for_makers(connection)
            before = stored_revision(connection)
            if before is not None and before != TODAY:
                check_known(connection, before)
                _step_up(connection, transaction, file, before)


def _step_up(connection: Connection, transaction: RootTransaction, file: Path | None, before: str) -> None:
    # Alembic takes half a second to import, which only those pay who need it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    where = _where(connection)
    kept = None if file is None else keep_copy(file, f"before-{TODAY}")
    copied = "" if kept is None else f" As it was, it is kept in {kept}."
    config = Config()
    config.set_main_option("script_location", "processor.results:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
        check_tables(connection)
        transaction.commit()
    except (SQLAlchemyError, CommandError, BadDatabase) as error:
        cause = getattr(error, "orig", None) or error
        raise BadDatabase(
            f"{where} could not be brought from revision {before} to {TODAY}: {cause}. Nothing was changed.",
            f"Mend that and start again; the version before reads it as it is.{copied}",
        ) from error
    log.warning("%s was brought from revision %s to %s.%s", where, before, TODAY, copied)


def _foreign(connection: Connection, name: str, lacking: Iterable[str]) -> BadDatabase:
    return BadDatabase(
        f"{_where(connection)}: {name} lacks {', '.join(sorted(lacking))}: another program made it.",
        "Name another database in [database] url, or move this one away.",
    )


def _where(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)
