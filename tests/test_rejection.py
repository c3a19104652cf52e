"""Rejections are values: what it is, the measure and the limit."""

import numpy as np
import pytest

from processor.records import Box, Cause, Status
from processor.rejection.geometry import (
    LEGIBLE,
    judge_blob,
    judge_margin,
    judge_resolution,
    judge_size,
    judge_stroke,
)
from processor.rejection.open_set import (
    FEW_PIXELS,
    LOW_SIZE,
    SEVERAL,
    LeastSure,
    digit_costs,
    is_sure,
    judge_digit,
    junk_cost,
    least_sure,
    size_cost,
    size_weight,
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
    assert str(judge_blob(Box(100, 100, 4, 6), 40.0, PAGE)) == "speck: 0.15 digit heights high, limit 0.3"


def test_a_sure_digit_is_cheaper_than_leaving_it_out_and_a_letter_is_not() -> None:
    seven, letter = probabilities(7, 0.97, 0.01), probabilities(7, 0.02, 0.97)
    assert digit_costs(seven).min() < junk_cost(seven, 1.0)
    assert digit_costs(letter).min() > junk_cost(letter, 1.0)


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


@pytest.mark.parametrize("count", [SEVERAL - 1, SEVERAL])
def test_the_fewer_errors_are_allowed_the_surer_a_number_has_to_be(count: int) -> None:
    limits = [least_sure(rate).of(count) for rate in (0.0, 0.001, 0.01, 0.05, 0.5)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] == 1
    assert limits[-1] == 0.5


def test_a_single_mark_has_to_be_surer_than_a_long_number() -> None:
    asked = least_sure(0.01)
    assert asked.of(1) == asked.of(SEVERAL - 1) > asked.of(SEVERAL) == asked.of(SEVERAL + 5)
    assert asked.contested > asked.of(SEVERAL)


def test_digits_of_few_pixels_have_to_be_surer() -> None:
    asked = least_sure(0.01)
    assert (
        asked.of(SEVERAL, FEW_PIXELS) == asked.small > asked.of(SEVERAL, FEW_PIXELS + 1) == asked.of(SEVERAL)
    )
    assert asked.of(1, FEW_PIXELS) >= asked.of(1)
    assert LeastSure(several=0.9).of(SEVERAL, 10) == 0.9


CELL = (384, 384)
"""A cell cut out of a form, on the working grid: its margins are 46 px wide, those of a spanning mark 92."""


def frame(box: Box, thick: int) -> np.ndarray:
    """Left and top side of a frame that fills `box`."""
    mask = np.zeros((box.height, box.width), np.bool_)
    mask[:, :thick] = mask[:thick] = True
    return mask


@pytest.mark.parametrize(
    ("box", "thick", "belongs_to_the_edge"),
    [
        (Box(0, 0, 384, 384), 20, True),
        (Box(0, 0, 20, 384), 20, True),
        (Box(360, 40, 20, 100), 20, True),
        (Box(60, 0, 20, 384), 20, True),
        (Box(60, 100, 20, 100), 20, False),
        (Box(150, 10, 20, 364), 20, False),
        (Box(0, 100, 120, 150), 20, False),
        (Box(120, 120, 100, 150), 20, False),
    ],
    ids=[
        "a corner of the frame",
        "its left side",
        "a piece of its right side",
        "a line beside it",
        "a one beside it",
        "a tall one in the middle",
        "a seven from the edge",
        "a seven",
    ],
)
def test_frames_of_cells_are_told_from_digits(box: Box, thick: int, belongs_to_the_edge: bool) -> None:
    rejection = judge_margin(box, frame(box, thick), CELL)
    assert (rejection is not None) == belongs_to_the_edge
    assert rejection is None or rejection.cause is Cause.EDGE


def test_the_margins_of_a_page_do_not_grow_with_it() -> None:
    assert judge_margin(Box(60, 500, 20, 40), np.ones((40, 20), np.bool_), (3500, 2500)) is None
    assert judge_margin(Box(20, 500, 20, 40), np.ones((40, 20), np.bool_), (3500, 2500)) is not None


def test_what_is_a_few_pixels_high_on_the_scan_is_not_read() -> None:
    assert judge_resolution(Box(10, 10, 3, LEGIBLE)) is None
    assert str(judge_resolution(Box(10, 10, 3, LEGIBLE - 1))) == "speck: 6 pixels high on the scan, limit 7"


def test_a_low_mark_loses_its_confidence_the_more_the_lower_it_is() -> None:
    assert size_cost(LOW_SIZE) == size_cost(1.3) == 0
    assert size_weight(LOW_SIZE) == 1
    weights = [size_weight(size) for size in (0.45, 0.4, 0.3, 0.2)]
    assert weights == sorted(weights, reverse=True)
    assert weights[2] < 0.05
