"""From bytes to pages: every format comes out upright, dark on white and whole, or is refused with a word."""

import io
import os
import random
import struct
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pikepdf
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw
from PIL.TiffImagePlugin import AppendingTiffWriter

from processor.errors import BadScan, Transient
from processor.pages.faults import damage_refused
from processor.pages.images import believable_dpi
from processor.pages.pixels import deep_to_gray, to_pixels
from processor.pages.scans import decode, kind_of
from processor.pages.tiff import decoder_errors_refused
from processor.records import Page
from processor.settings import Limits

SIZE = (96, 64)
INK = (slice(20, 30), slice(40, 50))
CORNER = (slice(0, 8), slice(0, 16))


def drawn(mode: str = "L", ink: Any = 0, paper: Any = 255) -> Image.Image:
    """A page with a square of ink and a mark in the top left corner, which tells its orientation."""
    image = Image.new(mode, SIZE, paper)
    for rows, columns in (INK, CORNER):
        ImageDraw.Draw(image).rectangle(
            (columns.start, rows.start, columns.stop - 1, rows.stop - 1), fill=ink
        )
    return image


def drawn_with_palette() -> Image.Image:
    """Black is entry 7 of the palette, paper is the dark green entry 3."""
    image = drawn("P", 7, 3)
    image.putpalette([0, 0, 0] * 3 + [9, 99, 9] + [0, 0, 0] * 12)
    return image


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def pages(data: bytes, limits: Limits | None = None, dpi: float = 300.0) -> list[Page]:
    return list(decode(data, "scan", limits or Limits(), dpi))


def only(data: bytes) -> Page:
    (page,) = pages(data)
    return page


def refusal(data: bytes, limits: Limits | None = None, dpi: float = 300.0) -> BadScan:
    with pytest.raises(BadScan) as caught:
        pages(data, limits, dpi)
    assert caught.value.message.startswith("scan"), caught.value.message
    assert caught.value.remedy
    return caught.value


def assert_drawn(pixels: NDArray[np.uint8], tolerance: int = 2) -> None:
    """Gray, upright, black ink on white paper, in the shape that `drawn` gives."""
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    expected = np.asarray(drawn()).astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


# --- what a picture file may hold -----------------------------------------------------------------


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


# How a camera that was held so would have stored the page.
STORED: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda i: i,
    2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
    4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
    6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
    7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
    8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_page_stands_upright_however_the_camera_was_held(form: str, orientation: int) -> None:
    lossless: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}
    options = lossless.get(form, {})
    data = saved(STORED[orientation](drawn()), form, exif=exif(orientation), **options)
    assert_drawn(only(data).pixels, tolerance=12 if form == "JPEG" else 2)


