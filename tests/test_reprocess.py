"""What was read before is read again: compared by place, stored as a whole, and a person's word stays."""

import csv
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy import Engine as Database

from processor.endings import ATTEMPTS
from processor.engines.tasks import ScanTask
from processor.errors import BadCommand, BadModel, BadScan, Exit, Transient
from processor.intake.queue import claim, enqueue, fail, finish
from processor.prediction.archive import find_model
from processor.records import Box, NumberReading, PageReading, ScanResult, StagedFile, Status
from processor.rereading import Reread, Rereading
from processor.results.comparison import Pair, compare, keep_corrected, overlap, tally
from processor.results.database import open_database, reading, writing
from processor.results.originals import kept_name
from processor.results.queries import summary
from processor.results.replacement import stored_reading, stored_scans
from processor.results.schema import corrections, digits, metadata, numbers, outputs
from processor.settings import load
from tests.conftest import Command
from tests.model_copies import SURE, accepting_from, copy_model, name_current
from tests.sample_readings import a_blob, a_number, a_page, a_result
from tests.stand_ins import SerialEngine, drop

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def number_at(x: int, text: str, status: Status = Status.ACCEPTED, y: int = 100) -> NumberReading:
    """A number 20 px high, whose digits stand 10 px apart from x on."""
    found = a_number(text, status)
    boxes = [Box(x + 10 * place, y, 8, 20) for place in range(len(text))]
    own = tuple(replace(digit, box=box) for digit, box in zip(found.digits, boxes, strict=True))
    return replace(found, box=Box.around(boxes), digits=own)


# Two readings side by side


def changes(before: PageReading, after: PageReading) -> list[tuple[str | None, str | None, str | None]]:
    """What changed, with the text before and after."""
    return [
        (pair.change, pair.before.text if pair.before else None, pair.after.text if pair.after else None)
        for pair in compare([before], [after])
    ]


def test_numbers_are_matched_by_their_place_and_not_by_their_order() -> None:
    before = a_page(number_at(0, "123"), number_at(500, "77"))
    after = a_page(number_at(501, "71"), number_at(2, "123"))
    assert changes(before, after) == [(None, "123", "123"), ("text", "77", "71")]


def test_what_differs_is_told_by_kind() -> None:
    before = a_page(number_at(0, "1"), number_at(100, "2"), number_at(200, "3", Status.REVIEW))
    after = a_page(number_at(0, "1", Status.REVIEW), number_at(200, "3"), number_at(300, "4"))
    assert changes(before, after) == [
        ("status", "1", "1"),
        ("vanished", "2", None),
        ("status", "3", "3"),
        ("appeared", None, "4"),
    ]
    assert tally(compare([before], [after])) == {
        "numbers": 2,
        "changed": 0,
        "accepted_to_review": 1,
        "review_to_accepted": 1,
        "appeared": 1,
        "vanished": 1,
        "corrected": 0,
        "corrected_read_otherwise": 0,
    }


def test_a_number_that_falls_apart_vanishes_and_its_parts_appear() -> None:
    before = a_page(number_at(0, "1234"))
    after = a_page(number_at(0, "1"), number_at(10, "2"), number_at(20, "34"))
    assert [change for change, _, _ in changes(before, after)].count("appeared") >= 2


def test_pages_are_compared_with_their_own_kind() -> None:
    pairs = compare([a_page(number_at(0, "1"))], [a_page(number_at(0, "1"), page=2)])
    assert [(pair.page, pair.change) for pair in pairs] == [(1, "vanished"), (2, "appeared")]


def test_a_persons_word_is_compared_by_its_text_alone() -> None:
    before = a_page(number_at(0, "12", Status.CORRECTED), number_at(100, "34", Status.CORRECTED))
    after = a_page(number_at(0, "12", Status.REVIEW), number_at(100, "35"))
    assert changes(before, after) == [(None, "12", "12"), ("text", "34", "35")]
    counts = tally(compare([before], [after]))
    assert (counts["corrected"], counts["corrected_read_otherwise"]) == (2, 1)
    assert (counts["accepted_to_review"], counts["review_to_accepted"]) == (0, 0)


