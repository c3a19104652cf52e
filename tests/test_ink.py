"""Ink on analytic pages: what a stroke is compared with, where it goes on, what shines through."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from processor.pages.cleaning import clean
from processor.pages.ink import find_ink, on_this_side
from processor.pages.thresholds import BLACK, binarise, thresholds
from processor.records import Gray, Page

Contrast = NDArray[np.float32]
HEIGHT, WIDTH = 1500, 2000
PENCIL = np.s_[440:480, 596:604]
"""An upright stroke in the middle of the page."""


def blank() -> Contrast:
    return np.zeros((HEIGHT, WIDTH), np.float32)


def boxed(contrast: Contrast, dark: float = 0.9) -> Contrast:
    """`contrast` with a printed box around the stroke's place."""
    boxed = contrast.copy()
    cv2.rectangle(boxed, (560, 410), (640, 510), dark, 3)
    return boxed


def written(*strokes: tuple[float, int]) -> Contrast:
    """Upright strokes of a contrast at a column, 40 px high and 8 px wide."""
    contrast = blank()
    for dark, x in strokes:
        contrast[440:480, x : x + 8] = dark
    return contrast


def levels(contrast: Contrast) -> Gray:
    """Contrast from 0 to 1 as a page has it."""
    return np.rint(contrast * BLACK).astype(np.uint8)


def found(contrast: Contrast) -> NDArray[np.bool_]:
    return find_ink(levels(contrast), thresholds(levels(contrast)))


@pytest.mark.parametrize("pencil", [0.25, 0.35, 0.6])
def test_a_box_printed_in_black_hides_no_pencil(pencil: float) -> None:
    contrast = blank()
    contrast[PENCIL] = pencil
    ink = found(boxed(contrast))
    assert ink[PENCIL].mean() > 0.95
    assert not ink[530:, :].any()


def test_a_pen_beside_it_still_tells_what_is_faint() -> None:
    """Of two strokes the darker one sets the limit: the other may be the shadow of a fold."""
    ink = binarise(levels(written((0.9, 596), (0.3, 616))))
    assert ink[PENCIL].all()
    assert not ink[440:480, 616:624].any()


def test_the_blurred_edge_of_a_line_is_no_ink() -> None:
    blurred = np.asarray(cv2.GaussianBlur(boxed(blank()), (0, 0), 2.0), np.float32)
    beside = found(blurred)[470, 540:580]
    assert 2 <= beside.sum() <= 7


def test_a_stroke_goes_on_where_it_is_pressed_lightly() -> None:
    contrast = blank()
    contrast[PENCIL] = 0.33 + 0.17 * np.cos(np.linspace(0, 2 * np.pi, 40))[:, None]
    assert not binarise(levels(contrast))[457:463, 596:604].any()
    assert found(contrast)[PENCIL].all()


def test_what_is_faint_all_over_continues_nothing() -> None:
    contrast = written((0.5, 596), (0.16, 625))
    assert not found(contrast)[:, 615:640].any()


def fine(dark: float, grain: float = 0.0) -> Contrast:
    """Strokes two pixels wide, and a row of thick dark ones below them; `grain` is the paper's."""
    contrast = np.abs(np.random.default_rng(1).normal(0, 1, (HEIGHT, WIDTH))).astype(np.float32) * grain
    for x in range(500, 700, 20):
        contrast[450:462, x : x + 2] = dark
        contrast[490:530, x : x + 8] = 0.9
    return contrast


def test_fine_strokes_stay_whole_beside_thick_ones() -> None:
    """The pen is the same, but the lens spreads what is as thin as a pixel."""
    contrast = fine(0.35)
    assert not binarise(levels(contrast))[450:462, 500:502].any()
    ink = found(contrast)
    assert all(ink[450:462, x : x + 2].all() for x in range(500, 700, 20))


def test_thick_strokes_as_faint_do_not() -> None:
    contrast = fine(0.9)
    contrast[450:462, 500:508] = 0.35
    assert not found(contrast)[450:462, 500:508].any()


def test_fine_strokes_that_hardly_stand_out_of_the_grain_are_grain() -> None:
    assert found(fine(0.35, grain=0.02))[452:460, 500:502].all()
    assert not found(fine(0.35, grain=0.18))[452:460, 500:502].all()


def test_most_of_a_mark_must_be_ink() -> None:
    """A faint shade that a stroke ends in is not the stroke."""
    contrast = written((0.5, 596))
    contrast[480:515, 580:620] = 0.16
    assert not found(contrast)[490:, :].any()


def shone_through() -> Contrast:
    """Strokes of a pen, and fainter ones on the right, blurred by the paper."""
    back = cv2.GaussianBlur(written((0.4, 900), (0.4, 940), (0.4, 980)), (0, 0), 3.0)
    front = written((0.9, 200), (0.9, 240), (0.9, 280))
    return np.asarray(np.maximum(front, back), np.float32)


def test_what_shines_through_is_faint_and_blurred() -> None:
    contrast = shone_through()
    ink = contrast > 0.2
    kept = on_this_side(levels(contrast), ink)
    assert ink[:, 880:].any()
    assert not kept[:, 880:].any()
    assert np.array_equal(kept[:, :600], ink[:, :600])


def test_what_is_only_faint_or_only_blurred_is_written_here() -> None:
    faint = written((0.9, 200), (0.9, 240), (0.3, 900), (0.3, 940))
    assert on_this_side(levels(faint), faint > 0.1)[:, 880:].any()
    blurred = np.asarray(cv2.GaussianBlur(faint, (0, 0), 3.0), np.float32)
    assert on_this_side(levels(blurred), blurred > 0.1)[:, 880:].any()


def test_a_cut_out_keeps_everything() -> None:
    contrast = np.ascontiguousarray(shone_through()[400:540])
    ink = contrast > 0.2
    assert np.array_equal(on_this_side(levels(contrast), ink), ink)
    limits = thresholds(levels(contrast))
    assert np.array_equal(find_ink(levels(contrast), limits), levels(contrast) > limits.ink)


def test_shining_through_onto_a_ruled_line_is_told_from_writing() -> None:
    contrast = shone_through()
    contrast[474:477, 100:1100] = 0.9
    page = Page(number=1, pixels=np.rint(235 * (1 - contrast)).astype(np.uint8), dpi=None)
    cleaned = clean(page)
    assert cleaned.rulings.any()
    assert cleaned.mask[440:470, 190:300].any()
    assert not cleaned.mask[440:470, 880:].any()


def test_a_blank_page_has_no_limit() -> None:
    nothing = levels(blank())
    limits = thresholds(nothing)
    assert (limits.ink == BLACK).all()
    assert not find_ink(nothing, limits).any()
    assert not on_this_side(nothing, nothing > 0).any()
