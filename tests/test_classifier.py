"""The classifier gives each glyph the same bytes however it is batched, and refuses what it cannot trust."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.errors import BadModel, BadSettings
from processor.prediction.archive import find_model
from processor.prediction.classifier import BATCH, Classifier, softmax
from processor.prediction.glyphs import batch
from processor.prediction.networks import build
from processor.records import Glyphs
from processor.settings import shipped_archive
from tests.test_archive import a_manifest
from training.publish import write_run

PARAMETERS = {"classes": 11, "widths": [8, 16], "hidden": 8, "dropout": 0.3}
SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"

Tensors = dict[str, torch.Tensor]


def some_tensors() -> Tensors:
    torch.manual_seed(5)
    return build("strided-residual", PARAMETERS).state_dict()


def add_model(folder: Path, tensors: Tensors, **changes: Any) -> Path:
    """A model with true hashes in `folder`, whatever its tensors and manifest hold."""
    folder.mkdir()
    weights = safetensors.torch.save(tensors)
    write_run(folder, weights, {**a_manifest("any", b""), "parameters": PARAMETERS, **changes})
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.load(add_model(tmp_path_factory.mktemp("archive") / "random", some_tensors()))


@pytest.fixture(scope="module")
def glyphs() -> Glyphs:
    return np.random.default_rng(1).random((3 * BATCH + 5, 1, 28, 28), np.float32)


def test_probabilities_are_a_distribution_over_the_classes(classifier: Classifier, glyphs: Glyphs) -> None:
    probabilities = classifier.probabilities(glyphs)
    assert probabilities.shape == (len(glyphs), len(classifier.classes)) == (len(glyphs), 11)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_no_glyphs_give_no_rows(classifier: Classifier) -> None:
    assert classifier.probabilities(np.zeros((0, 1, 28, 28), np.float32)).shape == (0, 11)


@given(count=st.integers(1, 3 * BATCH + 5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_glyph_gets_the_same_bytes_in_any_company(
    classifier: Classifier, glyphs: Glyphs, count: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(glyphs))[:count]
    together = classifier.probabilities(glyphs)
    assert classifier.probabilities(glyphs[order]).tobytes() == together[order].tobytes()


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 1, 20, 20), (2, 3, 28, 28), (28, 28)])
def test_glyphs_of_another_shape_are_refused(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 1, 28, 28\)"):
        classifier.probabilities(np.zeros(shape, np.float32))


def test_a_higher_temperature_is_less_sure_of_the_same_digits(tmp_path: Path, glyphs: Glyphs) -> None:
    tensors = {
        name: tensor * 3 if name == "head.weight" else tensor for name, tensor in some_tensors().items()
    }
    cold = Classifier.load(add_model(tmp_path / "cold", tensors, temperature=0.5)).probabilities(glyphs)
    warm = Classifier.load(add_model(tmp_path / "warm", tensors, temperature=4.0)).probabilities(glyphs)
    assert (warm.max(axis=1) < cold.max(axis=1)).all()
    np.testing.assert_array_equal(warm.argmax(axis=1), cold.argmax(axis=1))


def test_the_thresholds_are_the_manifests(classifier: Classifier) -> None:
    assert classifier.name == "random"
    assert classifier.acceptance_threshold(0.01) == 0.8
    assert len(classifier.thresholds["acceptance"]) == 3


def test_softmax_survives_large_scores() -> None:
    rows = softmax(np.array([[1000, 0, -1000], [-1000, -1000, -1000]], np.float32))
    np.testing.assert_allclose(rows, np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), atol=1e-6)


def _poison(tensors: Tensors) -> None:
    tensors["stem.conv.weight"][0, 0, 0, 0] = float("nan")


def _overflow(tensors: Tensors) -> None:
    tensors["head.bias"][3] = float("inf")


def _lose(tensors: Tensors) -> None:
    del tensors["head.bias"]


def _add(tensors: Tensors) -> None:
    tensors["backdoor.weight"] = torch.zeros(3)


def _reshape(tensors: Tensors) -> None:
    tensors["head.bias"] = torch.zeros(12)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_poison, "stem.conv.weight"),
        (_overflow, "head.bias"),
        (_lose, "head.bias"),
        (_add, "backdoor.weight"),
        (_reshape, r"head.bias has shape \(12,\), expected \(11,\)"),
    ],
)
def test_tensors_that_cannot_be_right_are_refused_by_name(
    tmp_path: Path, damage: Callable[[Tensors], None], named: str
) -> None:
    tensors = {name: tensor.clone() for name, tensor in some_tensors().items()}
    damage(tensors)
    with pytest.raises(BadModel, match=named):
        Classifier.load(add_model(tmp_path / "damaged", tensors))


def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    write_run(folder, b"\x80\x04cos\nsystem\n.", {**a_manifest("any", b""), "parameters": PARAMETERS})
    with pytest.raises(BadModel, match="no safetensors"):
        Classifier.load(folder)


def test_a_manifest_with_other_classes_than_the_network_is_refused(tmp_path: Path) -> None:
    folder = add_model(tmp_path / "odd", some_tensors(), classes=list("0123456789"))
    with pytest.raises(BadModel, match="scores 11 classes, its manifest names 10"):
        Classifier.load(folder)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    folder = add_model(tmp_path / "odd", some_tensors(), architecture="transformer")
    with pytest.raises(BadModel, match="transformer"):
        Classifier.load(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    folder = add_model(tmp_path / "model", some_tensors())
    with pytest.raises(BadSettings, match=r"recognition\.device"):
        Classifier.load(folder, "cuda:0")
    assert Classifier.load(folder, "auto").name == "model"


def shipped() -> Classifier:
    archive = shipped_archive()
    assert archive is not None
    return Classifier.load(find_model(archive, "current").path)


def test_the_shipped_model_reads_handwriting_and_refuses_blots() -> None:
    with np.load(SAMPLE) as data:
        images, labels = data["images"], data["labels"]
    probabilities = shipped().probabilities(batch(list(images)))
    assert (probabilities.argmax(axis=1) == labels).mean() >= 0.98
    cross = np.eye(28, dtype=np.float32) + np.eye(28, dtype=np.float32)[::-1]
    blots = batch([np.ones((20, 20)), np.ones((3, 30)), cross])
    assert (shipped().probabilities(blots).argmax(axis=1) == 10).all()


def test_the_shipped_manifest_says_what_it_was_trained_on() -> None:
    manifest = shipped().model.manifest
    assert json.dumps(manifest["data"]).count("licence") == len(manifest["data"]) > 0
    assert manifest["metrics"]["mnist-test"]["accuracy"] >= 0.99
