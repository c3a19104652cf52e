"""Sheets: the outline of a photographed sheet of paper is found, and the camera's perspective undone."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.pages.scaling import halved, resize
from processor.records import Gray

Corners = NDArray[np.float64]
"""(4, 2): x, y in pixels, clockwise from the sheet's upper left."""

SIDE = 600
"""The outline is looked for at this size: the grain of a desk is gone, a sheet's edge is still sharp."""

SMALLEST = 400
"""Images with a shorter side than this are cut-outs, not photographs of a sheet."""

SHEET_SHARE = 0.4
"""A sheet covers so much of its photograph."""

FILLS = 0.96
"""So much of its four-cornered outline a sheet fills; folded corners and thumbs take little."""

APART = 0.02
"""At most this share of the image is as light as the sheet and lies outside of it: else it is not alone."""

DARKER = 0.8
"""What lies beside every side of the sheet has at most this share of its light."""

STRAIGHT = 0.8
"""So much of each side lies on a straight line."""

NARROWEST_DEGREES = 50.0
"""A sheet's corner looks no sharper than this from where one can still read it."""

FRAME = 0.01
"""A corner nearer to the image's edge than this share may lie outside of it."""

INSET = 0.004
"""So much of the sheet is left out at its edges, where slivers of the desk show."""


def find_sheet(gray: Gray) -> Corners | None:
    """The corners of the one sheet of paper on the photograph `gray` (H, W), None where there is no such.

    Only a clear outline counts: four straight sides, all of them inside the image, with something darker
    beyond each. So a scan, a page that fills the image and a sheet cut off by it stay as they are.
    """
    height, width = gray.shape
    if min(height, width) < SMALLEST:
        return None
    small = gray
    while max(small.shape) > 2 * SIDE:
        small = halved(small)
    small = resize(small, SIDE / max(small.shape))
    paper = np.asarray(cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), np.uint8)
    if not _framed(paper):
        return None
    for light in _light_parts(paper):
        corners = _outline(light)
        if corners is not None and _stands_out(corners, light, paper):
            ratio = np.array([width / small.shape[1], height / small.shape[0]])
            return np.asarray(corners * ratio, np.float64)
    return None


