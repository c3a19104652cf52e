"""The results database: what it is made of, how it is opened, and what is refused."""

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from processor.errors import BadDatabase, Exit, Transient
from processor.results.database import open_database, open_read_only, reading, writing
from processor.results.ledger import PublishedFile, store_outputs
from processor.results.publish import stored_name
from processor.results.schema import (
    corrections,
    digit_readings,
    digits,
    metadata,
    models,
    numbers,
    outputs,
    pages,
    readings,
    scans,
)
from processor.results.snapshot import copy_database

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOX = {"x": 1, "y": 2, "width": 3, "height": 4}
UNSURE = "uncertain: confidence 0.6, limit 0.9"

TABLES = {
    "refused_models": "id name reason in_use at",
    "two_readings": "number_id first first_confidence second second_confidence winner",
    "scans": "id file sha256 bytes state attempts error message queued_at started_at finished_at model "
    "settings_digest duplicate_of not_before faults kills",
    "outputs": "id scan_id file sha256 bytes",
    "daemons": "id host pid once started_at beat_at state facts",
    "pages": "id scan_id page width height dpi skew_degrees form annotated",
    "numbers": "id page_id position text digits confidence status field x y width height reason",
    "digits": "id page_id number_id position digit confidence second second_confidence status reason "
    "x y width height",
    "corrections": "id digit_id number_id was now at by",
    "models": "name sha256 manifest first_used_at",
}
VIEWS = {
    "readings": "file page position text digits confidence status field x y width height model scan_id "
    "reason",
    "digit_readings": "file page position digit confidence status reason x y width height number_id scan_id",
}


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_database(url_of(path))
    yield engine
    engine.dispose()


def a_scan(**other: Any) -> dict[str, Any]:
    row = {
        "source": "/in",
        "file": "a.png",
        "sha256": "a" * 64,
        "bytes": 9,
        "state": "done",
        "queued_at": NOW,
    }
    return {**row, **other}


def fill(engine: Engine) -> None:
    """One scan with one number of one digit, and one rejected blob."""
    with writing(engine) as connection:
        connection.execute(insert(models), {"name": "cnn-a", "first_used_at": NOW})
        connection.execute(insert(scans), a_scan(id=1, model="cnn-a"))
        connection.execute(
            insert(pages), {"id": 1, "scan_id": 1, "page": 1, "width": 9, "height": 9, "skew_degrees": 0.0}
        )
        number = {"id": 1, "page_id": 1, "position": 1, "text": "7", "digits": "7"}
        connection.execute(
            insert(numbers), {**number, "confidence": 0.6, "status": "review", "reason": UNSURE, **BOX}
        )
        digit = {"page_id": 1, "position": 1, "confidence": 0.6, **BOX}
        connection.execute(
            insert(digits), {**digit, "id": 1, "number_id": 1, "digit": "7", "status": "review"}
        )
        connection.execute(insert(digits), {**digit, "id": 2, "status": "rejected", "reason": "speck"})


def refused(path: Path, **options: Any) -> BadDatabase:
    with pytest.raises(BadDatabase) as caught:
        open_database(url_of(path), **options)
    assert caught.value.exit_code == Exit.BAD_DATABASE
    assert caught.value.remedy
    return caught.value


