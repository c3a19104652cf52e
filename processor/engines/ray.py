"""Reads scans in actors of a Ray cluster: a scan, a worker or a whole node that dies harms no other scan."""

import queue
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from processor.engines import deaths
from processor.engines.cluster import Cluster
from processor.engines.crew import LOOK_SECONDS, Crew, Worker, reason
from processor.engines.deaths import Asked
from processor.engines.reader import OVER_LIMIT_MARK, Reader
from processor.engines.tasks import TASKS_PER_WORKER, Outcome, ScanTask, Verdict
from processor.engines.worker import Load, load_pipeline
from processor.errors import DigitInboxError, NoWorkers
from processor.logs import plan_for_workers
from processor.settings import Database, LoadedSettings

START_SECONDS = 300.0
"""A scan that found no worker for so long goes back to the queue; until there is one, no other is taken.
Where nodes are rented when they are needed, the first takes minutes to come."""

_Answer = tuple[Worker, Asked | None, "Future[Any]"]
"""What a worker answered; `None`: to the request to greet."""


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
        self._cluster = Cluster(settings)
        self._cluster.join()
        # What this process does not see either (an inbox that is away) says nothing about a node.
        seen = tuple(folder for folder in folders if folder.is_dir())
        self._arguments = (load or load_pipeline, _without_database(settings), plan_for_workers(), seen)
        self._crew = Crew(
            self._cluster, self._hire, self._have_greet, most=workers, start_seconds=start_seconds
        )
        self._waiting: deque[Asked] = deque()
        self._under_way = 0
        self._ended: list[Outcome] = []
        self._examines = False
        self._verdict: Verdict | None = None
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()

    @property
    def workers(self) -> int:
        return len(self._crew.ready)

    @property
    def free(self) -> int:
        return max(1, self.workers) * TASKS_PER_WORKER - self._under_way

    def expect(self, scans: int) -> None:
        self._crew.expect(scans)

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
            self._hear(min(left, LOOK_SECONDS, self._settings.values.limits.seconds_per_scan))
            self._look_after()
            if left <= 0 or self._ended or self._examines != examines:
                break
        outcomes, self._ended = self._ended, []
        self._under_way -= len(outcomes)
        return outcomes

    def close(self) -> None:
        """Ends the workers, in the middle of scans that are under way, and leaves the cluster."""
        self._crew.end()
        self._waiting.clear()
        self._under_way, self._examines = 0, False
        self._cluster.leave()

    def _ask(self, asked: Asked) -> None:
        self._hear(0.0)
        self._look_after()
        if (lack := self._crew.lack) is not None:
            remedy = "Add nodes, or end what occupies them (`ray status`)."
            raise NoWorkers(f"No worker could be started on the cluster: {lack.rstrip('.')}.", remedy)
        self._waiting.append(asked)
        self._hand_out()

    def _look_after(self) -> None:
        self._crew.end_overdue(self._settings.values.limits.seconds_per_scan)
        self._crew.look_after()
        self._hand_out()
        if self._waiting and (lack := self._crew.lack) is not None:
            while self._waiting:
                asked = self._waiting.popleft()
                self._settle(asked, deaths.without_worker(asked, lack))

    def _hand_out(self) -> None:
        while self._waiting and self._crew.ready:
            worker = min(self._crew.ready, key=lambda ready: len(ready.in_hand))
            if len(worker.in_hand) >= TASKS_PER_WORKER:
                return
            self._send(worker, self._waiting.popleft())

    def _send(self, worker: Worker, asked: Asked) -> None:
        if not worker.in_hand:
            # One that died while it idled does not greet: no scan is to blame. Time runs from the greeting.
            worker.began = None
            self._have_greet(worker)
        worker.in_hand.append(asked)
        if isinstance(asked, ScanTask):
            self._listen(worker, asked, worker.actor.read.remote(asked))
        else:
            device = self._settings.values.recognition.device
            self._listen(worker, asked, worker.actor.examine.remote(asked, device))

    def _hire(self) -> Any:
        # No restarts by Ray: what a worker died of, and what becomes of its scans, is decided here.
        options = {"max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        return ray.remote(Reader).options(**self._cluster.needs, **options).remote(*self._arguments)

    def _have_greet(self, worker: Worker) -> None:
        self._listen(worker, None, worker.actor.greet.remote())

    def _listen(self, worker: Worker, asked: Asked | None, answer: Any) -> None:
        answer.future().add_done_callback(lambda future: self._answers.put((worker, asked, future)))

    def _hear(self, timeout_seconds: float) -> None:
        """Takes in what workers have answered, waiting for the first of the answers."""
        with suppress(queue.Empty):
            answers = [self._answers.get(timeout=timeout_seconds)]
            while not self._answers.empty():
                answers.append(self._answers.get_nowait())
            for worker, asked, future in answers:
                # What was in the hands of one that died was dealt with when the first word of it came.
                if worker in self._crew:
                    self._take_in(worker, asked, future)

    def _take_in(self, worker: Worker, asked: Asked | None, future: "Future[Any]") -> None:
        try:
            answer = future.result()
        except RayError as error:
            self._bury(worker, error)
            return
        if asked is None:
            self._crew.welcome(worker, answer)
            return
        worker.in_hand.remove(asked)
        # Where its end is under way, nothing that it still has is to blame for that.
        worker.began = None if worker.overdue is not None else time.monotonic()
        self._settle(asked, answer)

    def _bury(self, worker: Worker, error: RayError) -> None:
        """What it read is blamed where only this worker died; what waited is read elsewhere, if that is safe.

        Where the node is out of reach, the worker may still write into the staging folders of its scans: they
        get others, which only the queue can give them.
        """
        is_dead = self._crew.dismiss(worker, error)
        waited: list[Asked] = []
        for place, asked in enumerate(worker.in_hand):
            if asked is worker.overdue:
                self._settle(asked, deaths.too_slow(asked, self._settings))
            elif not is_dead:
                self._settle(asked, deaths.out_of_reach(asked, reason(error)))
            elif place == 0 and worker.began is not None:
                self._settle(asked, self._blame(asked, error))
            else:
                waited.append(asked)
        self._waiting.extendleft(reversed(waited))

    def _blame(self, asked: Asked, error: RayError) -> DigitInboxError:
        if isinstance(asked, ScanTask) and (asked.staging / OVER_LIMIT_MARK).exists():
            return deaths.too_big(asked, self._settings)
        return deaths.killed(asked, reason(error))

    def _settle(self, asked: Asked, result: Any) -> None:
        if isinstance(asked, ScanTask):
            self._ended.append(Outcome(asked, result))
        else:
            self._verdict = Verdict(asked, result)
            self._examines = False


def _without_database(settings: LoadedSettings) -> LoadedSettings:
    """Workers write no rows, and its address may hold a password."""
    values = settings.values.model_copy(update={"database": Database()})
    return LoadedSettings(values, settings.base, settings.file, settings.origins)
