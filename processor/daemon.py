"""The loop: what lies in the inbox goes to the workers, what they read is committed, until none is left."""

import os
import shutil
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processor.accounts import Listener
from processor.claims import RENEWED_SECONDS
from processor.custody import Custody
from processor.engines.tasks import Engine, Outcome, ScanTask
from processor.errors import Away, BadModel, DigitInboxError, NoWorkers, Transient
from processor.fingerprints import meanwhile
from processor.inboxes import Inboxes
from processor.intake.arrivals import Arrivals
from processor.intake.places import Place
from processor.intake.sweep import Found
from processor.patience import Hindrance, Restless, Stop
from processor.pulse import DaemonState, Pulse
from processor.records import ScanState
from processor.settings import LoadedSettings
from processor.succession import Succession

WAIT_SECONDS = 0.5
"""How long the loop sleeps while workers read, before it looks at the inbox and the stop sign again."""

LOOK_SECONDS = 1.0
"""While nothing arrives, this often the idle loop looks whether another model was promoted, a scan that was
put back is due, or what everything waits for has come back."""

PATIENCE_SECONDS = 60.0
"""So long a run that ends by itself waits for scans that are due later, and for what everything needs."""

STOP_SECONDS = 10.0
"""So long a run that was asked to stop waits for what everything needs, to commit what was read."""


