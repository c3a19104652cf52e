"""Marks in company: single samples shown as they stand on forms, with others and with lines about them."""

from collections.abc import Callable

import cv2
import numpy as np

from processor.records import CutOut, Gray
from processor.segmentation.blobs import MARGIN, two_planes

FAINT = 25
"""Ink below this, of 255, is the edge of a stroke: boxes are drawn inside it."""

BESIDE = 0.7
"""Chance of a neighbour on each side of a mark in company."""

ABOVE = 0.12
"""Chance of one in the row above, and of one in the row below."""

LINE = 0.2
"""Chance of a ruled line that was not taken out."""


def in_company(image: Gray, another: Callable[[], Gray], rng: np.random.Generator) -> CutOut:
    """(2, H, W): the mark of `image` (h, w), high = ink, and about it what `another` gives, and lines.

    A data set of single digits never shows what stands beside them; a form hardly shows anything else.
    """
    own = _trimmed(image)
    height, width = own.shape
    longer = max(height, width)
    margin = round(MARGIN * longer) + 1
    around = np.pad(own, margin)
    for side in (-1, 1):
        if rng.random() < BESIDE:
            gap = rng.uniform(-0.15, 0.45) * longer
            other = _resized(another(), height * rng.uniform(0.75, 1.3))
            x = margin + width + gap if side > 0 else margin - gap - other.shape[1]
            y = margin + (height - other.shape[0]) / 2 + rng.normal(0, 0.1) * longer
            _lay(around, other, round(x), round(y))
        if rng.random() < ABOVE:
            gap = rng.uniform(0.02, 0.5) * longer
            other = _resized(another(), height * rng.uniform(0.75, 1.3))
            x = margin + width / 2 + rng.uniform(-1, 1) * longer - other.shape[1] / 2
            y = margin + height + gap if side > 0 else margin - gap - other.shape[0]
            _lay(around, other, round(x), round(y))
    if rng.random() < LINE:
        _rule(around, rng)
    return two_planes(around, own > 0)


def _trimmed(image: Gray) -> Gray:
    x, y, width, height = cv2.boundingRect((image > FAINT).view(np.uint8))
    return image[y : y + height, x : x + width] if width else image


def _resized(image: Gray, height: float) -> Gray:
    ink = _trimmed(image)
    factor = height / max(ink.shape)
    size = max(1, round(ink.shape[1] * factor)), max(1, round(ink.shape[0] * factor))
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _lay(canvas: Gray, ink: Gray, x: int, y: int) -> None:
    """Draws `ink` with its corner at `x`, `y` over the canvas, as far as it lies on it."""
    top, left = max(0, y), max(0, x)
    place = canvas[top : max(top, y + ink.shape[0]), left : max(left, x + ink.shape[1])]
    np.maximum(place, ink[top - y :, left - x :][: place.shape[0], : place.shape[1]], out=place)


def _rule(canvas: Gray, rng: np.random.Generator) -> None:
    """A ruled line beside the mark: below or above it mostly, else upright."""
    height, width = canvas.shape
    share = rng.uniform(0.02, 0.22)
    at = share if rng.random() < 0.4 else 1 - share
    thickness = int(rng.integers(1, 2 + max(canvas.shape) // 30))
    if rng.random() < 0.7:
        y = round(at * height)
        cv2.line(canvas, (0, y), (width, y + int(rng.integers(-1, 2))), 255, thickness)
    else:
        x = round(at * width)
        cv2.line(canvas, (x, 0), (x + int(rng.integers(-1, 2)), height), 255, thickness)
