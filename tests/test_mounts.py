"""Folders on shares: which of them can be reached, whatever is left where one was unmounted."""

import os
from pathlib import Path

import pytest

from processor.mounts import Shares, identity


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The places where something is mounted, as the system would tell."""
    mounted = {os.sep}
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounted)
    return mounted


@pytest.mark.parametrize("share", [".", "inbox"])
def test_of_a_share_that_is_unmounted_an_empty_folder_is_left(
    tmp_path: Path, mounted: set[str], share: str
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    mounted.add(str(tmp_path / share))
    shares = Shares()
    shares.note(inbox)
    assert (shares.lost(inbox), shares.reaches(inbox)) == (False, True)
    mounted.remove(str(tmp_path / share))
    shares.note(inbox)  # as when a scan is seen there once more
    assert (shares.lost(inbox), shares.reaches(inbox)) == (True, False)
    mounted.add(str(tmp_path / share))
    assert (shares.lost(inbox), shares.reaches(inbox)) == (False, True)


def test_a_folder_that_is_gone_is_not_reached_and_one_that_was_never_seen_is_not_lost(
    tmp_path: Path, mounted: set[str]
) -> None:
    shares = Shares()
    assert (shares.lost(tmp_path), shares.reaches(tmp_path)) == (False, True)
    shares.note(tmp_path / "inbox")
    assert (shares.lost(tmp_path / "inbox"), shares.reaches(tmp_path / "inbox")) == (False, False)
    mounted.add(str(tmp_path / "inbox"))
    (tmp_path / "inbox").mkdir()
    assert shares.reaches(tmp_path / "inbox")


def test_a_folder_is_told_from_another_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    assert identity(folder) is None
    folder.mkdir()
    first = identity(folder)
    assert first == identity(folder)
    folder.rename(tmp_path / "old")
    folder.mkdir()
    assert identity(folder) != first
