"""A reader that does what the file's name says, and how tests of engines hand scans over and collect them."""

import os
import signal
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from processor.engines.tasks import Engine, Outcome, ScanTask
from processor.engines.worker import Read
from processor.errors import BadModel, BadScan
from processor.records import ScanResult
from processor.settings import LoadedSettings
from tests.sample_readings import a_page, a_result

Results = dict[str, ScanResult | BaseException]

PATIENCE_SECONDS = 240.0
"""A worker of a cluster takes seconds to start, and many where the machine is busy."""


def load_obedient(settings: LoadedSettings) -> Read:  # noqa: ARG001
    """The model's name tells in which process a scan was read."""

    def read(task: ScanTask) -> ScanResult:
        if task.file == "sleep":
            time.sleep(60)
        if task.file == "nap":
            time.sleep(0.3)
        if task.file == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.file == "swell":
            hoard = []
            for _ in range(40):
                hoard.append(b"1" * 32_000_000)
                time.sleep(0.05)
            return replace(a_result(a_page()), model=f"unbounded: {len(hoard)}")
        if task.file == "bad":
            raise BadScan("bad is no scan.", "Scan it again.")
        if task.file == "stumble":
            raise ZeroDivisionError("a fault of ours")
        return replace(a_result(a_page()), model=str(os.getpid()))

    return read


def load_nothing(settings: LoadedSettings) -> Read:
    raise BadModel(f"There is no model in {settings.models_archive}.", "Publish one.")


def task(file: str, number: int = 1, staging: Path = Path("staging")) -> ScanTask:
    return ScanTask(id=number, source=Path(file), file=file, sha256="0" * 64, staging=staging)


def collect(engine: Engine, count: int) -> Results:
    """The outcomes of `count` tasks, by file."""
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(outcomes) < count and time.monotonic() < deadline:
        outcomes += engine.wait(0.2)
    assert len(outcomes) == count
    return {outcome.task.file: outcome.result for outcome in outcomes}


def read_by(engine: Engine, *files: str, staging: Path = Path("staging")) -> Results:
    for number, file in enumerate(files):
        engine.submit(task(file, number, staging))
    return collect(engine, len(files))


def readers(found: Results) -> Collection[int]:
    """The numbers of the processes that read them."""
    return {int(result.model) for result in found.values() if isinstance(result, ScanResult)}
