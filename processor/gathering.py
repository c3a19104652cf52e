"""Numbers: the digits of each line put together, with their separators, and what speaks against them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from processor.punctuation import Gap, Punctuation, decimal_sign, is_settled, weigh_gap, weigh_minus, write
from processor.records import (
    Box,
    Cause,
    DigitReading,
    Gray,
    Mask,
    NumberReading,
    Rejection,
    Signs,
    Status,
    TwoReadings,
    read_otherwise,
)
from processor.rejection.faint import judge_faint
from processor.rejection.geometry import judge_lone, judge_stray
from processor.rejection.open_set import READ_ONCE, SEVERAL, SURE_NUMBER, LeastSure, is_sure
from processor.rejection.printed import Figure, judge_numbers
from processor.rejection.strokes import judge_struck
from processor.segmentation.blobs import Blob
from processor.segmentation.combs import cells_of
from processor.segmentation.dotted import is_in_row
from processor.segmentation.layout import Crowd, may_lack_digits, split_numbers
from processor.segmentation.separators import SMALL, Before, Between, between_digits, dash_before
from processor.segmentation.splitting import stroke_width
from processor.stages import stage
from processor.words import Mark

PUNCTUATION = (Cause.SPECK, Cause.MARK, Cause.SEPARATOR, Cause.RULED_LINE, Cause.UNLIKE_DIGIT)
"""What a separator may have been left out as."""

EXPLAINED = (Cause.FILLER,)
"""What is left out for these belongs to no number beside it. What is struck out may: a bar that runs from one
touching digit into the next looks like a stroke through them."""

REACH = 3.0
"""Separators, and the dashes that tell a minus from a filler, stand within so many digit heights."""

FAINT = 0.7
"""A separator is at least this share as dark as the number's strokes; the paper's print is fainter."""

DARK = 90
"""Of both, this percentile counts: edges are fainter than strokes, and small marks are all edge."""

Digit = tuple[Mark, DigitReading]


@dataclass(frozen=True, slots=True)
class Left:
    """A mark that was left out: its blob on the working grid, its reading, and whether the network saw it."""

    blob: Blob
    reading: DigitReading
    cause: Cause
    seen: bool

    @property
    def box(self) -> Box:
        return self.blob.box


@dataclass(frozen=True, slots=True)
class Written:
    """The digits of a number, what was left out of its line, and whether it is a field read as a whole."""

    digits: Sequence[Digit]
    line: Sequence[Left]
    is_field: bool

    @property
    def text(self) -> str:
        return "".join(reading.digit or "" for _, reading in self.digits)

    @property
    def boxes(self) -> list[Box]:
        """Those of its digits on the working grid."""
        return _boxes(self.digits)

    @property
    def height(self) -> float:
        """Median pixels that its digits are high, on the scan or on the working grid of what is reduced."""
        pixels = [min(mark.blob.box.height, reading.box.height) for mark, reading in self.digits]
        return float(np.median(pixels))


@stage("numbers")
def gather(
    found: Sequence[Sequence[Mark]],
    readings: Sequence[Sequence[DigitReading]],
    dividers: Mask,
    rulings: Mask,
    *,
    one_number: bool = False,
    least: LeastSure = READ_ONCE,
    ink: Gray | None = None,
    mask: Mask | None = None,
    reads_print: bool = True,
) -> tuple[list[NumberReading], list[DigitReading]]:
    """The numbers of all lines, and what was left out; `readings` are those of the marks `found`.

    With `one_number`, the digits of the first line are one, however far they stand apart. Numbers that were
    read twice are accepted from the confidence `least` on.
    A number goes to review where digits of it may be missing, or where neither their shape nor the second
    reading tells what separates them; one that is struck out is left out, and without `reads_print` one that
    is printed. By the `ink`, (H, W), separators are told from what is too faint for one, and by what of it
    the `mask` leaves out, digits that were lost.
    `dividers`, `rulings`: the upright and level lines, (H, W).
    """
    lines = [_sorted(marks, line) for marks, line in zip(found, readings, strict=True)]
    left_out = [left for _, line in lines for left in line]
    table = np.array([(o.box.x, o.box.y, o.box.right, o.box.bottom) for o in left_out], np.float64)
    field = found[0] if one_number and found else ()
    written, struck = _written(lines, field, dividers, rulings)
    if ink is not None and not reads_print:
        written, printed = _without_print(written, ink)
        struck += printed
    written, strays = _without_strays(written, least)
    struck += strays
    in_numbers = _heights_in_numbers(written)
    page_digits = Crowd([box for number in written for box in number.boxes])
    lone = [number.boxes[0] for number in written if len(number.digits) == 1]
    ruled = dividers | rulings
    numbers, separators = [], dict[int, Rejection]()
    nearby = [_punctuation_near(number, left_out, table, ink) for number in written]
    punctuated = _punctuated(written, nearby, left_out, dividers, mask)
    for number, near, punctuation in zip(written, nearby, punctuated, strict=True):
        used = [near[i] for i in punctuation.used]
        points = [left_out[i].box for i in used]
        specks = [left_out[i].box for i in near if not left_out[i].seen and i not in used]
        against = _unclear(punctuation)
        against = against or _may_lack_digits(number, page_digits, dividers, points, specks, lone)
        against = against or _may_be_grain(number, in_numbers)
        numbers.append(_number(number, punctuation.written, against, least))
        if ink is not None and mask is not None and numbers[-1].status is Status.ACCEPTED:
            numbers[-1] = _unless_faint(numbers[-1], number.boxes, ink, mask, ruled)
        separators |= {i: _separates(left_out[i].box, number.boxes) for i in used}
    rejected = [
        _rejected(left.reading, separators[i]) if i in separators else left.reading
        for i, left in enumerate(left_out)
    ]
    return numbers, rejected + struck


def _sorted(marks: Sequence[Mark], readings: Sequence[DigitReading]) -> tuple[list[Digit], list[Left]]:
    """The digits of a line, and what was left out."""
    digits, left_out = [], []
    for mark, reading in zip(marks, readings, strict=True):
        if reading.status is not Status.REJECTED:
            digits.append((mark, reading))
        else:
            cause = mark.rejection.cause if mark.rejection else Cause.UNLIKE_DIGIT
            left_out.append(Left(mark.blob, reading, cause, mark.seen is not None))
    return digits, left_out


def _written(
    lines: Sequence[tuple[list[Digit], list[Left]]], field: Sequence[Mark], dividers: Mask, rulings: Mask
) -> tuple[list[Written], list[DigitReading]]:
    """The numbers of all `lines`, and the digits of those that are struck out.

    The marks `field`, where there are any, are the first line's, and its digits are one number.
    """
    written: list[Written] = []
    struck: list[DigitReading] = []
    for at, (digits, line) in enumerate(lines):
        whole = [digits] if field and at == 0 and digits else None
        is_all = whole is not None and len(digits) == sum(mark.rejection is None for mark in field)
        for number in whole or _split(digits, line, dividers):
            against = judge_struck(_boxes(number), rulings)
            if against is None:
                written.append(Written(number, line, is_all))
            else:
                struck += [_rejected(reading, against) for _, reading in number]
    return written, struck


def _without_print(written: Sequence[Written], ink: Gray) -> tuple[list[Written], list[DigitReading]]:
    """The numbers that are written by hand, and the digits of those that are printed."""
    judged = judge_numbers([_figures(number.digits, ink) for number in written])
    by_hand = [number for number, against in zip(written, judged, strict=True) if against is None]
    printed = [
        _rejected(reading, against)
        for number, against in zip(written, judged, strict=True)
        if against is not None
        for _, reading in number.digits
    ]
    return by_hand, printed


def _without_strays(written: Sequence[Written], least: LeastSure) -> tuple[list[Written], list[DigitReading]]:
    """The numbers, and the digits of those left out: 1s, and the unsure, far lower than the page's others."""
    others = [box.height for number in written if set(number.text) != {"1"} for box in number.boxes]
    in_numbers = _heights_in_numbers(written)
    kept: list[Written] = []
    strays: list[DigitReading] = []
    for number in written:
        ones = set(number.text) == {"1"}
        against = judge_stray(Box.around(number.boxes), others) if ones else None
        if against is None and _unsure(number, least) is not None:
            against = _may_be_grain(number, in_numbers)
        if against is None:
            kept.append(number)
        else:
            strays += [_rejected(reading, against) for _, reading in number.digits]
    return kept, strays


