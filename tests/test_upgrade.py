"""A database of an earlier version is brought up to date, or stays as it is; a newer one is left alone."""

import logging
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, text

from processor import __version__
from processor.errors import BadDatabase, Exit
from processor.intake.queue import claim
from processor.results.database import columns_of, open_database, open_read_only, reading
from processor.results.queries import readings, refusal, run_select, scan_report, summary
from processor.results.schema import REVISIONS, metadata, two_readings
from processor.results.snapshot import keep_copy

DUMP = Path(__file__).parent / "data" / "results-0001.sql"
TODAY = REVISIONS[-1]
COPY = f"results.db.before-{TODAY}.bak"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = {"scans": 5, "pages": 1, "numbers": 2, "digits": 6, "two_readings": 1, "corrections": 1}
EARLIER_STILL = (
    "DROP TABLE two_readings; DROP TABLE refused_models; ALTER TABLE digits DROP COLUMN looks_like"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def old(path: Path) -> Path:
    """A database as the last version left it whose tables bore no number."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    return path


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, but the number of the tables."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            for (name,) in names
            if name != "alembic_version"
        }


def made(path: Path) -> dict[str, str]:
    """How the indexes, views and triggers were made, by name, however the lines are broken."""
    query = "SELECT name, sql FROM sqlite_schema WHERE type != 'table' AND sql IS NOT NULL"
    with closing(sqlite3.connect(path)) as connection:
        return {name: re.sub(r"\s+", " ", sql).strip() for name, sql in connection.execute(query)}


def revision_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [number for (number,) in connection.execute("SELECT version_num FROM alembic_version")]


def steps() -> Config:
    config = Config()
    config.set_main_option("script_location", "processor.results:migrations")
    return config


def refused(path: Path, **options: Any) -> BadDatabase:
    with pytest.raises(BadDatabase) as caught:
        open_database(url_of(path), **options).dispose()
    assert caught.value.exit_code == Exit.BAD_DATABASE
    return caught.value


# The steps


def test_the_steps_lead_to_the_tables_that_a_new_database_gets(tmp_path: Path) -> None:
    stepped, new = tmp_path / "stepped.db", tmp_path / "new.db"
    engine, config = create_engine(url_of(stepped)), steps()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    open_database(url_of(new)).dispose()
    assert made(stepped) == made(new)
    assert revision_of(stepped) == revision_of(new) == [TODAY]


def test_the_schema_counts_the_steps() -> None:
    found = ScriptDirectory.from_config(steps()).walk_revisions()
    assert tuple(step.revision for step in found)[::-1] == REVISIONS


# A database of before


@pytest.mark.parametrize("earlier", ["", EARLIER_STILL], ids=["the last unnumbered", "one before it"])
def test_every_row_survives(old: Path, earlier: str) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(earlier)
    before = rows(old)
    assert {name: len(before.get(name, [1])) for name in ROWS} == ROWS
    engine = open_database(url_of(old))
    after = rows(old)
    assert revision_of(old) == [TODAY]
    for name, kept in before.items():
        assert [{column: row[column] for column in kept[0]} for row in after[name]] == kept
    assert {(row["not_before"], row["faults"], row["kills"]) for row in after["scans"]} == {(None, 0, 0)}
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    assert (summary(engine).seen, summary(engine).numbers) == (5, 2)
    assert scan_report(engine, "/inbox/a.png").pages[0].numbers[0].number["text"] == "1256"
    job = claim(engine, NOW, 60)
    assert job is not None
    assert job.file == "waits.png"
    engine.dispose()


def test_a_copy_of_it_is_kept_once(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    old.chmod(0o640)
    before = rows(old)
    for _ in range(2):
        open_database(url_of(old)).dispose()
    assert {file.name for file in old.parent.iterdir()} == {"results.db", COPY}
    copy = old.with_name(COPY)
    assert rows(copy) == before
    assert copy.stat().st_mode == old.stat().st_mode
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert f"from revision 0001 to {TODAY}" in said[0]
    assert str(copy) in said[0]


def test_a_copy_of_before_is_never_overwritten_nor_made_twice(path: Path) -> None:
    names = []
    for value in (1, 1, 2, 2, 3, 1):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE kept AS SELECT {value} AS value")
            connection.commit()
        copy = keep_copy(path, "before-0009")
        assert rows(copy) == {"kept": [{"value": value}]}
        names.append(copy.name)
    one, two, three = (f"results.db.before-0009{number}.bak" for number in ("", "-2", "-3"))
    assert names == [one, one, two, two, three, one]
    assert len(list(path.parent.iterdir())) == 4


def test_a_copy_holds_what_stands_only_in_the_journal_yet(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("CREATE TABLE kept AS SELECT 1 AS value")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE kept SET value = 2")
        assert rows(keep_copy(path, "before-0009")) == {"kept": [{"value": 1}]}


def test_a_copy_that_was_cut_off_is_begun_anew(old: Path) -> None:
    before = rows(old)
    old.with_name(f".results.db.before-{TODAY}.part").write_bytes(old.read_bytes()[:5000])
    open_database(url_of(old)).dispose()
    assert {file.name for file in old.parent.iterdir()} == {"results.db", COPY}
    assert rows(old.with_name(COPY)) == before


def test_an_index_that_somebody_dropped_is_no_hindrance(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("DROP INDEX numbers_by_status")
    open_database(url_of(old)).dispose()
    assert revision_of(old) == [TODAY]


def test_without_a_copy_nothing_is_changed(old: Path) -> None:
    before = old.read_bytes()
    old.with_name(f".results.db.before-{TODAY}.part").mkdir()
    error = refused(old)
    assert "no copy" in error.message
    assert "room" in error.remedy
    assert old.read_bytes() == before


def test_a_step_that_fails_leaves_the_database_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE TABLE daemons (somebody_elses TEXT)")
        connection.commit()
    before, shapes = rows(old), made(old)
    for _ in range(2):
        error = refused(old)
        assert "daemons already exists" in error.message
        assert "Nothing was changed" in error.message
        assert str(old.with_name(COPY)) in error.remedy
    assert (rows(old), made(old)) == (before, shapes)
    assert rows(old.with_name(COPY)) == before
    with closing(sqlite3.connect(old)) as connection:
        assert (
            connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'alembic%'").fetchall() == []
        )
        connection.execute("DROP TABLE daemons")
    open_database(url_of(old)).dispose()
    assert revision_of(old) == [TODAY]
    assert len(list(old.parent.glob("*.bak"))) == 2


def test_a_commit_that_fails_leaves_the_database_as_it_was(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, shapes = rows(old), made(old)

    def refuse(connection: sqlite3.Connection, _: object) -> None:
        def decide(action: int, what: str | None, *_: str | None) -> int:
            ends = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT" and connection.total_changes > 0
            return sqlite3.SQLITE_DENY if ends else sqlite3.SQLITE_OK

        connection.set_authorizer(decide)

    event.listen(Engine, "connect", refuse)
    try:
        error = refused(old)
    finally:
        event.remove(Engine, "connect", refuse)
    assert "not authorized. Nothing was changed." in error.message
    assert caplog.records == []
    assert (rows(old), made(old)) == (before, shapes)
    open_database(url_of(old)).dispose()
    assert revision_of(old) == [TODAY]


KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from processor.results.database import open_database
@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *_):
    if "CREATE TABLE daemons" in statement:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM outputs").scalar_one() == 0
        os.kill(os.getpid(), signal.SIGKILL)
open_database(sys.argv[1])
"""


def test_a_kill_between_two_changes_leaves_the_database_as_it_was(old: Path) -> None:
    before, shapes = rows(old), made(old)
    killed = subprocess.run([sys.executable, "-c", KILLED, url_of(old)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (rows(old), made(old)) == (before, shapes)
    open_database(url_of(old)).dispose()
    assert revision_of(old) == [TODAY]
    assert {file.name for file in old.parent.iterdir()} == {"results.db", COPY}
    assert rows(old.with_name(COPY)) == before


STARTED = """
import sys
from processor.results.database import open_database
print("here", flush=True)
open_database(sys.argv[1])
sys.exit("alembic" in sys.modules and sys.argv[2] == "new")
"""


@contextmanager
def starting_together(path: Path, kind: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Two programs that stand before the same lock when the block begins."""
    arguments = [sys.executable, "-c", STARTED, url_of(path), kind]
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for one in both:
            assert one.stdout is not None
            assert one.stdout.readline() == "here\n"
            one.stdout.close()
        holder.execute("ROLLBACK")
    yield both


@pytest.mark.parametrize("kind", ["old", "new"])
def test_two_that_start_at_once_do_it_once(path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "old":
        request.getfixturevalue("old")
    with starting_together(path, kind) as both:
        assert [one.wait(60) for one in both] == [0, 0]
    assert revision_of(path) == [TODAY]
    assert len(list(path.parent.glob("*.bak"))) == (kind == "old")


# Who only reads


@pytest.mark.parametrize("copied", [False, True])
def test_who_only_reads_is_told_what_brings_it_up_to_date(old: Path, tmp_path: Path, copied: bool) -> None:
    before = old.read_bytes()
    with pytest.raises(BadDatabase, match="earlier version") as caught:
        open_read_only(url_of(old), copy_in=tmp_path if copied else None).dispose()
    assert "processor run --once" in caught.value.remedy
    assert refused(old, create=False).message == caught.value.message
    assert old.read_bytes() == before


def test_sums_readings_and_queries_are_had_of_it_as_it_is(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(EARLIER_STILL)
    only = open_read_only(url_of(old), older=True)
    assert (summary(only).seen, summary(only).numbers, refusal(only)) == (5, 2, None)
    found = readings(only, "a.p*", since=NOW - timedelta(days=9))
    assert list(found["text"]) == ["1256", "7"]
    assert found["reason"].isna().all()
    with reading(only) as transaction:
        assert columns_of(transaction, two_readings) == []
    assert run_select(only, "SELECT digits FROM readings ORDER BY position")[1] == [("1256",), ("7",)]
    only.dispose()
    assert [file.name for file in old.parent.iterdir()] == ["results.db"]


# What is not to be touched


def test_a_database_of_a_newer_program_is_left_alone(path: Path) -> None:
    open_database(url_of(path)).dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
        connection.execute("ALTER TABLE scans ADD COLUMN of_tomorrow TEXT")
        connection.commit()
    before = path.read_bytes()
    for create in (True, False):
        error = refused(path, create=create)
        assert "newer version" in error.message
        assert "0099" in error.message
        assert f"{__version__} knows them up to {TODAY}" in error.message
        assert error.remedy
    with pytest.raises(BadDatabase, match="0099"):
        open_read_only(url_of(path), older=True)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]


def test_scans_of_another_program_are_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE scans (id INTEGER, source TEXT, picture BLOB)")
    before = path.read_bytes()
    error = refused(path)
    assert "scans lacks attempts, duplicate_of, leased_until, sha256" in error.message
    assert "another program" in error.message
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]


def test_a_table_that_was_taken_away_is_said_to_be_missing(path: Path) -> None:
    engine = open_database(url_of(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE outputs")
    says = "not as this program made it: no such table: outputs"
    with pytest.raises(BadDatabase, match=says), reading(engine) as connection:
        connection.execute(text("SELECT * FROM outputs"))
    engine.dispose()


def test_a_database_of_today_costs_a_look_at_its_number(path: Path) -> None:
    open_database(url_of(path)).dispose()
    asked: list[str] = []

    def listen(*happened: Any) -> None:
        asked.append(happened[2])

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        open_database(url_of(path)).dispose()
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    looks = [statement for statement in asked if not statement.startswith(("BEGIN", "PRAGMA"))]
    assert len(looks) == 1
    assert len(asked) < 6
