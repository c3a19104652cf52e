"""Layout: blobs to lines of writing, digits to numbers, and the order a person reads them in."""

from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Cause, Mask, Rejection
from processor.segmentation.combs import (
    COMB_PITCH,
    COMB_REACH,
    cells_of,
    comb_lacks,
    count_dividers,
    is_comb,
)
from processor.segmentation.stacks import fell_apart, find_root, find_stacks

NEIGHBOUR_GAP = 1.4
"""Blobs of one line are at most this many of their heights apart."""

LIKE_HEIGHTS = 1.8
"""Blobs of one line differ in height by at most this factor,"""

FEET = 0.2
LEVEL_HEIGHTS = 2.6
"""... or this one, where their feet differ by at most this share of the taller one's height: a flat 2 or 5
is half as high as the digits beside it, and stands on the line with them."""

NUMBER_GAP = 0.95
"""Digits of one number are at most this many of their heights apart, measured between their boxes."""

SEPARATED_GAP = 1.3
"""... or this many, where a point or a comma stands between them."""

DIGITS_ALIKE = 2.0
"""Digits of one number differ in height by at most this factor: zeros are written small, but not smaller."""

LETTER_GAP = 0.6
OTHER_GAP = 1.6
"""A mark left out, or another digit, so near a number (in digit heights) may belong to it."""

WIDE_GAP = 0.65
"""A gap of so many digit heights within a number has room for a digit that was lost."""

PIECE = 0.25
"""... unless it is lower than this share of the digits: a point, a comma."""

LOW = 0.45
"""A blob lower than this share of its line's height is an attachment: a point, a dash, a broken stroke."""

HANGING = 0.2
LOW_HANGING = 0.55
"""A comma begins at most so far below the line, and is at most this share of the line's highest mark high,
for flat digits are hardly higher than it: its middle may stand below the line."""


def group_lines(boxes: Sequence[Box], digit_height: float = 0.0) -> list[list[int]]:
    """Indices of `boxes` that stand in one line of writing, each group from left to right.

    Tall blobs are linked with like neighbours; low ones join the line whose band they lie in, or stay alone.
    The pieces of a broken character count as one; `digit_height` is that of the page's digits, in pixels.
    """
    if not boxes:
        return []
    stacks = find_stacks(boxes, digit_height)
    whole = [Box.around(boxes[i] for i in stack) for stack in stacks]
    table = _edges(whole).T
    parents = list(range(len(whole)))
    order = np.argsort(table[:, 0], kind="stable")
    for rank, i in enumerate(order):
        for j in _linked(table, int(i), order[rank + 1 :]):
            parents[find_root(parents, int(j))] = find_root(parents, int(i))
    groups: dict[int, list[int]] = {}
    for i in order:
        groups.setdefault(find_root(parents, int(i)), []).append(int(i))
    merged = _attach_low(table, list(groups.values()))
    in_order = [sorted(g, key=lambda i: (whole[i].centre[0], whole[i].y)) for g in merged]
    return [[i for stack in group for i in stacks[stack]] for group in in_order]