def _heights_in_numbers(written: Sequence[Written]) -> list[int]:
    """Those in pixels of digits that stand in numbers of several, which are no grain."""
    return [box.height for number in written if len(number.digits) >= SEVERAL for box in number.boxes]


def _may_be_grain(number: Written, in_numbers: Sequence[int]) -> Rejection | None:
    """Why a number of few digits is doubted that are far lower than those `in_numbers` of several."""
    return judge_lone(number.boxes, in_numbers) if len(number.digits) < SEVERAL else None


def _punctuation_near(
    number: Written, left_out: Sequence[Left], table: NDArray[np.float64], ink: Gray | None
) -> list[int]:
    """Those of the marks `left_out`, `table` their boxes, that may separate the number's digits."""
    near = [i for i in _near(Box.around(number.boxes), table) if left_out[i].cause in PUNCTUATION]
    return near if ink is None else _as_dark(near, left_out, number.digits, ink)


def _punctuated(
    written: Sequence[Written],
    nearby: Sequence[Sequence[int]],
    left_out: Sequence[Left],
    dividers: Mask,
    mask: Mask | None,
) -> list[Punctuation]:
    """How each number is written, with those of the marks near it that separate its digits.

    Twice: once the page's decimal sign is known by the numbers that are sure, it settles the others.
    """
    gaps = [
        _gaps(number, [left_out[i].box for i in near], dividers, mask)
        for number, near in zip(written, nearby, strict=True)
    ]
    found = [write(number.text, *seen[:2]) for number, seen in zip(written, gaps, strict=True)]
    decimal = decimal_sign(
        [one.written for one, seen in zip(found, gaps, strict=True) if is_settled(one, seen[1])]
    )
    if decimal:
        found = [write(number.text, *seen[:2], decimal) for number, seen in zip(written, gaps, strict=True)]
    return [replace(one, used=used) for one, (_, _, used) in zip(found, gaps, strict=True)]


