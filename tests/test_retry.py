"""Scans that failed go back to their place and into the queue; none is overwritten, none is guessed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.commands.console import Words
from processor.commands.retry import retry
from processor.errors import BadCommand, Exit
from processor.results.originals import kept_name, own_name, withdraw_failure
from processor.settings import load
from tests.conftest import Command
from tests.holdings import Office
from tests.stand_ins import drop

pytestmark = pytest.mark.databases


@pytest.fixture
def office(home: Path) -> Iterator[Office]:
    office = Office(home)
    yield office
    office.database.dispose()


def tried(*ids: str, failed: bool = False) -> Exit:
    return retry(load(), ids, failed=failed, as_json=True, words=Words(quiet=True))


def outcomes(capsys: pytest.CaptureFixture[str], *ids: str, failed: bool = False) -> tuple[Exit, list[str]]:
    code = tried(*ids, failed=failed)
    return code, [scan["outcome"] for scan in json.loads(capsys.readouterr().out)["scans"]]


def states(office: Office) -> list[tuple[object, ...]]:
    return office.rows("SELECT file, state, attempts, error FROM scans ORDER BY id")


def test_a_failed_scan_goes_back_to_its_place(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    name = office.fail("sub/bad.png", "the scan")
    office.run("UPDATE scans SET attempts = 5, faults = 4, kills = 3")
    shutil.rmtree(office.inbox / "sub")
    assert outcomes(capsys, "1") == (Exit.DONE, ["queued"])
    assert (office.inbox / "sub" / "bad.png").read_text() == "the scan"
    assert not (office.results / "failed" / name).exists()
    assert not (office.results / "failed" / f"{name}.json").exists()
    assert states(office) == [("sub/bad.png", "queued", 0, None)]
    assert office.rows("SELECT faults, kills FROM scans") == [(0, 0)]


def test_all_that_failed_in_the_inbox_is_tried_again(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    office.fail("a.png")
    office.fail("b.png")
    office.read("c.png")
    office.fail("d.png", folder=tmp_path / "elsewhere")
    assert outcomes(capsys, failed=True) == (Exit.SOME_FAILED, ["queued", "queued", "left"])
    assert [state for _, state, _, _ in states(office)] == ["queued", "queued", "done", "failed"]


def test_what_was_cut_off_between_file_and_row_is_finished(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    name = office.fail("bad.png", "the scan")
    shutil.move(office.results / "failed" / name, office.inbox / "bad.png")
    assert outcomes(capsys, "1") == (Exit.DONE, ["queued"])
    assert states(office) == [("bad.png", "queued", 0, None)]
    assert not (office.results / "failed" / f"{name}.json").exists()


def test_no_file_is_written_over(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    name = office.fail("bad.png", "the scan")
    drop(office.inbox, "bad.png", "another scan")
    assert outcomes(capsys, "1") == (Exit.SOME_FAILED, ["left"])
    assert (office.inbox / "bad.png").read_text() == "another scan"
    assert (office.results / "failed" / name).read_text() == "the scan"
    assert states(office)[0][1] == "failed"


def test_nothing_is_put_back_through_a_link_that_leads_out_of_the_inbox(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = office.fail("sub/bad.png", "the scan")
    shutil.rmtree(office.inbox / "sub")
    (tmp_path / "outside").mkdir()
    (office.inbox / "sub").symlink_to(tmp_path / "outside")
    assert outcomes(capsys, "1") == (Exit.SOME_FAILED, ["left"])
    assert (office.results / "failed" / name).read_text() == "the scan"
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_scan_that_was_copied_back_already_is_that_scan(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    name = office.fail("bad.png", "the scan")
    shutil.copy(office.results / "failed" / name, office.inbox / "bad.png")
    assert outcomes(capsys, "1") == (Exit.DONE, ["queued"])
    assert (office.results / "failed" / name).exists()
    withdraw_failure("bad.png", str(office.rows("SELECT sha256 FROM scans")[0][0]), office.results)
    assert not (office.results / "failed" / name).exists()
    assert (office.results / "processed" / name).read_text() == "the scan"


def test_a_scan_whose_original_is_gone_is_left(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    name = office.fail("bad.png")
    (office.results / "failed" / name).unlink()
    assert outcomes(capsys, "1") == (Exit.SOME_FAILED, ["left"])
    drop(office.inbox, "bad.png", "another scan")
    assert outcomes(capsys, "1") == (Exit.SOME_FAILED, ["left"])
    assert states(office)[0][1] == "failed"


def test_a_scan_under_the_name_it_was_kept_under_is_the_same_scan(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    once = office.fail("bad.png", "the scan")
    (office.results / "failed" / once).unlink()
    assert office.fail(once, "the scan") == once
    assert [state for _, state, _, _ in states(office)] == ["duplicate", "failed"]
    assert outcomes(capsys, "2") == (Exit.DONE, ["queued"])
    assert (office.inbox / "bad.png").read_text() == "the scan"
    assert [row[:2] for row in states(office)] == [("bad.png", "queued"), (once, "duplicate")]
    assert office.rows("SELECT duplicate_of FROM scans ORDER BY id") == [(None,), (1,)]


def test_a_scan_that_failed_before_everything_was_moved_goes_to_the_inbox_of_today(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.fail("bad.png", "the scan")
    office.run("UPDATE scans SET source = '/before/inbox'")
    assert outcomes(capsys, "1") == (Exit.DONE, ["queued"])
    assert (office.inbox / "bad.png").read_text() == "the scan"
    found = office.rows("SELECT source, state, duplicate_of FROM scans ORDER BY id")
    assert found == [("/before/inbox", "duplicate", 2), (str(office.inbox), "queued", None)]


def test_what_could_not_be_opened_is_looked_at_anew(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its row has the hash of its name, size and time: as a scan it is another one once it can be read."""
    name = office.fail("bad.png")
    kept = office.results / "failed" / name
    kept.write_text("by now it can be read")
    assert outcomes(capsys, "1") == (Exit.DONE, ["put back"])
    assert (office.inbox / "bad.png").read_text() == "by now it can be read"
    assert states(office)[0][1] == "failed"


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("7",), "no scan with the id 7"),
        (("bad.png",), "no scan with the id bad.png"),
        (("9" * 30,), "no scan with the id"),
        (("2",), "did not fail: it is done"),
        (("1", "3"), "copy.png, did not fail: it is duplicate"),
        (("4",), "is not of the inbox"),
    ],
)
def test_ids_that_cannot_be_tried_again_are_said_and_nothing_is_done(
    office: Office, tmp_path: Path, ids: tuple[str, ...], said: str
) -> None:
    office.fail("bad.png")
    office.read("form.png", content="same")
    office.show("copy.png", "same")
    office.fail("far.png", folder=tmp_path / "elsewhere")
    before = states(office)
    with pytest.raises(BadCommand, match=said):
        tried(*ids)
    assert states(office) == before
    assert not (office.inbox / "bad.png").exists()


