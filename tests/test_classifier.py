"""The classifier gives each glyph the same bytes however it is batched, and refuses what it cannot trust."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from processor.errors import BadModel, BadSettings
from processor.prediction import networks
from processor.prediction.archive import find_model
from processor.prediction.classifier import BATCH, Classifier, softmax
from processor.prediction.glyphs import batch
from processor.prediction.manifests import input_of
from processor.prediction.networks import build
from processor.prediction.probe import pack
from processor.records import Glyphs
from processor.settings import shipped_archive
from tests.model_folders import (
    PARAMETERS,
    Tensors,
    add_run,
    edit_manifest,
    replace_probe,
    replace_weights,
    some_tensors,
)

SAMPLE = Path(__file__).parent / "data" / "mnist-sample.npz"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.load(add_run(tmp_path_factory.mktemp("archive") / "random"))


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
    with pytest.raises(ValueError, match=r"expected \(N, 1 or 2, 28, 28\)"):
        classifier.probabilities(np.zeros(shape, np.float32))


def test_only_a_network_of_two_planes_sees_what_stands_about_a_glyph(
    classifier: Classifier, tmp_path: Path, glyphs: Glyphs
) -> None:
    crowded = np.concatenate([glyphs, np.maximum(glyphs, np.roll(glyphs, 9, axis=3))], axis=1)
    alone = np.concatenate([glyphs, glyphs], axis=1)
    assert classifier.probabilities(crowded).tobytes() == classifier.probabilities(glyphs).tobytes()
    torch.manual_seed(4)
    parameters = {**PARAMETERS, "planes": 2}
    tensors = build("strided-residual", parameters).state_dict()
    run = add_run(tmp_path / "two", tensors, parameters=parameters, input=input_of(2))
    two = Classifier.load(run)
    assert two.probabilities(alone).tobytes() == two.probabilities(glyphs).tobytes()
    assert not np.allclose(two.probabilities(crowded), two.probabilities(alone))


def test_a_higher_temperature_is_less_sure_of_the_same_digits(tmp_path: Path, glyphs: Glyphs) -> None:
    tensors = {
        name: tensor * 3 if name == "head.weight" else tensor for name, tensor in some_tensors().items()
    }
    cold = Classifier.load(add_run(tmp_path / "cold", tensors, temperature=0.5)).probabilities(glyphs)
    warm = Classifier.load(add_run(tmp_path / "warm", tensors, temperature=4.0)).probabilities(glyphs)
    assert (warm.max(axis=1) < cold.max(axis=1)).all()
    np.testing.assert_array_equal(warm.argmax(axis=1), cold.argmax(axis=1))


def test_the_thresholds_are_the_manifests(classifier: Classifier) -> None:
    assert classifier.name == "random"
    assert classifier.acceptance_threshold(0.01) == 0.8
    assert len(classifier.thresholds["acceptance"]) == 3


def test_softmax_survives_large_scores() -> None:
    rows = softmax(np.array([[1000, 0, -1000], [-1000, -1000, -1000]], np.float32))
    np.testing.assert_allclose(rows, np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), atol=1e-6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_run(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "model")


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


def _halve(tensors: Tensors) -> None:
    tensors["head.bias"] = tensors["head.bias"].half()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_poison, "stem.conv.weight"),
        (_overflow, "head.bias"),
        (_lose, "head.bias"),
        (_add, "backdoor.weight"),
        (_reshape, r"head.bias has shape \(12,\) of torch.float32, expected \(11,\)"),
        (_halve, r"head.bias has shape \(11,\) of torch.float16"),
    ],
)
def test_tensors_that_cannot_be_right_are_refused_by_name(
    tmp_path: Path, folder: Path, damage: Callable[[Tensors], None], named: str
) -> None:
    tensors = {name: tensor.clone() for name, tensor in some_tensors().items()}
    damage(tensors)
    replace_weights(folder, safetensors.torch.save(tensors))
    with pytest.raises(BadModel, match=named):
        Classifier.load(folder)
    with pytest.raises(BadModel, match=named):
        add_run(tmp_path / "never", tensors)
    assert not list((tmp_path / "never").iterdir())


def a_torch_archive() -> bytes:
    return b"PK\x03\x04" + b"archive/data.pkl" * 20


def a_huge_declaration() -> bytes:
    """A head that promises a tensor of four terabytes, and twelve bytes of it."""
    shape = [10**6, 10**6]
    head = json.dumps({"head.bias": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * 10**12]}})
    return struct.pack("<Q", len(head)) + head.encode() + bytes(12)


def a_huge_head() -> bytes:
    return struct.pack("<Q", 2**60) + b"{}"


NO_WEIGHTS = {
    "pickle": b"\x80\x04cos\nsystem\n.",
    "torch": a_torch_archive(),
    "empty": b"",
    "huge tensor": a_huge_declaration(),
    "huge head": a_huge_head(),
    "truncated": safetensors.torch.save(some_tensors())[:-40],
}


@pytest.mark.parametrize("content", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
@pytest.mark.parametrize("replace", [replace_weights, replace_probe])
def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_hash(
    folder: Path, replace: Callable[[Path, bytes], None], content: bytes
) -> None:
    replace(folder, content)
    with pytest.raises(BadModel, match=r"safetensors is no safetensors file"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": list("0123456789")}, "scores 11 classes, its manifest names 10"),
        ({"architecture": "transformer"}, "transformer"),
        ({"parameters": {**PARAMETERS, "widths": [8]}}, "refuses the parameters"),
        ({"parameters": {**PARAMETERS, "widths": [8, 16.5]}}, "refuses the parameters"),
        ({"parameters": {**PARAMETERS, "depth": 3}}, "refuses the parameters"),
        # Sixteen gigabytes of weights: what does not fit the file must not be made first.
        ({"parameters": {**PARAMETERS, "widths": [8, 10_000]}}, "has shape"),
        ({"parameters": {**PARAMETERS, "hidden": 9}}, "has shape"),
    ],
)
def test_a_manifest_of_another_network_is_refused(
    folder: Path, changes: dict[str, object], named: str
) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(changes))
    with pytest.raises(BadModel, match=named):
        Classifier.load(folder)


# --- the probe -----------------------------------------------------------------------------------------


class Leaky(nn.Module):
    """A network with a parameter that no tensor tells of."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.head = nn.Linear(784, 11)
        self.slope = slope

    def forward(self, glyphs: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(self.head(glyphs[:, 0].flatten(1)), self.slope)


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(networks.ARCHITECTURES, "leaky", Leaky)
    torch.manual_seed(2)
    made = {"architecture": "leaky", "parameters": {"slope": 0.1}}
    return add_run(tmp_path / "leaky", Leaky(0.1).state_dict(), **made)


def test_a_parameter_that_changes_no_shape_is_found_by_the_probe(leaky: Path) -> None:
    assert Classifier.load(leaky).name == "leaky"
    edit_manifest(leaky, lambda manifest: manifest["parameters"].update(slope=0.12))
    with pytest.raises(BadModel, match=r"probe\.safetensors: the network's scores differ by up to 0\.0"):
        Classifier.load(leaky)


def test_weights_of_another_network_of_the_same_shape_are_found_by_the_probe(folder: Path) -> None:
    replace_weights(folder, safetensors.torch.save(some_tensors(seed=6)))
    with pytest.raises(BadModel, match="the network's scores differ"):
        Classifier.load(folder)


def test_a_network_whose_scores_are_not_finite_is_found_by_the_probe(folder: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in some_tensors().items()}
    tensors["head.weight"] *= 1e38
    tensors["last.conv.weight"] *= 1e38
    replace_weights(folder, safetensors.torch.save(tensors))
    with pytest.raises(BadModel, match=r"differ by up to (nan|inf)"):
        Classifier.load(folder)


def a_probe(count: int = 3, classes: int = 11, side: int = 28, fill: float = 0.0) -> bytes:
    glyphs = np.zeros((count, 1, side, side), np.float32)
    return pack(glyphs, np.full((count, classes), fill, np.float32))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (a_probe(count=0), "of some glyphs"),
        (a_probe(classes=10), r"logits is float32 \(3, 10\)"),
        (a_probe(side=32), "glyphs is float32"),
        (a_probe(fill=float("nan")), "not finite"),
        (safetensors.torch.save({"glyphs": torch.zeros(3, 1, 28, 28)}), "holds glyphs"),
        (safetensors.torch.save({"glyphs": torch.zeros(()), "logits": torch.zeros(())}), "glyphs is"),
    ],
)
def test_a_probe_that_proves_nothing_is_refused(folder: Path, content: bytes, named: str) -> None:
    replace_probe(folder, content)
    with pytest.raises(BadModel, match=named):
        Classifier.load(folder)


def test_the_probe_holds_at_any_number_of_threads(folder: Path) -> None:
    usual = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert Classifier.load(folder).name == "model"
    finally:
        torch.set_num_threads(usual)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    folder = add_run(tmp_path / "model")
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
