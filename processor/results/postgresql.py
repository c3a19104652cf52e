"""The results database on a PostgreSQL server: its address, what connections are told, what errors mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import URL, Connection, CursorResult, Engine, Table, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from processor.errors import BadCommand, BadDatabase, DatabaseAway, DigitInboxError
from processor.results.schema import metadata

NAME = "postgresql"

CONNECT_SECONDS = 10
"""A server that does not answer for so long is away: by itself the driver would wait for minutes."""

QUERY_SECONDS = 300
"""So long may a query that a person types take: a forgotten one would hold back the server's clean-up."""

_DEFAULTS: Mapping[str, str | int] = {
    "application_name": "digit-inbox",
    "connect_timeout": CONNECT_SECONDS,
    # A server that was unplugged says nothing more; the connection to it would be waited for for two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

# Times are shown in UTC. A row that another process holds is waited for as long as a locked SQLite file.
# Who gave the program a server that commits without its disk does not know that originals are moved then.
_SET_UP = """
    SELECT set_config('TimeZone', 'UTC', false),
        set_config('lock_timeout', %s, false),
        set_config('default_transaction_read_only', %s, false),
        CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', false)
        END
"""

# By the classes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_MAY_PASS = ("08", "25006", "40", "53", "55P03", "57", "58")
_DAMAGED = ("XX",)
_FOREIGN = ("42P01", "42703")
_NOT_ALLOWED = ("42501",)
CANCELLED = "57014"
READ_ONLY = "25006"
_SYNTAX = "42601"


def is_address(address: URL) -> bool:
    """Whether it names a PostgreSQL server, in SQLAlchemy's words or in those of the server's own tools."""
    return address.get_backend_name() in {NAME, "postgres"}


def engine_of(address: URL) -> Engine:
    """The engine for a server, as yet without a connection. Raises ModuleNotFoundError without its driver."""
    address = address.set(drivername="postgresql+psycopg")
    if isinstance(password := address.query.get("password"), str):
        # Where it stands there, it would be shown in messages.
        address = address.set(password=password).difference_update_query(["password"])
    told = {name: value for name, value in _DEFAULTS.items() if name not in address.query}
    # A connection that a restart of the server cut is noticed before a transaction begins on it.
    return create_engine(address, connect_args=told, pool_pre_ping=True)


def set_up(engine: Engine, *, busy_seconds: float, read_only: bool = False) -> None:
    """Has every connection wait `busy_seconds` for what another process holds, and, if so, only read."""
    values = (str(max(1, int(busy_seconds * 1000))), "on" if read_only else "off")

    def tell(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SET_UP, values)
        connection.commit()

    event.listen(engine, "connect", tell)


def is_server(connection: Connection | Engine) -> bool:
    """Whether this is a database on a PostgreSQL server."""
    return connection.dialect.name == NAME


def wait_for_makers(connection: Connection) -> None:
    """Has this transaction alone make tables or change them, until it ends; SQLite has one writer anyway.

    Two programs that start at once would both find none, and one would stumble over those of the other.
    Raises BadDatabase where names of files could not be kept in the database.
    """
    if not is_server(connection):
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('digit-inbox: tables', 0))"))
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        where = connection.engine.url.render_as_string(hide_password=True)
        raise BadDatabase(
            f"{where} keeps text as {encoding}, which has not the letters of all file names.",
            "Make one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in database.url.",
        )


def insert_all(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *returning: str
) -> CursorResult[Any]:
    """Inserts rows that name the same columns, by one statement with an array a column.

    A page has hundreds of rows, and a statement for each of them takes ten times as long.
    """
    types = {name: table.c[name].type.compile(connection.dialect) for name in rows[0]}
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in types.items())
    told = f" RETURNING {', '.join(returning)}" if returning else ""
    named = ", ".join(f'"{name}"' for name in types)
    sql = f"INSERT INTO {table.name} ({named}) SELECT * FROM unnest({arrays}){told}"
    return connection.execute(text(sql), {name: [row[name] for row in rows] for name in types})


def size_in_bytes(connection: Connection) -> int:
    """What the database takes on the server."""
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def left_out(connection: Connection) -> list[str]:
    """The indexes and constraints of our tables that the server does not keep to."""
    found = connection.execute(text(_LEFT_OUT), {"tables": list(metadata.tables)})
    return [str(row[0]) for row in found]


