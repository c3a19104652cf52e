"""What an operator sees: how the runs are, what waits and why, and whether the daemon works at all."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from processor.commands.health import judge
from processor.errors import Exit
from processor.intake.queue import claim, enqueue, fail
from processor.prediction.archive import current_name
from processor.pulse import SILENT_SECONDS, DaemonState, Sign
from processor.results.database import open_database, writing
from processor.results.progress import progress
from processor.results.schema import daemons, scans
from processor.settings import shipped_archive
from tests.conftest import Call

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HERE = socket.gethostname()
DUMP = Path(__file__).parent / "data" / "results-0001.sql"

FACTS: dict[str, Any] = {
    "watch": [
        {
            "path": "/srv/in\x1bbox",
            "mode": "polling",
            "why": "nfs sends no events",
            "canary_at": "2026-03-01T12:00:00+00:00",
            "canary": "lost",
            "restarts": 2,
        }
    ],
    "model": "november",
    "waiting": 3,
    "under_way": 1,
    "paused": None,
    "last_error": "The database is locked.",
    "last_error_at": "2026-03-01T11:00:00+00:00",
    "scans_per_minute": 12.34,
    "workers": 4,
}


@pytest.fixture
def now() -> datetime:
    """Of this test: what is young at the start of a long run of tests is old at its end."""
    return datetime.now(UTC)


@pytest.fixture
def database(home: Path, now: datetime) -> Iterator[Engine]:
    """One scan failed, one is being read, one waits, and one waits for its time: as of `now`."""
    (home / "results").mkdir()
    engine = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    for number, age in enumerate((90, 60, 30, 20)):
        queued_at = now - timedelta(minutes=age)
        enqueue(engine, source=home, file=f"{number}.png", sha256=f"{number}" * 64, bytes=9, now=queued_at)
    job = claim(engine, now, 60)
    assert job is not None
    fail(engine, job, "BadScan", "0.png is empty. Copy it once more.", now)
    claim(engine, now, 60)
    with writing(engine) as connection:
        later = update(scans).where(scans.c.file == "3.png")
        connection.execute(later.values(not_before=now + timedelta(minutes=5)))
    yield engine
    engine.dispose()


def a_daemon(database: Engine, **given: Any) -> None:
    now = datetime.now(UTC)
    row = {"host": HERE, "pid": os.getpid(), "once": False, "started_at": now, "beat_at": now}
    with writing(database) as connection:
        connection.execute(insert(daemons), {**row, "state": "watching", "facts": FACTS, **given})


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lines(text: str) -> dict[str, str]:
    """The first line of each name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("  ")
        found.setdefault(name, rest.strip())
    return found


# status


def test_the_queue_is_told(database: Engine, now: datetime) -> None:
    found = progress(database, now)
    assert found.scans == {"queued": 2, "running": 1, "done": 0, "failed": 1, "duplicate": 0}
    assert (found.due_later, found.next_due) == (1, now + timedelta(minutes=5))
    assert found.oldest_waiting == {"id": 3, "file": "2.png", "queued_at": now - timedelta(minutes=30)}
    assert found.finished_last_hour == 1
    assert found.last_failure is not None
    assert (found.last_failure["id"], found.last_failure["file"]) == (1, "0.png")
    assert progress(database, now + timedelta(hours=2)).finished_last_hour == 0


def test_an_empty_queue_is_told(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'results.db'}")
    found = progress(engine, datetime.now(UTC))
    engine.dispose()
    assert set(found.scans.values()) == {0}
    assert (found.due_later, found.next_due, found.oldest_waiting, found.last_failure) == (
        0,
        None,
        None,
        None,
    )


def test_status_shows_the_run_at_a_glance(database: Engine, call: Call) -> None:
    a_daemon(database)
    code, text, _ = call("status")
    assert code == 0
    assert "\x1b" not in text
    shown = lines(text)
    assert shown["daemon"].startswith("watching, started ")
    assert f"process {os.getpid()} on {HERE}, last sign of life" in shown["daemon"]
    assert "4 workers, model november, 12.3 scans a minute" in text
    watch = r"/srv/in\x1bbox: polling (nfs sends no events); canary lost at 2026-03-01 12:00:00 UTC"
    assert shown["watch"] == f"{watch}; restarts: 2"
    assert shown["last error"] == "2026-03-01 11:00:00 UTC: The database is locked."
    assert shown["queue"].startswith("2 waiting, 1 being read; 1 due later, the next at 20")
    assert re.fullmatch(r"2\.png \(id 3\) waits for 3\d min", shown["oldest"])
    assert shown["last failed"].endswith("0.png is empty. Copy it once more. (id 1)")
    assert "MB free, paused below 200 MB" in shown["results"]
    assert "journal wal" in shown["database"]
    assert shown["pending"] == "3"


