"""The clock of the stages: what is within another counts once, and without a clock nothing is measured."""

import time
from collections.abc import Iterator

import pytest

from processor.stages import Clock, each, measured, stage

WORK = 0.02


def work(seconds: float = WORK) -> None:
    """Keeps the processor busy for so long."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


@stage("inner")
def inner(answer: int) -> int:
    work()
    return answer


def outer() -> None:
    with stage("outer"):
        work()
        inner(1)
        work()


def test_a_stage_within_another_takes_its_time_out_of_it() -> None:
    with measured() as clock:
        outer()
    assert list(clock.seconds) == ["outer", "inner"]
    assert clock.seconds["outer"] >= 2 * WORK
    assert clock.seconds["inner"] >= WORK
    assert sum(clock.seconds.values()) < 8 * WORK


def test_stages_add_up_to_all_that_was_within_them() -> None:
    started = time.process_time()
    with measured() as clock:
        for _ in range(3):
            outer()
    whole = time.process_time() - started
    assert sum(clock.seconds.values()) == pytest.approx(whole, rel=0.05)


def test_a_stage_of_the_same_name_within_itself_counts_once() -> None:
    with measured() as clock, stage("inner"):
        inner(1)
        work()
    assert list(clock.seconds) == ["inner"]
    assert clock.seconds["inner"] == pytest.approx(2 * WORK, rel=0.5)


def test_what_is_outside_of_every_stage_is_nobodys() -> None:
    with measured() as clock:
        inner(1)
        work(5 * WORK)
        inner(2)
    assert clock.seconds["inner"] < 4 * WORK


def test_a_fault_ends_its_stage() -> None:
    with measured() as clock:
        with pytest.raises(ZeroDivisionError), stage("broken"):
            raise ZeroDivisionError
        work(5 * WORK)
        inner(1)
    assert clock.seconds["broken"] < WORK
    assert clock.seconds["inner"] >= WORK


def test_without_a_clock_a_stage_is_only_what_is_in_it() -> None:
    assert inner(7) == 7
    with measured() as clock:
        pass
    inner(8)
    assert clock.seconds == {}


def test_a_clock_within_another_has_its_own_stages() -> None:
    with measured() as around:
        inner(1)
        before = dict(around.seconds)
        with measured() as within:
            inner(2)
    assert around.seconds == before
    assert within.seconds["inner"] >= WORK


def test_of_items_the_making_counts_and_their_use_does_not() -> None:
    def made() -> Iterator[int]:
        for number in range(3):
            work()
            yield number

    with measured() as clock:
        found = []
        for item in each("made", made()):
            work(3 * WORK)
            found.append(item)
    assert found == [0, 1, 2]
    assert list(clock.seconds) == ["made"]
    assert 3 * WORK <= clock.seconds["made"] < 6 * WORK


def test_a_decorated_function_keeps_its_name() -> None:
    assert inner.__name__ == "inner"
    assert isinstance(Clock().seconds, dict)
