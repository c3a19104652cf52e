"""Valid small scans of every kind that is read, and what becomes of them when their bytes are changed.

The changes are those of disks, transfers and cards (bits, sectors, ends), and those of people who want to
harm: extreme sizes in headers, references that lead in a circle, one file inside another.
"""

import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pikepdf
import pillow_heif
from PIL import Image

from tests.proofs.piles import page

EXTREMES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

# Where the formats keep sizes, lengths and counts: the first bytes of the file, or after one of these.
HEAD = 64
LANDMARKS = re.compile(
    rb"IHDR|IDAT|PLTE|tRNS|\xff[\xc0-\xc4\xda-\xde\xe0-\xef]|VP8[ LX]|ANMF|ispe|iloc|ipma|\x2c"
)

NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?")
REFERENCES = re.compile(rb"\b\d+ 0 R\b")
TEXT_EXTREMES = (b"0", b"-1", b"1e9", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"0.0000001")


@cache
def valid_scans() -> dict[str, bytes]:
    """Small scans with a few handwritten digits, by the kind of file."""
    chance = random.Random(1)
    gray = [page(chance) for _ in range(3)]
    colour, bilevel = gray[0].convert("RGB"), gray[1].convert("1")
    several: dict[str, Any] = {"save_all": True, "append_images": gray[1:]}
    return {
        "JPEG": saved(gray[0], "JPEG", quality=90, dpi=(300, 300)),
        "JPEG progressive": saved(colour, "JPEG", progressive=True),
        "JPEG with restarts": saved(gray[1], "JPEG", restart_marker_blocks=4),
        "PNG": saved(gray[0], "PNG", dpi=(300, 300)),
        "PNG palette": saved(colour.quantize(16), "PNG"),
        "PNG 1 bit": saved(bilevel, "PNG"),
        "TIFF of three pages": saved(gray[0], "TIFF", dpi=(200, 200), **several),
        "TIFF Group 4": saved(bilevel, "TIFF", compression="group4"),
        "TIFF Group 3": saved(bilevel, "TIFF", compression="group3"),
        "TIFF LZW": saved(gray[1], "TIFF", compression="tiff_lzw"),
        "TIFF deflate": saved(colour, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": saved(colour, "TIFF", compression="jpeg"),
        "BigTIFF": saved(gray[2], "TIFF", big_tiff=True),
        "BMP": saved(gray[0], "BMP"),
        "BMP 1 bit": saved(bilevel, "BMP"),
        "WebP": saved(colour, "WEBP"),
        "WebP lossless": saved(
            gray[1].convert("RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"
        ),
        "GIF": saved(gray[0], "GIF"),
        "HEIC": _heic(colour),
        "PDF of pictures": saved(gray[0], "PDF", resolution=300.0, **several),
        "PDF of drawings": _drawn_pdf(),
    }


def mutant(seed: int) -> tuple[str, bytes]:
    """The same kind and the same bytes for the same seed: a valid scan after one to four changes."""
    chance = random.Random(seed)
    kinds = valid_scans()
    kind = chance.choice(sorted(kinds))
    data = bytearray(kinds[kind])
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _change(data, kind, chance)
    if kind.startswith("PNG") and chance.random() < 0.7:
        _mend_checksums(data)
    return kind, bytes(data)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file of this format."""
    stream = io.BytesIO()
    # A copy: Pillow leaves with a picture how it was compressed last.
    image.copy().save(stream, form, **options)
    return stream.getvalue()


def _heic(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=60)
    return stream.getvalue()


def _drawn_pdf() -> bytes:
    """Two pages of lines without compression, so that changes hit what is drawn; one is used by the other."""
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(72, 36)).Contents = pikepdf.Stream(
            pdf, b"2 w 9 9 m 9 27 l S 0 0 5 5 re f"
        )
        pdf.add_blank_page(page_size=(36, 72))
        drawing = pdf.make_stream(b"q 1 0 0 1 4 4 cm 0 0 9 30 re f Q /X Do")
        drawing.update(
            {"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Form, "/BBox": [0, 0, 36, 72]}
        )
        pdf.pages[1].Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=drawing))
        pdf.pages[1].Contents = pikepdf.Stream(pdf, b"/X Do")
        stream = io.BytesIO()
        pdf.save(stream, object_stream_mode=pikepdf.ObjectStreamMode.disable, compress_streams=False)
    return stream.getvalue()


def _change(data: bytearray, kind: str, chance: random.Random) -> None:
    """One change, in place; what is left is never empty."""
    ways: list[Callable[[bytearray, random.Random], None]] = [
        _flip,
        _overwrite,
        _cut,
        _drop,
        _repeat,
        _splice,
    ]
    ways += [_nest, _say_a_size, _say_a_size, _say_a_size]
    if kind.startswith("PDF"):
        ways += [_say_a_number, _say_a_number, _mix_references, _mix_references]
    chance.choice(ways)(data, chance)
    if not data:
        data += b"\0"


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 16))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    """A sector of zeros, of ones, or of anything."""
    at, length = _stretch(data, chance)
    data[at : at + length] = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at, length = _stretch(data, chance)
    del data[at : at + length]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at, length = _stretch(data, chance)
    data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))


def _splice(data: bytearray, chance: random.Random) -> None:
    """A part of another scan, of any kind, in the place of a part of this one."""
    other = bytearray(_any_scan(chance))
    at, length = _stretch(data, chance)
    start, taken = _stretch(other, chance)
    data[at : at + length] = other[start : start + taken]


def _nest(data: bytearray, chance: random.Random) -> None:
    """A whole scan inside this one, or this one behind it."""
    at = _place(data, chance)
    data[at:at] = _any_scan(chance)


def _say_a_size(data: bytearray, chance: random.Random) -> None:
    """An extreme number of one, two, four or eight bytes where sizes stand."""
    marks = [match.end() for match in LANDMARKS.finditer(data)]
    starts = [0, *(chance.sample(marks, 8) if len(marks) > 8 else marks)]
    at = min(len(data) - 1, chance.choice(starts) + chance.randrange(HEAD if chance.random() < 0.5 else 12))
    code = chance.choice(("B", "<H", ">H", "<I", ">I", "<Q"))
    size = struct.calcsize(code)
    data[at : at + size] = struct.pack(code, chance.choice(EXTREMES) & (256**size - 1))


def _say_a_number(data: bytearray, chance: random.Random) -> None:
    """An extreme number in the place of one that is written in digits."""
    numbers = list(NUMBERS.finditer(data))
    if numbers:
        start, end = chance.choice(numbers).span()
        data[start:end] = chance.choice(TEXT_EXTREMES)


def _mix_references(data: bytearray, chance: random.Random) -> None:
    """An object in the place of another, which may be one that it is part of."""
    references = list(REFERENCES.finditer(data))
    if references:
        start, end = chance.choice(references).span()
        data[start:end] = chance.choice(references)[0]


def _mend_checksums(data: bytearray) -> None:
    """The checksums of a PNG, so that a change is not found by them alone."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


def _any_scan(chance: random.Random) -> bytes:
    kinds = valid_scans()
    return kinds[chance.choice(sorted(kinds))]


def _place(data: Sequence[int], chance: random.Random) -> int:
    return chance.choice((0, len(data), chance.randrange(len(data))))


def _stretch(data: Sequence[int], chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(len(data))
    return at, min(len(data) - at, chance.choice((1, 4, 40, 512)))
