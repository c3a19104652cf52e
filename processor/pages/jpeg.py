"""Damage inside a JPEG, at which its decoder only warns: what follows it is mush, displaced, or gray."""

import re

import cv2
import numpy as np

from processor.errors import BadScan
from processor.pages.complaints import complaints
from processor.pages.faults import COPY_AGAIN

LIBJPEG = re.compile(rb"(?:Corrupt|Premature end of|Inconsistent|Unknown|Invalid|Warning|Unsupported)\b.*")

# Others of its warnings concern the head, and harm nothing: an unknown version, a broken colour profile.
DAMAGE = re.compile(
    rb"Corrupt JPEG data: (premature end of data segment|bad Huffman code|bad arithmetic code"
    rb"|found marker 0x\w+ instead of RST\d|(\d+) extraneous bytes before marker 0x(\w\w))"
)

PADDING = 16
"""So many bytes that nobody needs stand before the end, or a segment, of many a camera's picture."""

# Neither a restart, of which the next must come when it is due, nor a code that does not exist.
SEGMENT = re.compile(rb"c\w|d[9abdf]|e\w|fe")


def refuse_damaged_jpeg(data: bytes, place: str) -> None:
    """Raises BadScan where the picture's samples do not come out even: too few, too many, or out of step.

    Pillow hears none of libjpeg's warnings; OpenCV lets them through to stderr. Decoded at an eighth of its
    size, which is little more than taking the Huffman code apart. Where it does not work: what leaves as many
    samples as before goes unnoticed. That is one wrong sector in fifty, and most single bits, which shift the
    tone of what follows.
    """
    with complaints(LIBJPEG) as said:
        try:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except cv2.error:
            # Of a kind that it does not know; whether the picture is one, Pillow tells.
            return
    for line in said:
        if (found := DAMAGE.match(line)) and not _is_padding(found):
            raise BadScan(f"{place} is damaged: {found[1].decode('ascii')}.", COPY_AGAIN)


def _is_padding(found: re.Match[bytes]) -> bool:
    count, marker = found[2], found[3]
    return count is not None and int(count) <= PADDING and SEGMENT.fullmatch(marker) is not None
