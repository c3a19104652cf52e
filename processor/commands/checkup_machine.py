"""The checks of what a run stands on: libraries, cores and memory, the clock, the terminal."""

import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from processor.commands.checkup import CLOCK_SECONDS, Check, warning
from processor.settings import LoadedSettings

WORKER_MB = 1000.0
"""What a worker takes with its model and an A4 page of 300 dpi, and room for a larger one."""

_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "pillow", "pypdfium2", "SQLAlchemy", "watchdog")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def libraries(_: LoadedSettings) -> Iterator[Check]:
    """The versions that a report of a fault needs, and what is read only with an extra."""
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    yield Check(name="libraries", found=", ".join(versions))
    if importlib.util.find_spec("pillow_heif") is None:
        yield warning("HEIC", "photos of phones (.heic) cannot be read", "pip install digit-inbox[heic]")
    else:
        yield Check(name="HEIC", found="can be read")


def machine(settings: LoadedSettings) -> Iterator[Check]:
    """Cores and memory, against the workers that are to run."""
    count = settings.values.workers.resolved_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{count} workers of one thread each, {cores} cores"
    if count > cores:
        yield warning("cores", said, f"Set workers.count to {cores}, or auto: more only wait for each other.")
    else:
        yield Check(name="cores", found=said)
    memory = _memory_mb()
    said = f"{memory:.0f} MB for {count} workers"
    if memory < count * WORKER_MB:
        fewer = max(1, int(memory // WORKER_MB))
        yield warning("memory", said, f"A worker takes up to {WORKER_MB:g} MB: set workers.count to {fewer}.")
    else:
        yield Check(name="memory", found=said)


def _memory_mb() -> float:
    """The memory of this machine, or what the container may take of it."""
    total = float(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        limit = "max"
    return (min(total, float(limit)) if limit.isdecimal() else total) / 1e6


def clock(settings: LoadedSettings) -> Iterator[Check]:
    """Whether the results' file system and this machine have the same time, as a share's server may not."""
    if not settings.results.is_dir():
        return
    with tempfile.TemporaryFile(dir=settings.results) as file:
        file.write(b"?")
        file.flush()
        apart = os.fstat(file.fileno()).st_mtime - time.time()
    if abs(apart) > CLOCK_SECONDS:
        said = f"the file system of {settings.results} is {apart:+.0f} s from this machine"
        yield warning("clock", said, "Set both by one time server.")
    else:
        yield Check(name="clock", found=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")


def terminal(_: LoadedSettings) -> Iterator[Check]:
    """Whether the terminal can show any name of a file."""
    encoding = (sys.stdout.encoding or "").lower()
    if encoding.replace("-", "") == "utf8":
        yield Check(name="terminal", found=encoding)
    else:
        said = f"{encoding or 'of no known encoding'}: some letters of file names are shown as \\u…"
        yield warning("terminal", said, "Set LC_ALL=C.UTF-8, or PYTHONUTF8=1.")
