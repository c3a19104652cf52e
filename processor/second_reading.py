"""The second reading: numbers read once more, as a whole, and what the two readings say together.

The first reading cuts a line into digits and looks at each; it sees every stroke, and errs where digits touch
or break. The second looks at the whole strip and cuts nothing; it errs where a hand is unlike all it learned.
Their errors are of different kinds: what both read is sure, and where they differ, the strings that either
finds likely are weighed by both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from processor.lines import Classify, Proposals, look_at
from processor.pages.cleaning import CleanPage
from processor.prediction.strip_reader import StripReader, StripReading
from processor.prediction.strips import Frame, cut_strip, frame
from processor.records import Box, Cause, Mask, Rejection, TwoReadings, Winner
from processor.rejection.open_set import SEVERAL, SURE_NUMBER
from processor.segmentation.blobs import Blob
from processor.segmentation.combs import cells_of, is_comb
from processor.segmentation.spelling import Spelling, Step, all_ways, spell
from processor.stages import stage
from processor.words import Mark, Seen

WEIGHT = 0.3
"""How much the first reading's log-probability counts beside the second's.

It multiplies what the network says of each digit as if these were independent, and so is far too sure.
"""

CHOICE = 0.5
"""... and how much where strings are compared: it sees the 1 at an end of a number that the second loses.

What is chosen against the belief of both together has less than half of it, and goes to review.
"""

WORST = -8.0
"""The first reading's log-probability counts for no less: one bad cut makes any string unlikely."""

STRINGS = 5
"""So many of the second reading's likeliest strings are weighed."""

APART = 1.0
"""Marks farther apart than so many line heights belong to two numbers."""

REACH = 0.4
"""A digit that the second reading alone saw reaches so many line heights to both sides of its place."""

LOW = 0.35
"""Lower marks, in line heights, are points and specks: they begin no number and end none."""

LEVEL = 0.4
"""Neighbours share at least this part of the lower one's rows: scattered figures are numbers of their own."""

WALL = 0.6
"""An upright ruled line over this share of a line's height parts numbers."""

READABLE = (Cause.UNLIKE_DIGIT, Cause.SEVERAL_CHARACTERS, Cause.UNCERTAIN, Cause.OVERSIZED)
"""What the first reading may have left out of a number for not seeing how to cut it."""

_DOUBT = 1e-6