class TestTables:
    @pytest.mark.parametrize("name", TABLES)
    def test_hold_the_columns_people_script_against(self, engine: Engine, name: str) -> None:
        assert {c["name"] for c in inspect(engine).get_columns(name)} >= set(TABLES[name].split())

    @pytest.mark.parametrize("name", VIEWS)
    def test_views_hold_theirs_in_order(self, engine: Engine, name: str) -> None:
        assert [c["name"] for c in inspect(engine).get_columns(name)] == VIEWS[name].split()

    def test_one_row_per_number_and_one_per_digit_or_blob(self, engine: Engine) -> None:
        fill(engine)
        with reading(engine) as connection:
            assert connection.execute(select(readings)).one() == (
                *("a.png", 1, 1, "7", "7", 0.6, "review", None, 1, 2, 3, 4, "cnn-a", 1, UNSURE),
            )
            rows = connection.execute(select(digit_readings).order_by(digit_readings.c.status)).all()
        assert [(r.digit, r.status, r.reason, r.number_id, r.scan_id) for r in rows] == [
            (None, "rejected", "speck", None, 1),
            ("7", "review", None, 1, 1),
        ]

    def test_a_correction_shows_in_both_views(self, engine: Engine) -> None:
        fill(engine)
        with writing(engine) as connection:
            connection.execute(update(digits).where(digits.c.id == 1).values(digit="1", status="corrected"))
            connection.execute(update(numbers).values(text="1", digits="1", status="corrected"))
        with reading(engine) as connection:
            told = select(readings.c.digits, readings.c.status, readings.c.reason)
            assert connection.execute(told).one() == ("1", "corrected", None)
            of_number = select(digit_readings.c.digit).where(digit_readings.c.number_id == 1)
            assert connection.execute(of_number).scalar_one() == "1"

    def test_a_correction_outlives_the_rows_it_was_made_on(self, engine: Engine) -> None:
        fill(engine)
        with writing(engine) as connection:
            row = {"digit_id": 1, "number_id": 1, "was": "7", "now": "1", "at": NOW, "by": "me"}
            connection.execute(insert(corrections), row)
            connection.execute(pages.delete())
        with reading(engine) as connection:
            kept = connection.execute(select(corrections)).one()
            assert connection.execute(select(digits)).all() == []
        assert (kept.digit_id, kept.number_id, kept.was, kept.now) == (None, None, "7", "1")

    def test_a_content_is_read_once_and_duplicates_are_many(self, engine: Engine) -> None:
        with writing(engine) as connection:
            connection.execute(insert(scans), a_scan(id=1))
            for file in ("b.png", "c.png"):
                connection.execute(insert(scans), a_scan(file=file, state="duplicate", duplicate_of=1))
        with pytest.raises(IntegrityError), writing(engine) as connection:
            connection.execute(insert(scans), a_scan(file="d.png", state="queued"))

    def test_rows_cannot_point_nowhere(self, engine: Engine) -> None:
        with pytest.raises(IntegrityError), writing(engine) as connection:
            connection.execute(insert(scans), a_scan(model="never seen"))


class TestValues:
    def test_times_are_utc_and_sort_as_text(self, engine: Engine, path: Path) -> None:
        east = NOW.astimezone(timezone(timedelta(hours=5)))
        with writing(engine) as connection:
            connection.execute(
                insert(scans), a_scan(queued_at=east, finished_at=NOW + timedelta(microseconds=1))
            )
            row = connection.execute(select(scans)).one()
        assert row.queued_at == NOW
        assert row.queued_at.utcoffset() == timedelta(0)
        with closing(sqlite3.connect(path)) as connection:
            queued, finished = connection.execute("SELECT queued_at, finished_at FROM scans").fetchone()
        assert queued == "2026-03-01 12:00:00.000000" < finished

    def test_a_time_without_a_zone_is_refused(self, engine: Engine) -> None:
        with pytest.raises(StatementError, match="has no time zone"), writing(engine) as connection:
            connection.execute(insert(scans), a_scan(queued_at=NOW.replace(tzinfo=None)))

    def test_a_name_that_is_no_utf8_is_stored_escaped(self, engine: Engine) -> None:
        with writing(engine) as connection:
            connection.execute(insert(scans), a_scan(file=os.fsdecode(b"caf\xe9.png")))
            assert connection.execute(select(scans.c.file)).scalar_one() == "caf\\udce9.png"


