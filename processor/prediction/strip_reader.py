"""The second reader: whole numbers from their strips, without cutting them into digits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from processor.errors import BadModel
from processor.prediction import archive, ctc, networks, strip_networks
from processor.prediction.ctc import ALPHABET, Columns
from processor.prediction.manifests import REMEDY, read_hashed
from processor.prediction.strip_networks import PITCH, StripNetwork
from processor.prediction.strips import DIGIT, HEIGHT, PLANES, Strip
from processor.records import Signs
from processor.stages import stage

STRIPS = "strips.safetensors"
"""The file beside a model's other weights; its head holds what rebuilds the network."""

COLUMNS = 576
"""Columns of a forward pass, of as many strips as fit: a few wide ones, or a dozen single digits."""

BUCKET = 48
"""Strips are padded with paper to a multiple of so many columns."""

EXPECTED = {"alphabet": ALPHABET, "height": HEIGHT, "digit": DIGIT, "planes": PLANES}
"""What this program feeds the network and reads from it; another's would be nonsense."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StripReading:
    """What the network reads on one strip.

    `digits` may be empty; `before` is what it saw before each of them, and `text` is `digits` with the
    separators among that. `confidence` is the calibrated
    probability of `digits` over all ways of standing there, and `log_probability` its logarithm.
    `confidences` are those of the digits, each from its surest column, and `places` their (x0, x1) on the
    page. `others` are the next likeliest strings of digits with their log-probabilities. `columns` (T, 11)
    are the calibrated log-probabilities of blank and the digits, from which `score` tells any string's.
    """

    digits: str
    text: str
    log_probability: float
    confidences: tuple[float, ...]
    before: tuple[Signs, ...]
    places: tuple[tuple[float, float], ...]
    others: tuple[tuple[str, float], ...]
    columns: Columns

    @property
    def confidence(self) -> float:
        return float(np.exp(self.log_probability))

    def score(self, digits: str) -> float:
        """The log-probability that `digits` stand on the strip: comparable with `log_probability`."""
        return ctc.log_probability(self.columns, digits)


class StripReader:
    """A loaded network; the same strip gets the same bytes at any batch size and order."""

    def __init__(self, network: StripNetwork, temperature: float = 1.0) -> None:
        self._network = networks.fold(network.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._temperature = temperature

    @classmethod
    def load(cls, folder: Path) -> "StripReader":
        """The reader of the published model in `folder`.

        Raises BadModel where the model has none, or its hashes, tensors or head are not what they must be.
        """
        model = archive.verify(folder)
        hashes = {entry["file"]: entry["sha256"] for entry in model.manifest["weights"]}
        if STRIPS not in hashes:
            raise BadModel(f"{folder} has no {STRIPS}: it reads digits, not strips.", REMEDY)
        return cls.from_bytes(read_hashed(folder / STRIPS, hashes[STRIPS]), folder / STRIPS)

    @classmethod
    def from_bytes(cls, content: bytes, where: Path) -> "StripReader":
        """The reader that `to_bytes` wrote; `where` it was found is for messages. Raises BadModel."""
        network = network_of(content, where)
        return cls(network, _head(content, where)["temperature"])

    @stage("strips decoded")
    def read(self, strips: Sequence[Strip]) -> list[StripReading]:
        """The reading of each strip, in their order; a strip without ink reads as no digits."""
        found = self.columns([strip.pixels for strip in strips])
        return [_reading(strip, columns) for strip, columns in zip(strips, found, strict=True)]

    @stage("second network")
    @torch.inference_mode()
    def columns(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Columns]:
        """Calibrated log-probabilities (W / 2, 1 + characters) of each of `pixels` (2, HEIGHT, W) uint8."""
        widths = [bucket(p.shape[2]) for p in pixels]
        found: list[Columns] = [np.zeros((0, 0), np.float32)] * len(pixels)
        for width in sorted(set(widths)):
            members = [i for i, w in enumerate(widths) if w == width]
            count = together(width)
            for start in range(0, len(members), count):
                chosen = members[start : start + count]
                batch = torch.zeros((count, PLANES, HEIGHT, width))
                batch[: len(chosen)] = padded([pixels[i] for i in chosen], width)
                logits = self._network(batch.contiguous(memory_format=torch.channels_last))
                scores = (logits / self._temperature).log_softmax(dim=2).numpy()
                for i, columns in zip(chosen, scores, strict=False):
                    found[i] = columns[: -(-pixels[i].shape[2] // PITCH)].copy()
        return found


def to_bytes(network: StripNetwork, temperature: float) -> bytes:
    """The weights of `network`, with all in the head that `StripReader.from_bytes` needs."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    head = {"architecture": strip_networks.ARCHITECTURE, "parameters": network.built_from}
    return safetensors.torch.save(
        tensors, {"strips": json.dumps(head | {"temperature": temperature} | EXPECTED)}
    )


