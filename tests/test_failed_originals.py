"""Where the original of a scan that failed ends, whatever is renamed, or done by another run, meanwhile."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from processor.claims import LEASE_SECONDS
from processor.commands.console import Words
from processor.commands.retry import retry
from processor.custody import Custody
from processor.engines.tasks import Outcome, ScanTask
from processor.errors import BadScan, ContentChanged, Exit
from processor.intake import queue
from processor.intake.sweep import Found, look
from processor.results.findings import Kind
from processor.results.originals import kept_name, report_failure
from processor.settings import Limits, load
from tests.sample_readings import a_page, a_result
from tests.stand_ins import Memory, drop, text_reader
from tests.text_house import House, originals_off

pytestmark = pytest.mark.databases

BAD = sha256(b"bad").hexdigest()


class Run:
    """A run that does a step only when it is told to."""

    def __init__(self, house: House, staging: Path, heard: Memory | None = None) -> None:
        self.house = house
        self.heard = heard or Memory()
        staging.mkdir()
        self.custody = Custody(
            house.database,
            inbox=house.inbox,
            results=house.results,
            staging=staging,
            limits=Limits(),
            listener=self.heard,
        )

    def see(self, name: str) -> tuple[Found, datetime]:
        """The file as it is listed now."""
        found = look(self.house.inbox / name, self.house.inbox, name, self.heard.warn)
        assert found is not None
        return found, datetime.now(UTC)

    def take(self, name: str) -> None:
        self.custody.take(*self.see(name))

    def task(self) -> ScanTask:
        task = self.custody.next_task({self.house.inbox})
        assert task is not None
        return task

    def fail(self, task: ScanTask) -> None:
        self.custody.commit(Outcome(task, BadScan(f"{task.file} is bad.", "Scan it again.")))

    def read(self, task: ScanTask) -> None:
        self.custody.commit(Outcome(task, text_reader(self.house.settings)(task)))


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    house = House(home)
    yield house
    house.database.dispose()


@pytest.fixture
def run(house: House, tmp_path: Path) -> Run:
    """A run in whose inbox lies `a.png`, which is bad."""
    drop(house.inbox, "a.png", "bad")
    return Run(house, tmp_path / "staging")


def lies_failed(house: House, *files: str) -> bool:
    """Whether these, and no others, are among the failed, with their reports, and all is in order."""
    names = [kept_name(file, BAD) for file in files]
    expected = sorted(name for kept in names for name in (kept, f"{kept}.json"))
    return (house.files("failed"), house.files("processed"), originals_off(house)) == (expected, [], [])


def test_a_run_that_listed_it_before_another_saw_it_fail_leaves_it_among_the_failed(
    house: House, run: Run
) -> None:
    """The other one was killed before it moved it, or is about to: it was moved as one that is known."""
    listed = run.see("a.png")
    run.take("a.png")
    job = queue.claim(house.database, datetime.now(UTC), LEASE_SECONDS)
    assert job is not None
    report_failure(job.path, job.file, BAD, BadScan("a.png is bad.", ""), datetime.now(UTC), house.results)
    queue.fail(house.database, job, "BadScan", "a.png is bad.", datetime.now(UTC))
    run.custody.take(*listed)
    assert run.heard.ends == [("a.png", "ignored")]
    assert lies_failed(house, "a.png")


def test_a_scan_that_is_renamed_while_it_is_read_fails_with_its_original(house: House, run: Run) -> None:
    """Under its new name it was moved as a copy, and none was left to try again."""
    run.take("a.png")
    task = run.task()
    (house.inbox / "a.png").rename(house.inbox / "z.png")
    run.take("z.png")
    assert house.files("processed") == [kept_name("z.png", BAD)]
    run.fail(task)
    assert lies_failed(house, "a.png")
    words = Words(quiet=True)
    assert retry(load(), [], failed=True, as_json=False, words=words) is Exit.DONE
    assert (house.inbox / "a.png").read_text() == "bad"


def test_a_new_name_that_was_listed_before_the_failure_is_shown_after_it(house: House, run: Run) -> None:
    run.take("a.png")
    task = run.task()
    (house.inbox / "a.png").rename(house.inbox / "z.png")
    listed = run.see("z.png")
    run.fail(task)
    assert house.files("failed") == [f"{kept_name('a.png', BAD)}.json"]
    run.custody.take(*listed)
    assert house.states() == {"a.png": "failed", "z.png": "duplicate"}
    assert lies_failed(house, "a.png")


def test_a_failed_original_among_the_processed_is_found_and_mended(house: House, run: Run) -> None:
    """As an earlier version left it."""
    run.take("a.png")
    run.fail(run.task())
    kept = house.results / "failed" / kept_name("a.png", BAD)
    (house.results / "processed").mkdir()
    kept.rename(house.results / "processed" / kept.name)
    assert originals_off(house, repair=True) == [Kind.ORIGINAL_DUE]
    assert lies_failed(house, "a.png")


def test_a_failed_original_among_the_processed_can_be_tried_again(house: House, run: Run) -> None:
    run.take("a.png")
    run.fail(run.task())
    kept = house.results / "failed" / kept_name("a.png", BAD)
    (house.results / "processed").mkdir()
    kept.rename(house.results / "processed" / f"z-{BAD[:12]}.png")
    assert retry(load(), [], failed=True, as_json=False, words=Words(quiet=True)) is Exit.DONE
    assert (house.inbox / "a.png").read_text() == "bad"
    assert (house.states(), house.files("failed")) == ({"a.png": "queued"}, [])


def test_a_link_to_what_failed_that_is_renamed_before_it_is_read_leaves_no_orphan(
    house: House, run: Run
) -> None:
    """Its row went, and with it all that told of what had failed before."""
    (house.inbox / ".link").hardlink_to(house.inbox / "a.png")
    run.take("a.png")
    run.fail(run.task())
    (house.inbox / ".link").rename(house.inbox / "a.png")
    run.take("a.png")
    (house.inbox / "a.png").rename(house.inbox / "b.png")
    run.take("b.png")
    again = run.task()
    assert again.file == "b.png"
    run.fail(again)
    assert house.states() == {"a.png": "duplicate", "b.png": "failed"}
    assert lies_failed(house, "a.png", "b.png")


def test_a_copy_of_what_failed_that_is_replaced_before_it_is_read_leaves_no_orphan(
    house: House, run: Run
) -> None:
    run.take("a.png")
    run.fail(run.task())
    drop(house.inbox, "a.png", "bad")
    run.take("a.png")
    task = run.task()
    drop(house.inbox, "a.png", "12")
    run.custody.commit(Outcome(task, ContentChanged(f"{task.source} changed.", "")))
    assert house.states() == {"a.png": "failed"}
    assert lies_failed(house, "a.png")
    assert run.custody.accounts.take_changed() == {house.inbox / "a.png"}
    run.take("a.png")
    run.read(run.task())
    assert run.heard.ends[-1] == ("a.png", "done")
    assert originals_off(house) == []


def test_what_was_kept_as_a_copy_is_read_though_another_scan_took_its_place(house: House, run: Run) -> None:
    """Nobody had read it yet; it was forgotten, since in its place lay something else."""
    drop(house.inbox, "b.png", "bad")
    run.take("a.png")
    run.take("b.png")
    task = run.task()
    drop(house.inbox, "a.png", "12")
    run.custody.commit(Outcome(task, ContentChanged(f"{task.source} changed.", "")))
    drop(house.inbox, "b.png", "34")
    heir = run.task()
    assert (heir.file, heir.source) == ("b.png", house.results / "processed" / kept_name("b.png", BAD))
    run.fail(heir)
    assert lies_failed(house, "b.png")
    assert (house.inbox / "b.png").read_text() == "34"


def test_what_another_run_moves_to_the_failed_ones_too_late_joins_those_that_were_read(
    house: House, tmp_path: Path
) -> None:
    """It saw the scan fail before, was held up, and moves it while this one ends it as read."""
    drop(house.inbox, "a.png", "bad")
    kept = kept_name("a.png", BAD)

    class Other(Memory):
        def ended(self, file: str, state: str, detail: str) -> None:
            super().ended(file, state, detail)
            (house.results / "failed").mkdir()
            (house.results / "processed" / kept).rename(house.results / "failed" / kept)

    run = Run(house, tmp_path / "staging", Other())
    run.take("a.png")
    run.custody.commit(Outcome(run.task(), a_result(a_page())))
    assert run.heard.ends == [("a.png", "done")]
    assert (house.files("failed"), house.files("processed")) == ([], [kept])
