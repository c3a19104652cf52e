"""How scans end: read, refused, tried again, or set aside; and where their originals lie then."""

import json
from pathlib import Path

import pytest

from processor.endings import ATTEMPTS, FAULTS
from processor.engines.tasks import ScanTask
from processor.errors import BadModel, DigitInboxError, Transient, WorkerKilled
from processor.records import ScanResult
from tests.sample_readings import a_page, a_result
from tests.stand_ins import drop, text_reader
from tests.text_house import House, Read, outcome


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