_WINNERS = {
    (True, True): Winner.BOTH,
    (True, False): Winner.FIRST,
    (False, True): Winner.SECOND,
    (False, False): Winner.NEITHER,
}
"""Whether the first and the second reading are what is reported."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Neighbouring marks that may be one number, and the parts (from `first` to `stop`) they are made of."""

    proposals: Proposals
    marks: tuple[Mark, ...]
    first: int
    stop: int
    core: tuple[Box, ...] = ()

    @property
    def place(self) -> Frame:
        """Where the strip is cut, from the first mark to the last; the `core`, where known, measures it."""
        boxes = [mark.blob.box for mark in self.marks]
        measured = frame(self.core or boxes)
        high = [box for box in boxes if box.height > LOW * measured.height] or boxes
        left, right = min(box.x for box in high), max(box.right for box in high)
        middle = measured.centre_at((left + right) / 2)
        return Frame(measured.height, middle, float(left), float(right), measured.climb)

    @property
    def box(self) -> Box:
        return Box.around(mark.blob.box for mark in self.marks)

    @property
    def digits(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.rejection is None]

    @property
    def steps(self) -> list[Step]:
        return [
            Step(step.start - self.first, step.stop - self.first, step.digits, step.junk)
            for step in self.proposals.steps
            if step.start >= self.first and step.stop <= self.stop
        ]

    @property
    def blobs(self) -> list[Blob]:
        """The candidates' blobs, in the order of `steps`."""
        found = self.proposals.candidates
        return [c.blob for c in found if c.start >= self.first and c.stop <= self.stop]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The digits that both readings together find likeliest, how likely they are, and how they are cut.

    `first` is the probability of the first reading's string by its own account; None where it spells none.
    """

    digits: str
    probability: float
    spelling: Spelling | None
    first: float | None = None


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
        _regions(marks, proposals, paper.dividers, core if number == 0 else None)
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


def weigh(region: Region, reading: StripReading) -> Verdict:
    """Of the strings that either reading finds likely, the one that both together do.

    That there is no digit at all is no verdict where either sees one, but makes it less likely.
    """
    first = "".join(str(mark.seen.digit) for mark in region.digits if mark.seen)
    strings = dict([(reading.digits, reading.log_probability), *reading.others[: STRINGS - 1]])
    if first not in strings:
        strings[first] = reading.score(first)
    steps, cuts = region.steps, region.proposals.cuts[region.first : region.stop]
    count = region.stop - region.first
    total = all_ways(count, steps, cuts)
    spellings = {digits: spell(count, steps, cuts, digits) for digits in strings}
    seen = {
        digits: max(WORST, -found.cost - total if (found := spellings[digits]) else WORST)
        for digits in strings
    }
    written = [digits for digits in strings if digits]
    if not written:
        return Verdict("", 0.0, None)
    best = max(written, key=lambda digits: strings[digits] + max(CHOICE * seen[digits], WEIGHT * WORST))
    believed = {digits: math.exp(strings[digits] + WEIGHT * seen[digits]) for digits in strings}
    # What no string here accounts for is as unlikely to the first reading as anything can be.
    rest = max(_DOUBT, 1 - sum(math.exp(p) for p in strings.values())) * math.exp(WEIGHT * WORST)
    own = spellings[first]
    alone = math.exp(min(0.0, -own.cost - total)) if own else None
    return Verdict(best, believed[best] / (sum(believed.values()) + rest), spellings[best], alone)


def _regions(
    marks: Sequence[Mark], proposals: Proposals, dividers: Mask, core: Sequence[Box] | None
) -> list[Region]:
    """Runs of marks near each other with no wall between, where there is a digit among them."""
    height, whole = proposals.line.height, core is not None
    readable = [*READABLE, Cause.TEXT] if whole else READABLE
    eligible = [
        mark
        for mark in marks
        if mark.seen is not None
        and (
            mark.rejection is None
            or (mark.rejection.cause in readable and (whole or mark.blob.box.height >= LOW * height))
        )
    ]
    runs = [eligible] if whole and eligible else _runs(eligible, height, dividers)
    found = [_region(run, proposals, core) for run in runs if whole or any(m.rejection is None for m in run)]
    return [region for region in found if region is not None]


def _runs(marks: Sequence[Mark], height: float, dividers: Mask) -> list[list[Mark]]:
    """Marks near each other on a line `height` px high, parted at walls unless they fill a comb one by one.

    Alone in its cell a digit would be read with what reaches into the strip from the cells beside it.
    """
    found: list[list[Mark]] = []
    for run in _parted(marks, lambda run, mark: _near(run, mark, height)):
        boxes = [mark.blob.box for mark in run]
        if is_comb(boxes, cells_of(boxes, dividers)):
            found.append(run)
        else:
            found += _parted(run, lambda run, mark: not _walled(run[-1], mark, dividers))
    return found


def _parted(marks: Sequence[Mark], together: Callable[[list[Mark], Mark], bool]) -> list[list[Mark]]:
    """`marks` in runs: each goes `together` with the run before it, or begins another."""
    runs: list[list[Mark]] = []
    for mark in marks:
        runs[-1].append(mark) if runs and together(runs[-1], mark) else runs.append([mark])
    return runs


def _near(run: Sequence[Mark], mark: Mark, height: float) -> bool:
    right = max(m.blob.box.right for m in run)
    box, last = mark.blob.box, run[-1].blob.box
    shared = min(box.bottom, last.bottom) - max(box.y, last.y)
    return box.x - right <= APART * height and shared >= LEVEL * min(box.height, last.height)


def _walled(left: Mark, right: Mark, dividers: Mask) -> bool:
    """Whether an upright ruled line stands between the middles of two neighbours."""
    box, last = right.blob.box, left.blob.box
    top, bottom = min(box.y, last.y), max(box.bottom, last.bottom)
    between = dividers[top:bottom, int(last.centre[0]) : int(box.centre[0])]
    return bool(between.size and float(between.any(axis=1).mean()) > WALL)


def _region(run: Sequence[Mark], proposals: Proposals, core: Sequence[Box] | None) -> Region | None:
    box = Box.around(mark.blob.box for mark in run)
    inside = [i for i, part in enumerate(proposals.parts) if box.x <= part.blob.box.centre[0] <= box.right]
    return Region(proposals, tuple(run), inside[0], inside[-1] + 1, tuple(core or ())) if inside else None


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
    separators = _separators(reading) if same else [None] * len(digits)
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


def _separators(reading: StripReading) -> list[str | None]:
    """What the second reading saw before each of its digits: a point, a comma, a minus, or nothing."""
    found: list[str | None] = []
    before = ""
    for character in reading.text:
        if character.isdigit():
            found.append(before)
        before = "" if character.isdigit() else before + character
    return found


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
    return Rejection(Cause.UNLIKE_DIGIT, "first reading alone, confidence", mark.confidence, 1.0)


def _doubts(digits: Sequence[Mark], read: str, reading: StripReading) -> list[float]:
    """Each digit's share of the doubt about its number, by what either reading says of it; their sum is 1."""
    own = [float(m.seen.probabilities[int(d)]) if m.seen else 0.0 for m, d in zip(digits, read, strict=True)]
    strip = list(reading.confidences) if reading.digits == read else [1.0] * len(own)
    doubts = [-math.log(max(_DOUBT, a * b)) + _DOUBT for a, b in zip(own, strip, strict=True)]
    return [doubt / sum(doubts) for doubt in doubts]


def _read_as(mark: Mark, digit: int, confidence: float) -> Mark:
    """`mark` as this digit with this confidence; what is left of certainty is the other classes'."""
    assert mark.seen is not None
    rest = mark.seen.probabilities.astype(np.float64)
    rest[digit] = 0.0
    probabilities = rest * ((1 - confidence) / max(float(rest.sum()), _DOUBT))
    best = max(confidence, float(probabilities[:-1].max()) + _DOUBT)
    probabilities[digit] = best
    seen = Seen(mark.seen.glyph, probabilities.astype(np.float32))
    return Mark(mark.blob, seen, confidence / best, None)
