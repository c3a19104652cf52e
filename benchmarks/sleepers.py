"""An engine whose workers only sleep: so long as a page takes, then they hand over what a page gives.

All of them are one process beside the driver's, however many they are: what it does counts for no driver.
"""

import heapq
import multiprocessing
import queue
import threading
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.made_up import page_of_digits
from processor.engines.tasks import TASKS_PER_WORKER, Outcome, ScanTask, Verdict
from processor.records import ScanResult, StagedFile
from processor.results.publish import output_name
from processor.results.tables import scan_csv

PICTURE = bytes(250_000)
"""An annotated A4 page takes about as much."""


class SleepingEngine:
    """`workers` that take `seconds` a scan each; `idle` is how long the driver waited for them."""

    def __init__(self, workers: int, seconds: float, results: Path) -> None:
        self._workers = workers
        self._under_way = 0
        self.idle = 0.0
        context = multiprocessing.get_context("spawn")
        tasks, self._tasks = context.Pipe(duplex=False)
        self._outcomes, outcomes = context.Pipe(duplex=False)
        arguments = (tasks, outcomes, workers, seconds, results)
        self._dormitory = context.Process(target=_sleep, args=arguments, daemon=True)
        self._dormitory.start()
        outcomes.close()
        # What it imports is no part of the run.
        self._outcomes.recv()

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def free(self) -> int:
        return self._workers * TASKS_PER_WORKER - self._under_way

    def expect(self, scans: int) -> None:
        pass

    def submit(self, task: ScanTask) -> None:
        self._tasks.send(task)
        self._under_way += 1

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if not self._under_way:
            return outcomes
        began = time.perf_counter()
        while self._outcomes.poll(0.0 if outcomes else timeout_seconds):
            outcomes.append(self._outcomes.recv())
        if not outcomes:
            self.idle += time.perf_counter() - began
        self._under_way -= len(outcomes)
        return outcomes

    def examine(self, model: Path) -> None:
        raise NotImplementedError(f"nobody promotes {model} meanwhile")

    def verdict(self) -> Verdict | None:
        return None

    def close(self) -> None:
        self._dormitory.kill()
        self._dormitory.join()


def _sleep(tasks: Connection, outcomes: Connection, workers: int, seconds: float, results: Path) -> None:
    """Each task is taken by a worker as soon as one is free, in their order."""
    page = page_of_digits()
    come: queue.SimpleQueue[ScanTask] = queue.SimpleQueue()
    # Beside what follows: the driver must never wait with its tasks while its outcomes wait for it.
    threading.Thread(target=_receive, args=(tasks, come), daemon=True).start()
    asleep: list[tuple[float, int, ScanTask]] = []
    outcomes.send(None)
    while True:
        now = time.monotonic()
        while asleep and asleep[0][0] <= now:
            task = heapq.heappop(asleep)[2]
            outcomes.send(Outcome(task, _read(task, page, results)))
        until = max(0.0, asleep[0][0] - time.monotonic()) if asleep else None
        if len(asleep) == workers:
            time.sleep(until or 0.0)
            continue
        with suppress(queue.Empty):
            task = come.get(timeout=until)
            heapq.heappush(asleep, (time.monotonic() + seconds, task.id, task))


def _receive(tasks: Connection, come: "queue.SimpleQueue[ScanTask]") -> None:
    with suppress(EOFError):
        while True:
            come.put(tasks.recv())


def _read(task: ScanTask, page: ScanResult, results: Path) -> ScanResult:
    """Stages what a page of 310 digits gives: a picture and a table."""
    name = output_name(task.file, task.sha256)
    table = scan_csv(task.file, task.sha256, page.pages, "made up").encode()
    outputs = {f"annotated/{name}-p1.jpg": PICTURE, f"csv/{name}.csv": table}
    staged = []
    for target, data in outputs.items():
        path = task.staging / Path(target).name
        path.write_bytes(data)
        staged.append(StagedFile(staged=path, target=results / target))
    model = task.model.name if task.model is not None else "made up"
    return replace(page, model=model, annotated=(staged[0].target,), staged=tuple(staged))
