"""Blobs: connected components of ink, each with its own small mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from processor.records import Box, Gray, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A connected piece of ink, or a union or part of such: its box and (height, width) mask."""

    box: Box
    mask: Mask

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    def cut_out(self, ink: Gray) -> Gray:
        """(height, width) uint8 of the blob's own ink on the page `ink`, everything else 0."""
        b = self.box
        return np.where(self.mask, ink[b.y : b.bottom, b.x : b.right], 0).astype(np.uint8)


def find_blobs(mask: Mask, least_side: int) -> list[Blob]:
    """8-connected components of `mask` (H, W) whose longer side is at least `least_side` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[:, 2:4].max(axis=1) >= least_side)
    blobs = []
    for label in large[large > 0]:
        x, y, width, height = (int(v) for v in stats[label, :4])
        blobs.append(Blob(Box(x, y, width, height), labels[y : y + height, x : x + width] == label))
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
