"""Combs: one number in narrow cells of one digit each, and what speaks for a digit that was not read."""

import numpy as np
import pytest

from processor.records import Box, Mask
from processor.segmentation.combs import cells_of, comb_lacks, count_dividers, is_comb

PITCH = 60


def comb(cells: int, *, broken: bool = False, lean: int = 0) -> Mask:
    """Dividers of cells 60 px wide from column 90 on; `broken` ones miss some rows, leaning ones climb."""
    dividers = np.zeros((300, 1200), np.bool_)
    for edge in range(cells + 1):
        for row in range(80, 180):
            if not (broken and row % 5 == 0):
                left = 90 + PITCH * edge + lean * (row - 80) // 100
                dividers[row, left : left + 3] = True
    return dividers


def digits(*cells: int, width: int = 24) -> list[Box]:
    return [Box(120 + PITCH * cell - width // 2, 110, width, 40) for cell in cells]


@pytest.mark.parametrize("kind", [comb(6), comb(6, broken=True), comb(6, lean=8)])
def test_dividers_are_counted(kind: Mask) -> None:
    assert cells_of(digits(0, 1, 2, 4), kind) == [0, 1, 2, 4]
    assert cells_of(digits(0, 1, 2, 4), np.zeros_like(kind)) == [0, 0, 0, 0]


def test_a_stroke_beside_half_a_digit_divides_nothing() -> None:
    dividers = comb(6)
    dividers[:130] = False
    left, right = digits(0, 1)
    assert count_dividers(left, right, dividers) == 0


def test_digits_in_cells_of_their_own_are_a_comb() -> None:
    boxes = digits(0, 1, 2, 3)
    assert is_comb(boxes, [0, 1, 2, 3])
    assert not is_comb(boxes, [0, 1, 1, 2])
    assert not is_comb(boxes[:1], [0])


def test_ones_are_as_far_apart_as_other_digits() -> None:
    assert is_comb(digits(0, 1, 2, width=6), [0, 1, 2])


def test_a_comb_may_have_a_cell_that_was_not_read() -> None:
    assert is_comb(digits(0, 1, 3, 4), [0, 1, 3, 4])
    assert not is_comb(digits(0, 1, 4, 5), [0, 1, 4, 5])


def test_wide_or_uneven_cells_are_a_table() -> None:
    assert not is_comb([Box(100 * i, 0, 24, 40) for i in range(3)], [0, 1, 2])
    assert not is_comb([Box(x, 0, 24, 40) for x in (0, 30, 110)], [0, 1, 2])


def test_a_full_comb_lacks_nothing() -> None:
    assert not comb_lacks(digits(0, 1, 2, 3), [], [], comb(4))


def test_a_skipped_cell_is_lacking() -> None:
    assert comb_lacks(digits(0, 1, 3, 4), [], [], comb(5))


def test_what_was_not_read_in_the_next_cell_is_lacking_and_a_label_is_not() -> None:
    (unread,), (label,) = digits(3), digits(-1)
    assert comb_lacks(digits(0, 1, 2), [unread], [], comb(5))
    assert not comb_lacks(digits(0, 1, 2), [label], [], comb(5))


def test_a_digit_two_cells_away_is_of_the_same_number() -> None:
    dividers = comb(6)
    assert comb_lacks(digits(0), [], digits(2), dividers)
    assert comb_lacks(digits(0, 1), [], digits(3), dividers)
    assert not comb_lacks(digits(0), [], [Box(500, 200, 24, 40)], dividers)


def test_two_digits_in_a_cell_make_no_comb() -> None:
    beside = [Box(96, 110, 22, 40), Box(122, 110, 22, 40)]
    assert not comb_lacks(beside, [], digits(2), comb(6))


def test_boxes_that_stand_apart_are_a_comb_and_a_skipped_cell_is_none_of_their_gaps() -> None:
    dividers = np.zeros((300, 1200), np.bool_)
    for cell in range(4):
        for wall in (92, 138):
            dividers[80:180, wall + PITCH * cell : wall + PITCH * cell + 3] = True
    boxes = digits(0, 1, 2, 3)
    assert cells_of(boxes, dividers) == [0, 1, 2, 3]
    assert is_comb(boxes, cells_of(boxes, dividers))
    assert cells_of(digits(0, 2), comb(4)) == [0, 2]


def test_a_lone_digit_beside_a_cell_that_holds_one_is_not_alone() -> None:
    flat = Box(108, 125, 24, 18)
    (beside,) = digits(1)
    assert comb_lacks([flat], [], [beside], comb(4))
    assert comb_lacks([beside], [], [flat], comb(4))
    assert not comb_lacks([flat], [], [Box(400, 110, 24, 40)], comb(8))


def test_several_digits_beside_a_lone_one_are_a_piece_of_a_row_of_boxes() -> None:
    """The walls between the first three were not found."""
    dividers = comb(6)
    dividers[:, : 90 + 3 * PITCH - 5] = False
    piece, lone = digits(0, 1, 2), digits(3)
    assert comb_lacks(piece, [], [], dividers, lone)
    assert not comb_lacks(piece, [], [], dividers)
    assert not comb_lacks(piece, [], [], dividers, [Box(500, 110, 24, 40)])
