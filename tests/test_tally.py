"""The counts of a run, which always add up, and what is reported of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.commands.console import Words
from processor.commands.summary import report, say_summary
from processor.errors import BadDatabase
from processor.results.tally import Tally
from processor.settings import load
from tests.sample_readings import a_blob, a_number, a_page


def test_the_tally_counts_what_was_read() -> None:
    tally = Tally()
    tally.add([a_page(a_number("12"), a_number("3"), rejected=(a_blob(),)), a_page(page=2)])
    counts = tally.summary()
    assert (counts.pages, counts.numbers, counts.digits, counts.review, counts.rejected) == (2, 2, 3, 0, 1)


@pytest.mark.usefixtures("home")
def test_a_run_says_why_scans_were_not_read_once_more(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*endings: str) -> str:
        tally = Tally()
        for number, state in enumerate(endings):
            tally.see(Path(str(number)))
            tally.end(Path(str(number)), state)
        say_summary(report(tally, 1.0, "cnn-a"), load(), Words())
        return capsys.readouterr().err

    assert "Not read once more" not in said("done", "failed")
    assert "Not read once more: 1 dealt with by an earlier run (ignored).\n" in said("done", "ignored")
    both = said("duplicate", "ignored", "duplicate")
    assert "1 dealt with by an earlier run (ignored), 2 the same as another scan (duplicate;" in both


def test_a_scan_that_ends_twice_is_found_out() -> None:
    tally = Tally()
    tally.see(Path("a"))
    tally.end(Path("a"), "done")
    tally.end(Path("a"), "done")
    with pytest.raises(BadDatabase, match="1 scans seen"):
        tally.summary()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["done", "failed", "duplicate", "ignored", ""])))
)
def test_seen_is_always_the_sum_of_what_became_of_the_scans(steps: list[tuple[int, str]]) -> None:
    tally = Tally()
    for number, state in steps:
        path = Path(str(number))
        tally.see(path)
        if state:
            tally.end(path, state)
    counts = tally.summary()
    assert counts.seen == counts.done + counts.failed + counts.duplicate + counts.ignored + counts.pending
    assert counts.pending == tally.waiting.total()


def test_a_scan_that_replaces_one_under_way_is_counted_too() -> None:
    tally = Tally()
    path = Path("inbox/scan.png")
    tally.see(path)
    tally.see(path)
    tally.see_another(path)
    tally.end(path, "done")
    assert (tally.summary().seen, tally.summary().pending) == (2, 1)
    tally.end(path, "done")
    assert (tally.summary().done, tally.summary().pending) == (2, 0)


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