def _gaps(
    number: Written, near: Sequence[Box], dividers: Mask, mask: Mask | None
) -> tuple[Gap, list[Gap], tuple[int, ...]]:
    """What both readings see before the number and in its gaps, and which of the marks `near` it are that."""
    boxes, seen = number.boxes, _seen_before(number)
    if not near:
        return weigh_minus(Before(), seen[0]), [weigh_gap(Between(), one) for one in seen[1:]], ()
    boxed = cells_of(boxes, dividers)[-1] > 0
    shapes = between_digits(boxes, near, _stroke(number.digits), boxed=boxed)
    rows = [
        mask is not None and any(is_in_row(near[i], boxes, mask) for i in shape.marks) for shape in shapes
    ]
    gaps = [weigh_gap(shape, one, in_row=row) for shape, one, row in zip(shapes, seen[1:], rows, strict=True)]
    before = dash_before(boxes, near)
    used = [i for shape in shapes for i in shape.marks]
    return weigh_minus(before, seen[0]), gaps, (*used, *([] if before.dash is None else [before.dash]))


def _seen_before(number: Written) -> list[Signs | None]:
    """What the second reading saw before each digit; None where it read otherwise, or a strip ends there."""
    marks = [mark for mark, _ in number.digits]
    parted = [False, *(left.twice is not right.twice for left, right in pairwise(marks))]
    return [None if apart else mark.before for mark, apart in zip(marks, parted, strict=True)]


def _unclear(punctuation: Punctuation) -> Rejection | None:
    """Why it is looked at what separates the digits of a number."""
    if punctuation.may is None:
        return None
    count = len(punctuation.used)
    if not punctuation.may:
        return Rejection(Cause.SEPARATOR, "marks between its digits that may separate them:", count)
    return Rejection(Cause.SEPARATOR, f"it may be {punctuation.may}, marks between its digits:", count)


def _may_lack_digits(
    number: Written,
    page_digits: Crowd,
    dividers: Mask,
    points: Sequence[Box],
    specks: Sequence[Box],
    lone: Sequence[Box],
) -> Rejection | None:
    """Why a digit of the number may have been lost; the marks `points` are its separators.

    A field that was read as a whole, twice the same, lacks nothing but what neither reading was shown.
    """
    agreed = number.is_field and all(mark.differs == "" for mark, _ in number.digits)
    if agreed and not any(left.cause is Cause.STRUCK_OUT for left in number.line):
        return None
    unread = [o.box for o in number.line if o.seen and o.cause not in EXPLAINED and o.box not in points]
    others = page_digits.about(number.boxes)
    return may_lack_digits(number.boxes, unread, others, dividers, points, specks, lone)


def _split(digits: Sequence[Digit], left_out: Sequence[Left], dividers: Mask) -> list[list[Digit]]:
    others = [left.box for left in left_out]
    strips = [None if mark.twice is None else id(mark.twice) for mark, _ in digits]
    return [[digits[i] for i in cell] for cell in split_numbers(_boxes(digits), others, dividers, strips)]


def _boxes(digits: Sequence[Digit]) -> list[Box]:
    """Their boxes on the working grid."""
    return [mark.blob.box for mark, _ in digits]


def _stroke(digits: Sequence[Digit]) -> float:
    """Median width of the strokes of `digits`, in pixels."""
    return float(np.median([stroke_width(mark.blob.mask) for mark, _ in digits]))


