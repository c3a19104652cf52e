"""WAL only where it works: by the mount table and by a probe, with the rollback journal in its place."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from sqlalchemy import select

from processor.errors import BadDatabase
from processor.mounts import file_system
from processor.results.database import journal_mode, open_database, open_read_only, reading, writing
from processor.results.journal import enter_wal, unfit_for_wal
from processor.results.schema import models, readings
from tests.test_database import fill, url_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def no_shared_memory(path: Path) -> Iterator[Path]:
    """Where the probe's file of shared memory would stand, stands a folder: SQLite can open neither."""
    blocked = path.with_name(f".{os.getpid():016x}.part-shm")
    blocked.mkdir()
    yield blocked
    if blocked.exists():
        blocked.rmdir()


def mode_of(path: Path) -> str:
    engine = open_database(url_of(path), busy_seconds=0.05)
    mode = journal_mode(engine)
    engine.dispose()
    return mode


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


class Mounted(NamedTuple):
    """What psutil tells of a mount."""

    mountpoint: str
    fstype: str
    opts: str


def mounted(where: Path, kind: str, options: str = "rw") -> Mounted:
    return Mounted(str(where), kind, options)


class TestProbe:
    def test_finds_no_fault_here_and_leaves_nothing_behind(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert unfit_for_wal(path) is None
        assert list(path.parent.iterdir()) == []
        assert mode_of(path) == "wal"
        assert [file.name for file in path.parent.iterdir()] == ["results.db"]
        assert warned(caplog) == []

    def test_says_where_shared_memory_cannot_be_had(self, path: Path, no_shared_memory: Path) -> None:
        assert "lies where SQLite's WAL mode fails (" in str(unfit_for_wal(path))
        assert list(path.parent.iterdir()) == [no_shared_memory]

    def test_blames_no_journal_where_nothing_can_be_written(self, path: Path) -> None:
        assert unfit_for_wal(path.parent / "gone" / "results.db") is None


class TestRollbackJournal:
    def test_takes_the_place_of_wal_and_says_so_once(
        self, path: Path, no_shared_memory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = open_database(url_of(path))
        assert journal_mode(engine) == "delete"
        (said,) = warned(caplog)
        assert f"{path} lies where SQLite's WAL mode fails" in said
        assert "local disk" in said
        fill(engine)
        other = open_read_only(url_of(path))
        with reading(other) as connection:
            assert connection.execute(select(readings.c.digits)).scalar_one() == "7"
        assert journal_mode(other) == "delete"
        other.dispose()
        engine.dispose()

    def test_a_database_changes_its_mode_with_its_place(
        self, path: Path, no_shared_memory: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        no_shared_memory.rmdir()
        engine = open_database(url_of(path))
        fill(engine)
        engine.dispose()
        no_shared_memory.mkdir()
        assert mode_of(path) == "delete"
        no_shared_memory.rmdir()
        assert mode_of(path) == "wal"
        assert len(warned(caplog)) == 1
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT digits FROM readings").fetchall() == [("7",)]

    def test_what_a_crash_left_in_the_wal_is_taken_over_without_shared_memory(
        self, path: Path, tmp_path: Path, no_shared_memory: Path
    ) -> None:
        no_shared_memory.rmdir()
        left = tmp_path / "left"
        left.mkdir()
        engine = open_database(url_of(path))
        fill(engine)
        for suffix in ("", "-wal"):
            (left / f"results.db{suffix}").write_bytes(path.with_name(f"results.db{suffix}").read_bytes())
        engine.dispose()
        for blocked in (f"{no_shared_memory.name}", "results.db-shm"):
            (left / blocked).mkdir()
        assert mode_of(left / "results.db") == "delete"
        assert not (left / "results.db-wal").exists()
        with closing(sqlite3.connect(left / "results.db")) as connection:
            assert connection.execute("SELECT digits FROM readings").fetchall() == [("7",)]

    def test_waits_until_nobody_has_the_wal_any_more(self, path: Path, no_shared_memory: Path) -> None:
        no_shared_memory.rmdir()
        holder = open_database(url_of(path))
        with reading(holder) as connection:
            assert connection.execute(select(models)).all() == []
            no_shared_memory.mkdir()
            with pytest.raises(BadDatabase, match="locked by another program"):
                mode_of(path)
        with writing(holder) as connection:
            assert connection.execute(select(models)).all() == []
        holder.dispose()
        assert mode_of(path) == "delete"


class TestMounts:
    def test_no_network_drive_is_tried(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        shown = [mounted(Path("/"), "ext4"), mounted(path.parent, "nfs4")]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: shown)
        assert mode_of(path) == "delete"
        assert f"{path} lies on a network drive (nfs4)" in warned(caplog)[0]

    def test_the_nearest_mount_counts_and_of_two_the_later(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shares = path.parent / "shares"
        shown = [
            mounted(path.parent, "ext4"),
            mounted(shares, "autofs"),
            mounted(shares, "CIFS"),
            mounted(path.parent / "share", "nfs"),
            mounted(Path("/"), "overlay"),
        ]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: shown)
        assert file_system(shares / "new" / "results.db") == "cifs"
        assert file_system(path) == "ext4"
        assert file_system(Path("/elsewhere")) == "overlay"

    def test_a_link_leads_to_where_the_file_lies(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path.parent / "share").mkdir()
        path.symlink_to(path.parent / "share" / "results.db")
        shown = [mounted(path.parent, "ext4"), mounted(path.parent / "share", "fuse.sshfs")]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: shown)
        assert file_system(path) == "fuse.sshfs"

    def test_a_drive_of_windows_that_is_remote(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shown = [mounted(path.parent, "NTFS", "rw,remote")]
        monkeypatch.setattr(psutil, "disk_partitions", lambda **_: shown)
        assert file_system(path) == "smb"

    def test_a_mount_table_that_shows_nothing_is_no_reason(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(**_: bool) -> list[Mounted]:
            if path.exists():
                raise FileNotFoundError("/proc/self/mounts")
            return []

        monkeypatch.setattr(psutil, "disk_partitions", nothing)
        for _ in range(2):
            assert file_system(path) == ""
            assert mode_of(path) == "wal"


class TestWhatAReaderLeaves:
    """SQLite's `-wal` and `-shm` are made for a reader, too."""

    @pytest.fixture
    def filled(self, path: Path) -> Path:
        engine = open_database(url_of(path))
        fill(engine)
        engine.dispose()
        return path

    def test_nothing(self, filled: Path) -> None:
        before = filled.read_bytes(), filled.stat().st_mtime_ns
        only = open_read_only(url_of(filled))
        with reading(only) as connection:
            assert connection.execute(select(readings.c.digits)).scalar_one() == "7"
        only.dispose()
        assert [file.name for file in filled.parent.iterdir()] == ["results.db"]
        assert (filled.read_bytes(), filled.stat().st_mtime_ns) == before

    def test_what_a_writer_uses_stays(self, filled: Path) -> None:
        only = open_read_only(url_of(filled))
        writer = open_database(url_of(filled))
        with writing(writer) as connection:
            connection.exec_driver_sql("UPDATE numbers SET digits = '8'")
            only.dispose()
        assert filled.with_name("results.db-wal").exists()
        with reading(writer) as connection:
            assert connection.execute(select(readings.c.digits)).scalar_one() == "8"
        writer.dispose()

    def test_what_a_crash_left_is_read_and_stays(self, filled: Path, tmp_path: Path) -> None:
        writer = open_database(url_of(filled))
        with writing(writer) as connection:
            connection.exec_driver_sql("UPDATE numbers SET digits = '8'")
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for suffix in ("", "-wal"):
            source = filled.with_name(filled.name + suffix)
            (crashed / source.name).write_bytes(source.read_bytes())
        writer.dispose()
        left = {file.name: file.read_bytes() for file in crashed.iterdir()}
        assert left["results.db-wal"]
        only = open_read_only(url_of(crashed / "results.db"))
        with reading(only) as connection:
            assert connection.execute(select(readings.c.digits)).scalar_one() == "8"
        only.dispose()
        assert {name: (crashed / name).read_bytes() for name in left} == left


def test_a_writer_in_the_way_of_the_wal_is_waited_for(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (turn INTEGER)")
        done = threading.Timer(0.2, other.execute, ["COMMIT"])
        done.start()
        assert enter_wal(path, busy_seconds=10) is None
        done.join()


def test_a_writer_that_stays_is_not_waited_for_longer_than_asked(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            enter_wal(path, busy_seconds=0.05)
