"""What C libraries say of damage on stderr only, while they go on as if nothing was."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def complaints(own: re.Pattern[bytes]) -> Iterator[list[bytes]]:
    """A list that holds, after the block, the lines that were written to file descriptor 2 within it.

    The pipe is not read until then and takes 64 KB, whatever a hostile file makes a library say. Lines that
    do not begin with `own` are somebody else's, and are passed on.
    """
    said: list[bytes] = []
    try:
        stderr = os.dup(2) if os.name == "posix" else None
    except OSError:  # a daemon may run with stderr closed: then there is nothing to hear
        stderr = None
    if stderr is None:
        yield said
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield said
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        with os.fdopen(reader, "rb") as pipe:
            said += pipe.read().splitlines(keepends=True)
        foreign = b"".join(line for line in said if not own.match(line))
        with suppress(OSError):
            os.write(2, foreign)
