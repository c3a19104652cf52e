"""Reads scans in worker processes of this machine: a scan that hangs or kills its worker harms no other."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebble import ProcessExpired, ProcessPool

from processor.engines.memory import OVER_LIMIT, limit_memory
from processor.engines.tasks import Outcome, ScanTask, Verdict, attempt, attempt_model
from processor.errors import BadModel, BadScan, DigitInboxError, NoWorkers, Transient, WorkerKilled
from processor.logs import LogPlan, plan_for_workers, start_in_worker
from processor.records import ScanResult
from processor.settings import LoadedSettings

if TYPE_CHECKING:
    from processor.pipeline import Reader

TASKS_PER_WORKER = 2
"""One is read while the next one waits, so that no worker idles while the parent commits."""


Read = Callable[[ScanTask], ScanResult]
Reading = Future[ScanResult | DigitInboxError]
Loading = Future[DigitInboxError | None]
Load = Callable[[LoadedSettings], Read]


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
    def free(self) -> int:
        return self._workers * TASKS_PER_WORKER - len(self._under_way)

    def expect(self, scans: int) -> None:
        if self._pool is None:
            # A second worker for a single scan would only take half the machine while it imports torch.
            self._workers = max(1, min(self._workers, scans))

    def submit(self, task: ScanTask) -> None:
        future: Reading = self._schedule(_read, task)
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
        future: Loading = self._schedule(_examine, model, self._settings.values.recognition.device)
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
            seconds = self._settings.values.limits.seconds_per_scan
            fault = BadModel(
                f"The model {model.name} was not loaded within {seconds:g} s.",
                "Raise limits.seconds_per_scan, or promote a smaller model.",
            )
        except (ProcessExpired, BrokenProcessPool) as error:
            fault = Transient(
                f"The worker that loaded the model {model.name} was killed ({error}).",
                "If the memory is short, use fewer workers.",
            )
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
            seconds = self._settings.values.limits.seconds_per_scan
            return Outcome(
                task,
                BadScan(
                    f"{task.file} was not read within {seconds:g} s.",
                    "Raise limits.seconds_per_scan, or split the document.",
                ),
            )
        except (ProcessExpired, BrokenProcessPool) as error:
            return Outcome(task, self._death(task, error))

    def _death(self, task: ScanTask, error: ProcessExpired | BrokenProcessPool) -> DigitInboxError:
        if isinstance(error, BrokenProcessPool):
            # Workers ended that read nothing, or none could be started: no scan is to blame.
            reason = error.__cause__ or error
            return Transient(
                f"{task.file} was not read, for want of a worker ({reason}).", "It is tried again."
            )
        if getattr(error, "exitcode", None) == OVER_LIMIT:
            megabytes = self._settings.values.limits.worker_memory_mb
            return BadScan(
                f"{task.file} needs more than {megabytes:g} MB of memory to be read.",
                "Raise limits.worker_memory_mb, or scan it at a lower resolution.",
            )
        return WorkerKilled(
            f"The worker that read {task.file} was killed ({error}).",
            "If the memory is short, use fewer workers.",
        )

    def _running_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._workers,
                initializer=_start_worker,
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


# What follows runs in the workers; a worker keeps the model of its last scan until another is asked for.


def load_pipeline(settings: LoadedSettings) -> Read:
    """Gives the function that reads one scan with the model its task names.

    No model is loaded yet: a worker that takes the place of a killed one must not fail because the model
    that CURRENT names meanwhile is refused. What it gives raises BadModel.
    """
    # Before torch and OpenCV are imported: each worker has one core, and more threads only get in its way.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    import cv2
    import torch

    from processor.pipeline import load_reader, process

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    held: tuple[Path | None, Reader] | None = None

    def read(task: ScanTask) -> ScanResult:
        nonlocal held
        if held is None or held[0] != task.model:
            loaded = attempt_model(task.model or Path("current"), lambda: load_reader(settings, task.model))
            if isinstance(loaded, DigitInboxError):
                if not task.staging.is_dir():
                    # The copies of the models lie beside it: what is away is the folder, not the model.
                    raise Transient(f"{task.staging} is away.", "Bring the folder back.")
                raise loaded
            held = (task.model, loaded)
        return process(
            task.source,
            file=task.file,
            sha256=task.sha256,
            reader=held[1],
            settings=settings,
            staging=task.staging,
            corrected=task.corrected,
        )

    return read


_loaded: list[Read | DigitInboxError] = []


def _start_worker(load: Load, settings: LoadedSettings, logs: LogPlan) -> None:
    start_in_worker(logs)
    limit_memory(settings.values.limits.worker_memory_mb)
    try:
        _loaded.append(load(settings))
    except DigitInboxError as error:
        # A worker that ends here would be started again, for ever: its tasks carry the reason instead.
        _loaded.append(error)


def _examine(folder: Path, device: str) -> DigitInboxError | None:
    """Loads the model as reading would, and lets it go; what is wrong with it, if anything."""
    from processor.prediction.classifier import Classifier

    loaded = attempt_model(folder, lambda: Classifier.load(folder, device))
    return loaded if isinstance(loaded, DigitInboxError) else None


def _read(task: ScanTask) -> ScanResult | DigitInboxError:
    read = _loaded[0]
    return read if isinstance(read, DigitInboxError) else attempt(task, read)
