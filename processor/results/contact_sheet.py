"""Every cut-out as the network saw it, with its label: what to look at when a reading is wrong."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processor.records import DigitReading, PageReading, Status
from processor.results.lettering import (
    BLACK,
    SHADES,
    WHITE,
    Rgb,
    Run,
    percent,
    short_reason,
    shorten,
    tag,
)

COLUMNS = 16
ENLARGEMENT = 3
GLYPH_PIXELS = 28
CELL_PIXELS = ENLARGEMENT * GLYPH_PIXELS + 24
CAPTION_PIXELS = 26
HEADING_PIXELS = 32
MARGIN_PIXELS = 8
MOST_CUTOUTS = 2000
"""A thousand-page document would otherwise ask for gigabytes; the heading says what was left out."""


def contact_sheet(readings: Sequence[PageReading]) -> Image.Image:
    """All cut-outs in reading order, rejected ones after the numbers of their page: RGB, dark on white.

    Blobs that were rejected before they were cut out (no glyph) are not shown.
    """
    pages = [(reading, list(_cut_outs(reading))) for reading in sorted(readings, key=lambda r: r.page)]
    columns = max([4, *(min(COLUMNS, len(cut_outs)) for _, cut_outs in pages)])
    width, left = columns * CELL_PIXELS + 2 * MARGIN_PIXELS, MOST_CUTOUTS
    parts: list[Rgb] = []
    for reading, cut_outs in pages:
        shown = cut_outs[:left]
        left -= len(shown)
        if shown:
            parts.append(_heading(_title(reading, len(cut_outs), len(shown)), width))
            parts += [_row(shown[at : at + columns], width) for at in range(0, len(shown), columns)]
    return Image.fromarray(np.vstack(parts or [_heading("no digits were cut out", width)]))


def _cut_outs(reading: PageReading) -> Iterator[DigitReading]:
    digits = [digit for number in reading.numbers for digit in number.digits]
    return (digit for digit in (*digits, *reading.rejected) if digit.glyph is not None)


def _title(reading: PageReading, count: int, shown: int) -> str:
    left_out = f", the first {shown} shown" if shown < count else ""
    return f"page {reading.page}: {count} cut-out{'s' if count != 1 else ''}{left_out}"


def _heading(text: str, width: int) -> Rgb:
    line = tag([Run(text, 18)], BLACK, WHITE)
    canvas = np.full((HEADING_PIXELS, width, 3), 255, np.uint8)
    top = HEADING_PIXELS - line.shape[0]
    canvas[top:, MARGIN_PIXELS : MARGIN_PIXELS + line.shape[1]] = line[:, : width - 2 * MARGIN_PIXELS]
    return canvas


def _row(digits: Sequence[DigitReading], width: int) -> Rgb:
    side = ENLARGEMENT * GLYPH_PIXELS + 4
    canvas = np.full((side + CAPTION_PIXELS + MARGIN_PIXELS, width, 3), 255, np.uint8)
    for column, digit in enumerate(digits):
        x = MARGIN_PIXELS + column * CELL_PIXELS
        canvas[MARGIN_PIXELS : MARGIN_PIXELS + side, x : x + side] = _picture(digit)
        caption = _caption(digit)
        canvas[MARGIN_PIXELS + side :][: caption.shape[0], x : x + caption.shape[1]] = caption
    return canvas


def _picture(digit: DigitReading) -> Rgb:
    """The glyph (28, 28), ink = 1, enlarged with sharp pixels in a frame of its status's colour."""
    assert digit.glyph is not None
    gray = np.rint(255 * (1 - np.clip(digit.glyph, 0, 1))).astype(np.uint8)
    large: NDArray[np.uint8] = gray.repeat(ENLARGEMENT, axis=0).repeat(ENLARGEMENT, axis=1)
    framed = np.empty((large.shape[0] + 4, large.shape[1] + 4, 3), np.uint8)
    framed[:] = SHADES[digit.status].fill
    framed[2:-2, 2:-2] = large[:, :, None]
    return framed


def _caption(digit: DigitReading) -> Rgb:
    shade = SHADES[digit.status]
    if digit.digit is None or digit.status is Status.REJECTED:
        text = shorten(short_reason(digit.reason) or "rejected", 12, CELL_PIXELS - 8)
        return tag([Run(text, 12)], shade.fill, WHITE)
    return tag(
        [Run(digit.digit, 18), Run(f" {percent(digit.confidence)}%", 13)], shade.text, shade.fill, margin=4
    )
