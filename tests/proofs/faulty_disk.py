"""A disk that makes one call in so many fail, for the processes that are started with it."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

WRITES = ("create", "write", "sync", "rename", "link", "unlink", "mkdir", "truncate")
READS = ("open", "read")
_KINDS = (*WRITES, *READS)
_SETTINGS = struct.Struct("=5Q")
_COUNTS = struct.Struct(f"={2 * len(_KINDS)}Q")
_SOURCE = Path(__file__).with_name("failing_calls.c")


class FaultyDisk:
    """Faults in all that touches files below `below`, made by `failing_calls.c`; none until they begin.

    `environment` is what a process needs in order to meet them, and all processes that it starts.
    """

    def __init__(self, folder: Path, below: Path) -> None:
        if shutil.which("cc") is None:
            pytest.skip("there is no C compiler (cc), which the failing disk is made with")
        library, file = folder / "failing_calls.so", folder / "faults"
        compile_ = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(compile_, check=True, capture_output=True)
        file.write_bytes(bytes(_SETTINGS.size + _COUNTS.size) + os.fsencode(below).ljust(1024, b"\0"))
        with file.open("r+b") as stream:
            self._shared = mmap.mmap(stream.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "FAULTS": str(file)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()

    def begin(self, number: int, one_in: int, *kinds: str, seed: int = 5) -> None:
        """From now on one call in so many of these kinds fails with this errno."""
        bits = sum(1 << _KINDS.index(kind) for kind in kinds)
        self._shared[: _SETTINGS.size] = _SETTINGS.pack(0, one_in, seed, number, bits)

    def mend(self) -> None:
        """From now on none fails."""
        self._shared[: _SETTINGS.size] = _SETTINGS.pack(0, 0, 0, errno.EIO, 0)

    @property
    def calls(self) -> dict[str, int]:
        """How many calls of each kind there were while some failed."""
        return dict(zip(_KINDS, self._counts[: len(_KINDS)], strict=True))

    @property
    def failed(self) -> dict[str, int]:
        """How many of them failed."""
        return dict(zip(_KINDS, self._counts[len(_KINDS) :], strict=True))

    @property
    def _counts(self) -> tuple[int, ...]:
        return _COUNTS.unpack_from(self._shared, _SETTINGS.size)
