"""The pages that reading is timed on: what scanners and a phone make of empty and of filled sheets."""

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.handwriting import Hands
from benchmarks.layouts import A4, number_text
from benchmarks.pages import LOOKS, RenderedPage, render_sheet
from benchmarks.sheet import MM_PER_INCH, Sheet

DIGITS = 0, 50, 310
RULED = ", ruled"
NUMBER = 5
"""Digits of a number."""

COLUMNS = 4
LINE_MM = 8.0
TOP_MM = 25.0
SMALL_MM = 70.0, 25.0
PHOTO_PIXELS = 12e6
DARK = 150
"""What is darker than this gray level is black on a page of one bit."""

SEED = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """A page of a kind as a file's content; the product takes each of its `copy`s for another scan."""

    name: str
    suffix: str
    content: bytes

    def copy(self, folder: Path, number: int) -> Path:
        """The same page under another hash: decoders do not look at what follows the picture."""
        path = folder / f"{number:06d}{self.suffix}"
        path.write_bytes(self.content + f"{number:06d}".encode())
        return path


@dataclass(frozen=True, slots=True)
class Format:
    """How a page becomes a file: grey unless `mode` says otherwise."""

    name: str
    suffix: str
    kind: str
    mode: str = "L"

    def encode(self, page: RenderedPage) -> bytes:
        image, stream = page.image().convert("L" if self.mode == "1" else self.mode), io.BytesIO()
        if self.mode == "1":
            image = Image.fromarray(np.asarray(image) > DARK)
            image.save(stream, self.kind, compression="group4", dpi=(page.dpi, page.dpi))
        elif self.kind == "JPEG":
            image.save(stream, self.kind, quality=page.jpeg_quality or 90, dpi=(page.dpi, page.dpi))
        else:
            image.save(stream, self.kind, compress_level=1, dpi=(page.dpi, page.dpi))
        return stream.getvalue()


FORMATS = Format("JPEG", ".jpg", "JPEG"), Format("PNG", ".png", "PNG"), Format("TIFF", ".tif", "TIFF", "1")
COLOUR = Format("colour JPEG", ".jpg", "JPEG", "RGB")


def samples(hands: Hands, only: str = "", *, dpi: float = 300, look: str = "scan") -> Iterator[Sample]:
    """A page of every kind whose name holds `only`, the same for the same arguments; photos stay photos."""
    for digits, ruled in itertools.product(DIGITS, (False, True)):
        formats = [*FORMATS, COLOUR] if digits == DIGITS[-1] and not ruled else FORMATS
        # By one seed: a ruled page is the clean one with lines on it, and nothing else.
        draw = partial(_page, hands, digits, ruled, dpi=dpi, look=look)
        yield from _as_files(formats, _name(digits, ruled), only, draw)
    photo = [Format("12-megapixel photo", ".jpg", "JPEG", "RGB")]
    draw = partial(_photo, hands, PHOTO_PIXELS * (dpi / 300) ** 2)
    yield from _as_files(photo, _name(50, True), only, draw)


def small_page(hands: Hands) -> Sample:
    """A strip with two numbers of four digits, at 200 dpi."""
    page = render_sheet(SMALL_MM, _two_numbers, hands, SEED, dpi=200)
    return Sample("small page", ".png", FORMATS[1].encode(page))


def lines_of_numbers(sheet: Sheet, digits: int, ruled: bool) -> None:
    """So many digits in numbers of five, each by one hand, on every second line of paper, `ruled` or not."""
    if ruled:
        for y in np.arange(TOP_MM, sheet.height_mm - 10, LINE_MM):
            sheet.rule(10, float(y), sheet.width_mm - 10, float(y), 0.2)
    writers = sheet.hands.able("0123456789")
    for number in range(digits // NUMBER):
        row, column = divmod(number, COLUMNS)
        baseline = TOP_MM + (2 * row + 1) * LINE_MM - 1
        writer = int(sheet.rng.choice(writers))
        sheet.write(number_text(sheet.rng, NUMBER), 20 + 45 * column, baseline, writer=writer)


def _as_files(
    formats: tuple[Format, ...] | list[Format], content: str, only: str, draw: Callable[[], RenderedPage]
) -> Iterator[Sample]:
    """The page in each format that is asked for; drawn once, and only where it is."""
    wanted = [form for form in formats if only in f"{form.name}, {content}"]
    page = draw() if wanted else None
    for form in wanted if page else ():
        assert page is not None
        yield Sample(f"{form.name}, {content}", form.suffix, form.encode(page))


def _name(digits: int, ruled: bool) -> str:
    return f"{f'{digits} digits' if digits else 'empty'}{RULED if ruled else ''}"


def _page(hands: Hands, digits: int, ruled: bool, *, dpi: float, look: str) -> RenderedPage:
    fill = partial(lines_of_numbers, digits=digits, ruled=ruled)
    return render_sheet(A4, fill, hands, SEED, dpi=dpi, look=LOOKS[look])


def _photo(hands: Hands, count: float) -> RenderedPage:
    """A ruled sheet on a desk, of so many pixels, however much of the desk is on it."""
    sheet = (count / (A4[0] * A4[1])) ** 0.5 * MM_PER_INCH
    page = _page(hands, 50, True, dpi=sheet, look="photo")
    height, width = page.pixels.shape[:2]
    scale = (count / (height * width)) ** 0.5
    size = round(width * scale), round(height * scale)
    pixels = cv2.resize(page.pixels, size, interpolation=cv2.INTER_AREA)
    return replace(page, pixels=np.asarray(pixels, np.uint8))


def _two_numbers(sheet: Sheet) -> None:
    for x in (8.0, 40.0):
        sheet.write(number_text(sheet.rng, 4), x, 15)
