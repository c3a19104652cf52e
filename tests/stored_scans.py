"""A database as a run leaves it: scans that are done, one that failed and one that waits."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from processor.intake.queue import claim, enqueue, fail, finish
from processor.records import Status
from processor.results.database import open_database
from tests.sample_readings import a_blob, a_number, a_page, a_result

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NASTY = "a\x1b[31m[red]\nx.png"
"""A name that would speak to the terminal, if it were let."""


def store_scans(home: Path) -> None:
    """Makes the database of a product folder: a done scan of two pages, one with a nasty name, two others."""
    (home / "results").mkdir()
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    results = {
        "form.png": replace(
            a_result(
                a_page(a_number("007"), a_number("12", Status.REVIEW, confidence=0.5), rejected=(a_blob(),)),
                a_page(a_number("3", field="total"), page=2, dpi=None),
            ),
            seconds=0.2500000004,
        ),
        NASTY: replace(a_result(a_page(a_number("45"))), seconds=0.75),
    }
    for number, file in enumerate([*results, "broken.png", "waiting.png"]):
        enqueue(database, source=home / "inbox", file=file, sha256=f"{number}" * 64, bytes=9, now=NOW)
    for result in results.values():
        job = claim(database, NOW, 60)
        assert job is not None
        finish(database, job, result, NOW)
    job = claim(database, NOW, 60)
    assert job is not None
    fail(database, job, "BadScan", "broken.png is empty.", NOW)
    database.dispose()
