"""Cut-outs: images of one field, too low for two lines, whose marks are one line whatever their heights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processor.records import Box
from processor.segmentation.blobs import Blob

LINES = 2.6
"""An image lower than so many times its line has no room for a second one, with the gap between them."""

LEVEL = 0.75
"""A mark belongs to the line where its middle is at most so many line heights from the line's."""

HIGH = 0.5
"""Marks as high as this share of the highest measure the line."""

TYPICAL = 65
"""The percentile of their heights that is the line's: broken digits are lower, none is written higher."""

STEEPEST = 0.2
"""Rows a column at most by which a line climbs or sinks."""

EDGE = 2
"""What comes so near the edge, in pixels, is a bit of the row above or below."""


@dataclass(frozen=True, slots=True)
class CutOutLine:
    """Indices of blobs: the `line` from left to right, the `others`, and the `core` that measured it."""

    line: tuple[int, ...]
    others: tuple[int, ...]
    core: tuple[int, ...]

    @property
    def groups(self) -> list[tuple[int, ...]]:
        return [group for group in (self.line, self.others) if group]


def one_line(groups: Sequence[Sequence[int]], blobs: Sequence[Blob], page_height: int) -> CutOutLine | None:
    """The marks of a cut-out's one line; None where the image is a page.

    `groups` are the lines as they were found on a page `page_height` px high: on a cut-out, an amount whose
    zeros are half as high as its other digits is two of them. The line is the one with the most ink in high
    marks; others are bits of the rows above and below.
    """
    if not groups:
        return None
    core = max(groups, key=lambda group: sum(blobs[i].area for i in _high(group, blobs)))
    high = [blobs[i].box for i in _high(core, blobs)]
    height = float(np.percentile([box.height for box in high], TYPICAL))
    highest = max(height, *(float(np.median([blobs[i].box.height for i in _high(g, blobs)])) for g in groups))
    if page_height >= LINES * highest:
        return None
    middle, climb = _middle(high, height)
    line: list[int] = []
    others: list[int] = []
    for i in sorted((i for group in groups for i in group), key=lambda i: blobs[i].box.centre[0]):
        x, y = blobs[i].box.centre
        (line if abs(y - middle - climb * x) < LEVEL * height else others).append(i)
    if not line or any(_is_whole(blobs[i].box, height, page_height) for i in others):
        return None
    return CutOutLine(tuple(line), tuple(others), tuple(core))


def _high(group: Sequence[int], blobs: Sequence[Blob]) -> list[int]:
    highest = max(blobs[i].box.height for i in group)
    return [i for i in group if blobs[i].box.height >= HIGH * highest]


def _is_whole(box: Box, height: float, page_height: int) -> bool:
    """Whether a mark is as high as the line's and nowhere cut off: then there is a second line."""
    return box.height >= HIGH * height and box.y > EDGE and box.bottom < page_height - EDGE


def _middle(boxes: Sequence[Box], height: float) -> tuple[float, float]:
    """Row at column 0 and rows a column of the line through the middles of `boxes`; level if they are few."""
    centres = np.array([box.centre for box in boxes])
    if len(boxes) < 3 or np.ptp(centres[:, 0]) < 2 * height:
        return float(np.median(centres[:, 1])), 0.0
    climb = float(np.clip(np.polyfit(centres[:, 0], centres[:, 1], 1)[0], -STEEPEST, STEEPEST))
    return float((centres[:, 1] - climb * centres[:, 0]).mean()), climb