def test_an_orientation_that_does_not_exist_turns_nothing() -> None:
    assert_drawn(only(saved(drawn(), "PNG", exif=exif(77))).pixels)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("block", [b"", b"I", b"II*\0\1", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\0\5ab"])
def test_damaged_exif_costs_the_orientation_and_not_the_page(form: str, block: bytes) -> None:
    data = saved(drawn(), form, exif=b"Exif\0\0" + block, quality=100, lossless=True)
    assert_drawn(only(data).pixels, tolerance=12)


PICTURES = {
    "JPEG gray": saved(drawn(), "JPEG", quality=100),
    "JPEG colour": saved(drawn("RGB", "black", "white"), "JPEG", quality=100),
    "JPEG progressive": saved(drawn(), "JPEG", quality=100, progressive=True),
    "JPEG CMYK, inverted as by Adobe": saved(
        drawn("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), "JPEG", quality=100
    ),
    "PNG 1 bit": saved(drawn("1", 0, 1), "PNG"),
    "PNG gray": saved(drawn(), "PNG"),
    "PNG gray and alpha": saved(drawn("LA", (0, 255), (255, 255)), "PNG"),
    "PNG palette": saved(drawn().convert("P"), "PNG"),
    "PNG palette of 1 bit": saved(drawn().quantize(2), "PNG", bits=1),
    "PNG colour": saved(drawn("RGB", "black", "white"), "PNG"),
    "PNG transparent paper": saved(drawn("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), "PNG"),
    "PNG gray, transparent paper": saved(drawn("LA", (0, 255), (90, 0)), "PNG"),
    "PNG transparent gray level": saved(drawn("L", 0, 99), "PNG", transparency=99),
    "PNG transparent level of 1 bit": saved(drawn("1", 1, 0), "PNG", transparency=0),
    "PNG transparent colour": saved(drawn("RGB", "black", (9, 99, 9)), "PNG", transparency=(9, 99, 9)),
    "PNG transparent palette entry": saved(drawn_with_palette(), "PNG", transparency=3),
    "PNG 16 bit": saved(Image.fromarray(np.asarray(drawn()).astype(np.uint16) * 257), "PNG"),
    "TIFF 1 bit, raw": saved(drawn("1", 0, 1), "TIFF"),
    "TIFF Group 4": saved(drawn("1", 0, 1), "TIFF", compression="group4"),
    "TIFF Group 3": saved(drawn("1", 0, 1), "TIFF", compression="group3"),
    "TIFF LZW": saved(drawn(), "TIFF", compression="tiff_lzw"),
    "TIFF JPEG": saved(drawn("RGB", "black", "white"), "TIFF", compression="jpeg", quality=100),
    "TIFF CMYK": saved(drawn("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), "TIFF"),
    "TIFF palette": saved(drawn().convert("P"), "TIFF"),
    "TIFF transparent paper": saved(drawn("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), "TIFF"),
    "TIFF 16 bit": saved(Image.fromarray(np.asarray(drawn()).astype(np.uint16) * 257), "TIFF"),
    "TIFF 12 bit in 16": saved(Image.fromarray(np.asarray(drawn()).astype(np.uint16) * 16), "TIFF"),
    "TIFF 32 bit": saved(Image.fromarray(np.asarray(drawn()).astype(np.int32) * 257), "TIFF"),
    "TIFF float": saved(Image.fromarray(np.asarray(drawn()).astype(np.float32) / 255), "TIFF"),
    "BigTIFF": saved(drawn(), "TIFF", big_tiff=True),
    "BMP 1 bit": saved(drawn("1", 0, 1), "BMP"),
    "BMP": saved(drawn("RGB", "black", "white"), "BMP"),
    "WebP": saved(drawn("RGB", "black", "white"), "WEBP", lossless=True),
    "WebP transparent paper": saved(drawn("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)), "WEBP", lossless=True),
    "GIF": saved(drawn(), "GIF"),
    "GIF transparent paper": saved(drawn_with_palette(), "GIF", transparency=3),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_black_ink_on_white_paper_comes_out_as_gray_whatever_the_file_is(kind: str) -> None:
    page = only(PICTURES[kind])
    assert page.number == 1
    assert_drawn(page.pixels, tolerance=4)


def test_colour_stays_where_there_is_some() -> None:
    page = only(saved(drawn("RGB", (20, 30, 200), "white"), "PNG"))
    assert page.pixels.shape == (SIZE[1], SIZE[0], 3)
    assert page.pixels[INK].reshape(-1, 3).tolist() == [[20, 30, 200]] * 100


def test_sixteen_bits_a_colour_keep_the_colour() -> None:
    wide = np.full((*SIZE[::-1], 3), 65535, np.uint16)
    wide[INK] = (0, 0, 40000)
    pixels = only(_png(wide)).pixels
    assert pixels[INK][0, 0].tolist() == [0, 0, 40000 >> 8]
    assert pixels[60, 90].tolist() == [255, 255, 255]


def test_cmyk_of_a_scanner_and_of_adobe_are_the_same_blue() -> None:
    image = drawn("CMYK", (255, 255, 0, 0), (0, 0, 0, 0))
    for data in (saved(image, "TIFF"), saved(image, "JPEG", quality=100, subsampling=0)):
        red, green, blue = only(data).pixels[25, 45].tolist()
        assert max(red, green) < 12
        assert blue > 243


def test_lab_is_turned_to_rgb() -> None:
    lab = ImageCms.applyTransform(
        drawn("RGB", "black", "white"),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert lab is not None
    pixels = only(saved(lab, "TIFF")).pixels
    assert pixels[INK].max() < 10
    assert pixels[60, 90].min() > 245


def test_a_phone_picture_with_a_second_picture_inside_is_one_page() -> None:
    data = saved(drawn(), "MPO", save_all=True, append_images=[Image.new("L", SIZE, 128)], quality=100)
    assert_drawn(only(data).pixels, tolerance=12)


def test_heic_is_read_upright() -> None:
    stream = io.BytesIO()
    picture = pillow_heif.from_pillow(STORED[6](drawn("RGB", "black", "white")))
    picture.save(stream, quality=-1, exif=exif(6).tobytes())
    page = only(stream.getvalue())
    assert (page.width, page.height) == SIZE
    assert page.pixels[INK].max() < 30
    assert page.pixels[CORNER].max() < 30
    assert page.pixels[60, 90].min() > 225


def test_heic_without_its_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = refusal(b"\0\0\0\x18ftypheic" + bytes(40))
    assert "pip install digit-inbox[heic]" in error.remedy


def test_the_name_says_nothing_about_the_content() -> None:
    data = saved(drawn(), "PNG")
    (page,) = decode(data, "letter.pdf", Limits(), 300.0)
    assert_drawn(page.pixels)


# --- the paper is white ---------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (250, 252, 255)])
def test_ink_that_lies_in_the_alpha_channel_comes_out_dark(colour: tuple[int, int, int]) -> None:
    image = Image.new("RGBA", SIZE, (*colour, 0))
    image.putalpha(Image.eval(drawn(), lambda level: 255 - level))
    assert_drawn(only(saved(image, "PNG")).pixels)


def test_white_paper_with_a_soft_transparent_edge_stays_an_empty_page() -> None:
    image = Image.new("LA", SIZE, (255, 255))
    image.putpixel((0, 0), (255, 250))
    assert only(saved(image, "PNG")).pixels.min() == 255


def test_an_alpha_channel_that_was_never_filled_in_is_left_out() -> None:
    assert_drawn(only(saved(drawn("RGBA", (0, 0, 0, 0), (255, 255, 255, 0)), "PNG")).pixels)


def test_half_transparent_ink_is_half_as_dark() -> None:
    image = drawn("RGBA", (0, 0, 0, 128), (0, 0, 0, 0))
    assert abs(int(only(saved(image, "PNG")).pixels[25, 45]) - 127) <= 1


@given(alpha=st.integers(0, 255), level=st.integers(0, 255))
def test_gray_on_white_paper_is_mixed_in_proportion(alpha: int, level: int) -> None:
    image = Image.new("LA", (2, 1), (0, 255))
    image.putpixel((0, 0), (level, alpha))
    mixed = to_pixels(image)
    assert abs(mixed[0, 0] - (255 - (255 - level) * alpha / 255)) <= 1


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[0, 32768]], np.uint16), [0, 128]),
        (np.array([[0, 4095]], np.uint16), [0, 255]),
        (np.array([[0, 255]], np.uint16), [0, 16]),
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[0, 1 << 30]], np.int32), [0, 255]),
        (np.array([[-32768, 0, 32767]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 200, 255]], np.float32), [0, 200, 255]),
        (np.array([[0, np.nan, 1]], np.float32), [0, 255, 255]),
        (np.array([[np.nan, np.inf]], np.float32), [255, 255]),
        (np.array([[0, 0]], np.float32), [0, 0]),
        (np.array([[-5, -5]], np.int32), [0, 0]),
    ],
)
def test_samples_of_every_depth_are_scaled_to_their_white(
    samples: NDArray[np.generic], expected: list[int]
) -> None:
    assert deep_to_gray(samples).tolist() == [expected]


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_sixteen_bits_with_white_as_zero_are_turned(compression: str | None) -> None:
    inverted = Image.fromarray(65535 - np.asarray(drawn()).astype(np.uint16) * 257)
    data = saved(inverted, "TIFF", tiffinfo={262: 0}, compression=compression)
    assert _tag(data, 262) == 0
    assert_drawn(only(data).pixels)


@pytest.mark.parametrize("mode", ["1", "L"])
@pytest.mark.parametrize("compression", [None, "packbits"])
def test_white_as_zero_is_turned_in_shallow_tiffs_too(mode: str, compression: str | None) -> None:
    inverted = drawn(mode, 1 if mode == "1" else 255, 0)
    data = _with_tag(saved(inverted, "TIFF", compression=compression), 262, 0)
    assert_drawn(only(data).pixels)


# --- resolution -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_resolution_comes_from_the_file(form: str) -> None:
    assert only(saved(drawn(), form, dpi=(300, 300))).dpi == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("dpi", [1, 30, 72, 96, 4000])
def test_a_resolution_nobody_measured_is_none(form: str, dpi: int) -> None:
    assert only(saved(drawn(), form, dpi=(dpi, dpi))).dpi is None


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ((300, 300), 300.0),
        ((299.9994, 299.9994), 300.0),
        ((204, 196), 200.0),
        ((72.009, 72.009), None),
        ((0, 300), None),
        ((-300, -300), 300.0),
        ((float("nan"), 300), None),
        (300, None),
        (None, None),
        (("x", "y"), None),
        ((-300, 300), None),
    ],
)
def test_two_stated_resolutions_become_one_or_none(stated: object, expected: float | None) -> None:
    assert believable_dpi(stated) == expected


def test_every_page_of_a_tiff_has_its_own_resolution() -> None:
    """The second page states none, the third one without a unit: they must not inherit that of the first."""
    first = saved(drawn(), "TIFF", dpi=(200, 200))
    third = saved(drawn(), "TIFF", tiffinfo={282: 300.0, 283: 300.0, 296: 1})
    fourth = saved(drawn(), "TIFF", tiffinfo={282: 100.0, 283: 100.0, 296: 3})
    read = pages(_chained(first, saved(drawn(), "TIFF"), first, third, fourth))
    assert [page.dpi for page in read] == [200.0, None, 200.0, None, 254.0]


# --- several pages --------------------------------------------------------------------------------


def test_every_page_of_a_tiff_comes_in_order_whatever_its_kind() -> None:
    kinds = [drawn("1", 0, 1), drawn(), drawn("RGB", "black", "white"), Image.new("L", (30, 20), 7)]
    data = saved(kinds[0], "TIFF", save_all=True, append_images=kinds[1:])
    read = pages(data)
    assert [page.number for page in read] == [1, 2, 3, 4]
    for page in read[:3]:
        assert_drawn(page.pixels)
    assert read[3].pixels.tolist() == np.full((20, 30), 7).tolist()


def test_pages_of_a_tiff_are_turned_one_by_one() -> None:
    parts = [saved(STORED[o](drawn()), "TIFF", exif=exif(o)) for o in (6, 1, 3)]
    for page in pages(_chained(*parts)):
        assert_drawn(page.pixels)


def test_pages_are_decoded_only_when_asked_for() -> None:
    data = bytearray(saved(drawn(), "TIFF", save_all=True, append_images=[drawn()], compression="tiff_lzw"))
    _spoil_strip(data, page=2)
    scan = decode(bytes(data), "scan", Limits(), 300.0)
    assert_drawn(next(scan).pixels)
    with pytest.raises(BadScan, match="page 2"):
        next(scan)


def test_a_long_tiff_never_stands_in_memory_as_a_whole() -> None:
    page = Image.new("L", (500, 500), 255)
    data = saved(page, "TIFF", save_all=True, append_images=[page] * 39, compression="tiff_lzw")
    tracemalloc.start()
    assert sum(page.number for page in decode(data, "scan", Limits(), 300.0)) == 820
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * page.width * page.height, "40 pages were read, and a few may be held"


def test_thumbnails_and_masks_in_a_tiff_are_no_pages() -> None:
    small = Image.new("L", (9, 6), 9)
    parts = [saved(small, "TIFF"), saved(drawn(), "TIFF"), saved(small, "TIFF"), saved(drawn(), "TIFF")]
    parts[0], parts[2] = _with_kind(parts[0], 1), _with_kind(parts[2], 4)
    read = pages(_chained(*parts))
    assert [page.number for page in read] == [1, 2]
    for page in read:
        assert_drawn(page.pixels)


def test_a_tiff_of_nothing_but_a_thumbnail_is_still_read() -> None:
    assert_drawn(only(_with_kind(saved(drawn(), "TIFF"), 1)).pixels)


@pytest.mark.parametrize("big", [False, True])
def test_a_page_chain_that_leads_back_is_refused(big: bool) -> None:
    data = bytearray(saved(drawn(), "TIFF", save_all=True, append_images=[drawn()] * 2, big_tiff=big))
    _point_last(data, to=_directories(data)[0])
    error = refusal(bytes(data))
    assert "page 4" in error.message
    assert "leads back" in error.message


@pytest.mark.parametrize("target", [10**9, 2**32 - 1])
def test_a_page_beyond_the_end_of_the_file_is_named(target: int) -> None:
    data = bytearray(saved(drawn(), "TIFF", save_all=True, append_images=[drawn()]))
    _point_last(data, to=target)
    assert "page 3" in refusal(bytes(data)).message


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_the_broken_page_of_a_tiff_is_named(compression: str) -> None:
    data = bytearray(
        saved(drawn(), "TIFF", save_all=True, append_images=[drawn()] * 2, compression=compression)
    )
    _spoil_strip(data, page=2)
    assert "page 2" in refusal(bytes(data)).message


@pytest.mark.parametrize(
    ("tag", "entry"),
    [
        (259, struct.pack("<HHII", 259, 3, 1, 9999)),  # a compression that does not exist
        (258, struct.pack("<HHII", 258, 3, 1, 24)),  # so many bits a sample
        (256, struct.pack("<HHIf", 256, 11, 1, 96.5)),  # a width with a fraction
        (256, struct.pack("<HHII", 65000, 4, 1, 0)),  # no width at all
        (273, struct.pack("<HHII", 65000, 4, 1, 0)),  # no place where the samples are
        (273, struct.pack("<HHII", 273, 4, 1, 2**31)),  # and one beyond the end of the file
    ],
    ids=["compression", "bits", "fraction", "no width", "no strips", "strips outside"],
)
def test_a_tiff_page_with_a_senseless_tag_is_named(tag: int, entry: bytes) -> None:
    data = bytearray(saved(drawn(), "TIFF", save_all=True, append_images=[drawn()] * 2))
    at = _entry(data, tag, page=2)
    data[at : at + 12] = entry
    assert "page 2" in refusal(bytes(data)).message


def test_a_gif_that_announces_more_and_ends_is_refused() -> None:
    refusal(PICTURES["GIF"][:-1] + b"!")


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(saved(drawn(), "PNG", dpi=(300, 300)))
    data[data.index(b"pHYs") + 4] ^= 1
    assert "damaged" in refusal(bytes(data)).message


def test_a_group_4_page_with_a_wrong_bit_is_refused_and_not_read_as_rubbish(
    capfd: pytest.CaptureFixture[str],
) -> None:
    noise = np.random.default_rng(3).random(SIZE[::-1]) < 0.5
    page = Image.fromarray(noise)
    data = bytearray(saved(page, "TIFF", save_all=True, append_images=[page], compression="group4"))
    _spoil_strip(data, page=2)
    error = refusal(bytes(data))
    assert "page 2" in error.message
    assert "Bad code word" in error.message
    assert capfd.readouterr().err == "", "libtiff's own lines are no use on the person's screen"


def test_a_fax_may_lose_a_row_and_not_the_page() -> None:
    noise = np.random.default_rng(4).random((300, 96)) < 0.2
    data = bytearray(saved(Image.fromarray(noise), "TIFF", compression="group3"))
    start, length = _strip(data, page=1)
    data[start + 820 : start + 823] = bytes(3)
    assert 1 <= np.any((only(bytes(data)).pixels > 0) != noise, axis=1).sum() <= 2
    for at in range(start, start + length, 16):
        data[at] ^= 0x10
    assert "Bad code word" in refusal(bytes(data)).message


def test_other_output_on_stderr_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder_errors_refused("scan"):
        os.write(2, b"progress 40 %\n")
    assert "progress 40 %" in capfd.readouterr().err


# --- PDF ------------------------------------------------------------------------------------------


def a_pdf(*sizes: tuple[float, float], content: bytes = b"0 0 72 36 re f", **save: Any) -> bytes:
    """A page of each size (in points), with a black rectangle in its lower left corner."""
    with pikepdf.new() as pdf:
        for size in sizes:
            pdf.add_blank_page(page_size=size).Contents = pikepdf.Stream(pdf, content)
        stream = io.BytesIO()
        pdf.save(stream, **save)
    return stream.getvalue()


def test_every_page_of_a_pdf_is_drawn_at_the_asked_resolution() -> None:
    read = pages(a_pdf((144, 72), (72, 72)), dpi=200.0)
    assert [(page.number, page.width, page.height, page.dpi) for page in read] == [
        (1, 400, 200, 200.0),
        (2, 200, 200, 200.0),
    ]
    first = read[0].pixels
    assert first.ndim == 2
    assert first[101:, :199].max() < 5
    assert first[:99].min() == 255
    assert first[:, 201:].min() == 255


def test_colour_in_a_pdf_is_rgb_and_not_bgr() -> None:
    page = only(a_pdf((72, 72), content=b"1 0 0 rg 0 0 72 72 re f"))
    assert page.pixels[10, 10].tolist() == [255, 0, 0]


def test_a_pdf_that_begins_with_other_lines_is_known() -> None:
    assert only(b"\n\n%!scanner 2000\n" + a_pdf((72, 72))).width == 300


def test_filled_in_form_fields_and_annotations_are_drawn() -> None:
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(72, 72))
        black = pikepdf.Stream(pdf, b"0 0 30 30 re f")
        black.Type, black.Subtype, black.BBox = pikepdf.Name.XObject, pikepdf.Name.Form, [0, 0, 30, 30]
        stamp = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Stamp, Rect=[0, 42, 30, 72], F=4
        )
        field = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot,
            Subtype=pikepdf.Name.Widget,
            FT=pikepdf.Name.Tx,
            T=pikepdf.String("amount"),
            Rect=[42, 42, 72, 72],
            F=4,
        )
        for annotation in (stamp, field):
            annotation.AP = pikepdf.Dictionary(N=black)
        drawn_on = pdf.make_indirect(field)
        page.Annots = pikepdf.Array([pdf.make_indirect(stamp), drawn_on])
        pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([drawn_on]))
        stream = io.BytesIO()
        pdf.save(stream)
    (read,) = pages(stream.getvalue(), dpi=72.0)
    assert read.pixels[10, 10].max() < 5, "the stamp"
    assert read.pixels[10, 60].max() < 100, "the field"
    assert read.pixels[60, 60].min() == 255


