"""Reads scans in actors of a Ray cluster: a scan, a worker or a whole node that dies harms no other scan."""

import logging
import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from processor import __version__
from processor.engines import deaths
from processor.engines.cluster import Cluster
from processor.engines.deaths import Asked
from processor.engines.reader import OVER_LIMIT_MARK, Greeting, Reader
from processor.engines.tasks import TASKS_PER_WORKER, Outcome, ScanTask, Verdict
from processor.engines.worker import Load, load_pipeline
from processor.errors import DigitInboxError, NoWorkers, Transient
from processor.logs import plan_for_workers
from processor.settings import Database, LoadedSettings

LOOK_SECONDS = 1.0
"""So often the engine looks whether the cluster has grown, and replaces workers that died; where they do not
even start, it looks half as often each time."""

LONGEST_LOOK_SECONDS = 32.0

START_SECONDS = 120.0
"""A scan that found no worker for so long goes back to the queue; until there is one, no other is taken."""

ASK_AGAIN_SECONDS = 30.0
"""A worker that does not see the folders of this run is asked so often whether it does by now."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Worker:
    """An actor, and what it was asked for: the first is being read since `began`, once that is known.

    `node` is where it is, once it has greeted; `overdue` is what it is being ended for.
    """

    actor: Any
    node: str = ""
    in_hand: deque[Asked] = field(default_factory=deque)
    began: float | None = None
    overdue: Asked | None = None
    ask_at: float = float("inf")


_Answer = tuple[_Worker, Asked | None, "Future[Any]"]
"""What a worker answered; `None`: to a greeting."""


class RayEngine:
    """Up to `workers` actors, or, with `None`, one for each CPU of the cluster, however large it grows.

    Each of them must see `folders`. `load` runs once in each, and gives what reads a scan there.
    Raises BadSettings where there is no cluster.
    """

    def __init__(
        self,
        settings: LoadedSettings,
        workers: int | None = None,
        load: Load | None = None,
        *,
        folders: Sequence[Path] = (),
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._settings = settings
        self._most = workers
        self._start_seconds = start_seconds
        self._cluster = Cluster(settings)
        self._cluster.join()
        # What this process does not see either (an inbox that is away) says nothing about a node.
        seen = tuple(folder for folder in folders if folder.is_dir())
        # No restarts by Ray: what a worker died of, and what becomes of its scans, is decided here.
        options = {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        self._maker = ray.remote(Reader).options(**self._cluster.needs, **options)
        self._arguments = (load or load_pipeline, _without_database(settings), plan_for_workers(), seen)
        self._workers: set[_Worker] = set()
        self._ready: list[_Worker] = []
        self._waiting: deque[Asked] = deque()
        self._under_way = 0
        self._ended: list[Outcome] = []
        self._examines = False
        self._verdict: Verdict | None = None
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._next_look = 0.0
        self._pause = LOOK_SECONDS
        self._without_since: float | None = None
        self._no_start: str | None = None
        self._warned: set[str] = set()

    @property
    def free(self) -> int:
        return max(1, len(self._ready)) * TASKS_PER_WORKER - self._under_way

    def expect(self, scans: int) -> None:
        if not self._workers:
            self._most = max(1, scans if self._most is None else min(self._most, scans))

    def submit(self, task: ScanTask) -> None:
        self._ask(task)
        self._under_way += 1

    def examine(self, model: Path) -> None:
        self._ask(model)
        self._examines = True

    def verdict(self) -> Verdict | None:
        verdict, self._verdict = self._verdict, None
        return verdict

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        until = time.monotonic() + timeout_seconds
        examines = self._examines
        while self._under_way or self._examines:
            left = 0.0 if self._ended else max(0.0, until - time.monotonic())
            self._hear(min(left, self._until_limit()))
            self._look_after()
            if left <= 0 or self._ended or self._examines != examines:
                break
        outcomes, self._ended = self._ended, []
        self._under_way -= len(outcomes)
        return outcomes

    def close(self) -> None:
        """Ends the workers, in the middle of scans that are under way, and leaves the cluster."""
        for worker in self._workers:
            _end(worker)
        self._workers.clear()
        self._ready.clear()
        self._waiting.clear()
        self._under_way, self._examines = 0, False
        self._cluster.leave()

    def _ask(self, asked: Asked) -> None:
        self._hear(0.0)
        self._look_after()
        if self._lacks_workers():
            raise NoWorkers(
                f"No worker could be started on the cluster: {self._lack()}.",
                "Add nodes, or end what occupies them (`ray status`).",
            )
        self._waiting.append(asked)
        self._hand_out()

    def _hear(self, timeout_seconds: float) -> None:
        """Takes in what workers have answered, waiting for the first of the answers."""
        with suppress(queue.Empty):
            answers = [self._answers.get(timeout=timeout_seconds)]
            while not self._answers.empty():
                answers.append(self._answers.get_nowait())
            for worker, asked, future in answers:
                # What was in the hands of one that died was dealt with when the first word of it came.
                if worker in self._workers:
                    self._take_in(worker, asked, future)

    def _take_in(self, worker: _Worker, asked: Asked | None, future: "Future[Any]") -> None:
        try:
            answer = future.result()
        except RayError as error:
            self._bury(worker, error)
            return
        if asked is None:
            self._welcome(worker, answer)
            return
        worker.in_hand.remove(asked)
        # Where its end is under way, nothing that it still has is to blame for that.
        worker.began = None if worker.overdue is not None else time.monotonic()
        self._settle(asked, answer)

    def _welcome(self, worker: _Worker, greeting: Greeting) -> None:
        worker.node = greeting.node
        worker.began = time.monotonic()
        if (objection := _objection(greeting)) is not None:
            worker.ask_at = time.monotonic() + ASK_AGAIN_SECONDS
            self._no_start = objection
            if objection not in self._warned:
                self._warned.add(objection)
                log.warning("%s No scan is read there.", objection, extra={"event": "cluster.objection"})
        elif worker not in self._ready:
            self._ready.append(worker)
            self._without_since = self._no_start = None
            self._pause = LOOK_SECONDS

    def _bury(self, worker: _Worker, error: RayError) -> None:
        """What it read is blamed where only this worker died; what waited is read elsewhere, if that is safe.

        Where the node is out of reach, the worker may still write into the staging folders of its scans: they
        get others, which only the queue can give them.
        """
        # It may be alive, and only out of reach.
        _end(worker)
        self._workers.discard(worker)
        if worker in self._ready:
            self._ready.remove(worker)
        else:
            self._no_start = _reason(error)
            self._pause = min(self._pause * 2, LONGEST_LOOK_SECONDS)
        dead = isinstance(error, ActorDiedError) and not (worker.node and self._cluster.has_lost(worker.node))
        waited: list[Asked] = []
        for place, asked in enumerate(worker.in_hand):
            if asked is worker.overdue:
                self._settle(asked, deaths.too_slow(asked, self._settings))
            elif not dead:
                self._settle(asked, _lost(asked, error))
            elif place == 0 and worker.began is not None:
                self._settle(asked, self._blame(asked, error))
            else:
                waited.append(asked)
        self._waiting.extendleft(reversed(waited))

    def _blame(self, asked: Asked, error: RayError) -> DigitInboxError:
        if isinstance(asked, ScanTask) and (asked.staging / OVER_LIMIT_MARK).exists():
            return deaths.too_big(asked, self._settings)
        return deaths.killed(asked, _reason(error))

    def _settle(self, asked: Asked, result: Any) -> None:
        if isinstance(asked, ScanTask):
            self._ended.append(Outcome(asked, result))
        else:
            self._verdict = Verdict(asked, result)
            self._examines = False

    def _look_after(self) -> None:
        for worker in self._overdue():
            worker.overdue = worker.in_hand[0]
            _end(worker)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + self._pause
            self._grow()
        self._hand_out()
        if self._lacks_workers():
            while self._waiting:
                asked = self._waiting.popleft()
                self._settle(asked, deaths.without_worker(asked, self._lack()))

    def _overdue(self) -> Iterator[_Worker]:
        limit = time.monotonic() - self._settings.values.limits.seconds_per_scan
        for worker in self._ready:
            if worker.in_hand and worker.began is not None and worker.began < limit and not worker.overdue:
                yield worker

    def _until_limit(self) -> float:
        """So long nothing needs to be looked after, unless a worker answers."""
        return min(LOOK_SECONDS, self._settings.values.limits.seconds_per_scan)

    def _grow(self) -> None:
        """Starts workers for which there may be room, and asks those again that could not be used."""
        if not self._ready and self._without_since is None:
            self._without_since = time.monotonic()
        # Where the number is given, Ray keeps those for which there is no room yet; it adds nodes, if it can.
        most = self._most if self._most is not None else self._cluster.size
        while len(self._workers) < most:
            worker = _Worker(self._maker.remote(*self._arguments))
            self._workers.add(worker)
            self._listen(worker, None, worker.actor.greet.remote())
        for worker in self._workers:
            if worker.ask_at <= time.monotonic():
                worker.ask_at = float("inf")
                self._listen(worker, None, worker.actor.greet.remote())

    def _hand_out(self) -> None:
        while self._waiting and self._ready:
            worker = min(self._ready, key=lambda ready: len(ready.in_hand))
            if len(worker.in_hand) >= TASKS_PER_WORKER:
                return
            self._send(worker, self._waiting.popleft())

    def _send(self, worker: _Worker, asked: Asked) -> None:
        if not worker.in_hand:
            # One that died while it idled does not greet: no scan is to blame. Time runs from the greeting.
            worker.began = None
            self._listen(worker, None, worker.actor.greet.remote())
        worker.in_hand.append(asked)
        if isinstance(asked, ScanTask):
            self._listen(worker, asked, worker.actor.read.remote(asked))
        else:
            device = self._settings.values.recognition.device
            self._listen(worker, asked, worker.actor.examine.remote(asked, device))

    def _listen(self, worker: _Worker, asked: Asked | None, answer: Any) -> None:
        answer.future().add_done_callback(lambda future: self._answers.put((worker, asked, future)))

    def _lacks_workers(self) -> bool:
        since = self._without_since
        return not self._ready and since is not None and time.monotonic() - since > self._start_seconds

    def _lack(self) -> str:
        return self._no_start or self._cluster.room


def _end(worker: _Worker) -> None:
    # Of one that is dead already, Ray may know nothing any more.
    with suppress(RayError, ValueError):
        ray.kill(worker.actor)


def _lost(asked: Asked, error: RayError) -> Transient:
    what = asked.file if isinstance(asked, ScanTask) else f"the model {asked.name}"
    return Transient(f"The node that read {what} is out of reach ({_reason(error)}).", "")


def _objection(greeting: Greeting) -> str | None:
    """Why this worker cannot be used."""
    if greeting.version != __version__:
        return f"{greeting.host} has version {greeting.version} of this program, and not {__version__}."
    if greeting.unseen:
        unseen = ", ".join(map(str, greeting.unseen))
        return f"{greeting.host} does not see {unseen}: mount it there at the same place."
    return None


def _reason(error: RayError) -> str:
    """The last line of what Ray says, up to its advice: the lines before name only numbers."""
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    told = last.partition(" Some common causes")[0].rpartition("Worker exit detail: ")[2]
    return told.strip().rstrip(".")


def _without_database(settings: LoadedSettings) -> LoadedSettings:
    """Workers write no rows, and its address may hold a password."""
    values = settings.values.model_copy(update={"database": Database()})
    return LoadedSettings(values, settings.base, settings.file, settings.origins)
