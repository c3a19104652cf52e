"""Rulings: the printed lines, boxes and combs of forms are found and taken out; strokes across them stay."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.components import Components, boxes_of, covered_columns, find_components, grown, places
from processor.pages.scaling import is_large
from processor.records import Mask
from processor.stages import stage

LENGTH_IN_HEIGHTS = 2.5
"""A ruled line is longer than this many digit heights; no stroke of a digit is."""

THICKNESS_IN_HEIGHTS = 0.2
"""A ruled line is thinner than this share of a digit's height."""

PIECE_IN_HEIGHTS = 0.35
"""A line is put together from straight pieces so long: a line of a photo climbs a pixel now and then."""

SPAN = 0.95
"""... or runs across this share of a small cut-out (a cell, a strip), whose digits are nearly as high."""

LEVEL = 0.05
"""... and climbs less than this share of its length there: a slanted 1 may be as high as its strip."""

STEEPEST = 0.3
"""Lines climb at most this share of their length on a photographed page."""

SIDE_IN_HEIGHTS = 0.9
"""The sides of boxes are at least so many digit heights long."""

COVERED = 0.9
"""Of a line's length so much is ink, small gaps closed: the bars of a row of 7s are no line."""

CROSSED = 0.25
"""A line that only its faint parts hold together is crossed in fewer of its columns; small print in more."""

FAINT_PIXELS = 3.0
"""... and thinner than so many pixels, or `THICKNESS_IN_HEIGHTS`."""

CELL = 2, 4
"""The pieces of a large page's lines are put together in cells of so many rows and columns of pixels."""

SAMPLED = 4
"""The course of a large page's lines is measured in every fourth column."""

FILLED = 0.75
"""... and where less of it is ink, before gaps are closed, in that share of its ink, too: the arches of small
print leave gaps, and each stands on strokes; a dotted line has gaps, and is crossed by none."""

SHORT_IN_HEIGHTS = 12.0
STRAY_IN_THICKNESS = 0.4
STRAY_PIXELS = 1.2
"""A line shorter than so many digit heights (longer ones may curl with the paper) strays from its course by
less than this standard deviation; the heads, bars and feet of small print, which also make a run, by more."""

BARE = 0.75
"""... over this share of its length; elsewhere, the feet of digits that stand on it may belong to its run."""

THICKER = 1.6
"""Ink that runs so many times a line's thickness across it belongs to a stroke."""

REMAINS = 0.7
"""A mark of which this share lies within a line is a piece of it."""

LEAST_REST = 0.03
"""Where less of the ink would be left beside a single line, it is the writing (a lone 1, a dash)."""


@dataclass(frozen=True, slots=True, eq=False)
class Ruled:
    """A page's `writing`, its `horizontal` and its `upright` lines with their faint parts: (H, W) masks."""

    writing: Mask
    horizontal: Mask
    upright: Mask


@stage("ruled lines")
def remove_rulings(mask: Mask, digit_height: float, faint: Mask | None = None) -> Ruled:
    """Tells writing from ruled lines in `mask` (H, W); `digit_height` in pixels.

    `faint` holds what is too weak to be ink beside that: a fine line breaks up in `mask`, but not in there.
    A line is a thin run of straight pieces; where ink runs across it the ink stays, so a digit that crosses
    or touches a line stays whole. A stroke that lies within the line, in its direction, is lost with it.
    """
    if not mask.any():
        return Ruled(mask, mask, mask)
    faint = mask if faint is None else faint
    horizontal, rows = _lines(mask, faint, digit_height)
    turned = _turned(mask)
    turned_faint = turned if faint is mask else _turned(faint)
    lines, columns = _lines(turned, turned_faint, digit_height, ends_on=horizontal.T)
    upright = _turned(lines)
    if rows + columns == 0:
        return Ruled(mask, horizontal, upright)
    rest = mask & ~(horizontal | upright)
    if rows + columns == 1 and rest.sum() < LEAST_REST * mask.sum():
        nothing = np.zeros(mask.shape, np.bool_)
        return Ruled(mask, nothing, nothing)
    return Ruled(rest, horizontal, upright)


def _turned(mask: Mask) -> Mask:
    """`mask` (H, W) as (W, H) of its own: a few times as fast as NumPy's copy of its transpose."""
    return np.asarray(cv2.transpose(mask.view(np.uint8)).view(np.bool_), np.bool_)


