"""Dotted lines: whether a small mark is one of a row of dots, and no point that somebody wrote."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Mask

REACH = 1.5
"""The row goes on beside the number, within so many digit heights: a neighbour's point is farther away."""

ROW = 3
"""So many other dots, beside the number, below it, and between its digits, are a row."""

LEVEL = 0.6
"""Dots of a row stand level, by at most this share of their height,"""

ALIKE = 1.7
"""... and are at most so many times larger or smaller."""

FINE = 3
"""Sizes of so few pixels may differ by one more."""


def is_in_row(mark: Box, digits: Sequence[Box], writing: Mask) -> bool:
    """Whether others like `mark`, which stands between `digits`, stand level with it about them.

    `writing` is the page's ink without ruled lines, (H, W). Fails on dots that run together, and where digits
    stand so close that none is left between them.
    """
    number = Box.around(digits)
    reach = round(REACH * float(np.median([box.height for box in digits])))
    above = round(LEVEL * mark.height) + 1
    band = writing[
        max(0, mark.y - above) : mark.bottom + above, max(0, number.x - reach) : number.right + reach
    ]
    return _alike(band, mark) > ROW


def _alike(band: Mask, mark: Box) -> int:
    """How many marks in `band` (h, w), itself too, are about as large as `mark`, and not cut by its edges."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(band.view(np.uint8), connectivity=8)
    sizes: NDArray[np.int64] = stats[1:count].astype(np.int64)
    inside = (sizes[:, cv2.CC_STAT_TOP] > 0) & (
        sizes[:, cv2.CC_STAT_TOP] + sizes[:, cv2.CC_STAT_HEIGHT] < band.shape[0]
    )
    wide = _like(sizes[:, cv2.CC_STAT_WIDTH], mark.width)
    return int((inside & wide & _like(sizes[:, cv2.CC_STAT_HEIGHT], mark.height)).sum())


def _like(sizes: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    larger = np.maximum(sizes, size)
    return np.asarray(larger - (larger <= FINE) <= ALIKE * np.minimum(sizes, size), np.bool_)
