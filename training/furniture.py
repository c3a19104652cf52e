"""The furniture of forms as non-digits: what is cut out of ruled lines, boxes, combs and dotted lines."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from processor.components import find_components
from processor.pages.cleaning import flatten, to_gray, upright_polarity
from processor.pages.ink import soft_ink
from processor.pages.rulings import remove_rulings, typical_height
from processor.pages.scaling import resize, working_scale
from processor.pages.thresholds import binarise
from processor.records import Gray, Mask, Page
from training.inks import NONE, Inks, collect

SIDES = 0.5, 1.6
"""A cut-out's sides, in digit heights."""

LEAST_INK = 0.02
"""Cut-outs with less of their area inked are blank."""

PAGE_SHARE = 0.5
"""So much comes from the pages, where there are some; the rest is drawn."""

_SIDE = 64
_TRIES = 50


def ruling_cutouts(count: int, rng: np.random.Generator, pages: Sequence[Page] | None = None) -> Inks:
    """`count` pieces of printed lines, labelled NONE; each a group of its own, those of a page one together.

    From `pages`, pieces of the lines that the page reader would find and take out, without the writing upon
    them; and drawn corners, crossings, combs, dotted lines and cells' borders. An upright piece of line alone
    would be a 1, and an upper right corner a 7: neither is among them. The same generator gives the same.
    """
    images: list[Gray] = []
    groups: list[int] = []
    for group, page in enumerate(pages or ()):
        wanted = round(PAGE_SHARE * count * (group + 1) / len(pages or ())) - len(images)
        found = _of_page(page, wanted, rng)
        images += found
        groups += [group] * len(found)
    first = len(pages or ())
    while len(images) < count:
        canvas = np.zeros((_SIDE, _SIDE), np.uint8)
        _DRAWN[int(rng.integers(len(_DRAWN)))](canvas, rng)
        images.append(canvas)
        groups.append(first + len(images))
    return collect("rulings", images, [NONE] * len(images), groups)


def _of_page(page: Page, count: int, rng: np.random.Generator) -> list[Gray]:
    """At most `count` cut-outs around places on the page's horizontal lines; none where it has none."""
    contrast = flatten(upright_polarity(resize(to_gray(page.pixels), working_scale(page.width, page.height))))
    mask = binarise(contrast)
    height = typical_height(find_components(mask))
    ruled = remove_rulings(mask, height)
    lines = ruled.horizontal | ruled.upright
    rows, columns = np.nonzero(ruled.horizontal)
    ink = soft_ink(contrast, lines)
    found: list[Gray] = []
    for _ in range(_TRIES * count if len(rows) else 0):
        if len(found) == count:
            break
        place = int(rng.integers(len(rows)))
        high, wide = (max(8, round(height * rng.uniform(*SIDES))) for _ in range(2))
        top, left = rows[place] - int(rng.integers(high)), columns[place] - int(rng.integers(wide))
        window = np.s_[max(0, top) : top + high, max(0, left) : left + wide]
        if _is_furniture(lines[window], ruled.writing[window]):
            found.append(np.where(lines[window], ink[window], 0).astype(np.uint8))
    return found


def _is_furniture(lines: Mask, writing: Mask) -> bool:
    """Whether a window holds lines, no writing, and nothing that alone would be a 1 or a 7."""
    if lines.mean() < LEAST_INK or writing.any():
        return False
    # A line that runs through from the left edge to the right is no digit, whatever stands on it.
    return bool(lines[:, 0].any() and lines[:, -1].any())


def _line(canvas: Gray, start: tuple[float, float], stop: tuple[float, float], thickness: int) -> None:
    points = np.round(np.array([start, stop]) * 8).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, thickness, cv2.LINE_AA, 3)


def _corner(canvas: Gray, rng: np.random.Generator) -> None:
    """A corner of a box, but for the upper right one, which is a 7, and for a lower left one, half a 4."""
    thickness, at = int(rng.integers(1, 5)), rng.uniform(12, 30, 2)
    far = rng.uniform(45, 62, 2)
    x, y = (float(at[0]), float(at[1])) if rng.random() < 0.5 else (float(far[0]), float(far[1]))
    _line(canvas, (x, y), (float(far[0]) if x < 32 else float(at[0]), y), thickness)
    _line(canvas, (x, y), (x, float(far[1]) if y < 32 else float(at[1])), thickness)


def _crossing(canvas: Gray, rng: np.random.Generator) -> None:
    """A horizontal line with the walls of two or more cells through or on it: with one it is a 7 or a 4."""
    thickness, y = int(rng.integers(1, 5)), rng.uniform(16, 48)
    _line(canvas, (0, y), (63, y), thickness)
    top, bottom = [(0.0, 63.0), (y, 63.0), (0.0, y)][int(rng.integers(3))]
    for x in rng.uniform(4, 24) + np.arange(int(rng.integers(2, 4))) * rng.uniform(16, 24):
        _line(canvas, (float(x), top), (float(x), bottom), thickness)


def _comb(canvas: Gray, rng: np.random.Generator) -> None:
    thickness, y, tooth = int(rng.integers(1, 4)), rng.uniform(44, 60), rng.uniform(8, 30)
    _line(canvas, (0, y), (63, y), thickness)
    for x in np.arange(rng.uniform(0, 12), 64, rng.uniform(12, 28)):
        _line(canvas, (float(x), y - tooth), (float(x), y), thickness)


def _dotted(canvas: Gray, rng: np.random.Generator) -> None:
    y, tilt, dash = rng.uniform(16, 48), rng.normal(0, 2), float(rng.integers(1, 7))
    thickness = int(rng.integers(1, 5))
    for x in np.arange(0, 64, dash + rng.uniform(4, 9)):
        at = y + tilt * x / 64
        _line(canvas, (float(x), at), (float(x) + dash - 1, at), thickness)


def _rules(canvas: Gray, rng: np.random.Generator) -> None:
    """One, two or three lines, as borders are drawn."""
    y, gap = rng.uniform(10, 30), rng.uniform(5, 14)
    for n in range(int(rng.integers(1, 4))):
        _line(canvas, (0, y + n * gap), (63, y + n * gap + rng.normal(0, 1)), int(rng.integers(1, 5)))


_DRAWN: tuple[Callable[[Gray, np.random.Generator], None], ...] = (_corner, _crossing, _comb, _dotted, _rules)
