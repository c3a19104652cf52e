"""Strokes through numbers and crosses in empty boxes, drawn by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import handwriting
from processor.records import Box, Cause
from processor.rejection.strokes import judge_circle, judge_cross, judge_crossed, judge_slash, judge_struck

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"
DIGITS = [Box(200 + 35 * i, 100, 25, 40) for i in range(4)]


def rulings(left: int, right: int, y: int = 120) -> NDArray[np.bool_]:
    mask = np.zeros((240, 600), np.bool_)
    mask[y : y + 3, left:right] = True
    return mask


def test_a_stroke_through_the_digits_strikes_them_out() -> None:
    rejection = judge_struck(DIGITS, rulings(185, 340))
    assert rejection is not None
    assert rejection.cause is Cause.STRUCK_OUT


def test_a_stroke_under_a_thick_pen_strikes_the_digits_out() -> None:
    mask = rulings(185, 340)
    for digit in DIGITS:
        mask[:, digit.x + 2 : digit.x + 10] = mask[:, digit.right - 12 : digit.right] = False
    assert judge_struck(DIGITS, mask) is not None


@pytest.mark.parametrize(
    "mask",
    [
        rulings(0, 600),
        rulings(195, 600),
        rulings(185, 340, y=138),
        rulings(185, 340, y=96),
        rulings(185, 260),
        rulings(185, 235) | rulings(260, 340),
    ],
    ids=[
        "a ruled line",
        "the line of a field",
        "an underline",
        "a line above",
        "half the number",
        "two lines",
    ],
)
def test_other_lines_do_not(mask: NDArray[np.bool_]) -> None:
    assert judge_struck(DIGITS, mask) is None


def test_a_number_at_the_edge_of_the_page_is_no_fault() -> None:
    assert judge_struck([Box(0, 0, 25, 40)], np.zeros((40, 25), np.bool_)) is None


@pytest.mark.parametrize(
    ("mark", "slash"),
    [
        (Box(232, 92, 20, 56), True),
        (Box(232, 100, 20, 40), False),
        (Box(232, 86, 20, 54), False),
        (Box(232, 100, 20, 56), False),
        (Box(240, 92, 6, 56), False),
    ],
    ids=["above and below", "as high as they", "above", "below", "upright"],
)
def test_a_slash_reaches_beyond_the_digits_beside_it(mark: Box, slash: bool) -> None:
    rejection = judge_slash(mark, Box(200, 100, 25, 40), Box(262, 102, 25, 38))
    assert (rejection is not None) == slash


def zeros(count: int, *, crossed_from: int | None = None, slope: float = 0.0) -> NDArray[np.bool_]:
    image = np.zeros((60, 40 + 34 * count), np.uint8)
    for i in range(count):
        cv2.ellipse(image, (35 + 34 * i, 30), (15, 20), 0, 0, 360, 1, 4)
    if crossed_from is not None:
        end = image.shape[1] - 10
        cv2.line(image, (5, crossed_from), (end, round(crossed_from + slope * end)), 1, 4)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.bool_)


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.06])
def test_touching_digits_with_a_stroke_through_them_are_struck_out(slope: float) -> None:
    rejection = judge_crossed(zeros(4, crossed_from=30, slope=slope), 40)
    assert rejection is not None
    assert rejection.cause is Cause.STRUCK_OUT


@pytest.mark.parametrize(
    "mask",
    [zeros(4), zeros(4, crossed_from=48), zeros(4, crossed_from=12), zeros(1, crossed_from=30)],
    ids=["touching digits", "underlined", "overlined", "a zero with a bar"],
)
def test_other_touching_digits_are_not(mask: NDArray[np.bool_]) -> None:
    assert judge_crossed(mask, 40) is None


def cross(width: int, height: int, lean: int = 0) -> NDArray[np.bool_]:
    image = np.zeros((height + 8, width + 8 + abs(lean)), np.uint8)
    cv2.line(image, (4, 4), (4 + width, 4 + height), 1, 4)
    cv2.line(image, (4 + width, 4 + lean), (4, 4 + height), 1, 4)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.bool_)


@pytest.mark.parametrize(("width", "height", "lean"), [(30, 40, 0), (40, 30, 0), (30, 40, 5), (40, 40, -4)])
def test_a_cross_fills_a_box(width: int, height: int, lean: int) -> None:
    rejection = judge_cross(cross(width, height, lean))
    assert rejection is not None
    assert str(rejection).startswith("filler: a cross with notches ")


def test_no_digit_of_a_hundred_is_a_cross() -> None:
    for image in handwriting.load(SAMPLE).images:
        enlarged = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        x, y, width, height = cv2.boundingRect((enlarged > 100).astype(np.uint8))
        assert judge_cross(enlarged[y : y + height, x : x + width] > 100) is None


def test_a_plus_and_a_stroke_are_no_crosses() -> None:
    plus = np.zeros((40, 40), np.bool_)
    plus[18:22] = plus[:, 18:22] = True
    stroke = np.eye(40, dtype=np.bool_)
    assert judge_cross(plus) is None
    assert judge_cross(stroke) is None
    assert judge_cross(np.ones((1, 1), np.bool_)) is None


@pytest.mark.parametrize("diameter", [24, 40, 90])
@pytest.mark.parametrize("pen", [1.0, 3.0])
def test_a_printed_circle_is_no_zero(diameter: int, pen: float) -> None:
    scale, side = 8, diameter + 12
    large = np.zeros((side * scale, side * scale), np.uint8)
    middle = round((side / 2 + 0.3) * scale)
    cv2.circle(large, (middle, middle), diameter * scale // 2, 255, round(pen * scale))
    scanned = cv2.GaussianBlur(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    rejection = judge_circle(scanned > 0.4 * scanned.max())
    assert rejection is not None
    assert rejection.cause is Cause.MARK


def test_written_zeros_are_no_circles() -> None:
    with np.load(SAMPLE) as sample:
        zeros = sample["images"][sample["labels"] == 0]
    large = [cv2.resize(zero, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC) > 110 for zero in zeros]
    assert len(large) == 10
    assert [judge_circle(zero) for zero in large] == [None] * len(large)
