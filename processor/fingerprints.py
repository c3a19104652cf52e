"""What a scan is known by: the hash of its content; place, size and time stand for one that was not read."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from processor.errors import TooLarge
from processor.settings import Limits

AT_ONCE = 1 << 20
"""Bytes of a file that are read between two looks at what has to go on meanwhile."""

_meanwhile: ContextVar[Callable[[], object]] = ContextVar("meanwhile", default=lambda: None)


@contextmanager
def meanwhile(do: Callable[[], object]) -> Iterator[None]:
    """Within it, `do` is called again and again while a large file is hashed or copied.

    Such a file takes minutes, in which a loop must show that it lives. What `do` raises ends the reading.
    """
    token = _meanwhile.set(do)
    try:
        yield
    finally:
        _meanwhile.reset(token)


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The content of a file, a block at a time."""
    do = _meanwhile.get()
    while block := stream.read(AT_ONCE):
        yield block
        do()


def sha256_of(stream: BinaryIO, most: float = float("inf")) -> str:
    """The hash of the content; of one that outgrows `most` bytes while it is read, of about so many.

    A file that somebody goes on writing to has no end.
    """
    digest, count = hashlib.sha256(), 0
    for block in blocks(stream):
        digest.update(block)
        count += len(block)
        if count > most:
            break
    return digest.hexdigest()


def stand_in(path: Path, size: int, mtime_ns: int) -> str:
    """What is known of a file that is not read, in the form of a hash: it has one row and one report, too."""
    return hashlib.sha256(os.fsencode(f"unreadable\0{path}\0{size}\0{mtime_ns}")).hexdigest()


def stands_for(path: Path, sha256: str, *, was: Path | None = None) -> bool:
    """Whether `sha256` is what stands for the unread file at `path`, which lay at `was` when it was seen."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return stand_in(was or path, facts.st_size, facts.st_mtime_ns) == sha256


def refuse_large(size: int, name: str, limits: Limits) -> None:
    """Raises TooLarge where a file of `size` bytes exceeds the `limits`: asked before it is read, too."""
    if size > limits.max_megabytes * 1e6:
        raise TooLarge(
            f"{name} has {size / 1e6:.1f} megabytes; the limit is {limits.max_megabytes:g}.",
            "Split or recompress the file, or raise limits.max_megabytes.",
        )
