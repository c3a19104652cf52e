"""Components: the connected parts of a mask, measured where there is ink and not over the whole page."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Mask

_BEYOND = 1 << 30
"""Farther right or down than any page reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The 8-connected components of a mask (H, W): `labels` (H, W) int32 from 1 to `count` - 1, 0 is paper.

    `x`, `y` are the places of the ink, row by row, and `at` is the component of each: (N,).
    """

    count: int
    labels: NDArray[np.int32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    at: NDArray[np.int32]

    @property
    def areas(self) -> NDArray[np.int64]:
        """(count,) pixels of each; none of them are paper's."""
        return np.bincount(self.at, minlength=self.count)

    def boxes(self) -> NDArray[np.int32]:
        """(count, 4) left, top, width, height of each; the first row, the paper's, means nothing."""
        return boxes_of(self.at, self.x, self.y, self.count)


def find_components(mask: Mask) -> Components:
    """The components of `mask` (H, W).

    OpenCV measures every pixel of the page for its statistics, which takes four times as long as finding the
    components does; few pixels of a page are ink.
    """
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    x, y = places(mask)
    return Components(count, np.asarray(labels, np.int32), x, y, np.asarray(labels[y, x], np.int32))


def places(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The columns and the rows of the ink of `mask` (H, W), row by row; NumPy takes several times as long."""
    found = cv2.findNonZero(mask.view(np.uint8))
    points = np.zeros((0, 2), np.int32) if found is None else np.asarray(found, np.int32).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def boxes_of(
    at: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32], count: int
) -> NDArray[np.int32]:
    """(count, 4) left, top, width, height of each component; `at` says whose the point `x`, `y` is, all (N,).

    Rows of components without a point mean nothing.
    """
    low, high = np.full((2, count), _BEYOND, np.int32), np.zeros((2, count), np.int32)
    for side, place in enumerate((x, y)):
        np.minimum.at(low[side], at, place)
        np.maximum.at(high[side], at, place)
    return np.concatenate([low, high + 1 - low]).T


def grown(boxes: NDArray[np.int32], by: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """`boxes` (N, 4), larger `by` so many pixels on each side in x and y, within a page of `shape`."""
    low = np.maximum(boxes[:, :2] - by, 0)
    high = np.minimum(boxes[:, :2] + boxes[:, 2:] + by, shape[::-1])
    return np.concatenate([low, high - low], axis=1).astype(np.int32)


def covered_columns(
    at: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32], count: int
) -> NDArray[np.int64]:
    """(count,) how many columns each component has a point in; `at` is that of the point `x`, `y`, all (N,).

    The points lie in runs, from left to right and row by row: what each adds to those before it is counted.
    """
    if not len(at):
        return np.zeros(count, np.int64)
    width = int(x.max()) + 1
    begins = np.concatenate([[True], (np.diff(x) != 1) | (np.diff(y) != 0) | (np.diff(at) != 0)])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(x)) - 1
    # Each component has a stretch of its own on one long axis: no run of one reaches into another's.
    start = at[first].astype(np.int64) * width + x[first]
    order = np.argsort(start, kind="stable")
    start, stop = start[order], (start + x[last] - x[first] + 1)[order]
    reached = np.concatenate([[0], np.maximum.accumulate(stop)[:-1]])
    new = np.maximum(stop - np.maximum(start, reached), 0)
    return np.bincount(at[first][order], new, count).astype(np.int64)
