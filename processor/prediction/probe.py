"""The probe: glyphs stored beside the weights with the scores they had; a model proves itself when loaded.

Hashes tell that the files are those that were written, shapes that they fit together. Neither tells that this
program computes what the model's maker computed: a parameter without a tensor, another version of an
architecture, a kernel that is wrong on this machine.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from processor.errors import BadModel
from processor.prediction.glyphs import SIZE
from processor.prediction.manifests import PLANES, REMEDY
from processor.records import Glyphs

PROBE = "probe.safetensors"

TOLERANCE = {"cpu": 1e-3, "cuda": 1e-2}
"""The greatest difference of a score, as a share of the largest, by kind of device.

Measured on the shipped network: other thread counts, batch sizes and memory formats give 3e-7, other
instruction sets 3e-6, products of ten bits, as GPUs multiply by default, 4e-4, bfloat16 5e-3.
"""

_GLYPHS, _LOGITS = "glyphs", "logits"

Score = Callable[[Glyphs], NDArray[np.float32]]
"""Glyphs (N, planes, 28, 28) to logits (N, classes), both float32."""


def pack(glyphs: Glyphs, logits: NDArray[np.float32]) -> bytes:
    """The content of a probe file: glyphs (N, planes, 28, 28) and their scores (N, classes)."""
    return safetensors.numpy.save({_GLYPHS: glyphs, _LOGITS: logits})


def check(file: Path, content: bytes, score: Score, *, classes: int, device: str = "cpu") -> None:
    """Scores the glyphs in the `content` of a probe `file` by `score`, and compares with the stored scores.

    Raises BadModel with the greatest difference, or with what is wrong in the file.
    """
    glyphs, stored = _unpack(file, content, classes)
    found = score(glyphs)
    scale = max(1.0, float(np.abs(stored).max()))
    difference = float(np.abs(found - stored).max())
    limit = TOLERANCE[device] * scale
    # The comparison is turned round for NaN, which is neither above nor below any limit.
    if not difference <= limit:
        raise BadModel(
            f"{file}: the network's scores differ by up to {difference:.3g} from those stored, "
            f"at most {limit:.3g} is allowed: its parameters or the program are not those it was made with.",
            REMEDY,
        )


def _unpack(file: Path, content: bytes, classes: int) -> tuple[Glyphs, NDArray[np.float32]]:
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that numpy has not
        raise BadModel(f"{file} is no safetensors file: {error}.", REMEDY) from None
    if tensors.keys() != {_GLYPHS, _LOGITS}:
        raise BadModel(f"{file} holds {', '.join(sorted(tensors))}, expected glyphs and logits.", REMEDY)
    glyphs, logits = tensors[_GLYPHS], tensors[_LOGITS]
    count = len(glyphs) if glyphs.ndim else 0
    planes = glyphs.shape[1] if glyphs.ndim > 1 and glyphs.shape[1] in PLANES else PLANES[0]
    for name, tensor, shape in (
        (_GLYPHS, glyphs, (count, planes, SIZE, SIZE)),
        (_LOGITS, logits, (count, classes)),
    ):
        if count == 0 or tensor.shape != shape or tensor.dtype != np.float32:
            raise BadModel(
                f"{file}: {name} is {tensor.dtype} {tensor.shape}, expected float32 {shape} of some glyphs.",
                REMEDY,
            )
        if not np.isfinite(tensor).all():
            raise BadModel(f"{file}: {name} holds values that are not finite.", REMEDY)
    return glyphs, logits
