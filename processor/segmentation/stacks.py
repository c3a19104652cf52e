"""Stacks: pieces of ink that stand over each other as the parts of one broken character do.

A pen that skips, a fax or a faint scan breaks a 2 at its waist and loosens the bar of a 5. Each piece alone
is lower than a digit, and often looks like another one.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from processor.records import Box, Cause, Rejection

GAP = 0.3
"""Between the pieces of a digit lies at most this share of their common height,"""

SHARED = 0.5
"""... the narrower one has at least this share of its columns in common with the other,"""

BESIDE = 0.5
"""... and the lower one at most this share of its rows: a 1 under the bar of a 7 stands beside it."""

PIECE = 0.15, 0.85
"""Each is such a share of their common height high, or as wide: less is a speck, more a whole digit."""

WIDEST = 1.2
"""Together they are at most so many times as wide as high: a bit of a ruled line stands over many digits."""

ALIKE = 1.25
"""Together they are as high as digits of the page are, or as characters near them, by this factor,"""

NEAR = 8.0
WITNESSES = 2
"""... of which so many stand at most so many of their heights away: two rows of figures have no such."""

ROW_GAP = 0.12
"""Pieces that both stand in rows of their own are one digit's where only a line's thickness parts them;"""

ROW_MATES = 2
LIKE = 1.5
FEET = 0.25
"""... in a row stand so many others, of heights that differ by at most this factor, whose feet differ by at
most this share of the higher one's height."""

CRUMBS = 0.5
"""Specks beside a number's digits that cover this share of their height may be what is left of another."""


def find_stacks(boxes: Sequence[Box], digit_height: float) -> list[list[int]]:
    """Indices of a page's `boxes`: the pieces of each broken character together, all others alone.

    The page's digits are about `digit_height` px high; that is what most of its marks say, which may be small
    print, so characters near by count as well.
    """
    if not boxes:
        return []
    table = _table(boxes)
    pairs = _without_rows(table, _over(table))
    whole = {i for stack in _join(boxes, pairs) if _is_whole(table, stack, digit_height) for i in stack}
    kept = [pair for pair in pairs if pair[0] in whole or _is_whole(table, pair, digit_height)]
    return _join(boxes, kept)


def line_stacks(boxes: Sequence[Box], digit_height: float) -> list[list[int]]:
    """The same for the `boxes` of one line, from left to right, whose characters stand beside each other."""
    limit = ALIKE * max(digit_height, max((box.height for box in boxes), default=0))
    pairs = [(a, b) for a, b in _over(_table(boxes)) if Box.around((boxes[a], boxes[b])).height <= limit]
    joined = [sorted(stack, key=lambda i: (boxes[i].centre[0], boxes[i].y)) for stack in _join(boxes, pairs)]
    return sorted(joined, key=lambda s: (Box.around(boxes[i] for i in s).centre[0], boxes[s[0]].y))


def fell_apart(digits: Sequence[Box], specks: Sequence[Box], reach: float) -> Rejection | None:
    """Why `specks` in a gap of a number's `digits`, or at most `reach` px beside it, may be a digit.

    They are where they cover as many rows as one that a faint pen or scan left in crumbs. A colon does not,
    nor do the specks over and under a digit, which are its own.
    """
    number = Box.around(digits)
    height = float(np.median([box.height for box in digits]))
    rows: dict[int, NDArray[np.bool_]] = {}
    for speck in specks:
        at = speck.centre[0]
        gap = max(number.x - speck.right, speck.x - number.right)
        if gap > reach or any(box.x <= at <= box.right for box in digits):
            continue
        place = sum(box.centre[0] < at for box in digits)
        covered = rows.setdefault(place, np.zeros(number.height, np.bool_))
        covered[max(0, speck.y - number.y) : max(0, speck.bottom - number.y)] = True
    most = max((int(covered.sum()) for covered in rows.values()), default=0)
    if not rows or most < CRUMBS * height:
        return None
    return Rejection(
        Cause.INCOMPLETE, "specks in it or beside it, {} digit heights together", most / height, CRUMBS
    )


