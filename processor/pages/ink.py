"""Ink: which of a page's contrast is writing, without a fixed threshold anywhere.

Every limit is a share of what was measured: the strokes nearby, the paper's grain, the page's typical stroke.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.components import find_components
from processor.records import Gray, Mask
from processor.stages import stage

Pixel = TypeVar("Pixel", bound=np.generic)

STROKE_SHARE = 0.45
"""Ink is what reaches this share of the darkest stroke nearby."""

FAINT_SHARE = 0.22
"""Ink is what reaches this share of the page's typical stroke, wherever it stands."""

TONE_WINDOWS = 7
"""The paper's tone is taken over so many windows: less than half of that is ever ink."""

GRAIN_FACTOR = 2.0
"""What stands out of the paper by less than its own tone again is grain."""

TEXTURE_SHARE = 0.6
"""Printed texture raises the limit at most to this share of the stroke; darker texture is rejected later."""

SAMPLED = 3
"""Medians and quantiles of a page are taken of every third pixel of every third row."""

STRIP = 300
"""Pages lower or narrower than this, in pixels, are cut out around their writing: strokes are thick for them,
and windows little wider than a stroke."""

EDGE = 0.12
"""A stroke's blurred edge ends within this share of the window."""

RUN = 0.5
"""What runs straight over this share of the window, level or upright, is a ruled line."""

CONTINUES = 0.6
"""What reaches this share of the limit continues a stroke that is ink elsewhere ..."""

DARK_SHARE = 0.35
"""... if so much of the whole mark is ink,"""

FINE_CORE = 0.2
ABOVE_GRAIN = 2.0
"""... or, of a fine one, stands out of the paper by so many times the limit there: grain is fine, too. A fine
mark is three pixels wide in at most that share of its ink. The lens spreads a stroke as thin as a pixel over
several, so small figures are paler than large ones beside them."""

FAINT_MARK = 0.5
BLURRED = 0.75
LEAST_EDGE = 12
"""Marks with less than the one share of the ink's contrast, whose edges reach less than the other share of
the sharpness of the least sharp writing, shine through from the other side. Marks of fewer edge
pixels do not say how sharp writing is."""

LINE_EDGE = 7
"""What lies within half so many pixels of a ruled line may be the line."""

LOWEST_CONTRAST = 0.06
"""Marks weaker than this share of the paper's brightness are never ink (JPEG blocks, paper fibres)."""


def neighbourhood(shape: tuple[int, ...]) -> int:
    """Odd side, in pixels, of the window in which strokes are compared with each other."""
    return int(max(15, 0.05 * (shape[0] * shape[1]) ** 0.5)) | 1


