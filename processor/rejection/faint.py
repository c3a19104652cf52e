"""Faint ink: strokes too faint for ink beside a number or in it, which may be digits that were lost.

A pencil is pressed unevenly, and a digit half as dark as its neighbours may stay below the limit of ink, or
leave crumbs of it. The rest of its number looks whole then, and sure.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from processor.records import Box, Cause, Gray, Mask, Rejection

REACH = 1.6
"""A lost digit stands within so many digit heights of the number."""

FAINTEST = 0.4
"""What is this share as dark as the number's strokes may be a stroke; what shines through is fainter,"""

GRAINS = 2.5
"""... and it stands out of the paper, by so many times what the paper's grain reaches there."""

SAMPLED = 2
"""How dark strokes and grain are is measured on every second pixel of every second row."""

GRAIN = 70
"""The grain reaches this percentile of what is no ink: strokes cover less than the rest of it."""

HIGH = 0.6, 1.5
"""Digits of one number are between these shares as high as each other."""

KNOWN = 0.5
"""Of a stroke that was found, so much is ink; crumbs cover less of a digit."""


def judge_faint(digits: Sequence[Box], ink: Gray, mask: Mask, lines: Mask) -> Rejection | None:
    """Why the number with these `digits` is looked at: there are strokes about it that are no ink.

    `ink`, `mask` and `lines` are the page's contrast, ink and ruled lines, (H, W). Fails on strokes fainter
    than `FAINTEST`, and on those that touch a digit that was found.
    """
    number, height = Box.around(digits), float(np.median([box.height for box in digits]))
    place = _around(number, round(REACH * height), round(height / 2), mask.shape)
    found, contrast = mask[place], cv2.blur(ink[place], (3, 3))
    few = np.s_[::SAMPLED, ::SAMPLED]
    own, bare = contrast[few][found[few]], contrast[few][~found[few]]
    if not own.size or not bare.size:
        return None
    limit = max(FAINTEST * float(np.median(own)), GRAINS * float(np.percentile(bare, GRAIN)))
    faint = (contrast > limit) & (_grown(found) == 0)
    if faint.any(axis=1).sum() < KNOWN * HIGH[0] * height:
        return None
    strokes = ((contrast > limit) & (_grown(lines[place]) == 0)) | found
    level = number.y - place[0].start, number.bottom - place[0].start
    share = _least_known(strokes, found, level, height)
    if share >= KNOWN:
        return None
    return Rejection(Cause.UNCERTAIN, "a faint stroke beside it, of which {} is ink", share, KNOWN)


def _grown(mask: Mask) -> Gray:
    """`mask` (h, w) with the soft edges about it."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)), np.uint8)


def _around(number: Box, beside: int, above: int, page: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of the `page` about a number."""
    return (
        slice(max(0, number.y - above), min(page[0], number.bottom + above)),
        slice(max(0, number.x - beside), min(page[1], number.right + beside)),
    )


def _least_known(strokes: Mask, found: Mask, level: tuple[int, int], height: float) -> float:
    """The least share that was `found` of any of the `strokes` as high as a digit and `level`; else 1."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strokes.view(np.uint8), connectivity=8)
    known = np.bincount(labels[found], minlength=count) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    top, tall = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_HEIGHT]
    shared = np.minimum(top + tall, level[1]) - np.maximum(top, level[0])
    alike = (tall <= HIGH[1] * height) & (shared >= HIGH[0] * height)
    alike &= stats[:, cv2.CC_STAT_WIDTH] <= HIGH[1] * height
    alike[0] = False
    return float(known[alike].min(initial=1.0))
