"""Spelling: how likely a line's parts, joined in any way, are a given string of digits."""

import math
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
    wanted = [int(digit) for digit in digits]
    cheapest = [[math.inf] * (len(wanted) + 1) for _ in range(count + 1)]
    cheapest[0][0] = 0.0
    last = [[(-1, 0)] * (len(wanted) + 1) for _ in range(count + 1)]
    # Few parts and few digits: plain numbers are several times as fast here as arrays so short.
    for number in sorted(range(len(steps)), key=lambda i: steps[i].stop):
        step = steps[number]
        before = [cost + cuts[step.start] for cost in cheapest[step.start]]
        costs, came = cheapest[step.stop], last[step.stop]
        if step.junk is not None:
            _take(costs, came, [cost + step.junk for cost in before], (number, 0))
        if step.digits is not None:
            likely = step.digits.tolist()
            read = [cost + likely[digit] for cost, digit in zip(before[:-1], wanted, strict=True)]
            _take(costs, came, [math.inf, *read], (number, 1))
    cost = cheapest[count][len(wanted)]
    return Spelling(cost, _trace(last, steps)) if math.isfinite(cost) else None


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
    cheapest: list[float], last: list[tuple[int, int]], costs: Sequence[float], step: tuple[int, int]
) -> None:
    """Writes `costs` where they are lower than what was `cheapest`, and by which step they were reached."""
    for read, cost in enumerate(costs):
        if cost < cheapest[read]:
            cheapest[read], last[read] = cost, step


def _trace(last: Sequence[Sequence[tuple[int, int]]], steps: Sequence[Step]) -> tuple[int, ...]:
    """The steps that read a digit on the way to the last part and the last digit; each says if it did."""
    taken: list[int] = []
    stop, read = len(last) - 1, len(last[0]) - 1
    while stop > 0:
        number, digit = last[stop][read]
        if digit:
            taken.append(number)
        stop, read = steps[number].start, read - digit
    return tuple(reversed(taken))
