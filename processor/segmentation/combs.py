"""Combs: rows of narrow printed cells, one digit in each, which hold one number."""

from collections.abc import Sequence

import numpy as np

from processor.records import Box, Cause, Mask, Rejection

COMB_PITCH = 2.2
"""The cells of a comb are at most this many digit heights wide: so far apart are the middles of two 1s."""

UNEVEN = 2.0
"""Digits stand in the middle of their cells, more or less: their distances differ by at most this factor."""

DIVIDED = 0.6
"""A divider between two digits runs beside this share of their common height."""

ONE_LINE = 0.2
"""Pieces of dividers so near each other, in heights of what they divide, are one."""

PAIR = 0.4
"""... and so near, as a share of the way between the digits: the sides of two boxes that stand apart. Of a
cell that was skipped the sides are half of that way apart."""

FLAT = 2.6
"""A flat 2 or 5 is lower than the other digits of its comb by at most this factor."""

SKIPPED = 2
"""Between neighbours of a comb stand at most so many dividers: in the cell between, no digit was read."""

COMB_REACH = SKIPPED * COMB_PITCH
"""So far away, in digit heights, may the next digit of a comb be."""


def cells_of(boxes: Sequence[Box], dividers: Mask) -> list[int]:
    """How many `dividers` stand left of each of `boxes` and right of the first, which are one line.

    `dividers` is the page's (H, W) mask of upright ruled lines.
    """
    cells = [0] * len(boxes)
    for i in range(1, len(boxes)):
        cells[i] = cells[i - 1] + count_dividers(boxes[i - 1], boxes[i], dividers)
    return cells


def count_dividers(left: Box, right: Box, dividers: Mask) -> int:
    """How many of `dividers` stand between the middles of two boxes, beside the rows that both have."""
    top, bottom = max(left.y, right.y), min(left.bottom, right.bottom)
    return _count(dividers[max(0, top) : max(0, bottom), max(0, int(left.centre[0])) : int(right.centre[0])])


def _count(between: Mask) -> int:
    """How many upright lines run through `between` (h, w)."""
    if not between.size or between.any(axis=1).mean() <= DIVIDED:
        return 0
    columns = np.flatnonzero(between.any(axis=0))
    near = max(ONE_LINE * len(between), PAIR * between.shape[1])
    apart = np.flatnonzero(np.diff(columns) > near) + 1
    lines = [between[:, run[0] : run[-1] + 1] for run in np.split(columns, apart)]
    return max(1, sum(bool(line.any(axis=1).mean() > DIVIDED) for line in lines))


def is_comb(boxes: Sequence[Box], cells: Sequence[int]) -> bool:
    """Whether `boxes` (left to right) stand one to a cell, in narrow cells of which few are skipped."""
    steps = np.diff(cells)
    if len(boxes) < 2 or steps.min() < 1 or steps.max() > SKIPPED or (steps > 1).sum() > (steps == 1).sum():
        return False
    pitches = np.diff([b.centre[0] for b in boxes]) / steps
    height = float(np.median([b.height for b in boxes]))
    return bool(pitches.max() <= COMB_PITCH * height and pitches.max() <= UNEVEN * pitches.min())


def comb_lacks(
    digits: Sequence[Box],
    unread: Sequence[Box],
    others: Sequence[Box],
    dividers: Mask,
    lone: Sequence[Box] = (),
) -> Rejection | None:
    """Why a number in a comb, one of its `digits` (left to right) to a cell, may go on; else None.

    It may where a cell was skipped, where an `unread` mark fills the cell beside it, or where one of the
    page's `others` stands in the cell beside it, so near that it would be of one comb were the steps even, or
    two cells away: nobody leaves one out. Of a row of boxes some of which were not found, several digits seem
    to share a cell; then a `lone` digit in a box beside them tells.
    """
    steps = np.diff(cells_of(digits, dividers))
    if (steps > 1).any():
        return Rejection(Cause.INCOMPLETE, "boxes in it that were not read:", int(steps.max()) - 1)
    height = float(np.median([box.height for box in digits]))
    pitch = COMB_PITCH * height
    if (steps < 1).any():
        beside = any(_cells_apart(digits, box, pitch, dividers) == 1 for box in lone)
        return _digit_away(1) if beside else None
    if any(_cells_apart(digits, box, SKIPPED * pitch, dividers) == SKIPPED for box in others):
        return _digit_away(SKIPPED)
    alike = [box for box in others if box.height <= FLAT * height]
    if any(_cells_apart(digits, box, max(pitch, COMB_PITCH * box.height), dividers) == 1 for box in alike):
        return _digit_away(1)
    if len(digits) < 2:
        return None
    width = round(float(np.median(np.diff([box.centre[0] for box in digits]))))
    lacks = any(
        _cells_apart(digits, box, pitch, dividers) == 1 and _is_closed(digits, box, width, dividers)
        for box in unread
    )
    return Rejection(Cause.INCOMPLETE, "a mark stands {} box away that was not read", 1) if lacks else None


def _digit_away(boxes: int) -> Rejection:
    return Rejection(Cause.INCOMPLETE, "another digit stands {} boxes away", boxes, SKIPPED)


def _cells_apart(digits: Sequence[Box], box: Box, reach: float, dividers: Mask) -> int:
    """How many dividers stand between `box` and the nearest of the `digits`; 0 where it is not beside it."""
    nearest = min(digits, key=lambda digit: abs(digit.centre[0] - box.centre[0]))
    level = min(nearest.bottom, box.bottom) - max(nearest.y, box.y)
    if abs(nearest.centre[0] - box.centre[0]) > reach or 2 * level < min(nearest.height, box.height):
        return 0
    left, right = sorted((nearest, box), key=lambda b: b.centre[0])
    return count_dividers(left, right, dividers)


def _is_closed(digits: Sequence[Box], box: Box, width: int, dividers: Mask) -> bool:
    """Whether the cell of `box`, `width` px wide, ends beyond it, too: what stands there is no label."""
    beyond = width if box.centre[0] > digits[0].centre[0] else -width
    left, right = sorted((box, Box(box.x + beyond, box.y, box.width, box.height)), key=lambda b: b.x)
    return count_dividers(left, right, dividers) > 0
