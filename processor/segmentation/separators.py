"""Separators: the points, commas and the minus of a number, told by where a small mark stands and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from processor.records import Box

LOWER = 0.5
"""A separator begins below this share of the digits' height: it hangs at the baseline."""

SMALL = 0.55
"""... and is at most this share of their height high,"""

NARROW = 0.5
"""... and this share wide."""

SINKS = 0.2
"""Its upper edge is at most this share of a digit's height below the baseline, its lower edge above it."""

SLENDER = 1.45
TAIL = 0.12
"""A comma is so many times higher than wide, or reaches this share of a digit's height below the baseline."""

LYING = 0.55
"""A point is at least this share of its width high, and reaches less far below."""

FINE = 0.15
"""A point lower than this share of a digit's height may as well be dirt, or a dot of the line below: of 26
points read on 167 climate cells the 7 that were written are from 0.29 on, and 19 dots of a line below."""

DUST = 0.6
"""What is thinner than this share of the digits' stroke is dirt, whatever its shape."""

LARGER = 2.0
"""Of two marks in one gap the separator is so many times larger: the other one is dirt."""

MINUS_REACH = 0.9
"""A minus ends at most so many digit heights before the first digit,"""

MINUS_WIDTH = 0.25, 1.0
"""... is so many digit heights wide,"""

MINUS_THICKNESS = 0.3
MINUS_FLAT = 1.8
"""... at most so many high, and at least so many times wider than high,"""

MINUS_BAND = 0.3, 0.7
"""... and stands in this part of the digits' height."""

FILLER_REACH = 2.0
"""Another dash so near the number or the minus, in digit heights, makes both fillers: `--123--` is 123."""


CLEAR, LIKELY = 2.0, 1.0
"""Nats for a comma, or against it, where shape and place both tell which it is, and where one does."""


@dataclass(frozen=True, slots=True)
class Between:
    """What shapes tell of a gap between two digits: the indices of the `marks` that may separate them.

    `chosen` is the one that stands out, None where none does; `clear` is whether a separator looks so and
    nothing else; `comma` are nats for a comma against a point.
    """

    marks: tuple[int, ...] = ()
    chosen: int | None = None
    clear: bool = False
    comma: float = 0.0


@dataclass(frozen=True, slots=True)
class Before:
    """The index of the one `dash` before a number, where there is one, and whether dashes fill its field."""

    dash: int | None = None
    filler: bool = False


def hangs(box: Box, top: float, bottom: float, highest: float = 0.0) -> bool:
    """Whether a mark hangs at the baseline between digits from `top` to `bottom`: no digit does.

    One that reaches below them is measured by the `highest` digit near, in pixels: a comma is nearly as high
    as a flat 2 or 5.
    """
    below = box.bottom >= bottom + TAIL * highest
    height = max(bottom - top, highest) if below else bottom - top
    top = bottom - height
    low = top + LOWER * height <= box.y <= bottom + SINKS * height
    return low and box.height <= SMALL * height and box.bottom >= bottom - SINKS * height


def between_digits(
    boxes: Sequence[Box], marks: Sequence[Box], stroke: float, *, boxed: bool = False
) -> list[Between]:
    """What shapes tell of each gap between the digits at `boxes`, from left to right.

    The digits are written with a `stroke` px wide. A mark in a gap is a comma where it is slender or reaches
    below the line, a point where it is round and stands on it. It is not clear where it is of another shape,
    where there are several, and where a point is fine or, the digits being `boxed` one by one, a piece of a
    box as well. Fails on commas that touch a digit.
    """
    height = float(np.median([b.height for b in boxes]))
    highest = float(max(b.height for b in boxes))
    bottom = float(np.median([b.bottom for b in boxes]))
    found = []
    for gap in pairwise(boxes):
        inside = [i for i, mark in enumerate(marks) if _in_gap(mark, gap, bottom, height, highest)]
        inside = [i for i in inside if min(marks[i].width, marks[i].height) >= DUST * stroke]
        chosen = _largest(inside, marks)
        if chosen is None:
            found.append(Between(tuple(inside)))
            continue
        kind = _kind(marks[chosen], bottom, height)
        fine = kind == "." and (boxed or marks[chosen].height < FINE * height)
        clear = kind is not None and not fine
        found.append(Between(tuple(inside), chosen, clear, _comma(marks[chosen], bottom, height)))
    return found


def _in_gap(mark: Box, gap: tuple[Box, Box], bottom: float, height: float, highest: float) -> bool:
    left, right = gap
    between = left.x + 0.5 * left.width <= mark.centre[0] <= right.centre[0] and mark.right <= right.right
    return between and mark.width <= NARROW * height and hangs(mark, bottom - height, bottom, highest)


def _largest(inside: Sequence[int], marks: Sequence[Box]) -> int | None:
    """The one mark that stands out; None where there is none, or several are alike."""
    by_size = sorted(inside, key=lambda i: _area(marks[i]))
    if len(by_size) > 1 and _area(marks[by_size[-1]]) < LARGER * _area(marks[by_size[-2]]):
        return None
    return by_size[-1] if by_size else None


def _area(box: Box) -> int:
    return box.width * box.height


def _kind(mark: Box, bottom: float, height: float) -> str | None:
    slender, tail = mark.height / mark.width, (mark.bottom - bottom) / height
    if slender >= SLENDER or (tail >= TAIL and slender >= 1):
        return ","
    return "." if slender >= LYING and tail < TAIL else None


def _comma(mark: Box, bottom: float, height: float) -> float:
    """Nats for a comma: it is slender and reaches below the line, while a point is round and stands on it."""
    slender, reaches = mark.height / mark.width >= SLENDER, (mark.bottom - bottom) / height >= TAIL
    if slender == reaches:
        return CLEAR if slender else -CLEAR
    return LIKELY if mark.height >= mark.width else 0.0


def dash_before(boxes: Sequence[Box], marks: Sequence[Box]) -> Before:
    """The one dash before the first of the digits at `boxes`, at mid-height; with company it is a filler."""
    height = float(np.median([b.height for b in boxes]))
    bottom = float(np.median([b.bottom for b in boxes]))
    dashes = [i for i, mark in enumerate(marks) if is_dash(mark, bottom, height)]
    start, end = boxes[0].x, boxes[-1].right
    before = [i for i in dashes if -0.1 * height <= start - marks[i].right <= MINUS_REACH * height]
    if len(before) != 1:
        return Before(filler=bool(before))
    minus = marks[before[0]]
    others = [marks[i] for i in dashes if i != before[0]]
    fillers = [d for d in others if minus.x - FILLER_REACH * height <= d.right <= start]
    fillers += [d for d in others if end <= d.x + 0.2 * height <= end + FILLER_REACH * height]
    return Before(filler=True) if fillers else Before(before[0])


def is_dash(mark: Box, bottom: float, height: float) -> bool:
    """Whether a mark is a dash at the middle of digits `height` px high that stand on the row `bottom`."""
    narrowest, widest = MINUS_WIDTH
    low, high = MINUS_BAND
    middle = (mark.centre[1] - (bottom - height)) / height
    return (
        narrowest * height <= mark.width <= widest * height
        and mark.height <= MINUS_THICKNESS * height
        and mark.width >= MINUS_FLAT * mark.height
        and low <= middle <= high
    )
