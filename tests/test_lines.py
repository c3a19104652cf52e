"""Lines of drawn strokes, read by a three-line network that knows zeros and ones."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.lines import PART_COST, Classify, make_line, pen_width, propose_lines, read_lines
from processor.records import Cause, CutOut, Gray
from processor.segmentation.blobs import find_blobs
from processor.segmentation.layout import group_lines
from processor.segmentation.sizes import digit_heights

HEIGHT = 40.0


def holes(ink: Gray) -> int:
    framed = cv2.copyMakeBorder((ink > 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.connectedComponents(1 - framed, connectivity=4)[0] - 2


def classify(inks: Sequence[CutOut]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One hole without a tail is a zero, a narrow upright stroke a one, everything else no digit.

    A cut-out is (2, h, w): the mark's own ink, and all about it.
    """
    rows = np.full((len(inks), 11), 0.002, np.float32)
    for row, (own, _) in zip(rows, inks, strict=True):
        x, y, width, height = cv2.boundingRect(own)
        ink = own[y : y + height, x : x + width]
        narrow = ink.shape[1] < 0.2 * ink.shape[0]
        round_one = holes(ink) == 1 and ink.shape[1] < 0.8 * ink.shape[0]
        row[0 if round_one else 1 if narrow and not holes(ink) else 10] = 0.98
    return np.zeros((len(inks), 28, 28), np.float32), rows


def zero(image: NDArray[np.uint8], x: int, y: int = 60) -> None:
    cv2.ellipse(image, (x, y), (13, 20), 0, 0, 360, 255, 4)


def one(image: NDArray[np.uint8], x: int, y: int = 60) -> None:
    cv2.line(image, (x, y - 20), (x, y + 20), 255, 4)


def cross(image: NDArray[np.uint8], x: int, y: int = 60) -> None:
    cv2.line(image, (x - 14, y - 18), (x + 14, y + 18), 255, 4)
    cv2.line(image, (x + 14, y - 18), (x - 14, y + 18), 255, 4)


def read(image: NDArray[np.uint8], look: Classify = classify) -> tuple[str, list[Cause]]:
    """The digits from left to right, and the causes of what was left out."""
    blobs = find_blobs(image > 0, least_side=3)
    groups = group_lines([b.box for b in blobs], HEIGHT)
    pen = pen_width(blobs, HEIGHT)
    heights = digit_heights(groups, [b.box for b in blobs], HEIGHT)
    lines = [
        make_line([blobs[i] for i in g], image.shape, height, pen)
        for g, height in zip(groups, heights, strict=True)
    ]
    marks = [m for line in read_lines(propose_lines(lines, image, look)) for m in line]
    digits = [str(m.seen.probabilities[:-1].argmax()) for m in marks if m.rejection is None and m.seen]
    return "".join(digits), sorted(m.rejection.cause for m in marks if m.rejection)


def canvas() -> NDArray[np.uint8]:
    return np.zeros((120, 600), np.uint8)


def test_separate_digits_are_read_from_left_to_right() -> None:
    image = canvas()
    zero(image, 60)
    one(image, 100)
    zero(image, 140)
    assert read(image) == ("010", [])


def test_touching_digits_are_cut() -> None:
    image = canvas()
    zero(image, 60)
    cv2.line(image, (72, 60), (80, 60), 255, 4)
    zero(image, 92)
    one(image, 140)
    assert read(image) == ("001", [])


def test_three_touching_digits_are_cut() -> None:
    image = canvas()
    for x in (60, 92, 124):
        zero(image, x)
    for x in (76, 108):
        cv2.line(image, (x - 4, 60), (x + 4, 60), 255, 3)
    assert read(image) == ("000", [])


def test_a_cross_beside_digits_is_left_out_with_its_reason() -> None:
    image = canvas()
    zero(image, 60)
    one(image, 100)
    cross(image, 145)
    assert read(image) == ("01", [Cause.FILLER])


def test_a_comma_is_neither_read_nor_joined_to_a_digit() -> None:
    image = canvas()
    for x in (60, 100, 150):
        zero(image, x)
    cv2.line(image, (127, 75), (123, 92), 255, 4)
    assert read(image) == ("000", [Cause.SEPARATOR])


def test_touching_digits_with_a_stroke_through_them_are_not_read() -> None:
    image = canvas()
    for x in (60, 91, 122, 153):
        zero(image, x)
    cv2.line(image, (40, 60), (175, 63), 255, 4)
    assert read(image) == ("", [Cause.STRUCK_OUT])


def test_a_run_of_letters_is_text() -> None:
    image = canvas()
    for x in (60, 100, 140, 180):
        cross(image, x)
    one(image, 215)
    assert read(image) == ("", [Cause.TEXT] * 5)


def test_points_and_specks_are_left_out() -> None:
    image = canvas()
    zero(image, 60)
    cv2.circle(image, (88, 78), 3, 255, -1)
    zero(image, 120)
    assert read(image) == ("00", [Cause.SPECK])