def _linked(table: NDArray[np.float64], i: int, later: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the blobs `later` (further right) that continue the line of blob `i`."""
    x0, y0, x1, y1 = table[i]
    height = y1 - y0
    near = later[table[later, 0] - x1 <= COMB_PITCH * LEVEL_HEIGHTS * height]
    heights = table[near, 3] - table[near, 1]
    taller, lower = np.maximum(heights, height), np.minimum(heights, height)
    gap = table[near, 0] - x1
    pitch = (table[near, 0] + table[near, 2] - x0 - x1) / 2
    overlap = np.minimum(table[near, 3], y1) - np.maximum(table[near, 1], y0)
    level = np.abs(table[near, 3] - y1) <= FEET * taller
    like = taller <= np.where(level, LEVEL_HEIGHTS, LIKE_HEIGHTS) * lower
    beside = (gap <= NEIGHBOUR_GAP * taller) | (pitch <= COMB_PITCH * taller)
    return np.asarray(near[like & beside & (overlap >= 0.5 * lower)], np.int64)


def _attach_low(table: NDArray[np.float64], groups: list[list[int]]) -> list[list[int]]:
    """Groups with the low ones (points, dashes, broken strokes) joined to the line they lie in."""
    parts = [table[group] for group in groups]
    x0, x1 = np.array([(p[:, 0].min(), p[:, 2].max()) for p in parts]).T
    y0, y1 = np.array([(np.median(p[:, 1]), np.median(p[:, 3])) for p in parts]).T
    highest = np.array([(p[:, 3] - p[:, 1]).max() for p in parts])
    heights = y1 - y0
    joined: list[list[int]] = [list(g) for g in groups]
    there = np.ones(len(groups), np.bool_)
    for small in (int(i) for i in np.argsort(heights, kind="stable")):
        hanging = (y0 + 0.5 * heights <= y0[small]) & (y0[small] <= y1 + HANGING * heights)
        low = heights[small] <= np.where(hanging, LOW_HANGING * highest, LOW * heights)
        middle = (y0[small] + y1[small]) / 2
        below = np.where(hanging, 0.5, 0.25) * heights
        inside = (y0 - 0.15 * heights <= middle) & (middle <= y1 + below)
        gap = np.maximum(np.maximum(x0 - x1[small], x0[small] - x1), 0.0)
        fits = there & low & inside & (x1[small] - x0[small] <= 2 * heights) & (gap < 0.6 * heights)
        fits[small] = False
        if fits.any():
            joined[int(np.where(fits, gap, np.inf).argmin())] += joined[small]
            joined[small] = []
            there[small] = False
    return [g for g in joined if g]


def split_numbers(
    boxes: Sequence[Box],
    others: Sequence[Box],
    dividers: Mask,
    strips: Sequence[Hashable | None] = (),
) -> list[list[int]]:
    """Indices of `boxes` (one line's digits, left to right) as numbers.

    Digits go together where they are near, alike in height and level. `others` are the line's points and
    commas, which may stand in a gap; `dividers` is the page's (H, W) mask of upright ruled lines, which
    separate numbers, unless every digit has a cell of its own: a comb holds one number. `strips` tell in
    which strip each digit was read as one of several, None for in none: no wall stands in a strip, and digits
    of one that are near are one number, however unlike their heights are.
    """
    cells = cells_of(boxes, dividers)
    comb = is_comb(boxes, cells)
    numbers: list[list[int]] = []
    for i, box in enumerate(boxes):
        before = i - 1
        one_strip = i > 0 and bool(strips) and strips[i] is not None and strips[before] == strips[i]
        together = one_strip or (i > 0 and cells[before] == cells[i] and _alike(boxes[before], box))
        if i > 0 and (comb or (together and _near([boxes[j] for j in numbers[-1]], box, others))):
            numbers[-1].append(i)
        else:
            numbers.append([i])
    return numbers


def _alike(left: Box, right: Box) -> bool:
    """Whether two digits are level, and of heights that one hand writes."""
    taller, lower = max(left.height, right.height), min(left.height, right.height)
    level = min(left.bottom, right.bottom) - max(left.y, right.y) >= 0.4 * lower
    feet = abs(left.bottom - right.bottom) <= FEET * taller
    return level and taller <= (LEVEL_HEIGHTS if feet else DIGITS_ALIKE) * lower


def _near(number: Sequence[Box], right: Box, others: Sequence[Box]) -> bool:
    """Whether `right` is near enough to be the next digit of a number, or a point or comma stands between.

    The highest digit of the number tells how wide a gap is: a flat 5 before a comma does not.
    """
    left = number[-1]
    taller = max(right.height, *(box.height for box in number))
    separated = any(
        left.centre[0] < o.centre[0] < right.centre[0]
        and o.bottom > left.centre[1]
        and o.height <= LOW * taller
        for o in others
    )
    return right.x - left.right <= (SEPARATED_GAP if separated else NUMBER_GAP) * taller


def may_lack_digits(
    digits: Sequence[Box],
    unread: Sequence[Box],
    page_digits: Sequence[Box],
    dividers: Mask,
    separators: Sequence[Box] = (),
    specks: Sequence[Box] = (),
    lone: Sequence[Box] = (),
) -> Rejection | None:
    """Why the number with these `digits` and `separators` may go on, and a person has to look; else None.

    It may where one of the `unread` marks stands close by, or so many `specks` as a digit that fell apart,
    where another of the page's digits stands a little too far away to be its own and no divider between (the
    dividers of a comb part nothing), where that is twice as high (the number is a piece of a broken digit),
    where a cell of its comb was not read, or one of the `lone` digits stands in a box beside it, where a gap
    in it has room for a digit, or where it lies at the edge of the page.
    """
    number = Box.around(digits)
    page_height, page_width = dividers.shape
    margin = min(number.x, number.y, page_width - number.right, page_height - number.bottom)
    if margin <= 0:
        return Rejection(Cause.EDGE, "{} pixels from the edge of the page", max(0, margin))
    height = float(np.median([b.height for b in digits]))
    in_order = sorted(digits, key=_left)
    comb = cells_of(in_order, dividers)[-1] > 0
    gaps = [right.x - left.right for left, right in pairwise(sorted([*digits, *separators], key=_left))]
    if not comb and any(gap > WIDE_GAP * height for gap in gaps):
        return Rejection(Cause.INCOMPLETE, "a gap of {} digit heights in it", max(gaps) / height, WIDE_GAP)
    crumbs = fell_apart(digits, specks, (COMB_PITCH if comb else LETTER_GAP) * height)
    if crumbs is not None:
        return crumbs
    high = [box for box in unread if box.height >= PIECE * height]
    others = [box for box in page_digits if box not in digits and box.height >= PIECE * height]
    level = _beside(number, high, COMB_REACH * height), _beside(number, others, COMB_REACH * height)
    alone = [box for box in level[1] if box in lone]
    lacks = comb_lacks(in_order, *level, dividers, alone)
    if lacks is not None:
        return lacks
    taller = [box for box in page_digits if box.height > DIGITS_ALIKE * height]
    near = [
        *(("a mark that is no digit", box, LETTER_GAP, height) for box in level[0]),
        *(("another digit", box, OTHER_GAP, height) for box in level[1]),
        *(("a digit twice as high", box, OTHER_GAP, box.height) for box in taller),
    ]
    for what, box, limit, unit in near:
        if _beside(number, [box], limit * unit) and (comb or not _divided(number, box, dividers)):
            gap = max(number.x - box.right, box.x - number.right, 0)
            return Rejection(
                Cause.INCOMPLETE, f"{what} stands {{}} digit heights beside it", gap / unit, limit
            )
    return None


class Crowd:
    """The digits of a page, to ask for those about a number without looking at each."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = boxes
        self._table = _edges(boxes)

    def about(self, digits: Sequence[Box]) -> list[Box]:
        """All that `may_lack_digits` could hold against the number with these `digits`, in their order."""
        number = Box.around(digits)
        x0, y0, x1, y1 = self._table
        reach = max(COMB_REACH, OTHER_GAP) * np.maximum(y1 - y0, number.height)
        near = (np.maximum(number.x - x1, x0 - number.right) <= reach) & (
            np.minimum(number.bottom, y1) > np.maximum(number.y, y0)
        )
        return [self._boxes[int(i)] for i in np.flatnonzero(near)]


def _edges(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """(4, N): left, top, right, bottom of each."""
    return np.array([(b.x, b.y, b.right, b.bottom) for b in boxes], np.float64).reshape(-1, 4).T


def _divided(one: Box, other: Box, dividers: Mask) -> bool:
    left, right = sorted((one, other), key=_left)
    return count_dividers(left, right, dividers) > 0


def _left(box: Box) -> int:
    return box.x


def _beside(number: Box, boxes: Sequence[Box], reach: float) -> list[Box]:
    """Those of `boxes` to the left or right of `number`, level with it, and at most `reach` px away."""
    if not boxes:
        return []
    x0, y0, x1, y1 = _edges(boxes)
    gap = np.maximum(number.x - x1, x0 - number.right)
    level = np.minimum(number.bottom, y1) - np.maximum(number.y, y0)
    lower = np.minimum(number.height, y1 - y0)
    return [boxes[int(i)] for i in np.flatnonzero((gap <= reach) & (level >= 0.5 * lower))]


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Indices of `boxes` in rows from top to bottom, each row from left to right.

    A box belongs to the row above where its middle lies within that row's first box.
    """
    rows: list[list[int]] = []
    for i in sorted(range(len(boxes)), key=lambda i: (boxes[i].y + boxes[i].height / 2, boxes[i].x)):
        middle = boxes[i].centre[1]
        row = next((r for r in rows[-3:] if boxes[r[0]].y <= middle < boxes[r[0]].bottom), None)
        if row is None:
            rows.append([i])
        else:
            row.append(i)
    return [i for row in rows for i in sorted(row, key=lambda i: boxes[i].x)]
