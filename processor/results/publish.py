"""Outputs appear whole or not at all: written beside their target, synced, then renamed over it."""

import errno
import os
import re
import secrets
import shutil
import stat
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from processor.errors import Transient, to_write_again
from processor.fingerprints import blocks, sha256_of, stand_in

if TYPE_CHECKING:
    # At run time it would bring NumPy to whoever only looks at the database.
    from processor.records import StagedFile

HASH_DIGITS = 12
STEM_BYTES = 160
"""The longest stem kept: file systems take 255 bytes a name, and `-<hash>-p<page>.<suffix>` comes on top."""

UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names of files that are being written: no sweep of an inbox sees them, and any file system bears them."""

_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_FORBIDDEN = frozenset('<>:"/\\|?*')
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}


def output_name(file: str, sha256: str) -> str:
    """The stem of `file` and the first twelve hex digits of its content, safe on every file system.

    The same scan always gives the same name, so that a replay overwrites itself, also where it comes back
    under the name that it was kept under; two scans of one name differ by their content.
    """
    stem = "".join(_safe(character) for character in own_stem(PurePosixPath(file).stem, sha256))
    while len(stem.encode()) > STEM_BYTES:
        stem = stem[:-1]
    # A leading dot hides the file and a leading dash turns it into an option of whatever command it meets.
    if stem[:1] in {".", "-", "~", " "}:
        stem = "_" + stem[1:]
    # Windows takes `con.2024.csv` for the console: only the part before the first dot counts.
    if stem.partition(".")[0].strip().lower() in _RESERVED:
        stem = "_" + stem
    return f"{stem}-{sha256[:HASH_DIGITS]}"


def own_stem(stem: str, sha256: str) -> str:
    """`stem` without the hash of its own content, which it has where it was an output's name, even twice."""
    mark = f"-{sha256[:HASH_DIGITS]}"
    while stem.endswith(mark) and stem != mark:
        stem = stem.removesuffix(mark)
    return stem


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


def publish(staged: "StagedFile") -> None:
    """Gives a staged file its final name, durably; a file of that name is replaced.

    The folder is made where it is missing, but not the one above it: a results folder that is away must not
    come up anew beside the share that holds it. Raises Transient where the disk refuses.
    """
    with _disk_faults(staged.target):
        _make(staged.target.parent)
        with staged.staged.open("rb+") as stream:
            _sync(stream)
        _rename(staged.staged, staged.target)


def move_original(source: Path, target: Path, *, sha256: str | None = None) -> bool:
    """Moves a scan that was dealt with, also to another file system; a move done before is no fault.

    With `sha256`, only while it holds that content: what came under its name since was not read, and stays.
    Tells whether it was moved. Raises Transient where the disk refuses.
    """
    with _disk_faults(target):
        if not os.path.lexists(source) and target.exists():
            return True
        held = _held(source, sha256)
        if held is None:
            return False
        _make(target.parent)
        if os.path.lexists(target) and _mark(target.lstat())[:2] == held[:2]:
            # To rename one link of a file to another one does nothing, and says nothing.
            source.unlink()
        elif not _rename(source, target, held):
            return False
        sync_folder(source.parent)
        return True


def remove_leftovers(folder: Path, older_than_seconds: float) -> None:
    """Removes the unfinished files in `folder` that a program which was killed long ago left there."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not UNFINISHED.fullmatch(entry.name):
                continue
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > older_than_seconds:
                    Path(entry.path).unlink()


_Held = tuple[int, int, int, int]


def _held(source: Path, sha256: str | None) -> _Held | None:
    """What tells the file that lies at `source` now from any other; `None` where its content is not `sha256`.

    A file that cannot be opened is taken at its word: so it was when it was dealt with. What is no file, a
    folder that took its place, was never read.
    """
    facts = source.lstat()
    if sha256 is None or (stat.S_ISREG(facts.st_mode) and _is_unread(source, facts, sha256)):
        return _mark(facts)
    try:
        # Where a pipe took its place, opening it would wait for somebody to write.
        with os.fdopen(os.open(source, os.O_RDONLY | _NO_WAIT), "rb") as stream:
            mark = _mark(os.fstat(stream.fileno()))
            return mark if sha256_of(stream) == sha256 else None
    except FileNotFoundError:
        raise
    except OSError:
        facts = source.lstat()
        return _mark(facts) if stat.S_ISREG(facts.st_mode) else None


def _is_unread(source: Path, facts: os.stat_result, sha256: str) -> bool:
    return stand_in(source, facts.st_size, facts.st_mtime_ns) == sha256


def _mark(facts: os.stat_result) -> _Held:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _rename(source: Path, target: Path, held: _Held | None = None) -> bool:
    """Renames `source`; one that is `held` only if it is still the same file, at the last moment."""
    if held is not None and _mark(source.lstat()) != held:
        return False
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _copy_across(source, target, held)
    sync_folder(target.parent)
    return True


def _copy_across(source: Path, target: Path, held: _Held | None) -> bool:
    """The copy is safe on its disk before the source goes: a crash leaves one of them, or both."""
    if shutil.disk_usage(target.parent).free < source.stat().st_size:
        # Found out by trying, it would fill the disk for everybody else, each time that it is tried.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with suppress(_Changed):
        with source.open("rb") as stream, whole(target) as copy:
            for block in blocks(stream):
                copy.write(block)
            copy.flush()
            shutil.copystat(source, copy.name)
            _check(source, held)
        _check(source, held)
        source.unlink()
        return True
    return False


class _Changed(Exception):
    """A file is no longer the one that was looked at."""


def _check(source: Path, held: _Held | None) -> None:
    if held is not None and _mark(source.lstat()) != held:
        raise _Changed


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        return
    sync_folder(folder.parent)


def _part(target: Path) -> Path:
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
            f"{to_write_again(error)} It is tried again.",
        ) from error
