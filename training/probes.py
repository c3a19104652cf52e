"""The probe that is written beside a network's weights: what every later load is compared with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from processor.prediction import glyphs
from processor.prediction.archive import ModelFolder
from processor.prediction.classifier import Classifier, rebuild
from processor.prediction.probe import pack
from processor.records import Glyphs, Gray

TEXTURES = 6
"""Beside the ten digits: shapes of no meaning, which bring up features that digits leave still."""

_SIDE = 64


def probe_glyphs() -> Glyphs:
    """Sixteen glyphs (16, 2, 28, 28): the ten digits in a stroke font, each with the next beside it, and six
    textures from a fixed seed."""
    rng = np.random.default_rng(16)
    digits = [_digit(str(digit)) for digit in range(10)]
    beside = [np.roll(digit, 40, axis=1) for digit in (*digits[1:], digits[0])]
    pairs = [np.stack([own, np.maximum(own, other)]) for own, other in zip(digits, beside, strict=True)]
    return glyphs.batch([*pairs, *(_texture(rng, 2 + grain) for grain in range(TEXTURES))])


def make_probe(manifest: Mapping[str, Any], weights: bytes, file: Path) -> bytes:
    """The probe of the network that `manifest` and `weights`, the content of `file`, describe.

    Raises BadModel where the two do not fit together, or a weight is not finite.
    """
    # By the classifier itself: what is stored is what reading will compute.
    model = ModelFolder(file.parent, manifest, (file,))
    network = rebuild(manifest, weights, file)
    found = probe_glyphs()
    return pack(found, Classifier(model, network, torch.device("cpu")).logits(found))


def _digit(text: str) -> Gray:
    canvas = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.putText(canvas, text, (14, 52), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 255, 4, cv2.LINE_AA)
    return canvas


def _texture(rng: np.random.Generator, grain: float) -> Gray:
    soft = cv2.GaussianBlur(rng.standard_normal((_SIDE, _SIDE)).astype(np.float32), (0, 0), grain)
    return np.where(soft > 0.5 * soft.std(), np.uint8(255), np.uint8(0))
