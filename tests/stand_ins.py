"""Stand-ins at the edges: an engine in this process, a reader of three lines, listeners that remember."""

import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path

from processor.commands.console import Words
from processor.engines.tasks import Outcome, ScanTask, Verdict, attempt
from processor.errors import BadScan, DigitInboxError
from processor.records import ScanResult, StagedFile
from processor.results.publish import output_name
from processor.settings import LoadedSettings
from tests.sample_readings import a_blob, a_number, a_page, a_result


class SerialEngine:
    """The engine without processes: a task is read when somebody waits for it."""

    def __init__(self, read: Callable[[ScanTask], ScanResult], slots: int = 2) -> None:
        self.read = read
        self.slots = slots
        self.tasks: deque[ScanTask] = deque()
        self.expected: list[int] = []
        self.examined: list[Path] = []
        self.faults: dict[str, DigitInboxError] = {}
        self._verdict: Verdict | None = None

    @property
    def workers(self) -> int:
        return 1

    @property
    def free(self) -> int:
        return self.slots - len(self.tasks)

    def expect(self, scans: int) -> None:
        self.expected.append(scans)

    def submit(self, task: ScanTask) -> None:
        assert self.free > 0
        self.tasks.append(task)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        if not self.tasks:
            return []
        task = self.tasks.popleft()
        return [Outcome(task, attempt(task, self.read))]

    def examine(self, model: Path) -> None:
        """Every model loads, except those that `faults` names."""
        self.examined.append(model)
        self._verdict = Verdict(model, self.faults.get(model.name))

    def verdict(self) -> Verdict | None:
        verdict, self._verdict = self._verdict, None
        return verdict

    def close(self) -> None:
        self.tasks.clear()


def text_reader(settings: LoadedSettings) -> Callable[[ScanTask], ScanResult]:
    """Reads each word of digits in a text file as a number; a file with `bad` in it is bad; stages a CSV."""

    def read(task: ScanTask) -> ScanResult:
        text = task.source.read_text()
        if "bad" in text:
            raise BadScan(f"{task.file} is bad.", "Scan it again.")
        page = a_page(*(a_number(word) for word in text.split() if word.isdigit()), rejected=(a_blob(),))
        name = f"{output_name(task.file, task.sha256)}.csv"
        staged = task.staging / name
        staged.write_text(text)
        result = a_result(page, model="three-lines")
        return ScanResult(
            **{field: getattr(result, field) for field in _FIELDS},
            staged=(StagedFile(staged=staged, target=settings.results / "csv" / name),),
        )

    return read


_FIELDS = ("pages", "model", "settings_digest", "program_version", "seconds", "annotated")


class Memory:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.total = 0
        self.ends: list[tuple[str, str]] = []
        self.details: dict[str, str] = {}
        self.said: list[str] = []
        self.warnings: list[str] = []

    def listed(self, count: int) -> None:
        self.total += count

    def ended(self, file: str, state: str, detail: str) -> None:
        self.ends.append((file, state))
        self.details[file] = detail

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Stopping(Words):
    """Keeps what is said, and sends this process a signal, Ctrl-C's, once something begins with `cue`."""

    def __init__(self, cue: str | None = None, number: int = signal.SIGINT) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []
        self._cue, self._number = cue, number

    def say(self, text: str, event: str = "said") -> None:
        self.lines.append(text)
        if self._cue is not None and text.startswith(self._cue):
            os.kill(os.getpid(), self._number)


def drop(folder: Path, name: str, content: str | bytes) -> Path:
    """A file in a folder, with its subfolders."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
