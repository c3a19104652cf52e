"""Broken characters: which pieces of ink are one, and which are two rows or two neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.records import Box
from processor.segmentation.stacks import fell_apart, find_stacks, line_stacks

HEIGHT = 40.0
HEAD, FOOT = Box(104, 100, 16, 17), Box(100, 120, 24, 20)
"""The two halves of a 2 that is broken at its waist."""


def whole(*places: tuple[int, int], height: int = 40) -> list[Box]:
    return [Box(x, y, 24, height) for x, y in places]


def test_the_halves_of_a_broken_digit_are_one() -> None:
    boxes = [*whole((60, 100)), FOOT, *whole((140, 100)), HEAD]
    assert find_stacks(boxes, HEIGHT) == [[0], [3, 1], [2]]


def test_the_loose_bar_of_a_five_is_a_piece_of_it() -> None:
    bar, body = Box(104, 100, 22, 6), Box(100, 108, 18, 32)
    assert find_stacks([body, bar], HEIGHT) == [[1, 0]]


def test_three_pieces_are_one() -> None:
    pieces = [Box(100, 100, 20, 12), Box(102, 114, 18, 11), Box(99, 128, 20, 12)]
    assert find_stacks(pieces, HEIGHT) == [[0, 1, 2]]


@pytest.mark.parametrize("step", [44, 48, 60])
def test_two_rows_of_digits_are_two_however_close(step: int) -> None:
    rows = whole(*((100 + 32 * i, 100 + step * row) for i in range(4) for row in range(3)))
    assert len(find_stacks(rows, HEIGHT)) == 12


def test_two_rows_of_small_figures_are_two_though_a_title_is_as_high_as_both() -> None:
    rows = whole(*((100 + 32 * i, 100 + 19 * row) for i in range(4) for row in range(2)), height=17)
    assert len(find_stacks([*rows, Box(800, 20, 30, 36)], 17.0)) == 9


@pytest.mark.parametrize("lower", [40, 60, 80])
def test_rows_of_unlike_sizes_are_two_though_both_are_as_high_as_a_third(lower: int) -> None:
    """Numbers in figures of several sizes, one under the other."""
    upper = whole(*((100 + 28 * i, 100) for i in range(5)))
    foot = 140 + 20 + lower
    below = [Box(100 + lower * i, foot - lower, lower // 2, lower) for i in range(5)]
    third = [Box(100 + 150 * i, 400, 80, foot - 100) for i in range(3)]
    assert len(find_stacks([*upper, *below, *third], foot - 100.0)) == 13


def test_digits_that_a_line_cut_in_two_are_one_though_their_halves_stand_in_rows() -> None:
    halves = [Box(100 + 32 * i, y, 24, 18) for i in range(5) for y in (100, 122)]
    assert find_stacks(halves, HEIGHT) == [[2 * i, 2 * i + 1] for i in range(5)]


def test_where_small_print_sets_the_scale_digits_near_by_tell_how_high_a_digit_is() -> None:
    beside = whole((60, 100), (140, 100))
    assert find_stacks([HEAD, FOOT], 18.0) == [[0], [1]]
    assert find_stacks([HEAD, FOOT, *beside], 18.0) == [[0, 1], [2], [3]]


def test_a_one_under_the_bar_of_a_seven_stands_beside_it() -> None:
    seven, one = Box(100, 105, 30, 33), Box(122, 112, 6, 28)
    assert len(find_stacks([seven, one], HEIGHT)) == 2


def test_a_speck_above_a_digit_is_none_of_its_pieces() -> None:
    assert len(find_stacks([*whole((100, 100)), Box(108, 92, 4, 4)], HEIGHT)) == 2


def test_a_bit_of_a_ruled_line_is_no_piece_of_the_digits_below_it() -> None:
    digits = [Box(x, 110 + sink, 28, 44) for x, sink in ((100, 4), (145, 3), (190, 4), (235, 0))]
    line = Box(114, 100, 140, 4)
    assert line_stacks([digits[0], digits[1], line, *digits[2:]], HEIGHT) == [[0], [1], [2], [3], [4]]


def test_what_is_taken_for_one_character_is_read_from_left_to_right() -> None:
    """A short bit of a line over two digits: whatever they are, the right one is not read first."""
    digits = [Box(100, 111, 23, 42), Box(128, 110, 28, 43)]
    (stack,) = line_stacks([digits[0], Box(103, 100, 41, 3), digits[1]], HEIGHT)
    assert [i for i in stack if i != 1] == [0, 2]


def test_in_a_line_pieces_stand_together_and_in_order() -> None:
    boxes = [FOOT, *whole((140, 100), (60, 100)), HEAD]
    assert line_stacks(boxes, HEIGHT) == [[2], [3, 0], [1]]
    assert line_stacks([], HEIGHT) == find_stacks([], HEIGHT) == []


places = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=50, deadline=None)
@given(st.lists(places, max_size=30))
def test_every_box_is_in_one_stack(values: list[tuple[int, int, int, int]]) -> None:
    boxes = [Box(*value) for value in values]
    for found in (find_stacks(boxes, 30.0), line_stacks(boxes, 30.0)):
        assert sorted(i for stack in found for i in stack) == list(range(len(boxes)))


@settings(max_examples=25, deadline=None)
@given(st.lists(places, max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_stacks_do_not_depend_on_the_place_on_the_page(
    values: list[tuple[int, int, int, int]], right: int, down: int
) -> None:
    boxes = [Box(*value) for value in values]
    moved = [Box(b.x + right, b.y + down, b.width, b.height) for b in boxes]
    assert find_stacks(moved, 30.0) == find_stacks(boxes, 30.0)


def test_hundreds_of_marks_take_no_time_to_speak_of() -> None:
    places = np.random.default_rng(1).integers(0, 3000, (1500, 2))
    assert len(find_stacks([Box(int(x), int(y), 20, 17) for x, y in places], HEIGHT)) <= 1500


@pytest.mark.parametrize(("pitch", "stacks"), [(10, 10_000), (7, 100)], ids=["apart", "close"])
def test_a_screen_of_ten_thousand_dots_takes_no_time_to_speak_of(pitch: int, stacks: int) -> None:
    """Dots that stand apart are rows, others columns."""
    dots = [Box(20 + 10 * x, 20 + pitch * y, 6, 6) for x in range(100) for y in range(100)]
    assert len(find_stacks(dots, 15.0)) == stacks


CRUMBS = [Box(170, 100, 6, 8), Box(168, 112, 5, 6), Box(169, 122, 5, 7), Box(167, 134, 6, 5)]
TWO = [Box(100, 100, 24, 40), Box(132, 100, 24, 40)]


@pytest.mark.parametrize(
    ("specks", "fell"),
    [
        (CRUMBS, True),
        ([Box(b.x + 40, b.y, b.width, b.height) for b in CRUMBS], False),
        ([Box(b.x - 28, b.y, b.width, b.height) for b in CRUMBS], False),
        ([Box(b.x, b.y + 60, b.width, b.height) for b in CRUMBS], False),
        ([Box(170, 112, 6, 6), Box(170, 132, 6, 6)], False),
        ([Box(170 + 4 * i, 134, 3, 5) for i in range(9)], False),
        ([CRUMBS[0], CRUMBS[1], Box(86, 122, 5, 7), Box(87, 134, 6, 5)], False),
    ],
    ids=["beside", "too far", "on a digit", "below", "a colon", "a dotted line", "on either side"],
)
def test_specks_as_high_as_a_digit_may_be_one(specks: list[Box], fell: bool) -> None:
    assert (fell_apart(TWO, specks, 24.0) is not None) == fell


def test_a_digit_may_have_fallen_apart_between_two_others() -> None:
    apart = [TWO[0], Box(148, 100, 24, 40)]
    between = [Box(b.x - 34, b.y, b.width, b.height) for b in CRUMBS]
    assert fell_apart(apart, between, 24.0)
    assert not fell_apart(apart, [], 24.0)
