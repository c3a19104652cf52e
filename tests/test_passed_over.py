"""Files that no run takes are told of: what is no scan, and what no run has seen."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from processor.intake.names import is_no_scan_name, is_scan_name
from processor.intake.passed_over import LOOK_SECONDS, PassedOver, passed_over
from processor.intake.places import Place
from processor.intake.queue import claim, enqueue
from processor.settings import Intake
from tests.conftest import Call
from tests.stand_ins import drop
from tests.stored_scans import NOW


def look(inbox: Path, database: Engine | None = None, **intake: object) -> PassedOver:
    return passed_over([Place(inbox, inbox)], Intake(**intake), database=database)


@pytest.mark.parametrize("name", ["letter.docx", "notes.txt", "scan", "form.jpg.txt", "FORM.XLSX", "a.jpgg"])
def test_what_a_person_would_wonder_about_is_no_scan(name: str) -> None:
    assert is_no_scan_name(name)
    assert not is_scan_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "A.PDF",
        ".hidden",
        "~$letter.docx",
        "a.txt~",
        "a.part",
        "a.jpg.tmp",
        "a.part.jpg",
        "Thumbs.db",
    ],
)
def test_scans_and_what_is_unfinished_or_the_systems_own_are_not_told_of(name: str) -> None:
    assert not is_no_scan_name(name)


def test_what_is_no_scan_is_counted(tmp_path: Path) -> None:
    for file in ("a.png", "b/letter.docx", "c.txt", ".hidden/x.txt", "old/y.txt"):
        drop(tmp_path, file, "?")
    found = look(tmp_path, ignore=("old/",))
    assert (found.no_scans, found.first_no_scan, found.complete) == (2, "b/letter.docx", True)
    assert (found.unseen, found.first_unseen) == (0, None)
    assert look(tmp_path, recursive=False, ignore=("old/",)).no_scans == 1


def test_folders_of_its_own_and_files_that_were_named_are_left_out(tmp_path: Path) -> None:
    drop(tmp_path, "results/numbers.csv", "?")
    named = Place(drop(tmp_path, "letter.docx", "?"), tmp_path, "letter.docx")
    places = [Place(tmp_path, tmp_path), named]
    found = passed_over(places, Intake(), own=[tmp_path / "results"])
    assert (found.no_scans, found.first_no_scan) == (1, "letter.docx")


@pytest.mark.databases
def test_a_scan_is_unseen_until_a_row_tells_of_it(engine: Engine, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for file in ("a.png", "sub/b.png", "caf\udce9.png"):
        drop(inbox, file, "1234")
    os.mkfifo(inbox / "pipe.png")
    (inbox / "link.png").symlink_to("a.png")

    def see(file: str) -> None:
        enqueue(engine, source=inbox, file=file, sha256=file[:1] * 64, bytes=4, now=NOW)

    assert (look(inbox, engine).unseen, look(inbox, engine).first_unseen) == (3, "a.png")
    see("a.png")
    see("caf\udce9.png")
    assert claim(engine, NOW, 60) is not None
    assert (look(inbox, engine).unseen, look(inbox, engine).first_unseen) == (1, "sub/b.png")
    see("sub/b.png")
    assert look(inbox, engine) == PassedOver()
    drop(inbox, "a.png", "another content under its name")
    assert look(inbox, engine).first_unseen == "a.png"


def test_a_look_ends_in_time_and_says_that_there_may_be_more(tmp_path: Path) -> None:
    for number in range(10):
        drop(tmp_path, f"{number}.txt", "?")
    ticks = itertools.count(step=LOOK_SECONDS / 4)
    clock: Callable[[], float] = lambda: float(next(ticks))  # noqa: E731
    found = passed_over([Place(tmp_path, tmp_path)], Intake(), clock=clock)
    assert (found.no_scans, found.complete) == (4, False)


def test_a_run_says_what_it_left_where_it_is(call: Call, home: Path) -> None:
    assert call("run", "--once")[2].count("no scan") == 0
    drop(home / "inbox", "letter.docx", "?")
    code, _, err = call("run", "--once")
    assert code == 0
    assert "letter.docx is no scan, left where it is: only JPEG, PNG," in " ".join(err.split())
    drop(home / "inbox", "sub/list.xlsx", "?")
    code, out, err = call("run", "--once", "--json")
    assert "2 files are no scans (first: letter.docx), left where they are:" in " ".join(err.split())
    assert '"seen": 0' in out
    assert sorted(path.name for path in (home / "inbox").iterdir()) == ["letter.docx", "sub"]
    assert "no scan" not in call("--quiet", "run", "--once")[2]
