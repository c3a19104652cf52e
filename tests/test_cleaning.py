"""Cleaning on analytic pages: light, polarity, contrast, size; nothing may depend on a fixed threshold."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import handwriting
from benchmarks.pages import render_sheet
from benchmarks.sheet import Sheet
from benchmarks.wear import Look
from processor.pages.cleaning import clean, flatten, to_gray, turn, upright_polarity
from processor.pages.scaling import working_scale
from processor.pages.thresholds import BLACK
from processor.records import Box, Page

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"
STROKE = Box(300, 150, 12, 120)


def paper(height: int = 600, width: int = 800, level: int = 230) -> NDArray[np.uint8]:
    return np.full((height, width), level, np.uint8)


def with_stroke(gray: NDArray[np.uint8], ink: float = 0.2) -> NDArray[np.uint8]:
    """`gray` with an upright stroke that leaves `ink` of the light."""
    out = gray.astype(np.float32)
    out[STROKE.y : STROKE.bottom, STROKE.x : STROKE.right] *= ink
    return out.astype(np.uint8)


def page(pixels: NDArray[np.uint8]) -> Page:
    return Page(number=1, pixels=pixels, dpi=None)


def inside_share(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of the stroke that is marked, and marked pixels outside it as a share of the stroke."""
    marked = mask[STROKE.y : STROKE.bottom, STROKE.x : STROKE.right]
    return float(marked.mean()), float((mask.sum() - marked.sum()) / marked.size)


@pytest.mark.parametrize("level", [0, 60, 128, 255])
def test_a_blank_page_has_no_ink(level: int) -> None:
    cleaned = clean(page(paper(level=level)))
    assert not cleaned.mask.any()
    assert not cleaned.ink[cleaned.mask].any()


@pytest.mark.parametrize("ink", [0.05, 0.4, 0.75, 0.85])
def test_strokes_are_found_at_any_darkness(ink: float) -> None:
    inside, outside = inside_share(clean(page(with_stroke(paper(), ink))).mask)
    assert inside > 0.95
    assert outside < 0.1


def test_a_gradient_of_light_is_no_ink() -> None:
    light = np.linspace(60, 250, 800, dtype=np.float32)[None, :] * np.ones((600, 1), np.float32)
    cleaned = clean(page(with_stroke(light.astype(np.uint8), 0.3)))
    inside, outside = inside_share(cleaned.mask)
    assert inside > 0.95
    assert outside < 0.1


def test_the_edge_of_a_hard_shadow_is_no_ink() -> None:
    shaded = paper()
    shaded[:, 500:] = 90
    inside, outside = inside_share(clean(page(with_stroke(shaded, 0.3))).mask)
    assert inside > 0.95
    assert outside < 0.1


def test_grain_is_no_ink_and_hides_no_stroke() -> None:
    noisy = paper().astype(np.float32) + np.random.default_rng(0).normal(0, 6, (600, 800)).astype(np.float32)
    inside, outside = inside_share(clean(page(with_stroke(noisy.clip(0, 255).astype(np.uint8), 0.4))).mask)
    assert inside > 0.9
    assert outside < 0.1


def test_pencil_is_read_beside_a_pen() -> None:
    gray = with_stroke(paper(), 0.1)
    gray[300:420, 600:612] = 160
    mask = clean(page(gray)).mask
    assert mask[300:420, 600:612].mean() > 0.9


def test_white_on_black_is_turned() -> None:
    board = 255 - with_stroke(paper(), 0.1)
    inside, outside = inside_share(clean(page(board.astype(np.uint8))).mask)
    assert inside > 0.95
    assert outside < 0.1


def test_a_sheet_on_a_dark_desk_stays() -> None:
    desk = np.full((800, 1000), 40, np.uint8)
    desk[150:550, 250:700] = with_stroke(paper(), 0.2)[100:500, 200:650]
    assert upright_polarity(desk) is desk


def test_dense_white_writing_on_black_is_turned() -> None:
    board = np.zeros((900, 900), np.uint8)
    for x in range(20, 880, 30):
        for y in range(20, 880, 60):
            cv2.ellipse(board, (x, y), (10, 20), 0, 0, 360, 255, 3)
    assert np.median(upright_polarity(board)) == 255


def test_dark_on_light_stays() -> None:
    gray = with_stroke(paper())
    assert upright_polarity(gray) is gray


def test_yellow_ink_is_darker_than_its_luma() -> None:
    pixels = np.full((10, 10, 3), 255, np.uint8)
    pixels[5, 5] = (250, 230, 60)
    assert to_gray(pixels)[5, 5] < 150 < cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[5, 5]