class _Stopped(Exception):
    """A stop was asked for while a file was hashed that need not be taken any more."""


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
        pulse: Pulse | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
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
        self._pulse = pulse
        self._patience_seconds = patience_seconds
        roots = {place.root for place in self._places}
        self._inboxes = Inboxes(roots, accounts=custody.accounts, listener=listener)
        self._once = False
        self._listed = False
        self._arrivals: deque[tuple[Found, datetime]] = deque()
        self._finished: deque[Outcome] = deque()
        self._restless = Restless(settings.values.intake.settle_seconds, patience_seconds)
        self._hindrance = Hindrance()
        self._no_workers = Hindrance()
        self._short = False
        self._stuck = Hindrance()
        self._next_heartbeat = 0.0
        self._next_look = 0.0

    def once(self) -> None:
        """Reads what lies there now, and waits for what is due soon, or is read by another run.

        What was not read stays pending, and is named. Raises BadModel or BadDatabase where nothing can be.
        """
        self._once = True
        self._beat()
        with meanwhile(self._go_on):
            self._arrive(self._inbox.here())
            self._engine.expect(len(self._arrivals))
            while (seconds := self._step()) is not None:
                self._beat()
                if seconds > 0:
                    self._stop.sleep(seconds)
        for path in self._restless.paths:
            self._custody.tally.see(path)
        try:
            self._custody.catch_up(at_once=True)
            waiting = self._custody.reconcile()
            if not self._stop.asked:
                self._custody.accounts.tell_pending(waiting)
        except Transient as fault:
            self._listener.warn(str(fault))

    def watch(self) -> None:
        """Reads what lies there and what arrives, until a stop is asked for. Raises as `once`."""
        with self._inbox as arrivals, meanwhile(self._go_on):
            self._stop.wake = arrivals.wake
            busy = False
            while busy or not self._ended():
                self._beat()
                new = arrivals.wait(0.0 if busy else min(LOOK_SECONDS, self._until_look()))
                if new is not None:
                    self._arrive(new)
                elif not busy and self._until_look() > 0 and not self._model_changed():
                    continue
                try:
                    busy = self._turn()
                    self._next_look = time.monotonic() + (0.0 if busy else self._idle_seconds())
                except Transient as fault:
                    busy = False
                    self._wait_for(fault)
                    self._next_look = time.monotonic() + LOOK_SECONDS

    def _step(self) -> float | None:
        """One turn of a run that ends by itself: seconds until the next, `None` where it was the last."""
        try:
            if self._turn():
                self._stuck.over()
                return 0.0
            standings = [standing for _, standing in self._custody.reconcile()]
        except Transient as fault:
            self._wait_for(fault)
            return self._patiently()
        if self._stop.asked:
            return None
        if again := self._restless.due():
            self._arrive(found for found in self._inbox.here() if found.path in again)
            return 0.0
        dues = [standing.due_in(datetime.now(UTC)) for standing in standings]
        soon = [seconds for seconds in dues if seconds <= self._patience_seconds]
        if ScanState.RUNNING in {standing.state for standing in standings} or any(soon):
            self._stuck.over()
            return min([LOOK_SECONDS, *filter(None, soon)])
        # What is left is due now: there is no room, its folder is away, or its file is never still.
        return self._patiently() if self._arrivals or self._restless.paths or soon else None

    def _patiently(self) -> float | None:
        self._stuck.meet("")
        patience = STOP_SECONDS if self._stop.asked else self._patience_seconds
        return None if self._stuck.lasts_longer_than(patience) else LOOK_SECONDS

    def _turn(self) -> bool:
        """Collects, commits and hands out; False once there is nothing left that could be done now.

        Raises Away and other Transients where everything has to wait; nothing is lost by another turn.
        """
        self._custody.check()
        self._custody.recover()
        self._collect(0.0)
        goes_on = not self._stop.asked and self._has_room()
        if goes_on:
            self._hand_out()
        examines = goes_on and self._succession is not None and self._succession.examines
        if self._custody.under_way or examines:
            more = goes_on and self._arrivals and self._engine.free > 0 and not examines
            self._collect(0.0 if more else WAIT_SECONDS)
            self._keep_alive()
            return True
        if goes_on and self._arrivals:
            return True
        self._custody.catch_up()
        self._went_well()
        return False

    def _arrive(self, new: Iterable[Found]) -> None:
        before, now = len(self._arrivals), datetime.now(UTC)
        for found in new:
            self._custody.tally.see(found.path)
            self._arrivals.append((found, now))
        self._listed = True
        self._listener.listed(len(self._arrivals) - before)

    def _hand_out(self) -> None:
        """Fills the engine; stops after a while, since many known scans can be in a row, and leases run."""
        sources = self._inboxes.reached()
        until = time.monotonic() + WAIT_SECONDS
        while self._engine.free > 0 and not self._stop.asked and time.monotonic() < until:
            if self._arrivals:
                # It is still there where the database is away.
                try:
                    with meanwhile(self._go_on_unless_stopped):
                        self._custody.take(*self._arrivals[0])
                except _Stopped:
                    return
                self._went_well()
                self._release(self._arrivals.popleft()[0].path)
            # After it was queued and before it is handed out: a scan is read by a model that was current
            # while it waited.
            if self._succession is not None and not self._succession.settled():
                return
            model = self._succession.in_use if self._succession is not None else None
            task = self._custody.next_task(sources, model)
            self._look_for_changed()
            if task is not None:
                self._submit(task)
                self._went_well()
            elif not self._arrivals:
                return

    def _submit(self, task: ScanTask) -> None:
        try:
            self._engine.submit(task)
        except DigitInboxError:
            self._custody.take_back(task)
            raise

    def _collect(self, timeout_seconds: float) -> None:
        """Commits what the workers have read; what cannot be committed now is kept for the next time."""
        self._finished.extend(self._engine.wait(timeout_seconds))
        while self._finished:
            outcome = self._finished[0]
            try:
                self._custody.commit(outcome)
            except BadModel as fault:
                raise self._succession.named(fault) if self._succession is not None else fault from None
            self._finished.popleft()
            self._went_well(read=outcome.had_a_worker)
            self._release(outcome.task.source)
            self._look_for_changed()
            if self._succession is not None:
                self._succession.drop_retired(self._custody.models_under_way)

    def _look_for_changed(self) -> None:
        """A file that was put off is new once it is still."""
        for path in self._custody.accounts.take_changed():
            self._inbox.release(path)
            if self._once:
                self._restless.add(path)

    def _release(self, path: Path) -> None:
        """Another scan may come under the name of one that was moved away."""
        if not os.path.lexists(path):
            self._inbox.release(path)

    def _keep_alive(self) -> None:
        if time.monotonic() >= self._next_heartbeat:
            self._custody.keep_alive()
            self._next_heartbeat = time.monotonic() + RENEWED_SECONDS

    def _go_on(self) -> None:
        """What must not wait until a large file is hashed or moved: the sign of life, and the leases."""
        self._beat()
        try:
            self._keep_alive()
        except Transient:
            # Who waits for the database says so; not each block of a file has to find it locked.
            self._next_heartbeat = time.monotonic() + RENEWED_SECONDS

    def _go_on_unless_stopped(self) -> None:
        if self._stop.asked:
            raise _Stopped
        self._go_on()

    def _has_room(self) -> bool:
        results, least = self._settings.results, self._settings.values.limits.min_free_mb
        try:
            short = shutil.disk_usage(results).free < least * 1e6
        except OSError as error:
            raise Away(f"{results} is away: {error.strerror}.", "Bring the folder back.") from None
        if short:
            text = f"Less than {least:g} MB are free below {results}; no further scan is read."
            self._wait_for(Away(text, "Make room, or lower limits.min_free_mb."))
        self._short = short
        return not short

    def _went_well(self, *, read: bool = False) -> None:
        """Something was written, or nothing waits: a database that can only be read is still waited for.

        With `read`, a worker was at it: that a scan could be queued does not bring the workers back.
        """
        waited = self._waits_for
        if not self._short:
            self._hindrance.over()
        if read:
            self._no_workers.over()
        if waited is not None and self._waits_for is None:
            self._listener.say("What was waited for is there again; reading goes on.")

    def _wait_for(self, fault: Transient) -> None:
        if isinstance(fault, NoWorkers):
            # Where memory, processes and open files run short together, each start fails of another.
            news = self._no_workers.why is None
            self._no_workers.meet(str(fault))
        else:
            news = self._hindrance.meet(str(fault))
        if news:
            self._custody.accounts.complain(f"{fault} Everything waits until then.")

    @property
    def _waits_for(self) -> str | None:
        """What keeps everything from going on, as far as it is known."""
        return self._hindrance.why or self._no_workers.why

    def _ended(self) -> bool:
        """Whether a stop was asked for, and all that could be committed is."""
        if not self._stop.asked:
            return False
        return not self._custody.under_way or self._hindrance.lasts_longer_than(STOP_SECONDS)

    def _until_look(self) -> float:
        return max(0.0, self._next_look - time.monotonic())

    def _idle_seconds(self) -> float:
        """How long nothing is to be done unless something arrives."""
        self._custody.reconcile()
        due = self._custody.due_in(self._inboxes.roots)
        away = self._waits_for or self._inboxes.away
        waits = away or self._custody.owes or self._custody.accounts.queued
        return min(LOOK_SECONDS if waits else float("inf"), float("inf") if due is None else due)

    def _model_changed(self) -> bool:
        return self._succession is not None and self._succession.wants_a_turn()

    def _beat(self) -> None:
        if self._pulse is not None:
            self._pulse.beat(self._state(), self._facts)

    def _state(self) -> DaemonState:
        if self._stop.asked:
            return DaemonState.STOPPING
        if not self._listed:
            return DaemonState.STARTING
        if self._waits_for is not None:
            return DaemonState.PAUSED
        busy = self._custody.under_way or self._arrivals
        if self._inboxes.all_away and not busy:
            return DaemonState.PAUSED
        return DaemonState.READING if busy else DaemonState.WATCHING

    def _facts(self) -> Mapping[str, Any]:
        custody = self._custody
        error, at = custody.accounts.last_error or (None, None)
        away = self._inboxes.away
        in_use = self._succession.in_use.name if self._succession is not None else None
        return {
            "watch": [] if self._once else [watch.facts() for watch in self._inbox.watches],
            "model": in_use,
            "waiting": len(self._arrivals) + custody.accounts.queued - custody.under_way,
            "under_way": custody.under_way,
            "paused": self._waits_for or (away if self._inboxes.all_away else None),
            "away": away,
            "last_error": error,
            "last_error_at": at.isoformat() if at else None,
            "scans_per_minute": custody.accounts.rate.a_minute(time.monotonic()),
            "workers": self._engine.workers,
        }
