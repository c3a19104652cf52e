"""Opens files that strangers put there: nothing but a regular file, and no way out of the inbox."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)


def open_regular(path: Path) -> BufferedReader:
    """The file at `path`, which a person named: links are followed.

    Opening a pipe would wait for somebody to write to it, and reading a device need never end.
    Raises OSError, with a reason in words, for whatever is no regular file.
    """
    return _regular(os.open(path, os.O_RDONLY | _NO_WAIT))


def open_below(root: Path, file: str) -> BufferedReader:
    """The file `file` (parts divided by `/`) below the folder `root`, reached without following any link.

    Each part is opened within the one before, so that no folder or file that is exchanged for a link after it
    was listed leads anywhere else. Raises OSError.
    """
    if os.open not in os.supports_dir_fd:
        return open_regular(root / file)
    *folders, name = file.split("/")
    here = os.open(root, os.O_RDONLY | _NO_WAIT | _FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | _NO_WAIT | _NO_LINK | _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        return _regular(os.open(name, os.O_RDONLY | _NO_WAIT | _NO_LINK, dir_fd=here))
    finally:
        os.close(here)


def _regular(descriptor: int) -> BufferedReader:
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "It is no file (a pipe, socket or device)")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
