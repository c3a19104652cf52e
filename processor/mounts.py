"""On which file system a path lies, what is mounted where, and which folder has a name now."""

import os
from pathlib import Path

import psutil

NETWORK_FILE_SYSTEMS = frozenset(
    [
        *("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "smb", "smb2", "smb3", "smbfs", "vboxsf"),
        *("fuse.davfs2", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    ]
)
"""As the mount table names them: other machines may write to the same files."""


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as the mount table names it; empty where none does."""
    real = Path(os.path.realpath(path))  # which, unlike `resolve`, says nothing of a link to itself
    # The longest mount point holds it, and of several mounts at one point the last one covers the others.
    holding = [(point, kind) for point, kind in _mounts() if real.is_relative_to(point)]
    return max(reversed(holding), key=lambda mount: len(mount[0].parts))[1] if holding else ""


def mounts_below(folder: Path) -> list[Path]:
    """Where something is mounted below `folder`, a path without links."""
    return [point for point, _ in _mounts() if point != folder and point.is_relative_to(folder)]


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what has this name now, `None` where it cannot be reached."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Shares:
    """Folders that may lie on shares: one that was unmounted leaves an empty folder, which can be listed."""

    def __init__(self) -> None:
        self._mounts: dict[Path, Path] = {}

    def note(self, folder: Path) -> None:
        """Keeps in mind, of a folder that is seen for the first time, what is mounted there or above."""
        if folder not in self._mounts:
            above = (path for path in (folder, *folder.parents) if os.path.ismount(path))
            self._mounts[folder] = next(above, Path(folder.anchor))

    def lost(self, folder: Path) -> bool:
        """Whether what the folder lay on is no longer mounted; never of one that was not noted."""
        mount = self._mounts.get(folder)
        return mount is not None and not os.path.ismount(mount)

    def reaches(self, folder: Path) -> bool:
        """Whether the folder is there, and on what it lay when it was noted."""
        return os.path.isdir(folder) and not self.lost(folder)  # noqa: PTH112  (a Path raises on a stale share)


def _mounts() -> list[tuple[Path, str]]:
    try:
        table = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return []
    return [
        (Path(mount.mountpoint), "smb" if "remote" in mount.opts.split(",") else mount.fstype.lower())
        for mount in table
    ]