class TestConnections:
    def test_are_set_up_so_that_a_committed_row_stays(self, engine: Engine) -> None:
        with reading(engine) as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {
            "journal_mode": "wal",
            "synchronous": 3,  # EXTRA
            "foreign_keys": 1,
            "busy_timeout": 30_000,
        }

    def test_a_block_that_fails_leaves_nothing(self, engine: Engine) -> None:
        def store_and_fail() -> None:
            with writing(engine) as connection:
                connection.execute(insert(scans), a_scan())
                raise KeyError("a fault after the row was written")

        with pytest.raises(KeyError):
            store_and_fail()
        with reading(engine) as connection:
            assert connection.execute(select(scans)).all() == []

    def test_a_writer_locks_out_writers_at_once_but_no_readers(self, engine: Engine, path: Path) -> None:
        other = open_database(url_of(path), busy_seconds=0.01)
        with writing(engine):
            with reading(other) as connection:
                assert connection.execute(select(scans)).all() == []
            with pytest.raises(Transient, match="locked"), writing(other):
                pytest.fail("two writers at once")
        other.dispose()

    def test_a_reader_sees_one_state_throughout(self, engine: Engine, path: Path) -> None:
        other = open_database(url_of(path))
        with reading(engine) as connection:
            assert connection.execute(select(scans)).all() == []
            with writing(other) as writer:
                writer.execute(insert(scans), a_scan())
            assert connection.execute(select(scans)).all() == []
        with reading(engine) as connection:
            assert len(connection.execute(select(scans)).all()) == 1
        other.dispose()

    def test_a_full_disk_may_pass(self, engine: Engine) -> None:
        with writing(engine) as connection:
            size = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {size}")
        with pytest.raises(Transient, match=r"results\.db.*full"), writing(engine) as connection:
            connection.execute(insert(scans), a_scan(message="x" * 1_000_000))


class TestOpening:
    def test_again_keeps_what_is_there(self, engine: Engine, path: Path) -> None:
        fill(engine)
        for create in (True, False):
            again = open_database(url_of(path), create=create)
            with reading(again) as connection:
                assert len(connection.execute(select(readings)).all()) == 1
            again.dispose()

    def test_only_looks_where_nothing_may_be_made(self, path: Path) -> None:
        assert "no database" in refused(path, create=False).message
        assert not path.exists()

    def test_an_empty_file_has_no_tables_yet(self, path: Path) -> None:
        path.touch()
        assert "holds no scans" in refused(path, create=False).message
        open_database(url_of(path)).dispose()

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        error = refused(tmp_path / "gone" / "results.db")
        assert "missing" in error.message
        assert str(tmp_path / "gone") in error.remedy

    def test_a_link_to_itself_is_no_database(self, path: Path) -> None:
        path.symlink_to(path)
        assert "cannot be" in refused(path).message

    def test_a_folder_is_no_database(self, tmp_path: Path) -> None:
        assert "no file" in refused(tmp_path).message

    @pytest.mark.parametrize("create", [True, False])
    def test_another_file_is_no_database_and_stays_as_it_is(self, path: Path, create: bool) -> None:
        path.write_bytes(b"these are my notes\n" * 100)
        assert "no database" in refused(path, create=create).message
        assert path.read_bytes() == b"these are my notes\n" * 100

    def test_a_locked_database_is_said_to_be_locked(self, engine: Engine, path: Path) -> None:
        with writing(engine):
            assert "locked" in refused(path, busy_seconds=0.01).message

    def test_tables_of_another_program_are_refused_by_column(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE models (name TEXT, weight REAL)")
        error = refused(path)
        assert "models lacks" in error.message
        assert "first_used_at" in error.message

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("results.db", "no database address"),
            ("nosuch://host/x", "no database address"),
            ("sqlite://", "memory"),
            ("sqlite:///:memory:", "memory"),
        ],
    )
    @pytest.mark.parametrize("opener", [open_database, open_read_only])
    def test_addresses_that_name_no_file(self, opener: Any, url: str, says: str) -> None:
        with pytest.raises(BadDatabase, match=says):
            opener(url)

    def test_a_missing_driver_is_named(self) -> None:
        pytest.importorskip("sqlalchemy.dialects.mysql")
        with pytest.raises(BadDatabase, match="needs the Python package MySQLdb"):
            open_database("mysql+mysqldb://host/results")

    def test_names_that_mean_something_in_an_address(self, tmp_path: Path) -> None:
        path = tmp_path / "50% #1 ü why?" / "results.db"
        path.parent.mkdir()
        open_database(url_of(path)).dispose()
        assert path.exists()
        assert list(tmp_path.iterdir()) == [path.parent]
        open_read_only(url_of(path)).dispose()

    @pytest.mark.parametrize("name", ["what?a=b.db", "when?time=10&place=x.db", "why?a=b.db?timeout=5"])
    def test_a_file_whose_name_looks_like_an_option_is_opened_itself(self, tmp_path: Path, name: str) -> None:
        open_database(f"sqlite:///{tmp_path}/{name}").dispose()
        assert [file.name for file in tmp_path.iterdir()] == [name.removesuffix("?timeout=5")]
        open_read_only(f"sqlite:///{tmp_path}/{name}").dispose()

    def test_options_in_an_address_are_options(self, path: Path) -> None:
        open_database(url_of(path) + "?check_same_thread=false").dispose()
        assert path.exists()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may do everything, so that permissions show only to somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions as on POSIX")