def test_a_dash_is_a_mark() -> None:
    image = canvas()
    zero(image, 60)
    one(image, 100)
    cv2.line(image, (125, 60), (155, 60), 255, 4)
    assert read(image) == ("01", [Cause.MARK])


def test_a_piece_of_a_fine_line_is_no_one() -> None:
    image = canvas()
    for x in (60, 100, 140):
        zero(image, x)
    cv2.line(image, (400, 40), (400, 80), 255, 1)
    assert read(image) == ("000", [Cause.RULED_LINE])


def test_a_one_in_the_same_pen_is_read_alone() -> None:
    image = canvas()
    for x in (60, 100, 140):
        zero(image, x)
    one(image, 400)
    assert read(image) == ("0001", [])


def test_an_empty_page_has_no_lines() -> None:
    assert propose_lines([], canvas(), classify) == []
    assert read_lines([]) == []


def test_a_candidate_costs_what_each_digit_would_and_what_leaving_it_out_would() -> None:
    image = canvas()
    zero(image, 60)
    cv2.line(image, (72, 60), (80, 60), 255, 4)
    zero(image, 92)
    blobs = find_blobs(image > 0, least_side=3)
    (proposed,) = propose_lines([make_line(blobs, image.shape, HEIGHT, 4.0)], image, classify)
    assert len(proposed.steps) == len(proposed.candidates)
    assert len(proposed.cuts) == len(proposed.parts) > 1
    assert proposed.cuts[0] == 0
    assert min(proposed.cuts[1:]) > 0
    for candidate, step in zip(proposed.candidates, proposed.steps, strict=True):
        assert (step.start, step.stop) == (candidate.start, candidate.stop)
        assert step.digits is not None
        assert step.digits.argmin() == proposed.seen[candidate.blob].digit
        whole_or_single = candidate.blob in proposed.judged or step.stop - step.start == 1
        assert (step.junk is not None) == whole_or_single


def broken_zero(image: NDArray[np.uint8], x: int, y: int = 60) -> None:
    """A zero whose pen skipped at the waist: an arch over a bowl."""
    zero(image, x, y)
    image[y - 4 : y + 5] = np.where(np.abs(np.arange(image.shape[1]) - x) < 20, 0, image[y - 4 : y + 5])


def closed(inks: Sequence[CutOut]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As `classify`, but a zero of two halves is one: its small gaps are closed before it is looked at."""
    return classify(
        [
            np.stack([cv2.morphologyEx(own, cv2.MORPH_CLOSE, np.ones((13, 3), np.uint8))] * 2)
            for own, _ in inks
        ]
    )


def test_a_digit_that_is_broken_at_its_waist_is_read_whole() -> None:
    image = np.zeros((120, 260), np.uint8)
    one(image, 40)
    broken_zero(image, 90)
    one(image, 140)
    broken_zero(image, 190)
    assert read(image, closed) == ("1010", [])


def test_a_broken_digit_alone_is_read_whole() -> None:
    image = np.zeros((120, 200), np.uint8)
    broken_zero(image, 90)
    assert read(image, closed) == ("0", [])


def row(heights: Sequence[int]) -> NDArray[np.uint8]:
    image = np.zeros((120, 30 + 12 * len(heights)), np.uint8)
    for place, height in enumerate(heights):
        cv2.line(image, (20 + 12 * place, 60), (20 + 12 * place, 61 - height), 255, 1)
    return image


def test_a_row_of_small_digits_is_read_beside_large_ones() -> None:
    """A page may hold digits of any size; specks of grain make no even row."""
    assert read(row([11] * 6))[0] == "1" * 6
    assert read(row([11] * 4)) == ("", [Cause.SPECK] * 4)
    assert read(row([11, 5, 11, 6, 11, 5, 6]))[0] == ""


def test_two_small_digits_are_read_where_they_stand_in_a_row() -> None:
    """Alone they are specks."""
    image = np.zeros((120, 300), np.uint8)
    for x in (20, 32):
        cv2.line(image, (x, 60), (x, 50), 255, 1)
    assert read(image) == ("", [Cause.SPECK] * 2)
    for x in (100, 112, 124):
        cv2.line(image, (x, 60), (x, 50), 255, 1)
    assert read(image) == ("1" * 5, [])


def test_to_part_the_pieces_of_a_broken_digit_costs_more_than_to_part_neighbours() -> None:
    image = np.zeros((120, 200), np.uint8)
    one(image, 40)
    broken_zero(image, 90)
    blobs = find_blobs(image > 0, least_side=3)
    (proposed,) = propose_lines([make_line(blobs, image.shape, HEIGHT, 4.0)], image, closed)
    assert next(part.blob.box.height for part in proposed.parts) > 40
    assert proposed.cuts == [0.0, 0.0, PART_COST]


def test_a_comma_between_flat_digits_is_no_one() -> None:
    image = canvas()
    zero(image, 60)
    for x in (110, 170):
        cv2.ellipse(image, (x, 68), (8, 12), 0, 0, 360, 255, 4)
    cv2.line(image, (141, 80), (139, 95), 255, 4)
    assert read(image) == ("000", [Cause.SEPARATOR])
