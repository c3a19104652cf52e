"""The actor that reads scans on a node of a Ray cluster; it holds the model, as a worker process does."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ray

from processor import __version__
from processor.engines.tasks import ScanTask
from processor.engines.worker import Load, examine, read_task, start_worker
from processor.errors import DigitInboxError
from processor.logs import LogPlan
from processor.records import ScanResult
from processor.settings import LoadedSettings

OVER_LIMIT_MARK = ".over-limit"
"""A file in the staging folder of a scan: with a cluster in between, nobody sees the exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """Where a worker is, and what of the folders it was told of it does not see."""

    host: str
    node: str
    pid: int
    version: str
    unseen: tuple[Path, ...]


class Reader:
    """Calls are answered one after the other, in the order in which they were made."""

    def __init__(self, load: Load, settings: LoadedSettings, logs: LogPlan, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._staging: Path | None = None
        start_worker(load, settings, logs, self._leave_word)

    def greet(self) -> Greeting:
        return Greeting(
            host=socket.gethostname(),
            node=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            version=__version__,
            unseen=tuple(folder for folder in self._folders if not folder.is_dir()),
        )

    def read(self, task: ScanTask) -> ScanResult | DigitInboxError:
        self._staging = task.staging
        try:
            return read_task(task)
        finally:
            self._staging = None

    def examine(self, model: Path, device: str) -> DigitInboxError | None:
        return examine(model, device)

    def _leave_word(self) -> None:
        if (staging := self._staging) is not None:
            with suppress(OSError):
                (staging / OVER_LIMIT_MARK).touch()
