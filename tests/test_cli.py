"""The command line: what each command prints where, and how it ends."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from processor import __version__
from processor.characters import visible
from processor.cli import app, main
from processor.commands.results import parse_since
from processor.commands.summary import report
from processor.errors import BadCommand, BadDatabase, Exit
from processor.intake.queue import claim, enqueue, fail, finish
from processor.records import Box, NumberReading, Status
from processor.results.database import open_database
from processor.results.tally import Tally
from processor.settings import shipped_archive
from tests.conftest import PROCESSOR, Command
from tests.sample_readings import a_blob, a_number, a_page, a_result

COMMANDS = [
    "run",
    "read",
    "status",
    "health",
    "results",
    "query",
    "export",
    "show",
    "reprocess",
    "models",
    "config",
]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NASTY = "a\x1b[31m[red]\nx.png"

Called = tuple[int, str, str]
Call = Callable[..., Called]


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Runs `main` in this process: the exit code, stdout and stderr."""
    monkeypatch.chdir(home)

    def call(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", ["processor", *map(str, arguments)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return int(code) if code is not None else 0, out.decode(), err.decode()

    return call


@pytest.fixture
def stored(home: Path) -> Path:
    """A database with a done scan of two pages, one with a nasty name, a failed and a waiting one."""
    (home / "results").mkdir()
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    results = {
        "form.png": replace(
            a_result(
                a_page(a_number("007"), a_number("12", Status.REVIEW, confidence=0.5), rejected=(a_blob(),)),
                a_page(a_number("3", field="total"), page=2, dpi=None),
            ),
            seconds=0.2500000004,
        ),
        NASTY: replace(a_result(a_page(a_number("45"))), seconds=0.75),
    }
    for number, file in enumerate([*results, "broken.png", "waiting.png"]):
        enqueue(database, source=home / "inbox", file=file, sha256=f"{number}" * 64, bytes=9, now=NOW)
    for result in results.values():
        job = claim(database, NOW, 60)
        assert job is not None
        finish(database, job, result, NOW)
    job = claim(database, NOW, 60)
    assert job is not None
    fail(database, job, "BadScan", "broken.png is empty.", NOW)
    database.dispose()
    return home


def names(archive: Path) -> str:
    return (archive / "CURRENT").read_text().strip()


# Help, version, wrong commands


def test_help_names_every_command(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", out)


@pytest.mark.parametrize("command", [*COMMANDS, "config show", "config init"])
def test_every_command_has_help_with_its_options(call: Call, command: str) -> None:
    code, out, err = call(*command.split(), "--help")
    assert code == 0
    assert err == ""
    if command != "config":
        assert "--settings" in out
        assert "--quiet" in out


def test_help_tells_the_defaults(call: Call) -> None:
    of_run = re.sub(r"[│\s]+", " ", call("run", "--help")[1])
    assert "Processes that read. [default: (workers.count of the settings)]" in of_run
    assert "[default: (the inbox)]" in of_run
    assert "readings" in call("export", "--help")[1]


def test_every_command_takes_settings_and_quiet() -> None:
    def leaves(group: object) -> list[object]:
        commands = getattr(group, "commands", None)
        return [leaf for c in commands.values() for leaf in leaves(c)] if commands else [group]

    from typer.main import get_command

    for command in leaves(get_command(app)):
        options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
        assert {"--settings", "--quiet"} <= options


def test_the_version(call: Call) -> None:
    assert call("--version") == (0, f"processor {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--workers", "0"],
        ["run", "--workers", "many"],
        ["results", "--status", "perhaps"],
        ["results", "--format", "xml"],
        ["read"],
        ["show"],
        ["query"],
    ],
)
def test_a_wrong_command_line_is_exit_2(call: Call, arguments: list[str]) -> None:
    code, out, err = call(*arguments)
    assert code == Exit.BAD_COMMAND
    assert out == ""
    assert err != ""


