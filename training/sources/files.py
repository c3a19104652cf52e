"""Image files that hold one character each, in whatever way people save them."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from processor.errors import BadScan
from processor.pages.cleaning import to_gray
from processor.pages.scans import decode
from processor.records import Gray, Page
from processor.settings import Limits
from training.inks import Inks, collect
from training.sources.found import Found, mostly_read

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"))

LIMITS = Limits(max_megapixels=40, max_megabytes=50, max_pages=1)
"""One character fills no page: what is larger is a scan that strayed into the folder."""

LONGEST = 160
"""Larger characters are shrunk to this many pixels: a folder of photographs must fit into the memory."""

FAINT = 16
"""Ink that differs less than this (of 255) from its paper cannot be told from grain."""


def read_ink(file: Path) -> Gray:
    """The ink of one image file, as `ink_of` finds it. Raises BadScan, which names only what is wrong."""
    ink = ink_of(to_gray(read_page(file).pixels))
    if int(ink.max(initial=0)) < FAINT:
        raise BadScan(f"{file.name} holds no ink.")
    return ink


def read_page(file: Path) -> Page:
    """One image file as the product decodes a scan, within `LIMITS`. Raises BadScan."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadScan(f"{file.name} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        # No file has a name with a null byte, though a table may name one.
        raise BadScan(f"{file.name} cannot be read: {error}.") from None
    (page,) = decode(data, file.name, LIMITS, pdf_dpi=300)
    return page


def ink_of(gray: Gray) -> Gray:
    """Ink (h, w), high = ink, of a character on paper that is lighter or darker than it: (H, W).

    The border is taken for paper, so a character cut so close that most of the border is ink comes out
    inverted. An alpha channel was resolved by the decoder: strokes on nothing are ink on white.
    """
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    paper = float(np.median(border))
    dark_on_light = paper > (float(gray.min()) + float(gray.max())) / 2
    ink = paper - gray.astype(np.float32) if dark_on_light else gray.astype(np.float32) - paper
    scale = LONGEST / max(gray.shape)
    if scale < 1:
        size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
        ink = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(np.clip(np.rint(ink), 0, 255), np.uint8)


def read_inks(
    source: str, root: Path, files: Iterable[tuple[Path, int]], skipped: Iterable[str] = ()
) -> Found:
    """The characters in `files`, each with its label; `skipped` are those that were given up before.

    Nobody says who wrote them. Raises BadCommand where more than half of them cannot be read.
    """
    images: list[Gray] = []
    labels: list[int] = []
    left_out = list(skipped)
    for file, label in files:
        try:
            images.append(read_ink(file))
        except BadScan as error:
            left_out.append(fault(root, file, error))
        else:
            labels.append(label)
    inks: Inks = collect(source, images, labels, list(range(len(images))))
    return Found(inks, mostly_read(root, len(images), left_out), grouped=False)


def fault(root: Path, file: Path, error: BadScan) -> str:
    """The file as it is found from `root`, and what is wrong with it."""
    place = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return place + error.message.removeprefix(file.name).rstrip(".")
