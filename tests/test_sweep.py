"""Listing an inbox: what is a scan by its name, what is not seen, what is spoken of."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.intake.sweep import Found, fingerprint, is_scan_name, look, sweep
from tests.stand_ins import drop


def listed(folder: Path, **options: object) -> tuple[list[Found], list[str]]:
    warnings: list[str] = []
    found = list(sweep(folder, root=folder, warn=warnings.append, **options))  # type: ignore[arg-type]
    return found, warnings


@pytest.mark.parametrize(
    "name", ["a.jpg", "A.JPEG", "form 1.png", "ä\n.tif", "x.tiff", "y.pdf", "z.heic", "a.b.webp"]
)
def test_images_and_pdfs_are_scans(name: str) -> None:
    assert is_scan_name(name)


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg",
        "._form.jpg",
        "~$form.pdf",
        "form.jpg~",
        "form.jpg.part",
        "form.jpg.crdownload",
        "form.tmp",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "notes.txt",
        "jpg",
        ".jpg",
        "",
    ],
)
def test_hidden_temporary_and_foreign_files_are_not_seen(name: str) -> None:
    assert not is_scan_name(name)


def test_ignored_patterns_are_not_seen() -> None:
    assert not is_scan_name("draft-1.png", ["draft-*", "*.bmp"])
    assert not is_scan_name("x.bmp", ["draft-*", "*.bmp"])
    assert is_scan_name("form.png", ["draft-*", "*.bmp"])


@given(st.text(min_size=1))
def test_a_hidden_name_is_never_a_scan(name: str) -> None:
    assert not is_scan_name("." + name)


def test_subfolders_come_in_the_order_of_the_names(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.png", "a/1.png", "c/deep/x.jpg", "a.png"):
        drop(tmp_path, name, "x")
    found, warnings = listed(tmp_path)
    assert [f.file for f in found] == ["a/1.png", "a/2.png", "a.png", "b.png", "c/deep/x.jpg"]
    assert all(f.root == tmp_path and f.path == tmp_path / f.file and f.size == 1 for f in found)
    assert warnings == []


def test_without_subfolders(tmp_path: Path) -> None:
    drop(tmp_path, "a.png", "x")
    drop(tmp_path, "sub/b.png", "x")
    assert [f.file for f in listed(tmp_path, recursive=False)[0]] == ["a.png"]


def test_a_folder_named_like_a_scan_is_a_folder(tmp_path: Path) -> None:
    drop(tmp_path, "x.png/inner.jpg", "x")
    assert [f.file for f in listed(tmp_path)[0]] == ["x.png/inner.jpg"]


def test_folders_of_others_and_left_out_folders_are_not_entered(tmp_path: Path) -> None:
    for folder in ("@eaDir", "__MACOSX", ".Trash-0", "lost+found", "results"):
        drop(tmp_path, f"{folder}/a.jpg", "x")
    drop(tmp_path, "mine/a.jpg", "x")
    assert [f.file for f in listed(tmp_path, skip=[tmp_path / "results"])[0]] == ["mine/a.jpg"]


def test_a_link_to_a_file_is_read_through_and_one_to_a_folder_is_left_alone(tmp_path: Path) -> None:
    real = drop(tmp_path, "elsewhere/real.dat", "12345")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "link.png").symlink_to(real)
    (inbox / "circle.png").symlink_to(inbox)
    found, warnings = listed(inbox)
    assert [(f.file, f.size, f.fault) for f in found] == [("link.png", 5, None)]
    assert len(warnings) == 1
    assert "circle.png" in warnings[0]


def test_a_dangling_link_is_a_scan_with_a_fault(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to("nowhere")
    (found,), warnings = listed(tmp_path)
    assert found.fault == "is a link to nowhere, which cannot be reached"
    assert warnings == []


def test_a_pipe_is_left_alone_with_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    found, warnings = listed(tmp_path)
    assert found == []
    assert "pipe.png" in warnings[0]


def test_a_folder_that_is_gone_is_a_warning(tmp_path: Path) -> None:
    found, warnings = listed(tmp_path / "gone")
    assert found == []
    assert "cannot be listed" in warnings[0]


def test_a_file_that_vanished_is_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "a.png", tmp_path, "a.png", pytest.fail) is None


def test_a_name_that_is_no_utf8_is_found(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.png")).write_text("x")
    (found,), _ = listed(tmp_path)
    assert found.path.exists()
    assert found.file == "b\udcff.png"


def test_the_fingerprint_is_the_hash_of_the_content(tmp_path: Path) -> None:
    drop(tmp_path, "a.png", b"content")
    (found,), _ = listed(tmp_path)
    assert fingerprint(found) == (hashlib.sha256(b"content").hexdigest(), None)


def test_unreadable_scans_have_fingerprints_of_their_own_and_say_why(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).symlink_to("nowhere")
    one, other = listed(tmp_path)[0]
    first, fault = fingerprint(one)
    assert fault == one.fault
    assert first != fingerprint(other)[0]
    assert first == fingerprint(one)[0]


def test_a_scan_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = drop(tmp_path, "a.png", "x")
    (found,), _ = listed(tmp_path)
    path.unlink()
    path.mkdir()
    _, fault = fingerprint(found)
    assert fault == "cannot be read: Is a directory"