def _table(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.array([(b.x, b.y, b.right, b.bottom) for b in boxes], np.float64).reshape(-1, 4)


def _over(table: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The pairs of rows of `table` (N, 4: left, top, right, bottom) that stand over each other, and close."""
    order = np.argsort(table[:, 0], kind="stable")
    sorted_table = table[order]
    ends = np.searchsorted(sorted_table[:, 0], sorted_table[:, 2])
    found = []
    for rank, end in enumerate(ends):
        x0, y0, x1, y1 = sorted_table[rank]
        others = sorted_table[rank + 1 : end]
        left, top, right, bottom = others.T
        gap = np.maximum(top, y0) - np.minimum(bottom, y1)
        height = np.maximum(bottom, y1) - np.minimum(top, y0)
        shared = np.minimum(right, x1) - np.maximum(left, x0) >= SHARED * np.minimum(right - left, x1 - x0)
        lower, higher = np.minimum(bottom - top, y1 - y0), np.maximum(bottom - top, y1 - y0)
        least = np.minimum(np.maximum(bottom - top, right - left), max(y1 - y0, x1 - x0))
        pieces = (least >= PIECE[0] * height) & (higher <= PIECE[1] * height)
        narrow = np.maximum(right, x1) - np.minimum(left, x0) <= WIDEST * height
        over = shared & pieces & narrow & (gap <= GAP * height) & (-gap <= BESIDE * lower)
        found += [(int(order[rank]), int(order[rank + 1 + at])) for at in np.flatnonzero(over)]
    return found


def _without_rows(table: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of `pairs` of boxes of the `table` that do not stand in two rows of writing."""
    if not pairs:
        return []
    one, other = table[np.array(pairs)].transpose(1, 2, 0)
    gap = np.maximum(one[1], other[1]) - np.minimum(one[3], other[3])
    height = np.maximum(one[3], other[3]) - np.minimum(one[1], other[1])
    apart = (gap > ROW_GAP * height).tolist()
    in_row = _in_rows(table, {i for pair, parted in zip(pairs, apart, strict=True) if parted for i in pair})
    return [
        pair for pair, parted in zip(pairs, apart, strict=True) if not (parted and in_row.issuperset(pair))
    ]


def _in_rows(table: NDArray[np.float64], asked: Collection[int]) -> set[int]:
    """Those of the boxes `asked`, of the `table`, that stand on one level with others like them."""
    by_feet = table[np.argsort(table[:, 3], kind="stable")]
    found = set()
    for i in asked:
        left, top, right, bottom = table[i].tolist()
        height, reach = bottom - top, FEET * LIKE * (bottom - top)
        first, last = np.searchsorted(by_feet[:, 3], (bottom - reach, bottom + reach), side="right")
        x0, y0, x1, y1 = by_feet[first:last].T
        taller, lower = np.maximum(y1 - y0, height), np.minimum(y1 - y0, height)
        level = (taller <= LIKE * lower) & (np.abs(y1 - bottom) <= FEET * taller)
        near = np.maximum(x0 - right, left - x1) <= NEAR * taller
        if int((level & near).sum()) > ROW_MATES:
            found.add(i)
    return found


def _is_whole(table: NDArray[np.float64], pieces: Sequence[int], digit_height: float) -> bool:
    """Whether the rows `pieces` of `table` are together as high as a digit here."""
    if len(pieces) < 2:
        return False
    left, top = table[list(pieces), :2].min(axis=0)
    right, bottom = table[list(pieces), 2:].max(axis=0)
    height = bottom - top
    if digit_height / ALIKE <= height <= ALIKE * digit_height:
        return True
    across = np.maximum(table[:, 0], left) - np.minimum(table[:, 2], right)
    down = np.maximum(table[:, 1], top) - np.minimum(table[:, 3], bottom)
    heights = table[:, 3] - table[:, 1]
    alike = (heights >= height / ALIKE) & (heights <= ALIKE * height)
    return int((alike & (np.maximum(across, down) <= NEAR * height)).sum()) >= WITNESSES


def _join(boxes: Sequence[Box], pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Indices of `boxes` with the `pairs` put together, each stack from top to bottom."""
    parents = list(range(len(boxes)))
    for pair in pairs:
        # A screen of dots has tens of thousands of pairs: none may cost a pass over all boxes.
        kept, gone = sorted(find_root(parents, i) for i in pair)
        parents[gone] = kept
    found: dict[int, list[int]] = {}
    for i in range(len(boxes)):
        found.setdefault(find_root(parents, i), []).append(i)
    return [sorted(stack, key=lambda i: boxes[i].y) for stack in found.values()]


def find_root(parents: list[int], i: int) -> int:
    """The index that stands for the group of `i` (union-find with halved paths, which `parents` keeps)."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i