def _square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Where ink begins (H, W) float32, and where what continues a stroke begins; infinite on a blank page.

    `paper` (H, W) is what the paper's grain and print reach above its `base`; None where ink is all there is.
    """

    ink: NDArray[np.float32]
    stroke: NDArray[np.float32]
    paper: NDArray[np.float32] | None = None
    base: float = 0.0


def binarise(contrast: NDArray[np.float32]) -> Mask:
    """Ink pixels of `contrast` (H, W)."""
    return np.asarray(contrast > ink_limits(contrast).ink, np.bool_)


@stage("ink")
def find_ink(contrast: NDArray[np.float32], limits: Limits) -> Mask:
    """Ink pixels of `contrast` (H, W), with what continues them more faintly: a pencil is pressed unevenly.

    Hysteresis (Canny, 1986): marks are what reaches the lower limit, and stay where enough of them is ink.
    """
    ink = np.asarray(contrast > limits.ink, np.bool_)
    if limits.stroke is limits.ink:
        return ink
    weak = (contrast > limits.stroke) | ink
    found = find_components(np.asarray(weak, np.bool_))
    dark = np.bincount(found.at[ink[found.y, found.x]], minlength=found.count)
    kept = dark >= DARK_SHARE * found.areas
    if limits.paper is not None:
        core = cv2.erode(weak.view(np.uint8), _square(3))
        wide = np.bincount(found.at[core[found.y, found.x] > 0], minlength=found.count)
        clear = contrast[found.y, found.x] - limits.base > ABOVE_GRAIN * limits.paper[found.y, found.x]
        clear_area = np.bincount(found.at[clear], minlength=found.count)
        kept |= (wide <= FINE_CORE * found.areas) & (clear_area >= DARK_SHARE * found.areas)
    kept[0] = False
    return np.asarray(ink | kept[found.labels], np.bool_)


@stage("other side of the paper")
def on_this_side(contrast: NDArray[np.float32], ink: Mask) -> Mask:
    """`ink` (H, W) without what shines through from the paper's other side.

    Such marks are both fainter and less sharp than the writing: the paper has blurred them. Where they cross
    a ruled line they are as dark as the line, so that place does not count. Fails where they touch writing.
    """
    if min(contrast.shape) < STRIP or not ink.any():
        return ink
    lines = _runs(ink.view(np.uint8), neighbourhood(contrast.shape))
    writing = ink & (lines == 0)
    count, labels = cv2.connectedComponents(writing.view(np.uint8), connectivity=8)
    clear = writing & (cv2.dilate(lines, _square(LINE_EDGE)) == 0)
    at = labels[clear]
    area = np.bincount(at, minlength=count)
    core = np.bincount(at, contrast[clear], count) / np.maximum(area, 1)
    faint = (area > 0) & (core < FAINT_MARK * float(np.percentile(contrast[ink], 75)))
    if not faint.any():
        return ink
    edge = clear & (cv2.erode(ink.view(np.uint8), _square(3)) == 0)
    at = labels[edge]
    rise = np.bincount(at, _steepest(contrast)[edge], count)
    edges = np.bincount(at, minlength=count)
    sharpness = rise / np.maximum(edges * core, 1e-6)
    here = sharpness[~faint & (edges >= LEAST_EDGE)]
    limit = BLURRED * float(np.percentile(here, 10)) if here.size else 0.0
    return np.asarray(ink & ~(faint & (sharpness < limit))[labels], np.bool_)


def _steepest(contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) by how much `contrast` rises a pixel, at most, on or next to each."""
    across, down = (cv2.Sobel(contrast, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    return np.asarray(cv2.dilate(cv2.magnitude(across, down), _square(3)), np.float32)


@stage("contrast of the ink")
def ink_limits(contrast: NDArray[np.float32]) -> Limits:
    """Where ink begins in `contrast` (H, W): over grain, the page's faint limit, half of the stroke nearby.

    After Su, Lu and Tan (2010), who threshold against the local maximum. Fails on bleed-through as dark as
    the writing.
    """
    window = neighbourhood(contrast.shape)
    base = float(np.median(_some(contrast)))
    contrast = contrast - base
    # Pages of floats are as large as no cache is: from here on they are worked on in place.
    grain = _paper_tone(contrast, window)
    grain += base
    grain *= GRAIN_FACTOR
    grain -= base
    strong = contrast[contrast > np.maximum(grain, LOWEST_CONTRAST)]
    if strong.size < 8:
        nowhere = np.full(contrast.shape, np.inf, np.float32)
        return Limits(nowhere, nowhere)
    stroke = float(np.percentile(strong, 90))
    highest = TEXTURE_SHARE * stroke
    printed = max(LOWEST_CONTRAST, min(texture(contrast, stroke, window), highest))
    paper = np.clip(grain, printed, max(printed, highest), out=grain)
    lowest = np.maximum(paper, np.float32(FAINT_SHARE * stroke))
    smooth = np.asarray(cv2.blur(contrast, (3, 3)), np.float32)
    if min(contrast.shape) < STRIP:
        limit = _half_of_the_highest(smooth, window)
        np.maximum(limit, lowest, out=limit)
        limit += np.float32(base)
        return Limits(limit, limit)
    edge = int(max(7, EDGE * window)) | 1
    own = _half_of_the_highest(smooth, edge)
    np.maximum(lowest, own, out=lowest)
    # Lines say nothing of how dark a stroke is: a pencil writes in boxes that are printed in black.
    lines = _runs((contrast > lowest).view(np.uint8), window)
    del contrast
    smooth[cv2.dilate(lines, _square(edge // 2 | 1)) > 0] = 0
    limit = _half_of_the_highest(smooth, window)
    np.maximum(limit, lowest, out=limit)
    weak = np.multiply(limit, np.float32(CONTINUES))
    for least in (own, paper):
        np.maximum(weak, least, out=weak)
    limit += np.float32(base)
    weak += np.float32(base)
    return Limits(limit, weak, paper, base)


def _half_of_the_highest(contrast: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """`STROKE_SHARE` of the highest of `contrast` (H, W) in a square of `side` pixels about each."""
    highest = np.asarray(cv2.dilate(contrast, _square(side)), np.float32)
    highest *= np.float32(STROKE_SHARE)
    return highest


def _runs(ink: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """What runs straight in `ink` (H, W) of 0 and 1, level or upright, as ruled lines do."""
    run = max(9, round(RUN * window))
    level = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    upright = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((run, 1), np.uint8))
    return np.asarray(cv2.bitwise_or(level, upright), np.uint8)


def _some(page: NDArray[Pixel]) -> NDArray[Pixel]:
    """Enough of the pixels of `page` (H, W) to measure it by."""
    return page[::SAMPLED, ::SAMPLED] if min(page.shape) > 100 * SAMPLED else page


def _paper_tone(contrast: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Contrast (H, W) of the bare paper around each pixel: the median over several windows.

    A closing lies on the brightest grains, so bare paper has contrast, about half of what its darkest grains
    reach; a dark desk beside the sheet has far more of it than the sheet.
    """
    step = max(1, window // 8)
    sampled = (contrast[::step, ::step] * 128 + 128).clip(0, 255).astype(np.uint8)
    tone = cv2.medianBlur(sampled, int(TONE_WINDOWS * window / step) | 1).astype(np.float32)
    return np.asarray(cv2.resize((tone - 128) / 128, contrast.shape[::-1]), np.float32)


def texture(contrast: NDArray[np.float32], stroke: float, window: int) -> float:
    """Contrast that the paper's print (security lines, creases) reaches away from the strokes."""
    near = _some(cv2.dilate((contrast > 0.6 * stroke).view(np.uint8), _square(window // 3)))
    away = _some(contrast)[near == 0]
    return float(np.percentile(away, 98.5)) if away.size > near.size // 50 else 0.0


@stage("soft ink")
def soft_ink(contrast: NDArray[np.float32], mask: Mask) -> Gray:
    """(H, W) uint8: contrast scaled so that the strokes' core is 255, for cut-outs with soft edges."""
    core = float(np.percentile(contrast[mask], 75)) if mask.any() else 1.0
    return np.asarray(np.clip(contrast * (255 / max(core, 1e-3)), 0, 255), np.uint8)