def _figures(digits: Sequence[Digit], ink: Gray) -> list[Figure]:
    """The digits of a number, each with its own ink."""
    return [
        Figure(
            digit=int(reading.digit or 0),
            box=(box := mark.blob.box),
            ink=np.where(mark.blob.mask, ink[box.y : box.bottom, box.x : box.right], np.uint8(0)),
        )
        for mark, reading in digits
    ]


def _near(number: Box, table: NDArray[np.float64]) -> list[int]:
    """The rows of `table` (left, top, right, bottom) whose boxes are level with the number and near it."""
    if not len(table):
        return []
    reach = REACH * number.height
    level = (table[:, 3] >= number.y) & (table[:, 1] <= number.bottom + 0.5 * number.height)
    beside = (table[:, 0] <= number.right + reach) & (table[:, 2] >= number.x - reach)
    return [int(i) for i in np.flatnonzero(level & beside)]


def _as_dark(near: Sequence[int], left_out: Sequence[Left], number: Sequence[Digit], ink: Gray) -> list[int]:
    """Those of the marks that one pen wrote with the number: what is much fainter belongs to the paper."""
    if not near:
        return []
    strokes = float(np.median([_darkness(mark.blob, ink) for mark, _ in number]))
    return [i for i in near if _darkness(left_out[i].blob, ink) >= FAINT * strokes]


def _darkness(blob: Blob, ink: Gray) -> float:
    box = blob.box
    return float(np.percentile(ink[box.y : box.bottom, box.x : box.right][blob.mask], DARK))


def _read_twice(digits: Sequence[Mark]) -> TwoReadings | None:
    """What each reading makes of the strips that a number's digits stand in; None where one was read once."""
    strips = list({id(mark.twice): mark.twice for mark in digits}.values())
    known = [strip for strip in strips if strip is not None]
    return TwoReadings.joined(known) if known and len(known) == len(strips) else None


def _separates(mark: Box, digits: Sequence[Box]) -> Rejection:
    size = mark.height / float(np.median([b.height for b in digits]))
    return Rejection(Cause.SEPARATOR, "{} digit heights high", size, SMALL)


def _rejected(reading: DigitReading, why: Rejection) -> DigitReading:
    return replace(reading, digit=None, status=Status.REJECTED, reason=str(why))


def _number(number: Written, text: str, against: Rejection | None, least: LeastSure) -> NumberReading:
    """Digits of one number, as sure as all of them together; `against` is why a person must look at them.

    `least` is the confidence from which a number that was read twice is sure, by its count of digits.
    """
    digits = tuple(reading for _, reading in number.digits)
    reason = _unsure(number, least) or (None if against is None else str(against))
    return NumberReading(
        text=text,
        confidence=_together(digits),
        status=Status.ACCEPTED if reason is None else Status.REVIEW,
        box=Box.around(d.box for d in digits),
        digits=digits,
        twice=_read_twice([mark for mark, _ in number.digits]),
        reason=reason,
    )


def _unsure(number: Written, least: LeastSure) -> str | None:
    """Why its digits are not sure enough: one of them alone, or else all of them together."""
    digits = [reading for _, reading in number.digits]
    together = _together(digits)
    doubted = [(mark, digit) for mark, digit in number.digits if digit.status is not Status.ACCEPTED]
    other = next((mark.differs for mark, _ in doubted if mark.differs), None)
    if other is not None:
        return str(read_otherwise(other, together))
    if doubted:
        worst = min((digit for _, digit in doubted), key=lambda digit: digit.confidence)
        return worst.reason or str(Rejection(Cause.UNCERTAIN, "confidence", worst.confidence))
    twice = all(mark.differs is not None for mark, _ in number.digits)
    limit = least.of(len(digits), number.height) if twice else SURE_NUMBER
    if is_sure([digit.confidence for digit in digits], limit):
        return None
    return str(Rejection(Cause.UNCERTAIN, "confidence of all its digits together", together, limit))


def _together(digits: Sequence[DigitReading]) -> float:
    """How sure all of `digits` are."""
    return round(float(np.prod([digit.confidence for digit in digits])), 4)


def _unless_faint(
    number: NumberReading, digits: Sequence[Box], ink: Gray, mask: Mask, lines: Mask
) -> NumberReading:
    """The number, in review where faint strokes about it may be digits that were lost: its own say so."""
    against = judge_faint(digits, ink, mask, lines)
    if against is None:
        return number
    told = tuple(replace(d, status=Status.REVIEW, reason=str(against)) for d in number.digits)
    return replace(number, status=Status.REVIEW, digits=told, reason=str(against))
