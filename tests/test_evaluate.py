"""Evaluation: which sets, what is in-source, the figures of digits and non-digits, the command."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from processor.prediction.classifier import Classifier
from training import evaluate, testsets
from training.inks import NONE, Inks, collect
from training.sources import Corpus, Pool

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"
ARCHIVE = Path(__file__).parent.parent / "models_archive"


@pytest.fixture(scope="module")
def digits() -> Inks:
    with np.load(SAMPLE) as data:
        return collect("mnist-train", list(data["images"]), data["labels"], data["writers"])


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    """The model that comes with the program: a real one, that reads the digits of the sample."""
    return Classifier.load(ARCHIVE / (ARCHIVE / "CURRENT").read_text().strip())


def write_idx(file: Path, values: NDArray[np.generic]) -> None:
    kind = {"uint8": 8, "int32": 12}[values.dtype.name]
    header = bytes([0, 0, kind, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(header + values.astype(values.dtype.newbyteorder(">")).tobytes()))


@pytest.fixture
def data(tmp_path: Path, digits: Inks) -> Path:
    """A data folder with the sample as MNIST's training and test part."""
    folder = tmp_path / "data"
    labels = np.zeros((len(digits), 8), np.int32)
    labels[:, 2] = digits.groups
    for stem, part in (("train", "train"), ("t10k", "test")):
        write_idx(folder / "mnist" / f"{stem}-images-idx3-ubyte.gz", np.stack(list(digits.images)))
        write_idx(folder / "mnist" / f"{stem}-labels-idx1-ubyte.gz", digits.labels.astype(np.uint8))
        write_idx(folder / "mnist" / "writers" / f"qmnist-{part}-labels-idx2-int.gz", labels)
    return folder


def write_jc_progjava(data: Path, digits: Inks) -> None:
    (data / "jc-progjava").mkdir()
    np.savez(data / "jc-progjava" / "digits.npz", images=np.stack(list(digits.images)), labels=digits.labels)


# --- in-source and cross-source ------------------------------------------------------------------------


def of_source(source: str, inks: Inks, labels: NDArray[np.int64] | None = None) -> Inks:
    return Inks(source, inks.images, inks.labels if labels is None else labels, inks.groups)


def relations(rows: list[dict[str, object]]) -> dict[object, object]:
    return {row["set"]: row["relation"] for row in rows}


def test_the_other_part_of_a_collection_that_was_trained_on_is_in_source(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_jc_progjava(data, digits)
    corpus = Corpus((Pool(digits, 1, 0.0),), (digits.take(range(30)),))
    rows = evaluate.side_by_side(shipped, corpus, data)
    assert relations(rows) == {
        "mnist-train, kept out": "in-source",
        "mnist-test": "in-source",
        "jc-progjava": "cross-source",
    }
    assert [row["count"] for row in rows] == [30, 100, 100]
    assert all(row["accuracy"] > 0.9 for row in rows)
    json.dumps(rows, allow_nan=False)


def test_a_model_of_another_collection_is_judged_by_mnist_across_sources(
    shipped: Classifier, data: Path, digits: Inks
) -> None:
    write_jc_progjava(data, digits)
    copies = of_source("jc-progjava", digits)
    rows = evaluate.side_by_side(shipped, Corpus((Pool(copies, 1, 0.0),), (copies.take(range(9)),)), data)
    # What was trained on without a part kept out judges nothing.
    assert relations(rows) == {"jc-progjava, kept out": "in-source", "mnist-test": "cross-source"}


def test_non_digits_that_are_kept_out_do_not_count_as_digits(
    shipped: Classifier, tmp_path: Path, digits: Inks
) -> None:
    half = np.where(np.arange(len(digits)) % 2, digits.labels, NONE)
    mixed, none = of_source("mine", digits, half), of_source("marks", digits, np.full(len(digits), NONE))
    rows = evaluate.side_by_side(shipped, Corpus((Pool(mixed, 1, 0.0),), (mixed, none)), tmp_path)
    assert [(row["set"], row["count"]) for row in rows] == [("mine, kept out", 50)]


def test_wrong_readings_lower_the_accuracy(shipped: Classifier, tmp_path: Path, digits: Inks) -> None:
    labels = digits.labels.copy()
    labels[:40] = (labels[:40] + 5) % 10
    mine = of_source("mine", digits, labels)
    (row,) = evaluate.side_by_side(shipped, Corpus((Pool(mine, 1, 0.0),), (mine,)), tmp_path)
    assert 0.5 < row["accuracy"] <= 0.62


def test_every_set_knows_its_collection(data: Path) -> None:
    assert [(test.name, test.origin) for test in testsets.digit_sets(data)] == [("mnist-test", "mnist")]
    assert testsets.origin("pieces") == "mnist"
    assert testsets.origin("cheque-proposals") == "orand-car-a"
    assert testsets.origin("my forms") == "my forms"
