"""From bytes to pages: a scan is known by its content, never by its name."""

from collections.abc import Iterator

from processor.errors import BadScan
from processor.fingerprints import refuse_large as refuse_large
from processor.pages.images import heic_pages, image_pages
from processor.records import Page
from processor.settings import Limits

# ISO base media files whose first brand says HEIF with HEVC pictures (ISO/IEC 23008-12, annex B).
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# Sizes of the header that follows the 14 bytes of a BMP; "BM" alone also begins many a text.
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)

# Readers look for the PDF header in this many bytes; some scanners write lines of their own before it.
PDF_HEADER_WITHIN = 1024

ACCEPTED = "Put JPEG, PNG, TIFF, BMP, WebP, PDF or HEIC files here."

# What people drop in by mistake, by its first bytes; a Word file is an archive, as are many others.
NO_SCANS = (
    (b"PK", "an archive, or a document of an office program"),
    (b"\xd0\xcf\x11\xe0", "a document of an office program"),
    ((b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b"), "an archive"),
    ((b"\x7fELF", b"MZ"), "a program"),
)


def decode(
    data: bytes, name: str, limits: Limits, pdf_dpi: float, *, reduces: bool = False
) -> Iterator[Page]:
    """The pages of a scan, decoded one at a time: a long document never stands in memory as a whole.

    `name` is only for messages; PDF pages are drawn at `pdf_dpi`. With `reduces`, huge pages come smaller
    where their format can do so: see `Page.reduced`. Raises BadScan, when the page in question
    is asked for, where the file is no scan, is damaged or exceeds `limits`: every page comes, or that. Raises
    Transient where a page within the limits does not fit into the free memory.
    """
    if not data:
        raise BadScan(f"{name} is empty.", "Copy the file here once more.")
    refuse_large(len(data), name, limits)
    kind = kind_of(data)
    if kind is None:
        raise BadScan(f"{name} is not an image or PDF{_looks_like(data)}.", ACCEPTED)
    if kind == "PDF":
        # PDFium takes 60 ms to load, which scans without a PDF need not wait for.
        from processor.pages.pdf import pdf_pages

        yield from pdf_pages(data, name, limits, pdf_dpi)
    elif kind == "HEIC":
        yield from heic_pages(data, name, limits)
    else:
        yield from image_pages(data, name, kind, limits, reduces=reduces)


def kind_of(data: bytes) -> str | None:
    """The format by the first bytes, `None` for what is no scan: PDF, HEIC, or as Pillow calls it."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        return "HEIC"
    return "PDF" if b"%PDF-" in data[:PDF_HEADER_WITHIN] else None


def _looks_like(data: bytes) -> str:
    """What a file seems to be that is no scan, as the end of a sentence; empty where nothing tells."""
    for starts, kind in NO_SCANS:
        if data.startswith(starts):
            return f": it looks like {kind}"
    if data[4:8] == b"ftyp":
        return ": it looks like a film"
    beginning = data[:200]
    is_text = beginning.isascii() and all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning)
    return ": it looks like text" if is_text else ""
