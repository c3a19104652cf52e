"""Figures for Prometheus, on this machine's loopback: what the database holds, and how the run is."""

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Select, case, func, select

from processor import __version__
from processor.characters import visible
from processor.errors import BadCommand, BadDatabase, Transient
from processor.pulse import DaemonState, Facts
from processor.records import ScanState, Status
from processor.results.counts import total_counts
from processor.results.database import reading
from processor.results.schema import scans

if TYPE_CHECKING:
    from prometheus_client import Metric

ADDRESS = "127.0.0.1"

PREFIX = "digit_inbox"

SCAN_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)

COUNTING_SHARE = 0.01
"""The rows are counted anew only when counting has then taken at most this share of the time."""


class Metrics:
    """Answers a scrape; a beat of the run is shown to it by `observe`.

    What is counted, is counted in the database: a run that starts again goes on where it was, corrections
    and retries count, and two runs on one database tell the same. Large tables take long to count, so the
    counts may be older than the scrape, a hundred times as old as counting takes.
    """

    def __init__(self, database: Engine, results: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._database = database
        self._results = results
        self._beat: tuple[DaemonState, Facts, datetime] | None = None
        self._counting = threading.Lock()
        self._counted: list[Metric] = []
        self._next_count = 0.0

    def observe(self, state: DaemonState, facts: Facts, at: datetime) -> None:
        self._beat = (state, facts, at)

    def collect(self) -> Iterator["Metric"]:
        """What a scrape is answered with; a database that is locked or away leaves out its own."""
        yield _info("program", "The program.", {"version": __version__})
        with suppress(OSError):
            free = shutil.disk_usage(self._results).free
            yield _gauge("free_bytes", "Free disk space below the results folder.", free)
        if self._beat is not None:
            yield from _of_run(*self._beat)
        with self._counting:
            if self._clock() >= self._next_count:
                self._count()
            yield from self._counted

    def _count(self) -> None:
        started = self._clock()
        try:
            counted = list(_of_database(self._database))
            readable = 1
        except (Transient, BadDatabase):
            counted, readable = [], 0
        self._counted = [_gauge("database_readable", "1 where the database answers.", readable), *counted]
        took = self._clock() - started
        self._next_count = started + took / COUNTING_SHARE


@contextmanager
def exported(port: int | None, database: Engine, results: Path) -> Iterator[Metrics | None]:
    """Within it, the metrics can be had on `port` of the loopback; `None` for no port and no metrics.

    Raises BadCommand where the port is taken, or prometheus-client is not installed.
    """
    if port is None:
        yield None
        return
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    except ModuleNotFoundError:
        raise BadCommand(
            "--metrics-port needs the Python package prometheus-client.", "pip install digit-inbox[metrics]"
        ) from None
    metrics = Metrics(database, results)
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(namespace=PREFIX, registry=registry)
    try:
        server, thread = start_http_server(port, ADDRESS, registry)
    except OSError as error:
        taken = "is taken by another program" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise BadCommand(f"--metrics-port {port} cannot be used: {taken}.", "Name another port.") from None
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _of_run(state: DaemonState, facts: Facts, at: datetime) -> Iterator["Metric"]:
    beat = "When the loop turned last, in seconds since 1970."
    yield _gauge("last_beat_timestamp_seconds", beat, at.timestamp())
    yield _gauges("state", "1 for what the run does now.", "state", {s: int(s is state) for s in DaemonState})
    yield _gauge("waiting_scans", "Scans that wait to be read.", facts.get("waiting", 0))
    yield _gauge("under_way_scans", "Scans that are being read.", facts.get("under_way", 0))
    yield _info("model", "The model that reads.", {"model": str(facts.get("model") or "")})
    modes = {str(w["path"]): int(w["mode"] == "native") for w in facts.get("watch") or ()}
    yield _gauges("watch_native", "1 where the file system announces new files.", "path", modes)


def _of_database(database: Engine) -> Iterator["Metric"]:
    with reading(database) as connection:
        by_state = dict(_rows(connection, select(scans.c.state, func.count()).group_by(scans.c.state)))
        read = total_counts(connection)
        within = [func.coalesce(func.sum(case((scans.c.seconds <= s, 1), else_=0)), 0) for s in SCAN_SECONDS]
        all_of_them = (func.count(scans.c.seconds), func.coalesce(func.sum(scans.c.seconds), 0.0))
        done = select(*within, *all_of_them).where(scans.c.state == ScanState.DONE)
        *cumulative, count, total = connection.execute(done).one()
    states = {state.value: by_state.get(state, 0) for state in ScanState}
    yield _gauges("scans", "Scans in the database.", "state", states)
    yield _gauge("pages", "Pages that were read.", read.pages)
    corrected = read.numbers - read.accepted - read.review
    statuses = {Status.ACCEPTED: read.accepted, Status.REVIEW: read.review, Status.CORRECTED: corrected}
    told = {status.value: count for status, count in statuses.items()}
    yield _gauges("numbers", "Numbers that were read.", "status", told)
    yield _histogram("scan_seconds", "Seconds that the reading of a scan took.", cumulative, count, total)


def _rows(connection: Connection, query: Select[Any]) -> Iterable[tuple[Any, Any]]:
    return ((row[0], row[1]) for row in connection.execute(query))


def _gauge(name: str, text: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([visible(value)], count)
    return family


def _info(name: str, text: str, labels: Mapping[str, str]) -> "Metric":
    from prometheus_client.core import InfoMetricFamily

    return InfoMetricFamily(f"{PREFIX}_{name}", text, value=dict(labels))


def _histogram(name: str, text: str, cumulative: Sequence[int], count: int, total: float) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    limits = [*map(str, SCAN_SECONDS), "+Inf"]
    buckets = list(zip(limits, [*cumulative, count], strict=True))
    return HistogramMetricFamily(f"{PREFIX}_{name}", text, buckets=buckets, sum_value=total)
