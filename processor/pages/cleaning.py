"""Cleaning: from a decoded page to ink on white, without a fixed threshold anywhere.

Light is flattened by a morphological background (closing), noise and stroke contrast are measured on the
page itself, and every threshold is a share of what was measured.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.components import find_components
from processor.pages.frames import remove_frames
from processor.pages.ink import find_ink, on_this_side, soft_ink
from processor.pages.rulings import remove_rulings, typical_height
from processor.pages.scaling import halved, is_large, resize, working_scale
from processor.pages.sheets import find_sheet, flat
from processor.pages.skew import estimate_skew
from processor.pages.thresholds import BLACK, STRIP, at_least, binarise, share, thresholds
from processor.records import Box, Gray, Mask, Page
from processor.stages import stage

Pixel = TypeVar("Pixel", bound=np.generic)

LONG = 1600
"""The skew of a page with a longer side than this, in pixels, is estimated at half its size."""

LIGHT_SHEET = 0.3
"""A dark page of whose light parts less than this share is wider than a stroke is white on black."""

DARKEST_PAPER = 16.0
DARKEST_IN_NOISE = 60.0
"""On paper darker than so many gray levels, or than this multiple of the noise, contrast counts for less."""

FAINT_LINE = 0.6
"""Fine lines break up where ink begins; what reaches this share of the limit still continues them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPage:
    """Ink on white, upright, without ruled lines, on the working grid.

    `ink` is (H, W) uint8, 255 = full ink; `mask` is (H, W) bool, the pixels that are writing; `dividers` and
    `rulings` are those of the upright and the level lines that were taken out, `frames` those of boxes and of
    combs. `digit_height` is the typical height of a mark in pixels.
    `to_original` is the (3, 3) homography from the working grid to the original page; `skew_degrees` is by
    how much the lines of writing sink to the right there, -180 to 180: 90 or -90 on a page that lies on its
    side; `scale` is working pixels per original pixel.
    """

    ink: Gray
    mask: Mask
    dividers: Mask
    rulings: Mask
    frames: Mask
    digit_height: float
    to_original: NDArray[np.float64]
    skew_degrees: float
    scale: float

    def original_box(self, box: Box, mask: Mask, width: int, height: int) -> Box:
        """The smallest box on the original page (`width` × `height` px) around the ink `mask` at `box`."""
        rows = np.flatnonzero(mask.any(axis=1))
        first = mask[rows].argmax(axis=1)
        last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
        x = np.concatenate([first, last, first, last]) + box.x
        y = np.concatenate([rows, rows, rows + 1, rows + 1]) + box.y
        moved = moved_by(self.to_original, np.stack([x, y], axis=1).astype(np.float64))
        low = np.clip(np.floor(moved.min(axis=0) + 1e-6), 0, (width - 1, height - 1)).astype(int)
        high = np.clip(np.ceil(moved.max(axis=0) - 1e-6), low + 1, (width, height)).astype(int)
        return Box(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


@stage("sheet and size")
def clean(page: Page, quarter_turns: int = 0) -> CleanPage:
    """Flattens light, sets polarity, turns skew back, marks the ink of `page` and takes ruled lines out.

    A photographed sheet is cut out of its surroundings and seen from above. The page is first turned
    clockwise by so many `quarter_turns`.
    """
    scale = working_scale(page.width, page.height, page.reduced)
    gray = resize(to_gray(page.pixels), scale * page.reduced)
    gray, to_original = turn_quarters(gray, quarter_turns)
    to_original = np.diag([1 / scale, 1 / scale, 1.0]) @ to_original
    corners = find_sheet(gray)
    if corners is not None:
        gray, back = flat(gray, corners)
        to_original = to_original @ back
    contrast = flatten(upright_polarity(gray))
    skew = estimate_skew(binarise(_reduced(contrast)))
    if skew:
        contrast, to_working = turn(contrast, skew)
        to_original = to_original @ np.vstack([to_working, [0, 0, 1]])
    ink, faint = _ink_of(contrast)
    mask = on_this_side(contrast, ink)
    marks = find_components(mask)
    framed = remove_frames(mask, marks)
    if framed.writing is not mask:
        marks = find_components(framed.writing)
    height = typical_height(marks)
    # Labels of a page are four times as large as the page.
    del marks
    ruled = remove_rulings(framed.writing, height, faint)
    if ruled.writing is not framed.writing:
        height = typical_height(find_components(ruled.writing))
    return CleanPage(
        ink=framed.erased_from(soft_ink(contrast, ruled.writing)),
        mask=ruled.writing,
        dividers=ruled.upright | framed.dividers,
        rulings=ruled.horizontal | framed.level,
        frames=framed.level | framed.walls,
        digit_height=height,
        to_original=to_original,
        skew_degrees=_sinking(to_original, mask.shape),
        scale=scale,
    )


def _ink_of(contrast: Gray) -> tuple[Mask, Mask]:
    """(H, W) of `contrast`: what is ink, and what may be a ruled line that is fainter."""
    limits = thresholds(contrast)
    faint = np.asarray(contrast > share(limits.ink, FAINT_LINE), np.bool_)
    return find_ink(contrast, limits), faint


def _reduced(contrast: Gray) -> Gray:
    """`contrast` at half its size, where that is large enough to tell the direction of its lines."""
    return halved(contrast) if max(contrast.shape) >= LONG else contrast


def moved_by(homography: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`points` (N, 2) under a (3, 3) `homography`."""
    moved = points @ homography[:2, :2].T + homography[:2, 2]
    depth = points @ homography[2, :2] + homography[2, 2]
    return np.asarray(moved / depth[:, None], np.float64)


def turn_quarters(gray: Gray, clockwise: int) -> tuple[Gray, NDArray[np.float64]]:
    """`gray` (H, W) turned by so many quarters, and the (3, 3) map from there back, in pixels' edges."""
    back = np.eye(3)
    for _ in range(clockwise % 4):
        back = back @ np.array([[0, 1, 0], [-1, 0, gray.shape[0]], [0, 0, 1]], np.float64)
        gray = np.rot90(gray, -1)
    return np.ascontiguousarray(gray), back


def _sinking(to_original: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Degrees by which what is level on a working grid of `shape` sinks to the right on the original page."""
    x, y = shape[1] / 2, shape[0] / 2
    (x0, y0), (x1, y1) = moved_by(to_original, np.array([[x, y], [x + 1, y]]))
    return round(float(np.degrees(np.arctan2(y1 - y0, x1 - x0))), 2) + 0.0


def turn(contrast: Gray, degrees: float) -> tuple[Gray, NDArray[np.float64]]:
    """`contrast` (H, W) with lines that sink by `degrees` made level, on a grid that holds all of it.

    Also gives the (2, 3) map from the new grid back to the old one.
    """
    height, width = contrast.shape
    there = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cos, sin = abs(there[0, 0]), abs(there[0, 1])
    size = (int(np.ceil(width * cos + height * sin)), int(np.ceil(width * sin + height * cos)))
    there[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = cv2.warpAffine(contrast, there, size, flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(turned, np.uint8), np.asarray(cv2.invertAffineTransform(there), np.float64)


def to_gray(pixels: NDArray[np.uint8]) -> Gray:
    """(H, W) or (H, W, 3) RGB to (H, W): halfway between luma and the darkest channel.

    Luma alone loses yellow and light red ink, the darkest channel alone carries JPEG's colour noise.
    """
    if pixels.ndim == 2:
        return pixels
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    red, green, blue = cv2.split(pixels)
    darkest = cv2.min(cv2.min(red, green), blue)
    return np.asarray(cv2.addWeighted(luma, 0.5, darkest, 0.5, 0), np.uint8)


def upright_polarity(gray: Gray) -> Gray:
    """`gray` with dark strokes on light paper: turned where a dark page's light parts are all strokes.

    What survives an opening is no stroke: a sheet of paper on a dark desk stays as it is.
    """
    small = halved(halved(gray)) if min(gray.shape) > 400 else gray
    low, high, _, _ = cv2.minMaxLoc(cv2.blur(small, (3, 3)))
    middle = (low + high) / 2
    if np.median(small) >= middle:
        return gray
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, _square(background_window(small.shape)))
    strokes_only = (opened > middle).mean() < LIGHT_SHEET * (small > middle).mean()
    return np.asarray(255 - gray, np.uint8) if strokes_only else gray


def _square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), np.uint8)


def background_window(shape: tuple[int, ...]) -> int:
    """Odd side, in pixels, of a window wider than any stroke: a twentieth of a page, a quarter of a strip."""
    height, width = shape
    strip = 0.25 * min(height, width) if min(height, width) < STRIP else 0.0
    return int(max(15, 0.05 * (height * width) ** 0.5, min(40, strip))) | 1


@stage("light")
def flatten(gray: Gray) -> Gray:
    """Contrast of each pixel against its paper: (H, W), 0 = paper, 255 = black on white.

    The paper is a closing (Gonzalez & Woods, bottom-hat): it keeps hard edges of shadows, which a blurred
    background turns into false ink. Dark areas wider than the window count as paper.
    It is taken of the smoothed page, which grain brightens less, and of the page itself with sharp edges.
    """
    paper = cv2.min(_closed(np.asarray(cv2.GaussianBlur(gray, (3, 3), 0), np.uint8)), _closed(gray))
    light = at_least(np.asarray(paper, np.uint8), max(DARKEST_PAPER, DARKEST_IN_NOISE * _noise(gray)))
    return np.asarray(cv2.divide(cv2.subtract(paper, gray), light, scale=BLACK), np.uint8)


def _closed(gray: Gray) -> Gray:
    """The closing of `gray` (H, W) by the window of its background.

    On a large page it is taken of the lightest of each two by two pixels, an eighth of the work.
    """
    side = background_window(gray.shape)
    if not is_large(gray.shape):
        return np.asarray(cv2.morphologyEx(gray, cv2.MORPH_CLOSE, _square(side)), np.uint8)
    lightest = cv2.dilate(gray, _square(2), anchor=(0, 0))[::2, ::2]
    closed = cv2.morphologyEx(lightest, cv2.MORPH_CLOSE, _square(side // 2 | 1))
    doubled = cv2.resize(closed, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.asarray(doubled[: gray.shape[0], : gray.shape[1]], np.uint8)


def _noise(gray: Gray) -> float:
    """Standard deviation of the camera's noise in gray levels, from 1.8 median differences to a mean.

    1.48 for a normal distribution, and a fifth more that is lost to the mean of three neighbours.
    """
    rows = gray[:: max(1, gray.shape[0] // 200)].astype(np.float32)
    return 1.8 * float(np.median(np.abs(rows - cv2.blur(rows, (3, 1)))))
