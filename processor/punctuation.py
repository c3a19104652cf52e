"""Punctuation: how a number is written, by what both readings see between its digits.

The first reading sees the shapes of small marks and where they stand; the second sees the whole strip, also a
comma that touches a digit or a line. What both see stands; where they differ, a person is asked. A decimal
comma that is lost makes a number that looks right and is ten times too large.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from processor.records import Signs
from processor.segmentation.separators import Before, Between

WRITTEN = re.compile(
    r"\d+([.,]\d+)?|\d{1,3}(\.\d{3})+(,\d+)?|\d{1,3}(,\d{3})+(\.\d+)?|\d{1,2}\.\d{1,2}\.(\d\d)?\d\d"
)
"""One decimal sign, thousands in threes, or a date: any other row of points and commas has dirt in it."""

SURE = 0.8
"""What the second reading sees so surely is a separator, whatever the shapes,"""

AGREES = 0.5
"""... so surely, where a mark looks like one,"""

FAINT = 0.35
"""... and below this none, where no mark does. A mark that looks like one is never passed over unasked."""

IN_ROW = 0.2, 0.9
"""Both limits where a mark in the gap is one of a row of dots: the second reading is shown the row, too."""

SHAPE = 4.0
ROW = -1.0
"""Nats for a separator that a mark which looks like one gives to the second reading's, and one in a row."""

MINUS = 0.3, 0.9
"""Below the first the second reading sees no dash before a number, from the second on it does, where shapes
show none; one that they show is believed, for it may stand farther away than a strip reaches."""

TOLD = 3.0
"""The second reading's word for a comma or a point counts for so many nats at most,"""

UNDECIDED = 0.9
"""... and all that speaks for either answer to a doubtful question for so many: both are told."""

MARGIN = 1.0
"""Another way to write the number, so few nats behind, is told where it makes it another number."""

HABIT = 2.0
"""So many nats speak for the decimal sign of the page."""

KIND = 1.0
"""So many nats for a comma or for a point tell which of both it is."""

HABITS = 3
CONSTANT = 0.9
"""A page has a decimal sign of its own where so many numbers are surely written with it, and so large a share
of those that are surely written with either."""

DECIMALS = 1.5
"""Nats against a number of four decimals or more: few people write so many."""

_MANY_DECIMALS = re.compile(r"-?\d+[.,]\d{4,}")

MOST_DOUBTS = 5
"""Of more doubtful gaps, as over the dots of a dotted line, nothing is told."""

_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Gap:
    """What both readings say of one gap: nats for a separator in it, whether they leave a doubt, and nats for
    a comma against a point."""

    there: float
    doubtful: bool = False
    comma: float = 0.0


@dataclass(frozen=True, slots=True)
class Punctuation:
    """A number as `written`, the indices of the marks `used` in it, and how else it `may` be written.

    `may` is None where no doubt is left that would make it another number, and empty where nobody can tell.
    """

    written: str
    used: tuple[int, ...] = ()
    may: str | None = None


def weigh_gap(shape: Between, seen: Signs | None, *, in_row: bool = False) -> Gap:
    """What a gap holds by its `shape` and by what the second reading has `seen`, None where it did not look.

    `in_row` is whether a mark in it is one of a row of dots.
    """
    bias = ROW if in_row else SHAPE if shape.clear else 0.0
    if seen is None:
        clear = shape.clear and not in_row
        return Gap(bias or -SHAPE, bool(shape.marks) and not clear, shape.comma)
    none, sure = _limits(shape, in_row)
    likely, told = seen.separator, math.log((seen.comma + _LEAST) / (seen.point + _LEAST))
    comma = max(-TOLD, min(TOLD, told)) + shape.comma
    if none <= likely < sure:
        return Gap(_logit(likely) + bias, True, comma)
    return Gap(SHAPE if likely >= sure else -SHAPE, False, comma)


def _limits(shape: Between, in_row: bool) -> tuple[float, float]:
    """Below the first the second reading sees no separator, from the second on one; between is a doubt."""
    if in_row:
        return IN_ROW
    return (0.0, AGREES) if shape.clear else (FAINT, SURE)