def typical_height(found: Components) -> float:
    """Height in pixels of what could be digits: the median by area-weight over a page's, lines left out."""
    width, height = found.boxes()[1:, 2:].T.astype(float)
    area = found.areas[1:].astype(float)
    page_height, page_width = found.labels.shape
    usable = (height >= 8) & (width < 4 * height) & (height < 12 * width) & (width < 0.8 * page_width)
    usable &= (height < 0.98 * page_height) & (area > 0.06 * width * height)
    if not usable.any():
        return max(12.0, 0.5 * min(page_height, page_width)) if max(found.labels.shape) < 800 else 40.0
    heights, weights = height[usable], np.sqrt(area[usable])
    order = np.argsort(heights)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(heights[order][min(middle, len(order) - 1)])


def _lines(mask: Mask, faint: Mask, digit_height: float, ends_on: Mask | None = None) -> tuple[Mask, int]:
    """Horizontal lines of `mask`, as pixels, and how many; see `remove_rulings` for `faint` and upright ones.

    With `ends_on`, shorter lines count too where both their ends meet those lines: the sides of boxes.
    """
    found, zone, drawn = (np.zeros(mask.shape, np.bool_) for _ in range(3))
    count = 0
    for ink in (mask,) if faint is mask else (mask, faint):
        runs = _runs(ink, mask, digit_height, ends_on, strict=ink is not mask)
        if not runs.lines:
            continue
        here = cv2.dilate(runs.pieces.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_) & mask
        for stat, thickness in runs.lines:
            _spare_strokes(here, mask, stat, thickness)
        found |= here
        zone |= runs.zone
        drawn |= runs.pieces
        count = max(count, len(runs.lines))
    return _with_remains(found, mask, zone, int(digit_height)) | (drawn & ~mask), count


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Lines: the `pieces` they are made of, the `zone` around them (H, W), and each one's box and height."""

    pieces: Mask
    zone: Mask
    lines: list[tuple[NDArray[np.int32], float]]


