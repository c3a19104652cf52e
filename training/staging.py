"""How the archive is changed: by one command at a time, and each folder whole or not at all."""

import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from processor.errors import BadCommand, Transient
from processor.results.publish import sync_folder

Notice = Callable[[str], object]
"""Hears what a person should know and no program reads."""

LOCK = ".lock"
"""The system lets go of it when its process dies; the file itself stays."""

LOCK_SECONDS = 120.0
"""So long a command waits for another: the gates of a promotion take seconds."""

STALE_SECONDS = 3600.0
"""Unfinished work of this age belongs to a process that died: none of its steps takes so long."""

_UNFINISHED = re.compile(r"\.(.+-[0-9a-f]{8}|[0-9a-f]{16}\.part)")


def unheard(text: str) -> None:
    """The notice of who wants none."""


@contextmanager
def locked(models: Path, *, wait_seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Keeps every other command from changing the archive `models`, and clears what dead ones left in it.

    Raises BadCommand where another holds it too long, or the folder cannot be written.
    """
    with writable(models):
        models.mkdir(parents=True, exist_ok=True)
        lock = FileLock(models / LOCK)
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise BadCommand(
                f"Another command is changing {models}.", "Try again when it has ended."
            ) from None
    try:
        clear_unfinished(models)
        yield
    finally:
        lock.release()


@contextmanager
def writable(target: Path) -> Iterator[None]:
    """Turns what the disk refuses into BadCommand with the name of `target`."""
    try:
        yield
    except Transient as error:
        raise BadCommand(error.message, "Make room, or mend the permissions of its folder.") from None
    except OSError as error:
        raise BadCommand(f"{target} cannot be written: {error.strerror}.", "Check the folder.") from None


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder that takes the place of `target` when the block ends well, and is gone when it does not.

    Its files must be synced by who writes them; they become read-only. Killed at any moment, it leaves a
    folder with a leading dot, which no command takes for a model.
    """
    folder = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    with writable(target):
        folder.mkdir(parents=True)
        try:
            yield folder
            for file in folder.iterdir():
                _protect(file)
            sync_folder(folder)
            folder.rename(target)
        except BaseException:
            remove_folder(folder)
            raise
        sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Removes a folder and its read-only files; what cannot be removed stays without a word."""
    for file in folder.rglob("*") if folder.is_dir() else ():
        if file.is_file() and not file.is_symlink():
            file.chmod(file.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(folder, ignore_errors=True)


def clear_unfinished(models: Path, *, older_than_seconds: float = STALE_SECONDS) -> list[str]:
    """Removes the unfinished folders and files that dead processes left, and returns their names."""
    cleared = []
    for path in models.iterdir():
        if not _UNFINISHED.fullmatch(path.name) or path.is_symlink():
            continue
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if age > older_than_seconds:
            cleared.append(path.name)
            remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)
    return sorted(cleared)


def _protect(file: Path) -> None:
    """Takes the right to write from everybody, where the file system bears it: the hash tells it anyway."""
    mode = file.stat().st_mode
    try:
        file.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    except PermissionError:
        return
