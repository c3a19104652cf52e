"""Scans that are renamed or taken away while they wait: their content is read from wherever it lies now."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from processor.engines.tasks import ScanTask
from processor.errors import Transient
from processor.intake import queue
from processor.records import ScanResult
from processor.results.originals import kept_name
from tests.stand_ins import drop, text_reader
from tests.text_house import House, Visitor


def gone(house: House, path: Path, target: Path | None = None) -> None:
    """The file is renamed, or taken away, right before a worker opens it."""

    def read(task: ScanTask) -> ScanResult:
        if task.source == path and path.exists():
            path.rename(target) if target else path.unlink()
            raise Transient(f"{path} cannot be read: No such file or directory.", "It is tried again.")
        return text_reader(house.settings)(task)

    house.read = read


def test_a_scan_that_is_renamed_while_it_waits_is_read(house: House) -> None:
    """Under its new name it is a duplicate of itself, and leaves the inbox as such."""
    path = drop(house.inbox, "a.png", "1 2")
    gone(house, path, house.inbox / "z.png")
    visitor = Visitor(
        house, lambda: visitor.wait_for(lambda: "done" in {state for _, state in house.heard.ends})
    )
    counts = visitor.watch()
    assert (counts.done, counts.failed, counts.pending) == (1, 0, 0)
    assert house.states() == {"z.png": "done"}
    assert house.numbers() == [("z.png", "1"), ("z.png", "2")]
    assert not list(house.inbox.iterdir())


def test_of_many_copies_one_is_read_whichever_are_taken_away(house: House) -> None:
    first = drop(house.inbox, "a.png", "1")
    for folder in "bcd":
        drop(house.inbox, f"{folder}/copy of {folder}.png", "1")
    gone(house, first)
    house.patience = 20.0
    counts = house.once()
    assert (counts.failed, counts.pending) == (0, 0)
    assert [digits for _, digits in house.numbers()] == ["1"]
    assert sorted(house.states().values()) == ["done", "duplicate", "duplicate"]


def test_a_scan_whose_copies_are_all_gone_fails(house: House) -> None:
    first = drop(house.inbox, "a.png", "1")
    drop(house.inbox, "b.png", "1")
    gone(house, first)
    house.patience = 20.0
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ("b.png", "duplicate") in house.heard.ends),
        (house.results / "processed" / kept_name("b.png", sha256(b"1").hexdigest())).unlink,
        lambda: visitor.wait_for(lambda: "failed" in {state for _, state in house.heard.ends}),
    )
    counts = visitor.watch()
    assert (counts.done, counts.failed, counts.pending) == (0, 1, 0)


def test_a_copy_that_was_listed_before_the_first_vanished_is_read(house: House) -> None:
    """In a full inbox the new name of a scan waits to be shown for longer than the old one to be missed."""
    listed_at = datetime.now(UTC) - timedelta(seconds=1)
    first = drop(house.inbox, "a.png", "1")
    gone(house, first)
    house.patience = 20.0
    assert house.once().failed == 1
    shown = queue.enqueue(
        house.database,
        source=house.inbox,
        file="z.png",
        sha256=sha256(b"1").hexdigest(),
        bytes=1,
        now=datetime.now(UTC),
        failed_before=listed_at,
    )
    assert shown is queue.Enqueued.QUEUED
    assert house.states() == {"a.png": "duplicate", "z.png": "queued"}
