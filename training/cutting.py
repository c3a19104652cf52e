"""Digits and non-digits cut out of strips and rows by the product's own cleaning and segmentation.

What the network will be asked about most is what the page reader proposes: pieces of digits, joined
neighbours, digits with a bit of the next. So those proposals are what it is trained on, labelled by how
much of which digit they hold.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from processor.pages.cleaning import clean, flatten, to_gray
from processor.pages.scaling import resize, working_scale
from processor.records import Box, CutOut, Gray, Mask, Page
from processor.segmentation.blobs import Blob, find_blobs, surroundings, two_planes
from processor.segmentation.hypotheses import Part, propose
from processor.segmentation.splitting import split
from training.inks import NONE

WHOLE = 0.88
PURE = 0.8
"""A candidate with so much of a digit's ink, and so little other ink, is that digit."""

PIECE = 0.5
"""A candidate with less than this share of every digit is a piece."""

SEVERAL = 0.4
"""A candidate with more than this share of two digits is several."""

Labelled = tuple[CutOut, int]
"""A cut-out, high = ink, and its label."""


LARGEST = 36
"""Longer side in pixels of what is kept for training: much more than the 20 px of a glyph."""


def compact(cut: CutOut) -> CutOut:
    """A cut-out whose own ink is at most `LARGEST` px high and wide, so that a corpus fits into memory."""
    planes = cut if cut.ndim == 3 else cut[np.newaxis]
    _, _, width, height = cv2.boundingRect(planes[0])
    factor = LARGEST / max(width, height, 1)
    if factor >= 1:
        return cut
    smaller = [
        np.asarray(cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        for plane in planes
    ]
    return np.stack(smaller) if cut.ndim == 3 else smaller[0]


def cut_boxes(page: Page, boxes: Sequence[tuple[int, Box]]) -> list[Labelled]:
    """The digits of a strip by their boxes: without the neighbours' ink and the paper's print, and with them.

    Ink is what reaches half of the digit's own darkness: who knows the box need not ask, as page cleaning
    must, which of all dark pixels are writing.
    """
    scale = working_scale(page.width, page.height)
    contrast = flatten(resize(to_gray(page.pixels), scale))
    contrast = np.asarray(cv2.GaussianBlur(contrast, (0, 0), 0.35 * scale), np.float32)
    to_page = np.array([[1 / scale, 0, 0], [0, 1 / scale, 0]])
    cut: list[Labelled] = []
    for digit, box in boxes:
        window = on_grid(box, to_page, contrast.shape)
        inside = contrast[window.y : window.bottom, window.x : window.right]
        core = float(np.percentile(inside, 95))
        if core <= 0:
            continue
        own = own_ink(contrast > 0.5 * core, window)
        around = np.clip(surroundings(contrast, window) * np.float32(255 / core), 0, 255).astype(np.uint8)
        cut.append((two_planes(around, own), digit))
    return cut


def shaken(boxes: Sequence[tuple[int, Box]], rng: np.random.Generator) -> list[tuple[int, Box]]:
    """`boxes` as another person might have drawn them: a little aside, wider or lower, at most by a fifth.

    What a box lets in of the neighbours is what the network must learn to overlook, and no data set is so
    large that it shows each digit with more than one box.
    """
    moved: list[tuple[int, Box]] = []
    for digit, box in boxes:
        aside, growth = (
            np.clip(rng.normal(0, (0.06, 0.05), 2), -0.2, 0.2),
            np.exp(rng.normal(0, (0.1, 0.06), 2)),
        )
        moved.append(
            (
                digit,
                Box(
                    max(0, round(box.x + aside[0] * box.width)),
                    max(0, round(box.y + aside[1] * box.height)),
                    max(3, round(box.width * growth[0])),
                    max(4, round(box.height * growth[1])),
                ),
            )
        )
    return moved


def cut_candidates(page: Page, boxes: Sequence[tuple[int, Box]]) -> list[Labelled]:
    """Everything the page reader would propose on a strip, labelled by the boxes."""
    paper = clean(page)
    owners = []
    for digit, marked in boxes:
        box = on_grid(marked, paper.to_original[:2], paper.mask.shape)
        owner = np.zeros(paper.mask.shape, np.bool_)
        owner[box.y : box.bottom, box.x : box.right] = own_ink(paper.mask, box)
        owners.append((digit, owner))
    return label_candidates(paper.ink, paper.mask, owners)


def label_candidates(ink: Gray, mask: Mask, owners: Sequence[tuple[int, Mask]]) -> list[Labelled]:
    """Cuts and joins of all ink of one line, each labelled by the digits' own ink.

    `ink`, `mask` and each digit's mask in `owners` are (H, W). Candidates between whole and piece are left
    out: nobody could say what they are.
    """
    height = float(np.median([np.ptp(np.flatnonzero(own.any(axis=1))) + 1 for _, own in owners if own.any()]))
    blobs = sorted(find_blobs(mask, max(3, round(0.12 * height))), key=lambda blob: blob.box.centre[0])
    parts = [
        Part(piece, number)
        for number, blob in enumerate(blobs)
        for piece in (split(blob, height) if blob.box.height >= 0.5 * height else [blob])
    ]
    labelled: list[Labelled] = []
    for candidate in propose(parts, height):
        label = _label(candidate.blob, owners, height)
        if label is not None:
            labelled.append((compact(candidate.blob.cut_out(ink)), label))
    return labelled


def _label(blob: Blob, owners: Sequence[tuple[int, Mask]], height: float) -> int | None:
    """The digit, NONE, or None where it is neither clearly one nor clearly not."""
    box = blob.box
    window = np.s_[box.y : box.bottom, box.x : box.right]
    shares = sorted(
        ((float((own[window] & blob.mask).sum()), float(own.sum()), digit) for digit, own in owners),
        key=lambda entry: -entry[0] / max(entry[1], 1.0),
    )
    inside, whole, digit = shares[0]
    share, purity = inside / max(whole, 1.0), inside / max(blob.area, 1)
    if share >= WHOLE and purity >= PURE:
        return digit
    second = shares[1][0] / max(shares[1][1], 1.0) if len(shares) > 1 else 0.0
    if second > SEVERAL or (share < PIECE and box.height > 0.3 * height):
        return NONE
    return None


def own_ink(mask: Mask, box: Box) -> Mask:
    """The ink of `mask` inside `box`, without specks and without what only reaches in from outside."""
    _, everywhere, whole, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    window = everywhere[box.y : box.bottom, box.x : box.right]
    pieces, inside = np.unique(window[window > 0], return_counts=True)
    if not len(pieces):
        return np.zeros(window.shape, np.bool_)
    total = whole[pieces, cv2.CC_STAT_AREA]
    kept = (inside >= 0.06 * inside.max()) & ((inside >= 0.5 * total) | (inside >= 0.5 * inside.max()))
    return np.isin(window, pieces[kept])


def on_grid(box: Box, to_page: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    """`box` of the page on a working grid of `shape`, a stroke's edge wider; `to_page` is (2, 3)."""
    corners = np.array([(x, y) for x in (box.x, box.right) for y in (box.y, box.bottom)], np.float64)
    to_grid = cv2.invertAffineTransform(to_page)
    moved = corners @ to_grid[:, :2].T + to_grid[:, 2]
    height, width = shape
    x, y = np.clip(np.floor(moved.min(axis=0)) - 2, 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(moved.max(axis=0)) + 2, (x + 1, y + 1), (width, height)).astype(int)
    return Box(int(x), int(y), int(right - x), int(bottom - y))
