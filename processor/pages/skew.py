"""Skew: the angle by which lines of writing and ruled lines climb across the page."""

import cv2
import numpy as np

from processor.records import Mask
from processor.stages import stage

WIDEST_DEGREES = 15.0
SIDE = 800
"""The profile is taken at this size: half a degree still moves a line's end by several pixels."""

SHARPER = 1.3
"""The best angle must be so much sharper than no turn at all; scattered digits have no lines to follow."""

FEWEST_MARKS = 12
LONG_LINE = 0.4
"""So many marks, or one as long as this share of the page, make a direction; fewer lie in any."""

LEAST_DEGREES = 0.3
"""Smaller turns cost a resampling and change nothing."""


@stage("skew")
def estimate_skew(mask: Mask) -> float:
    """Degrees by which the lines of `mask` (H, W) sink to the right (image axes); 0.0 where no lines show.

    Projection profile (Postl, 1986): rows of the rightly turned page are either full or empty. Fails on pages
    with a handful of marks, which therefore stay as they are.
    """
    height, width = mask.shape
    scale = min(1.0, SIDE / max(height, width))
    if min(height, width) * scale < 150:
        return 0.0
    small = cv2.resize(mask.view(np.uint8) * 255, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) > 64
    if not _has_direction(small):
        return 0.0
    y, x = np.nonzero(small)
    points = np.stack([x, y], axis=1).astype(np.float32)
    coarse = np.arange(-WIDEST_DEGREES, WIDEST_DEGREES + 0.01, 1.0)
    best = _sharpest(points, coarse)
    best = _sharpest(points, best + np.arange(-0.9, 0.91, 0.1))
    gain = _sharpness(points, best) / max(_sharpness(points, 0.0), 1e-9)
    return round(best, 2) if abs(best) >= LEAST_DEGREES and gain >= SHARPER else 0.0


def _has_direction(small: Mask) -> bool:
    _, _, stats, _ = cv2.connectedComponentsWithStats(small.view(np.uint8), connectivity=8)
    sides = stats[1:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max(axis=1)
    return bool((sides >= 6).sum() >= FEWEST_MARKS or (sides > LONG_LINE * small.shape[1]).any())


def _sharpest(points: np.ndarray, angles: np.ndarray) -> float:
    return float(max(angles, key=lambda angle: _sharpness(points, float(angle))))


def _sharpness(points: np.ndarray, degrees: float) -> float:
    """Sum of squared differences of the row profile after turning back by `degrees`, per unit of ink."""
    radians = np.deg2rad(degrees)
    rows = points[:, 1] * np.cos(radians) - points[:, 0] * np.sin(radians)
    profile = np.bincount((rows - rows.min()).astype(np.int64)).astype(np.float64)
    return float(np.square(np.diff(profile)).sum() / len(points))
