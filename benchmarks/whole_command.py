"""The real command over a folder of pages: how long it takes, what it costs, and what its processes hold."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks.product import home
from benchmarks.rivals import children_seconds

LOOK_SECONDS = 0.3
"""The system keeps each process's peak: it is only asked often enough to meet every process alive."""

WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run from a cold start: `peaks_mb` of the parent and each of its processes, in 10^6 bytes."""

    pages: int
    seconds: float
    cpu_seconds: float
    peaks_mb: dict[str, float]


def run_once(
    folder: Path, workers: int | None = None, environment: Mapping[str, str] | None = None
) -> Finished:
    """`processor run --once` over `folder` in an empty home, with default settings but for `environment`."""
    options = [] if workers is None else ["--workers", str(workers)]
    command = [sys.executable, "-m", "processor", "run", "--once", str(folder), "--quiet", "--json", *options]
    with home() as place:
        before, began = children_seconds(), perf_counter()
        process = subprocess.Popen(
            command, cwd=place, stdout=subprocess.PIPE, text=True, env=os.environ | dict(environment or {})
        )
        with peaks_of(process.pid) as peaks:
            answer = process.communicate()[0]
        seconds, spent = perf_counter() - began, children_seconds() - before
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {answer}")
    pages = int(json.loads(answer)["pages"])
    return Finished(pages=pages, seconds=seconds, cpu_seconds=spent, peaks_mb=peaks)


@contextmanager
def peaks_of(parent: int) -> Iterator[dict[str, float]]:
    """The peak of the memory of `parent` and of each of its processes; known once the block is over."""
    peaks: dict[tuple[str, int], float] = {}
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(parent, peaks, ended))
    watcher.start()
    named: dict[str, float] = {}
    try:
        yield named
    finally:
        ended.set()
        watcher.join()
        for role in dict.fromkeys(role for role, _ in sorted(peaks)):
            held = [megabytes for (other, _), megabytes in sorted(peaks.items()) if other == role]
            alone = len(held) == 1 and role != WORKER
            names = [role] if alone else [f"{role} {number}" for number in range(1, len(held) + 1)]
            named |= dict(zip(names, held, strict=True))


def _watch(parent: int, peaks: dict[tuple[str, int], float], ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(parent)
            for one in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                    key = _role(one, parent), one.pid
                    # Of one that has just ended, nothing is told any more.
                    peaks[key] = max(peaks.get(key, 0.0), _peak_mb(one.pid))


def _role(process: psutil.Process, parent: int) -> str:
    if process.pid == parent:
        return "parent"
    # Python's own process, which takes away what others leave behind; it holds no page.
    return "resource tracker" if "resource_tracker" in " ".join(process.cmdline()) else WORKER


def _peak_mb(number: int) -> float:
    """What a process held at most since it began, as Linux keeps it; nothing of one that is over."""
    for line in Path(f"/proc/{number}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
