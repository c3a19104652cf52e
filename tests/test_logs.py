"""What is logged, by the run and its workers: whole lines that name their scan, whatever befalls the file."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from processor import logs as logs_module
from processor.commands.voice import check_log_file, speaking
from processor.engines.local import LocalEngine
from processor.engines.tasks import ScanTask, attempt
from processor.engines.worker import Read
from processor.errors import BadCommand, BadModel, BadScan, Exit
from processor.log_lines import LineFormatter, LogFormat, about, now_at
from processor.logs import LogPlan, Logs, plan_for_workers
from processor.records import ScanResult
from processor.settings import LoadedSettings, load
from tests.conftest import Command

log = logging.getLogger("processor.tests")

NASTY = "a\x1b[31m\n b=\u202e\udcff.png"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


@pytest.fixture
def plan(file: Path) -> LogPlan:
    return LogPlan(LogFormat.JSON, file)


def a_task(tmp_path: Path, file: str = "a.png") -> ScanTask:
    return ScanTask(id=7, source=tmp_path / file, file=file, sha256="0" * 64, staging=tmp_path)


# A line


def test_a_line_has_time_level_event_and_what_it_is_about(plan: LogPlan, file: Path) -> None:
    with Logs(plan), about(scan=12, file="a.png"):
        log.info("one")
        now_at(page=3)
        log.warning("two", extra={"event": "page.odd"})
    first, second = lines(file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert {name: first[name] for name in ("level", "event", "scan", "file", "message", "process")} == {
        "level": "info",
        "event": "processor.tests",
        "scan": 12,
        "file": "a.png",
        "message": "one",
        "process": os.getpid(),
    }
    assert "page" not in first
    assert (second["level"], second["event"], second["page"]) == ("warning", "page.odd", 3)


def test_what_a_line_is_about_ends_with_the_block(plan: LogPlan, file: Path) -> None:
    with Logs(plan):
        with about(scan=1):
            with about(file="a.png"):
                now_at(page=2)
            log.info("scan 1")
            now_at(page=3)
            now_at(page=None)
            log.info("no longer page 3")
        log.info("nothing")
    assert [[line.get(name) for name in ("scan", "page", "file")] for line in lines(file)] == [
        [1, None, None],
        [1, None, None],
        [None, None, None],
    ]


def test_a_text_line_can_be_read_and_split(capsys: pytest.CaptureFixture[str]) -> None:
    with Logs(LogPlan(LogFormat.TEXT)), about(scan=12, page=3, file="a b.png"):
        log.warning("torn", extra={"event": "page.odd"})
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r'\S+Z WARNING  page\.odd scan=12 page=3 file="a b\.png": torn', line)


@pytest.mark.parametrize("form", LogFormat)
def test_control_characters_are_shown(
    form: LogFormat, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as alone:
        # What pytest hears of the log travels between its processes as UTF-8, which this name is not.
        alone.setattr(logging.root, "handlers", [])
        with Logs(LogPlan(form)), about(file=NASTY):
            log.warning("%s\x07\x7f\x9b", NASTY)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert line.isascii()
    if form is LogFormat.JSON:
        assert json.loads(line)["file"] == NASTY


@pytest.mark.parametrize("form", LogFormat)
def test_every_line_of_a_traceback_is_a_line(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    with Logs(LogPlan(form)), about(scan=12):
        try:
            raise OSError("first\nsecond")
        except OSError:
            log.exception("fell")
    shown = capsys.readouterr().err.splitlines()
    if form is LogFormat.JSON:
        assert "OSError: first\nsecond" in json.loads(shown[0])["exception"]
        assert len(shown) == 1
    else:
        assert all(re.match(r"\S+Z ERROR    processor\.tests scan=12: ", line) for line in shown)
        assert shown[-1].endswith("second")


def test_what_libraries_warn_of_is_logged_too(plan: LogPlan, file: Path) -> None:
    with Logs(plan), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
        logging.getLogger("PIL").warning("odd chunk")
        logging.getLogger("PIL").info("chatter")
    assert [line["event"] for line in lines(file)] == ["py.warnings", "PIL"]
    assert "soon gone" in lines(file)[0]["message"]


def test_a_thread_that_dies_is_logged(plan: LogPlan, file: Path) -> None:
    def die() -> None:
        raise OSError("the watch is gone")

    with Logs(plan):
        thread = threading.Thread(target=die, name="watch")
        thread.start()
        thread.join()
    (line,) = lines(file)
    assert line["level"] == "error"
    assert "The thread watch ended" in line["message"]
    assert "the watch is gone" in line["exception"]


def test_a_fault_of_the_program_is_the_last_line(plan: LogPlan, file: Path) -> None:
    with pytest.raises(ZeroDivisionError), Logs(plan):
        1 / 0  # noqa: B018
    assert [(line["level"], "ZeroDivisionError" in line["exception"]) for line in lines(file)] == [
        ("critical", True)
    ]


def test_afterwards_everything_is_as_it_was(plan: LogPlan) -> None:
    before = (list(logging.root.handlers), logging.root.level, threading.excepthook, warnings.showwarning)
    with Logs(plan):
        assert plan_for_workers() == plan
    after = (list(logging.root.handlers), logging.root.level, threading.excepthook, warnings.showwarning)
    assert after == before
    assert plan_for_workers() == LogPlan()


# The file


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "missing" / "run.log"):
        with pytest.raises(BadCommand) as refused:
            Logs(LogPlan(file=file))
        assert str(file) in refused.value.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Logs(LogPlan(file=Path("/dev/full"))):
        for _ in range(3):
            log.info("nobody will read this")
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert "No space left" in said
    assert "Traceback" not in said


def test_a_file_is_turned_over_and_few_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "MAX_BYTES", 300)
    with Logs(LogPlan(LogFormat.JSON, file)):
        for number in range(40):
            log.info("line %d", number)
    kept = sorted(path.name for path in file.parent.iterdir())
    assert kept == ["run.log", *(f"run.log.{n}" for n in range(1, logs_module.KEPT_FILES + 1))]
    assert lines(file)[-1]["message"] == "line 39"


def test_a_worker_follows_the_file_that_was_turned_over(file: Path) -> None:
    with Logs(LogPlan(LogFormat.JSON, file), worker=True):
        log.info("before")
        file.rename(file.with_suffix(".1"))
        log.info("after")
    assert [line["message"] for line in lines(file)] == ["after"]


def test_lines_of_many_processes_come_whole(file: Path) -> None:
    """Lines longer than any buffer, from several processes at once."""
    script = (
        "import logging, sys; from pathlib import Path\n"
        "from processor.logs import *; from processor.log_lines import LogFormat\n"
        "start_in_worker(LogPlan(LogFormat.JSON, Path(sys.argv[1]), quiet=True))\n"
        "for n in range(50): logging.getLogger('processor').info('x' * 20000 + str(n))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(file)]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert len(lines(file)) == 150


# The workers


def fragile(_: LoadedSettings) -> Read:
    def read(_: ScanTask) -> ScanResult:
        now_at(page=4)
        raise ZeroDivisionError("a fault of ours")

    return read


def test_a_fault_in_a_worker_is_logged_with_its_scan_and_page(home: Path, plan: LogPlan, file: Path) -> None:
    with Logs(plan):
        engine = LocalEngine(load(), 1, fragile)
        try:
            engine.submit(a_task(home))
            (outcome,) = engine.wait(60)
        finally:
            engine.close()
    assert isinstance(outcome.result, BadScan)
    (line,) = lines(file)
    found = {name: line[name] for name in ("event", "scan", "page", "file")}
    assert found == {"event": "program.fault", "scan": 7, "page": 4, "file": "a.png"}
    assert "ZeroDivisionError: a fault of ours" in line["exception"]
    assert line["process"] != os.getpid()


def test_the_serial_boundary_names_the_scan_too(tmp_path: Path, plan: LogPlan, file: Path) -> None:
    with Logs(plan):
        attempt(a_task(tmp_path), fragile(load()))
    assert (lines(file)[0]["scan"], lines(file)[0]["page"]) == (7, 4)


# What a run says


@pytest.fixture
def spoken(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


def test_without_a_format_sentences_are_said_and_the_file_has_all(
    file: Path, spoken: Callable[[], str]
) -> None:
    with speaking(LogPlan(file=file)) as words:
        words.say("Watching", "run.started")
        words.warn("torn")
        words.note("done: a.png", "scan.done")
        log.warning("from below")
    assert spoken().splitlines() == ["Watching", "torn", "from below"]
    events = [line.split()[1:3] for line in file.read_text().splitlines()]
    assert events == [
        ["INFO", "run.started:"],
        ["WARNING", "warning:"],
        ["INFO", "scan.done:"],
        ["WARNING", "processor.tests:"],
    ]


def test_with_a_format_everything_on_stderr_is_a_line_of_the_log(spoken: Callable[[], str]) -> None:
    def run() -> None:
        with speaking(LogPlan(LogFormat.JSON)) as words:
            assert not words.shows_progress
            words.table(("scans", "", "read", ""), [("seen", 3, "pages", 5), ("done", 2, "numbers", 9)])
            raise BadModel("There is no model.", "Publish one.")

    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == BadModel.exit_code
    summary, error = [json.loads(line) for line in spoken().splitlines()]
    assert (summary["event"], summary["message"]) == ("summary", "seen 3, pages 5, done 2, numbers 9")
    assert (error["level"], error["event"]) == ("error", "refused.BadModel")
    assert error["message"] == "There is no model. Publish one."


def test_without_a_format_the_error_is_left_to_the_program(file: Path, spoken: Callable[[], str]) -> None:
    with pytest.raises(BadModel), speaking(LogPlan(file=file)):
        raise BadModel("There is no model.", "Publish one.")
    assert spoken() == ""
    assert "refused.BadModel: There is no model." in file.read_text()


def test_quiet_leaves_the_notices_to_the_file(file: Path, spoken: Callable[[], str]) -> None:
    with speaking(LogPlan(LogFormat.JSON, file, quiet=True)) as words:
        words.say("Watching")
        words.warn("torn")
    assert [json.loads(line)["message"] for line in spoken().splitlines()] == ["torn"]
    assert [line["message"] for line in lines(file)] == ["Watching", "torn"]


def test_a_log_in_the_inbox_would_wake_the_watch_for_ever(home: Path) -> None:
    check_log_file(LogPlan(file=home / "inbox.log"), load())
    with pytest.raises(BadCommand, match="lies in the inbox"):
        check_log_file(LogPlan(file=home / "inbox" / "sub" / "run.log"), load())


# The real command


def test_a_run_as_a_log(home: Path, processor: Command) -> None:
    (home / "inbox" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (home / "inbox" / "empty\x1b.png").write_bytes(b"")
    done = processor("run", "--once", "--log-format", "json", "--log-file", "run.log", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["failed"] == 2
    said = [json.loads(line) for line in done.stderr.splitlines()]
    failed = {line["file"]: line for line in said if line["event"] == "scan.failed"}
    assert set(failed) == {"broken.png", "empty\x1b.png"}
    assert sorted(line["scan"] for line in failed.values()) == [1, 2]
    assert {line["level"] for line in failed.values()} == {"warning"}
    assert [json.loads(line) for line in (home / "run.log").read_text().splitlines()] == said


def test_a_run_that_is_refused_says_so_in_its_log(home: Path, processor: Command) -> None:
    (home / "settings.toml").write_text("[limits]\nmax_page = 1\n")
    done = processor("run", "--once", "--log-format", "json")
    assert done.returncode == Exit.BAD_SETTINGS
    (line,) = done.stderr.splitlines()
    assert "limits.max_page" in json.loads(line)["message"]


def test_a_formatter_by_itself_needs_no_scan() -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "hello", None, None)
    assert LineFormatter(LogFormat.TEXT).format(record).endswith(" INFO     x: hello")
