"""Figures of several sizes on one page: by which digits a line's marks are judged."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.records import Box
from processor.segmentation.sizes import characters, digit_heights, is_row

PAGE = 40.0


def row(*heights: int, x: int = 100, foot: int = 300, pitch: int = 12) -> list[Box]:
    return [Box(x + i * pitch, foot - height, 7, height) for i, height in enumerate(heights)]


def heights_of(*lines: list[Box]) -> list[float]:
    boxes = [box for line in lines for box in line]
    starts = np.cumsum([0, *(len(line) for line in lines)])
    groups = [range(start, stop) for start, stop in pairwise(starts.tolist())]
    return digit_heights(groups, boxes, PAGE)


def test_points_and_dashes_measure_no_line() -> None:
    assert characters(np.array([40.0, 6.0, 30.0, 4.0])).tolist() == [40.0, 30.0]


@pytest.mark.parametrize(
    ("heights", "row"),
    [([11, 12, 12, 13, 12], True), ([12, 12, 12, 12], False), ([12, 6, 12, 6, 12], False), ([400] * 5, True)],
    ids=["even", "too few", "grain", "high"],
)
def test_marks_are_a_row_where_they_are_many_and_alike(heights: list[int], row: bool) -> None:
    assert is_row(np.array(heights, np.float64)) is row


def test_lines_are_measured_by_the_page_unless_they_are_far_smaller() -> None:
    assert heights_of(row(40, 38), row(15, 15, 15, 15, 15), row(400)) == [PAGE] * 3
    assert heights_of(row(12, 12, 13, 12, 11)) == [12.0]


def test_a_short_number_is_measured_by_its_row() -> None:
    """A number of two small digits is told from two specks by the numbers beside it."""
    pair = row(12, 12)
    assert heights_of(pair) == [PAGE]
    assert heights_of(pair, row(12, 13, 12, x=200))[0] == 12.0
    assert heights_of(pair, row(12, 13, 12, x=400))[0] == PAGE
    assert heights_of(pair, row(12, 13, 12, x=200, foot=310))[0] == PAGE


def test_uneven_marks_beside_it_are_no_row() -> None:
    assert heights_of(row(12, 12), row(7, 13, 6, 12, 7, x=150))[0] == PAGE


def test_larger_digits_on_its_level_neither_help_nor_harm() -> None:
    small, large = row(12, 12, 12, 12, 12), row(40, 40, 40, x=180, pitch=30)
    assert heights_of(small, large) == [12.0, PAGE]
    assert heights_of(small[:2], large) == [PAGE, PAGE]


def test_small_figures_alone_are_measured_by_themselves_where_they_are_legible() -> None:
    """Of far larger digits they may be points or crumbs where these stand near, and only there."""
    pair, large = row(20, 20), row(120, 120, x=400, pitch=90)
    boxes = [*pair, *large]
    groups = [range(2), range(2, 4)]
    assert digit_heights(groups, boxes, 120.0) == [120.0, 120.0]
    assert digit_heights(groups, boxes, 120.0, legible=10) == [20.0, 120.0]
    assert digit_heights(groups, boxes, 120.0, legible=21) == [120.0, 120.0]
    beside = [*pair, *row(120, 120, x=160, pitch=90)]
    assert digit_heights(groups, beside, 120.0, legible=10) == [120.0, 120.0]
    below = [*pair, *row(120, 120, foot=450, pitch=90)]
    assert digit_heights(groups, below, 120.0, legible=10) == [120.0, 120.0]


def test_no_lines_have_no_heights() -> None:
    assert digit_heights([], [], PAGE) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(3, 60), min_size=1, max_size=12), st.integers(0, 500), st.integers(0, 500))
def test_the_place_on_the_page_does_not_matter(heights: list[int], right: int, down: int) -> None:
    line = row(*heights)
    moved = [Box(b.x + right, b.y + down, b.width, b.height) for b in line]
    assert heights_of(line) == heights_of(moved)
