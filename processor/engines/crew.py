"""The actors of one engine: started where there is room, asked to greet, and replaced when they die."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from processor import __version__
from processor.engines.cluster import Cluster
from processor.engines.deaths import Asked
from processor.engines.reader import Greeting

LOOK_SECONDS = 1.0
"""So often it is looked whether the cluster has grown, and workers that died are replaced; where they do not
even start, half as often each time."""

LONGEST_LOOK_SECONDS = 32.0

ASK_AGAIN_SECONDS = 30.0
"""A worker that does not see the folders of this run is asked so often whether it does by now."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Worker:
    """An actor, and what it was asked for: the first is being read since `began`, once that is known.

    `node` is where it is, once it has greeted; `overdue` is what it is being ended for.
    """

    actor: Any
    node: str = ""
    in_hand: deque[Asked] = field(default_factory=deque)
    began: float | None = None
    overdue: Asked | None = None
    ask_at: float = float("inf")


class Crew:
    """`hire` starts an actor; `greet` has a worker greet, which ends in `welcome` or `dismiss`."""

    def __init__(
        self,
        cluster: Cluster,
        hire: Callable[[], Any],
        greet: Callable[[Worker], None],
        *,
        most: int | None,
        start_seconds: float,
    ) -> None:
        self.ready: list[Worker] = []
        self._cluster = cluster
        self._hire = hire
        self._greet = greet
        self._most = most
        self._start_seconds = start_seconds
        self._workers: set[Worker] = set()
        self._next_look = 0.0
        self._pause = LOOK_SECONDS
        self._lacking_since: float | None = None
        self._why: str | None = None
        self._objections: set[str] = set()

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._workers

    def expect(self, scans: int) -> None:
        """Tells that no more workers are needed than this, before the first is started."""
        if not self._workers:
            self._most = max(1, scans if self._most is None else min(self._most, scans))

    def look_after(self) -> None:
        """Starts workers for which there may be room, and asks those again that could not be used."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._pause
        if not self.ready and self._lacking_since is None:
            self._lacking_since = now
        # Where the number is given, Ray keeps those for which there is no room yet; it adds nodes, if it can.
        most = self._most if self._most is not None else self._cluster.size
        while len(self._workers) < most:
            worker = Worker(self._hire())
            self._workers.add(worker)
            self._greet(worker)
        for worker in self._workers:
            if worker.ask_at <= now:
                worker.ask_at = float("inf")
                self._greet(worker)

    def welcome(self, worker: Worker, greeting: Greeting) -> None:
        """It is there, and idle until now."""
        worker.node = greeting.node
        worker.began = time.monotonic()
        if (objection := _objection(greeting)) is not None:
            worker.ask_at = worker.began + ASK_AGAIN_SECONDS
            self._why = objection
            if objection not in self._objections:
                self._objections.add(objection)
                log.warning("%s No scan is read there.", objection, extra={"event": "cluster.objection"})
        elif worker not in self.ready:
            self.ready.append(worker)
            self._lacking_since = self._why = None
            self._pause = LOOK_SECONDS

    def dismiss(self, worker: Worker, error: RayError) -> bool:
        """It does not answer any more; whether it is dead for certain, and not only out of reach."""
        _end(worker)
        self._workers.discard(worker)
        if worker in self.ready:
            self.ready.remove(worker)
        else:
            self._why = reason(error)
            self._pause = min(self._pause * 2, LONGEST_LOOK_SECONDS)
        on_its_own = not (worker.node and self._cluster.has_lost(worker.node))
        return isinstance(error, ActorDiedError) and on_its_own

    def end_overdue(self, seconds: float) -> None:
        """Ends those that are at one thing for more than `seconds`."""
        for worker in self._late(time.monotonic() - seconds):
            worker.overdue = worker.in_hand[0]
            _end(worker)

    def end(self) -> None:
        """Ends all of them, in the middle of what they do."""
        for worker in self._workers:
            _end(worker)
        self._workers.clear()
        self.ready.clear()

    @property
    def lack(self) -> str | None:
        """Why no worker could be started for so long; `None` while there is one, or one may still come."""
        since = self._lacking_since
        if self.ready or since is None or time.monotonic() - since <= self._start_seconds:
            return None
        return self._why or self._cluster.room

    def _late(self, latest: float) -> Iterator[Worker]:
        for worker in self.ready:
            if worker.in_hand and worker.began is not None and worker.began < latest and not worker.overdue:
                yield worker


def reason(error: RayError) -> str:
    """What Ray says last, up to its advice: the lines before name only numbers."""
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    told = last.partition(" Some common causes")[0].rpartition("Worker exit detail: ")[2]
    return told.strip().rstrip(".")


def _end(worker: Worker) -> None:
    # Of one that is dead already, Ray may know nothing any more.
    with suppress(RayError, ValueError):
        ray.kill(worker.actor)


def _objection(greeting: Greeting) -> str | None:
    """Why this worker cannot be used."""
    if greeting.version != __version__:
        return f"{greeting.host} has version {greeting.version} of this program, and not {__version__}."
    if greeting.unseen:
        unseen = ", ".join(map(str, greeting.unseen))
        return f"{greeting.host} does not see {unseen}: mount it there at the same place."
    return None
