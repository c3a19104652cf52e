"""Lists what lies in an inbox: which files are scans, and which names are none of our business."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".pdf"}
    | {".heic", ".heif", ".hif"}
)
"""Kinds that may hold a scan. What a file really is, its content decides."""

# Folders that network storage, archives and recycle bins keep for themselves; thumbnails look like scans.
_FOREIGN_FOLDERS = frozenset(
    {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is named like a scan, as it lay there when it was listed.

    `root` is its inbox; `file` is its place below `root`, or the path as the person gave it; `fault` says why
    it cannot be read, where a look at it already shows that.
    """

    root: Path
    path: Path
    file: str
    size: int
    mtime_ns: int
    fault: str | None = None


def is_scan_name(name: str, ignore: Iterable[str] = ()) -> bool:
    """Whether a file of this name is a scan: not hidden, not temporary, a kind we know, not ignored."""
    if name.startswith((".", "~")) or name.endswith("~"):
        return False
    if os.path.splitext(name)[1].lower() not in SUFFIXES:  # noqa: PTH122  (Path("a/.png").suffix differs)
        return False
    return not any(fnmatch(name, pattern) for pattern in ignore)


def sweep(
    folder: Path,
    *,
    root: Path,
    recursive: bool = True,
    ignore: Iterable[str] = (),
    skip: Iterable[Path] = (),
    warn: Callable[[str], None],
) -> Iterator[Found]:
    """Every scan below `folder` in the inbox `root`, ordered by name, without the folders in `skip`.

    Links to folders are not followed: they can lead in circles. `warn` hears what is named like a scan and
    can never be one (pipes, sockets), and which folders could not be listed.
    """
    for path in _walk(folder, recursive, frozenset(skip), warn):
        if is_scan_name(path.name, ignore):
            found = look(path, root, str(path.relative_to(root)), warn)
            if found is not None:
                yield found


def _walk(
    folder: Path, recursive: bool, skip: frozenset[Path], warn: Callable[[str], None]
) -> Iterator[Path]:
    """Everything below `folder` that is no folder, in the order of the names."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        warn(f"{folder} cannot be listed: {error.strerror}.")
        return
    for entry in entries:
        path = folder / entry.name
        if not _is_folder(entry):
            yield path
        elif recursive and not _is_foreign_folder(entry.name) and path not in skip:
            yield from _walk(path, recursive, skip, warn)


def look(path: Path, root: Path, file: str, warn: Callable[[str], None]) -> Found | None:
    """What lies at `path`; `None` where it vanished meanwhile or can never be a scan."""
    try:
        facts = path.lstat()
        fault = None
        if stat.S_ISLNK(facts.st_mode):
            try:
                facts = path.stat()
            except OSError:
                fault = f"is a link to {path.readlink()}, which cannot be reached"
    except FileNotFoundError:
        return None
    if fault is None and not stat.S_ISREG(facts.st_mode):
        warn(f"{path} is no file (a pipe, socket, device or a link to a folder) and was left alone.")
        return None
    return Found(
        root=root,
        path=path,
        file=file.replace(os.sep, "/"),
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        fault=fault,
    )


def fingerprint(found: Found) -> tuple[str, str | None]:
    """The sha256 of a scan's content, and why it could not be read where that is so.

    A scan that cannot be read gets the hash of what is known of it: it too has one row and one report.
    Raises FileNotFoundError where it was taken away since it was listed: another run may have read it.
    """
    fault = found.fault
    if fault is None:
        try:
            with found.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest(), None
        except FileNotFoundError:
            raise
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
    known = f"unreadable\0{found.path}\0{found.size}\0{found.mtime_ns}"
    return hashlib.sha256(os.fsencode(known)).hexdigest(), fault


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_foreign_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _FOREIGN_FOLDERS
