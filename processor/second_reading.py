"""The second reading: numbers read once more, as a whole, and what the two readings say together.

The first reading cuts a line into digits and looks at each; it sees every stroke, and errs where digits touch
or break. The second looks at the whole strip and cuts nothing; it errs where a hand is unlike all it learned.
Their errors are of different kinds: what both read is sure, and where they differ, the strings that either
finds likely are weighed by both.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from processor.lines import Classify, Proposals, look_at
from processor.pages.cleaning import CleanPage
from processor.prediction.strip_reader import StripReader, StripReading
from processor.prediction.strips import cut_strip
from processor.records import Box, Cause, Mask, Rejection, Signs, TwoReadings, Winner
from processor.regions import Region, find_regions
from processor.rejection.open_set import SEVERAL, SURE_NUMBER
from processor.segmentation.blobs import Blob
from processor.stages import stage
from processor.weighing import LEAST_DOUBT, Verdict, weigh
from processor.words import Mark, Seen

REACH = 0.4
"""A digit that the second reading alone saw reaches so many line heights to both sides of its place."""

_WINNERS = {
    (True, True): Winner.BOTH,
    (True, False): Winner.FIRST,
    (False, True): Winner.SECOND,
    (False, False): Winner.NEITHER,
}
"""Whether the first and the second reading are what is reported."""


@stage("both readings weighed")
def read_again(
    found: Sequence[Sequence[Mark]],
    proposed: Sequence[Proposals],
    paper: CleanPage,
    strips: StripReader,
    classify: Classify,
    core: Sequence[Box] | None = None,
    *,
    overrules: float = 1.0,
) -> list[list[Mark]]:
    """The marks of each line as the two readings together see them; `found` are those of the first.

    Where the page is a cut-out of one number, all marks of the first line are it, and `core` measures it.
    From the probability `overrules` on, a reading that doubts itself contradicts nothing.
    """
    regions = [
        find_regions(marks, proposals, paper.dividers, core if number == 0 else None)
        for number, (marks, proposals) in enumerate(zip(found, proposed, strict=True))
    ]
    every = [region for line in regions for region in line]
    cut = [cut_strip(paper.ink, paper.mask, region.place) for region in every]
    readings = iter(strips.read(cut))
    read: list[list[Mark]] = []
    for marks, line in zip(found, regions, strict=True):
        begins = {id(region.marks[0]): region for region in line}
        inside = {id(mark) for region in line for mark in region.marks}
        again: list[Mark] = []
        for mark in marks:
            region = begins.get(id(mark))
            if region is not None:
                again += _together(region, next(readings), paper, classify, overrules)
            elif id(mark) not in inside:
                again.append(mark)
        digits = {mark.blob for mark in again if mark.rejection is None}
        read.append([mark for mark in again if mark.rejection is None or mark.blob not in digits])
    return read


def _together(
    region: Region, reading: StripReading, paper: CleanPage, classify: Classify, overrules: float
) -> list[Mark]:
    """The marks of the region as both readings see them."""
    verdict = weigh(region, reading)
    first = "".join(str(mark.seen.digit) for mark in region.digits if mark.seen)
    if not verdict.digits:
        return list(region.marks)
    if verdict.digits == first:
        digits, left = region.digits, [mark for mark in region.marks if mark.rejection is not None]
    else:
        digits = _cut(region, verdict, reading, paper, classify)
        left = _left_out(region.marks, digits)
    shares = _doubts(digits, verdict.digits, reading)
    twice = _both(first, reading, verdict)
    differs = "" if _is_overruled(twice, verdict, overrules) else _contradiction(twice, verdict.digits)
    same = reading.digits == verdict.digits
    separators: Sequence[Signs | None] = reading.before if same else [None] * len(digits)
    seen = reading.confidences if same else [0.0] * len(digits)
    return [
        replace(
            _read_as(mark, int(digit), verdict.probability**share),
            differs=differs,
            twice=twice,
            before=before,
            second=second,
        )
        for mark, digit, share, before, second in zip(
            digits, verdict.digits, shares, separators, seen, strict=True
        )
    ] + left


def _contradiction(twice: TwoReadings, read: str) -> str:
    """What either reading makes of a number that is `read` otherwise; empty where neither objects."""
    return " or ".join(other or "nothing" for other in sorted({twice.first, twice.second} - {read}))


def _is_overruled(twice: TwoReadings, verdict: Verdict, overrules: float) -> bool:
    """Whether the reading that objects to a number of several digits may be passed over.

    It may where the verdict is sure, and it is not: touching digits that cannot be cut leave it no choice.
    """
    objections = [twice.first_confidence or 0.0] * (twice.first != verdict.digits)
    objections += [twice.second_confidence] * (twice.second != verdict.digits)
    doubtful = all(confidence < SURE_NUMBER for confidence in objections)
    return doubtful and len(verdict.digits) >= SEVERAL and verdict.probability >= overrules


def _both(first: str, reading: StripReading, verdict: Verdict) -> TwoReadings:
    """What each reading alone made of the strip, as it is kept for who looks at the number."""
    told = first == verdict.digits, reading.digits == verdict.digits
    return TwoReadings(
        first=first,
        first_confidence=None if verdict.first is None else round(verdict.first, 4),
        second=reading.digits,
        second_confidence=round(reading.confidence, 4),
        winner=_WINNERS[told],
    )


def _cut(
    region: Region, verdict: Verdict, reading: StripReading, paper: CleanPage, classify: Classify
) -> list[Mark]:
    """A mark for each digit: where the first reading's cuts spell it, else where the second saw it."""
    if verdict.spelling is not None:
        blobs = [region.blobs[step] for step in verdict.spelling.taken]
        return [Mark(blob, region.proposals.seen[blob], 1.0, None) for blob in blobs]
    places = (
        _widened(reading.places, region)
        if reading.digits == verdict.digits
        else _evenly(region.box, len(verdict.digits))
    )
    blobs = [_blob_at(place, region.box, paper.mask) for place in places]
    seen = look_at(blobs, paper.ink, classify)
    return [Mark(blob, seen[blob], 1.0, None) for blob in blobs]


