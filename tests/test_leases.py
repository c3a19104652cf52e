"""A lease that ran out while its scan was read: who lost it touches nothing, who still holds it goes on."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from processor import custody as custody_module
from processor.claims import LEASE_SECONDS
from processor.custody import Custody
from processor.engines.tasks import Outcome, ScanTask
from processor.errors import Away, BadScan, DatabaseAway
from processor.intake import queue
from processor.intake.queue import Job
from processor.intake.standing import standings
from processor.intake.sweep import look
from processor.records import ScanResult, ScanState, StagedFile
from processor.settings import Limits
from tests.stand_ins import drop, text_reader
from tests.text_house import House

pytestmark = pytest.mark.databases


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    house = House(home)
    yield house
    house.database.dispose()


@pytest.fixture
def custody(house: House, tmp_path: Path) -> Custody:
    """Of a run that has one scan, `a.png`, in its queue."""
    staging = tmp_path / "staging"
    staging.mkdir()
    kept = Custody(
        house.database,
        inbox=house.inbox,
        results=house.results,
        staging=staging,
        limits=Limits(),
        listener=house.heard,
    )
    found = look(drop(house.inbox, "a.png", "1 2"), house.inbox, "a.png", house.heard.warn)
    assert found is not None
    kept.take(found, datetime.now(UTC))
    return kept


def task_of(custody: Custody, house: House) -> ScanTask:
    task = custody.next_task({house.inbox})
    assert task is not None
    return task


def read(task: ScanTask, house: House) -> Outcome:
    return Outcome(task, text_reader(house.settings)(task))


def taken_over(house: House) -> Job:
    """What another process holds, after the lease of this one ran out."""
    house.let_it_be_another_process()
    assert queue.recover(house.database, datetime.now(UTC)) == 1
    job = queue.claim(house.database, datetime.now(UTC), LEASE_SECONDS)
    assert job is not None
    return job


def test_a_clock_that_jumps_takes_no_scan_from_the_run_that_reads_it(
    house: House, custody: Custody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it does where a machine slept: its own leases have run out when it wakes."""
    monkeypatch.setattr(custody_module, "RECOVER_SECONDS", 0.0)
    task = task_of(custody, house)
    house.let_it_be_another_process()
    custody.recover()
    assert custody.next_task({house.inbox}) is None
    custody.commit(read(task, house))
    assert house.heard.ends == [("a.png", "done")]


def test_a_scan_that_came_back_is_another_task_than_the_one_that_was_lost(
    house: House, custody: Custody
) -> None:
    lost = task_of(custody, house)
    queue.give_back(house.database, taken_over(house))
    again = task_of(custody, house)
    custody.commit(read(lost, house))
    assert (house.heard.ends, custody.under_way) == ([], 1)
    custody.commit(read(again, house))
    assert (house.heard.ends, custody.under_way) == ([("a.png", "done")], 0)


def test_who_lost_a_scan_leaves_the_files_of_who_read_it(house: House, custody: Custody) -> None:
    """Both give their files the same names; the other one may have read with another model."""
    task = task_of(custody, house)
    outcome = read(task, house)
    taken_over(house)
    (table,) = (staged.target for staged in outcome.result.staged)  # type: ignore[union-attr]
    drop(table.parent, table.name, "what the other one read")
    custody.commit(outcome)
    assert table.read_text() == "what the other one read"
    assert any("taken over by another process" in text for text in house.heard.said)


def test_who_lost_a_scan_reports_no_failure(house: House, custody: Custody) -> None:
    task = task_of(custody, house)
    taken_over(house)
    custody.commit(Outcome(task, BadScan("a.png was not read within 600 s.", "")))
    assert house.files("failed") == []
    assert house.states() == {"a.png": "running"}


def test_a_commit_of_which_no_word_came_back_is_no_lost_scan(house: House, custody: Custody) -> None:
    """The connection breaks after the server committed: the next try found the scan in nobody's hands."""
    outcome = read(task_of(custody, house), house)

    def commit_and_break(connection: Connection) -> None:
        if connection.exec_driver_sql("SELECT state FROM scans").scalar() == "done":
            connection.connection.commit()
            raise DatabaseAway("The database cannot be reached.", "Start the server.")

    event.listen(house.database, "commit", commit_and_break)
    with pytest.raises(Away, match="cannot be reached"):
        custody.commit(outcome)
    event.remove(house.database, "commit", commit_and_break)
    assert (house.states(), house.heard.ends, custody.under_way) == ({"a.png": "done"}, [], 1)
    custody.commit(outcome)
    assert (house.heard.ends, custody.under_way) == ([("a.png", "done")], 0)
    assert not (house.inbox / "a.png").exists()
    assert custody.tally.summary().numbers == 2


@pytest.mark.sqlite
def test_a_fault_between_two_files_keeps_its_reason_where_the_database_is_locked_then(
    house: House, custody: Custody
) -> None:
    """The first file has left the staging folder by then: its absence was noted, not the disk's reason."""
    outcome = read(task_of(custody, house), house)
    assert isinstance(outcome.result, ScanResult)
    (table,) = outcome.result.staged
    picture = StagedFile(
        staged=drop(table.staged.parent, "a.jpg", "picture"), target=house.results / "annotated" / "a.jpg"
    )
    picture.target.mkdir(parents=True)
    other = sqlite3.connect(house.results / "results.db", isolation_level=None)

    def lock(*_: object) -> None:
        if table.target.exists() and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    event.listen(house.database.pool, "checkout", lock)
    outcome = replace(outcome, result=replace(outcome.result, staged=(table, picture)))
    with pytest.raises(Away, match="locked"):
        custody.commit(outcome)
    event.remove(house.database.pool, "checkout", lock)
    other.close()
    custody.commit(outcome)
    (waiting,) = standings(house.database, [outcome.task.sha256]).values()
    assert waiting.state is ScanState.QUEUED
    assert "a.jpg cannot be written: Is a directory" in (waiting.fault or "")
