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
class Chosen:
    """A hypothesis on the best path, and its share among all paths (0 to 1)."""

    hypothesis: Hypothesis
    posterior: float


def best_path(count: int, hypotheses: Sequence[Hypothesis], cuts: Sequence[float]) -> list[Chosen]:
    """The cheapest way to cover parts 0 … `count` - 1, from left to right.

    `cuts[i]` is the cost of ending a hypothesis before part i where that cuts ink (0 where paper lies there).
    The posterior is the forward-backward share (Rabiner, 1989) with weights exp(-cost). Every part needs at
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
    path: list[Chosen] = []
    stop = count
    while stop > 0:
        taken = last[stop]
        assert taken is not None, "every part has a hypothesis of its own"
        share = forward[taken.start] - taken.cost - cuts[taken.start] + backward[taken.stop] - forward[count]
        path.append(Chosen(taken, float(np.exp(min(0.0, share)))))
        stop = taken.start
    return path[::-1]