def test_status_has_the_same_for_programs(database: Engine, call: Call) -> None:
    a_daemon(database)
    document = json.loads(call("status", "--json")[1])
    assert document["seen"] == document["failed"] + document["pending"] == 4
    (daemon,) = document["daemons"]
    assert daemon["facts"] == FACTS
    assert (daemon["state"], daemon["lives"], daemon["silent"]) == ("watching", True, False)
    assert document["scans"]["running"] == 1
    assert (document["due_later"], document["oldest_waiting"]["file"]) == (1, "2.png")
    assert document["last_failure"]["message"] == "0.png is empty. Copy it once more."
    assert document["free_mb"] > 0
    assert (document["journal_mode"], document["database_bytes"] > 0) == ("wal", True)


@pytest.mark.usefixtures("database")
def test_status_without_a_daemon_says_so(call: Call) -> None:
    assert lines(call("status")[1])["daemon"] == "none runs"
    assert json.loads(call("status", "--json")[1])["daemons"] == []


def test_status_tells_what_ended_what_hangs_and_what_pauses(database: Engine, call: Call) -> None:
    a_daemon(database, pid=ended_process())
    a_daemon(database, pid=ended_process(), facts={"ended": "There is no model. Publish one."})
    a_daemon(database, beat_at=datetime.now(UTC) - timedelta(days=3), facts={})
    a_daemon(database, host="elsewhere", once=True, state="paused", facts={"paused": "The disk is full."})
    text = call("status")[1]
    first, told, second = [line for line in text.splitlines() if line.startswith("daemon")]
    assert "ended without a word" in first
    assert "ended: There is no model. Publish one.; process" in told
    assert "hangs (watching)" in second
    assert "last sign of life 3 days ago" in second
    assert lines(text)["run --once"].startswith("paused, started")
    assert lines(text)["paused"] == "The disk is full."


def test_an_inbox_that_is_away_is_a_line_of_its_own_where_the_others_are_read(
    database: Engine, call: Call
) -> None:
    a_daemon(database, facts={"paused": None, "away": "/scans is not there."})
    assert lines(call("status")[1])["away"] == "/scans is not there."


def test_status_of_an_earlier_database(home: Path, call: Call) -> None:
    """Its tables stay as they are: only a run brings them up to date."""
    (home / "results").mkdir()
    with closing(sqlite3.connect(home / "results" / "results.db")) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    document = json.loads(call("status", "--json")[1])
    assert document["seen"] == 5
    assert (document["daemons"], document["due_later"], document["next_due"]) == ([], 0, None)
    assert call("health")[0] == 1
    with closing(sqlite3.connect(home / "results" / "results.db")) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    assert "daemons" not in names


@pytest.mark.usefixtures("database")
def test_status_tells_what_lies_in_the_inbox_and_no_run_has_seen(home: Path, call: Call) -> None:
    inbox = home / "inbox"
    assert lines(call("status")[1])["inbox"] == f"{inbox}: nothing that no run has seen"
    assert json.loads(call("status", "--json")[1])["inbox"] == {
        **{"path": str(inbox), "unseen": 0, "first_unseen": None},
        **{"no_scans": 0, "first_no_scan": None, "complete": True},
    }
    for name in ("a.png", "b.jpg", "letter.docx"):
        (inbox / name).write_text("?")
    told = "2 scans that no run has seen (first: a.png); letter.docx is no scan"
    assert lines(call("status")[1])["inbox"] == f"{inbox}: {told}"
    document = json.loads(call("status", "--json")[1])
    assert (document["inbox"]["unseen"], document["inbox"]["no_scans"]) == (2, 1)
    # They are no scans of the records: the identity stays what it is.
    assert document["seen"] == document["failed"] + document["pending"] == 4
    shutil.rmtree(inbox)
    assert lines(call("status")[1])["inbox"] == f"{inbox}: cannot be reached"
    assert json.loads(call("status", "--json")[1])["inbox"] is None


@pytest.mark.usefixtures("database")
def test_results_that_are_away_are_told(home: Path, call: Call) -> None:
    url = f"sqlite:///{home / 'results' / 'results.db'}"
    (home / "settings.toml").write_text(f'[paths]\nresults = "away"\n[database]\nurl = "{url}"\n')
    assert "away: cannot be reached" in lines(call("status")[1])["results"]
    assert json.loads(call("status", "--json")[1])["free_mb"] is None


# health


