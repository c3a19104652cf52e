"""Blobs: connected components of ink, each with its own small mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from processor.components import find_components
from processor.records import Box, CutOut, Gray, Mask
from processor.stages import stage

MARGIN = 0.6
"""Share of a mark's longer side that is cut out around it: as much as a glyph of 28 px shows about 20 px."""

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A connected piece of ink, or a union or part of such: its box and (height, width) mask."""

    box: Box
    mask: Mask

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    def cut_out(self, ink: Gray) -> CutOut:
        """(2, height, width) uint8 out of the page `ink`: the blob's own ink, and all ink about it.

        What lies beyond the page is blank.
        """
        return two_planes(surroundings(ink, self.box), self.mask)


def two_planes(around: Gray, mask: Mask) -> CutOut:
    """(2, height, width): what of `around` is under `mask`, in the middle of it, and all of it."""
    high, wide = ((whole - part) // 2 for whole, part in zip(around.shape, mask.shape, strict=True))
    middle = np.s_[high : high + mask.shape[0], wide : wide + mask.shape[1]]
    own = np.zeros_like(around)
    np.copyto(own[middle], around[middle], where=mask)
    return np.stack([own, around])


def margin_of(box: Box) -> int:
    """How far around `box` a cut-out reaches: a glyph of a 1 shows this much of what stands beside it."""
    return max(2, round(MARGIN * max(box.width, box.height)))


def surroundings(ink: NDArray[Number], box: Box) -> NDArray[Number]:
    """(height, width) of `ink` (H, W) in `box` and its margin on all sides; 0 beyond the page."""
    margin = margin_of(box)
    height, width = ink.shape
    around = np.zeros((box.height + 2 * margin, box.width + 2 * margin), ink.dtype)
    top, left = max(0, box.y - margin), max(0, box.x - margin)
    seen = ink[top : min(height, box.bottom + margin), left : min(width, box.right + margin)]
    y, x = top - (box.y - margin), left - (box.x - margin)
    around[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
    return around


@stage("marks")
def find_blobs(mask: Mask, least_side: int) -> list[Blob]:
    """8-connected components of `mask` (H, W) whose longer side is at least `least_side` pixels."""
    found = find_components(mask)
    boxes = found.boxes()
    blobs = []
    for label in 1 + np.flatnonzero(boxes[1:, 2:].max(axis=1) >= least_side):
        x, y, width, height = boxes[label].tolist()
        within = found.labels[y : y + height, x : x + width]
        blobs.append(Blob(Box(x, y, width, height), within == label))
    return blobs


def union(blobs: Sequence[Blob]) -> Blob:
    """One blob of all the ink of `blobs` (at least one)."""
    if len(blobs) == 1:
        return blobs[0]
    box = Box.around(b.box for b in blobs)
    mask = np.zeros((box.height, box.width), np.bool_)
    for blob in blobs:
        x, y = blob.box.x - box.x, blob.box.y - box.y
        mask[y : y + blob.box.height, x : x + blob.box.width] |= blob.mask
    return Blob(box, mask)


def crop(blob: Blob, mask: Mask) -> Blob | None:
    """The part of `blob` under `mask` (same shape), boxed tightly; None where nothing is left."""
    part = blob.mask & mask
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    box = Box(blob.box.x + left, blob.box.y + top, right - left, bottom - top)
    return Blob(box, part[top:bottom, left:right])
