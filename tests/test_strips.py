"""A number is brought to one size, place and darkness, wherever and however it stands on its page."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.prediction.strips import DIGIT, HEIGHT, MARGIN, WIDEST, Frame, Strip, cut_strip, frame
from processor.records import Box, Gray


def bars(
    height: int, *, x: int = 40, y: int = 60, darkness: int = 255, size: tuple[int, int] = (400, 900)
) -> Gray:
    """A page with three upright bars, as wide as a fifth of their `height` and twice that apart."""
    page = np.zeros(size, np.uint8)
    for number in range(3):
        left = x + number * 3 * height // 5
        page[y : y + height, left : left + height // 5] = darkness
    return page


def boxes_of(page: Gray) -> list[Box]:
    _, _, stats, _ = cv2.connectedComponentsWithStats((page > 0).view(np.uint8))
    return [Box(*(int(v) for v in row[:4])) for row in stats[1:]]


def strip_of(page: Gray) -> Strip:
    return cut_strip(page, page > 0, frame(boxes_of(page)))


@pytest.mark.parametrize("height", [15, 40, 100, 250])
def test_numbers_of_any_size_have_digits_of_one_height(height: int) -> None:
    rows = np.flatnonzero(strip_of(bars(height)).pixels[0].max(axis=1) > 127)
    assert abs(len(rows) - DIGIT) <= 2
    assert abs((rows[0] + rows[-1] + 1) / 2 - HEIGHT / 2) <= 1


@settings(deadline=None, max_examples=25)
@given(st.integers(10, 300), st.integers(10, 200))
def test_where_it_stands_on_the_page_changes_nothing(x: int, y: int) -> None:
    here, there = strip_of(bars(44)), strip_of(bars(44, x=x, y=y))
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert there.left - here.left == x - 40


def test_faint_writing_is_as_dark_as_any() -> None:
    dark, faint = strip_of(bars(60)).pixels, strip_of(bars(60, darkness=60)).pixels
    assert np.abs(dark.astype(int) - faint).max() <= 8


def test_a_fine_pen_on_a_large_digit_stays_black() -> None:
    page = np.zeros((500, 500), np.uint8)
    cv2.rectangle(page, (100, 50), (250, 450), 255, 4)
    assert strip_of(page).pixels[0].max() > 200


def test_the_first_plane_is_the_writing_alone() -> None:
    page = bars(44)
    writing = page > 0
    page[110:113] = 200
    strip = cut_strip(page, writing, frame(boxes_of(bars(44))))
    assert not strip.pixels[0, -3:].any()
    assert strip.pixels[1, :, 0].max() > 150


def test_columns_lead_back_to_the_page() -> None:
    strip = strip_of(bars(88, x=200))
    first = np.flatnonzero(strip.pixels[0].max(axis=0) > 127)[0]
    assert strip.page_x(float(first)) == pytest.approx(200, abs=3)
    assert strip.width == pytest.approx((3 * 88 * 0.6 - 88 * 0.4) / 88 * DIGIT + 2 * MARGIN * DIGIT, abs=2)


def test_beyond_the_page_is_paper() -> None:
    page = bars(44, x=0, y=0)[:44]
    strip = strip_of(page)
    assert strip.pixels[0].any()
    assert not strip.pixels[:, :3].any()
    assert not strip.pixels[:, :, :3].any()


def test_an_empty_place_gives_an_empty_strip() -> None:
    page = np.zeros((50, 50), np.uint8)
    strip = cut_strip(page, page > 0, Frame(height=0, centre=25, left=20, right=20))
    assert strip.pixels.shape[:2] == (2, HEIGHT)
    assert not strip.pixels.any()


def test_what_is_far_too_wide_is_narrowed() -> None:
    page = np.zeros((40, 20_000), np.uint8)
    page[18:22] = 255
    assert strip_of(page).width <= WIDEST + 2 * MARGIN * DIGIT + 2


def test_points_and_dashes_do_not_make_digits_smaller() -> None:
    digits = [Box(0, 0, 20, 40), Box(30, 2, 20, 40), Box(60, 1, 20, 40)]
    marks = [Box(52, 36, 5, 6), Box(90, 20, 15, 4), Box(110, 38, 4, 4), Box(120, 38, 4, 4)]
    alone, together = frame(digits), frame([*digits, *marks])
    assert (together.height, together.centre) == (alone.height, alone.centre)
    assert together.right == 124


def test_digits_that_a_line_cut_short_do_not_decide() -> None:
    whole, broken = [Box(x, 0, 20, 40) for x in (0, 90)], [Box(30 * n, 0, 20, 25) for n in (1, 2)]
    assert frame([*whole, *broken]).height == pytest.approx(40, abs=1)


def test_the_pieces_of_a_broken_digit_are_measured_as_one() -> None:
    """A row of zeros of which a removed line left the upper and the lower arcs."""
    arcs = [Box(30 * n, y, 20, 15) for n in range(4) for y in (0, 25)]
    assert frame(arcs).height == 40
    dots = [Box(30 * n, 0, 20, 40) for n in range(4)] + [Box(30 * n + 5, 44, 6, 5) for n in range(4)]
    assert frame(dots).height == 40


def test_an_underline_joins_no_digits() -> None:
    digits = [Box(30 * n, 0, 20, 40) for n in range(4)]
    assert frame([*digits, Box(0, 42, 110, 12)]).height == 40


@pytest.mark.parametrize("climb", [-0.2, 0.12, 0.25])
def test_a_number_that_climbs_is_made_level(climb: float) -> None:
    page = np.zeros((300, 400), np.uint8)
    for x in range(50, 300, 40):
        y = round(150 + climb * (x - 170))
        page[y : y + 40, x : x + 12] = 255
    place = frame(boxes_of(page))
    assert place.climb == pytest.approx(climb, abs=0.01)
    columns = cut_strip(page, page > 0, place).pixels[0].T > 127
    middles = [np.flatnonzero(column).mean() for column in columns if column.sum() > DIGIT / 2]
    assert np.ptp(middles) <= 2.5
    assert abs(np.mean(middles) - HEIGHT / 2) <= 1.5


def test_digits_of_uneven_height_do_not_make_a_number_climb() -> None:
    boxes = [Box(30 * n, n % 2, 20, 40 - 3 * (n % 3)) for n in range(5)]
    assert frame(boxes).climb == 0
    assert frame([Box(0, 0, 20, 40), Box(30, 20, 20, 40)]).climb == 0