@pytest.mark.usefixtures("office")
def test_ids_and_all_together_are_refused() -> None:
    with pytest.raises(BadCommand, match="--failed names all"):
        tried("1", failed=True)


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("form.png", "form.png"),
        ("form-0123456789ab.png", "form.png"),
        ("sub/form-0123456789ab-0123456789ab.png", "sub/form.png"),
        ("form-fedcba987654.png", "form-fedcba987654.png"),
        ("-0123456789ab.png", "-0123456789ab.png"),
    ],
)
def test_the_name_that_a_scan_had_before_it_was_kept(file: str, own: str) -> None:
    sha256 = "0123456789abcdef" * 4
    assert own_name(file, sha256) == own
    if not own.startswith("-"):
        assert own_name(kept_name(own, sha256), sha256) == Path(own).name


def test_the_command_lists_and_puts_back(office: Office, processor: Command) -> None:
    assert "No scan has failed" in processor("retry").stderr
    office.fail("bad.png")
    listed = processor("retry")
    assert listed.returncode == 0
    assert "bad.png, failed at " in listed.stdout
    assert "bad.png is bad. Scan it again." in listed.stdout
    assert json.loads(processor("retry", "--json").stdout)["failed"][0]["id"] == 1
    done = processor("retry", "--failed")
    assert done.returncode == 0
    assert "queued" in done.stdout
    assert (office.inbox / "bad.png").exists()
