"""Numbers that both readings agree on and that are looked at all the same, by their ink and their doubts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.records import Box, Cause, TwoReadings, Winner
from processor.rejection.doubts import TOUCHES, judge_own, judge_touching, own_confidence, touches
from processor.rejection.open_set import SURE_NUMBER, least_sure

DIGIT = Box(50, 40, 20, 30)
STROKE = np.zeros((30, 20), np.bool_)
STROKE[:, :3] = True
"""An upright stroke at the left edge of its box."""


def said(first: float | None, second: float, winner: Winner = Winner.BOTH) -> TwoReadings:
    return TwoReadings(
        first="52", first_confidence=first, second="52", second_confidence=second, winner=winner
    )


def wall(x: int, top: int = 30, bottom: int = 80) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    lines = np.zeros((120, 200), np.bool_)
    lines[top:bottom, x : x + 2] = True
    return lines


@pytest.mark.parametrize(
    ("first", "second", "looked_at"),
    [(0.27, 0.63, True), (0.5, 0.5, True), (0.1, 0.9, False), (0.9, 0.1, False), (None, 0.7, True)],
)
def test_two_readings_that_doubt_themselves_make_no_sure_number(
    first: float | None, second: float, looked_at: bool
) -> None:
    against = judge_own(said(first, second))
    assert (against is not None) == looked_at
    if against is not None:
        assert str(against).startswith("uncertain: each reading by itself doubts it, confidence 0.")


@pytest.mark.parametrize(
    ("winner", "sure"), [(Winner.FIRST, 0.6), (Winner.SECOND, 0.9), (Winner.NEITHER, 0.0)]
)
def test_a_reading_of_something_else_adds_no_certainty(winner: Winner, sure: float) -> None:
    assert own_confidence(said(0.6, 0.9, winner)) == pytest.approx(sure)


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_both_read_is_as_sure_as_the_surer_at_least(first: float, second: float) -> None:
    sure = own_confidence(said(first, second))
    assert max(first, second) - 1e-9 <= sure <= 1
    assert (judge_own(said(first, second)) is None) == (sure >= SURE_NUMBER)


@pytest.mark.parametrize(("gap", "near"), [(0, True), (1, True), (8, False)])
def test_a_stroke_along_a_wall_touches_it_all_the_way(gap: int, near: bool) -> None:
    assert touches(DIGIT, STROKE, wall(DIGIT.x - 2 - gap)) == (1.0 if near else 0.0)


def test_a_stroke_across_a_wall_touches_it_over_its_width_only() -> None:
    bar = np.zeros((30, 20), np.bool_)
    bar[14:17] = True
    assert 0 < touches(DIGIT, bar, wall(DIGIT.x + 9)) < TOUCHES


def test_a_stroke_along_the_foot_of_a_box_touches_it() -> None:
    foot = np.zeros((120, 200), np.bool_)
    foot[DIGIT.bottom : DIGIT.bottom + 2, 30:90] = True
    lying = np.zeros((30, 20), np.bool_)
    lying[-3:] = True
    assert touches(DIGIT, lying, foot) == pytest.approx(20 / 30)


def test_a_digit_at_the_edge_of_the_page_touches_what_is_there() -> None:
    lines = np.zeros((30, 20), np.bool_)
    lines[:, 4] = True
    assert touches(Box(0, 0, 20, 30), STROKE, lines) == 1.0


@pytest.mark.parametrize(("seen", "looked_at"), [(0.97, True), (0.99, False), (0.0, True)])
def test_what_stands_along_a_wall_has_to_be_sure_to_the_second_reading(seen: float, looked_at: bool) -> None:
    least = least_sure(0.01).touching
    against = judge_touching(DIGIT, STROKE, wall(DIGIT.x - 2), seen, least)
    assert (against is not None) == looked_at
    if against is not None:
        assert (against.cause, against.value, against.limit) == (Cause.UNCERTAIN, seen, least)


def test_what_stands_free_is_as_sure_as_its_number() -> None:
    assert judge_touching(DIGIT, STROKE, wall(DIGIT.x + 90), 0.0, 0.98) is None


def test_who_asks_for_fewer_errors_asks_more_of_what_touches_a_wall() -> None:
    assert least_sure(0.001).touching > least_sure(0.01).touching > least_sure(0.1).touching
