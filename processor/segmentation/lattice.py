"""The lattice: over all ways to join parts into digits, the most likely reading of a line of parts wins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Parts `start` to `stop` (exclusive) taken together as one digit, or as `junk`, at `cost` nats."""

    start: int
    stop: int
    cost: float
    junk: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """The `best` path from left to right, and the share (0 to 1) of all paths that each hypothesis is on."""

    best: list[Hypothesis]
    shares: list[float]


def best_path(count: int, hypotheses: Sequence[Hypothesis], cuts: Sequence[float]) -> Paths:
    """The cheapest way to cover parts 0 … `count` - 1.

    `cuts[i]` is the cost of ending a hypothesis before part i where that cuts ink (0 where paper lies there).
    The shares are forward-backward posteriors (Rabiner, 1989) with weights exp(-cost). Every part needs at
    least one hypothesis of its own.
    """
    ending: list[list[Hypothesis]] = [[] for _ in range(count + 1)]
    starting: list[list[Hypothesis]] = [[] for _ in range(count + 1)]
    for hypothesis in hypotheses:
        ending[hypothesis.stop].append(hypothesis)
        starting[hypothesis.start].append(hypothesis)
    cheapest = [0.0] + [np.inf] * count
    last: list[Hypothesis | None] = [None] * (count + 1)
    forward = [0.0] + [-np.inf] * count
    for stop in range(1, count + 1):
        for h in ending[stop]:
            step = h.cost + cuts[h.start]
            if cheapest[h.start] + step < cheapest[stop]:
                cheapest[stop], last[stop] = cheapest[h.start] + step, h
            forward[stop] = np.logaddexp(forward[stop], forward[h.start] - step)
    backward = [-np.inf] * count + [0.0]
    for start in range(count - 1, -1, -1):
        for h in starting[start]:
            backward[start] = np.logaddexp(backward[start], backward[h.stop] - h.cost - cuts[start])
    shares = [
        forward[h.start] - h.cost - cuts[h.start] + backward[h.stop] - forward[count] for h in hypotheses
    ]
    return Paths(_trace(last), [float(np.exp(min(0.0, share))) for share in shares])


def _trace(last: Sequence[Hypothesis | None]) -> list[Hypothesis]:
    path: list[Hypothesis] = []
    stop = len(last) - 1
    while stop > 0:
        taken = last[stop]
        assert taken is not None, "every part has a hypothesis of its own"
        path.append(taken)
        stop = taken.start
    return path[::-1]
