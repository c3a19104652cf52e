"""Handwritten letters set as pages: how many digits a reader takes them for.

Some letters are written as others write a digit, and no reader could tell them apart without the word that
they stand in. So there are two figures: for all letters, and for those that resemble no digit. Which these
are was decided by looking at the letters, not by what any model makes of them.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.product import Bench, Row, read
from processor.records import Gray
from training import datasets
from training.testsets import LOOKALIKES

LATIN = "abcdefghijklmnopqrstuvwxyz"
GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
KATAKANA = "アイウエオカキクコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヰヱヲン"
"""The letters in the order of Omniglot's characters."""

GREEK_LOOKALIKES = {
    "β": "8, where its foot is short",
    "δ": "8, left open at the top; 6",
    "ζ": "3 with a flat top; 5",
    "θ": "0 with a bar; 8, where the bar is its waist",
    "ι": "1",
    "ξ": "3",
    "ο": "0",
    "σ": "6, or a 0 with a tail",
}
KATAKANA_LOOKALIKES = {
    "イ": "1 with a flag",
    "ク": "7 with a serif",
    "ノ": "1, leaning",
    "フ": "7",
    "ヨ": "3 with straight strokes",
    "ラ": "7 under a stroke; 5",
    "リ": "two 1s",
    "ロ": "0 with corners",
    "ワ": "7 with a serif",
    "ヲ": "7 with a bar",
}
"""Letters that some hand writes as another writes a digit, and which."""

ALPHABETS = (
    ("Latin", LATIN, LOOKALIKES),
    ("Greek", GREEK, frozenset(GREEK_LOOKALIKES)),
    ("Japanese_(katakana)", KATAKANA, frozenset(KATAKANA_LOOKALIKES)),
)
GOAL = "<= 3"

COLUMNS, ROWS = 6, 8
PITCH = 140
MARGIN = 60
"""Letters of 105 pixels a side stand so far apart, in pixels, on pages of so many columns and rows."""

DPI = 150
SEED = 0


def letter_pages(bench: Bench) -> Iterable[Row]:
    """Accepted digits per 100 letters, of all letters of an alphabet and of those unlike digits."""
    for name, letters, lookalikes in ALPHABETS:
        inks = datasets.omniglot(bench.data / "non-digits" / "omniglot.zip", [name])
        alike = np.isin(inks.groups, [letters.index(letter) for letter in lookalikes])
        images = [255 - np.asarray(image) for image in inks.images]
        unlike = [image for image, is_alike in zip(images, alike, strict=True) if not is_alike]
        yield Row(f"{name} letters", "accepted digits of 100", _accepted(images))
        yield Row(f"{name} letters unlike digits", "accepted digits of 100", _accepted(unlike), GOAL)


def pages(images: Sequence[Gray]) -> list[Gray]:
    """`images`, each (105, 105) dark on white, in random order on white pages."""
    order = np.random.default_rng(SEED).permutation(len(images))
    each = COLUMNS * ROWS
    done: list[Gray] = []
    for start in range(0, len(images), each):
        page = np.full((2 * MARGIN + ROWS * PITCH, 2 * MARGIN + COLUMNS * PITCH), 255, np.uint8)
        for place, at in enumerate(order[start : start + each]):
            image = images[int(at)]
            y, x = (MARGIN + PITCH * step for step in divmod(place, COLUMNS))
            page[y : y + image.shape[0], x : x + image.shape[1]] = image
        done.append(page)
    return done


def _accepted(images: Sequence[Gray]) -> float:
    """Accepted digits per 100 of the letters on `images`, read by the product as pages."""
    with tempfile.TemporaryDirectory() as folder:
        for number, page in enumerate(pages(images)):
            Image.fromarray(page).save(Path(folder, f"{number:03d}.png"), dpi=(DPI, DPI))
        with read(Path(folder)) as database:
            return 100 * accepted_digits(database) / len(images)


def accepted_digits(database: Path) -> int:
    """How many digits stand in numbers that nobody would look at."""
    with sqlite3.connect(database) as results:
        (digits,) = results.execute(
            "SELECT COALESCE(SUM(LENGTH(digits)), 0) FROM readings WHERE status = 'accepted'"
        ).fetchone()
    return int(digits)
