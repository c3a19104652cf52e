"""Doubts: why a number that both readings agree on is looked at all the same.

That two readings agree says much where their errors are independent. They are not where both are shown the
same damage, as a stroke that a printed line covers, nor where both are far from sure.
"""

import cv2
import numpy as np

from processor.records import Box, Cause, Mask, Rejection, TwoReadings, Winner
from processor.rejection.open_set import SURE_NUMBER

TOUCHES = 0.25
"""A stroke runs along a frame's line where it touches it over this share of its digit's height: what only
crosses the line touches it over a stroke's width."""

NEXT_TO = 5, 3
"""Ink (columns, rows) about a pixel beside what was taken out, soft edges between, touches it."""


def own_confidence(twice: TwoReadings) -> float:
    """How sure the readings of what is reported are, each by its own account, were they independent."""
    own = {
        Winner.BOTH: (twice.first_confidence or 0.0, twice.second_confidence),
        Winner.FIRST: (twice.first_confidence or 0.0,),
        Winner.SECOND: (twice.second_confidence,),
        Winner.NEITHER: (),
    }[twice.winner]
    return 1 - float(np.prod([1 - confidence for confidence in own]))


def judge_own(twice: TwoReadings) -> Rejection | None:
    """Why two readings of a number do not suffice for it: each doubts what it read itself.

    Each gives its likelihood to many strings then, and that both have one of them in common is little.
    """
    sure = own_confidence(twice)
    if sure >= SURE_NUMBER:
        return None
    return Rejection(Cause.UNCERTAIN, "each reading by itself doubts it, confidence", sure, SURE_NUMBER)


def judge_touching(box: Box, ink: Mask, frames: Mask, seen: float, least: float) -> Rejection | None:
    """Why a digit with `ink` (h, w) at `box`, which runs along a printed frame, is looked at.

    What stands below the lines of the `frames`, (H, W), is not known, nor whether all of them was found: a 6
    without its side is a 5 to both readings. The second, which sees what is about the digit, has to be as
    sure of it, `seen`, as `least`.
    """
    if seen >= least or touches(box, ink, frames) < TOUCHES:
        return None
    return Rejection(Cause.UNCERTAIN, "along a printed line, confidence of the second reading", seen, least)


def touches(box: Box, ink: Mask, lines: Mask) -> float:
    """Over which share of its height a digit with `ink` (h, w) at `box` touches the `lines`, (H, W)."""
    columns, rows = NEXT_TO
    top, left = max(0, box.y - rows), max(0, box.x - columns)
    near = lines[top : box.bottom + rows, left : box.right + columns]
    if not near.any():
        return 0.0
    reach = cv2.dilate(near.view(np.uint8), np.ones((rows, columns), np.uint8)) > 0
    beside = reach[box.y - top : box.bottom - top, box.x - left : box.right - left] & ink
    return max(int(beside.any(axis=1).sum()), int(beside.any(axis=0).sum())) / box.height
