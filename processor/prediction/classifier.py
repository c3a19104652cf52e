"""The classifier: glyphs to calibrated class probabilities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from processor.errors import BadModel, BadSettings
from processor.prediction import archive, networks, probe
from processor.prediction.archive import ModelFolder
from processor.prediction.glyphs import SIZE
from processor.prediction.manifests import PLANES, read_hashed
from processor.records import Glyphs

BATCH = 32
"""Glyphs a forward pass, as many as a cache holds; a fixed size: other kernels add in another order."""


class Classifier:
    """A loaded model; the same glyph gets the same bytes at any batch size and order."""

    def __init__(self, model: ModelFolder, network: nn.Module, device: torch.device) -> None:
        self.model = model
        self.name = model.name
        self.classes = model.classes
        self.thresholds: dict[str, Any] = dict(model.manifest["thresholds"])
        self._device = device
        self._network = networks.fold(network.eval()).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Classifier":
        """Loads a published model folder on `device` (cpu, cuda, cuda:N or auto).

        The network proves itself on the stored probe before anything is read with it.

        Raises BadModel where hashes, tensors, values or the probe's scores are not what the manifest
        promises, BadSettings where there is no such device.
        """
        model = archive.verify(folder)
        place = _find_device(device)
        content = read_hashed(model.weights[0], model.manifest["weights"][0]["sha256"])
        loaded = cls(model, rebuild(model.manifest, content, model.weights[0]), place)
        stored = read_hashed(model.probe, model.manifest["probe"]["sha256"])
        probe.check(model.probe, stored, loaded.logits, classes=len(loaded.classes), device=place.type)
        return loaded

    def probabilities(self, glyphs: Glyphs) -> NDArray[np.float32]:
        """Calibrated probabilities (N, classes) float32 of glyphs (N, 2, 28, 28) in [0, 1]; N may be 0."""
        scaled = self.logits(glyphs) / np.float32(self.model.temperature)
        return softmax(scaled)

    @torch.inference_mode()
    def logits(self, glyphs: Glyphs) -> NDArray[np.float32]:
        """Uncalibrated scores (N, classes) float32 of glyphs (N, 2, 28, 28) in [0, 1]; N may be 0.

        Glyphs of one plane, (N, 1, 28, 28), are taken for marks that stand alone.
        """
        if glyphs.ndim != 4 or glyphs.shape[1] not in PLANES or glyphs.shape[2:] != (SIZE, SIZE):
            raise ValueError(f"glyphs have shape {glyphs.shape}, expected (N, 1 or 2, {SIZE}, {SIZE})")
        count = len(glyphs)
        padded = np.zeros((-(-count // BATCH) * BATCH, PLANES[-1], SIZE, SIZE), np.float32)
        padded[:count] = glyphs
        scores = np.empty((len(padded), len(self.classes)), np.float32)
        for start in range(0, len(padded), BATCH):
            chunk = torch.from_numpy(padded[start : start + BATCH]).to(
                self._device, memory_format=torch.channels_last
            )
            scores[start : start + BATCH] = self._network(chunk).cpu().numpy()
        return scores[:count]

    def acceptance_threshold(self, max_error_rate: float) -> float:
        """The confidence from which digits are accepted so that this share of them is wrong."""
        return self.model.acceptance_threshold(max_error_rate)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax of (N, classes) float32, row by row the same whatever N is."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _find_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BadSettings(
            f"recognition.device = {name!r}, but PyTorch sees no GPU.", "Set it to cpu or auto."
        )
    return torch.device(name)


def rebuild(manifest: Mapping[str, Any], weights: bytes, file: Path) -> nn.Module:
    """The network of a manifest in evaluation mode, with the tensors of `weights`, the content of `file`.

    Every tensor's name, shape and type is compared before memory is taken for the network.
    Raises BadModel.
    """
    architecture, parameters = manifest["architecture"], manifest["parameters"]
    with torch.device("meta"):
        plan = networks.build(architecture, parameters).state_dict()
    tensors = _read_tensors(weights, file)
    _compare(tensors, plan, file)
    network = networks.build(architecture, parameters)
    network.load_state_dict(tensors)
    network.eval()
    with torch.inference_mode():
        outputs = network(torch.zeros(1, PLANES[-1], SIZE, SIZE)).shape[1]
    if outputs != len(manifest["classes"]):
        raise BadModel(
            f"{file} scores {outputs} classes, its manifest names {len(manifest['classes'])}.",
            "Publish the model again.",
        )
    return network


def _read_tensors(weights: bytes, file: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load(weights)
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that torch has not
        raise BadModel(f"{file} is no safetensors file: {error}.", "Publish the model again.") from None


def _compare(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], file: Path) -> None:
    if tensors.keys() != expected.keys():
        odd = ", ".join(sorted(tensors.keys() ^ expected.keys()))
        raise BadModel(
            f"{file} and the architecture differ in the tensors {odd}.", "Publish the model again."
        )
    for name, tensor in tensors.items():
        wanted = expected[name]
        if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
            raise BadModel(
                f"{file}: {name} has shape {tuple(tensor.shape)} of {tensor.dtype}, "
                f"expected {tuple(wanted.shape)} of {wanted.dtype}.",
                "Publish the model again.",
            )
        if not bool(torch.isfinite(tensor).all()):
            raise BadModel(f"{file}: {name} holds values that are not finite.", "Train the model again.")
