"""The whole way of a page and a scan, with the model that ships, on pages whose truth is known."""

import hashlib
import io
import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import handwriting
from benchmarks.pages import RenderedPage, render
from benchmarks.wear import Look
from processor import settings as product_settings
from processor.errors import BadScan, Transient
from processor.pipeline import Reader, load_reader, process, read_page
from processor.records import Box, Page, PageReading, Status
from processor.settings import LoadedSettings

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader(product_settings.load())


@pytest.fixture(scope="module")
def sheet() -> RenderedPage:
    """A clean page of free numbers."""
    return render("free", handwriting.load(SAMPLE), seed=3, dpi=150)


def as_page(pixels: NDArray[np.uint8]) -> Page:
    return Page(number=1, pixels=pixels, dpi=None)


def texts(reading: PageReading) -> list[str]:
    return [number.digits_only for number in reading.numbers]


def share_read(reading: PageReading, sheet: RenderedPage) -> float:
    left = texts(reading)
    hits = 0
    for number in sheet.numbers:
        if number.digits in left:
            left.remove(number.digits)
            hits += 1
    return hits / len(sheet.numbers)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.x, other.x)
    height = min(one.bottom, other.bottom) - max(one.y, other.y)
    both = max(width, 0) * max(height, 0)
    return both / (one.width * one.height + other.width * other.height - both)


def test_a_clean_page_is_read(reader: Reader, sheet: RenderedPage) -> None:
    assert share_read(read_page(as_page(sheet.pixels), reader), sheet) >= 0.9


def test_boxes_lie_on_the_numbers(reader: Reader, sheet: RenderedPage) -> None:
    reading = read_page(as_page(sheet.pixels), reader)
    for true in sheet.numbers:
        found = [n for n in reading.numbers if n.digits_only == true.digits]
        assert not found or max(overlap(n.box, true.box) for n in found) > 0.7


def test_boxes_of_a_skewed_page_lie_on_the_page_as_it_came(reader: Reader) -> None:
    skewed = render("table", handwriting.load(SAMPLE), seed=4, dpi=150, look=Look(skew_degrees=4.0))
    reading = read_page(as_page(skewed.pixels), reader)
    assert reading.skew_degrees == pytest.approx(4.0, abs=0.5)
    pairs = [(n.box, t.box) for n in reading.numbers for t in skewed.numbers if n.digits_only == t.digits]
    near = [overlap(n, t) for n, t in pairs if overlap(n, t) > 0]
    assert len(near) > len(skewed.numbers) / 2
    assert float(np.median(near)) > 0.7


def test_decimal_commas_are_read_and_words_are_not(reader: Reader) -> None:
    table = render("table", handwriting.load(SAMPLE), seed=4, dpi=150)
    written = [number.text for number in table.numbers]
    reading = read_page(as_page(table.pixels), reader)
    as_written = [n for n in reading.numbers if n.text in written]
    assert len(as_written) >= 0.9 * len(written)
    assert sum("," in n.text for n in as_written) >= 60
    true_boxes = [number.box for number in table.numbers]
    beside = [n for n in reading.numbers if not any(overlap(n.box, box) > 0 for box in true_boxes)]
    assert len(beside) <= 1


def test_numbers_come_in_reading_order(reader: Reader, sheet: RenderedPage) -> None:
    numbers = read_page(as_page(sheet.pixels), reader).numbers
    for before, after in itertools.pairwise(numbers):
        assert after.box.bottom > before.box.y


def test_white_on_black_reads_the_same(reader: Reader, sheet: RenderedPage) -> None:
    white = read_page(as_page(255 - sheet.pixels), reader)
    assert share_read(white, sheet) >= 0.9


@pytest.mark.parametrize("factor", [0.6, 2.0])
def test_size_does_not_matter(reader: Reader, sheet: RenderedPage, factor: float) -> None:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    pixels = np.asarray(cv2.resize(sheet.pixels, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    assert share_read(read_page(as_page(pixels), reader), sheet) >= 0.85


def test_a_shadow_over_half_the_page_does_not_matter(reader: Reader, sheet: RenderedPage) -> None:
    pixels = sheet.pixels.copy()
    pixels[:, pixels.shape[1] // 2 :] = (pixels[:, pixels.shape[1] // 2 :] * 0.4).astype(np.uint8)
    assert share_read(read_page(as_page(pixels), reader), sheet) >= 0.85


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_page_is_a_normal_result(reader: Reader, level: int) -> None:
    reading = read_page(as_page(np.full((400, 300), level, np.uint8)), reader)
    assert (reading.numbers, reading.rejected) == ((), ())


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 3), (3, 20000), (30000, 3)])
def test_the_smallest_pages_are_read_as_empty(reader: Reader, shape: tuple[int, int]) -> None:
    assert read_page(as_page(np.full(shape, 255, np.uint8)), reader).numbers == ()


