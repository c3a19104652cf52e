"""The sets that models are judged on: handwriting and non-digits that are kept out of every training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training import cutting, datasets
from training.inks import NONE, Inks, collect

LOOKALIKES = frozenset("bgijloqsyz")
"""Latin letters that some hand writes as another writes a digit: 6 9 1 1 1 0 9 5 4 2."""

ELSEWHERE_PER_DIGIT = 200
"""So many of each digit of JC-ProgJava judge a model that was not trained on it: they are copies of a few."""

ORIGINS = {
    **dict.fromkeys(
        ("mnist-train", "mnist-test", "proposals", "mnist-proposals", "pieces", "runs", "crowded"), "mnist"
    ),
    **dict.fromkeys(("cheque-digits", "cheque-boxes", "cheque-proposals"), "orand-car-a"),
}
"""The collection behind a source, by the source's name in a manifest; every other source is its own."""

Notice = Callable[[str], object]


def nobody(_: str) -> None:
    """Hears of what happens, and keeps it to itself."""


@dataclass(frozen=True, slots=True, eq=False)
class TestSet:
    """Samples by the name under which their figures stand in the manifest.

    `origin` is the collection they are from: a model that learned from its other part has seen its pens and
    its paper, though not its writers. `framed` images are as high as the line that their mark stood in.
    `part` says which part of a source this is, where the set was made from one.
    """

    name: str
    inks: Inks
    origin: str
    framed: bool = False
    part: str = ""


@dataclass(frozen=True, slots=True)
class PageSet:
    """Image files of which no page holds a digit; each is read as the product reads a page."""

    name: str
    files: tuple[Path, ...]


def inherited(manifest: Mapping[str, Any]) -> set[str]:
    """The collections that a model learned from through the one that it began from."""
    rows = manifest.get("data")
    told = rows if isinstance(rows, list) else []
    return {origin(str(row.get("source"))) for row in told if isinstance(row, dict) and "through" in row}


def origin(source: str) -> str:
    """The collection that the samples of a source, named as in `Inks.source`, come from."""
    return ORIGINS.get(source, source)


def digits_of(inks: Inks) -> Inks:
    return inks.take(np.flatnonzero(inks.labels != NONE))


def digit_sets(data: Path) -> list[TestSet]:
    """MNIST's test part, and the digits of the cheque strips that are never trained on, as far as at hand."""
    sets = [test for test in [mnist_test(data)] if test is not None]
    if (data / "orand-car-a").is_dir():
        cut = _held_out_digits(data / "orand-car-a")
        sets.append(TestSet("cheque-digits-held-out", cut, "orand-car-a"))
    return sets


def mnist_test(data: Path) -> TestSet | None:
    """MNIST's test part, or None where it is not at hand."""
    folder = data / "mnist"
    return TestSet("mnist-test", datasets.mnist(folder, "test"), "mnist") if folder.is_dir() else None


def untrained_sets(data: Path) -> list[TestSet]:
    """Digits that judge only those models that were not trained on their collection: no part is kept out."""
    file = data / "jc-progjava" / "digits.npz"
    if not file.is_file():
        return []
    return [TestSet("jc-progjava", datasets.jc_progjava(file, ELSEWHERE_PER_DIGIT), "jc-progjava")]


def non_digit_sets(data: Path) -> list[TestSet]:
    """Non-digits that are never trained on, as far as at hand: Latin letters, points, dashes, commas."""
    sets = []
    if (data / "non-digits" / "omniglot.zip").is_file():
        latin = datasets.omniglot(data / "non-digits" / "omniglot.zip", ["Latin"])
        letters = np.array([chr(ord("a") + int(group)) for group in latin.groups], "U1")
        unlike = latin.take(np.flatnonzero(~np.isin(letters, list(LOOKALIKES))))
        sets += [
            TestSet("latin-letters", latin, "omniglot-latin"),
            TestSet("latin-letters-unlike-digits", unlike, "omniglot-latin"),
        ]
    strokes = data / "non-digits" / "strokes"
    if strokes.is_dir():
        kinds = sorted(folder for folder in strokes.iterdir() if folder.is_dir())
        sets += [TestSet(kind.name, datasets.folder_of_ink(kind), "strokes", framed=True) for kind in kinds]
    return sets


def page_sets(data: Path) -> list[PageSet]:
    """Photographed cells without writing, as far as at hand."""
    files = sorted((data / "non-digits" / "cells" / "blank").glob("*.jpg"))
    return [PageSet("blank-cells", tuple(files))] if files else []


def _held_out_digits(folder: Path) -> Inks:
    """The digits of the strips kept out; digits of one strip, which are of one hand, are a group."""
    strips = datasets.strip_boxes(folder, datasets.held_out_strips(folder))
    cut = [
        (image, label, number)
        for number, (name, boxes) in enumerate(strips.items())
        for image, label in cutting.cut_boxes(datasets.strip_page(folder, name), boxes)
    ]
    return collect("orand-car-a", [c[0] for c in cut], [c[1] for c in cut], [c[2] for c in cut])
