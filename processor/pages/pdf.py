"""Pages of PDF files, drawn by PDFium as they would be printed."""

import math
from collections.abc import Iterator

import numpy as np
import pypdfium2
import pypdfium2.raw
from numpy.typing import NDArray

from processor.errors import BadScan
from processor.pages.faults import COPY_AGAIN, damage_refused, too_large, too_many_pages, where
from processor.pages.images import SMALLER
from processor.pages.jpeg import refuse_damaged_jpeg
from processor.pages.pixels import without_equal_channels
from processor.records import Page
from processor.settings import Limits

POINTS_PER_INCH = 72

JPEG = "DCTDecode"

LOWER = "Lower intake.pdf_dpi, or raise limits.max_megapixels."


def pdf_pages(data: bytes, name: str, limits: Limits, dpi: float) -> Iterator[Page]:
    """The pages of a PDF at `dpi`, with filled-in form fields and annotations, one after the other.

    Raises BadScan where the document is encrypted or damaged, a page is broken or too large at `dpi`.
    """
    document = _open(data, name)
    try:
        count = len(document)
        if count > limits.max_pages:
            raise too_many_pages(name, str(count), limits.max_pages)
        for number in range(1, count + 1):
            place = where(name, number if count > 1 else None)
            with damage_refused(place, pypdfium2.PdfiumError):
                pixels = _draw(document, number, place, limits, dpi)
            yield Page(number=number, pixels=pixels, dpi=dpi)
    finally:
        document.close()


def _open(data: bytes, name: str) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY):
            raise BadScan(f"{name} is encrypted.", "Save it without a password.") from None
        raise BadScan(f"{name} is a PDF that cannot be opened: {error}", COPY_AGAIN) from error
    with damage_refused(name, pypdfium2.PdfiumError):
        document.init_forms()
    return document


def _draw(
    document: pypdfium2.PdfDocument, number: int, place: str, limits: Limits, dpi: float
) -> NDArray[np.uint8]:
    """Page `number` (from 1) as (H, W) or (H, W, 3) uint8."""
    # A trifle less: 792 points at 300 dpi come to 3300.0000000000005 pixels, and PDFium's row 3301 is empty.
    scale = dpi / POINTS_PER_INCH * (1 - 1e-9)
    width, height = (math.ceil(side * scale) for side in document.get_page_size(number - 1))
    if width * height > limits.max_megapixels * 1e6:
        raise too_large(f"{place}, drawn at {dpi:g} dpi,", width, height, limits.max_megapixels, LOWER)
    page = document[number - 1]
    try:
        pictures = list(page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))
        for picture in pictures:
            _check_size(picture, place, limits)
        bitmap = page.render(scale=scale, rev_byteorder=True)
        pixels = without_equal_channels(np.array(bitmap.to_numpy()))
        bitmap.close()
        if pixels.ndim == 2 and pixels.min() == pixels.max():
            _refuse_lost(pictures, place)
        for picture in pictures:
            if picture.get_filters(skip_simple=True) == [JPEG]:
                # PDFium draws a scanner's JPEG that is damaged inside without a word.
                refuse_damaged_jpeg(bytes(picture.get_data(decode_simple=True)), place)
        return pixels
    finally:
        page.close()


def _check_size(picture: pypdfium2.PdfImage, place: str, limits: Limits) -> None:
    """Raises BadScan for a picture that is too large, however small it is drawn, before it is decoded."""
    width, height = picture.get_px_size()
    if width * height > limits.max_megapixels * 1e6:
        raise too_large(f"{place}, in a picture,", width, height, limits.max_megapixels, SMALLER)


def _refuse_lost(pictures: list[pypdfium2.PdfImage], place: str) -> None:
    """Raises BadScan where a picture on a blank page cannot be decoded: PDFium leaves it out silently."""
    for picture in pictures:
        try:
            picture.get_bitmap()
        except pypdfium2.PdfiumError:
            # Its own message is the address of an object.
            raise BadScan(f"{place} is damaged: its picture cannot be decoded.", COPY_AGAIN) from None
