"""The real command as a process of its own, in a session of its own, to be killed and counted after."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tests.conftest import PROCESSOR

PATIENCE_SECONDS = 300.0
"""Far more than anything here takes on a busy machine."""


def wait_until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns once it holds; fails, saying what did not come, after a patience that nothing needs."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


class Program:
    """`processor run` with some arguments in a product folder; its words are kept in a file beside it."""

    def __init__(self, home: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.log = home.with_name(f"{home.name}-{time.time_ns()}.log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(PROCESSOR), "run", *arguments],
                cwd=home,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for process in self.processes():
            process.kill()

    @property
    def session(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """All that were started by it and are alive, whoever is their parent by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.session and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that read scans, or are about to."""
        found = []
        for process in self.processes():
            try:
                if process.pid != self.session and "spawn_main" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def kill(self, *, workers: bool = False) -> None:
        """SIGKILL to the parent alone: its workers have to find out by themselves; or to all at once."""
        others = self.workers() if workers else []
        self._process.kill()
        for other in others:
            with suppress(psutil.NoSuchProcess):
                other.kill()
        self._process.wait()

    def kill_worker(self, chance: random.Random) -> bool:
        """SIGKILL to one of the workers; whether there was one."""
        workers = self.workers()
        if not workers:
            return False
        chance.choice(workers).kill()
        return True

    def stop(self) -> int:
        """SIGTERM, and the exit status that comes of it."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit status, once it ends."""
        return self._process.wait(PATIENCE_SECONDS)
