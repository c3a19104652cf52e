"""The loop and the custody of scans, with the real database and files; only the reading is a stand-in."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.endings import ATTEMPTS, FAULTS
from processor.engines.tasks import ScanTask
from processor.errors import BadCommand, BadDatabase, BadModel, DigitInboxError, Transient, WorkerKilled
from processor.records import ScanResult
from processor.results.publish import stored_name
from processor.results.tally import Tally
from tests.sample_readings import a_blob, a_number, a_page, a_result
from tests.stand_ins import drop, text_reader
from tests.text_house import House, Read, Visitor, outcome


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    house = House(home)
    yield house
    house.database.dispose()


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


def test_originals_elsewhere_stay_and_are_ignored_the_next_time(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    path = drop(folder, "deep/a.png", "12")
    assert outcome(house.once(folder)) == {"seen": 1, "done": 1}
    assert outcome(house.once(folder)) == {"seen": 1, "ignored": 1}
    assert path.exists()
    assert house.files("processed") == []
    assert house.states() == {"deep/a.png": "done"}


def test_a_file_of_a_folder_that_was_read_is_known_by_itself_too(house: House, tmp_path: Path) -> None:
    path = drop(tmp_path, "scans/deep/a.png", "12")
    house.once(tmp_path / "scans")
    assert outcome(house.once(path)) == {"seen": 1, "ignored": 1}
    assert outcome(house.once(path.parent)) == {"seen": 1, "ignored": 1}


def test_a_named_file_keeps_the_name_it_was_given(house: House, tmp_path: Path) -> None:
    drop(tmp_path, "home/here/a.dat", "1")
    other = drop(tmp_path, "elsewhere/b.png", "2")
    assert outcome(house.once(Path("here/a.dat"), other)) == {"seen": 2, "done": 2}
    assert house.states() == {"here/a.dat": "done", str(other): "done"}


def test_what_lies_in_the_inbox_belongs_to_it_however_it_was_named(house: House) -> None:
    drop(house.inbox, "sub/a.png", "1")
    drop(house.inbox, "b.png", "2")
    drop(house.inbox, "c.png", "3")
    assert outcome(house.once(Path("inbox/sub"), Path("inbox/b.png"))) == {"seen": 2, "done": 2}
    assert house.states() == {"sub/a.png": "done", "b.png": "done"}
    assert sorted(p.name for p in house.inbox.rglob("*.png")) == ["c.png"]


def test_a_folder_around_the_inbox_and_the_results(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    drop(house.inbox.parent, "own/b.png", "2")
    drop(house.results, "annotated/page.png", "3")
    assert outcome(house.once(house.inbox.parent)) == {"seen": 2, "done": 2}
    assert house.states() == {"own/b.png": "done", "a.png": "done"}
    assert not (house.inbox / "a.png").exists()
    assert (house.inbox.parent / "own/b.png").exists()


def test_a_path_named_twice_is_seen_once(house: House, tmp_path: Path) -> None:
    drop(tmp_path, "scans/a.png", "1")
    assert outcome(house.once(tmp_path / "scans", tmp_path / "scans")) == {"seen": 1, "done": 1}


def test_a_path_that_does_not_exist_is_a_wrong_command(house: House) -> None:
    with pytest.raises(BadCommand, match="nowhere"):
        house.once(Path("nowhere"))


def test_one_name_in_two_folders_gives_two_scans(house: House) -> None:
    drop(house.inbox, "x/form.png", "1")
    drop(house.inbox, "y/form.png", "2")
    assert outcome(house.once()) == {"seen": 2, "done": 2}
    assert len(house.files("csv")) == 2
    assert len(house.files("processed")) == 2


def test_the_same_content_elsewhere_is_a_duplicate_and_leaves_the_inbox(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    drop(house.inbox, "b.png", "1")
    assert outcome(house.once()) == {"seen": 2, "done": 1, "duplicate": 1}
    assert house.states() == {"a.png": "done", "b.png": "duplicate"}
    assert house.heard.details["b.png"] == "the same content as a.png"
    assert house.numbers() == [("a.png", "1")]
    assert not list(house.inbox.iterdir())


def test_a_duplicate_of_what_another_folder_holds_is_told_by_its_path(house: House, tmp_path: Path) -> None:
    first = drop(tmp_path / "else\udcffwhere", "a.png", "1")
    house.once(first.parent)
    drop(house.inbox, "b.png", "1")
    assert outcome(house.once()) == {"seen": 1, "duplicate": 1}
    assert house.heard.details["b.png"] == f"the same content as {stored_name(str(first))}"


def test_a_scan_put_back_is_ignored_and_leaves_the_inbox(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    house.once()
    drop(house.inbox, "a.png", "1")
    assert outcome(house.once()) == {"seen": 1, "ignored": 1}
    assert not list(house.inbox.iterdir())


def test_a_bad_scan_is_put_aside_with_its_report(house: House) -> None:
    drop(house.inbox, "a.png", "bad")
    drop(house.inbox, "b.png", "2")
    assert outcome(house.once()) == {"seen": 2, "done": 1, "failed": 1}
    image, report = house.files("failed")
    assert report == f"{image}.json"
    said = json.loads((house.results / "failed" / report).read_text())
    assert said["message"] == "a.png is bad."
    assert said["remedy"] == "Scan it again."
    assert said["error"] == "BadScan"
    assert house.numbers() == [("b.png", "2")]


def test_a_bad_scan_elsewhere_stays_where_it_is(house: House, tmp_path: Path) -> None:
    path = drop(tmp_path, "scans/a.png", "bad")
    house.once(tmp_path / "scans")
    assert path.exists()
    (report,) = house.files("failed")
    assert json.loads((house.results / "failed" / report).read_text())["original"] == str(path)


def test_what_failed_is_tried_again_by_the_next_run(house: House, tmp_path: Path) -> None:
    drop(tmp_path, "scans/a.png", "bad luck")
    assert outcome(house.once(tmp_path / "scans")) == {"seen": 1, "failed": 1}
    house.read = lambda task: a_result(a_page())
    assert outcome(house.once(tmp_path / "scans")) == {"seen": 1, "done": 1}
    assert house.files("failed") == []


def test_a_scan_that_cannot_be_opened_fails_and_the_others_are_read(house: House) -> None:
    (house.inbox / "gone.png").symlink_to("nowhere")
    drop(house.inbox, "a.png", "1")
    assert outcome(house.once()) == {"seen": 2, "done": 1, "failed": 1}
    assert house.states() == {"a.png": "done", "gone.png": "failed"}
    (report,) = house.files("failed")
    assert "link to nowhere" in (house.results / "failed" / report).read_text()
    assert not list(house.inbox.iterdir())


def flaky(house: House, times: int, fault: DigitInboxError) -> Read:
    """A reader that meets a fault the first `times` times."""
    left = [times]

    def read(task: ScanTask) -> ScanResult:
        if left[0] > 0:
            left[0] -= 1
            raise fault
        return text_reader(house.settings)(task)

    return read


SHARE_AWAY = Transient("The share is away.", "Mount it.")
KILLED = WorkerKilled("The worker was killed.", "Use fewer workers.")


@pytest.mark.parametrize("fault", [SHARE_AWAY, KILLED])
def test_a_fault_that_passes_is_got_over(house: House, fault: DigitInboxError) -> None:
    drop(house.inbox, "a.png", "1")
    house.read = flaky(house, 1, fault)
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    assert "a.png is tried again in 1 s" in house.heard.warnings[0]
    assert "1 scan was not read yet: a.png (again at" in house.heard.warnings[-1]
    assert outcome(house.once()) == {"seen": 1, "pending": 1}, "it is not due yet"
    house.let_it_be_due()
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_a_run_waits_for_what_is_due_soon(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    house.read, house.patience = flaky(house, 1, SHARE_AWAY), 30.0
    assert outcome(house.once()) == {"seen": 1, "done": 1}


@pytest.mark.parametrize(
    ("fault", "tries", "words"), [(SHARE_AWAY, FAULTS + 1, "tried 13 times"), (KILLED, ATTEMPTS, "set aside")]
)
def test_a_fault_that_stays_fails_the_scan(
    house: House, fault: DigitInboxError, tries: int, words: str
) -> None:
    drop(house.inbox, "a.png", "1")
    house.read = flaky(house, tries, fault)
    pauses = []
    for _ in range(tries - 1):
        assert outcome(house.once()) == {"seen": 1, "pending": 1}
        pauses.append(float(house.heard.warnings[0].split()[-2]))
        house.let_it_be_due()
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300][: len(pauses)]
    assert outcome(house.once()) == {"seen": 1, "failed": 1}
    report = json.loads((house.results / "failed" / house.files("failed")[1]).read_text())
    assert report["error"] == type(fault).__name__
    assert words in report["remedy"]


def test_outputs_that_cannot_be_published_are_no_result(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    obstacle = drop(house.results, "csv", "a file where the folder should be")
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    assert house.states() == {"a.png": "queued"}
    assert house.numbers() == []
    obstacle.unlink()
    house.let_it_be_due()
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_without_a_model_nothing_is_lost(house: House) -> None:
    def read(task: ScanTask) -> ScanResult:
        raise BadModel(f"No model reads {task.file}.", "Publish one.")

    drop(house.inbox, "a.png", "1")
    drop(house.inbox, "b.png", "2")
    house.read = read
    with pytest.raises(BadModel, match=r"a\.png"):
        house.once()
    assert set(house.states().values()) == {"queued"}
    assert len(list(house.inbox.iterdir())) == 2
    house.read = text_reader(house.settings)
    assert outcome(house.once()) == {"seen": 2, "done": 2}


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


def test_a_queued_scan_that_vanished_is_counted_and_fails(house: House, tmp_path: Path) -> None:
    path = drop(house.inbox, "a.png", "1")

    def stop_and_die(task: ScanTask) -> ScanResult:
        house.stop.ask()
        raise Transient(f"{task.file} met a killed worker.", "")

    house.read = stop_and_die
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    path.rename(tmp_path / "taken-away.png")
    house.stop.asked = False
    house.let_it_be_due()
    assert outcome(house.once()) == {"seen": 1, "failed": 1}


def test_an_original_that_cannot_move_is_said_and_not_read_twice(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    drop(house.results, "processed", "a file where the folder should be")
    assert outcome(house.once()) == {"seen": 1, "done": 1}
    assert "stays where it is" in house.heard.warnings[0]
    assert outcome(house.once()) == {"seen": 1, "ignored": 1}


def test_scans_of_other_folders_are_left_to_others(house: House, tmp_path: Path) -> None:
    drop(tmp_path, "scans/a.png", "1")

    def stop_and_die(task: ScanTask) -> ScanResult:
        house.stop.ask()
        raise Transient(f"{task.file} met a killed worker.", "")

    house.read = stop_and_die
    house.once(tmp_path / "scans")
    house.stop.asked = False
    house.read = text_reader(house.settings)
    assert outcome(house.once()) == {}
    assert house.states() == {"a.png": "queued"}
    house.let_it_be_due()
    assert outcome(house.once(tmp_path / "scans")) == {"seen": 1, "done": 1}


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


# The watch


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


# The tally


def test_the_tally_counts_what_was_read() -> None:
    tally = Tally()
    tally.add([a_page(a_number("12"), a_number("3"), rejected=(a_blob(),)), a_page(page=2)])
    counts = tally.summary()
    assert (counts.pages, counts.numbers, counts.digits, counts.review, counts.rejected) == (2, 2, 3, 0, 1)


def test_a_scan_that_ends_twice_is_found_out() -> None:
    tally = Tally()
    tally.see(Path("a"))
    tally.end(Path("a"), "done")
    tally.end(Path("a"), "done")
    with pytest.raises(BadDatabase, match="1 scans seen"):
        tally.summary()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["done", "failed", "duplicate", "ignored", ""])))
)
def test_seen_is_always_the_sum_of_what_became_of_the_scans(steps: list[tuple[int, str]]) -> None:
    tally = Tally()
    for number, state in steps:
        path = Path(str(number))
        tally.see(path)
        if state:
            tally.end(path, state)
    counts = tally.summary()
    assert counts.seen == counts.done + counts.failed + counts.duplicate + counts.ignored + counts.pending
    assert counts.pending == tally.waiting.total()


def test_a_file_that_vanishes_before_its_turn_is_no_failure(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    gone = drop(house.inbox, "b.png", "2")
    read = house.read

    def read_and_remove(task: ScanTask) -> ScanResult:
        gone.unlink(missing_ok=True)
        return read(task)

    house.read, house.slots = read_and_remove, 1
    counts = house.once()
    assert (counts.seen, counts.done, counts.failed, counts.pending) == (1, 1, 0, 0)
    assert not list((house.results / "failed").glob("*"))


def test_a_scan_that_came_under_the_name_of_another_is_not_filed_away_unread(house: House) -> None:
    scan = drop(house.inbox, "scan.png", "1")
    read = house.read

    def read_and_replace(task: ScanTask) -> ScanResult:
        result = read(task)
        if scan.read_text() == "1":
            scan.write_text("2")
        return result

    house.read = read_and_replace
    assert house.once().done == 1
    assert scan.read_text() == "2"
    assert house.once().done == 1
    assert not scan.exists()


def test_a_scan_that_replaces_one_under_way_is_counted_too() -> None:
    tally = Tally()
    path = Path("inbox/scan.png")
    tally.see(path)
    tally.see(path)
    tally.see_another(path)
    tally.end(path, "done")
    assert (tally.summary().seen, tally.summary().pending) == (2, 1)
    tally.end(path, "done")
    assert (tally.summary().done, tally.summary().pending) == (2, 0)