class TestPermissions:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)

    def test_a_folder_that_may_not_be_written(self, folder: Path) -> None:
        folder.chmod(0o555)
        with without_privileges():
            assert "cannot be used" in refused(folder / "results.db").message
        folder.chmod(0o755)

    def test_a_folder_that_may_not_be_entered(self, folder: Path) -> None:
        folder.chmod(0o000)
        with without_privileges():
            assert "cannot be reached" in refused(folder / "results.db").message
        folder.chmod(0o755)

    def test_a_file_that_may_only_be_read(self, folder: Path) -> None:
        path = folder / "results.db"
        open_database(url_of(path)).dispose()
        folder.chmod(0o555)
        path.chmod(0o444)
        with without_privileges():
            assert "cannot be used" in refused(path).message
        folder.chmod(0o755)


class TestReadOnly:
    WRITES = (
        "DELETE FROM scans",
        "UPDATE scans SET state = 'done'",
        "CREATE TABLE mine (x)",
        "CREATE TEMP TABLE mine (x)",
        "DROP VIEW readings",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
    )

    @pytest.mark.parametrize("sql", WRITES)
    def test_nothing_can_be_written(self, engine: Engine, path: Path, sql: str) -> None:
        fill(engine)
        engine.dispose()
        before = path.read_bytes()
        only = open_read_only(url_of(path))
        with only.connect() as connection, pytest.raises(Exception, match=r"not authorized|readonly"):
            connection.exec_driver_sql(sql)
        only.dispose()
        assert path.read_bytes() == before

    @pytest.mark.parametrize("sql", ["ATTACH DATABASE '{}' AS other", "VACUUM INTO '{}'"])
    def test_no_other_file_can_be_made(self, engine: Engine, path: Path, tmp_path: Path, sql: str) -> None:
        fill(engine)
        only = open_read_only(url_of(path))
        # Without SQLAlchemy's transaction around it, within which VACUUM would refuse by itself.
        raw = only.raw_connection()
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|authorization denied"):
            raw.cursor().execute(sql.format(tmp_path / "copy.db"))
        raw.close()
        only.dispose()
        assert not (tmp_path / "copy.db").exists()

    def test_sees_what_is_committed_later(self, engine: Engine, path: Path) -> None:
        only = open_read_only(url_of(path))
        fill(engine)
        with reading(only) as connection:
            assert connection.execute(text("SELECT digits FROM readings")).scalar_one() == "7"
        only.dispose()

    def test_opens_after_the_last_writer_left(self, engine: Engine, path: Path) -> None:
        fill(engine)
        engine.dispose()
        assert [p.name for p in path.parent.iterdir()] == ["results.db"]
        only = open_read_only(url_of(path))
        with reading(only) as connection:
            assert len(connection.execute(select(digit_readings)).all()) == 2
        only.dispose()

    def test_needs_a_database_with_tables(self, path: Path) -> None:
        with pytest.raises(BadDatabase, match="no database"):
            open_read_only(url_of(path))
        assert not path.exists()
        path.touch()
        with pytest.raises(BadDatabase, match="holds no"):
            open_read_only(url_of(path))


