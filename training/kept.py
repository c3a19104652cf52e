"""What a model is calibrated on: the digits that a training keeps out, and how much each of them counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processor.prediction import glyphs
from processor.records import Glyphs
from training.inks import NONE, Inks, Labels

MOST_WEIGHT = 10.0
"""No digit counts more than so many times the mean: a dozen digits of one's own cannot stand for a page."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Digits of several sources; `weights` (N,) say how much each counts, source after source."""

    inks: tuple[Inks, ...]
    weights: NDArray[np.float64]

    def as_they_come(self) -> tuple[Glyphs, Labels]:
        """Glyphs and labels (N,) of all digits, not augmented."""
        images = [image for inks in self.inks for image in inks.images]
        return glyphs.batch(images), np.concatenate([inks.labels for inks in self.inks])

    def parts(self) -> str:
        """Each source with its digits and its part of the whole weight, for people."""
        ends = np.cumsum([len(inks) for inks in self.inks])
        sums = [float(own.sum()) for own in np.split(self.weights, ends[:-1])]
        return ", ".join(
            f"{len(inks)} digits of {inks.source} ({total / sum(sums):.0%})"
            for inks, total in zip(self.inks, sums, strict=True)
        )


def kept_digits(validation: Sequence[Inks], shares: Sequence[float] = ()) -> Kept:
    """The digits kept out, weighted so that each source counts by its share; one with share 0 not at all.

    `shares` go with `validation`; without them each sample counts the same. By their number alone the few
    digits of one's own forms would drown in MNIST's thousands, and thresholds would hold on MNIST only.
    Weights are trimmed (F. Potter, "A study of procedures to identify and trim extreme sampling weights",
    1990): the fewer digits share a weight, the more chance would speak with it.
    """
    digits = [inks.take(np.flatnonzero(inks.labels != NONE)) for inks in validation]
    asked = list(shares) if any(shares) else [float(len(inks)) for inks in digits]
    chosen = [(inks, share) for inks, share in zip(digits, asked, strict=True) if share and len(inks)]
    weights = np.concatenate([np.full(len(inks), share / len(inks)) for inks, share in chosen])
    weights /= weights.mean()
    return Kept(tuple(inks for inks, _ in chosen), np.minimum(weights, MOST_WEIGHT))
