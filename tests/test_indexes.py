"""What a run asks at every scan, and `status` at every call, is found by an index, however much was read."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_mock_engine, event, make_url

from processor.intake import queue
from processor.intake.standing import next_due, standings
from processor.records import Status
from processor.results.database import open_database, writing
from processor.results.ledger import PublishedFile, store_outputs
from processor.results.queries import scan_report, summary
from processor.results.schema import metadata
from tests.sample_readings import a_blob, a_number, a_page, a_result

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INBOX = Path("/inbox")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    yield engine
    engine.dispose()


def show(engine: Engine, number: int) -> None:
    queue.enqueue(engine, source=INBOX, file=f"{number}.png", sha256=f"{number:064}", bytes=9, now=NOW)


def take(engine: Engine) -> queue.Job:
    job = queue.claim(engine, NOW, 60, sources=[INBOX])
    assert job is not None
    return job


def finish(engine: Engine) -> None:
    result = a_result(a_page(a_number("12"), a_number("7", Status.REVIEW), rejected=(a_blob(),)))
    queue.finish(engine, take(engine), result, NOW)


def note(engine: Engine) -> None:
    with writing(engine) as connection:
        store_outputs(connection, 1, [PublishedFile(file="csv/a.csv", sha256="a", bytes=1)])


def put_back(engine: Engine) -> None:
    queue.put_back(engine, take(engine), fault="locked", due=NOW + timedelta(seconds=1), killed=False)


ASKED: dict[str, Callable[[Engine], Any]] = {
    "show a scan": lambda engine: show(engine, 99),
    "show it again": lambda engine: show(engine, 1),
    "claim": take,
    "finish": finish,
    "put back": put_back,
    "fail": lambda engine: queue.fail(engine, take(engine), "BadScan", "It is empty.", NOW),
    "keep alive": lambda engine: queue.heartbeat(engine, take(engine), NOW, 60),
    "recover": lambda engine: queue.recover(engine, NOW),
    "what is due next": lambda engine: next_due(engine, [INBOX]),
    "how far scans are": lambda engine: standings(engine, [f"{1:064}", f"{2:064}"]),
    "note what was published": note,
    "sum up": summary,
    "show one scan in full": lambda engine: scan_report(engine, "0.png"),
}


def plans(engine: Engine, ask: Callable[[Engine], Any]) -> dict[str, list[str]]:
    """How SQLite goes about each statement, by its text."""
    asked: list[tuple[str, Any]] = []

    def listen(*happened: Any) -> None:
        if happened[2].startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((happened[2], happened[3]))

    event.listen(engine, "before_cursor_execute", listen)
    ask(engine)
    event.remove(engine, "before_cursor_execute", listen)
    assert asked
    raw = engine.raw_connection()
    found = {
        statement: [row[3] for row in raw.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        for statement, values in asked
    }
    raw.close()
    return found


@pytest.mark.parametrize("name", ASKED)
def test_no_table_is_gone_through(engine: Engine, name: str) -> None:
    for number in range(3):
        show(engine, number)
    finish(engine)
    for statement, steps in plans(engine, ASKED[name]).items():
        # A name may be the end of a path: the one scan that is looked for by it is looked for everywhere.
        by_name = "LIKE" in statement
        # A count of all rows goes through all of an index that holds no more than it asks for.
        through = [step for step in steps if step.startswith("SCAN") and "COVERING INDEX" not in step]
        assert by_name or through == [], statement


@pytest.mark.parametrize("name", ["claim", "what is due next"])
def test_the_first_in_order_is_found_without_sorting(engine: Engine, name: str) -> None:
    show(engine, 1)
    for statement, steps in plans(engine, ASKED[name]).items():
        assert not [step for step in steps if "TEMP B-TREE" in step], statement


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg://"])
def test_one_content_is_read_once_on_every_database_and_its_duplicates_are_many(url: str) -> None:
    told: list[str] = []
    dialect = make_url(url).get_dialect()()
    server = create_mock_engine(url, lambda sql, *_, **__: told.append(str(sql.compile(dialect=dialect))))
    metadata.create_all(server, checkfirst=False)
    made = "CREATE UNIQUE INDEX one_reading_a_content ON scans (sha256) WHERE state != 'duplicate'"
    assert [sql for sql in told if "one_reading_a_content" in sql] == [made]
