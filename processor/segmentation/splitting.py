"""Splitting: where touching digits might be cut, as seams through the least ink; the network decides."""

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Mask
from processor.segmentation.blobs import Blob, crop

SIDESTEP = 0.35
"""Cost of a seam's sideways step, against 1 for a pixel of ink: seams follow the slant, but not far."""

PAPER = 0.01
"""Cost of a pixel of paper; keeps seams straight where several cost no ink."""

MOST_STROKES = 2.6
"""A seam may cross so many stroke widths of ink; digits that touch along more than that stay together."""

THICKEST = 0.4
"""A blob whose strokes are wider than this share of its height is a blot: it has no strokes to cut."""

MOST_PARTS = 14


def stroke_width(mask: Mask) -> float:
    """Mean stroke width in pixels of `mask` (H, W): twice the mean distance to paper along the middle."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    ridge = distance[distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 1e-6]
    ridge = ridge[ridge > 0]
    return float(2 * ridge.mean()) if ridge.size else 0.0


def split(blob: Blob, digit_height: float) -> list[Blob]:
    """`blob` cut along every plausible seam, its parts from left to right; [blob] where no seam is cheap.

    Over-segmentation (Casey and Lecolinet, 1996): digits are cut into several parts on purpose, since the
    lattice joins parts again, but cannot cut.
    """
    width = stroke_width(blob.mask)
    if width > THICKEST * blob.box.height:
        return [blob]
    seams = _seams(blob.mask, MOST_STROKES * width, spacing=max(3, round(0.2 * digit_height)))
    if not seams:
        return [blob]
    columns = np.arange(blob.mask.shape[1])
    least = max(6.0, 0.35 * width * width)
    parts: list[Blob] = []
    left = np.zeros(blob.mask.shape[0], np.int64)
    for seam in [*seams, np.full(blob.mask.shape[0], blob.mask.shape[1])]:
        part = crop(blob, (columns >= left[:, None]) & (columns < seam[:, None]))
        if part is not None and part.area >= least:
            parts.append(part)
            left = np.maximum(left, seam)
    return parts or [blob]


def _seams(mask: Mask, dearest: float, spacing: int) -> list[NDArray[np.int64]]:
    """Cheap top-to-bottom paths, each (H,) columns, left to right and at least `spacing` apart in the middle.

    Dynamic programming downwards and upwards to the middle row; a column there is a local minimum of the
    summed cost.
    """
    cost = np.where(mask, 1.0, PAPER)
    middle = cost.shape[0] // 2
    down, came_down = _accumulate(cost[: middle + 1])
    up, came_up = _accumulate(cost[middle:][::-1])
    through = down + up - cost[middle]
    seams = []
    for column in _minima(through, spacing):
        if through[column] > dearest:
            continue
        upper = _trace(came_down, column)[::-1]
        seams.append(np.concatenate([upper, _trace(came_up, column)[1:]]))
        if len(seams) == MOST_PARTS - 1:
            break
    return seams


def _accumulate(cost: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Cost of the best path from the first row to each column of the last, and the steps (-1, 0, 1) taken."""
    total = cost[0].copy()
    steps = np.zeros(cost.shape, np.int8)
    for row in range(1, len(cost)):
        padded = np.pad(total, 1, constant_values=np.inf)
        options = np.stack([padded[1:-1], padded[:-2] + SIDESTEP, padded[2:] + SIDESTEP])
        best = options.argmin(axis=0)
        steps[row] = np.array([0, -1, 1], np.int8)[best]
        total = options.min(axis=0) + cost[row]
    return total, steps


def _trace(steps: NDArray[np.int8], column: int) -> NDArray[np.int64]:
    """The columns of the path that ends in the last row at `column`, from the last row to the first."""
    path = np.empty(len(steps), np.int64)
    for i, row in enumerate(range(len(steps) - 1, -1, -1)):
        path[i] = column
        column += int(steps[row, column])
    return path


def _minima(values: NDArray[np.float64], spacing: int) -> list[int]:
    """Columns of the cheapest values, none nearer than `spacing` to a cheaper one or to the ends; sorted."""
    chosen: list[int] = []
    inner = range(spacing // 2, len(values) - spacing // 2)
    for column in sorted(inner, key=lambda c: (values[c], c)):
        if all(abs(column - other) >= spacing for other in chosen):
            chosen.append(column)
    return sorted(chosen)
