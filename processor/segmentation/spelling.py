"""Spelling: how likely a line's parts, joined in any way, are a given string of digits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Parts `start` to `stop` (exclusive) taken together: `digits` (10,) nats for reading them as each
    digit, `junk` for leaving them out; None where that cannot be."""

    start: int
    stop: int
    digits: NDArray[np.float64] | None
    junk: float | None


@dataclass(frozen=True, slots=True)
class Spelling:
    """The likeliest way to read a string: its cost in nats, and the index of each digit's step."""

    cost: float
    taken: tuple[int, ...]


def spell(count: int, steps: Sequence[Step], cuts: Sequence[float], digits: str) -> Spelling | None:
    """The cheapest way to read `digits` on parts 0 … `count` - 1; None where no way of joining gives so many.

    `cuts[i]` is the cost of ending a step before part i where that cuts ink. Dynamic programming over parts
    and digits read.
    """
    wanted = np.array([int(digit) for digit in digits], np.int64)
    cheapest = np.full((count + 1, len(digits) + 1), np.inf)
    cheapest[0, 0] = 0.0
    last = np.full((count + 1, len(digits) + 1, 2), -1, np.int64)
    for number in sorted(range(len(steps)), key=lambda i: steps[i].stop):
        step = steps[number]
        before = cheapest[step.start] + cuts[step.start]
        if step.junk is not None:
            _take(cheapest[step.stop], last[step.stop], before + step.junk, number, 0)
        if step.digits is not None and len(digits):
            read = before[:-1] + step.digits[wanted]
            _take(cheapest[step.stop, 1:], last[step.stop, 1:], read, number, 1)
    cost = float(cheapest[count, len(digits)])
    return Spelling(cost, _trace(last, steps)) if np.isfinite(cost) else None


def all_ways(count: int, steps: Sequence[Step], cuts: Sequence[float]) -> float:
    """The logarithm of the sum of exp(-cost) over all ways to read the parts, whatever the digits."""
    sums = np.full(count + 1, -np.inf)
    sums[0] = 0.0
    for step in sorted(steps, key=lambda step: step.stop):
        ways = [] if step.digits is None else [np.logaddexp.reduce(-step.digits)]
        ways += [] if step.junk is None else [-step.junk]
        if ways:
            reached = sums[step.start] - cuts[step.start] + np.logaddexp.reduce(ways)
            sums[step.stop] = np.logaddexp(sums[step.stop], reached)
    return float(sums[count])


def _take(
    cheapest: NDArray[np.float64],
    last: NDArray[np.int64],
    costs: NDArray[np.float64],
    number: int,
    read: int,
) -> None:
    """Writes `costs` where they are lower than what was `cheapest`, and by which step they were reached."""
    better = costs < cheapest
    cheapest[better] = costs[better]
    last[better] = number, read


def _trace(last: NDArray[np.int64], steps: Sequence[Step]) -> tuple[int, ...]:
    taken: list[int] = []
    stop, read = last.shape[0] - 1, last.shape[1] - 1
    while stop > 0:
        number, digit = (int(v) for v in last[stop, read])
        if digit:
            taken.append(number)
        stop, read = steps[number].start, read - digit
    return tuple(reversed(taken))
