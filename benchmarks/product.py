"""The product as people use it: commands in an empty folder, default settings, the current model."""

import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processor import settings


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: of which set, measured how, and what it should reach (empty where it is only watched)."""

    set: str
    measure: str
    figure: float
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the data and the scorer lie."""

    data: Path
    scorer: Path

    def score(self, kind: str, folder: Path, truth: Path) -> dict[str, float]:
        """Runs the product over `folder` and scores its database against `truth`."""
        with read(folder) as database:
            return self.scored(kind, database, truth)

    def scored(self, kind: str, database: Path, truth: Path) -> dict[str, float]:
        """The figures of `kind`, "numbers" or "digits", for the files that `truth` names."""
        scored: dict[str, float] = runpy.run_path(str(self.scorer))[f"score_{kind}"](
            str(database), str(truth)
        )
        return scored


@contextmanager
def read(folder: Path) -> Iterator[Path]:
    """The database after the product read every file in `folder`."""
    with home() as place:
        processor(place, "run", "--once", str(folder), "--quiet", "--json", allowed=(0, 1))
        yield place / "results" / "results.db"


@contextmanager
def home() -> Iterator[Path]:
    """An empty folder with default settings and the current model."""
    with tempfile.TemporaryDirectory() as folder:
        archive = settings.load().models_archive.resolve()
        Path(folder, "settings.toml").write_text(f"[paths]\nmodels_archive = {json.dumps(str(archive))}\n")
        Path(folder, "inbox").mkdir()
        yield Path(folder)


def processor(place: Path, *words: str, allowed: tuple[int, ...] = (0,)) -> float:
    """Seconds that the command takes from a cold start; what it says is shown where it fails."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "processor", *words]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return time.perf_counter() - started
