"""Whom a start warns of, and which folders it refuses side by side."""

import logging
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from processor.commands import start
from processor.errors import BadSettings
from processor.settings import load
from processor.trust import doubt, lies_within

pytestmark = pytest.mark.skipif(os.name != "posix", reason="access is not a matter of modes here")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.touch(mode=0o644)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o444, 0o755])
def test_what_only_its_owner_can_write_is_trusted(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert doubt("settings", [file]) is None


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_what_anybody_can_write_is_doubted(file: Path, mode: int) -> None:
    file.chmod(mode)
    text = doubt("settings", [file])
    assert text is not None
    assert str(file) in text
    assert "chmod go-w" in text


def test_a_group_counts_as_others_unless_it_is_the_users_own(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users and groups belong to the machine, so its tables are stood in for."""
    import grp
    import pwd

    file.chmod(0o664)
    group = file.stat().st_gid
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann", pw_gid=group))
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=["ann"]))
    assert doubt("settings", [file]) is None
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=["ann", "bob"]))
    assert doubt("settings", [file]) is not None
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=[]))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann", pw_gid=group + 1))
    assert doubt("settings", [file]) is not None


def test_what_belongs_to_somebody_else_is_doubted(file: Path) -> None:
    try:
        os.chown(file, 54321, -1)
    except PermissionError:
        pytest.skip("only root may give files away")
    assert doubt("settings", [file]) is not None


def test_a_folder_where_others_may_only_add_is_trusted(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert doubt("settings", [tmp_path]) is not None
    tmp_path.chmod(0o1777)
    assert doubt("settings", [tmp_path]) is None


def test_many_files_are_one_warning_and_one_that_is_gone_is_none(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.bin" for number in range(5)]
    for path in paths:
        path.touch()
        path.chmod(0o666)
    text = doubt("model", [tmp_path / "gone", *paths])
    assert text is not None
    assert "2.bin and 2 more" in text
    assert "gone" not in text
    assert "3.bin" not in text


def test_a_start_warns_once_and_goes_on(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load(home / "settings.toml")
    start.check_settings(settings)
    assert caplog.records == []
    (home / "settings.toml").chmod(0o666)
    with caplog.at_level(logging.WARNING):
        start.check_settings(settings)
        model = start.check_model(settings)
    (record,) = caplog.records
    assert "Others can change the settings" in record.getMessage()
    assert model.path.is_dir()


def test_folders_within_one_another_by_name_or_by_link(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(outer)
    (tmp_path / "outermost").mkdir()
    for inner in (outer, outer / "inner", outer / "not" / "yet", tmp_path / "link" / "inner"):
        assert lies_within(inner, outer)
        assert lies_within(inner, tmp_path / "link")
    for inner in (tmp_path, tmp_path / "outermost", tmp_path / "none"):
        assert not lies_within(inner, outer)
    assert not lies_within(outer, tmp_path / "none")


def bound(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "--bind", source, target], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("only root may mount")


def test_folders_within_one_another_by_a_mount_of_the_same_folder(tmp_path: Path) -> None:
    outer, elsewhere = tmp_path / "outer", tmp_path / "elsewhere"
    (outer / "inner").mkdir(parents=True)
    bound(outer, elsewhere)
    try:
        assert lies_within(elsewhere / "inner", outer)
        assert lies_within(outer / "inner", elsewhere)
        assert lies_within(elsewhere, outer)
    finally:
        subprocess.run(["umount", elsewhere], check=True)
    assert not lies_within(elsewhere, outer)
    results = tmp_path / "results"
    (results / "csv").mkdir(parents=True)
    bound(results, outer / "inner")
    try:
        assert lies_within(results, outer), "what is written to the results turns up in the inbox"
        assert lies_within(results / "csv", outer)
        assert not lies_within(outer, results)
    finally:
        subprocess.run(["umount", outer / "inner"], check=True)


def test_a_mount_below_the_inbox_that_has_nothing_to_do_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox" / "share").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    table = [SimpleNamespace(mountpoint=str(tmp_path / "inbox" / "share"), fstype="ext4", opts="rw")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: table)
    assert not lies_within(tmp_path / "results", tmp_path / "inbox")


def test_results_behind_a_link_into_the_inbox_are_refused(home: Path) -> None:
    (home / "inbox" / "out").mkdir()
    (home / "results").symlink_to("inbox/out")
    with pytest.raises(BadSettings, match="lie one inside the other"):
        start.check_folders(load())