_LEFT_OUT = """
    SELECT 'index ' || i.indexrelid::regclass FROM pg_index AS i
    WHERE i.indrelid = ANY (SELECT t::regclass FROM unnest(CAST(:tables AS text[])) AS t)
        AND NOT (i.indisvalid AND i.indisready)
    UNION ALL
    SELECT 'constraint ' || c.conname FROM pg_constraint AS c
    WHERE c.conrelid = ANY (SELECT t::regclass FROM unnest(CAST(:tables AS text[])) AS t)
        AND NOT c.convalidated
    ORDER BY 1
"""


def only_selecting(connection: Connection) -> Connection:
    """The connection, set up for one query that a person typed, in a transaction that only reads.

    A cursor is declared for it, so that nothing but a SELECT is taken, and one alone: after a `COMMIT;`, or a
    `SET TRANSACTION READ WRITE` before any other statement, the next one could write, and COPY makes files.
    """
    told = text("SELECT set_config('statement_timeout', :limit, true)")
    connection.execute(told, {"limit": str(QUERY_SECONDS * 1000)})
    return connection.execution_options(stream_results=True, no_parameters=True)


def refusal_of(error: DBAPIError) -> BadCommand | None:
    """Why such a query was refused; `None` where that is not its own fault."""
    state = state_of(error)
    if state == READ_ONLY:
        return BadCommand("A query may only read; this statement would do more.", "Write a SELECT.")
    if state == CANCELLED:
        return BadCommand(
            f"The query took longer than {QUERY_SECONDS} s, or was cancelled.",
            "Ask for less, or add a LIMIT.",
        )
    if not state or state.startswith((*_MAY_PASS, *_DAMAGED)):
        return None
    remedy = "Write one SELECT." if state == _SYNTAX else "The tables are in the documentation."
    return BadCommand(f"The query is refused: {_said(error).rstrip('.')}.", remedy)


def pattern_of(glob: str) -> str:
    """A shell's pattern as a regular expression of PostgreSQL, for the whole of a text.

    What `fnmatch.translate` gives is of Python's own kind.
    """
    parts, position = [], 0
    while position < len(glob):
        sign = glob[position]
        # As in a shell, a `]` right after the opening is one of the signs.
        end = glob.find("]", position + 2 + glob.startswith("!", position + 1)) if sign == "[" else -1
        if end > 0:
            signs = glob[position + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            negated = signs.startswith("!")
            signs = signs[negated:]
            signs = rf"\{signs}" if signs.startswith(("^", "]")) else signs
            parts.append(f"[{'^' * negated}{signs}]")
            position = end
        else:
            parts.append({"*": ".*", "?": "."}.get(sign, re.escape(sign)))
        position += 1
    return f"^(?:{''.join(parts)})$"


def state_of(error: DBAPIError) -> str:
    """The five letters by which the server classes an error; empty where it could not be asked."""
    return getattr(error.orig, "sqlstate", None) or ""


def fault_of(error: DBAPIError, where: str) -> DigitInboxError | None:
    """What an error of the driver means; `None` where it is a fault of the statement.

    What may pass by itself is DatabaseAway, what needs a person BadDatabase.
    """
    state, said = state_of(error), _said(error)
    if not state and (error.connection_invalidated or isinstance(error, OperationalError)):
        return DatabaseAway(
            f"The database {where} cannot be reached: {said}.",
            "Start the server, or mend host, database, user and password of [database] url.",
        )
    if state.startswith(_MAY_PASS) or error.connection_invalidated:
        return DatabaseAway(f"The database {where} cannot be used now: {said}.", "Look at the server's log.")
    if state.startswith(_DAMAGED):
        return BadDatabase(f"{where} is damaged: {said}.", "Look at the server's log, or restore a copy.")
    if state in _FOREIGN:
        return BadDatabase(f"{where} is not as this program made it: {said}.", "Restore a copy of it.")
    if state in _NOT_ALLOWED:
        return BadDatabase(
            f"The database {where} cannot be used: {said}.",
            "Make its user the owner of the database, or GRANT that to him.",
        )
    if not state:
        return BadDatabase(f"The database {where} cannot be used: {said}.", "Mend [database] url.")
    return None


def _said(error: DBAPIError) -> str:
    """What the server says in one line, without the statement; or the driver, where it reached none."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or error.orig).split()).rstrip(".")
