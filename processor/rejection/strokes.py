"""Rejection by strokes: numbers struck out, slashes in them, crosses in empty boxes, and printed circles."""

from collections.abc import Sequence

import cv2
import numpy as np

from processor.records import Box, Cause, Mask, Rejection

CROSSED = 0.85
"""A stroke through a number runs across this share of its width,"""

MIDDLE = 0.32, 0.7
"""... within this part of its height: what runs above or below is a line of the form, or a bar."""

STROKES = 0.4
"""... where it lies under the digits' own strokes, each at most so many digit heights wide, it runs on."""

BEYOND = 1.0, 1.6
"""A line that goes on there, in digit heights beyond the number, is printed: nobody strikes out so far."""

LONG = 0.7
"""A stroke through touching digits is made of straight runs of so many line heights,"""

STRAIGHT = 0.12
"""... and bends by at most so many."""

WIDE = 2.2
"""... A blob narrower than so many line heights is no number struck out as one."""

SLASH = 0.1
"""A slash between two digits reaches so many of their heights above them and below,"""

LEANING = 0.2
"""... and is at least this share of its height wide."""

NOTCH = 0.24
"""Between the four arms of a cross, paper reaches in by this share of its size from every side."""

SQUARE = 0.5, 2.0
"""A cross is so many times as wide as high."""

CORNER = 0.3
"""Its arms end within this share of its sides from every corner."""

AXIS = 0.12
"""Its arms meet within this share of its size about the middle of its ink."""

ROUND = 0.035
"""The outline of a printed circle strays from one by at most this share of its radius; no hand draws so: the
roundest of 980 zeros strays by 0.037, the most ragged of 60 circles of 24 px by 0.026."""


def judge_struck(digits: Sequence[Box], rulings: Mask) -> Rejection | None:
    """Why the number of these `digits` is struck out; `rulings` is the page's (H, W) mask of level lines.

    A long straight stroke through the digits was taken for a ruled line and out of the ink before, but where
    their own strokes cross it: those of a thick pen, half of the way. A ruled line that digits slipped onto
    goes on beside them.
    """
    number = Box.around(digits)
    height = float(np.median([b.height for b in digits]))
    top, bottom = (int(number.y + share * number.height) for share in MIDDLE)
    band = np.asarray(rulings[top : max(bottom, top + 1)].any(axis=0), np.bool_)
    under = np.ones((1, max(1, round(STROKES * height))), np.uint8)
    run = cv2.morphologyEx(band[None].view(np.uint8), cv2.MORPH_CLOSE, under)[0]
    share = float(run[max(0, number.x) : number.right].mean())
    near, far = (int(reach * height) for reach in BEYOND)
    goes_on = band[max(0, number.x - far) : max(0, number.x - near)].any()
    goes_on |= band[number.right + near : number.right + far].any()
    crossed = share >= CROSSED and not goes_on
    return Rejection(Cause.STRUCK_OUT, "share crossed", share, CROSSED) if crossed else None


def judge_crossed(mask: Mask, line_height: float) -> Rejection | None:
    """Why a blob (h, w) is touching digits with one straight stroke through all of them, at mid-height.

    Fails on 4s whose bars run into each other.
    """
    height, width = mask.shape
    if width < WIDE * line_height or not 0.6 * line_height <= height <= 2 * line_height:
        return None
    thick = cv2.dilate(mask.view(np.uint8), np.ones((3, 1), np.uint8))
    runs = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, max(3, round(LONG * line_height))), np.uint8))
    top, bottom = (int(share * height) for share in MIDDLE)
    rows, columns = np.nonzero(runs[top:bottom])
    counts = np.bincount(columns, minlength=width)
    at = np.flatnonzero(counts)
    share = len(at) / width
    if share < CROSSED:
        return None
    middles = np.bincount(columns, rows, minlength=width)[at] / counts[at]
    slope, start = np.polyfit(at, middles, 1)
    bend = float(np.percentile(np.abs(middles - slope * at - start), 90))
    straight = bend <= STRAIGHT * line_height
    return Rejection(Cause.STRUCK_OUT, "share crossed", share, CROSSED) if straight else None


def judge_slash(mark: Box, left: Box, right: Box) -> Rejection | None:
    """Why what was read as a 1 between two digits may be a slash, as in a date: a 1 is as high as they.

    Fails on slashes no higher than the digits: nothing tells them from a 1.
    """
    height = (left.height + right.height) / 2
    beyond = min(min(left.y, right.y) - mark.y, mark.bottom - max(left.bottom, right.bottom)) / height
    slash = beyond >= SLASH and mark.width >= LEANING * mark.height
    return (
        Rejection(Cause.SEPARATOR, "{} digit heights beyond its neighbours", beyond, SLASH) if slash else None
    )


def judge_cross(mask: Mask) -> Rejection | None:
    """Why a blob (h, w) is an x, with which people fill empty boxes: of digits, only some barred 7s are."""
    height, width = mask.shape
    least, most = SQUARE
    if not least * height <= width <= most * height:
        return None
    down, across = max(1, round(CORNER * height)), max(1, round(CORNER * width))
    if not all(mask[rows, columns].any() for rows in _ends(down) for columns in _ends(across)):
        return None
    depth = min(_notch(turned) for turned in (mask, mask[::-1], mask.T, mask.T[::-1]))
    return Rejection(Cause.FILLER, "a cross with notches {} deep", depth, NOTCH) if depth >= NOTCH else None


def judge_circle(mask: Mask) -> Rejection | None:
    """Why a ring (h, w) is a printed circle, as for an answer to be ticked, and no 0.

    The outline is compared with the circle nearest to it (Kåsa, *A circle fitting procedure and its error
    analysis*, 1976). Fails on circles seen aslant, and on small ones: pixels are no rounder than a hand.
    """
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    x, y = max(outlines, key=len).reshape(-1, 2).T.astype(np.float64)
    square = np.square(x) + np.square(y)
    (a, b, c), *_ = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], axis=1), square, rcond=None)
    radius = float(np.sqrt(max(c + (a * a + b * b) / 4, 1.0)))
    stray = float(np.hypot(x - a / 2, y - b / 2).std()) / radius
    return Rejection(Cause.MARK, "{} radii off a circle", stray, ROUND) if stray <= ROUND else None


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def _notch(mask: Mask) -> float:
    """How far paper reaches in from above, as a share of the height, about the middle column of the ink."""
    height, width = mask.shape
    columns = mask.any(axis=0) @ np.arange(width) / max(1, int(mask.any(axis=0).sum()))
    reach = max(1, round(AXIS * width))
    middle = mask[:, max(0, int(columns) - reach) : int(columns) + reach + 1]
    inked = middle.any(axis=0)
    return float(np.where(inked, middle.argmax(axis=0), 0).max() / height)