def weigh_minus(shape: Before, seen: Signs | None) -> Gap:
    """Whether a minus stands before a number."""
    if shape.filler or shape.dash is not None or seen is None:
        return Gap(-SHAPE if shape.dash is None else SHAPE)
    none, sure = MINUS
    return Gap(_logit(seen.dash), none <= seen.dash < sure)


def _logit(likely: float) -> float:
    return math.log((likely + _LEAST) / (1 - likely + _LEAST))


def write(digits: str, minus: Gap, gaps: Sequence[Gap], decimal: str = "") -> Punctuation:
    """`digits` as they are written, by what stands before them and in the `gaps` between them.

    `decimal` is the decimal sign of the page, where it has one: it settles which of both a doubtful one is.
    """
    if sum(gap.doubtful for gap in gaps) > MOST_DOUBTS:
        return Punctuation(digits, may="")
    ways = sorted(
        (cost, text)
        for cost, text in _ways(digits, minus, gaps, decimal)
        if WRITTEN.fullmatch(text.removeprefix("-"))
    )
    if not ways:
        return Punctuation(digits, may="")
    least, text = ways[0]
    same = value(text, decimal)
    close = [other for cost, other in ways if cost - least < MARGIN and value(other, decimal) != same]
    return Punctuation(text, may=close[0] if close else None)


def value(text: str, decimal: str = "") -> str:
    """The number that `text` means: without what parts thousands, and with a point before its decimals.

    A sign before three digits parts thousands, where it is not the `decimal` sign nor behind a lone 0.
    """
    *thousands, last = re.split("[.,]", text)
    parts = re.fullmatch(r"-?[1-9]\d{0,2}([.,])\d{3}(\1\d{3})*", text)
    if parts and (len(thousands) > 1 or parts[1] != decimal):
        return "".join((*thousands, last))
    return "".join(thousands) + "." + last if thousands else last


def _ways(digits: str, minus: Gap, gaps: Sequence[Gap], decimal: str) -> Iterator[tuple[float, str]]:
    """Every way in which the number may be written, with what speaks against it in nats."""
    places = [_signs(gap, len(gaps) - at, decimal) for at, gap in enumerate(gaps)]
    for before, *between in product(_answers(minus, [(0.0, "-")]), *places):
        text = digits[:1] + "".join(
            sign + digit for (_, sign), digit in zip(between, digits[1:], strict=True)
        )
        odd = DECIMALS if _MANY_DECIMALS.fullmatch(text) else 0.0
        yield odd + before[0] + sum(cost for cost, _ in between), before[1] + text


def _signs(gap: Gap, following: int, decimal: str) -> list[tuple[float, str]]:
    """What may stand in a gap with so many digits `following`, and nats against it."""
    comma = gap.comma
    if decimal and following != 3:
        comma += HABIT if decimal == "," else -HABIT
    return _answers(gap, [(max(0.0, -comma), ","), (max(0.0, comma), ".")])


def _answers(gap: Gap, signs: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The `signs` that may be in a gap, or nothing, or where it is doubtful both."""
    if not gap.doubtful:
        return signs if gap.there > 0 else [(0.0, "")]
    there = max(-UNDECIDED, min(UNDECIDED, gap.there))
    return [(max(0.0, there), ""), *((cost + max(0.0, -there), sign) for cost, sign in signs)]


def is_settled(number: Punctuation, gaps: Sequence[Gap]) -> bool:
    """Whether it is written so and not otherwise, and which of its signs are commas, which points."""
    return number.may is None and all(abs(gap.comma) >= KIND for gap in gaps if gap.there > 0)


def decimal_sign(texts: Sequence[str]) -> str:
    """The decimal sign that nearly all of the `texts`, surely written, have; empty where there is none.

    A single sign before three digits may part thousands, and two alike do, or they are a date's.
    """
    found = Counter(
        text[-1 - len(part)]
        for text in texts
        if (part := re.split("[.,]", text)[-1]) != text
        and len(part) != 3
        and _is_last_of_its_kind(text, part)
    )
    sign, count = max(found.items(), key=lambda item: item[1], default=("", 0))
    return sign if count >= HABITS and count >= CONSTANT * found.total() else ""


def _is_last_of_its_kind(text: str, part: str) -> bool:
    return text.count(text[-1 - len(part)]) == 1
