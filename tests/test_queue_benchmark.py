"""What `benchmarks.queue` measures is what it says: all rows are claimed, and questions have an answer."""

from datetime import UTC, datetime

import pytest

from benchmarks import queue
from benchmarks.made_up import DIGITS_A_SCAN, fill, page_of_digits
from benchmarks.product import Row
from processor.intake.queue import claim
from processor.results.database import open_database
from processor.results.queries import summary

pytestmark = pytest.mark.databases


def figures(rows: list[Row]) -> list[float]:
    return [row.figure for row in rows]


def test_several_processes_claim_all_rows(database_kind: str, url: str) -> None:
    (rate,) = figures(queue.claims(database_kind, url, 2, 20))
    assert rate > 0
    engine = open_database(url)
    assert summary(engine).pending == 20
    assert claim(engine, datetime.now(UTC), 60) is None
    engine.dispose()


def test_a_page_has_as_many_digits_as_it_says(database_kind: str, url: str) -> None:
    (page,) = page_of_digits().pages
    assert sum(len(number.digits) for number in page.numbers) == DIGITS_A_SCAN
    assert figures(queue.commits(database_kind, url, 2))[0] > 0
    engine = open_database(url)
    assert (summary(engine).done, summary(engine).digits) == (2, 2 * DIGITS_A_SCAN)
    engine.dispose()


def test_the_made_up_database_holds_what_was_asked_for(url: str) -> None:
    engine = open_database(url)
    fill(engine, 100 * DIGITS_A_SCAN)
    counts = summary(engine)
    engine.dispose()
    # Some of its scans failed, and some wait, though they have pages: it is made for counting.
    assert (counts.seen, counts.failed, counts.pending) == (100, 1, 1)
    assert (counts.numbers, counts.digits) == (10_000, 30_000)
    assert counts.rejected == 1000


def test_an_inbox_that_is_known_is_shown_and_one_that_is_not(
    database_kind: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SHOWN", 5)
    assert all(figure >= 0 for figure in figures(queue.sweep(database_kind, url, 20)))
    engine = open_database(url)
    assert summary(engine).seen == 25
    engine.dispose()
