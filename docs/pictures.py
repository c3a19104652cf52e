"""Draws the pictures of the documentation from the sample photo, with the model in use: `make pictures`.

    python docs/pictures.py [FOLDER]

The pictures show the sample's handwriting, so they are shared under the licence in examples/README.md.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processor import settings
from processor.pages import cleaning
from processor.pages.scaling import resize, working_scale
from processor.pages.scans import decode
from processor.pages.thresholds import binarise
from processor.pipeline import load_reader, read_page
from processor.records import Mask, Page
from processor.results.annotate import annotate

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "examples" / "photo.jpg"

DETAIL = (0.36, 0.66, 0.92, 0.83)
"""Left, top, right and lower edge of the detail, as shares of the page: a shadow falls across it."""

WIDEST = 1100
"""Pixels; a wider picture is only slower to load."""


def pictures() -> Iterator[tuple[str, Image.Image]]:
    """The annotated page, and one detail of it after each stage of reading, by their file names."""
    loaded = settings.load(ROOT / settings.FILE_NAME)
    values = loaded.values
    page = next(decode(SAMPLE.read_bytes(), SAMPLE.name, values.limits, values.intake.pdf_dpi))
    annotated = annotate(page, read_page(page, load_reader(loaded)))
    yield "annotated.jpg", annotated
    yield "stage-1-photo.jpg", detail(Image.fromarray(page.pixels), page)
    yield "stage-2-ink.png", detail(as_ink(ink(page)), page)
    yield "stage-3-writing.png", detail(as_ink(writing(page)), page)
    yield "stage-4-read.jpg", detail(annotated, page)


def ink(page: Page) -> Mask:
    """(H, W) of the original page: what is darker than the paper around it, ruled lines and all."""
    scale = working_scale(page.width, page.height)
    gray = resize(cleaning.to_gray(page.pixels), scale)
    mask = binarise(cleaning.flatten(cleaning.upright_polarity(gray)))
    return on_original(mask, np.diag([1 / scale, 1 / scale, 1.0]), page)


def writing(page: Page) -> Mask:
    """(H, W) of the original page: the ink that is left once the ruled lines are taken out."""
    cleaned = cleaning.clean(page)
    return on_original(cleaned.mask, cleaned.to_original, page)


def on_original(mask: Mask, to_original: NDArray[np.float64], page: Page) -> Mask:
    moved = cv2.warpPerspective(mask.view(np.uint8) * 255, to_original, (page.width, page.height))
    return np.asarray(moved > 127, np.bool_)


def as_ink(mask: Mask) -> Image.Image:
    return Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))


def detail(picture: Image.Image, page: Page) -> Image.Image:
    """The same detail of the page in any picture as wide as the page, or reduced (the legend lies below)."""
    scale = picture.width / page.width
    left, top, right, bottom = DETAIL
    return picture.crop(
        (
            round(left * page.width * scale),
            round(top * page.height * scale),
            round(right * page.width * scale),
            round(bottom * page.height * scale),
        )
    )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures():
        widest = WIDEST if name == "annotated.jpg" else 640
        picture.thumbnail((widest, 2 * widest), Image.Resampling.LANCZOS)
        if name.endswith(".png"):
            picture = picture.quantize(8)
        picture.save(folder / name, quality=80, optimize=True)
        print(folder / name)


if __name__ == "__main__":
    main()
