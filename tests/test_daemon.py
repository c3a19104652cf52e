"""The loop over an inbox, with the real database and files; only the reading is a stand-in."""

import time
from pathlib import Path

import pytest

from processor.engines.tasks import ScanTask
from processor.records import ScanResult
from tests.stand_ins import drop, text_reader
from tests.text_house import House, Visitor, outcome


def test_an_inbox_is_read_and_emptied(house: House) -> None:
    drop(house.inbox, "a.png", "12 34")
    drop(house.inbox, "sub/b.png", "007")
    drop(house.inbox, "sub/notes.txt", "not a scan")
    counts = house.once()
    assert outcome(counts) == {"seen": 2, "done": 2}
    assert (counts.pages, counts.numbers, counts.digits, counts.rejected) == (2, 3, 7, 2)
    assert house.states() == {"a.png": "done", "sub/b.png": "done"}
    assert house.numbers() == [("a.png", "12"), ("a.png", "34"), ("sub/b.png", "007")]
    assert [name[:2] for name in house.files("processed")] == ["a-", "b-"]
    assert [name[:2] for name in house.files("csv")] == ["a-", "b-"]
    assert [p.name for p in house.inbox.rglob("*") if p.is_file()] == ["notes.txt"]
    assert house.heard.total == 2


def test_an_empty_inbox_is_a_run_like_any_other(house: House) -> None:
    assert outcome(house.once()) == {}
    assert house.numbers() == []


def test_a_stop_finishes_what_is_under_way_and_takes_nothing_new(house: House) -> None:
    for number in range(6):
        drop(house.inbox, f"{number}.png", str(number))

    def read(task: ScanTask) -> ScanResult:
        house.stop.ask()
        return text_reader(house.settings)(task)

    house.read = read
    assert outcome(house.once()) == {"seen": 6, "done": 2, "pending": 4}
    assert len(list(house.inbox.iterdir())) == 4
    assert len(house.numbers()) == 2


def test_what_an_interrupted_run_queued_is_read_by_the_next(house: House) -> None:
    drop(house.inbox, "a.png", "1")

    def interrupted(task: ScanTask) -> ScanResult:
        raise KeyboardInterrupt(task.file)

    house.read = interrupted
    with pytest.raises(KeyboardInterrupt):
        house.once()
    assert outcome(house.tally.summary()) == {"seen": 1, "pending": 1}
    assert house.states() == {"a.png": "queued"}
    house.read = text_reader(house.settings)
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_a_full_disk_ends_a_run_and_loses_nothing(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    house.flags["limits.min_free_mb"] = 1e12
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    assert "are free below" in house.heard.warnings[0]
    assert (house.inbox / "a.png").exists()
    house.flags["limits.min_free_mb"] = 0
    assert outcome(house.once()) == {"seen": 1, "done": 1}


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_the_table_does_not_depend_on_how_many_are_read_at_once(house: House, slots: int) -> None:
    house.slots = slots
    for number in range(7):
        drop(house.inbox, f"{7 - number}.png", f"{number} {number + 1}")
    house.once()
    expected = [(f"{7 - n}.png", str(digit)) for n in reversed(range(7)) for digit in (n, n + 1)]
    assert house.numbers() == expected


def test_the_watch_reads_what_is_there_and_what_arrives(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ("a.png", "done") in house.heard.ends),
        lambda: drop(house.inbox, "sub/b.png", "2"),
        lambda: visitor.wait_for(lambda: ("sub/b.png", "done") in house.heard.ends),
    )
    assert outcome(visitor.watch()) == {"seen": 2, "done": 2}
    assert house.numbers() == [("a.png", "1"), ("sub/b.png", "2")]


def test_another_scan_under_a_known_name_is_read_too(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ("a.png", "done") in house.heard.ends),
        lambda: drop(house.inbox, "a.png", "2"),
        lambda: visitor.wait_for(lambda: house.heard.ends.count(("a.png", "done")) == 2),
    )
    assert outcome(visitor.watch()) == {"seen": 2, "done": 2}


def test_originals_that_stay_are_taken_once(house: House, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    drop(scans, "a.png", "1")
    drop(scans, "b.png", "bad")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: len(house.heard.ends) == 2),
        lambda: time.sleep(0.3),  # several looks at the folder
        lambda: drop(scans, "a.png", "1 2"),
        lambda: visitor.wait_for(lambda: len(house.heard.ends) == 3),
    )
    assert outcome(visitor.watch(scans)) == {"seen": 3, "done": 2, "failed": 1}


def test_a_scan_that_still_grows_is_waited_for(house: House) -> None:
    house.flags["intake.settle_seconds"] = 1.0
    path = house.inbox / "a.png"

    def grow() -> None:
        for number in range(6):
            path.write_text("1 " * number + "1")
            time.sleep(0.1)

    visitor = Visitor(house, grow, lambda: visitor.wait_for(lambda: ("a.png", "done") in house.heard.ends))
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert len(house.numbers()) == 6


def test_a_failed_scan_put_back_while_the_daemon_runs_is_tried_again(house: House) -> None:
    drop(house.inbox, "a.png", "bad")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ("a.png", "failed") in house.heard.ends),
        lambda: drop(house.inbox, "a.png", "bad"),
        lambda: visitor.wait_for(lambda: house.heard.ends.count(("a.png", "failed")) == 2),
    )
    assert outcome(visitor.watch()) == {"seen": 2, "failed": 2}


def test_a_stop_wakes_the_idle_watch(house: House) -> None:
    house.flags["intake.rescan_seconds"] = 3600
    visitor = Visitor(house, lambda: visitor.wait_for(lambda: (house.results / "numbers.csv").exists()))
    started = time.monotonic()
    assert outcome(visitor.watch()) == {}
    assert time.monotonic() - started < 60


def test_an_inbox_that_goes_away_is_said_once_and_found_again(house: House) -> None:
    away = house.inbox.with_name("away")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: (house.results / "numbers.csv").exists()),
        lambda: house.inbox.rename(away),
        lambda: visitor.wait_for(lambda: len(house.heard.warnings) > 0),
        lambda: time.sleep(0.3),
        lambda: away.rename(house.inbox),
        lambda: drop(house.inbox, "a.png", "1"),
        lambda: visitor.wait_for(lambda: ("a.png", "done") in house.heard.ends),
    )
    visitor.watch()
    assert [text for text in house.heard.warnings if "cannot be listed" in text] == house.heard.warnings[:1]
