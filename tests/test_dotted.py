"""A dot between digits is one of a row where others like it stand level about the number."""

import numpy as np
import pytest
from numpy.typing import NDArray

from processor.records import Box
from processor.segmentation.dotted import is_in_row

DIGITS = [Box(100 + 40 * i, 60, 24, 40) for i in range(3)]
MARK = Box(170, 96, 5, 5)


def page(dots: list[tuple[int, int, int]]) -> NDArray[np.bool_]:
    """Digits of solid ink, MARK, and square dots (x, y, side)."""
    ink = np.zeros((160, 320), np.bool_)
    for box in [*DIGITS, MARK]:
        ink[box.y : box.bottom, box.x : box.right] = True
    for x, y, side in dots:
        ink[y : y + side, x : x + side] = True
    return ink


@pytest.mark.parametrize(
    ("dots", "in_row"),
    [
        ([], False),
        ([(60, 96, 5), (80, 96, 5), (220, 97, 4), (236, 96, 5)], True),
        ([(60, 96, 5), (80, 96, 5), (130, 96, 5)], True),
        ([(130, 96, 5), (220, 96, 5)], False),
        ([(60, 80, 5), (80, 112, 5), (220, 80, 5), (236, 112, 5)], False),
        ([(60, 96, 2), (80, 96, 2), (220, 96, 2), (236, 96, 2)], False),
        ([(10, 96, 5), (20, 96, 5), (290, 96, 5), (300, 96, 5)], False),
    ],
    ids=["alone", "a row", "between digits, too", "a date", "not level", "finer dots", "far away"],
)
def test_a_row_of_dots(dots: list[tuple[int, int, int]], in_row: bool) -> None:
    assert is_in_row(MARK, DIGITS, page(dots)) == in_row


def test_a_number_at_the_corner_of_its_page_has_no_row() -> None:
    assert not is_in_row(Box(0, 0, 3, 3), [Box(0, 0, 20, 40)], np.ones((40, 40), np.bool_))
