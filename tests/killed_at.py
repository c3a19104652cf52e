"""A program that runs the real command and is killed in the middle of it, at a step that is named.

`python -m tests.killed_at HOME …` forks for each product folder, which is named like a step: a run that is
killed or stopped at it, then one that nothing disturbs. Scans are text files, read in the process itself; all
else is the product. The steps are found by what the product calls, so that it needs no hook for its tests.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from processor import cli, endings, filing
from processor.commands import assembly, start
from processor.engines.tasks import ScanTask
from processor.intake import queue
from processor.records import ScanResult, StagedFile
from processor.results import originals, publish
from processor.results.publish import output_name
from processor.settings import LoadedSettings
from tests.stand_ins import SerialEngine, text_reader

Patch = Callable[[], None]


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stopped(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGTERM)


def wrap(
    owner: Any, name: str, *, before: bool = False, call: int = 2, do: Callable[[], None] = killed
) -> Patch:
    """Kills, or does something else, before or after the `call`th time that `owner.name` is called."""

    def patch() -> None:
        real, calls = getattr(owner, name), [0]

        def wrapped(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if before and calls[0] == call:
                do()
            result = real(*arguments, **options)
            if not before and calls[0] == call:
                do()
            return result

        setattr(owner, name, wrapped)

    return patch


def other_disk() -> None:
    """The inbox lies on another file system than the results."""
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.parent.name == "inbox":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return real(self, target)

    Path.replace = replace  # type: ignore[method-assign, assignment]


def half_copied() -> None:
    other_disk()

    def blocks(source: Any) -> Iterator[bytes]:
        yield source.read(1)
        killed()

    setattr(publish, "blocks", blocks)  # noqa: B010


def copied() -> None:
    other_disk()
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == "inbox":
            killed()
        real(self, missing_ok)

    Path.unlink = unlink  # type: ignore[method-assign]


def in_the_table() -> None:
    """While `numbers.csv` is written: it is the only file that is written beside the folders."""
    real = publish._sync

    def sync(stream: Any) -> None:
        if Path(stream.name).parent.name == "results":
            killed()
        real(stream)

    publish._sync = sync


class TextReading:
    """Reads a text file, and stages a page and a table."""

    def __init__(self, settings: LoadedSettings) -> None:
        self._results = settings.results
        self._text = text_reader(settings)

    def read(self, task: ScanTask) -> ScanResult:
        result = self._text(task)
        page = task.staging / f"{output_name(task.file, task.sha256)}-p1.jpg"
        page.write_bytes(task.source.read_bytes()[::-1])
        staged = StagedFile(staged=page, target=self._results / "annotated" / page.name)
        fields = {name: getattr(result, name) for name in ScanResult.__slots__}
        return ScanResult(**{**fields, "staged": (staged, *result.staged)})


STEPS: dict[str, Patch] = {
    "nowhere": lambda: None,
    "shown": wrap(queue, "enqueue"),
    "claimed": wrap(queue, "claim"),
    "staged": wrap(endings, "publish_outputs", before=True),
    "between two publishes": wrap(filing, "publish", call=3),
    "before the rows": wrap(queue, "finish", before=True),
    "after the rows": wrap(queue, "finish"),
    "half copied to another disk": half_copied,
    "copied to another disk": copied,
    "moved": wrap(filing, "move_processed"),
    "in numbers.csv": in_the_table,
    "failure reported": wrap(filing, "report_failure", call=1),
    "failure in the rows": wrap(queue, "fail", call=1),
    "failed one moved": wrap(originals, "_move", call=3),
}


TWICE = partial(stopped, times=2)
STOPS: dict[str, Patch] = {
    "asked to stop while it starts": wrap(start, "check_model", call=1, do=stopped),
    "asked to stop while it reads": wrap(TextReading, "read", call=1, do=stopped),
    "interrupted while it starts": wrap(start, "check_model", call=1, do=TWICE),
    "interrupted while it reads": wrap(TextReading, "read", call=1, do=TWICE),
    "interrupted after the rows": wrap(queue, "finish", call=1, do=TWICE),
    "interrupted between two publishes": wrap(filing, "publish", call=1, do=TWICE),
}
"""Signals instead: one asks for a stop, a second one interrupts."""


class TextEngine(SerialEngine):
    """Reads text files one after the other, in this process."""

    def __init__(self, settings: LoadedSettings, folders: Sequence[Path]) -> None:
        super().__init__(TextReading(settings).read, slots=2)


def run(home: Path, step: str) -> int:
    """The exit code of `processor run --once` in a process of its own, which `step` may kill: -9."""
    child = os.fork()
    if child == 0:
        try:
            os.chdir(home)
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            setattr(assembly, "choose_engine", TextEngine)  # noqa: B010
            {**STEPS, **STOPS}[step]()
            sys.argv = ["processor", "run", "--once", "--json"]
            cli.main()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        named = Path(folder)
        first = run(named, named.name)
        if (named / "results" / "results.db").exists():
            shutil.copytree(named / "results", named / "after", ignore=shutil.ignore_patterns(".staging"))
        (named / "codes").write_text(f"{first} {run(named, 'nowhere')}")
