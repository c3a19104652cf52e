"""The loop: what lies in the inbox goes to the workers, what they read is committed, until none is left."""

import os
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from processor.custody import LEASE_SECONDS, Custody, Listener
from processor.engines.tasks import Engine, Outcome
from processor.errors import BadModel, BadSettings, Transient
from processor.intake.stability import Stability
from processor.intake.sweep import Found, look, sweep
from processor.intake.watcher import Watcher
from processor.settings import LoadedSettings
from processor.succession import Succession

WAIT_SECONDS = 0.5
"""How long the loop sleeps while workers read, before it looks at the inbox and the stop sign again."""

HINT_PAUSE_SECONDS = 0.25
"""A copy of a thousand files gives a storm of events; the inbox is not listed more often than this."""

FAULT_PAUSE_SECONDS = 5.0

MODEL_LOOK_SECONDS = 1.0
"""While nothing arrives, the idle watch looks this often whether another model was promoted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a file that a run looks at, in the inbox `root`; `named` is a file as a person gave it."""

    path: Path
    root: Path
    named: str | None = None


class Stop:
    """Asked for by the first Ctrl-C or SIGTERM: nothing new is taken, what is under way is finished."""

    def __init__(self) -> None:
        self.asked = False
        self.watcher: Watcher | None = None

    def ask(self) -> None:
        self.asked = True
        if self.watcher is not None:
            self.watcher.wake()


