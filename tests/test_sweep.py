"""Listing an inbox: what is a scan by its name, what is not seen, what is spoken of."""

import hashlib
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.intake.names import Ignored, is_scan_name
from processor.intake.opening import open_below, open_regular
from processor.intake.sweep import Found, fingerprint, look, sweep
from tests.stand_ins import drop


def listed(folder: Path, **options: Any) -> tuple[list[Found], list[str]]:
    warnings: list[str] = []
    found = list(sweep(folder, root=folder, warn=warnings.append, **options))
    return found, warnings


@pytest.mark.parametrize(
    "name", ["a.jpg", "A.JPEG", "form 1.png", "ä\n.tif", "x.tiff", "y.pdf", "z.heic", "a.b.webp"]
)
def test_images_and_pdfs_are_scans(name: str) -> None:
    assert is_scan_name(name)


def test_a_name_that_the_records_would_take_for_another_is_spoken_of(tmp_path: Path) -> None:
    """A byte that is no UTF-8 is written like this there; such a scan was queued, and never found again."""
    drop(tmp_path, "a\\udcff.png", "1")
    drop(tmp_path, "a\\u00ff.png", "2")
    drop(tmp_path, "b\udcff.png", "3")
    found, warnings = listed(tmp_path)
    assert sorted(one.file for one in found) == ["a\\u00ff.png", "b\udcff.png"]
    assert [("a\\udcff.png" in warning, "another name" in warning) for warning in warnings] == [(True, True)]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg",
        "._form.jpg",
        "~$form.pdf",
        "form.jpg~",
        "form.jpg.part",
        "form.jpg.crdownload",
        "form.pdf.filepart",
        "form.PDF.partial",
        "form.part.jpg",
        "form.TMP.pdf",
        "~form.jpg",
        ".syncthing.form.jpg.tmp",
        ".form.jpg.Xy12Az",
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


@pytest.mark.parametrize("name", ["party.png", "form.particular.jpg", "1.tempera.pdf", "a~b.png"])
def test_a_name_that_only_looks_a_little_temporary_is_a_scan(name: str) -> None:
    assert is_scan_name(name)


IGNORED = [
    ("draft-*", "draft-1.png", True),
    ("draft-*", "sub/Draft-1.PNG", True),
    ("draft-*", "drafts/form.png", False),
    ("draft-*", "draft-2024/form.png", False),
    ("*.BMP", "x.bmp", True),
    ("*.bmp", "x.bmp.png", False),
    ("old/", "old/form.png", True),
    ("old/", "OLD/deep/form.png", True),
    ("./old/", "old/form.png", True),
    ("old/", "sub/old/form.png", False),
    ("*/old/", "sub/deep/old/form.png", True),
    ("old/*.png", "old/form.jpg", False),
    ("/form.png", "form.png", True),
    ("/form.png", "sub/form.png", False),
    ("[ab].png", "a.png", True),
    ("scan [1].png", "scan [1].png", False),
    ("zwölf*", "ZWÖLF.png", True),
]


@pytest.mark.parametrize(("pattern", "file", "left_out"), IGNORED)
def test_patterns_are_compared_with_the_name_or_the_path(pattern: str, file: str, left_out: bool) -> None:
    assert (file in Ignored([pattern])) == left_out
    assert (file in Ignored(["nothing", pattern])) == left_out
    assert file not in Ignored()


def test_ignored_scans_are_not_listed(tmp_path: Path) -> None:
    for name in ("form.png", "draft-1.png", "old/form.png"):
        drop(tmp_path, name, "x")
    found, warnings = listed(tmp_path, ignore=Ignored(["draft-*", "old/"]))
    assert [f.file for f in found] == ["form.png"]
    assert warnings == []


@pytest.mark.parametrize("pattern", ["*", "*.*", "*.png", "*/*"])
def test_a_pattern_that_leaves_nothing_is_warned_of_once(tmp_path: Path, pattern: str) -> None:
    ignored = Ignored([pattern])
    assert listed(tmp_path, ignore=ignored) == ([], []), "an empty inbox is no fault of the pattern"
    drop(tmp_path, "sub/a.png", "x")
    drop(tmp_path, "notes.txt", "x")
    found, (warning,) = listed(tmp_path, ignore=ignored)
    assert found == []
    assert f"intake.ignore = '{pattern}' leaves out every scan" in warning
    assert str(tmp_path) in warning
    assert listed(tmp_path, ignore=ignored) == ([], [])


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


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_links_are_left_alone_with_a_word_wherever_they_lead(tmp_path: Path, inbox: Path) -> None:
    """One that leads out would let whoever may drop files read any other that the program may read."""
    drop(tmp_path, "outside/secret.png", "x")
    drop(inbox, "page.png", "x")
    (inbox / "out.png").symlink_to(tmp_path / "outside/secret.png")
    (inbox / "folder").symlink_to(tmp_path / "outside")
    (inbox / "circle.png").symlink_to(inbox)
    (inbox / ".hidden").symlink_to(inbox)
    (inbox / "inside.png").symlink_to("page.png")
    found, warnings = listed(inbox)
    assert [f.file for f in found] == ["page.png"]
    assert [text.removeprefix(f"{inbox}/") for text in warnings] == [
        "circle.png is a link to a folder and was left alone.",
        "folder is a link to a folder and was left alone.",
        "inside.png is a link and was left alone: drop in the file itself.",
        "out.png is a link and was left alone: drop in the file itself.",
    ]
    assert len(listed(inbox, recursive=False)[1]) == 2, "other folders are not looked into anyway"


