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

BLANK = 0

ALPHABET = "0123456789.,-"
"""The characters after blank; the ten digits come first."""

DIGITS = 10

BEAM = 8
"""Hypotheses that are followed at once."""

LEAST = 1e-3
"""A digit less likely than this in a column begins no hypothesis there."""

SEPARATED = 0.5
"""A separator is told where it is likelier than this in a column between two digits."""

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
    states = _states(digits)
    if not len(columns):
        return 0.0 if not digits else _NEVER
    skips = _skips(states)
    reached = np.full(len(states), _NEVER)
    reached[:2] = columns[0, states[:2]]
    for column in columns[1:].astype(np.float64):
        stayed = np.logaddexp(reached, np.concatenate([[_NEVER], reached[:-1]]))
        jumped = np.where(skips, np.concatenate([[_NEVER, _NEVER], reached])[: len(states)], _NEVER)
        reached = np.logaddexp(stayed, jumped) + column[states]
    return float(np.logaddexp.reduce(reached[-2:]))


def align(columns: Columns, digits: str) -> list[Span]:
    """Where each of `digits` stands on the likeliest path through (T, 11) that spells them (Viterbi, 1967).

    Raises ValueError where there are too few columns for them.
    """
    states = _states(digits)
    skips = _skips(states)
    reached = np.full(len(states), _NEVER)
    reached[0] = 0.0
    steps = np.zeros((len(columns), len(states)), np.int8)
    for row, column in enumerate(columns.astype(np.float64)):
        earlier = np.stack(
            [
                reached,
                np.concatenate([[_NEVER], reached[:-1]]),
                np.where(skips, np.concatenate([[_NEVER, _NEVER], reached])[: len(states)], _NEVER),
            ]
        )
        steps[row] = earlier.argmax(axis=0)
        reached = earlier.max(axis=0) + column[states]
    place = len(states) - 1
    if len(states) > 1 and reached[-2] > reached[-1]:
        place -= 1
    if not np.isfinite(reached[place]):
        raise ValueError(f"{len(columns)} columns cannot spell {digits!r}")
    path = np.empty(len(columns), np.int64)
    for row in range(len(columns) - 1, -1, -1):
        path[row] = place
        place -= int(steps[row, place])
    return [_span(columns, path, i, int(digit) + 1) for i, digit in enumerate(digits)]


def _span(columns: Columns, path: NDArray[np.int64], number: int, label: int) -> Span:
    own = np.flatnonzero(path == 2 * number + 1)
    return Span(int(own[0]), int(own[-1]) + 1, float(np.exp(columns[own, label].max())))


def written(columns: Columns, digits: str, spans: Sequence[Span]) -> str:
    """`digits` as they are written, with the separators that (T, 1 + characters) shows around them."""
    separators = columns[:, DIGITS + 1 :]
    text = ""
    ends = [0, *(span.last for span in spans)]
    starts = [*(span.first for span in spans), len(columns)]
    for place, (start, end) in enumerate(zip(ends, starts, strict=True)):
        between = separators[start:end]
        last = place == len(digits)
        if between.size and not last:
            row, character = np.unravel_index(int(between.argmax()), between.shape)
            # Before the first digit only a minus is part of a number, and there is none within it.
            if between[row, character] > np.log(SEPARATED) and (ALPHABET[DIGITS + character] == "-") == (
                place == 0
            ):
                text += ALPHABET[DIGITS + int(character)]
        text += digits[place] if not last else ""
    return text


def _states(digits: str) -> NDArray[np.int64]:
    """Blank, first digit, blank, second digit … blank: the labels of the states of a path."""
    states = np.full(2 * len(digits) + 1, BLANK)
    states[1::2] = [int(digit) + 1 for digit in digits]
    return states


def _skips(states: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a state may follow the one before the last: a digit that differs from the digit before it."""
    skips = np.zeros(len(states), np.bool_)
    skips[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    return skips