def test_settings_may_stand_before_or_behind_the_command(call: Call, tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("[review]\nport = 1111\n")
    two.write_text("[review]\nport = 2222\n")

    def port(*arguments: str | Path) -> int:
        document = json.loads(call(*arguments)[1])
        return int(document["settings"]["review.port"]["value"])

    assert port("--settings", one, "config", "show", "--json") == 1111
    assert port("config", "show", "--settings", two, "--json") == 2222
    assert port("--settings", one, "config", "show", "--settings", two, "--json") == 2222


def test_errors_are_words_with_their_exit_code_and_no_traceback(call: Call, home: Path) -> None:
    (home / "settings.toml").write_text("[limits]\nmax_page = 1\n")
    code, out, err = call("status")
    assert code == Exit.BAD_SETTINGS
    assert out == ""
    assert "limits.max_page" in err
    assert "Traceback" not in err


# status


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
    assert counts["model"] == names(archive)
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


# results, query, export


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


def test_a_table_has_no_file(call: Call, stored: Path) -> None:
    assert call("results", "-o", "x.txt")[0] == Exit.BAD_COMMAND
    assert not (stored / "x.txt").exists()


@pytest.mark.usefixtures("stored")
def test_a_query_prints_its_rows(call: Call) -> None:
    sql = "SELECT state, COUNT(*) AS n FROM scans GROUP BY state ORDER BY state"
    code, out, _ = call("query", sql)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["state", "n"],
        ["done", "2"],
        ["failed", "1"],
        ["queued", "1"],
    ]
    assert json.loads(call("query", sql, "--format", "json")[1])[0] == {"state": "done", "n": 2}


@pytest.mark.usefixtures("stored")
def test_missing_values_do_not_turn_whole_numbers_into_fractions(call: Call) -> None:
    rows = json.loads(call("query", "SELECT 7 AS n UNION ALL SELECT NULL ORDER BY n", "--format", "json")[1])
    assert rows == [{"n": None}, {"n": 7}]
    assert call("query", "SELECT 7 AS n UNION ALL SELECT NULL", "--format", "csv")[1] == "n\n7\n\n"


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM scans",
        "UPDATE numbers SET text = '1'",
        "DROP VIEW readings",
        "SELECT nothing",
        "nonsense",
    ],
)
def test_a_query_can_only_read(call: Call, sql: str) -> None:
    def told() -> dict[str, object]:
        said = json.loads(call("status", "--json")[1])
        # Others use the disk meanwhile.
        return {key: value for key, value in said.items() if key != "free_mb"}

    before = told()
    code, out, err = call("query", sql)
    assert code == Exit.BAD_COMMAND
    assert out == ""
    assert "Traceback" not in err
    assert told() == before


@pytest.mark.usefixtures("stored")
def test_two_columns_of_one_name_are_a_wrong_command(call: Call) -> None:
    code, _, err = call("query", "SELECT id, id FROM scans", "--format", "csv")
    assert code == Exit.BAD_COMMAND
    assert "AS" in err


@pytest.mark.parametrize(
    "table",
    [
        "readings",
        "digit_readings",
        "scans",
        "pages",
        "numbers",
        "digits",
        "corrections",
        "models",
        "refused_models",
        "two_readings",
    ],
)
def test_every_table_is_exported_whole(call: Call, stored: Path, table: str) -> None:
    counted = int(
        json.loads(call("query", f"SELECT COUNT(*) AS n FROM {table}", "--format", "json")[1])[0]["n"]
    )
    code, out, _ = call("export", table)
    assert code == 0
    assert len(list(csv.DictReader(io.StringIO(out)))) == counted
    assert len(json.loads(call("export", table, "--format", "json")[1])) == counted
    call("export", table, "-o", f"{table}.parquet")
    assert len(pd.read_parquet(stored / f"{table}.parquet")) == counted


@pytest.mark.usefixtures("stored")
def test_exported_moments_are_utc_in_words_everybody_reads(call: Call) -> None:
    row = json.loads(call("export", "scans", "--format", "json")[1])[0]
    assert row["finished_at"] == "2026-03-01T12:00:00Z"


@pytest.mark.usefixtures("stored")
def test_an_unknown_table_is_named_with_the_known_ones(call: Call) -> None:
    code, _, err = call("export", "secrets")
    assert code == Exit.BAD_COMMAND
    assert "digit_readings" in err


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


# show


