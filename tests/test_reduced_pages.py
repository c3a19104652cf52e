"""Huge JPEGs are decoded at a half, a quarter or an eighth: what is read stands where it stood."""

import io

import numpy as np
import pytest
from PIL import Image

from processor.pages.cleaning import clean
from processor.pages.scans import decode
from processor.records import Page, PageReading
from processor.results.annotate import annotate
from processor.segmentation.blobs import find_blobs
from processor.settings import Limits

WIDE, HIGH = 7502, 3001
MARK = 6000, 800, 6060, 1000
"""Left, top, right and bottom of a mark on the page."""


def jpeg(size: tuple[int, int] = (WIDE, HIGH), orientation: int = 1, form: str = "JPEG") -> bytes:
    image = Image.new("L", size, 240)
    image.paste(20, MARK)
    tags = Image.Exif()
    tags[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, form, exif=tags)
    return stream.getvalue()


def only(data: bytes, *, reduces: bool = True) -> Page:
    (page,) = decode(data, "page.jpg", Limits(), 300.0, reduces=reduces)
    return page


def test_a_huge_page_comes_smaller_and_knows_its_size() -> None:
    page = only(jpeg())
    assert page.reduced == 2
    assert page.pixels.shape == (1501, 3751)
    assert (page.width, page.height) == (WIDE, HIGH)


def test_a_page_that_lies_on_its_side_is_as_wide_as_it_stands() -> None:
    page = only(jpeg(orientation=6))
    assert page.pixels.shape == (3751, 1501)
    assert (page.width, page.height) == (HIGH, WIDE)


@pytest.mark.parametrize(("longest", "reduced"), [(3600, 1), (6400, 1), (6490, 2), (13100, 4)])
def test_as_much_stays_as_is_read(longest: int, reduced: int) -> None:
    page = only(jpeg((longest, 40)))
    assert page.reduced == reduced
    assert max(page.pixels.shape) >= 0.9 * 3600 or reduced == 1


def test_only_who_reads_gets_it_smaller_and_only_a_jpeg_can() -> None:
    for page in (only(jpeg(), reduces=False), only(jpeg(form="PNG"))):
        assert (page.reduced, page.pixels.shape) == (1, (HIGH, WIDE))


def test_marks_stand_where_they_stood_on_the_file() -> None:
    page = only(jpeg())
    cleaned = clean(page)
    (blob,) = find_blobs(cleaned.mask, least_side=20)
    box = cleaned.original_box(blob.box, blob.mask, page.width, page.height)
    assert (box.x, box.y, box.right, box.bottom) == pytest.approx(MARK, abs=3)


def test_its_picture_shows_all_of_it() -> None:
    page = only(jpeg())
    read = PageReading(page=1, width=WIDE, height=HIGH, dpi=None, skew_degrees=0.0, numbers=(), rejected=())
    drawn = np.asarray(annotate(page, read).convert("L"))
    dark = np.argwhere(drawn[:800] < 90).mean(axis=0) * WIDE / drawn.shape[1]
    assert dark == pytest.approx(((MARK[1] + MARK[3]) / 2, (MARK[0] + MARK[2]) / 2), abs=20)
