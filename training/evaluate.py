"""Evaluation: what a model is right about, and how sure it may be, on what it was not trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processor.pages.scans import decode
from processor.pipeline import Reader, read_page
from processor.prediction import glyphs
from processor.prediction.classifier import Classifier
from processor.records import Box, Gray
from processor.rejection.geometry import judge_blob
from processor.rejection.open_set import size_weight
from processor.settings import Limits
from training import metrics
from training.inks import NONE, Inks, Labels
from training.judgement import Digits, Figures, Judgement, NonDigits
from training.sources import Corpus
from training.testsets import (
    Notice,
    PageSet,
    TestSet,
    digit_sets,
    digits_of,
    inherited,
    mnist_test,
    nobody,
    non_digit_sets,
    origin,
    page_sets,
    untrained_sets,
)

DIGIT_ACCEPTANCE = 0.98
"""Non-digits are judged at the confidence that this share of MNIST's test digits reaches."""

ERROR_RATE = 0.01
"""... or, where there are no digits at all, at the manifest's threshold for this error rate."""

PDF_DPI = 200.0


def measure(classifier: Classifier, data: Path) -> dict[str, Figures]:
    """All figures of a model on the sets below `data`, by set, as they stand in its manifest."""
    return judge_all(classifier, data).figures()


def judge_all(classifier: Classifier, data: Path, notice: Notice = nobody) -> Judgement:
    """What a model makes of every test set at hand below `data`."""
    sets = [*digit_sets(data), *non_digit_sets(data)]
    return judge(classifier, sets, page_sets(data), data, notice)


def judge(
    classifier: Classifier,
    sets: Sequence[TestSet],
    pages: Sequence[PageSet],
    data: Path,
    notice: Notice = nobody,
) -> Judgement:
    """What a model makes of `sets` and `pages`; non-digits are weighed against MNIST's test digits in `data`.

    Where those are not at hand the digits of `sets` take their place. `notice` hears what is judged.
    """
    digits: list[Digits] = []
    non_digits: list[NonDigits] = []
    for test in sets:
        notice(f"{test.name}: {len(test.inks)} samples{', ' * bool(test.part)}{test.part}")
        probabilities = probabilities_of(classifier, test.inks)
        own, others = np.flatnonzero(test.inks.labels != NONE), np.flatnonzero(test.inks.labels == NONE)
        if len(own) or not len(others):
            labels, groups = test.inks.labels[own], test.inks.groups[own]
            digits.append(Digits(test.name, probabilities[own], labels, groups, test.part))
        if len(others):
            name = f"{test.name}, non-digits" if len(own) else test.name
            non_digits.append(_non_digits(name, test, probabilities[others], others))
    reference, level = _reference(classifier, digits, bool(non_digits or pages), data)
    for cells in pages:
        notice(f"{cells.name}: {len(cells.files)} pages")
        non_digits.append(NonDigits(cells.name, _read_pages(cells, Reader(classifier, level))))
    thresholds = sorted(classifier.thresholds["acceptance"], key=lambda row: float(row["max_error_rate"]))
    return Judgement(tuple(digits), tuple(non_digits), tuple(thresholds), level, reference)


def probabilities_of(classifier: Classifier, inks: Inks) -> NDArray[np.float32]:
    """Calibrated probabilities (N, 11) of samples, normalised as the product would."""
    return classifier.probabilities(glyphs.batch(inks.images))


def _reference(
    classifier: Classifier, digits: Sequence[Digits], wanted: bool, data: Path
) -> tuple[NDArray[np.float32], float]:
    """Confidences (M,) of digits, and the level that `DIGIT_ACCEPTANCE` of them reach."""
    known = [seen.confidence for seen in digits if seen.name == "mnist-test"]
    if wanted and not known and (test := mnist_test(data)) is not None:
        known = [probabilities_of(classifier, test.inks)[:, :NONE].max(axis=1)]
    reference = np.concatenate([np.zeros(0, np.float32), *(known or [seen.confidence for seen in digits])])
    if not len(reference):
        return reference, classifier.acceptance_threshold(ERROR_RATE)
    return reference, metrics.level_for(reference, DIGIT_ACCEPTANCE)


def _non_digits(
    name: str, test: TestSet, probabilities: NDArray[np.float32], places: NDArray[np.intp]
) -> NonDigits:
    by_shape = np.asarray(probabilities[:, :NONE].max(axis=1), np.float32)
    standing = [standing_as_digit(test.inks.images[i]) if test.framed else 1.0 for i in places]
    passing = np.asarray(probabilities.argmax(axis=1) != NONE, np.bool_)
    return NonDigits(name, by_shape * np.array(standing), by_shape, passing, test.part)


def standing_as_digit(frame: Gray) -> float:
    """What the size and the place of a mark in its line leave of its being a digit, from 0 to 1.

    `frame` is (h, w) uint8, high = ink, as high as the line. A comma is one because it is small: enlarged to
    a glyph it is a 1, and the product never asks the network without asking this.
    """
    ink = frame > glyphs.FAINTEST * frame.max(initial=0)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return 0.0
    # One pixel inside a larger page, because the frame's edges are no paper's.
    box = Box(int(columns[0]) + 1, int(rows[0]) + 1, int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    height, width = frame.shape
    if judge_blob(box, height, (height + 2, width + 2)) is not None:
        return 0.0
    return size_weight(box.height / height)


def _read_pages(pages: PageSet, reader: Reader) -> NDArray[np.float64]:
    """The confidence (N,) of the surest digit that the product reads in each file, 0 where it reads none."""
    scores = np.zeros(len(pages.files))
    for number, file in enumerate(pages.files):
        for page in decode(file.read_bytes(), file.name, Limits(), PDF_DPI):
            read = [digit.confidence for found in read_page(page, reader).numbers for digit in found.digits]
            scores[number] = max([scores[number], *read])
    return scores


def mixed_figures(probabilities: NDArray[np.float32], labels: Labels) -> dict[str, float]:
    """Figures on digits and non-digits together: (N, classes) and (N,)."""
    digits = labels != NONE
    right = probabilities.argmax(axis=1) == labels
    sure = probabilities[digits, :NONE]
    error = metrics.calibration_error(sure.max(axis=1), sure.argmax(axis=1) == labels[digits])
    return {
        "count": len(labels),
        "digits_right": round(float(right[digits].mean()), 5),
        "non_digits_refused": round(float(right[~digits].mean()), 5) if (~digits).any() else 1.0,
        "calibration_error": round(error, 5),
    }


def side_by_side(classifier: Classifier, corpus: Corpus, data: Path) -> list[Figures]:
    """Accuracy among digits on what a training has seen the like of, and on what it has not.

    "in-source" are the writers, strips or clusters that `corpus` keeps out, and the test sets of collections
    that another part of was trained on; "cross-source" are the test sets of all other collections.
    """
    trained = {origin(pool.inks.source) for pool in corpus.pools}
    trained |= inherited(classifier.model.manifest)
    kept = [digits_of(inks) for inks in corpus.validation]
    sets = [TestSet(f"{inks.source}, kept out", inks, origin(inks.source)) for inks in kept if len(inks)]
    elsewhere = [test for test in untrained_sets(data) if test.origin not in trained]
    rows = []
    for test in [*sets, *digit_sets(data), *elsewhere]:
        right = probabilities_of(classifier, test.inks)[:, :NONE].argmax(axis=1) == test.inks.labels
        rows.append(
            {
                "set": test.name,
                "relation": "in-source" if test.origin in trained else "cross-source",
                "count": len(right),
                "accuracy": round(float(right.mean()), 5),
            }
        )
    return rows
