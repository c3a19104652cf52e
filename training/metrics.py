"""Measures of a classifier: pure functions of confidences, of what was right, and of labels.

`confidence` (N,) is the probability of the best of the ten digits, which is what the product compares with
its threshold; `right` (N,) says whether that digit is the true one.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.inks import NONE, Labels

BINS = 15

Floats = NDArray[np.float32] | NDArray[np.float64]
Truths = NDArray[np.bool_]
Interval = tuple[float, float]
"""Both ends of a 95 % confidence interval."""

Binning = Callable[[Floats], NDArray[np.int64]]
"""Confidences (N,) to the number of the bin of each."""


def wilson(successes: int, count: int) -> Interval:
    """The interval of a share; E. B. Wilson (1927). Nothing seen says nothing: (0, 1)."""
    return _interval(successes, count, "wilson")


def clopper_pearson(successes: int, count: int) -> Interval:
    """The exact interval of a share, for the few errors that stricter error rates leave; (1934).

    It covers the truth at least as often as it says; Wilson's is nearer to 95 %, but falls short at the ends.
    """
    return _interval(successes, count, "exact")


def _interval(successes: int, count: int, method: str) -> Interval:
    if not count:
        return 0.0, 1.0
    # Takes half a second to load, which no other command need wait for.
    from scipy.stats import binomtest

    found = binomtest(successes, count).proportion_ci(0.95, method)
    return float(found.low), float(found.high)


def equal_width(confidence: Floats) -> NDArray[np.int64]:
    """Bins of equal width: the usual ones, most of them all but empty where a model is sure."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def equal_mass(confidence: Floats) -> NDArray[np.int64]:
    """Bins of equally many samples; those that are equally sure stay together."""
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, confidence, side="right").astype(np.int64)


def calibration_error(confidence: Floats, right: Truths, binning: Binning = equal_width) -> float:
    """The expected calibration error: the mean gap of confidence and accuracy over bins, by their samples.

    Source: C. Guo et al., "On calibration of modern neural networks" (2017); bins of equal mass are the less
    biased: R. Roelofs et al., "Mitigating bias in calibration error estimation" (2022). Either is above zero
    for a perfect model, the more so the fewer samples there are: compare it with `calibration_floor`.
    """
    if not len(confidence):
        return 0.0
    gaps = np.bincount(binning(confidence), confidence.astype(np.float64) - right)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_floor(
    confidence: Floats, binning: Binning = equal_width, repeats: int = 400, seed: int = 0
) -> Interval:
    """What `calibration_error` shows of a model whose confidences are exactly true: mean, 95th percentile.

    Source: consistency resampling of J. Bröcker and L. A. Smith, "Increasing the reliability of reliability
    diagrams" (2007): each sample is right by lot, as often as its confidence says.
    """
    if not len(confidence):
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    # In order, so that the lots do not hang on the order in which the samples came.
    sure = np.sort(confidence.astype(np.float64))
    bins = binning(sure)
    errors = [
        float(np.abs(np.bincount(bins, sure - (rng.random(len(sure)) < sure))).sum()) / len(sure)
        for _ in range(repeats)
    ]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def reliability(confidence: Floats, right: Truths, binning: Binning = equal_mass) -> list[dict[str, float]]:
    """Count, mean confidence and accuracy of each bin that is not empty."""
    if not len(confidence):
        return []
    places = binning(confidence)
    return [
        {
            "count": int((places == place).sum()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places)
    ]


class Ranking:
    """Samples from the surest to the least sure: what is accepted at a threshold is a beginning of them.

    Source: Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks" (2017).
    """

    def __init__(self, confidence: Floats, right: Truths) -> None:
        self.order = np.argsort(-confidence, kind="stable")
        self.wrong = ~right[self.order]
        in_order = confidence[self.order]
        # No threshold parts samples that are equally sure: only the last of them can stand for it.
        self.parted = np.append(in_order[1:] < in_order[:-1], True)[: len(in_order)]

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share accepted (K,) and share of errors among them (K,), for each threshold there can be."""
        taken = np.arange(1, len(self.wrong) + 1)
        errors = np.cumsum(self.wrong)
        return (taken / max(len(taken), 1))[self.parted], (errors / taken)[self.parted]

    def coverage(self, rate: float, weights: NDArray[np.int64] | None = None) -> float:
        """The largest share that can be accepted with at most `rate` errors among it.

        `weights` (N,) counts each sample so many times. The threshold is the best for these very samples, so
        a threshold chosen beforehand will do a little worse.
        """
        if not len(self.wrong):
            return 0.0
        counts = np.ones(len(self.wrong), np.int64) if weights is None else weights[self.order]
        taken = np.cumsum(counts)
        errors = np.cumsum(counts * self.wrong)
        within = np.flatnonzero(self.parted & (errors <= rate * taken + 1e-9))
        return float(taken[within[-1]] / taken[-1]) if len(within) else 0.0


def coverage_intervals(
    ranking: Ranking, groups: Labels, rates: Sequence[float], repeats: int = 400, seed: int = 0
) -> list[Interval]:
    """The intervals of `ranking.coverage` at each of `rates`, by drawing whole groups (N,) again.

    A percentile bootstrap (B. Efron, 1979) over writers or strips, because the digits of one hand are wrong
    together. Where less than one or two errors may be among all samples, coverage hangs on where the first
    error stands, and the interval is rough.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return [(0.0, 1.0) for _ in rates]
    rng = np.random.default_rng(seed)
    even = np.full(len(names), 1 / len(names))
    found = np.empty((len(rates), repeats))
    for number in range(repeats):
        weights = rng.multinomial(len(names), even)[members]
        found[:, number] = [ranking.coverage(rate, weights) for rate in rates]
    return [(float(np.quantile(row, 0.025)), float(np.quantile(row, 0.975))) for row in found]


def confusion(probabilities: NDArray[np.float32], labels: Labels) -> NDArray[np.int64]:
    """(10, 11): how often each true digit was read as each digit, or as no digit; labels 0..9 only."""
    counts = np.zeros((NONE, NONE + 1), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def edits(truth: str, read: str) -> int:
    """The fewest digits to insert, leave out or replace that make `read` of `truth` (Levenshtein, 1966)."""
    row = list(range(len(read) + 1))
    for place, wanted in enumerate(truth, 1):
        above, row = row, [place]
        for column, found in enumerate(read):
            row.append(min(above[column] + (wanted != found), above[column + 1] + 1, row[column] + 1))
    return row[-1]


def level_for(confidence: Floats, share: float) -> float:
    """The highest threshold at which at least this `share` of the samples is accepted; 1 without samples."""
    return float(np.quantile(confidence, 1 - share, method="lower")) if len(confidence) else 1.0


def auroc(digits: Floats, non_digits: Floats) -> float | None:
    """How often a digit scores higher than a non-digit, a tie being half; None where either are missing."""
    if not len(digits) or not len(non_digits):
        return None
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(digits), len(non_digits)])
    return float(roc_auc_score(truth, np.concatenate([digits, non_digits])))


def roc(digits: Floats, non_digits: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of non-digits (K,) and of digits (K,) accepted, from the strictest threshold to none."""
    from sklearn.metrics import roc_curve

    truth = np.repeat([1, 0], [len(digits), len(non_digits)])
    passed, accepted, _ = roc_curve(truth, np.concatenate([digits, non_digits]))
    return np.asarray(passed, np.float64), np.asarray(accepted, np.float64)
