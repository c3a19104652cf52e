"""What a run needs is looked at, one thing after the other, and nothing is changed by looking."""

import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from processor.commands import checkup, checkup_database, checkup_machine
from processor.commands.checkup import Check, Level
from processor.errors import BadSettings, Exit
from processor.results.database import writing
from processor.results.schema import daemons
from processor.results.upgrade import FIRST
from processor.settings import LoadedSettings, load
from tests.conftest import Command
from tests.holdings import Office

Look = Callable[[LoadedSettings], Iterator[Check]]


@pytest.fixture
def office(home: Path) -> Iterator[Office]:
    office = Office(home)
    yield office
    office.database.dispose()


def found(look: Look, **flags: object) -> dict[str, Check]:
    """What one look tells, by name."""
    return {
        check.name: check for check in look(load(flags={k.replace("__", "."): v for k, v in flags.items()}))
    }


def levels(look: Look, **flags: object) -> dict[str, Level]:
    return {name: check.level for name, check in found(look, **flags).items()}


def test_settings_are_found_and_the_environment_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSOR_LIMITS__MAX_PAGES", "7")
    checks = found(checkup.settings_found)
    assert checks["settings"].found == str(home / "settings.toml")
    assert checks["environment"].found == "sets limits.max_pages"
    (home / "settings.toml").unlink()
    monkeypatch.delenv("PROCESSOR_LIMITS__MAX_PAGES")
    assert levels(checkup.settings_found) == {"settings": Level.WARNING}


def test_folders_that_are_there_are_in_order(office: Office) -> None:
    names = ["inbox", "results", "disk space", "file system"]
    assert list(levels(checkup.folders)) == names
    assert set(levels(checkup.folders).values()) == {Level.OK}
    shutil.rmtree(office.inbox)
    assert levels(checkup.folders)["inbox"] is Level.WARNING
    assert not office.inbox.exists()


@pytest.mark.usefixtures("office")
def test_a_disk_that_is_full_is_a_fault_of_the_settings() -> None:
    with pytest.raises(BadSettings, match=r"limits\.min_free_mb"):
        found(checkup.folders, limits__min_free_mb=1e12)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write anything"
)
def test_a_folder_without_permission_is_a_fault(office: Office) -> None:
    office.inbox.chmod(0o500)
    check = found(checkup.folders)["inbox"]
    assert (check.level, check.exit_code) == (Level.FAULT, Exit.BAD_SETTINGS)


def test_no_database_yet_is_no_fault(home: Path) -> None:
    assert levels(checkup_database.database) == {"database": Level.OK}
    assert not (home / "results").exists()


def test_a_database_in_order_tells_its_journal_and_what_failed(office: Office) -> None:
    office.read("form.png")
    assert levels(checkup_database.database) == dict.fromkeys(
        ("database", "journal", "failed scans", "daemon"), Level.OK
    )
    assert found(checkup_database.database)["journal"].found == "wal"
    office.fail("bad.png")
    check = found(checkup_database.database)["failed scans"]
    assert (check.level, check.found) == (Level.WARNING, "1")
    assert "processor retry" in check.remedy


def test_a_damaged_database_is_a_fault(office: Office) -> None:
    office.read("form.png")
    office.database.dispose()
    file = office.results / "results.db"
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'numbers_by_certainty'"
        root, size = (database.execute(sql).fetchone()[0] for sql in (query, "PRAGMA page_size"))
    with file.open("rb+") as stream:
        stream.seek((root - 1) * size)
        stream.write(b"\xff" * size)
    check = found(checkup_database.database)["database"]
    assert (check.level, check.exit_code) == (Level.FAULT, Exit.BAD_DATABASE)


def test_tables_of_an_earlier_version_are_told(office: Office) -> None:
    office.run(f"UPDATE alembic_version SET version_num = '{FIRST}'")
    check = found(checkup_database.database)["database"]
    assert check.level is Level.WARNING
    assert "brings it up to date" in check.remedy


