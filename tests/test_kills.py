"""Killed at any step between two others, a run is taken up by the next: nothing is lost, nothing doubled."""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processor.commands.config import default_file
from processor.settings import ENV_PREFIX
from tests.killed_at import STEPS, STOPS
from tests.stand_ins import drop

SCANS = {"a.png": "12 34", "b.png": "007", "bad.png": "bad 1", "c.png": "56", "copy of c.png": "56"}
DONE = ["a.png", "b.png", "c.png"]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A product folder for each step, in which a run was killed at it, and another one followed."""
    folder = tmp_path_factory.mktemp("kills")
    homes = {step: folder / step for step in (*STEPS, *STOPS)}
    for home in homes.values():
        for name, content in SCANS.items():
            drop(home / "inbox", name, content)
        (home / "settings.toml").write_text(default_file())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    command = [sys.executable, "-m", "tests.killed_at", *map(str, homes.values())]
    subprocess.run(command, cwd=Path(__file__).parents[1], env=kept, check=True, timeout=240)
    return homes


def rows(home: Path, query: str, results: str = "results") -> list[Any]:
    database = sqlite3.connect(home / results / "results.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def outputs(home: Path) -> dict[str, bytes]:
    """What a run leaves for people, but for the moments and the paths in a report."""
    found = {}
    for path in (home / "results").rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(home).parts)
        if path.is_file() and not hidden and not path.name.startswith("results.db"):
            found[path.relative_to(home).as_posix()] = path.read_bytes()
            if path.suffix == ".json":
                report = json.loads(path.read_bytes())
                report["when"] = report["original"] = ""
                found[path.relative_to(home).as_posix()] = json.dumps(report).encode()
    return found


@pytest.mark.parametrize("step", [step for step in STEPS if step != "nowhere"])
def test_a_run_that_was_killed_is_taken_up_by_the_next(homes: dict[str, Path], step: str) -> None:
    home, whole = homes[step], homes["nowhere"]
    killed, _ = (home / "codes").read_text().split()
    assert killed == "-9", (home / "log").read_text()
    taken_up(home, whole)


def taken_up(home: Path, whole: Path) -> None:
    """The run that followed left what a run that nothing disturbed leaves."""
    assert outputs(home) == outputs(whole)
    assert list((home / "inbox").iterdir()) == []
    states = dict(rows(home, "SELECT file, state FROM scans"))
    assert states == {**dict.fromkeys(DONE, "done"), "bad.png": "failed", "copy of c.png": "duplicate"}
    for query in (
        "SELECT file, page, position, digits FROM readings ORDER BY file, page, position",
        "SELECT scans.file, outputs.file, outputs.sha256, outputs.bytes FROM outputs "
        "JOIN scans ON scans.id = scan_id ORDER BY outputs.file",
        "SELECT COUNT(*), COUNT(DISTINCT sha256) FROM scans",
    ):
        assert rows(home, query) == rows(whole, query)


def test_nothing_disturbs_a_run_that_is_not_killed(homes: dict[str, Path]) -> None:
    """Otherwise the others would be compared with a run that lost something as well."""
    home = homes["nowhere"]
    assert (home / "codes").read_text() == "1 0"
    with (home / "results" / "numbers.csv").open(newline="") as stream:
        found = [(row["file"], row["digits"]) for row in csv.DictReader(stream)]
    assert found == [("a.png", "12"), ("a.png", "34"), ("b.png", "007"), ("c.png", "56")]
    kinds = sorted(file.split("/")[1] for file in outputs(home))
    expected = ["annotated"] * 3 + ["csv"] * 3 + ["failed"] * 2 + ["numbers.csv"] + ["processed"] * 4
    assert kinds == expected


@pytest.mark.parametrize(
    ("stop", "code", "done"),
    [
        ("asked to stop while it starts", "0", 0),
        # One is read while the signal comes, and another one is under way.
        ("asked to stop while it reads", "0", 2),
        ("interrupted while it starts", "130", None),
        ("interrupted while it reads", "130", 0),
        ("interrupted after the rows", "130", 1),
        ("interrupted between two publishes", "130", 0),
    ],
)
def test_a_stop_finishes_what_is_under_way_and_a_second_one_gives_it_back(
    homes: dict[str, Path], stop: str, code: str, done: int | None
) -> None:
    home = homes[stop]
    assert (home / "codes").read_text().split()[0] == code, (home / "log").read_text()
    assert "Traceback" not in (home / "log").read_text()
    if done is not None:
        states = [state for (state,) in rows(home, "SELECT state FROM scans", "after")]
        assert states.count("done") == done
        assert "running" not in states
        assert rows(home, "SELECT worker FROM scans WHERE worker IS NOT NULL", "after") == []
        assert rows(home, "SELECT id FROM daemons", "after") == []
    taken_up(home, homes["nowhere"])
