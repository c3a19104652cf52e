"""A PostgreSQL server of our own, for tests and measurements: in a temporary folder, on a socket there.

It is stopped at the end. Where it cannot be had, it says what is missing. By root, as whom the server refuses
to run, it is started as another user.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processor.results.database import open_database
from processor.results.schema import metadata

_USERS = ("postgres", "nobody")
_SECONDS = 60

_SHAPE = """
SELECT relname, relkind, relnatts FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1
"""

_SETTINGS = """
listen_addresses = ''
max_connections = 60
"""

# No test loses power: what is committed need not reach the disk.
_FORGETFUL = """
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
"""


class NoServer(Exception):
    """Why there can be no server here, and what to do."""


class PostgresServer:
    """A server in `folder`, which it may fill; its databases are reached by the addresses it gives."""

    def __init__(self, folder: Path) -> None:
        self._programs = _programs()
        self._user = _user()
        self._folder = folder
        self._data = folder / "data"
        self._made = 0
        self._kept: str | None = None
        self._empty = ""
        self._shape: list[tuple[Any, ...]] = []
        if self._user:
            shutil.chown(folder, self._user)

    def make(self, *, durable: bool) -> None:
        """Makes it, as yet without a database of ours; `durable`: what is committed outlives a power cut.

        Raises NoServer.
        """
        self._run("initdb", "-D", self._data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as stream:
            stream.write(
                f"{_SETTINGS}{'' if durable else _FORGETFUL}unix_socket_directories = '{self._folder}'\n"
            )

    def start(self) -> None:
        """Raises NoServer."""
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "server.log", "start")

    def stop(self) -> None:
        """As a crash does: connections are cut, and the next start mends what is on the disk."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def url(self, database: str) -> str:
        """The address of one of its databases, as it is written into the settings."""
        return f"postgresql://tests@/{database}?host={self._folder}"

    def new(self, options: str = "") -> str:
        """The address of a new database, which is empty."""
        self._made += 1
        name = f"results{self._made}"
        self.run(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def emptied(self) -> str:
        """The address of a database with our tables and no row: one for all tests: making it is slow."""
        if self._kept is not None and self.run(_SHAPE, self._kept) != self._shape:
            # A test broke what all share.
            self._kept = None
        if self._kept is None:
            self._kept = self.new()
            open_database(self._kept).dispose()
            self._shape = self.run(_SHAPE, self._kept)
            counted = self.run("SELECT sequencename FROM pg_sequences", self._kept)
            self._empty = "; ".join(
                [
                    *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)),
                    *(f"ALTER SEQUENCE {name} RESTART" for (name,) in counted),
                ]
            )
        else:
            # TRUNCATE would make new files for every table and index, which takes three times as long.
            self.run(self._empty, self._kept)
        return self._kept

    def run(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Runs a statement as the server's superuser, outside any transaction, and tells what it gives."""
        import psycopg

        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        # The server keeps what it is given of the standard streams: a pipe would never end.
        log = self._folder / f"{program}.log"
        with log.open("ab") as stream:
            done = subprocess.run(
                command,
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
                cwd=self._folder,
                user=self._user,
                extra_groups=[] if self._user else None,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )
        if done.returncode:
            raise NoServer(f"PostgreSQL's {program} fails: {log.read_text('utf-8', 'replace')[-500:]}")


@contextmanager
def running_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server that runs until the end of the block. Raises NoServer."""
    # Not pytest's folder: only this user may enter that, and the path of a socket may have 107 letters.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        server = PostgresServer(Path(name))
        server.make(durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path:
    """The folder of the server's programs, which Debian keeps off the search path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not debian:
        raise NoServer("There is no PostgreSQL server here: apt-get install postgresql")
    return debian[-1].parent


def _user() -> str | None:
    """As whom it runs: `None` for ourselves. Raises NoServer."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in _USERS:
        if name in known:
            return name
    raise NoServer(f"PostgreSQL does not run as root, and there is no user {' or '.join(_USERS)} here.")
