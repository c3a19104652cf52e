"""Failed scans that nobody need try again go off the list: no count is lost, and no file unasked."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from processor.commands.console import Words
from processor.commands.dismiss import Wanted, dismiss
from processor.commands.retry import retry
from processor.errors import BadCommand, Exit
from processor.intake.queue import Enqueued, enqueue
from processor.results.progress import progress
from processor.results.queries import summary
from processor.results.verification import Verification
from processor.settings import load
from tests.conftest import Call
from tests.holdings import NOW, Office
from tests.stand_ins import drop

pytestmark = pytest.mark.databases


@pytest.fixture
def office(home: Path) -> Iterator[Office]:
    office = Office(home)
    yield office
    office.database.dispose()


def dismissed(*ids: str, failed: bool = False, mended: bool = False, delete: bool = False) -> Exit:
    wanted = Wanted(ids=ids, failed=failed, mended=mended)
    return dismiss(load(), wanted, delete=delete, as_json=True, words=Words(quiet=True))


def outcomes(capsys: pytest.CaptureFixture[str]) -> list[tuple[int, str]]:
    said = json.loads(capsys.readouterr().out)
    return [(scan["scan_id"], scan["outcome"]) for scan in said["scans"]]


def kinds(office: Office) -> list[str]:
    verification = Verification(
        office.holdings, staging=office.results / ".staging", stale=timedelta(days=1), pause_seconds=0
    )
    return [finding.kind.value for finding in verification.look().findings]


def kept(office: Office) -> set[str]:
    return {path.name for path in (office.results / "failed").iterdir()}


def test_what_is_dismissed_is_off_every_list_and_still_counted(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    name = office.fail("bad.png", "the scan")
    office.fail("worse.png")
    office.read("good.png")
    before = kept(office)
    assert dismissed("1") == Exit.DONE
    assert outcomes(capsys) == [(1, "dismissed")]
    counts = summary(office.database)
    assert (counts.seen, counts.done, counts.failed, counts.ignored) == (3, 1, 1, 1)
    assert kept(office) == before >= {name, f"{name}.json"}
    assert kinds(office) == []
    retry(load(), [], failed=False, as_json=True, words=Words(quiet=True))
    assert [scan["id"] for scan in json.loads(capsys.readouterr().out)["failed"]] == [2]
    latest = progress(office.database, NOW).last_failure
    assert latest is not None
    assert latest["id"] == 2
    assert office.rows("SELECT state, error, message FROM scans WHERE id = 1") == [
        ("failed", "Dismissed", "bad.png is bad. Scan it again.")
    ]


def test_originals_are_deleted_only_if_that_is_asked_for(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    office.fail("bad.png")
    elsewhere = tmp_path / "elsewhere"
    office.fail("far.png", folder=elsewhere)
    assert dismissed(failed=True, delete=True) == Exit.DONE
    assert outcomes(capsys) == [(1, "dismissed"), (2, "dismissed")]
    assert kept(office) == set()
    assert (elsewhere / "far.png").is_file()
    assert kinds(office) == []


def test_what_took_the_place_of_an_original_is_not_deleted(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    name = office.fail("bad.png")
    (office.results / "failed" / name).write_text("something else")
    assert dismissed("1", delete=True) == Exit.SOME_FAILED
    assert outcomes(capsys) == [(1, "left")]
    assert (office.results / "failed" / name).read_text() == "something else"


def test_those_that_were_mended_are_known_by_their_place(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.fail("form.png", "damaged")
    office.fail("other.png", "damaged as well")
    office.read("form.png", content="mended")
    assert dismissed(mended=True) == Exit.DONE
    assert outcomes(capsys) == [(1, "dismissed")]
    assert dismissed(mended=True) == Exit.DONE
    assert outcomes(capsys) == []


def test_a_dismissed_scan_is_tried_again_if_somebody_wants_that(office: Office) -> None:
    name = office.fail("bad.png", "the scan")
    sha256 = office.rows("SELECT sha256 FROM scans")[0][0]
    dismissed("1")
    assert retry(load(), ["1"], failed=False, as_json=True, words=Words(quiet=True)) == Exit.DONE
    assert office.rows("SELECT state, error FROM scans") == [("queued", None)]
    assert (office.inbox / "bad.png").read_text() == "the scan"
    office.run("UPDATE scans SET state = 'failed', error = 'Dismissed', finished_at = queued_at")
    drop(office.inbox, name, "the scan")
    assert isinstance(sha256, str)
    shown = enqueue(office.database, source=office.inbox, file=name, sha256=sha256, bytes=8, now=NOW)
    assert shown is Enqueued.QUEUED


def test_without_ids_it_lists_and_changes_nothing(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.fail("bad.png")
    assert dismissed() == Exit.DONE
    assert [scan["file"] for scan in json.loads(capsys.readouterr().out)["failed"]] == ["bad.png"]
    assert summary(office.database).failed == 1


@pytest.mark.parametrize("number", ["2", "99", "x"])
def test_ids_that_did_not_fail_are_said_and_nothing_is_done(office: Office, number: str) -> None:
    office.fail("bad.png")
    office.read("good.png")
    with pytest.raises(BadCommand, match=number):
        dismissed("1", number)
    assert summary(office.database).failed == 1


@pytest.mark.sqlite
def test_the_command_tells_where_the_original_is_kept(office: Office, call: Call) -> None:
    name = office.fail("bad.png")
    assert call("dismiss", "1", "--failed")[0] == call("dismiss", "--delete")[0] == Exit.BAD_COMMAND
    code, out, _ = call("dismiss", "1")
    assert code == 0
    assert str(office.results / "failed" / name) in "".join(out.split())
    assert call("dismiss", "--failed")[1:] == ("", "No scan is like that.\n")
    assert call("dismiss")[2] == "No scan has failed.\n"
    document = json.loads(call("status", "--json")[1])
    assert (document["seen"], document["failed"], document["ignored"]) == (1, 0, 1)
