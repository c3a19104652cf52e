"""What a run needs goes away and comes back, files change, other runs read beside it: nothing is lost."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from processor.accounts import Accounts
from processor.commands.health import judge
from processor.daemon import LOOK_SECONDS
from processor.engines.tasks import ScanTask
from processor.errors import ContentChanged, NoWorkers, Transient
from processor.inboxes import Inboxes
from processor.intake.sweep import look
from processor.pulse import DaemonState, Pulse, Sign, signs, told
from processor.records import ScanResult
from processor.results.database import reading
from tests.sample_readings import a_page, a_result
from tests.stand_ins import SerialEngine, drop, text_reader
from tests.text_house import House, Visitor, outcome


def faults(house: House) -> list[tuple[str, int, int]]:
    """Each file with its tries, and how many of them its surroundings ended."""
    with reading(house.database) as connection:
        rows = connection.exec_driver_sql("SELECT file, attempts, faults FROM scans ORDER BY id")
        return [(row.file, row.attempts, row.faults) for row in rows]


def ended(house: House, file: str) -> bool:
    return file in {name for name, _ in house.heard.ends}


def warned(house: House, words: str) -> bool:
    return any(words in text for text in house.heard.warnings)


def holding(house: House, *blocked: str) -> threading.Event:
    """Another program locks the database while one of these files is read, until the event is set."""
    release, locked = threading.Event(), threading.Event()

    def hold() -> None:
        other = sqlite3.connect(house.results / "results.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        release.wait(20)
        other.close()

    def read(task: ScanTask) -> ScanResult:
        if task.file in blocked and not locked.is_set():
            threading.Thread(target=hold).start()
            locked.wait(20)
        return text_reader(house.settings)(task)

    house.read = read
    return release


# What everything needs


def test_a_locked_database_costs_no_try(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    release = holding(house, "a.png")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: warned(house, "is locked by another program")),
        release.set,
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert faults(house) == [("a.png", 1, 0)]
    assert warned(house, "Everything waits until then")
    assert any("reading goes on" in text for text in house.heard.said)


def test_a_database_that_can_only_be_read_is_not_there_again(house: House) -> None:
    """It was called so at every look, and then away once more, for as long as that lasted."""
    other = sqlite3.connect(house.results / "results.db", isolation_level=None, check_same_thread=False)
    visitor = Visitor(
        house,
        lambda: other.execute("BEGIN IMMEDIATE"),
        lambda: drop(house.inbox, "a.png", "1"),
        lambda: visitor.wait_for(lambda: warned(house, "is locked by another program")),
        lambda: time.sleep(2 * LOOK_SECONDS),
        other.close,
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert sum("Everything waits until then" in text for text in house.heard.warnings) == 1
    assert sum("reading goes on" in text for text in house.heard.said) == 1


def test_workers_that_cannot_be_started_are_missed_once_and_greeted_once(house: House) -> None:
    """It was said anew with every scan that came: it could be queued, which passed for a sign of recovery.

    So did a worker that was born, and did not live until it had a scan.
    """
    tried: list[bool] = []
    lasts = threading.Event()
    lasts.set()

    class Starting(SerialEngine):
        def submit(self, task: ScanTask) -> None:
            tried.append(lasts.is_set() and len(tried) % 3 < 2)
            if tried[-1]:
                raise NoWorkers(f"The workers could not be started: reason {len(tried)}.", "Make room.")
            super().submit(task)

    def read(task: ScanTask) -> ScanResult:
        if lasts.is_set():
            raise Transient(f"{task.file} was not read, for want of a worker.", "It is tried again.")
        return text_reader(house.settings)(task)

    house.engine, house.read = Starting, read
    names = [f"{number}.png" for number in range(4)]

    def arrive(name: str) -> None:
        before = len(tried)
        drop(house.inbox, name, name)
        visitor.wait_for(lambda: len(tried) > before)

    def recover() -> None:
        lasts.clear()
        house.let_it_be_due()

    visitor = Visitor(
        house,
        *(partial(arrive, name) for name in names),
        lambda: visitor.wait_for(lambda: tried.count(False) > 1),
        recover,
        lambda: visitor.wait_for(lambda: all(ended(house, name) for name in names)),
    )
    assert outcome(visitor.watch()) == {"seen": 4, "done": 4}
    assert sum("Everything waits until then" in text for text in house.heard.warnings) == 1
    assert sum("reading goes on" in text for text in house.heard.said) == 1


def test_a_run_that_ends_by_itself_leaves_what_a_locked_database_keeps_from_it(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    drop(house.inbox, "b.png", "2")
    release = holding(house, "a.png")
    assert outcome(house.once()) == {"seen": 2, "pending": 2}
    release.set()
    time.sleep(0.1)
    house.let_it_be_another_process()
    assert outcome(house.once()) == {"seen": 2, "done": 2}


def test_results_that_are_away_pause_the_run(house: House) -> None:
    away = house.results.with_name("away")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: (house.results / "numbers.csv").exists()),
        lambda: house.results.rename(away),
        lambda: drop(house.inbox, "a.png", "1"),
        lambda: visitor.wait_for(lambda: warned(house, "is away")),
        lambda: time.sleep(0.1),
        lambda: away.rename(house.results),
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert faults(house) == [("a.png", 1, 0)]


def test_an_inbox_that_is_away_pauses_the_run_and_is_spoken_of(house: House) -> None:
    away = house.inbox.with_name("away")
    house.pulse = Pulse(house.database, once=False)

    def the_sign() -> Sign:
        (sign,) = signs(house.database)
        return sign

    def look() -> None:
        visitor.wait_for(lambda: the_sign().state is DaemonState.PAUSED)
        why = f"{house.inbox} is not there; its scans are waited for."
        facts = the_sign().facts
        seen.append((facts["paused"] == facts["away"] == facts["last_error"] == why, facts["paused"]))
        verdict = judge([the_sign()], datetime.now(UTC))
        seen.append((verdict.healthy and why in verdict.reason, verdict.reason))

    seen: list[tuple[bool, str]] = []
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: (house.results / "numbers.csv").exists()),
        lambda: house.inbox.rename(away),
        look,
        lambda: drop(away, "a.png", "1"),
        lambda: away.rename(house.inbox),
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
        lambda: visitor.wait_for(lambda: the_sign().state is not DaemonState.PAUSED),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert [held for held, _ in seen] == [True, True], seen
    assert house.heard.said == [f"{house.inbox} is there again."]


def test_one_of_two_inboxes_that_is_away_pauses_nothing(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    inboxes = Inboxes(
        [house.inbox, other], accounts=Accounts(house.database, house.heard), listener=house.heard
    )
    assert (inboxes.reached(), inboxes.away) == ({house.inbox, other}, None)
    other.rmdir()
    assert (inboxes.reached(), inboxes.all_away) == ({house.inbox}, False)
    facts = {"away": inboxes.away}
    assert told(DaemonState.WATCHING, facts) == f"watching; {other} is not there; its scans are waited for."
    other.mkdir()
    assert (inboxes.reached(), inboxes.away) == ({house.inbox, other}, None)
    assert house.heard.said == [f"{other} is there again."]


def test_results_that_go_away_while_a_scan_is_read_do_not_come_up_anew(house: House) -> None:
    away = house.results.with_name("away")
    drop(house.inbox, "a.png", "1")

    def read(task: ScanTask) -> ScanResult:
        result = text_reader(house.settings)(task)
        house.results.rename(away)
        return result

    house.read = read
    with pytest.raises(FileNotFoundError):
        house.once()  # the test's own look at the staging folder, at its end
    assert not house.results.exists()
    assert house.tally.waiting.total() == 1
    away.rename(house.results)
    house.read = text_reader(house.settings)
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_another_database_in_the_place_of_the_first_is_taken_if_it_is_one(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    copy = (house.results / "results.db").read_bytes()

    def read(task: ScanTask) -> ScanResult:
        house.database.dispose()
        (house.results / "results.db").unlink()
        (house.results / "results.db").write_bytes(copy)
        return text_reader(house.settings)(task)

    house.read = read
    # The restored copy knows nothing of this scan, and what was read has no row to go to.
    house.once()
    house.read = text_reader(house.settings)
    assert house.once().done == 1
    assert house.states() == {"a.png": "done"}


# Folders that cannot be written


def test_an_original_moves_once_it_can(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    obstacle = drop(house.results, "processed", "a file where the folder should be")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
        obstacle.unlink,
        lambda: visitor.wait_for(lambda: not (house.inbox / "a.png").exists()),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert [name[:2] for name in house.files("processed")] == ["a-"]
    assert not house.custody.owes


def test_a_failure_is_reported_once_it_can_be(house: House) -> None:
    drop(house.inbox, "a.png", "bad")
    obstacle = drop(house.results, "failed", "a file where the folder should be")
    visitor = Visitor(
        house,
        lambda: visitor.wait_for(lambda: ended(house, "a.png")),
        obstacle.unlink,
        lambda: visitor.wait_for(lambda: len(house.files("failed")) == 2),
    )
    assert outcome(visitor.watch()) == {"seen": 1, "failed": 1}
    image, report = house.files("failed")
    assert json.loads((house.results / "failed" / report).read_text())["message"] == "a.png is bad."
    assert (house.results / "failed" / image).read_text() == "bad"


@pytest.mark.parametrize(("folder", "content"), [("processed", "1"), ("failed", "bad")])
def test_a_run_that_owes_an_original_knows_it(house: House, folder: str, content: str) -> None:
    drop(house.inbox, "a.png", content)
    drop(house.results, folder, "a file where the folder should be")
    assert house.once().pending == 0
    assert house.custody.owes
    assert (house.inbox / "a.png").exists()


def test_a_table_that_cannot_be_written_stops_nothing(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    drop(house.results, "numbers.csv/obstacle", "")
    assert outcome(house.once()) == {"seen": 1, "done": 1}
    assert house.custody.owes
    assert warned(house, "numbers.csv cannot be written")


# Files that change


def careful(house: House, *meanwhile: Any) -> None:
    """A reader that compares the content with what was queued; before each scan it does the next thing."""
    things = list(meanwhile)

    def read(task: ScanTask) -> ScanResult:
        if things:
            things.pop(0)()
        if hashlib.sha256(task.source.read_bytes()).hexdigest() != task.sha256:
            raise ContentChanged(f"{task.source} changed.", "")
        return text_reader(house.settings)(task)

    house.read = read


def test_a_file_that_was_replaced_before_it_was_read_is_read_as_it_is_now(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    careful(house, lambda: drop(house.inbox, "a.png", "2 2"))
    house.patience = 20.0
    assert outcome(house.once()) == {"seen": 1, "done": 1}
    assert house.numbers() == [("a.png", "2"), ("a.png", "2")]
    assert faults(house) == [("a.png", 1, 0)]


def test_the_watch_reads_a_replaced_file_too(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    careful(house, lambda: drop(house.inbox, "a.png", "2 2"))
    visitor = Visitor(house, lambda: visitor.wait_for(lambda: ended(house, "a.png")))
    assert outcome(visitor.watch()) == {"seen": 1, "done": 1}
    assert house.states() == {"a.png": "done"}


def test_what_a_replaced_file_held_is_read_from_its_copy(house: House) -> None:
    """The copy was a duplicate, and lies among the processed ones by then."""
    drop(house.inbox, "a.png", "1")
    drop(house.inbox, "b.png", "1")
    house.patience, house.slots = 20.0, 1
    waits = drop(house.inbox, "_first.png", "7")
    careful(house, lambda: drop(house.inbox, "a.png", "2 2"))
    counts = house.once()
    assert not waits.exists()
    assert house.numbers() == [("_first.png", "7"), ("a.png", "2"), ("a.png", "2"), ("b.png", "1")]
    assert (counts.pending, counts.failed) == (0, 0)
    assert not list(house.inbox.iterdir())


def test_a_file_that_never_is_still_stays_pending(house: House) -> None:
    path = drop(house.inbox, "a.png", "1")

    def read(task: ScanTask) -> ScanResult:
        path.write_text(path.read_text() + " 1")
        raise ContentChanged(f"{task.source} changed.", "")

    house.read, house.patience = read, 0.5
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    house.read = text_reader(house.settings)
    assert outcome(house.once()) == {"seen": 1, "done": 1}


def test_what_changed_between_listing_and_hashing_is_put_off(house: House) -> None:
    house.once()
    path = drop(house.inbox, "a.png", "1")
    found = look(path, house.inbox, "a.png", house.heard.warn)
    assert found is not None
    path.write_text("1 2")
    house.custody.take(found, datetime.now(UTC))
    assert house.custody.accounts.take_changed() == {path}
    assert house.states() == {}
    assert house.tally.summary().seen == 0


# Other runs


def test_two_runs_side_by_side_read_each_scan_once_and_leave_none_pending(home: Path) -> None:
    houses = [House(home), House(home)]
    for number in range(12):
        drop(home / "inbox", f"{number}.png", str(number))
    read: list[str] = []
    counts = []

    def run(house: House) -> None:
        def slowly(task: ScanTask) -> ScanResult:
            read.append(task.file)
            time.sleep(0.03)
            return text_reader(house.settings)(task)

        house.read, house.patience = slowly, 20.0
        counts.append(house.once())
        house.database.dispose()

    threads = [threading.Thread(target=run, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read) == sorted(f"{number}.png" for number in range(12))
    assert sum(count.done for count in counts) == 12
    assert all(count.pending == count.failed == count.duplicate == 0 for count in counts)


def test_a_scan_that_another_run_reads_is_waited_for_and_then_ignored(house: House, home: Path) -> None:
    drop(house.inbox, "a.png", "1")
    other, begun, go_on = House(home), threading.Event(), threading.Event()

    def slowly(task: ScanTask) -> ScanResult:
        begun.set()
        assert go_on.wait(20)
        return text_reader(other.settings)(task)

    other.read = slowly
    thread = threading.Thread(target=other.once)
    thread.start()
    assert begun.wait(20)
    timer = threading.Timer(0.5, go_on.set)
    timer.start()
    assert outcome(house.once()) == {"seen": 1, "ignored": 1}
    thread.join()
    timer.join()
    other.database.dispose()
    assert house.states() == {"a.png": "done"}


# Stops


def test_a_stop_ends_the_wait_for_a_scan_that_is_due_soon(house: House) -> None:
    drop(house.inbox, "a.png", "1")

    def fault(task: ScanTask) -> ScanResult:
        raise Transient(f"{task.file}: the share is away.", "")

    house.read, house.patience = fault, 60.0
    threading.Timer(1.5, house.stop.ask).start()
    started = time.monotonic()
    assert outcome(house.once()) == {"seen": 1, "pending": 1}
    assert time.monotonic() - started < 30


def test_a_stop_ends_a_run_that_waits_for_room(house: House) -> None:
    drop(house.inbox, "a.png", "1")
    house.flags["limits.min_free_mb"] = 1e12
    visitor = Visitor(house, lambda: visitor.wait_for(lambda: warned(house, "are free below")))
    assert outcome(visitor.watch()) == {"seen": 1, "pending": 1}


# A year


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_nothing_grows_with_the_scans_that_were_read(house: House, count: int) -> None:
    house.read = lambda task: a_result(a_page())
    scans = [f"{number}.png" for number in range(count)]

    def arrive() -> None:
        for number, name in enumerate(scans):
            content = "bad luck" if number % 10 == 1 else "twin" if number % 10 == 2 else str(number)
            drop(house.inbox, name, content)

    visitor = Visitor(house, arrive, lambda: visitor.wait_for(lambda: len(house.heard.ends) >= count, 300))
    counts = visitor.watch()
    assert counts.seen == count
    assert counts.pending == 0
    large = {name: size for name, size in sizes(house.daemon) if size > 30}
    assert not large


def sizes(thing: object, name: str = "daemon", seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """The length of everything of ours that can grow and hangs on `thing`."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if hasattr(thing, "__len__") and not isinstance(thing, str | bytes):
        yield name, len(thing)
    if type(thing).__module__.startswith("processor."):
        held = {**getattr(thing, "__dict__", {})}
        held |= {key: getattr(thing, key, None) for key in getattr(type(thing), "__slots__", ())}
        for key, value in held.items():
            yield from sizes(value, f"{name}.{key}", seen)
