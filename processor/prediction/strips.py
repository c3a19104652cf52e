"""Strips: the one normaliser of a whole number, for the reader that cuts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Gray, Mask
from processor.stages import stage

PLANES = 2
"""What a strip shows: the writing alone, and all that stands on the paper, ruled lines and print with it."""

HEIGHT = 32
"""Rows of a strip."""

DIGIT = 22.0
"""Rows of a digit of the usual height within it; the rest is for strokes that reach above and below."""

MARGIN = 0.45
"""Paper on both sides, in digit heights: a stroke at the edge must not look cut off."""

HIGH = 0.5
"""Marks as high as this share of the highest say how high the digits are."""

TYPICAL = 70
"""The percentile of their heights that counts: digits broken by a line are lower, none is written higher."""

PIECE = 0.25
"""Pieces so high (of the highest mark) that stand above each other are one digit, broken."""

LEVEL = 0.05
"""Numbers that climb less than this are level: marks alone differ by so much."""

STEEPEST = 0.35
"""Rows a column at most; what is steeper is no line."""

WIDEST = 960
"""Columns at most, some forty digits: what is wider is narrowed, and no number."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a number stands on its page, in pixels: its digits' height, their middle row, its two ends.

    `climb` is by how many rows it sinks a column; `centre` is the middle row half-way between the ends.
    """

    height: float
    centre: float
    left: float
    right: float
    climb: float = 0.0

    def centre_at(self, x: float) -> float:
        """The middle row of the digits at column x."""
        return self.centre + self.climb * (x - (self.left + self.right) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A number brought to one size: `pixels` is (2, HEIGHT, W) uint8, 255 = ink.

    Plane 0 is the writing alone, plane 1 everything. Column c of it is x = left + c / scale on the page.
    """

    pixels: Gray
    left: float
    scale: float

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])

    def page_x(self, column: float) -> float:
        """The x on the page of the strip's column."""
        return self.left + column / self.scale


def frame(boxes: Sequence[Box]) -> Frame:
    """The frame of the marks of a number, or a line (at least one): points and dashes may be among them."""
    marks = _mended(boxes)
    highest = max(box.height for box in marks)
    high = [box for box in marks if box.height >= HIGH * highest]
    height = float(np.percentile([box.height for box in high], TYPICAL))
    around = Box.around(boxes)
    climb = _climb(high, height)
    middle = around.x + around.width / 2
    centres = [box.centre[1] - climb * (box.centre[0] - middle) for box in high]
    return Frame(height, float(np.median(centres)), float(around.x), float(around.right), climb)


def _mended(boxes: Sequence[Box]) -> list[Box]:
    """`boxes`, those of a digit's pieces, one above the other, as one; wide ones are lines or dashes."""
    highest = max(box.height for box in boxes)
    whole: list[Box] = []
    for box in sorted(boxes, key=lambda b: (b.x, b.y)):
        other = whole[-1] if whole else box
        shared = min(box.right, other.right) - box.x
        broken = (
            shared > 0.5 * min(box.width, other.width) and min(box.height, other.height) >= PIECE * highest
        )
        if whole and broken and max(box.width, other.width) <= 1.5 * highest:
            whole[-1] = Box.around((box, other))
        else:
            whole.append(box)
    return whole


def _climb(high: Sequence[Box], height: float) -> float:
    """Rows a column by which the marks sink: the median over all pairs (Theil, 1950), or 0."""
    pairs = [(a.centre, b.centre) for a, b in combinations(high, 2)]
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs if abs(x1 - x0) >= 0.5 * height]
    if len(high) < 3 or not slopes:
        return 0.0
    climb = float(np.median(slopes))
    return climb if LEVEL <= abs(climb) <= STEEPEST else 0.0


@stage("strips")
def cut_strip(
    ink: Gray, mask: Mask, place: Frame, *, rows: int = HEIGHT, digit: float = DIGIT, margin: float = MARGIN
) -> Strip:
    """The strip of the page `ink` (H, W) uint8 and its writing `mask` (H, W) at `place`.

    `rows`, `digit` and `margin` are for training, which needs room to slant and stretch in. Lengths follow
    the digits' height, darkness that of the strokes; beyond the page is paper. Fails where the height is that
    of something else, such as a signature through the number.
    """
    scale = min(digit / max(place.height, 1.0), WIDEST / max(place.right - place.left, 1.0))
    aside = margin * digit / scale
    left, right = round(place.left - aside), round(place.right + aside)
    top, bottom = round(place.centre - rows / 2 / scale), round(place.centre + rows / 2 / scale)
    size = max(1, round((right - left) * scale)), rows
    more = int(np.ceil(abs(place.climb) * (right - left) / 2))
    paper = window(ink, left, top - more, right, bottom + more)
    written = np.where(window(mask, left, top - more, right, bottom + more) > 0, paper, np.uint8(0))
    planes = [_resized(_levelled(plane, place.climb, more), size) for plane in (written, paper)]
    return Strip(with_core_at_full(np.stack(planes)), float(left), scale)


def _levelled(plane: Gray, climb: float, more: int) -> Gray:
    """`plane` (H, W) sheared so that what sinks by `climb` is level, without `more` rows above and below."""
    if not more:
        return plane
    height, width = plane.shape
    back = np.array([[1, 0, 0], [climb, 1, more - climb * width / 2]])
    size, how = (width, height - 2 * more), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, back, size, flags=how), np.uint8)


def window(image: NDArray[np.generic], left: int, top: int, right: int, bottom: int) -> Gray:
    """The part of `image` (H, W) between these edges (at least one pixel), zeros beyond its own."""
    height, width = image.shape
    cut = np.zeros((max(1, bottom - top), max(1, right - left)), np.uint8)
    rows = slice(min(max(top, 0), height), min(max(bottom, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right, 0), width))
    part = image[rows, columns]
    cut[rows.start - top :, columns.start - left :][: part.shape[0], : part.shape[1]] = part
    return cut


def _resized(plane: Gray, size: tuple[int, int]) -> Gray:
    """The mean over areas where it shrinks, so that no stroke falls between two pixels."""
    shrinks = size[1] < plane.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.uint8)


def with_core_at_full(planes: Gray) -> Gray:
    """`planes` (2, H, W) with the mean over the darker half of the writing at 255.

    A fine pen on a large digit would be gray, and what is gray on one page is black on another.
    """
    writing = planes[0]
    darkest = int(writing.max(initial=0))
    if not darkest:
        return planes
    core = cv2.mean(writing, mask=(writing > darkest // 2).view(np.uint8))[0]
    scaled = cv2.convertScaleAbs(planes.reshape(-1, planes.shape[2]), alpha=255 / core)
    return np.asarray(scaled, np.uint8).reshape(planes.shape)
