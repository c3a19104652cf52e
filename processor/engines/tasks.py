"""What an engine is given and what it gives back; the same for every engine."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from processor.errors import BadModel, BadScan, DigitInboxError, Transient, WorkerKilled
from processor.log_lines import about
from processor.records import NumberReading, ScanResult

log = logging.getLogger(__name__)

Done = TypeVar("Done")

TASKS_PER_WORKER = 2
"""One is read while the next one waits, so that no worker idles while the parent commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanTask:
    """One claimed scan: where it lies, under what name it is stored, and where its outputs are staged.

    `model` is the folder of the model that reads all its pages; `None` leaves that to the settings.
    `corrected` are numbers a person has corrected, each with its page: they stay as they are.
    """

    id: int
    source: Path
    file: str
    sha256: str
    staging: Path
    model: Path | None = None
    corrected: tuple[tuple[int, NumberReading], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task: the result, or the error that says who must act."""

    task: ScanTask
    result: ScanResult | DigitInboxError

    @property
    def had_a_worker(self) -> bool:
        """Whether a process had it, which read it, refused it or died of it: so they can be started."""
        return not isinstance(self.result, Transient) or isinstance(self.result, WorkerKilled)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of loading a model: `fault` is `None` where scans can be read with it."""

    model: Path
    fault: DigitInboxError | None


class Engine(Protocol):
    """Reads scans somewhere else; holds no record of them beyond the tasks under way."""

    @property
    def workers(self) -> int:
        """How many scans can be read at once."""

    @property
    def free(self) -> int:
        """How many more tasks can be under way."""

    def expect(self, scans: int) -> None:
        """Tells how many scans will come at most, so that no more workers are started than that."""

    def submit(self, task: ScanTask) -> None:
        """Hands over a task; at most `free` of them. Raises NoWorkers."""

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        """The tasks that ended meanwhile, as they ended; empty when none did within the time.

        An examination that ends meanwhile ends the wait too.
        """

    def examine(self, model: Path) -> None:
        """Has a worker load the model in this folder, beside the one that it reads with; one at a time.

        Raises NoWorkers.
        """

    def verdict(self) -> Verdict | None:
        """What came of the examination, told once; `None` while it lasts."""

    def close(self) -> None:
        """Ends the workers; nothing is under way any more."""


def attempt(task: ScanTask, read: Callable[[ScanTask], ScanResult]) -> ScanResult | DigitInboxError:
    """The job boundary: whatever one scan does to the reader stays with that scan."""
    with about(scan=task.id, file=task.file):
        return attempt_file(task.file, lambda: read(task))


def attempt_file(file: str, read: Callable[[], Done]) -> Done | DigitInboxError:
    """The same boundary around a file that is read here and now, without a task."""
    remedy = "This is a fault of the program: please report it, with the scan if it may be shown."
    return _attempt(read, file, "read", BadScan, remedy)


def attempt_model(folder: Path, load: Callable[[], Done]) -> Done | DigitInboxError:
    """The same boundary around the loading of a model: no scan is to blame for what it does."""
    remedy = "Publish the model again, or choose another with `training promote`."
    return _attempt(load, f"The model {folder.name}", "loaded", BadModel, remedy)


def _attempt(
    act: Callable[[], Done], what: str, done: str, blame: type[DigitInboxError], remedy: str
) -> Done | DigitInboxError:
    try:
        return act()
    except DigitInboxError as error:
        return error
    except MemoryError:
        return Transient(f"{what} needs more memory than is free.", "Use fewer workers, or a smaller scan.")
    except Exception as error:
        if blame is BadScan and isinstance(error, OSError) and error.errno is not None:
            # What a decoder raises is a BadScan by now: this is the system's (a full disk, a share away).
            return Transient(f"{what} could not be {done}: {error}.", "It is tried again.")
        # A fault of ours that this one brought to light: the others must still be read.
        log.exception("%r could not be %s", what, done, extra={"event": "program.fault"})
        return blame(f"{what} could not be {done}: {type(error).__name__}: {error}.", remedy)
