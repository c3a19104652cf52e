"""A scan is taken once it was still, whatever writes it and whatever the clock does."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from processor.intake.stability import Stability

PAGE = Path("inbox/page.tif")


def test_a_file_that_lies_still_is_ready_after_the_wait_and_not_before() -> None:
    stability = Stability(2.0)
    assert not stability.observe(PAGE, 100, 7, now=10.0)
    assert not stability.observe(PAGE, 100, 7, now=11.9)
    assert stability.observe(PAGE, 100, 7, now=12.0)
    assert stability.observe(PAGE, 100, 7, now=13.0), "it stays ready until it is forgotten"


def test_a_file_that_grows_waits_from_its_last_growth() -> None:
    stability = Stability(2.0)
    for now, size in ((0.0, 100), (1.0, 200), (2.0, 300), (3.0, 400)):
        assert not stability.observe(PAGE, size, 7, now=now)
    assert not stability.observe(PAGE, 400, 7, now=4.9)
    assert stability.observe(PAGE, 400, 7, now=5.0)


def test_a_file_written_in_place_waits_though_its_size_is_final() -> None:
    stability = Stability(2.0)
    stability.observe(PAGE, 100, 7, now=0.0)
    assert not stability.observe(PAGE, 100, 8, now=2.0)
    assert stability.observe(PAGE, 100, 8, now=4.0)


def test_a_time_of_change_that_moves_back_is_a_change() -> None:
    stability = Stability(2.0)
    stability.observe(PAGE, 100, 7_000_000_000, now=0.0)
    assert not stability.observe(PAGE, 100, 3_000_000_000, now=2.0), "a copy that keeps the original's time"
    assert stability.observe(PAGE, 100, 3_000_000_000, now=4.0)


def test_a_file_replaced_by_a_smaller_one_waits_anew() -> None:
    stability = Stability(2.0)
    stability.observe(PAGE, 100, 7, now=0.0)
    assert stability.observe(PAGE, 100, 7, now=2.0)
    assert not stability.observe(PAGE, 40, 9, now=3.0)
    assert stability.observe(PAGE, 40, 9, now=5.0)


def test_an_empty_file_waits_like_any_other_and_then_is_ready() -> None:
    stability = Stability(2.0)
    assert not stability.observe(PAGE, 0, 7, now=0.0), "a scanner creates the file before it writes"
    assert stability.observe(PAGE, 0, 7, now=2.0), (
        "one that stays empty must fail with a word, not lie for ever"
    )


def test_a_clock_that_is_set_back_starts_the_wait_anew() -> None:
    stability = Stability(2.0)
    stability.observe(PAGE, 100, 7, now=5000.0)
    assert not stability.observe(PAGE, 100, 7, now=1000.0)
    assert not stability.observe(PAGE, 100, 7, now=1001.0)
    assert stability.observe(PAGE, 100, 7, now=1002.0), "it must not wait until the clock is at 5002 again"


def test_without_a_wait_a_file_is_ready_at_first_sight() -> None:
    stability = Stability(0.0)
    assert stability.observe(PAGE, 100, 7, now=3.0)
    assert stability.observe(PAGE, 200, 8, now=3.0)


def test_files_are_judged_apart() -> None:
    stability = Stability(2.0)
    other = Path("inbox/sub/page.tif")
    stability.observe(PAGE, 100, 7, now=0.0)
    assert not stability.observe(other, 100, 7, now=2.0)
    assert stability.observe(PAGE, 100, 7, now=2.0)


def test_a_forgotten_file_waits_anew_and_an_unknown_one_may_be_forgotten() -> None:
    stability = Stability(2.0)
    stability.observe(PAGE, 100, 7, now=0.0)
    stability.forget(PAGE)
    stability.forget(Path("never/seen.png"))
    assert len(stability) == 0
    assert not stability.observe(PAGE, 100, 7, now=2.0)


def test_vanished_files_leave_nothing_behind() -> None:
    stability = Stability(2.0)
    paths = [Path(f"inbox/{i}.png") for i in range(1000)]
    for path in paths:
        stability.observe(path, 1, 1, now=0.0)
    stability.keep_only(paths[:3])
    assert len(stability) == 3
    assert stability.observe(paths[0], 1, 1, now=2.0), "those that are kept keep their wait"
    assert not stability.observe(paths[3], 1, 1, now=2.0)


@given(
    settle=st.floats(0, 10),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30),
)
def test_ready_means_no_other_size_or_time_was_seen_within_the_wait(
    settle: float, steps: list[tuple[float, int, int]]
) -> None:
    stability = Stability(settle)
    now, history = 0.0, list[tuple[float, int, int]]()
    for pause, size, mtime in steps:
        now += pause
        history.append((now, size, mtime))
        ready = stability.observe(PAGE, size, mtime, now)
        still = now
        for when, *seen in reversed(history):
            if seen != [size, mtime]:
                break
            still = when
        assert ready == (now - still >= settle)
