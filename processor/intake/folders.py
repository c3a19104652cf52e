"""What lies in each folder of an inbox; one that held only folders is not listed again until it changed.

An inbox that is filled by year, month and day is mostly such folders, and is listed once a minute for a year.
"""

import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from processor.mounts import file_system

TRUSTED = frozenset({"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs", "zfs"})
"""File systems of this machine alone, on which a folder's time of change is that of its last new name."""

SETTLED_SECONDS = 2.0
"""Two changes within one tick of the clock have one time: it tells of the next once it is so old."""


class _State(NamedTuple):
    """A folder as `lstat` knows it. Its ctime, unlike its mtime, no program can set."""

    device: int
    inode: int
    changed_ns: int


class Folders:
    """The entries of folders, in the order of their names, between `begin` and `end` of a whole listing.

    What is kept of a folder are entries that are folders all: files change without their folder. Folders that
    a whole listing did not come by are forgotten.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[_State, list[os.DirEntry[str]]]] = {}
        self._met: dict[str, tuple[_State, list[os.DirEntry[str]]]] = {}
        self._devices: frozenset[int] = frozenset()

    def begin(self, roots: Iterable[Path]) -> None:
        """Finds out on which of the file systems of `roots` the times of folders can be trusted."""
        devices = set()
        for root in roots:
            with suppress(OSError):
                if file_system(root) in TRUSTED:
                    devices.add(root.stat().st_dev)
        self._devices = frozenset(devices)

    def trusts(self, device: int) -> bool:
        """Whether the inodes and the times of change on this device, of a root, are what they seem."""
        return device in self._devices

    def end(self) -> None:
        """Forgets the folders that are no longer there."""
        self._kept, self._met = self._met, {}

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """All that lies in `folder`. Raises OSError where it cannot be listed."""
        state = self._state(folder)
        known = self._kept.get(folder)
        if known is None or known[0] != state:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
            if state is None or not all(map(is_folder, found)):
                return found
            known = state, found
        self._met[folder] = known
        return known[1]

    def _state(self, folder: str) -> _State | None:
        """`None` where it would not tell of the next change; taken before the folder is listed."""
        try:
            found = os.lstat(folder)
        except OSError:
            return None
        settled = time.time_ns() - found.st_ctime_ns > SETTLED_SECONDS * 1e9
        if not settled or not stat.S_ISDIR(found.st_mode) or found.st_dev not in self._devices:
            return None
        return _State(found.st_dev, found.st_ino, found.st_ctime_ns)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, and no link to one."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