def network_of(content: bytes, where: Path) -> StripNetwork:
    """The network that `to_bytes` wrote, as it can be trained on. Raises BadModel."""
    head = _head(content, where)
    network = strip_networks.build(head["architecture"], head["parameters"])
    try:
        tensors = safetensors.torch.load(content)
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise BadModel(f"{where} does not fit its architecture: {_first_line(error)}.", REMEDY) from None
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point()):
        raise BadModel(f"{where} holds weights that are no numbers.", REMEDY)
    return network


def bucket(width: int) -> int:
    """The width to which a strip so wide is padded: the same whatever stands beside it in a batch."""
    return max(1, -(-width // BUCKET)) * BUCKET


def together(width: int) -> int:
    """How many strips padded to `width` columns make a forward pass.

    It hangs on nothing else: kernels for another number of strips add in another order.
    """
    return max(1, COLUMNS // width)


def padded(pixels: Sequence[NDArray[np.uint8]], width: int) -> Tensor:
    """(N, 2, HEIGHT, width) float32 in [0, 1] of strips at most so wide, with paper behind their ends."""
    batch = np.zeros((len(pixels), PLANES, HEIGHT, width), np.float32)
    for place, strip in zip(batch, pixels, strict=True):
        if strip.ndim != 3 or strip.shape[:2] != (PLANES, HEIGHT) or strip.shape[2] > width:
            raise ValueError(f"a strip has shape {strip.shape}, expected ({PLANES}, {HEIGHT}, ≤ {width})")
        np.multiply(strip, np.float32(1 / 255), out=place[:, :, : strip.shape[2]])
    return torch.from_numpy(batch)


def _reading(strip: Strip, columns: Columns) -> StripReading:
    only = ctc.digits_only(columns)
    best, *others = ctc.beam(only)
    digits = best[0]
    spans = ctc.align(only, digits)
    seen = ctc.signs(columns, spans)
    return StripReading(
        digits=digits,
        text=ctc.written(digits, seen),
        log_probability=min(0.0, ctc.log_probability(only, digits)),
        confidences=tuple(span.confidence for span in spans),
        before=tuple(seen),
        places=tuple((strip.page_x(s.first * PITCH), strip.page_x(s.last * PITCH)) for s in spans),
        others=tuple(others),
        columns=only,
    )


def _head(content: bytes, where: Path) -> dict[str, Any]:
    """What `to_bytes` wrote into the head. Raises BadModel where it is missing, or of another program."""
    try:
        # safetensors gives the head of files only; it begins after its length in eight bytes.
        size = int.from_bytes(content[:8], "little")
        head = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["strips"])
        other = {key: head[key] for key in EXPECTED if head[key] != EXPECTED[key]}
        temperature = float(head["temperature"])
        fine = isinstance(head["parameters"], dict) and 0.01 <= temperature <= 100
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadModel(f"{where} has no head of a strips' reader: {error!r}.", REMEDY) from None
    if other or not fine:
        raise BadModel(f"{where} was made for other strips: {other or head}.", REMEDY)
    return dict(head)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(":. ")
