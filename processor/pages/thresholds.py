"""Thresholds: where on a page ink begins, every limit a share of what was measured on the page itself.

Contrast is counted in 255ths (0 = paper, 255 = black on white): as fine as scans are, in a quarter of what
floats take of memory and time.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from processor.pages.scaling import halved, is_large
from processor.records import Gray, Mask
from processor.stages import stage

Pixel = TypeVar("Pixel", bound=np.generic)

BLACK = 255
"""The contrast of black on white."""

LOWEST_CONTRAST = 0.06 * BLACK
"""Marks weaker than this are never ink (JPEG blocks, paper fibres)."""

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
"""Medians and quantiles of a page are taken of every third pixel of every third row,"""

ENOUGH = 1000
"""... but for those of its strokes, where that would leave fewer pixels than this."""

FEWEST = 8
"""Of fewer pixels there is no stroke."""

STRIP = 300
"""Pages lower or narrower than this, in pixels, are cut out around their writing: strokes are thick for them,
and windows little wider than a stroke."""

EDGE = 0.12
"""A stroke's blurred edge ends within this share of the window."""

RUN = 0.5
"""What runs straight over this share of the window, level or upright, is a ruled line."""

CONTINUES = 0.6
"""What reaches this share of the limit continues a stroke that is ink elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """Above which contrast there is `ink` (H, W), and what continues a `stroke`; `BLACK` on a blank page.

    `paper` (H, W) is what the paper's grain and print reach above its `base`; None where ink is all there is.
    """

    ink: Gray
    stroke: Gray
    paper: Gray | None = None
    base: int = 0


def binarise(contrast: Gray) -> Mask:
    """Ink pixels of `contrast` (H, W)."""
    return np.asarray(contrast > thresholds(contrast).ink, np.bool_)


@stage("contrast of the ink")
def thresholds(contrast: Gray) -> Thresholds:
    """Where ink begins in `contrast` (H, W): over grain, the page's faint limit, half of the stroke nearby.

    After Su, Lu and Tan (2010), who threshold against the local maximum. Grain is measured where it stands,
    strokes of a large page at half its size. Fails on bleed-through as dark as the writing.
    """
    window = neighbourhood(contrast.shape)
    base = int(np.median(_some(contrast)))
    grain = _grain(contrast, window, base)
    strong = _strong(contrast, grain, base)
    if strong.size < FEWEST:
        nowhere = np.full(contrast.shape, BLACK, np.uint8)
        return Thresholds(nowhere, nowhere)
    stroke = float(np.percentile(strong, 90))
    highest = TEXTURE_SHARE * stroke
    large = is_large(contrast.shape)
    if large:
        window = window // 2 | 1
    marks = _above(halved(contrast) if large else contrast, base)
    texture = _texture(_above(_some(contrast), base), marks > 0.6 * stroke, window)
    printed = max(LOWEST_CONTRAST, min(texture, highest))
    paper = at_least(np.minimum(_on(grain, marks.shape), np.uint8(max(printed, highest))), printed)
    lowest = at_least(paper, FAINT_SHARE * stroke)
    smooth = marks if large else _gray(cv2.blur(marks, (3, 3)))
    if min(contrast.shape) < STRIP:
        limit = _raised(np.maximum(_half_of_the_highest(smooth, window), lowest), base)
        return Thresholds(limit, limit)
    own, limit = _about_strokes(marks, smooth, lowest, window)
    weak = np.maximum(np.maximum(share(limit, CONTINUES), own), paper)
    ink, on_strokes, on_paper = (
        _on(levels, contrast.shape, cv2.INTER_NEAREST)
        for levels in (_raised(limit, base), _raised(weak, base), paper)
    )
    return Thresholds(ink, on_strokes, on_paper, base)


def _about_strokes(marks: Gray, smooth: Gray, lowest: Gray, window: int) -> tuple[Gray, Gray]:
    """The limits (H, W) that a mark's own stroke sets, and that the strokes about it do, `lowest` at least.

    Lines say nothing of how dark a stroke is: a pencil writes in boxes that are printed in black.
    """
    edge = int(max(7, EDGE * window)) | 1
    own = _half_of_the_highest(smooth, edge)
    above = np.maximum(lowest, own)
    lines = runs((marks > above).view(np.uint8), window)
    beside = smooth * (cv2.dilate(lines, square(edge // 2 | 1)) == 0)
    return own, np.maximum(_half_of_the_highest(beside, window), above)


def share(levels: MatLike, of: float) -> Gray:
    """So much of `levels` (H, W), in whole levels: what is above the one is above the other."""
    table = np.minimum(np.floor(np.arange(256) * of), BLACK)
    return _gray(cv2.LUT(levels, table.astype(np.uint8)))


def at_least(levels: Gray, least: float) -> Gray:
    """`levels` (H, W), none of them below `least`, in whole levels."""
    return np.maximum(levels, np.uint8(min(least, BLACK)))


def neighbourhood(shape: tuple[int, ...]) -> int:
    """Odd side, in pixels, of the window in which strokes are compared with each other."""
    return int(max(15, 0.05 * (shape[0] * shape[1]) ** 0.5)) | 1


def runs(ink: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """What runs straight in `ink` (H, W) of 0 and 1, level or upright, as ruled lines do."""
    run = max(9, round(RUN * window))
    level = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    upright = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((run, 1), np.uint8))
    return _gray(cv2.bitwise_or(level, upright))


def square(side: int) -> NDArray[np.uint8]:
    return np.ones((side, side), np.uint8)


def _above(levels: Gray, base: int) -> Gray:
    """By how much `levels` (H, W) stand out above the `base`."""
    return np.asarray(levels - np.minimum(levels, np.uint8(base)), np.uint8)


def _raised(levels: Gray, base: int) -> Gray:
    """`levels` (H, W) above the `base`, as contrast."""
    return np.asarray(np.minimum(levels, np.uint8(BLACK - base)) + np.uint8(base), np.uint8)


def _half_of_the_highest(contrast: Gray, side: int) -> Gray:
    """`STROKE_SHARE` of the highest of `contrast` (H, W) in a square of `side` pixels about each."""
    return share(cv2.dilate(contrast, square(side)), STROKE_SHARE)


def _grain(contrast: Gray, window: int, base: int) -> Gray:
    """What the bare paper's grain reaches above its `base`, on a coarse grid: its tone again.

    The tone is the median over windows. A closing lies on the brightest grains, so bare paper has contrast,
    about half of what its darkest grains reach; a dark desk beside the sheet has far more of it.
    """
    step = max(1, window // 8)
    sampled = np.ascontiguousarray(contrast[::step, ::step])
    tone = cv2.medianBlur(sampled, int(TONE_WINDOWS * window / step) | 1)
    return np.asarray(np.clip(GRAIN_FACTOR * tone.astype(np.float32) - base, 0, BLACK), np.uint8)


def _strong(contrast: Gray, grain: Gray, base: int) -> Gray:
    """(N,) by how much what stands out of the `grain` does so above the `base`."""
    for part in (_some(contrast), contrast):
        above = _above(part, base)
        strong = above[above > at_least(_on(grain, above.shape), LOWEST_CONTRAST)]
        if strong.size >= ENOUGH:
            break
    return strong


def _texture(some: Gray, strokes: Mask, window: int) -> float:
    """Contrast that the paper's print (security lines, creases) has in `some` pixels away from `strokes`."""
    near = _on(_gray(cv2.dilate(strokes.view(np.uint8), square(window // 3))), some.shape, cv2.INTER_NEAREST)
    away = some[near == 0]
    return float(np.percentile(away, 98.5)) if away.size > near.size // 50 else 0.0


def _some(page: NDArray[Pixel]) -> NDArray[Pixel]:
    """Enough of the pixels of `page` (H, W) to measure it by."""
    return page[::SAMPLED, ::SAMPLED] if min(page.shape) > 100 * SAMPLED else page


def _on(levels: Gray, shape: tuple[int, ...], how: int = cv2.INTER_LINEAR) -> Gray:
    """`levels` (h, w) on a page of another `shape`."""
    return levels if levels.shape == shape else _gray(cv2.resize(levels, shape[::-1], interpolation=how))


def _gray(page: MatLike) -> Gray:
    """What OpenCV gives for (H, W) uint8."""
    return np.asarray(page, np.uint8)
