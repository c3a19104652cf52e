"""Frames: printed boxes and combs of a few cells, told by their own shape, however large their digits are.

Rulings are told from strokes by their length, in heights of a digit. That fails where digits fill their
cells: the sides are no longer than a 1, and those of a comb, which is open above, end at one line only. But
no writing has a straight line along its foot, straight uprights at both ends of it, and others at even steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from processor.components import Components, find_components
from processor.pages.cells import LEAST_SIDE, SPANS, Span, find_walls, is_edge, level_lines
from processor.pages.straightening import LEAN, Grid
from processor.records import Gray, Mask
from processor.stages import stage

FILLED = 0.8
"""Less of a frame's box than this share is ink, digits included."""

LARGEST = 0.3
MOST_PIXELS = 200_000
"""What takes a larger share of the page, or so many pixels, is a table or a border, whose lines are long."""

SIDE = 0.3
"""Its walls are at least this share of its height, digits that stand out of it included, high."""

HOLDS = 0.35
"""In a single box stands something at least this share of its height high: an empty one may be a 0."""

ACROSS = 1.6
"""Ink that runs so many times a line's thickness across it belongs to a stroke."""


OPEN = 1.2
"""Digits stand in an open comb to the height of so many of its cells' widths."""

CROSSES = 0.2
"""A mark of which at least this share stands in a second cell is the ink of two digits: the wall parts it."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A page's `writing` without its frames, the frames' `level` lines and their `walls`: (H, W) masks.

    `dividers` are the walls as far as they part digits: those of an open comb do so above it, too.
    """

    writing: Mask
    level: Mask
    walls: Mask
    dividers: Mask

    def erased_from(self, ink: Gray) -> Gray:
        """`ink` (H, W) without the frames and their soft edges: what is printed there is known."""
        printed = cv2.dilate((self.level | self.walls).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        return np.where(printed & ~self.writing, np.uint8(0), ink)


@stage("ruled lines")
def remove_frames(mask: Mask, found: Components) -> Frames:
    """Takes boxes and combs out of `mask` (H, W), whose components are `found`.

    Strokes that cross a line or lean on one stay. Fails where a line breaks up or is bent with its paper.
    """
    level, walls, strokes, dividers = (np.zeros(mask.shape, np.bool_) for _ in range(4))
    none = True
    for label, (x, y, width, height) in _candidates(found, mask.shape):
        place = np.s_[y : y + height, x : x + width]
        frame = _Frame.of(found.labels[place] == label, mask[place])
        if frame is not None:
            none = False
            level[place] |= frame.level
            walls[place] |= frame.walls
            strokes[place] |= frame.strokes
            rise = min(frame.rise, y)
            dividers[y - rise : y + height - rise, x : x + width] |= frame.walls
    if none:
        return Frames(mask, level, walls, dividers)
    return Frames(mask & (~(level | walls) | strokes), level, walls, walls | dividers)


def _candidates(found: Components, page: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The components that are large and empty enough for a frame, with their boxes."""
    boxes, areas = found.boxes(), found.areas
    for label in range(1, found.count):
        x, y, width, height = (int(v) for v in boxes[label])
        largest = min(MOST_PIXELS, LARGEST * page[0] * page[1])
        if min(width, height) < LEAST_SIDE or width * height > largest:
            continue
        if width + height <= areas[label] <= FILLED * width * height:
            yield label, (x, y, width, height)


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The `level` lines and `walls` of one frame, and the `strokes` across them: (h, w) masks."""

    level: Mask
    walls: Mask
    strokes: Mask
    rise: int
    """So many pixels farther up the walls of an open comb part what is written in it."""

    @staticmethod
    def of(mark: Mask, ink: Mask) -> "_Frame | None":
        """The frame that the connected `mark` (h, w) is, with what is written on it; None where it is none.

        `ink` is all that stands in its box, as the digits of an ordinary box, which touch no side.
        """
        if not _has_foot(mark):
            return None
        grid = Grid.along_lines(mark)
        straight = grid.straightened(mark)
        lines = level_lines(straight, mark.shape[1])
        if not 1 <= len(lines) <= 2:
            return None
        walls = find_walls(straight, lines)
        if not walls or (len(lines) == 1 and len(walls) < 3) or not is_edge(straight, lines):
            return None
        inside = grid.straightened(ink)[
            lines[0].last + 2 : lines[-1].first - 1, walls[0].last + 2 : walls[-1].first - 1
        ]
        if len(walls) == 2 and inside.any(axis=1).sum() < HOLDS * len(inside):
            return None
        level, upright, strokes = _bands(straight, lines, walls)
        strokes &= ~(upright & _in_two_cells(straight & (~(level | upright) | strokes), walls))
        rise = _rise(walls) if len(lines) == 1 else 0
        kinds = grid.back(level * np.uint8(1) | upright * np.uint8(2) | strokes * np.uint8(4))
        level, upright, strokes = ((kinds & bit).astype(np.bool_) for bit in (1, 2, 4))
        return _Frame(level, upright, strokes, rise)


def _has_foot(mark: Mask) -> bool:
    """Whether `mark` may have a level line below and an upright at both ends: few letters and digits do."""
    height, width = mark.shape
    lowest = height - mark[::-1].argmax(axis=0)
    if (lowest >= height - min(0.4 * height, 2 + LEAN * width)).mean() < SPANS:
        return False
    side = round(2 + 2 * LEAN * height)
    return all(end.any(axis=1).sum() >= SIDE * height for end in (mark[:, :side], mark[:, -side:]))


def _bands(straight: Mask, lines: list[Span], walls: list[Span]) -> tuple[Mask, Mask, Mask]:
    """The lines and the walls with their edges, and the strokes that run across either."""
    level, upright, strokes = (np.zeros_like(straight) for _ in range(3))
    for line in lines:
        level[line.first - 1 : line.last + 2, walls[0].first - 1 : walls[-1].last + 2] = True
    for wall in walls:
        upright[wall.start - 1 : lines[-1].last + 2, wall.first - 1 : wall.last + 2] = True
    beside, between = straight & ~upright, (straight & ~level).T
    for line in lines:
        strokes[line.first - 1 : line.last + 2] |= _across(beside, line)
    for wall in walls:
        strokes[:, wall.first - 1 : wall.last + 2] |= _across(between, wall).T
    return level & straight, upright & straight, strokes & straight & (level | upright)


def _across(ink: Mask, line: Span) -> Mask:
    """Of the rows of a level `line` and its edges, the `ink` (h, w) of strokes that reach or cross them.

    A stroke that only reaches the line ends in the middle of it: its other half is print.
    """
    first, last = line.first - 1, line.last + 1
    reach = max(int(np.ceil(ACROSS * line.thickness)) + 1, line.thickness + 3)
    top = max(0, first - reach)
    near = np.ascontiguousarray(ink[top : last + 1 + reach])
    high = _opened(near, (reach, 1))[first - top : last + 1 - top]
    middle = (last + 1 - first) // 2
    rows = np.arange(last + 1 - first)[:, None]
    wide = np.ones((1, 3), np.uint8)
    above, below = (
        cv2.dilate(np.ascontiguousarray(ink[row][None]).view(np.uint8), wide) > 0
        for row in (first - 1, last + 1)
    )
    upper, lower = above & (below | (rows <= middle)), below & (above | (rows >= middle))
    return np.asarray(high & (upper | lower), np.bool_)


def _rise(walls: list[Span]) -> int:
    """By how much the walls of an open comb are lower than digits in its cells may be."""
    height = walls[0].end - walls[0].start + 1
    step = (walls[-1].first - walls[0].first) / (len(walls) - 1)
    return int(np.clip(OPEN * step - height, 0, height))


def _in_two_cells(written: Mask, walls: list[Span]) -> Mask:
    """Those marks of what is `written` in a frame that are the ink of several cells' digits."""
    marks = find_components(written)
    cell = np.searchsorted([(wall.first + wall.last) / 2 for wall in walls], marks.x)
    shares = np.zeros((marks.count, len(walls) + 1))
    np.add.at(shares, (marks.at, cell), 1.0)
    second = np.sort(shares, axis=1)[:, -2] / np.maximum(shares.sum(axis=1), 1)
    return np.asarray((second >= CROSSES)[marks.labels] & written, np.bool_)


def _opened(mask: Mask, shape: tuple[int, int]) -> Mask:
    return np.asarray(
        cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, np.ones(shape, np.uint8)) > 0, np.bool_
    )
