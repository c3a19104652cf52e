"""Reads scans in worker processes of this machine: a scan that hangs or kills its worker harms no other."""

import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from processor.engines import deaths
from processor.engines.memory import OVER_LIMIT
from processor.engines.tasks import TASKS_PER_WORKER, Outcome, ScanTask, Verdict
from processor.engines.worker import Load, examine, load_pipeline, read_task, start_worker
from processor.errors import DigitInboxError, NoWorkers
from processor.logs import plan_for_workers
from processor.records import ScanResult
from processor.settings import LoadedSettings

Reading = Future[ScanResult | DigitInboxError]
Loading = Future[DigitInboxError | None]


class LocalEngine:
    """A pool of `workers` processes, started with the first task; this process never imports torch.

    `load` runs once in each worker and gives what reads a scan there; like a task, it must pickle.
    """

    def __init__(self, settings: LoadedSettings, workers: int, load: Load | None = None) -> None:
        self._settings = settings
        self._workers = workers
        self._load = load or load_pipeline
        self._pool: ProcessPool | None = None
        self._under_way: dict[Reading, ScanTask] = {}
        self._examination: tuple[Path, Loading] | None = None
        self._ended: queue.SimpleQueue[Reading | None] = queue.SimpleQueue()

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def free(self) -> int:
        return self._workers * TASKS_PER_WORKER - len(self._under_way)

    def expect(self, scans: int) -> None:
        if self._pool is None:
            # A second worker for a single scan would only take half the machine while it imports torch.
            self._workers = max(1, min(self._workers, scans))

    def submit(self, task: ScanTask) -> None:
        future: Reading = self._schedule(read_task, task)
        self._under_way[future] = task
        future.add_done_callback(self._ended.put)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if not self._under_way and self._examination is None:
            return outcomes
        try:
            ended = [self._ended.get(timeout=timeout_seconds)]
            while not self._ended.empty():
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            return outcomes
        # `None` is put by an examination, only to end the wait.
        return [self._outcome(future) for future in ended if future is not None]

    def examine(self, model: Path) -> None:
        future: Loading = self._schedule(examine, model, self._settings.values.recognition.device)
        self._examination = (model, future)
        future.add_done_callback(lambda _: self._ended.put(None))

    def verdict(self) -> Verdict | None:
        if self._examination is None or not self._examination[1].done():
            return None
        (model, future), self._examination = self._examination, None
        fault: DigitInboxError | None
        try:
            fault = future.result()
        except TimeoutError:
            fault = deaths.too_slow(model, self._settings)
        except (ProcessExpired, BrokenProcessPool) as error:
            fault = deaths.killed(model, error)
        return Verdict(model, fault)

    def close(self) -> None:
        """Ends the workers, in the middle of their scans where there are any under way."""
        if self._pool is not None:
            # First, or it would start others in the place of those that are killed.
            self._pool.stop()
            starts_others = getattr(self._pool, "_pool_manager_loop", None)
            if starts_others is not None:
                starts_others.join()
            # Before pebble does: it takes the locks away first, and a worker that still starts complains.
            for worker in multiprocessing.active_children():
                worker.kill()
        self._under_way.clear()
        self._examination = None
        self._stop_pool()

    def _schedule(self, function: Callable[..., Any], *arguments: object) -> "Future[Any]":
        seconds = self._settings.values.limits.seconds_per_scan
        try:
            future = self._running_pool().schedule(function, args=arguments, timeout=seconds)
        except RuntimeError:
            # The pool gave up, as pebble does when a worker is killed (for memory, by the kernel) while idle.
            self._stop_pool()
            try:
                future = self._running_pool().schedule(function, args=arguments, timeout=seconds)
            except RuntimeError as error:
                raise _unstarted(error) from None
        return future  # type: ignore[no-any-return]

    def _outcome(self, future: Reading) -> Outcome:
        task = self._under_way.pop(future)
        try:
            return Outcome(task, future.result())
        except TimeoutError:
            return Outcome(task, deaths.too_slow(task, self._settings))
        except (ProcessExpired, BrokenProcessPool) as error:
            return Outcome(task, self._death(task, error))

    def _death(self, task: ScanTask, error: ProcessExpired | BrokenProcessPool) -> DigitInboxError:
        if isinstance(error, BrokenProcessPool):
            # Workers ended that read nothing, or none could be started: no scan is to blame.
            return deaths.without_worker(task, error.__cause__ or error)
        if getattr(error, "exitcode", None) == OVER_LIMIT:
            return deaths.too_big(task, self._settings)
        return deaths.killed(task, error)

    def _running_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._workers,
                initializer=start_worker,
                initargs=(self._load, self._settings, plan_for_workers()),
                context=multiprocessing.get_context("spawn"),
            )
            try:
                with _signals_held():
                    # Asking is what starts the processes.
                    started = self._pool.active
            except (OSError, RuntimeError) as error:
                # No memory, no room in /dev/shm for a lock, too many processes or open files.
                self._stop_pool()
                raise _unstarted(error.__cause__ or error) from None
            if not started:
                self._stop_pool()
                raise _unstarted("the pool is not active")
        return self._pool

    def _stop_pool(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None


def _unstarted(reason: BaseException | str) -> NoWorkers:
    remedy = "Make room in the memory and in /dev/shm, or raise the limits of processes and open files."
    return NoWorkers(f"The workers could not be started: {reason}.", remedy)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Processes and threads that start meanwhile never see Ctrl-C or SIGTERM; this one sees them afterwards.

    Ctrl-C reaches the whole process group, and a service manager's SIGTERM every process of the service: a
    worker that is still importing would die of it, and a worker in the middle of a scan too.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its own start unblocks the two signals again.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
