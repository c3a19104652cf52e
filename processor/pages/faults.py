"""What is wrong with a scan, in the words of the person who dropped it; every fault is a BadScan."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import UnidentifiedImageError

from processor.errors import BadScan, Transient

# What the decoders raised on 100,000 mutated files, on cut EXIF blocks and on offsets of 64 bits.
DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
)

COPY_AGAIN = "Scan it again, or copy the file here once more."


def where(name: str, page: int | None) -> str:
    """`name`, with the page (from 1) where the file has several."""
    return name if page is None else f"{name}, page {page}"


def too_large(place: str, width: int, height: int, max_megapixels: float, remedy: str) -> BadScan:
    """The page would not fit `limits.max_megapixels`; found before its pixels are decoded."""
    size = f"{width} × {height} pixels ({width * height / 1e6:.4g} megapixels)"
    return BadScan(f"{place} has {size}; the limit is {max_megapixels:g} megapixels.", remedy)


def too_many_pages(name: str, pages: str, max_pages: int) -> BadScan:
    """The document is longer than `limits.max_pages`; found before any page is decoded."""
    return BadScan(
        f"{name} has {pages} pages; the limit is {max_pages}.",
        "Split the document, or raise limits.max_pages.",
    )


@contextmanager
def damage_refused(place: str, *more: type[Exception]) -> Iterator[None]:
    """Turns whatever a decoder raises on broken bytes into a BadScan that names `place`.

    `more` are exceptions of one decoder alone. Raises Transient where memory ran out: the page is within
    `limits.max_megapixels`, so it is the machine that is short of it, not the scan that is wrong.
    """
    try:
        yield
    except UnidentifiedImageError as error:
        # Its own message tells an address in memory, and keeps the reason to itself.
        raise BadScan(
            f"{place} is damaged at its beginning, or of a kind that cannot be read.",
            "Scan it again, or save it as PNG.",
        ) from error
    except (*DAMAGE, *more) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise BadScan(f"{place} is damaged or cut short: {reason}.", COPY_AGAIN) from error
    except MemoryError as error:
        raise Transient(
            f"{place} does not fit into the free memory.", "Lower workers.count or limits.max_megapixels."
        ) from error