def test_every_digit_says_how_sure_and_every_rejection_why(reader: Reader, sheet: RenderedPage) -> None:
    pixels = sheet.pixels.copy()
    cv2.putText(pixels, "Weather", (60, 60), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 3)
    reading = read_page(as_page(pixels), reader)
    assert reading.rejected
    for blob in reading.rejected:
        assert blob.digit is None
        assert blob.reason
    for digit in (d for n in reading.numbers for d in n.digits):
        assert 0 < digit.confidence <= 1
        assert len(digit.top) == 3
        assert (digit.reason is None) == (digit.status is Status.ACCEPTED)


def test_a_number_is_as_sure_as_its_digits_together(reader: Reader, sheet: RenderedPage) -> None:
    for number in read_page(as_page(sheet.pixels), reader).numbers:
        assert number.confidence == pytest.approx(np.prod([d.confidence for d in number.digits]), abs=1e-3)
        if number.status is Status.ACCEPTED:
            assert all(d.status is Status.ACCEPTED for d in number.digits)


def test_a_digit_at_the_very_edge_stays_in_its_number(reader: Reader) -> None:
    """A cell cut out closely: its first digit lies in the margin, where borders are, and a person looks."""
    sheet = render("free", handwriting.load(SAMPLE), seed=3, dpi=150)
    box = next(number.box for number in sheet.numbers if number.digits == "1900")
    close = read_page(as_page(sheet.pixels[box.y - 12 : box.bottom + 12, box.x + 1 : box.right + 12]), reader)
    assert texts(close) == ["1900"]
    assert close.numbers[0].status is Status.REVIEW
    assert "cut off by the edge" in (close.numbers[0].digits[0].reason or "")


def test_a_fraction_is_no_number_that_is_accepted(reader: Reader) -> None:
    """The slash between a 5 and a 3 is a 1 to both readings."""
    with np.load(SAMPLE) as sample:
        five, three = (sample["images"][sample["labels"] == digit][0] for digit in (5, 3))
    page = np.full((400, 600), 255, np.uint8)
    for left, image in ((200, five), (300, three)):
        page[150:234, left : left + 84] -= cv2.resize(image, (84, 84))
    cv2.line(page, (283, 242), (307, 142), 0, 6)
    numbers = read_page(as_page(page), reader).numbers
    assert [number.status for number in numbers if "1" in number.digits_only] != [Status.ACCEPTED]
    assert {number.digits_only for number in numbers} in ({"513"}, {"5", "3"})


def test_reading_is_repeatable_to_the_byte(reader: Reader, sheet: RenderedPage) -> None:
    first, second = (read_page(as_page(sheet.pixels), reader) for _ in range(2))
    assert repr(strip(first)) == repr(strip(second))


def strip(reading: PageReading) -> PageReading:
    numbers = tuple(
        replace(n, digits=tuple(replace(d, glyph=None) for d in n.digits)) for n in reading.numbers
    )
    return replace(reading, numbers=numbers, rejected=tuple(replace(r, glyph=None) for r in reading.rejected))


@pytest.fixture
def product(tmp_path: Path) -> LoadedSettings:
    (tmp_path / "settings.toml").write_text("")
    return product_settings.load(tmp_path / "settings.toml")


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_scan_is_staged_and_not_published(
    reader: Reader, sheet: RenderedPage, product: LoadedSettings, tmp_path: Path
) -> None:
    data = png(sheet.pixels)
    source, staging = tmp_path / "a.png", tmp_path / "staging"
    source.write_bytes(data)
    staging.mkdir()
    sha256 = hashlib.sha256(data).hexdigest()
    result = process(source, file="a.png", sha256=sha256, reader=reader, settings=product, staging=staging)
    assert [s.target.suffix for s in result.staged] == [".jpg", ".csv"]
    assert all(s.staged.is_file() and not s.target.exists() for s in result.staged)
    assert result.annotated == (result.staged[0].target,)
    assert result.model == reader.model
    assert all(d.glyph is None for p in result.pages for n in p.numbers for d in n.digits)
    table = result.staged[1].staged.read_text("utf-8").splitlines()
    assert len(table) == 1 + len(result.pages[0].numbers)


def test_a_file_over_the_limit_is_refused_before_it_is_read(
    reader: Reader, product: LoadedSettings, tmp_path: Path
) -> None:
    """A sparse one of 60 gigabytes took more memory than there is, again and again."""
    source = tmp_path / "a.png"
    with source.open("wb") as stream:
        stream.truncate(60_000_000_000)
    with pytest.raises(BadScan, match="has 60000"):
        process(source, file="a.png", sha256="0" * 64, reader=reader, settings=product, staging=tmp_path)


def test_a_file_that_changed_after_it_was_queued_is_tried_again(
    reader: Reader, product: LoadedSettings, tmp_path: Path
) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"other")
    with pytest.raises(Transient, match="changed"):
        process(source, file="a.png", sha256="0" * 64, reader=reader, settings=product, staging=tmp_path)


def test_a_file_that_is_no_image_is_a_bad_scan(
    reader: Reader, product: LoadedSettings, tmp_path: Path
) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"text")
    sha256 = hashlib.sha256(b"text").hexdigest()
    with pytest.raises(BadScan):
        process(source, file="a.png", sha256=sha256, reader=reader, settings=product, staging=tmp_path)
