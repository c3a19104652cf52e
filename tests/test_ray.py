"""A Ray cluster: it is asked for by name or not at all, and whatever dies of it costs no scan."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from benchmarks.ray_nodes import NO_RAY, STORE, ray_nodes
from processor.engines.choice import choose_engine
from processor.engines.local import LocalEngine
from processor.errors import BadDatabase, BadSettings, Exit, NoWorkers, Transient
from processor.results.database import open_read_only, reading
from processor.settings import load
from tests.conftest import PROCESSOR
from tests.obedient import PATIENCE_SECONDS, collect, load_obedient, read_by, readers, task
from tests.ray_run import HOLD, READERS, fill, run, settings_of

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ("photo.jpg", "form.png", "meter.pdf")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason=NO_RAY)
    with ray_nodes(nodes=2) as cluster:
        yield cluster


# Chosen or not


def test_ray_is_not_imported_unless_it_is_chosen(home: Path) -> None:
    script = (
        "import sys, processor.cli, processor.commands.run, processor.commands.reprocess,"
        " processor.commands.checkup, processor.settings as s, processor.engines.choice as c;"
        "c.choose_engine(s.load()).close(); print('ray' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=home)
    assert done.stdout.strip() == "False"


def test_a_cluster_without_ray_is_refused_with_what_to_install(home: Path) -> None:
    hidden = "import sys; sys.modules['ray'] = None; from processor.cli import main; main()"
    command = [sys.executable, "-c", hidden, "run", "--once"]
    environment = {**os.environ, "PROCESSOR_WORKERS__ENGINE": "ray"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home, env=environment)
    assert done.returncode == Exit.BAD_SETTINGS
    assert "workers.engine = 'ray' (PROCESSOR_WORKERS__ENGINE)" in done.stderr
    assert "pip install 'digit-inbox[cluster]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "not HOST:PORT"),
        ("ray://127.0.0.1:10001", "not HOST:PORT"),
        ("127.0.0.1:70000", "leads to no Ray cluster"),
        ("127.0.0.1:1", "refused"),
        ("auto", "refused"),
    ],
)
def test_an_address_where_no_cluster_is_is_refused_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    # Of a cluster that is gone, as Ray also remembers it in a file: it would try for minutes.
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'digit-inbox[cluster]'")
    began = time.monotonic()
    with pytest.raises(BadSettings, match=why) as refused:
        choose_engine(settings_of(home, address))
    assert time.monotonic() - began < 30
    assert f"workers.ray_address = {address!r}" in str(refused.value)
    assert "ray start --head" in refused.value.remedy


def test_the_machine_itself_reads_by_default(home: Path) -> None:
    with closing(choose_engine(load(home / "settings.toml"))) as engine:
        assert isinstance(engine, LocalEngine)


# On a cluster


@pytest.mark.slow
def test_the_command_reads_there_what_it_reads_here(cluster: Any, home: Path, tmp_path: Path) -> None:
    tables = []
    for engine in ("local", "ray"):
        folder = tmp_path / engine
        shutil.copytree(home, folder)
        for name in EXAMPLES:
            shutil.copy(ROOT / "examples" / name, folder / "inbox" / name)
        values = {"ENGINE": engine, "RAY_ADDRESS": cluster.address, "COUNT": "2"}
        named = {f"PROCESSOR_WORKERS__{name}": value for name, value in values.items()}
        done = subprocess.run(
            [str(PROCESSOR), "run", "--once", "--json"],
            cwd=folder,
            env={**os.environ, **named},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == Exit.DONE, done.stderr
        assert json.loads(done.stdout)["done"] == len(EXAMPLES)
        tables.append({file.name: file.read_bytes() for file in (folder / "results" / "csv").iterdir()})
    assert len(tables[0]) == len(EXAMPLES)
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_a_run_on_the_cluster_ends_well_when_it_is_asked_to(cluster: Any, home: Path) -> None:
    environment = {**os.environ, "PROCESSOR_WORKERS__ENGINE": "ray"}
    environment["PROCESSOR_WORKERS__RAY_ADDRESS"] = cluster.address
    with subprocess.Popen(
        [str(PROCESSOR), "run"], cwd=home, env=environment, stderr=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stderr is not None
        assert "Watching" in daemon.stderr.readline()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE_SECONDS) == Exit.DONE


@pytest.mark.slow
def test_a_node_that_dies_in_the_middle_costs_no_scan(
    cluster: Any, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(home, 500)

    def kill_one() -> None:
        wait_for(lambda: states(home).count("done") > 100)
        wait_for(lambda: len(list((home / READERS).iterdir())) > 1)
        (home / HOLD).touch()
        try:
            # After that, each of the two workers is in the middle of a scan.
            time.sleep(3)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        finally:
            (home / HOLD).unlink()

    counts = meanwhile(kill_one, lambda: run(home, cluster.address))
    cluster.add_node(num_cpus=1, object_store_memory=STORE)
    assert (counts.seen, counts.done, counts.pending, counts.failed) == (500, 500, 0, 0)
    assert each_once(home, 500)
    assert max(attempts(home)) > 1
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_a_driver_that_is_killed_goes_on_when_it_is_started_again(cluster: Any, home: Path) -> None:
    fill(home, 200)
    command = [sys.executable, "-m", "tests.ray_run", cluster.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL) as driver:
        wait_for(lambda: states(home).count("done") > 40)
        driver.kill()
    assert "queued" in states(home)
    again = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["pending"] == 0
    assert each_once(home, 200)


@pytest.mark.slow
def test_a_node_that_is_added_reads_with_the_others(cluster: Any, home: Path) -> None:
    from processor.engines.ray import RayEngine

    settings = settings_of(home, cluster.address)
    with closing(RayEngine(settings, None, load_obedient, start_seconds=PATIENCE_SECONDS)) as engine:
        seen: set[int] = set()

        def read_until(workers: int) -> None:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(seen) < workers and time.monotonic() < deadline:
                seen.update(readers(read_by(engine, *["nap"] * engine.free)))

        read_until(2)
        assert len(seen) == 2
        node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
        read_until(3)
        assert len(seen) == 3
    cluster.remove_node(node)


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_folders_reads_nothing(
    cluster: Any, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from processor.engines.ray import RayEngine

    away = home / "share"
    away.mkdir()
    settings = settings_of(home, cluster.address)
    with closing(RayEngine(settings, 1, load_obedient, folders=[away], start_seconds=0.0)) as engine:
        # As on a node where it is not mounted: this process has seen it.
        away.rmdir()
        said = ""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "does not see" not in said and time.monotonic() < deadline:
            try:
                engine.submit(task("a"))
                (outcome,) = collect(engine, 1).values()
                assert isinstance(outcome, Transient)
            except NoWorkers as lack:
                said = str(lack)
            time.sleep(0.1)
        assert str(away) in said
        assert [record.message for record in caplog.records if "No scan is read there" in record.message]
        assert engine.free > 0


def meanwhile(something: Callable[[], None], do: Callable[[], Any]) -> Any:
    """Does both, and raises what something raised."""
    faults: list[BaseException] = []

    def attempt() -> None:
        try:
            something()
        except BaseException as fault:
            faults.append(fault)
            raise

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    result = do()
    thread.join()
    assert faults == []
    return result


def rows(home: Path, statement: str) -> list[Any]:
    """Of the database, empty while it is not there yet."""
    with suppress(BadDatabase, Transient, OperationalError):
        database = open_read_only(f"sqlite:///{home / 'results' / 'results.db'}")
        try:
            with reading(database) as connection:
                return list(connection.exec_driver_sql(statement))
        finally:
            database.dispose()
    return []


def states(home: Path) -> list[str]:
    return [row.state for row in rows(home, "SELECT state FROM scans")]


def attempts(home: Path) -> list[int]:
    return [row.attempts for row in rows(home, "SELECT attempts FROM scans")]


def each_once(home: Path, count: int) -> bool:
    """Whether each of the scans has its one number, its CSV and its place among the originals."""
    digits = Counter(row.digits for row in rows(home, "SELECT digits FROM readings"))
    assert digits == Counter(f"{number:05}" for number in range(count))
    assert set(states(home)) == {"done"}
    assert len(list((home / "results" / "csv").iterdir())) == count
    assert not any((home / "inbox").iterdir())
    return True


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)
