"""Folders that held only folders are not listed again until they changed; all else is."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processor.intake.arrivals import Arrivals
from processor.intake.folders import TRUSTED, Folders
from processor.intake.places import Place
from processor.mounts import file_system
from processor.settings import Intake


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox by year and month, on a file system whose times are trusted."""
    if file_system(tmp_path) not in TRUSTED:
        pytest.skip(f"{tmp_path} is on {file_system(tmp_path)}, whose times of folders are not trusted")
    monkeypatch.setattr("processor.intake.folders.SETTLED_SECONDS", 0.05)
    for month in ("2024/01", "2024/02", "2025/01"):
        (tmp_path / "inbox" / month).mkdir(parents=True)
    return tmp_path / "inbox"


@pytest.fixture
def scandirs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed, by the system's own call."""
    listed: list[str] = []
    scandir = os.scandir

    def noted(folder: str) -> Any:
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", noted)
    return listed


def settle() -> None:
    time.sleep(0.1)


def listing(inbox: Path, warn: Callable[[str], None] = pytest.fail) -> Callable[[], list[str]]:
    """What one run's next listing finds that it had not told of."""
    arrivals = Arrivals([Place(inbox, inbox)], Intake(), warn=warn)
    return lambda: [found.file for found in arrivals.here()]


def test_an_inbox_of_folders_is_listed_once(inbox: Path, scandirs: list[str]) -> None:
    look = listing(inbox)
    settle()
    assert look() == []
    assert len(scandirs) == 6
    assert look() == []
    assert len(scandirs) == 6


def test_folders_that_changed_just_now_are_listed_again(
    inbox: Path, scandirs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.intake.folders.SETTLED_SECONDS", 60.0)
    look = listing(inbox)
    look()
    look()
    assert len(scandirs) == 12


def test_what_comes_into_a_remembered_folder_is_found(inbox: Path) -> None:
    look = listing(inbox)
    settle()
    look()
    (inbox / "2024/02/late.png").write_bytes(b"1")
    assert look() == ["2024/02/late.png"]
    (inbox / "2026/12").mkdir(parents=True)
    (inbox / "2026/12/new.png").write_bytes(b"1")
    assert look() == ["2026/12/new.png"]


def test_a_folder_whose_time_was_set_back_is_listed(inbox: Path) -> None:
    """As rsync, tar and cp do with the folders they copy."""
    look = listing(inbox)
    folder = inbox / "2024/02"
    before = folder.stat().st_mtime_ns
    settle()
    look()
    (folder / "copied.png").write_bytes(b"1")
    os.utime(folder, ns=(before, before))
    assert look() == ["2024/02/copied.png"]


def test_a_scan_that_is_written_again_in_place_is_found(inbox: Path) -> None:
    """The folder does not change with it."""
    scan = inbox / "2024/02/scan.png"
    scan.write_bytes(b"1")
    look = listing(inbox)
    settle()
    assert look() == ["2024/02/scan.png"]
    scan.write_bytes(b"12")
    assert look() == ["2024/02/scan.png"]


def test_another_folder_of_the_name_is_listed(inbox: Path) -> None:
    look = listing(inbox)
    other = inbox.parent / "other"
    other.mkdir()
    (other / "moved.png").write_bytes(b"1")
    settle()
    look()
    (inbox / "2024/02").rmdir()
    other.rename(inbox / "2024/02")
    assert look() == ["2024/02/moved.png"]


def test_a_link_in_the_place_of_a_remembered_folder_is_left_alone(inbox: Path) -> None:
    warnings: list[str] = []
    look = listing(inbox, warnings.append)
    other = inbox.parent / "other"
    other.mkdir()
    (other / "secret.png").write_bytes(b"1")
    settle()
    look()
    (inbox / "2024/02").rmdir()
    (inbox / "2024/02").symlink_to(other)
    assert look() == []
    assert len(warnings) == 1
    assert "is a link to a folder" in warnings[0]


def test_folders_that_are_gone_are_forgotten(inbox: Path) -> None:
    folders = Folders()
    settle()

    def walk() -> Iterator[str]:
        folders.begin([inbox])
        yield str(inbox)
        for entry in folders.entries(str(inbox)):
            yield entry.path
            folders.entries(entry.path)
        folders.end()

    assert len(list(walk())) == 3
    shutil.rmtree(inbox / "2024")
    assert len(list(walk())) == 2
    assert str(inbox / "2024") not in folders._kept


def test_a_share_is_listed_every_time(
    inbox: Path, scandirs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.intake.folders.TRUSTED", frozenset())
    look = listing(inbox)
    settle()
    look()
    look()
    assert len(scandirs) == 12