@pytest.mark.parametrize(
    ("size", "scale"), [((2480, 3508), 1.0), ((4960, 7016), 3600 / 7016), ((175, 58), 3.0)]
)
def test_working_scale(size: tuple[int, int], scale: float) -> None:
    assert working_scale(*size) == pytest.approx(scale)


def test_boxes_come_back_to_the_original_page_at_any_size() -> None:
    large = cv2.resize(with_stroke(paper()), None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
    cleaned = clean(page(np.asarray(large, np.uint8)))
    ys, xs = np.nonzero(cleaned.mask)
    box = Box(int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    mask = cleaned.mask[box.y : box.bottom, box.x : box.right]
    back = cleaned.original_box(box, mask, large.shape[1], large.shape[0])
    assert (back.x, back.y) == pytest.approx((STROKE.x * 6, STROKE.y * 6), abs=8)
    assert (back.width, back.height) == pytest.approx((STROKE.width * 6, STROKE.height * 6), abs=12)


def test_turning_maps_back_to_where_it_came_from() -> None:
    contrast = np.zeros((300, 400), np.uint8)
    contrast[100:104, 320:324] = 255
    turned, to_working = turn(contrast, 10.0)
    y, x = np.unravel_index(int(turned.argmax()), turned.shape)
    assert to_working @ np.array([x, y, 1.0]) == pytest.approx((321.5, 101.5), abs=2)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_of_a_turned_page_lie_on_the_page_as_it_came(turns: int) -> None:
    cleaned = clean(page(with_stroke(paper())), turns)
    ys, xs = np.nonzero(cleaned.mask)
    box = Box(int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    assert (box.width > box.height) == (turns % 2 == 1)
    mask = cleaned.mask[box.y : box.bottom, box.x : box.right]
    assert cleaned.original_box(box, mask, 800, 600) == STROKE
    assert cleaned.skew_degrees == [0, -90, 180, 90][turns]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 255))
def test_no_size_is_too_small(height: int, width: int, level: int) -> None:
    cleaned = clean(page(np.full((height, width), level, np.uint8)))
    assert cleaned.mask.dtype == np.bool_
    assert cleaned.ink.shape == cleaned.mask.shape


def test_contrast_is_a_share_of_the_paper() -> None:
    contrast = flatten(with_stroke(paper(level=200), 0.5))
    assert contrast[200, 305] / BLACK == pytest.approx(0.5, abs=0.03)
    assert contrast[50, 50] == 0


def test_fine_gray_lines_are_taken_out_whole_and_divide() -> None:
    """Lines as fine as these fall between the pixels: some of their parts are ink, and others are not."""
    fine = np.full((2400, 3200), 230, np.float32)
    for x in range(301, 2800, 400):
        fine[400:1200, x + 1 : x + 5] = 150
    for y in (400, 1198):
        fine[y : y + 4, 301:2705] = 150
    for x in range(500, 2700, 400):
        cv2.ellipse(fine, (x, 800), (90, 160), 0, 0, 360, 30.0, 24)
    image = cv2.warpAffine(
        cv2.resize(fine, (800, 600), interpolation=cv2.INTER_AREA),
        np.array([[1, 0.002, 0], [0.002, 1, 0]]),
        (800, 600),
        flags=cv2.INTER_LINEAR,
        borderValue=230,
    )
    cleaned = clean(page(image.astype(np.uint8)))
    assert cv2.connectedComponents(cleaned.mask.view(np.uint8))[0] - 1 == 6
    between = cleaned.dividers[170:230]
    assert np.median(np.flatnonzero(between.any(axis=0))) > 0
    for x in range(175, 700, 100):
        assert between[:, x - 4 : x + 8].any(axis=1).mean() > 0.8


def printed(sheet: Sheet) -> None:
    words = "Goods received", "Returned empties", "Please write clearly with a dark pen", "Mileage at start"
    for place, text in enumerate((*words, "Vehicle", "Customer number", "All items together")):
        sheet.print_text(8, 10 + 9 * place, text)


@pytest.mark.parametrize("dpi", [75, 150])
def test_words_of_small_print_are_no_lines(dpi: float) -> None:
    """Their heads, bars and feet run together in rows; what they lost as lines was read as digits."""
    sheet = render_sheet((100, 80), printed, handwriting.load(SAMPLE), 1, dpi=dpi, look=Look(blur_mm=0.08))
    cleaned = clean(page(sheet.pixels))
    assert cleaned.mask.sum() > 10 * (cleaned.rulings | cleaned.dividers).sum()