def test_a_scan_of_tomorrow_shows_a_clock_that_was_wrong(office: Office) -> None:
    office.read("form.png")
    office.run(
        f"UPDATE scans SET finished_at = '{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}'"
    )
    assert levels(checkup_database.database)["clock"] is Level.WARNING


@pytest.mark.parametrize(
    ("ended", "silent_for", "level", "said"),
    [
        (False, timedelta(0), Level.OK, "watching"),
        (False, timedelta(hours=1), Level.WARNING, "no sign of life"),
        (True, timedelta(0), Level.WARNING, "ended without a word"),
    ],
)
def test_a_run_is_known_by_its_pulse(
    office: Office, ended: bool, silent_for: timedelta, level: Level, said: str
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    now = datetime.now(UTC)
    row = {
        "host": socket.gethostname(),
        "pid": process.pid if ended else os.getpid(),
        "once": False,
        "started_at": now,
        "beat_at": now - silent_for,
        "state": "watching",
        "facts": {},
    }
    with writing(office.database) as connection:
        connection.execute(insert(daemons), row)
    check = found(checkup_database.database)["daemon"]
    assert check.level is level
    assert said in check.found


@pytest.mark.skipif(os.name != "posix", reason="the rights of files are those of POSIX")
def test_settings_that_others_can_change_are_warned_of(home: Path) -> None:
    before = levels(checkup.rights)
    (home / "settings.toml").chmod(0o666)
    checks = [check for check in checkup.rights(load()) if "settings.toml" in check.found]
    assert [check.level for check in checks] == [Level.WARNING]
    assert before.keys() == {"rights"}


@pytest.mark.usefixtures("office")
def test_events_are_tried_in_the_inbox() -> None:
    assert found(checkup.events)["events"].level in {Level.OK, Level.WARNING}
    check = found(checkup.events, intake__watch="polling")["events"]
    assert check.level is Level.OK
    assert "as intake.watch says" in check.found


def test_no_inbox_gives_no_events(home: Path) -> None:
    (home / "inbox").rmdir()
    assert found(checkup.events) == {}


@pytest.mark.usefixtures("home")
def test_more_workers_than_the_machine_bears_are_warned_of() -> None:
    assert levels(checkup_machine.machine, workers__count=1)["cores"] is Level.OK
    assert levels(checkup_machine.machine, workers__count=1024) == {
        "cores": Level.WARNING,
        "memory": Level.WARNING,
    }


def test_the_clock_of_the_results_is_this_machines(office: Office) -> None:
    assert levels(checkup_machine.clock) == {"clock": Level.OK}
    shutil.rmtree(office.results)
    assert levels(checkup_machine.clock) == {}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("encoding", "level"), [("utf-8", Level.OK), ("ascii", Level.WARNING)])
def test_a_terminal_that_cannot_show_every_name_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, encoding: str, level: Level
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert levels(checkup_machine.terminal) == {"terminal": level}


@pytest.mark.usefixtures("home")
def test_versions_are_told() -> None:
    assert "SQLite" in found(checkup_machine.libraries)["libraries"].found


def test_the_command_ends_as_a_run_would(home: Path, processor: Command) -> None:
    (home / "models_archive").mkdir()
    result = processor("doctor", "--json")
    assert result.returncode == Exit.NO_MODEL, result.stderr
    document = json.loads(result.stdout)
    (fault,) = [check for check in document["checks"] if check["level"] == "fault"]
    assert fault["name"] == "model"
    assert "training promote" in fault["remedy"]
    assert document["fault"] == 1
    assert list((home / "inbox").iterdir()) == []
    assert not (home / "results").exists()


def test_a_machine_in_order_has_no_fault(home: Path, processor: Command) -> None:
    result = processor("doctor")
    assert result.returncode == 0, result.stdout
    assert "probe computed right" in " ".join(result.stdout.split())
    assert list((home / "inbox").iterdir()) == []
