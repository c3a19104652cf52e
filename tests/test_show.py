"""`processor show`: all that is known of one scan, in words and in pictures."""

import hashlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from processor.errors import Exit
from processor.intake.queue import claim, enqueue, finish
from processor.records import Box, NumberReading, Status
from processor.results.database import open_database
from tests.conftest import Call
from tests.sample_readings import a_blob, a_number, a_page, a_result
from tests.stored_scans import NOW


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
    why = "may lack digits: a gap of 0.9 digit heights in it, limit 0.65"
    keep(home, scan, replace(a_number("12", Status.REVIEW), reason=why), a_number("7"))
    assert call("show", "doubtful.png")[1].count(why) == 1
    document = json.loads(call("show", "doubtful.png", "--json")[1])
    assert [number["reason"] for number in document["pages"][0]["numbers"]] == [why, None]
    as_csv = call("results", "--format", "csv")[1].splitlines()
    assert [line.split(",", 14)[14] for line in as_csv] == ["reason", f'"{why}"', ""]


@pytest.mark.usefixtures("stored")
def test_a_scan_is_shown_by_its_id_too(call: Call) -> None:
    of_form = json.loads(call("show", "form.png", "--json")[1])
    assert json.loads(call("show", str(of_form["id"]), "--json")[1]) == of_form


def test_a_name_of_digits_is_a_name_before_it_is_an_id(call: Call, home: Path) -> None:
    for name in ("first.png", "1"):
        scan = home / name
        scan.write_bytes(name.encode())
        keep(home, scan, a_number("7"))
    assert json.loads(call("show", "1", "--json")[1])["id"] == 2
    assert json.loads(call("show", "2", "--json")[1])["file"] == "1"


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", [["show"], ["reprocess", "--diff"], ["retry"], ["dismiss"]])
@pytest.mark.parametrize("number", ["99", "9" * 30, "²", "٣"])
def test_an_id_that_no_scan_has_is_refused(call: Call, command: list[str], number: str) -> None:
    code, _, err = call(*command, number)
    assert code == Exit.BAD_COMMAND
    assert number in err


@pytest.mark.usefixtures("stored")
def test_show_is_a_line_a_number_and_the_rest_is_asked_for(call: Call) -> None:
    _, out, err = call("show", "form.png")
    assert [line.split() for line in out.splitlines() if line.strip().startswith(("1 ", "2 "))] == [
        ["1", "007", "0.9000", "accepted"],
        ["2", "12", "0.5000", "review"],
        ["1", "3", "0.9000", "accepted"],
    ]
    assert "Left out: 1 speck" in out
    assert "looks like" not in out
    assert "--number N" in err
    _, whole, err = call("show", "form.png", "--full")
    assert len(whole.splitlines()) > len(out.splitlines())
    assert "speck: height 0.4, limit 1" in whole
    assert err == ""


@pytest.mark.usefixtures("stored")
def test_show_of_one_number_or_page(call: Call) -> None:
    _, out, _ = call("show", "form.png", "--number", "2")
    assert ("12" in out, "007" in out, "sha256" in out, "Page 2" in out) == (True, False, False, False)
    assert "looks like" not in out
    assert len([line for line in out.splitlines() if line.split()[:1] == ["2"]]) == 1 + len("12")
    _, out, _ = call("show", "form.png", "--page", "2")
    assert ("Page 1" in out, "Page 2" in out) == (False, True)
    document = json.loads(call("show", "form.png", "--number", "1", "--json")[1])
    assert [[n["text"] for n in page["numbers"]] for page in document["pages"]] == [["007"], ["3"]]
    for options, said in (
        (["--page", "3"], "form.png has no page 3. It has 2 pages."),
        (["--number", "9"], "form.png has no number 9. It has 2 numbers on a page at most."),
        (["--page", "2", "--number", "2"], "It has 1 number on a page at most."),
    ):
        code, out, err = call("show", "form.png", *options)
        assert (code, out) == (Exit.BAD_COMMAND, "")
        assert said in " ".join(err.split())


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
    assert "1 picture of a number: one" in call("show", "a.png", "--number", "2", "--save", "one")[2]
    assert [p.name[-10:] for p in (home / "one").iterdir()] == ["-p1-n2.png"]
    scan.unlink()
    code, _, err = call("show", "a.png", "--save", "pictures")
    assert code != 0
    assert "the original is neither" in err


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
