"""Digits and non-digits cut out of strips and rows by the product's own cleaning and segmentation.

What the network will be asked about most is what the page reader proposes: pieces of digits, joined
neighbours, digits with a bit of the next. So those proposals are what it is trained on, labelled by how
much of which digit they hold.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from processor.pages.cleaning import CleanPage, clean
from processor.records import Box, Gray, Mask, Page
from processor.segmentation.blobs import Blob, find_blobs
from processor.segmentation.hypotheses import Part, propose
from processor.segmentation.splitting import split
from training.inks import NONE

WHOLE = 0.9
"""A candidate with this share of a digit's ink, of which this share is the digit's, is that digit."""

PIECE = 0.5
"""A candidate with less than this share of every digit is a piece."""

SEVERAL = 0.4
"""A candidate with more than this share of two digits is several."""

Labelled = tuple[Gray, int]
"""A cut-out (h, w) uint8, high = ink, and its label."""


def cut_boxes(page: Page, boxes: Sequence[tuple[int, Box]]) -> list[Labelled]:
    """The digits of a strip by their boxes, cleaned, without the neighbours' ink."""
    paper = clean(page)
    digits = [(digit, _on_paper(box, paper)) for digit, box in boxes]
    cut: list[Labelled] = []
    for digit, box in digits:
        window = np.s_[box.y : box.bottom, box.x : box.right]
        own = _own_ink(paper.mask, box)
        if own.sum() >= 8:
            cut.append((np.where(own, paper.ink[window], 0).astype(np.uint8), digit))
    return cut


def cut_candidates(page: Page, boxes: Sequence[tuple[int, Box]]) -> list[Labelled]:
    """Everything the page reader would propose on a strip, labelled by the boxes."""
    paper = clean(page)
    scaled = [(digit, _on_paper(box, paper)) for digit, box in boxes]
    owners = []
    for digit, box in scaled:
        owner = np.zeros(paper.mask.shape, np.bool_)
        owner[box.y : box.bottom, box.x : box.right] = _own_ink(paper.mask, box)
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
            labelled.append((candidate.blob.cut_out(ink), label))
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
    if share >= WHOLE and purity >= WHOLE:
        return digit
    second = shares[1][0] / max(shares[1][1], 1.0) if len(shares) > 1 else 0.0
    if second > SEVERAL or (share < PIECE and box.height > 0.3 * height):
        return NONE
    return None


def _own_ink(mask: Mask, box: Box) -> Mask:
    """The ink of `mask` inside `box`, without what only reaches in from outside."""
    window = mask[box.y : box.bottom, box.x : box.right]
    count, labels = cv2.connectedComponents(window.view(np.uint8), connectivity=8)
    _, everywhere = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    inner = everywhere[box.y : box.bottom, box.x : box.right]
    own = window.copy()
    for piece in range(1, count):
        here = labels == piece
        outside = int((everywhere == inner[here][0]).sum()) - int((inner == inner[here][0]).sum())
        if outside > 2 * here.sum() and here.sum() < 0.25 * window.sum():
            own &= ~here
    return np.asarray(own, np.bool_)


def _on_paper(box: Box, paper: CleanPage) -> Box:
    """`box` of the strip on the working grid, which may be enlarged and turned, a stroke's edge wider."""
    corners = np.array([(x, y) for x in (box.x, box.right) for y in (box.y, box.bottom)], np.float64)
    to_working = cv2.invertAffineTransform(paper.to_original)
    moved = corners @ to_working[:, :2].T + to_working[:, 2]
    height, width = paper.mask.shape
    x, y = np.clip(np.floor(moved.min(axis=0)) - 2, 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(moved.max(axis=0)) + 2, (x + 1, y + 1), (width, height)).astype(int)
    return Box(int(x), int(y), int(right - x), int(bottom - y))
