"""What Prometheus is answered: figures that agree with the database and the run, on the loopback alone."""

import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, update

from processor.errors import BadCommand
from processor.intake.queue import claim, enqueue, fail, finish
from processor.metrics import Metrics, exported
from processor.pulse import DaemonState
from processor.records import Status
from processor.results.database import open_database, writing
from processor.results.schema import scans
from tests.sample_readings import a_number, a_page, a_result

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    """One scan of two pages, one that failed, one that waits."""
    engine = open_database(f"sqlite:///{tmp_path / 'results.db'}", busy_seconds=0.1)
    for number in range(3):
        enqueue(engine, source=tmp_path, file=f"{number}.png", sha256=f"{number}" * 64, bytes=9, now=NOW)
    read = a_result(a_page(a_number("12"), a_number("7", Status.REVIEW)), a_page(a_number("3"), page=2))
    for _ in range(2):
        job = claim(engine, NOW, 60)
        assert job is not None
        finish(engine, job, read, NOW) if job.file == "0.png" else fail(engine, job, "BadScan", "empty", NOW)
    yield engine
    engine.dispose()


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def scraped(port: int) -> Figures:
    # Not by a proxy of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def figure(figures: Figures, name: str, **labels: str) -> float:
    return figures[f"digit_inbox_{name}", tuple(sorted(labels.items()))]


def test_the_database_is_counted(database: Engine, tmp_path: Path, port: int) -> None:
    with exported(port, database, tmp_path):
        found = scraped(port)
    states = {
        s: figure(found, "scans", state=s) for s in ("queued", "running", "done", "failed", "duplicate")
    }
    assert states == {"queued": 1, "running": 0, "done": 1, "failed": 1, "duplicate": 0}
    assert figure(found, "pages") == 2
    assert figure(found, "numbers", status="accepted") == 2
    assert figure(found, "numbers", status="review") == 1
    assert figure(found, "numbers", status="corrected") == 0
    assert figure(found, "free_bytes") > 0
    assert figure(found, "database_readable") == 1
    assert figure(found, "process_resident_memory_bytes") > 1e6


def test_the_seconds_of_a_scan_are_a_histogram(database: Engine, tmp_path: Path, port: int) -> None:
    with exported(port, database, tmp_path):
        found = scraped(port)
    assert figure(found, "scan_seconds_count") == 1
    seconds = figure(found, "scan_seconds_sum")
    assert seconds == pytest.approx(0.25)
    assert figure(found, "scan_seconds_bucket", le="0.1") == 0
    assert figure(found, "scan_seconds_bucket", le="0.25") == 1
    assert figure(found, "scan_seconds_bucket", le="+Inf") == 1


def test_the_run_is_told_as_its_last_beat_had_it(database: Engine, tmp_path: Path, port: int) -> None:
    facts: dict[str, Any] = {"waiting": 4, "under_way": 2, "model": "november"}
    facts["watch"] = [{"path": "/in\nbox", "mode": "polling"}, {"path": "/other", "mode": "native"}]
    with exported(port, database, tmp_path) as metrics:
        assert metrics is not None
        assert not any("beat" in name for name, _ in scraped(port))
        metrics.observe(DaemonState.PAUSED, facts, NOW)
        found = scraped(port)
    assert figure(found, "last_beat_timestamp_seconds") == NOW.timestamp()
    assert (figure(found, "waiting_scans"), figure(found, "under_way_scans")) == (4, 2)
    assert figure(found, "state", state="paused") == 1
    assert figure(found, "state", state="watching") == 0
    assert figure(found, "model_info", model="november") == 1
    assert figure(found, "watch_native", path=r"/in\nbox") == 0
    assert figure(found, "watch_native", path="/other") == 1


def test_a_database_that_is_away_leaves_the_rest(database: Engine, tmp_path: Path) -> None:
    metrics = Metrics(database, tmp_path)
    for file in tmp_path.glob("results.db*"):
        file.unlink()
    database.dispose()
    (tmp_path / "results.db").mkdir()
    found = {sample.name: sample.value for family in metrics.collect() for sample in family.samples}
    assert found["digit_inbox_database_readable"] == 0
    assert found["digit_inbox_free_bytes"] > 0
    assert "digit_inbox_pages" not in found


def test_results_that_are_away_leave_the_rest(database: Engine, tmp_path: Path) -> None:
    names = {family.name for family in Metrics(database, tmp_path / "away").collect()}
    assert "digit_inbox_scans" in names
    assert "digit_inbox_free_bytes" not in names


def test_it_is_not_counted_again_at_once(database: Engine, tmp_path: Path) -> None:
    # Looked at before counting and after it, which took 2 s; then 1 s before 200 s are over, and then.
    times = iter([1000.0, 1000.0, 1002.0, 1199.0, 1200.0, 1200.0, 1200.0])
    metrics = Metrics(database, tmp_path, clock=lambda: next(times))

    def pages() -> float:
        return next(f.samples[0].value for f in metrics.collect() if f.name == "digit_inbox_pages")

    assert pages() == 2
    with writing(database) as connection:
        connection.exec_driver_sql("DELETE FROM pages")
    assert pages() == 2
    assert pages() == 0


def test_it_is_only_to_be_had_from_this_machine(database: Engine, tmp_path: Path, port: int) -> None:
    with exported(port, database, tmp_path), socket.socket() as elsewhere:
        # Linux has all of 127.0.0.0/8: an address that is another than the one listened at.
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_afterwards_the_port_is_free(database: Engine, tmp_path: Path, port: int) -> None:
    for _ in range(2):
        with exported(port, database, tmp_path):
            scraped(port)


def test_a_port_that_is_taken_is_refused(database: Engine, tmp_path: Path, port: int) -> None:
    with (
        exported(port, database, tmp_path),
        pytest.raises(BadCommand, match=f"--metrics-port {port} cannot be used: is taken"),
        exported(port, database, tmp_path),
    ):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may have any port")
def test_a_port_that_is_not_ours_is_refused(database: Engine, tmp_path: Path) -> None:
    with pytest.raises(BadCommand, match="Permission denied"), exported(80, database, tmp_path):
        pass


def test_without_the_library_it_is_refused_with_a_word(
    database: Engine, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(BadCommand, match=r"pip install digit-inbox\[metrics\]"),
        exported(port, database, tmp_path),
    ):
        pass


def test_no_port_is_no_metrics(database: Engine, tmp_path: Path) -> None:
    with exported(None, database, tmp_path) as metrics:
        assert metrics is None


def test_scans_without_a_time_are_no_part_of_the_histogram(database: Engine, tmp_path: Path) -> None:
    with writing(database) as connection:
        connection.execute(update(scans).values(seconds=None))
    (family,) = (f for f in Metrics(database, tmp_path).collect() if f.name == "digit_inbox_scan_seconds")
    assert [sample.value for sample in family.samples] == [0.0] * len(family.samples)
