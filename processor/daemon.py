"""The loop: what lies in the inbox goes to the workers, what they read is committed, until none is left."""

import os
import shutil
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from processor.custody import LEASE_SECONDS, Custody, Listener
from processor.engines.tasks import Engine, Outcome
from processor.errors import BadModel, BadSettings, Transient
from processor.intake.arrivals import Arrivals, Place
from processor.intake.sweep import Found
from processor.settings import LoadedSettings
from processor.succession import Succession

WAIT_SECONDS = 0.5
"""How long the loop sleeps while workers read, before it looks at the inbox and the stop sign again."""

FAULT_PAUSE_SECONDS = 5.0

MODEL_LOOK_SECONDS = 1.0
"""While nothing arrives, the idle watch looks this often whether another model was promoted."""


class Stop:
    """Asked for by the first Ctrl-C or SIGTERM: nothing new is taken, what is under way is finished."""

    def __init__(self) -> None:
        self.asked = False
        self.waiting: Arrivals | None = None

    def ask(self) -> None:
        self.asked = True
        if self.waiting is not None:
            self.waiting.wake()


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
        # The results are never scans, and the inbox is a place of its own.
        own = (settings.results.resolve(), settings.inbox.resolve())
        self._inbox = Arrivals(self._places, settings.values.intake, own=own, warn=listener.warn)
        self._custody = custody
        self._engine = engine
        self._listener = listener
        self._stop = stop
        self._succession = succession
        self._arrivals: deque[tuple[Found, datetime]] = deque()
        self._next_heartbeat = 0.0
        self._short = False

    def once(self) -> None:
        """Reads what lies there now.

        Raises BadModel, BadDatabase or BadSettings where it cannot go on; what was not read stays pending.
        """
        self._custody.recover()
        self._arrive(self._inbox.here())
        self._engine.expect(len(self._arrivals))
        while self._turn():
            pass
        if self._arrivals and not self._stop.asked:
            raise BadSettings(*self._shortage())

    def watch(self) -> None:
        """Reads what lies there and what arrives, until a stop is asked for. Raises as `once`."""
        with self._inbox as arrivals:
            self._stop.waiting = arrivals
            busy = False
            while busy or not self._stop.asked:
                new = arrivals.wait(0.0 if busy else MODEL_LOOK_SECONDS)
                try:
                    if new is not None:
                        self._arrive(new)
                        self._custody.recover()
                    elif not busy and not self._model_changed():
                        continue
                    busy = self._turn()
                except Transient as fault:
                    self._listener.warn(f"{fault} It is tried again in {FAULT_PAUSE_SECONDS:g} s.")
                    busy = bool(self._custody.under_way)
                    arrivals.postpone(FAULT_PAUSE_SECONDS)

    def _arrive(self, new: Iterable[Found]) -> None:
        before, now = len(self._arrivals), datetime.now(UTC)
        for found in new:
            self._custody.tally.see(found.path)
            self._arrivals.append((found, now))
        self._listener.listed(len(self._arrivals) - before)

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
        """Another scan may come under the name of one that was moved away."""
        if not os.path.lexists(path):
            self._inbox.release(path)

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