def _widened(places: Sequence[tuple[float, float]], region: Region) -> list[tuple[float, float]]:
    """The places of digits to half-way between them: the second reading sees each in few of its columns."""
    reach = REACH * region.proposals.line.height
    halves = [(left[1] + right[0]) / 2 for left, right in pairwise(places)]
    edges = [-math.inf, *halves, math.inf]
    return [
        (max(low, x0 - reach), min(high, x1 + reach))
        for (x0, x1), low, high in zip(places, edges[:-1], edges[1:], strict=True)
    ]


def _evenly(box: Box, count: int) -> list[tuple[float, float]]:
    edges = np.linspace(box.x, box.right, count + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _blob_at(place: tuple[float, float], line: Box, mask: Mask) -> Blob:
    """All ink of the line between two columns; where there is none, the whole of the place."""
    left = int(np.clip(math.floor(place[0]), line.x, line.right - 1))
    right = int(np.clip(math.ceil(place[1]), left + 1, line.right))
    ink = mask[line.y : line.bottom, left:right]
    return Blob(Box(left, line.y, right - left, line.height), ink if ink.any() else np.ones_like(ink))


def _left_out(marks: Sequence[Mark], digits: Sequence[Mark]) -> list[Mark]:
    """The first reading's marks that are no part of the digits as they are read now."""
    boxes = [digit.blob.box for digit in digits]
    left = [m for m in marks if 2 * sum(_overlap(m.blob.box, box) for box in boxes) < m.blob.box.width]
    return [mark if mark.rejection else replace(mark, rejection=_unlikely(mark)) for mark in left]


def _overlap(one: Box, other: Box) -> int:
    """Columns that they share."""
    return max(0, min(one.right, other.right) - max(one.x, other.x))


def _unlikely(mark: Mark) -> Rejection:
    return Rejection(Cause.UNLIKE_DIGIT, "the first reading alone sees it, confidence", mark.confidence)


def _doubts(digits: Sequence[Mark], read: str, reading: StripReading) -> list[float]:
    """Each digit's share of the doubt about its number, by what either reading says of it; their sum is 1."""
    own = [float(m.seen.probabilities[int(d)]) if m.seen else 0.0 for m, d in zip(digits, read, strict=True)]
    strip = list(reading.confidences) if reading.digits == read else [1.0] * len(own)
    doubts = [-math.log(max(LEAST_DOUBT, a * b)) + LEAST_DOUBT for a, b in zip(own, strip, strict=True)]
    return [doubt / sum(doubts) for doubt in doubts]


def _read_as(mark: Mark, digit: int, confidence: float) -> Mark:
    """`mark` as this digit with this confidence; what is left of certainty is the other classes'."""
    assert mark.seen is not None
    rest = mark.seen.probabilities.astype(np.float64)
    rest[digit] = 0.0
    probabilities = rest * ((1 - confidence) / max(float(rest.sum()), LEAST_DOUBT))
    best = max(confidence, float(probabilities[:-1].max()) + LEAST_DOUBT)
    probabilities[digit] = best
    seen = Seen(mark.seen.glyph, probabilities.astype(np.float32))
    return Mark(mark.blob, seen, confidence / best, None)
