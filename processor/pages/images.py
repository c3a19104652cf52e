"""Pages of picture files: JPEG, PNG, TIFF, BMP, WebP and GIF by Pillow, HEIC by pillow-heif."""

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from PIL import Image, ImageOps

from processor.errors import BadScan
from processor.pages.faults import DAMAGE, damage_refused, too_large, where
from processor.pages.jpeg import refuse_damaged_jpeg
from processor.pages.pixels import to_pixels
from processor.pages.scaling import LONGEST_SIDE
from processor.pages.tiff import decoder_errors_refused, page_indices
from processor.records import Page
from processor.settings import Limits

PILLOW = logging.getLogger("PIL")

DPI_RANGE = (50.0, 2400.0)

# What cameras and painting programs write when they know nothing of paper.
DPI_DEFAULTS = (72, 96)

PHOTOMETRIC_INTERPRETATION, MIN_IS_WHITE = 262, 0

ALMOST = 0.9
"""A page decoded at this share of the size at which pages are read loses nothing that is read."""

SMALLER = "Scan it at a lower resolution, or raise limits.max_megapixels."
STILL = "Save the frame that is meant as PNG."


def image_pages(
    data: bytes, name: str, kind: str, limits: Limits, *, reduces: bool = False
) -> Iterator[Page]:
    """The pages of a picture file of Pillow's format `kind`, one after the other.

    With `reduces`, a JPEG far larger than pages are read at comes smaller: see `Page.reduced`.

    Of a JPEG with several pictures in it (MPO: a phone's depth or gain map) the first is the page.
    Raises BadScan where a page is damaged or too large, or where the pictures are an animation.
    """
    indices = page_indices(data, name, limits.max_pages) if kind == "TIFF" else [0]
    several = len(indices) > 1
    with _decoding(where(name, 1 if several else None), limits):
        image = Image.open(io.BytesIO(data), formats=(kind,))
    with image:
        if kind in ("PNG", "GIF", "WEBP"):
            _refuse_animation(image, name, limits)
        for number, index in enumerate(indices, start=1):
            page = _page(
                image, where(name, number if several else None), number, index, limits, reduces=reduces
            )
            if kind == "JPEG":
                refuse_damaged_jpeg(data, name)
            yield page


def heic_pages(data: bytes, name: str, limits: Limits) -> Iterator[Page]:
    """The page of a HEIC file: its primary picture (the others are a phone's depth and gain maps).

    Raises BadScan where it is damaged or too large, or where pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError:
        raise BadScan(
            f"{name} is a HEIC picture, which needs pillow-heif.",
            "Run `pip install digit-inbox[heic]`, or save it as JPEG.",
        ) from None
    with _decoding(name, limits, RuntimeError):
        picture = pillow_heif.open_heif(io.BytesIO(data))
        _check_size(name, picture.size, limits)
        image = picture.to_pillow()
        page = Page(number=1, pixels=to_pixels(image), dpi=believable_dpi(image.info.get("dpi")))
    yield page


def _page(image: Image.Image, place: str, number: int, index: int, limits: Limits, *, reduces: bool) -> Page:
    """Page `number` of the open `image`, which is picture `index` of the file."""
    with _decoding(place, limits):
        if index != image.tell():
            # Pillow leaves the resolution of the page before in place where this one states none.
            image.info.pop("dpi", None)
            image.seek(index)
        _check_size(place, image.size, limits)
        min_is_white = _states_min_is_white(image)
        dpi = believable_dpi(image.info.get("dpi"))
        size = image.size
        reduced = _reduced(image) if reduces else 1
        with decoder_errors_refused(place) if image.format == "TIFF" else nullcontext():
            image.load()
        turned = upright(image)
        pixels = to_pixels(turned, min_is_white=min_is_white)
        if reduced == 1:
            return Page(number=number, pixels=pixels, dpi=dpi)
        stands = size if (turned.width > turned.height) == (size[0] > size[1]) else size[::-1]
        return Page(number=number, pixels=pixels, dpi=dpi, reduced=reduced, size=stands)


def _reduced(image: Image.Image) -> int:
    """Has a huge JPEG decoded at a half, a quarter or an eighth, which is still as large as pages are read.

    Its decoder does so by leaving out frequencies, in a fraction of the time and the memory.
    """
    if image.format != "JPEG":
        return 1
    width, height = image.size
    least = ALMOST * LONGEST_SIDE / max(width, height)
    image.draft(None, (max(1, int(least * width)), max(1, int(least * height))))
    return max(1, round(width / image.width))


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; one whose EXIF is damaged stays as it is."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except DAMAGE:
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def believable_dpi(stated: object) -> float | None:
    """One resolution of the two that a file states, `None` where it was plainly never measured.

    72 and 96 are what cameras and painting programs put there; where the pixels are not square, as on a
    fax, it is the geometric mean.
    """
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    try:
        dpi = math.sqrt(float(stated[0]) * float(stated[1]))
    except (ValueError, TypeError, ArithmeticError):
        return None
    if not DPI_RANGE[0] <= dpi <= DPI_RANGE[1] or round(dpi) in DPI_DEFAULTS:
        return None
    return round(dpi, 1)


def _states_min_is_white(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(PHOTOMETRIC_INTERPRETATION) == MIN_IS_WHITE)


def _refuse_animation(image: Image.Image, name: str, limits: Limits) -> None:
    with _decoding(name, limits):
        frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadScan(f"{name} is animated, {frames} frames; a scan stands still.", STILL)


def _check_size(place: str, size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_megapixels * 1e6:
        raise too_large(place, *size, limits.max_megapixels, SMALLER)


@contextmanager
def _decoding(place: str, limits: Limits, *more: type[Exception]) -> Iterator[None]:
    """Around every call into Pillow: its limit is ours, its warnings are silent, its faults are BadScan.

    Pillow's own limit (89 megapixels) is a module variable; it is put back, so that nobody else's changes.
    What it logs names no scan, and a fault follows that does.
    """
    before, level = Image.MAX_IMAGE_PIXELS, PILLOW.level
    Image.MAX_IMAGE_PIXELS = max(1, int(limits.max_megapixels * 1e6))
    PILLOW.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), damage_refused(place, *more):
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise BadScan(
            f"{place} has more pixels than the limit of {limits.max_megapixels:g} megapixels.", SMALLER
        ) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before
        PILLOW.setLevel(level)
