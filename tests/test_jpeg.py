"""Damage inside a JPEG is found, whoever holds it; what only looks like damage is read."""

import random
import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from processor.errors import BadScan
from processor.pages.jpeg import PADDING, refuse_damaged_jpeg
from processor.pages.scans import decode
from processor.settings import Limits
from tests.mutations import saved


def a_page() -> Image.Image:
    """(400, 300) gray: light grainy paper with rows of dark strokes, 40 to 60 KB as JPEG."""
    pixels = np.random.default_rng(7).normal(228, 6, (400, 300))
    for row in range(20, 380, 40):
        for column in range(20, 280, 30):
            pixels[row : row + 24, column : column + 5] = 40
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


KINDS = {
    "baseline": saved(a_page(), "JPEG", quality=85),
    "colour": saved(a_page().convert("RGB"), "JPEG", quality=85),
    "progressive": saved(a_page(), "JPEG", quality=85, progressive=True),
    "restarts": saved(a_page(), "JPEG", quality=85, restart_marker_rows=1),
}

Change = Callable[[bytearray, int], None]


def zeroed(data: bytearray, at: int) -> None:
    data[at : at + 512] = bytes(512)


def overwritten(data: bytearray, at: int) -> None:
    data[at : at + 512] = random.Random(at).randbytes(512)


def missing(data: bytearray, at: int) -> None:
    del data[at : at + 512]


def repeated(data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + 512]


def changed(data: bytes, change: Change, share: float) -> bytes:
    """The file after a change of one of its sectors, so far into it."""
    there = bytearray(data)
    change(there, int(len(data) * share))
    return bytes(there)


def pixels(data: bytes) -> NDArray[np.uint8]:
    (page,) = decode(data, "scan", Limits(), 100.0)
    return page.pixels


def refusal(data: bytes) -> str | None:
    """Why the scan is refused, `None` where it is read."""
    try:
        pixels(data)
    except BadScan as error:
        return error.message
    return None


@pytest.mark.parametrize("change", [zeroed, overwritten, missing, repeated])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sector_that_is_wrong_is_found(kind: str, change: Change) -> None:
    """Each was read as if nothing was: as gray, as mush, or as lines that are cut and displaced.

    Few of them leave exactly as many samples as there were: those show nowhere.
    """
    places = [share / 100 for share in range(5, 95, 3)]
    said = [refusal(changed(KINDS[kind], change, share)) for share in places]
    found = [words for words in said if words is not None]
    assert all(words.startswith("scan is damaged") for words in found)
    assert len(found) >= 0.8 * len(places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_picture_is_read_without_a_word(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert pixels(KINDS[kind]).shape[:2] == (400, 300)
    assert capfd.readouterr().err == ""


def test_the_decoder_s_own_words_do_not_reach_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadScan):
        refuse_damaged_jpeg(changed(KINDS["baseline"], zeroed, 0.5), "scan")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_s_padding_is_no_damage(kind: str) -> None:
    whole = KINDS[kind]
    assert np.array_equal(pixels(whole[:-2] + bytes(PADDING) + whole[-2:]), pixels(whole))


def test_a_second_picture_behind_the_first_is_no_damage() -> None:
    whole = KINDS["baseline"]
    assert np.array_equal(pixels(whole + KINDS["progressive"] + b"rest"), pixels(whole))


@pytest.mark.parametrize("segment", [b"JFIF\0\x09\x09\0\0\1\0\1\0\0", b"ICC_PROFILE\0\x07\x01junk"])
def test_an_odd_head_is_no_damage(segment: bytes) -> None:
    """A version of JFIF that nobody knows; a colour profile of which a part is missing."""
    whole, marker = KINDS["baseline"], b"\xff\xe0" if segment.startswith(b"JFIF") else b"\xff\xe2"
    odd = whole[:2] + marker + struct.pack(">H", len(segment) + 2) + segment + whole[2:]
    assert pixels(odd).shape == (400, 300)


def test_a_picture_inside_a_pdf_is_looked_at_too() -> None:
    pdf = saved(a_page(), "PDF", save_all=True, append_images=[a_page()], quality=85)
    whole = list(decode(pdf, "scan", Limits(), 100.0))
    assert len(whole) == 2
    second = pdf.rindex(b"\xff\xd8\xff")
    length = len(saved(a_page(), "JPEG", quality=85))
    broken = bytearray(pdf)
    zeroed(broken, second + length // 2)
    with pytest.raises(BadScan, match="scan, page 2 is damaged"):
        list(decode(bytes(broken), "scan", Limits(), 100.0))
