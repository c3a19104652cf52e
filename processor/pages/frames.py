"""Frames: printed boxes and combs of a few cells, told by their own shape, however large their digits are.

Rulings are told from strokes by their length, in heights of a digit. That fails where digits fill their
cells: the sides are no longer than a 1, and those of a comb, which is open above, end at one line only. But
no writing has a straight line along its foot, straight uprights at both ends of it, and others at even steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.components import Components, find_components
from processor.records import Gray, Mask

LEAST_SIDE = 12
"""Pixels: what is smaller frames nothing that could be read."""

FILLED = 0.8
"""Less of a frame's box than this share is ink, digits included."""

LARGEST = 0.3
MOST_PIXELS = 200_000
"""What takes a larger share of the page, or so many pixels, is a table or a border, whose lines are long."""

ALIKE = 1.5
"""The lines of a frame differ in thickness by at most this factor, and a pixel: one ruler drew them."""

LEAN = 0.08
MOST_STEPS = 24
"""Sides climb or lean by at most so many pixels a pixel, and so many in all: the page is level already."""

SAMPLED = 3000
"""The slopes are told by about so many pixels of a mark."""

SPANS = 0.75
"""A frame's level line runs along this share of its width: digits may stick out beside it,"""

COVERED = 0.9
"""... and so much of each line and wall is ink."""

CORNERS = 0.96
"""... and this much of a line between the outer edges of the outer walls."""

THICKNESS = 0.3
"""Lines are at most this share of the walls' height thick."""

EDGE = 1
"""The edge of a line strays by at most so many pixels, beside the digits that cross it."""

SIDE = 0.3
"""Its walls are at least this share of its height, digits that stand out of it included, high."""

EVEN = 0.2
"""The walls at both ends of a comb differ in height by at most this share,"""

OFF = 0.06
"""... and walls stand at even steps but for this share of a step, and a pixel."""

ROW = 0.3
"""Rows of cells in one frame are at least this share of its height high."""

NARROWEST = 0.45
HALVES = 0.65
"""Cells are at least this share of their height wide; the halves of a box, where a 1 may stand, this."""

WIDER = 3.0
"""... and so many times wider than a line is thick."""

BEYOND = 0.5
"""At most this share of a frame's line has ink beyond it; the densest row of a bold 0 has more."""

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


