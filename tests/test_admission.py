"""Which scans a run takes, from where, and under what name: each content once."""

from pathlib import Path

import pytest

from processor.engines.tasks import ScanTask
from processor.errors import BadCommand, Transient
from processor.records import ScanResult
from processor.results.publish import stored_name
from tests.stand_ins import drop, text_reader
from tests.text_house import House, outcome


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
