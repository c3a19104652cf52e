"""What was left out on a page: each mark as it stands there, with what it was taken for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from processor.records import Page, Status
from processor.results.lettering import WHITE, Rgb, stacked
from processor.results.number_strip import best_guesses, box_of, caption, piece

MARK_PIXELS = 24
WIDEST_PIXELS = 120
TEXT_PIXELS = 400
ROW_PIXELS = 56

COLUMNS = 4
ROWS = 12
"""Marks stand in so many columns, once they are more than fit into one of so many rows."""

MOST_MARKS = 500
"""So many are shown: a page of prose has thousands."""

Fields = Mapping[str, Any]


def rejected_sheet(page: Page, blobs: Sequence[Fields], turns: int = 0) -> Image.Image:
    """A cell for each of the `blobs`, rows as stored, of a `page`: the mark, the reason, the best guesses.

    They stand in columns, counted as their `position` counts, from top to bottom of the page; marks are
    turned by so many quarters, counterclockwise. RGB.
    """
    cells = [_cell(page, blob, turns) for blob in blobs[:MOST_MARKS]]
    rows = max(ROWS, -(-len(cells) // COLUMNS))
    columns = [stacked(cells[at : at + rows]) for at in range(0, len(cells), rows)]
    high = max((column.shape[0] for column in columns), default=0)
    sheet = [np.hstack([_padded(column, high) for column in columns])] if columns else []
    if len(blobs) > MOST_MARKS:
        sheet.append(caption(f"and {len(blobs) - MOST_MARKS} more", TEXT_PIXELS))
    return Image.fromarray(stacked(sheet or [caption("nothing was left out", TEXT_PIXELS)]))


def _cell(page: Page, blob: Fields, turns: int) -> Rgb:
    box = box_of(blob)
    shown = piece(page, box, [(box, Status.REJECTED)], turns, MARK_PIXELS, WIDEST_PIXELS)
    lines = [caption(f"{blob['position']}. {blob['reason']}", TEXT_PIXELS)]
    if guesses := best_guesses(blob):
        lines.append(caption(f"looks like {guesses}", TEXT_PIXELS))
    text = stacked(lines, TEXT_PIXELS)
    cell = np.full((ROW_PIXELS, WIDEST_PIXELS + TEXT_PIXELS, 3), WHITE, np.uint8)
    for part, left in ((shown[:ROW_PIXELS, :WIDEST_PIXELS], 0), (text[:ROW_PIXELS], WIDEST_PIXELS)):
        cell[: part.shape[0], left : left + part.shape[1]] = part
    return cell


def _padded(column: Rgb, high: int) -> Rgb:
    return np.pad(column, ((0, high - column.shape[0]), (0, 0), (0, 0)), constant_values=WHITE[0])