def flat(gray: Gray, corners: Corners) -> tuple[Gray, NDArray[np.float64]]:
    """The sheet within `corners` of `gray`, seen from above, and the (3, 3) map from there back to `gray`.

    Its sides are as long as the longer of each two that face each other, so nothing is reduced.
    """
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = max(1, round(max(sides[0], sides[2]))), max(1, round(max(sides[1], sides[3])))
    edge = INSET * np.array([width, height])
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]]) + edge * [
        [-1, -1],
        [1, -1],
        [1, 1],
        [-1, 1],
    ]
    back = cv2.getPerspectiveTransform(frame.astype(np.float32), corners.astype(np.float32))
    # OpenCV counts from the middle of the first pixel, boxes from its edge.
    to_middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    seen = cv2.warpPerspective(
        gray,
        np.linalg.inv(to_middle) @ back @ to_middle,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(seen, np.uint8), np.asarray(back, np.float64)


def _framed(paper: Gray) -> bool:
    """Whether most of the image's rim is darker than the paper, as a desk is and a scan's margin is not."""
    rim = np.concatenate([paper[:4].ravel(), paper[-4:].ravel(), paper[:, :4].ravel(), paper[:, -4:].ravel()])
    return bool((rim < DARKER * np.percentile(paper, 75)).mean() > 0.6)


def _light_parts(paper: Gray) -> Iterator[NDArray[np.uint8]]:
    """What may be the sheet, as masks of 0 and 1: by a threshold, or where a shadow falls on it, by edges."""
    threshold, _ = cv2.threshold(paper, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    yield np.asarray(paper > threshold, np.uint8)
    edges = cv2.Canny(cv2.GaussianBlur(paper, (5, 5), 0), 20, 60)
    inside = (cv2.dilate(edges, np.ones((3, 3), np.uint8)) == 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    if count > 1:
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        within = (labels == largest).astype(np.uint8)
        yield np.asarray(cv2.dilate(within, np.ones((3, 3), np.uint8)), np.uint8)


def _outline(light: NDArray[np.uint8]) -> Corners | None:
    """The four corners of the largest part of `light`, None where it is too small or has another shape."""
    contours, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea)
    if cv2.contourArea(contour) < SHEET_SHARE * light.size:
        return None
    hull = cv2.convexHull(contour)
    around = cv2.arcLength(hull, closed=True)
    for tolerance in (0.01, 0.02, 0.03, 0.05):
        rough = cv2.approxPolyDP(hull, tolerance * around, closed=True)[:, 0].astype(np.float64)
        if len(rough) == 4:
            corners = _refined(_in_order(rough), contour[:, 0].astype(np.float64) + 0.5)
            fits = corners is not None and _is_sheet(corners, light.shape)
            filled = corners is not None and cv2.contourArea(contour) >= FILLS * _area(corners)
            return corners if fits and filled else None
    return None


def _in_order(corners: Corners) -> Corners:
    """`corners` clockwise, the first of them the one nearest to the image's upper left."""
    around = np.arctan2(*(corners - corners.mean(axis=0)).T[::-1])
    clockwise = corners[np.argsort(around, kind="stable")]
    return np.asarray(np.roll(clockwise, -int(clockwise.sum(axis=1).argmin()), axis=0))


def _refined(corners: Corners, contour: NDArray[np.float64]) -> Corners | None:
    """Where the straight lines along the contour (N, 2) meet; None where a side is not straight."""
    lines = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.linalg.norm(end - start))
        along = (end - start) / max(length, 1e-9)
        place, aside = (contour - start) @ along, np.abs((contour - start) @ [-along[1], along[0]])
        near = contour[(place > 0.05 * length) & (place < 0.95 * length) & (aside < 0.02 * length + 2)]
        if len(near) < STRAIGHT * 0.9 * max(abs(end - start)):
            return None
        fitted = cv2.fitLine(near.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01)[:, 0]
        lines.append(np.cross([*fitted[2:], 1.0], [*(fitted[2:] + fitted[:2]), 1.0]))
    points = np.array([np.cross(lines[i - 1], lines[i]) for i in range(4)])
    if np.abs(points[:, 2]).min() < 1e-9:
        return None
    return np.asarray(points[:, :2] / points[:, 2:], np.float64)


def _is_sheet(corners: Corners, shape: tuple[int, ...]) -> bool:
    """Whether the corners lie inside an image of `shape` and make the shape of a sheet seen from above."""
    size = np.array(shape[::-1])
    edge = FRAME * size.min()
    if (corners < edge).any() or (corners > size - edge).any():
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    directions = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    sharpest = np.degrees(
        np.arccos(np.clip(np.abs((directions * np.roll(directions, 1, axis=0)).sum(1)), 0, 1))
    )
    return bool(_area(corners) >= SHEET_SHARE * size.prod() and sharpest.min() >= NARROWEST_DEGREES)


def _area(corners: Corners) -> float:
    return float(cv2.contourArea(corners.astype(np.float32)))


def _stands_out(corners: Corners, light: NDArray[np.uint8], paper: Gray) -> bool:
    """Whether nothing else is as light as the sheet, and each of its sides has something darker beyond."""
    within = np.zeros(paper.shape, np.uint8)
    cv2.fillConvexPoly(within, np.rint(corners).astype(np.int32), 1)
    beyond = cv2.dilate(within, np.ones((7, 7), np.uint8)) == 0
    level = float(np.median(paper[light > 0]))
    if (beyond & (paper >= DARKER * level)).mean() > APART:
        return False
    middle = corners.mean(axis=0)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        outward = np.array([(end - start)[1], (start - end)[0]]) / np.linalg.norm(end - start)
        outward *= np.sign(outward @ (start - middle))
        at = start + np.linspace(0.1, 0.9, 33)[:, None] * (end - start)
        inside, outside = (_sampled(paper, at + far * outward) for far in (-6, 6))
        if np.median(outside / np.maximum(inside, 1)) > DARKER:
            return False
    return True


def _sampled(paper: Gray, points: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = paper.shape
    x, y = np.clip(np.floor(points), 0, (width - 1, height - 1)).astype(int).T
    return np.asarray(paper[y, x], np.float64)
