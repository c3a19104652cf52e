"""Every way in which a scan comes into an inbox, with the real loop, files and database."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from processor.engines.tasks import ScanTask
from processor.intake.arrivals import Arrivals
from processor.intake.folders import TRUSTED
from processor.intake.pace import HINT_PAUSE_SECONDS
from processor.intake.places import Place
from processor.intake.sweep import Found
from processor.mounts import file_system
from processor.records import ScanResult
from processor.results.queries import Summary
from processor.settings import Intake
from tests.stand_ins import drop
from tests.text_house import House, Visitor, outcome

SETTLE = 0.2
PAUSE = SETTLE / 2


@pytest.fixture
def house(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Lists the inbox by itself once an hour only: what is read was noticed."""
    # So long the library waits whether what was moved away turns up elsewhere, also when it is stopped.
    monkeypatch.setattr(InotifyMoveEventGrouper, "delay", PAUSE / 4)
    house = House(home)
    house.flags |= {"intake.settle_seconds": SETTLE, "intake.rescan_seconds": 3600}
    yield house
    house.database.dispose()


def copy(inbox: Path, outside: Path) -> None:
    shutil.copy(drop(outside, "a.png", "1"), inbox)


def copy_with_its_times(inbox: Path, outside: Path) -> None:
    os.utime(drop(outside, "a.png", "1"), (1e9, 1e9))
    shutil.copy2(outside / "a.png", inbox)


