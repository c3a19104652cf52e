"""Boxes and combs go however large the digits in them are; what is written in them, and digits, stay."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processor.components import find_components
from processor.pages.frames import Frames, remove_frames
from processor.segmentation.blobs import find_blobs
from processor.segmentation.combs import cells_of, is_comb

CELL = 36
TOP, LEFT = 100, 60


def paper(width: int = 600) -> NDArray[np.uint8]:
    return np.zeros((300, width), np.uint8)


def boxes(image: NDArray[np.uint8], cells: int, pen: int = 2, top: int = TOP) -> None:
    """A row of joined square cells."""
    right = LEFT + cells * CELL
    for y in (top, top + CELL):
        cv2.line(image, (LEFT, y), (right, y), 1, pen)
    for x in range(LEFT, right + 1, CELL):
        cv2.line(image, (x, top), (x, top + CELL), 1, pen)


def comb(image: NDArray[np.uint8], cells: int, pen: int = 2, tick: int = CELL) -> None:
    """A row of cells that are open above."""
    right = LEFT + cells * CELL
    cv2.line(image, (LEFT, TOP + CELL), (right, TOP + CELL), 1, pen)
    for x in range(LEFT, right + 1, CELL):
        cv2.line(image, (x, TOP + CELL - tick), (x, TOP + CELL), 1, pen)


def digits(image: NDArray[np.uint8], text: str, height: float = 0.75, pen: int = 3) -> None:
    """`text` in the middle of the cells, its digits this share of a cell high."""
    tall = cv2.getTextSize("0", cv2.FONT_HERSHEY_SIMPLEX, 1.0, pen)[0][1]
    size = height * CELL / tall
    for cell, digit in enumerate(text):
        (width, _), _ = cv2.getTextSize(digit, cv2.FONT_HERSHEY_SIMPLEX, size, pen)
        x = LEFT + cell * CELL + (CELL - width) // 2
        y = round(TOP + CELL / 2 + height * CELL / 2)
        cv2.putText(image, digit, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, 1, pen)


def removed(image: NDArray[np.uint8]) -> Frames:
    mask = image.astype(np.bool_)
    frames = remove_frames(mask, find_components(mask))
    assert not (frames.writing & ~mask).any()
    return frames


@pytest.mark.parametrize("pen", [1, 2, 4])
@pytest.mark.parametrize("draw", [boxes, comb])
def test_digits_in_cells_stand_alone_and_are_one_comb(draw: object, pen: int) -> None:
    image, written = paper(), paper()
    assert callable(draw)
    draw(image, 5, pen)
    digits(written, "25743")
    frames = removed(image | written)
    marks = sorted((blob.box for blob in find_blobs(frames.writing, 8)), key=lambda box: box.x)
    assert np.array_equal(frames.writing, written.astype(np.bool_))
    cells = cells_of(marks, frames.dividers)
    assert cells == [0, 1, 2, 3, 4]
    assert is_comb(marks, cells)


def test_digits_as_high_as_their_cells_are_parted_at_the_walls() -> None:
    image = paper()
    boxes(image, 5)
    digits(image, "25743", height=1.0)
    marks = find_blobs(removed(image).writing, CELL // 2)
    assert len(marks) == 5
    assert all(mark.box.height > 0.75 * CELL for mark in marks)


@pytest.mark.parametrize("degrees", [-3.0, 1.5, 3.0])
def test_a_tilted_comb_is_one(degrees: float) -> None:
    image = paper()
    comb(image, 6)
    there = cv2.getRotationMatrix2D((LEFT + 3 * CELL, TOP), degrees, 1.0)
    tilted = cv2.warpAffine(image * 255, there, image.shape[::-1], flags=cv2.INTER_LINEAR) > 100
    frames = removed(tilted.astype(np.uint8))
    assert frames.writing.sum() < 0.03 * tilted.sum()
    between = frames.dividers[TOP + 4 : TOP + CELL - 4]
    assert cv2.connectedComponents(between.view(np.uint8), connectivity=8)[0] - 1 == 7


def test_the_walls_of_a_low_comb_part_what_stands_above_them() -> None:
    image = paper()
    comb(image, 4, tick=CELL // 2)
    digits(image, "2574")
    frames = removed(image)
    marks = sorted((blob.box for blob in find_blobs(frames.writing, 8)), key=lambda box: box.x)
    assert cells_of(marks, frames.dividers) == [0, 1, 2, 3]
    assert not frames.walls[: TOP + CELL // 2 - 3].any()


def test_a_stroke_across_a_wall_stays_whole() -> None:
    image = paper()
    boxes(image, 3)
    cv2.line(image, (LEFT + 6, TOP + 20), (LEFT + CELL + 5, TOP + 20), 1, 4)
    rest = removed(image).writing
    assert rest[TOP + 19 : TOP + 21, LEFT + 6 : LEFT + CELL + 5].all()
    assert len(find_blobs(rest, 3)) == 1


def test_what_two_digits_wrote_across_a_wall_is_parted_there() -> None:
    image = paper()
    boxes(image, 3)
    cv2.line(image, (LEFT + 8, TOP + 20), (LEFT + 2 * CELL - 8, TOP + 20), 1, 4)
    assert len(find_blobs(removed(image).writing, 3)) == 2


def test_a_stroke_that_ends_in_a_thick_line_ends_in_the_middle_of_it() -> None:
    image = paper()
    boxes(image, 3, pen=6)
    cv2.line(image, (LEFT + 18, TOP), (LEFT + 18, TOP + 26), 1, 3)
    rows = np.flatnonzero(removed(image).writing.any(axis=1))
    assert TOP - 1 <= rows[0] <= TOP + 2


@pytest.mark.parametrize("pen", [2, 4, 8])
@pytest.mark.parametrize("digit", list("0123456789"))
def test_no_digit_is_a_frame(digit: str, pen: int) -> None:
    image = paper()
    for cell in range(3):
        cv2.putText(image, digit, (LEFT + 60 * cell, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 1, pen)
    assert np.array_equal(removed(image).writing, image.astype(np.bool_))


def test_an_upright_one_in_a_box_is_no_wall() -> None:
    image = paper()
    boxes(image, 1)
    cv2.line(image, (LEFT + CELL // 2, TOP + 1), (LEFT + CELL // 2, TOP + CELL - 1), 1, 3)
    rest = removed(image).writing
    assert rest[TOP + 4 : TOP + CELL - 4, LEFT + CELL // 2].all()


def test_an_empty_box_may_be_a_zero() -> None:
    image = paper()
    boxes(image, 1)
    assert np.array_equal(removed(image).writing, image.astype(np.bool_))


def test_a_blank_page_has_no_frames() -> None:
    frames = removed(paper())
    assert not (frames.writing | frames.level | frames.walls | frames.dividers).any()


def test_frames_are_erased_from_the_ink_and_writing_is_not() -> None:
    image, written = paper(), paper()
    boxes(image, 4)
    digits(written, "8306")
    ink = np.asarray(cv2.GaussianBlur((image | written) * np.uint8(255), (3, 3), 0), np.uint8)
    left = removed(image | written).erased_from(ink)
    assert left[written > 0].min() == ink[written > 0].min()
    assert not left[TOP - 4 : TOP + 3, LEFT - 4 : LEFT + 4 * CELL + 4].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_whatever_is_drawn_nothing_is_added_and_nothing_raises(seed: int) -> None:
    random = np.random.default_rng(seed)
    image = np.zeros((int(random.integers(14, 120)), int(random.integers(14, 160))), np.uint8)
    height, width = image.shape
    for _ in range(int(random.integers(1, 8))):
        corners = random.integers(0, [width, height, width, height])
        one, other = (int(v) for v in corners[:2]), (int(v) for v in corners[2:])
        cv2.rectangle(image, tuple(one), tuple(other), 1, int(random.integers(1, 6)))
    frames = removed(image)
    lines = frames.level | frames.walls
    assert not (image.astype(np.bool_) & ~lines & ~frames.writing).any()


def test_a_frame_is_found_wherever_it_stands() -> None:
    image = paper()
    boxes(image, 4)
    digits(image, "8306")
    mark = image[TOP - 2 : TOP + CELL + 3, LEFT - 2 : LEFT + 4 * CELL + 3]
    moved = np.zeros_like(image)
    moved[201 : 201 + mark.shape[0], 7 : 7 + mark.shape[1]] = mark
    there, here = removed(image).writing, removed(moved).writing
    assert np.array_equal(
        there[TOP - 2 :, LEFT - 2 :][: mark.shape[0], : mark.shape[1]],
        here[201:, 7:][: mark.shape[0], : mark.shape[1]],
    )


def test_fewer_cells_than_there_are_walls_are_no_comb() -> None:
    image = paper()
    comb(image, 6)
    cv2.line(image, (LEFT + CELL, TOP), (LEFT + CELL, TOP + CELL - 3), 0, 3)
    assert np.array_equal(removed(image).writing, image.astype(np.bool_))