def a_sign(**given: Any) -> Sign:
    known = {"host": HERE, "pid": 7, "once": False, "started_at": NOW, "beat_at": NOW, "lives": True}
    return Sign(**{**known, "state": DaemonState.WATCHING, "facts": {}, **given})


SILENT = NOW - timedelta(seconds=SILENT_SECONDS + 1)


@pytest.mark.parametrize(
    ("found", "healthy", "reason"),
    [
        ([], False, "no daemon of these settings runs on"),
        ([a_sign()], True, "watching (process 7, 0 s ago)"),
        ([a_sign(state=DaemonState.STARTING)], True, "starting"),
        ([a_sign(beat_at=NOW - timedelta(seconds=SILENT_SECONDS))], True, "90 s ago"),
        ([a_sign(beat_at=SILENT)], False, "process 7 shows no sign of life since"),
        ([a_sign(beat_at=SILENT, pid=6), a_sign()], False, "process 6 shows no sign"),
        ([a_sign(lives=False)], False, "process 7 ended without a word"),
        ([a_sign(lives=False, facts={"ended": "No model."})], False, "process 7 ended: No model."),
        ([a_sign(lives=False, pid=6), a_sign()], True, "process 7"),
        ([a_sign(state=DaemonState.PAUSED, facts={"paused": "the disk is full"})], True, "the disk is full"),
        ([a_sign(once=True)], False, "no daemon"),
        ([a_sign(host="elsewhere", lives=None)], False, "; one runs on elsewhere."),
        ([a_sign(beat_at=NOW + timedelta(hours=1))], True, "0 s ago"),
    ],
)
def test_who_is_healthy(found: list[Sign], healthy: bool, reason: str) -> None:
    verdict = judge(found, NOW)
    assert verdict.healthy is healthy
    assert reason in verdict.reason


def test_health_is_an_exit_code(database: Engine, call: Call) -> None:
    code, text, _ = call("health")
    assert (code, text.split(":")[0]) == (1, "not healthy")
    a_daemon(database)
    code, text, _ = call("health")
    assert (code, text.split(":")[0]) == (0, "healthy")
    assert "3 waiting, 1 under way" in text
    document = json.loads(call("health", "--json")[1])
    assert (document["healthy"], document["state"]) == (True, "watching")
    assert document["beat_at"].endswith("Z")


def test_a_daemon_that_goes_on_though_the_disk_is_full_is_not_healthy(
    database: Engine, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `limits.min_free_mb = 0`; one that pauses until there is room knows of it."""
    a_daemon(database)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    code, text, _ = call("health")
    assert (code, "no room is left below" in text) == (1, True)
    assert json.loads(call("health", "--json")[1])["state"] == "watching"
    with writing(database) as connection:
        connection.execute(update(daemons).values(state="paused"))
    assert call("health")[0] == 0


@pytest.mark.parametrize("settings", ["", "[nonsense]\n"])
def test_what_keeps_health_from_being_told_is_a_reason(call: Call, home: Path, settings: str) -> None:
    (home / "settings.toml").write_text(settings)
    code, text, _ = call("health")
    assert code == Exit.SOME_FAILED
    assert text.startswith("not healthy: ")
    assert ("nonsense" if settings else "There is no database") in text
    assert json.loads(call("health", "--json")[1])["healthy"] is False


@pytest.mark.usefixtures("stored")
def test_status_counts_the_database(call: Call) -> None:
    code, out, _ = call("status", "--json")
    assert code == 0
    counts = json.loads(out)
    expected = {"seen": 4, "done": 2, "failed": 1, "duplicate": 0, "ignored": 0, "pending": 1}
    expected |= {"pages": 3, "numbers": 4, "digits": 8, "review": 2, "rejected": 1}
    expected |= {"numbers_in_review": 1}
    assert {name: counts[name] for name in expected} == expected
    assert counts["seconds"] == 1.0
    assert counts["pages_per_second"] == 3.0
    archive = shipped_archive()
    assert archive is not None
    assert counts["model"] == current_name(archive)
    shown = call("status")[1]
    assert re.search(r"^numbers +4$", shown, re.MULTILINE)
    assert "1 of 4 numbers: processor results --status review" in shown


def test_status_without_a_database_says_how_to_get_one(call: Call) -> None:
    code, out, err = call("status")
    assert code == Exit.BAD_DATABASE
    assert out == ""
    assert "processor run --once" in err


def test_status_of_a_file_that_is_no_database(call: Call, home: Path) -> None:
    (home / "results").mkdir()
    (home / "results" / "results.db").write_text("this is no database " * 100)
    assert call("status")[0] == Exit.BAD_DATABASE
