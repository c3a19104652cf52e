"""What every engine keeps: a scan that hangs, swells or kills its worker harms no other, and none is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.ray_nodes import NO_RAY, ray_nodes
from processor.engines.local import LocalEngine
from processor.engines.tasks import Engine
from processor.engines.worker import Load
from processor.errors import BadModel, BadScan, Transient, WorkerKilled
from processor.records import ScanResult
from processor.settings import load
from tests.obedient import PATIENCE_SECONDS, collect, load_nothing, load_obedient, read_by, readers, task

Start = Callable[..., Engine]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason=NO_RAY)
    with ray_nodes(nodes=2) as cluster:
        yield cluster


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def start(request: pytest.FixtureRequest, home: Path) -> Iterator[Start]:
    """Starts engines with settings of this test, and ends them after it."""
    engines: list[Engine] = []
    address = request.getfixturevalue("cluster").address if request.param == "ray" else "auto"

    def start(workers: int = 1, load_reader: Load = load_obedient, **flags: object) -> Engine:
        named = {name.replace("__", "."): value for name, value in flags.items()}
        settings = load(home / "settings.toml", {**named, "workers.ray_address": address})
        if request.param == "local":
            engines.append(LocalEngine(settings, workers, load_reader))
        else:
            from processor.engines.ray import RayEngine

            engines.append(RayEngine(settings, workers, load_reader, start_seconds=PATIENCE_SECONDS))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_a_bad_scan_and_a_fault_of_ours_leave_the_others_alone(start: Start) -> None:
    engine = start(workers=1)
    found = read_by(engine, "a", "bad") | read_by(engine, "stumble", "b")
    assert isinstance(found["a"], ScanResult)
    assert isinstance(found["b"], ScanResult)
    assert str(found["bad"]) == "bad is no scan. Scan it again."
    assert isinstance(found["stumble"], BadScan)
    assert "ZeroDivisionError: a fault of ours" in str(found["stumble"])
    assert os.getpid() not in readers(found)


def test_a_scan_over_the_time_limit_fails_alone(start: Start) -> None:
    found = read_by(start(workers=1, limits__seconds_per_scan=1.5), "sleep", "a")
    assert isinstance(found["sleep"], BadScan)
    assert "not read within 1.5 s" in str(found["sleep"])
    assert "limits.seconds_per_scan" in str(found["sleep"])
    assert isinstance(found["a"], ScanResult)


def test_a_scan_over_the_memory_limit_fails_alone(start: Start, tmp_path: Path) -> None:
    found = read_by(start(workers=1, limits__worker_memory_mb=512), "swell", "a", staging=tmp_path)
    assert isinstance(found["swell"], BadScan)
    assert "swell needs more than 512 MB" in str(found["swell"])
    assert "limits.worker_memory_mb" in str(found["swell"])
    assert isinstance(found["a"], ScanResult)


def test_a_killed_worker_is_a_fault_that_may_pass_and_only_its_scan_is_to_blame(start: Start) -> None:
    found = read_by(start(workers=1), "die", "a")
    assert isinstance(found["die"], WorkerKilled)
    assert isinstance(found["a"], ScanResult)


def test_a_worker_killed_while_it_idles_is_replaced_and_no_scan_is_to_blame(start: Start) -> None:
    engine = start(workers=1)
    (first,) = readers(read_by(engine, "a"))
    os.kill(first, signal.SIGKILL)
    until_gone(first)
    # Whether the engine noticed already or not, the scan is read, at the second try at the latest.
    found = read_by(engine, "b")
    assert not isinstance(found["b"], WorkerKilled)
    if isinstance(found["b"], Transient):
        found = read_by(engine, "b")
    assert readers(found)
    assert first not in readers(found)


def test_a_model_that_does_not_load_is_what_every_task_reports(start: Start) -> None:
    found = read_by(start(workers=1, load_reader=load_nothing), "a", "b")
    assert {type(result) for result in found.values()} == {BadModel}
    assert "There is no model" in str(found["a"])


def test_it_takes_a_bounded_number_of_scans_and_more_once_some_are_read(start: Start) -> None:
    engine = start(workers=1)
    taken = 0
    while engine.free > 0:
        engine.submit(task(f"scan {taken}", taken))
        taken += 1
        assert taken < 10
    assert len(collect(engine, taken)) == taken
    assert engine.free == taken
    assert engine.wait(0.0) == []


def test_scans_that_are_read_at_once_are_read_by_several_workers(start: Start) -> None:
    engine = start(workers=2)
    seen: set[int] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen) < 2 and time.monotonic() < deadline:
        # Which of them has started by now is a matter of the machine.
        seen |= set(readers(read_by(engine, "nap", "b")))
    assert len(seen) == 2


def test_one_scan_needs_one_worker(start: Start) -> None:
    engine = start(workers=2)
    engine.expect(1)
    assert len(readers(read_by(engine, "nap", "b") | read_by(engine, "c", "d"))) == 1


def test_a_model_that_cannot_be_loaded_is_refused_and_reading_goes_on(start: Start, tmp_path: Path) -> None:
    engine = start(workers=1)
    engine.submit(task("a"))
    engine.examine(tmp_path)
    deadline = time.monotonic() + PATIENCE_SECONDS
    outcomes = []
    while (verdict := engine.verdict()) is None and time.monotonic() < deadline:
        outcomes += engine.wait(0.5)
    assert verdict is not None
    assert verdict.model == tmp_path
    assert isinstance(verdict.fault, BadModel)
    assert engine.verdict() is None
    assert readers(read_by(engine, "b") if outcomes else collect(engine, 1))


def test_closing_ends_the_scans_under_way_and_their_workers(start: Start) -> None:
    engine = start(workers=1)
    (worker,) = readers(read_by(engine, "a"))
    engine.submit(task("sleep"))
    assert engine.wait(0.3) == []
    engine.close()
    assert engine.wait(0.0) == []
    until_gone(worker)


@pytest.mark.parametrize("module", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_the_parent_does_without_torch(module: str) -> None:
    if module == "ray":
        pytest.importorskip("ray")
    script = (
        f"import sys, processor.commands.run, processor.engines.{module};"
        "print(sorted({'torch', 'cv2', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def until_gone(process: int) -> None:
    deadline = time.monotonic() + 60
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
