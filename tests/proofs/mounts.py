"""File systems that come and go: mounted below a test's own folder, and gone when its block ends."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def mount(*arguments: str | Path) -> None:
    """`mount`, or the test is skipped where that is not allowed."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Takes the file system away at once, as a share goes: files that are open stay open."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def mounts_below(folder: Path) -> Iterator[None]:
    """A block after which nothing is mounted below `folder`, or at it."""
    try:
        yield
    finally:
        # Spaces and the like stand there as `\040`.
        lines = Path("/proc/mounts").read_bytes().splitlines()
        points = [Path(os.fsdecode(_ESCAPED.sub(_plain, line.split()[1]))) for line in lines]
        for point in reversed([point for point in points if point.is_relative_to(folder)]):
            with suppress(subprocess.CalledProcessError):
                unmount(point)


_ESCAPED = re.compile(rb"\\([0-7]{3})")


def _plain(escaped: re.Match[bytes]) -> bytes:
    return bytes([int(escaped[1], 8)])


def mount_memory(folder: Path, megabytes: int) -> None:
    """An empty file system of this size at `folder`."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)


def mount_share(store: Path, folder: Path) -> None:
    """What lies in `store` shows at `folder`, as a share does on the machines that use it."""
    folder.mkdir(exist_ok=True)
    mount("--bind", store, folder)


def write_protect(folder: Path) -> None:
    """Nothing can be written in `folder` until it is unmounted, not even by the administrator."""
    mount_share(folder, folder)
    mount("-o", "remount,ro,bind", folder)
