"""The sign of life of a run: what the table says, what the service manager hears, and who is swept away."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert

from processor.commands.assembly import under_care
from processor.errors import BadModel
from processor.notices import ServiceManager
from processor.pulse import FORGOTTEN, SILENT_SECONDS, DaemonState, Facts, Pulse, Sign, signs, told
from processor.results.database import open_database, writing
from processor.results.schema import daemons
from tests.sample_readings import a_page, a_result
from tests.stand_ins import SerialEngine

pytestmark = pytest.mark.databases

WATCHING, READING, PAUSED = DaemonState.WATCHING, DaemonState.READING, DaemonState.PAUSED


def facts(**known: Any) -> Callable[[], Facts]:
    return lambda: known


@pytest.fixture
def database(url: str) -> Iterator[Engine]:
    engine = open_database(url, busy_seconds=0.1)
    yield engine
    engine.dispose()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield wire


def heard(manager: socket.socket) -> dict[str, str]:
    lines = manager.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def nothing_heard(manager: socket.socket) -> bool:
    manager.setblocking(False)
    try:
        manager.recv(1)
    except BlockingIOError:
        return True
    return False


def a_row(database: Engine, **given: Any) -> None:
    now = datetime.now(UTC)
    row = {"host": socket.gethostname(), "pid": os.getpid(), "once": False, "started_at": now, "beat_at": now}
    with writing(database) as connection:
        connection.execute(insert(daemons), {**row, "state": "watching", "facts": {}, **given})


class Nothing:
    """Has no scan in its keeping."""

    def give_back(self) -> None:
        """Gives nothing back."""


def the_sign(database: Engine) -> Sign:
    (sign,) = signs(database)
    return sign


def ended_process() -> int:
    """The number of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_has_a_row_from_its_start_to_its_end(database: Engine) -> None:
    pulse = Pulse(database, once=True)
    sign = the_sign(database)
    assert (sign.host, sign.pid, sign.once) == (socket.gethostname(), os.getpid(), True)
    assert (sign.state, sign.facts, sign.lives) == (DaemonState.STARTING, {}, True)
    pulse.beat(WATCHING, facts(waiting=3))
    assert (the_sign(database).state, the_sign(database).facts) == (WATCHING, {"waiting": 3})
    assert the_sign(database).started_at == sign.started_at
    pulse.end()
    assert signs(database) == []


def test_a_run_that_a_fault_ended_leaves_its_reason(database: Engine) -> None:
    pulse = Pulse(database, once=False)
    engine = SerialEngine(lambda _: a_result(a_page()))
    with pytest.raises(BadModel), under_care(engine, Nothing(), pulse):  # type: ignore[arg-type]
        raise BadModel("There is no model.", "Publish one.")
    sign = the_sign(database)
    assert (sign.lives, sign.end) == (True, None)
    ended = replace(sign, lives=False)
    assert ended.end == "ended: There is no model. Publish one."
    with under_care(engine, Nothing(), pulse):  # type: ignore[arg-type]
        pass
    assert signs(database) == []


def test_many_turns_give_few_beats(database: Engine) -> None:
    pulse = Pulse(database, once=False)
    asked = 0

    def count() -> Facts:
        nonlocal asked
        asked += 1
        return {"waiting": asked}

    for turn in range(50):
        pulse.beat(READING if turn % 2 else WATCHING, count)
    assert asked == 1
    assert the_sign(database).facts == {"waiting": 1}


def test_a_pause_is_told_at_once_and_its_end_too(database: Engine) -> None:
    pulse = Pulse(database, once=False)
    for state in (WATCHING, PAUSED, READING, DaemonState.STOPPING):
        pulse.beat(state, facts())
        assert the_sign(database).state is state


@pytest.mark.sqlite
def test_a_locked_database_is_no_fault(database: Engine, tmp_path: Path) -> None:
    pulse = Pulse(database, once=False)
    other = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    with writing(other):
        pulse.beat(WATCHING, facts())
        late = Pulse(database, once=True)
    assert the_sign(database).state is DaemonState.STARTING
    pulse.beat(PAUSED, facts())
    late.beat(WATCHING, facts())
    assert [(sign.once, sign.state) for sign in signs(database)] == [(False, PAUSED), (True, WATCHING)]
    other.dispose()


