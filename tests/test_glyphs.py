"""The normaliser: whatever the size, place and contrast of a digit's ink, the glyph is the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from processor.prediction.glyphs import BOX, SIZE, batch, normalise, stroke_width, with_surroundings

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    with np.load(SAMPLE) as data:
        return np.asarray(data["images"], np.uint8)


def a_seven(scale: float = 1.0, pen: int = 6) -> NDArray[np.uint8]:
    """A 7 of about 60 × 90 px times `scale`, drawn with a pen of `pen` px."""
    ink = np.zeros((round(120 * scale), round(90 * scale)), np.uint8)
    corners = np.array([(15, 15), (75, 15), (35, 105)]) * scale
    cv2.polylines(ink, [np.round(corners).astype(np.int32)], False, 255, pen, cv2.LINE_AA)
    return ink


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float32, np.float64])
def test_blank_ink_gives_zeros(dtype: type) -> None:
    assert not normalise(np.zeros((30, 20), dtype)).any()


def test_ink_of_no_size_gives_zeros() -> None:
    assert not normalise(np.zeros((0, 7), np.uint8)).any()


def test_a_batch_of_none_has_the_shape_of_a_batch() -> None:
    assert batch([]).shape == (0, 2, SIZE, SIZE)


def test_a_batch_holds_each_ink_in_its_order() -> None:
    both = batch([a_seven(), a_seven()[::-1]])
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[1, 0], normalise(a_seven()[::-1]))


def test_colour_images_are_refused_with_their_shape() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4, 3\)"):
        normalise(np.zeros((4, 4, 3), np.uint8))


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60)), elements=st.integers(0, 255))
)
@settings(max_examples=80, deadline=None)
def test_any_ink_gives_a_finite_glyph_in_range(ink: NDArray[np.uint8]) -> None:
    glyph = normalise(ink)
    assert glyph.shape == (SIZE, SIZE)
    assert glyph.dtype == np.float32
    assert np.isfinite(glyph).all()
    assert 0 <= glyph.min() <= glyph.max() <= 1
    assert glyph.any() == ink.any()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_paper_around_the_ink_changes_nothing(top: int, bottom: int, left: int, right: int) -> None:
    moved = np.pad(a_seven(), ((top, bottom), (left, right)))
    np.testing.assert_array_equal(normalise(moved), normalise(a_seven()))


def test_the_kind_of_number_changes_nothing_but_rounding() -> None:
    ink = a_seven()
    np.testing.assert_allclose(normalise(ink / 255.0), normalise(ink), atol=1e-5)
    flat = ink > 127
    np.testing.assert_allclose(normalise(flat), normalise(flat.astype(np.uint8) * 255), atol=1e-5)


def test_faint_pencil_gives_the_glyph_of_black_ink() -> None:
    faint = a_seven() / 255.0 * 0.2
    np.testing.assert_allclose(normalise(faint), normalise(a_seven()), atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_size_hardly_matters(scale: float) -> None:
    same, glyph = normalise(a_seven(scale, pen=round(8 * scale))), normalise(a_seven(pen=8))
    # The place is a whole pixel, so a centre that was half way between two may be rounded to either.
    shifts = [np.roll(same, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert min(np.abs(shifted - glyph).mean() for shifted in shifts) < 0.03


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_ink_is_twenty_pixels_long_and_centred_by_mass(scale: float) -> None:
    glyph = normalise(a_seven(scale, pen=max(2, round(6 * scale))))
    rows, columns = np.flatnonzero((glyph > 0.05).any(1)), np.flatnonzero((glyph > 0.05).any(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (BOX - 1, BOX)
    places = np.arange(SIZE)
    centre = np.array([glyph.sum(1) @ places, glyph.sum(0) @ places]) / glyph.sum()
    assert np.abs(centre - SIZE / 2).max() <= 0.51


def test_a_fine_pen_on_a_large_digit_does_not_vanish() -> None:
    glyph = normalise(a_seven(scale=5, pen=4))
    along_the_stem = glyph[10:22].max(axis=1)
    assert along_the_stem.min() > 0.85
    assert 1.6 < stroke_width(glyph) < 3


def test_a_bold_pen_is_left_as_it_is() -> None:
    assert stroke_width(normalise(a_seven(pen=18))) > 1.5 * stroke_width(normalise(a_seven(pen=6)))


def test_mnist_digits_come_through_nearly_unchanged(digits: NDArray[np.uint8]) -> None:
    glyphs = batch(list(digits))[:, 0]
    assert np.abs(glyphs - digits / np.float32(255)).mean() < 0.03


def test_normalising_again_changes_little(digits: NDArray[np.uint8]) -> None:
    once = batch(list(digits))
    twice = batch(list(once[:, 0]))
    assert np.abs(twice - once).mean() < 0.02


def test_noise_fainter_than_the_ink_does_not_move_the_crop() -> None:
    ink = a_seven()
    dirty = ink.copy()
    dirty[0, 0] = dirty[-1, -1] = 20
    np.testing.assert_array_equal(normalise(dirty), normalise(ink))


# --- what stands about a mark --------------------------------------------------------------------------


def beside(own: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(2, h, w): `own`, and with it `other`, which is of the same shape."""
    return np.stack([own, np.maximum(own, other)])


