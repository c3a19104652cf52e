"""Lettering and colours of the images for people: tags are small RGB arrays, set from cached letters."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from processor.records import Status

Colour = tuple[int, int, int]
Rgb = NDArray[np.uint8]
"""(H, W, 3) uint8."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
ELLIPSIS = "…"


class Shade(NamedTuple):
    """A status's colour, and the colour of lettering that is readable on it."""

    fill: Colour
    text: Colour


# Far apart for protanopes and deuteranopes too: after Okabe & Ito, "Color universal design" (2008), with a
# violet that stays lighter than the blue, because hue alone does not tell the two apart.
SHADES: dict[Status, Shade] = {
    Status.ACCEPTED: Shade((0, 90, 160), WHITE),
    Status.REVIEW: Shade((240, 160, 0), BLACK),
    Status.REJECTED: Shade((112, 112, 112), WHITE),
    Status.CORRECTED: Shade((222, 130, 235), BLACK),
}


class Run(NamedTuple):
    """A piece of text in one size (pixels an em)."""

    text: str
    size: int


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType and cannot write labels; install its wheel.")
    return font


@lru_cache(maxsize=64)
def _extent(size: int) -> tuple[int, int]:
    """Pixels above and below the baseline that digits, letters and commas need."""
    _, top, _, bottom = _font(size).getbbox("0Agy,", anchor="ls")
    return int(np.ceil(-top)) + 1, int(np.ceil(bottom)) + 1


@lru_cache(maxsize=8192)
def _letter(char: str, size: int, ink: Colour, paper: Colour) -> Rgb:
    ascent, descent = _extent(size)
    width = max(1, round(_font(size).getlength(char)))
    tile = Image.new("RGB", (width, ascent + descent), paper)
    ImageDraw.Draw(tile).text((0, ascent), char, fill=ink, font=_font(size), anchor="ls")
    return np.asarray(tile)


def text_width(text: str, size: int) -> int:
    """Pixels that `text` takes as a run of a tag, without the tag's margin."""
    return sum(_letter(char, size, BLACK, WHITE).shape[1] for char in text)


def shorten(text: str, size: int, width: int) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels; empty where not even that fits."""
    if text_width(text, size) <= width:
        return text
    for end in range(len(text) - 1, 0, -1):
        cut = text[:end].rstrip() + ELLIPSIS
        if text_width(cut, size) <= width:
            return cut
    return ELLIPSIS if text_width(ELLIPSIS, size) <= width else ""


def tag(runs: Sequence[Run], ink: Colour, paper: Colour, margin: int = 2) -> Rgb:
    """A line of lettering on its own ground, runs on one baseline: (h, w, 3) uint8.

    Letters are set one by one from a cache: a page with three hundred labels took 40 ms when each label was
    drawn as a text of its own, and takes 3 ms this way.
    """
    runs = [run for run in runs if run.text]
    if not runs:
        return np.full((1, 2 * margin, 3), paper, np.uint8)
    ascent = max(_extent(run.size)[0] for run in runs)
    descent = max(_extent(run.size)[1] for run in runs)
    width = sum(text_width(run.text, run.size) for run in runs) + 2 * margin
    canvas = np.full((ascent + descent, width, 3), paper, np.uint8)
    x = margin
    for run in runs:
        top = ascent - _extent(run.size)[0]
        for char in run.text:
            letter = _letter(char, run.size, ink, paper)
            canvas[top : top + letter.shape[0], x : x + letter.shape[1]] = letter
            x += letter.shape[1]
    return canvas


def stacked(rows: Sequence[Rgb], narrowest: int = 0) -> Rgb:
    """Pictures one below the other on white, at least `narrowest` pixels wide: (H, W, 3) uint8."""
    width = max(narrowest, *(row.shape[1] for row in rows))
    whole = np.full((sum(row.shape[0] for row in rows), width, 3), WHITE, np.uint8)
    top = 0
    for row in rows:
        whole[top : top + row.shape[0], : row.shape[1]] = row
        top += row.shape[0]
    return whole


def percent(confidence: float) -> str:
    """Two digits, rounded down, so that 99.9 % never reads as certainty."""
    return f"{min(99, max(0, int(confidence * 100))):02d}"


def guess(name: str | None, confidence: float | None) -> str:
    """What was read and how sure that is: "1250 97%"."""
    return (name or "nothing") + ("" if confidence is None else f" {percent(confidence)}%")


def short_reason(reason: str | None) -> str:
    """The cause alone of "cause: measure value, limit value"."""
    return (reason or "").partition(":")[0].strip()
