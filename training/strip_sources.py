"""Strips with known numbers: found on their pages by the product's own cleaning and layout."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from processor.pages.cleaning import CleanPage, clean
from processor.prediction.strips import DIGIT, Frame, Strip, cut_strip, frame
from processor.records import Box, Gray, Page
from processor.segmentation.blobs import find_blobs
from processor.segmentation.layout import group_lines
from training.alignment import ignore

GRAIN = 0.12
"""Marks smaller than this share of a digit's height are not looked at."""

BESIDE = 0.75
HIGH = 0.4
"""Marks whose middle is within so many digit heights of the line's, and so high, belong to it."""

LARGER = 1.45
"""Training strips are kept so much larger than they are read, and with more paper around them."""

LARGE_ROWS = 68
LARGE_MARGIN = 1.0

WIDEST = 400
"""Wider strips (in pixels, as they are read) are left out of training: their height was misjudged."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownStrip:
    """A number whose digits are known: as it is read, and `large` (2, LARGE_ROWS, W) to be written anew.

    `mark` are eight hex digits of its image's pixels, by which it is known again under any name.
    """

    name: str
    digits: str
    strip: Strip
    large: Gray
    mark: str


def known_strips(
    pages: Iterable[tuple[str, str, Page]], notice: Callable[[str], object] = ignore
) -> list[KnownStrip]:
    """The strips of (name, digits, page) that hold a line of writing; others are named to `notice`."""
    found = []
    for name, digits, page in pages:
        paper = clean(page)
        place = whole_line(paper)
        if place is None:
            notice(f"{name}: no writing is found on it.")
            continue
        large = cut_strip(
            paper.ink, paper.mask, place, rows=LARGE_ROWS, digit=LARGER * DIGIT, margin=LARGE_MARGIN
        )
        strip = cut_strip(paper.ink, paper.mask, place)
        found.append(KnownStrip(name, digits, strip, large.pixels, _mark(page)))
    return found


def _mark(page: Page) -> str:
    shape = np.array(page.pixels.shape, np.int64).tobytes()
    return hashlib.sha256(shape + np.ascontiguousarray(page.pixels).tobytes()).hexdigest()[:8]


def digest_of(strips: Sequence[KnownStrip]) -> str:
    """Twelve hex digits over all images and their numbers."""
    found = hashlib.sha256()
    for strip in strips:
        found.update(f"{strip.mark} {strip.digits}\n".encode())
    return found.hexdigest()[:12]


def whole_line(paper: CleanPage) -> Frame | None:
    """The frame of the one number of a strip, from its first mark to its last; None on an empty one.

    The line is the one with the most ink in high marks; what stands level with it, however far, is part of
    the number.
    """
    blobs = find_blobs(paper.mask, max(3, round(GRAIN * paper.digit_height)))
    if not blobs:
        return None
    boxes = [blob.box for blob in blobs]
    areas = np.array([blob.area for blob in blobs])
    lines = group_lines(boxes)
    line = max(lines, key=lambda group: int(areas[_high(boxes, group)].sum()))
    place = frame([boxes[i] for i in line])
    level = [box for box in boxes if _is_level(box, place)]
    around = Box.around(level or [boxes[i] for i in line])
    left, right = float(around.x), float(around.right)
    return Frame(place.height, place.centre_at((left + right) / 2), left, right, place.climb)


def _high(boxes: Sequence[Box], group: Sequence[int]) -> list[int]:
    highest = max(boxes[i].height for i in group)
    return [i for i in group if boxes[i].height >= HIGH * highest]


def _is_level(box: Box, place: Frame) -> bool:
    away = abs(box.centre[1] - place.centre_at(box.centre[0]))
    return away < BESIDE * place.height and box.height > HIGH * place.height


def trainable(strips: Sequence[KnownStrip]) -> list[KnownStrip]:
    """Those of which there is something to learn: digits, and room for them."""
    return [s for s in strips if s.digits and 3 * len(s.digits) <= s.strip.width <= WIDEST and s.large.any()]
