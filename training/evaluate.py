"""Evaluation: what a model is right about, on handwriting that it was not trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processor.prediction import glyphs
from processor.prediction.classifier import Classifier
from training import cutting, datasets
from training.calibrate import calibration_error
from training.inks import NONE, Inks, Labels, collect

DIGIT_ACCEPTANCE = 0.98
"""Non-digits are judged at the confidence that this share of MNIST's test digits reaches."""

LOOKALIKES = frozenset("bgijloqsyz")
"""Latin letters that some hand writes as another writes a digit: 6 9 1 1 1 0 9 5 4 2."""


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
    """Samples by the name under which their figures stand in the manifest."""

    name: str
    inks: Inks


def digit_sets(data: Path) -> list[TestSet]:
    """MNIST's test part, and the digits of the cheque strips that are never trained on, as far as at hand."""
    sets = []
    if (data / "mnist").is_dir():
        sets.append(TestSet("mnist-test", datasets.mnist(data / "mnist", "test")))
    if (data / "orand-car-a").is_dir():
        sets.append(TestSet("cheque-digits-held-out", _held_out_digits(data / "orand-car-a")))
    return sets


def _held_out_digits(folder: Path) -> Inks:
    cut = [
        (image, label)
        for name, boxes in datasets.strip_boxes(folder, datasets.held_out_strips(folder)).items()
        for image, label in cutting.cut_boxes(datasets.strip_page(folder, name), boxes)
    ]
    return collect("orand-car-a", [c[0] for c in cut], [c[1] for c in cut], [0] * len(cut))


def non_digit_sets(data: Path) -> list[TestSet]:
    """Non-digits that are never trained on, as far as at hand: Latin letters, points, dashes, commas."""
    if not (data / "non-digits").is_dir():
        return []
    latin = datasets.omniglot(data / "non-digits" / "omniglot.zip", ["Latin"])
    letters = np.array([chr(ord("a") + int(group)) for group in latin.groups])
    unlike = ~np.isin(letters, list(LOOKALIKES))
    sets = [
        TestSet("latin-letters", latin),
        TestSet("latin-letters-unlike-digits", latin.take(np.flatnonzero(unlike))),
    ]
    strokes = data / "non-digits" / "strokes"
    kinds = sorted(folder for folder in strokes.iterdir() if folder.is_dir())
    return sets + [TestSet(folder.name, datasets.folder_of_ink(folder)) for folder in kinds]


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
