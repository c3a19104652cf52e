"""Digits that stand close among slanted neighbours, cut out by their boxes as those of a strip are."""

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Box, CutOut, Gray
from processor.segmentation.blobs import surroundings, two_planes
from training.cutting import on_grid, own_ink
from training.inks import Inks, collect
from training.negatives import trimmed

_HEIGHT = 64
_MARGIN = 60
_INK = 110
_SAME_PLACE: NDArray[np.float64] = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def crowded(digits: Inks, count: int, rng: np.random.Generator) -> Inks:
    """`count` digits, each between two others of its writer, with what its box lets in of them.

    A fluent hand leans, so that the boxes of neighbours overlap: the corners of a digit's box hold strokes of
    the digits beside it, which a data set of single digits never shows.
    """
    images: list[CutOut] = []
    labels: list[int] = []
    while len(images) < count:
        first = int(rng.integers(len(digits)))
        chosen = rng.choice(np.flatnonzero(digits.groups == digits.groups[first]), 3)
        row, middle = _leaning([trimmed(digits.images[i], float(rng.uniform(32, 46))) for i in chosen], rng)
        window = on_grid(_shaken(middle, rng), _SAME_PLACE, row.shape)
        ink = two_planes(surroundings(row, window), own_ink(row > _INK, window))
        if ink[0].any():
            images.append(ink)
            labels.append(int(digits.labels[chosen[1]]))
    return collect("crowded", images, labels, [0] * len(images))


def _leaning(shapes: list[Gray], rng: np.random.Generator) -> tuple[Gray, Gray]:
    """A row (H, W) of `shapes`, slanted as one, and the same row with nothing but the middle one."""
    slant = rng.uniform(0, 0.55) if rng.random() < 0.6 else rng.uniform(-0.3, 0.2)
    right, places = _MARGIN, []
    for shape in shapes:
        left = right + int(rng.integers(-6, 6))
        top = int(np.clip((_HEIGHT - shape.shape[0]) / 2 + rng.normal(0, 3), 0, _HEIGHT - shape.shape[0]))
        places.append((left, top))
        right = left + shape.shape[1]
    lean = np.array([[1, -slant, slant * _HEIGHT / 2], [0, 1, 0]], np.float32)
    size = right + _MARGIN, _HEIGHT
    layers = []
    for shape, (left, top) in zip(shapes, places, strict=True):
        upright = np.zeros((_HEIGHT, size[0]), np.uint8)
        upright[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        layers.append(np.asarray(cv2.warpAffine(upright, lean, size, flags=cv2.INTER_LINEAR), np.uint8))
    return np.maximum.reduce(layers), layers[1]


def _shaken(middle: Gray, rng: np.random.Generator) -> Box:
    """The box of the ink of `middle`, as a person draws it: a pixel or two aside."""
    x, y, width, height = cv2.boundingRect((middle > _INK // 2).view(np.uint8))
    shift = np.round(rng.normal(0, 1.2, 4)).astype(int)
    return Box(
        int(max(0, x + shift[0])),
        int(max(0, y + shift[1])),
        int(max(3, width + shift[2])),
        int(max(5, height + shift[3])),
    )
