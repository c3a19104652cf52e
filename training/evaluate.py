"""Evaluation: what a model is right about, on handwriting that it was not trained on."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processor.prediction import glyphs
from processor.prediction.classifier import Classifier
from training.calibrate import calibration_error
from training.inks import NONE, Labels
from training.sources import Corpus
from training.testsets import TestSet, digit_sets, digits_of, non_digit_sets, origin, untrained_sets

DIGIT_ACCEPTANCE = 0.98
"""Non-digits are judged at the confidence that this share of MNIST's test digits reaches."""


def measure(classifier: Classifier, data: Path) -> dict[str, dict[str, Any]]:
    """All figures of a model, by test set, as they stand in its manifest."""
    found: dict[str, dict[str, Any]] = {}
    level = 1.0
    for test in digit_sets(data):
        probabilities = classifier.probabilities(glyphs.batch(test.inks.images))
        found[test.name] = digit_figures(probabilities, test.inks.labels)
        if test.name == "mnist-test":
            level = float(np.quantile(probabilities[:, :NONE].max(axis=1), 1 - DIGIT_ACCEPTANCE))
    for test in non_digit_sets(data):
        probabilities = classifier.probabilities(glyphs.batch(test.inks.images))
        found[test.name] = non_digit_figures(probabilities, level)
    return found


def side_by_side(classifier: Classifier, corpus: Corpus, data: Path) -> list[dict[str, Any]]:
    """Accuracy among digits on what a training has seen the like of, and on what it has not.

    "in-source" are the writers, strips or clusters that `corpus` keeps out, and the test sets of collections
    that another part of was trained on; "cross-source" are the test sets of all other collections.
    """
    trained = {origin(pool.inks.source) for pool in corpus.pools}
    kept = [digits_of(inks) for inks in corpus.validation]
    sets = [TestSet(f"{inks.source}, kept out", inks, origin(inks.source)) for inks in kept if len(inks)]
    elsewhere = [test for test in untrained_sets(data) if test.origin not in trained]
    rows = []
    for test in [*sets, *digit_sets(data), *elsewhere]:
        probabilities = classifier.probabilities(glyphs.batch(test.inks.images))
        right = probabilities[:, :NONE].argmax(axis=1) == test.inks.labels
        rows.append(
            {
                "set": test.name,
                "relation": "in-source" if test.origin in trained else "cross-source",
                "count": len(right),
                "accuracy": round(float(right.mean()), 5),
            }
        )
    return rows


def digit_figures(probabilities: NDArray[np.float32], labels: Labels) -> dict[str, float]:
    """Accuracy among the ten digits and over all classes, and the calibration error, of (N, classes)."""
    digits = probabilities[:, :NONE].argmax(axis=1)
    return {
        "count": len(labels),
        "accuracy": round(float((digits == labels).mean()), 5),
        "accuracy_over_all_classes": round(float((probabilities.argmax(axis=1) == labels).mean()), 5),
        "calibration_error": round(calibration_error(probabilities, labels), 5),
    }


def mixed_figures(probabilities: NDArray[np.float32], labels: Labels) -> dict[str, float]:
    """Figures on digits and non-digits together: (N, classes) and (N,)."""
    digits = labels != NONE
    right = probabilities.argmax(axis=1) == labels
    return {
        "count": len(labels),
        "digits_right": round(float(right[digits].mean()), 5),
        "non_digits_refused": round(float(right[~digits].mean()), 5) if (~digits).any() else 1.0,
        "calibration_error": round(calibration_error(probabilities, labels), 5),
    }


def non_digit_figures(probabilities: NDArray[np.float32], level: float) -> dict[str, float]:
    """The share of non-digits (N, classes) that pass for a digit, at `level` and as the best class."""
    return {
        "count": len(probabilities),
        "accepted": round(float((probabilities[:, :NONE].max(axis=1) >= level).mean()), 5),
        "taken_for_a_digit": round(float((probabilities.argmax(axis=1) != NONE).mean()), 5),
        "level": round(level, 5),
    }