class Daemon:
    """One run over some places; without `succession`, the engine's own choice of a model reads."""

    def __init__(
        self,
        settings: LoadedSettings,
        places: Iterable[Place],
        *,
        custody: Custody,
        engine: Engine,
        listener: Listener,
        stop: Stop,
        succession: Succession | None = None,
    ) -> None:
        self._settings = settings
        self._places = tuple(places)
        self._custody = custody
        self._engine = engine
        self._listener = listener
        self._stop = stop
        self._succession = succession
        self._arrivals: deque[tuple[Found, datetime]] = deque()
        self._taken: dict[Path, tuple[int, int]] = {}
        self._next_heartbeat = 0.0
        self._short = False
        self._warned: set[str] = set()

    def once(self) -> None:
        """Reads what lies there now.

        Raises BadModel, BadDatabase or BadSettings where it cannot go on; what was not read stays pending.
        """
        self._arrive(self._sweep())
        self._engine.expect(len(self._arrivals))
        while self._turn():
            pass
        if self._arrivals and not self._stop.asked:
            raise BadSettings(*self._shortage())

    def watch(self) -> None:
        """Reads what lies there and what arrives, until a stop is asked for. Raises as `once`."""
        intake = self._settings.values.intake
        stability = Stability(intake.settle_seconds)
        folders = [place.path if place.path.is_dir() else place.path.parent for place in self._places]
        with Watcher(folders, intake.recursive, intake.watch) as watcher:
            self._stop.watcher = watcher
            last_sweep, next_sweep, busy = 0.0, time.monotonic(), False
            while busy or not self._stop.asked:
                pause = 0.0 if busy else max(0.0, next_sweep - time.monotonic())
                if watcher.wait(min(pause, MODEL_LOOK_SECONDS)):
                    next_sweep = min(next_sweep, last_sweep + HINT_PAUSE_SECONDS)
                if time.monotonic() >= next_sweep:
                    watcher.check()
                    last_sweep = time.monotonic()
                    next_sweep = last_sweep + self._arrive_settled(stability, last_sweep)
                elif not busy and not self._model_changed():
                    continue
                try:
                    busy = self._turn()
                except Transient as fault:
                    self._listener.warn(f"{fault} It is tried again in {FAULT_PAUSE_SECONDS:g} s.")
                    busy = bool(self._custody.under_way)
                    next_sweep = time.monotonic() + FAULT_PAUSE_SECONDS

    def _sweep(self) -> Iterator[Found]:
        """What lies at the places now; the results are never scans, and the inbox is a place of its own."""
        intake = self._settings.values.intake
        self._custody.recover()
        own = (self._settings.results.resolve(), self._settings.inbox.resolve())
        warnings: set[str] = set()
        for place in self._places:
            if place.named is None:
                yield from sweep(
                    place.path,
                    root=place.root,
                    recursive=intake.recursive,
                    ignore=intake.ignore,
                    skip=own,
                    warn=warnings.add,
                )
            else:
                found = look(place.path, place.root, place.named, warnings.add)
                if found is not None:
                    yield found

        # The same pipe lies there at every look; it is spoken of once.
        for text in sorted(warnings - self._warned):
            self._listener.warn(text)
        self._warned = warnings

    def _arrive(self, listed: Iterable[Found]) -> None:
        before, now = len(self._arrivals), datetime.now(UTC)
        for found in listed:
            if self._is_new(found):
                self._taken[found.path] = (found.size, found.mtime_ns)
                self._custody.tally.see(found.path)
                self._arrivals.append((found, now))
        self._listener.listed(len(self._arrivals) - before)

    def _arrive_settled(self, stability: Stability, now: float) -> float:
        """Lets in what is new and still, and tells in how many seconds to look again."""
        listed = list(self._sweep())
        new = [found for found in listed if self._is_new(found)]
        still = [f for f in new if stability.observe(f.path, f.size, f.mtime_ns, now)]
        stability.keep_only({found.path for found in new})
        self._taken = {f.path: self._taken[f.path] for f in listed if f.path in self._taken}
        self._arrive(still)
        intake = self._settings.values.intake
        unsettled = len(still) < len(new)
        return min(intake.settle_seconds, intake.rescan_seconds) if unsettled else intake.rescan_seconds

    def _is_new(self, found: Found) -> bool:
        """Whether this file was not taken yet as it lies there; originals that stay are not hashed again."""
        return self._taken.get(found.path) != (found.size, found.mtime_ns)

    def _turn(self) -> bool:
        """Hands out, collects and commits; False once there is nothing left that could be done."""
        goes_on = not self._stop.asked and self._has_room()
        if goes_on:
            self._hand_out()
        examines = goes_on and self._succession is not None and self._succession.examines
        if self._custody.under_way or examines:
            more = goes_on and self._arrivals and self._engine.free > 0 and not examines
            for outcome in self._engine.wait(0.0 if more else WAIT_SECONDS):
                self._commit(outcome)
                self._release(outcome.task.source)
            self._keep_alive()
            return True
        if goes_on and self._arrivals:
            return True
        self._custody.write_numbers()
        return False

    def _hand_out(self) -> None:
        """Fills the engine; stops after a while, since many known scans can be in a row, and leases run."""
        sources = {place.root for place in self._places}
        until = time.monotonic() + WAIT_SECONDS
        while self._engine.free > 0 and not self._stop.asked and time.monotonic() < until:
            if self._arrivals:
                found, listed_at = self._arrivals.popleft()
                self._custody.take(found, listed_at)
                self._release(found.path)
            # After it was queued and before it is handed out: a scan is read by a model that was current
            # while it waited.
            if self._succession is not None and not self._succession.settled():
                return
            model = self._succession.in_use if self._succession is not None else None
            task = self._custody.next_task(sources, model)
            if task is not None:
                self._engine.submit(task)
            elif not self._arrivals:
                return

    def _commit(self, outcome: Outcome) -> None:
        try:
            self._custody.commit(outcome)
        except BadModel as fault:
            raise self._succession.named(fault) if self._succession is not None else fault from None
        if self._succession is not None:
            self._succession.drop_retired(self._custody.models_under_way)

    def _model_changed(self) -> bool:
        return self._succession is not None and self._succession.wants_a_turn()

    def _release(self, path: Path) -> None:
        """Forgets a scan that was moved away: another one may come under its name."""
        if not os.path.lexists(path):
            self._taken.pop(path, None)

    def _keep_alive(self) -> None:
        if time.monotonic() >= self._next_heartbeat:
            self._next_heartbeat = time.monotonic() + LEASE_SECONDS / 3
            self._custody.keep_alive()

    def _has_room(self) -> bool:
        results = self._settings.results
        try:
            short = shutil.disk_usage(results).free < self._settings.values.limits.min_free_mb * 1e6
        except OSError as error:
            raise Transient(f"{results} is away: {error.strerror}.", "Bring the folder back.") from None
        if short and not self._short:
            self._listener.warn(" ".join(self._shortage()))
        self._short = short
        return not short

    def _shortage(self) -> tuple[str, str]:
        least = self._settings.values.limits.min_free_mb
        return (
            f"Less than {least:g} MB are free below {self._settings.results}; no further scan is read.",
            "Make room, or lower limits.min_free_mb.",
        )
