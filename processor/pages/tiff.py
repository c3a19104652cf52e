"""The chain of directories in a TIFF: which pages there really are, found before any is decoded."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from processor.errors import BadScan
from processor.pages.complaints import complaints
from processor.pages.faults import COPY_AGAIN, too_many_pages

NEW_SUBFILE_TYPE = 254
REDUCED_IMAGE, TRANSPARENCY_MASK = 1, 4

# "Fax4Decode: Bad code word at line 44 …"; complaints about tags have other names and do no harm.
DECODER_ERROR = re.compile(rb"^(\w+Decode(?:[12]D)?|JPEGLib): (.*)")

LIBTIFF = re.compile(rb"\w+(\.tif)?: ")

# Group 3 was made for noisy lines: a bad code word costs one row, and so many may be lost on a page.
GROUP_3 = b"Fax3Decode"
GROUP_3_ROWS = 20


def page_indices(data: bytes, name: str, max_pages: int) -> list[int]:
    """The place in the chain (from 0) of every directory that is a page, in order.

    Thumbnails and transparency masks are no pages of their own, unless there is nothing else. Pillow ends
    the document without a word where the chain leads back or out of the file, which loses pages, so it is
    walked here (TIFF 6.0, section 2, and BigTIFF). Raises BadScan for a broken chain or too many pages.
    """
    kinds: list[int] = []
    pages = 0
    for kind in _subfile_types(data, name):
        kinds.append(kind)
        pages += _is_page(kind)
        if pages > max_pages:
            raise too_many_pages(name, f"more than {max_pages}", max_pages)
    return [index for index, kind in enumerate(kinds) if not pages or _is_page(kind)][:max_pages]


def _is_page(subfile_type: int) -> bool:
    return not subfile_type & (REDUCED_IMAGE | TRANSPARENCY_MASK)


def _subfile_types(data: bytes, name: str) -> Iterator[int]:
    """The NewSubfileType of every directory in the chain, 0 where it states none."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    number, count = (f"{order}Q", f"{order}Q") if big else (f"{order}I", f"{order}H")
    entry = 20 if big else 12
    seen: set[int] = set()
    at = 8 if big else 4
    while True:
        place = f"{name}, page {len(seen) + 1},"
        try:
            (directory,) = struct.unpack_from(number, data, at)
            if directory == 0:
                return
            if directory in seen:
                raise BadScan(f"{place} leads back to an earlier page: the chain is broken.", COPY_AGAIN)
            seen.add(directory)
            (entries,) = struct.unpack_from(count, data, directory)
            first = directory + struct.calcsize(count)
            at = first + entries * entry
            struct.unpack_from(number, data, at)
        except (struct.error, OverflowError):
            raise BadScan(f"{place} lies beyond the end of the file.", COPY_AGAIN) from None
        yield _subfile_type(data[first:at], entry, order)


def _subfile_type(directory: bytes, entry: int, order: str) -> int:
    """NewSubfileType of one directory, given as its raw entries; a LONG at the start of the value field."""
    value = entry - (8 if entry == 20 else 4)
    for at in range(0, len(directory), entry):
        if struct.unpack_from(f"{order}H", directory, at) == (NEW_SUBFILE_TYPE,):
            return int(struct.unpack_from(f"{order}I", directory, at + value)[0])
    return 0


@contextmanager
def decoder_errors_refused(place: str) -> Iterator[None]:
    """Raises BadScan for damage in a TIFF page that libtiff states on stderr only.

    After one wrong bit a Group 4 page is rubbish to its end, yet Pillow takes it for a good one.
    """
    with complaints(LIBTIFF) as said:
        yield
    errors = [match.groups() for line in said if (match := DECODER_ERROR.match(line))]
    serious = [reason for decoder, reason in errors if not decoder.startswith(GROUP_3)]
    if serious or len(errors) > GROUP_3_ROWS:
        reason = (serious or [reason for _, reason in errors])[0].decode("ascii", "replace").rstrip(".")
        raise BadScan(f"{place} is damaged: {reason}.", COPY_AGAIN)