def remove_frames(mask: Mask, found: Components) -> Frames:
    """Takes boxes and combs out of `mask` (H, W), whose components are `found`.

    Strokes that cross a line or lean on one stay. Fails where a line breaks up or is bent with its paper.
    """
    level, walls, strokes, dividers = (np.zeros_like(mask) for _ in range(4))
    for label, (x, y, width, height) in _candidates(found, mask.shape):
        place = np.s_[y : y + height, x : x + width]
        frame = _Frame.of(found.labels[place] == label, mask[place])
        if frame is not None:
            level[place] |= frame.level
            walls[place] |= frame.walls
            strokes[place] |= frame.strokes
            rise = min(frame.rise, y)
            dividers[y - rise : y + height - rise, x : x + width] |= frame.walls
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


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows (or columns) `first` to `last` of a line, both included, which runs from `start` to `end`."""

    first: int
    last: int
    start: int
    end: int

    @property
    def thickness(self) -> int:
        return self.last - self.first + 1


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
        grid = _Grid.along_lines(mark)
        straight = grid.straightened(mark)
        lines = _ruled(_level_lines(straight, mark.shape[1]))
        if not 1 <= len(lines) <= 2:
            return None
        walls = _walls(straight, lines)
        if not walls or (len(lines) == 1 and len(walls) < 3) or not _is_edge(straight, lines):
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


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Which pixel of a mark of `shape`, with a `margin` about it, each pixel of the straightened mark is."""

    source: NDArray[np.int32]
    margin: int
    shape: tuple[int, ...]

    @staticmethod
    def along_lines(mark: Mask) -> "_Grid":
        """By the slopes after which rows and columns of `mark` (h, w) are full or empty (Postl, 1986)."""
        height, width = mark.shape
        y, x = np.nonzero(mark)
        some = slice(None, None, 1 + len(x) // SAMPLED)
        climb = _sharpest(y[some], x[some] - width / 2, width)
        level = y - np.rint(climb * (x - width / 2)).astype(np.int64)
        beside = np.bincount(level - level.min())[level - level.min()] < SPANS * width
        x, level = x[beside], level[beside]
        some = slice(None, None, 1 + len(x) // SAMPLED)
        lean = _sharpest(x[some], level[some] - height / 2, height)
        margin = 3 + int(max(abs(climb) * width, abs(lean) * height))
        rows, wide = height + 2 * margin, np.int32(width + 2 * margin)
        down, right = np.ogrid[:rows, :wide]
        columns = right.astype(np.int32) + np.rint(lean * (down - rows / 2)).astype(np.int32)
        columns %= wide
        climbs = np.rint(climb * (np.arange(wide) - wide / 2)).astype(np.int32)
        source = climbs[columns]
        source += down.astype(np.int32)
        source %= np.int32(rows)
        source *= wide
        source += columns
        return _Grid(source, margin, mark.shape)

    def straightened(self, mark: Mask) -> Mask:
        return np.asarray(np.pad(mark, self.margin).ravel()[self.source], np.bool_)

    def back(self, straight: NDArray[np.uint8]) -> NDArray[np.uint8]:
        full = np.zeros_like(straight)
        full.ravel()[self.source] = straight
        inner = np.s_[self.margin : self.margin + self.shape[0], self.margin : self.margin + self.shape[1]]
        return np.asarray(full[inner], np.uint8)


def _sharpest(across: NDArray[np.int64], along: NDArray[np.float64], length: int) -> float:
    """The slope at which points share the fewest values of `across`, moved along a side `length` px long."""
    steps = min(MOST_STEPS, int(LEAN * length))
    slopes = sorted((step / length for step in range(-steps, steps + 1)), key=abs)
    return max(slopes, key=lambda slope: _sharpness(across - np.rint(slope * along).astype(np.int64)))


def _sharpness(values: NDArray[np.int64]) -> float:
    return (
        float(np.square(np.bincount(values - values.min()).astype(np.float64)).sum()) if len(values) else 0.0
    )


def _level_lines(straight: Mask, width: int) -> list[_Span]:
    """The level lines of a straightened mark `width` px wide, from top to bottom."""
    # A fine line that climbs steps from one row to the next: two rows together hold it.
    two = straight | np.roll(straight, -1, axis=0)
    start, end = two.argmax(axis=1), two.shape[1] - two[:, ::-1].argmax(axis=1)
    extent = end - start
    full = (extent >= SPANS * width) & (two.sum(axis=1) >= COVERED * extent) & two.any(axis=1)
    lines = []
    for first, last in _runs(full):
        dense = first + np.flatnonzero(straight[first : last + 2].sum(axis=1) >= extent[first] / 2)
        fullest = first + int(two[first : last + 1].sum(axis=1).argmax())
        top, bottom = (int(dense[0]), int(dense[-1])) if len(dense) else (first, last + 1)
        lines.append(_Span(top, bottom, int(start[fullest]), int(end[fullest]) - 1))
    return lines


def _ruled(lines: list[_Span]) -> list[_Span]:
    """`lines` without strokes of wide digits: too thick, or too near the first or the last for cells."""
    if len(lines) < 2:
        return lines
    thick = min(lines[0].thickness, lines[-1].thickness)
    lines = [line for line in lines if thick / ALIKE - 1 <= line.thickness <= ALIKE * thick + 1]
    if len(lines) < 3:
        return lines
    top, foot = lines[0], lines[-1]
    least = ROW * (foot.first - top.last)
    inner = [line for line in lines[1:-1] if line.first - top.last > least and foot.first - line.last > least]
    return [top, *inner, foot]


def _is_edge(straight: Mask, lines: list[_Span]) -> bool:
    """Whether the mark ends at its first and last lines, but for what crosses them; the last is straight."""
    foot = lines[-1]
    outside = [foot.last + 1 + EDGE] + ([lines[0].first - 1 - EDGE] if len(lines) > 1 else [])
    if any(straight[row, foot.start : foot.end + 1].mean() > BEYOND for row in outside):
        return False
    under = straight[foot.first - 1 : foot.last + 2 + EDGE, foot.start : foot.end + 1]
    edge = under[::-1].argmax(axis=0)
    return bool((np.abs(edge - np.median(edge)) <= EDGE).mean() >= SPANS)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of what is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def _walls(straight: Mask, lines: list[_Span]) -> list[_Span]:
    """The walls over the lowest of the `lines`, from left to right, both ends' too; none where one lacks."""
    foot = lines[-1]
    thick = foot.thickness
    two = straight | np.roll(straight, -1, axis=1)
    top = lines[0].last + 1 if len(lines) == 2 else _top(two, foot)
    height = foot.first - top
    if height < LEAST_SIDE / 2 or thick > max(3, THICKNESS * height):
        return []
    runs = _runs(two[top : foot.first].mean(axis=0) >= COVERED)
    length = foot.end - foot.start - thick
    reach = 2 * thick + 2
    narrowest = max(NARROWEST * height, WIDER * thick)
    for cells in range(max(1, int(length / narrowest)), 0, -1):
        step = length / cells
        if cells == 2 and len(lines) == 2 and step < HALVES * height:
            continue
        off = [reach, *([1 + OFF * step] * (cells - 1)), reach]
        at = [foot.start + thick / 2 + step * i for i in range(cells + 1)]
        found = [_wall(runs, middle, slack, thick) for middle, slack in zip(at, off, strict=True)]
        walls = [_Span(*wall, top, foot.first - 1) for wall in found if wall]
        if len(walls) == len(found):
            return walls if _has_corners(straight, lines, walls) else []
    return []


def _top(two: Mask, foot: _Span) -> int:
    """The row at which the walls at both ends of a comb begin; that of its `foot` where they do not match."""
    reach = 2 * foot.thickness + 2
    heights = []
    for start in (foot.start - 1, foot.end - reach):
        above = two[: foot.first, max(0, start) : start + reach + 1][::-1]
        heights.append(int(np.where(above.all(axis=0), len(above), above.argmin(axis=0)).max(initial=0)))
    low, high = sorted(heights)
    return foot.first - low if high - low <= EVEN * high else foot.first


def _has_corners(straight: Mask, lines: list[_Span], walls: list[_Span]) -> bool:
    """Whether each line runs from the first to the last of the `walls`: those of a 0 or a d are round."""
    two = straight | np.roll(straight, -1, axis=0)
    between = slice(walls[0].first, walls[-1].last + 1)
    return all(two[line.first - 1 : line.last + 1, between].mean(axis=1).max() >= CORNERS for line in lines)


def _wall(runs: list[tuple[int, int]], middle: float, off: float, thick: int) -> tuple[int, int] | None:
    """First and last of the covered columns, in `runs`, of the wall at most `off` px from `middle`.

    It is about as thick as the foot, which is `thick` px.
    """
    near = [(first, last) for first, last in runs if first - off <= middle <= last + off]
    if not near:
        return None
    first, last = min(near, key=lambda run: abs(run[0] + run[1] - 2 * middle))
    # Columns are looked at in twos, so a wall seems to begin one early; a stroke beside it makes it thick.
    first = min(first + 1, last)
    if last - first + 1 > 2 * thick + 1:
        first = int(np.clip(round(middle - thick / 2), first, last - thick + 1))
        last = first + thick - 1
    return first, last


def _bands(straight: Mask, lines: list[_Span], walls: list[_Span]) -> tuple[Mask, Mask, Mask]:
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


def _across(ink: Mask, line: _Span) -> Mask:
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


def _rise(walls: list[_Span]) -> int:
    """By how much the walls of an open comb are lower than digits in its cells may be."""
    height = walls[0].end - walls[0].start + 1
    step = (walls[-1].first - walls[0].first) / (len(walls) - 1)
    return int(np.clip(OPEN * step - height, 0, height))


def _in_two_cells(written: Mask, walls: list[_Span]) -> Mask:
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
