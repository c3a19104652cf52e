"""What `deploy/` says is what the program does, and the real daemon speaks as its unit wants it."""

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from processor.cli import app
from processor.errors import Exit
from processor.pulse import BEAT_SECONDS, SILENT_SECONDS, Pulse
from processor.results.database import open_database
from processor.settings import Settings
from tests.conftest import PROCESSOR

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS_OF_TIME = {"s": 1, "m": 60, "min": 60, "h": 3600, "": 1}


def seconds(text: str) -> float:
    """A time as systemd, Docker and Compose write it: `5min`, `30s`, `11m`, `30`."""
    found = re.fullmatch(r"(\d+)(\w*)", text)
    assert found is not None, text
    return int(found[1]) * UNITS_OF_TIME[found[2]]


def understood(line: list[str]) -> None:
    """Whether the words behind `processor` are a command with options that it has."""
    command = get_command(app)
    words = list(line)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(" ".join(line), words)


# The unit


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    # Strict: a key that stands twice would be read otherwise by systemd.
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "digit-inbox.service")
    return parser


def test_the_unit_calls_a_command_that_there_is(unit: configparser.ConfigParser) -> None:
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == PROCESSOR.name
    assert words[0] == "run"
    assert "--once" not in words
    understood(words)


def test_the_unit_may_write_what_the_settings_name_and_nothing_else(unit: configparser.ConfigParser) -> None:
    service, defaults = unit["Service"], Settings().paths
    home = Path(service["WorkingDirectory"])
    words = shlex.split(service["ExecStart"])
    assert Path(words[words.index("--settings") + 1]) == home / "settings.toml"
    writable = {home / defaults.inbox, home / defaults.results}
    assert set(map(Path, service["ReadWritePaths"].split())) == writable
    assert (service["ProtectSystem"], service["ProtectHome"]) == ("strict", "yes")
    assert unit["Unit"]["RequiresMountsFor"] == str(home)


def test_the_unit_runs_as_nobody_special(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["User"] not in {"", "root", "0"}
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ""
    # What torch's arithmetic cannot do without.
    assert "MemoryDenyWriteExecute" not in service


def test_the_unit_waits_longer_than_honest_work_takes(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert seconds(service["WatchdogSec"]) > SILENT_SECONDS > 10 * BEAT_SECONDS
    assert seconds(service["TimeoutStopSec"]) > Settings().limits.seconds_per_scan


def test_the_unit_starts_again_what_may_mend_itself(unit: configparser.ConfigParser) -> None:
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Service"]["RestartPreventExitStatus"] == str(int(Exit.BAD_COMMAND))
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "digit-inbox.service").read_text().replace("/opt/digit-inbox/bin/processor", "/bin/true")
    (tmp_path / "digit-inbox.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "digit-inbox.service"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# The image


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, in order."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(words[0], words[1]) for line in lines if len(words := line.split(None, 1)) == 2]


def values(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [value for name, value in steps if name == instruction]


def test_the_image_starts_and_asks_commands_that_there_are(steps: list[tuple[str, str]]) -> None:
    (entry,), (command,), (check,) = (values(steps, name) for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    assert json.loads(entry) == ["processor"]
    understood(json.loads(command))
    options, _, asked = check.partition(" CMD ")
    assert json.loads(asked)[0] == "processor"
    understood(json.loads(asked)[1:])
    assert "--timeout=" in options


def test_the_image_is_not_run_by_the_superuser(steps: list[tuple[str, str]]) -> None:
    names = [name for name, _ in steps]
    assert values(steps, "USER") == ["10001:10001"]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")


def test_the_image_takes_what_the_constraints_say_and_keeps_no_cache(steps: list[tuple[str, str]]) -> None:
    installs = [value for value in values(steps, "RUN") if "pip install" in value]
    assert len(installs) == 2
    for line in installs:
        assert "-c constraints.txt" in line
        assert "--no-cache-dir" in line
    assert "download.pytorch.org/whl/cpu" in installs[0]
    extras = re.search(r"'\.\[(.+)\]'", installs[1])
    assert extras is not None
    declared = re.search(
        r"optional-dependencies\]\n(.*?)\n\[", (ROOT / "pyproject.toml").read_text(), re.DOTALL
    )
    assert declared is not None
    assert set(extras[1].split(",")) <= set(re.findall(r"^(\w+) =", declared[1], re.MULTILINE))


def test_the_image_is_made_of_what_is_there_and_let_in(steps: list[tuple[str, str]]) -> None:
    copied = [value.split()[:-1] for value in values(steps, "COPY") if not value.startswith("--from")]
    sources = {source for line in copied for source in line}
    let_in = set(re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert sources == let_in
    for source in sources:
        assert (ROOT / source).exists(), source
    assert {"processor", "training", "models_archive"} <= sources


def test_compose_gives_time_to_stop_and_one_mount_for_all() -> None:
    text = (DEPLOY / "compose.yaml").read_text()

    def value(key: str) -> str:
        found = re.search(rf"^ +{key}: (.+)$", text, re.MULTILINE)
        assert found is not None, key
        return found[1]

    assert seconds(value("stop_grace_period")) > Settings().limits.seconds_per_scan
    assert (value("dockerfile"), value("init"), value("read_only")) == ("deploy/Dockerfile", "true", "true")
    workdir = next(iter(re.findall(r"^WORKDIR (/data)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)))
    assert f":{workdir}\n" in text


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed here")
def test_hadolint_finds_no_fault_with_the_image() -> None:
    done = subprocess.run(
        ["hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


# The real daemon, and a service manager's end of the socket


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.settimeout(60)
        yield wire


def hear(manager: socket.socket, notice: str) -> str:
    """Waits for the notice, and gives the datagram that held it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        text = manager.recv(4096).decode()
        if notice in text.splitlines():
            return text
    raise AssertionError(f"{notice} never came")


def asked(*arguments: str) -> tuple[int, str]:
    """A command of the operator, in this process: exit code and stdout."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return done.exit_code, done.stdout


def daemons() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(asked("status", "--json")[1])["daemons"]
    return found


def test_the_daemon_tells_its_life_and_health_believes_it(
    home: Path, tmp_path: Path, manager: socket.socket
) -> None:
    assert asked("health")[0] == 1
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    command = [str(PROCESSOR), "run", "--log-format", "json"]
    daemon = subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert "STATUS=watching" in hear(manager, "READY=1")
        hear(manager, "WATCHDOG=1")
        assert asked("health")[0] == 0
        (row,) = daemons()
        assert (row["pid"], row["state"], row["lives"]) == (daemon.pid, "watching", True)
        assert {watch["mode"] for watch in row["facts"]["watch"]} <= {"native", "polling"}
        daemon.send_signal(signal.SIGTERM)
        hear(manager, "STOPPING=1")
        _, said = daemon.communicate(timeout=60)
    finally:
        daemon.kill()
        daemon.wait()
    assert daemon.returncode == 0
    assert all(json.loads(line)["time"] for line in said.splitlines())
    assert daemons() == []
    assert asked("health")[0] == 1


def test_a_daemon_that_was_killed_is_not_healthy_and_the_next_clears_away(home: Path) -> None:
    daemon = subprocess.Popen([PROCESSOR, "run"], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while asked("health")[0] != 0:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        daemon.kill()
        daemon.wait()
    code, text = asked("health")
    assert code == 1
    assert f"process {daemon.pid} ended without a word" in text
    assert "ended without a word" in asked("status")[1]
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    Pulse(database, once=True).end()
    database.dispose()
    assert daemons() == []
