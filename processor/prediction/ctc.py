"""What a connectionist temporal classification says: digits, how likely they are, and where they stand.

A. Graves et al., "Connectionist temporal classification" (2006). A network gives, for each column of a
strip, the probability of every character and of *blank*: no character, or the same one still. Everything
here is about digits: who reads for them alone takes a point or a dash for a blank.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.records import Signs

BLANK = 0

ALPHABET = "0123456789.,-"
"""The characters after blank; the ten digits come first."""

DIGITS = 10

BEAM = 8
"""Hypotheses that are followed at once."""

LEAST = 1e-3
"""A digit less likely than this in a column begins no hypothesis there."""

SEPARATED = 0.5
"""A separator is written where it is likelier than this in a column between two digits."""

Columns = NDArray[np.float32]
"""Logarithms of probabilities: (T, 1 + characters) as the network gives them, or (T, 11) for digits only."""

_NEVER = -math.inf
_LEAST = math.log(LEAST)


@dataclass(frozen=True, slots=True)
class Span:
    """A digit on the likeliest path: the half-open columns it takes, and its probability at its surest."""

    first: int
    last: int
    confidence: float


def digits_only(columns: Columns) -> Columns:
    """(T, 1 + characters) to (T, 11): separators become blank."""
    blank = np.logaddexp.reduce(columns[:, [BLANK, *range(DIGITS + 1, columns.shape[1])]], axis=1)
    return np.concatenate([blank[:, None], columns[:, 1 : DIGITS + 1]], axis=1).astype(np.float32)


def greedy(columns: Columns) -> str:
    """The digits of the likeliest character in each column, repetitions and blanks left out."""
    best = columns.argmax(axis=1)
    changed = np.concatenate([[True], best[1:] != best[:-1]]) if len(best) else np.zeros(0, np.bool_)
    return "".join(str(c - 1) for c in best[changed & (best != BLANK)])


def beam(columns: Columns, width: int = BEAM) -> list[tuple[str, float]]:
    """The `width` likeliest strings of digits and their log-probabilities, best first, from (T, 11).

    Prefix beam search (Hannun et al., 2014): paths that spell the same are summed. What falls out of the
    beam on the way is missing from the sums, so `log_probability` of a string may be a little higher.
    """
    # By prefix: the log-probabilities of its paths that end in blank, and of those that end in its digit.
    found: dict[str, tuple[float, float]] = {"": (0.0, _NEVER)}
    sums = [("", 0.0)]
    for column in columns.astype(np.float64).tolist():
        likely = [(str(c - 1), gain) for c, gain in enumerate(column) if c and gain > _LEAST]
        following: dict[str, tuple[float, float]] = {}
        for prefix, either in sums:
            blank, digit = found[prefix]
            again = digit + column[int(prefix[-1]) + 1] if prefix else _NEVER
            _add(following, prefix, either + column[BLANK], again)
            for character, gain in likely:
                # The same digit twice: only where a blank parts them.
                before = blank if prefix.endswith(character) else either
                _add(following, prefix + character, _NEVER, before + gain)
        ordered = sorted((-_log_sum(*ends), prefix) for prefix, ends in following.items())
        sums = [(prefix, -score) for score, prefix in ordered[:width]]
        found = following
    return sums


def _add(found: dict[str, tuple[float, float]], prefix: str, blank: float, digit: float) -> None:
    old = found.get(prefix)
    found[prefix] = (_log_sum(old[0], blank), _log_sum(old[1], digit)) if old else (blank, digit)


def _log_sum(one: float, other: float) -> float:
    """The logarithm of the sum: ten times as fast as numpy's for two numbers."""
    low, high = (one, other) if one < other else (other, one)
    return high + math.log1p(math.exp(low - high)) if low > _NEVER else high


def log_probability(columns: Columns, digits: str) -> float:
    """The log-probability of exactly `digits` on (T, 11), over all paths: the forward algorithm."""
    gains, skips = _trellis(columns, digits)
    reached = _at_the_start(len(skips))
    for gain in gains:
        stayed = np.logaddexp(reached[2:], reached[1:-1])
        reached[2:] = np.logaddexp(stayed, reached[:-2] + skips) + gain
    return float(np.logaddexp.reduce(reached[2:][-2:]))


