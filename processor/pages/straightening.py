"""Straightening: one mark's lines made level and upright, whatever the slopes at which they were scanned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import Mask

LEAN = 0.08
MOST_STEPS = 24
"""Sides climb or lean by at most so many pixels a pixel, and so many in all: the page is level already."""

SAMPLED = 3000
"""The slopes are told by about so many pixels of a mark."""

FULL = 0.75
"""Rows of which so much of a mark's width is ink are level lines: they do not tell how its uprights lean."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Which pixel of a mark of `shape`, with a `margin` about it, each pixel of the straightened mark is."""

    source: NDArray[np.int32]
    margin: int
    shape: tuple[int, ...]

    @staticmethod
    def along_lines(mark: Mask) -> "Grid":
        """By the slopes after which rows and columns of `mark` (h, w) are full or empty (Postl, 1986)."""
        height, width = mark.shape
        y, x = np.nonzero(mark)
        some = slice(None, None, 1 + len(x) // SAMPLED)
        climb = _sharpest(y[some], x[some] - width / 2, width)
        level = y - np.rint(climb * (x - width / 2)).astype(np.int64)
        beside = np.bincount(level - level.min())[level - level.min()] < FULL * width
        x, level = x[beside], level[beside]
        some = slice(None, None, 1 + len(x) // SAMPLED)
        lean = _sharpest(x[some], level[some] - height / 2, height)
        margin = 3 + int(max(abs(climb) * width, abs(lean) * height))
        rows, wide = height + 2 * margin, np.int32(width + 2 * margin)
        down, right = np.ogrid[:rows, :wide]
        columns = right.astype(np.int32) + np.rint(lean * (down - rows / 2)).astype(np.int32)
        columns %= wide
        climbs = np.rint(climb * (np.arange(wide) - wide / 2)).astype(np.int32)
        source = climbs[columns]
        source += down.astype(np.int32)
        source %= np.int32(rows)
        source *= wide
        source += columns
        return Grid(source, margin, mark.shape)

    def straightened(self, mark: Mask) -> Mask:
        return np.asarray(np.pad(mark, self.margin).ravel()[self.source], np.bool_)

    def back(self, straight: NDArray[np.uint8]) -> NDArray[np.uint8]:
        full = np.zeros_like(straight)
        full.ravel()[self.source] = straight
        inner = np.s_[self.margin : self.margin + self.shape[0], self.margin : self.margin + self.shape[1]]
        return np.asarray(full[inner], np.uint8)


def _sharpest(across: NDArray[np.int64], along: NDArray[np.float64], length: int) -> float:
    """The slope at which points share the fewest values of `across`, moved along a side `length` px long."""
    steps = min(MOST_STEPS, int(LEAN * length))
    slopes = sorted((step / length for step in range(-steps, steps + 1)), key=abs)
    return max(slopes, key=lambda slope: _sharpness(across - np.rint(slope * along).astype(np.int64)))


def _sharpness(values: NDArray[np.int64]) -> float:
    return (
        float(np.square(np.bincount(values - values.min()).astype(np.float64)).sum()) if len(values) else 0.0
    )
