"""What a page says of its rows is what they say, whoever wrote or changed them."""

import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, insert, null, select, text, update

from processor.intake.queue import claim, enqueue, finish
from processor.records import Status
from processor.results.consistency import check_counts
from processor.results.counts import NO_COUNTS, Counts, counted_anew, differing, total_counts
from processor.results.database import open_database, reading, writing
from processor.results.findings import Holdings
from processor.results.queries import summary
from processor.results.repair import mend
from processor.results.schema import COUNTS, digits, numbers, pages
from tests.sample_readings import a_blob, a_number, a_page, a_result
from tests.test_upgrade import DUMP

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INBOX = Path("/inbox")
DOUBTFUL = a_number("345", Status.REVIEW, confidence=0.4)
RESULT = a_result(
    a_page(a_number("12"), DOUBTFUL, a_number("6"), rejected=(a_blob(), a_blob())), a_page(page=2)
)
READ = Counts(
    **{"pages": 2, "numbers": 3, "accepted": 2, "review": 1, "digits": 6, "digits_in_review": 3},
    rejected=2,
    expected_wrong=0.2,
)


@pytest.fixture
def read(engine: Engine) -> Engine:
    """One scan, of which one page has numbers."""
    store(engine)
    return engine


def store(engine: Engine) -> None:
    enqueue(engine, source=INBOX, file="a.png", sha256="a" * 64, bytes=9, now=NOW)
    job = claim(engine, NOW, 60)
    assert job is not None
    finish(engine, job, RESULT, NOW)


def total(engine: Engine) -> Counts:
    """The sum over the pages, once all of them agree with their rows."""
    with reading(engine) as connection:
        told = connection.execute(select(pages)).mappings().all()
        counted = counted_anew(connection, [page["id"] for page in told])
        for page in told:
            if page["number_count"] is not None:
                assert differing(dict(page), counted.get(page["id"], NO_COUNTS)) == []
        found = total_counts(connection)
        return replace(found, expected_wrong=round(found.expected_wrong, 9))


def test_a_page_is_stored_with_its_counts(read: Engine) -> None:
    assert total(read) == READ
    with reading(read) as connection:
        told = select(*(pages.c[name] for name in COUNTS)).order_by(pages.c.page)
        first, second = connection.execute(told).all()
    assert tuple(first[:6]) == (3, 2, 1, 6, 3, 2)
    assert tuple(second) == (0,) * 7


def test_another_reading_takes_the_place_of_its_counts(read: Engine) -> None:
    with writing(read) as connection:
        connection.execute(text("UPDATE scans SET state = 'queued'"))
    job = claim(read, NOW, 60)
    assert job is not None
    finish(read, job, a_result(a_page(a_number("7"))), NOW)
    found = total(read)
    assert (found.pages, found.numbers, found.digits, found.rejected) == (1, 1, 1, 0)


CORRECTIONS = {
    "a doubtful digit is right": update(digits).where(digits.c.status == "review").values(status="corrected"),
    "a mark is a digit": update(digits).where(digits.c.digit.is_(None)).values(status="corrected", digit="1"),
    "a digit is none": update(digits).where(digits.c.digit == "6").values(status="rejected", digit=null()),
    "a number is right": update(numbers).where(numbers.c.status == "review").values(status="corrected"),
    "it is surer": update(numbers).where(numbers.c.status == "accepted").values(confidence=0.99),
    "all are to look at": update(numbers).values(status="review"),
    "nothing changes": update(numbers).values(status=numbers.c.status, text="1"),
}


@pytest.mark.parametrize("what", CORRECTIONS)
def test_what_is_corrected_by_sql_is_counted_at_once(read: Engine, what: str) -> None:
    with writing(read) as connection:
        connection.execute(CORRECTIONS[what])
    found = total(read)
    assert (found == READ) == (what == "nothing changes")
    with reading(read) as connection:
        in_review = select(func.count()).where(digits.c.status == "review")
        assert summary(read).review == connection.execute(in_review).scalar_one()


@given(st.lists(st.tuples(st.integers(1, 8), st.sampled_from(list(Status)), st.floats(0, 1)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_any_order_of_changes_leaves_the_counts_of_the_rows(
    read: Engine, changes: list[tuple[int, Status, float]]
) -> None:
    for row, status, confidence in changes:
        with writing(read) as connection:
            connection.execute(update(digits).where(digits.c.id == row).values(status=status))
            of_number = update(numbers).where(numbers.c.id == 1 + row % 3)
            connection.execute(of_number.values(status=status, confidence=confidence))
    assert total(read).pages == READ.pages


def test_pages_of_a_program_that_counts_not_are_counted_by_their_rows(read: Engine) -> None:
    with writing(read) as connection:
        connection.execute(update(pages).values(dict.fromkeys(COUNTS)))
    assert total(read) == READ
    with writing(read) as connection:
        connection.execute(update(numbers).values(status="review"))
    assert total(read).review == 3
    assert list(check_counts(read)) == []


def test_pages_that_count_and_others_add_up(read: Engine) -> None:
    before = asdict(total(read))
    with writing(read) as connection:
        row = {"scan_id": 1, "page": 3, "width": 1, "height": 1, "skew_degrees": 0.0}
        page = connection.execute(insert(pages).returning(pages.c.id), row).scalar_one()
        box = {"x": 0, "y": 0, "width": 1, "height": 1}
        one = {"page_id": page, "position": 1, "confidence": 0.5, "status": "accepted", **box}
        number = connection.execute(
            insert(numbers).returning(numbers.c.id), {**one, "text": "1", "digits": "1"}
        )
        connection.execute(insert(digits), {**one, "number_id": number.scalar_one(), "digit": "1"})
    grown = {name: value - before[name] for name, value in asdict(total(read)).items()}
    assert grown.pop("expected_wrong") == pytest.approx(0.5)
    assert {name for name, value in grown.items() if value == 1} == {"pages", "numbers", "accepted", "digits"}


def test_a_row_that_somebody_took_away_is_found_and_counted(read: Engine, tmp_path: Path) -> None:
    with writing(read) as connection:
        connection.execute(delete(digits).where(digits.c.digit == "6"))
    (finding,) = check_counts(read)
    assert (finding.file, finding.scan_id, finding.repairable) == ("a.png", 1, True)
    assert (finding.found, finding.expected) == ("page 1, digit_count 6", "digit_count 5")
    holdings = Holdings(database=read, inbox=INBOX, results=tmp_path)
    assert mend(holdings, finding, put_back=lambda: None)
    assert list(check_counts(read)) == []
    assert total(read) == replace(READ, digits=5)


@pytest.mark.sqlite
def test_a_database_of_before_gets_the_counts_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    engine = open_database(f"sqlite:///{path}")
    with reading(engine) as connection:
        told = connection.execute(select(*(pages.c[name] for name in COUNTS))).one()
        rows = counted_anew(connection, [1])[1]
    assert differing(told._asdict(), rows) == []
    assert told.digit_count + told.rejected_count == 6
    engine.dispose()