@pytest.mark.usefixtures("stored")
def test_show_tells_all_of_one_scan(call: Call) -> None:
    code, out, _ = call("show", "form.png")
    assert code == 0
    for words in ("sha256", "Page 1: 2480 x 3508 px, 300 dpi", "Page 2:", "007", "speck", "review"):
        assert words in out
    assert re.search(r"^finished_at +2026-03-01 12:00:00 UTC$", out, re.MULTILINE)
    assert re.search(r"^seconds +0\.25$", out, re.MULTILINE)
    document = json.loads(call("show", "form.png", "--json")[1])
    assert [[number["text"] for number in page["numbers"]] for page in document["pages"]] == [
        ["007", "12"],
        ["3"],
    ]
    assert document["pages"][0]["numbers"][0]["digits"][0]["second"] == "7"
    assert document["pages"][0]["rejected"][0]["reason"].startswith("speck")
    assert document["finished_at"] == "2026-03-01T12:00:00Z"


def test_show_tells_why_a_number_is_in_review(call: Call, home: Path) -> None:
    (home / "results" / "results.db").unlink(missing_ok=True)
    scan = home / "doubtful.png"
    scan.write_bytes(b"never decoded")
    why = "may lack digits: gap in it, digit heights 0.9, limit 0.65"
    keep(home, scan, replace(a_number("12", Status.REVIEW), reason=why), a_number("7"))
    assert call("show", "doubtful.png")[1].count(why) == 1
    document = json.loads(call("show", "doubtful.png", "--json")[1])
    assert [number["reason"] for number in document["pages"][0]["numbers"]] == [why, None]
    as_csv = call("results", "--format", "csv")[1].splitlines()
    assert [line.split(",", 14)[14] for line in as_csv] == ["reason", f'"{why}"', ""]


def test_show_saves_a_picture_of_every_number(call: Call, home: Path) -> None:
    (home / "inbox").mkdir(exist_ok=True)
    scan = home / "inbox" / "a.png"
    Image.fromarray(np.full((200, 300), 255, np.uint8)).save(scan)
    (home / "results").mkdir()
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    sha256 = hashlib.sha256(scan.read_bytes()).hexdigest()
    enqueue(database, source=home / "inbox", file="a.png", sha256=sha256, bytes=9, now=NOW)
    job = claim(database, NOW, 60)
    assert job is not None
    finish(database, job, a_result(a_page(a_number("007"), a_number("12"), rejected=(a_blob(),))), NOW)
    database.dispose()
    code, out, err = call("show", "a.png", "--save", "pictures")
    assert (code, "007" in out, "2 pictures of numbers" in err) == (0, True, True)
    names = sorted(p.name[-10:] for p in (home / "pictures").iterdir())
    assert names == ["-p1-n1.png", "-p1-n2.png", "jected.png"]
    scan.unlink()
    code, _, err = call("show", "a.png", "--save", "pictures")
    assert code != 0
    assert "the original is neither" in err


def keep(home: Path, scan: Path, *numbers: NumberReading) -> None:
    """Records that `numbers` were read on the one page of `scan`, at 300 dpi."""
    (home / "results").mkdir(exist_ok=True)
    database = open_database(f"sqlite:///{home / 'results' / 'results.db'}")
    sha256 = hashlib.sha256(scan.read_bytes()).hexdigest()
    enqueue(database, source=scan.parent, file=scan.name, sha256=sha256, bytes=9, now=NOW)
    job = claim(database, NOW, 60)
    assert job is not None
    finish(database, job, a_result(a_page(*numbers)), NOW)
    database.dispose()


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take no such names")
def test_show_saves_pictures_of_a_scan_whose_name_is_no_text(call: Call, home: Path) -> None:
    scan = home / "caf\udce9.png"
    Image.fromarray(np.full((200, 300), 255, np.uint8)).save(scan)
    keep(home, scan, a_number("007"))
    code, out, _ = call("show", r"caf\udce9.png", "--save", "pictures")
    assert (code, "007" in out) == (0, True)
    assert [p.name[-10:] for p in (home / "pictures").iterdir()] == ["-p1-n1.png"]


