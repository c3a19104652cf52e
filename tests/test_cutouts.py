"""Cut-outs: when an image is one number, and which of its marks are bits of other rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.records import Box
from processor.segmentation.blobs import Blob
from processor.segmentation.cutouts import LINES, CutOutLine, one_line
from processor.segmentation.layout import group_lines


def frames(*boxes: tuple[int, int, int, int]) -> list[Blob]:
    """A frame of ink, 4 px wide, in each box."""
    blobs = []
    for x, y, width, height in boxes:
        ink = np.ones((height, width), np.bool_)
        ink[4:-4, 4:-4] = False
        blobs.append(Blob(Box(x, y, width, height), ink))
    return blobs


def row(count: int, x: int = 20, y: int = 30, height: int = 40, pitch: int = 32) -> list[tuple[int, ...]]:
    return [(x + i * pitch, y, 24, height) for i in range(count)]


def judged(boxes: list[tuple[int, ...]], page_height: int) -> CutOutLine | None:
    """What is made of an image with these marks, grouped as a page's would be."""
    blobs = frames(*((x, y, w, h) for x, y, w, h in boxes))
    return one_line(group_lines([blob.box for blob in blobs]), blobs, page_height)


def test_an_image_as_high_as_its_line_is_one_number() -> None:
    found = judged(row(5), 100)
    assert found is not None
    assert found.line == found.core == (0, 1, 2, 3, 4)
    assert found.others == ()
    assert found.groups == [(0, 1, 2, 3, 4)]


@pytest.mark.parametrize("page_height", [90, 103])
def test_an_image_without_room_for_a_second_line_is_a_cut_out(page_height: int) -> None:
    assert page_height < LINES * 40
    assert judged(row(5), page_height) is not None


@pytest.mark.parametrize("page_height", [104, 2000])
def test_an_image_with_room_for_a_second_line_is_a_page(page_height: int) -> None:
    assert page_height >= LINES * 40
    assert judged(row(5), page_height) is None


def test_two_whole_lines_are_a_page_however_near() -> None:
    assert judged([*row(4, y=8, height=40), *row(4, y=52, height=40)], 100) is None


def test_a_line_of_lower_digits_below_is_a_second_line() -> None:
    assert judged([*row(4, y=6, height=44), *row(4, y=72, height=24)], 102) is None


def test_bits_of_the_rows_above_and_below_are_others() -> None:
    feet = [(30, 0, 20, 8), (90, 0, 20, 8)]
    heads = [(60, 93, 20, 7)]
    found = judged([*feet, *row(4), *heads], 100)
    assert found is not None
    assert found.line == (2, 3, 4, 5)
    assert found.others == (0, 6, 1)
    assert found.groups == [found.line, found.others]


def test_what_is_cut_off_below_may_be_high() -> None:
    found = judged([*row(4, y=4), *[(x, 64, 24, 30) for x in (20, 60, 100)]], 94)
    assert found is not None
    assert (found.line, found.others) == ((0, 1, 2, 3), (4, 5, 6))


def test_digits_half_as_high_beside_others_are_of_the_line() -> None:
    """An amount whose zeros are small: on a page, two lines of writing."""
    boxes = [*row(3, height=60, y=20), *[(150 + 20 * i, 42, 16, 24) for i in range(3)]]
    blobs = frames(*((x, y, w, h) for x, y, w, h in boxes))
    assert len(group_lines([blob.box for blob in blobs])) == 2
    found = judged(boxes, 100)
    assert found is not None
    assert found.line == (0, 1, 2, 3, 4, 5)
    assert found.core == (0, 1, 2)


def test_marks_far_apart_are_of_the_line() -> None:
    found = judged([*row(1), *row(1, x=300), *row(1, x=700)], 100)
    assert found is not None
    assert found.line == (0, 1, 2)


@pytest.mark.parametrize("climb", [0.15, -0.15])
def test_a_line_that_climbs_is_followed(climb: float) -> None:
    start = 8 if climb > 0 else 52
    boxes = [(20 + 60 * i, round(start + climb * 60 * i), 24, 40) for i in range(6)]
    bit = (300, 0, 20, 8) if climb > 0 else (20, 0, 20, 8)
    found = judged([*boxes, bit], 103)
    assert found is not None
    assert found.line == tuple(range(6))
    assert found.others == (6,)


def test_marks_that_climb_as_stairs_do_are_measured_from_their_middle() -> None:
    boxes = [(20 + 60 * i, 30 * i, 24, 40) for i in range(3)]
    found = one_line([[0, 1, 2]], frames(*boxes), 101)
    assert found is not None
    assert found.line == (0, 1, 2)


def test_the_line_is_where_most_of_the_ink_is() -> None:
    found = judged([*row(1, y=0, height=26), *row(5, y=40, height=40)], 100)
    assert found is not None
    assert found.core == (1, 2, 3, 4, 5)
    assert found.others == (0,)


def test_an_empty_image_is_no_cut_out() -> None:
    assert one_line([], [], 100) is None


def test_a_single_mark_is_a_line() -> None:
    found = judged(row(1), 80)
    assert found is not None
    assert found.groups == [(0,)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 60), st.integers(9, 40), st.integers(9, 60)),
        min_size=1,
        max_size=9,
    ),
    st.integers(0, 60),
)
def test_every_mark_is_of_the_line_or_another(boxes: list[tuple[int, ...]], below: int) -> None:
    found = judged(boxes, max(y + h for _, y, _, h in boxes) + below)
    if found is not None:
        assert sorted((*found.line, *found.others)) == list(range(len(boxes)))
        assert found.line
        assert set(found.core) <= set(range(len(boxes)))
        centres = [boxes[i][0] + boxes[i][2] / 2 for i in found.line]
        assert centres == sorted(centres)
