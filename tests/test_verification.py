"""Records, originals and files are held against each other; what can be mended is, and the rest is said."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from processor.intake.queue import claim, recover
from processor.results.findings import MENDED, REMEDIES, Finding, Kind
from processor.results.originals import move_processed
from processor.results.repair import mend, note_hashes
from processor.results.verification import Report, Verification
from tests.conftest import Command
from tests.holdings import NOW, Office
from tests.stand_ins import drop

pytestmark = pytest.mark.databases


@pytest.fixture
def office(home: Path) -> Iterator[Office]:
    office = Office(home)
    yield office
    office.database.dispose()


def look(office: Office, pause_seconds: float = 0.0) -> Report:
    return Verification(
        office.holdings,
        staging=office.results / ".staging",
        stale=timedelta(days=1),
        pause_seconds=pause_seconds,
    ).look()


def kinds(office: Office) -> list[Kind]:
    return [finding.kind for finding in look(office).findings]


def repair(office: Office) -> list[Finding]:
    """What was mended, in one round."""
    put_back = lambda: recover(office.database, NOW)  # noqa: E731
    return [finding for finding in look(office).findings if mend(office.holdings, finding, put_back)]


def aged(path: Path, days: float) -> Path:
    before = time.time() - days * 86400
    os.utime(path, (before, before))
    return path


def test_what_a_run_leaves_is_in_order(office: Office) -> None:
    office.read("form.png", "12", "345")
    office.read("sub/form.png", "6", content="another of this name")
    office.fail("bad.png")
    office.show("copy.png", "the content of form.png")
    move_processed(office.inbox / "copy.png", "copy.png", sha(office, 1), office.results)
    report = look(office)
    assert report.findings == ()
    assert report.complete
    assert (report.looked.scans, report.looked.numbers, report.looked.unhashed) == (4, 3, 0)
    assert report.looked.files == 7
    assert report.looked.bytes > 100


def sha(office: Office, scan_id: int) -> str:
    return str(office.rows(f"SELECT sha256 FROM scans WHERE id = {scan_id}")[0][0])


def test_a_database_without_scans_is_in_order(office: Office) -> None:
    assert look(office).findings == ()


# One thing that is off, each: how it comes about, what it is called, and which file is named


def _one_picture(office: Office) -> Path:
    return next((office.results / "annotated").iterdir())


def _one_original(office: Office) -> Path:
    return next((office.results / "processed").iterdir())


def _take_back(office: Office) -> None:
    shutil.move(_one_original(office), office.inbox / "form.png")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


FAULTS: dict[str, tuple[Callable[[Office], object], Kind, str]] = {
    "original deleted": (lambda o: _one_original(o).unlink(), Kind.ORIGINAL_MISSING, "form.png"),
    "original changed": (
        lambda o: _one_original(o).write_text("other"),
        Kind.ORIGINAL_CHANGED,
        "processed/form-",
    ),
    "original not moved": (_take_back, Kind.ORIGINAL_DUE, "form.png"),
    "picture deleted": (lambda o: _one_picture(o).unlink(), Kind.PICTURE_MISSING, "annotated/form-"),
    "picture changed": (
        lambda o: _one_picture(o).write_text("other"),
        Kind.PICTURE_CHANGED,
        "annotated/form-",
    ),
    "picture of no page": (
        lambda o: o.run("UPDATE pages SET annotated = NULL"),
        Kind.PICTURE_UNNAMED,
        "annotated/form-",
    ),
    "csv deleted": (lambda o: next((o.results / "csv").iterdir()).unlink(), Kind.CSV, "csv/form-"),
    "csv changed": (
        lambda o: next((o.results / "csv").iterdir()).write_text("file,page\n"),
        Kind.CSV,
        "csv/form-",
    ),
    "csv noted with another hash": (
        lambda o: o.run("UPDATE outputs SET sha256 = 'f' WHERE file LIKE 'csv/%'"),
        Kind.CSV,
        "csv/form-",
    ),
    "numbers.csv deleted": (lambda o: (o.results / "numbers.csv").unlink(), Kind.NUMBERS, "numbers.csv"),
    "numbers.csv cut short": (
        lambda o: os.truncate(o.results / "numbers.csv", 90),
        Kind.NUMBERS,
        "numbers.csv",
    ),
    "digit lost": (
        lambda o: o.run("DELETE FROM digits WHERE digit = '2'"),
        Kind.SPELLING,
        "form.png",
    ),
    "digits without order": (
        lambda o: o.run("UPDATE digits SET position = 5 WHERE digit = '2'"),
        Kind.SPELLING,
        "form.png",
    ),
    "number lost": (lambda o: o.run("DELETE FROM numbers WHERE position = 1"), Kind.POSITIONS, "form.png"),
    "mark lost": (
        lambda o: o.run("DELETE FROM digits WHERE number_id IS NULL AND position = 1"),
        Kind.POSITIONS,
        "form.png",
    ),
    "page lost": (lambda o: o.run("UPDATE pages SET page = 2"), Kind.PAGES, "form.png"),
    "stray picture": (
        lambda o: _write(o.results / "annotated" / "x-0123456789ab-p1.jpg", "?"),
        Kind.ORPHAN,
        "annotated/x-0123456789ab-p1.jpg",
    ),
    "stray page of a scan": (
        lambda o: shutil.copy(_one_picture(o), str(_one_picture(o)).replace("-p1", "-p2")),
        Kind.ORPHAN,
        "annotated/form-",
    ),
    "stray csv": (lambda o: _write(o.results / "csv" / "mine.csv", "?"), Kind.ORPHAN, "csv/mine.csv"),
    "stray original": (
        lambda o: _write(o.results / "processed" / "mine.png", "?"),
        Kind.ORPHAN,
        "processed/mine.png",
    ),
    "report of nobody": (
        lambda o: _write(o.results / "failed" / "x-0123456789ab.png.json", "{}"),
        Kind.ORPHAN,
        "failed/x-0123456789ab.png.json",
    ),
    "staging left": (
        lambda o: aged(drop(o.results / ".staging" / "tmp1", "a.csv", "?").parent, 2),
        Kind.STAGING,
        ".staging/tmp1",
    ),
    "unfinished file": (
        lambda o: aged(drop(o.results / "csv", ".0123456789abcdef.part", "?"), 1),
        Kind.PART,
        "csv/.0123456789abcdef.part",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_mended_where_the_records_tell_how(office: Office, name: str) -> None:
    damage, kind, file = FAULTS[name]
    office.read("form.png")
    damage(office)
    findings = [finding for finding in look(office).findings if finding.kind is kind]
    assert [finding.file[: len(file)] for finding in findings] == [file]
    assert findings[0].advice
    assert findings[0].repairable == (kind in MENDED)
    while repair(office):
        pass
    left = kinds(office)
    assert (kind in left) == (kind not in MENDED)
    if kind in MENDED:
        assert left == []


def test_what_follows_from_a_changed_row_is_found_too(office: Office) -> None:
    office.read("form.png")
    office.run("UPDATE numbers SET text = '13', digits = '13', status = 'corrected' WHERE position = 1")
    assert kinds(office) == [Kind.CSV, Kind.NUMBERS]
    assert len(repair(office)) == 2
    assert ",13,13,0.9000,corrected," in next((office.results / "csv").iterdir()).read_text()
    assert kinds(office) == []


def test_a_csv_that_had_fewer_columns_then_is_none_that_differs(office: Office) -> None:
    office.read("form.png")
    table = next((office.results / "csv").iterdir())
    earlier = "".join(line.rsplit(",", 2)[0] + "\n" for line in table.read_text().splitlines())
    table.write_text(earlier)
    digest = hashlib.sha256(earlier.encode()).hexdigest()
    office.run("DELETE FROM outputs WHERE substr(file, 1, 4) = 'csv/'")
    assert kinds(office) == []
    assert note_hashes(office.holdings) == 1
    assert office.rows("SELECT sha256 FROM outputs WHERE substr(file, 1, 4) = 'csv/'") == [(digest,)]
    assert kinds(office) == []
    table.write_text(earlier.replace(",12,12,", ",13,13,"))
    assert kinds(office) == [Kind.CSV]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM numbers WHERE position = 2",
        "UPDATE numbers SET confidence = 0.1, x = 1",
        "UPDATE numbers SET page_id = 3 - page_id, position = position + 2 * page_id",
    ],
)
def test_what_was_published_is_not_written_over_by_records_that_were_changed(
    office: Office, damage: str
) -> None:
    """Where a number is lost from the database, its CSV is the last to know of it."""
    office.read("form.png")
    office.read("other.png", "345")
    tables = sorted((office.results / "csv").iterdir())
    before = [table.read_text() for table in tables]
    office.run(damage)
    findings = [finding for finding in look(office).findings if finding.kind is Kind.CSV]
    assert findings
    assert "processor reprocess" in findings[0].advice
    while repair(office):
        pass
    assert [table.read_text() for table in tables] == before
    assert Kind.CSV in kinds(office)


def test_a_damaged_scan_that_failed_is_held_against_what_it_held(office: Office) -> None:
    """Its message may say of its content what is said of a file that could not be opened."""
    name = office.fail("bad.png")
    office.run("UPDATE scans SET message = 'bad.png is of a kind that cannot be read: so it is.'")
    (office.results / "failed" / name).write_text("other")
    assert kinds(office) == [Kind.ORIGINAL_CHANGED]
    office.run("UPDATE scans SET message = 'bad.png cannot be read: Permission denied. Make it readable.'")
    assert kinds(office) == []


def test_a_failed_scan_has_its_report_and_its_original(office: Office) -> None:
    name = office.fail("bad.png")
    report = office.results / "failed" / f"{name}.json"
    before = json.loads(report.read_text())
    report.unlink()
    assert kinds(office) == [Kind.REPORT_MISSING]
    assert len(repair(office)) == 1
    after = json.loads(report.read_text())
    assert {**after, "message": "", "remedy": ""} == {**before, "message": "", "remedy": ""}
    assert after["message"] == f"{before['message']} {before['remedy']}"
    (office.results / "failed" / name).replace(office.inbox / "bad.png")
    assert kinds(office) == [Kind.ORIGINAL_DUE]
    assert len(repair(office)) == 1
    assert kinds(office) == []
    (office.results / "failed" / name).unlink()
    assert kinds(office) == [Kind.ORIGINAL_MISSING]


def test_a_failed_scan_that_somebody_mended_is_missed_by_nobody(office: Office) -> None:
    name = office.fail("bad.png")
    (office.results / "failed" / name).unlink()
    office.read("bad.png", content="good by now")
    assert kinds(office) == []


def test_what_was_read_is_no_longer_among_the_failed(office: Office) -> None:
    name = office.read("form.png")
    shutil.copy(_one_original(office), drop(office.results / "failed", f"{name}.png", ""))
    drop(office.results / "failed", f"{name}.png.json", "{}")
    assert kinds(office) == [Kind.FAILED_LEFT] * 2
    assert len(repair(office)) == 2
    assert kinds(office) == []
    assert list((office.results / "failed").iterdir()) == []


def test_a_report_of_what_has_no_pages_stays(office: Office) -> None:
    """A row that says done, of a scan that failed: its report is the last to tell."""
    name = office.fail("bad.png")
    office.run("UPDATE scans SET state = 'done'")
    before = sorted(path.name for path in (office.results / "failed").iterdir())
    while repair(office):
        pass
    assert sorted(path.name for path in (office.results / "failed").iterdir()) == before
    assert name in before


def test_a_scan_of_a_process_that_died_is_put_back(office: Office) -> None:
    office.show("form.png")
    assert claim(office.database, NOW, 60) is not None
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    worker = f"{socket.gethostname()}:{process.pid}"
    office.run(f"UPDATE scans SET worker = '{worker}', leased_until = '2999-01-01'")
    assert kinds(office) == [Kind.LOST]
    assert len(repair(office)) == 1
    assert office.rows("SELECT state FROM scans") == [("queued",)]
    assert kinds(office) == []


def test_a_scan_that_a_living_process_reads_is_no_finding(office: Office) -> None:
    sha256 = office.show("form.png")
    office.run("UPDATE scans SET leased_until = '2999-01-01'")
    assert claim(office.database, NOW, 1e9) is not None
    drop(office.results / "csv", f"form-{sha256[:12]}.csv", "published just now")
    drop(office.results / "failed", f"form-{sha256[:12]}.png.json", "{}")
    assert kinds(office) == []


def test_a_waiting_scan_that_is_gone_is_found(office: Office) -> None:
    office.show("form.png")
    (office.inbox / "form.png").unlink()
    assert kinds(office) == [Kind.GONE]


@pytest.mark.parametrize("pointing", ["NULL", "4", "3"])
def test_a_copy_points_at_what_was_read(office: Office, pointing: str) -> None:
    office.read("form.png", content="same")
    for copy in ("copy.png", "other.png"):
        office.show(copy, "same")
        (office.inbox / copy).unlink()
    office.read("last.png")
    office.run(f"UPDATE scans SET duplicate_of = {pointing} WHERE id = 2")
    (finding,) = look(office).findings
    assert (finding.kind, finding.file) == (Kind.DUPLICATE, "copy.png")
    assert len(repair(office)) == 1
    copies = office.rows("SELECT id, duplicate_of FROM scans WHERE id IN (2, 3) ORDER BY id")
    assert copies == [(2, 1), (3, 1)]
    assert kinds(office) == []


def test_what_is_kept_under_the_name_of_a_copy_is_not_missing(office: Office) -> None:
    """As where a scan was renamed within the inbox while it was read."""
    office.read("form.png", content="same")
    office.show("renamed.png", "same")
    (kept,) = (office.results / "processed").glob("form-*")
    kept.unlink()
    assert set(kinds(office)) == {Kind.ORIGINAL_MISSING, Kind.ORIGINAL_DUE}
    assert len(repair(office)) == 1
    assert kinds(office) == []
    (copy,) = (office.results / "processed").glob("renamed-*")
    copy.unlink()
    assert kinds(office) == [Kind.ORIGINAL_MISSING]


def test_a_copy_that_was_not_moved_is_due(office: Office) -> None:
    office.read("form.png", content="same")
    office.show("copy.png", "same")
    assert kinds(office) == [Kind.ORIGINAL_DUE]
    assert len(repair(office)) == 1
    assert not (office.inbox / "copy.png").exists()
    assert kinds(office) == []


def test_a_content_read_twice_and_pages_of_a_failed_scan_are_found(office: Office) -> None:
    name = office.read("form.png")
    office.fail("bad.png")
    office.run("DROP INDEX one_reading_a_content")
    office.run("UPDATE scans SET sha256 = (SELECT sha256 FROM scans WHERE id = 1)")
    office.run("UPDATE pages SET scan_id = 2")
    found = kinds(office)
    assert Kind.TWICE in found
    assert Kind.UNREAD in found
    assert Kind.PAGES in found
    assert name


@pytest.mark.sqlite
def test_a_broken_reference_is_found(office: Office) -> None:
    office.read("form.png")
    office.database.dispose()
    with closing(sqlite3.connect(office.results / "results.db")) as database:
        database.execute("UPDATE scans SET model = 'nobody'")
        database.commit()
    assert Kind.REFERENCE in kinds(office)


@pytest.mark.sqlite
def test_a_damaged_database_is_said_and_nothing_else(office: Office) -> None:
    office.read("form.png")
    with closing(sqlite3.connect(office.results / "results.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'numbers_by_certainty'")
        root, size = page.fetchone()[0], database.execute("PRAGMA page_size").fetchone()[0]
    office.database.dispose()
    with (office.results / "results.db").open("rb+") as stream:
        stream.seek((root - 1) * size)
        stream.write(b"\xff" * size)
    assert set(kinds(office)) == {Kind.DAMAGED}


# What lies in other folders


def test_originals_of_other_folders_are_looked_for_in_their_place(office: Office, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    office.read("form.png", folder=folder)
    office.fail("bad.png", folder=folder)
    assert kinds(office) == []
    (folder / "bad.png").unlink()
    assert kinds(office) == []
    (folder / "form.png").write_text("changed")
    assert kinds(office) == [Kind.ORIGINAL_CHANGED]
    drop(folder, "another.png", "")
    (folder / "form.png").unlink()
    assert kinds(office) == [Kind.ORIGINAL_MISSING]


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_is_not_mounted_is_no_fault(office: Office, tmp_path: Path, empty: bool) -> None:
    folder = tmp_path / "share"
    office.read("form.png", folder=folder)
    shutil.rmtree(folder)
    if empty:
        folder.mkdir()
    report = look(office)
    assert report.findings == ()
    assert report.looked.away == {str(folder): 1}


def test_the_inbox_may_have_been_moved_since(office: Office) -> None:
    office.read("form.png")
    name = office.fail("bad.png")
    office.run("UPDATE scans SET source = '/before/inbox'")
    assert kinds(office) == []
    (office.results / "failed" / name).write_text("changed")
    assert kinds(office) == [Kind.ORIGINAL_CHANGED]


def test_originals_that_a_restored_database_knows_nothing_of_can_be_read_again(office: Office) -> None:
    office.read("form.png", content="the scan")
    office.run("DELETE FROM digits")
    office.run("DELETE FROM scans")
    assert kinds(office) == [Kind.ORPHAN] * 3
    original = _one_original(office)
    original.unlink()
    assert original.name.startswith("form-")
    office.read(original.name, content="the scan")
    assert kinds(office) == []
    assert _one_original(office) == original


# What changes meanwhile, and what an earlier version left


def test_what_is_in_order_at_the_second_look_is_no_finding(office: Office) -> None:
    office.read("form.png")
    _take_back(office)
    (office.results / "csv" / "mine.csv").write_text("?")
    verification = Verification(
        office.holdings,
        staging=office.results / ".staging",
        stale=timedelta(days=1),
        advance=lambda _: office.holdings.results.joinpath("csv/mine.csv").unlink(missing_ok=True),
        pause_seconds=0.0,
    )
    # The stray file goes while the scans are compared, before the folders are listed; the original stays.
    assert [finding.kind for finding in verification.look().findings] == [Kind.ORIGINAL_DUE]


def test_outputs_of_an_earlier_version_are_counted_and_hashes_of_tables_noted(office: Office) -> None:
    office.read("form.png")
    office.read("other.png")
    office.run("DELETE FROM outputs")
    report = look(office)
    assert report.findings == ()
    assert report.looked.unhashed == 4
    (office.results / "csv" / "mine.csv").touch()
    next((office.results / "csv").glob("other-*")).write_text("changed")
    assert note_hashes(office.holdings) == 1
    assert look(office).looked.unhashed == 3
    assert note_hashes(office.holdings) == 0


def test_a_name_that_leads_out_of_the_results_is_not_looked_at(office: Office, tmp_path: Path) -> None:
    office.read("form.png")
    drop(tmp_path, "secret.jpg", "?")
    office.run("UPDATE pages SET annotated = '../../secret.jpg'")
    assert Kind.PICTURE_MISSING in kinds(office)


def test_files_of_the_system_are_nobodys_fault(office: Office) -> None:
    office.read("form.png")
    for name in (".DS_Store", "Thumbs.db", ".0123456789abcdef.part"):
        drop(office.results / "annotated", name, "?")
    (office.results / "csv" / "@eaDir").mkdir()
    drop(office.results / ".staging" / "young", "a.csv", "?")
    assert kinds(office) == []


def test_every_kind_of_finding_has_an_advice() -> None:
    assert set(MENDED) | set(REMEDIES) >= set(Kind) - {Kind.DUPLICATE}


def test_more_findings_than_can_be_listed_are_told_in_parts(office: Office) -> None:
    office.read("form.png")
    for number in range(3):
        drop(office.results / "csv", f"{number}.csv", "?")
    report = Verification(
        office.holdings,
        staging=office.results / ".staging",
        stale=timedelta(days=1),
        pause_seconds=0.0,
        most_findings=2,
    ).look()
    assert len(report.findings) == 2
    assert not report.complete


# The command


def test_verify_says_what_is_off_and_repair_mends_it(office: Office, processor: Command) -> None:
    office.read("form.png")
    clean = processor("verify", "--json")
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["clean"] is True
    _take_back(office)
    drop(office.results / "csv", "mine.csv", "?")
    found = processor("verify")
    assert found.returncode == 5
    assert "original not moved" in found.stdout
    assert all(len(line) <= 80 or " " not in line.strip() for line in found.stdout.splitlines())
    assert "csv/mine.csv" in found.stdout
    mended = processor("verify", "--repair", "--json")
    assert mended.returncode == 5
    document = json.loads(mended.stdout)
    assert [one["kind"] for one in document["repaired"]] == ["original not moved"]
    assert [one["file"] for one in document["findings"]] == ["csv/mine.csv"]


@pytest.mark.sqlite
def test_there_must_be_a_database_to_verify(home: Path, processor: Command) -> None:
    result = processor("verify")
    assert result.returncode == 5
    assert "There is no database" in result.stderr
    assert not (home / "results").exists()
