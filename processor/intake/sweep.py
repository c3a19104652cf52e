"""Lists what lies in an inbox: every scan, and what could be taken for one."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from processor.fingerprints import sha256_of, stand_in
from processor.intake.folders import Folders, is_folder
from processor.intake.names import Ignored, is_foreign_folder, is_scan_name
from processor.intake.opening import open_below, open_regular
from processor.results.publish import file_name

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is named like a scan, as it lay there when it was listed.

    `root` is its inbox; `file` is its place below `root`, or the path as the person gave it, who may have
    `named` a link; `fault` says why it cannot be read, where a look at it already shows that. `identity`
    are its device, inode and ctime, in ns.
    """

    root: Path
    path: Path
    file: str
    size: int
    mtime_ns: int
    named: bool = False
    fault: str | None = None
    identity: tuple[int, int, int] = (0, 0, 0)


def sweep(
    folder: Path,
    *,
    root: Path,
    recursive: bool = True,
    ignore: Ignored | None = None,
    skip: Iterable[Path] = (),
    warn: Warn,
    miss: Warn | None = None,
    folders: Folders | None = None,
) -> Iterator[Found]:
    """Every scan below `folder` in the inbox `root`, ordered by name, without the folders in `skip`.

    `warn` hears what is named like a scan and is left alone (links, pipes, devices), and that `ignore` leaves
    nothing; `miss`, if it is another, which folders could not be listed. `folders` remembers them.
    """
    ignore = ignore or Ignored()
    kept = ignored = 0
    below = len(os.path.join(root, ""))  # noqa: PTH118  (the root with its slash, "/" too)
    for path in walk(
        str(folder), recursive, frozenset(map(str, skip)), folders or Folders(), warn, miss or warn
    ):
        if not is_scan_name(path.rpartition(os.sep)[2]):
            continue
        file = path[below:].replace(os.sep, "/")
        if file in ignore:
            ignored += 1
            continue
        kept += 1
        found = look(Path(path), root, file, warn)
        if found is not None:
            yield found
    if ignored and not kept:
        ignore.tell_of_all(folder, warn)


def look(path: Path, root: Path, file: str, warn: Warn, *, named: bool = False) -> Found | None:
    """What lies at `path`; `None` where it vanished meanwhile, or is not read.

    A link is followed only where a person `named` it. One that lies in an inbox would let whoever may drop
    files there read any other; where it leads to a scan in the same inbox, that is read in its own place.
    One that leads nowhere is a scan that cannot be read.
    """
    try:
        facts, fault = path.lstat(), None
        if stat.S_ISLNK(facts.st_mode):
            fault = _fault_of_link(path, named)
            if fault is None and not named:
                warn(f"{path} is a link and was left alone: drop in the file itself.")
                return None
            facts = facts if fault else path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        warn(f"{path} cannot be looked at: {error.strerror}.")
        return None
    if fault is None and not stat.S_ISREG(facts.st_mode):
        warn(f"{path} is no file (a pipe, socket or device) and was left alone.")
        return None
    if file_name(file) != file:
        # In the records this stands for a byte that is no UTF-8: the file would not be found again.
        warn(f"{path} has a backslash and `udc…` in its name, and was left alone: give it another name.")
        return None
    return Found(
        root=root,
        path=path,
        file=file.replace(os.sep, "/"),
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        named=named,
        fault=fault,
        identity=(facts.st_dev, facts.st_ino, facts.st_ctime_ns),
    )


def _fault_of_link(path: Path, named: bool) -> str | None:
    """What speaks against a link: that it leads nowhere, or, if `named`, to where we may not go."""
    try:
        path.stat()
    except OSError as error:
        if named or error.errno in {errno.ENOENT, errno.ELOOP}:
            return f"is a link to {path.readlink()}, which cannot be reached"
    return None


def fingerprint(found: Found, most_bytes: float = float("inf")) -> tuple[str, str | None]:
    """The sha256 of a scan's content, and why it could not be read where that is so.

    For one that cannot be read, and for one of more than `most_bytes`, which is not, its place, size and time
    stand. Raises FileNotFoundError where it was taken away since it was listed: another run may have read it.
    """
    fault = found.fault
    known = stand_in(found.path, found.size, found.mtime_ns)
    if fault is None and found.size <= most_bytes:
        try:
            with open_regular(found.path) if found.named else open_below(found.root, found.file) as stream:
                return sha256_of(stream, most_bytes), None
        except FileNotFoundError:
            raise
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
    return known, fault


def walk(
    folder: str, recursive: bool, skip: frozenset[str], folders: Folders, warn: Warn, miss: Warn
) -> Iterator[str]:
    """Everything below `folder` that is no folder, in the order of the names.

    Without recursion: whoever may drop folders can nest them deeper than Python's stack is.
    """
    levels = [iter(_entries(folders, folder, miss, inner=False))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif _is_link_to_folder(entry):
            if recursive and not is_foreign_folder(entry.name):
                warn(f"{entry.path} is a link to a folder and was left alone.")
        elif not is_folder(entry):
            yield entry.path
        elif recursive and not is_foreign_folder(entry.name) and entry.path not in skip:
            levels.append(iter(_entries(folders, entry.path, miss)))


def _entries(folders: Folders, folder: str, miss: Warn, *, inner: bool = True) -> list["os.DirEntry[str]"]:
    try:
        return folders.entries(folder)
    except OSError as error:
        # An inner folder that was moved away since the one above it was listed is no fault.
        if not (inner and isinstance(error, FileNotFoundError)):
            miss(f"{folder} cannot be listed: {error.strerror}.")
        return []


def _is_link_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False
