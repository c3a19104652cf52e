"""Originals: moved once, never lost, and a report beside one that failed."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processor.errors import BadScan, Transient
from processor.results.originals import (
    find_original,
    kept_name,
    lies_below,
    move_failed,
    move_processed,
    put_back,
    report_failure,
    withdraw_failure,
)
from tests.stand_ins import drop

SHA = "0123456789abcdef" * 4
CONTENT_SHA = hashlib.sha256(b"bytes").hexdigest()
NOW = datetime(2026, 3, 1, 12, 30, 5, 123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("a/form.PNG", "form-0123456789ab.PNG"),
        ("form", "form-0123456789ab"),
        ("form.p\nng", "form-0123456789ab"),
        ("archive.2026.tif", "archive.2026-0123456789ab.tif"),
        ("form-0123456789ab.png", "form-0123456789ab.png"),
        ("form-0123456789ab-0123456789ab.png", "form-0123456789ab.png"),
        ("form-ba9876543210.png", "form-ba9876543210-0123456789ab.png"),
    ],
)
def test_the_name_an_original_is_kept_under(file: str, kept: str) -> None:
    assert kept_name(file, SHA) == kept


def test_an_original_moves_whole(tmp_path: Path) -> None:
    path = drop(tmp_path, "inbox/form.png", b"bytes")
    (tmp_path / "results").mkdir()
    move_processed(path, "form.png", CONTENT_SHA, tmp_path / "results")
    assert not path.exists()
    assert (tmp_path / "results/processed" / kept_name("form.png", CONTENT_SHA)).read_bytes() == b"bytes"


def test_what_came_under_its_name_since_stays(tmp_path: Path) -> None:
    path = drop(tmp_path, "inbox/form.png", b"another scan")
    move_processed(path, "form.png", CONTENT_SHA, tmp_path / "results")
    assert path.read_bytes() == b"another scan"


def test_a_linked_original_is_kept_by_its_content(tmp_path: Path) -> None:
    real = drop(tmp_path, "elsewhere/real.png", b"bytes")
    link = tmp_path / "inbox" / "form.png"
    link.parent.mkdir()
    link.symlink_to("../elsewhere/real.png")
    move_processed(link, "form.png", CONTENT_SHA, tmp_path / "results")
    kept = tmp_path / "results/processed" / kept_name("form.png", CONTENT_SHA)
    assert not link.is_symlink()
    assert kept.read_bytes() == b"bytes"
    assert not kept.is_symlink()
    assert real.read_bytes() == b"bytes"


def test_a_folder_that_took_the_place_of_a_scan_stays_with_all_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "form.png"
    drop(folder, "unread.png", "unread")
    move_processed(folder, "form.png", CONTENT_SHA, tmp_path)
    assert (folder / "unread.png").read_text() == "unread"
    assert not list(tmp_path.glob("processed/*"))


def test_a_link_that_took_the_place_of_a_scan_brings_nothing_else_in(tmp_path: Path) -> None:
    secret = drop(tmp_path, "secret", "not for the results")
    link = tmp_path / "form.png"
    link.symlink_to(secret)
    move_processed(link, "form.png", CONTENT_SHA, tmp_path)
    assert link.is_symlink()
    assert not list(tmp_path.glob("processed/*"))


def test_what_lies_behind_a_link_is_not_below_the_inbox(tmp_path: Path) -> None:
    inbox, outside = tmp_path / "inbox", tmp_path / "outside"
    scan = drop(outside, "d/form.png", "bytes")
    inbox.mkdir()
    (inbox / "own").mkdir()
    (inbox / "linked").symlink_to(outside)
    assert lies_below(inbox, inbox / "form.png")
    assert lies_below(inbox, inbox / "own" / "new" / "form.png")
    assert not lies_below(inbox, inbox / "linked" / "d" / scan.name)


def test_a_dangling_link_goes(tmp_path: Path) -> None:
    link = tmp_path / "gone.png"
    link.symlink_to("nowhere")
    move_failed(link, "gone.png", SHA, tmp_path / "results")
    assert not link.is_symlink()


def test_an_original_that_cannot_move_stays(tmp_path: Path) -> None:
    path = drop(tmp_path, "inbox/form.png", b"bytes")
    drop(tmp_path, "results/processed", "a file where the folder should be")
    with pytest.raises(Transient, match="processed"):
        move_processed(path, "form.png", CONTENT_SHA, tmp_path / "results")
    assert path.read_bytes() == b"bytes"


def test_the_report_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    error = BadScan("form.png is empty.", "Scan it again.")
    report_failure(tmp_path / "b\udcff/form.png", "b\udcff/form.png", SHA, error, NOW, tmp_path)
    report = json.loads((tmp_path / "failed/form-0123456789ab.png.json").read_text("utf-8"))
    assert report == {
        "file": "b\\udcff/form.png",
        "original": f"{tmp_path}/b\\udcff/form.png",
        "sha256": SHA,
        "error": "BadScan",
        "message": "form.png is empty.",
        "remedy": "Scan it again.",
        "when": "2026-03-01T12:30:05+00:00",
    }


def test_a_report_is_withdrawn_once_the_scan_was_read(tmp_path: Path) -> None:
    report_failure(tmp_path / "form.png", "form.png", SHA, BadScan("m", "r"), NOW, tmp_path)
    withdraw_failure("form.png", SHA, tmp_path)
    assert list((tmp_path / "failed").iterdir()) == []
    withdraw_failure("form.png", SHA, tmp_path)


def test_an_original_is_found_in_its_place_and_among_the_processed_ones(tmp_path: Path) -> None:
    here = drop(tmp_path, "form.png", "bytes")
    assert find_original(tmp_path, "form.png", CONTENT_SHA, tmp_path) == here
    move_processed(here, "form.png", CONTENT_SHA, tmp_path)
    assert find_original(tmp_path, "form.png", CONTENT_SHA, tmp_path).parent == tmp_path / "processed"
    with pytest.raises(BadScan, match="is neither in"):
        find_original(tmp_path, "form.png", SHA, tmp_path)


def test_nobody_waits_for_a_pipe_in_the_place_of_an_original(tmp_path: Path) -> None:
    """Opening it would wait for somebody to write: `reprocess` and `retry` never came to an end."""
    pipe = tmp_path / "form.png"
    os.mkfifo(pipe)
    with pytest.raises(BadScan, match="is neither in"):
        find_original(tmp_path, "form.png", CONTENT_SHA, tmp_path)
    with pytest.raises(BadScan, match="Another file lies at"):
        put_back(drop(tmp_path, "kept.png", "bytes"), pipe, CONTENT_SHA)
