"""Rejection as text: what tells a run of characters that is a word from one that is a number, in nats.

The network judges one shape at a time, and to it an l is a 1, an o a 0 and an s a 5. A word gives itself away
as a whole: by letters that pass for no digit, by digits that are none of the sure ones, by those that letters
pass for (half of them are ones, hardly any is a 2, 3 or 4), and by its company: what is printed like it on
this page, and what stands in its line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import Cause, Rejection

LETTER = 3.5
"""Nats for a word from a mark like no digit, as high as its line."""

SEVERAL_LETTERS = 1.5
"""Nats for a word from characters that could not be cut apart: digits touch, too."""

PASSING = (0.3, 0.5, -2.2, -1.9, -2.2, 0.0, -1.3, -0.5, -1.4, -1.2)
"""Nats for a word from each digit read: how often letters pass for it, beside how often it is written."""

DOUBTS = (0.0, 0.07, 0.3, 0.9)
DOUBTED = (-0.8, 0.2, 1.0, 2.0)
"""Nats for a word from a digit read with so many nats of doubt: most digits have none, most letters some."""

NUMBERS_EXPECTED = 2.0
"""Nats against a word: the page was said to hold numbers."""

ALONE = 4.5
"""... and so many more, shared among the words of a page: what stands alone on a strip is a number."""

LIKE = 1.45
"""Words are in one type, or by one pen, where heights and strokes differ by at most this factor."""

LINE_LIKE = 1.8
"""... and in one line, by this one: x-heights beside capitals."""

MOST_BY_TYPE = 3.5
MOST_BY_LINE = 2.0
"""Nats that company may weigh, at most."""

DOUBTFUL_COMPANY = 1.0
"""So many words and so many numbers are added to those counted: one word alone makes no text."""


@dataclass(frozen=True, slots=True)
class Word:
    """A run of characters: its own `evidence` in nats for text, its line, and its type in pixels."""

    evidence: float
    line: int
    height: float
    stroke: float


def letter_evidence(size: float) -> float:
    """Nats for a word from a mark like no digit, `size` line heights high: a small one may be dirt."""
    return LETTER * min(1.0, size)


def digit_evidence(digit: int, confidence: float) -> float:
    """Nats for a word from a mark that was read as `digit` with this confidence; below 0 for a number.

    The figures are logarithms of shares among 10,000 characters of printed labels and prose in seven types,
    and 3,800 digits of forms, cheques and tables, rounded.
    """
    doubt = -math.log(max(confidence, 1e-4))
    return PASSING[digit] + float(np.interp(doubt, DOUBTS, DOUBTED))


def judge_words(words: Sequence[Word]) -> list[Rejection | None]:
    """Why each of a page's `words` is text; None for those that are numbers.

    Words of like height and stroke are of one kind, mostly, and so are those of one line. Fails on pages set
    in one type throughout whose words are spelt with o, l, i and s.
    """
    if not words:
        return []
    own = np.array([word.evidence for word in words]) - NUMBERS_EXPECTED - ALONE / len(words)
    nats = own + _by_type(words, own) + _by_line(words, own)
    return [Rejection(Cause.TEXT, "{} nats for a word", float(n), 0.0) if n > 0 else None for n in nats]


def _by_type(words: Sequence[Word], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats (N,) for each word from those like it on the page: the odds that one of them is text."""
    share = 1 / (1 + np.exp(-np.clip(own, -20, 20)))
    like = _within([w.height for w in words], LIKE) & _within([w.stroke for w in words], LIKE)
    np.fill_diagonal(like, False)
    odds = (like @ share + DOUBTFUL_COMPANY) / (like @ (1 - share) + DOUBTFUL_COMPANY)
    return np.clip(np.log(odds), -MOST_BY_TYPE, MOST_BY_TYPE)


def _by_line(words: Sequence[Word], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats (N,) for each word from those of its line that are about as high."""
    lines = np.array([w.line for w in words])
    beside = (lines[:, None] == lines) & _within([w.height for w in words], LINE_LIKE)
    np.fill_diagonal(beside, False)
    nats = beside @ np.clip(own, -MOST_BY_LINE, MOST_BY_LINE) / 2
    return np.asarray(np.clip(nats, -MOST_BY_LINE, MOST_BY_LINE), np.float64)


def _within(values: Sequence[float], factor: float) -> NDArray[np.bool_]:
    """(N, N): whether two of the values differ by at most this factor."""
    logs = np.log(np.maximum(np.array(values, np.float64), 1e-3))
    return np.asarray(np.abs(logs[:, None] - logs) <= math.log(factor), np.bool_)
