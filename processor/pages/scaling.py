"""Scaling: the size at which pages are worked on, and how they are brought to it."""

import cv2
import numpy as np

from processor.records import Gray

LONGEST_SIDE = 3600
"""Working size in pixels, A4 at 300 dpi; larger pages are reduced to it."""

LARGE = 2000
"""Pages whose shorter side is at least so long, in pixels, as that of A4 is at 240 dpi, are large."""

SMALL_AREA = 400 * 300
"""Smaller cut-outs (in square pixels) are enlarged: strokes of 2 px break under morphology."""


def working_scale(width: int, height: int, reduced: int = 1) -> float:
    """Working pixels per original pixel; no more than there are where the page was `reduced` by a factor."""
    if reduced > 1:
        return min(1 / reduced, LONGEST_SIDE / max(width, height))
    if width * height <= SMALL_AREA // 4:
        return 3.0
    if width * height <= SMALL_AREA:
        return 2.0
    return min(1.0, LONGEST_SIDE / max(width, height))


def resize(gray: Gray, scale: float) -> Gray:
    """`gray` resampled by `scale`: area means when shrinking, cubic when enlarging."""
    if scale == 1.0:
        return gray
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
    return np.asarray(cv2.resize(gray, size, interpolation=how), np.uint8)


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether light and strokes of a page of this `shape` are measured at half its size."""
    return min(shape) >= LARGE


def halved(gray: Gray) -> Gray:
    """The means of each two by two pixels of `gray` (H, W); by far the fastest way to a smaller page."""
    return np.asarray(cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
