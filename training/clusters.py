"""Clusters of near-duplicates: copies of one original must not stand on both sides of a split.

Some data sets are a few handwritten originals, each shifted and skewed thousands of times. A random split of
such a set tests a model on what it was trained on, and finds it all but perfect.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Gray
from training.inks import Labels

SIDE = 14
"""Side in pixels of what is compared: it tells hands apart, and forgets how a copy was resampled."""

_GRID = 28
_ACROSS, _DOWN = 4.0, 5.5
"""Standard deviations of the ink in the normal form, in pixels of the 28 px grid."""

_LINK = 1.6
"""Two samples are copies where they differ by less than this many times what half a pixel makes of one.

Measured on 107,730 copies of 40 originals: at 1.0 some fall into hundreds of clusters, at 1.6 38 are whole,
and two lose 1 and 45 of 2,025 copies. Of MNIST's digits, at most one in fifty has so near a neighbour up to
1.6, and far more beyond; but for the 1, which is a line.
"""

_BLOCK = 512
"""Samples that are compared with all before them at a time: 220 MB for 100,000."""

_FAINT = 25


def near_duplicates(images: Sequence[Gray], labels: Labels | None = None) -> Labels:
    """The cluster (N,) of each of `images` ((h, w) uint8, high = ink), numbered in order of appearance.

    Each sample is brought to one place, slant, width and height by its moments and shrunk; two are linked
    where they differ by no more than a copy moved by half a pixel differs from its original, and clusters are
    what is linked, through whatever chain. With `labels`, samples of different digits are never compared,
    which is ten times quicker. Fails on copies that were rotated far in few steps, or bent; plain strokes
    (a 1) of different hands look alike and are put together, so that a split is rather too careful.
    """
    if labels is None:
        return _numbered(_linked(*_features(images)))
    groups = np.zeros(len(images), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        groups[places] = places[_linked(*_features([images[int(i)] for i in places]))]
    return _numbered(groups)


def cluster_sizes(groups: Labels) -> Labels:
    """How many samples each cluster of `groups` (N,) holds, the largest first."""
    return np.asarray(np.sort(np.unique(groups, return_counts=True)[1])[::-1], np.int64)


def describe(groups: Labels, labels: Labels) -> list[dict[str, Any]]:
    """For each label: how many samples and clusters, and the largest, median and smallest cluster."""
    rows = []
    for label in np.unique(labels):
        sizes = cluster_sizes(groups[labels == label])
        rows.append(
            {
                "digit": int(label),
                "samples": int(sizes.sum()),
                "clusters": len(sizes),
                "largest": int(sizes[0]),
                "median": float(np.median(sizes)),
                "smallest": int(sizes[-1]),
            }
        )
    return rows


def _features(images: Sequence[Gray]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 196) float32 of length 1, or 0 where there is no ink, and (N,) how far half a pixel moves each."""
    found = np.zeros((len(images), SIDE * SIDE), np.float32)
    moves = np.zeros(len(images), np.float32)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5]])
    for i, image in enumerate(images):
        ink = _trimmed(image)
        found[i] = _normal_form(ink)
        moved = cv2.warpAffine(ink, half, (ink.shape[1], ink.shape[0]), flags=cv2.INTER_LINEAR)
        moves[i] = np.linalg.norm(found[i] - _normal_form(np.asarray(moved, np.uint8)))
    return found, moves


def _trimmed(image: Gray) -> Gray:
    """The ink with a margin for blurring, its longer side at most 28 px."""
    x, y, width, height = cv2.boundingRect((image > _FAINT).view(np.uint8))
    ink = image[y : y + height, x : x + width]
    longer = max(width, height)
    if longer > _GRID:
        size = max(1, round(width * _GRID / longer)), max(1, round(height * _GRID / longer))
        ink = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.pad(ink, 3)


def _normal_form(ink: Gray) -> NDArray[np.float32]:
    """(196,) float32 of length 1: `ink` without its place, slant, width, height and contrast."""
    moments = cv2.moments(ink)
    if not moments["m00"]:
        return np.zeros(SIDE * SIDE, np.float32)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    slant = float(np.clip(moments["mu11"] / max(moments["mu02"], 1e-6), -1.5, 1.5))
    across = max((moments["mu20"] - slant * moments["mu11"]) / moments["m00"], 0.5) ** 0.5 / _ACROSS
    down = max(moments["mu02"] / moments["m00"], 0.5) ** 0.5 / _DOWN
    source = np.array([[across, slant * down], [0, down]])
    shift = centre - source @ np.full(2, (_GRID - 1) / 2)
    matrix = np.hstack([source, shift[:, None]])
    smooth = cv2.GaussianBlur(ink, (0, 0), 0.8)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    placed = cv2.warpAffine(smooth, matrix, (_GRID, _GRID), flags=how).astype(np.float32)
    small = np.asarray(cv2.resize(placed, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32).ravel()
    return small / np.float32(max(float(np.linalg.norm(small)), 1e-6))


def _linked(features: NDArray[np.float32], moves: NDArray[np.float32]) -> Labels:
    """A member's index (N,) for each of `features`, the same throughout what is linked: single linkage.

    Exact, block by block: an approximate index would miss links, and one missed link is a leak.
    """
    # |a - b|² < (r m)² for unit vectors is a·b > 1 - (r m)² / 2, with the smaller m of the two.
    least = (1 - (_LINK * moves) ** 2 / 2).astype(np.float32)
    groups = np.arange(len(features))
    for start in range(0, len(features), _BLOCK):
        stop = min(start + _BLOCK, len(features))
        near = features[start:stop] @ features[:stop].T
        rows, columns = np.nonzero(near > least[start:stop, None])
        mutual = near[rows, columns] > least[columns]
        rows, columns = rows[mutual] + start, columns[mutual]
        pairs = np.unique(np.stack([groups[rows], groups[columns]], axis=1), axis=0)
        _join(groups, pairs[pairs[:, 0] != pairs[:, 1]], stop)
    return groups


def _join(groups: Labels, pairs: Labels, stop: int) -> None:
    """Gives all groups that `pairs` (P, 2) connect one number, in the first `stop` of `groups`."""
    if not len(pairs):
        return
    parents: dict[int, int] = {}

    def root(group: int) -> int:
        while (parent := parents.get(group, group)) != group:
            parents[group] = parents.get(parent, parent)
            group = parent
        return group

    for one, other in pairs.tolist():
        parents[root(one)] = root(other)
    new = np.arange(len(groups))
    for group in parents:
        new[group] = root(group)
    groups[:stop] = new[groups[:stop]]


def _numbered(groups: Labels) -> Labels:
    """`groups` with the numbers 0, 1, … in order of appearance."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return np.asarray(ranks[inverse], np.int64)
