"""Measures of a classifier on cases that can be worked out by hand, and what must hold for any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training import metrics
from training.inks import NONE
from training.metrics import Ranking

Samples = tuple[NDArray[np.float64], NDArray[np.bool_]]

NO_FLOATS = np.zeros(0)
NO_TRUTHS = np.zeros(0, np.bool_)


def truthful(count: int, seed: int, least: float = 0.5) -> Samples:
    """Confidences that are exactly how often each sample is right."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(least, 1, count)
    return confidence, rng.random(count) < confidence


@st.composite
def some_samples(draw: st.DrawFn) -> Samples:
    """Any samples, many of them equally sure."""
    rows = draw(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60))
    return np.array([level / 20 for level, _ in rows]), np.array([right for _, right in rows])


# --- intervals of shares -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (7, 50, 0.0695, 0.2619)],
)
def test_wilsons_interval_is_that_of_the_tables(successes: int, count: int, low: float, high: float) -> None:
    assert metrics.wilson(successes, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 10, 0.0, 0.3085), (7, 50, 0.0582, 0.2674), (0, 907, 0.0, 0.004059)],
)
def test_the_exact_interval_is_that_of_the_tables(
    successes: int, count: int, low: float, high: float
) -> None:
    assert metrics.clopper_pearson(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_nothing_seen_says_nothing() -> None:
    assert metrics.wilson(0, 0) == metrics.clopper_pearson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 300), st.data())
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_share_and_the_exact_one_is_the_more_careful(
    count: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, count))
    low, high = metrics.wilson(successes, count)
    assert low <= successes / count + 1e-12
    assert high >= successes / count - 1e-12
    exact = metrics.clopper_pearson(successes, count)
    assert exact[1] - exact[0] > 0.9 * (high - low)


# --- calibration ---------------------------------------------------------------------------------------


def test_one_bin_of_known_gap() -> None:
    confidence, right = np.full(10, 0.9), np.arange(10) < 7
    assert metrics.calibration_error(confidence, right) == pytest.approx(0.2)
    assert metrics.calibration_error(confidence, right, metrics.equal_mass) == pytest.approx(0.2)


def test_gaps_of_bins_count_by_their_samples_and_do_not_cancel() -> None:
    confidence = np.repeat([0.95, 0.55], [30, 10])
    right = np.concatenate([np.arange(30) < 27, np.arange(10) < 8])
    assert metrics.calibration_error(confidence, right) == pytest.approx(0.75 * 0.05 + 0.25 * 0.25)


@pytest.mark.parametrize("binning", [metrics.equal_width, metrics.equal_mass])
@pytest.mark.parametrize("count", [200, 900, 10_000])
def test_a_truthful_model_shows_the_floor_of_its_sample_size(binning: metrics.Binning, count: int) -> None:
    """The floor's mean is what such models show on average, and the 95th percentile is seldom passed."""
    mean, top = metrics.calibration_floor(truthful(count, 0)[0], binning)
    shown = [metrics.calibration_error(*truthful(count, seed), binning) for seed in range(40)]
    assert np.mean(shown) == pytest.approx(mean, rel=0.2)
    assert sum(error > top for error in shown) <= 7


def test_the_floor_falls_with_the_samples_and_a_boast_stands_above_it() -> None:
    small, large = (metrics.calibration_floor(truthful(count, 0)[0]) for count in (200, 20_000))
    assert large[1] < small[0] / 3
    confidence, right = truthful(2000, 1)
    boast = 1 - (1 - confidence) / 4
    assert metrics.calibration_error(boast, right) > 3 * metrics.calibration_floor(boast)[1]


def test_equally_many_samples_are_in_each_bin_and_equally_sure_ones_together() -> None:
    places = metrics.equal_mass(np.linspace(0, 1, 150))
    assert np.bincount(places).tolist() == [10] * 15
    tied = np.repeat([0.2, 0.9, 0.99], [5, 50, 50])
    assert all(len(set(metrics.equal_mass(tied)[tied == level])) == 1 for level in (0.2, 0.9, 0.99))


def test_reliability_counts_every_sample_once() -> None:
    confidence, right = truthful(907, 2)
    rows = metrics.reliability(confidence, right)
    assert sum(row["count"] for row in rows) == 907
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    mean = sum(row["count"] * row["accuracy"] for row in rows) / 907
    assert mean == pytest.approx(right.mean())


# --- coverage ------------------------------------------------------------------------------------------