def test_a_row_that_was_taken_away_comes_back(database: Engine) -> None:
    pulse = Pulse(database, once=False)
    with writing(database) as connection:
        connection.execute(delete(daemons))
    pulse.beat(WATCHING, facts())
    assert the_sign(database).state is WATCHING


def test_the_next_start_sweeps_what_died(database: Engine) -> None:
    an_hour_ago = datetime.now(UTC) - FORGOTTEN - timedelta(seconds=1)
    a_row(database, pid=ended_process())
    a_row(database, started_at=datetime(2020, 1, 1, tzinfo=UTC))  # its number is now another's
    a_row(database, host="elsewhere", pid=1, beat_at=an_hour_ago)
    a_row(database, host="elsewhere", pid=2)
    a_row(database, pid=os.getppid())
    assert [sign.lives for sign in signs(database)] == [False, False, None, None, True]
    Pulse(database, once=False)
    assert [sign.pid for sign in signs(database)] == [2, os.getppid(), os.getpid()]


def test_silence_is_longer_than_honest_work(database: Engine) -> None:
    Pulse(database, once=False)
    sign = the_sign(database)
    assert not sign.silent(sign.beat_at + timedelta(seconds=SILENT_SECONDS - 1))
    assert sign.silent(sign.beat_at + timedelta(seconds=SILENT_SECONDS + 1))


def test_a_database_of_before_has_no_signs(database: Engine) -> None:
    with writing(database) as connection:
        connection.exec_driver_sql("DROP TABLE daemons")
    assert signs(database) == []


def test_facts_that_are_no_text_of_the_database_are_kept(database: Engine) -> None:
    pulse = Pulse(database, once=False)
    pulse.beat(WATCHING, facts(last_error="b\udcff\x1b.png is empty"))
    assert the_sign(database).facts == {"last_error": "b\udcff\x1b.png is empty"}


def test_metrics_see_each_beat(database: Engine) -> None:
    seen: list[tuple[DaemonState, Facts]] = []

    class Eye:
        def observe(self, state: DaemonState, facts: Facts, at: datetime) -> None:
            seen.append((state, facts))

    pulse = Pulse(database, once=False, metrics=Eye())
    pulse.beat(WATCHING, facts(waiting=1))
    assert seen == [(WATCHING, {"waiting": 1})]


# The service manager


def test_the_service_manager_hears_of_the_start_each_beat_and_the_end(
    database: Engine, manager: socket.socket
) -> None:
    pulse = Pulse(database, once=False)
    pulse.beat(DaemonState.STARTING, facts())
    first = heard(manager)
    assert first["WATCHDOG"] == "1"
    assert "READY" not in first
    pulse.beat(READING, facts(waiting=3, under_way=2))
    assert heard(manager) == {"READY": "1", "WATCHDOG": "1", "STATUS": "reading; 3 waiting, 2 under way"}
    pulse.beat(PAUSED, facts(paused="disk\nREADY=0"))
    assert heard(manager) == {"WATCHDOG": "1", "STATUS": "paused; disk READY=0"}
    pulse.end()
    assert heard(manager)["STOPPING"] == "1"


@pytest.mark.sqlite
def test_the_service_manager_hears_the_loop_though_the_database_is_locked(
    database: Engine, manager: socket.socket, tmp_path: Path
) -> None:
    pulse = Pulse(database, once=False)
    other = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    with writing(other):
        pulse.beat(WATCHING, facts())
        assert heard(manager)["READY"] == "1"
    other.dispose()


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:1", ""])
def test_a_service_manager_that_is_not_there_is_no_fault(
    database: Engine, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    pulse = Pulse(database, once=False)
    pulse.beat(WATCHING, facts())
    pulse.end()
    assert signs(database) == []


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_spoken_to(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"digit-inbox-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(f"\0{name}")
        wire.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Pulse(database, once=False).beat(WATCHING, facts())
        assert heard(wire)["READY"] == "1"


def test_a_full_buffer_does_not_stop_the_loop(manager: socket.socket) -> None:
    speaker = ServiceManager()
    for _ in range(5000):
        speaker.tell(WATCHDOG="1")
    assert heard(manager) == {"WATCHDOG": "1"}


def test_a_run_is_told_in_one_line() -> None:
    assert told(WATCHING, {}) == "watching"
    assert told(WATCHING, {"waiting": 0, "under_way": 0}) == "watching; 0 waiting, 0 under way"