def test_a_mark_that_stands_alone_is_all_there_is_about_it() -> None:
    alone = with_surroundings(a_seven())
    np.testing.assert_array_equal(alone[0], alone[1])
    blank = np.zeros_like(a_seven())
    np.testing.assert_array_equal(with_surroundings(beside(a_seven(), blank)), alone)


def test_what_stands_beside_a_mark_is_seen_and_moves_nothing() -> None:
    line = np.zeros_like(a_seven())
    line[:, 1:8] = 255
    glyph, around = with_surroundings(beside(a_seven(), line))
    np.testing.assert_array_equal(glyph, normalise(a_seven()))
    left = int(np.flatnonzero(glyph.any(axis=0))[0])
    assert around[8:20, left - 4 : left - 1].max(axis=1).min() > 0.5
    np.testing.assert_array_equal(around[:, left:], glyph[:, left:])


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("pen", [4, 8])
def test_the_surroundings_lie_in_the_frame_of_the_mark(scale: float, pen: int) -> None:
    """The own strokes alone, shown as surroundings, must fall on themselves: at any size, by either way."""
    ink = a_seven(scale, pen=max(1, round(pen * scale)))
    cut = beside(np.pad(ink, 9), np.pad(ink, 9))
    glyph, around = with_surroundings(cut)
    assert np.abs(around - glyph).mean() < 0.03


def test_a_fainter_neighbour_stays_fainter() -> None:
    line = np.zeros_like(a_seven())
    line[:, 1:11] = 100
    glyph, around = with_surroundings(beside(a_seven(), line))
    assert 0.25 < np.where(glyph > 0, 0, around).max() < 0.5


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.just(2), st.integers(1, 50), st.integers(1, 50)), elements=st.integers(0, 255)
    )
)
@settings(max_examples=60, deadline=None)
def test_any_surroundings_give_finite_glyphs_in_range(planes: NDArray[np.uint8]) -> None:
    found = with_surroundings(beside(planes[0], planes[1]))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[1] >= found[0]).all()


@pytest.mark.parametrize("width", [1, 2, 4, 9])
@pytest.mark.parametrize("level", [0.5, 1.0])
def test_the_stroke_width_is_measured_at_any_contrast(width: int, level: float) -> None:
    ink = np.zeros((60, 80), np.float32)
    ink[30 : 30 + width, 10:70] = level
    # The perimeter's estimate suits strokes of all directions; along an axis it reads 4/pi too wide.
    assert stroke_width(ink) == pytest.approx(width * 4 / np.pi, rel=0.2)


def test_paper_has_no_stroke_width() -> None:
    assert stroke_width(np.zeros((9, 9), np.float32)) == 0
