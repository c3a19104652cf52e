"""Hypotheses: the ways in which neighbouring parts of one line may make a digit."""

from collections.abc import Sequence
from dataclasses import dataclass

from processor.records import Box
from processor.segmentation.blobs import Blob, union

MOST_PARTS = 5
"""A digit is put together from at most this many parts."""

WIDEST = 1.6
"""A digit put together from parts is at most this many line heights wide."""

JOIN_GAP = 0.3
"""Separate strokes of one digit are at most this share of the line's height apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line: `parent` numbers the blob it was cut from; parts of one parent touch."""

    blob: Blob
    parent: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parts `start` to `stop` (exclusive) of a line, taken together as `blob` across `joins` gaps."""

    start: int
    stop: int
    blob: Blob
    joins: int = 0


def propose(parts: Sequence[Part], height: float) -> list[Candidate]:
    """Every part alone, and every run of near neighbours that may be one digit of a line `height` px high."""
    candidates = []
    for start in range(len(parts)):
        candidates.append(Candidate(start, start + 1, parts[start].blob))
        for stop in range(start + 2, min(len(parts), start + MOST_PARTS) + 1):
            run = parts[start:stop]
            if not _near(run[-2], run[-1], height):
                break
            box = Box.around(p.blob.box for p in run)
            if box.width > WIDEST * height or box.height > 1.8 * height:
                break
            joins = len({p.parent for p in run}) - 1
            candidates.append(Candidate(start, stop, union([p.blob for p in run]), joins))
    return candidates


def cuts(parts: Sequence[Part]) -> list[bool]:
    """For each part, whether ink is cut between it and the part before."""
    return [i > 0 and parts[i - 1].parent == part.parent for i, part in enumerate(parts)]


def _near(one: Part, other: Part, height: float) -> bool:
    if one.parent == other.parent:
        return True
    a, b = one.blob.box, other.blob.box
    across = max(a.x, b.x) - min(a.right, b.right)
    down = max(a.y, b.y) - min(a.bottom, b.bottom)
    return across <= JOIN_GAP * height and down <= JOIN_GAP * height
