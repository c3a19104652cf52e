"""Calibration: what a confidence means, measured on handwriting that was not trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processor.prediction.classifier import softmax
from training.inks import NONE, Labels

ERROR_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""The error rates for which a model's manifest holds a threshold."""

LEAST_CONFIDENCE = 0.5
"""No threshold is lower, however few errors there are: a digit that is less likely than not is no reading."""

CERTAINTY = 0.95
"""How sure it is, by the samples at hand, that a threshold keeps its error rate."""


def fit_temperature(
    logits: NDArray[np.float32], labels: Labels, weights: NDArray[np.float64] | None = None
) -> float:
    """The divisor of `logits` (N, classes) under which `labels` (N,), weighted (N,), are most likely.

    Source: C. Guo et al., "On calibration of modern neural networks" (2017). A golden-section search over
    the logarithm of the temperature, between 0.1 and 10. One number for all handwriting: where it is harder
    than that of `labels` the model stays a little too sure of itself, where it is easier too doubtful.
    """
    low, high = np.log(0.1), np.log(10.0)
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        first, second = high - golden * (high - low), low + golden * (high - low)
        if _nll(logits, labels, np.exp(first), weights) < _nll(logits, labels, np.exp(second), weights):
            high = second
        else:
            low = first
    return float(np.exp((low + high) / 2))


def acceptances(
    probabilities: NDArray[np.float32],
    labels: Labels,
    rates: Sequence[float] = ERROR_RATES,
    weights: NDArray[np.float64] | None = None,
) -> list[dict[str, float]]:
    """For each error rate the least confidence that keeps it, and the shares of samples accepted then.

    `probabilities` is (N, classes), `labels` (N,) with digits and, where there are any, non-digits. The
    errors are those among the digits; they are below the rate with a certainty of `CERTAINTY`, so few samples
    give a high threshold, and too few one that accepts nothing: 0.1 % takes 3,000 digits without an error.
    Which share of the non-digits passes is told beside it: nobody knows how many of them a page has.
    Source: Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks" (2017), with the
    exact binomial bound at each threshold.

    With `weights` (N,), errors and shares are weighted, and unequal weights leave as many samples to go by as
    tell as much without weights: (sum w)^2 / (sum w^2) (L. Kish, "Survey sampling", 1965), put into the same
    bound (E. Korn and B. Graubard, "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data", 1998). It is rough where the heavy samples alone are wrong.
    """
    confidence, best = probabilities[:, :NONE].max(axis=1), probabilities[:, :NONE].argmax(axis=1)
    digit = labels != NONE
    counts = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(-confidence[digit], kind="stable")
    sure, wrong, weight = confidence[digit][order], (best != labels)[digit][order], counts[digit][order]
    total = np.cumsum(weight)
    effective = total**2 / np.cumsum(weight**2)
    bound = upper_bound(np.cumsum(weight * wrong) / total * effective, effective)
    # A threshold cannot part samples that are equally sure: only the last of them can stand for it.
    parted = np.append(sure[1:] < sure[:-1], True)[: len(sure)]
    rows = []
    for rate in rates:
        within = np.flatnonzero(parted & (bound <= rate))
        level = max(float(sure[within[-1]]), LEAST_CONFIDENCE) if len(within) else 1.0
        rows.append(
            {
                "max_error_rate": rate,
                "confidence": level,
                "coverage": _share(confidence[digit] >= level, counts[digit]),
                "non_digits_accepted": _share(confidence[~digit] >= level, counts[~digit]),
            }
        )
    return rows


def upper_bound(errors: NDArray[np.number], counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Clopper-Pearson: the rates (K,) that `errors` (K,) of `counts` (K,) stay below with `CERTAINTY`."""
    # Takes half a second to load, which no other command need wait for.
    from scipy.stats import beta

    some = errors < counts
    return np.where(some, beta.ppf(CERTAINTY, errors + 1, np.where(some, counts - errors, 1)), 1.0)


def _share(taken: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    return round(float(np.average(taken, weights=weights)), 4) if len(taken) else 0.0


def _nll(
    logits: NDArray[np.float32],
    labels: Labels,
    temperature: float,
    weights: NDArray[np.float64] | None,
) -> float:
    chosen = softmax(logits / np.float32(temperature))[np.arange(len(labels)), labels]
    return float(np.average(-np.log(np.maximum(chosen, 1e-12)), weights=weights))
