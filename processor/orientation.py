"""Orientation: a page that lies on its side or stands on its head is turned where its writing says so.

Three kinds of evidence. Characters are higher than wide, so marks that are wider than high lie on their side.
Neighbours on a line share their feet more often than their heads: of the Latin letters many ascend and few
descend (Caprari, "Algorithm for text page up/down orientation determination", 2000), and digits are written
upon a line. And upside down a 0, 1 or 8 is what it was and a 6 is a 9, but a 2, 3, 4 or 7 is none: the
network knows digits that stand on their feet.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processor.lines import Classify
from processor.records import Box, CutOut, Gray
from processor.segmentation.blobs import Blob
from processor.stages import stage

FEWEST = 12
"""Pages of fewer marks stay as they are: chance could turn them."""

SAMPLED = 64
"""So many marks, spread over the page, are shown to the network."""

COMPARED = 600
"""So many marks are compared with their neighbours."""

LIKE = 0.5, 1.8
"""Marks whose longer side lies within these multiples of the median may be characters."""

SLENDEREST = 0.12
"""... unless they are narrower than this share of it: pieces of lines."""

SIDEWAYS = 0.9
"""The median height to width of characters that lie on their side is below this."""

SURE = 0.95
UNLIKE = 0.5
"""A mark is surely a digit above the one probability, and unlike any below the other."""

LEGIBLE = 0.5
"""A page of which this share is surely digits as it comes does not lie on its side."""

MOSTLY_DIGITS = 0.6
"""The network decides where so many marks are surely digits, one way round; of letters it knows nothing."""

LEAST_DIGITS = 8
FOR_EACH_DIGIT = 5
"""Digits decide where at least so many are legible one way only, and so many for each of the other way."""

LEVEL = 0.1
"""Edges of neighbours that differ by less than this share of their height lie on one line."""

LEAST_PAIRS = 20
FOR_EACH_PAIR = 3
"""Lines decide where so many pairs are level on one side only, and so many for each of the other side."""

NEXT = 0.8
"""The next character stands at most this share of its height away."""


@stage("which way up")
def quarter_turns(blobs: Sequence[Blob], ink: Gray, classify: Classify) -> int:
    """By how many quarters the page must be turned clockwise until its writing stands upright: 0 to 3.

    `blobs` are the marks on the page's `ink` (H, W). Only clear evidence turns a page: where there are few
    marks, where nothing tells up from down, or where lines and digits disagree, it stays as it is. The
    network is asked only where the lines do not show that the page stands upright. Fails where most digits
    hang below the line they stand on and the network cannot read them.
    """
    marks = _characters(blobs)
    if len(marks) < FEWEST:
        return 0
    boxes = [mark.box for mark in marks]
    sideways = float(np.median([box.height / box.width for box in boxes])) < SIDEWAYS
    here, there = (1, 3) if sideways else (0, 2)
    by_lines = _verdict(*_level_pairs(boxes, here), LEAST_PAIRS, FOR_EACH_PAIR)
    if by_lines > 0 and not sideways:
        return 0
    step = max(1.0, len(marks) / SAMPLED)
    sample = [marks[int(i * step)].cut_out(ink) for i in range(min(SAMPLED, len(marks)))]
    if sideways and _sure_share(_likeness(sample, 0, classify)) >= LEGIBLE:
        return 0
    by_digits = _by_digits(_likeness(sample, here, classify), _likeness(sample, there, classify))
    return {1: here, 0: 0, -1: there}[int(np.sign(by_lines + by_digits))]


def _characters(blobs: Sequence[Blob]) -> list[Blob]:
    """Those of `blobs` that may be single characters, of whatever size most are."""
    if not blobs:
        return []
    sides = np.array([(b.box.width, b.box.height) for b in blobs], np.float64)
    longer, shorter = sides.max(axis=1), sides.min(axis=1)
    typical = float(np.median(longer))
    like = (longer >= LIKE[0] * typical) & (longer <= LIKE[1] * typical) & (shorter >= SLENDEREST * longer)
    return [blobs[int(i)] for i in np.flatnonzero(like)]


def _likeness(sample: Sequence[CutOut], turns: int, classify: Classify) -> NDArray[np.float32]:
    """(N,) how likely each of the cut-outs, turned clockwise by so many quarters, is its best digit."""
    turned = [np.ascontiguousarray(np.rot90(image, -turns, axes=(-2, -1))) for image in sample]
    return np.asarray(classify(turned)[1][:, :-1].max(axis=1), np.float32)


def _sure_share(likeness: NDArray[np.float32]) -> float:
    return float((likeness >= SURE).mean())


def _by_digits(here: NDArray[np.float32], there: NDArray[np.float32]) -> int:
    """1 where the digits are legible as they are, -1 where they are turned round, 0 where they cannot tell.

    Both are (N,) likenesses. Pages of words are left to the lines: upside down more letters pass for digits.
    """
    if max(_sure_share(here), _sure_share(there)) < MOSTLY_DIGITS:
        return 0
    only_here = int(((here >= SURE) & (there < UNLIKE)).sum())
    only_there = int(((there >= SURE) & (here < UNLIKE)).sum())
    return _verdict(only_here, only_there, LEAST_DIGITS, FOR_EACH_DIGIT)


def _verdict(one: int, other: int, least: int, for_each: int) -> int:
    """1 for `one`, -1 for `other`, 0 where neither has `least` votes and `for_each` time those against it."""
    if max(one, other) < max(least, for_each * min(one, other)):
        return 0
    return 1 if one > other else -1


def _level_pairs(boxes: Sequence[Box], turns: int) -> tuple[int, int]:
    """Pairs of neighbours that are level at their feet alone, and at their heads alone.

    The page is looked at turned clockwise by so many quarters (0 or 1).
    """
    table = np.array([(b.x, b.y, b.right, b.bottom) for b in boxes[:COMPARED]], np.float64)
    if turns == 1:
        table = np.stack([-table[:, 3], table[:, 0], -table[:, 1], table[:, 2]], axis=1)
    left, top, right, bottom = table.T
    height = bottom - top
    taller = np.maximum(height[:, None], height)
    gap = left - right[:, None]
    overlap = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    beside = (gap > -0.2 * taller) & (gap < NEXT * taller) & (left > left[:, None])
    beside &= overlap > 0.5 * np.minimum(height[:, None], height)
    after = np.where(beside, gap, np.inf).argmin(axis=1)
    first = np.flatnonzero(beside.any(axis=1))
    second = after[first]
    tolerance = np.maximum(1.0, LEVEL * np.maximum(height[first], height[second]))
    feet = np.abs(bottom[first] - bottom[second]) <= tolerance
    heads = np.abs(top[first] - top[second]) <= tolerance
    return int((feet & ~heads).sum()), int((heads & ~feet).sum())
