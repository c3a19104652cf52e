"""Ink: which of a page's contrast is writing, and which is grain or shines through from the other side."""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.components import find_components
from processor.pages.thresholds import BLACK, STRIP, Thresholds, neighbourhood, runs, share, square
from processor.records import Gray, Mask
from processor.stages import stage

DARK_SHARE = 0.35
"""What continues a stroke more faintly stays where so much of the whole mark is ink,"""

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


@stage("ink")
def find_ink(contrast: Gray, limits: Thresholds) -> Mask:
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
        core = cv2.erode(weak.view(np.uint8), square(3))
        wide = np.bincount(found.at[core[found.y, found.x] > 0], minlength=found.count)
        above = contrast[found.y, found.x].astype(np.float32) - limits.base
        clear = above > ABOVE_GRAIN * limits.paper[found.y, found.x]
        clear_area = np.bincount(found.at[clear], minlength=found.count)
        kept |= (wide <= FINE_CORE * found.areas) & (clear_area >= DARK_SHARE * found.areas)
    stays = kept[found.at]
    ink[found.y[stays], found.x[stays]] = True
    return ink


@stage("other side of the paper")
def on_this_side(contrast: Gray, ink: Mask) -> Mask:
    """`ink` (H, W) without what shines through from the paper's other side.

    Such marks are both fainter and less sharp than the writing: the paper has blurred them. Where they cross
    a ruled line they are as dark as the line, so that place does not count. Fails where they touch writing.
    """
    if min(contrast.shape) < STRIP or not ink.any():
        return ink
    lines = runs(ink.view(np.uint8), neighbourhood(contrast.shape))
    writing = ink & (lines == 0)
    found = find_components(writing)
    at_line = cv2.dilate(lines, square(LINE_EDGE))
    clear = at_line[found.y, found.x] == 0
    x, y, at = found.x[clear], found.y[clear], found.at[clear]
    area = np.bincount(at, minlength=found.count)
    core = np.bincount(at, contrast[y, x], found.count) / np.maximum(area, 1)
    faint = (area > 0) & (core < FAINT_MARK * _core_of(contrast, ink))
    if not faint.any():
        return ink
    edge = cv2.erode(ink.view(np.uint8), square(3))[y, x] == 0
    x, y, at = x[edge], y[edge], at[edge]
    rise = np.bincount(at, _steepest(contrast, x, y), found.count)
    edges = np.bincount(at, minlength=found.count)
    sharpness = rise / np.maximum(edges * core, 1e-6)
    here = sharpness[~faint & (edges >= LEAST_EDGE)]
    limit = BLURRED * float(np.percentile(here, 10)) if here.size else 0.0
    beyond = (faint & (sharpness < limit))[found.at]
    on_this = ink.copy()
    on_this[found.y[beyond], found.x[beyond]] = False
    return on_this


def _steepest(contrast: Gray, x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.float64]:
    """(N,) by how much `contrast` (H, W) rises a pixel, at most, on or next to each place `x`, `y`."""
    across, down = (cv2.Sobel(contrast, cv2.CV_16S, x, 1 - x) for x in (1, 0))
    steepest = np.zeros(len(x))
    for right, below in itertools.product((-1, 0, 1), repeat=2):
        at = (np.clip(y + below, 0, contrast.shape[0] - 1), np.clip(x + right, 0, contrast.shape[1] - 1))
        np.maximum(
            steepest,
            np.square(across[at], dtype=np.float64) + np.square(down[at], dtype=np.float64),
            out=steepest,
        )
    return np.sqrt(steepest) / 8


@stage("soft ink")
def soft_ink(contrast: Gray, mask: Mask) -> Gray:
    """(H, W) uint8: contrast scaled so that the strokes' core is 255, for cut-outs with soft edges."""
    core = _core_of(contrast, mask) if mask.any() else BLACK
    return share(contrast, BLACK / max(core, 1.0))


def _core_of(contrast: Gray, mask: Mask) -> float:
    """The contrast of the core of the strokes under `mask` (H, W): three quarters of the ink are paler."""
    levels = cv2.calcHist([contrast], [0], mask.view(np.uint8), [BLACK + 1], [0, BLACK + 1])
    below = np.cumsum(np.ravel(levels), dtype=np.float64)
    return float(np.searchsorted(below, 0.75 * below[-1]))
