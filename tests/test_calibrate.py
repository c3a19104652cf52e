"""Calibration: the temperature that makes confidences true, and thresholds that keep an error rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processor.prediction.classifier import softmax
from training.calibrate import CERTAINTY, LEAST_CONFIDENCE, acceptances, fit_temperature, upper_bound
from training.inks import NONE, Labels


def truthful(count: int, spread: float, seed: int = 11) -> tuple[NDArray[np.float32], Labels]:
    """Logits whose softmax is exactly how often each class is right."""
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((count, 11)) * spread).astype(np.float32)
    chances = softmax(logits).cumsum(axis=1)
    labels = (rng.random((count, 1)) > chances).sum(axis=1).clip(0, 10)
    return logits, labels.astype(np.int64)


def sure_digits(
    confidences: NDArray[np.float64], wrong: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], Labels]:
    """Threes read with these confidences; those that are `wrong` are fives."""
    probabilities = np.zeros((len(confidences), 11), np.float32)
    probabilities[:, 3] = confidences
    return probabilities, np.where(wrong, 5, 3).astype(np.int64)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, labels = truthful(6000, 3.0)
    found = fit_temperature(logits * np.float32(temperature), labels)
    assert found == pytest.approx(temperature, rel=0.06)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_accepted_digits_keep_the_error_rate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = softmax((rng.standard_normal((2000, 11)) * 6).astype(np.float32))
    best = probabilities[:, :10].argmax(axis=1)
    right = rng.random(2000) < probabilities[:, :10].max(axis=1)
    rows = acceptances(probabilities, np.where(right, best, (best + 1) % 10), (0.05, 0.2))
    for row in rows:
        taken = probabilities[:, :10].max(axis=1) >= row["confidence"]
        assert taken.sum() == 0 or (~right[taken]).mean() <= row["max_error_rate"]
    assert rows[0]["confidence"] >= rows[1]["confidence"]
    assert rows[0]["coverage"] <= rows[1]["coverage"]


def test_a_threshold_holds_for_digits_it_was_not_fitted_on() -> None:
    """Of many calibrations, not more than one in ten may promise more than it keeps."""
    broken = 0
    for seed in range(40):
        logits, labels = truthful(3000, 5.0, seed)
        digit = labels != NONE
        (row,) = acceptances(softmax(logits[digit]), labels[digit], (0.02,))
        fresh, truth = truthful(20_000, 5.0, seed + 1000)
        probabilities = softmax(fresh[truth != NONE])[:, :10]
        taken = probabilities.max(axis=1) >= row["confidence"]
        wrong = probabilities.argmax(axis=1) != truth[truth != NONE]
        broken += bool(taken.any()) and bool(wrong[taken].mean() > 0.02)
    assert broken <= 4


def test_few_digits_promise_nothing() -> None:
    confidences = np.linspace(0.99, 0.9, 299)
    probabilities, labels = sure_digits(confidences, np.zeros(299, np.bool_))
    strict, loose = acceptances(probabilities, labels, (0.001, 0.05))
    assert (strict["confidence"], strict["coverage"]) == (1.0, 0.0)
    assert loose["coverage"] == 1.0


def test_no_threshold_is_below_an_even_chance() -> None:
    probabilities, labels = sure_digits(np.linspace(0.9, 0.3, 2000), np.zeros(2000, np.bool_))
    (row,) = acceptances(probabilities, labels, (0.05,))
    assert row["confidence"] == LEAST_CONFIDENCE


def test_equally_sure_digits_are_accepted_together_or_not_at_all() -> None:
    wrong = np.zeros(1000, np.bool_)
    wrong[600:700] = True
    probabilities, labels = sure_digits(np.repeat([0.9, 0.8], 500), wrong)
    (row,) = acceptances(probabilities, labels, (0.02,))
    assert row["confidence"] == pytest.approx(0.9)
    assert row["coverage"] == 0.5


def test_non_digits_that_pass_are_told_beside_the_digits() -> None:
    probabilities, labels = sure_digits(np.full(1000, 0.95), np.zeros(1000, np.bool_))
    others, _ = sure_digits(np.array([0.97, 0.4, 0.3, 0.2]), np.zeros(4, np.bool_))
    (row,) = acceptances(
        np.concatenate([probabilities, others]), np.concatenate([labels, np.full(4, NONE)]), (0.01,)
    )
    assert row["non_digits_accepted"] == 0.25
    assert row["coverage"] == 1.0


def test_without_digits_nothing_is_promised() -> None:
    (row,) = acceptances(np.zeros((0, 11), np.float32), np.zeros(0, np.int64), (0.01,))
    assert row == {"max_error_rate": 0.01, "confidence": 1.0, "coverage": 0.0, "non_digits_accepted": 0.0}


def test_the_upper_bound_is_that_of_the_rule_of_three_and_one_where_all_were_wrong() -> None:
    bound = upper_bound(np.array([0, 5]), np.array([3000, 5]))
    assert bound[0] == pytest.approx(1 - (1 - CERTAINTY) ** (1 / 3000), rel=1e-6)
    assert bound[1] == 1.0
