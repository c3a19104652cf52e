"""Photographed sheets: a clear outline is undone, everything else stays as it is, and places come back."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from processor.pages.cleaning import clean, moved_by
from processor.pages.sheets import find_sheet, flat
from processor.records import Box, Gray, Page

SIZE = 600, 840
DESK = 70

OUTLINES = {
    "from above": [(100, 80), (700, 80), (700, 920), (100, 920)],
    "from below": [(210, 90), (620, 100), (760, 950), (60, 930)],
    "from the left": [(60, 60), (660, 210), (690, 830), (90, 960)],
    "turned": [(200, 40), (770, 180), (590, 970), (30, 830)],
}


def sheet() -> Gray:
    """A sheet with a digit-sized upright stroke, and a line ruled across it."""
    gray = np.full(SIZE[::-1], 235, np.uint8)
    gray[300:340, 200:206] = 30
    gray[600:603, 60:540] = 30
    return gray


def photograph(
    corners: list[tuple[int, int]], *, desk: int = DESK, paper: Gray | None = None
) -> tuple[Gray, NDArray[np.float64]]:
    """The sheet lying on a desk, and where its points went."""
    width, height = SIZE
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    there = cv2.getPerspectiveTransform(frame - 0.5, np.array(corners, np.float32) - 0.5)
    seen = np.full((1000, 800), desk, np.uint8)
    cv2.warpPerspective(
        sheet() if paper is None else paper, there, (800, 1000), seen, borderMode=cv2.BORDER_TRANSPARENT
    )
    noise = np.random.default_rng(0).normal(0, 2, seen.shape)
    return np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8), np.asarray(there, np.float64)


def box_of(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


@pytest.mark.parametrize("name", OUTLINES)
def test_the_corners_of_a_sheet_are_found(name: str) -> None:
    corners = find_sheet(photograph(OUTLINES[name])[0])
    assert corners is not None
    assert corners == pytest.approx(np.array(OUTLINES[name], float), abs=2.5)


@pytest.mark.parametrize("larger", [1, 4])
def test_corners_scale_with_the_photograph(larger: int) -> None:
    gray, _ = photograph(OUTLINES["from below"])
    corners = find_sheet(
        np.asarray(cv2.resize(gray, None, fx=larger, fy=larger, interpolation=cv2.INTER_LINEAR), np.uint8)
    )
    assert corners is not None
    assert corners / larger == pytest.approx(np.array(OUTLINES["from below"], float), abs=2.5)


def test_a_shadow_across_sheet_and_desk_hides_no_sheet() -> None:
    gray, _ = photograph(OUTLINES["from below"])
    shade = np.full(gray.shape, 1.0, np.float32)
    cv2.fillPoly(shade, [np.array([[0, 620], [800, 480], [800, 1000], [0, 1000]])], 0.55)
    corners = find_sheet((gray * cv2.GaussianBlur(shade, (0, 0), 30)).astype(np.uint8))
    assert corners is not None
    assert corners == pytest.approx(np.array(OUTLINES["from below"], float), abs=4)


def test_a_scan_has_no_outline() -> None:
    scan = cv2.copyMakeBorder(sheet(), 90, 90, 90, 90, cv2.BORDER_CONSTANT, value=235)
    assert find_sheet(np.asarray(scan, np.uint8)) is None


def test_a_white_field_on_tinted_paper_is_no_sheet() -> None:
    assert find_sheet(photograph(OUTLINES["from above"], desk=205)[0]) is None


def test_a_sheet_that_the_image_cuts_off_stays() -> None:
    gray, _ = photograph(OUTLINES["from below"])
    assert find_sheet(np.ascontiguousarray(gray[:900])) is None
    assert find_sheet(np.ascontiguousarray(gray[:, 80:])) is None


def test_one_of_two_sheets_is_not_cut_out() -> None:
    gray, _ = photograph([(30, 60), (520, 60), (520, 960), (30, 960)])
    assert find_sheet(gray) is not None
    gray[200:800, 560:760] = 235
    assert find_sheet(gray) is None


def test_a_round_or_small_or_dark_thing_is_no_sheet() -> None:
    plate = np.full((1000, 800), DESK, np.uint8)
    cv2.ellipse(plate, (400, 500), (360, 460), 0, 0, 360, 235, -1)
    assert find_sheet(plate) is None
    label = np.full((1000, 800), DESK, np.uint8)
    label[300:700, 200:600] = 235
    assert find_sheet(label) is None
    assert find_sheet(np.asarray(255 - photograph(OUTLINES["from above"])[0], np.uint8)) is None


def test_a_cut_out_is_no_photograph() -> None:
    gray, _ = photograph(OUTLINES["from above"])
    assert find_sheet(np.asarray(cv2.resize(gray, (300, 375)), np.uint8)) is None


@pytest.mark.parametrize("name", OUTLINES)
def test_a_sheet_seen_from_above_has_its_shape_back(name: str) -> None:
    gray, _ = photograph(OUTLINES[name])
    seen, back = flat(gray, np.array(OUTLINES[name], float))
    level = np.flatnonzero((seen < 130).mean(axis=1) > 0.6)
    assert 1 <= len(level) <= 10, "the ruled line lies in few rows"
    assert np.median(seen, axis=1)[[0, -1]].min() > 200, "no desk shows at its edges"
    height, width = seen.shape
    ends = moved_by(back, np.array([[0, 0], [width, 0], [width, height], [0, height]], float))
    assert ends == pytest.approx(np.array(OUTLINES[name], float), abs=6)


@pytest.mark.parametrize("name", OUTLINES)
def test_boxes_lie_on_the_photograph_as_it_came(name: str) -> None:
    gray, there = photograph(OUTLINES[name])
    cleaned = clean(Page(number=1, pixels=gray, dpi=None))
    found = box_of(cleaned.mask)
    inside = cleaned.mask[found.y : found.bottom, found.x : found.right]
    back = cleaned.original_box(found, inside, 800, 1000)
    stroke = np.array([[200, 300], [206, 300], [206, 340], [200, 340]], float)
    true = moved_by(there, stroke - 0.5) + 0.5
    assert (back.x, back.y) == pytest.approx(true.min(axis=0), abs=3)
    assert (back.right, back.bottom) == pytest.approx(true.max(axis=0), abs=3)


def test_a_sheet_turned_on_the_desk_says_by_how_much() -> None:
    gray, _ = photograph(OUTLINES["turned"])
    cleaned = clean(Page(number=1, pixels=gray, dpi=None))
    assert cleaned.skew_degrees == pytest.approx(np.degrees(np.arctan2(140, 570)), abs=0.7)
