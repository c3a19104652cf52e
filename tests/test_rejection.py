"""Rejections are values: what it is, the measure and the limit."""

import numpy as np
import pytest

from processor.records import Box, Cause, Status
from processor.rejection.geometry import judge_blob, judge_size, judge_stroke
from processor.rejection.open_set import (
    digit_cost,
    is_sure,
    judge_digit,
    judge_word,
    junk_cost,
    unlike_any_digit,
)

PAGE = (1000, 800)


def probabilities(digit: int, share: float, none: float) -> np.ndarray:
    row = np.full(11, (1 - share - none) / 9, np.float32)
    row[digit], row[10] = share, none
    return row


@pytest.mark.parametrize(
    ("box", "cause"),
    [
        (Box(100, 100, 20, 40), None),
        (Box(100, 100, 4, 40), None),
        (Box(100, 100, 120, 40), None),
        (Box(100, 100, 5, 6), Cause.SPECK),
        (Box(100, 100, 300, 4), Cause.RULED_LINE),
        (Box(100, 100, 40, 8), Cause.MARK),
        (Box(100, 0, 20, 20), Cause.EDGE),
        (Box(100, 980, 20, 20), Cause.EDGE),
        (Box(100, 0, 20, 40), None),
    ],
)
def test_what_shape_and_place_say(box: Box, cause: Cause | None) -> None:
    rejection = judge_blob(box, 40.0, PAGE)
    assert (rejection.cause if rejection else None) == cause


@pytest.mark.parametrize(
    ("box", "cause"),
    [
        (Box(0, 0, 40, 45), None),
        (Box(0, 0, 90, 45), Cause.SEVERAL_CHARACTERS),
        (Box(0, 0, 300, 200), Cause.OVERSIZED),
    ],
)
def test_what_size_says_of_a_mark_like_no_digit(box: Box, cause: Cause | None) -> None:
    rejection = judge_size(box, 45.0, 40.0)
    assert (rejection.cause if rejection else None) == cause


@pytest.mark.parametrize(
    ("box", "area", "printed"),
    [(Box(0, 0, 2, 40), 80, True), (Box(0, 0, 5, 40), 190, False), (Box(0, 0, 20, 40), 80, False)],
)
def test_what_is_finer_than_the_pen_is_printed(box: Box, area: int, printed: bool) -> None:
    assert (judge_stroke(box, area, 5.0) is not None) == printed


def test_a_reason_names_measure_and_limit() -> None:
    assert str(judge_blob(Box(100, 100, 4, 6), 40.0, PAGE)) == "speck: digit heights 0.15, limit 0.3"


@pytest.mark.parametrize(
    ("digits", "letters", "text"),
    [
        ([], 1, True),
        ([0.95], 3, True),
        ([0.9, 0.9, 0.9], 2, True),
        ([0.99, 0.99], 1, False),
        ([0.99] * 5, 1, False),
        ([0.3] * 6, 0, False),
    ],
)
def test_words_are_told_from_numbers(digits: list[float], letters: int, text: bool) -> None:
    rejection = judge_word(digits, letters)
    assert (rejection is not None and rejection.cause is Cause.TEXT) == text


def test_a_sure_digit_is_cheaper_than_leaving_it_out_and_a_letter_is_not() -> None:
    seven, letter = probabilities(7, 0.97, 0.01), probabilities(7, 0.02, 0.97)
    assert digit_cost(seven) < junk_cost(seven, 1.0)
    assert digit_cost(letter) > junk_cost(letter, 1.0)


def test_ink_is_dearer_to_leave_out_the_more_of_it_there_is() -> None:
    letter = probabilities(7, 0.02, 0.97)
    costs = [junk_cost(letter, size) for size in (0.1, 0.4, 1.0, 3.0, 5.0, 9.0)]
    assert costs[0] < costs[1] < costs[2] < costs[3] < costs[4] == costs[5]


def test_what_was_rejected_unseen_costs_only_its_size() -> None:
    assert junk_cost(None, 0.0) == 0.0


@pytest.mark.parametrize(
    ("confidence", "status", "cause"),
    [
        (0.99, Status.ACCEPTED, None),
        (0.9, Status.ACCEPTED, None),
        (0.5, Status.REVIEW, Cause.UNCERTAIN),
        (0.05, Status.REJECTED, Cause.UNLIKE_DIGIT),
    ],
)
def test_a_digit_is_accepted_asked_about_or_rejected(
    confidence: float, status: Status, cause: Cause | None
) -> None:
    found, reason = judge_digit(confidence, threshold=0.9)
    assert (found, reason.cause if reason else None) == (status, cause)


def test_unlike_any_digit_tells_how_unlike() -> None:
    assert unlike_any_digit(probabilities(3, 0.02, 0.97)).value == pytest.approx(0.03, abs=1e-6)


def test_many_fairly_sure_digits_make_no_sure_number() -> None:
    assert is_sure([0.97, 0.97])
    assert not is_sure([0.97] * 8)