boxes = st.builds(Box, st.integers(0, 60), st.integers(0, 60), st.integers(0, 40), st.integers(0, 40))
readings = st.lists(boxes.map(lambda box: replace(a_number("1"), box=box)), max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(readings, readings)
def test_every_number_of_both_readings_is_in_exactly_one_pair(
    before: list[NumberReading], after: list[NumberReading]
) -> None:
    pairs = compare([a_page(*before)], [a_page(*after)])

    def ids(side: Callable[[Pair], NumberReading | None]) -> list[int]:
        return sorted(id(number) for pair in pairs if (number := side(pair)) is not None)

    assert ids(lambda pair: pair.before) == sorted(map(id, before))
    assert ids(lambda pair: pair.after) == sorted(map(id, after))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(boxes, boxes)
def test_the_overlap_is_a_share_and_has_no_direction(one: Box, other: Box) -> None:
    assert 0 <= overlap(one, other) == overlap(other, one) <= 1
    if one.width * one.height:
        assert overlap(one, one) == 1


# What a person corrected


def test_a_corrected_number_takes_the_place_of_what_is_read_there() -> None:
    blob_below = replace(a_blob(), box=Box(10, 100, 8, 20))
    page = a_page(number_at(1, "13"), number_at(300, "5"), rejected=(blob_below, a_blob()))
    kept = number_at(0, "12", Status.CORRECTED)
    found = keep_corrected("form.png", page, [kept])
    assert found.numbers == (kept, page.numbers[1])
    assert found.rejected == (a_blob(),)
    assert keep_corrected("form.png", page, []) == page


@pytest.mark.parametrize(
    "found",
    [
        (),
        (number_at(300, "12"),),
        (number_at(0, "1"), number_at(10, "2")),
        (number_at(0, "1234567"),),
        (number_at(0, "12"), number_at(2, "12")),
    ],
)
def test_a_corrected_number_without_its_place_leaves_the_scan_as_it_is(
    found: tuple[NumberReading, ...],
) -> None:
    with pytest.raises(BadScan, match=r"form\.png, page 1: the number 12, which a person corrected"):
        keep_corrected("form.png", a_page(*found), [number_at(0, "12", Status.CORRECTED)])


# A whole scan


class Shelf:
    """Scans that model `old` read, with their originals; what `new` reads is told by `now`."""

    def __init__(self, home: Path) -> None:
        self.inbox, self.results = home / "inbox", home / "results"
        self.results.mkdir()
        self.url = load(home / "settings.toml").database_url
        self.database: Database = open_database(self.url)
        copy_model(home / "models_archive", "new")
        self.model = find_model(home / "models_archive", "new")
        self.now: dict[str, PageReading] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        self.staging = home / "staged"
        self.staging.mkdir()
        self.engine = SerialEngine(self.read)

    def put(self, file: str, page: PageReading, *, stays: bool = False) -> Path:
        """A scan that was read as `page`; its original was moved away, or `stays`."""
        content = f"the content of {file}".encode()
        sha256 = hashlib.sha256(content).hexdigest()
        enqueue(self.database, source=self.inbox, file=file, sha256=sha256, bytes=len(content), now=NOW)
        job = claim(self.database, NOW, 60)
        assert job is not None
        result = replace(a_result(page, model="old"), settings_digest="before")
        finish(self.database, job, result, NOW + timedelta(seconds=job.id))
        self.now[file] = page
        return drop(
            self.inbox if stays else self.results / "processed",
            file if stays else kept_name(file, sha256),
            content,
        )

    def read(self, task: ScanTask) -> ScanResult:
        """As the pipeline does, except for looking at the pixels."""
        assert task.model == self.model.path
        assert hashlib.sha256(task.source.read_bytes()).hexdigest() == task.sha256
        self.meanwhile()
        page = keep_corrected(task.file, self.now[task.file], [number for _, number in task.corrected])
        staged = task.staging / "reading.csv"
        staged.write_text(" ".join(number.text for number in page.numbers))
        target = self.results / "csv" / f"{task.file}.csv"
        return replace(
            a_result(page, model="new"), staged=(StagedFile(staged=staged, target=target),), seconds=2.0
        )

    def reread(self, *wanted: str, stores: bool = True) -> list[Reread]:
        rereading = Rereading(
            self.database,
            self.engine,
            model=self.model,
            results=self.results,
            staging=self.staging,
            stores=stores,
        )
        found = list(rereading.read(stored_scans(self.database, wanted), lambda: False))
        assert list(self.staging.iterdir()) == []
        return found

    def dump(self) -> list[str]:
        """All rows of all tables."""
        with reading(self.database) as connection:
            return [
                f"{table.name}: {row}"
                for table in metadata.sorted_tables
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with reading(self.database) as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def correct(self, text: str, now: str, *, digit: int | None = None) -> None:
        """What a person says: of the whole number that reads `text`, or of its digit at this position."""
        with writing(self.database) as connection:
            number_id = connection.execute(select(numbers.c.id).where(numbers.c.text == text)).scalar_one()
            row: dict[str, Any] = {"number_id": number_id, "was": text, "now": now, "at": NOW, "by": "Eve"}
            said = {"text": now, "digits": now, "status": Status.CORRECTED}
            if digit is not None:
                this = (digits.c.number_id == number_id, digits.c.position == digit)
                digit_id = connection.execute(select(digits.c.id).where(*this)).scalar_one()
                row |= {"number_id": None, "digit_id": digit_id}
                value = {"digit": now, "status": Status.CORRECTED}
                connection.execute(update(digits).where(digits.c.id == digit_id).values(value))
                whole = text[: digit - 1] + now + text[digit:]
                said |= {"text": whole, "digits": whole}
            connection.execute(insert(corrections), row)
            connection.execute(update(numbers).where(numbers.c.id == number_id).values(said))


@pytest.fixture
def shelf(home: Path) -> Iterator[Shelf]:
    shelf = Shelf(home)
    yield shelf
    shelf.database.dispose()


def test_what_is_stored_comes_back_as_it_was_read(shelf: Shelf) -> None:
    page = a_page(number_at(0, "12"), number_at(100, "7", Status.REVIEW), rejected=(a_blob(),), dpi=None)
    shelf.put("a.png", page)
    (scan,) = stored_scans(shelf.database, [])
    (stored,) = stored_reading(shelf.database, scan)
    assert [changed for changed, _, _ in changes(page, stored)] == [None, None]
    assert stored.numbers[0].digits[0].digit == "1"
    assert stored.dpi is None


def test_a_difference_is_shown_and_nothing_is_stored(shelf: Shelf) -> None:
    original = shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.now["a.png"] = a_page(number_at(0, "13"))
    before = shelf.dump()
    (reread,) = shelf.reread(stores=False)
    assert [pair.change for pair in reread.pairs] == ["text"]
    assert shelf.dump() == before
    assert not (shelf.results / "csv").exists()
    assert original.exists()


def test_a_new_reading_replaces_the_old_one_as_a_whole(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12"), rejected=(a_blob(),)))
    shelf.put("b.png", a_page(number_at(0, "99")))
    shelf.now["a.png"] = a_page(number_at(0, "13"), number_at(100, "5"))
    before = summary(shelf.database)
    (reread,) = shelf.reread("a.png")
    assert reread.fault is None
    assert shelf.rows("SELECT file, text, model FROM readings ORDER BY file, position") == [
        ("a.png", "13", "new"),
        ("a.png", "5", "new"),
        ("b.png", "99", "old"),
    ]
    scan = "SELECT state, model, settings_digest, seconds, finished_at > started_at FROM scans WHERE id = 1"
    assert shelf.rows(scan) == [("done", "new", "0123456789ab", 2.0, 1)]
    assert shelf.rows("SELECT COUNT(*) FROM digit_readings WHERE status = 'rejected'") == [(0,)]
    assert shelf.rows("SELECT name, length(sha256) FROM models ORDER BY name") == [("new", 64), ("old", None)]
    assert (shelf.results / "csv" / "a.png.csv").read_text() == "13 5"
    after = summary(shelf.database)
    assert (after.seen, after.done, after.pending) == (before.seen, before.done, before.pending) == (2, 2, 0)


def test_hashes_of_the_new_files_are_noted_and_files_of_before_go(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    picture = drop(shelf.results / "annotated", "a-p1.jpg", "of before")
    foreign = drop(shelf.results / "processed", "mine.png", "?")
    with writing(shelf.database) as connection:
        for file in ("annotated/a-p1.jpg", "csv/a.png.csv", "processed/mine.png", "../settings.toml"):
            row = {"scan_id": 1, "file": file, "sha256": "0" * 64, "bytes": 1}
            connection.execute(insert(outputs), row)
    (reread,) = shelf.reread()
    assert reread.fault is None
    written = (shelf.results / "csv" / "a.png.csv").read_bytes()
    kept = [("csv/a.png.csv", hashlib.sha256(written).hexdigest(), len(written))]
    assert shelf.rows("SELECT file, sha256, bytes FROM outputs") == kept
    assert not picture.exists()
    assert foreign.exists()
    assert (shelf.results.parent / "settings.toml").exists()


def test_originals_are_found_where_they_went_or_stayed(shelf: Shelf) -> None:
    shelf.put("moved.png", a_page())
    shelf.put("deep/stayed.png", a_page(), stays=True)
    shelf.put("lost.png", a_page()).unlink()
    shelf.put("changed.png", a_page(), stays=True).write_text("something else")
    faults = {reread.scan.file: reread.fault for reread in shelf.reread()}
    assert faults["moved.png"] is faults["deep/stayed.png"] is None
    assert isinstance(faults["lost.png"], BadScan)
    assert "original is neither in" in str(faults["lost.png"])
    assert "changed.png was changed after it was read" in str(faults["changed.png"])
    assert shelf.rows("SELECT file, model FROM scans ORDER BY id") == [
        ("moved.png", "new"),
        ("deep/stayed.png", "new"),
        ("lost.png", "old"),
        ("changed.png", "old"),
    ]


@pytest.mark.parametrize(("digit", "now", "read"), [(None, "18", "18"), (2, "8", "18"), (2, "9", "19")])
def test_what_a_person_corrected_outlives_another_reading(
    shelf: Shelf, digit: int | None, now: str, read: str
) -> None:
    shelf.put("a.png", a_page(number_at(0, "12"), number_at(100, "5")))
    shelf.correct("12", now, digit=digit)
    shelf.now["a.png"] = a_page(number_at(-100, "7"), number_at(1, "13"), number_at(100, "6"))
    (reread,) = shelf.reread()
    assert reread.fault is None
    assert shelf.rows("SELECT text, digits, status FROM readings ORDER BY x") == [
        ("7", "7", "accepted"),
        (read, read, "corrected"),
        ("6", "6", "accepted"),
    ]
    assert (shelf.results / "csv" / "a.png.csv").read_text() == f"7 {read} 6"
    # The correction leads to the new rows.
    told = (
        "SELECT c.now, COALESCE(n.text, whole.text), d.digit, d.position FROM corrections AS c "
        "LEFT JOIN numbers AS whole ON whole.id = c.number_id LEFT JOIN digits AS d ON d.id = c.digit_id "
        "LEFT JOIN numbers AS n ON n.id = d.number_id"
    )
    position = (now, digit) if digit is not None else (None, None)
    assert shelf.rows(told) == [(now, read, *position)]
    shelf.reread()
    assert shelf.rows(told) == [(now, read, *position)]


def test_a_number_whose_correction_was_taken_back_keeps_its_history(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.correct("12", "18")
    with writing(shelf.database) as connection:
        connection.execute(update(numbers).values(text="12", digits="12", status=Status.REVIEW))
    shelf.now["a.png"] = a_page(number_at(0, "13"))
    shelf.reread()
    assert shelf.rows("SELECT text, status FROM readings") == [("12", "review")]
    assert shelf.rows("SELECT COUNT(*) FROM corrections JOIN numbers ON numbers.id = number_id") == [(1,)]


def refused(shelf: Shelf) -> str:
    """The fault because of which a scan keeps every row and file it has."""
    before = shelf.dump()
    (reread,) = shelf.reread()
    assert shelf.dump() == before
    assert not (shelf.results / "csv").exists()
    return str(reread.fault)


def test_a_correction_that_would_lose_its_place_leaves_the_scan_as_it_is(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.correct("12", "18")
    shelf.now["a.png"] = a_page(number_at(300, "12"))
    assert "the number 18, which a person corrected" in refused(shelf)


def test_a_corrected_mark_outside_every_number_leaves_the_scan_as_it_is(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12"), rejected=(a_blob(),)))
    with writing(shelf.database) as connection:
        blob = connection.execute(select(digits.c.id).where(digits.c.number_id.is_(None))).scalar_one()
        connection.execute(insert(corrections), {"digit_id": blob, "was": None, "now": "7", "at": NOW})
    assert "a mark that belongs to no number" in refused(shelf)


def test_a_number_that_was_corrected_to_another_length_leaves_the_scan_as_it_is(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.correct("12", "123")
    assert "corrected 12 to 123" in refused(shelf)


def test_a_correction_made_while_the_scan_is_read_is_not_lost(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.now["a.png"] = a_page(number_at(0, "13"))
    shelf.meanwhile = lambda: shelf.correct("12", "18")
    (reread,) = shelf.reread()
    assert isinstance(reread.fault, Transient)
    assert "corrected by somebody else" in str(reread.fault)
    assert shelf.rows("SELECT text, status FROM readings") == [("18", "corrected")]
    assert not (shelf.results / "csv").exists()


def writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("writes"))


class TestFilesAndRowsBelongTogether:
    @pytest.fixture
    def table(self, shelf: Shelf) -> Path:
        """The table of a scan whose rows and files `new` read as 12, and would read as 13 now."""
        shelf.put("a.png", a_page(number_at(0, "12")))
        shelf.reread()
        shelf.now["a.png"] = a_page(number_at(0, "13"))
        return shelf.results / "csv" / "a.png.csv"

    @pytest.mark.sqlite
    def test_nothing_is_published_where_the_database_is_locked(self, shelf: Shelf, table: Path) -> None:
        shelf.database.dispose()
        shelf.database = open_database(shelf.url, busy_seconds=0.01)
        with sqlite3.connect(shelf.results / "results.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            (reread,) = shelf.reread()
            other.execute("ROLLBACK")
        other.close()
        assert "locked by another program" in str(reread.fault)
        assert table.read_text() == "12"
        assert shelf.rows("SELECT text FROM readings") == [("12",)]

    @pytest.mark.parametrize("is_new", [False, True])
    def test_files_are_as_before_where_one_cannot_be_published(
        self, shelf: Shelf, table: Path, is_new: bool
    ) -> None:
        if is_new:
            table.unlink()
        drop(shelf.results, "annotated", "a file where a folder should be")
        read = shelf.read

        def with_picture(task: ScanTask) -> ScanResult:
            result = read(task)
            picture = StagedFile(
                staged=drop(task.staging, "a.jpg", "picture"),
                target=shelf.results / "annotated" / "a.jpg",
            )
            return replace(result, staged=(*result.staged, picture))

        shelf.engine.read = with_picture
        (reread,) = shelf.reread()
        assert isinstance(reread.fault, Transient)
        assert "annotated" in str(reread.fault)
        assert [path.read_text() for path in table.parent.iterdir()] == ([] if is_new else ["12"])
        assert shelf.rows("SELECT text FROM readings") == [("12",)]

    def test_files_are_as_before_where_the_rows_cannot_be_committed(self, shelf: Shelf, table: Path) -> None:
        def full(connection: Connection) -> None:
            if writes(connection):
                raise Transient("The disk is full.", "Make room.")

        event.listen(shelf.database, "commit", full)
        (reread,) = shelf.reread()
        event.remove(shelf.database, "commit", full)
        assert "disk is full" in str(reread.fault)
        assert table.read_text() == "12"
        assert shelf.rows("SELECT text FROM readings") == [("12",)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="a process as on POSIX")
    def test_a_kill_between_files_and_rows_is_mended_by_the_next_one(self, shelf: Shelf, table: Path) -> None:
        shelf.database.dispose()
        child = os.fork()
        if child == 0:
            try:
                shelf.database = open_database(shelf.url)
                event.listen(shelf.database, "commit", lambda connection: writes(connection) and os._exit(9))
                shelf.reread()
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert (table.read_text(), shelf.rows("SELECT text FROM readings")) == ("13", [("12",)])
        for left in shelf.staging.iterdir():
            shutil.rmtree(left)  # as `start.staging` does, in a folder of each run's own
        (reread,) = shelf.reread()
        assert reread.fault is None
        assert (table.read_text(), shelf.rows("SELECT text FROM readings")) == ("13", [("13",)])

    def test_files_are_written_anew_though_the_rows_name_that_model(self, shelf: Shelf, table: Path) -> None:
        shelf.reread()
        table.write_text("what an unfinished run left")
        (reread,) = shelf.reread()
        assert reread.fault is None
        assert table.read_text() == "13"
        assert shelf.rows("SELECT text, model FROM readings") == [("13", "new")]


def test_a_scan_that_is_read_by_somebody_else_meanwhile_is_left_to_them(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    shelf.now["a.png"] = a_page(number_at(0, "13"))
    scans = stored_scans(shelf.database, [])
    shelf.reread()
    rereading = Rereading(
        shelf.database,
        shelf.engine,
        model=shelf.model,
        results=shelf.results,
        staging=shelf.staging,
        stores=True,
    )
    (late,) = rereading.read(scans, lambda: False)
    assert isinstance(late.fault, Transient)


def test_a_fault_that_may_pass_is_tried_again_and_one_of_the_model_ends_it(shelf: Shelf) -> None:
    shelf.put("a.png", a_page(number_at(0, "12")))
    tries: list[str] = []

    def killed(task: ScanTask) -> ScanResult:
        tries.append(task.staging.name)
        raise Transient("The worker was killed.", "")

    shelf.engine.read = killed
    assert "killed" in refused(shelf)
    assert tries == [f"1-{number + 1}" for number in range(ATTEMPTS)]

    def unusable(task: ScanTask) -> ScanResult:
        raise BadModel(f"{task.model} holds NaN.", "")

    shelf.engine.read = unusable
    with pytest.raises(BadModel):
        shelf.reread()


def test_a_stop_ends_it_after_the_scans_under_way(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(f"{number}.png", a_page())
    asked: list[int] = []
    rereading = Rereading(
        shelf.database,
        shelf.engine,
        model=shelf.model,
        results=shelf.results,
        staging=shelf.staging,
        stores=False,
    )

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 2

    found = list(rereading.read(stored_scans(shelf.database, []), stopped))
    assert [reread.scan.file for reread in found] == ["0.png", "1.png"]


# Which scans


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ([], ["2026/form.png", "2026/page.png", "7"]),
        (["2026/form.png"], ["2026/form.png"]),
        (["form.png"], ["2026/form.png"]),
        (["2026/*"], ["2026/form.png", "2026/page.png"]),
        (["*.png", "page.png"], ["2026/form.png", "2026/page.png"]),
        (["1"], ["2026/form.png"]),
        (["7"], ["7"]),
        (["inbox/2026/page.png"], ["2026/page.png"]),
    ],
)
def test_scans_are_named_by_path_name_pattern_or_id(
    shelf: Shelf, wanted: list[str], files: list[str]
) -> None:
    for file in ("2026/form.png", "2026/page.png", "7"):
        shelf.put(file, a_page())
    assert [scan.file for scan in stored_scans(shelf.database, wanted)] == files


def test_a_scan_that_was_not_read_cannot_be_read_again(shelf: Shelf) -> None:
    shelf.put("form.png", a_page())
    enqueue(shelf.database, source=shelf.inbox, file="bad.png", sha256="9" * 64, bytes=1, now=NOW)
    job = claim(shelf.database, NOW, 60)
    assert job is not None
    fail(shelf.database, job, "BadScan", "bad.png is empty.", NOW)
    assert [scan.file for scan in stored_scans(shelf.database, [])] == ["form.png"]
    for name in ("bad.png", "frm.png", "9", "nothing*"):
        with pytest.raises(BadCommand, match=r"was read.*form\.png"):
            stored_scans(shelf.database, [name])


# The real command


def a_page_of_digits(home: Path, name: str, seed: int) -> Path:
    """A scan with four handwritten digits far apart."""
    with np.load(Path(__file__).with_name("data") / "mnist-sample.npz") as sample:
        images, labels = sample["images"], sample["labels"]
    pixels = np.full((160, 560), 255, np.uint8)
    for place, digit in enumerate((3, 4, 5, 6)):
        image = Image.fromarray(images[labels == digit][seed]).resize((56, 56), Image.Resampling.BICUBIC)
        pixels[50:106, 30 + 130 * place : 86 + 130 * place] -= np.asarray(image)
    path = home / "inbox" / name
    Image.fromarray(pixels).save(path)
    return path


def table_of(file: Path) -> dict[str, str]:
    with file.open(newline="") as stream:
        return {row["text"]: row["status"] for row in csv.DictReader(stream)}


def statuses_in(file: Path) -> set[str]:
    with file.open(newline="") as stream:
        return {row["status"] for row in csv.DictReader(stream)}


@pytest.mark.sqlite
def test_a_model_is_tried_on_what_was_read_and_then_replaces_it(home: Path, processor: Command) -> None:
    archive = home / "models_archive"
    copy_model(archive, "easy", **accepting_from(0.2))
    copy_model(archive, "strict", **accepting_from(SURE))
    name_current(archive, "easy")
    a_page_of_digits(home, "a.png", 0)
    b = a_page_of_digits(home, "b.png", 1)
    content = b.read_bytes()
    assert processor("run", "--once", "--workers", "1", "--quiet").returncode == Exit.DONE
    database = sqlite3.connect(home / "results" / "results.db")
    number_id, text = database.execute("SELECT id, text FROM numbers WHERE page_id = 1").fetchone()
    before = list(database.iterdump())

    done = processor("reprocess", "--diff", "--model", "strict", "--json", "--workers", "1")
    assert done.returncode == Exit.DONE, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["stored"], told["scans"], told["read"]) == ("strict", False, 2, 2)
    assert told["accepted_to_review"] == len(told["changes"]) > 0
    assert told["review_to_accepted"] == told["changed"] == told["appeared"] == told["vanished"] == 0
    change = told["changes"][0]
    assert change["file"] in {"a.png", "b.png"}
    assert (change["page"], change["change"], change["by_a_person"]) == (1, "status", False)
    assert (change["before"]["status"], change["after"]["status"]) == ("accepted", "review")
    assert list(database.iterdump()) == before

    database.execute(
        "UPDATE numbers SET text = '8', digits = '8', status = 'corrected' WHERE id = ?", (number_id,)
    )
    database.commit()
    (kept,) = (home / "results" / "processed").glob("b-*.png")
    kept.unlink()
    done = processor("reprocess", "--model", "strict", "--workers", "1")
    assert done.returncode == Exit.SOME_FAILED
    assert "b.png: the original is neither" in done.stderr
    assert "not_read                  1" in done.stdout
    (table,) = (home / "results" / "csv").glob("a-*.csv")
    read = table_of(table)
    assert read.pop("8") == "corrected"
    assert text not in read
    assert set(read.values()) == {"review"}
    assert statuses_in(home / "results" / "numbers.csv") == {"review", "corrected", "accepted"}
    stamped = dict(database.execute("SELECT file, model FROM scans"))
    assert stamped == {"a.png": "strict", "b.png": "easy"}
    database.close()

    # What was read before is known all the same: put back, it is ignored.
    (home / "inbox" / "b.png").write_bytes(content)
    counts = json.loads(processor("run", "--once", "--json", "--quiet").stdout)
    assert (counts["seen"], counts["ignored"]) == (1, 1)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.sqlite
@pytest.mark.parametrize("kind", ["wal", "a left-over WAL", "delete"])
def test_a_difference_leaves_every_byte_as_it_was(
    shelf: Shelf, home: Path, processor: Command, kind: str
) -> None:
    shelf.put("a.png", a_page(number_at(0, "12"))).unlink()
    path = shelf.results / "results.db"
    left = contents(shelf.results) if kind == "a left-over WAL" else {}
    shelf.database.dispose()
    for file, content in left.items():
        file.write_bytes(content)  # as a kill leaves it, with what was committed in the WAL alone
    if kind == "delete":
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
    name_current(home / "models_archive", "new")
    before = contents(home)
    assert (path.with_name("results.db-wal") in before) == (kind == "a left-over WAL")
    done = processor("reprocess", "--diff", "--json", "--workers", "1")
    assert done.returncode == Exit.SOME_FAILED, done.stderr
    assert "original is neither" in json.loads(done.stdout)["faults"][0]["message"]
    assert contents(home) == before


@pytest.mark.sqlite
def test_what_cannot_be_is_refused_before_anything_is_read(home: Path, processor: Command) -> None:
    assert processor("reprocess", "--diff").returncode == Exit.BAD_DATABASE
    (home / "results").mkdir()
    open_database(f"sqlite:///{home / 'results' / 'results.db'}").dispose()
    done = processor("reprocess", "--model", "nothing")
    assert done.returncode == Exit.NO_MODEL
    assert "'nothing'" in done.stderr
    assert processor("reprocess", "form.png").returncode == Exit.BAD_COMMAND
    done = processor("reprocess", "--diff", "--json")
    assert (done.returncode, json.loads(done.stdout)["scans"]) == (Exit.DONE, 0)