def test_a_link_that_a_person_named_is_followed(tmp_path: Path) -> None:
    real = drop(tmp_path, "real.dat", "12345")
    link = tmp_path / "link.png"
    link.symlink_to(real)
    found = look(link, tmp_path, "link.png", pytest.fail, named=True)
    assert found is not None
    assert found.size == 5
    assert fingerprint(found) == (hashlib.sha256(b"12345").hexdigest(), None)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("target", ["nowhere", "gone.png"])
def test_a_link_that_leads_nowhere_is_a_scan_with_a_fault(tmp_path: Path, target: str, named: bool) -> None:
    (tmp_path / "gone.png").symlink_to(target)
    found = look(tmp_path / "gone.png", tmp_path, "gone.png", pytest.fail, named=named)
    assert found is not None
    assert found.fault == f"is a link to {target}, which cannot be reached"
    drop(tmp_path, "nowhere", "came later")
    assert fingerprint(found)[1] == found.fault


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def a_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make devices")


@pytest.mark.parametrize("make", [a_pipe, a_socket, a_device])
def test_what_is_no_file_is_left_alone_with_a_word(inbox: Path, make: Callable[[Path], None]) -> None:
    make(inbox / "no-file.png")
    found, (warning,) = listed(inbox)
    assert found == []
    assert str(inbox / "no-file.png") in warning
    assert look(inbox / "no-file.png", inbox, "no-file.png", lambda _: None, named=True) is None


def test_hard_links_are_files_like_any_other(inbox: Path) -> None:
    one = drop(inbox, "a.png", "x")
    (inbox / "b.png").hardlink_to(one)
    found, warnings = listed(inbox)
    assert [f.file for f in found] == ["a.png", "b.png"]
    assert fingerprint(found[0]) == fingerprint(found[1])
    assert warnings == []


def exchange(path: Path, target: Path) -> None:
    path.rename(path.with_name("was"))
    path.symlink_to(target)


@pytest.mark.parametrize("exchanged", ["sub/page.png", "sub"])
def test_what_is_exchanged_for_a_link_after_it_was_listed_is_not_followed(
    tmp_path: Path, inbox: Path, exchanged: str
) -> None:
    drop(inbox, "sub/page.png", "mine")
    secret = drop(tmp_path, "outside/page.png", "secret")
    (found,), _ = listed(inbox)
    exchange(inbox / exchanged, secret if exchanged.endswith("png") else secret.parent)
    sha256, fault = fingerprint(found)
    assert sha256 != hashlib.sha256(b"secret").hexdigest()
    assert fault is not None
    assert fault.startswith("cannot be read: ")


def test_a_pipe_that_took_the_place_of_a_scan_is_not_waited_for(inbox: Path) -> None:
    path = drop(inbox, "page.png", "x")
    (found,), _ = listed(inbox)
    path.unlink()
    os.mkfifo(path)
    assert fingerprint(found)[1] == "cannot be read: It is no file (a pipe, socket or device)"
    with pytest.raises(OSError, match="a pipe"):
        open_regular(path)


def test_opening_leaves_no_file_open(tmp_path: Path) -> None:
    drop(tmp_path, "a/b/c.png", "x")
    (tmp_path / "link").symlink_to("a")

    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    for file in ("a/b/c.png", "a/b/none.png", "a/none/c.png", "a/b", "link/b/c.png"):
        with suppress(OSError), open_below(tmp_path, file) as stream:
            assert stream.read() == b"x"
            assert held() == before + 1
    assert held() == before


def test_folders_deeper_than_the_stack_of_calls_are_listed(inbox: Path) -> None:
    """Whoever drops folders can nest them as deep as the system's longest path."""
    folders = [inbox]
    for _ in range(1500):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    scan = drop(folders[-1], "deep.png", "x")
    found, warnings = listed(inbox)
    assert [f.file for f in found] == ["d/" * 1500 + "deep.png"]
    assert warnings == []
    # Python's own removal of a tree would run out of stack.
    scan.unlink()
    for folder in reversed(folders):
        folder.rmdir()


def test_a_root_that_is_the_root_of_all(inbox: Path) -> None:
    scan = drop(inbox, "a/b.png", "x")
    (found,) = sweep(inbox, root=Path("/"), warn=pytest.fail)
    assert found.path == scan
    assert Path("/", found.file) == scan
    assert fingerprint(found) == (hashlib.sha256(b"x").hexdigest(), None)


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
    def named(name: str) -> Found:
        found = look(tmp_path / name, tmp_path, name, pytest.fail, named=True)
        assert found is not None
        return found

    for name in ("a.png", "b.png"):
        (tmp_path / name).symlink_to("nowhere")
    one, other = named("a.png"), named("b.png")
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
