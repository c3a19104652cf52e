"""The strip of one number: its piece of the page, each digit framed, and below what the reader made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from processor.records import Page, Status
from processor.results.lettering import BLACK, SHADES, WHITE, Rgb, Run, percent, shorten, tag

DIGIT_PIXELS = 96
"""Numbers are enlarged or reduced to about this height."""

MARGIN = 0.6
"""So many heights of the number are shown around it."""

NARROWEST = 420
LETTERS = 16

Fields = Mapping[str, Any]


def number_strip(page: Page, number: Fields, digits: Sequence[Fields]) -> Image.Image:
    """A picture of one number as it was stored (`number`, `digits`: its rows) on its `page`: RGB.

    Under the piece of the page stands the number as read, and a line for each digit: the best three guesses
    with their confidences, its status, and the reason for that.
    """
    scale = DIGIT_PIXELS / max(1, number["height"])
    margin = round(MARGIN * number["height"])
    left, top = max(0, number["x"] - margin), max(0, number["y"] - margin)
    bottom, right = number["y"] + number["height"] + margin, number["x"] + number["width"] + margin
    piece = page.pixels[top:bottom, left:right]
    size = max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale))
    shown = cv2.resize(piece, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    coloured = cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown
    picture = np.ascontiguousarray(coloured, np.uint8)
    for digit in digits:
        start = round((digit["x"] - left) * scale), round((digit["y"] - top) * scale)
        end = start[0] + round(digit["width"] * scale), start[1] + round(digit["height"] * scale)
        cv2.rectangle(picture, start, end, SHADES[Status(digit["status"])].fill, 1)
    width = max(picture.shape[1], NARROWEST)
    rows = [picture, *(_line(text, width) for text in [_read(number), *map(_guesses, digits)])]
    return Image.fromarray(np.vstack([_widened(row, width) for row in rows]))


def _read(number: Fields) -> str:
    return f"{number['position']}. {number['text']}  {percent(number['confidence'])}%  {number['status']}"


def _guesses(digit: Fields) -> str:
    names = ("digit", "confidence"), ("second", "second_confidence"), ("third", "third_confidence")
    best = [f"{digit[name]} {percent(digit[share])}%" for name, share in names if digit[name] is not None]
    return "  ".join([*best, digit["status"], digit["reason"] or ""])


def _line(text: str, width: int) -> Rgb:
    return tag([Run(shorten(text, LETTERS, width - 8), LETTERS)], BLACK, WHITE, margin=4)


def _widened(row: Rgb, width: int) -> Rgb:
    whole = np.full((row.shape[0], width, 3), WHITE, np.uint8)
    whole[:, : row.shape[1]] = row[:, :width]
    return whole
