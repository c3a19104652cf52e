"""The strip of one number: its piece of the page, each digit framed, and below what the reader made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from processor.records import Box, Page, Status
from processor.results.lettering import BLACK, SHADES, WHITE, Rgb, Run, guess, percent, shorten, stacked, tag

DIGIT_PIXELS = 96
"""Numbers are enlarged or reduced to about this height."""

MARGIN = 0.6
"""So many heights of the number are shown around it."""

LONGEST = 6000
"""No strip is longer: what was taken for one number may be all that stands in a row."""

NARROWEST = 680
LETTERS = 16

Fields = Mapping[str, Any]
Framed = tuple[Box, Status]


def number_strip(
    page: Page, number: Fields, digits: Sequence[Fields], twice: Fields | None = None, turns: int = 0
) -> Image.Image:
    """A picture of one number as it was stored (`number`, `digits`, `twice`: its rows) on its `page`: RGB.

    Under the piece of the page stands the number as read, why a person must look at it, what each of two
    readings made of it, and a line for each digit: the best three guesses with their confidences, its status,
    and the reason for that. The piece is turned by so many quarters, counterclockwise.
    """
    boxes = [(box_of(digit), Status(digit["status"])) for digit in digits]
    picture = piece(page, box_of(number), boxes, turns, DIGIT_PIXELS)
    why = [str(number["reason"])] if number.get("reason") else []
    told = [_read(number), *why, *([_told(twice)] if twice else []), *map(_guesses, digits)]
    rows = [picture, *(caption(text, max(picture.shape[1], NARROWEST)) for text in told)]
    return Image.fromarray(stacked(rows, NARROWEST))


def quarter_turns(skew_degrees: float) -> int:
    """By how many quarters, counterclockwise, a page is turned whose lines sink to the right by so much."""
    return round(skew_degrees / 90) % 4


def piece(
    page: Page, box: Box, framed: Sequence[Framed], turns: int, height: int, longest: int = LONGEST
) -> Rgb:
    """The page around `box`, turned, so that the box is `height` pixels high; `framed` are drawn on it.

    Less high where the piece would be longer than `longest` pixels.
    """
    high, wide = (box.width, box.height) if turns % 2 else (box.height, box.width)
    margin = round(MARGIN * high)
    scale = min(height / max(1, high), longest / (wide + 2 * margin))
    left, top = max(0, box.x - margin), max(0, box.y - margin)
    cut = page.pixels[top : box.bottom + margin, left : box.right + margin]
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    shown = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    coloured = cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown
    picture = np.ascontiguousarray(coloured, np.uint8)
    for frame, status in framed:
        start = round((frame.x - left) * scale), round((frame.y - top) * scale)
        end = start[0] + round(frame.width * scale), start[1] + round(frame.height * scale)
        cv2.rectangle(picture, start, end, SHADES[status].fill, 1)
    return np.ascontiguousarray(np.rot90(picture, turns))


def best_guesses(digit: Fields) -> str:
    """The best three guesses of a digit, or of a blob that is none, as far as there are any."""
    guesses = (
        (digit.get("looks_like") or digit["digit"], digit["confidence"]),
        (digit["second"], digit["second_confidence"]),
        (digit["third"], digit["third_confidence"]),
    )
    return "  ".join(guess(name, share) for name, share in guesses if name is not None)


def caption(text: str, width: int) -> Rgb:
    return tag([Run(shorten(text, LETTERS, width - 8), LETTERS)], BLACK, WHITE, margin=4)


def box_of(row: Fields) -> Box:
    return Box(row["x"], row["y"], row["width"], row["height"])


def _read(number: Fields) -> str:
    return f"{number['position']}. {number['text']}  {percent(number['confidence'])}%  {number['status']}"


def _told(twice: Fields) -> str:
    first = guess(twice["first"], twice["first_confidence"])
    second = guess(twice["second"], twice["second_confidence"])
    return f"first reading {first}  second reading {second}  reported: {twice['winner']}"


def _guesses(digit: Fields) -> str:
    return "  ".join([best_guesses(digit), digit["status"], digit["reason"] or ""])
