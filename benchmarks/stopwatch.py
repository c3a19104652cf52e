"""Pages read by the product in this process alone, and what each of them and each stage cost.

    python -m benchmarks.stopwatch FOLDER [--against PROGRAM]

reads the pages of each folder in FOLDER as a run of its own, and prints JSON: for each folder what its pages
cost, the first two left out. All is real, the database and the files too; only the workers are not there.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

from PIL import Image

from benchmarks.product import home
from benchmarks.rivals import Rival, rival
from processor.commands.assembly import assembled
from processor.commands.console import Words
from processor.commands.progression import Progression
from processor.engines.tasks import Outcome, ScanTask, Verdict, attempt
from processor.engines.worker import load_pipeline
from processor.errors import DigitInboxError
from processor.patience import Stop
from processor.records import ScanResult
from processor.settings import LoadedSettings, load
from processor.stages import measured

REST = "the rest"
COMMITTED = "queued, committed, moved"
"""What costs the parent process, from one page to the next; what a run begins and ends with is no page's."""

WARM_UP = 2
"""So many pages: with the first the model is loaded, after it each statement to the database is compiled."""

Read = Callable[[ScanTask], ScanResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Processor seconds of one page: decoded by Pillow, in each stage, and of another reader."""

    decoding: float
    stages: dict[str, float]
    rival: float | None = None

    @property
    def whole(self) -> float:
        return sum(self.stages.values())


class Stopwatch:
    """An engine that reads in this process, and times what it reads; the first pages only warm it up."""

    def __init__(self, read: Read, against: Rival | None = None) -> None:
        self.pages: list[Timed] = []
        self.between: list[float] = []
        self._ended: deque[float] = deque(maxlen=WARM_UP)
        self._read = read
        self._against = against
        self._tasks: deque[ScanTask] = deque()

    @property
    def workers(self) -> int:
        return 1

    @property
    def free(self) -> int:
        return 1 - len(self._tasks)

    def expect(self, scans: int) -> None: ...

    def submit(self, task: ScanTask) -> None:
        self._tasks.append(task)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        if not self._tasks:
            return []
        task = self._tasks.popleft()
        warm, began = len(self._ended) == WARM_UP, time.process_time()
        outcome, timed = self._timed(task)
        if warm:
            # From the reading of one page to that of the next, that one is stored, and this one queued.
            self.between.append(began - self._ended[-1])
            self.pages.append(timed)
        self._ended.append(time.process_time())
        return [outcome]

    def _timed(self, task: ScanTask) -> tuple[Outcome, Timed]:
        decoding = decoding_seconds(task.source)
        with measured() as clock:
            clock.enter(REST)
            result = attempt(task, self._read)
            clock.leave()
        if isinstance(result, DigitInboxError):
            raise SystemExit(f"{task.file} was not read: {result}")
        taken = None if self._against is None else self._against.cpu_seconds(task.source)
        return Outcome(task, result), Timed(decoding=decoding, stages=clock.seconds, rival=taken)

    def examine(self, model: Path) -> None:
        raise SystemExit(f"The model {model} was promoted meanwhile; begin anew.")

    def verdict(self) -> Verdict | None:
        return None

    def close(self) -> None: ...


def decoding_seconds(page: Path) -> float:
    """What it costs Pillow to decode a page to grey: less than that no reader of every pixel can take."""
    began = time.process_time()
    with Image.open(page) as image:
        image.convert("L").load()
    return time.process_time() - began


def timed(settings: LoadedSettings, folder: Path, read: Read, against: Rival | None = None) -> list[Timed]:
    """Reads the pages of `folder` as `processor run --once` does; the first ones only warm up."""
    watch, stop, listener = Stopwatch(read, against), Stop(), Progression(Words(quiet=True), once=True)
    with assembled(
        settings, [folder], once=True, listener=listener, stop=stop, metrics_port=None, engine=watch
    ) as run:
        run.daemon.once()
    if not watch.pages:
        raise SystemExit(f"{folder} holds no more than {WARM_UP} pages.")
    # The mean: a commit may be that of several pages.
    each = fmean(watch.between)
    return [replace(page, stages=page.stages | {COMMITTED: each}) for page in watch.pages]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", metavar="PROGRAM", help="another reader, timed on the same pages")
    options = parser.parse_args()
    against = rival(options.against) if options.against else None
    found = {}
    for folder in sorted(options.folder.iterdir()):
        with home() as place:
            settings = load(place / "settings.toml")
            pages = timed(settings, folder, load_pipeline(settings), against)
            found[folder.name] = [asdict(page) for page in pages]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
