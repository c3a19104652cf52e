"""Sizes: how high the digits about a line are, where figures of several sizes stand on one page.

The page's digit height is that of most of its marks. Small figures beside large ones would be specks to it;
what tells them from specks is that they stand in a row, all alike, or far from all they could be a piece of.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processor.records import Box

SMALL_PRINT = 0.35
"""Lower than this share of the page's digits, marks have to show that they were written."""

ROW = 5
ALIKE = 0.2
"""So many marks, whose heights have no more than this share as standard deviation, are no row of grain."""

HIGH = 0.5
"""Marks as high as this share of the highest of their line measure it."""

FEET = 0.25
REACH = 12.0
"""In a line's row stand marks whose feet differ from its own by at most so many of its heights, and which are
at most so many away."""

ALONE = 0.35
"""Points, commas and crumbs of a larger mark stand at most so many of its heights from it."""


def characters(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those of a line's `heights` (N,), in pixels, that measure it: points and dashes are lower."""
    return np.asarray(heights[heights >= HIGH * heights.max()], np.float64)


def is_row(heights: NDArray[np.float64]) -> bool:
    """Whether marks of such `heights` (N,) were written, however small: grain is less even."""
    return len(heights) >= ROW and float(heights.std()) <= ALIKE * float(heights.mean())


def digit_heights(
    groups: Sequence[Sequence[int]], boxes: Sequence[Box], page_digit_height: float, legible: float = math.inf
) -> list[float]:
    """The height in pixels of the digits about each of the lines `groups`, which are indices of `boxes`.

    It is that of the page's digits but for lines of far smaller marks, in whose row stand enough others like
    them, or that are at least `legible` px high and stand alone. Fails on dirt of that size, which is left to
    the networks.
    """
    found = [page_digit_height] * len(groups)
    table = np.array([(b.x, b.y, b.right, b.bottom) for b in boxes], np.float64).reshape(-1, 4)
    for number, group in enumerate(groups):
        # Most lines are not small, and cost no more than this.
        if HIGH * max(boxes[i].height for i in group) >= SMALL_PRINT * page_digit_height:
            continue
        line = table[list(group)]
        height = float(np.median(characters(line[:, 3] - line[:, 1])))
        if height >= SMALL_PRINT * page_digit_height:
            continue
        if is_row(_row(line, table, height)) or (height >= legible and _is_alone(line, table, height)):
            found[number] = height
    return found


def _row(line: NDArray[np.float64], table: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """The heights (N,) of what stands in the row of a `line` (n, 4), of all marks of the `table` (M, 4).

    Both are left, top, right, bottom; the line is `height` px high.
    """
    heights = table[:, 3] - table[:, 1]
    high = line[line[:, 3] - line[:, 1] >= HIGH * height]
    level = np.abs(table[:, 3] - np.median(high[:, 3])) <= FEET * height
    near = np.maximum(table[:, 0] - line[:, 2].max(), line[:, 0].min() - table[:, 2]) <= REACH * height
    alike = (heights >= HIGH * height) & (heights <= height / HIGH)
    return np.asarray(heights[level & near & alike], np.float64)


def _is_alone(line: NDArray[np.float64], table: NDArray[np.float64], height: float) -> bool:
    """Whether no larger mark of the `table` (M, 4) stands about a `line` (n, 4), `height` px high."""
    heights = table[:, 3] - table[:, 1]
    across = np.maximum(table[:, 0] - line[:, 2].max(), line[:, 0].min() - table[:, 2])
    down = np.maximum(table[:, 1] - line[:, 3].max(), line[:, 1].min() - table[:, 3])
    larger = heights > height / HIGH
    return not bool((larger & (np.maximum(across, down) <= ALONE * heights)).any())
