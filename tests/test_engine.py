"""The worker processes of this machine: how they start, what they hear, and that none is left."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.engines.local import LocalEngine
from processor.engines.tasks import TASKS_PER_WORKER, Outcome, ScanTask, attempt, attempt_model
from processor.engines.worker import Load
from processor.errors import BadModel, NoWorkers, Transient, WorkerKilled
from processor.records import ScanResult
from processor.settings import load
from tests.obedient import collect, load_obedient, read_by, task

Start = Callable[..., LocalEngine]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts engines with settings of this test, and ends them after it."""
    engines = []

    def start(workers: int = 1, load_reader: Load = load_obedient, **flags: object) -> LocalEngine:
        settings = load(home / "settings.toml", {k.replace("__", "."): v for k, v in flags.items()})
        engines.append(LocalEngine(settings, workers, load_reader))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("room", [0, 1, 5, 9])
def test_workers_that_cannot_be_started_are_waited_for(start: Start, room: int) -> None:
    """For want of open files here; so it is for want of memory, or of room for a lock in /dev/shm."""
    resource = pytest.importorskip("resource")
    engine = start(workers=2)
    before, children = resource.getrlimit(resource.RLIMIT_NOFILE), multiprocessing.active_children()
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + room, before[1]))
    try:
        with pytest.raises(NoWorkers, match="could not be started"):
            engine.submit(task("a"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert multiprocessing.active_children() == children
    assert isinstance(read_by(engine, "a")["a"], ScanResult)


def test_workers_that_still_start_end_without_a_word(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    engine = start(workers=1, limits__seconds_per_scan=0.5)
    read_by(engine, "sleep")
    # Another worker starts in the place of the one that was stopped.
    engine.close()
    time.sleep(0.5)
    assert capfd.readouterr().err == ""


def test_a_scan_that_waited_for_a_worker_which_cannot_be_started_killed_none(start: Start) -> None:
    resource = pytest.importorskip("resource")
    engine = start(workers=1)
    read_by(engine, "warm up")
    engine.submit(task("sleep", 1))
    engine.submit(task("a", 2))
    assert engine.wait(1.0) == []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        (worker,) = multiprocessing.active_children()
        worker.kill()
        found = collect(engine, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert isinstance(found["sleep"], WorkerKilled)
    assert Outcome(task("sleep"), found["sleep"]).had_a_worker
    assert isinstance(found["a"], Transient)
    assert not Outcome(task("a"), found["a"]).had_a_worker
    assert not isinstance(found["a"], WorkerKilled)
    assert isinstance(read_by(engine, "b")["b"], ScanResult)


def test_it_takes_a_bounded_number_of_scans(start: Start) -> None:
    engine = start(workers=2)
    assert engine.free == 2 * TASKS_PER_WORKER
    engine.submit(task("a"))
    assert engine.free == 2 * TASKS_PER_WORKER - 1
    collect(engine, 1)
    assert engine.free == 2 * TASKS_PER_WORKER


def test_one_scan_needs_one_worker(start: Start) -> None:
    before = len(multiprocessing.active_children())
    engine = start(workers=4)
    engine.expect(1)
    read_by(engine, "a")
    assert len(multiprocessing.active_children()) - before == 1


def test_nothing_starts_without_a_scan(start: Start) -> None:
    before = multiprocessing.active_children()
    engine = start(workers=2)
    engine.expect(0)
    assert engine.wait(0.0) == []
    assert multiprocessing.active_children() == before


def test_workers_stay_through_ctrl_c_and_a_service_stop(start: Start) -> None:
    engine = start(workers=1)
    first = read_by(engine, "a")["a"]
    assert isinstance(first, ScanResult)
    # Ctrl-C reaches the whole process group, a service manager's SIGTERM the whole service.
    os.kill(int(first.model), signal.SIGINT)
    os.kill(int(first.model), signal.SIGTERM)
    second = read_by(engine, "b")["b"]
    assert isinstance(second, ScanResult)
    assert second.model == first.model


def test_this_process_still_hears_signals_once_the_workers_run(start: Start) -> None:
    read_by(start(workers=1), "a")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGTERM}


def test_short_memory_is_a_fault_that_may_pass() -> None:
    def read(task: ScanTask) -> ScanResult:
        raise MemoryError(task.file)

    result = attempt(task("huge"), read)
    assert isinstance(result, Transient)
    assert "huge needs more memory" in str(result)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (BadModel("It holds NaN.", ""), BadModel, "It holds NaN."),
        (MemoryError(), Transient, "The model big needs more memory"),
        (TypeError("no such width"), BadModel, "The model big could not be loaded: TypeError: no such width"),
    ],
)
def test_what_a_model_does_when_it_is_loaded_is_no_scans_fault(
    fault: Exception, kind: type[Exception], said: str
) -> None:
    def load() -> None:
        raise fault

    result = attempt_model(Path("archive/big"), load)
    assert isinstance(result, kind)
    assert said in str(result)


def test_interrupts_pass_the_job_boundary() -> None:
    def read(task: ScanTask) -> ScanResult:
        raise KeyboardInterrupt(task.file)

    with pytest.raises(KeyboardInterrupt):
        attempt(task("a"), read)