def align(columns: Columns, digits: str) -> list[Span]:
    """Where each of `digits` stands on the likeliest path through (T, 11) that spells them (Viterbi, 1967).

    Raises ValueError where there are too few columns for them.
    """
    gains, skips = _trellis(columns, digits)
    reached = np.tile(_at_the_start(len(skips)), (len(columns) + 1, 1))
    for before, after, gain in zip(reached[:-1], reached[1:], gains, strict=True):
        likeliest = np.maximum(before[2:], before[1:-1])
        np.maximum(likeliest, before[:-2] + skips, out=likeliest)
        np.add(likeliest, gain, out=after[2:])
    path = _trace(reached.tolist(), skips.tolist())
    if path is None:
        raise ValueError(f"{len(columns)} columns cannot spell {digits!r}")
    return [_span(columns, path, i, int(digit) + 1) for i, digit in enumerate(digits)]


def _trace(reached: Sequence[Sequence[float]], skips: Sequence[float]) -> list[int] | None:
    """The state in each column of the likeliest path; None where no path reaches the end."""
    place = len(skips) - 1
    if place and reached[-1][place + 1] > reached[-1][place + 2]:
        place -= 1
    if reached[-1][place + 2] == _NEVER:
        return None
    path: list[int] = []
    for before in reached[-2::-1]:
        path.append(place)
        came = (before[place + 2], before[place + 1], before[place] + skips[place])
        place -= came.index(max(came))
    return path[::-1]


def _span(columns: Columns, path: Sequence[int], number: int, label: int) -> Span:
    first = path.index(2 * number + 1)
    last = first + path.count(2 * number + 1)
    return Span(first, last, float(np.exp(columns[first:last, label].max())))


def signs(columns: Columns, spans: Sequence[Span]) -> list[Signs]:
    """What (T, 1 + characters) shows before each of the digits that take `spans`.

    Point and comma share the column in which they are surest together: one mark is seen as a bit of both.
    """
    likely = np.exp(columns[:, DIGITS + 1 :].astype(np.float64))
    starts = [0, *(span.last for span in spans)]
    return [_signs(likely[start : span.first]) for start, span in zip(starts, spans, strict=False)]


def _signs(between: NDArray[np.float64]) -> Signs:
    if not len(between):
        return Signs()
    point, comma, _ = between[int(between[:, :2].sum(axis=1).argmax())].tolist()
    return Signs(round(point, 4), round(comma, 4), round(float(between[:, 2].max()), 4))


def written(digits: str, seen: Sequence[Signs]) -> str:
    """`digits` as they are written, with what is `seen` before each of them."""
    text = ""
    for place, (digit, sign) in enumerate(zip(digits, seen, strict=True)):
        # Before the first digit only a minus is part of a number, and there is none within it.
        text += ("-" if sign.dash > SEPARATED else "") if place == 0 else _separator(sign)
        text += digit
    return text


def _separator(sign: Signs) -> str:
    if max(sign.point, sign.comma) <= SEPARATED:
        return ""
    return "." if sign.point >= sign.comma else ","


def _trellis(columns: Columns, digits: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each column of (T, 11) gives to each state, (T, S), and what skipping the state before it costs.

    The states of a path are blank, first digit, blank, second digit … blank. Only to a digit that differs
    from the digit before it a path may skip the blank between them: (S,) is 0 there, else minus infinity.
    """
    states = np.full(2 * len(digits) + 1, BLANK)
    states[1::2] = [int(digit) + 1 for digit in digits]
    may_skip = (states[2:] != BLANK) & (states[2:] != states[:-2])
    skips = np.concatenate([[_NEVER, _NEVER], np.where(may_skip, 0.0, _NEVER)])[: len(states)]
    return columns[:, states].astype(np.float64), skips


def _at_the_start(states: int) -> NDArray[np.float64]:
    """(2 + S,): before the first column a path stands on the first blank; two states before it are none's."""
    reached = np.full(2 + states, _NEVER)
    reached[2] = 0.0
    return reached