def test_coverage_of_a_known_order() -> None:
    confidence = np.array([0.99, 0.95, 0.9, 0.8, 0.7])
    right = np.array([True, True, False, True, True])
    ranking = Ranking(confidence, right)
    assert [ranking.coverage(rate) for rate in (0.0, 0.1, 0.2, 0.4)] == [0.4, 0.4, 1.0, 1.0]
    share, error = ranking.curve()
    np.testing.assert_allclose(share, [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(error, [0, 0, 1 / 3, 1 / 4, 1 / 5])


def test_equally_sure_samples_are_accepted_together_or_not_at_all() -> None:
    confidence = np.array([0.99, 0.8, 0.8, 0.8])
    assert Ranking(confidence, np.array([True, True, True, False])).coverage(0.1) == 0.25
    assert Ranking(confidence, np.array([True, True, True, False])).coverage(0.25) == 1.0


@given(some_samples(), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_larger_error_budget_never_covers_less(samples: Samples, one: float, other: float) -> None:
    ranking = Ranking(*samples)
    assert ranking.coverage(min(one, other)) <= ranking.coverage(max(one, other))
    assert ranking.coverage(1.0) == 1.0


@given(some_samples(), st.floats(0, 0.5))
@settings(max_examples=100, deadline=None)
def test_what_is_covered_keeps_the_budget(samples: Samples, rate: float) -> None:
    confidence, right = samples
    taken = round(Ranking(confidence, right).coverage(rate) * len(right))
    accepted = np.sort(confidence)[::-1][:taken]
    chosen = confidence >= accepted[-1] if taken else np.zeros(len(right), np.bool_)
    assert chosen.sum() == taken
    assert (~right[chosen]).sum() <= rate * taken + 1e-6


@given(some_samples(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_samples_is_nothing_to_any_measure(samples: Samples, seed: int) -> None:
    confidence, right = samples
    order = np.random.default_rng(seed).permutation(len(right))
    shuffled = confidence[order], right[order]
    for binning in (metrics.equal_width, metrics.equal_mass):
        error = metrics.calibration_error(confidence, right, binning)
        assert metrics.calibration_error(*shuffled, binning) == pytest.approx(error)
        floor = metrics.calibration_floor(confidence, binning, repeats=3)
        assert metrics.calibration_floor(shuffled[0], binning, repeats=3) == pytest.approx(floor)
    assert Ranking(*shuffled).coverage(0.1) == Ranking(confidence, right).coverage(0.1)
    groups = np.arange(len(right)) % 4
    intervals = metrics.coverage_intervals(Ranking(confidence, right), groups, (0.1,), repeats=5)
    assert metrics.coverage_intervals(Ranking(*shuffled), groups[order], (0.1,), repeats=5) == intervals


def test_the_interval_of_coverage_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = Ranking(*truthful(200_000, 99, least=0.0)).coverage(0.2)
    held = 0
    for seed in range(60):
        ranking = Ranking(*truthful(400, seed, least=0.0))
        ((low, high),) = metrics.coverage_intervals(ranking, np.arange(400), (0.2,), repeats=150)
        held += low <= truth <= high
    assert held >= 52


def test_digits_of_one_hand_count_as_one_piece_of_evidence() -> None:
    confidence, right = truthful(400, 5, least=0.0)
    copies = np.repeat(confidence, 10), np.repeat(right, 10)
    ((low, high),) = metrics.coverage_intervals(Ranking(confidence, right), np.arange(400), (0.2,))
    hands = np.repeat(np.arange(400), 10)
    ((by_hand, to_hand),) = metrics.coverage_intervals(Ranking(*copies), hands, (0.2,))
    ((alone, to_alone),) = metrics.coverage_intervals(Ranking(*copies), np.arange(4000), (0.2,))
    assert to_hand - by_hand == pytest.approx(high - low, rel=0.35)
    assert to_alone - alone < 0.6 * (to_hand - by_hand)


def test_one_hand_alone_says_nothing_of_others() -> None:
    ranking = Ranking(*truthful(50, 1))
    assert metrics.coverage_intervals(ranking, np.zeros(50, np.int64), (0.1, 0.01)) == [(0, 1), (0, 1)]


# --- digits against non-digits -------------------------------------------------------------------------


def test_the_area_under_a_known_curve() -> None:
    digits, others = np.array([0.9, 0.8, 0.4]), np.array([0.7, 0.4, 0.1])
    # Of nine pairs seven in order, one tied (a half), one the other way round.
    assert metrics.auroc(digits, others) == pytest.approx(7.5 / 9)
    assert metrics.auroc(digits, digits) == 0.5
    assert metrics.auroc(np.ones(3), np.zeros(4)) == 1.0
    passed, accepted = metrics.roc(digits, others)
    heights = (accepted[1:] + accepted[:-1]) / 2
    assert float(heights @ np.diff(passed)) == pytest.approx(7.5 / 9)


def test_without_one_of_the_two_there_is_no_area() -> None:
    assert metrics.auroc(NO_FLOATS, np.ones(3)) is None
    assert metrics.auroc(np.ones(3), NO_FLOATS) is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_at_the_level_at_least_so_many_are_accepted(values: list[int], share: float) -> None:
    confidence = np.array(values) / 30
    level = metrics.level_for(confidence, share)
    assert (confidence >= level).mean() >= share - 1e-9
    assert level in confidence


def test_confusions_stand_at_truth_and_reading() -> None:
    rows = np.full((4, 11), 0.01, np.float32)
    rows[[0, 1, 2, 3], [5, 5, 6, NONE]] = 0.9
    found = metrics.confusion(rows, np.array([5, 5, 8, 8]))
    assert found.shape == (10, 11)
    assert (found[5, 5], found[8, 6], found[8, NONE], found.sum()) == (2, 1, 1, 4)


def test_an_empty_set_has_figures_of_nothing() -> None:
    ranking = Ranking(NO_FLOATS, NO_TRUTHS)
    assert metrics.calibration_error(NO_FLOATS, NO_TRUTHS) == ranking.coverage(0.5) == 0.0
    assert metrics.calibration_floor(NO_FLOATS) == (0.0, 0.0)
    assert metrics.reliability(NO_FLOATS, NO_TRUTHS) == []
    assert [len(part) for part in ranking.curve()] == [0, 0]
    assert metrics.level_for(NO_FLOATS, 0.98) == 1.0
    assert metrics.confusion(np.zeros((0, 11), np.float32), np.zeros(0, np.int64)).sum() == 0