def test_a_page_of_whole_pixels_gets_no_row_more() -> None:
    page = only(a_pdf((612, 792)))
    assert (page.width, page.height) == (2550, 3300)


def test_an_encrypted_pdf_says_what_to_do() -> None:
    error = refusal(a_pdf((72, 72), encryption=pikepdf.Encryption(owner="o", user="secret")))
    assert "encrypted" in error.message
    assert "without a password" in error.remedy


def test_a_pdf_that_only_its_owner_may_change_is_read() -> None:
    assert only(a_pdf((72, 72), encryption=pikepdf.Encryption(owner="o", user=""))).width == 300


def test_the_broken_page_of_a_pdf_is_named() -> None:
    with pikepdf.open(io.BytesIO(a_pdf((72, 72), (72, 72), (72, 72)))) as pdf:
        pdf.Root.Pages.Kids[1] = 5
        stream = io.BytesIO()
        pdf.save(stream)
    scan = decode(stream.getvalue(), "scan", Limits(), 72.0)
    assert next(scan).number == 1
    with pytest.raises(BadScan, match="page 2"):
        next(scan)


def a_pdf_with_a_lost_picture(width: int, height: int) -> bytes:
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(72, 72))
        picture = pikepdf.Stream(pdf, b"this is no JPEG")
        picture.Subtype, picture.Width, picture.Height = pikepdf.Name.Image, width, height
        picture.ColorSpace, picture.BitsPerComponent = pikepdf.Name.DeviceGray, 8
        picture.Filter = pikepdf.Name.DCTDecode
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(P=picture))
        page.Contents = pikepdf.Stream(pdf, b"72 0 0 72 0 0 cm /P Do")
        stream = io.BytesIO()
        pdf.save(stream)
    return stream.getvalue()


