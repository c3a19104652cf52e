"""What a run waits for: a stop that is asked for, things that are away, files that are never still."""

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Stop:
    """Asked for by the first Ctrl-C or SIGTERM: nothing new is taken, what is under way is finished.

    `wake` is called then, to end a wait of another kind.
    """

    def __init__(self) -> None:
        self.asked = False
        self.wake: Callable[[], None] = lambda: None
        # A signal handler must not wait for a lock that its own thread holds, as an Event would.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ask(self) -> None:
        self.asked = True
        self._bell.put(None)
        self.wake()

    def sleep(self, seconds: float) -> None:
        """Sleeps so long, or until a stop is asked for."""
        with suppress(queue.Empty):
            self._bell.get(timeout=seconds)


class Hindrance:
    """What everything waits for, and since when."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._since: float | None = None

    def meet(self, why: str) -> bool:
        """Something is away or short; tells whether that is news."""
        news, self.why = why != self.why, why
        if self._since is None:
            self._since = time.monotonic()
        return news

    def over(self) -> None:
        self.why = self._since = None

    def lasts_longer_than(self, seconds: float) -> bool:
        return self._since is not None and time.monotonic() - self._since >= seconds


class Restless:
    """Files that changed while a run was about to read them: it looks again once they may be still.

    One that never is still is given up `patience_seconds` after the first was added.
    """

    def __init__(self, settle_seconds: float, patience_seconds: float) -> None:
        self.paths: set[Path] = set()
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._due = 0.0
        self._given_up: float | None = None

    def add(self, path: Path) -> None:
        now = time.monotonic()
        self.paths.add(path)
        self._due = now + self._settle_seconds
        if self._given_up is None:
            self._given_up = now + self._patience_seconds

    def due(self) -> set[Path]:
        """Those to be looked at again now; they are no longer held."""
        now = time.monotonic()
        if now < self._due or self._given_up is None or now >= self._given_up:
            return set()
        due, self.paths = self.paths, set()
        return due