class TestSnapshot:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir()
        return folder

    def test_holds_what_was_committed_when_it_was_taken(
        self, engine: Engine, path: Path, folder: Path
    ) -> None:
        fill(engine)
        with writing(engine) as connection:
            connection.execute(update(numbers).values(text="not committed"))
            copy = open_read_only(url_of(path), copy_in=folder)
        with reading(copy) as connection:
            assert connection.execute(select(readings.c.text)).all() == [("7",)]
            with pytest.raises(Exception, match=r"not authorized|readonly"):
                connection.execute(numbers.delete())
        copy.dispose()

    def test_never_mixes_two_states(self, path: Path, folder: Path) -> None:
        """The database is copied with both at 1; before its WAL is, that begins anew and tells of a only."""
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            for name in ("a", "b"):
                writer.execute(f"CREATE TABLE {name} AS SELECT 1 AS value")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            script = "UPDATE b SET value = 2; PRAGMA wal_checkpoint(TRUNCATE); UPDATE a SET value = 2"
            waiting = [lambda: writer.executescript(script)]

            def when_copied(event: str, args: tuple[Any, ...]) -> None:
                if event == "shutil.copyfile" and str(args[0]).endswith("-wal") and waiting:
                    waiting.pop()()

            sys.addaudithook(when_copied)
            copy = copy_database(path, folder)
            assert waiting == []
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT a.value, b.value FROM a, b").fetchall() == [(2, 2)]

    def test_gives_up_where_somebody_writes_all_the_while(self, path: Path, folder: Path) -> None:
        path.touch()
        stopped: list[bool] = []

        def when_copied(event: str, args: tuple[Any, ...]) -> None:
            if event == "shutil.copyfile" and args[0] == path and not stopped:
                path.write_bytes(path.read_bytes() + b"more")

        sys.addaudithook(when_copied)
        with pytest.raises(BadDatabase, match="written to all the while") as caught:
            copy_database(path, folder)
        stopped.append(True)
        assert str(path) in caught.value.message

    def test_a_crash_in_rollback_mode_is_mended_in_the_copy(
        self, engine: Engine, path: Path, folder: Path
    ) -> None:
        fill(engine)
        engine.dispose()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("BEGIN")
            connection.execute("UPDATE numbers SET text = 'unfinished'")
            connection.execute("CREATE TABLE padding AS SELECT randomblob(500000)")
            files = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
        for file, content in files.items():
            file.write_bytes(content)
        assert path.with_name("results.db-journal") in files
        copy = open_read_only(url_of(path), copy_in=folder)
        with reading(copy) as connection:
            assert connection.execute(select(readings.c.text)).all() == [("7",)]
        copy.dispose()
        assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == files

    def test_what_is_wrong_is_said_of_the_database_and_not_of_its_copy(
        self, path: Path, folder: Path
    ) -> None:
        for content, says in ((b"", "holds no"), (b"these are my notes\n" * 100, "no database")):
            path.write_bytes(content)
            with pytest.raises(BadDatabase, match=says) as caught:
                open_read_only(url_of(path), copy_in=folder)
            assert str(path) in caught.value.message
            assert str(folder) not in caught.value.message

    def test_a_folder_that_takes_no_copy_is_named(self, engine: Engine, path: Path, folder: Path) -> None:
        with pytest.raises(BadDatabase, match="cannot be copied") as caught:
            open_read_only(url_of(path), copy_in=folder / "gone")
        assert str(path) in caught.value.message
        assert str(folder / "gone") in caught.value.remedy


def test_every_table_and_view_is_named_here() -> None:
    assert set(metadata.tables) == set(TABLES)


def test_what_was_published_is_noted_in_place_of_what_was_before(engine: Engine) -> None:
    fill(engine)
    first = PublishedFile(file=os.fsdecode(b"csv/caf\xe9.csv"), sha256="1" * 64, bytes=5_000_000_000)
    again = PublishedFile(file="csv/a.csv", sha256="2" * 64, bytes=0)
    for published in ([first], [again, first], [again]):
        with writing(engine) as connection:
            store_outputs(connection, 1, published)
            rows = connection.execute(select(outputs.c.file, outputs.c.sha256, outputs.c.bytes)).all()
        assert [tuple(row) for row in rows] == [
            (stored_name(one.file), one.sha256, one.bytes) for one in published
        ]
    with writing(engine) as connection:
        connection.execute(scans.delete())
        assert connection.execute(select(outputs)).all() == []