def test_a_pdf_page_whose_picture_is_lost_is_not_taken_for_an_empty_one() -> None:
    message = refusal(a_pdf_with_a_lost_picture(100, 100)).message
    assert "damaged" in message
    assert "0x" not in message, "the address of an object tells nobody anything"


def test_a_picture_in_a_pdf_is_refused_for_its_size_before_it_is_decoded() -> None:
    """However small it is drawn: one that claims 65,500 pixels a side took a worker 8 GB."""
    error = refusal(a_pdf_with_a_lost_picture(65_500, 65_500))
    assert "65500 × 65500" in error.message
    assert "limits.max_megapixels" in error.remedy


def test_an_empty_pdf_page_is_a_white_page() -> None:
    assert only(a_pdf((72, 72), content=b"")).pixels.min() == 255


def test_a_pdf_that_is_cut_short_is_refused() -> None:
    whole = a_pdf((72, 72), (72, 72))
    assert "cannot be opened" in refusal(whole[: len(whole) // 2]).message


# --- what is refused ------------------------------------------------------------------------------


def test_an_empty_file_is_called_empty() -> None:
    assert refusal(b"").message == "scan is empty."


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"Dear all,\nsee attached", ": it looks like text"),
        (b"BMW sent an invoice over 300 Euro", ": it looks like text"),
        (b"PK\3\4", ": it looks like an archive, or a document of an office program"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ": it looks like a document of an office program"),
        (b"7z\xbc\xaf\x27\x1c", ": it looks like an archive"),
        (b"MZ\x90\0", ": it looks like a program"),
        (b"\0\0\0\x18ftypmp42", ": it looks like a film"),
        (b"\0", ""),
        (b"\x93\xfa\x96\x7b", ""),
    ],
)
def test_what_is_no_scan_is_told_by_its_kind(data: bytes, told: str) -> None:
    """A clerk reads this: bytes as a program writes them say nothing there."""
    assert refusal(data).message == f"scan is not an image or PDF{told}."


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_cut_in_half_is_refused(kind: str) -> None:
    data = PICTURES[kind]
    refusal(data[: len(data) // 2])


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_refused_with_its_length(form: str) -> None:
    frames = [drawn(), drawn().rotate(180), drawn().rotate(90)]
    error = refusal(saved(frames[0], form, save_all=True, append_images=frames[1:]))
    assert "animated, 3 frames" in error.message
    assert "PNG" in error.remedy


def test_a_file_over_the_limit_is_refused_before_anything_else() -> None:
    error = refusal(b"x" * 2_000_001, Limits(max_megabytes=2))
    assert "2.0 megabytes" in error.message
    assert "limits.max_megabytes" in error.remedy


def test_a_png_bomb_is_refused_without_being_blown_up() -> None:
    bomb = _png_header(30_000, 30_000)
    error = refusal(bomb)
    assert "200 megapixels" in error.message
    assert "limits.max_megapixels" in error.remedy


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_the_limit_of_pixels_holds_to_the_pixel(form: str) -> None:
    data = saved(drawn(), form)
    exact = SIZE[0] * SIZE[1] / 1e6
    assert pages(data, Limits(max_megapixels=exact))
    for over in (0.999, 0.6, 0.4, 0.001):
        assert "megapixels" in refusal(data, Limits(max_megapixels=exact * over)).message


def test_pictures_larger_than_pillow_likes_pass_where_the_limit_lets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_drawn(only(PICTURES["PNG gray"]).pixels)
    assert Image.MAX_IMAGE_PIXELS == 100, "nobody else's limit is changed"


def test_the_large_page_of_a_tiff_is_named() -> None:
    data = saved(drawn(), "TIFF", save_all=True, append_images=[Image.new("1", (2000, 1000))])
    error = refusal(data, Limits(max_megapixels=1))
    assert "page 2" in error.message
    assert "2000 × 1000" in error.message


def test_a_pdf_page_too_large_to_draw_is_refused_with_a_remedy() -> None:
    error = refusal(a_pdf((72, 72), (14_400, 14_400)), Limits(max_megapixels=100))
    assert "page 2" in error.message
    assert "60000 × 60000" in error.message
    assert "intake.pdf_dpi" in error.remedy


@pytest.mark.parametrize("kind", ["TIFF", "PDF"])
def test_a_document_over_the_limit_of_pages_is_refused_before_the_first(kind: str) -> None:
    data = (
        saved(drawn(), "TIFF", save_all=True, append_images=[drawn()] * 5)
        if kind == "TIFF"
        else a_pdf(*[(72, 72)] * 6)
    )
    assert len(pages(data, Limits(max_pages=6))) == 6
    with pytest.raises(BadScan, match="limit is 5"):
        next(decode(data, "scan", Limits(max_pages=5), 72.0))


def test_too_little_memory_is_no_fault_of_the_scan() -> None:
    with pytest.raises(Transient, match="memory"), damage_refused("scan, page 3"):
        raise MemoryError


def test_an_offset_that_no_integer_holds_is_damage() -> None:
    data = bytearray(saved(drawn(), "TIFF", big_tiff=True))
    at = _entry(data, 273)
    struct.pack_into("<HHQQ", data, at, 273, 16, 1, 2**64 - 1)
    refusal(bytes(data))


def test_faults_of_the_program_are_not_blamed_on_the_scan() -> None:
    with pytest.raises(ZeroDivisionError), damage_refused("scan"):
        _ = 1 // 0


@pytest.mark.parametrize("seed", range(150))
def test_mutated_files_are_read_or_refused_and_nothing_else(seed: int) -> None:
    """Any other exception, and any warning, fails this test; 100,000 such mutations found none."""
    random_numbers = random.Random(seed)
    kinds = [*PICTURES.values(), a_pdf((72, 72), (72, 72))]
    data = bytearray(random_numbers.choice(kinds))
    for _ in range(random_numbers.choice((1, 2, 8))):
        at = random_numbers.randrange(len(data))
        if random_numbers.random() < 0.3:
            del data[at : at + random_numbers.randrange(1, 40)]
        elif len(data) > at:
            data[at] = random_numbers.randrange(256)
        data = data or bytearray(b"\0")
    try:
        read = pages(bytes(data), Limits(max_megapixels=2, max_pages=20), dpi=72.0)
        refused = "scan"
    except BadScan as error:
        read, refused = [], error.message
    assert all(page.pixels.dtype == np.uint8 and page.pixels.ndim in (2, 3) for page in read)
    assert refused.startswith("scan")
    assert "0x" not in refused, "the address of an object tells nobody anything"


@given(data=st.binary(max_size=64))
def test_every_beginning_has_a_kind_or_none(data: bytes) -> None:
    assert kind_of(data) in {None, "PDF", "JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP", "HEIC"}


# --- files that no library would write ------------------------------------------------------------


def _png(samples: NDArray[np.uint16]) -> bytes:
    """A PNG of 16-bit RGB, which Pillow can read and not write."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(rows),
        b"IEND",
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def _png_header(width: int, height: int) -> bytes:
    def chunk(content: bytes) -> bytes:
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    header = chunk(b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT" + zlib.compress(bytes(1000))) + chunk(b"IEND")


def _layout(data: bytes | bytearray) -> tuple[str, str, int, int, int]:
    """Formats of an offset and of a count, sizes of a count and of an entry, and where the chain begins."""
    return ("<Q", "<Q", 8, 20, 8) if data[2] == 43 else ("<I", "<H", 2, 12, 4)


def _walk(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """(offset of a directory, place of the pointer to the next), for little-endian TIFFs."""
    number, count, counted, entry, at = _layout(data)
    while directory := struct.unpack_from(number, data, at)[0]:
        at = directory + counted + struct.unpack_from(count, data, directory)[0] * entry
        yield directory, at


def _directories(data: bytes | bytearray) -> list[int]:
    return [directory for directory, _ in _walk(data)]


def _point_last(data: bytearray, to: int) -> None:
    struct.pack_into(_layout(data)[0], data, list(_walk(data))[-1][1], to)


def _entry(data: bytes | bytearray, tag: int, page: int = 1) -> int:
    """Where the entry of `tag` stands in the directory of `page`."""
    directory, end = list(_walk(data))[page - 1]
    _, _, counted, entry, _ = _layout(data)
    for at in range(directory + counted, end, entry):
        if struct.unpack_from("<H", data, at)[0] == tag:
            return at
    raise AssertionError(f"no tag {tag}")


def _tag(data: bytes, tag: int, page: int = 1) -> int:
    kind, _, value = struct.unpack_from("<HII", data, _entry(data, tag, page) + 2)
    return int(value & 0xFFFF if kind == 3 else value)


def _with_tag(data: bytes, tag: int, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<I", changed, _entry(changed, tag) + 8, value)
    return bytes(changed)


def _strip(data: bytearray, page: int) -> tuple[int, int]:
    """(offset, length) of the only strip of `page`."""
    return _tag(bytes(data), 273, page), _tag(bytes(data), 279, page)


def _spoil_strip(data: bytearray, page: int) -> None:
    offset, length = _strip(data, page)
    data[offset + length // 4 : offset + length // 4 + 8] = bytes(b ^ 0x5A for b in data[offset : offset + 8])


def _with_kind(data: bytes, subfile_type: int) -> bytes:
    """The one-page TIFF once more, with NewSubfileType stated."""
    with Image.open(io.BytesIO(data)) as image:
        return saved(image.copy(), "TIFF", tiffinfo={254: subfile_type})


def _chained(*files: bytes) -> bytes:
    """One TIFF of several one-page ones, each with its own tags, which Pillow would write alike."""
    stream = io.BytesIO()
    with AppendingTiffWriter(stream, True) as writer:
        for file in files:
            writer.write(file)
            writer.newFrame()
    return stream.getvalue()
