"""Separators: the points, commas and the minus of a number, told by where a small mark stands and how."""

import re
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


WRITTEN = re.compile(
    r"\d+([.,]\d+)?|\d{1,3}(\.\d{3})+(,\d+)?|\d{1,3}(,\d{3})+(\.\d+)?|\d{1,2}\.\d{1,2}\.(\d\d)?\d\d"
)
"""One decimal sign, thousands in threes, or a date: any other row of points and commas has dirt in it."""


@dataclass(frozen=True, slots=True)
class Punctuation:
    """A number as written: `text`, the indices of the marks `used` in it, and whether one is `doubtful`.

    What is doubtful stands in no text: the digits alone are sure.
    """

    text: str
    used: tuple[int, ...]
    doubtful: bool


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


def punctuate(
    digits: str, boxes: Sequence[Box], marks: Sequence[Box], stroke: float, *, boxed: bool = False
) -> Punctuation:
    """`digits`, written with a `stroke` px wide, and the separators among `marks`.

    `boxes` are the digits', from left to right. A mark in a gap is a comma where it is slender or reaches
    below the line, a point where it is round and stands on it; between the two nobody knows, nor where there
    are several that make no number together, nor of a point that is fine or, where the digits are `boxed`
    one by one, a piece of a box as well. Fails on commas that touch a digit.
    """
    height = float(np.median([b.height for b in boxes]))
    highest = float(max(b.height for b in boxes))
    bottom = float(np.median([b.bottom for b in boxes]))
    text, used, doubtful = digits[:1], [], False
    for (left, right), digit in zip(pairwise(boxes), digits[1:], strict=True):
        inside = [i for i, mark in enumerate(marks) if _in_gap(mark, (left, right), bottom, height, highest)]
        inside = [i for i in inside if min(marks[i].width, marks[i].height) >= DUST * stroke]
        used += inside
        chosen = _largest([marks[i] for i in inside])
        kind = _kind(chosen, bottom, height) if chosen else None
        fine = chosen is not None and kind == "." and (boxed or chosen.height < FINE * height)
        doubtful |= bool(inside) and (kind is None or fine)
        text += (kind or "") + digit
    if doubtful or not WRITTEN.fullmatch(text):
        return Punctuation(digits, tuple(used), True)
    minus = _minus(boxes, marks, bottom, height)
    return Punctuation(text if minus is None else "-" + text, (*used, *_listed(minus)), False)


def _listed(index: int | None) -> tuple[int, ...]:
    return () if index is None else (index,)


def _in_gap(mark: Box, gap: tuple[Box, Box], bottom: float, height: float, highest: float) -> bool:
    left, right = gap
    between = left.x + 0.5 * left.width <= mark.centre[0] <= right.centre[0] and mark.right <= right.right
    return between and mark.width <= NARROW * height and hangs(mark, bottom - height, bottom, highest)


def _largest(marks: Sequence[Box]) -> Box | None:
    """The one mark that stands out; None where there is none, or several are alike."""
    by_size = sorted(marks, key=lambda b: b.width * b.height)
    if len(by_size) > 1 and _area(by_size[-1]) < LARGER * _area(by_size[-2]):
        return None
    return by_size[-1] if by_size else None


def _area(box: Box) -> int:
    return box.width * box.height


def _kind(mark: Box, bottom: float, height: float) -> str | None:
    slender, tail = mark.height / mark.width, (mark.bottom - bottom) / height
    if slender >= SLENDER or (tail >= TAIL and slender >= 1):
        return ","
    return "." if slender >= LYING and tail < TAIL else None


def _minus(boxes: Sequence[Box], marks: Sequence[Box], bottom: float, height: float) -> int | None:
    """The index of the one dash before the first digit, at mid-height."""
    dashes = [i for i, mark in enumerate(marks) if _is_dash(mark, bottom, height)]
    start, end = boxes[0].x, boxes[-1].right
    before = [i for i in dashes if -0.1 * height <= start - marks[i].right <= MINUS_REACH * height]
    if len(before) != 1:
        return None
    minus = marks[before[0]]
    others = [marks[i] for i in dashes if i != before[0]]
    fillers = [d for d in others if minus.x - FILLER_REACH * height <= d.right <= start]
    fillers += [d for d in others if end <= d.x + 0.2 * height <= end + FILLER_REACH * height]
    return None if fillers else before[0]


def _is_dash(mark: Box, bottom: float, height: float) -> bool:
    narrowest, widest = MINUS_WIDTH
    low, high = MINUS_BAND
    middle = (mark.centre[1] - (bottom - height)) / height
    return (
        narrowest * height <= mark.width <= widest * height
        and mark.height <= MINUS_THICKNESS * height
        and mark.width >= MINUS_FLAT * mark.height
        and low <= middle <= high
    )