def _runs(ink: Mask, mask: Mask, digit_height: float, ends_on: Mask | None, *, strict: bool) -> _Runs:
    """The horizontal lines of `ink`, whose thickness is measured on `mask`; `strict` where `ink` is faint.

    What is faint runs together in words of small print, so there a line must be thin and alone as well.
    """
    piece = int(max(9, min(PIECE_IN_HEIGHTS * digit_height, SPAN * mask.shape[1] / 3)))
    gap = int(max(3, digit_height / 8))
    joined = cv2.morphologyEx(ink.view(np.uint8), cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8))
    pieces = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, piece), np.uint8)).view(np.bool_)
    x, y = places(pieces)
    if not len(x):
        return _Runs(pieces, pieces, [])
    near = _Near.of(pieces, x, y, gap)
    at, count = near.at(x, y), near.count
    boxes = grown(boxes_of(at, x, y, count), (gap, 1), mask.shape)
    lengths = _undilated_widths(boxes, gap, mask.shape[1])
    long = lengths >= _shortest(mask.shape[1], digit_height, sides=ends_on is not None)
    long[0] = False
    x, y, at = (v[long[at]] for v in (x, y, at))
    area = np.bincount(at, minlength=count)
    dark = np.bincount(at[mask[y, x]], minlength=count) if strict else area
    covered = covered_columns(at, x, y, count)
    across, down = x - boxes[at, 0], y - boxes[at, 1]
    some = across % (SAMPLED if is_large(mask.shape) else 1) == 0
    course = _Course.of(at[some], across[some], down[some], count)
    steady = course.off(at, across, down) <= 1 + (area / np.maximum(covered, 1))[at]
    some &= steady
    stray = _stray(at[some], across[some], down[some], count)
    bare = covered_columns(at[steady], x[steady], y[steady], count)
    lines: list[tuple[NDArray[np.int32], float]] = []
    of_lines = []
    for i in np.flatnonzero(long & (covered >= COVERED * lengths)):
        box, length, thickness = boxes[i], int(lengths[i]), area[i] / covered[i]
        straight = stray[i] <= max(STRAY_PIXELS, STRAY_IN_THICKNESS * thickness) and bare[i] >= BARE * length
        if length < SHORT_IN_HEIGHTS * digit_height and not straight:
            continue
        is_line = _is_line(length, int(box[3]) - 2, dark[i] / length, mask.shape[1], digit_height)
        if not is_line and ends_on is not None and length >= SIDE_IN_HEIGHTS * digit_height:
            is_line = dark[i] / length <= _thickest(digit_height) and _meets(ends_on, box, gap)
        if is_line and strict:
            is_line = _is_thin(pieces, ink, box, thickness, int(covered[i]), digit_height)
        if is_line:
            lines.append((box, float(dark[i] / covered[i])))
            of_lines.append(int(i))
    if not lines:
        return _Runs(pieces, pieces, [])
    zone = near.zone(of_lines, boxes, mask.shape)
    return _Runs(pieces & zone, zone, lines)


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """Pieces with a gap between them at most, as `labels` (h, w) of cells of so many `rows` and `columns`.

    On a large page two rows by four columns are a cell: pieces are longer, and lines farther apart.
    """

    count: int
    labels: NDArray[np.int32]
    rows: int
    columns: int

    @staticmethod
    def of(pieces: Mask, x: NDArray[np.int32], y: NDArray[np.int32], gap: int) -> "_Near":
        """Of `pieces` (H, W), whose pixels are `x`, `y`."""
        rows, columns = CELL if is_large(pieces.shape) else (1, 1)
        if rows == 1:
            near = cv2.dilate(pieces.view(np.uint8), np.ones((3, 2 * gap + 1), np.uint8))
        else:
            near = np.zeros((-(-pieces.shape[0] // rows), -(-pieces.shape[1] // columns)), np.uint8)
            near[y // rows, x // columns] = 1
            near = cv2.dilate(near, np.ones((1, 2 * (gap // columns) + 1), np.uint8))
        count, labels = cv2.connectedComponents(near, connectivity=8)
        return _Near(count, np.asarray(labels, np.int32), rows, columns)

    def at(self, x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.int32]:
        """(N,) the label of each place."""
        return np.asarray(self.labels[y // self.rows, x // self.columns], np.int32)

    def zone(self, which: Sequence[int], boxes: NDArray[np.int32], shape: tuple[int, ...]) -> Mask:
        """The cells of `which` labels, with their `boxes` (N, 4), as a mask of the page's `shape`."""
        found = np.zeros(self.labels.shape, np.bool_)
        for label in which:
            x, y, width, height = (int(v) for v in boxes[label])
            top, bottom = y // self.rows, -(-(y + height) // self.rows)
            left, right = x // self.columns, -(-(x + width) // self.columns)
            place = np.s_[top:bottom, left:right]
            found[place] |= self.labels[place] == label
        if self.rows == 1:
            return found
        size = self.labels.shape[1] * self.columns, self.labels.shape[0] * self.rows
        whole = cv2.resize(found.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(whole[: shape[0], : shape[1]].view(np.bool_), np.bool_)


def _stray(
    at: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Standard deviation in pixels of each of `count` lines' points from its straight course; 0 is no line.

    `at` is the line that the point `x`, `y` belongs to, all (N,).
    """
    off = _Course.of(at, x, y, count).off(at, x, y)
    points = np.maximum(np.bincount(at, minlength=count), 1)
    return np.asarray(np.sqrt(np.bincount(at, off**2, count) / points), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """The straight courses of lines, through `middle_x`, `middle_y` with a `slope`: all (count,)."""

    middle_x: NDArray[np.float64]
    middle_y: NDArray[np.float64]
    slope: NDArray[np.float64]

    @staticmethod
    def of(at: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32], count: int) -> "_Course":
        """By least squares through the points of each line; see `_stray`."""
        points = np.maximum(np.bincount(at, minlength=count), 1)
        middle_x, middle_y = (np.bincount(at, v, count) / points for v in (x, y))
        dx, dy = x - middle_x[at], y - middle_y[at]
        xx, xy = (np.bincount(at, v, count) for v in (dx * dx, dx * dy))
        return _Course(middle_x, middle_y, xy / np.maximum(xx, 1e-9))

    def off(self, at: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.float64]:
        """(N,) by how many pixels each point lies above or below its line's course."""
        start = self.middle_y - self.slope * self.middle_x
        return np.asarray(np.abs(y - start[at] - self.slope[at] * x), np.float64)


def _is_thin(
    pieces: Mask, ink: Mask, stat: NDArray[np.int32], thickness: float, covered: int, digit_height: float
) -> bool:
    """Whether a faint line at `stat`, in `covered` columns, is thin enough, and few strokes cross it."""
    if thickness > max(FAINT_PIXELS, THICKNESS_IN_HEIGHTS * digit_height):
        return False
    place, strokes = _strokes(ink, stat, thickness)
    here = pieces[place]
    inked = here & ink[place]
    if inked.sum() < FILLED * here.sum() and (strokes & inked).sum() > CROSSED * inked.sum():
        return False
    return bool((strokes & here).any(axis=0).sum() <= CROSSED * covered)


def _with_remains(found: Mask, mask: Mask, zone: Mask, reach: int) -> Mask:
    """`found` and what is left of its lines: marks of the rest of `mask` in line with the lines' `zone`.

    A line of a photograph climbs in steps, and a step shorter than a piece would be read as a 1.
    """
    if not found.any():
        return found
    rest = find_components(mask & ~found)
    near = cv2.dilate(zone.view(np.uint8), np.ones((5, reach | 1), np.uint8)).view(np.bool_)
    inside = np.bincount(rest.at[near[rest.y, rest.x]], minlength=rest.count)
    remains = (inside > REMAINS * rest.areas)[rest.at]
    found[rest.y[remains], rest.x[remains]] = True
    return found


def _spare_strokes(found: Mask, mask: Mask, stat: NDArray[np.int32], thickness: float) -> None:
    """Takes the strokes that cross or lean on a level line at `stat`, `thickness` px high, off `found`."""
    place, strokes = _strokes(mask, stat, thickness)
    found[place] &= ~strokes


def _strokes(mask: Mask, stat: NDArray[np.int32], thickness: float) -> tuple[tuple[slice, slice], Mask]:
    """A place around the line at `stat`, and where in it ink runs upwards for more than its thickness."""
    reach = int(np.ceil(THICKER * thickness)) + 1
    x, y, width, height = (int(v) for v in stat[:4])
    place = slice(max(0, y - 2 * reach), y + height + 2 * reach), slice(x, x + width)
    upright = cv2.morphologyEx(
        np.ascontiguousarray(mask[place]).view(np.uint8), cv2.MORPH_OPEN, np.ones((reach, 1), np.uint8)
    )
    return place, np.asarray(upright > 0, np.bool_)


def _is_line(length: int, climb: int, thickness: float, page: int, digit_height: float) -> bool:
    """Whether something of this length, climb and thickness (pixels) is a line of a page so wide."""
    if thickness > _thickest(digit_height):
        return False
    spans = length >= SPAN * page > 1.2 * digit_height and climb <= thickness + LEVEL * length
    return spans or (length >= max(24.0, LENGTH_IN_HEIGHTS * digit_height) and climb <= STEEPEST * length)


def _thickest(digit_height: float) -> float:
    return max(4.0, THICKNESS_IN_HEIGHTS * digit_height)


def _shortest(page: int, digit_height: float, *, sides: bool) -> float:
    """The length in pixels below which nothing is a line of a page so wide, nor, with `sides`, a box's."""
    line = min(SPAN * page, max(24.0, LENGTH_IN_HEIGHTS * digit_height))
    return min(line, SIDE_IN_HEIGHTS * digit_height) if sides else line


def _undilated_widths(boxes: NDArray[np.int32], gap: int, width: int) -> NDArray[np.int64]:
    """(N,) widths of components before they were dilated by `gap` within a page of `width`."""
    left, right = boxes[:, 0], boxes[:, 0] + boxes[:, 2]
    return np.where(right < width, right - gap, width) - np.where(left > 0, left + gap, 0)


def _meets(lines: Mask, stat: NDArray[np.int32], gap: int) -> bool:
    """Whether both ends of the line with box `stat` (dilated by `gap`) lie on or beside `lines`."""
    x, y, width, height = (int(v) for v in stat[:4])
    reach = max(2, gap // 2)
    start, end = x + gap, x + width - gap
    top, bottom = max(0, y - 2), y + height + 2
    left = lines[top:bottom, max(0, start - reach) : start + reach]
    right = lines[top:bottom, max(0, end - reach) : end + reach]
    return bool(left.any() and right.any())
