"""What one run saw, and what became of it: every scan ends once, whoever reads it."""

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine as Database

from processor.intake.standing import Standing, standings
from processor.records import ScanState
from processor.results.tally import Rate, Tally

NAMED = 5
"""So many of the scans that a run leaves behind are named."""


class Listener(Protocol):
    """Hears what happens, to show it."""

    def listed(self, count: int) -> None:
        """So many more scans are to be dealt with."""

    def ended(self, file: str, state: str, detail: str) -> None:
        """A scan ended as done, failed, duplicate or ignored."""

    def say(self, text: str) -> None:
        """Something a person may want to know."""

    def warn(self, text: str) -> None:
        """Something a person should know."""


class Accounts:
    """Holds no more than what waits in the queue: a scan that ended is only counted."""

    def __init__(self, database: Database, listener: Listener) -> None:
        self.tally = Tally()
        self.rate = Rate()
        self.last_error: tuple[str, datetime] | None = None
        self._database = database
        self._listener = listener
        self._queued: dict[str, tuple[Path, str]] = {}
        self._changed: set[Path] = set()

    @property
    def queued(self) -> int:
        """How many scans that this run saw are in the queue, or under way."""
        return len(self._queued)

    def queue(self, path: Path, file: str, sha256: str) -> None:
        """A scan that was seen waits in the queue, or is read, by this run or another."""
        self._queued[sha256] = (path, file)

    def end(self, path: Path, file: str, sha256: str, state: str, detail: str) -> None:
        """A scan is dealt with."""
        # Of a content that lies at several places, only one waits.
        if self._queued.get(sha256, (None, ""))[0] == path:
            del self._queued[sha256]
        self.tally.end(path, state)
        self.rate.note(time.monotonic())
        self._listener.ended(file, state, detail)

    def put_off(self, path: Path, sha256: str | None = None) -> None:
        """The file holds something else than was listed or queued: it is seen anew, once it is told again."""
        if sha256 is not None:
            self._queued.pop(sha256, None)
        self.tally.forget(path)
        self._changed.add(path)

    def take_changed(self) -> set[Path]:
        """The files that were put off since they were asked for last."""
        changed, self._changed = self._changed, set()
        return changed

    def reconcile(self, held: Collection[str]) -> list[tuple[str, Standing]]:
        """Ends what another run has dealt with, and tells how each file that waits stands.

        The contents `held`, by their hashes, are under way here. Raises Away.
        """
        waiting = self._queued.keys() - set(held)
        found = standings(self._database, waiting) if waiting else {}
        for sha256 in waiting:
            path, file = self._queued[sha256]
            if sha256 not in found:
                self.put_off(path, sha256)
            elif found[sha256].state not in {ScanState.QUEUED, ScanState.RUNNING}:
                self.end(path, file, sha256, "ignored", "read by another run")
        left = [(self._queued[sha256][1], found[sha256]) for sha256 in found if sha256 in self._queued]
        return sorted(left, key=lambda one: one[0])

    def tell_pending(self, waiting: Sequence[tuple[str, Standing]]) -> None:
        """Names what a run leaves behind; `waiting` are those of it whose standing is known."""
        count = self.tally.waiting.total()
        if not count:
            return
        named = [f"{file} ({_when(standing)})" for file, standing in waiting[:NAMED]]
        more = count - len(named)
        told = ", ".join(named) + (f" and {more} more" if named and more else "")
        counted = "1 scan was" if count == 1 else f"{count} scans were"
        self._listener.warn(f"{counted} not read yet{': ' if told else ''}{told}. Run it again later.")

    def complain(self, text: str) -> None:
        """Something went wrong that a person should know of."""
        self.note(text)
        self._listener.warn(text)

    def note(self, text: str) -> None:
        """Something went wrong; it is said in another way."""
        self.last_error = (text, datetime.now(UTC))


def _when(standing: Standing) -> str:
    due = f"again at {standing.due:%H:%M:%S} UTC" if standing.due else standing.state.value
    return f"{due}: {standing.fault}" if standing.fault else due
