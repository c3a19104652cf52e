"""What only a PostgreSQL server has: an address, rights, writers side by side; and it goes and comes back."""

import fnmatch
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, event, insert, select, text, update

from benchmarks.postgres_server import PostgresServer, running_server
from processor.errors import BadCommand, BadDatabase, DatabaseAway, Exit
from processor.intake.queue import claim, enqueue, fail, finish
from processor.results import postgresql
from processor.results.address import engine_of, without_password
from processor.results.consistency import check_database
from processor.results.database import (
    open_database,
    open_read_only,
    reading,
    size_in_bytes,
    writing,
)
from processor.results.ledger import store_model
from processor.results.queries import readings, run_select, summary
from processor.results.schema import REVISIONS, metadata, models, scans
from processor.results.tables import write_all_numbers
from tests.conftest import Command
from tests.sample_readings import a_number, a_page, a_result
from tests.stand_ins import drop
from tests.test_indexes import ASKED
from tests.test_indexes import finish as read_one
from tests.text_house import House, Visitor, outcome

INBOX = Path("/inbox")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY = REVISIONS[-1]


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.emptied()


def show(engine: Engine, file: str, content: str = "a") -> None:
    enqueue(engine, source=INBOX, file=file, sha256=content * 64, bytes=9, now=NOW)


def refused(url: str, opener: Callable[[str], Engine] = open_database) -> BadDatabase:
    with pytest.raises(BadDatabase) as caught:
        opener(url)
    assert caught.value.exit_code == Exit.BAD_DATABASE
    assert caught.value.remedy
    assert "secret" not in str(caught.value)
    return caught.value