def test_show_draws_a_pdf_as_it_was_read(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = home / "a.pdf"
    Image.new("L", (300, 200), 255).save(scan, resolution=72)
    keep(home, scan, replace(a_number("7"), box=Box(1150, 700, 60, 90)))
    monkeypatch.setenv("PROCESSOR_INTAKE__PDF_DPI", "50")
    assert call("show", "a.pdf", "--save", "pictures")[0] == 0
    assert len(list((home / "pictures").iterdir())) == 1


@pytest.mark.usefixtures("stored")
def test_show_what_was_never_seen(call: Call) -> None:
    code, _, err = call("show", "from.png")
    assert code == Exit.BAD_COMMAND
    assert "form.png" in err


# models


@pytest.fixture
def archive(home: Path) -> Path:
    """An archive of its own, with a copy of the shipped model."""
    shipped = shipped_archive()
    assert shipped is not None
    target = home / "models_archive"
    target.mkdir()
    shutil.copytree(shipped / names(shipped), target / names(shipped))
    (target / "CURRENT").write_text(names(shipped) + "\n")
    return target


def test_models_are_listed_and_the_current_one_is_marked(call: Call, archive: Path) -> None:
    code, out, _ = call("models")
    assert code == 0
    assert f"*  {names(archive)}" in out
    document = json.loads(call("models", "--json")[1])
    assert document["current"] == names(archive)
    assert [(model["name"], model["current"]) for model in document["models"]] == [(names(archive), True)]
    assert document["models"][0]["metrics"]


def test_a_damaged_model_is_named_and_stops_only_who_needs_it(call: Call, archive: Path) -> None:
    (archive / "half").mkdir()
    code, out, err = call("models", "--json")
    assert code == 0
    assert "half" in err
    assert "half" in json.loads(out)["damaged"][0]["message"]
    (archive / "CURRENT").write_text("half\n")
    code, out, err = call("models", "--json")
    assert code == Exit.NO_MODEL
    assert len(json.loads(out)["models"]) == 1
    assert "half" in err


def test_a_damaged_line_of_the_record_is_named_and_the_models_are_listed(call: Call, archive: Path) -> None:
    line = {"at": "2026-11-22T12:00:00Z", "kind": "promote", "name": names(archive), "previous": None}
    (archive / "PROMOTIONS").write_text(json.dumps({**line, "forced": [1]}) + "\n")
    for options in ([], ["--json"]):
        code, out, err = call("models", *options)
        assert code == 0
        assert names(archive) in out
        assert "PROMOTIONS: line 1 is damaged" in err


# config


def test_config_show_tells_where_each_value_comes_from(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "settings.toml").write_text("[limits]\nmax_pages = 7\n")
    monkeypatch.setenv("PROCESSOR_REVIEW__PORT", "9000")
    code, out, _ = call("config", "show")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["limits.max_pages"] == ["7", str(home / "settings.toml")]
    assert rows["review.port"] == ["9000", "PROCESSOR_REVIEW__PORT"]
    assert rows["outputs.annotated"] == ['"jpg"', "default"]
    document = json.loads(call("config", "show", "--json")[1])
    assert document["settings"]["limits.max_pages"] == {"value": 7, "origin": str(home / "settings.toml")}
    assert document["file"] == str(home / "settings.toml")


def test_config_init_makes_a_place_to_start(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    code, out, err = call("config", "init")
    assert (code, out) == (0, "")
    assert "settings.toml" in err
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["inbox", "results", "settings.toml"]
    assert call("config", "show")[0] == 0


def test_config_init_keeps_what_is_there(call: Call, home: Path) -> None:
    (home / "settings.toml").write_text("# mine\n")
    code, _, err = call("config", "init")
    assert code == Exit.BAD_COMMAND
    assert "--force" in err
    assert (home / "settings.toml").read_text() == "# mine\n"
    assert call("config", "init", "--force")[0] == 0
    assert "[paths]" in (home / "settings.toml").read_text()


def test_config_init_writes_where_it_is_told(call: Call, tmp_path: Path) -> None:
    assert call("config", "init", "--settings", tmp_path / "deep" / "own.toml")[0] == 0
    assert (tmp_path / "deep" / "inbox").is_dir()


# read


@pytest.fixture(scope="session")
def digits() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Handwritten digits, (N, 28, 28) uint8, ink high."""
    with np.load(Path(__file__).with_name("data") / "mnist-sample.npz") as sample:
        images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = sample["images"]
    return images


def test_read_prints_digits_scores_and_rejections(
    call: Call, home: Path, digits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    page = np.full((120, 220), 255, np.uint8)
    for place, image in enumerate(digits[:3]):
        page[40:68, 30 + 60 * place : 58 + 60 * place] -= image
    page[100:103, 10:210] = 0
    Image.fromarray(page).save(home / "a b.png")
    (home / "bad.jpg").write_text("no image")
    code, out, err = call("read", "a b.png", "bad.jpg", "--save", "pictures")
    assert code == Exit.SOME_FAILED
    assert "bad.jpg" in err
    assert "a b.png, page 1: 220 x 120 px" in out
    saved = sorted(path.name for path in (home / "pictures").iterdir())
    assert [re.sub("-[0-9a-f]{12}", "", name) for name in saved] == ["a b-p1.jpg", "a b-sheet.png"]
    assert not (home / "results" / "results.db").exists()
    code, out, err = call("read", "a b.png", "bad.jpg", "--json")
    document = json.loads(out)
    assert [scan["file"] for scan in document["scans"]] == ["a b.png", "bad.jpg"]
    assert document["scans"][1]["error"]
    (found,) = document["scans"][0]["pages"]
    readings = [reading for number in found["numbers"] for reading in number["readings"]]
    assert len(readings) == 3
    for reading in readings:
        scores = [score["confidence"] for score in reading["top"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert reading["top"][0]["digit"] == reading["digit"]
    assert all(blob["reason"] for blob in found["rejected"])


def test_read_saves_where_it_cannot(call: Call, home: Path) -> None:
    Image.fromarray(np.full((120, 220), 255, np.uint8)).save(home / "a.png")
    sha256 = hashlib.sha256((home / "a.png").read_bytes()).hexdigest()
    (home / "pictures" / f"a-{sha256[:12]}-p1.jpg").mkdir(parents=True)
    code, _, err = call("read", "a.png", "--save", "pictures")
    assert code == Exit.BAD_COMMAND
    assert "--save pictures: Is a directory" in err
    (home / "file").touch()
    assert "--save file: File exists" in call("read", "a.png", "--save", "file")[2]


def test_read_what_is_not_there(call: Call, home: Path) -> None:
    (home / "folder.png").mkdir()
    code, _, err = call("read", "nothing.png", "folder.png")
    assert code == Exit.SOME_FAILED
    assert "nothing.png cannot be read: No such file" in err
    assert "folder.png cannot be read: Is a directory" in err


# The words themselves


def test_the_report_of_a_run_keeps_its_identity() -> None:
    tally = Tally()
    tally.see(Path("a"))
    tally.see(Path("b"))
    tally.end(Path("a"), "done")
    tally.add([a_page(a_number("12"))])
    counts = report(tally, 2.0, "m")
    assert counts["seen"] == counts["done"] + counts["pending"] == 2
    assert (counts["seconds"], counts["pages_per_second"], counts["model"]) == (2.0, 0.5, "m")
    assert (counts["accepted"], counts["accepted_share"], counts["expected_error"]) == (1, 1.0, 0.1)
    tally.end(Path("a"), "done")
    with pytest.raises(BadDatabase):
        report(tally, 2.0, "m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("form 1ä.png", "form 1ä.png"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("b\udcff", r"b\udcff"),
        ("gnp\u202eevil", r"gnp\u202eevil"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


# The real command


def test_a_reader_that_leaves_early_is_no_error(stored: Path, processor: Command) -> None:
    command = f"{PROCESSOR} export digits | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=stored, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("id,")
    assert done.stderr == ""
    assert processor("status").returncode == 0


def test_help_and_status_import_nothing_heavy(stored: Path) -> None:
    heavy = {"torch", "cv2", "pandas", "pyarrow", "pebble", "watchdog", "PIL"}
    for command, more in (("--help", {"sqlalchemy", "pydantic", "numpy"}), ("status", set())):
        script = (
            f"import sys; sys.argv = ['processor', {command!r}]\n"
            "from processor.cli import main\n"
            "try: main()\n"
            "except SystemExit: print(sorted(name for name in sys.modules if '.' not in name))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=stored, capture_output=True, text=True, check=True
        )
        assert set(re.findall(r"'(\w+)'", done.stdout)) & (heavy | more) == set()


@pytest.mark.usefixtures("stored")
def test_names_the_terminal_cannot_write_do_not_end_the_program(processor: Command) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = processor("query", "SELECT 'ä' AS name", env=environment)
    assert done.returncode == 0
    assert r"\xe4" in done.stdout
