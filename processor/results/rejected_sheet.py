"""What was left out on a page: each mark as it stands there, with what it was taken for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from processor.records import Page, Status
from processor.results.lettering import WHITE, Rgb
from processor.results.number_strip import best_guesses, box_of, caption, piece, stacked

MARK_PIXELS = 40
LONGEST_PIXELS = 200
TEXT_PIXELS = 640
GAP_PIXELS = 6

MOST_MARKS = 500
"""So many are shown: a page of prose has thousands."""

Fields = Mapping[str, Any]


def rejected_sheet(page: Page, blobs: Sequence[Fields], turns: int = 0) -> Image.Image:
    """A row for each of the `blobs`, rows as stored, of a `page`: the mark, why it is none, the best guesses.

    Their count is that of their `position`, from top to bottom of the page; marks are turned by so many
    quarters, counterclockwise. RGB.
    """
    rows = [_row(page, blob, turns) for blob in blobs[:MOST_MARKS]]
    if len(blobs) > MOST_MARKS:
        rows.append(caption(f"and {len(blobs) - MOST_MARKS} more", TEXT_PIXELS))
    return Image.fromarray(stacked(rows or [caption("nothing was left out", TEXT_PIXELS)], 0))


def _row(page: Page, blob: Fields, turns: int) -> Rgb:
    box = box_of(blob)
    shown = piece(page, box, [(box, Status.REJECTED)], turns, MARK_PIXELS, LONGEST_PIXELS)
    lines = [caption(f"{blob['position']}. {blob['reason']}", TEXT_PIXELS)]
    if guesses := best_guesses(blob):
        lines.append(caption(f"looks like {guesses}", TEXT_PIXELS))
    text = stacked(lines, TEXT_PIXELS)
    height = max(shown.shape[0], text.shape[0]) + GAP_PIXELS
    row = np.full((height, LONGEST_PIXELS + GAP_PIXELS + TEXT_PIXELS, 3), WHITE, np.uint8)
    row[: shown.shape[0], : shown.shape[1]] = shown[:, :LONGEST_PIXELS]
    row[: text.shape[0], LONGEST_PIXELS + GAP_PIXELS :] = text
    return row
