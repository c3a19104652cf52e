"""Ruled lines go, the strokes across them stay."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from processor.components import find_components
from processor.pages.rulings import remove_rulings, typical_height
from processor.pages.skew import estimate_skew

HEIGHT = 40.0


def canvas(height: int = 400, width: int = 900) -> NDArray[np.uint8]:
    return np.zeros((height, width), np.uint8)


def zero(image: NDArray[np.uint8], x: int, y: int) -> None:
    cv2.ellipse(image, (x, y), (14, 20), 0, 0, 360, 1, 4)


def removed(image: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], int]:
    """The writing, and how many lines were found beside it."""
    ruled = remove_rulings(image.astype(np.bool_), HEIGHT)
    assert not (ruled.writing & ~image.astype(np.bool_)).any()
    lines = (ruled.horizontal | ruled.upright).view(np.uint8)
    return ruled.writing, cv2.connectedComponents(lines, connectivity=8)[0] - 1


@pytest.mark.parametrize("thickness", [1, 2, 4])
@pytest.mark.parametrize("upright", [False, True])
def test_a_long_line_is_removed(thickness: int, upright: bool) -> None:
    image = canvas()
    zero(image, 100, 300)
    line = ((450, 10), (450, 390)) if upright else ((50, 200), (850, 200))
    cv2.line(image, *line, 1, thickness)
    rest, lines = removed(image)
    assert lines == 1
    only_zero = canvas()
    zero(only_zero, 100, 300)
    assert np.array_equal(rest, only_zero.astype(np.bool_))


def test_a_slightly_bent_line_is_removed() -> None:
    image = canvas()
    x = np.arange(50, 850)
    y = (200 + 4 * np.sin(x / 250)).round().astype(np.int32)
    cv2.polylines(image, [np.stack([x, y], axis=1).astype(np.int32)], False, 1, 3)
    zero(image, 100, 300)
    rest, lines = removed(image)
    assert lines >= 1
    assert rest[150:250].sum() < 0.1 * image[150:250].sum()


def test_a_dotted_line_is_removed() -> None:
    image = canvas()
    image[200:203, 50:850] = (np.arange(800) % 9 < 6).astype(np.uint8)
    zero(image, 100, 300)
    rest, _ = removed(image)
    assert rest[195:210].sum() < 0.1 * image[195:210].sum()


def test_a_digit_across_a_line_stays_in_one_piece() -> None:
    image = canvas()
    zero(image, 400, 200)
    cv2.line(image, (50, 208), (850, 208), 1, 3)
    rest, _ = removed(image)
    count, _, stats, _ = cv2.connectedComponentsWithStats(rest.view(np.uint8), connectivity=8)
    assert (stats[1:, cv2.CC_STAT_HEIGHT] > 35).sum() == 1
    assert count - 1 <= 2


def test_box_sides_are_removed_but_not_an_upright_one() -> None:
    image = canvas()
    for x in range(100, 500, 60):
        cv2.line(image, (x, 100), (x, 160), 1, 2)
    for y in (100, 160):
        cv2.line(image, (100, y), (460, y), 1, 2)
    cv2.line(image, (700, 105), (700, 148), 1, 4)
    zero(image, 130, 130)
    rest, _ = removed(image)
    assert rest[100:160, 695:706].sum() == image[100:160, 695:706].sum()
    assert not rest[105:155, 155:165].any()
    assert rest[108:152, 114:146].sum() > 0.95 * image[108:152, 114:146].sum()


def test_the_bars_of_a_row_of_sevens_are_no_line() -> None:
    image = canvas()
    for x in range(100, 500, 32):
        cv2.line(image, (x, 100), (x + 22, 100), 1, 3)
        cv2.line(image, (x + 22, 100), (x + 8, 140), 1, 3)
    rest, lines = removed(image)
    assert lines == 0
    assert np.array_equal(rest, image.astype(np.bool_))


def test_a_one_in_a_box_is_no_side_of_it() -> None:
    image = canvas()
    cv2.rectangle(image, (100, 100), (150, 160), 1, 2)
    cv2.line(image, (125, 110), (125, 150), 1, 3)
    rest, _ = removed(image)
    assert rest[108:153, 120:131].sum() == image[108:153, 120:131].sum()


def test_a_lone_stroke_is_writing_not_a_line() -> None:
    image = canvas(200, 120)
    cv2.line(image, (60, 4), (60, 196), 1, 6)
    rest, lines = removed(image)
    assert lines == 0
    assert np.array_equal(rest, image.astype(np.bool_))


def test_an_empty_mask_has_no_lines() -> None:
    rest, lines = removed(canvas())
    assert lines == 0
    assert not rest.any()


def test_typical_height_ignores_lines_and_specks() -> None:
    image = canvas()
    for x in range(60, 800, 60):
        zero(image, x, 100)
        cv2.circle(image, (x, 200), 2, 1, -1)
    cv2.line(image, (0, 300), (899, 300), 1, 3)
    assert typical_height(find_components(image.astype(np.bool_))) == pytest.approx(44, abs=3)


@pytest.mark.parametrize("degrees", [-12.0, -3.0, 0.0, 2.0, 9.0])
def test_skew_of_written_lines(degrees: float) -> None:
    image = canvas(1000, 1000)
    for y in range(150, 900, 90):
        for x in range(120, 900, 50):
            zero(image, x, y)
    there = cv2.getRotationMatrix2D((500, 500), -degrees, 1.0)
    turned = cv2.warpAffine(image, there, (1000, 1000), flags=cv2.INTER_NEAREST)
    assert estimate_skew(turned.astype(np.bool_)) == pytest.approx(degrees, abs=0.3)


def test_a_few_scattered_marks_have_no_skew() -> None:
    image = canvas(600, 600)
    for x, y in ((100, 100), (300, 220), (500, 90), (200, 450)):
        zero(image, x, y)
    assert estimate_skew(image.astype(np.bool_)) == 0.0


def test_a_fine_line_that_breaks_up_is_held_together_by_what_is_faint() -> None:
    image = canvas()
    broken = np.random.default_rng(1).random(800) < 0.35
    image[200, 50:850] = broken
    zero(image, 100, 300)
    faint = image.copy()
    faint[199:202, 50:850] = 1
    alone = remove_rulings(image.astype(np.bool_), HEIGHT)
    assert alone.writing[200].any()
    ruled = remove_rulings(image.astype(np.bool_), HEIGHT, faint.astype(np.bool_))
    assert not ruled.writing[195:205].any()
    assert ruled.horizontal[200, 60:840].all(), "faint parts belong to the line"
    assert np.array_equal(ruled.writing[260:], image[260:].astype(np.bool_))


def test_a_comb_of_fine_lines_divides_though_its_sides_break_up() -> None:
    image, faint = canvas(), canvas()
    for x in range(100, 501, 80):
        cv2.line(faint, (x, 100), (x, 180), 1, 2)
    for y in (100, 180):
        cv2.line(faint, (100, y), (500, y), 1, 2)
    for x in range(140, 500, 80):
        zero(faint, x, 140)
        zero(image, x, 140)
    lines = faint & ~image & 1
    kept = (np.indices(image.shape).sum(axis=0) % 7 < 3).astype(np.uint8)
    image |= lines & kept
    ruled = remove_rulings(image.astype(np.bool_), HEIGHT, faint.astype(np.bool_))
    assert ruled.upright[110:170].any(axis=1).all()
    assert cv2.connectedComponents(ruled.writing.view(np.uint8))[0] - 1 == 5


def test_ink_below_the_limit_beside_a_sharp_line_changes_nothing() -> None:
    image = canvas()
    cv2.line(image, (50, 200), (850, 200), 1, 3)
    zero(image, 300, 195)
    mask = image.astype(np.bool_)
    halo = cv2.dilate(image, np.ones((3, 3), np.uint8)).astype(np.bool_)
    assert np.array_equal(remove_rulings(mask, HEIGHT, halo).writing, remove_rulings(mask, HEIGHT).writing)


def test_the_arches_of_small_print_are_no_line() -> None:
    """A row of r: the arches run together where faint ink counts, but each stands on a leg."""
    image = canvas()
    for x in range(100, 496, 12):
        image[200:202, x : x + 6] = 1
        image[200:222, x : x + 3] = 1
    faint = image.copy()
    faint[200:202, 100:496] |= (np.arange(396) % 12 < 8).astype(np.uint8)
    ruled = remove_rulings(image.astype(np.bool_), HEIGHT, faint.astype(np.bool_))
    assert np.array_equal(ruled.writing, image.astype(np.bool_))


def test_a_faint_dotted_line_is_a_line() -> None:
    image, faint = canvas(), canvas()
    dots = (np.arange(800) % 9 < 5).astype(np.uint8)
    image[201, 50:850] = dots & (np.arange(800) % 2).astype(np.uint8)
    faint[200:202, 50:850] = dots
    zero(image, 100, 300)
    faint |= image
    ruled = remove_rulings(image.astype(np.bool_), HEIGHT, faint.astype(np.bool_))
    assert not ruled.writing[195:210].any()
