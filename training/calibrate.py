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


def fit_temperature(logits: NDArray[np.float32], labels: Labels) -> float:
    """The divisor of `logits` (N, classes) under which `labels` (N,) are most likely.

    Source: C. Guo et al., "On calibration of modern neural networks" (2017). A golden-section search over
    the logarithm of the temperature, between 0.1 and 10.
    """
    low, high = np.log(0.1), np.log(10.0)
    golden = (np.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        first, second = high - golden * (high - low), low + golden * (high - low)
        if _nll(logits, labels, np.exp(first)) < _nll(logits, labels, np.exp(second)):
            high = second
        else:
            low = first
    return float(np.exp((low + high) / 2))


def acceptances(
    probabilities: NDArray[np.float32], labels: Labels, rates: Sequence[float] = ERROR_RATES
) -> list[dict[str, float]]:
    """For each error rate the least confidence that keeps it, and the share of digits accepted then.

    `probabilities` is (N, classes), `labels` (N,); a non-digit that is accepted counts as an error, one that
    is refused does not count. The threshold is where the errors among all surer samples are at or below
    the rate; with few errors in `labels` the strictest rates rest on a handful of samples.
    """
    confidence, digits = probabilities[:, :NONE].max(axis=1), probabilities[:, :NONE].argmax(axis=1)
    wrong = digits != labels
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    errors = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    # A threshold cannot part samples that are equally sure: only the last of them can stand for it.
    parted = np.append(sorted_confidence[1:] < sorted_confidence[:-1], True)
    total = max(int((labels != NONE).sum()), 1)
    rows = []
    for rate in rates:
        within = np.flatnonzero(parted & (errors <= rate))
        level = max(float(sorted_confidence[within[-1]]), LEAST_CONFIDENCE) if len(within) else 1.0
        taken = (confidence >= level) & (labels != NONE)
        coverage = int(taken.sum()) / total
        rows.append({"max_error_rate": rate, "confidence": level, "coverage": round(coverage, 4)})
    return rows


def calibration_error(probabilities: NDArray[np.float32], labels: Labels, bins: int = 15) -> float:
    """The expected calibration error of the best class, over `bins` of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[places == b].mean()) - float(right[places == b].mean()))
        * float((places == b).mean())
        for b in np.unique(places)
    ]
    return float(sum(gaps))


def _nll(logits: NDArray[np.float32], labels: Labels, temperature: float) -> float:
    chosen = softmax(logits / np.float32(temperature))[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())
