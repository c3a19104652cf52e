"""What a model made of digits and non-digits, and the figures that say how far it can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.inks import NONE, Labels

RATES = (0.01, 0.001)
"""The error rates at which it is told how many digits can be accepted."""

Figures = dict[str, Any]
Threshold = Mapping[str, float]
"""A row of a manifest's thresholds: `max_error_rate` and the `confidence` that is to keep it."""


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """What a model made of a set's digits: `probabilities` (N, 11), `labels` (N,) 0..9, `groups` (N,).

    `part` says which part of its source this is, where the set was made from one.
    """

    name: str
    probabilities: NDArray[np.float32]
    labels: Labels
    groups: Labels
    part: str = ""

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N,): the probability of the best of the ten digits, which is what a reading is reported with."""
        return np.asarray(self.probabilities[:, :NONE].max(axis=1), np.float32)

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.probabilities[:, :NONE].argmax(axis=1) == self.labels, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class NonDigits:
    """How much of a digit a model saw in each of a set's non-digits (N,).

    `as_read` is the confidence with which the product would report a digit, `by_shape` what the network
    alone says of the enlarged mark; `passing` says where "none" is not its best class. Pages are only read.
    """

    name: str
    as_read: NDArray[np.float64]
    by_shape: NDArray[np.float32] | None = None
    passing: NDArray[np.bool_] | None = None
    part: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What a second reader made of a set's strips: `truths` (N), `read` (N), and `confidence` (N,) in that.

    `files` (N) are the strips' names; `part` as of `Digits`.
    """

    name: str
    files: tuple[str, ...]
    truths: tuple[str, ...]
    read: tuple[str, ...]
    confidence: NDArray[np.float64]
    part: str = ""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,): of which every digit is right."""
        return np.array([t == r for t, r in zip(self.truths, self.read, strict=True)], np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """All that a model made of some sets; `numbers` is what its second reader did, where it has one.

    `thresholds` are its manifest's, strictest first; `level` is the confidence at which non-digits are
    accepted, `reference` (M,) the confidences of the digits that it is taken from.
    """

    digits: tuple[Digits, ...]
    non_digits: tuple[NonDigits, ...]
    thresholds: tuple[Threshold, ...]
    level: float
    reference: NDArray[np.float32]
    numbers: tuple[Numbers, ...] = ()

    def figures(self) -> dict[str, Figures]:
        """The figures of every set as plain numbers, as they stand in a manifest."""
        found = {seen.name: digit_figures(seen, self.thresholds) for seen in self.digits}
        others = {seen.name: non_digit_figures(seen, self.level, self.reference) for seen in self.non_digits}
        return found | others | {seen.name: number_figures(seen) for seen in self.numbers}

    def document(self) -> dict[str, Figures]:
        """The figures, and of digits each digit, the confusions, reliability and every threshold."""
        found = self.figures()
        for seen in self.digits:
            found[seen.name] |= digit_details(seen, self.thresholds)
        for numbers in self.numbers:
            found[numbers.name] |= number_details(numbers)
        parts = [(d.name, d.part) for d in self.digits] + [(n.name, n.part) for n in self.non_digits]
        parts += [(n.name, n.part) for n in self.numbers]
        for name, part in parts:
            found[name] |= {"part": part} if part else {}
        return found


def number_figures(seen: Numbers) -> Figures:
    """Numbers without a fault, digits at fault, calibration, and how many numbers can be accepted.

    `digit_error_rate` are the digits to insert, leave out or replace, of all digits there are.
    `coverage_at_RATE` is with the best threshold for this very set, its errors are whole numbers.
    """
    count, right, confidence = len(seen.truths), seen.right, seen.confidence
    if not count:
        return {"count": 0}
    wrong = sum(metrics.edits(truth, read) for truth, read in zip(seen.truths, seen.read, strict=True))
    digits = sum(map(len, seen.truths))
    figures = {
        "right": right.mean(),
        **_ends("right", metrics.wilson(int(right.sum()), count)),
        "digits": digits,
        "digit_error_rate": wrong / max(digits, 1),
        **_calibration(confidence, right),
    }
    ranking = metrics.Ranking(confidence, right)
    for rate, interval in zip(
        RATES, metrics.coverage_intervals(ranking, np.arange(count), RATES), strict=True
    ):
        figures[f"coverage_at_{rate:g}"] = ranking.coverage(rate)
        figures |= _ends(f"coverage_at_{rate:g}", interval)
    return {"count": count, **_rounded(figures)}


def number_details(seen: Numbers) -> Figures:
    """What does not go into one number: reliability, and every number read wrong, the surest first."""
    if not len(seen.truths):
        return {}
    wrong = np.flatnonzero(~seen.right)
    surest = wrong[np.argsort(-seen.confidence[wrong], kind="stable")]
    return {
        "reliability": [_rounded(row) for row in metrics.reliability(seen.confidence, seen.right)],
        "wrong": [
            {
                "file": seen.files[i],
                "digits": seen.truths[i],
                "read": seen.read[i],
                "confidence": round(float(seen.confidence[i]), 5),
            }
            for i in surest.tolist()
        ],
    }


def digit_figures(seen: Digits, thresholds: Sequence[Threshold] = ()) -> Figures:
    """Accuracy among the ten digits and over all classes, calibration, and what can be accepted.

    `coverage_at_RATE` is with the best threshold for this very set, `threshold_RATE_*` with the manifest's,
    which was chosen on other handwriting: only the latter is what a user will see.
    """
    count, right, confidence = len(seen.labels), seen.right, seen.confidence
    if not count:
        return {"count": 0}
    figures = {
        "accuracy": right.mean(),
        **_ends("accuracy", metrics.wilson(int(right.sum()), count)),
        "accuracy_over_all_classes": (seen.probabilities.argmax(axis=1) == seen.labels).mean(),
        **_calibration(confidence, right),
    }
    ranking = metrics.Ranking(confidence, right)
    for rate, interval in zip(RATES, metrics.coverage_intervals(ranking, seen.groups, RATES), strict=True):
        figures[f"coverage_at_{rate:g}"] = ranking.coverage(rate)
        figures |= _ends(f"coverage_at_{rate:g}", interval)
    for row in thresholds:
        if row["max_error_rate"] in RATES:
            found = threshold_figures(seen, row)
            figures |= {f"threshold_{row['max_error_rate']:g}_{name}": found[name] for name in _KEPT}
    return {"count": count, **_rounded(figures)}


_KEPT = ("coverage", "error", "error_low", "error_high")


def threshold_figures(seen: Digits, row: Threshold) -> Figures:
    """What a threshold does here: the share of digits accepted, the errors among them, exact intervals."""
    accepted = seen.confidence >= row["confidence"]
    taken, errors = int(accepted.sum()), int((accepted & ~seen.right).sum())
    return {
        "max_error_rate": row["max_error_rate"],
        "confidence": row["confidence"],
        "accepted": taken,
        "errors": errors,
        "coverage": taken / max(len(accepted), 1),
        "error": errors / max(taken, 1),
        **_ends("error", metrics.clopper_pearson(errors, taken)),
    }


def digit_details(seen: Digits, thresholds: Sequence[Threshold]) -> Figures:
    """What does not go into one number: each digit, confusions (10, 11), reliability, every threshold."""
    if not len(seen.labels):
        return {}
    return {
        "per_digit": per_digit(seen),
        "confusion": metrics.confusion(seen.probabilities, seen.labels).tolist(),
        "reliability": [_rounded(row) for row in metrics.reliability(seen.confidence, seen.right)],
        "thresholds": [_rounded(threshold_figures(seen, row)) for row in thresholds],
    }


def per_digit(seen: Digits) -> list[Figures]:
    """Accuracy of each digit that occurs, with its interval."""
    rows = []
    for digit in np.unique(seen.labels):
        own = seen.right[seen.labels == digit]
        ends = _ends("accuracy", metrics.wilson(int(own.sum()), len(own)))
        figures = _rounded({"accuracy": own.mean(), **ends})
        rows.append({"digit": int(digit), "count": len(own), "right": int(own.sum()), **figures})
    return rows


def non_digit_figures(seen: NonDigits, level: float, reference: NDArray[np.float32]) -> Figures:
    """The share that passes for a digit at `level`, and how well confidence parts it from `reference`."""
    count = len(seen.as_read)
    if not count:
        return {"count": 0}
    figures: dict[str, float | None] = {"level": level}
    for name, scores in (("accepted", seen.by_shape), ("accepted_as_read", seen.as_read)):
        if scores is not None:
            passed = int((scores >= level).sum())
            figures |= {name: passed / count, **_ends(name, metrics.wilson(passed, count))}
            figures[name.replace("accepted", "auroc")] = metrics.auroc(reference, scores)
    if seen.passing is not None:
        figures["taken_for_a_digit"] = seen.passing.mean()
    return {"count": count, **_rounded(figures)}


def _calibration(confidence: metrics.Floats, right: NDArray[np.bool_]) -> dict[str, float]:
    floor = metrics.calibration_floor(confidence)
    return {
        "calibration_error": metrics.calibration_error(confidence, right),
        "calibration_error_floor": floor[0],
        "calibration_error_floor_95": floor[1],
        "calibration_error_equal_mass": metrics.calibration_error(confidence, right, metrics.equal_mass),
    }


def _ends(name: str, interval: metrics.Interval) -> dict[str, float]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _rounded(figures: Mapping[str, Any]) -> Figures:
    """Counts as they are, shares to five places, what there is no figure for left out."""
    return {
        name: value if isinstance(value, int) else round(float(value), 5)
        for name, value in figures.items()
        if value is not None
    }
