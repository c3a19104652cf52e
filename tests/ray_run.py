"""A run over text files by the workers of a Ray cluster; also as a program of its own, which can be killed.

`python -m tests.ray_run ADDRESS` reads what lies in the inbox of the working directory.
"""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from processor.commands.assembly import assembled
from processor.engines.tasks import ScanTask
from processor.engines.worker import Read
from processor.patience import Stop
from processor.records import ScanResult
from processor.results.queries import Summary
from processor.settings import LoadedSettings, load
from tests.obedient import PATIENCE_SECONDS
from tests.stand_ins import Memory, drop, text_reader

READERS = "readers"
"""A folder in the product folder with a file for each process that read."""


HOLD = "hold"
"""While this file is in the product folder, no scan is read to its end: so things happen in the middle."""


def load_slow(settings: LoadedSettings) -> Read:
    """A reader of text files that takes its time."""
    read_text = text_reader(settings)

    def read(task: ScanTask) -> ScanResult:
        (settings.base / READERS).mkdir(exist_ok=True)
        (settings.base / READERS / str(os.getpid())).touch()
        time.sleep(0.02)
        while (settings.base / HOLD).exists():
            time.sleep(0.02)
        return read_text(task)

    return read


def fill(home: Path, count: int) -> None:
    for number in range(count):
        drop(home / "inbox", f"{number}.png", f"{number:05}")


def settings_of(home: Path, address: str) -> LoadedSettings:
    flags = {"intake.settle_seconds": 0, "workers.engine": "ray", "workers.ray_address": address}
    return load(home / "settings.toml", flags)


def run(home: Path, address: str) -> Summary:
    """One run that ends by itself, with at most two workers."""
    from processor.engines.ray import RayEngine

    settings = settings_of(home, address)
    engine = RayEngine(settings, 2, load_slow, start_seconds=PATIENCE_SECONDS)
    with assembled(
        settings, [], once=True, listener=Memory(), stop=Stop(), metrics_port=None, engine=engine
    ) as done:
        done.daemon.once()
    return done.custody.tally.summary()


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path.cwd(), sys.argv[1]))))