class TestAddress:
    @pytest.mark.parametrize(
        "address",
        [
            "postgres://me:secret@host/results",
            "postgresql://me:secret@host/results",
            "postgresql+psycopg://me@host/results?password=secret",
            "postgresql+psycopg2://me:secret@host/results",
        ],
    )
    def test_has_one_driver_and_shows_no_password(self, address: str) -> None:
        pytest.importorskip("psycopg")
        engine = engine_of(address)
        assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg")
        assert engine.url.password == "secret"
        assert str(engine.url) == "postgresql+psycopg://me:***@host/results"
        assert "secret" not in without_password(address)

    @pytest.mark.parametrize(
        "address",
        ["postgresql://me:secret@host:port/results", "postgresql://me:se@cret@host:port/x", "me:secret@host"],
    )
    def test_that_is_none_is_refused_without_its_password(self, address: str) -> None:
        error = refused(address)
        assert "no database address" in error.message
        assert "cret@" not in error.message or "://" not in address

    def test_without_the_driver_its_package_is_named(self) -> None:
        code = (
            "import sys; sys.modules['psycopg'] = None\n"
            "from processor.results.database import open_database\n"
            "open_database('postgresql://me:secret@host/results')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "needs the Python package psycopg" in done.stderr
        assert "pip install digit-inbox[postgres]" in done.stderr
        assert "secret" not in done.stderr

    @pytest.mark.parametrize("opener", [open_database, open_read_only])
    def test_of_a_server_that_is_not_there_is_named(self, opener: Any, tmp_path: Path) -> None:
        pytest.importorskip("psycopg")
        error = refused(f"postgresql://me:secret@/results?host={tmp_path}", opener)
        assert "/results" in error.message
        assert str(tmp_path) in error.message
        assert "Start the server" in error.remedy

    def test_of_a_database_that_is_not_there_is_named(self, server: PostgresServer) -> None:
        assert 'database "nowhere" does not exist' in refused(server.url("nowhere")).message

    def test_with_an_option_that_nobody_knows_is_refused(self, url: str) -> None:
        assert "colour" in refused(f"{url}&colour=blue").message


class TestNew:
    def test_has_the_tables_and_views_that_the_steps_lead_to(self, server: PostgresServer) -> None:
        new, stepped = server.new(), server.new()
        open_database(new).dispose()
        step_to(stepped, "head")
        assert made(server, stepped) == made(server, new)
        engine = engine_of(new)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            assert compare_metadata(context, metadata) == []
        engine.dispose()

    def test_two_that_start_at_once_make_it_once(self, server: PostgresServer) -> None:
        url = server.new()
        assert start_together(url, 3) == [""] * 3
        assert server.run("SELECT version_num FROM alembic_version", url) == [(TODAY,)]

    def test_without_the_letters_of_all_names_is_refused(self, server: PostgresServer) -> None:
        error = refused(server.new("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
        assert "LATIN1" in error.message
        assert "ENCODING 'UTF8'" in error.remedy

    def test_without_the_right_to_make_tables_is_refused(self, server: PostgresServer) -> None:
        url = server.new()
        server.run("CREATE ROLE guest LOGIN")
        error = refused(url.replace("tests@", "guest@"))
        assert "permission denied" in error.message
        assert "GRANT" in error.remedy

    def test_only_looked_for_is_not_made(self, server: PostgresServer) -> None:
        url = server.new()
        assert "holds no scans yet" in refused(url, open_read_only).message
        assert server.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url) == []


def step_to(url: str, revision: str) -> None:
    engine, config = engine_of(url), Config()
    config.set_main_option("script_location", "processor.results:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def made(server: PostgresServer, url: str) -> list[tuple[Any, ...]]:
    """Columns, indexes and views as the server describes them."""
    return [
        *server.run(
            "SELECT table_name, column_name, data_type, character_maximum_length, collation_name, "
            "is_nullable FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
            url,
        ),
        *server.run(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename <> 'alembic_version' ORDER BY 1", url
        ),
        *server.run("SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1", url),
    ]


STARTED = """
import sys
from processor.results.database import open_database
print("here", flush=True)
sys.stdin.readline()
open_database(sys.argv[1]).dispose()
"""


def start_together(url: str, count: int) -> list[str]:
    """What programs complain of that open the database in the same moment."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", STARTED, url],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "here\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    return [one.communicate(timeout=60)[1] for one in started]


class TestEarlier:
    @pytest.fixture
    def old(self, server: PostgresServer) -> str:
        """A database of the first revision, with a scan that waits and one that was read."""
        url = server.new()
        step_to(url, "0001")
        for number, state in ((1, "done"), (2, "queued")):
            server.run(
                "INSERT INTO scans (source, file, sha256, bytes, state, attempts, queued_at) "
                f"VALUES ('/inbox', '{number}.png', '{number}', 9, '{state}', 0, now())",
                url,
            )
        return url

    def test_is_brought_up_to_date_by_the_first_of_several(self, server: PostgresServer, old: str) -> None:
        said = start_together(old, 2)
        assert sorted(map(bool, said)) == [False, True]
        assert f"from revision 0001 to {TODAY}" in "".join(said)
        engine = open_database(old)
        counts = summary(engine)
        assert (counts.seen, counts.done, counts.pending) == (2, 1, 1)
        job = claim(engine, NOW, 60)
        engine.dispose()
        assert job is not None
        assert job.file == "2.png"

    def test_is_left_as_it_was_by_a_step_that_fails(self, server: PostgresServer, old: str) -> None:
        server.run("CREATE TABLE daemons (somebody_elses TEXT)", old)
        before = made(server, old)
        error = refused(old)
        assert "Nothing was changed" in error.message
        assert made(server, old) == before
        assert server.run("SELECT version_num FROM alembic_version", old) == [("0001",)]

    def test_of_a_newer_program_is_left_alone(self, server: PostgresServer) -> None:
        url = server.new()
        open_database(url).dispose()
        server.run("UPDATE alembic_version SET version_num = '0099'", url)
        assert "newer version" in refused(url).message


class TestWriters:
    def test_claim_side_by_side(self, engine: Engine) -> None:
        show(engine, "a.png", "a")
        show(engine, "b.png", "b")
        first = select(scans.c.id).order_by(scans.c.id).limit(1).with_for_update()
        with writing(engine) as other:
            other.execute(first).one()
            job = claim(engine, NOW, 60)
            assert job is not None
            assert job.file == "b.png"
            assert claim(engine, NOW, 60) is None
        job = claim(engine, NOW, 60)
        assert job is not None
        assert job.file == "a.png"

    def test_who_waits_too_long_for_a_row_comes_back_later(self, engine: Engine, url: str) -> None:
        show(engine, "a.png")
        hasty = open_database(url, busy_seconds=0.05)
        with writing(engine) as other:
            other.execute(update(scans).values(message="mine"))
            with pytest.raises(DatabaseAway, match="lock timeout"), writing(hasty) as connection:
                connection.execute(update(scans).values(message="yours"))
        hasty.dispose()

    def test_one_content_that_many_show_at_once_is_queued_once(self, engine: Engine, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(3, mp_context=context) as processes:
            for shown in [processes.submit(_show_all, url, name) for name in "abc"]:
                shown.result()
        counts = summary(engine)
        assert (counts.seen, counts.pending, counts.duplicate) == (60, 20, 40)

    def test_two_that_meet_a_model_first_note_it_once(self, engine: Engine) -> None:
        with writing(engine) as one:
            store_model(one, "cnn-a", None, NOW)
            other = threading.Thread(target=_note_model, args=[engine])
            other.start()
            other.join(0.2)
        other.join()
        with reading(engine) as connection:
            assert connection.execute(select(models.c.name)).all() == [("cnn-a",)]

    def test_two_that_wait_for_each_other_are_no_fault_of_the_scans(self, engine: Engine) -> None:
        for name in "ab":
            show(engine, f"{name}.png", name)
        turn, faults = threading.Barrier(2), []

        def change(first: int, second: int) -> None:
            try:
                with writing(engine) as connection:
                    connection.execute(update(scans).where(scans.c.id == first).values(bytes=1))
                    turn.wait(10)
                    connection.execute(update(scans).where(scans.c.id == second).values(bytes=1))
            except DatabaseAway as fault:
                faults.append(str(fault))

        both = [threading.Thread(target=change, args=ids) for ids in ((1, 2), (2, 1))]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert len(faults) == 1
        assert "deadlock" in faults[0]

    def test_a_reader_sees_one_state_throughout(self, engine: Engine) -> None:
        with reading(engine) as connection:
            assert connection.execute(select(scans)).all() == []
            show(engine, "a.png")
            assert connection.execute(select(scans)).all() == []

    @pytest.mark.parametrize("name", ASKED)
    def test_find_what_they_ask_for_by_an_index(self, engine: Engine, name: str) -> None:
        for number in range(3):
            enqueue(engine, source=INBOX, file=f"{number}.png", sha256=f"{number:064}", bytes=9, now=NOW)
        read_one(engine)
        for statement, plan in plans(engine, ASKED[name]).items():
            # The number of a few rows says nothing: what matters is that an index can be used.
            by_name, counts = "LIKE" in statement, "count(" in statement.lower()
            assert by_name or counts or "Seq Scan" not in plan, f"{statement}\n{plan}"
            assert name != "claim" or "Sort" not in plan, plan


def _show_all(url: str, name: str) -> None:
    engine = open_database(url)
    for number in range(20):
        enqueue(engine, source=INBOX, file=f"{name}{number}.png", sha256=f"{number:064}", bytes=1, now=NOW)
    engine.dispose()


def _note_model(engine: Engine) -> None:
    with writing(engine) as connection:
        store_model(connection, "cnn-a", None, NOW + timedelta(seconds=1))


def plans(engine: Engine, ask: Callable[[Engine], Any]) -> dict[str, str]:
    """How the server goes about each statement, by its text, where it may not go through a whole table."""
    asked: list[tuple[str, Any]] = []

    def listen(*happened: Any) -> None:
        if happened[2].startswith(("SELECT scans", "SELECT min", "SELECT digits", "UPDATE", "DELETE")):
            asked.append((happened[2], happened[3]))

    event.listen(engine, "before_cursor_execute", listen)
    ask(engine)
    event.remove(engine, "before_cursor_execute", listen)
    found = {}
    with engine.connect() as connection:
        for way in ("seqscan", "sort"):
            connection.exec_driver_sql(f"SET enable_{way} = off")
        for statement, values in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values).all()
            found[statement] = "\n".join(row[0] for row in rows)
        connection.invalidate()
    return found


class TestValues:
    def test_times_are_utc_wherever_the_server_is(self, server: PostgresServer) -> None:
        url = server.new()
        name = url.partition("@/")[2].partition("?")[0]
        server.run(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
        engine = open_database(url)
        show(engine, "a.png")
        with reading(engine) as connection:
            assert connection.execute(select(scans.c.queued_at)).scalar_one().isoformat() == NOW.isoformat()
        asked = run_select(engine, "SELECT CAST(queued_at AS text) FROM scans")
        engine.dispose()
        assert asked[1] == [("2026-03-01 12:00:00+00",)]

    def test_a_message_may_hold_what_text_cannot(self, engine: Engine) -> None:
        show(engine, "a.png")
        job = claim(engine, NOW, 60)
        assert job is not None
        fail(engine, job, "BadScan", "a\0b", NOW)
        with reading(engine) as connection:
            assert connection.execute(select(scans.c.message)).scalar_one() == "a␀b"

    def test_numbers_come_in_the_order_of_their_bytes(self, server: PostgresServer, tmp_path: Path) -> None:
        """A database of a language sorts a before B before ä; SQLite has one order, and so has the CSV."""
        icu = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8' TEMPLATE template0"
        written = []
        for url in (server.new(icu), f"sqlite:///{tmp_path / 'results.db'}"):
            engine = open_database(url)
            for content, file in enumerate(("ä.png", "B.png", "a.png", "a_b.png", "aa.png", "Z/a.png")):
                show(engine, file, str(content))
                job = claim(engine, NOW, 60)
                assert job is not None
                finish(engine, job, a_result(a_page(a_number("12"))), NOW)
            write_all_numbers(engine, tmp_path / "numbers.csv")
            written.append((tmp_path / "numbers.csv").read_bytes())
            assert readings(engine)["file"].tolist()[0] == "B.png"
            engine.dispose()
        assert written[0] == written[1]

    def test_a_commit_reaches_the_disk_though_the_server_would_not_wait_for_it(self, engine: Engine) -> None:
        with reading(engine) as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"

    def test_its_size_is_told(self, engine: Engine) -> None:
        assert (size_in_bytes(engine) or 0) > 1_000_000


class TestQuery:
    @pytest.fixture
    def only(self, engine: Engine, url: str) -> Iterator[Engine]:
        show(engine, "100%.png")
        only = open_read_only(url)
        yield only
        only.dispose()

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM scans",
            "CREATE TABLE mine (x INT)",
            "SELECT * INTO mine FROM scans",
            "WITH gone AS (DELETE FROM scans RETURNING id) SELECT * FROM gone",
            "SELECT 1; DELETE FROM scans",
            "COMMIT; DELETE FROM scans",
            "SET TRANSACTION READ WRITE; DELETE FROM scans",
            "SELECT 1; COMMIT; SET default_transaction_read_only = off; DELETE FROM scans",
            "SELECT set_config('transaction_read_only', 'off', false), nextval('scans_id_seq')",
            "SELECT nextval('scans_id_seq')",
            "COPY scans TO PROGRAM 'cat > /tmp/scans'",
            "DO $$ BEGIN DELETE FROM scans; END $$",
            "",
        ],
    )
    def test_can_only_read(self, only: Engine, engine: Engine, sql: str) -> None:
        with pytest.raises(BadCommand):
            run_select(only, sql)
        assert run_select(only, "SELECT file FROM scans WHERE file LIKE '%\\%%'") == (
            ["file"],
            [("100%.png",)],
        )
        assert summary(engine).seen == 1
        with reading(engine) as connection:
            assert connection.execute(text("SELECT last_value FROM scans_id_seq")).scalar_one() == 1

    def test_writes_nothing_even_by_our_own_hand(self, only: Engine) -> None:
        with pytest.raises(DatabaseAway, match="read-only"), writing(only) as connection:
            connection.execute(insert(models), {"name": "cnn-a", "first_used_at": NOW})

    def test_gives_whole_numbers_and_text_as_sqlite_does(self, only: Engine) -> None:
        sql = "SELECT SUM(bytes), AVG(bytes), SUM(bytes) / 2.0, CAST('{\"a\": 1}' AS json) FROM scans"
        (row,) = run_select(only, sql)[1]
        assert row == (9, 9, 4.5, '{"a": 1}')
        assert [type(value) for value in row] == [int, int, float, str]

    def test_that_takes_too_long_is_cut_off(self, only: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgresql, "QUERY_SECONDS", 0.05)
        with pytest.raises(BadCommand, match=r"longer than 0\.05 s"):
            run_select(only, "SELECT pg_sleep(20)")

    def test_that_is_wrong_is_told_in_the_server_s_words(self, only: Engine) -> None:
        with pytest.raises(BadCommand, match='relation "scan" does not exist'):
            run_select(only, "SELECT * FROM scan")


NAMES = ("a.png", "A.png", "a]b", "a\\b", "[a].png", "^.png", "-", "sub/a.png", "aä", "b\n", "")
GLOBS = (
    *("*", "?.png", "[a-c].png", "[!a]*", "[]a]*", "[^]*", "a[]]b", "*\\*", "[[]*", "[", "a[b", "[\\]*"),
    *("*[!]]", "[!]", "[a^]*", "[!^]*", "(a|b)*", "a.png$", "", "**", "[a", "sub/*"),
)


def test_a_shell_s_pattern_means_the_same_to_the_server(engine: Engine) -> None:
    matches = text('SELECT CAST(:name AS text) COLLATE "C" ~ :pattern')
    with reading(engine) as connection:
        for name, glob in product(NAMES, GLOBS):
            told = connection.execute(matches, {"name": name, "pattern": postgresql.pattern_of(glob)})
            assert told.scalar_one() is fnmatch.fnmatchcase(name, glob), (name, glob)


class TestChecks:
    def test_find_nothing_in_order(self, engine: Engine) -> None:
        assert list(check_database(engine)) == []

    def test_find_an_index_and_a_constraint_that_are_not_in_force(self, server: PostgresServer) -> None:
        url = server.new()
        engine = open_database(url)
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one_reading_a_content'::regclass"
        server.run(broken, url)
        server.run("ALTER TABLE pages ADD CONSTRAINT some_width CHECK (width > 0) NOT VALID", url)
        found = [finding.found for finding in check_database(engine)]
        engine.dispose()
        assert found == [
            "constraint some_width is not in force",
            "index one_reading_a_content is not in force",
        ]


class TestAway:
    @pytest.fixture
    def weak(self) -> Iterator[PostgresServer]:
        """A server that the test may stop."""
        with running_server() as server:
            yield server

    def test_a_daemon_waits_until_the_server_is_there_again(
        self, server: PostgresServer, weak: PostgresServer, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROCESSOR_DATABASE__URL", weak.new())
        house = House(home)
        visitor = Visitor(
            house,
            lambda: drop(house.inbox, "a.png", "1"),
            lambda: visitor.wait_for((house.results / "numbers.csv").exists),
            weak.stop,
            lambda: drop(house.inbox, "b.png", "2"),
            lambda: visitor.wait_for(lambda: any("cannot be" in told for told in house.heard.warnings)),
            weak.start,
            lambda: visitor.wait_for(lambda: ("b.png", "done") in house.heard.ends),
        )
        assert outcome(visitor.watch()) == {"seen": 2, "done": 2}
        assert any("Everything waits until then" in told for told in house.heard.warnings)
        assert any("reading goes on" in told for told in house.heard.said)
        house.database.dispose()

    def test_a_restart_between_two_transactions_is_not_noticed(self, weak: PostgresServer) -> None:
        engine = open_database(weak.new())
        show(engine, "a.png")
        weak.stop()
        with pytest.raises(DatabaseAway, match="cannot be reached"):
            show(engine, "b.png", "b")
        weak.start()
        show(engine, "b.png", "b")
        assert summary(engine).seen == 2
        weak.stop()
        weak.start()
        assert summary(engine).seen == 2
        engine.dispose()

    def test_a_transaction_that_is_cut_leaves_nothing(self, engine: Engine, server: PostgresServer) -> None:
        def write_and_be_cut() -> None:
            with writing(engine) as connection:
                connection.execute(insert(models), {"name": "cnn-a", "first_used_at": NOW})
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
                server.run(f"SELECT pg_terminate_backend({pid})")
                connection.execute(select(models)).all()

        with pytest.raises(DatabaseAway):
            write_and_be_cut()
        with reading(engine) as connection:
            assert connection.execute(select(models)).all() == []


def test_the_commands_work_on_a_server(home: Path, processor: Command, server: PostgresServer) -> None:
    url = server.new()
    secret = url.replace("tests@", "tests:secret@")
    environment = {**os.environ, "PROCESSOR_DATABASE__URL": secret}

    def run(*arguments: str) -> str:
        done = processor(*arguments, env=environment)
        assert done.returncode == Exit.DONE, done.stderr
        assert "secret" not in done.stdout + done.stderr
        return str(done.stdout)

    drop(home / "inbox", "form.png", (Path(__file__).parents[1] / "examples" / "form.png").read_bytes())
    run("run", "--once", "--workers", "1")
    assert not (home / "results" / "results.db").exists()
    lines = (home / "results" / "numbers.csv").read_text().splitlines()
    assert run("results", "--format", "csv").count("\n") == len(lines) > 2
    counted = "SELECT COUNT(*) AS count FROM readings"
    assert run("query", counted, "--format", "csv") == f"count\n{len(lines) - 1}\n"
    told = json.loads(run("status", "--json"))
    assert (told["done"], told["numbers"], told["journal_mode"]) == (1, len(lines) - 1, "server")
    assert told["database_bytes"] > 1_000_000
    run("verify")
    run("config", "show")
