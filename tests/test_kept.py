"""What a model is calibrated on: every source by its share, and few digits with care."""

from pathlib import Path

import numpy as np
import pytest

from tests.sample_sources import sample_digits, write_mnist
from training.inks import NONE, Inks, collect
from training.kept import MOST_WEIGHT, kept_digits
from training.recipe import Recipe
from training.sources import gather


def digits_of(source: str, count: int) -> Inks:
    images = [np.full((4, 4), 255, np.uint8)] * count
    return collect(source, images, [number % 10 for number in range(count)], list(range(count)))


def test_a_source_counts_by_its_share_not_by_its_samples() -> None:
    kept = kept_digits([digits_of("mnist", 900), digits_of("own", 300)], [40, 25])
    assert kept.weights[:900].sum() / kept.weights.sum() == pytest.approx(40 / 65)
    assert kept.parts() == "900 digits of mnist (62%), 300 digits of own (38%)"


def test_a_few_digits_never_count_more_than_ten_times_the_mean() -> None:
    kept = kept_digits([digits_of("mnist", 5957), digits_of("own", 40)], [40, 25])
    assert kept.weights[-1] == MOST_WEIGHT
    assert kept.weights[-1] / kept.weights[0] > 14
    effective = kept.weights.sum() ** 2 / (kept.weights**2).sum()
    assert effective > 2000


def test_a_source_with_share_zero_and_non_digits_are_not_calibrated_on() -> None:
    letters = collect("own", [np.zeros((4, 4), np.uint8)] * 3, [NONE, 4, NONE], [0, 1, 2])
    kept = kept_digits([digits_of("mnist", 30), digits_of("proposals", 20), letters], [5, 0, 1])
    assert [inks.source for inks in kept.inks] == ["mnist", "own"]
    assert kept.as_they_come()[1].tolist() == [n % 10 for n in range(30)] + [4]
    assert len(kept.weights) == 31


def test_without_shares_every_sample_counts_the_same() -> None:
    kept = kept_digits([digits_of("one", 30), digits_of("two", 3)])
    assert kept.weights.tolist() == [1.0] * 33


def test_own_digits_calibrate_though_non_digits_stand_beside_them(tmp_path: Path) -> None:
    """Strips and corrections hold both: the digits that a person vouched for must not be lost with them."""
    digits = sample_digits()
    write_mnist(tmp_path / "mnist", digits)
    labels = np.where(np.arange(100) % 2, digits.labels, NONE)
    np.savez(tmp_path / "own.npz", images=np.stack(list(digits.images)), labels=labels, groups=np.arange(100))
    recipe = Recipe.model_validate(
        {
            "name": "mixed",
            "source": [
                {"name": "mnist", "share": 40},
                {"name": "own", "kind": "npz", "path": str(tmp_path / "own.npz"), "share": 25},
                {"name": "mnist-proposals", "share": 10},
            ],
        }
    )
    corpus = gather(recipe, tmp_path)
    assert len(corpus.validation) == len(corpus.shares)
    kept = kept_digits(corpus.validation, corpus.shares)
    assert [inks.source for inks in kept.inks] == ["mnist-train", "own"]
    assert not any((inks.labels == NONE).any() for inks in kept.inks)
