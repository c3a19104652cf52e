"""Outputs appear whole or not at all: written beside their target, synced, then renamed over it."""

import errno
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from processor.errors import Transient
from processor.records import StagedFile

HASH_DIGITS = 12
STEM_BYTES = 160
"""The longest stem kept: file systems take 255 bytes a name, and `-<hash>-p<page>.<suffix>` comes on top."""

_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")
_FORBIDDEN = frozenset('<>:"/\\|?*')
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}


def output_name(file: str, sha256: str) -> str:
    """The stem of `file` and the first twelve hex digits of its content, safe on every file system.

    The same scan always gives the same name, so that a replay overwrites itself; two scans of one name
    differ by their content.
    """
    stem = "".join(_safe(character) for character in PurePosixPath(file).stem)
    while len(stem.encode()) > STEM_BYTES:
        stem = stem[:-1]
    # A leading dot hides the file and a leading dash turns it into an option of whatever command it meets.
    if stem[:1] in {".", "-", "~", " "}:
        stem = "_" + stem[1:]
    # Windows takes `con.2024.csv` for the console: only the part before the first dot counts.
    if stem.partition(".")[0].strip().lower() in _RESERVED:
        stem = "_" + stem
    return f"{stem}-{sha256[:HASH_DIGITS]}"


def _safe(character: str) -> str:
    # C: control, format (they turn the writing direction), surrogate (a name that is no UTF-8), unassigned.
    unprintable = unicodedata.category(character)[0] == "C" or unicodedata.category(character) in {"Zl", "Zp"}
    return "_" if unprintable or character in _FORBIDDEN else character


def stored_name(file: str) -> str:
    """`file` as text that UTF-8 can hold: bytes of a name that are no UTF-8 read `\\udcXX`."""
    return file.encode("utf-8", "backslashreplace").decode()


def file_name(stored: str) -> str:
    """The name on the file system that `stored_name` gave as text."""
    return _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), stored)


@contextmanager
def whole(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `target` when the block ends well, and is gone when it does not.

    A device or a pipe (`/dev/stdout`) is written directly. Raises Transient where the disk refuses.
    """
    target = target.resolve()
    with _disk_faults(target):
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(target)
        try:
            with part.open("xb") as stream:
                yield stream
                _sync(stream)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(target.parent)


def write_whole(target: Path, data: bytes) -> None:
    """Replaces `target` by `data` in one step. Raises Transient where the disk refuses."""
    with whole(target) as stream:
        stream.write(data)


def publish(staged: StagedFile) -> None:
    """Gives a staged file its final name, durably; a file of that name is replaced.

    Raises Transient where the disk refuses.
    """
    with _disk_faults(staged.target):
        staged.target.parent.mkdir(parents=True, exist_ok=True)
        with staged.staged.open("rb+") as stream:
            _sync(stream)
        _rename(staged.staged, staged.target)


def move_original(source: Path, target: Path) -> None:
    """Moves a scan that was dealt with, also to another file system; a move done before is no fault.

    Raises Transient where the disk refuses.
    """
    with _disk_faults(target):
        if not os.path.lexists(source) and target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        _rename(source, target)
        sync_folder(source.parent)


def _rename(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, target)
        return
    sync_folder(target.parent)


def _copy_across(source: Path, target: Path) -> None:
    """The copy is safe on its disk before the source goes: a crash leaves one of them, or both."""
    with source.open("rb") as stream, whole(target) as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
    shutil.copystat(source, target)
    source.unlink()


def _part(target: Path) -> Path:
    """A name beside `target` that the sweep of an inbox passes over, short enough for any target's name."""
    return target.with_name(f".{secrets.token_hex(8)}.part")


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """A rename outlives a power cut only once its folder is synced; Windows has no such call."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network shares know no fsync of a folder and say EINVAL; the rename itself is done.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _disk_faults(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        about = f" ({error.filename})" if error.filename not in {None, str(target)} else ""
        raise Transient(
            f"{target} cannot be written: {error.strerror or error}{about}.",
            "Make room or mend the permissions of its folder; it is tried again.",
        ) from error
