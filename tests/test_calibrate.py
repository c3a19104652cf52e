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


# --- weights -------------------------------------------------------------------------------------------


def mostly_easy(own_wrong: int) -> tuple[NDArray[np.float32], Labels, NDArray[np.float64]]:
    """5,957 digits that are read right, and 300 of one's own, 38 % of the weight, of which some are not."""
    wrong = np.zeros(6257, np.bool_)
    wrong[5957 : 5957 + own_wrong] = True
    confidences = np.concatenate([np.linspace(0.999, 0.7, 5957), np.linspace(0.95, 0.9, 300)])
    probabilities, labels = sure_digits(confidences, wrong)
    return probabilities, labels, np.repeat([0.62 / 5957, 0.38 / 300], [5957, 300])


def test_mistakes_on_ones_own_forms_raise_the_threshold_by_their_share() -> None:
    """By their number alone, ten mistakes in 300 own digits are nothing among thousands of others."""
    probabilities, labels, weights = mostly_easy(own_wrong=10)
    (by_number,) = acceptances(probabilities, labels, (0.01,))
    (by_share,) = acceptances(probabilities, labels, (0.01,), weights)
    assert by_number["coverage"] == 1.0
    assert by_share["confidence"] > 0.94
    assert by_share["coverage"] < 0.5


def test_equal_weights_change_nothing() -> None:
    logits, labels = truthful(2000, 4.0)
    even = np.full(2000, 0.25)
    assert fit_temperature(logits, labels, even) == pytest.approx(fit_temperature(logits, labels), rel=1e-3)
    probabilities = softmax(logits)
    assert acceptances(probabilities, labels, weights=even) == acceptances(probabilities, labels)


def test_unequal_weights_leave_fewer_samples_to_go_by() -> None:
    """400 digits without an error keep 1 %; the same ones, forty of which are half the weight, do not."""
    probabilities, labels = sure_digits(np.linspace(0.99, 0.9, 400), np.zeros(400, np.bool_))
    weights = np.repeat([9.0, 1.0], [40, 360])
    assert acceptances(probabilities, labels, (0.01,))[0]["coverage"] == 1.0
    assert acceptances(probabilities, labels, (0.01,), weights)[0]["coverage"] == 0.0


def test_the_temperature_is_that_of_what_weighs_most() -> None:
    logits, labels = truthful(4000, 3.0)
    mixed = logits * np.repeat([1.0, 3.0], 2000).astype(np.float32)[:, None]
    heavy = np.repeat([1.0, 1000.0], 2000)
    assert fit_temperature(mixed, labels, heavy) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(mixed, labels, heavy[::-1]) == pytest.approx(1.0, rel=0.1)