def write_page_by_page(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    with (inbox / "a.png").open("w") as file:
        for page in range(4):
            file.write(f"{page} ")
            file.flush()
            time.sleep(PAUSE)


def write_then_rename(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    part = drop(inbox, "a.png.part", "1")
    time.sleep(2 * SETTLE)
    part.rename(inbox / "a.png")


def write_hidden_as_rsync_does(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    part = drop(inbox, "sub/.a.png.Xy12Az", "1")
    time.sleep(PAUSE)
    part.rename(inbox / "sub" / "a.png")


def rename_within(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    first = drop(inbox, "a.png", "1")
    time.sleep(PAUSE)
    first.rename(inbox / "b.png")


def rename_into(inbox: Path, outside: Path) -> None:
    drop(outside, "a.png", "1").rename(inbox / "a.png")


def move_a_folder_in(inbox: Path, outside: Path) -> None:
    drop(outside, "batch/a.png", "1")
    drop(outside, "batch/deep/b.png", "2")
    (outside / "batch").rename(inbox / "batch")


def show_a_hidden_folder(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    drop(inbox, ".upload/a.png", "1")
    time.sleep(2 * SETTLE)
    (inbox / ".upload").rename(inbox / "batch")


def replace_before_it_was_taken(inbox: Path, outside: Path) -> None:
    drop(inbox, "a.png", "1")
    time.sleep(PAUSE)
    drop(outside, "a.png", "2").replace(inbox / "a.png")


def write_again_before_it_was_taken(inbox: Path, outside: Path) -> None:  # noqa: ARG001
    drop(inbox, "a.png", "1")
    time.sleep(PAUSE)
    drop(inbox, "a.png", "2")


def make_the_inbox_anew(inbox: Path, outside: Path) -> None:
    inbox.rename(outside / "was")
    time.sleep(PAUSE)
    inbox.mkdir()
    drop(inbox, "a.png", "1")


def take_the_inbox_away_and_bring_it_back(inbox: Path, outside: Path) -> None:
    inbox.rename(outside / "away")
    drop(outside, "away/sub/a.png", "1")
    time.sleep(PAUSE)
    (outside / "away").rename(inbox)


def copy_many(inbox: Path, outside: Path) -> None:
    for number in range(30):
        shutil.copy(drop(outside, f"{number}.png", str(number)), inbox)


ARRIVALS: list[tuple[Callable[[Path, Path], None], dict[str, str]]] = [
    (copy, {"a.png": "1"}),
    (copy_with_its_times, {"a.png": "1"}),
    (write_page_by_page, {"a.png": "0123"}),
    (write_then_rename, {"a.png": "1"}),
    (write_hidden_as_rsync_does, {"sub/a.png": "1"}),
    (rename_within, {"b.png": "1"}),
    (rename_into, {"a.png": "1"}),
    (move_a_folder_in, {"batch/a.png": "1", "batch/deep/b.png": "2"}),
    (show_a_hidden_folder, {"batch/a.png": "1"}),
    (replace_before_it_was_taken, {"a.png": "2"}),
    (write_again_before_it_was_taken, {"a.png": "2"}),
    (make_the_inbox_anew, {"a.png": "1"}),
    (take_the_inbox_away_and_bring_it_back, {"sub/a.png": "1"}),
    (copy_many, {f"{number}.png": str(number) for number in range(30)}),
]


def watched(house: House, arrive: Callable[[Path, Path], None], count: int) -> Summary:
    """What a daemon makes of an arrival while it idles, until `count` scans have ended."""
    outside = house.inbox.parent / "outside"
    outside.mkdir()
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: (house.results / "numbers.csv").exists()),
        lambda: arrive(house.inbox, outside),
        lambda: visitor.wait_for(lambda: len(house.heard.ends) >= count),
        lambda: time.sleep(PAUSE),
    )
    return visitor.watch()


def check(house: House, arrive: Callable[[Path, Path], None], read: dict[str, str]) -> None:
    counts = watched(house, arrive, len(read))
    assert outcome(counts) == {"seen": len(read), "done": len(read)}
    found: dict[str, str] = {}
    for file, digits in house.numbers():
        found[file] = found.get(file, "") + digits
    assert found == read


@pytest.mark.parametrize(("arrive", "read"), ARRIVALS, ids=[arrive.__name__ for arrive, _ in ARRIVALS])
def test_a_scan_is_read_once_and_whole(
    house: House, arrive: Callable[[Path, Path], None], read: dict[str, str]
) -> None:
    check(house, arrive, read)


POLLED = [row for row in ARRIVALS if row[0] in {write_page_by_page, move_a_folder_in, make_the_inbox_anew}]


@pytest.mark.parametrize(("arrive", "read"), POLLED, ids=[arrive.__name__ for arrive, _ in POLLED])
def test_without_events_too(house: House, arrive: Callable[[Path, Path], None], read: dict[str, str]) -> None:
    house.flags["intake.watch"] = "polling"
    check(house, arrive, read)


def test_a_hard_link_is_a_duplicate_and_not_lost(house: House) -> None:
    def arrive(inbox: Path, outside: Path) -> None:
        drop(outside, "a.png", "1")
        for name in ("a.png", "b.png"):
            (inbox / name).hardlink_to(outside / "a.png")

    counts = watched(house, arrive, 2)
    assert outcome(counts) == {"seen": 2, "done": 1, "duplicate": 1}
    assert list(house.inbox.iterdir()) == []
    assert (house.inbox.parent / "outside" / "a.png").read_text() == "1"


def test_links_out_of_the_inbox_are_spoken_of_once_and_never_read(house: House) -> None:
    def arrive(inbox: Path, outside: Path) -> None:
        (inbox / "out.png").symlink_to(drop(outside, "secret.png", "666"))
        (inbox / "folder").symlink_to(outside)
        os.mkfifo(inbox / "pipe.png")
        for number in range(3):
            drop(inbox, f"{number}.png", str(number))
            time.sleep(2 * SETTLE)

    counts = watched(house, arrive, 3)
    assert outcome(counts) == {"seen": 3, "done": 3}
    assert [text.rpartition("/")[2] for text in house.heard.warnings] == [
        "folder is a link to a folder and was left alone.",
        "out.png is a link and was left alone: drop in the file itself.",
        "pipe.png is no file (a pipe, socket or device) and was left alone.",
    ]
    assert sorted(path.name for path in house.inbox.iterdir()) == ["folder", "out.png", "pipe.png"]


def test_ignored_scans_stay_where_they_are(house: House) -> None:
    house.flags["intake.ignore"] = ["draft-*", "old/"]
    for name in ("Draft-1.png", "old/deep/a.png", "a.png"):
        drop(house.inbox, name, name)
    assert outcome(house.once()) == {"seen": 1, "done": 1}
    assert house.heard.warnings == []
    assert outcome(house.once()) == {}
    assert len(house.heard.warnings) == 1
    assert "intake.ignore = 'draft-*', 'old/' leaves out every scan" in house.heard.warnings[0]


def arrivals(inbox: Path, **settings: Any) -> Arrivals:
    intake = Intake(**{"settle_seconds": 0.0, "rescan_seconds": 3600, **settings})
    return Arrivals([Place(inbox, inbox)], intake, warn=pytest.fail)


def names(found: list[Found] | None) -> list[str]:
    assert found is not None
    return [f.file for f in found]


def test_nothing_is_told_twice_until_it_changes_or_was_moved_away(tmp_path: Path) -> None:
    inbox = arrivals(tmp_path)
    path = drop(tmp_path, "a.png", "1")
    assert names(inbox.here()) == ["a.png"]
    assert names(inbox.here()) == []
    inbox.release(path)
    assert names(inbox.here()) == ["a.png"]
    drop(tmp_path, "a.png", "1 2")
    assert names(inbox.here()) == ["a.png"]


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    """A folder on a file system whose inodes and times of change are what they seem."""
    if file_system(tmp_path) not in TRUSTED:
        pytest.skip(f"{tmp_path} is on {file_system(tmp_path)}")
    return tmp_path


def replaced(path: Path, content: str) -> None:
    """Another file takes the place of one, with its size and its time of change."""
    facts = path.stat()
    other = drop(path.parent, f".{path.name}", content)
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)


def test_a_file_that_takes_anothers_place_is_new_whatever_its_size_and_time(trusted: Path) -> None:
    inbox = arrivals(trusted)
    path = drop(trusted, "a.png", "1")
    assert names(inbox.here()) == ["a.png"]
    replaced(path, "2")
    assert names(inbox.here()) == ["a.png"]
    assert names(inbox.here()) == []
    facts = path.stat()
    path.write_text("3")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert names(inbox.here()) == ["a.png"], "its inode is the same, and its ctime is not"


def test_what_takes_the_place_of_a_scan_while_that_is_read_does_not_wait(house: House, trusted: Path) -> None:
    assert house.inbox.is_relative_to(trusted)
    path = drop(house.inbox, "a.png", "1")
    read = house.read

    def read_and_replace(task: ScanTask) -> ScanResult:
        result = read(task)
        if path.read_text() == "1":
            replaced(path, "2")
        return result

    house.read = read_and_replace
    visitor = Visitor(house, lambda: visitor.wait_for(lambda: len(house.heard.ends) == 2))
    assert outcome(visitor.watch()) == {"seen": 2, "done": 2}
    assert house.numbers() == [("a.png", "1"), ("a.png", "2")]
    assert list(house.inbox.iterdir()) == []


def test_what_lies_in_a_folder_that_was_away_for_a_while_is_not_new(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    drop(scans, "a.png", "1")
    said: list[str] = []
    intake = Intake(settle_seconds=0.0, rescan_seconds=0.01)
    with Arrivals([Place(scans, scans)], intake, warn=said.append) as inbox:
        assert names(inbox.wait(20)) == ["a.png"]
        scans.rename(tmp_path / "away")
        while not said:
            assert not inbox.wait(0.02)
        drop(tmp_path, "away/b.png", "2")
        (tmp_path / "away").rename(scans)
        new = None
        while not new:
            new = inbox.wait(0.02)
        assert names(new) == ["b.png"]
        (scans / "a.png").unlink()
        assert not any(inbox.wait(0.02) for _ in range(5))
        drop(scans, "a.png", "1")
        assert "a.png" in [found.file for _ in range(20) for found in inbox.wait(0.02) or ()]
    assert len(said) == 1


def test_what_the_program_writes_itself_does_not_wake_it(tmp_path: Path) -> None:
    own, inbox = tmp_path / "results", tmp_path / "inbox"
    for folder in (own, inbox):
        folder.mkdir()
    places = [Place(tmp_path, tmp_path), Place(inbox, inbox)]
    with Arrivals(places, Intake(settle_seconds=0), own=[own, inbox], warn=pytest.fail) as arrived:
        while arrived.wait(2 * HINT_PAUSE_SECONDS) is not None:
            pass
        drop(own, "annotated/a.png", "1")
        assert arrived.wait(2 * HINT_PAUSE_SECONDS) is None
        (own / "annotated" / "a.png").rename(inbox / "b.png")
        assert names(arrived.wait(20)) == ["b.png"]


def test_a_scan_that_settles_is_looked_at_alone(tmp_path: Path) -> None:
    """Not the whole inbox is listed for it: that may take long."""
    path = drop(tmp_path, "a.png", "1")
    with arrivals(tmp_path, settle_seconds=SETTLE, watch="polling") as inbox:
        assert names(inbox.wait(0)) == []
        drop(tmp_path, "b.png", "2")
        assert inbox.wait(0) is None
        assert names(inbox.wait(20)) == ["a.png"]
        path.unlink()
        drop(tmp_path, "c.png", "2")
        assert names(inbox.wait(20)) == [], "the listing that was due after a second saw the others"
        assert sorted(names(inbox.wait(20)) + names(inbox.wait(0) or [])) == ["b.png", "c.png"]


def test_a_scan_that_vanishes_before_it_was_still_is_none(tmp_path: Path) -> None:
    path = drop(tmp_path, "a.png", "1")
    with arrivals(tmp_path, settle_seconds=SETTLE, watch="polling") as inbox:
        inbox.wait(0)
        path.unlink()
        assert names(inbox.wait(20)) == []


def test_a_wait_can_be_ended_from_elsewhere(tmp_path: Path) -> None:
    with arrivals(tmp_path) as inbox:
        while inbox.wait(2 * HINT_PAUSE_SECONDS) is not None:
            pass
        timer = threading.Timer(0.05, inbox.wake)
        timer.start()
        assert names(inbox.wait(3600)) == [], "whoever wakes it has it look"
        timer.join()


def test_how_each_place_is_watched_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file = drop(tmp_path, "out/form.dat", "1")
    places = [Place(tmp_path / "in", tmp_path / "in"), Place(file, tmp_path, "out/form.dat")]
    (tmp_path / "out" / "deep").mkdir()
    with Arrivals(places, Intake(settle_seconds=0), warn=pytest.fail) as inbox:
        assert [watch.path for watch in inbox.watches] == [tmp_path / "in", tmp_path / "out"]
        while inbox.wait(2 * HINT_PAUSE_SECONDS) is not None:
            pass
        drop(tmp_path, "out/deep/other.png", "1")
        assert inbox.wait(2 * HINT_PAUSE_SECONDS) is None, (
            "what lies below a named file's folder is not asked for"
        )
        file.write_text("2")
        assert names(inbox.wait(20)) == ["out/form.dat"]
