"""`processor results`: the numbers that were read, filtered, on the screen and in files."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from processor.commands.results import parse_since
from processor.errors import BadCommand, Exit
from processor.intake.queue import claim, enqueue, finish
from processor.results.database import open_database
from tests.conftest import Call
from tests.sample_readings import a_number, a_page, a_result
from tests.stored_scans import NASTY, NOW


@pytest.mark.usefixtures("stored")
def test_results_as_a_table_shows_every_number_whole(call: Call) -> None:
    code, out, err = call("results")
    assert (code, err) == (0, "")
    rows = out.splitlines()
    assert len(rows) == 5
    assert rows[0].split() == ["file", "page", "position", "text", "digits", "confidence", "status", "field"]
    assert any(row.split()[:5] == ["form.png", "1", "1", "007", "007"] for row in rows)


@pytest.mark.usefixtures("stored")
def test_a_column_that_no_number_has_is_left_out_on_the_screen_alone(call: Call) -> None:
    nasty = ("results", "--file", "*x.png")
    _, out, _ = call(*nasty)
    assert out.splitlines()[0].split()[-1] == "status"
    assert "45" in out
    assert list(json.loads(call(*nasty, "--format", "json")[1])[0]) == list(
        json.loads(call("results", "--format", "json")[1])[0]
    )
    assert "field" in call(*nasty, "--format", "csv")[1].splitlines()[0].split(",")
    assert "field" not in call("results", "--file", "nothing")[1]


@pytest.mark.usefixtures("stored")
def test_names_cannot_speak_to_the_terminal(call: Call) -> None:
    for command in (["results"], ["show", NASTY], ["query", "SELECT file FROM scans"]):
        code, out, _ = call(*command)
        assert code == 0
        assert "\x1b" not in out
        assert r"a\x1b[31m[red]\nx.png" in out


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["--file", "form*"], ["007", "12", "3"]),
        (["--status", "review"], ["12"]),
        (["--status", "accepted", "--file", "*.png"], ["45", "007", "3"]),
        (["--since", "2026-03-01T12:00"], ["45", "007", "12", "3"]),
        (["--since", "2026-03-01T12:01"], []),
        (["--file", "nothing"], []),
    ],
)
def test_results_are_filtered(call: Call, options: list[str], texts: list[str]) -> None:
    code, out, _ = call("results", *options, "--format", "csv")
    assert code == 0
    assert sorted(row["digits"] for row in csv.DictReader(io.StringIO(out))) == sorted(texts)


def test_the_folder_that_a_run_was_given_is_found_as_it_was_typed(call: Call, home: Path) -> None:
    (home / "results").mkdir()
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    for number, place in enumerate(("a/x.png", "b/x.png", "b/deep/a/x.png")):
        folder, _, file = place.partition("/")
        sha256 = f"{number}" * 64
        enqueue(database, source=home / folder, file=file, sha256=sha256, bytes=9, now=NOW)
        job = claim(database, NOW, 60)
        assert job is not None
        finish(database, job, a_result(a_page(a_number(f"{number}"))), NOW)
    database.dispose()
    for pattern, digits in {
        "a/*": {"0", "2"},  # Of the folder here, and of any of that name below an inbox.
        "./a/x.png": {"0"},
        "b/x*": {"1"},
        "b/*": {"1", "2"},
        f"{home}/b/deep/*": {"2"},
        "*/x.png": {"0", "1", "2"},
        "home/a/*": set(),
    }.items():
        found = json.loads(call("results", "--file", pattern, "--json")[1])
        assert {row["digits"] for row in found} == digits, pattern


@pytest.mark.usefixtures("stored")
def test_that_nothing_matches_is_said(call: Call) -> None:
    code, _, err = call("results", "--file", "FORM.png")
    assert (code, err) == (0, "No number of the database is like that.\n")


def test_of_a_copy_it_is_said_where_its_numbers_are(call: Call, stored: Path) -> None:
    with closing(sqlite3.connect(stored / "results" / "results.db")) as connection, connection:
        first = connection.execute("SELECT MIN(id) FROM scans WHERE file = 'form.png'").fetchone()[0]
        connection.execute(
            "INSERT INTO scans (source, file, sha256, bytes, state, attempts, queued_at, duplicate_of)"
            " SELECT source, 'copy.png', sha256, bytes, 'duplicate', 0, queued_at, id FROM scans"
            " WHERE id = ?",
            [first],
        )
    code, _, err = call("results", "--file", "copy.png")
    assert code == 0
    assert "copy.png holds the same as form.png, where its numbers are." in " ".join(err.split())


def test_a_copy_of_the_same_name_is_told_by_its_folder(call: Call, stored: Path) -> None:
    with closing(sqlite3.connect(stored / "results" / "results.db")) as connection, connection:
        connection.execute(
            "INSERT INTO scans (source, file, sha256, bytes, state, attempts, queued_at, duplicate_of)"
            " SELECT '/scans/again', file, sha256, bytes, 'duplicate', 0, queued_at, id FROM scans"
            " WHERE id = (SELECT MIN(id) FROM scans WHERE file = 'form.png')"
        )
        source = connection.execute("SELECT source FROM scans WHERE file = 'form.png'").fetchone()[0]
    told = "".join(call("results", "--file", "form.png")[2].split())
    assert f"/scans/again/form.pngholdsthesameas{source}/form.png,".replace(" ", "") in told


def test_results_as_csv_json_and_parquet_say_the_same(call: Call, stored: Path) -> None:
    from_csv = list(csv.DictReader(io.StringIO(call("results", "--format", "csv")[1])))
    from_json = json.loads(call("results", "--format", "json")[1])
    call("results", "-o", stored / "out.parquet")
    from_parquet = pd.read_parquet(stored / "out.parquet").to_dict("records")
    for rows in (from_csv, from_json, from_parquet):
        assert [row["digits"] for row in rows] == ["45", "007", "12", "3"]
        assert {row["model"] for row in rows} == {"cnn-a"}
    assert [row["file"] for row in from_json] == [row["file"] for row in from_parquet]


def test_the_suffix_of_the_output_chooses_the_format(call: Call, stored: Path) -> None:
    code, out, err = call("results", "-o", "numbers.json")
    assert (code, out) == (0, "")
    assert "4 rows" in err
    assert len(json.loads((stored / "numbers.json").read_text())) == 4
    call("results", "-o", "numbers.json", "--format", "csv")
    assert (stored / "numbers.json").read_text().startswith("file,page")
    assert call("--quiet", "results", "-o", "numbers.csv") == (0, "", "")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("output", ["missing/x.csv", "inbox"])
def test_an_output_that_cannot_be_is_a_wrong_command(call: Call, output: str) -> None:
    code, _, err = call("results", "--format", "csv", "-o", output)
    assert code == Exit.BAD_COMMAND
    assert output in err


def test_no_csv_is_called_a_workbook(call: Call, stored: Path) -> None:
    code, _, err = call("export", "readings", "-o", "numbers.xlsx")
    assert code == Exit.BAD_COMMAND
    assert "numbers.xlsx" in err
    assert not (stored / "numbers.xlsx").exists()


def test_a_table_has_no_file(call: Call, stored: Path) -> None:
    assert call("results", "-o", "x.txt")[0] == Exit.BAD_COMMAND
    assert not (stored / "x.txt").exists()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-02-03T04:05", datetime(2026, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-02-03T04:05+02:00", datetime(2026, 2, 3, 2, 5, tzinfo=UTC)),
        ("90m", NOW - timedelta(minutes=90)),
        (" 7 d ", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
    ],
)
def test_since(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7", "2026-13-01", "9999999999999d"])
def test_since_what_is_no_time(text: str) -> None:
    with pytest.raises(BadCommand):
        parse_since(text, NOW)
