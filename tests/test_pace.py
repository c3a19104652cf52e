"""When the inbox is listed again, by a hand clock."""

from hypothesis import given
from hypothesis import strategies as st

from processor.intake.pace import HINT_PAUSE_SECONDS, POLLING_SECONDS, Pace


def test_the_first_listing_is_due_at_once() -> None:
    assert Pace(60).due < 0


def test_without_hints_it_is_listed_regularly() -> None:
    pace = Pace(60)
    pace.listed(100.0, 100.5, polls=False)
    assert pace.due == 160.5


def test_a_hint_is_followed_at_once_but_for_a_short_pause() -> None:
    pace = Pace(60)
    pace.listed(100.0, 100.0, polls=False)
    pace.hint()
    pace.hint()
    assert pace.due == 100.0 + HINT_PAUSE_SECONDS


def test_hints_of_a_storm_wait_for_ten_times_what_a_listing_takes() -> None:
    pace = Pace(60)
    pace.listed(100.0, 100.2, polls=False)
    pace.hint()
    assert round(pace.due, 6) == 102.0


def test_where_nothing_is_announced_it_is_listed_oftener_and_a_large_inbox_more_rarely() -> None:
    pace = Pace(60)
    pace.listed(100.0, 100.001, polls=True)
    assert pace.due == 100.001 + POLLING_SECONDS
    pace.listed(100.0, 100.1, polls=True)
    assert 119 < pace.due < 121
    pace.listed(100.0, 102.0, polls=True)
    assert pace.due == 162.0, "as often as was asked for, whatever it takes"


def test_a_rescan_shorter_than_a_poll_is_kept() -> None:
    pace = Pace(0.05)
    pace.listed(100.0, 100.0, polls=True)
    assert pace.due == 100.05


def test_a_clock_that_is_set_back_is_no_fault() -> None:
    pace = Pace(60)
    pace.listed(100.0, 50.0, polls=False)
    assert pace.due == 110.0


@given(
    took=st.lists(st.floats(0.001, 30), min_size=1, max_size=50),
    rescan=st.floats(0.01, 3600),
    polls=st.booleans(),
)
def test_listing_takes_a_tenth_of_the_time_at_most_whatever_comes(
    took: list[float], rescan: float, polls: bool
) -> None:
    pace, now, busy = Pace(rescan), 0.0, 0.0
    for seconds in took:
        now = max(now, pace.due)
        pace.listed(now, now + seconds, polls=polls)
        pace.hint()
        now, busy = now + seconds, busy + seconds
    assert busy <= 0.1 * max(now, pace.due) * 1.000001
