"""What an engine is given and what it gives back; the same for every engine."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from processor.errors import BadScan, DigitInboxError, Transient
from processor.records import ScanResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTask:
    """One claimed scan: where it lies, under what name it is stored, and where its outputs are staged."""

    id: int
    source: Path
    file: str
    sha256: str
    staging: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task: the result, or the error that says who must act."""

    task: ScanTask
    result: ScanResult | DigitInboxError


class Engine(Protocol):
    """Reads scans somewhere else; holds no record of them beyond the tasks under way."""

    @property
    def free(self) -> int:
        """How many more tasks can be under way."""

    def expect(self, scans: int) -> None:
        """Tells how many scans will come at most, so that no more workers are started than that."""

    def submit(self, task: ScanTask) -> None:
        """Hands over a task; at most `free` of them."""

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """The tasks that ended meanwhile, as they ended; empty when none did within the time."""

    def close(self) -> None:
        """Ends the workers; nothing is under way any more."""


def attempt(task: ScanTask, read: Callable[[ScanTask], ScanResult]) -> ScanResult | DigitInboxError:
    """The job boundary: whatever one scan does to the reader stays with that scan."""
    try:
        return read(task)
    except DigitInboxError as error:
        return error
    except MemoryError:
        return Transient(
            f"{task.file} needs more memory than is free.", "Use fewer workers, or a smaller scan."
        )
    except Exception as error:
        # A fault of ours that this scan brought to light: the others must still be read.
        log.exception("reading %r stumbled", task.file)
        return BadScan(
            f"{task.file} could not be read: {type(error).__name__}: {error}.",
            "This is a fault of the program: please report it, with the scan if it may be shown.",
        )
