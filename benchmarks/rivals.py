"""Other readers, timed on the same pages: a command line each."""

import os
import resource
import shlex
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PAGE = "{page}"
REPEATS = 5

KNOWN = {
    "tesseract": f"tesseract {PAGE} stdout --psm 6 -c tessedit_char_whitelist=0123456789",
}
"""What is asked of a program by its name alone: digits, line by line."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Rival:
    """A command that reads one page; `starting` is what it costs on a page so small that nothing is on it."""

    command: tuple[str, ...]
    starting: float = 0.0

    @property
    def name(self) -> str:
        return Path(self.command[0]).name

    def cpu_seconds(self, page: Path) -> float:
        """Of all processes of the command, without what starting it costs."""
        return max(0.0, spent([word.replace(PAGE, str(page)) for word in self.command]) - self.starting)


def rival(program: str) -> Rival:
    """A name in `KNOWN`, or a command line in which {page} stands for the file.

    Ends the program, with a reason, where it is neither, or cannot be found.
    """
    words = tuple(shlex.split(KNOWN.get(program, program)))
    if not any(PAGE in word for word in words):
        known = ", ".join(KNOWN)
        raise SystemExit(f"--against {program}: name one of {known}, or a command line with {PAGE} in it.")
    if shutil.which(words[0]) is None:
        raise SystemExit(f"--against {program}: there is no program {words[0]}; install it first.")
    idle = Rival(words)
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(folder, "blank.png")
        Image.new("L", (200, 100), 255).save(blank, dpi=(300, 300))
        return Rival(words, statistics.median(idle.cpu_seconds(blank) for _ in range(REPEATS)))


def spent(command: list[str]) -> float:
    """Processor seconds of a command and its processes, in one thread each where it listens to OpenMP."""
    before = children_seconds()
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=os.environ | ONE_THREAD
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr}")
    return children_seconds() - before


def children_seconds() -> float:
    """Processor seconds of all processes that this one waited for, and of those they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
