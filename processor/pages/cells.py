"""Cells: the level lines and the walls of a printed frame, on a mark whose lines were made straight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import Mask

LEAST_SIDE = 12
"""Pixels: what is smaller frames nothing that could be read."""

ALIKE = 1.5
"""The lines of a frame differ in thickness by at most this factor, and a pixel: one ruler drew them."""

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


@dataclass(frozen=True, slots=True)
class Span:
    """Rows (or columns) `first` to `last` of a line, both included, which runs from `start` to `end`."""

    first: int
    last: int
    start: int
    end: int

    @property
    def thickness(self) -> int:
        return self.last - self.first + 1


def level_lines(straight: Mask, width: int) -> list[Span]:
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
        lines.append(Span(top, bottom, int(start[fullest]), int(end[fullest]) - 1))
    return _ruled(lines)


def _ruled(lines: list[Span]) -> list[Span]:
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


def is_edge(straight: Mask, lines: list[Span]) -> bool:
    """Whether the mark ends at its first and last lines, but for what crosses them; the last is straight."""
    foot = lines[-1]
    outside = [foot.last + 1 + EDGE] + ([lines[0].first - 1 - EDGE] if len(lines) > 1 else [])
    if any(straight[row, foot.start : foot.end + 1].mean() > BEYOND for row in outside):
        return False
    under = straight[foot.first - 1 : foot.last + 2 + EDGE, foot.start : foot.end + 1]
    edge = under[::-1].argmax(axis=0)
    return bool((np.abs(edge - np.median(edge)) <= EDGE).mean() >= SPANS)


def find_walls(straight: Mask, lines: list[Span]) -> list[Span]:
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
        walls = [Span(*wall, top, foot.first - 1) for wall in found if wall]
        if len(walls) == len(found):
            known = _explains(walls, runs, thick) and _has_corners(straight, lines, walls)
            return walls if known else []
    return []


def _explains(walls: list[Span], runs: list[tuple[int, int]], thick: int) -> bool:
    """Whether few of the covered columns, in `runs`, are as narrow as a wall `thick` px wide and are none.

    Where one wall of a comb breaks up, fewer cells of another width may fit the strokes of digits.
    """
    narrow = [run for run in runs if run[1] - run[0] <= 2 * thick]
    strays = [run for run in narrow if all(run[0] > w.last or run[1] < w.first for w in walls)]
    return len(strays) < max(2, len(walls) - 2)


def _has_corners(straight: Mask, lines: list[Span], walls: list[Span]) -> bool:
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


def _top(two: Mask, foot: Span) -> int:
    """The row at which the walls at both ends of a comb begin; that of its `foot` where they do not match."""
    reach = 2 * foot.thickness + 2
    heights = []
    for start in (foot.start - 1, foot.end - reach):
        above = two[: foot.first, max(0, start) : start + reach + 1][::-1]
        heights.append(int(np.where(above.all(axis=0), len(above), above.argmin(axis=0)).max(initial=0)))
    low, high = sorted(heights)
    return foot.first - low if high - low <= EVEN * high else foot.first


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of what is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]
